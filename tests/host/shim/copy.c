// SPDX-License-Identifier: GPL-2.0
/*
 * copy: memory to memory, and to and from iterators.
 *
 * TSan. A reader of the arena copies what a writer may be overwriting, and finds
 * out afterwards by a sequence: a race on purpose, between any two accesses to
 * page memory by memcpy() and its like. So these are made of relaxed atomic
 * accesses, which is what the protocol takes them for: any mix of old and new
 * bytes, and no order. Accesses to all other memory stay plain, and so do those
 * that the core makes itself: they are checked as usual. Two writers of the same
 * bytes would then not be seen any more, and the sequence does not excuse them.
 * Therefore each write to page memory is also reported to TSan as a plain write
 * to the same place in a mirror of the pool, which no reader looks at.
 *
 * kcache_hash() reads keys in the arena, too. Its header is included without
 * instrumentation (tsan_map.h), since it may not use the kernel's macros.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "memory.h"
#include "shim.h"

#ifdef SHIM_TSAN
#undef memcpy
#undef memset
#undef memcmp

void __tsan_write_range(void *p, unsigned long len);

static u64 load(const char *p, size_t len, bool is_page)
{
	u64 v = 0;

	if (!is_page)
		__builtin_memcpy(&v, p, len);
	else if (len == 8)
		v = __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED);
	else
		v = __atomic_load_n((const u8 *)p, __ATOMIC_RELAXED);
	return v;
}

static void store(char *p, size_t len, u64 v, bool is_page)
{
	if (!is_page)
		__builtin_memcpy(p, &v, len);
	else if (len == 8)
		__atomic_store_n((u64 *)p, v, __ATOMIC_RELAXED);
	else
		__atomic_store_n((u8 *)p, (u8)v, __ATOMIC_RELAXED);
}

/* Bytes that one access takes at @a and @b with @len to go. */
static size_t step(const void *a, const void *b, size_t len)
{
	return len >= 8 && !(((uintptr_t)a | (uintptr_t)b) % 8) ? 8 : 1;
}

static void note_write(void *to, size_t len)
{
	char *mirror = shim_pool + SHIM_POOL_BYTES;

	if (shim_is_page(to) && len)
		__tsan_write_range(mirror + ((char *)to - shim_pool), len);
}

void *shim_memcpy(void *to, const void *from, size_t len)
{
	bool to_page = shim_is_page(to), from_page = shim_is_page(from);
	size_t i, n;

	if (!to_page && !from_page)
		return memcpy(to, from, len);
	note_write(to, len);
	for (i = 0; i < len; i += n) {
		n = step((char *)to + i, (const char *)from + i, len - i);
		store((char *)to + i, n, load((const char *)from + i, n, from_page), to_page);
	}
	return to;
}

void *shim_memset(void *to, int c, size_t len)
{
	u64 v = (u8)c * 0x0101010101010101ULL;
	size_t i, n;

	if (!shim_is_page(to))
		return memset(to, c, len);
	note_write(to, len);
	for (i = 0; i < len; i += n) {
		n = step((char *)to + i, NULL, len - i);
		store((char *)to + i, n, v, true);
	}
	return to;
}

int shim_memcmp(const void *a, const void *b, size_t len)
{
	bool a_page = shim_is_page(a), b_page = shim_is_page(b);
	size_t i;

	for (i = 0; i < len; i++) {
		int difference = (int)load((const char *)a + i, 1, a_page) -
				 (int)load((const char *)b + i, 1, b_page);

		if (difference)
			return difference;
	}
	return 0;
}

#define memcpy(to, from, len)	shim_memcpy(to, from, len)
#endif /* SHIM_TSAN */

/* -------- user memory -------- */

#define MARKS_MAX	16

static __thread struct {
	const char *p;
	size_t len;
	enum shim_mark mark;
} marks[MARKS_MAX];
static __thread int nr_marks;
static __thread const char *user_memory;	/* NULL: all is */
static __thread size_t user_bytes;
static __thread u64 nr_faults;

void shim_user_mark(const void *p, size_t len, enum shim_mark mark)
{
	if (nr_marks == MARKS_MAX)
		shim_die("too many marks");
	marks[nr_marks].p = p;
	marks[nr_marks].len = len;
	marks[nr_marks++].mark = mark;
}

void shim_user_clear(void)
{
	nr_marks = 0;
	nr_faults = 0;
}

void shim_user_bound(const void *p, size_t len)
{
	user_memory = p;
	user_bytes = len;
}

u64 shim_user_faults(void)
{
	return nr_faults;
}

bool access_ok(const void __user *p, unsigned long len)
{
	uintptr_t end = (uintptr_t)user_memory + user_bytes;

	return !user_memory || (len <= end && (uintptr_t)p <= end - len);
}

/* Bytes of @len at @p that are the user's. */
static size_t within_bounds(const char *p, size_t len)
{
	uintptr_t at = (uintptr_t)p - (uintptr_t)user_memory;

	if (!user_memory)
		return len;
	return at < user_bytes ? min_t(size_t, len, user_bytes - at) : 0;
}

/* Bytes that are there from @p on, of @len. */
static size_t present(const char *p, size_t len)
{
	int i;

	len = within_bounds(p, len);
	if (!len)	/* and @p may be NULL */
		return 0;
	for (i = 0; i < nr_marks; i++)
		if (marks[i].p + marks[i].len > p && marks[i].p < p + len)
			len = marks[i].p > p ? marks[i].p - p : 0;
	return len;
}

/* Brings @len bytes in. Returns how many of them can be accessed now. */
static size_t bring_in(const char *p, size_t len)
{
	size_t there = within_bounds(p, len);
	int i;

	shim_might_sleep("page fault");
	shim_at(SHIM_AT_FAULT);
	if (!there)
		return 0;
	for (i = 0; i < nr_marks; i++) {
		if (marks[i].p + marks[i].len <= p || marks[i].p >= p + there)
			continue;
		if (marks[i].mark == SHIM_UNMAPPED)
			there = marks[i].p > p ? marks[i].p - p : 0;
		else if (marks[i].mark == SHIM_ABSENT)
			marks[i--] = marks[--nr_marks];
	}
	return there;
}

/* Bytes of @len at @p that can be accessed, now or after a fault. */
static size_t user_access(const char *p, size_t len)
{
	size_t there = present(p, len);

	if (!shim_self()->pagefault_depth)
		shim_might_sleep("access to user memory with page faults on");
	if (there == len)
		return len;
	nr_faults++;
	return shim_self()->pagefault_depth ? there : bring_in(p, len);
}

/* In two steps if perturbed, so that another may come between the bytes. */
static void copy(void *to, const void *from, size_t len)
{
	size_t first = shim_is_perturbed && len ? shim_noise() % len : 0;

	if (first) {
		memcpy(to, from, first);
		shim_pause_now(8);
	}
	if (len)
		memcpy((char *)to + first, (const char *)from + first, len - first);
}

unsigned long raw_copy_from_user(void *to, const void __user *from, unsigned long len)
{
	size_t there = user_access(from, len);

	copy(to, from, there);
	return len - there;
}

unsigned long raw_copy_to_user(void __user *to, const void *from, unsigned long len)
{
	size_t there = user_access(to, len);

	shim_at(SHIM_AT_COPY);
	copy(to, from, there);
	return len - there;
}

size_t fault_in_safe_writeable(const char __user *p, size_t len)
{
	shim_might_sleep("fault_in_safe_writeable");
	return len - bring_in(p, len);
}

unsigned long copy_to_user(void __user *to, const void *from, unsigned long len)
{
	return access_ok(to, len) ? raw_copy_to_user(to, from, len) : len;
}

int check_zeroed_user(const void __user *from, size_t size)
{
	char byte;

	if (!access_ok(from, size))
		return -EFAULT;
	for (; size; size--) {
		if (raw_copy_from_user(&byte, from++, 1))
			return -EFAULT;
		if (byte)
			return 0;
	}
	return 1;
}

/* -------- iterators -------- */

static size_t advance(struct iov_iter *iter, size_t len)
{
	iter->p += len;
	iter->count -= len;
	return len;
}

size_t copy_to_iter(const void *from, size_t len, struct iov_iter *to)
{
	len = min_t(size_t, len, to->count);
	return advance(to, len - copy_to_user(to->p, from, len));
}

size_t copy_from_iter(void *to, size_t len, struct iov_iter *from)
{
	len = min_t(size_t, len, from->count);
	return advance(from, access_ok(from->p, len) ?
			     len - raw_copy_from_user(to, from->p, len) : 0);
}
