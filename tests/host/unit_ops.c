// SPDX-License-Identifier: GPL-2.0
/* Every operation, flag, condition and error of the contract. */
#include <linux/kernel.h>
#include <linux/minmax.h>

#include "audit.h"
#include "fixture.h"
#include "ktap.h"

/* Lets the entry of @key come to its end. */
static void set_expired(const char *key)
{
	EXPECT_EQ(set_ttl(cache, key, "12", 5), 0);
	shim_clock_advance_ms(5);
}

/* -------- requests -------- */

/* What the contract says of each opcode. */
static const struct {
	u32 opcode, access, flags;
	bool sets_ttl;
} contract[] = {
	{ KCACHE_OP_GET, KC_READ, KCACHE_TOUCH },
	{ KCACHE_OP_SET, KC_WRITE, KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION |
	  KCACHE_KEEP_TTL | KCACHE_RETURN_OLD, true },
	{ KCACHE_OP_REMOVE, KC_WRITE, KCACHE_IF_VERSION },
	{ KCACHE_OP_POP, KC_READ | KC_WRITE, 0 },
	{ KCACHE_OP_STAT, KC_READ, 0 },
	{ KCACHE_OP_TOUCH, KC_WRITE, 0, true },
	{ KCACHE_OP_ADD, KC_READ | KC_WRITE, KCACHE_INITIAL },
	{ KCACHE_OP_APPEND, KC_WRITE, KCACHE_IF_VERSION },
	{ KCACHE_OP_PREPEND, KC_WRITE, KCACHE_IF_VERSION },
};

static int check(const struct kcache_op *op, u32 access)
{
	int err = kc_call_check(op, access);

	return err < 0 ? err : 0;
}

KTAP_TEST(opcodes_that_are_not_known_are_invalid)
{
	static const u32 unknown[] = { 0, 10, 11, 31, 32, 63, 64, 255, 1U << 31, ~0U };
	u32 i, bits = 0;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		struct kcache_op op = op_on(unknown[i], "k");

		EXPECT_EQ(check(&op, KC_READ | KC_WRITE), -EINVAL);
	}
	for (i = 0; i < ARRAY_SIZE(contract); i++)
		bits |= 1U << contract[i].opcode;
	EXPECT_EQ(kc_cache_opcodes(), bits);
}

KTAP_TEST(each_opcode_takes_its_flags_and_no_others)
{
	u32 i, bit, all = 0;

	for (i = 0; i < ARRAY_SIZE(contract); i++) {
		all |= contract[i].flags;
		for (bit = 0; bit < 32; bit++) {
			struct kcache_op op = op_on(contract[i].opcode, "k");

			op.flags = 1U << bit;
			if (!EXPECT_EQ(check(&op, KC_READ | KC_WRITE),
				       contract[i].flags & op.flags ? 0 : -EINVAL))
				FAIL("opcode %u, bit %u", contract[i].opcode, bit);
		}
	}
	EXPECT_EQ(kc_cache_flags(), all);
}

KTAP_TEST(conditions_exclude_each_other)
{
	u32 flags;

	for (flags = 0; flags < 8; flags++) {
		struct kcache_op op = op_on(KCACHE_OP_SET, "k");

		op.flags = flags | KCACHE_KEEP_TTL | KCACHE_RETURN_OLD;
		EXPECT_EQ(check(&op, KC_READ | KC_WRITE),
			  flags & (flags - 1) ? -EINVAL : 0);
	}
}

KTAP_TEST(each_opcode_needs_its_access)
{
	u32 i, access;

	for (i = 0; i < ARRAY_SIZE(contract); i++) {
		for (access = 0; access < 4; access++) {
			struct kcache_op op = op_on(contract[i].opcode, "k");
			u32 needed = contract[i].access;

			EXPECT_EQ(check(&op, access), (needed & access) == needed ? 0 : -EBADF);
			op.flags = contract[i].flags & (KCACHE_TOUCH | KCACHE_RETURN_OLD);
			if (op.flags)
				EXPECT_EQ(check(&op, access), access == 3 ? 0 : -EBADF);
		}
	}
}

KTAP_TEST(keys_reserved_fields_and_ttls_are_checked)
{
	static char key[KCACHE_KEY_MAX + 2];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(contract); i++) {
		struct kcache_op op = op_on(contract[i].opcode, "k");

		op.key_len = 0;
		EXPECT_EQ(check(&op, 3), -EINVAL);
		op.key = (uintptr_t)key;
		op.key_len = KCACHE_KEY_MAX;
		EXPECT_EQ(check(&op, 3), 0);
		op.key_len = KCACHE_KEY_MAX + 1;
		EXPECT_EQ(check(&op, 3), -EFBIG);
		op.key_len = ~0U;
		EXPECT_EQ(check(&op, 3), -EFBIG);
		op.key_len = 1;
		op.error = 1;
		EXPECT_EQ(check(&op, 3), -EINVAL);
		op.error = -1;
		EXPECT_EQ(check(&op, 3), -EINVAL);
		op.error = 0;
		/* A ttl that the opcode does not set means nothing. */
		op.ttl_ms = KCACHE_TTL_MAX_MS + 1;
		EXPECT_EQ(check(&op, 3), contract[i].sets_ttl ? -EINVAL : 0);
		op.flags = contract[i].flags & (KCACHE_TOUCH | KCACHE_INITIAL);
		if (op.flags)
			EXPECT_EQ(check(&op, 3), -EINVAL);
		op.ttl_ms = KCACHE_TTL_MAX_MS;
		EXPECT_EQ(check(&op, 3), 0);
	}
}

/* -------- SET and GET -------- */

KTAP_TEST(set_then_get_gives_every_byte_back)
{
	static u8 key[KCACHE_KEY_MAX], value[2000], out[2000];
	u32 key_len, len;

	start(4 * MiB);
	for (key_len = 1; key_len <= KCACHE_KEY_MAX; key_len += key_len < 40 ? 1 : 41) {
		fill(key, key_len, key_len);
		for (len = 0; len <= 2000; len += len < 20 ? 1 : 330) {
			fill(value, len, key_len + len);
			EXPECT_EQ(set_bytes(cache, key, key_len, value, len), 0);
			memset(out, 0, sizeof(out));
			EXPECT_EQ(get_bytes(cache, key, key_len, out, sizeof(out)), len);
			EXPECT(is_filled(out, len, key_len + len));
		}
	}
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(keys_are_bytes_and_differ_in_any_of_them)
{
	u8 out[4];

	start(MiB);
	EXPECT_EQ(set_bytes(cache, "a\0b", 3, "1", 1), 0);
	EXPECT_EQ(set_bytes(cache, "a\0c", 3, "22", 2), 0);
	EXPECT_EQ(set_bytes(cache, "a", 1, "333", 3), 0);
	EXPECT_EQ(set_bytes(cache, "\0", 1, "4444", 4), 0);
	EXPECT_EQ(set_bytes(cache, "\0\0", 2, "", 0), 0);
	EXPECT_EQ(get_bytes(cache, "a\0b", 3, out, 4), 1);
	EXPECT_EQ(get_bytes(cache, "a\0c", 3, out, 4), 2);
	EXPECT_EQ(get_bytes(cache, "a", 1, out, 4), 3);
	EXPECT_EQ(get_bytes(cache, "\0", 1, out, 4), 4);
	EXPECT_EQ(get_bytes(cache, "\0\0", 2, out, 4), 0);
	EXPECT_EQ(get_bytes(cache, "a\0", 2, out, 4), -ENOENT);
	EXPECT_EQ(entries(cache), 5);
	stop();
}

KTAP_TEST(get_tells_all_there_is_to_know)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k"), get = op_on(KCACHE_OP_GET, "k"), stat;
	char out[5];

	start(MiB);
	VALUE(&op, "value", 5);
	op.ttl_ms = 1000;
	op.client_flags = 0xdeadbeef;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT(op.version);
	shim_clock_advance_ms(1);
	OUT(&get, out, 5);
	EXPECT_EQ(run_op(cache, &get), 0);
	EXPECT_MEM(out, "value", 5);
	EXPECT_EQ(get.out_len, 5);
	EXPECT_EQ(get.ttl_ms, 999);
	EXPECT_EQ(get.version, op.version);
	EXPECT_EQ(get.client_flags, 0xdeadbeef);
	stat = stat_of(cache, "k");
	EXPECT_EQ(stat.out_len, 5);
	EXPECT_EQ(stat.ttl_ms, 999);
	EXPECT_EQ(stat.version, op.version);
	EXPECT_EQ(stat.client_flags, 0xdeadbeef);
	/* Stored again without, flags and ttl are gone. */
	EXPECT_EQ(set(cache, "k", ""), 0);
	stat = stat_of(cache, "k");
	EXPECT_EQ(stat.out_len, 0);
	EXPECT_EQ(stat.ttl_ms, 0);
	EXPECT_EQ(stat.client_flags, 0);
	stop();
}

KTAP_TEST(get_into_too_small_a_buffer_tells_the_length)
{
	struct kcache_op op = op_on(KCACHE_OP_GET, "k");
	char out[3];

	start(MiB);
	EXPECT_EQ(set(cache, "k", "abc"), 0);
	OUT(&op, out, 2);
	EXPECT_EQ(run_op(cache, &op), -EMSGSIZE);
	EXPECT_EQ(op.out_len, 3);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_MEM(out, "abc", 3);
	OUT(&op, NULL, 0);
	EXPECT_EQ(run_op(cache, &op), -EMSGSIZE);
	EXPECT_EQ(op.out_len, 3);
	EXPECT_EQ(set(cache, "k", ""), 0);
	OUT(&op, NULL, 0);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, 0);
	stop();
}

KTAP_TEST(what_is_not_there_is_enoent)
{
	struct kcache_op op;
	char out[4];
	u64 len;
	s64 sum;

	start(MiB);
	EXPECT(has(cache, "k", NULL));
	EXPECT_EQ(stat_error(cache, "k"), -ENOENT);
	EXPECT_EQ(remove_key(cache, "k"), -ENOENT);
	EXPECT_EQ(pop(cache, "k", out, 4, &len), -ENOENT);
	op = op_on(KCACHE_OP_TOUCH, "k");
	EXPECT_EQ(run_op(cache, &op), -ENOENT);
	op = op_on(KCACHE_OP_GET, "k");
	op.flags = KCACHE_TOUCH;
	EXPECT_EQ(run_op(cache, &op), -ENOENT);
	EXPECT_EQ(add(cache, "k", 1, &sum), -ENOENT);
	EXPECT_EQ(extend(cache, KCACHE_OP_APPEND, "k", "x"), -ENOENT);
	EXPECT_EQ(extend(cache, KCACHE_OP_PREPEND, "k", "x"), -ENOENT);
	EXPECT_EQ(entries(cache), 0);
	stop();
}

KTAP_TEST(conditions_hold_or_change_nothing)
{
	u64 version;

	start(MiB);
	/* absent */
	EXPECT_EQ(set_if(cache, "k", "1", KCACHE_IF_PRESENT, 0, 0), -ENOENT);
	EXPECT_EQ(set_if(cache, "k", "1", KCACHE_IF_VERSION, 0, 0), -ENOENT);
	EXPECT(has(cache, "k", NULL));
	EXPECT_EQ(set_if(cache, "k", "1", KCACHE_IF_ABSENT, 0, 0), 0);
	EXPECT(has(cache, "k", "1"));
	/* present */
	version = stat_of(cache, "k").version;
	EXPECT_EQ(set_if(cache, "k", "2", KCACHE_IF_ABSENT, 0, 0), -EEXIST);
	EXPECT_EQ(set_if(cache, "k", "2", KCACHE_IF_VERSION, version + 1, 0), -ESTALE);
	EXPECT_EQ(set_if(cache, "k", "2", KCACHE_IF_VERSION, 0, 0), -ESTALE);
	EXPECT_EQ(stat_of(cache, "k").version, version);
	EXPECT(has(cache, "k", "1"));
	EXPECT_EQ(set_if(cache, "k", "2", KCACHE_IF_VERSION, version, 0), 0);
	EXPECT(has(cache, "k", "2"));
	EXPECT_EQ(set_if(cache, "k", "3", KCACHE_IF_VERSION, version, 0), -ESTALE);
	EXPECT_EQ(set_if(cache, "k", "3", KCACHE_IF_PRESENT, 0, 0), 0);
	EXPECT(has(cache, "k", "3"));
	/* expired */
	version = stat_of(cache, "k").version;
	set_expired("k");
	EXPECT_EQ(set_if(cache, "k", "4", KCACHE_IF_PRESENT, 0, 0), -ENOENT);
	EXPECT_EQ(set_if(cache, "k", "4", KCACHE_IF_VERSION, version, 0), -ENOENT);
	EXPECT_EQ(set_if(cache, "k", "4", KCACHE_IF_ABSENT, 0, 0), 0);
	EXPECT(has(cache, "k", "4"));
	stop();
}

KTAP_TEST(a_condition_that_fails_costs_no_room)
{
	struct kc_cache_account before, after;

	start(MiB);
	EXPECT_EQ(set(cache, "k", "1"), 0);
	kc_cache_account(cache, &before);
	EXPECT_EQ(set_if(cache, "k", "2", KCACHE_IF_ABSENT, 0, 0), -EEXIST);
	EXPECT_EQ(set_if(cache, "k", "2", KCACHE_IF_VERSION, 9999, 0), -ESTALE);
	EXPECT_EQ(set_if(cache, "other", "2", KCACHE_IF_PRESENT, 0, 0), -ENOENT);
	kc_cache_account(cache, &after);
	EXPECT_EQ(after.bytes_live, before.bytes_live);
	EXPECT_EQ(after.bytes_dead, before.bytes_dead);
	stop();
}

KTAP_TEST(keep_ttl_keeps_the_expiry_of_an_entry_that_is_there)
{
	start(MiB);
	EXPECT_EQ(set_ttl(cache, "k", "1", 1000), 0);
	shim_clock_advance_ms(300);
	EXPECT_EQ(set_if(cache, "k", "2", KCACHE_KEEP_TTL, 0, 5), 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 700);
	EXPECT(has(cache, "k", "2"));
	EXPECT_EQ(set_if(cache, "k", "3", KCACHE_KEEP_TTL | KCACHE_IF_PRESENT, 0, 0), 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 700);
	shim_clock_advance_ms(700);
	/* Expired, and absent: the ttl is the one that was given. */
	EXPECT_EQ(set_if(cache, "k", "4", KCACHE_KEEP_TTL, 0, 50), 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 50);
	EXPECT_EQ(set_if(cache, "new", "5", KCACHE_KEEP_TTL, 0, 60), 0);
	EXPECT_EQ(stat_of(cache, "new").ttl_ms, 60);
	EXPECT_EQ(set(cache, "k", "6"), 0);
	EXPECT_EQ(set_if(cache, "k", "7", KCACHE_KEEP_TTL, 0, 60), 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 0);
	stop();
}

KTAP_TEST(return_old_gives_what_was_replaced)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k");
	char out[16];

	start(MiB);
	op.flags = KCACHE_RETURN_OLD;
	VALUE(&op, "one", 3);
	OUT(&op, out, 16);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, KCACHE_ABSENT);
	VALUE(&op, "", 0);
	OUT(&op, out, 16);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, 3);
	EXPECT_MEM(out, "one", 3);
	VALUE(&op, "three", 5);
	OUT(&op, NULL, 0);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, 0);		/* was there, with an empty value */
	VALUE(&op, "four", 4);
	OUT(&op, out, 4);
	EXPECT_EQ(run_op(cache, &op), -EMSGSIZE);
	EXPECT_EQ(op.out_len, 5);
	EXPECT(has(cache, "k", "three"));
	op.flags |= KCACHE_IF_ABSENT;
	OUT(&op, out, 16);
	EXPECT_EQ(run_op(cache, &op), -EEXIST);
	EXPECT(has(cache, "k", "three"));
	op.flags = KCACHE_RETURN_OLD | KCACHE_IF_VERSION;
	op.version = stat_of(cache, "k").version;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, 5);
	EXPECT_MEM(out, "three", 5);
	EXPECT(has(cache, "k", "four"));
	set_expired("k");
	op.flags = KCACHE_RETURN_OLD;
	OUT(&op, out, 16);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, KCACHE_ABSENT);
	stop();
}

KTAP_TEST(versions_are_unique_and_change_with_each_change)
{
	static u64 seen[4000];
	struct kcache_op op;
	int i, j, nr = 0;
	char out[64];
	s64 sum;

	start(MiB);
	for (i = 0; i < 400; i++) {
		shim_set_cpu(i);
		EXPECT_EQ(set(cache, "k", "1"), 0);
		seen[nr++] = stat_of(cache, "k").version;
		EXPECT(has(cache, "k", "1"));
		EXPECT_EQ(stat_of(cache, "k").version, seen[nr - 1]);
		EXPECT_EQ(add(cache, "k", 1, &sum), 0);
		seen[nr++] = stat_of(cache, "k").version;
		EXPECT_EQ(add(cache, "k", 1000000, &sum), 0);
		seen[nr++] = stat_of(cache, "k").version;
		EXPECT_EQ(extend(cache, KCACHE_OP_APPEND, "k", "x"), 0);
		seen[nr++] = stat_of(cache, "k").version;
		op = op_on(KCACHE_OP_TOUCH, "k");
		EXPECT_EQ(run_op(cache, &op), 0);
		seen[nr] = stat_of(cache, "k").version;
		EXPECT_EQ(op.version, seen[nr++]);
		op = op_on(KCACHE_OP_GET, "k");
		op.flags = KCACHE_TOUCH;
		OUT(&op, out, sizeof(out));
		EXPECT_EQ(run_op(cache, &op), 0);
		seen[nr] = stat_of(cache, "k").version;
		EXPECT_EQ(op.version, seen[nr++]);
		EXPECT_EQ(remove_key(cache, "k"), 0);
	}
	shim_set_cpu(0);
	for (i = 0; i < nr; i++) {
		EXPECT(seen[i]);
		for (j = 0; j < i; j++)
			if (seen[i] == seen[j])
				FAIL("version %llu twice", seen[i]);
	}
	stop();
}

/* -------- time -------- */

KTAP_TEST(an_entry_lives_to_the_last_millisecond_and_no_longer)
{
	start(MiB);
	EXPECT_EQ(set_ttl(cache, "k", "1", 100), 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 100);
	shim_clock_advance_ms(99);
	EXPECT(has(cache, "k", "1"));
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 1);
	shim_clock_advance_ms(1);
	EXPECT(has(cache, "k", NULL));
	EXPECT_EQ(entries(cache), 1);	/* nobody has taken it out yet */
	EXPECT_EQ(set_ttl(cache, "k", "1", KCACHE_TTL_MAX_MS), 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, KCACHE_TTL_MAX_MS);
	shim_clock_advance_ms(KCACHE_TTL_MAX_MS - 1);
	EXPECT(has(cache, "k", "1"));
	shim_clock_advance_ms(1);
	EXPECT(has(cache, "k", NULL));
	shim_clock_set_ms(1000);
	stop();
}

KTAP_TEST(set_with_short_ttl_then_every_operation_is_enoent)
{
	struct kcache_op op;
	u32 opcode;
	char out[8];

	start(MiB);
	for (opcode = KCACHE_OP_GET; opcode <= KCACHE_OP_PREPEND; opcode++) {
		if (opcode == KCACHE_OP_SET)
			continue;
		set_expired("k");
		op = op_on(opcode, "k");
		OUT(&op, out, sizeof(out));
		VALUE(&op, "1", 1);
		op.delta = 1;
		EXPECT_EQ(run_op(cache, &op), -ENOENT);
	}
	set_expired("k");
	op = op_on(KCACHE_OP_GET, "k");
	op.flags = KCACHE_TOUCH;
	OUT(&op, out, sizeof(out));
	EXPECT_EQ(run_op(cache, &op), -ENOENT);
	EXPECT_EQ(stat_error(cache, "k"), -ENOENT);
	stop();
}

KTAP_TEST(touch_sets_the_expiry_and_nothing_else)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k");

	start(MiB);
	VALUE(&op, "value", 5);
	op.client_flags = 9;
	EXPECT_EQ(run_op(cache, &op), 0);
	op = op_on(KCACHE_OP_TOUCH, "k");
	op.ttl_ms = 500;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 500);
	EXPECT_EQ(stat_of(cache, "k").client_flags, 9);
	EXPECT(has(cache, "k", "value"));
	op.ttl_ms = 0;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 0);
	shim_clock_advance_ms(10000);
	EXPECT(has(cache, "k", "value"));
	EXPECT_EQ(count_of(cache, KC_STAT_touches), 2);
	stop();
}

KTAP_TEST(get_with_touch_is_both_or_neither)
{
	struct kcache_op op = op_on(KCACHE_OP_GET, "k");
	char out[8];

	start(MiB);
	EXPECT_EQ(set_ttl(cache, "k", "value", 100), 0);
	op.flags = KCACHE_TOUCH;
	op.ttl_ms = 700;
	OUT(&op, out, 4);
	EXPECT_EQ(run_op(cache, &op), -EMSGSIZE);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 100);
	OUT(&op, out, 8);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_MEM(out, "value", 5);
	EXPECT_EQ(op.ttl_ms, 700);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 700);
	EXPECT_EQ(stat_of(cache, "k").version, op.version);
	op.ttl_ms = 0;
	OUT(&op, out, 8);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.ttl_ms, 0);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 0);
	stop();
}

/* -------- REMOVE and POP -------- */

KTAP_TEST(remove_removes_if_the_version_is_right)
{
	struct kcache_op op = op_on(KCACHE_OP_REMOVE, "k");

	start(MiB);
	EXPECT_EQ(set(cache, "k", "1"), 0);
	op.flags = KCACHE_IF_VERSION;
	op.version = stat_of(cache, "k").version + 1;
	EXPECT_EQ(run_op(cache, &op), -ESTALE);
	EXPECT(has(cache, "k", "1"));
	op.version--;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT(has(cache, "k", NULL));
	EXPECT_EQ(run_op(cache, &op), -ENOENT);
	EXPECT_EQ(set(cache, "k", "1"), 0);
	EXPECT_EQ(remove_key(cache, "k"), 0);
	EXPECT_EQ(remove_key(cache, "k"), -ENOENT);
	EXPECT_EQ(entries(cache), 0);
	stop();
}

KTAP_TEST(pop_gives_the_value_and_removes_it_or_does_neither)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k"), pop_op;
	char out[8];
	u64 len;

	start(MiB);
	VALUE(&op, "value", 5);
	op.ttl_ms = 60;
	op.client_flags = 5;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(pop(cache, "k", out, 4, &len), -EMSGSIZE);
	EXPECT_EQ(len, 5);
	EXPECT(has(cache, "k", "value"));
	pop_op = op_on(KCACHE_OP_POP, "k");
	OUT(&pop_op, out, 8);
	EXPECT_EQ(run_op(cache, &pop_op), 0);
	EXPECT_MEM(out, "value", 5);
	EXPECT_EQ(pop_op.out_len, 5);
	EXPECT_EQ(pop_op.ttl_ms, 60);
	EXPECT_EQ(pop_op.client_flags, 5);
	EXPECT_EQ(pop_op.version, op.version);
	EXPECT_EQ(pop(cache, "k", out, 8, &len), -ENOENT);
	EXPECT_EQ(entries(cache), 0);
	stop();
}

/* -------- ADD -------- */

KTAP_TEST(add_adds_in_place_and_where_the_number_outgrows_it)
{
	s64 sum, expected = 0;
	int i;

	start(MiB);
	EXPECT_EQ(set(cache, "k", "0"), 0);
	for (i = 0; i < 2000; i++) {
		s64 delta = (s64)(shim_random() >> (shim_random() % 62 + 2)) *
			    (shim_random() & 1 ? 1 : -1);

		if (__builtin_add_overflow(expected, delta, &sum)) {
			EXPECT_EQ(add(cache, "k", delta, &sum), -ERANGE);
			continue;
		}
		expected += delta;
		EXPECT_EQ(add(cache, "k", delta, &sum), 0);
		EXPECT_EQ(sum, expected);
	}
	EXPECT_EQ(entries(cache), 1);
	stop();
}

KTAP_TEST(add_keeps_expiry_and_client_flags)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k");
	s64 sum;

	start(MiB);
	VALUE(&op, "9", 1);
	op.ttl_ms = 800;
	op.client_flags = 6;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(add(cache, "k", -4, &sum), 0);		/* in place */
	EXPECT(has(cache, "k", "5"));
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 800);
	EXPECT_EQ(stat_of(cache, "k").client_flags, 6);
	EXPECT_EQ(add(cache, "k", 123456789012, &sum), 0);	/* elsewhere */
	EXPECT(has(cache, "k", "123456789017"));
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 800);
	EXPECT_EQ(stat_of(cache, "k").client_flags, 6);
	EXPECT_EQ(add(cache, "k", -123456789012 - 6, &sum), 0);	/* and back */
	EXPECT(has(cache, "k", "-1"));
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 800);
	stop();
}

KTAP_TEST(add_reaches_both_ends_and_not_beyond)
{
	s64 sum;

	start(MiB);
	EXPECT_EQ(set(cache, "k", "9223372036854775807"), 0);
	EXPECT_EQ(add(cache, "k", 1, &sum), -ERANGE);
	EXPECT(has(cache, "k", "9223372036854775807"));
	EXPECT_EQ(add(cache, "k", S64_MIN, &sum), 0);
	EXPECT_EQ(sum, -1);
	EXPECT_EQ(set(cache, "k", "-9223372036854775808"), 0);
	EXPECT_EQ(add(cache, "k", -1, &sum), -ERANGE);
	EXPECT_EQ(add(cache, "k", 0, &sum), 0);
	EXPECT_EQ(sum, S64_MIN);
	EXPECT_EQ(add(cache, "k", S64_MAX, &sum), 0);
	EXPECT_EQ(sum, -1);
	stop();
}

KTAP_TEST(add_to_what_is_no_number_is_erange)
{
	static const struct {
		const char *value;
		u32 len;
	} cases[] = {
		{ "", 0 }, { "x", 1 }, { "1x", 2 }, { " 1", 2 }, { "1 ", 2 }, { "+1", 2 },
		{ "1\n", 2 }, { "\n", 1 }, { "-", 1 }, { "--1", 3 }, { "0x10", 4 }, { "1.0", 3 },
		{ "9223372036854775808", 19 }, { "-9223372036854775809", 20 },
		{ "000000000000000000001", 21 }, { "1\0", 2 }, { "1\0x", 3 }, { "\0001", 2 },
		{ "1\n\0", 3 }, { "12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20 },
	};
	u32 i;
	s64 sum;

	start(MiB);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kcache_op op = op_on(KCACHE_OP_ADD, "k");

		EXPECT_EQ(set_bytes(cache, "k", 1, cases[i].value, cases[i].len), 0);
		if (!EXPECT_EQ(add(cache, "k", 1, &sum), -ERANGE))
			FAIL("case %u", i);
		op.flags = KCACHE_INITIAL;
		EXPECT_EQ(run_op(cache, &op), -ERANGE);
		EXPECT_EQ(stat_of(cache, "k").out_len, cases[i].len);
	}
	EXPECT_EQ(set(cache, "k", "-0"), 0);
	EXPECT(!add(cache, "k", 5, &sum) && sum == 5);
	EXPECT_EQ(set(cache, "k", "007"), 0);
	EXPECT(!add(cache, "k", 1, &sum) && sum == 8);
	EXPECT(has(cache, "k", "8"));
	stop();
}

KTAP_TEST(add_with_initial_stores_a_missing_key)
{
	struct kcache_op op = op_on(KCACHE_OP_ADD, "k");

	start(MiB);
	op.flags = KCACHE_INITIAL;
	op.delta = 5;
	op.number = -40;
	op.ttl_ms = 300;
	op.client_flags = 11;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.number, -40);
	EXPECT(has(cache, "k", "-40"));
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 300);
	EXPECT_EQ(stat_of(cache, "k").client_flags, 11);
	EXPECT_EQ(stat_of(cache, "k").version, op.version);
	op.ttl_ms = 9;
	op.client_flags = 9;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.number, -35);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 300);
	EXPECT_EQ(stat_of(cache, "k").client_flags, 11);
	shim_clock_advance_ms(300);
	op.number = S64_MIN;
	op.ttl_ms = 0;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT(has(cache, "k", "-9223372036854775808"));
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 0);
	EXPECT_EQ(count_of(cache, KC_STAT_adds), 3);
	stop();
}

/* -------- APPEND and PREPEND -------- */

KTAP_TEST(append_and_prepend_extend_and_keep_the_rest)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k");

	start(MiB);
	VALUE(&op, "mid", 3);
	op.ttl_ms = 400;
	op.client_flags = 3;
	EXPECT_EQ(run_op(cache, &op), 0);
	op = op_on(KCACHE_OP_APPEND, "k");
	VALUE(&op, "-end", 4);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, 7);
	EXPECT_EQ(op.version, stat_of(cache, "k").version);
	op = op_on(KCACHE_OP_PREPEND, "k");
	VALUE(&op, "start-", 6);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, 13);
	EXPECT(has(cache, "k", "start-mid-end"));
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 400);
	EXPECT_EQ(stat_of(cache, "k").client_flags, 3);
	VALUE(&op, "", 0);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT(has(cache, "k", "start-mid-end"));
	op.flags = KCACHE_IF_VERSION;
	op.version = 1;
	EXPECT_EQ(run_op(cache, &op), -ESTALE);
	op.version = stat_of(cache, "k").version;
	VALUE(&op, "+", 1);
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT(has(cache, "k", "+start-mid-end"));
	EXPECT_EQ(count_of(cache, KC_STAT_appends), 4);
	stop();
}

KTAP_TEST(append_grows_a_value_over_every_border_up_to_the_limit)
{
	static u8 value[64 * KiB], out[64 * KiB];
	u64 len = 0, max, step;
	int prepend;

	for (prepend = 0; prepend < 2; prepend++) {
		start(MiB);
		max = kc_cache_value_max(cache);
		EXPECT_EQ(max, 32 * KiB);
		fill(value, sizeof(value), 5);
		EXPECT_EQ(set(cache, "k", ""), 0);
		for (len = 0; len < max; len += step) {
			struct kcache_op op = op_on(prepend ? KCACHE_OP_PREPEND :
						    KCACHE_OP_APPEND, "k");

			step = min_t(u64, max - len, 1 + shim_random() % 900);
			VALUE(&op, prepend ? value + max - len - step : value + len, step);
			ASSERT_EQ(run_op(cache, &op), 0);
			EXPECT_EQ(op.out_len, len + step);
		}
		EXPECT_EQ(get_bytes(cache, "k", 1, out, sizeof(out)), max);
		EXPECT_MEM(out, value, max);
		EXPECT_EQ(extend(cache, KCACHE_OP_APPEND, "k", "x"), -EFBIG);
		EXPECT_EQ(extend(cache, KCACHE_OP_PREPEND, "k", ""), 0);
		EXPECT_EQ(stat_of(cache, "k").out_len, max);
		EXPECT(audit(cache));
		stop();
	}
}

/* -------- what failed has changed nothing -------- */

/* Outputs that the contract does not name for an opcode are left alone. */
KTAP_TEST(fields_that_an_opcode_does_not_name_stay)
{
	static const struct {
		u32 opcode;
		bool out_len, ttl, version, number, client_flags;
	} names[] = {
		{ KCACHE_OP_GET, true, true, true, false, true },
		{ KCACHE_OP_SET, false, false, true, false, false },
		{ KCACHE_OP_REMOVE, false, false, false, false, false },
		{ KCACHE_OP_POP, true, true, true, false, true },
		{ KCACHE_OP_STAT, true, true, true, false, true },
		{ KCACHE_OP_TOUCH, false, false, true, false, false },
		{ KCACHE_OP_ADD, false, false, true, true, false },
		{ KCACHE_OP_APPEND, true, false, true, false, false },
		{ KCACHE_OP_PREPEND, true, false, true, false, false },
	};
	u32 i;

	start(MiB);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		struct kcache_op op = op_on(names[i].opcode, "k"), was;
		char out[64];

		EXPECT_EQ(set(cache, "k", "31"), 0);
		OUT(&op, out, 33);
		VALUE(&op, "1", 1);
		op.delta = 17;
		op.ttl_ms = 4242;
		op.version = 4343;
		op.number = 4444;
		op.client_flags = 4545;
		was = op;
		EXPECT_EQ(run_op(cache, &op), 0);
		EXPECT_EQ(op.out_len != was.out_len, names[i].out_len);
		EXPECT_EQ(op.ttl_ms != was.ttl_ms, names[i].ttl);
		EXPECT_EQ(op.version != was.version, names[i].version);
		EXPECT_EQ(op.number != was.number, names[i].number);
		EXPECT_EQ(op.client_flags != was.client_flags, names[i].client_flags);
		was.out_len = op.out_len;
		was.ttl_ms = op.ttl_ms;
		was.version = op.version;
		was.number = op.number;
		was.client_flags = op.client_flags;
		EXPECT(!memcmp(&op, &was, sizeof(op)));
	}
	stop();
}

KTAP_TEST(operations_that_succeed_are_counted)
{
	char out[8];
	u64 len;
	s64 sum;

	start(MiB);
	EXPECT_EQ(set(cache, "k", "1"), 0);
	EXPECT_EQ(set_if(cache, "k", "1", KCACHE_IF_ABSENT, 0, 0), -EEXIST);
	EXPECT(has(cache, "k", "1") && has(cache, "x", NULL));
	EXPECT_EQ(add(cache, "k", 1, &sum), 0);
	EXPECT_EQ(extend(cache, KCACHE_OP_APPEND, "k", "1"), 0);
	EXPECT_EQ(pop(cache, "k", out, 8, &len), 0);
	EXPECT_EQ(set(cache, "k", "1"), 0);
	EXPECT_EQ(remove_key(cache, "k"), 0);
	EXPECT_EQ(remove_key(cache, "k"), -ENOENT);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(count_of(cache, KC_STAT_sets), 2);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_misses), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_adds), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_appends), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_pops), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_removes), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_flushes), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	EXPECT_EQ(count_of(cache, KC_STAT_retries), 0);
	EXPECT_EQ(count_of(cache, KC_STAT_faults), 0);
	stop();
}

KTAP_TEST(a_caller_that_is_killed_does_not_evict)
{
	static u8 value[20000];
	u64 evictions;
	u32 i, left;

	start(MiB);
	for (i = 0; !count_of(cache, KC_STAT_evictions); i++)
		ASSERT_EQ(set_bytes(cache, &i, 4, value, 8000), 0);
	shim_kill(true);
	evictions = count_of(cache, KC_STAT_evictions);
	for (left = 100; left && !set_bytes(cache, &i, 4, value, 8000); left--)
		i++;
	EXPECT(left);
	EXPECT_EQ(set_bytes(cache, &i, 4, value, 8000), -EINTR);
	EXPECT_EQ(set_bytes(cache, &i, 4, value, 20000), -EINTR);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), evictions);
	EXPECT(audit(cache));
	shim_kill(false);
	EXPECT_EQ(get_bytes(cache, &i, 4, value, 20000), -ENOENT);
	EXPECT_EQ(set_bytes(cache, &i, 4, value, 20000), 0);
	stop();
}

KTAP_MAIN
