// SPDX-License-Identifier: GPL-2.0
/*
 * memory: pages, objects, per-CPU data, and their failing.
 *
 * Pages come from one large range of addresses that is not accessible but where
 * pages are in use, so that an access to freed ones, or past a piece's end (there
 * is a gap behind each), faults. Addresses are used again as late as possible.
 * Objects come from malloc(), where ASan and LSan see them.
 */
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory.h"
#include "shim.h"

#define POOL_PAGES	(SHIM_POOL_BYTES >> PAGE_SHIFT)

unsigned long shim_totalram_pages = (8UL << 30) >> PAGE_SHIFT;
char *shim_pool;
int shim_pool_fd = -1;
void (*shim_page_freed)(const void *p, size_t bytes);

static pthread_mutex_t pool_mutex = PTHREAD_MUTEX_INITIALIZER;
static u8 page_in_use[POOL_PAGES];	/* under pool_mutex, as the next two */
static size_t next_page;
static size_t nr_pages = POOL_PAGES;
static s64 page_bytes, object_bytes;	/* atomic */

/* -------- failing -------- */

static s64 fail_in, fail_left;		/* atomic, as the next two */
static u32 fail_one_of;
static bool has_failed;

void shim_fail_allocs(u64 nth, u64 how_many)
{
	WRITE_ONCE(has_failed, false);
	WRITE_ONCE(fail_left, how_many);
	WRITE_ONCE(fail_in, nth);
}

bool shim_fail_end(void)
{
	WRITE_ONCE(fail_in, 0);
	return READ_ONCE(has_failed);
}

void shim_fail_one_of(u32 n)
{
	WRITE_ONCE(fail_one_of, n);
}

static bool must_fail(void)
{
	u32 one_of = READ_ONCE(fail_one_of);

	if (one_of && !(shim_noise() % one_of))
		return true;
	if (READ_ONCE(fail_in) <= 0)
		return false;
	if (__atomic_sub_fetch(&fail_in, 1, __ATOMIC_SEQ_CST) > 0)
		return false;
	if (__atomic_sub_fetch(&fail_left, 1, __ATOMIC_SEQ_CST) < 0)
		return false;
	WRITE_ONCE(fail_in, 1);		/* the next one, too, if any is left */
	WRITE_ONCE(has_failed, true);
	return true;
}

u64 shim_page_bytes_in_use(void)
{
	return READ_ONCE(page_bytes);
}

u64 shim_bytes_in_use(void)
{
	return READ_ONCE(page_bytes) + READ_ONCE(object_bytes);
}

/* -------- pages -------- */

/* By system calls that sanitizers do not see: they would touch their shadow of all of it. */
static void make_pool(void)
{
	long p = syscall(SYS_mmap, NULL, 2 * SHIM_POOL_BYTES, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);

	if (p == -1)
		shim_die("no address space for pages");
	shim_pool = (char *)p;
}

void shim_pool_share(u64 bytes)
{
	if (shim_pool && shim_pool_fd < 0)
		shim_die("the pool of pages is in use, and private");
	nr_pages = bytes >> PAGE_SHIFT;
	next_page %= nr_pages;
	if (shim_pool)
		return;
	make_pool();
	shim_pool_fd = memfd_create("pool", MFD_CLOEXEC);
	if (shim_pool_fd < 0 || ftruncate(shim_pool_fd, SHIM_POOL_BYTES) ||
	    syscall(SYS_mmap, shim_pool, SHIM_POOL_BYTES, PROT_NONE,
		    MAP_SHARED | MAP_FIXED | MAP_NORESERVE, shim_pool_fd, 0L) == -1)
		shim_die("no file for pages");
}

/* Pages that are free are zero. */
static int clear_pages(char *p, size_t len)
{
	if (shim_pool_fd < 0)
		return syscall(SYS_madvise, p, len, MADV_DONTNEED);
	return fallocate(shim_pool_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, p - shim_pool,
			 len);
}

static size_t find_pages(size_t nr)
{
	size_t i, n = 0;

	if (!shim_pool)
		make_pool();
	for (i = next_page; i < 2 * nr_pages; i++) {
		size_t page = i % nr_pages;

		n = !page || page_in_use[page] ? 0 : n + 1;
		if (n == nr + 1)
			return page - n + 1;
	}
	shim_die("pool of pages is too small");
}

void *alloc_pages_exact(size_t size, gfp_t gfp)
{
	size_t nr = (size + PAGE_SIZE - 1) >> PAGE_SHIFT, first, i;
	char *p;

	if (gfp & __GFP_DIRECT_RECLAIM)
		shim_might_sleep("alloc_pages_exact");
	if (must_fail())
		return NULL;
	pthread_mutex_lock(&pool_mutex);
	first = find_pages(nr);
	for (i = first; i < first + nr; i++)
		page_in_use[i] = true;
	next_page = (first + nr + 1) % nr_pages;
	pthread_mutex_unlock(&pool_mutex);
	p = shim_pool + (first << PAGE_SHIFT);
	if (syscall(SYS_mprotect, p, nr << PAGE_SHIFT, PROT_READ | PROT_WRITE))
		shim_die("mprotect failed");
	if (!(gfp & __GFP_ZERO))
		memset(p, 0xa5, size);
	__atomic_fetch_add(&page_bytes, nr << PAGE_SHIFT, __ATOMIC_RELAXED);
	return p;
}

void free_pages_exact(void *p, size_t size)
{
	size_t nr = (size + PAGE_SIZE - 1) >> PAGE_SHIFT, i;
	size_t first = ((char *)p - shim_pool) >> PAGE_SHIFT;

	if (!shim_is_page(p) || (uintptr_t)p % PAGE_SIZE)
		shim_die("free_pages_exact() of what is no page");
	if (shim_page_freed)
		shim_page_freed(p, nr << PAGE_SHIFT);
	if (clear_pages(p, nr << PAGE_SHIFT) ||
	    syscall(SYS_mprotect, p, nr << PAGE_SHIFT, PROT_NONE))
		shim_die("freeing a page failed");
	__atomic_fetch_sub(&page_bytes, nr << PAGE_SHIFT, __ATOMIC_RELAXED);
	pthread_mutex_lock(&pool_mutex);
	for (i = first; i < first + nr; i++) {
		if (!page_in_use[i])
			shim_die("page is freed twice");
		page_in_use[i] = false;
	}
	pthread_mutex_unlock(&pool_mutex);
}

/* -------- objects -------- */

#define OBJECT_MAGIC	0x6b63616368650b1eULL

/* Before each object; as long as the strictest alignment that the core asks for. */
struct object {
	u64 magic;
	u64 counted;	/* bytes that shim_bytes_in_use() tells of it */
} __attribute__((aligned(64)));

static void *alloc_object(size_t size, u64 counted, gfp_t gfp)
{
	struct object *object;

	if (gfp & __GFP_DIRECT_RECLAIM)
		shim_might_sleep("allocation");
	if (must_fail() || size > SIZE_MAX / 2)
		return NULL;
	if (posix_memalign((void **)&object, sizeof(*object), sizeof(*object) + size))
		return NULL;
	*object = (struct object) { .magic = OBJECT_MAGIC, .counted = counted };
	memset(object + 1, gfp & __GFP_ZERO ? 0 : 0xa5, size);
	__atomic_fetch_add(&object_bytes, counted, __ATOMIC_RELAXED);
	return object + 1;
}

static struct object *object_of(const void *p)
{
	struct object *object = (struct object *)p - 1;

	if (object->magic != OBJECT_MAGIC)
		shim_die("free of what was not allocated, or was overrun");
	return object;
}

void *shim_alloc(size_t size, gfp_t gfp)
{
	return alloc_object(size, size, gfp);
}

void shim_uncount(void *p)
{
	struct object *object = object_of(p);

	__atomic_fetch_sub(&object_bytes, object->counted, __ATOMIC_RELAXED);
	object->counted = 0;
}

void shim_free(const void *p)
{
	struct object *object;

	if (!p)
		return;
	object = object_of(p);
	__atomic_fetch_sub(&object_bytes, object->counted, __ATOMIC_RELAXED);
	object->magic = 0;
	free(object);
}

/* Not counted: how much space the kernel takes for it is not ours to say. */
void *shim_alloc_percpu(size_t size)
{
	if (size > SHIM_PERCPU_STRIDE)
		shim_die("per-CPU object is too large");
	return alloc_object(nr_cpu_ids * SHIM_PERCPU_STRIDE, 0, GFP_KERNEL | __GFP_ZERO);
}

void free_percpu(void *p)
{
	shim_free(p);
}
