// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_cache: requests that are refused, limits, flush, resize, walks, and buffers
 * in user memory that is not there.
 */
#include <linux/delay.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "entry.h"
#include "helpers.h"

#define MIB	((u64)SZ_1M)

/* -------- requests that are none -------- */

static void flags_are_taken_by_the_opcodes_that_name_them(struct kunit *test)
{
	static const u32 taken[] = {
		[KCACHE_OP_GET] = KCACHE_TOUCH,
		[KCACHE_OP_SET] = KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION |
				  KCACHE_KEEP_TTL | KCACHE_RETURN_OLD,
		[KCACHE_OP_REMOVE] = KCACHE_IF_VERSION,
		[KCACHE_OP_POP] = 0,
		[KCACHE_OP_STAT] = 0,
		[KCACHE_OP_TOUCH] = 0,
		[KCACHE_OP_ADD] = KCACHE_INITIAL,
		[KCACHE_OP_APPEND] = KCACHE_IF_VERSION,
		[KCACHE_OP_PREPEND] = KCACHE_IF_VERSION,
	};
	struct kcache_op op = { .key_len = 1 };
	u32 all = 0;
	int bit;

	for (op.opcode = 1; op.opcode < ARRAY_SIZE(taken); op.opcode++) {
		all |= taken[op.opcode];
		for (bit = 0; bit < 32; bit++) {
			op.flags = 1U << bit;
			KUNIT_EXPECT_EQ_MSG(test, kc_call_check(&op, KC_READ | KC_WRITE) >= 0,
					    !!(taken[op.opcode] & op.flags),
					    "opcode %u flag %d", op.opcode, bit);
		}
	}
	KUNIT_EXPECT_EQ(test, kc_cache_flags(), all);
	KUNIT_EXPECT_EQ(test, kc_cache_opcodes(), GENMASK(KCACHE_OP_PREPEND, KCACHE_OP_GET));
}

static void access_is_what_the_contract_says(struct kunit *test)
{
	static const struct {
		u32 opcode, flags, access;
	} needed[] = {
		{ KCACHE_OP_GET, 0, KC_READ },
		{ KCACHE_OP_GET, KCACHE_TOUCH, KC_READ | KC_WRITE },
		{ KCACHE_OP_SET, 0, KC_WRITE },
		{ KCACHE_OP_SET, KCACHE_KEEP_TTL, KC_WRITE },
		{ KCACHE_OP_SET, KCACHE_RETURN_OLD, KC_READ | KC_WRITE },
		{ KCACHE_OP_REMOVE, 0, KC_WRITE },
		{ KCACHE_OP_POP, 0, KC_READ | KC_WRITE },
		{ KCACHE_OP_STAT, 0, KC_READ },
		{ KCACHE_OP_TOUCH, 0, KC_WRITE },
		{ KCACHE_OP_ADD, 0, KC_READ | KC_WRITE },
		{ KCACHE_OP_ADD, KCACHE_INITIAL, KC_READ | KC_WRITE },
		{ KCACHE_OP_APPEND, 0, KC_WRITE },
		{ KCACHE_OP_PREPEND, 0, KC_WRITE },
	};
	u32 i, access;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		struct kcache_op op = {
			.opcode = needed[i].opcode, .flags = needed[i].flags, .key_len = 1,
		};

		for (access = 0; access <= (KC_READ | KC_WRITE); access++) {
			bool is_enough = (access & needed[i].access) == needed[i].access;

			KUNIT_EXPECT_EQ_MSG(test, kc_call_check(&op, access),
					    is_enough ? needed[i].access : -EBADF,
					    "case %u access %u", i, access);
		}
	}
}

static void malformed_request_is_refused(struct kunit *test)
{
	static const struct {
		struct kcache_op op;
		int err;
	} cases[] = {
		{ { .opcode = 0, .key_len = 1 }, -EINVAL },
		{ { .opcode = KCACHE_OP_PREPEND + 1, .key_len = 1 }, -EINVAL },
		{ { .opcode = ~0U, .key_len = 1 }, -EINVAL },
		{ { .opcode = KCACHE_OP_GET, .key_len = 0 }, -EINVAL },
		{ { .opcode = KCACHE_OP_GET, .key_len = KCACHE_KEY_MAX }, KC_READ },
		{ { .opcode = KCACHE_OP_GET, .key_len = KCACHE_KEY_MAX + 1 }, -EFBIG },
		{ { .opcode = KCACHE_OP_GET, .key_len = ~0U }, -EFBIG },
		{ { .opcode = KCACHE_OP_GET, .key_len = 1, .error = 1 }, -EINVAL },
		{ { .opcode = KCACHE_OP_SET, .key_len = 1,
		    .flags = KCACHE_IF_ABSENT | KCACHE_IF_PRESENT }, -EINVAL },
		{ { .opcode = KCACHE_OP_SET, .key_len = 1,
		    .flags = KCACHE_IF_VERSION | KCACHE_IF_PRESENT }, -EINVAL },
		{ { .opcode = KCACHE_OP_SET, .key_len = 1,
		    .flags = KCACHE_IF_VERSION | KCACHE_IF_ABSENT }, -EINVAL },
		{ { .opcode = KCACHE_OP_SET, .key_len = 1, .ttl_ms = KCACHE_TTL_MAX_MS },
		  KC_WRITE },
		{ { .opcode = KCACHE_OP_SET, .key_len = 1, .ttl_ms = KCACHE_TTL_MAX_MS + 1 },
		  -EINVAL },
		{ { .opcode = KCACHE_OP_TOUCH, .key_len = 1, .ttl_ms = ~0ULL }, -EINVAL },
		{ { .opcode = KCACHE_OP_GET, .flags = KCACHE_TOUCH, .key_len = 1,
		    .ttl_ms = ~0ULL }, -EINVAL },
		{ { .opcode = KCACHE_OP_ADD, .flags = KCACHE_INITIAL, .key_len = 1,
		    .ttl_ms = ~0ULL }, -EINVAL },
		/* A field that the opcode does not name. */
		{ { .opcode = KCACHE_OP_GET, .key_len = 1, .ttl_ms = ~0ULL }, KC_READ },
		{ { .opcode = KCACHE_OP_ADD, .key_len = 1, .ttl_ms = ~0ULL },
		  KC_READ | KC_WRITE },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, kc_call_check(&cases[i].op, KC_READ | KC_WRITE),
				    cases[i].err, "case %d", i);
}

/* -------- time and versions -------- */

static void set_with_short_ttl_then_get_is_enoent(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kcache_op is;
	u64 end;

	KUNIT_ASSERT_EQ(test, kt_set(cache, "key", "value", KCACHE_TTL_MAX_MS), 0);
	KUNIT_EXPECT_EQ(test, kt_stat(cache, "key", &is), 0);
	KUNIT_EXPECT_GT(test, is.ttl_ms, KCACHE_TTL_MAX_MS - KT_HOUR_MS);
	KUNIT_EXPECT_LE(test, is.ttl_ms, KCACHE_TTL_MAX_MS);

	end = kc_now_ms() + 40;
	KUNIT_ASSERT_EQ(test, kt_set(cache, "key", "value", 40), 0);
	while (!kt_stat(cache, "key", &is)) {
		KUNIT_EXPECT_GE(test, is.ttl_ms, 1);
		KUNIT_EXPECT_LE(test, is.ttl_ms, 40);
		usleep_range(1000, 4000);
	}
	KUNIT_EXPECT_GE(test, kc_now_ms(), end);
	kt_expect_value(test, cache, "key", NULL);
}

static void every_change_gives_a_version_that_was_never_there(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kt_op op = { .op = { .opcode = KCACHE_OP_SET }, .key = "key", .value = "1" };
	u64 seen[40];
	int i, k;

	for (i = 0; i < ARRAY_SIZE(seen); i++) {
		static const u32 opcodes[] = {
			KCACHE_OP_SET, KCACHE_OP_ADD, KCACHE_OP_TOUCH, KCACHE_OP_APPEND,
		};

		op.op.opcode = opcodes[i % ARRAY_SIZE(opcodes)];
		KUNIT_ASSERT_EQ(test, kt_run(cache, &op), 0);
		seen[i] = op.op.version;
		for (k = 0; k < i; k++)
			KUNIT_EXPECT_NE(test, seen[i], seen[k]);
	}
}

/* -------- sizes -------- */

static void keys_and_values_are_any_bytes_of_any_length(struct kunit *test)
{
	static const u32 key_lens[] = { 1, 2, 3, 4, 5, 31, 255, 256, KCACHE_KEY_MAX };
	static const u32 value_lens[] = { 0, 1, 3, 4, 63 };
	struct kc_cache *cache = kt_cache(test, MIB);
	u8 *key = kunit_kmalloc(test, KCACHE_KEY_MAX, GFP_KERNEL);
	char value[64];
	int i, k;

	for (i = 0; i < KCACHE_KEY_MAX; i++)
		key[i] = i * 7;
	for (i = 0; i < sizeof(value); i++)
		value[i] = i * 5;
	for (i = 0; i < ARRAY_SIZE(key_lens); i++) {
		for (k = 0; k < ARRAY_SIZE(value_lens); k++) {
			struct kt_op op = {
				.op = {
					.opcode = KCACHE_OP_SET,
					.key_len = key_lens[i],
					.value_len = value_lens[k],
				},
				.key = key,
				.value = value_lens[k] ? value : NULL,
			};

			KUNIT_EXPECT_EQ(test, kt_run(cache, &op), 0);
			op.op.opcode = KCACHE_OP_GET;
			KUNIT_EXPECT_EQ(test, kt_run(cache, &op), 0);
			KUNIT_EXPECT_EQ(test, op.op.out_len, value_lens[k]);
			KUNIT_EXPECT_MEMEQ(test, op.out, value, value_lens[k]);
		}
	}
}

static void value_up_to_the_limit_is_stored_and_a_longer_one_is_efbig(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 2 * MIB);
	u32 max = kc_cache_value_max(cache), len;
	struct kt_op op = {
		.op = { .opcode = KCACHE_OP_SET, .value_len = max + 1 },
		.key = "key",
		.value = "not looked at",
	};

	KUNIT_EXPECT_EQ(test, kt_run(cache, &op), -EFBIG);
	/* Each size of run, and each way to fill the last chunk of one. */
	for (len = max; len > 8 << 10; len -= 2044) {
		KUNIT_EXPECT_EQ(test, kt_set_id(cache, len, len, len, 0), 0);
		KUNIT_EXPECT_EQ(test, kt_get_id(cache, len), 0);
	}
	KUNIT_EXPECT_EQ(test, kt_set_id(cache, 0, 0, max, 0), 0);
	KUNIT_EXPECT_EQ(test, kt_take_id(cache, KCACHE_OP_POP, 0), 0);
}

static void append_up_to_the_limit_and_no_further(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 max = kc_cache_value_max(cache), len = 0;
	struct kt_op op = { .op = { .opcode = KCACHE_OP_SET }, .key = "key", .value = "" };
	struct kcache_op is;
	u8 *piece = kunit_kzalloc(test, 1000, GFP_KERNEL);
	int err;

	KUNIT_ASSERT_EQ(test, kt_run(cache, &op), 0);
	op.value = piece;
	op.op.value_len = 1000;
	do {	/* from one block to many, and from a segment to a run */
		op.op.opcode = len / 1000 % 2 ? KCACHE_OP_APPEND : KCACHE_OP_PREPEND;
		memset(piece, len / 1000, 1000);
		err = kt_run(cache, &op);
		if (!err)
			len += 1000;
		KUNIT_ASSERT_EQ(test, kt_stat(cache, "key", &is), 0);
		KUNIT_EXPECT_EQ(test, is.out_len, len);
	} while (!err);
	KUNIT_EXPECT_EQ(test, err, -EFBIG);
	KUNIT_EXPECT_EQ(test, len, max / 1000 * 1000);
}

static void no_room_is_enospc_and_changes_nothing(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kt_op add = {
		.op = { .opcode = KCACHE_OP_ADD, .flags = KCACHE_INITIAL, .number = 3 },
		.key = "number",
	};
	u64 rest;

	/* All memory is somebody else's; then the log has nothing to evict. */
	rest = MIB - atomic64_read(&cache->arena.used_bytes);
	KUNIT_ASSERT_EQ(test, kc_arena_charge(&cache->arena, rest), 0);
	KUNIT_EXPECT_EQ(test, kt_set(cache, "key", "value", 0), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kt_set_id(cache, 1, 1, 20000, 0), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kt_run(cache, &add), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kc_stats_sum(cache->stats, KC_STAT_no_space), 3);
	kt_expect_value(test, cache, "key", NULL);
	kc_arena_uncharge(&cache->arena, rest);
	KUNIT_EXPECT_EQ(test, kt_set(cache, "key", "value", 0), 0);
	kt_expect_value(test, cache, "key", "value");
}

/* -------- all of it -------- */

static u32 fill(struct kc_cache *cache, u32 nr, u32 len)
{
	u32 id, failed = 0;

	for (id = 0; id < nr; id++)
		failed += !!kt_set_id(cache, id, id, len, 0);
	return failed;
}

static void flush_removes_all_and_gives_the_memory_back(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 8 * MIB);
	u64 before = kt_memory_used(cache);
	struct kc_cache_account account;
	int round;

	for (round = 0; round < 2; round++) {
		/* Enough for splits, overflow buckets, and a run. */
		KUNIT_EXPECT_EQ(test, fill(cache, 6000, 100), 0);
		KUNIT_EXPECT_EQ(test, kt_set_id(cache, 9999, 1, 200000, 0), 0);
		kc_cache_account(cache, &account);
		KUNIT_EXPECT_EQ(test, account.entries, 6001);
		KUNIT_EXPECT_GT(test, account.buckets, 1000);
		KUNIT_EXPECT_EQ(test, kc_cache_flush(cache), 0);
		kc_cache_account(cache, &account);
		KUNIT_EXPECT_EQ(test, account.entries, 0);
		KUNIT_EXPECT_EQ(test, account.buckets, cache->table.nr_stripes);
		KUNIT_EXPECT_EQ(test, account.bytes_live, 0);
		KUNIT_EXPECT_EQ(test, account.segments, 0);
		KUNIT_EXPECT_EQ(test, kt_memory_used(cache), before);
		kt_check(test, cache);
	}
	KUNIT_EXPECT_EQ(test, kc_stats_sum(cache->stats, KC_STAT_flushed), 2 * 6001);
	KUNIT_EXPECT_EQ(test, kt_get_id(cache, 5), -ENOENT);
	KUNIT_EXPECT_EQ(test, kc_cache_flush(cache), 0);	/* of nothing */
}

static void walk_meets_each_live_entry_once(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 4 * MIB);
	struct kc_copy copy = { 0 };
	u64 position = 0;
	u32 nr = 0;
	u8 key[KT_KEY_MAX];
	int err;

	KUNIT_EXPECT_EQ(test, kc_cache_next(cache, &position, &copy), 0);
	KUNIT_EXPECT_EQ(test, fill(cache, 2000, 60), 0);
	KUNIT_EXPECT_EQ(test, kt_set_id(cache, 5000, 1, 100000, KT_HOUR_MS), 0);
	KUNIT_EXPECT_EQ(test, kt_set_id(cache, 5001, 1, 60, 1), 0);
	kt_sleep_past(1);
	position = 0;
	do {
		u32 id;

		err = kc_cache_next(cache, &position, &copy);
		if (err != 1)
			break;
		nr++;
		memcpy(&id, copy.data, sizeof(id));
		KUNIT_EXPECT_EQ(test, copy.key_len, kt_key(id, key));
		KUNIT_EXPECT_MEMEQ(test, copy.data, key, copy.key_len);
		KUNIT_EXPECT_TRUE(test, kt_is_whole(copy.data + copy.key_len, copy.value_len, id));
		KUNIT_EXPECT_EQ(test, copy.ttl_ms > KT_HOUR_MS / 2, id == 5000);
		KUNIT_EXPECT_EQ(test, kt_remove_id(cache, id), 0);	/* met twice: ENOENT */
	} while (position);
	KUNIT_EXPECT_GE(test, err, 0);
	KUNIT_EXPECT_EQ(test, nr, 2001);
	kvfree(copy.data);
}

static void resize_down_evicts_at_once_and_up_makes_room(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 4 * MIB);
	u32 id, there = 0;

	KUNIT_EXPECT_EQ(test, fill(cache, 3000, 1000), 0);
	KUNIT_EXPECT_EQ(test, kc_cache_resize(cache, MIB), 0);
	KUNIT_EXPECT_LE(test, atomic64_read(&cache->arena.used_bytes), MIB);
	KUNIT_EXPECT_EQ(test, kc_cache_value_max(cache), MIB / 32);
	kt_check(test, cache);
	for (id = 0; id < 3000; id++)
		there += !kt_get_id(cache, id);
	KUNIT_EXPECT_GT(test, there, 500);
	KUNIT_EXPECT_EQ(test, kt_get_id(cache, 2999), 0);

	KUNIT_EXPECT_EQ(test, kc_cache_resize(cache, 8 * MIB), 0);
	KUNIT_EXPECT_EQ(test, fill(cache, 5000, 1000), 0);
	for (id = 0, there = 0; id < 5000; id++)
		there += !kt_get_id(cache, id);
	KUNIT_EXPECT_EQ(test, there, 5000);
	KUNIT_EXPECT_EQ(test, kc_cache_resize(cache, MIB + MIB / 2), 0);
	kt_check(test, cache);
	KUNIT_EXPECT_EQ(test, fill(cache, 1000, 100), 0);
	KUNIT_EXPECT_EQ(test, kc_cache_resize(cache, MIB - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, kc_cache_resize(cache, ~0ULL), -EINVAL);
}

static void limit_out_of_range_is_einval(struct kunit *test)
{
	struct kc_cache *cache = kunit_kzalloc(test, sizeof(*cache), GFP_KERNEL);

	KUNIT_EXPECT_EQ(test, kc_cache_init(cache, "kunit", MIB - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, kc_cache_init(cache, "kunit", 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, kc_cache_init(cache, "kunit", ~0ULL), -EINVAL);
	cache = kt_cache(test, 256 * MIB);	/* with chunks of 2 MiB */
	KUNIT_EXPECT_EQ(test, kc_cache_resize(cache, 16 * MIB), -EINVAL);
	KUNIT_EXPECT_EQ(test, kc_cache_resize(cache, 32 * MIB), 0);
}

/* -------- buffers in user memory -------- */

static int run_user(struct kc_cache *cache, u32 opcode, unsigned long value, unsigned long out,
		    size_t len)
{
	struct kc_call call = {
		.op = { .opcode = opcode, .key_len = 4, .value_len = len, .out_len = len },
		.key = "user",
		.value = kc_buffer_user((void __user *)value),
		.out = kc_buffer_user((void __user *)out),
	};

	return kc_cache_run(cache, &call);
}

static unsigned long map(struct kunit *test, size_t len)
{
	unsigned long address = kunit_vm_mmap(test, NULL, 0, len, PROT_READ | PROT_WRITE,
					      MAP_ANONYMOUS | MAP_PRIVATE, 0);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(address));
	return address;
}

/* In 1 MiB: in a block, over a block's border, a run. */
static const u32 user_lens[] = { 100, 5000, 30000 };

static void user_memory_that_is_not_there_is_brought_in(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u8 *zeros = kunit_kzalloc(test, 30000, GFP_KERNEL);
	u8 *copy = kunit_kzalloc(test, 30000, GFP_KERNEL);
	u64 faults = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(user_lens); i++) {
		u32 len = user_lens[i];
		unsigned long out = map(test, 2 * len) + 100;

		KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_SET, map(test, len), 0, len), 0);
		KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_GET, 0, out, len), 0);
		KUNIT_ASSERT_EQ(test, copy_from_user(copy, (void __user *)out, len), 0);
		KUNIT_EXPECT_MEMEQ(test, copy, zeros, len);
		KUNIT_EXPECT_EQ(test, kt_set(cache, "user", "a", 0), 0);
		KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_APPEND, map(test, len), 0, len), 0);
		KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_POP, 0, map(test, len + 1),
					       len + 1), 0);
		KUNIT_EXPECT_GE(test, kc_stats_sum(cache->stats, KC_STAT_faults), faults + 4);
		faults = kc_stats_sum(cache->stats, KC_STAT_faults);
	}
}

static void user_memory_that_does_not_exist_is_efault_and_changes_nothing(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	unsigned long hole = map(test, 16 * PAGE_SIZE);
	int i, k;

	vm_munmap(hole + PAGE_SIZE, 15 * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(user_lens); i++) {
		u32 len = user_lens[i];
		/* From the first byte on; from some byte on; and an address of the kernel. */
		unsigned long bad[] = {
			hole + PAGE_SIZE, hole + PAGE_SIZE - 50, (unsigned long)cache,
		};

		for (k = 0; k < ARRAY_SIZE(bad); k++) {
			kt_remove(cache, "user");
			KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_SET, bad[k], 0, len),
					-EFAULT);
			kt_expect_value(test, cache, "user", NULL);
			KUNIT_EXPECT_EQ(test, kt_set(cache, "user", "old", 0), 0);
			KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_APPEND, bad[k], 0, len),
					-EFAULT);
			kt_expect_value(test, cache, "user", "old");
			KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_SET, map(test, len), 0,
						       len), 0);
			KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_GET, 0, bad[k], len),
					-EFAULT);
			KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_POP, 0, bad[k], len),
					-EFAULT);
			KUNIT_EXPECT_EQ(test, run_user(cache, KCACHE_OP_POP, 0, map(test, len),
						       len), 0);
		}
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(flags_are_taken_by_the_opcodes_that_name_them),
	KUNIT_CASE(access_is_what_the_contract_says),
	KUNIT_CASE(malformed_request_is_refused),
	KUNIT_CASE(set_with_short_ttl_then_get_is_enoent),
	KUNIT_CASE(every_change_gives_a_version_that_was_never_there),
	KUNIT_CASE(keys_and_values_are_any_bytes_of_any_length),
	KUNIT_CASE(value_up_to_the_limit_is_stored_and_a_longer_one_is_efbig),
	KUNIT_CASE(append_up_to_the_limit_and_no_further),
	KUNIT_CASE(no_room_is_enospc_and_changes_nothing),
	KUNIT_CASE(flush_removes_all_and_gives_the_memory_back),
	KUNIT_CASE(walk_meets_each_live_entry_once),
	KUNIT_CASE_SLOW(resize_down_evicts_at_once_and_up_makes_room),
	KUNIT_CASE(limit_out_of_range_is_einval),
	KUNIT_CASE(user_memory_that_is_not_there_is_brought_in),
	KUNIT_CASE(user_memory_that_does_not_exist_is_efault_and_changes_nothing),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_cache",
	.test_cases = cases,
};

kunit_test_suite(suite);
