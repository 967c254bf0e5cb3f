// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_expire: the pass that takes out what has expired, and its timer.
 *
 * The clock is the real one: a wait here is for something that will happen, and
 * how long it took is not judged.
 */
#include <linux/delay.h>

#include "entry.h"
#include "helpers.h"

#define MIB	((u64)SZ_1M)

static u64 stat(struct kc_cache *cache, enum kc_counter which)
{
	return kc_stats_sum(cache->stats, which);
}

static u64 entries(struct kc_cache *cache)
{
	struct kc_cache_account account;

	kc_cache_account(cache, &account);
	return account.entries;
}

static int touch(struct kc_cache *cache, const char *key, u64 ttl_ms)
{
	struct kt_op op = {
		.op = { .opcode = KCACHE_OP_TOUCH, .ttl_ms = ttl_ms },
		.key = key,
	};

	return kt_run(cache, &op);
}

static void pass_takes_out_what_has_expired_and_nothing_else(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	u32 id, wrong = 0;

	for (id = 0; id < 300; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, 0, 100, id % 3 ? 10 : KT_HOUR_MS), 0);
	for (id = 300; id < 400; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, 0, 100, 0), 0);
	kt_sleep_past(10);
	kt_expire_now(cache);
	KUNIT_EXPECT_EQ(test, entries(cache), 200);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_expirations), 200);
	for (id = 0; id < 400; id++)
		wrong += kt_get_id(cache, id) != (id < 300 && id % 3 ? -ENOENT : 0);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void memory_of_expired_entries_comes_back_without_a_read(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 4 * MIB);
	u64 before = kt_memory_used(cache);
	u32 id;

	for (id = 0; id < 500; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, 0, 2000, 400), 0);
	KUNIT_ASSERT_EQ(test, kt_set_id(cache, 500, 0, kc_cache_value_max(cache), 400), 0);
	KUNIT_EXPECT_GT(test, kt_memory_used(cache), before + 1000000);
	kt_sleep_past(400);
	kt_expire_now(cache);
	kt_expire_now(cache);
	KUNIT_EXPECT_EQ(test, entries(cache), 0);
	KUNIT_EXPECT_LE(test, kt_memory_used(cache), before + SZ_64K);	/* table */
}

static void mostly_dead_segments_are_put_together(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 4 * MIB);
	struct kc_cache_account before, after;
	u32 id, wrong = 0;

	for (id = 0; id < 1000; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, 0, 1000, id % 8 ? 50 : 0), 0);
	kc_cache_account(cache, &before);
	kt_sleep_past(50);
	kt_expire_now(cache);
	kc_cache_account(cache, &after);
	KUNIT_EXPECT_LT(test, after.segments, before.segments / 4);
	KUNIT_EXPECT_LT(test, after.bytes_dead, before.bytes_live / 8);
	KUNIT_EXPECT_GE(test, stat(cache, KC_STAT_moves), 100);
	for (id = 0; id < 1000; id += 8)
		wrong += !!kt_get_id(cache, id);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void pass_says_whether_something_will_expire(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	KUNIT_ASSERT_EQ(test, kt_set(cache, "never", "v", 0), 0);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&cache->expire.work));
	KUNIT_EXPECT_FALSE(test, kc_expire_pass(&cache->expire));
	KUNIT_ASSERT_EQ(test, kt_set(cache, "later", "v", KT_HOUR_MS), 0);
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&cache->expire.work));
	cancel_delayed_work_sync(&cache->expire.work);
	KUNIT_EXPECT_TRUE(test, kc_expire_pass(&cache->expire));
	KUNIT_ASSERT_EQ(test, kt_remove(cache, "later"), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "soon", "v", 1), 0);
	cancel_delayed_work_sync(&cache->expire.work);
	kt_sleep_past(1);
	kc_expire_pass(&cache->expire);
	KUNIT_EXPECT_FALSE(test, kc_expire_pass(&cache->expire));
	kt_expect_value(test, cache, "never", "v");
}

static void timer_takes_out_what_has_expired_by_itself(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	int i;

	KUNIT_ASSERT_EQ(test, kt_set(cache, "a", "v", 20), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "b", "v", 1500), 0);	/* a later pass */
	for (i = 0; i < 1000 && entries(cache); i++)
		msleep(20);
	KUNIT_EXPECT_EQ(test, entries(cache), 0);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_expirations), 2);
}

static void touch_arms_the_timer(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	int i;

	KUNIT_ASSERT_EQ(test, kt_set(cache, "a", "v", 0), 0);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&cache->expire.work));
	KUNIT_ASSERT_EQ(test, touch(cache, "a", 10), 0);
	for (i = 0; i < 1000 && entries(cache); i++)
		msleep(20);
	KUNIT_EXPECT_EQ(test, entries(cache), 0);
}

static void touch_moves_the_time_either_way(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	KUNIT_ASSERT_EQ(test, kt_set(cache, "longer", "v", 1000), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "for ever", "v", 1000), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "shorter", "v", KT_HOUR_MS), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "now mortal", "v", 0), 0);
	KUNIT_ASSERT_EQ(test, touch(cache, "longer", KT_HOUR_MS), 0);
	KUNIT_ASSERT_EQ(test, touch(cache, "for ever", 0), 0);
	KUNIT_ASSERT_EQ(test, touch(cache, "shorter", 20), 0);
	KUNIT_ASSERT_EQ(test, touch(cache, "now mortal", 20), 0);
	kt_sleep_past(1000);
	kt_expire_now(cache);
	KUNIT_EXPECT_EQ(test, entries(cache), 2);
	kt_expect_value(test, cache, "longer", "v");
	kt_expect_value(test, cache, "for ever", "v");
	kt_expect_value(test, cache, "shorter", NULL);
	kt_expect_value(test, cache, "now mortal", NULL);
}

static void touch_after_a_pass_is_seen_by_the_next(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	KUNIT_ASSERT_EQ(test, kt_set(cache, "first", "v", 1), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "second", "v", 0), 0);
	kt_sleep_past(1);
	kt_expire_now(cache);		/* of the segment, nothing is due any more */
	KUNIT_EXPECT_EQ(test, entries(cache), 1);
	KUNIT_ASSERT_EQ(test, touch(cache, "second", 10), 0);
	kt_sleep_past(10);
	kt_expire_now(cache);
	KUNIT_EXPECT_EQ(test, entries(cache), 0);
}

static void entry_replaced_by_an_immortal_one_stays(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	KUNIT_ASSERT_EQ(test, kt_set(cache, "key", "old", 10), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "key", "new", 0), 0);
	kt_sleep_past(10);
	kt_expire_now(cache);
	kt_expect_value(test, cache, "key", "new");
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_expirations), 0);
}

static void cache_goes_while_the_timer_is_armed(struct kunit *test)
{
	int i;

	for (i = 0; i < 5; i++) {
		struct kc_cache *cache = kt_cache(test, MIB);

		KUNIT_ASSERT_EQ(test, kt_set(cache, "key", "value", 1), 0);
		mod_delayed_work(system_unbound_wq, &cache->expire.work, i / 2);
	}
}

/* -------- threads -------- */

/* ids below it live for ever, the others for a moment */
#define STEADY	100
#define ALL	400

static int set_short_lived(struct kt_hand *hand)
{
	struct kc_cache *cache = hand->arg;
	int i, err;

	for (i = 0; i < 4000; i++) {
		u32 id = kt_random(hand, ALL);

		err = kt_set_id(cache, id, i, KT_VALUE_MIN + kt_random(hand, 300),
				id < STEADY ? 0 : 1 + kt_random(hand, 20));
		if (err)
			return kt_wrong(hand, "set: %d", err);
	}
	return 0;
}

static int get_any(struct kt_hand *hand)
{
	struct kc_cache *cache = hand->arg;
	int i, err;

	for (i = 0; i < 6000; i++) {
		u32 id = kt_random(hand, ALL);

		err = kt_get_id(cache, id);
		if (err && (id < STEADY || err != -ENOENT))
			return kt_wrong(hand, "get %u: %d", id, err);
	}
	return 0;
}

static int expire_often(struct kt_hand *hand)
{
	int i;

	kt_be_urgent();
	for (i = 0; i < 40; i++) {
		kt_expire_now(hand->arg);
		usleep_range(100, 5000);
	}
	return 0;
}

static void passes_under_readers_and_writers_take_only_the_mortal(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 2 * MIB);
	u32 id;

	for (id = 0; id < STEADY; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, 0, 100, 0), 0);
	kt_crew(test, cache, set_short_lived, expire_often, get_any, set_short_lived);
	kt_sleep_past(20);
	kt_expire_now(cache);
	KUNIT_EXPECT_EQ(test, entries(cache), STEADY);
	KUNIT_EXPECT_EQ(test, stat(cache, KC_STAT_evictions), 0);
	KUNIT_EXPECT_GT(test, stat(cache, KC_STAT_expirations), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(pass_takes_out_what_has_expired_and_nothing_else),
	KUNIT_CASE(memory_of_expired_entries_comes_back_without_a_read),
	KUNIT_CASE(mostly_dead_segments_are_put_together),
	KUNIT_CASE(pass_says_whether_something_will_expire),
	KUNIT_CASE_SLOW(timer_takes_out_what_has_expired_by_itself),
	KUNIT_CASE_SLOW(touch_arms_the_timer),
	KUNIT_CASE_SLOW(touch_moves_the_time_either_way),
	KUNIT_CASE(touch_after_a_pass_is_seen_by_the_next),
	KUNIT_CASE(entry_replaced_by_an_immortal_one_stays),
	KUNIT_CASE(cache_goes_while_the_timer_is_armed),
	KUNIT_CASE_SLOW(passes_under_readers_and_writers_take_only_the_mortal),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_expire",
	.test_cases = cases,
};

kunit_test_suite(suite);
