// SPDX-License-Identifier: GPL-2.0
/*
 * What each operation does, through the ioctl of the real device: opcodes, flags,
 * conditions, errors, results. Every errno of the contract is somewhere here or in
 * hostile_test.c; that an operation writes no field but those that it names, and
 * none if it fails, is checked by WORKS() and FAILS() each time.
 *
 * Built with -m32 too: the layout is the same for a 32-bit caller.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <limits.h>
#include <sys/stat.h>

#define KIB	1024
#define MIB	(1024 * KIB)

/* Values whose every byte depends on its place and on @seed. */
static void *pattern(size_t len, unsigned int seed)
{
	unsigned char *bytes = malloc(len + 1);
	size_t i;

	CHECK(bytes);
	for (i = 0; i < len; i++)
		bytes[i] = seed + i + (i >> 8) * 31 + (i >> 16) * 57;
	return bytes;
}

static struct kcache_op stat_of(const char *key)
{
	return WORKS(OP(STAT, key));
}

static void set(const char *key, const char *value)
{
	WORKS(OP(SET, key, VALUE(value)));
}

/* An entry that is still linked, but whose time is up. */
static void set_expired(const char *key, const char *value)
{
	WORKS(OP(SET, key, VALUE(value), .ttl_ms = 1));
	time_passes();
}

static unsigned long long value_max(void)
{
	return sysfs_number("limits/value_max");
}

/* -------- the struct -------- */

TEST(struct_has_the_layout_of_the_contract)
{
	CHECK_EQ(sizeof(struct kcache_op), KCACHE_OP_SIZE_VER0);
	CHECK_EQ(sizeof(struct kcache_batch), KCACHE_BATCH_SIZE_VER0);
	CHECK_EQ(sizeof(struct kcache_info), KCACHE_INFO_SIZE_VER1);
	CHECK_EQ(KCACHE_OP_SIZE_VER0, 96);
	CHECK_EQ(KCACHE_BATCH_SIZE_VER0, 24);
	CHECK_EQ(KCACHE_INFO_SIZE_VER0, 72);
	CHECK_EQ(KCACHE_INFO_SIZE_VER1, 88);
	CHECK_EQ(offsetof(struct kcache_op, key), 16);
	CHECK_EQ(offsetof(struct kcache_op, delta), 48);
	CHECK_EQ(offsetof(struct kcache_op, out_len), 56);
	CHECK_EQ(offsetof(struct kcache_op, error), 92);
	CHECK_EQ(offsetof(struct kcache_batch, ops), 8);
	CHECK_EQ(offsetof(struct kcache_batch, done), 20);
	CHECK_EQ(offsetof(struct kcache_info, name), 40);
	CHECK_EQ(offsetof(struct kcache_info, map_bytes), 72);
	CHECK_EQ(offsetof(struct kcache_info, clock_offset_ns), 80);
	CHECK_EQ(KCACHE_IOC_OP, 0xe810);
	CHECK_EQ(KCACHE_IOC_INFO, 0xe811);
	CHECK_EQ(KCACHE_IOC_FLUSH, 0xe812);
	CHECK_EQ(KCACHE_IOC_BATCH, 0xe813);
	CHECK_EQ(KCACHE_IOC_HINTS, 0xe814);
	CHECK_EQ(KCACHE_IOC_TAKE_HINTS, 0xe815);
}

/* The op of @opcode with garbage in every field that it does not name. */
static struct kcache_op poisoned(struct kcache_op op)
{
	bool takes_value = op.opcode == KCACHE_OP_SET || op.opcode == KCACHE_OP_APPEND ||
		op.opcode == KCACHE_OP_PREPEND;
	bool gives_value = op.opcode == KCACHE_OP_GET || op.opcode == KCACHE_OP_POP ||
		op.flags & KCACHE_RETURN_OLD;
	bool takes_ttl = op.opcode == KCACHE_OP_SET || op.opcode == KCACHE_OP_TOUCH ||
		op.flags & (KCACHE_TOUCH | KCACHE_INITIAL);

	if (!takes_value) {
		op.value = 0xdeadbeefdeadbeefULL;
		op.value_len = 0xfeedfacefeedfaceULL;
	}
	if (!gives_value) {
		op.out = 0xdeadbeefdeadbeefULL;
		op.out_len = 0xfeedfacefeedfaceULL;
	}
	if (!takes_ttl)
		op.ttl_ms = 0xfeedfacefeedfaceULL;
	if (op.opcode != KCACHE_OP_ADD)
		op.delta = LLONG_MIN;
	if (!(op.flags & KCACHE_INITIAL))
		op.number = LLONG_MAX;
	if (!(op.flags & KCACHE_IF_VERSION))
		op.version = 0xabadcafeabadcafeULL;
	if (op.opcode != KCACHE_OP_SET && !(op.flags & KCACHE_INITIAL))
		op.client_flags = 0xbadf00d;
	return op;
}

TEST(fields_that_an_opcode_does_not_name_are_neither_read_nor_written)
{
	char out[16];

	set("key", "7");
	WORKS(poisoned(OP(STAT, "key")));
	WORKS(poisoned(OP(GET, "key", INTO(out))));
	WORKS(poisoned(OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH, .ttl_ms = 100000)));
	WORKS(poisoned(OP(TOUCH, "key")));
	WORKS(poisoned(OP(ADD, "key", .delta = 1)));
	HOLDS("key", "8");
	WORKS(poisoned(OP(ADD, "new", .delta = 1, .flags = KCACHE_INITIAL, .number = 5)));
	HOLDS("new", "5");
	WORKS(poisoned(OP(SET, "key", VALUE("9"))));
	WORKS(poisoned(OP(SET, "key", VALUE("9"), .flags = KCACHE_IF_PRESENT)));
	WORKS(poisoned(OP(SET, "key", VALUE("9"), .flags = KCACHE_RETURN_OLD, INTO(out))));
	WORKS(poisoned(OP(SET, "key", VALUE("9"), .flags = KCACHE_KEEP_TTL)));
	CHECK_EQ(stat_of("key").ttl_ms, 0);
	CHECK_EQ(stat_of("key").client_flags, 0);
	WORKS(poisoned(OP(APPEND, "key", VALUE("x"))));
	WORKS(poisoned(OP(PREPEND, "key", VALUE("y"))));
	HOLDS("key", "y9x");
	WORKS(poisoned(OP(POP, "key", INTO(out))));
	set("key", "7");
	WORKS(poisoned(OP(REMOVE, "key")));
	HOLDS_NOT("key");
}

TEST(unnamed_fields_of_an_operation_that_fails_are_not_read_either)
{
	char out[1];

	FAILS(ENOENT, poisoned(OP(GET, "key", INTO(out))));
	FAILS(ENOENT, poisoned(OP(POP, "key", INTO(out))));
	FAILS(ENOENT, poisoned(OP(STAT, "key")));
	FAILS(ENOENT, poisoned(OP(TOUCH, "key")));
	FAILS(ENOENT, poisoned(OP(REMOVE, "key")));
	FAILS(ENOENT, poisoned(OP(ADD, "key", .delta = 1)));
	FAILS(ENOENT, poisoned(OP(APPEND, "key", VALUE("x"))));
	FAILS(ENOENT, poisoned(OP(PREPEND, "key", VALUE("x"))));
	FAILS(ENOENT, poisoned(OP(SET, "key", VALUE("x"), .flags = KCACHE_IF_PRESENT)));
	set("key", "long");
	FAILS(EMSGSIZE, poisoned(OP(GET, "key", INTO(out))));
	FAILS(EMSGSIZE, poisoned(OP(POP, "key", INTO(out))));
	FAILS(ERANGE, poisoned(OP(ADD, "key", .delta = 1)));
	FAILS(EEXIST, poisoned(OP(SET, "key", VALUE("x"), .flags = KCACHE_IF_ABSENT)));
	FAILS(ESTALE, poisoned(OP(REMOVE, "key", .flags = KCACHE_IF_VERSION)));
	FAILS(ESTALE, poisoned(OP(APPEND, "key", VALUE("x"), .flags = KCACHE_IF_VERSION)));
	HOLDS("key", "long");
}

/* -------- GET -------- */

TEST(get_of_missing_key_is_enoent)
{
	char out[8] = "before";

	FAILS(ENOENT, OP(GET, "key", INTO(out)));
	CHECK(!strcmp(out, "before"));
}

TEST(get_tells_value_length_version_ttl_and_flags)
{
	struct kcache_op set_op = WORKS(OP(SET, "key", VALUE("value"), .client_flags = 0xdeadbeef));
	char out[16] = "----------";
	struct kcache_op op = WORKS(OP(GET, "key", INTO(out), .ttl_ms = 5, .version = 5));

	CHECK(!memcmp(out, "value-----", 11));
	CHECK_EQ(op.out_len, 5);
	CHECK_EQ(op.version, set_op.version);
	CHECK_EQ(op.ttl_ms, 0);
	CHECK_EQ(op.client_flags, 0xdeadbeef);
}

TEST(get_with_buffer_of_exactly_the_length)
{
	char out[] = "------";

	set("key", "value");
	WORKS(OP(GET, "key", INTO_BYTES(out, 5)));
	CHECK(!strcmp(out, "value-"));
}

TEST(get_with_small_buffer_is_emsgsize_and_tells_the_length)
{
	char out[] = "------";
	int len;

	set("key", "value");
	for (len = 0; len < 5; len++) {
		CHECK_EQ(FAILS(EMSGSIZE, OP(GET, "key", INTO_BYTES(out, len))).out_len, 5);
		CHECK(!strcmp(out + len, "------" + len));
	}
	CHECK_EQ(FAILS(EMSGSIZE, OP(GET, "key")).out_len, 5);
	HOLDS("key", "value");
}

TEST(empty_value_needs_no_buffer)
{
	char out[] = "-";

	WORKS(OP(SET, "key"));
	CHECK_EQ(WORKS(OP(GET, "key")).out_len, 0);
	CHECK_EQ(WORKS(OP(GET, "key", INTO_BYTES(out, 1))).out_len, 0);
	CHECK(!strcmp(out, "-"));
	CHECK_EQ(stat_of("key").out_len, 0);
	CHECK_EQ(WORKS(OP(POP, "key")).out_len, 0);
	HOLDS_NOT("key");
}

TEST(get_tells_the_ttl_that_is_left)
{
	struct kcache_op op;
	char out[8];

	WORKS(OP(SET, "key", VALUE("value"), .ttl_ms = 1000000));
	op = WORKS(OP(GET, "key", INTO(out)));
	CHECK(op.ttl_ms >= 1 && op.ttl_ms <= 1000000);
	milliseconds_pass(5);
	CHECK(WORKS(OP(GET, "key", INTO(out))).ttl_ms < op.ttl_ms);
	CHECK(stat_of("key").ttl_ms < op.ttl_ms);
	CHECK(WORKS(OP(POP, "key", INTO(out))).ttl_ms < op.ttl_ms);
}

TEST(get_does_not_change_the_version)
{
	__u64 version = WORKS(OP(SET, "key", VALUE("value"))).version;
	char out[8];

	CHECK_EQ(WORKS(OP(GET, "key", INTO(out))).version, version);
	CHECK_EQ(WORKS(OP(GET, "key", INTO(out))).version, version);
	FAILS(EMSGSIZE, OP(GET, "key"));
	CHECK_EQ(stat_of("key").version, version);
}

TEST(get_with_touch_sets_the_expiry_and_tells_it)
{
	__u64 version = WORKS(OP(SET, "key", VALUE("value"))).version;
	struct kcache_op op;
	char out[8];

	op = WORKS(OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH, .ttl_ms = 500000));
	CHECK(!memcmp(out, "value", 5));
	CHECK(op.ttl_ms >= 1 && op.ttl_ms <= 500000);
	CHECK(op.version != version);
	CHECK_EQ(stat_of("key").version, op.version);
	CHECK(stat_of("key").ttl_ms >= 1 && stat_of("key").ttl_ms <= 500000);

	op = WORKS(OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH, .ttl_ms = 0));
	CHECK_EQ(op.ttl_ms, 0);
	CHECK_EQ(stat_of("key").ttl_ms, 0);
}

TEST(get_with_touch_of_a_short_ttl_expires_the_entry)
{
	char out[8];

	set("key", "value");
	WORKS(OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH, .ttl_ms = 1));
	time_passes();
	FAILS(ENOENT, OP(GET, "key", INTO(out)));
}

TEST(get_with_touch_that_fails_touches_nothing)
{
	char out[4];
	__u64 version = WORKS(OP(SET, "key", VALUE("value"))).version;

	FAILS(EMSGSIZE, OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH, .ttl_ms = 1));
	FAILS(EFAULT, OP(GET, "key", .out_len = 5, .flags = KCACHE_TOUCH, .ttl_ms = 1));
	time_passes();
	CHECK_EQ(stat_of("key").version, version);
	CHECK_EQ(stat_of("key").ttl_ms, 0);
	FAILS(ENOENT, OP(GET, "none", INTO(out), .flags = KCACHE_TOUCH, .ttl_ms = 1));
	HOLDS_NOT("none");
}

/* -------- SET -------- */

TEST(set_replaces_value_ttl_and_flags)
{
	struct kcache_op op;

	WORKS(OP(SET, "key", VALUE("a long value"), .ttl_ms = 500000, .client_flags = 5));
	WORKS(OP(SET, "key", VALUE("short")));
	HOLDS("key", "short");
	op = stat_of("key");
	CHECK_EQ(op.ttl_ms, 0);
	CHECK_EQ(op.client_flags, 0);
	WORKS(OP(SET, "key", VALUE("a longer value than that"), .client_flags = 7));
	HOLDS("key", "a longer value than that");
	CHECK_EQ(stat_of("key").client_flags, 7);
	CHECK_EQ(sysfs_number("stats/entries"), 1);
}

TEST(each_change_gives_a_version_that_was_not_there_before)
{
	__u64 seen[64];
	int nr = 0, i, j;
	char out[32];

	for (i = 0; i < 4; i++) {
		seen[nr++] = WORKS(OP(SET, "key", VALUE("1"))).version;
		seen[nr++] = WORKS(OP(SET, "other", VALUE("1"))).version;
		seen[nr++] = WORKS(OP(ADD, "key", .delta = 1)).version;
		seen[nr++] = WORKS(OP(ADD, "key", .delta = 1000000000)).version;
		seen[nr++] = WORKS(OP(APPEND, "key", VALUE("1"))).version;
		seen[nr++] = WORKS(OP(PREPEND, "key", VALUE("1"))).version;
		seen[nr++] = WORKS(OP(TOUCH, "key", .ttl_ms = 100000)).version;
		seen[nr++] = WORKS(OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH)).version;
		seen[nr++] = WORKS(OP(SET, "key", VALUE("1"), .flags = KCACHE_RETURN_OLD, INTO(out))).version;
		CHECK_EQ(stat_of("key").version, seen[nr - 1]);
		WORKS(OP(REMOVE, "key"));
		seen[nr++] = WORKS(OP(ADD, "key", .flags = KCACHE_INITIAL)).version;
		CHECK_EQ(WORKS(OP(POP, "key", INTO(out))).version, seen[nr - 1]);
	}
	for (i = 0; i < nr; i++)
		for (j = 0; j < i; j++)
			CHECK(seen[i] != seen[j]);
}

TEST(client_flags_of_all_bits_come_back)
{
	static const __u32 flags[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678 };
	char out[8];
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		WORKS(OP(SET, "key", VALUE("value"), .client_flags = flags[i]));
		CHECK_EQ(stat_of("key").client_flags, flags[i]);
		HOLDS("key", "value");
		CHECK_EQ(WORKS(OP(POP, "key", INTO(out))).client_flags, flags[i]);
	}
}

TEST(set_if_absent)
{
	WORKS(OP(SET, "key", VALUE("old"), .flags = KCACHE_IF_ABSENT));
	FAILS(EEXIST, OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_ABSENT, .ttl_ms = 1,
			 .client_flags = 3));
	time_passes();
	HOLDS("key", "old");
	CHECK_EQ(stat_of("key").client_flags, 0);
	WORKS(OP(REMOVE, "key"));
	WORKS(OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_ABSENT));
	HOLDS("key", "new");
}

TEST(set_if_present)
{
	FAILS(ENOENT, OP(SET, "key", VALUE("value"), .flags = KCACHE_IF_PRESENT));
	HOLDS_NOT("key");
	set("key", "old");
	WORKS(OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_PRESENT));
	HOLDS("key", "new");
}

TEST(set_if_version)
{
	__u64 version;

	FAILS(ENOENT, OP(SET, "key", VALUE("value"), .flags = KCACHE_IF_VERSION));
	HOLDS_NOT("key");
	version = WORKS(OP(SET, "key", VALUE("old"))).version;
	FAILS(ESTALE, OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_VERSION, .version = version + 1));
	FAILS(ESTALE, OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_VERSION, .version = 0));
	FAILS(ESTALE, OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_VERSION,
			 .version = version ^ 1ULL << 32));
	HOLDS("key", "old");
	CHECK_EQ(stat_of("key").version, version);
	WORKS(OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_VERSION, .version = version));
	HOLDS("key", "new");
	FAILS(ESTALE, OP(SET, "key", VALUE("newer"), .flags = KCACHE_IF_VERSION, .version = version));
	HOLDS("key", "new");
}

TEST(version_of_a_removed_entry_is_stale_for_the_next_one)
{
	__u64 version = WORKS(OP(SET, "key", VALUE("same"))).version;

	WORKS(OP(REMOVE, "key"));
	set("key", "same");
	FAILS(ESTALE, OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_VERSION, .version = version));
	FAILS(ESTALE, OP(REMOVE, "key", .flags = KCACHE_IF_VERSION, .version = version));
}

TEST(set_with_keep_ttl_keeps_the_expiry_of_the_entry)
{
	WORKS(OP(SET, "key", VALUE("old"), .ttl_ms = 500000, .client_flags = 1));
	WORKS(OP(SET, "key", VALUE("new"), .ttl_ms = 1, .flags = KCACHE_KEEP_TTL));
	time_passes();
	HOLDS("key", "new");
	CHECK(stat_of("key").ttl_ms > 1 && stat_of("key").ttl_ms <= 500000);
	CHECK_EQ(stat_of("key").client_flags, 0);

	set("key", "for ever");
	WORKS(OP(SET, "key", VALUE("still"), .ttl_ms = 1, .flags = KCACHE_KEEP_TTL));
	time_passes();
	CHECK_EQ(stat_of("key").ttl_ms, 0);

	WORKS(OP(SET, "key", VALUE("short"), .ttl_ms = 1));
	WORKS(OP(SET, "key", VALUE("other"), .ttl_ms = 500000));
	WORKS(OP(SET, "key", VALUE("third"), .flags = KCACHE_KEEP_TTL));
	CHECK(stat_of("key").ttl_ms > 1);
}

TEST(set_with_keep_ttl_of_a_missing_key_takes_its_own)
{
	WORKS(OP(SET, "key", VALUE("value"), .ttl_ms = 500000, .flags = KCACHE_KEEP_TTL));
	CHECK(stat_of("key").ttl_ms > 1 && stat_of("key").ttl_ms <= 500000);
	WORKS(OP(SET, "short", VALUE("value"), .ttl_ms = 1, .flags = KCACHE_KEEP_TTL));
	time_passes();
	HOLDS_NOT("short");
	WORKS(OP(SET, "short", VALUE("value"), .ttl_ms = 500000, .flags = KCACHE_KEEP_TTL));
	CHECK(stat_of("short").ttl_ms > 1);
}

TEST(set_with_return_old_gives_the_value_that_was)
{
	char out[16] = "---------";
	struct kcache_op op;

	set("key", "old");
	op = WORKS(OP(SET, "key", VALUE("newer"), .flags = KCACHE_RETURN_OLD, INTO(out)));
	CHECK_EQ(op.out_len, 3);
	CHECK(!strcmp(out, "old------"));
	HOLDS("key", "newer");
}

TEST(set_with_return_old_of_a_missing_key_says_absent)
{
	char out[] = "-----";

	CHECK_EQ(WORKS(OP(SET, "key", VALUE("value"), .flags = KCACHE_RETURN_OLD, INTO(out))).out_len,
		 KCACHE_ABSENT);
	CHECK(!strcmp(out, "-----"));
	HOLDS("key", "value");
	CHECK_EQ(WORKS(OP(SET, "other", VALUE("value"), .flags = KCACHE_RETURN_OLD)).out_len,
		 KCACHE_ABSENT);
}

TEST(set_with_return_old_of_an_empty_value_is_not_absent)
{
	WORKS(OP(SET, "key"));
	CHECK_EQ(WORKS(OP(SET, "key", VALUE("value"), .flags = KCACHE_RETURN_OLD)).out_len, 0);
}

TEST(set_with_return_old_and_small_buffer_is_emsgsize_and_changes_nothing)
{
	__u64 version = WORKS(OP(SET, "key", VALUE("value"), .client_flags = 1)).version;
	char out[4];

	CHECK_EQ(FAILS(EMSGSIZE, OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD,
				    INTO(out))).out_len, 5);
	CHECK_EQ(FAILS(EMSGSIZE, OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD)).out_len, 5);
	HOLDS("key", "value");
	CHECK_EQ(stat_of("key").version, version);
	CHECK_EQ(stat_of("key").client_flags, 1);
}

TEST(set_with_return_old_and_conditions)
{
	const __u32 old = KCACHE_RETURN_OLD;
	char out[16];
	__u64 version;

	FAILS(ENOENT, OP(SET, "key", VALUE("value"), .flags = old | KCACHE_IF_PRESENT, INTO(out)));
	FAILS(ENOENT, OP(SET, "key", VALUE("value"), .flags = old | KCACHE_IF_VERSION, INTO(out)));
	CHECK_EQ(WORKS(OP(SET, "key", VALUE("one"), .flags = old | KCACHE_IF_ABSENT,
			  INTO(out))).out_len, KCACHE_ABSENT);
	FAILS(EEXIST, OP(SET, "key", VALUE("value"), .flags = old | KCACHE_IF_ABSENT, INTO(out)));
	FAILS(ESTALE, OP(SET, "key", VALUE("value"), .flags = old | KCACHE_IF_VERSION, INTO(out)));
	version = WORKS(OP(SET, "key", VALUE("two"), .flags = old | KCACHE_IF_PRESENT | KCACHE_KEEP_TTL,
			   INTO(out))).version;
	CHECK(!memcmp(out, "one", 3));
	WORKS(OP(SET, "key", VALUE("three"), .flags = old | KCACHE_IF_VERSION, .version = version,
		 INTO(out)));
	CHECK(!memcmp(out, "two", 3));
	HOLDS("key", "three");
}

/* -------- expiry -------- */

TEST(set_with_short_ttl_then_get_is_enoent)
{
	char out[8];

	WORKS(OP(SET, "key", VALUE("value"), .ttl_ms = 1));
	time_passes();
	FAILS(ENOENT, OP(GET, "key", INTO(out)));
	FAILS(ENOENT, OP(GET, "key"));
	FAILS(ENOENT, OP(STAT, "key"));
}

TEST(expired_entry_is_absent_to_every_operation)
{
	char out[8];

	set_expired("get", "value");
	FAILS(ENOENT, OP(GET, "get", INTO(out)));
	FAILS(ENOENT, OP(GET, "get", INTO(out), .flags = KCACHE_TOUCH));
	set_expired("pop", "value");
	FAILS(ENOENT, OP(POP, "pop", INTO(out)));
	set_expired("pop", "value");
	FAILS(ENOENT, OP(POP, "pop"));
	set_expired("stat", "value");
	FAILS(ENOENT, OP(STAT, "stat"));
	set_expired("touch", "value");
	FAILS(ENOENT, OP(TOUCH, "touch"));
	set_expired("remove", "value");
	FAILS(ENOENT, OP(REMOVE, "remove"));
	set_expired("remove", "value");
	FAILS(ENOENT, OP(REMOVE, "remove", .flags = KCACHE_IF_VERSION));
	set_expired("add", "1");
	FAILS(ENOENT, OP(ADD, "add", .delta = 1));
	set_expired("append", "value");
	FAILS(ENOENT, OP(APPEND, "append", VALUE("x")));
	set_expired("prepend", "value");
	FAILS(ENOENT, OP(PREPEND, "prepend", VALUE("x")));
	set_expired("set", "value");
	FAILS(ENOENT, OP(SET, "set", VALUE("x"), .flags = KCACHE_IF_PRESENT));
	FAILS(ENOENT, OP(SET, "set", VALUE("x"), .flags = KCACHE_IF_VERSION));
	WORKS(OP(SET, "set", VALUE("new"), .flags = KCACHE_IF_ABSENT));
	HOLDS("set", "new");
	set_expired("old", "value");
	CHECK_EQ(WORKS(OP(SET, "old", VALUE("new"), .flags = KCACHE_RETURN_OLD, INTO(out))).out_len,
		 KCACHE_ABSENT);
	set_expired("keep", "value");
	WORKS(OP(SET, "keep", VALUE("new"), .flags = KCACHE_KEEP_TTL));
	CHECK_EQ(stat_of("keep").ttl_ms, 0);
	set_expired("number", "5");
	CHECK_EQ(WORKS(OP(ADD, "number", .delta = 1, .number = 9, .flags = KCACHE_INITIAL)).number, 9);
	HOLDS("number", "9");
}

TEST(expired_entries_leave_without_being_read)
{
	unsigned long long before = sysfs_number("stats/expirations");
	char key[16];
	int i;

	for (i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "short%d", i);
		WORKS(OP(SET, key, VALUE("value"), .ttl_ms = 1 + i));
		snprintf(key, sizeof(key), "long%d", i);
		WORKS(OP(SET, key, VALUE("value"), .ttl_ms = i % 2 ? 500000 : 0));
	}
	for (i = 0; sysfs_number("stats/entries") > 100; i++) {
		CHECK(i < 600);
		milliseconds_pass(100);
	}
	CHECK_EQ(sysfs_number("stats/entries"), 100);
	CHECK_EQ(sysfs_number("stats/expirations"), before + 100);
	for (i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "long%d", i);
		HOLDS(key, "value");
	}
}

TEST(longest_ttl_is_taken_and_one_more_is_einval)
{
	const __u64 max = KCACHE_TTL_MAX_MS;
	const __u64 over[] = { max + 1, 1ULL << 63, ~0ULL };
	char out[8];
	size_t i;

	WORKS(OP(SET, "key", VALUE("1"), .ttl_ms = max));
	CHECK(stat_of("key").ttl_ms <= max && stat_of("key").ttl_ms > max - 1000000);
	WORKS(OP(TOUCH, "key", .ttl_ms = max));
	WORKS(OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH, .ttl_ms = max));
	WORKS(OP(ADD, "new", .flags = KCACHE_INITIAL, .ttl_ms = max));
	for (i = 0; i < sizeof(over) / sizeof(over[0]); i++) {
		FAILS(EINVAL, OP(SET, "key", VALUE("x"), .ttl_ms = over[i]));
		FAILS(EINVAL, OP(SET, "key", VALUE("x"), .ttl_ms = over[i], .flags = KCACHE_KEEP_TTL));
		FAILS(EINVAL, OP(TOUCH, "key", .ttl_ms = over[i]));
		FAILS(EINVAL, OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH, .ttl_ms = over[i]));
		FAILS(EINVAL, OP(ADD, "key", .flags = KCACHE_INITIAL, .ttl_ms = over[i]));
	}
	HOLDS("key", "1");
}

/* -------- REMOVE, POP, STAT, TOUCH -------- */

TEST(remove_takes_the_entry_out)
{
	set("key", "value");
	set("other", "value");
	WORKS(OP(REMOVE, "key"));
	HOLDS_NOT("key");
	FAILS(ENOENT, OP(REMOVE, "key"));
	HOLDS("other", "value");
}

TEST(remove_if_version)
{
	__u64 version;

	FAILS(ENOENT, OP(REMOVE, "key", .flags = KCACHE_IF_VERSION));
	version = WORKS(OP(SET, "key", VALUE("value"))).version;
	FAILS(ESTALE, OP(REMOVE, "key", .flags = KCACHE_IF_VERSION, .version = version - 1));
	HOLDS("key", "value");
	WORKS(OP(REMOVE, "key", .flags = KCACHE_IF_VERSION, .version = version));
	HOLDS_NOT("key");
}

TEST(pop_gives_the_entry_and_takes_it_out)
{
	char out[16] = "----------";
	struct kcache_op op, before;

	before = WORKS(OP(SET, "key", VALUE("value"), .ttl_ms = 500000, .client_flags = 9));
	op = WORKS(OP(POP, "key", INTO(out)));
	CHECK(!strcmp(out, "value-----"));
	CHECK_EQ(op.out_len, 5);
	CHECK_EQ(op.version, before.version);
	CHECK_EQ(op.client_flags, 9);
	CHECK(op.ttl_ms >= 1 && op.ttl_ms <= 500000);
	HOLDS_NOT("key");
	FAILS(ENOENT, OP(POP, "key", INTO(out)));
}

TEST(pop_with_small_buffer_is_emsgsize_and_removes_nothing)
{
	__u64 version = WORKS(OP(SET, "key", VALUE("value"))).version;
	char out[4];

	CHECK_EQ(FAILS(EMSGSIZE, OP(POP, "key", INTO(out))).out_len, 5);
	CHECK_EQ(FAILS(EMSGSIZE, OP(POP, "key")).out_len, 5);
	HOLDS("key", "value");
	CHECK_EQ(stat_of("key").version, version);
}

TEST(stat_tells_what_get_tells_without_the_value)
{
	struct kcache_op op, before;

	FAILS(ENOENT, OP(STAT, "key"));
	before = WORKS(OP(SET, "key", VALUE("value"), .ttl_ms = 500000, .client_flags = 9));
	op = WORKS(OP(STAT, "key"));
	CHECK_EQ(op.out_len, 5);
	CHECK_EQ(op.version, before.version);
	CHECK_EQ(op.client_flags, 9);
	CHECK(op.ttl_ms >= 1 && op.ttl_ms <= 500000);
}

TEST(touch_sets_the_expiry_only)
{
	struct kcache_op op, before;

	FAILS(ENOENT, OP(TOUCH, "key", .ttl_ms = 5));
	HOLDS_NOT("key");
	before = WORKS(OP(SET, "key", VALUE("value"), .client_flags = 9));
	op = WORKS(OP(TOUCH, "key", .ttl_ms = 500000));
	CHECK(op.version != before.version);
	before = stat_of("key");
	CHECK_EQ(before.version, op.version);
	CHECK(before.ttl_ms >= 1 && before.ttl_ms <= 500000);
	CHECK_EQ(before.client_flags, 9);
	HOLDS("key", "value");
	WORKS(OP(TOUCH, "key"));
	CHECK_EQ(stat_of("key").ttl_ms, 0);
	WORKS(OP(TOUCH, "key", .ttl_ms = 1));
	time_passes();
	HOLDS_NOT("key");
}

/* -------- ADD -------- */

TEST(add_gives_the_sum)
{
	static const struct { const char *value; __s64 delta; const char *sum; } table[] = {
		{ "0", 0, "0" },
		{ "0", 1, "1" },
		{ "0", -1, "-1" },
		{ "-1", 1, "0" },
		{ "9", 1, "10" },
		{ "10", -1, "9" },
		{ "-9", -1, "-10" },
		{ "99", 1, "100" },
		{ "99999999", 1, "100000000" },
		{ "0", LLONG_MAX, "9223372036854775807" },
		{ "0", LLONG_MIN, "-9223372036854775808" },
		{ "9223372036854775806", 1, "9223372036854775807" },
		{ "9223372036854775807", 0, "9223372036854775807" },
		{ "9223372036854775807", LLONG_MIN, "-1" },
		{ "-9223372036854775808", LLONG_MAX, "-1" },
		{ "-9223372036854775808", 0, "-9223372036854775808" },
		{ "-9223372036854775807", -1, "-9223372036854775808" },
		{ "9223372036854775807", -LLONG_MAX, "0" },
		{ "1000000000000000000", -999999999999999999, "1" },
	};
	struct kcache_op op;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		CASE("%s + %lld", table[i].value, (long long)table[i].delta);
		WORKS(OP(SET, "key", VALUE(table[i].value), .ttl_ms = 500000, .client_flags = 3));
		op = WORKS(OP(ADD, "key", .delta = table[i].delta));
		CHECK_EQ(op.number, atoll(table[i].sum));
		HOLDS("key", table[i].sum);
		CHECK_EQ(stat_of("key").version, op.version);
		CHECK_EQ(stat_of("key").client_flags, 3);
		CHECK(stat_of("key").ttl_ms > 1 && stat_of("key").ttl_ms <= 500000);
		CHECK_EQ(stat_of("key").out_len, strlen(table[i].sum));
	}
}

TEST(add_past_64_bits_is_erange_and_changes_nothing)
{
	static const struct { const char *value; __s64 delta; } table[] = {
		{ "9223372036854775807", 1 },
		{ "9223372036854775807", LLONG_MAX },
		{ "1", LLONG_MAX },
		{ "-1", LLONG_MIN },
		{ "-9223372036854775808", -1 },
		{ "-9223372036854775808", LLONG_MIN },
	};
	__u64 version;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		CASE("%s + %lld", table[i].value, (long long)table[i].delta);
		version = WORKS(OP(SET, "key", VALUE(table[i].value))).version;
		FAILS(ERANGE, OP(ADD, "key", .delta = table[i].delta));
		FAILS(ERANGE, OP(ADD, "key", .delta = table[i].delta, .flags = KCACHE_INITIAL));
		HOLDS("key", table[i].value);
		CHECK_EQ(stat_of("key").version, version);
	}
}

TEST(add_to_what_is_no_decimal_number_is_erange)
{
	static const char *const values[] = {
		"", " ", "-", "+", "+1", "--1", "1 ", " 1", "1\n", "\n", "0x10", "1e3", "1.0", "a",
		"12a", "a12", "9223372036854775808", "-9223372036854775809", "99999999999999999999",
		"123456789012345678901", "100000000000000000000000000000000000000000000000000000",
		"\xff",
	};
	static const struct { const char *bytes; size_t len; } with_nul[] = {
		{ "12\0", 3 }, { "12\0junk", 7 }, { "12\n\0", 4 }, { "\0", 1 }, { "\0" "12", 3 },
	};
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		CASE("'%s'", values[i]);
		set("key", values[i]);
		FAILS(ERANGE, OP(ADD, "key", .delta = 1));
		FAILS(ERANGE, OP(ADD, "key", .delta = 1, .flags = KCACHE_INITIAL));
		HOLDS("key", values[i]);
	}
	for (i = 0; i < sizeof(with_nul) / sizeof(with_nul[0]); i++) {
		CASE("value %zu with a NUL", i);
		WORKS(OP(SET, "key", BYTES(with_nul[i].bytes, with_nul[i].len)));
		FAILS(ERANGE, OP(ADD, "key", .delta = 1));
		HOLDS_ON("key", 3, with_nul[i].bytes, with_nul[i].len);
	}
}

TEST(add_on_missing_key_is_enoent)
{
	FAILS(ENOENT, OP(ADD, "key", .delta = 1, .number = 5));
	HOLDS_NOT("key");
}

TEST(add_with_initial_stores_it_and_does_not_apply_the_delta)
{
	static const struct { __s64 number; const char *text; } table[] = {
		{ 0, "0" }, { 42, "42" }, { -1, "-1" }, { LLONG_MAX, "9223372036854775807" },
		{ LLONG_MIN, "-9223372036854775808" },
	};
	struct kcache_op op;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		CASE("%s", table[i].text);
		op = WORKS(OP(ADD, "key", .delta = 5, .number = table[i].number, .ttl_ms = 500000,
			      .client_flags = 7, .flags = KCACHE_INITIAL));
		CHECK_EQ(op.number, table[i].number);
		HOLDS("key", table[i].text);
		CHECK_EQ(stat_of("key").version, op.version);
		CHECK_EQ(stat_of("key").client_flags, 7);
		CHECK(stat_of("key").ttl_ms > 1 && stat_of("key").ttl_ms <= 500000);
		WORKS(OP(REMOVE, "key"));
	}
}

TEST(add_with_initial_on_a_key_that_is_there_applies_the_delta_only)
{
	WORKS(OP(SET, "key", VALUE("10"), .client_flags = 1));
	CHECK_EQ(WORKS(OP(ADD, "key", .delta = 5, .number = 1000, .ttl_ms = 500000, .client_flags = 7,
			  .flags = KCACHE_INITIAL)).number, 15);
	HOLDS("key", "15");
	CHECK_EQ(stat_of("key").ttl_ms, 0);
	CHECK_EQ(stat_of("key").client_flags, 1);
}

TEST(sum_that_gains_and_loses_digits)
{
	char value[24];
	__s64 sum = 0;
	int i;

	set("key", "0");
	for (i = 0; i < 19; i++) {
		__s64 delta = 9 * (i ? sum / 9 * 10 + 1 - sum / 9 : 1);

		sum += delta;
		CHECK_EQ(WORKS(OP(ADD, "key", .delta = delta)).number, sum);
		snprintf(value, sizeof(value), "%lld", (long long)sum);
		HOLDS("key", value);
		if (sum > LLONG_MAX / 20)
			break;
	}
	for (; sum; sum /= -10) {
		snprintf(value, sizeof(value), "%lld", (long long)(sum / -10));
		WORKS(OP(ADD, "key", .delta = sum / -10 - sum));
		HOLDS("key", value);
	}
}

/* -------- APPEND, PREPEND -------- */

TEST(append_and_prepend_extend_the_value)
{
	struct kcache_op op;

	WORKS(OP(SET, "key", VALUE("middle"), .ttl_ms = 500000, .client_flags = 4));
	op = WORKS(OP(APPEND, "key", VALUE(" and end")));
	CHECK_EQ(op.out_len, 14);
	CHECK_EQ(stat_of("key").version, op.version);
	op = WORKS(OP(PREPEND, "key", VALUE("begin, ")));
	CHECK_EQ(op.out_len, 21);
	CHECK_EQ(stat_of("key").version, op.version);
	HOLDS("key", "begin, middle and end");
	CHECK_EQ(stat_of("key").client_flags, 4);
	CHECK(stat_of("key").ttl_ms > 1 && stat_of("key").ttl_ms <= 500000);
}

TEST(append_of_nothing_is_a_change)
{
	__u64 version = WORKS(OP(SET, "key", VALUE("value"))).version;
	struct kcache_op op = WORKS(OP(APPEND, "key"));

	CHECK_EQ(op.out_len, 5);
	CHECK(op.version != version);
	CHECK_EQ(WORKS(OP(PREPEND, "key")).out_len, 5);
	HOLDS("key", "value");
	WORKS(OP(SET, "empty"));
	CHECK_EQ(WORKS(OP(APPEND, "empty")).out_len, 0);
	CHECK_EQ(WORKS(OP(PREPEND, "empty", VALUE("a"))).out_len, 1);
	HOLDS("empty", "a");
}

TEST(append_and_prepend_on_missing_key_are_enoent)
{
	FAILS(ENOENT, OP(APPEND, "key", VALUE("x")));
	FAILS(ENOENT, OP(PREPEND, "key", VALUE("x")));
	FAILS(ENOENT, OP(APPEND, "key", VALUE("x"), .flags = KCACHE_IF_VERSION));
	HOLDS_NOT("key");
}

TEST(append_and_prepend_if_version)
{
	__u64 version = WORKS(OP(SET, "key", VALUE("b"))).version;

	FAILS(ESTALE, OP(APPEND, "key", VALUE("x"), .flags = KCACHE_IF_VERSION, .version = version + 1));
	FAILS(ESTALE, OP(PREPEND, "key", VALUE("x"), .flags = KCACHE_IF_VERSION, .version = version + 1));
	HOLDS("key", "b");
	version = WORKS(OP(APPEND, "key", VALUE("c"), .flags = KCACHE_IF_VERSION,
			   .version = version)).version;
	version = WORKS(OP(PREPEND, "key", VALUE("a"), .flags = KCACHE_IF_VERSION,
			   .version = version)).version;
	CHECK_EQ(stat_of("key").version, version);
	HOLDS("key", "abc");
}

TEST(append_up_to_the_longest_value_and_not_past_it)
{
	size_t max = value_max();
	unsigned char *value = pattern(max, 3);
	__u64 version;

	WORKS(OP(SET, "key", BYTES(value, max - 10)));
	FAILS(EFBIG, OP(APPEND, "key", BYTES(value + max - 10, 11)));
	FAILS(EFBIG, OP(PREPEND, "key", BYTES(value, 11)));
	FAILS(EFBIG, OP(APPEND, "key", BYTES(value, max)));
	FAILS(EFBIG, OP(APPEND, "key", BYTES(value, max + 1)));
	HOLDS_ON("key", 3, value, max - 10);
	version = WORKS(OP(APPEND, "key", BYTES(value + max - 10, 10))).version;
	HOLDS_ON("key", 3, value, max);
	FAILS(EFBIG, OP(PREPEND, "key", BYTES(value, 1)));
	CHECK_EQ(stat_of("key").version, version);
	WORKS(OP(SET, "key", BYTES(value + 10, max - 10)));
	WORKS(OP(PREPEND, "key", BYTES(value, 10)));
	HOLDS_ON("key", 3, value, max);
}

TEST(append_and_prepend_across_block_and_chunk_borders)
{
	static const size_t steps[] = { 1, 100, 32 * KIB - 200, 99, 1, 1, 32 * KIB, 400 * KIB,
					100 * KIB, 511 * KIB };
	unsigned char *value = pattern(2 * MIB, 9);
	size_t begin = MIB, end = MIB, i;

	WORKS(OP(SET, "key"));
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (end - begin + steps[i] > MIB + 100 * KIB)
			break;
		CASE("%zu bytes and %zu more", end - begin, steps[i]);
		if (i % 2) {
			begin -= steps[i];
			WORKS(OP(PREPEND, "key", BYTES(value + begin, steps[i])));
		} else {
			WORKS(OP(APPEND, "key", BYTES(value + end, steps[i])));
			end += steps[i];
		}
		HOLDS_ON("key", 3, value + begin, end - begin);
	}
}

/* -------- sizes -------- */

static void value_of_comes_back(size_t len)
{
	unsigned char *value = pattern(len, len), *out = malloc(len + 1);

	CASE("a value of %zu bytes", len);
	WORKS(OP(SET, "key", BYTES(value, len)));
	HOLDS_ON("key", 3, value, len);
	CHECK_EQ(stat_of("key").out_len, len);
	out[len] = 0x5a;
	WORKS(OP(GET, "key", INTO_BYTES(out, len)));
	CHECK(!memcmp(out, value, len));
	CHECK_EQ(out[len], 0x5a);
	if (len)
		CHECK_EQ(FAILS(EMSGSIZE, OP(POP, "key", INTO_BYTES(out, len - 1))).out_len, len);
	memset(out, 0, len);
	CHECK_EQ(WORKS(OP(POP, "key", INTO_BYTES(out, len))).out_len, len);
	CHECK(!memcmp(out, value, len));
	free(value);
	free(out);
}

TEST(values_of_every_small_size_come_back)
{
	size_t len;

	for (len = 0; len <= 130; len++)
		value_of_comes_back(len);
}

TEST(values_around_a_block_come_back)
{
	size_t len;

	for (len = 32 * KIB - 48; len <= 32 * KIB + 8; len++)
		value_of_comes_back(len);
}

TEST(values_around_a_chunk_come_back)
{
	size_t len;

	for (len = 512 * KIB - 40; len <= 512 * KIB + 8; len += 4)
		value_of_comes_back(len);
	for (len = MIB - 40; len <= MIB + 8; len += 8)
		value_of_comes_back(len);
}

TEST(values_of_all_magnitudes_come_back)
{
	size_t len;

	for (len = 256; len < value_max(); len = len * 7 / 4 + 1)
		value_of_comes_back(len);
}

TEST(longest_value_is_taken_and_one_more_byte_is_efbig)
{
	size_t max = value_max();
	unsigned char *value = pattern(max + 1, 1);

	CHECK(max >= MIB);
	value_of_comes_back(max);
	set("key", "old");
	FAILS(EFBIG, OP(SET, "key", BYTES(value, max + 1)));
	FAILS(EFBIG, OP(SET, "key", BYTES(value, max + 1), .flags = KCACHE_IF_PRESENT));
	FAILS(EFBIG, OP(SET, "new", BYTES(value, max + 1)));
	HOLDS("key", "old");
	HOLDS_NOT("new");
}

TEST(value_max_follows_max_bytes)
{
	struct kcache_info info = { .size = sizeof(info) };
	size_t max = value_max(), now;
	unsigned char *value = pattern(max, 1);

	WORKS(OP(SET, "key", BYTES(value, max)));
	CHECK_ERR(set_max_bytes(sysfs_number("limits/max_bytes") / 2), 0);
	now = value_max();
	CHECK(now < max);
	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	CHECK_EQ(info.value_max, now);
	CHECK_EQ(info.max_bytes, sysfs_number("limits/max_bytes"));
	FAILS(EFBIG, OP(SET, "key", BYTES(value, now + 1)));
	value_of_comes_back(now);
}

TEST(keys_of_every_length_are_different_keys)
{
	char key[KCACHE_KEY_MAX + 1], value[16];
	size_t len;

	memset(key, 'k', sizeof(key));
	for (len = 1; len <= KCACHE_KEY_MAX; len++) {
		int digits = snprintf(value, sizeof(value), "%zu", len);

		WORKS(OP_ON(SET, key, len, BYTES(value, digits)));
	}
	CHECK_EQ(sysfs_number("stats/entries"), KCACHE_KEY_MAX);
	for (len = 1; len <= KCACHE_KEY_MAX; len++) {
		int digits = snprintf(value, sizeof(value), "%zu", len);

		CASE("a key of %zu bytes", len);
		HOLDS_ON(key, len, value, digits);
	}
	FAILS(EFBIG, OP_ON(SET, key, KCACHE_KEY_MAX + 1, VALUE("value")));
	FAILS(EFBIG, OP_ON(GET, key, KCACHE_KEY_MAX + 1));
	FAILS(EINVAL, OP_ON(SET, key, 0, VALUE("value")));
}

TEST(keys_of_any_byte_are_different_keys)
{
	unsigned char key[2], value[2];
	int i;

	for (i = 0; i < 256; i++) {
		key[0] = value[0] = i;
		key[1] = value[1] = ~i;
		WORKS(OP_ON(SET, key, 1, BYTES(value, 2)));
		WORKS(OP_ON(SET, key, 2, BYTES(value, 1)));
	}
	CHECK_EQ(sysfs_number("stats/entries"), 512);
	for (i = 0; i < 256; i++) {
		key[0] = value[0] = i;
		key[1] = value[1] = ~i;
		CASE("byte %#x", i);
		HOLDS_ON(key, 1, value, 2);
		HOLDS_ON(key, 2, value, 1);
	}
}

TEST(longest_key_with_longest_value)
{
	size_t max = value_max();
	unsigned char *value = pattern(max, 1), *key = pattern(KCACHE_KEY_MAX, 77);

	WORKS(OP_ON(SET, key, KCACHE_KEY_MAX, BYTES(value, max), .client_flags = 1, .ttl_ms = 500000));
	HOLDS_ON(key, KCACHE_KEY_MAX, value, max);
	key[KCACHE_KEY_MAX - 1]++;
	FAILS(ENOENT, OP_ON(STAT, key, KCACHE_KEY_MAX));
	key[KCACHE_KEY_MAX - 1]--;
	CHECK_EQ(WORKS(OP_ON(STAT, key, KCACHE_KEY_MAX)).client_flags, 1);
}

/* -------- who may do what -------- */

static const struct {
	__u32 opcode;
	__u32 flags;
	int needs;	/* O_RDONLY, O_WRONLY or O_RDWR */
} access_table[] = {
	{ KCACHE_OP_GET, 0, O_RDONLY },
	{ KCACHE_OP_GET, KCACHE_TOUCH, O_RDWR },
	{ KCACHE_OP_SET, 0, O_WRONLY },
	{ KCACHE_OP_SET, KCACHE_IF_ABSENT, O_WRONLY },
	{ KCACHE_OP_SET, KCACHE_IF_PRESENT, O_WRONLY },
	{ KCACHE_OP_SET, KCACHE_IF_VERSION, O_WRONLY },
	{ KCACHE_OP_SET, KCACHE_KEEP_TTL, O_WRONLY },
	{ KCACHE_OP_SET, KCACHE_RETURN_OLD, O_RDWR },
	{ KCACHE_OP_SET, KCACHE_RETURN_OLD | KCACHE_IF_PRESENT, O_RDWR },
	{ KCACHE_OP_SET, KCACHE_RETURN_OLD | KCACHE_IF_ABSENT | KCACHE_KEEP_TTL, O_RDWR },
	{ KCACHE_OP_REMOVE, 0, O_WRONLY },
	{ KCACHE_OP_REMOVE, KCACHE_IF_VERSION, O_WRONLY },
	{ KCACHE_OP_POP, 0, O_RDWR },
	{ KCACHE_OP_STAT, 0, O_RDONLY },
	{ KCACHE_OP_TOUCH, 0, O_WRONLY },
	{ KCACHE_OP_ADD, 0, O_RDWR },
	{ KCACHE_OP_ADD, KCACHE_INITIAL, O_RDWR },
	{ KCACHE_OP_APPEND, 0, O_WRONLY },
	{ KCACHE_OP_APPEND, KCACHE_IF_VERSION, O_WRONLY },
	{ KCACHE_OP_PREPEND, 0, O_WRONLY },
	{ KCACHE_OP_PREPEND, KCACHE_IF_VERSION, O_WRONLY },
};

TEST(descriptor_not_opened_for_what_the_opcode_does_is_ebadf)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	size_t i, m;

	for (m = 0; m < 3; m++) {
		int fd = MUST(open(DEVICE, modes[m] | O_CLOEXEC));

		for (i = 0; i < sizeof(access_table) / sizeof(access_table[0]); i++) {
			bool is_allowed = modes[m] == O_RDWR || modes[m] == access_table[i].needs;
			struct kcache_op op, before;
			char out[32] = "";
			int err;

			CASE("opcode %u, flags %#x, open mode %d", access_table[i].opcode,
			     access_table[i].flags, modes[m]);
			set("key", "1");
			op = OP(GET, "key", VALUE("2"), INTO(out), .opcode = access_table[i].opcode,
				.flags = access_table[i].flags, .delta = 1);
			before = op;
			err = run_on(fd, &op);
			CHECK_EQ(err == -EBADF, !is_allowed);
			if (is_allowed) {
				CHECK(!err || err == -EEXIST || err == -ESTALE);
			} else {
				CHECK(!memcmp(&op, &before, sizeof(op)));
				CHECK_EQ(*out, '\0');
				HOLDS("key", "1");
				CHECK_EQ(stat_of("key").ttl_ms, 0);
			}
		}
		close(fd);
	}
}

TEST(flush_needs_a_descriptor_for_writing)
{
	int fd = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC));

	set("key", "value");
	CHECK_REFUSED(ioctl(fd, KCACHE_IOC_FLUSH, 0), EBADF);
	HOLDS("key", "value");
	close(fd);
	fd = MUST(open(DEVICE, O_WRONLY | O_CLOEXEC));
	MUST(ioctl(fd, KCACHE_IOC_FLUSH, 0));
	HOLDS_NOT("key");
}

TEST(info_needs_no_more_than_an_open_descriptor)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, 3 };
	size_t m;

	for (m = 0; m < 4; m++) {
		struct kcache_info info = { .size = sizeof(info) };
		int fd = MUST(open(DEVICE, modes[m] | O_CLOEXEC));

		CASE("mode %d", modes[m]);
		MUST(ioctl(fd, KCACHE_IOC_INFO, &info));
		CHECK_EQ(info.key_max, KCACHE_KEY_MAX);
		close(fd);
	}
}

/* Open mode 3 is for ioctls that neither read nor write. */
TEST(descriptor_open_for_neither_may_neither_get_nor_set)
{
	int fd = MUST(open(DEVICE, 3 | O_CLOEXEC)), path = MUST(open(DEVICE, O_PATH | O_CLOEXEC));
	struct kcache_op op;
	char out[8];

	set("key", "value");
	op = OP(GET, "key", INTO(out));
	CHECK_ERR(run_on(fd, &op), EBADF);
	CHECK_ERR(run_on(path, &op), EBADF);
	op = OP(SET, "key", VALUE("new"));
	CHECK_ERR(run_on(fd, &op), EBADF);
	CHECK_ERR(run_on(path, &op), EBADF);
	CHECK_REFUSED(ioctl(fd, KCACHE_IOC_FLUSH, 0), EBADF);
	HOLDS("key", "value");
}

static void become(uid_t uid)
{
	MUST(setresgid(uid, uid, uid));
	MUST(setresuid(uid, uid, uid));
}

static void flush_as_stranger(int nr)
{
	int fd;

	(void)nr;
	become(65534);
	fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	CHECK_REFUSED(ioctl(fd, KCACHE_IOC_FLUSH, 0), EPERM);
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_FLUSH, 0), EPERM);
	HOLDS("key", "value");
}

static void flush_as_owner(int nr)
{
	int fd;

	(void)nr;
	become(1234);
	fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	MUST(ioctl(fd, KCACHE_IOC_FLUSH, 0));
}

TEST(flush_by_who_does_not_own_the_device_is_eperm)
{
	set("key", "value");
	MUST(chmod(DEVICE, 0666));
	end_process(start_process(flush_as_stranger, 0));
	MUST(chmod(DEVICE, 0600));
	HOLDS("key", "value");
}

TEST(flush_by_the_owner_of_the_device_works)
{
	set("key", "value");
	MUST(chown(DEVICE, 1234, 0));
	end_process(start_process(flush_as_owner, 0));
	MUST(chown(DEVICE, 0, 0));
	HOLDS_NOT("key");
}

static void open_as_stranger(int mode)
{
	become(65534);
	CHECK_REFUSED(open(DEVICE, mode), EACCES);
}

TEST(file_mode_says_who_may_read_and_who_may_write)
{
	struct { mode_t mode; int refused[2]; } table[] = {
		{ 0600, { O_RDONLY, O_WRONLY } },
		{ 0604, { O_RDWR, O_WRONLY } },
		{ 0602, { O_RDWR, O_RDONLY } },
	};
	size_t i;

	for (i = 0; i < 3; i++) {
		MUST(chmod(DEVICE, table[i].mode));
		end_process(start_process(open_as_stranger, table[i].refused[0]));
		end_process(start_process(open_as_stranger, table[i].refused[1]));
	}
	MUST(chmod(DEVICE, 0600));
}

/* -------- FLUSH, INFO -------- */

TEST(flush_removes_every_entry)
{
	unsigned long long flushes = sysfs_number("stats/flushes");
	unsigned long long flushed = sysfs_number("stats/flushed");
	unsigned char *value = pattern(2000, 0);
	char key[16];
	int i;

	for (i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, BYTES(value, i), .ttl_ms = i % 3 ? 500000 : 0));
	}
	WORKS(OP(SET, "large", BYTES(pattern(value_max(), 0), value_max())));
	CHECK_EQ(sysfs_number("stats/entries"), 2001);
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK_EQ(sysfs_number("stats/entries"), 0);
	CHECK_EQ(sysfs_number("stats/bytes_live"), 0);
	CHECK_EQ(sysfs_number("stats/flushes"), flushes + 1);
	CHECK_EQ(sysfs_number("stats/flushed"), flushed + 2001);
	for (i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		HOLDS_NOT(key);
	}
	HOLDS_NOT("large");
	set("key", "value");
	HOLDS("key", "value");
}

TEST(flush_of_an_empty_cache_works)
{
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK_EQ(sysfs_number("stats/entries"), 0);
}

TEST(flush_gives_the_memory_back)
{
	unsigned long long before = sysfs_number("stats/bytes_allocated");
	unsigned char *value = pattern(MIB, 0);
	char key[16];
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, BYTES(value, MIB)));
	}
	CHECK(sysfs_number("stats/bytes_allocated") >= before + 40 * MIB);
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK(sysfs_number("stats/bytes_allocated") <= before + MIB);
}

TEST(info_tells_limits_and_features)
{
	struct kcache_info info = { .size = sizeof(info), .reserved = 5, .name = "garbage",
				    .map_bytes = 1, .clock_offset_ns = 1 };
	const __u32 flags = KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION |
		KCACHE_KEEP_TTL | KCACHE_RETURN_OLD | KCACHE_TOUCH | KCACHE_INITIAL;
	size_t i;

	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	CHECK_EQ(info.size, sizeof(info));
	CHECK_EQ(info.key_max, KCACHE_KEY_MAX);
	CHECK_EQ(info.key_max, sysfs_number("limits/key_max"));
	CHECK_EQ(info.value_max, value_max());
	CHECK_EQ(info.max_bytes, sysfs_number("limits/max_bytes"));
	CHECK_EQ(info.opcodes & 0x3ff, 0x3fe);
	CHECK_EQ(info.flags & flags, flags);
	CHECK_EQ(info.reserved, 0);
	CHECK(info.map_bytes > info.max_bytes);
	CHECK_EQ(info.map_bytes % PAGE, 0);
	CHECK_EQ(info.clock_offset_ns, 0);
	CHECK(!strcmp(info.name, "kcache"));
	for (i = strlen(info.name); i < sizeof(info.name); i++)
		CHECK_EQ(info.name[i], 0);
}

TEST(info_tells_exactly_the_opcodes_and_flags_that_are_taken)
{
	struct kcache_info info = { .size = sizeof(info) };
	__u32 opcode, flag;

	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	for (opcode = 0; opcode < 64; opcode++) {
		char out[32];
		struct kcache_op op = OP(GET, "none", INTO(out), .opcode = opcode, VALUE("1"));

		CASE("opcode %u", opcode);
		CHECK_EQ(run(&op) != -EINVAL, info.opcodes >> opcode & 1);
	}
	for (flag = 1; flag; flag <<= 1) {
		bool is_taken = false;

		CASE("flag %#x", flag);
		for (opcode = 1; opcode <= KCACHE_OP_PREPEND; opcode++) {
			char out[32];
			struct kcache_op op = OP(GET, "none", INTO(out), .opcode = opcode, VALUE("1"),
						 .flags = flag);

			is_taken |= run(&op) != -EINVAL;
		}
		CHECK_EQ(is_taken, !!(info.flags & flag));
	}
}

/* -------- the accounts -------- */

TEST(hits_and_misses_add_up_to_the_gets_made)
{
	unsigned long long hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses");
	char out[8], key[16];
	int i;

	for (i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		set(key, "value");
	}
	for (i = 0; i < 300; i++) {
		struct kcache_op op;

		snprintf(key, sizeof(key), "key%d", i);
		op = OP(GET, key, INTO(out), .flags = i % 2 ? KCACHE_TOUCH : 0);
		CHECK_ERR(run(&op), i < 100 ? 0 : ENOENT);
	}
	CHECK_EQ(sysfs_number("stats/hits"), hits + 100);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 200);
	/* Found is found, also by who had too small a buffer; others do not count. */
	FAILS(EMSGSIZE, OP(GET, "key1"));
	WORKS(OP(STAT, "key1"));
	FAILS(ENOENT, OP(STAT, "none"));
	WORKS(OP(POP, "key1", INTO(out)));
	FAILS(ENOENT, OP(POP, "none", INTO(out)));
	CHECK_EQ(sysfs_number("stats/hits"), hits + 101);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 200);
}

TEST(get_of_an_expired_entry_is_a_miss)
{
	unsigned long long hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses");

	set_expired("key", "value");
	FAILS(ENOENT, OP(GET, "key"));
	CHECK_EQ(sysfs_number("stats/hits"), hits);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 1);
}

TEST(operations_that_succeed_are_counted_and_those_that_fail_are_not)
{
	static const char *const counters[] = { "sets", "removes", "pops", "touches", "adds", "appends" };
	static const int by[] = { 5, 2, 1, 2, 2, 2 };
	unsigned long long before[6];
	char out[16], name[32];
	int i;

	for (i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "stats/%s", counters[i]);
		before[i] = sysfs_number(name);
	}
	set("key", "1");
	set("gone", "value");
	set("popped", "value");
	set("key", "2");
	WORKS(OP(SET, "key", VALUE("3"), .flags = KCACHE_RETURN_OLD, INTO(out)));
	FAILS(EEXIST, OP(SET, "key", VALUE("4"), .flags = KCACHE_IF_ABSENT));
	FAILS(EFBIG, OP(SET, "key", BYTES(out, value_max() + 1)));
	WORKS(OP(REMOVE, "gone"));
	FAILS(ENOENT, OP(REMOVE, "gone"));
	WORKS(OP(POP, "popped", INTO(out)));
	FAILS(ENOENT, OP(POP, "popped", INTO(out)));
	WORKS(OP(TOUCH, "key"));
	WORKS(OP(GET, "key", INTO(out), .flags = KCACHE_TOUCH));
	FAILS(ENOENT, OP(TOUCH, "gone"));
	WORKS(OP(ADD, "key", .delta = 1));
	WORKS(OP(ADD, "new", .flags = KCACHE_INITIAL));
	FAILS(ENOENT, OP(ADD, "gone", .delta = 1));
	WORKS(OP(APPEND, "key", VALUE("x")));
	WORKS(OP(PREPEND, "key", VALUE("x")));
	FAILS(ENOENT, OP(APPEND, "gone", VALUE("x")));
	FAILS(ERANGE, OP(ADD, "key", .delta = 1));
	WORKS(OP(REMOVE, "new"));
	for (i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "stats/%s", counters[i]);
		CASE("%s", name);
		CHECK_EQ(sysfs_number(name) - before[i], by[i]);
	}
}

TEST(entries_are_counted)
{
	char key[16], out[8];
	int i;

	CHECK_EQ(sysfs_number("stats/entries"), 0);
	for (i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		set(key, "value");
		set(key, "other");
	}
	CHECK_EQ(sysfs_number("stats/entries"), 500);
	for (i = 0; i < 500; i += 2) {
		snprintf(key, sizeof(key), "key%d", i);
		if (i % 4)
			WORKS(OP(REMOVE, key));
		else
			WORKS(OP(POP, key, INTO(out)));
	}
	CHECK_EQ(sysfs_number("stats/entries"), 250);
	WORKS(OP(ADD, "new", .flags = KCACHE_INITIAL));
	WORKS(OP(APPEND, "new", VALUE("x")));
	CHECK_EQ(sysfs_number("stats/entries"), 251);
}

TEST(bytes_are_accounted)
{
	unsigned long long live = 0, dead;
	unsigned char *value = pattern(100 * KIB, 0);
	char key[16];
	int i;

	CHECK_EQ(sysfs_number("stats/bytes_live"), 0);
	for (i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "key%02d", i);
		WORKS(OP(SET, key, BYTES(value, i * KIB)));
		live += 5 + i * KIB;
	}
	/* An entry takes some more than its key and its value, but not much. */
	CHECK(sysfs_number("stats/bytes_live") >= live + 100 * 8);
	CHECK(sysfs_number("stats/bytes_live") <= live + 100 * 64);
	dead = sysfs_number("stats/bytes_dead");
	for (i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "key%02d", i);
		WORKS(OP(REMOVE, key));
		live -= 5 + i * KIB;
	}
	CHECK(sysfs_number("stats/bytes_live") >= live + 50 * 8);
	CHECK(sysfs_number("stats/bytes_live") <= live + 50 * 64);
	CHECK(sysfs_number("stats/bytes_dead") >= dead);
	CHECK(sysfs_number("stats/bytes_allocated") >= sysfs_number("stats/bytes_live") +
	      sysfs_number("stats/bytes_dead") + sysfs_number("stats/bytes_free"));
	CHECK(sysfs_number("stats/bytes_allocated") <= sysfs_number("limits/max_bytes"));
	CHECK(sysfs_number("stats/segments") > 0);
}

TEST(full_cache_evicts_and_stays_within_its_limit)
{
	unsigned long long before = sysfs_number("stats/evictions");
	unsigned char *value = pattern(100 * KIB, 0);
	char key[16];
	int i;

	CHECK_ERR(set_max_bytes(16 * MIB), 0);
	for (i = 0; i < 320; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, BYTES(value, 100 * KIB)));
		HOLDS_ON(key, strlen(key), value, 100 * KIB);
	}
	CHECK(sysfs_number("stats/bytes_allocated") <= 16 * MIB);
	CHECK_EQ(sysfs_number("stats/evictions") - before + sysfs_number("stats/entries"), 320);
	/* At least half of the limit holds entries. */
	CHECK(sysfs_number("stats/entries") * 100 * KIB >= 8 * MIB);
	HOLDS_ON("key319", 6, value, 100 * KIB);
}

/* What a value leaves behind when it is replaced is room; nobody has to go for it. */
TEST(overwriting_one_value_evicts_nobody)
{
	static const size_t sizes[] = { 100, 30 * KIB, 300 * KIB, 600 * KIB, MIB };
	unsigned long long before = sysfs_number("stats/evictions");
	unsigned char *value = pattern(MIB, 0);
	size_t s, written;

	set("other", "value");
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (written = 0; written < (s ? 100 * MIB : MIB); written += sizes[s]) {
			CASE("%zu bytes of %zu", written, sizes[s]);
			WORKS(OP(SET, "key", BYTES(value, sizes[s])));
			if (!(written / sizes[s] % 16))
				HOLDS("other", "value");
		}
	CHECK_EQ(sysfs_number("stats/evictions"), before);
}

TEST(table_grows_and_shrinks_with_the_entries)
{
	unsigned long long before = sysfs_number("stats/buckets");
	char key[16];
	int i;

	for (i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		WORKS(OP(SET, key, BYTES(key, strlen(key))));
	}
	CHECK_EQ(sysfs_number("stats/entries"), 20000);
	CHECK(sysfs_number("stats/buckets") > 20000 / 14);
	for (i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		HOLDS(key, key);
	}
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK(sysfs_number("stats/buckets") <= before);
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
