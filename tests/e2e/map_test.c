// SPDX-License-Identifier: GPL-2.0
/*
 * The mapping of the real device, and what the library makes of it: who may map what,
 * that nobody writes, pins, dumps or grows it, that what is not there is zeros, that
 * a read through it gives what the ioctl gives and counts like it, and that a caller
 * cannot tell where there is none. Then the page of hints, which readers write and
 * the kernel must not trust.
 *
 * Linked with the static library, whose calls of mmap() come through this file.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <limits.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/loop.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <kcache.h>
#include <map.h>

#define KIB	1024
#define MIB	(1024 * KIB)
#define SMALLEST	(8 * MIB)	/* limit that a cache of the default size takes */

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

#define atomic_add(where, what)	__atomic_add_fetch(where, what, __ATOMIC_SEQ_CST)
#define atomic_get(where)	__atomic_load_n(where, __ATOMIC_SEQ_CST)

/* -------- tricks with the library's mmap -------- */

static int refuse_arena, refuse_hints, refuse_memory;	/* an errno */
static void (*change_header)(struct kcache_map_header *header);

void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	char header[PAGE], *map;

	if (fd >= 0 && (prot & PROT_WRITE ? refuse_hints : refuse_arena)) {
		errno = prot & PROT_WRITE ? refuse_hints : refuse_arena;
		return MAP_FAILED;
	}
	if (fd < 0 && refuse_memory) {
		errno = refuse_memory;
		return MAP_FAILED;
	}
	map = __real_mmap64(at, len, prot, flags, fd, offset);
	if (fd < 0 || prot != PROT_READ || map == MAP_FAILED || !change_header)
		return map;
	memcpy(header, map, PAGE);
	CHECK(__real_mmap64(map, PAGE, PROT_READ | PROT_WRITE,
			    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == map);
	memcpy(map, header, PAGE);
	change_header((struct kcache_map_header *)map);
	return map;
}

/* -------- what the tests share -------- */

static __u64 map_bytes(void)
{
	struct kcache_info info = { .size = sizeof(info) };

	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	return info.map_bytes;
}

static int open_device(int flags)
{
	return MUST(open(DEVICE, flags | O_CLOEXEC));
}

static void *map_fd(int fd)
{
	void *map = mmap(NULL, map_bytes(), PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		ktap_fail(__LINE__, "mmap: %s", ktap_errno(errno));
	return map;
}

static void *map_all(void)
{
	return map_fd(cache);
}

static struct kcache_view view_of(const void *map)
{
	struct kcache_view view = { .header = map };
	int i;

	for (i = 0; i < KCACHE_NR_REGIONS; i++) {
		view.base[i] = (const uint8_t *)map + view.header->at[i];
		view.bytes[i] = view.header->bytes[i];
	}
	return view;
}

/* Looks for @key in a mapping. Nobody changes it meanwhile. */
static bool find_in(const void *map, const char *key, struct kcache_found *found)
{
	struct kcache_view view = view_of(map);
	__u64 hash = kcache_hash(view.header->secret, key, strlen(key));
	enum kcache_find_result result;
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		result = kcache_find(&view, hash, key, strlen(key), found);
		if (result != KCACHE_CHANGED)
			return result == KCACHE_FOUND;
		milliseconds_pass(1);	/* a worker may be at it */
	}
	ktap_fail(__LINE__, "%s: the bucket keeps changing", key);
}

static void shows_at(int line, const void *map, const char *key, const char *value)
{
	struct kcache_found found;

	if (!find_in(map, key, &found))
		ktap_fail(line, "%s is not in the mapping", key);
	if (found.entry->value_len != strlen(value) ||
	    memcmp((char *)found.entry + kcache_entry_value_offset(found.entry->key_len), value,
		   strlen(value)))
		ktap_fail(line, "%s has another value in the mapping", key);
}

#define SHOWS(map, key, value)	shows_at(__LINE__, map, key, value)

static bool is_zero(const char *memory, size_t len)
{
	return !*memory && !memcmp(memory, memory + 1, len - 1);
}

static unsigned char *pattern(size_t len, unsigned int seed)
{
	unsigned char *bytes = malloc(len + 1);
	size_t i;

	CHECK(bytes);
	for (i = 0; i < len; i++)
		bytes[i] = 1 + (seed + i + (i >> 8) * 31 + (i >> 16) * 57) % 255;
	return bytes;
}

static struct kcache *open_handle(int flags)
{
	struct kcache *handle;

	CHECK_ERR(kcache_open(&handle, NULL, flags), 0);
	return handle;
}

static bool is_mapped_handle(struct kcache *handle)
{
	struct kcache_borrow borrow;

	return kcache_borrow(handle, "nobody has this key", 19, &borrow) != -EOPNOTSUPP;
}

/* From here on @handle can only use its mapping: system calls give ENOTTY. */
static void cut_off(struct kcache *handle)
{
	int null = MUST(open("/dev/null", O_RDWR | O_CLOEXEC));

	CHECK(is_mapped_handle(handle));
	MUST(dup3(null, kcache_fd(handle), O_CLOEXEC));
	close(null);
}

static int nr_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int nr = 0;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		nr += strstr(line, DEVICE) || strstr(line, "kcache-hints");
	fclose(maps);
	return nr;
}

static __u64 hits_and_misses(void)
{
	return sysfs_number("stats/hits") + sysfs_number("stats/misses");
}

static __s64 boottime_ns(void)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_BOOTTIME, &now));
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* -------- who may map what -------- */

TEST(mapping_is_for_reading_only)
{
	static const int modes[] = { O_RDONLY, O_RDWR };
	static const int kinds[] = { MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE };
	static const int refused[] = {
		PROT_WRITE, PROT_EXEC, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
		PROT_WRITE | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	size_t m, k, r;

	WORKS(OP(SET, "key", VALUE("value")));
	for (m = 0; m < NR(modes); m++) {
		for (k = 0; k < NR(kinds); k++) {
			int fd = open_device(modes[m]);
			char *map;

			CASE("mode %d, kind %d", modes[m], kinds[k]);
			for (r = 0; r < NR(refused); r++) {
				CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, refused[r], kinds[k], fd, 0),
					      EACCES);
				CHECK_REFUSED((intptr_t)mmap(NULL, 3 * PAGE, refused[r], kinds[k],
							     fd, PAGE), EACCES);
			}
			map = MUST(mmap(NULL, map_bytes(), PROT_READ, kinds[k], fd, 0));
			close(fd);
			SHOWS(map, "key", "value");
			for (r = 0; r < NR(refused); r++) {
				CHECK_REFUSED(mprotect(map, PAGE, refused[r]), EACCES);
				CHECK_REFUSED(mprotect(map + 4 * MIB, MIB, refused[r]), EACCES);
				CHECK_REFUSED(mprotect(map, map_bytes(), refused[r]), EACCES);
			}
			MUST(mprotect(map, map_bytes(), PROT_NONE));
			for (r = 0; r < NR(refused); r++)
				CHECK_REFUSED(mprotect(map, map_bytes(), refused[r]), EACCES);
			MUST(mprotect(map, map_bytes(), PROT_READ));
			SHOWS(map, "key", "value");
			MUST(munmap(map, map_bytes()));

			fd = open_device(modes[m]);
			map = MUST(mmap(NULL, PAGE, PROT_NONE, kinds[k], fd, 0));
			for (r = 0; r < NR(refused); r++)
				CHECK_REFUSED(mprotect(map, PAGE, refused[r]), EACCES);
			MUST(munmap(map, PAGE));
			close(fd);
		}
	}
}

static char *touched;

static void write_there(int nr)
{
	(void)nr;
	*(volatile char *)touched = 1;
}

TEST(write_to_the_mapping_is_sigsegv)
{
	static const int kinds[] = { MAP_SHARED, MAP_PRIVATE };
	static const off_t places[] = { 0, 8, 2 * MIB, 100 * MIB };
	size_t k, p;

	WORKS(OP(SET, "key", VALUE("value")));
	for (k = 0; k < NR(kinds); k++)
		for (p = 0; p < NR(places); p++) {
			char *map = MUST(mmap(NULL, map_bytes(), PROT_READ, kinds[k], cache, 0));
			pid_t pid;
			int status;

			touched = map + places[p];
			pid = start_process(write_there, 0);
			MUST(waitpid(pid, &status, 0));
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
			SHOWS(map, "key", "value");
		}
}

TEST(descriptor_that_cannot_read_cannot_map)
{
	static const int modes[] = { O_WRONLY, 3 };
	static const int kinds[] = { MAP_SHARED, MAP_PRIVATE };
	static const int prots[] = { PROT_READ, PROT_NONE, PROT_WRITE, PROT_READ | PROT_WRITE };
	size_t m, k, p;

	for (m = 0; m < NR(modes); m++)
		for (k = 0; k < NR(kinds); k++)
			for (p = 0; p < NR(prots); p++) {
				int fd = open_device(modes[m]);

				CASE("mode %d, kind %d, protection %d", modes[m], kinds[k], prots[p]);
				CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, prots[p], kinds[k], fd, 0),
					      EACCES);
				close(fd);
			}
}

TEST(any_part_of_the_span_can_be_mapped_and_nothing_beyond)
{
	const __u64 span = map_bytes(), middle = span / 2 / PAGE * PAGE;
	static const __u64 far[] = {
		1ULL << 44, 1ULL << 52, 1ULL << 62, 0x7ffffffffffff000ULL, 0x8000000000000000ULL,
		0xfffffffffffff000ULL,
	};
	char *map;
	size_t i;

	CHECK_EQ(span % PAGE, 0);
	map = MUST(mmap(NULL, span, PROT_READ, MAP_SHARED, cache, 0));
	MUST(munmap(map, span));
	map = MUST(mmap(NULL, 1, PROT_READ, MAP_SHARED, cache, 0));
	MUST(munmap(map, PAGE));
	for (i = 0; i < 200; i++) {
		__u64 at = random_below(span / PAGE) * PAGE, len = 1 + random_below(span - at);

		CASE("%llu bytes at %#llx", (unsigned long long)len, (unsigned long long)at);
		map = MUST(mmap(NULL, len, PROT_READ, i % 2 ? MAP_SHARED : MAP_PRIVATE, cache, at));
		(void)*(volatile char *)(map + random_below(len));
		(void)*(volatile char *)(map + len - 1);
		MUST(munmap(map, len));

		len = span - at + 1 + random_below(span);
		CHECK_REFUSED((intptr_t)mmap(NULL, len, PROT_READ, MAP_SHARED, cache, at), EINVAL);
		at += 1 + random_below(PAGE - 1);
		CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, at), EINVAL);
	}
	CASE("the end");
	MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, span - PAGE));
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE + 1, PROT_READ, MAP_SHARED, cache, span - PAGE), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, span), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, cache, span + PAGE), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, span + 1, PROT_READ, MAP_SHARED, cache, 0), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, span, PROT_READ, MAP_SHARED, cache, PAGE), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, middle + PAGE, PROT_READ, MAP_SHARED, cache, span - middle),
		      EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, 0, PROT_READ, MAP_SHARED, cache, 0), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, SIZE_MAX, PROT_READ, MAP_SHARED, cache, 0), ENOMEM);
	for (i = 0; i < NR(far); i++) {
		CASE("%#llx", (unsigned long long)far[i]);
		CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, far[i]) == MAP_FAILED);
		CHECK(errno == EINVAL || errno == EOVERFLOW);
	}
}

TEST(mapping_with_any_flag_is_a_mapping_or_refused)
{
	static const int flags[] = {
		MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE, MAP_NONBLOCK | MAP_POPULATE, MAP_HUGETLB,
		MAP_STACK, MAP_GROWSDOWN, MAP_32BIT, MAP_SYNC,
	};
	size_t f;

	WORKS(OP(SET, "key", VALUE("value")));
	for (f = 0; f < NR(flags); f++) {
		void *map;

		CASE("%#x", flags[f]);
		map = mmap(NULL, map_bytes(), PROT_READ, MAP_SHARED | flags[f], cache, 0);
		if (map == MAP_FAILED)
			continue;
		SHOWS(map, "key", "value");
		MUST(munmap(map, map_bytes()));
	}
	MUST(mlockall(MCL_CURRENT | MCL_FUTURE));
	{
		void *map = mmap(NULL, map_bytes(), PROT_READ, MAP_SHARED, cache, 0);

		if (map != MAP_FAILED)
			SHOWS(map, "key", "value");
	}
	MUST(munlockall());
}

/* -------- what is to be seen -------- */

TEST(header_tells_where_everything_is)
{
	const struct kcache_map_header *header = map_all();
	__u64 end = PAGE;
	int i;

	CHECK_EQ(header->layout, KCACHE_MAP_LAYOUT);
	CHECK_EQ(header->reserved, 0);
	for (i = 0; i < KCACHE_NR_REGIONS; i++) {
		CASE("region %d", i);
		CHECK(header->at[i] >= end);
		CHECK_EQ(header->at[i] % PAGE, 0);
		CHECK_EQ(header->bytes[i] % PAGE, 0);
		CHECK(header->bytes[i] >= sysfs_number("limits/max_bytes"));
		end = header->at[i] + header->bytes[i];
	}
	CHECK_EQ(end, map_bytes());
	CHECK_EQ((__u32)header->table_size, sysfs_number("stats/buckets"));
	for (i = 0; i < KCACHE_HASH_WORDS; i++)
		CHECK(header->secret[i]);
	CHECK(is_zero((char *)(header + 1), PAGE - sizeof(*header)));
}

TEST(each_cache_has_a_secret_of_its_own_words)
{
	const struct kcache_map_header *header = map_all();
	int i, j;

	for (i = 0; i < KCACHE_HASH_WORDS; i++)
		for (j = 0; j < i; j++)
			CHECK(header->secret[i] != header->secret[j]);
}

TEST(holes_read_as_zeros)
{
	const __u64 span = map_bytes();
	struct kcache_view view;
	const char *map = map_all();
	__u64 nr_zero = 0, at, i;

	WORKS(OP(SET, "key", VALUE("value")));
	for (i = 0; i < 20000; i++) {
		at = random_below(span);
		CASE("%#llx", (unsigned long long)at);
		nr_zero += !*(volatile char *)(map + at);
	}
	CHECK(nr_zero > 19000);
	/* The second half of each region: nothing has come so far. */
	view = view_of(map);
	for (i = 0; i < 6000; i++) {
		int region = i % KCACHE_NR_REGIONS;
		const uint8_t *half = view.base[region] + view.bytes[region] / 2;

		CHECK(is_zero((char *)half + random_below(view.bytes[region] / 2 / PAGE) * PAGE, PAGE));
	}
	/* Between the header and the first region, too. */
	for (at = PAGE; at < view.header->at[0]; at += PAGE)
		CHECK(is_zero(map + at, PAGE));
	SHOWS(map, "key", "value");
}

TEST(hole_that_was_seen_shows_what_comes_there)
{
	struct kcache_found found;
	const char *map = map_all();
	struct kcache_view view = view_of(map);
	char key[16];
	__u64 at;
	int i;

	for (at = 0; at < 80 * MIB; at += PAGE)
		(void)*(volatile char *)(view.base[KCACHE_SEGMENTS] + at);
	for (at = 0; at < 8 * MIB; at += PAGE) {
		(void)*(volatile char *)(view.base[KCACHE_BUCKETS] + at);
		(void)*(volatile char *)(view.base[KCACHE_OVERFLOW] + at);
	}
	for (i = 0; i < 30000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, VALUE(key)));
	}
	for (i = 0; i < 30000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		SHOWS(map, key, key);
	}
	CHECK(!find_in(map, "none", &found));
}

TEST(mapping_shows_each_change)
{
	const char *map = map_all();
	struct kcache_found found;
	char out[16];
	int i;

	for (i = 0; i < 100; i++) {
		WORKS(OP(SET, "key", VALUE("1")));
		SHOWS(map, "key", "1");
		WORKS(OP(ADD, "key", .delta = 8));
		SHOWS(map, "key", "9");
		WORKS(OP(APPEND, "key", VALUE("x")));
		SHOWS(map, "key", "9x");
		WORKS(OP(SET, "key", VALUE("value"), .client_flags = 5));
		SHOWS(map, "key", "value");
		WORKS(OP(TOUCH, "key", .ttl_ms = 100000));
		SHOWS(map, "key", "value");
		if (i % 3 == 0)
			WORKS(OP(REMOVE, "key"));
		else if (i % 3 == 1)
			WORKS(OP(POP, "key", INTO(out)));
		else
			MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		CHECK(!find_in(map, "key", &found));
	}
}

/* -------- what cannot be done to it -------- */

static bool has_flag(const char *flags, const char *flag)
{
	const char *at = strstr(flags, flag);

	return at && at[-1] == ' ' && (at[2] == ' ' || at[2] == '\n' || !at[2]);
}

TEST(mapping_is_not_dumped_nor_made_writable_or_longer)
{
	FILE *smaps;
	char line[512];
	bool is_ours = false;
	int nr = 0, kind;

	for (kind = 0; kind < 2; kind++)
		(void)*(volatile char *)MUST(mmap(NULL, 4 * MIB, PROT_READ,
						  kind ? MAP_PRIVATE : MAP_SHARED, cache, 0));
	smaps = fopen("/proc/self/smaps", "r");
	CHECK(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (strstr(line, DEVICE))
			is_ours = true;
		if (!is_ours || strncmp(line, "VmFlags:", 8))
			continue;
		CASE("%.200s", line);
		CHECK(has_flag(line, "dd"));	/* not dumped */
		CHECK(has_flag(line, "de"));	/* does not grow */
		CHECK(has_flag(line, "pf"));	/* nothing to pin */
		CHECK(has_flag(line, "rd") && !has_flag(line, "wr") && !has_flag(line, "ex"));
		CHECK(!has_flag(line, "mw") && !has_flag(line, "me"));
		is_ours = false;
		nr++;
	}
	CHECK_EQ(nr, 2);
}

static int io_uring_of(const struct iovec *vec)
{
	struct io_uring_params params = { 0 };
	int fd = syscall(SYS_io_uring_setup, 4, &params), err;

	if (fd < 0) {
		NOTE("no io_uring here: %s", ktap_errno(errno));
		return -EFAULT;
	}
	err = syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, vec, 1) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* A block device, of which direct writes take the caller's pages; -1: none to be had. */
static int open_block_device(void)
{
	int control, number, loop, file;
	char name[32];

	if (system("modprobe loop 2> /dev/null"))
		return -1;
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	if (number < 0)
		return -1;
	snprintf(name, sizeof(name), "/dev/loop%d", number);
	loop = open(name, O_RDWR | O_CLOEXEC | O_DIRECT);
	file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	if (loop < 0 || file < 0 || ftruncate(file, MIB) || ioctl(loop, LOOP_SET_FD, file))
		return -1;
	return loop;
}

TEST(mapping_cannot_be_pinned)
{
	char *map, buffer[64], *page;
	struct iovec vec, local = { .iov_base = buffer, .iov_len = sizeof(buffer) };
	__u64 places[3];
	int pipes[2], mem, block, null;
	size_t p;

	WORKS(OP(SET, "key", VALUE("value")));
	map = map_all();
	places[0] = 0;
	places[1] = ((struct kcache_map_header *)map)->at[KCACHE_SEGMENTS];
	places[2] = map_bytes() - PAGE;
	MUST(pipe(pipes));
	mem = MUST(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	block = open_block_device();
	if (block < 0)
		NOTE("no block device for direct writes");
	for (p = 0; p < NR(places); p++) {
		page = map + places[p];
		CASE("at %#llx", (unsigned long long)places[p]);
		(void)*(volatile char *)page;
		vec.iov_base = page;
		vec.iov_len = sizeof(buffer);
		CHECK_REFUSED(process_vm_readv(getpid(), &local, 1, &vec, 1, 0), EFAULT);
		CHECK_REFUSED(process_vm_writev(getpid(), &local, 1, &vec, 1, 0), EFAULT);
		CHECK_REFUSED(vmsplice(pipes[1], &vec, 1, 0), EFAULT);
		vec.iov_len = PAGE;
		CHECK_REFUSED(vmsplice(pipes[1], &vec, 1, SPLICE_F_GIFT), EFAULT);
		CHECK_ERR(io_uring_of(&vec), EFAULT);
		if (block >= 0)
			CHECK_REFUSED(pwrite(block, page, PAGE, 0), EFAULT);
		CHECK(pread(mem, buffer, sizeof(buffer), (uintptr_t)page) < 0);
		CHECK(pwrite(mem, buffer, sizeof(buffer), (uintptr_t)page) < 0);
		CHECK_REFUSED(syscall(SYS_futex, page, 0 /* FUTEX_WAIT */, *(int *)page + 1, NULL,
				      NULL, 0), EFAULT);
		/* Copied from it can be, as from all memory. */
		null = open("/dev/zero", O_RDWR);
		CHECK_EQ(write(pipes[1], page, 64), 64);
		CHECK_EQ(read(pipes[0], buffer, 64), 64);
		CHECK(places[p] == 0 || !memcmp(buffer, page, 64));
		/* But not into it. */
		CHECK_REFUSED(read(null, page, 64), EFAULT);
		close(null);
	}
	SHOWS(map, "key", "value");
}

TEST(mapping_cannot_grow)
{
	const __u64 span = map_bytes();
	char *map = MUST(mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, cache, 0)), *moved;

	CHECK_REFUSED((intptr_t)mremap(map, 8 * PAGE, 9 * PAGE, 0), EFAULT);
	CHECK_REFUSED((intptr_t)mremap(map, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_REFUSED((intptr_t)mremap(map, 8 * PAGE, 2 * span, MREMAP_MAYMOVE), EFAULT);
	CHECK_REFUSED((intptr_t)mremap(map, 0, 8 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_REFUSED((intptr_t)mremap(map, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP), EINVAL);
	CHECK_EQ(*(__u32 *)map, KCACHE_MAP_LAYOUT);
	/* It can move, and shrink. */
	moved = MUST(mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	moved = MUST(mremap(map, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	CHECK_EQ(*(__u32 *)moved, KCACHE_MAP_LAYOUT);
	CHECK(mremap(moved, 8 * PAGE, 2 * PAGE, 0) == moved);
	CHECK_EQ(*(__u32 *)moved, KCACHE_MAP_LAYOUT);
	CHECK_REFUSED((intptr_t)mremap(moved, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE), EFAULT);
}

TEST(advice_does_no_harm)
{
	char *map = map_all();
	int advice;

	WORKS(OP(SET, "key", VALUE("value")));
	SHOWS(map, "key", "value");
	for (advice = 0; advice < 40; advice++) {
		int ret = madvise(map, map_bytes(), advice);

		CASE("advice %d: %d, %s", advice, ret, ktap_errno(ret ? errno : 0));
		SHOWS(map, "key", "value");
		HOLDS("key", "value");
	}
	CHECK_REFUSED(madvise(map, map_bytes(), MADV_DODUMP), EINVAL);
	CHECK_REFUSED(madvise(map, map_bytes(), MADV_REMOVE), EACCES);
	/* The child may have no copy now, but the parent's stays. */
	MUST(madvise(map, map_bytes(), MADV_DONTFORK));
	SHOWS(map, "key", "value");
}

/* -------- memory that comes and goes -------- */

#define FOREIGN	0xeeeeeeeeeeeeeeeeULL

/* Pages of @len bytes that are not zero. None may hold FOREIGN. */
static __u64 count_pages(const void *at, __u64 len)
{
	const __u64 *word = at, *end = word + len / 8;
	__u64 nr = 0;

	for (; word < end; word += PAGE / 8) {
		if (is_zero((const char *)word, PAGE))
			continue;
		nr++;
		for (int i = 0; i < PAGE / 8; i++)
			if (word[i] == FOREIGN)
				ktap_fail(__LINE__, "memory of others at %#zx",
					  (char *)(word + i) - (char *)at);
	}
	return nr;
}

static __u64 count_all_pages(const struct kcache_view *view)
{
	return count_pages(view->base[KCACHE_SEGMENTS], 160 * MIB) +
		count_pages(view->base[KCACHE_BUCKETS], 16 * MIB) +
		count_pages(view->base[KCACHE_OVERFLOW], 8 * MIB);
}

static void use_memory(size_t len)
{
	__u64 *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	CHECK(memory != MAP_FAILED);
	for (i = 0; i < len / 8; i++)
		memory[i] = FOREIGN;
}

static void fill_cache(unsigned long long bytes, size_t value_len)
{
	unsigned char *value = pattern(value_len, 1);
	unsigned long long done;
	char key[32];
	int i = 0;

	for (done = 0; done < bytes; done += value_len) {
		snprintf(key, sizeof(key), "fill%d", i++);
		WORKS(OP(SET, key, BYTES(value, value_len)));
	}
	free(value);
}

/* What was given back reads as zeros, and never as what its pages are used for next. */
TEST(memory_that_was_given_back_reads_as_zeros)
{
	struct kcache_view view = view_of(map_all());
	unsigned long long max_bytes = sysfs_number("limits/max_bytes");
	__u64 pages;
	int round;

	for (round = 0; round < 3; round++) {
		fill_cache(max_bytes / 2, round == 0 ? 100 * KIB : round == 1 ? 2000 : 200);
		pages = count_all_pages(&view);
		CHECK(pages * PAGE > max_bytes / 2);
		CHECK(pages * PAGE <= sysfs_number("stats/bytes_allocated") + PAGE);
		if (round == 2)
			CHECK_ERR(set_max_bytes(SMALLEST), 0);
		else
			MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		use_memory(100 * MIB);
		pages = count_all_pages(&view);
		CASE("round %d: %llu pages", round, (unsigned long long)pages);
		CHECK(pages * PAGE <= sysfs_number("stats/bytes_allocated") + PAGE);
		CHECK(pages * PAGE <= SMALLEST);
	}
	CHECK_ERR(set_max_bytes(max_bytes), 0);
	fill_cache(max_bytes / 2, 5000);
	pages = count_all_pages(&view);
	CHECK(pages * PAGE > max_bytes / 2);
}

TEST(mapping_stays_right_while_the_limit_goes_up_and_down)
{
	unsigned long long max_bytes = sysfs_number("limits/max_bytes"), largest = max_bytes;
	const char *map = map_all();
	struct kcache_found found;
	char key[16];
	int round, i, there;

	while (largest < map_bytes() / 8 && !set_max_bytes(2 * largest))
		largest *= 2;
	for (round = 0; round < 12; round++) {
		CHECK_ERR(set_max_bytes(round % 3 == 0 ? SMALLEST : round % 3 == 1 ? largest : max_bytes), 0);
		fill_cache(3 * MIB, 3000);
		for (i = 0; i < 300; i++) {
			snprintf(key, sizeof(key), "%d.%d", round, i);
			WORKS(OP(SET, key, VALUE(key)));
		}
		for (i = there = 0; i < 300; i++) {
			struct kcache_op stat;
			bool is_there;

			snprintf(key, sizeof(key), "%d.%d", round, i);
			stat = OP(STAT, key);
			is_there = !run(&stat);
			CASE("round %d, key %d", round, i);
			CHECK_EQ(find_in(map, key, &found), is_there);
			if (is_there)
				SHOWS(map, key, key);
			there += is_there;
		}
		CHECK(there > 200);
	}
}

TEST(halves_of_a_mapping_can_go)
{
	struct kcache_view view;
	char *map = map_all(), *segments, *part;
	__u64 half;
	int i;

	fill_cache(20 * MIB, 10000);
	view = view_of(map);
	segments = (char *)view.base[KCACHE_SEGMENTS];
	half = view.bytes[KCACHE_SEGMENTS] / 2 / PAGE * PAGE;
	CHECK(count_pages(segments, 20 * MIB) > 1000);
	/* The end, a part of the middle, and the buckets' end. */
	MUST(munmap(segments + half, view.bytes[KCACHE_SEGMENTS] - half));
	MUST(munmap(segments + 4 * MIB, 3 * PAGE));
	MUST(munmap(map + view.header->at[KCACHE_BUCKETS] + 16 * MIB,
		    view.bytes[KCACHE_BUCKETS] - 16 * MIB));
	CHECK(count_pages(segments, 4 * MIB) > 500);
	CHECK(count_pages(segments + 4 * MIB + 3 * PAGE, 4 * MIB) > 500);
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	use_memory(40 * MIB);
	CHECK(count_pages(segments, 4 * MIB) + count_pages(segments + 4 * MIB + 3 * PAGE, 16 * MIB) < 512);
	fill_cache(20 * MIB, 10000);
	CHECK(count_pages(segments + 4 * MIB + 3 * PAGE, 12 * MIB) > 500);
	/* A part that is mapped by itself, and again after that. */
	for (i = 0; i < 20; i++) {
		part = MUST(mmap(NULL, 4 * MIB, PROT_READ, MAP_SHARED, cache,
				 view.header->at[KCACHE_SEGMENTS]));
		CHECK(!memcmp(part, segments, 4 * MIB));
		MUST(munmap(part + i * PAGE, 4 * MIB - i * PAGE));
		if (i)
			MUST(munmap(part, i * PAGE));
	}
	WORKS(OP(SET, "key", VALUE("value")));
	HOLDS("key", "value");
}

/* -------- processes -------- */

static void *inherited;
static struct kcache *inherited_handle;
static volatile int *step;

static void await_step(int nr)
{
	while (atomic_get(step) < nr)
		milliseconds_pass(1);
}

static void read_inherited(int nr)
{
	char out[32];
	size_t len;
	int i;

	(void)nr;
	close(cache);
	for (i = 1; i < 20; i += 2) {
		char value[32];

		await_step(i);
		snprintf(value, sizeof(value), "value%d", i);
		SHOWS(inherited, "key", value);
		CHECK_ERR(kcache_get(inherited_handle, "key", 3, out, sizeof(out), &len), 0);
		CHECK(len == strlen(value) && !memcmp(out, value, len));
		atomic_add(step, 1);
	}
}

TEST(forked_child_goes_on_reading)
{
	char value[32];
	pid_t pid;
	int i;

	step = shared_memory(sizeof(*step));
	inherited = map_all();
	inherited_handle = open_handle(O_RDWR);
	(void)*(volatile char *)inherited;
	pid = start_process(read_inherited, 0);
	for (i = 0; i < 20; i += 2) {
		await_step(i);
		snprintf(value, sizeof(value), "value%d", i + 1);
		if (i % 4)
			MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		WORKS(OP(SET, "key", VALUE(value)));
		SHOWS(inherited, "key", value);
		atomic_add(step, 1);
	}
	end_process(pid);
}

/* One that was started by exec with the descriptor @fd and nothing else of ours. */
static int run_executed(int fd)
{
	static const char value[] = "value of the parent";
	struct kcache_op op;
	char out[64];

	cache = fd;
	CHECK_EQ(nr_mappings(), 0);
	SHOWS(map_all(), "key", value);
	op = OP(GET, "key", INTO(out));
	CHECK_ERR(run(&op), 0);
	CHECK(op.out_len == strlen(value) && !memcmp(out, value, op.out_len));
	return KTAP_PASS;
}

TEST(mapping_ends_at_exec_and_the_descriptor_maps_again)
{
	char number[16];
	pid_t pid;

	WORKS(OP(SET, "key", VALUE("value of the parent")));
	inherited = map_all();
	pid = MUST(fork());
	if (!pid) {
		snprintf(number, sizeof(number), "%d", MUST(open(DEVICE, O_RDONLY)));
		execl("/proc/self/exe", "map_test", "--executed", number, NULL);
		_exit(KTAP_FAIL);
	}
	end_process(pid);
	SHOWS(inherited, "key", "value of the parent");
}

static int pair[2];

static void send_fd(int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec vec = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(pair[0], &message, 0), 1);
	close(fd);
}

static int receive_fd(void)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec vec = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	CHECK_EQ(recvmsg(pair[1], &message, 0), 1);
	CHECK(CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void map_passed_descriptors(int nr)
{
	int reader, writer, hints;
	void *map;

	(void)nr;
	MUST(setresgid(65534, 65534, 65534));
	MUST(setresuid(65534, 65534, 65534));
	CHECK_REFUSED(open(DEVICE, O_RDONLY), EACCES);
	reader = receive_fd();
	writer = receive_fd();
	hints = receive_fd();
	map = map_fd(reader);
	SHOWS(map, "key", "value");
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0), EACCES);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, writer, 0), EACCES);
	map = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, hints, 0));
	((struct kcache_hints *)map)->lane[0].hits++;
	close(reader);
	close(writer);
}

TEST(descriptor_that_is_passed_on_maps_what_it_may)
{
	int reader = open_device(O_RDONLY);
	__u64 hits = sysfs_number("stats/hits");
	pid_t pid;

	WORKS(OP(SET, "key", VALUE("value")));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = start_process(map_passed_descriptors, 0);
	send_fd(MUST(dup(reader)));
	send_fd(open_device(O_WRONLY));
	send_fd(MUST(ioctl(reader, KCACHE_IOC_HINTS, 0)));
	close(reader);
	end_process(pid);
	CHECK_EQ(sysfs_number("stats/hits"), hits + 1);
}

static void end_references(int line)
{
	int i;

	for (i = 0; number_in("/sys/module/kcache/refcnt"); i++) {
		if (i > 2000)
			ktap_fail(line, "the module is still in use");
		milliseconds_pass(1);
	}
}

TEST(module_stays_while_it_is_mapped)
{
	char *map, *hints;
	__u64 span = map_bytes();
	int fd;

	WORKS(OP(SET, "key", VALUE("value")));
	map = map_all();
	close(cache);
	CHECK(number_in("/sys/module/kcache/refcnt"));
	CHECK_REFUSED(syscall(SYS_delete_module, "kcache", O_NONBLOCK), EAGAIN);
	SHOWS(map, "key", "value");
	/* A part of it is enough. */
	MUST(munmap(map + PAGE, span - PAGE));
	CHECK_REFUSED(syscall(SYS_delete_module, "kcache", O_NONBLOCK), EAGAIN);
	CHECK_EQ(*(__u32 *)map, KCACHE_MAP_LAYOUT);
	MUST(munmap(map, PAGE));
	end_references(__LINE__);

	/* So are the page of hints, and the descriptor that leads to it. */
	cache = open_device(O_RDONLY);
	fd = MUST(ioctl(cache, KCACHE_IOC_HINTS, 0));
	close(cache);
	CHECK_REFUSED(syscall(SYS_delete_module, "kcache", O_NONBLOCK), EAGAIN);
	hints = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	CHECK_REFUSED(syscall(SYS_delete_module, "kcache", O_NONBLOCK), EAGAIN);
	hints[0] = 0;
	MUST(munmap(hints, PAGE));
	end_references(__LINE__);
}

/* Maps, moves, splits, forks and unmaps for a while. */
static void juggle(int nr)
{
	const __u64 span = map_bytes();
	int round, i;

	if (nr == 0) {
		for (round = 0; round < 24; round++) {
			fill_cache(4 * MIB, 4000);
			if (round % 4 == 0)
				CHECK_ERR(set_max_bytes(SMALLEST + random_below(40) * MIB), 0);
			else if (round % 4 == 2)
				MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		}
		atomic_add(step, 1);
		return;
	}
	use_memory(10 * MIB);
	while (!atomic_get(step)) {
		char *map = map_all(), *segments, *moved;

		segments = map + ((struct kcache_map_header *)map)->at[KCACHE_SEGMENTS];
		for (i = 0; i < 50; i++)
			count_pages(segments + random_below(64 * MIB / PAGE) * PAGE, PAGE);
		switch (random_below(4)) {
		case 0:
			moved = MUST(mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
					  MAP_NORESERVE, -1, 0));
			MUST(mremap(map, span, span, MREMAP_MAYMOVE | MREMAP_FIXED, moved));
			segments += moved - map;
			map = moved;
			break;
		case 1:
			MUST(mprotect(segments, 8 * MIB, PROT_NONE));
			MUST(mprotect(segments, 8 * MIB, PROT_READ));
			break;
		case 2:
			MUST(munmap(segments + 64 * MIB, PAGE));
			break;
		default: {
			pid_t pid = MUST(fork());

			if (!pid) {
				for (i = 0; i < 50; i++)
					count_pages(segments + random_below(64 * MIB / PAGE) * PAGE, PAGE);
				_exit(KTAP_PASS);
			}
			for (i = 0; i < 50; i++)
				count_pages(segments + random_below(64 * MIB / PAGE) * PAGE, PAGE);
			end_process(pid);
		}
		}
		for (i = 0; i < 50; i++)
			count_pages(segments + random_below(64 * MIB / PAGE) * PAGE, PAGE);
		MUST(munmap(map, span));
	}
}

TEST(mappings_come_and_go_while_memory_does)
{
	step = shared_memory(sizeof(*step));
	in_processes(5, juggle);
}

/* -------- the library: values -------- */

/* The same get through the mapping and through the ioctl. */
static void same_both_ways(int line, struct kcache *handle, const void *key, size_t key_len,
			   size_t size)
{
	unsigned char *out[2] = { malloc(size + 1), malloc(size + 1) };
	struct kcache_op op;
	size_t len = 12345;
	int err[2];

	memset(out[0], 0xdd, size + 1);
	memset(out[1], 0xdd, size + 1);
	err[0] = kcache_get(handle, key, key_len, out[0], size, &len);
	op = OP_ON(GET, key, key_len, INTO_BYTES(out[1], size));
	err[1] = run(&op);
	if (err[0] != err[1])
		ktap_fail(line, "%s through the mapping, %s by ioctl, key of %zu, room for %zu bytes",
			  ktap_errno(-err[0]), ktap_errno(-err[1]), key_len, size);
	if (!err[0] || err[0] == -EMSGSIZE) {
		if (len != op.out_len)
			ktap_fail(line, "%zu bytes through the mapping, %llu by ioctl", len,
				  (unsigned long long)op.out_len);
	} else if (len != 12345) {
		ktap_fail(line, "%s wrote the length", ktap_errno(-err[0]));
	}
	if (!err[0] && memcmp(out[0], out[1], len))
		ktap_fail(line, "different values");
	if (out[0][err[0] ? size : len] != 0xdd)
		ktap_fail(line, "written behind the value");
	free(out[0]);
	free(out[1]);
}

#define SAME(handle, key, key_len, size)	same_both_ways(__LINE__, handle, key, key_len, size)

TEST(get_through_the_mapping_gives_what_the_ioctl_gives)
{
	size_t value_max = sysfs_number("limits/value_max");
	const size_t lens[] = {
		0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 63, 64, 100, 255, 1000, 4095, 4096, 4097, 8000, 32000,
		32767, 32768, 32769, 65536, 100000, 400000, 524287, 524288, 524289, 1000000, value_max,
	};
	static const size_t key_lens[] = { 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 100, 1000, 1023, 1024 };
	struct kcache *handle = open_handle(O_RDWR);
	unsigned char *value = pattern(value_max, 3), key[KCACHE_KEY_MAX];
	size_t i, k;

	cut_off(handle);
	for (i = 0; i < NR(lens); i++)
		for (k = i % 3; k < NR(key_lens); k += lens[i] > 10000 ? 5 : 1) {
			memset(key, i + 1, sizeof(key));
			WORKS(OP_ON(SET, key, key_lens[k], BYTES(value + i, lens[i] - (lens[i] > i ? i : 0)),
				    .client_flags = (i + k) % 2 * 77, .ttl_ms = k % 3 * 1000000));
			CASE("key of %zu, value of %zu", key_lens[k], lens[i]);
			SAME(handle, key, key_lens[k], value_max);
			SAME(handle, key, key_lens[k], lens[i]);
			if (lens[i]) {
				SAME(handle, key, key_lens[k], lens[i] - 1);
				SAME(handle, key, key_lens[k], 0);
			}
			key[key_lens[k] - 1] ^= 0x80;
			SAME(handle, key, key_lens[k], lens[i]);
		}
}

TEST(get_with_keys_of_every_length_and_byte)
{
	struct kcache *handle = open_handle(O_RDWR);
	unsigned char key[KCACHE_KEY_MAX];
	char out[8];
	size_t len, i;

	cut_off(handle);
	for (i = 0; i < sizeof(key); i++)
		key[i] = random_number();
	for (i = 1; i <= KCACHE_KEY_MAX; i++) {
		WORKS(OP_ON(SET, key, i, BYTES(&i, sizeof(i))));
		CHECK_ERR(kcache_get(handle, key, i, out, sizeof(out), &len), 0);
		CHECK_EQ(len, sizeof(i));
		CHECK(!memcmp(out, &i, sizeof(i)));
	}
	for (i = 1; i <= KCACHE_KEY_MAX; i++) {
		CHECK_ERR(kcache_get(handle, key, i, out, sizeof(out), &len), 0);
		CHECK(!memcmp(out, &i, sizeof(i)));
		if (i % 3)
			WORKS(OP_ON(REMOVE, key, i));
		CHECK_ERR(kcache_get(handle, key, i, out, sizeof(out), &len), i % 3 ? ENOENT : 0);
	}
}

TEST(get_of_what_is_wrong_is_the_ioctls_error)
{
	struct kcache *both = open_handle(O_RDWR), *reader = open_handle(O_RDONLY),
		*writer = open_handle(O_WRONLY);
	char key[KCACHE_KEY_MAX + 1] = "key", out[16];
	struct kcache_borrow borrow;
	size_t len = 99;

	WORKS(OP(SET, "key", VALUE("value")));
	CHECK(is_mapped_handle(both) && is_mapped_handle(reader));
	CHECK_ERR(kcache_get(both, key, 0, out, sizeof(out), &len), EINVAL);
	CHECK_ERR(kcache_get(both, key, KCACHE_KEY_MAX + 1, out, sizeof(out), &len), EFBIG);
	CHECK_ERR(kcache_get(both, key, SIZE_MAX, out, sizeof(out), &len), EFBIG);
	CHECK_ERR(kcache_get(both, key, 1ULL << 32, out, sizeof(out), &len), EFBIG);
	CHECK_ERR(kcache_get(writer, key, 3, out, sizeof(out), &len), EBADF);
	CHECK_ERR(kcache_get(writer, key, 2, out, sizeof(out), &len), EBADF);
	CHECK_EQ(len, 99);
	CHECK_ERR(kcache_get(both, key, 3, NULL, 0, &len), EMSGSIZE);
	CHECK_EQ(len, 5);
	CHECK_ERR(kcache_get(reader, key, 3, out, 5, &len), 0);
	CHECK_ERR(kcache_borrow(both, key, 0, &borrow), EINVAL);
	CHECK_ERR(kcache_borrow(both, key, KCACHE_KEY_MAX + 1, &borrow), EFBIG);
	CHECK_ERR(kcache_borrow(both, key, 2, &borrow), ENOENT);
	CHECK_ERR(kcache_borrow(writer, key, 3, &borrow), EOPNOTSUPP);
	CHECK_EQ(nr_mappings(), 4);
	kcache_close(both);
	kcache_close(reader);
	kcache_close(writer);
	CHECK_EQ(nr_mappings(), 0);
}

TEST(get_alloc_reads_any_length_through_the_mapping)
{
	struct kcache *handle = open_handle(O_RDWR);
	static const size_t lens[] = { 0, 1, 4095, 4096, 4097, 100000, 1500000 };
	unsigned char *value = pattern(1500000, 9);
	void *got;
	size_t i, len;

	cut_off(handle);
	for (i = 0; i < NR(lens); i++) {
		WORKS(OP(SET, "key", BYTES(value, lens[i])));
		CHECK_ERR(kcache_get_alloc(handle, "key", 3, &got, &len), 0);
		CHECK_EQ(len, lens[i]);
		CHECK(!memcmp(got, value, len) && !((char *)got)[len]);
		free(got);
	}
	CHECK_ERR(kcache_get_alloc(handle, "none", 4, &got, &len), ENOENT);
}

static struct kcache *threads_handle;

static void *get_in_thread(void *argument)
{
	int nr = (int)(intptr_t)argument, i;
	char key[16], out[32];
	size_t len;

	for (i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "key%d", (i * 7 + nr) % 200);
		CHECK_ERR(kcache_get(threads_handle, key, strlen(key), out, sizeof(out), &len), 0);
		CHECK(len == strlen(key) && !memcmp(out, key, len));
	}
	return NULL;
}

TEST(threads_share_a_handle)
{
	__u64 hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses");
	pthread_t threads[6];
	char key[16];
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, VALUE(key)));
	}
	threads_handle = open_handle(O_RDONLY);
	for (i = 0; i < 6; i++)
		CHECK(!pthread_create(&threads[i], NULL, get_in_thread, (void *)(intptr_t)i));
	for (i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(sysfs_number("stats/hits"), hits + 6 * 3000);
	CHECK_EQ(sysfs_number("stats/misses"), misses);
}

/* -------- the library: where there is no mapping -------- */

static void works_without_mapping(int line)
{
	__u64 all = hits_and_misses();
	struct kcache_borrow borrow;
	struct kcache *handle;
	char out[16];
	size_t len;
	int err;

	err = kcache_open(&handle, NULL, O_RDWR);
	if (err)
		ktap_fail(line, "open: %s", ktap_errno(-err));
	if (nr_mappings())
		ktap_fail(line, "something is still mapped");
	if (kcache_set(handle, "key", 3, "value", 5, 0) ||
	    kcache_get(handle, "key", 3, out, sizeof(out), &len) || len != 5 ||
	    memcmp(out, "value", 5))
		ktap_fail(line, "a hit is none");
	if (kcache_get(handle, "none", 4, out, sizeof(out), &len) != -ENOENT ||
	    kcache_get(handle, "key", 3, out, 4, &len) != -EMSGSIZE || len != 5)
		ktap_fail(line, "another error");
	if (kcache_borrow(handle, "key", 3, &borrow) != -EOPNOTSUPP)
		ktap_fail(line, "a borrow without a mapping");
	kcache_close(handle);
	/* A hit that does not fit is one, too. */
	if (hits_and_misses() != all + 3)
		ktap_fail(line, "gets are not counted");
}

TEST(no_room_for_the_mapping_is_invisible)
{
	struct rlimit limit = { 0 };
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long pages;

	CHECK(statm && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	limit.rlim_cur = limit.rlim_max = pages * PAGE + 64 * MIB;
	MUST(setrlimit(RLIMIT_AS, &limit));
	CHECK(mmap(NULL, map_bytes(), PROT_READ, MAP_SHARED, cache, 0) == MAP_FAILED);
	works_without_mapping(__LINE__);
}

TEST(no_descriptor_for_the_hints_is_invisible)
{
	struct rlimit limit;
	int fd = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC));

	close(fd);
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = fd + 1;	/* for the device only, and later the files of nr_mappings() */
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	{
		struct kcache *handle = open_handle(O_RDWR);
		char out[16];
		size_t len;

		limit.rlim_cur = 100;
		MUST(setrlimit(RLIMIT_NOFILE, &limit));
		CHECK(!is_mapped_handle(handle));
		CHECK_EQ(nr_mappings(), 0);
		WORKS(OP(SET, "key", VALUE("value")));
		CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), 0);
		kcache_close(handle);
	}
}

TEST(mmap_that_is_refused_is_invisible)
{
	static const int errors[] = { EACCES, ENOMEM, EPERM, ENODEV, EINVAL, EAGAIN };
	size_t e;

	for (e = 0; e < NR(errors); e++) {
		refuse_arena = errors[e];
		works_without_mapping(__LINE__);
		refuse_arena = 0;
		refuse_hints = errors[e];
		works_without_mapping(__LINE__);
		refuse_hints = 0;
		refuse_memory = errors[e];
		works_without_mapping(__LINE__);
		refuse_memory = 0;
	}
	CHECK(is_mapped_handle(open_handle(O_RDONLY)));
}

/* In a sandbox that has not heard of MADV_WIPEONFORK, say. */
TEST(library_works_where_madvise_is_refused)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = NR(filter), .filter = filter };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		SKIP("no seccomp filters here: %s", strerror(errno));
	works_without_mapping(__LINE__);
}

static int header_change;

static void make_strange(struct kcache_map_header *header)
{
	switch (header_change) {
	case 0: header->layout = KCACHE_MAP_LAYOUT + 1; break;
	case 1: header->layout = 0; break;
	case 2: header->layout = ~0U; break;
	case 3: header->at[KCACHE_SEGMENTS] += PAGE; break;
	case 4: header->bytes[KCACHE_BUCKETS] = ~0ULL; break;
	case 5: header->at[KCACHE_OVERFLOW] = ~0ULL - PAGE; break;
	}
}

TEST(layout_that_is_not_known_is_not_read)
{
	change_header = make_strange;
	for (header_change = 0; header_change < 6; header_change++) {
		CASE("change %d", header_change);
		works_without_mapping(__LINE__);
	}
}

/* What a reader of 2^32 retries would do: the kernel is asked after a few. */
static void make_odd(struct kcache_map_header *header)
{
	header->table_size = kcache_table_size(1U << 31);	/* of which nearly all are holes */
}

TEST(mapping_that_makes_no_sense_is_given_up_for_the_ioctl)
{
	struct kcache *handle;
	struct kcache_borrow borrow;
	char out[16], key[16];
	size_t len;
	int i, nr_again = 0;

	change_header = make_odd;
	handle = open_handle(O_RDWR);
	change_header = NULL;
	for (i = 0; i < 100; i++) {
		int err;

		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, VALUE(key)));
		CHECK_ERR(kcache_get(handle, key, strlen(key), out, sizeof(out), &len), 0);
		CHECK(len == strlen(key) && !memcmp(out, key, len));
		err = kcache_borrow(handle, key, strlen(key), &borrow);
		CHECK(!err || err == -EAGAIN);
		nr_again += !!err;
	}
	CHECK(nr_again > 50);
}

TEST(process_whose_mappings_can_all_be_executed_reads_too)
{
	struct kcache *handle;
	char out[16];
	size_t len;

	MUST(personality(READ_IMPLIES_EXEC));
	WORKS(OP(SET, "key", VALUE("value")));
	handle = open_handle(O_RDONLY);
	CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), 0);
	CHECK_EQ(len, 5);
}

/* -------- the library: time -------- */

/*
 * An entry is there until its millisecond has come, and no longer, for mapped readers
 * and for the kernel alike. @offset_ns: what this process's clock is ahead.
 */
static void check_expiry(struct kcache *handle, __s64 offset_ns, int rounds)
{
	char key[16], out[16];
	int i, gets = 0;

	for (i = 0; i < rounds; i++) {
		__u64 ttl_ms = 1 + i % 6, set_ms[2], seen_ms[2];
		bool is_gone = false, is_first = true;
		size_t len;

		snprintf(key, sizeof(key), "ttl%d", i);
		set_ms[0] = (boottime_ns() - offset_ns) / 1000000;
		WORKS(OP(SET, key, VALUE("value"), .ttl_ms = ttl_ms, .client_flags = i % 2));
		set_ms[1] = (boottime_ns() - offset_ns) / 1000000;
		for (;;) {
			int err;

			seen_ms[0] = (boottime_ns() - offset_ns) / 1000000;
			if (is_first == (i % 3 == 0)) {
				err = kcache_get(handle, key, strlen(key), out, sizeof(out), &len);
			} else {
				struct kcache_op op = OP(GET, key, INTO(out));

				err = run(&op);
			}
			seen_ms[1] = (boottime_ns() - offset_ns) / 1000000;
			CASE("ttl %llu ms, set at %llu, asked at %llu ms: %s",
			     (unsigned long long)ttl_ms, (unsigned long long)set_ms[0],
			     (unsigned long long)seen_ms[0], ktap_errno(-err));
			CHECK(!err || err == -ENOENT);
			CHECK(err || !is_gone);	/* it does not come back */
			if (!err)
				CHECK(seen_ms[0] < set_ms[1] + ttl_ms);
			else
				CHECK(seen_ms[1] >= set_ms[0] + ttl_ms);
			gets++;
			if (is_gone && err)
				break;
			is_gone = err;
			is_first = !is_first;
		}
	}
	CASE("%s", "");
	CHECK(gets > 2 * rounds);
}

TEST(expiry_is_exact_to_the_millisecond)
{
	struct kcache *handle = open_handle(O_RDONLY);

	CHECK(is_mapped_handle(handle));
	check_expiry(handle, 0, 600);
}

TEST(expired_entry_is_a_miss_until_it_is_stored_again)
{
	struct kcache *handle = open_handle(O_RDONLY);
	__u64 hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses");
	struct kcache_borrow borrow;
	char out[16];
	size_t len;

	WORKS(OP(SET, "key", VALUE("value"), .ttl_ms = 1));
	time_passes();
	CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), ENOENT);
	CHECK_ERR(kcache_get(handle, "key", 3, out, 0, &len), ENOENT);
	CHECK_ERR(kcache_borrow(handle, "key", 3, &borrow), ENOENT);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 3);
	WORKS(OP(SET, "key", VALUE("value"), .ttl_ms = 1000000));
	CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), 0);
	WORKS(OP(TOUCH, "key", .ttl_ms = 1));
	time_passes();
	CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), ENOENT);
	WORKS(OP(SET, "key", VALUE("value"), .ttl_ms = KCACHE_TTL_MAX_MS));
	CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), 0);
	CHECK_EQ(sysfs_number("stats/hits"), hits + 2);
}

static struct kcache *opened_outside;
static __s64 offset_ns_there;

static void check_expiry_there(int nr)
{
	struct kcache_info info = { .size = sizeof(info) };

	(void)nr;
	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	CHECK_EQ(info.clock_offset_ns, offset_ns_there);
	check_expiry(opened_outside, offset_ns_there, 150);
	check_expiry(open_handle(O_RDONLY), offset_ns_there, 150);
}

static void enter_time_namespace(__s64 offset_ns)
{
	int fd;

	if (unshare(0x80 /* CLONE_NEWTIME */))
		SKIP("no time namespaces here: %s", ktap_errno(errno));
	fd = MUST(open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
	if (offset_ns < 0)
		CHECK(dprintf(fd, "boottime -%lld %lld\n", (long long)(-offset_ns + 999999999) / 1000000000,
			      (long long)(1000000000 - -offset_ns % 1000000000) % 1000000000) > 0);
	else
		CHECK(dprintf(fd, "boottime %lld %lld\n", (long long)offset_ns / 1000000000,
			      (long long)offset_ns % 1000000000) > 0);
	close(fd);
	offset_ns_there = offset_ns;
}

static void expire_in_namespace(int nr)
{
	static const __s64 offsets[] = { 1000000000000000LL, -1500000000LL, 123456789123456LL, 1 };

	/* Its clock is known before the fork, and is another's afterwards. */
	check_expiry(opened_outside, 0, 20);
	enter_time_namespace(offsets[nr]);
	CASE("offset %lld ns", (long long)offsets[nr]);
	end_process(start_process(check_expiry_there, 0));
	/* Who made the namespace is not in it. */
	check_expiry(opened_outside, 0, 20);
}

TEST(expiry_is_exact_in_another_time_namespace)
{
	int i;

	opened_outside = open_handle(O_RDONLY);
	CHECK(is_mapped_handle(opened_outside));
	for (i = 0; i < 4; i++)
		end_process(start_process(expire_in_namespace, i));
}

/* -------- the library: what is counted -------- */

TEST(gets_through_the_mapping_are_counted)
{
	__u64 hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses");
	struct kcache *handle = open_handle(O_RDONLY);
	struct kcache_borrow borrow;
	char key[16], out[16];
	struct kcache_op op;
	size_t len;
	int i;

	for (i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, VALUE(key)));
	}
	for (i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i % 100);
		CHECK_ERR(kcache_get(handle, key, strlen(key), out, sizeof(out), &len),
			  i % 100 < 50 ? 0 : ENOENT);
		op = OP(GET, key, INTO(out));
		CHECK_ERR(run(&op), i % 100 < 50 ? 0 : ENOENT);
	}
	CHECK_EQ(sysfs_number("stats/hits"), hits + 2000);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 2000);
	CHECK_ERR(kcache_borrow(handle, "key1", 4, &borrow), 0);
	CHECK_ERR(kcache_borrow(handle, "none", 4, &borrow), ENOENT);
	CHECK_EQ(sysfs_number("stats/hits"), hits + 2001);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 2001);
	kcache_close(handle);
	CHECK_EQ(sysfs_number("stats/hits"), hits + 2001);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 2001);
}

/* Found is found: the two ways count it alike. */
TEST(too_small_a_buffer_counts_alike_both_ways)
{
	struct kcache *handle = open_handle(O_RDONLY);
	__u64 hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses"), by_ioctl[2];
	char out[16];
	size_t len;
	int i;

	WORKS(OP(SET, "key", VALUE("value")));
	for (i = 0; i < 10; i++)
		FAILS(EMSGSIZE, OP(GET, "key"));
	by_ioctl[0] = sysfs_number("stats/hits") - hits;
	by_ioctl[1] = sysfs_number("stats/misses") - misses;
	for (i = 0; i < 10; i++)
		CHECK_ERR(kcache_get(handle, "key", 3, out, 1, &len), EMSGSIZE);
	CHECK_EQ(sysfs_number("stats/hits") - hits, 2 * by_ioctl[0]);
	CHECK_EQ(sysfs_number("stats/misses") - misses, 2 * by_ioctl[1]);
}

static volatile __u64 *made;	/* gets, in shared memory */

static void get_for_ever(int nr)
{
	struct kcache *handle = open_handle(O_RDONLY);
	char key[16], out[16];
	size_t len;
	int i;

	CHECK(is_mapped_handle(handle));	/* itself a miss */
	atomic_add(&made[nr], 1);
	for (i = 0;; i++) {
		snprintf(key, sizeof(key), "key%d", i % 64);
		kcache_get(handle, key, strlen(key), out, sizeof(out), &len);
		atomic_add(&made[nr], 1);
	}
}

/* Each was at one get at most that it had not noted yet. */
TEST(gets_of_processes_that_are_killed_are_counted)
{
	__u64 all = hits_and_misses(), sum = 0, counted;
	pid_t pids[4];
	char key[16];
	int i, status;

	for (i = 0; i < 32; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, VALUE(key)));
	}
	made = shared_memory(4 * sizeof(*made));
	for (i = 0; i < 4; i++)
		pids[i] = start_process(get_for_ever, i);
	for (i = 0; i < 4; i++) {
		while (atomic_get(&made[i]) < 500)
			milliseconds_pass(1);
		MUST(kill(pids[i], SIGKILL));
		MUST(waitpid(pids[i], &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		sum += made[i];
	}
	counted = hits_and_misses() - all;
	CASE("%llu counted, %llu made", (unsigned long long)counted, (unsigned long long)sum);
	CHECK(counted >= sum && counted <= sum + 4);
}

/* -------- the library: borrowed values -------- */

TEST(borrowed_value_is_valid_until_it_changes)
{
	struct kcache *handle = open_handle(O_RDWR);
	struct kcache_borrow borrow;
	char out[16];
	int how, i;

	for (how = 0; how < 7; how++) {
		CASE("change %d", how);
		WORKS(OP(SET, "key", VALUE("12345")));
		CHECK_ERR(kcache_borrow(handle, "key", 3, &borrow), 0);
		CHECK_EQ(borrow.value_len, 5);
		CHECK(!memcmp(borrow.value, "12345", 5));
		CHECK(kcache_borrow_is_valid(&borrow));
		HOLDS("key", "12345");
		WORKS(OP(STAT, "key"));
		FAILS(EEXIST, OP(SET, "key", VALUE("x"), .flags = KCACHE_IF_ABSENT));
		CHECK(kcache_borrow_is_valid(&borrow));
		switch (how) {
		case 0: WORKS(OP(SET, "key", VALUE("54321"))); break;
		case 1: WORKS(OP(REMOVE, "key")); break;
		case 2: WORKS(OP(POP, "key", INTO(out))); break;
		case 3: WORKS(OP(ADD, "key", .delta = 1)); break;
		case 4: WORKS(OP(APPEND, "key", VALUE("x"))); break;
		case 5: MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0)); break;
		case 6: CHECK_ERR(set_max_bytes(SMALLEST), 0); fill_cache(2 * SMALLEST, 20000); break;
		}
		CHECK(!kcache_borrow_is_valid(&borrow));
		CHECK(!kcache_borrow_is_valid(&borrow));
		/* It can be read even so. */
		for (i = 0; i < 5; i++)
			(void)((volatile const char *)borrow.value)[i];
	}
}

TEST(borrowed_value_of_any_length_is_the_value)
{
	size_t value_max = sysfs_number("limits/value_max");
	const size_t lens[] = { 0, 1, 5, 4096, 33000, 100000, 600000, value_max };
	struct kcache *handle = open_handle(O_RDONLY);
	unsigned char *value = pattern(value_max, 5);
	struct kcache_borrow borrow;
	size_t i;

	cut_off(handle);
	for (i = 0; i < NR(lens); i++) {
		WORKS(OP(SET, "key", BYTES(value, lens[i]), .client_flags = i % 2));
		CHECK_ERR(kcache_borrow(handle, "key", 3, &borrow), 0);
		CHECK_EQ(borrow.value_len, lens[i]);
		CHECK(!memcmp(borrow.value, value, lens[i]));
		CHECK(kcache_borrow_is_valid(&borrow));
	}
	/* Whatever becomes of the memory, it stays readable. */
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK_ERR(set_max_bytes(SMALLEST), 0);
	use_memory(50 * MIB);
	CHECK(!kcache_borrow_is_valid(&borrow));
	count_pages((void *)(((uintptr_t)borrow.value + PAGE - 1) / PAGE * PAGE), value_max / PAGE * PAGE);
	CHECK(!kcache_borrow_is_valid(&borrow));
}

/* -------- the page of hints -------- */

static struct kcache_hints *map_hints(int fd)
{
	int hints_fd = MUST(ioctl(fd, KCACHE_IOC_HINTS, 0));
	struct kcache_hints *hints = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, hints_fd, 0);

	CHECK(hints != MAP_FAILED);
	close(hints_fd);
	return hints;
}

static void take_hints(void)
{
	MUST(ioctl(cache, KCACHE_IOC_TAKE_HINTS, 0));
}

TEST(hints_are_for_readers)
{
	static const int modes[] = { O_WRONLY, 3 };
	size_t m;

	for (m = 0; m < NR(modes); m++) {
		int fd = open_device(modes[m]);

		CHECK_REFUSED(ioctl(fd, KCACHE_IOC_HINTS, 0), EBADF);
		CHECK_REFUSED(ioctl(fd, KCACHE_IOC_TAKE_HINTS, 0), EBADF);
		close(fd);
	}
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_HINTS, 1), EINVAL);
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_HINTS, &m), EINVAL);
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_TAKE_HINTS, 1), EINVAL);
	take_hints();	/* of a page that nobody asked for */
	close(MUST(ioctl(open_device(O_RDONLY), KCACHE_IOC_HINTS, 0)));
}

TEST(hints_are_one_page_that_is_shared)
{
	int fd = MUST(ioctl(cache, KCACHE_IOC_HINTS, 0)), again = MUST(ioctl(cache, KCACHE_IOC_HINTS, 0)),
		other = open_device(O_RDONLY);
	char *map, *second, byte;

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), EACCES);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), EACCES);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0), EACCES);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_EXEC, MAP_SHARED, fd, 0), EACCES);
	CHECK_REFUSED((intptr_t)mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE + 1, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, map_bytes(), PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE), EINVAL);
	CHECK_REFUSED((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 1ULL << 40), EINVAL);
	CHECK(read(fd, &byte, 1) < 0 && write(fd, &byte, 1) < 0);
	CHECK_REFUSED(ioctl(fd, KCACHE_IOC_INFO, &byte), ENOTTY);

	map = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK(is_zero(map, PAGE));
	second = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, again, 0));
	map[100] = 7;
	CHECK_EQ(second[100], 7);
	MUST(mprotect(second, PAGE, PROT_READ | PROT_WRITE));
	second[100] = 8;
	CHECK_EQ(map[100], 8);
	CHECK_REFUSED(mprotect(map, PAGE, PROT_READ | PROT_EXEC), EACCES);
	CHECK_REFUSED((intptr_t)mremap(map, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK(is_zero((char *)map_hints(other), PAGE));
	/* A part of a page is unmapped as a page; the other mapping stays. */
	MUST(munmap(map, 1));
	second[100] = 0;
}

TEST(hints_outlive_the_device_descriptor)
{
	__u64 hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses");
	int fd = open_device(O_RDONLY), hints_fd = MUST(ioctl(fd, KCACHE_IOC_HINTS, 0));
	struct kcache_hints *hints;

	close(fd);
	hints = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, hints_fd, 0));
	hints->lane[0].hits += 10;
	hints->lane[7].misses += 20;
	CHECK_EQ(sysfs_number("stats/hits"), hits + 10);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 20);
	close(hints_fd);
	hints->lane[3].hits += 5;
	CHECK_EQ(sysfs_number("stats/hits"), hits + 15);
	hints->lane[3].hits += 5;
	hints->lane[3].misses += 1;
	MUST(munmap(hints, PAGE));
	CHECK_EQ(sysfs_number("stats/hits"), hits + 20);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 21);
}

TEST(hints_of_a_file_that_is_closed_while_it_is_mapped_are_nobodys_harm)
{
	int i;

	for (i = 0; i < 100; i++) {
		int fd = open_device(O_RDONLY);
		struct kcache_hints *hints = map_hints(fd);

		if (i % 2)
			close(fd);
		hints->lane[i % 8].nr += 10;
		hints->lane[i % 8].hash[0] = i;
		take_hints();
		sysfs_number("stats/hits");
		MUST(munmap(hints, PAGE));
		if (i % 2 == 0)
			close(fd);
	}
}

TEST(count_that_jumps_is_not_believed)
{
	struct kcache_hints *hints = map_hints(cache);
	__u64 hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses");
	static const __u64 jumps[] = { 1ULL << 33, 1ULL << 40, 1ULL << 63, ~0ULL, 1ULL << 34 };
	size_t i;

	for (i = 0; i < NR(jumps); i++) {
		CASE("to %#llx", (unsigned long long)jumps[i]);
		hints->lane[2].hits = jumps[i];
		hints->lane[5].misses = jumps[i];
		take_hints();
		CHECK_EQ(sysfs_number("stats/hits"), hits);
		CHECK_EQ(sysfs_number("stats/misses"), misses);
		/* From there on it counts. */
		hints->lane[2].hits += 3;
		hints->lane[5].misses += 4;
		take_hints();
		hits += 3;
		misses += 4;
		CHECK_EQ(sysfs_number("stats/hits"), hits);
		CHECK_EQ(sysfs_number("stats/misses"), misses);
	}
}

/* What the use of a key is, as its slot in the mapping says. */
static int frequency_of(const void *map, const char *key)
{
	struct kcache_found found;

	CHECK(find_in(map, key, &found));
	return found.value >> KCACHE_FREQUENCY_SHIFT;
}

TEST(use_through_the_mapping_raises_the_frequency)
{
	struct kcache *handle = open_handle(O_RDONLY);
	const char *map = map_all();
	char out[16];
	size_t len;
	int i, at_first;

	WORKS(OP(SET, "key", VALUE("value")));
	WORKS(OP(SET, "other", VALUE("value")));
	at_first = frequency_of(map, "key");
	for (i = 1; i < 6; i++) {
		CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), 0);
		MUST(ioctl(kcache_fd(handle), KCACHE_IOC_TAKE_HINTS, 0));
		CASE("after %d uses", i);
		CHECK_EQ(frequency_of(map, "key"), at_first + i < 3 ? at_first + i : 3);
		CHECK_EQ(frequency_of(map, "other"), at_first);
	}
	/* Hints that are not taken are not lost. */
	WORKS(OP(SET, "key", VALUE("value")));
	WORKS(OP(REMOVE, "key"));
	WORKS(OP(SET, "key", VALUE("value")));
	at_first = frequency_of(map, "key");
	for (i = 0; i < 3; i++)
		CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), 0);
	sysfs_number("stats/hits");
	CHECK_EQ(frequency_of(map, "key"), 3);
}

TEST(more_hints_than_a_lane_holds_are_all_taken)
{
	struct kcache *handle = open_handle(O_RDONLY);
	const char *map = map_all();
	char key[16], out[16];
	size_t len;
	int i, nr_used = 0;

	for (i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, VALUE(key)));
	}
	for (i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		CHECK_ERR(kcache_get(handle, key, strlen(key), out, sizeof(out), &len), 0);
	}
	MUST(ioctl(kcache_fd(handle), KCACHE_IOC_TAKE_HINTS, 0));
	for (i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		nr_used += frequency_of(map, key) >= 1;
	}
	CHECK_EQ(nr_used, 1000);
}

/*
 * Entries that only mapped readers use outlive a flood of new ones; those that nobody
 * uses do not. @nr of each: few leave all hints for the eviction to take.
 */
static void flood(int nr)
{
	static const char *const prefixes[] = { "used", "unused" };
	struct kcache *handle = open_handle(O_RDONLY);
	char key[32], value[1000], out[1000];
	int left[2] = { 0 }, i, use;
	size_t len;

	CHECK(is_mapped_handle(handle));
	CHECK_ERR(set_max_bytes(16 * MIB), 0);
	memset(value, 'v', sizeof(value));
	for (i = 0; i < 2 * nr; i++) {
		snprintf(key, sizeof(key), "%s%d", prefixes[i % 2], i / 2);
		WORKS(OP(SET, key, BYTES(value, sizeof(value))));
	}
	for (use = 0; use < 2; use++)
		for (i = 0; i < nr; i++) {
			snprintf(key, sizeof(key), "used%d", i);
			CHECK_ERR(kcache_get(handle, key, strlen(key), out, sizeof(out), &len), 0);
		}
	fill_cache(48 * MIB, 3000);
	for (i = 0; i < 2 * nr; i++) {
		struct kcache_op stat;

		snprintf(key, sizeof(key), "%s%d", prefixes[i % 2], i / 2);
		stat = OP(STAT, key);
		left[i % 2] += !run(&stat);
	}
	NOTE("of %d each, %d used and %d unused ones are left", nr, left[0], left[1]);
	CHECK(sysfs_number("stats/evictions"));
	CHECK(left[0] >= nr * 9 / 10);
	CHECK(left[1] <= nr / 10);
}

TEST(entries_used_through_the_mapping_outlive_a_flood_of_new_ones)
{
	flood(500);
}

TEST(eviction_takes_note_of_the_last_few_hints)
{
	flood(20);
}

/* -------- hostile hints -------- */

static volatile bool stop;
static struct kcache_hints *hostile_hints;

static void *write_garbage(void *argument)
{
	__u64 seed = (uintptr_t)argument * 0x9e3779b97f4a7c15ULL + 1, which;
	volatile __u64 *word = (volatile __u64 *)hostile_hints;
	volatile __u32 *half = (volatile __u32 *)hostile_hints;

	while (!stop) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		which = seed >> 40;
		if (which % 4 == 0)	/* the number of hints */
			half[which / 4 % KCACHE_HINT_LANES * 128 + 4] = seed >> 20;
		else if (which % 4 == 1)
			half[which / 4 % 1024] = seed >> 16;
		else
			word[which / 4 % 512] = which % 8 == 2 ? ~0ULL : seed;
	}
	return NULL;
}

TEST(garbage_in_the_hints_hurts_nobody)
{
	unsigned long long evictions = sysfs_number("stats/evictions"), before;
	struct kcache *handle = open_handle(O_RDWR);
	pthread_t threads[3];
	char key[16], value[4000], out[4000];
	size_t len;
	int i, round, there = 0;

	CHECK_ERR(set_max_bytes(SMALLEST), 0);
	/* The hints of the handle that reads, so that its own words are among them. */
	hostile_hints = map_hints(kcache_fd(handle));
	for (i = 0; i < 3; i++)
		CHECK(!pthread_create(&threads[i], NULL, write_garbage, (void *)(uintptr_t)(i + 1)));
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 1000; i++) {
			snprintf(key, sizeof(key), "key%d", i + round * 300);
			memset(value, 'a' + (i + round * 300) % 26, sizeof(value));
			WORKS(OP(SET, key, BYTES(value, sizeof(value))));
		}
		for (i = 0; i < 1000; i++) {
			int err;

			snprintf(key, sizeof(key), "key%d", i + round * 300);
			err = kcache_get(handle, key, strlen(key), out, sizeof(out), &len);
			CHECK(!err || err == -ENOENT);
			if (err)
				continue;
			there++;
			CHECK_EQ(len, sizeof(out));
			CHECK_EQ(out[0], 'a' + (i + round * 300) % 26);
			CHECK(!memcmp(out, out + 1, sizeof(out) - 1));
		}
		MUST(ioctl(kcache_fd(handle), KCACHE_IOC_TAKE_HINTS, 0));
		sysfs_number("stats/hits");
	}
	stop = true;
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CHECK(sysfs_number("stats/evictions") > evictions);
	CHECK(there > 1000);
	CHECK(sysfs_number("stats/bytes_allocated") <= SMALLEST);
	/* Others count as ever. */
	kcache_close(handle);
	MUST(munmap(hostile_hints, PAGE));
	before = sysfs_number("stats/misses");
	FAILS(ENOENT, OP(GET, "none"));
	CHECK_EQ(sysfs_number("stats/misses"), before + 1);
}

/* A ring full of hashes of one's own choice makes keys look used, and no more. */
TEST(hints_of_hashes_that_lead_nowhere_change_nothing)
{
	struct kcache_hints *hints = map_hints(cache);
	const char *map = map_all();
	char key[16];
	int i, lane, round, at_first;

	for (i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, VALUE(key)));
	}
	at_first = frequency_of(map, "key0");
	for (round = 0; round < 200; round++) {
		for (lane = 0; lane < KCACHE_HINT_LANES; lane++) {
			for (i = 0; i < KCACHE_LANE_HINTS; i++)
				hints->lane[lane].hash[i] = random_number();
			hints->lane[lane].nr += random_below(3) ? KCACHE_LANE_HINTS : random_number();
		}
		take_hints();
	}
	CHECK_EQ(sysfs_number("stats/entries"), 2000);
	for (i = round = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		HOLDS(key, key);
		round += frequency_of(map, key) > at_first + 1;
	}
	CHECK(round < 20);
}

/* -------- -------- */

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--executed"))
		return run_executed(atoi(argv[2]));
	return ktap_device_main(argc, argv);
}
