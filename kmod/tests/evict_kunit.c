// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_evict: segments that are retired and compacted, and what is left then.
 */
#include <linux/delay.h>
#include <linux/shrinker.h>

#include "entry.h"
#include "helpers.h"

#define MIB	((u64)SZ_1M)

static u64 stat(struct kc_cache *cache, enum kc_counter which)
{
	return kc_stats_sum(cache->stats, which);
}

static int evict_one(struct kc_cache *cache)
{
	int err;

	mutex_lock(&cache->evict.mutex);
	err = kc_evict_one_locked(&cache->evict);
	mutex_unlock(&cache->evict.mutex);
	return err;
}

static void fill(struct kunit *test, struct kc_cache *cache, u32 first, u32 nr, u32 len)
{
	u32 id;

	for (id = first; id < first + nr; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, id, len, 0), 0);
}

/* How many of these ids are there? All that are must be whole. */
static u32 count(struct kunit *test, struct kc_cache *cache, u32 first, u32 nr)
{
	u32 id, there = 0;
	int err;

	for (id = first; id < first + nr; id++) {
		err = kt_get_id(cache, id);
		there += !err;
		if (err)
			KUNIT_EXPECT_EQ(test, err, -ENOENT);
	}
	return there;
}

/* As count(), but that is no use of the entries. */
static u32 count_unused(struct kc_cache *cache, u32 first, u32 nr)
{
	u8 key[KT_KEY_MAX];
	u32 id, there = 0;

	for (id = first; id < first + nr; id++) {
		struct kcache_op op = { .opcode = KCACHE_OP_STAT };

		op.key_len = kt_key(id, key);
		there += !kt_run_op(cache, &op, key, NULL, NULL);
	}
	return there;
}

/* Compacts the oldest segment. False if there was no room for all of it, or no segment. */
static bool compact_oldest(struct kc_cache *cache)
{
	struct kc_segment *segment;
	bool is_whole = false;

	mutex_lock(&cache->evict.mutex);
	mutex_lock(&cache->arena.mutex);
	kc_log_seal_lanes_locked(&cache->log);
	kc_log_collect_locked(&cache->log);
	segment = kc_log_oldest_locked(&cache->log, KC_SMALL);
	if (segment && (kc_segment_is_run(segment) || !kc_log_hold_locked(segment)))
		segment = NULL;
	mutex_unlock(&cache->arena.mutex);
	if (segment) {
		is_whole = kc_evict_compact_locked(&cache->evict, segment);
		kc_log_release(&cache->log, segment);
	}
	mutex_unlock(&cache->evict.mutex);
	return is_whole;
}

static void nothing_to_evict_is_enospc(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	KUNIT_EXPECT_EQ(test, evict_one(cache), -ENOSPC);
}

static void segment_that_is_being_filled_goes_if_there_is_no_other(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	kt_stay_on_cpu(test);
	fill(test, cache, 0, 5, 100);
	KUNIT_EXPECT_EQ(test, evict_one(cache), 0);
	KUNIT_EXPECT_EQ(test, count(test, cache, 0, 5), 0);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_evictions), 5);
	KUNIT_EXPECT_EQ(test, evict_one(cache), -ENOSPC);
}

static void oldest_segment_goes_first(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 gone;

	kt_stay_on_cpu(test);
	fill(test, cache, 0, 100, 1000);
	for (gone = 0; gone < 90;) {
		u64 before = stat(cache, KC_STAT_evictions);

		KUNIT_ASSERT_EQ(test, evict_one(cache), 0);
		gone += stat(cache, KC_STAT_evictions) - before;
		KUNIT_EXPECT_EQ(test, count_unused(cache, 0, gone), 0);
		KUNIT_EXPECT_EQ(test, count_unused(cache, gone, 100 - gone), 100 - gone);
	}
}

static void dead_segment_goes_before_a_live_one(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 id;

	kt_stay_on_cpu(test);
	fill(test, cache, 0, 40, 1000);
	for (id = 10; id < 30; id++)
		KUNIT_ASSERT_EQ(test, kt_remove_id(cache, id), 0);
	KUNIT_EXPECT_EQ(test, evict_one(cache), 0);
	KUNIT_EXPECT_EQ(test, count(test, cache, 0, 40), 20);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_evictions), 0);
}

static void sets_beyond_the_limit_evict_and_never_fail(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kc_cache_account account;
	u32 there;

	fill(test, cache, 0, 3000, 900);	/* 2.7 MB */
	cancel_work_sync(&cache->work);
	there = count(test, cache, 0, 3000);
	kc_cache_account(cache, &account);
	KUNIT_EXPECT_EQ(test, there + stat(cache, KC_STAT_evictions), 3000);
	KUNIT_EXPECT_EQ(test, account.entries, there);
	KUNIT_EXPECT_GT(test, there, 800);	/* the limit is made use of */
	KUNIT_EXPECT_EQ(test, count(test, cache, 2900, 100), 100);
	KUNIT_EXPECT_LE(test, account.bytes_allocated, MIB);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_no_space), 0);
}

static void expired_entries_are_not_counted_as_evicted(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 id;

	kt_stay_on_cpu(test);
	for (id = 0; id < 6; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, 0, 100, id < 4 ? 1 : 0), 0);
	kt_sleep_past(1);
	KUNIT_EXPECT_EQ(test, evict_one(cache), 0);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_evictions), 2);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_expirations), 4);
}

static void runs_are_evicted_and_their_memory_comes_back(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 len = kc_cache_value_max(cache);

	KUNIT_ASSERT_EQ(test, len, MIB / 32);
	fill(test, cache, 0, 100, len);		/* 3.2 MB, in runs of five chunks */
	KUNIT_EXPECT_EQ(test, count(test, cache, 98, 2), 2);
	KUNIT_EXPECT_GE(test, count(test, cache, 0, 100), 20);
	fill(test, cache, 1000, 2000, 400);	/* which need chunks again */
	KUNIT_EXPECT_EQ(test, count(test, cache, 2900, 100), 100);
	fill(test, cache, 0, 10, len);		/* the small queue has room for three */
	KUNIT_EXPECT_EQ(test, count(test, cache, 8, 2), 2);
}

static void overwriting_one_large_value_evicts_nobody(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 i;

	fill(test, cache, 0, 40, 100);
	for (i = 0; i < 100; i++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, 1000, i, kc_cache_value_max(cache), 0), 0);
	KUNIT_EXPECT_EQ(test, count(test, cache, 0, 40), 40);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_evictions), 0);
}

static void compaction_moves_what_lives_and_keeps_what_is_known_of_it(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kt_op set = {
		.op = {
			.opcode = KCACHE_OP_SET,
			.ttl_ms = KT_HOUR_MS,
			.client_flags = 0xfeed,
		},
		.key = "stays",
		.value = "value",
	};
	struct kcache_op is;
	u32 id;

	kt_stay_on_cpu(test);
	KUNIT_ASSERT_EQ(test, kt_run(cache, &set), 0);
	fill(test, cache, 0, 6, 1000);
	for (id = 0; id < 6; id += 2)
		KUNIT_ASSERT_EQ(test, kt_remove_id(cache, id), 0);
	KUNIT_EXPECT_TRUE(test, compact_oldest(cache));
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_moves), 4);
	KUNIT_EXPECT_EQ(test, count(test, cache, 0, 6), 3);
	kt_expect_value(test, cache, "stays", "value");
	KUNIT_EXPECT_EQ(test, kt_stat(cache, "stays", &is), 0);
	KUNIT_EXPECT_EQ(test, is.version, set.op.version);
	KUNIT_EXPECT_EQ(test, is.client_flags, 0xfeed);
	KUNIT_EXPECT_GT(test, is.ttl_ms, KT_HOUR_MS / 2);
	/* What was left behind is dead. */
	KUNIT_EXPECT_EQ(test, evict_one(cache), 0);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_evictions), 0);
	KUNIT_EXPECT_EQ(test, count(test, cache, 0, 6), 3);
}

static void moved_entry_still_expires_in_the_background(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kc_cache_account account;

	KUNIT_ASSERT_EQ(test, kt_set(cache, "key", "value", 20), 0);
	compact_oldest(cache);
	kt_sleep_past(20);
	kt_expire_now(cache);
	kc_cache_account(cache, &account);
	KUNIT_EXPECT_EQ(test, account.entries, 0);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_expirations), 1);
}

static void compaction_without_room_leaves_the_rest_where_it_is(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 there;

	kt_stay_on_cpu(test);
	fill(test, cache, 0, 500, 900);
	there = count(test, cache, 0, 500);
	mutex_lock(&cache->arena.mutex);
	cache->arena.max_bytes = atomic64_read(&cache->arena.used_bytes);	/* full */
	mutex_unlock(&cache->arena.mutex);
	KUNIT_EXPECT_FALSE(test, compact_oldest(cache));
	KUNIT_EXPECT_EQ(test, count(test, cache, 0, 500), there);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_moves), 0);
}

static void used_entries_outlive_a_flood_of_new_ones(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 id, there;

	/* Of a queue without second chances, none would be left; a segment may be lost. */
	fill(test, cache, 0, 200, 900);
	for (id = 1000; id < 9000; id++) {
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, id, 900, 0), 0);
		kt_get_id(cache, id % 200);
	}
	there = count(test, cache, 0, 200);
	KUNIT_EXPECT_GE(test, there, 192);
	KUNIT_EXPECT_GE(test, stat(cache, KC_STAT_promotions), 150);
	flush_work(&cache->work);
	/* What left not long ago is remembered. */
	for (id = 8000; id < 9000; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, id, 900, 0), 0);
	KUNIT_EXPECT_GT(test, stat(cache, KC_STAT_ghost_hits), 0);
}

static unsigned long reclaim(struct kc_cache *cache, unsigned long pages)
{
	struct shrink_control control = { .nr_to_scan = pages };

	return cache->shrinker->scan_objects(cache->shrinker, &control);
}

static void reclaim_gets_memory_down_to_the_floor(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 4 * MIB);
	u64 floor = MIB + 2 * kc_chunk_size(&cache->arena);
	int i;

	fill(test, cache, 0, 3000, 900);
	KUNIT_ASSERT_EQ(test, kc_cache_set_min(cache, MIB), 0);
	mutex_lock(&cache->evict.mutex);
	KUNIT_EXPECT_EQ(test, reclaim(cache, 1), SHRINK_STOP);
	mutex_unlock(&cache->evict.mutex);
	/* It also stops when the worker holds a mutex, and what readers may see comes later. */
	for (i = 0; i < 5000 && atomic64_read(&cache->arena.used_bytes) > floor; i++)
		if (reclaim(cache, 16) == SHRINK_STOP || i % 7 == 0)
			flush_work(&cache->work);
	KUNIT_EXPECT_LE(test, atomic64_read(&cache->arena.used_bytes), floor);
	while (reclaim(cache, 16) != SHRINK_STOP)
		;
	flush_work(&cache->work);
	KUNIT_EXPECT_GE(test, kt_memory_used(cache), MIB / 2);
	KUNIT_EXPECT_GE(test, stat(cache, KC_STAT_shrunk_bytes), MIB);
	fill(test, cache, 5000, 3000, 900);
	KUNIT_EXPECT_EQ(test, count(test, cache, 7990, 10), 10);
}

/* -------- threads -------- */

#define NR_IDS	300

static int compact_all(struct kt_hand *hand)
{
	struct kc_cache *cache = hand->arg;
	int i;

	kt_be_urgent();
	for (i = 0; i < 100; i++) {
		compact_oldest(cache);
		usleep_range(50, 3000);
	}
	return 0;
}

static int find_all(struct kt_hand *hand)
{
	struct kc_cache *cache = hand->arg;
	int i, err;

	for (i = 0; i < 10000; i++) {
		err = kt_get_id(cache, kt_random(hand, NR_IDS));
		if (err)
			return kt_wrong(hand, "get: %d", err);
	}
	return 0;
}

static int replace_some(struct kt_hand *hand)
{
	struct kc_cache *cache = hand->arg;
	int i, err;

	for (i = 0; i < 5000; i++) {
		err = kt_set_id(cache, kt_random(hand, NR_IDS), i,
				KT_VALUE_MIN + kt_random(hand, 200), 0);
		if (err)
			return kt_wrong(hand, "set: %d", err);
	}
	return 0;
}

static void compaction_under_readers_and_writers_loses_nothing(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	fill(test, cache, 0, NR_IDS, 150);
	kt_crew(test, cache, compact_all, find_all, replace_some, find_all);
	KUNIT_EXPECT_EQ(test, count(test, cache, 0, NR_IDS), NR_IDS);
	KUNIT_EXPECT_GT(test, stat(cache, KC_STAT_moves), 0);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_evictions), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(nothing_to_evict_is_enospc),
	KUNIT_CASE(segment_that_is_being_filled_goes_if_there_is_no_other),
	KUNIT_CASE(oldest_segment_goes_first),
	KUNIT_CASE(dead_segment_goes_before_a_live_one),
	KUNIT_CASE(sets_beyond_the_limit_evict_and_never_fail),
	KUNIT_CASE(expired_entries_are_not_counted_as_evicted),
	KUNIT_CASE(runs_are_evicted_and_their_memory_comes_back),
	KUNIT_CASE(overwriting_one_large_value_evicts_nobody),
	KUNIT_CASE(compaction_moves_what_lives_and_keeps_what_is_known_of_it),
	KUNIT_CASE(moved_entry_still_expires_in_the_background),
	KUNIT_CASE(compaction_without_room_leaves_the_rest_where_it_is),
	KUNIT_CASE(used_entries_outlive_a_flood_of_new_ones),
	KUNIT_CASE(reclaim_gets_memory_down_to_the_floor),
	KUNIT_CASE(compaction_under_readers_and_writers_loses_nothing),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_evict",
	.test_cases = cases,
};

kunit_test_suite(suite);
