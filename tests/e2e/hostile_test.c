// SPDX-License-Identifier: GPL-2.0
/*
 * Anyone may pass any bytes to any entry point at any time: what the ioctls of the
 * real device make of requests that are malformed, of memory that is not there or
 * changes while the kernel reads it, of processes that are killed, and of
 * descriptors in strange hands. Each test ends with the entries of others as they
 * were.
 *
 * Built with -m32 too.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#define KIB	1024
#define MIB	(1024 * KIB)

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

static const __u32 opcodes[] = {
	KCACHE_OP_GET, KCACHE_OP_SET, KCACHE_OP_REMOVE, KCACHE_OP_POP, KCACHE_OP_STAT,
	KCACHE_OP_TOUCH, KCACHE_OP_ADD, KCACHE_OP_APPEND, KCACHE_OP_PREPEND,
};

static __u32 flags_of(__u32 opcode)
{
	switch (opcode) {
	case KCACHE_OP_GET:
		return KCACHE_TOUCH;
	case KCACHE_OP_SET:
		return KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION | KCACHE_KEEP_TTL |
			KCACHE_RETURN_OLD;
	case KCACHE_OP_REMOVE:
	case KCACHE_OP_APPEND:
	case KCACHE_OP_PREPEND:
		return KCACHE_IF_VERSION;
	case KCACHE_OP_ADD:
		return KCACHE_INITIAL;
	default:
		return 0;
	}
}

/* -------- entries that nothing may happen to -------- */

#define NR_NEIGHBOURS	40

static void neighbour(int nr, char *key, char *value)
{
	snprintf(key, 32, "neighbour%d", nr);
	memset(value, 'a' + nr % 26, nr * nr);
	sprintf(value + nr * nr, "%d", nr);
}

/* They are used, so that eviction, should there be any, spares them. */
static void set_neighbours(void)
{
	char key[32], value[NR_NEIGHBOURS * NR_NEIGHBOURS + 16];
	int i;

	for (i = 0; i < NR_NEIGHBOURS; i++) {
		neighbour(i, key, value);
		WORKS(OP(SET, key, VALUE(value), .client_flags = i));
		WORKS(OP(GET, key, INTO_BYTES(value, sizeof(value))));
		WORKS(OP(GET, key, INTO_BYTES(value, sizeof(value))));
	}
}

static void check_neighbours(void)
{
	char key[32], value[NR_NEIGHBOURS * NR_NEIGHBOURS + 16];
	int i;

	for (i = 0; i < NR_NEIGHBOURS; i++) {
		CASE("neighbour %d", i);
		neighbour(i, key, value);
		HOLDS(key, value);
		CHECK_EQ(WORKS(OP(STAT, key)).client_flags, i);
	}
}

/* The entry "key" is as set_key() left it. */
static __u64 key_version;

static void set_key(const char *value)
{
	key_version = WORKS(OP(SET, "key", VALUE(value), .client_flags = 77)).version;
}

static void check_key(const char *value)
{
	struct kcache_op op = WORKS(OP(STAT, "key"));

	CHECK_EQ(op.version, key_version);
	CHECK_EQ(op.ttl_ms, 0);
	CHECK_EQ(op.client_flags, 77);
	HOLDS("key", value);
}

/* -------- memory of all kinds -------- */

/* Pages, and one behind them that is none: what runs over the end is EFAULT, not a neighbour. */
static char *map_pages(int nr, int protection)
{
	char *pages = mmap(NULL, (nr + 1) * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	MUST(mprotect(pages + nr * PAGE, PAGE, PROT_NONE));
	return pages;
}

/* The end of a page of memory, with a page behind it that is none. */
static char *end_of_memory(bool is_mapped)
{
	char *pages = map_pages(2, PROT_READ | PROT_WRITE);

	if (is_mapped)
		MUST(mprotect(pages + PAGE, PAGE, PROT_NONE));
	else
		MUST(munmap(pages + PAGE, PAGE));
	return pages + PAGE;
}

/* The end of all user memory, if the last page is to be had; else some end. */
static char *end_of_addresses(void)
{
	const uintptr_t last = sizeof(long) == 8 ? (uintptr_t)0x7fffffffe000ULL : (uintptr_t)0xffffd000;
	char *page = mmap((void *)last, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return page == (char *)last ? page + PAGE : end_of_memory(false);
}

/* A page of a mapping that its file is too short for: a touch is SIGBUS. */
static char *page_past_end_of_file(void)
{
	int fd = MUST(memfd_create("short", MFD_CLOEXEC));
	char *pages;

	MUST(ftruncate(fd, PAGE));
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(pages != MAP_FAILED);
	close(fd);
	return pages + PAGE;
}

#define NR_BAD	12

/* An address that leads to no memory of ours, and what it is. */
static __u64 bad_address(int nr, const char **what)
{
	static char page[2 * PAGE];
	static const char *const names[NR_BAD] = {
		"NULL", "the first page", "an unmapped page", "a PROT_NONE page",
		"past the end of a file", "kernel memory", "a hole in the address space",
		"the end of user addresses", "the last byte", "the middle", "the kernel's text",
		"4 GiB from something",
	};

	*what = names[nr];
	switch (nr) {
	case 0: return 0;
	case 1: return 8;
	case 2: return address(end_of_memory(false));
	case 3: return address(end_of_memory(true));
	case 4: return address(page_past_end_of_file());
	case 5: return 0xffff888000001000ULL;
	case 6: return 0xdeadbeefdeadbeefULL;
	case 7: return 0x00007ffffffff000ULL;
	case 8: return ~0ULL;
	case 9: return 1ULL << 63;
	case 10: return 0xffffffff81000000ULL;
	default: return address(page) + (1ULL << 32);
	}
}

/* -------- requests that are none -------- */

TEST(unknown_opcode_is_einval)
{
	static const __u32 unknown[] = {
		0, 10, 11, 12, 16, 31, 32, 33, 63, 64, 100, 255, 256, 257, 258, 65535, 65536, 65538,
		0x7fffffff, 0x80000000, 0x80000001, 0x80000002, 0xfffffffe, 0xffffffff,
	};
	char out[32];
	size_t i;

	set_key("value");
	for (i = 0; i < NR(unknown); i++)
		FAILS(EINVAL, OP(GET, "key", .opcode = unknown[i], VALUE("new"), INTO(out)));
	check_key("value");
}

TEST(flag_that_the_opcode_does_not_take_is_einval)
{
	char out[32];
	__u32 bit;
	size_t i;

	set_key("1");
	for (i = 0; i < NR(opcodes); i++)
		for (bit = 1; bit; bit <<= 1)
			if (!(flags_of(opcodes[i]) & bit))
				FAILS(EINVAL, OP(GET, "key", .opcode = opcodes[i], .flags = bit,
						 VALUE("2"), INTO(out)));
	check_key("1");
}

TEST(flag_that_is_not_taken_is_einval_also_beside_one_that_is)
{
	char out[32];
	__u32 bit;

	set_key("1");
	for (bit = 1; bit; bit <<= 1) {
		if (!(flags_of(KCACHE_OP_SET) & bit))
			FAILS(EINVAL, OP(SET, "key", .flags = bit | KCACHE_RETURN_OLD, VALUE("2"), INTO(out)));
		if (!(flags_of(KCACHE_OP_GET) & bit))
			FAILS(EINVAL, OP(GET, "key", .flags = bit | KCACHE_TOUCH, .ttl_ms = 1, INTO(out)));
		if (!(flags_of(KCACHE_OP_ADD) & bit))
			FAILS(EINVAL, OP(ADD, "key", .flags = bit | KCACHE_INITIAL, .delta = 1));
	}
	FAILS(EINVAL, OP(SET, "key", .flags = ~0U, VALUE("2"), INTO(out)));
	check_key("1");
}

TEST(conditions_that_exclude_each_other_are_einval)
{
	const __u32 sets[] = {
		KCACHE_IF_ABSENT | KCACHE_IF_PRESENT, KCACHE_IF_ABSENT | KCACHE_IF_VERSION,
		KCACHE_IF_PRESENT | KCACHE_IF_VERSION,
		KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION,
	};
	char out[32];
	size_t i;

	set_key("1");
	for (i = 0; i < NR(sets); i++) {
		FAILS(EINVAL, OP(SET, "key", .flags = sets[i], VALUE("2"), .version = key_version));
		FAILS(EINVAL, OP(SET, "new", .flags = sets[i], VALUE("2"), .version = key_version));
		FAILS(EINVAL, OP(SET, "key", .flags = sets[i] | KCACHE_RETURN_OLD | KCACHE_KEEP_TTL,
				 VALUE("2"), INTO(out), .version = key_version));
	}
	check_key("1");
	HOLDS_NOT("new");
}

TEST(error_that_is_not_zero_is_einval)
{
	char out[32];
	__u32 bit;
	size_t i;

	set_key("1");
	for (i = 0; i < NR(opcodes); i++)
		for (bit = 1; bit; bit <<= 1)
			FAILS(EINVAL, OP(GET, "key", .opcode = opcodes[i], .error = bit,
					 VALUE("2"), INTO(out)));
	check_key("1");
}

TEST(empty_key_is_einval)
{
	char out[32];
	size_t i;

	for (i = 0; i < NR(opcodes); i++) {
		FAILS(EINVAL, OP_ON(GET, "key", 0, .opcode = opcodes[i], VALUE("2"), INTO(out)));
		FAILS(EINVAL, OP_ON(GET, NULL, 0, .opcode = opcodes[i], VALUE("2"), INTO(out)));
	}
	CHECK_EQ(sysfs_number("stats/entries"), 0);
}

TEST(key_over_1024_bytes_is_efbig)
{
	static const __u32 lengths[] = {
		1025, 1026, 2048, 4096, 65535, 65536, 65537, 65536 + 3, 1U << 31, (1U << 31) + 3,
		~0U - 3, ~0U,
	};
	char *key = calloc(1, 5000), out[32];
	size_t i, l;

	set_neighbours();
	for (i = 0; i < NR(opcodes); i++)
		for (l = 0; l < NR(lengths); l++) {
			FAILS(EFBIG, OP_ON(GET, key, lengths[l], .opcode = opcodes[i], VALUE("2"),
					   INTO(out)));
			FAILS(EFBIG, OP_ON(GET, NULL, lengths[l], .opcode = opcodes[i], VALUE("2"),
					   INTO(out)));
		}
	CHECK_EQ(sysfs_number("stats/entries"), NR_NEIGHBOURS);
	check_neighbours();
}

static const __u64 long_lengths[] = {
	1ULL << 31, (1ULL << 31) + 1, (1ULL << 32) - 1, 1ULL << 32, (1ULL << 32) + 1,
	(1ULL << 32) + 5, 1ULL << 40, 1ULL << 47, 1ULL << 62, (1ULL << 63) - 1, 1ULL << 63,
	~0ULL - 4096, ~0ULL - 15, ~0ULL,
};

TEST(value_length_over_the_limit_is_efbig)
{
	const unsigned long long max = sysfs_number("limits/value_max");
	size_t i;

	set_key("value");
	FAILS(EFBIG, OP(SET, "key", BYTES("new", max + 1)));
	for (i = 0; i < NR(long_lengths); i++) {
		CASE("%#llx bytes", (unsigned long long)long_lengths[i]);
		FAILS(EFBIG, OP(SET, "key", BYTES("new", long_lengths[i])));
		FAILS(EFBIG, OP(SET, "key", BYTES(NULL, long_lengths[i])));
		FAILS(EFBIG, OP(SET, "new", BYTES("new", long_lengths[i])));
		FAILS(EFBIG, OP(APPEND, "key", BYTES("new", long_lengths[i])));
		FAILS(EFBIG, OP(PREPEND, "key", BYTES("new", long_lengths[i])));
	}
	check_key("value");
	HOLDS_NOT("new");
}

TEST(buffer_length_of_any_size_is_a_buffer)
{
	char *page = map_pages(1, PROT_READ | PROT_WRITE);
	size_t i;

	for (i = 0; i < NR(long_lengths); i++) {
		CASE("%#llx bytes", (unsigned long long)long_lengths[i]);
		set_key("value");
		memset(page, '-', 16);
		CHECK_EQ(WORKS(OP(GET, "key", INTO_BYTES(page, long_lengths[i]))).out_len, 5);
		CHECK(!memcmp(page, "value-", 6));
		WORKS(OP(SET, "key", VALUE("other"), .flags = KCACHE_RETURN_OLD,
			 INTO_BYTES(page + 8, long_lengths[i])));
		CHECK(!memcmp(page, "value---value---", 16));
		WORKS(OP(POP, "key", INTO_BYTES(page, long_lengths[i])));
		CHECK(!memcmp(page, "other---value---", 16));
		FAILS(ENOENT, OP(GET, "key", INTO_BYTES(page, long_lengths[i])));
	}
}

TEST(delta_and_number_of_any_size)
{
	static const __s64 extremes[] = {
		LLONG_MIN, LLONG_MIN + 1, INT_MIN, -1, 0, 1, INT_MAX, UINT_MAX, LLONG_MAX - 1, LLONG_MAX,
	};
	size_t i, j;

	for (i = 0; i < NR(extremes); i++)
		for (j = 0; j < NR(extremes); j++) {
			struct kcache_op op = OP(ADD, "key", .delta = extremes[j], .flags = KCACHE_INITIAL);
			__s64 sum;
			char text[32];

			CASE("%lld + %lld", (long long)extremes[i], (long long)extremes[j]);
			WORKS(OP(ADD, "key", .number = extremes[i], .delta = extremes[j],
				 .flags = KCACHE_INITIAL));
			if (__builtin_add_overflow(extremes[i], extremes[j], &sum)) {
				FAILS(ERANGE, op);
				sum = extremes[i];
			} else {
				CHECK_EQ(WORKS(op).number, sum);
			}
			snprintf(text, sizeof(text), "%lld", (long long)sum);
			HOLDS("key", text);
			WORKS(OP(REMOVE, "key"));
		}
}

/* -------- the size of the struct -------- */

/* A page that begins with @op, of size @size, and ends where it says. */
static struct kcache_op *op_of_size(struct kcache_op op, __u32 size)
{
	static char *pages;

	if (!pages) {
		pages = map_pages(4, PROT_READ | PROT_WRITE);
		MUST(munmap(pages + 3 * PAGE, PAGE));
	}
	memset(pages, 0, 3 * PAGE);
	op.size = size;
	memcpy(pages, &op, sizeof(op));
	return (struct kcache_op *)pages;
}

TEST(struct_shorter_than_the_first_published_is_einval)
{
	struct kcache_op before = OP(SET, "key", VALUE("new")), *op;
	__u32 size;

	set_key("value");
	for (size = 0; size < KCACHE_OP_SIZE_VER0; size++) {
		CASE("size %u", size);
		op = op_of_size(before, size);
		CHECK_ERR(run(op), EINVAL);
		before.size = size;
		CHECK(!memcmp(op, &before, sizeof(before)));
	}
	check_key("value");
}

TEST(struct_that_is_longer_and_zero_is_taken)
{
	__u32 size;

	for (size = KCACHE_OP_SIZE_VER0; size <= PAGE; size += size < 200 ? 1 : 37) {
		struct kcache_op *op = op_of_size(OP(SET, "key", VALUE("new")), size);
		__u32 i;

		CASE("size %u", size);
		((char *)op)[size] = 1;
		CHECK_ERR(run(op), 0);
		CHECK_EQ(op->size, size);
		for (i = KCACHE_OP_SIZE_VER0; i < size; i++)
			CHECK_EQ(((char *)op)[i], 0);
		HOLDS("key", "new");
		WORKS(OP(REMOVE, "key"));
	}
	CHECK_ERR(run(op_of_size(OP(SET, "key", VALUE("new")), PAGE)), 0);
	HOLDS("key", "new");
}

TEST(struct_that_is_longer_and_not_zero_is_e2big)
{
	__u32 sizes[] = { KCACHE_OP_SIZE_VER0 + 1, KCACHE_OP_SIZE_VER0 + 8, 200, PAGE };
	size_t s;

	set_key("value");
	for (s = 0; s < NR(sizes); s++) {
		__u32 at;

		for (at = KCACHE_OP_SIZE_VER0; at < sizes[s]; at += at < 210 || at > PAGE - 10 ? 1 : 31) {
			struct kcache_op *op = op_of_size(OP(SET, "key", VALUE("new")), sizes[s]);

			CASE("size %u, byte %u", sizes[s], at);
			((char *)op)[at] = at % 2 ? 0x80 : 1;
			CHECK_ERR(run(op), E2BIG);
		}
	}
	check_key("value");
}

TEST(struct_over_a_page_is_e2big)
{
	static const __u32 sizes[] = {
		PAGE + 1, PAGE + 8, 2 * PAGE, 1 << 20, 1U << 31, (1U << 31) + 96, ~0U - 7, ~0U,
	};
	size_t s;

	set_key("value");
	for (s = 0; s < NR(sizes); s++) {
		CASE("size %u", sizes[s]);
		CHECK_ERR(run(op_of_size(OP(SET, "key", VALUE("new")), sizes[s])), E2BIG);
	}
	check_key("value");
}

TEST(struct_that_says_more_than_there_is_memory_is_efault)
{
	char *end = end_of_memory(false);
	__u32 size;

	set_key("value");
	for (size = KCACHE_OP_SIZE_VER0 + 1; size <= KCACHE_OP_SIZE_VER0 + 24; size++) {
		struct kcache_op op = OP(SET, "key", VALUE("new"), .size = size);

		CASE("size %u", size);
		memcpy(end - sizeof(op), &op, sizeof(op));
		CHECK_ERR(run((struct kcache_op *)(end - sizeof(op))), EFAULT);
	}
	check_key("value");
}

TEST(struct_at_the_very_end_of_memory_is_taken)
{
	char *end = end_of_memory(true);
	struct kcache_op op = OP(SET, "key", VALUE("new"));

	memcpy(end - sizeof(op), &op, sizeof(op));
	CHECK_ERR(run((struct kcache_op *)(end - sizeof(op))), 0);
	HOLDS("key", "new");
}

TEST(struct_at_any_alignment_is_taken)
{
	char *page = map_pages(2, PROT_READ | PROT_WRITE);
	int at;

	for (at = 0; at < 16; at++) {
		struct kcache_op op = OP(SET, "key", VALUE("new"));

		memcpy(page + PAGE - 48 + at, &op, sizeof(op));
		CHECK_ERR(run((struct kcache_op *)(page + PAGE - 48 + at)), 0);
		HOLDS("key", "new");
		WORKS(OP(REMOVE, "key"));
	}
}

TEST(struct_that_is_not_there_is_efault)
{
	const char *what;
	int i;

	set_key("value");
	for (i = 0; i < NR_BAD; i++) {
		__u64 at = bad_address(i, &what);

		CASE("the struct is %s", what);
		if (at != (uintptr_t)at)
			continue;
		CHECK_REFUSED(ioctl(cache, KCACHE_IOC_OP, (uintptr_t)at), EFAULT);
		CHECK_REFUSED(ioctl(cache, KCACHE_IOC_INFO, (uintptr_t)at), EFAULT);
	}
	check_key("value");
}

TEST(info_of_a_wrong_size)
{
	char *page = map_pages(2, PROT_READ | PROT_WRITE);
	struct kcache_info *info = (struct kcache_info *)page;
	__u32 size;

	for (size = 0; size < KCACHE_INFO_SIZE_VER0; size++) {
		memset(page, 0, PAGE);
		info->size = size;
		CHECK_REFUSED(ioctl(cache, KCACHE_IOC_INFO, info), EINVAL);
		CHECK_EQ(info->key_max, 0);
	}
	for (; size < PAGE; size += size < 100 ? 1 : 50) {
		memset(page, 0, 2 * PAGE);
		info->size = size;
		page[size] = 1;
		CASE("size %u", size);
		MUST(ioctl(cache, KCACHE_IOC_INFO, info));
		CHECK_EQ(info->size, size);
		CHECK_EQ(info->key_max, KCACHE_KEY_MAX);
		CHECK_EQ(page[size], 1);
		/* What the first published one had not is written to whom has room for it. */
		if (size == KCACHE_INFO_SIZE_VER0)
			CHECK_EQ(info->map_bytes, 1);
		if (size >= KCACHE_INFO_SIZE_VER1)
			CHECK(info->map_bytes > PAGE);
		if (size <= sizeof(*info))
			continue;
		page[size - 1] = 1;
		CHECK_REFUSED(ioctl(cache, KCACHE_IOC_INFO, info), E2BIG);
	}
	memset(page, 0, 2 * PAGE);
	info->size = PAGE + 1;
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_INFO, info), E2BIG);
	info->size = ~0U;
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_INFO, info), E2BIG);
	info->size = sizeof(*info);
	MUST(mprotect(page, PAGE, PROT_READ));
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_INFO, info), EFAULT);
}

/* -------- commands that are none -------- */

TEST(unknown_ioctl_is_enotty)
{
	struct kcache_op op = OP(SET, "key", VALUE("new"));
	const unsigned int first = _IOC_NR(KCACHE_IOC_OP), last = _IOC_NR(KCACHE_IOC_TAKE_HINTS);
	const unsigned int others[] = {
		0x0010, 0xe710, 0xe910, 0x10, 0x11, 0x12,
		_IOR(KCACHE_IOC_MAGIC, 0x10, struct kcache_op),
		_IOW(KCACHE_IOC_MAGIC, 0x10, struct kcache_op),
		_IOWR(KCACHE_IOC_MAGIC, 0x10, struct kcache_op),
		_IOR(KCACHE_IOC_MAGIC, 0x11, struct kcache_info), _IOWR(KCACHE_IOC_MAGIC, 0x12, int),
		KCACHE_IOC_OP | 1U << 31, KCACHE_IOC_OP | 1U << 16, 0xffffffff, 0x5401, 0x5413,
	};
	size_t i;
	int nr;

	set_key("value");
	for (nr = 0; nr < 256; nr++) {
		unsigned int number = _IO(KCACHE_IOC_MAGIC, nr);

		if (nr >= (int)first && nr <= (int)last)
			continue;
		CASE("ioctl %#x", number);
		CHECK_REFUSED(ioctl(cache, number, &op), ENOTTY);
		CHECK_REFUSED(ioctl(cache, number, 0), ENOTTY);
	}
	for (i = 0; i < NR(others); i++) {
		CASE("ioctl %#x", others[i]);
		CHECK_REFUSED(ioctl(cache, others[i], &op), ENOTTY);
	}
	check_key("value");
}

TEST(flush_with_an_argument_is_einval)
{
	set_key("value");
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_FLUSH, 1), EINVAL);
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_FLUSH, &key_version), EINVAL);
	check_key("value");
}

/* -------- memory that is not there -------- */

TEST(key_that_is_not_there_is_efault)
{
	char out[32];
	const char *what;
	size_t i;
	int b;

	set_neighbours();
	for (b = 0; b < NR_BAD; b++) {
		__u64 at = bad_address(b, &what);

		CASE("the key is %s", what);
		for (i = 0; i < NR(opcodes); i++) {
			struct kcache_op op = OP(GET, "key", VALUE("2"), INTO(out), .opcode = opcodes[i]);

			op.key = at;
			FAILS(EFAULT, op);
			op.key_len = 12;	/* those of 8 to 16 are copied in another way */
			FAILS(EFAULT, op);
			op.key_len = KCACHE_KEY_MAX;
			FAILS(EFAULT, op);
		}
	}
	CHECK_EQ(sysfs_number("stats/entries"), NR_NEIGHBOURS);
	check_neighbours();
}

TEST(value_that_is_not_there_is_efault_and_changes_nothing)
{
	static const __u64 lengths[] = { 1, 7, 100, 5000, 100 * KIB, 600 * KIB, 1 * MIB };
	const char *what;
	size_t l;
	int b;

	set_key("value");
	set_neighbours();
	for (b = 0; b < NR_BAD; b++) {
		__u64 at = bad_address(b, &what);

		for (l = 0; l < NR(lengths); l++) {
			/* "4 GiB from something" has things behind it. */
			CASE("%llu bytes of value are %s", (unsigned long long)lengths[l], what);
			FAILS(EFAULT, OP(SET, "key", .value = at, .value_len = lengths[l]));
			FAILS(EFAULT, OP(SET, "new", .value = at, .value_len = lengths[l], .ttl_ms = 5));
			FAILS(EFAULT, OP(APPEND, "key", .value = at, .value_len = lengths[l]));
			FAILS(EFAULT, OP(PREPEND, "key", .value = at, .value_len = lengths[l]));
			check_key("value");
			HOLDS_NOT("new");
		}
	}
	CHECK_EQ(sysfs_number("stats/entries"), NR_NEIGHBOURS + 1);
	check_neighbours();
}

TEST(buffer_that_is_not_there_is_efault_and_changes_nothing)
{
	char *read_only = map_pages(1, PROT_READ), value[3000];
	const char *what;
	int b;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	set_key(value);
	for (b = 0; b <= NR_BAD; b++) {
		__u64 at = b < NR_BAD ? bad_address(b, &what) : address(read_only);

		CASE("the buffer is %s", b < NR_BAD ? what : "read-only");
		FAILS(EFAULT, OP(GET, "key", .out = at, .out_len = 3000));
		FAILS(EFAULT, OP(GET, "key", .out = at, .out_len = 3000, .flags = KCACHE_TOUCH,
				 .ttl_ms = 1));
		FAILS(EFAULT, OP(POP, "key", .out = at, .out_len = 3000));
		FAILS(EFAULT, OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD, .out = at,
				 .out_len = 3000));
		time_passes();
		check_key(value);
	}
}

TEST(memory_that_ends_in_the_middle_is_efault_at_each_byte)
{
	char *ends[] = { end_of_memory(false), end_of_memory(true), end_of_addresses() }, value[100];
	int have;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	set_key(value);
	set_neighbours();
	for (have = 0; have < 99; have++) {
		char *at = ends[have % 3] - have;

		CASE("%d of 99 bytes are there", have);
		memset(at, 'n', have);
		FAILS(EFAULT, OP(SET, "key", BYTES(at, 99)));
		FAILS(EFAULT, OP(APPEND, "key", BYTES(at, 99)));
		FAILS(EFAULT, OP(PREPEND, "key", BYTES(at, 99)));
		FAILS(EFAULT, OP_ON(SET, at, 99, VALUE("value")));
		FAILS(EFAULT, OP(GET, "key", INTO_BYTES(at, 99)));
		FAILS(EFAULT, OP(POP, "key", INTO_BYTES(at, 99)));
		FAILS(EFAULT, OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD,
				 INTO_BYTES(at, 99)));
		check_key(value);
	}
	CHECK_EQ(sysfs_number("stats/entries"), NR_NEIGHBOURS + 1);
	for (have = 0; have < 3; have++) {
		WORKS(OP(GET, "key", INTO_BYTES(ends[have] - 99, 99)));
		CHECK(!memcmp(ends[have] - 99, value, 99));
		WORKS(OP(SET, "key", BYTES(ends[have] - 99, 99)));
	}
	check_neighbours();
}

TEST(large_value_that_ends_in_the_middle_is_efault)
{
	const size_t size = 700 * KIB;
	size_t have;

	set_key("value");
	for (have = PAGE; have < size; have = have * 2 + PAGE) {
		char *memory = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CASE("%zu of %zu bytes are there", have, size);
		memset(memory, 'n', have);
		MUST(munmap(memory + have, size + PAGE - have));
		FAILS(EFAULT, OP(SET, "key", BYTES(memory, size)));
		FAILS(EFAULT, OP(SET, "new", BYTES(memory, size)));
		FAILS(EFAULT, OP(APPEND, "key", BYTES(memory, size)));
		FAILS(EFAULT, OP(PREPEND, "key", BYTES(memory, size)));
		check_key("value");
		HOLDS_NOT("new");
		munmap(memory, have);
	}
}

/* Memory that was never touched has to be brought in, not to fail. */
TEST(memory_that_is_not_in_memory_yet_is_brought_in)
{
	static const size_t sizes[] = { 100, 5000, 100 * KIB, 600 * KIB, 1 * MIB };
	size_t i;

	for (i = 0; i < NR(sizes); i++) {
		char *value, *out;
		int fd = MUST(memfd_create("value", MFD_CLOEXEC));

		CASE("%zu bytes", sizes[i]);
		MUST(ftruncate(fd, sizes[i]));
		MUST(pwrite(fd, "begin", 5, 0));
		MUST(pwrite(fd, "end", 3, sizes[i] - 3));
		value = mmap(NULL, sizes[i], PROT_READ, MAP_SHARED, fd, 0);
		out = mmap(NULL, sizes[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(value != MAP_FAILED && out != MAP_FAILED);
		WORKS(OP(SET, "key", BYTES(value, sizes[i])));
		WORKS(OP(GET, "key", INTO_BYTES(out, sizes[i])));
		CHECK(!memcmp(out, value, sizes[i]));
		MUST(madvise(out, sizes[i], MADV_DONTNEED));
		WORKS(OP(SET, "key", BYTES(value, sizes[i]), .flags = KCACHE_RETURN_OLD,
			 INTO_BYTES(out, sizes[i])));
		CHECK(!memcmp(out, value, sizes[i]));
		MUST(madvise(out, sizes[i], MADV_DONTNEED));
		WORKS(OP(POP, "key", INTO_BYTES(out, sizes[i])));
		CHECK(!memcmp(out, value, sizes[i]));
		MUST(madvise(out, sizes[i], MADV_DONTNEED));
		WORKS(OP(SET, "key", BYTES(out, sizes[i])));	/* the zero page */
		munmap(value, sizes[i]);
		munmap(out, sizes[i]);
		close(fd);
	}
}

TEST(struct_in_read_only_memory_is_efault_and_changes_nothing)
{
	struct kcache_op *op = (struct kcache_op *)map_pages(1, PROT_READ | PROT_WRITE);
	char out[32];
	size_t i;

	for (i = 0; i < NR(opcodes); i++) {
		struct kcache_op before = OP(GET, "key", .opcode = opcodes[i], VALUE("2"), INTO(out),
					     .delta = 1, .ttl_ms = 1);

		set_key("1");
		*op = before;
		MUST(mprotect(op, PAGE, PROT_READ));
		CASE("opcode %u", opcodes[i]);
		if (opcodes[i] == KCACHE_OP_REMOVE) {
			/* It has nothing to tell, so nothing needs to be written. */
			int err = run(op);

			CHECK(!err || err == -EFAULT);
			if (!err)
				set_key("1");
		} else {
			CHECK_ERR(run(op), EFAULT);
		}
		CHECK(!memcmp(op, &before, sizeof(before)));
		time_passes();
		check_key("1");
		MUST(mprotect(op, PAGE, PROT_READ | PROT_WRITE));
		if (opcodes[i] != KCACHE_OP_GET)
			continue;
		op->flags = KCACHE_TOUCH;
		MUST(mprotect(op, PAGE, PROT_READ));
		CHECK_ERR(run(op), EFAULT);
		time_passes();
		check_key("1");
		MUST(mprotect(op, PAGE, PROT_READ | PROT_WRITE));
	}
}

/*
 * The struct lies across two pages, one of which can only be read. Who cannot be
 * told the result must not have changed anything.
 */
TEST(struct_that_is_half_in_read_only_memory)
{
	char *pages = map_pages(2, PROT_READ | PROT_WRITE), out[32];
	int first, half;
	size_t i;

	for (half = 0; half < 2; half++)
		for (first = 8; first < (int)sizeof(struct kcache_op); first += 4)
			for (i = 0; i < NR(opcodes); i++) {
				struct kcache_op *op = (struct kcache_op *)(pages + PAGE - first);
				struct kcache_op before = OP(GET, "key", .opcode = opcodes[i], VALUE("2"),
							     INTO(out), .delta = 1);
				int err;

				CASE("opcode %u, %d bytes on the first page, page %d read-only",
				     opcodes[i], first, half);
				set_key("1");
				memcpy(op, &before, sizeof(before));
				MUST(mprotect(pages + half * PAGE, PAGE, PROT_READ));
				err = run(op);
				MUST(mprotect(pages, 2 * PAGE, PROT_READ | PROT_WRITE));
				if (!err)
					continue;
				CHECK_ERR(err, EFAULT);
				check_key("1");
			}
}

TEST(buffers_that_are_one_and_the_same)
{
	char *page = map_pages(1, PROT_READ | PROT_WRITE);
	struct kcache_op *op = (struct kcache_op *)page, before;
	int i, at, err;

	set_neighbours();
	for (i = 0; i < 3; i++)
		for (at = 0; at <= (int)sizeof(*op); at += 4) {
			set_key("a value that is as long as a good part of the struct");
			before = OP(GET, "key", INTO_BYTES(page + at, 100), VALUE("new"));
			if (i == 1)
				before.opcode = KCACHE_OP_POP;
			if (i == 2) {
				before.opcode = KCACHE_OP_SET;
				before.flags = KCACHE_RETURN_OLD;
				before.value = before.out;
			}
			*op = before;
			err = run(op);
			CASE("opcode %u into byte %d of the struct", before.opcode, at);
			CHECK_ERR(err, 0);
		}
	strcpy(page, "key");
	set_key("value");
	WORKS(OP(GET, page, INTO_BYTES(page, 100)));
	CHECK(!memcmp(page, "value", 5));
	check_neighbours();
}

/* -------- memory that changes meanwhile -------- */

static volatile bool stop;
static char *arena;
#define ARENA	(64 * KIB)

/* Runs @mischief in a thread while @body runs @nr times. */
static void during(void *(*mischief)(void *), void (*body)(int i), int nr)
{
	pthread_t thread;
	int i;

	need_threads();
	stop = false;
	CHECK(!pthread_create(&thread, NULL, mischief, NULL));
	for (i = 0; i < nr; i++)
		body(i);
	stop = true;
	CHECK(!pthread_join(thread, NULL));
}

static void *rewrite_arena(void *unused)
{
	unsigned char byte = 0;

	(void)unused;
	while (!stop)
		memset(arena, byte++, ARENA);
	return NULL;
}

static void set_what_is_rewritten(int i)
{
	static char out[ARENA];
	size_t len = 1 + (size_t)i * 997 % ARENA;
	struct kcache_op op;

	WORKS(OP(SET, "rewritten", BYTES(arena, len), .client_flags = i));
	op = WORKS(OP(GET, "rewritten", INTO(out)));
	CHECK_EQ(op.out_len, len);
	CHECK_EQ(op.client_flags, i);
	/* Twice read is twice the same, whatever it is. */
	HOLDS_ON("rewritten", 9, out, len);
}

TEST(value_that_is_rewritten_during_set_has_its_length_and_hurts_nobody)
{
	arena = map_pages(ARENA / PAGE, PROT_READ | PROT_WRITE);
	set_neighbours();
	during(rewrite_arena, set_what_is_rewritten, 1500);
	check_neighbours();
	CHECK_EQ(sysfs_number("stats/entries"), NR_NEIGHBOURS + 1);
}

static void *rewrite_key(void *unused)
{
	int nr = 0;

	(void)unused;
	while (!stop) {
		memset(arena, 'a' + nr % 4, 64);
		nr++;
	}
	return NULL;
}

static void set_key_that_is_rewritten(int i)
{
	struct kcache_op op = OP_ON(SET, arena, 64, VALUE("value"), .opcode = opcodes[i % NR(opcodes)]);
	char out[8];
	int err;

	op.out = address(out);
	op.out_len = sizeof(out);
	err = run(&op);
	CHECK(!err || err == -ENOENT || err == -ERANGE || err == -EMSGSIZE);
	op = OP_ON(SET, arena, 64, VALUE("value"));
	CHECK_ERR(run(&op), 0);
}

/* All that the device lists, NUL-terminated. */
static char *list(void)
{
	const size_t size = 4 * MIB;
	char *text = malloc(size);
	int fd = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC));
	size_t len = 0, more;

	while ((more = MUST(read(fd, text + len, size - 1 - len))))
		len += more;
	text[len] = '\0';
	close(fd);
	return text;
}

/* A key that was stored is a key that is found: it was hashed as it was copied. */
TEST(key_that_is_rewritten_during_set_is_one_key)
{
	char *line, *text;

	arena = map_pages(ARENA / PAGE, PROT_READ | PROT_WRITE);
	memset(arena, 'a', 64);
	set_neighbours();
	during(rewrite_key, set_key_that_is_rewritten, 4000);
	check_neighbours();
	text = list();
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *space = strchr(line, ' ');

		if (*line == '@' || !strncmp(line, "neighbour", 9))
			continue;
		CASE("%.*s", (int)(space - line), line);
		CHECK_EQ(space - line, 64);
		HOLDS_ON(line, 64, space + 1, strlen(space + 1));
		WORKS(OP_ON(REMOVE, line, 64));
	}
	CHECK_EQ(sysfs_number("stats/entries"), NR_NEIGHBOURS);
	check_neighbours();
}

static void *remap_arena(void *unused)
{
	static const int protections[] = {
		PROT_NONE, PROT_READ | PROT_WRITE, PROT_READ, PROT_READ | PROT_WRITE,
	};
	int nr, fd = memfd_create("remapped", MFD_CLOEXEC);

	(void)unused;
	MUST(ftruncate(fd, ARENA / 2));
	for (nr = 0; !stop; nr++) {
		size_t at = nr * 7 % (ARENA / PAGE) * PAGE;

		switch (nr % 5) {
		case 0:
			MUST(munmap(arena, ARENA));
			break;
		case 1:
			MUST(mmap(arena, ARENA, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
			break;
		case 2:
			MUST(mprotect(arena + at, ARENA - at, protections[nr / 5 % 4]));
			break;
		case 3:
			MUST(mmap(arena, ARENA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
			MUST(ftruncate(fd, at));
			MUST(ftruncate(fd, ARENA));
			break;
		case 4:
			MUST(madvise(arena, at + PAGE, MADV_DONTNEED));
			break;
		}
	}
	return NULL;
}

static void use_memory_that_is_remapped(int i)
{
	struct kcache_op op = OP(SET, "remapped", BYTES(arena, ARENA));
	int err;

	if (i % 3)
		op.flags = KCACHE_RETURN_OLD;
	op.out = address(arena + i % PAGE);
	op.out_len = ARENA - i % PAGE;
	op.opcode = opcodes[i % NR(opcodes)];
	op.flags &= flags_of(op.opcode);
	if (op.opcode == KCACHE_OP_APPEND || op.opcode == KCACHE_OP_PREPEND)
		op.value_len = 1 + i % 3000;
	if (i % 7 == 0) {
		op.key = address(arena);
		op.key_len = 1000;
	}
	err = run(&op);
	CASE("opcode %u: %s", op.opcode, ktap_errno(-err));
	CHECK(!err || err == -EFAULT || err == -ENOENT || err == -EMSGSIZE || err == -ERANGE ||
	      err == -EFBIG);
	op = OP(SET, "remapped", BYTES(arena + i % PAGE, 1 + i % (ARENA - PAGE)), .client_flags = i);
	err = run(&op);
	CHECK(!err || err == -EFAULT);
	if (!err) {
		struct kcache_op stat = WORKS(OP(STAT, "remapped"));

		CHECK_EQ(stat.out_len, 1 + i % (ARENA - PAGE));
		CHECK_EQ(stat.client_flags, i);
	}
}

TEST(memory_that_is_remapped_during_operations_is_there_or_efault)
{
	arena = map_pages(ARENA / PAGE, PROT_READ | PROT_WRITE);
	set_neighbours();
	during(remap_arena, use_memory_that_is_remapped, 4000);
	check_neighbours();
}

static void *rewrite_struct(void *unused)
{
	static const __u64 values[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 31, 64, 96, 100, 104, 1024, 1025, 4096, 4097, 1 << 20,
		1U << 31, ~0U, 1ULL << 32, 1ULL << 63, ~0ULL, 0xffff888000000000ULL,
	};
	__u64 seed = ktap_seed;

	(void)unused;
	while (!stop) {
		__u64 which;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		which = seed >> 33;
		if (which % 3)	/* a word, or a half of one */
			((volatile __u64 *)arena)[which % 13] = values[which / 13 % NR(values)];
		else
			((volatile __u32 *)arena)[which % 26] = values[which / 26 % NR(values)];
		if (which % 11 == 0)
			((volatile __u64 *)arena)[2 + which / 11 % 4] = address(arena + PAGE);
	}
	return NULL;
}

static void run_struct_that_is_rewritten(int i)
{
	static const int errors[] = {
		0, ENOENT, EEXIST, ESTALE, EMSGSIZE, EFBIG, ERANGE, E2BIG, EINVAL, EFAULT,
	};
	struct kcache_op *op = (struct kcache_op *)arena;
	size_t e;
	int err;

	*op = OP_ON(SET, arena + PAGE, 1 + i % 1024, BYTES(arena + 2 * PAGE, i % 5000),
		    INTO_BYTES(arena + 4 * PAGE, 5000), .opcode = opcodes[i % NR(opcodes)]);
	err = run(op);
	for (e = 0; e < NR(errors); e++)
		if (err == -errors[e])
			return;
	CASE("%s", ktap_errno(-err));
	CHECK(false);
}

TEST(struct_that_is_rewritten_during_operations_hurts_nobody)
{
	arena = map_pages(ARENA / PAGE, PROT_READ | PROT_WRITE);
	memset(arena + PAGE, 'k', 1024);
	set_neighbours();
	during(rewrite_struct, run_struct_that_is_rewritten, 20000);
	check_neighbours();
}

/* -------- memory that does not come -------- */

enum stuck {
	STUCK_IN_STRUCT, STUCK_IN_KEY, STUCK_IN_SET, STUCK_IN_APPEND, STUCK_IN_GET, STUCK_IN_TOUCH,
	STUCK_IN_POP, STUCK_IN_OLD, STUCK_IN_INFO, STUCK_IN_WRITE, STUCK_IN_READ, NR_STUCK
};

static volatile int *arrived;	/* by enum stuck, in shared memory */
static int stuck_nr;

static void say_arrived(struct late_page *late)
{
	(void)late;
	arrived[stuck_nr] = 1;
	pause();
}

/* Does something with a page that never comes. Does not come back. */
static void get_stuck(int nr)
{
	struct late_page late;
	struct kcache_op op = { 0 };
	char out[32];

	stuck_nr = nr;
	late_page_init(&late, say_arrived);
	switch (nr) {
	case STUCK_IN_STRUCT:
		run((struct kcache_op *)late.page);
		break;
	case STUCK_IN_KEY:
		op = OP_ON(GET, late.page, 100, INTO(out));
		break;
	case STUCK_IN_SET:
		op = OP(SET, "key", BYTES(late.page, PAGE));
		break;
	case STUCK_IN_APPEND:
		op = OP(APPEND, "key", BYTES(late.page, 100));
		break;
	case STUCK_IN_GET:
		op = OP(GET, "key", INTO_BYTES(late.page, PAGE));
		break;
	case STUCK_IN_TOUCH:
		op = OP(GET, "key", INTO_BYTES(late.page, PAGE), .flags = KCACHE_TOUCH, .ttl_ms = 1);
		break;
	case STUCK_IN_POP:
		op = OP(POP, "key", INTO_BYTES(late.page, PAGE));
		break;
	case STUCK_IN_OLD:
		op = OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD,
			INTO_BYTES(late.page, PAGE));
		break;
	case STUCK_IN_INFO:
		ioctl(cache, KCACHE_IOC_INFO, late.page);
		break;
	case STUCK_IN_WRITE:
		CHECK_EQ(write(cache, "half a li", 9), 9);
		MUST(write(cache, late.page, PAGE));
		break;
	case STUCK_IN_READ:
		MUST(read(cache, late.page, PAGE));
		break;
	}
	if (op.size)
		run(&op);
	NOTE("It was not stuck: %d", nr);
	_exit(KTAP_FAIL);
}

/* All that others do, on the same key too. */
static void others_work(void)
{
	const unsigned long long max_bytes = sysfs_number("limits/max_bytes");
	char out[1000], key[16];
	char *text;
	int i;

	for (i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "other%d", i);
		WORKS(OP(SET, "key", VALUE("1")));
		WORKS(OP(ADD, "key", .delta = 1000000000000));
		WORKS(OP(APPEND, "key", VALUE("and more")));
		WORKS(OP(GET, "key", INTO(out)));
		WORKS(OP(TOUCH, "key", .ttl_ms = 500000));
		WORKS(OP(POP, "key", INTO(out)));
		WORKS(OP(SET, key, VALUE("other")));
	}
	text = list();
	CHECK(strstr(text, "other299 other\n"));
	free(text);
	check_neighbours();
	CHECK_ERR(set_max_bytes(max_bytes / 2), 0);
	CHECK_ERR(set_max_bytes(max_bytes), 0);
	CHECK(sysfs_number("stats/entries") >= 340);
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK_EQ(sysfs_number("stats/entries"), 0);
}

TEST(processes_stuck_in_a_fault_hold_up_nobody_and_can_be_killed)
{
	pid_t pids[NR_STUCK];
	int nr, i, status;

	arrived = shared_memory(NR_STUCK * sizeof(*arrived));
	set_key("value");
	for (nr = 0; nr < NR_STUCK; nr++) {
		/* Each has an open file of its own: one that is stuck in write() holds its file. */
		close(cache);
		cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
		pids[nr] = start_process(get_stuck, nr);
		for (i = 0; !arrived[nr]; i++) {
			CASE("stuck %d", nr);
			if (waitpid(pids[nr], &status, WNOHANG) == pids[nr])
				_exit(WIFSIGNALED(status) ? KTAP_FAIL : WEXITSTATUS(status));
			CHECK(i < 3000);
			milliseconds_pass(10);
		}
	}
	close(cache);
	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	check_key("value");
	set_neighbours();
	others_work();
	set_key("after");
	set_neighbours();
	for (nr = 0; nr < NR_STUCK; nr++) {
		CASE("stuck %d", nr);
		MUST(kill(pids[nr], SIGKILL));
		MUST(waitpid(pids[nr], &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		check_key("after");
	}
	check_neighbours();
	CHECK_EQ(sysfs_number("stats/entries"), NR_NEIGHBOURS + 1);
}

static void change_then_bring(struct late_page *late)
{
	WORKS(OP(SET, "key", VALUE("changed"), .client_flags = 5));
	bring_page(late, "late bytes");
}

TEST(get_whose_buffer_comes_late_is_of_one_moment)
{
	struct late_page late;
	struct kcache_op op;

	set_key("a value");
	late_page_init(&late, change_then_bring);
	op = WORKS(OP(GET, "key", INTO_BYTES(late.page, PAGE)));
	CHECK_EQ(op.client_flags, 5);
	CHECK(!memcmp(late.page, "changed", 7));
	pthread_join(late.thread, NULL);
}

TEST(pop_whose_buffer_comes_late_gives_what_it_removes)
{
	struct late_page late;
	struct kcache_op op;

	set_key("a value");
	late_page_init(&late, change_then_bring);
	op = WORKS(OP(POP, "key", INTO_BYTES(late.page, PAGE)));
	CHECK_EQ(op.client_flags, 5);
	CHECK(!memcmp(late.page, "changed", 7));
	HOLDS_NOT("key");
	pthread_join(late.thread, NULL);
}

TEST(set_whose_value_comes_late_sets_it)
{
	struct late_page late;

	set_key("a value");
	late_page_init(&late, change_then_bring);
	WORKS(OP(SET, "key", BYTES(late.page, 10)));
	HOLDS("key", "late bytes");
	CHECK_EQ(WORKS(OP(STAT, "key")).client_flags, 0);
	pthread_join(late.thread, NULL);
}

TEST(set_if_version_whose_value_comes_late_is_estale)
{
	struct late_page late;

	set_key("a value");
	late_page_init(&late, change_then_bring);
	FAILS(ESTALE, OP(SET, "key", BYTES(late.page, 10), .flags = KCACHE_IF_VERSION,
			 .version = key_version));
	HOLDS("key", "changed");
	pthread_join(late.thread, NULL);
}

TEST(set_if_absent_whose_value_comes_late_is_eexist)
{
	struct late_page late;

	late_page_init(&late, change_then_bring);
	FAILS(EEXIST, OP(SET, "key", BYTES(late.page, 10), .flags = KCACHE_IF_ABSENT));
	HOLDS("key", "changed");
	pthread_join(late.thread, NULL);
}

TEST(set_with_return_old_whose_buffer_comes_late_gives_what_it_replaces)
{
	struct late_page late;

	set_key("a value");
	late_page_init(&late, change_then_bring);
	CHECK_EQ(WORKS(OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD,
			  INTO_BYTES(late.page, PAGE))).out_len, 7);
	CHECK(!memcmp(late.page, "changed", 7));
	HOLDS("key", "new");
	pthread_join(late.thread, NULL);
}

TEST(append_whose_value_comes_late_extends_what_is_there_then)
{
	struct late_page late;

	set_key("a value");
	late_page_init(&late, change_then_bring);
	CHECK_EQ(WORKS(OP(APPEND, "key", BYTES(late.page, 10))).out_len, 17);
	HOLDS("key", "changedlate bytes");
	CHECK_EQ(WORKS(OP(STAT, "key")).client_flags, 5);
	pthread_join(late.thread, NULL);
}

static void remove_then_bring(struct late_page *late)
{
	WORKS(OP(REMOVE, "key"));
	bring_page(late, "late bytes");
}

TEST(entry_that_goes_while_a_buffer_is_waited_for_is_enoent)
{
	struct late_page late[4];

	set_key("a value");
	late_page_init(&late[0], remove_then_bring);
	FAILS(ENOENT, OP(GET, "key", INTO_BYTES(late[0].page, PAGE)));
	set_key("a value");
	late_page_init(&late[1], remove_then_bring);
	FAILS(ENOENT, OP(POP, "key", INTO_BYTES(late[1].page, PAGE)));
	set_key("a value");
	late_page_init(&late[2], remove_then_bring);
	FAILS(ENOENT, OP(APPEND, "key", BYTES(late[2].page, 10)));
	set_key("a value");
	late_page_init(&late[3], remove_then_bring);
	FAILS(ENOENT, OP(SET, "key", BYTES(late[3].page, 10), .flags = KCACHE_IF_PRESENT));
	HOLDS_NOT("key");
}

/* -------- signals -------- */

static volatile int *progress;	/* in shared memory */

static void set_large_values_for_ever(int nr)
{
	char *value = malloc(MIB);
	__u32 i;

	(void)nr;
	for (i = 0;; i++) {
		memset(value, i, MIB - (i % 64) * KIB);
		WORKS(OP(SET, "large", BYTES(value, MIB - (i % 64) * KIB), .client_flags = i));
		(*progress)++;
	}
}

TEST(process_killed_while_it_sets_large_values_leaves_a_whole_one)
{
	char *out = malloc(MIB);
	int round, status;

	progress = shared_memory(sizeof(*progress));
	set_neighbours();
	for (round = 0; round < 15; round++) {
		struct kcache_op op;
		pid_t pid;
		__u64 i;

		*progress = 0;
		pid = start_process(set_large_values_for_ever, 0);
		while (*progress < 2 + round)
			milliseconds_pass(1);
		MUST(kill(pid, SIGKILL));
		MUST(waitpid(pid, &status, 0));
		CHECK(WIFSIGNALED(status));
		op = WORKS(OP(GET, "large", INTO_BYTES(out, MIB)));
		CHECK_EQ(op.out_len, MIB - (op.client_flags % 64) * KIB);
		for (i = 0; i < op.out_len; i += 61)
			CHECK_EQ((unsigned char)out[i], op.client_flags & 0xff);
	}
	WORKS(OP(REMOVE, "large"));
	check_neighbours();
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK_EQ(sysfs_number("stats/bytes_live"), 0);
}

static void on_alarm(int nr)
{
	(void)nr;
}

TEST(signals_interrupt_no_operation_in_the_middle)
{
	struct sigaction action = { .sa_handler = on_alarm };	/* no SA_RESTART */
	struct itimerval interval = { .it_interval.tv_usec = 1000, .it_value.tv_usec = 1000 };
	char *value = malloc(512 * KIB), *out = malloc(512 * KIB);
	int i, err;

	set_neighbours();
	MUST(sigaction(SIGVTALRM, &action, NULL));
	MUST(setitimer(ITIMER_VIRTUAL, &interval, NULL));
	MUST(sigaction(SIGPROF, &action, NULL));
	MUST(setitimer(ITIMER_PROF, &interval, NULL));
	for (i = 0; i < 300; i++) {
		struct kcache_op op = OP(SET, "key", BYTES(value, 512 * KIB));

		memset(value, i, 512 * KIB);
		err = run(&op);
		CHECK(!err || err == -EINTR);
		if (err)
			continue;
		op = OP(GET, "key", INTO_BYTES(out, 512 * KIB));
		if (i % 2)
			op.opcode = KCACHE_OP_POP;
		err = run(&op);
		CHECK(!err || err == -EINTR);
		if (!err)
			CHECK(!memcmp(out, value, 512 * KIB));
	}
	check_neighbours();
}

/* -------- descriptors in strange hands -------- */

static void send_fd(int socket, int fd)
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
	CHECK_EQ(sendmsg(socket, &message, 0), 1);
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec vec = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	CHECK_EQ(recvmsg(socket, &message, 0), 1);
	CHECK(CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static int pair[2];

/* A stranger may do with a descriptor what it was opened for, and no more. */
static void use_passed_descriptors(int nr)
{
	int reader, writer, both;
	struct kcache_op op;
	char out[32];

	(void)nr;
	close(cache);
	MUST(setresgid(65534, 65534, 65534));
	MUST(setresuid(65534, 65534, 65534));
	CHECK_REFUSED(open(DEVICE, O_RDONLY), EACCES);
	reader = receive_fd(pair[1]);
	writer = receive_fd(pair[1]);
	both = receive_fd(pair[1]);

	op = OP(GET, "key", INTO(out));
	CHECK_ERR(run_on(reader, &op), 0);
	CHECK(!memcmp(out, "value", 5));
	CHECK_ERR(run_on(writer, &op), EBADF);
	op = OP(SET, "key", VALUE("new"));
	CHECK_ERR(run_on(reader, &op), EBADF);
	CHECK_ERR(run_on(writer, &op), 0);
	op = OP(POP, "key", INTO(out));
	CHECK_ERR(run_on(reader, &op), EBADF);
	CHECK_ERR(run_on(writer, &op), EBADF);
	CHECK_ERR(run_on(both, &op), 0);
	CHECK(!memcmp(out, "new", 3));
	CHECK_REFUSED(ioctl(reader, KCACHE_IOC_FLUSH, 0), EBADF);
	CHECK_REFUSED(ioctl(writer, KCACHE_IOC_FLUSH, 0), EPERM);
	CHECK_REFUSED(ioctl(both, KCACHE_IOC_FLUSH, 0), EPERM);
	/* Opened anew through /proc it is the file's mode that counts. */
	snprintf(out, sizeof(out), "/proc/self/fd/%d", reader);
	CHECK_REFUSED(open(out, O_RDWR), EACCES);
}

TEST(descriptor_that_is_passed_on_keeps_its_rights)
{
	pid_t pid;

	set_key("value");
	set_neighbours();
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = start_process(use_passed_descriptors, 0);
	send_fd(pair[0], MUST(open(DEVICE, O_RDONLY)));
	send_fd(pair[0], MUST(open(DEVICE, O_WRONLY)));
	send_fd(pair[0], MUST(open(DEVICE, O_RDWR)));
	end_process(pid);
	HOLDS_NOT("key");
	check_neighbours();
}

static void outlive_the_opener(int nr)
{
	(void)nr;
	WORKS(OP(SET, "child", VALUE("value")));
	HOLDS("key", "value");
}

TEST(forked_child_uses_the_descriptor_it_inherited)
{
	set_key("value");
	end_process(start_process(outlive_the_opener, 0));
	HOLDS("child", "value");
}

TEST(file_flags_cannot_give_a_descriptor_more_rights)
{
	int fd = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC));
	struct kcache_op op = OP(SET, "key", VALUE("value"));

	MUST(fcntl(fd, F_SETFL, O_RDWR | O_APPEND | O_NONBLOCK));
	CHECK_ERR(run_on(fd, &op), EBADF);
	HOLDS_NOT("key");
}

TEST(memory_of_the_device_cannot_be_mapped_writable)
{
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, cache, 0) == MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, cache, 1 << 20) == MAP_FAILED);
}

/* -------- allocations that fail -------- */

static bool set_debug(const char *name, const char *value)
{
	char path[128];
	int fd, len = strlen(value);
	bool is_done;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	is_done = fd >= 0 && write(fd, value, len) == len;
	close(fd);
	return is_done;
}

/* Lets all allocations fail that fail-nth picks, however they ask. */
static void arm_failures(bool with_user_copies)
{
	if (access("/proc/self/fail-nth", W_OK))
		SKIP("this kernel has no fault injection");
	CHECK(set_debug("failslab/ignore-gfp-wait", "N"));
	CHECK(set_debug("fail_page_alloc/ignore-gfp-wait", "N"));
	CHECK(set_debug("fail_page_alloc/ignore-gfp-highmem", "N"));
	CHECK(set_debug("fail_page_alloc/min-order", "0"));
	set_debug("failslab/verbose", "0");
	set_debug("fail_page_alloc/verbose", "0");
	set_debug("fail_usercopy/verbose", "0");
	/* fail-nth minds the stack: nothing is called from between 1 and 2 */
	CHECK(set_debug("fail_usercopy/require-start", with_user_copies ? "0" : "1"));
	CHECK(set_debug("fail_usercopy/require-end", with_user_copies ? "0xffffffffffffffff" : "2"));
}

static int fail_nth_fd;

static int fail_nth(int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	return pwrite(fail_nth_fd, text, len, 0) == len ? 0 : -errno;
}

/* Did it come to the failure? If not, it comes here, where user copies are made too. */
static bool has_failed(void)
{
	char text[16] = "";
	bool it_has = pread(fail_nth_fd, text, sizeof(text) - 1, 0) > 0 && !atoi(text);

	while (fail_nth(0))
		;
	return it_has;
}

#define NR_SWEPT	14

/* Operations that need memory, one way or the other; 0 or -errno. */
static int do_swept(int which, char *memory)
{
	static const int flags[] = { O_RDONLY, O_RDWR };
	struct kcache_op op;
	int fd, err = 0;

	switch (which) {
	case 0: op = OP(SET, "key", VALUE("new")); break;
	case 1: op = OP(SET, "new", VALUE("new"), .ttl_ms = 500000); break;
	case 2: op = OP(SET, "key", BYTES(memory, MIB)); break;
	case 3: op = OP(SET, "key", BYTES(memory, 30000)); break;
	case 4: op = OP(APPEND, "key", BYTES(memory, MIB)); break;
	case 5: op = OP(PREPEND, "key", BYTES(memory, 600)); break;
	case 6: op = OP(ADD, "key", .delta = LLONG_MAX - 5); break;
	case 7: op = OP(ADD, "new", .number = 5, .flags = KCACHE_INITIAL); break;
	case 8: op = OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD, INTO_BYTES(memory, 100)); break;
	case 9: op = OP(GET, "key", INTO_BYTES(memory, 100)); break;
	case 10: op = OP(POP, "key", INTO_BYTES(memory, 100)); break;
	case 11:
	case 12:
		fd = open(DEVICE, flags[which - 11] | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (which == 11)
			err = read(fd, memory, MIB) < 0 ? -errno : 0;
		else
			err = write(fd, "new line\n", 9) < 0 ? -errno : 0;
		close(fd);
		return err;
	default:
		return ioctl(cache, KCACHE_IOC_FLUSH, 0) < 0 ? -errno : 0;
	}
	return run(&op);
}

/* All are as they were, or have been evicted. */
static void check_neighbours_left(unsigned long long evicted)
{
	char key[32], value[NR_NEIGHBOURS * NR_NEIGHBOURS + 16];
	unsigned long long gone = 0;
	int i;

	for (i = 0; i < NR_NEIGHBOURS; i++) {
		struct kcache_op op;

		neighbour(i, key, value);
		op = OP(STAT, key);
		if (run(&op) == -ENOENT)
			gone++;
		else
			HOLDS(key, value);
	}
	CHECK(gone <= evicted);
}

static void sweep_failures(bool with_user_copies)
{
	char *memory = malloc(MIB);
	int which, nth, nr_told, err;

	arm_failures(with_user_copies);
	fail_nth_fd = MUST(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC));
	memset(memory, 'm', MIB);
	for (which = 0; which < NR_SWEPT; which++) {
		for (nth = 1, nr_told = 0;; nth++, nr_told += !!err) {
			unsigned long long evicted;

			CASE("operation %d, failure %d", which, nth);
			CHECK(nth < 1000);
			MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
			set_neighbours();
			set_key("5");
			evicted = sysfs_number("stats/evictions");
			MUST(madvise((char *)((uintptr_t)memory & -PAGE) + PAGE, MIB - PAGE, MADV_DONTNEED));
			CHECK_ERR(fail_nth(nth), 0);
			err = do_swept(which, memory);
			if (!has_failed()) {
				CHECK_ERR(err, 0);
				break;
			}
			evicted = sysfs_number("stats/evictions") - evicted;
			CASE("operation %d, failure %d: %s, %llu evicted", which, nth, ktap_errno(-err), evicted);
			CHECK(!err || err == -ENOSPC || err == -EFAULT || (evicted && err == -ENOENT) ||
			      (which >= 11 && err == -ENOMEM));
			if (which == NR_SWEPT - 1)
				continue;
			if (err && !with_user_copies) {
				HOLDS_NOT("new");
				if (!evicted)
					check_key("5");
			}
			check_neighbours_left(evicted);
		}
		NOTE("operation %d: %d failures, of which %d failed it", which, nth - 1, nr_told);
	}
}

TEST(allocation_that_fails_fails_the_operation_and_changes_nothing)
{
	sweep_failures(false);
}

TEST(user_copy_that_fails_hurts_no_other_entry)
{
	sweep_failures(true);
}

static int make_it_fail_fd;	/* it cannot be opened any more once it works */

static void make_it_fail(bool all)
{
	CHECK_EQ(pwrite(make_it_fail_fd, all ? "1" : "0", 1, 0), 1);
}

/* From here on make_it_fail() lets every allocation of this process fail. */
static void arm_all_failures(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc" };
	static const char *const settings[][2] = {
		{ "task-filter", "Y" }, { "probability", "100" }, { "interval", "1" }, { "times", "-1" },
		{ "space", "0" },
	};
	char name[64];
	size_t k, i;

	arm_failures(false);
	make_it_fail_fd = MUST(open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC));
	for (k = 0; k < NR(kinds); k++)
		for (i = 0; i < NR(settings); i++) {
			snprintf(name, sizeof(name), "%s/%s", kinds[k], settings[i][0]);
			CHECK(set_debug(name, settings[i][1]));
		}
}

TEST(set_without_any_memory_is_enospc_and_told_in_no_space)
{
	unsigned long long before = sysfs_number("stats/no_space");
	char *memory = malloc(MIB);
	struct kcache_op small, large, initial;
	int errors[3];

	arm_all_failures();
	memset(memory, 'm', MIB);
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	small = OP(SET, "key", VALUE("value"));
	large = OP(SET, "key", BYTES(memory, MIB));
	initial = OP(ADD, "key", .number = 5, .flags = KCACHE_INITIAL, .version = 7);
	make_it_fail(true);
	errors[0] = run(&small);
	errors[1] = run(&large);
	errors[2] = run(&initial);
	make_it_fail(false);
	CHECK_ERR(errors[0], ENOSPC);
	CHECK_ERR(errors[1], ENOSPC);
	CHECK_ERR(errors[2], ENOSPC);
	CHECK_EQ(initial.version, 7);
	CHECK_EQ(initial.number, 5);
	CHECK_EQ(sysfs_number("stats/no_space"), before + 3);
	CHECK_EQ(sysfs_number("stats/entries"), 0);
	WORKS(OP(SET, "key", VALUE("value")));
	HOLDS("key", "value");
}

/* It makes room in what it has. */
TEST(full_cache_goes_on_without_any_more_memory)
{
	char *memory = malloc(MIB), key[16];
	int i, err = 0;

	arm_all_failures();
	memset(memory, 'm', MIB);
	for (i = 0; i < 800; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, BYTES(memory, 100 * KIB)));
	}
	make_it_fail(true);
	for (i = 0; i < 2000 && !err; i++) {
		struct kcache_op op;

		snprintf(key, sizeof(key), "key%d", i);
		op = OP(SET, key, BYTES(memory, 50000 + i));
		err = run(&op);
	}
	make_it_fail(false);
	CASE("round %d", i);
	CHECK_ERR(err, 0);
	HOLDS_ON("key1999", 7, memory, 51999);
	CHECK(sysfs_number("stats/entries") > 100);
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
