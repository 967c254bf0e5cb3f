// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_stats: each event is counted once, whichever CPU it happens on.
 */
#include <linux/workqueue.h>

#include "helpers.h"

#define MIB	((u64)SZ_1M)

struct snapshot {
	u64 count[KC_NR_COUNTERS];
};

static void take(struct kc_cache *cache, struct snapshot *snapshot)
{
	int i;

	for (i = 0; i < KC_NR_COUNTERS; i++)
		snapshot->count[i] = kc_stats_sum(cache->stats, i);
}

#define NONE	KC_NR_COUNTERS

/* Expects that since @before these have gone up by one, and no other has changed. */
static void expect_counted(struct kunit *test, struct kc_cache *cache, struct snapshot *before,
			   int which, int which_else, const char *name)
{
	struct snapshot now;
	int i;

	take(cache, &now);
	for (i = 0; i < KC_NR_COUNTERS; i++)
		KUNIT_EXPECT_EQ_MSG(test, now.count[i] - before->count[i],
				    i == which || i == which_else, "%s: counter %d", name, i);
	*before = now;
}

static void each_operation_is_counted_as_what_it_is(struct kunit *test)
{
	static const struct {
		const char *name;
		u32 opcode, flags;
		const char *key;
		u32 out_len;
		int err, which, which_else;
	} cases[] = {
		{ "get", KCACHE_OP_GET, 0, "1", 0, 0, KC_STAT_hits, NONE },
		{ "get absent", KCACHE_OP_GET, 0, "x", 0, -ENOENT, KC_STAT_misses, NONE },
		{ "get short", KCACHE_OP_GET, 0, "1", 1, -EMSGSIZE, KC_STAT_hits, NONE },
		{ "get touch", KCACHE_OP_GET, KCACHE_TOUCH, "1", 0, 0, KC_STAT_hits,
		  KC_STAT_touches },
		{ "get touch absent", KCACHE_OP_GET, KCACHE_TOUCH, "x", 0, -ENOENT,
		  KC_STAT_misses, NONE },
		{ "stat", KCACHE_OP_STAT, 0, "1", 0, 0, NONE, NONE },
		{ "stat absent", KCACHE_OP_STAT, 0, "x", 0, -ENOENT, NONE, NONE },
		{ "set", KCACHE_OP_SET, 0, "1", 0, 0, KC_STAT_sets, NONE },
		{ "set new", KCACHE_OP_SET, 0, "2", 0, 0, KC_STAT_sets, NONE },
		{ "set refused", KCACHE_OP_SET, KCACHE_IF_ABSENT, "1", 0, -EEXIST, NONE, NONE },
		{ "touch", KCACHE_OP_TOUCH, 0, "1", 0, 0, KC_STAT_touches, NONE },
		{ "touch absent", KCACHE_OP_TOUCH, 0, "x", 0, -ENOENT, NONE, NONE },
		{ "add", KCACHE_OP_ADD, 0, "1", 0, 0, KC_STAT_adds, NONE },
		{ "add absent", KCACHE_OP_ADD, 0, "x", 0, -ENOENT, NONE, NONE },
		{ "add initial", KCACHE_OP_ADD, KCACHE_INITIAL, "3", 0, 0, KC_STAT_adds, NONE },
		{ "append", KCACHE_OP_APPEND, 0, "1", 0, 0, KC_STAT_appends, NONE },
		{ "prepend", KCACHE_OP_PREPEND, 0, "1", 0, 0, KC_STAT_appends, NONE },
		{ "append absent", KCACHE_OP_APPEND, 0, "x", 0, -ENOENT, NONE, NONE },
		{ "remove", KCACHE_OP_REMOVE, 0, "2", 0, 0, KC_STAT_removes, NONE },
		{ "remove absent", KCACHE_OP_REMOVE, 0, "2", 0, -ENOENT, NONE, NONE },
		{ "pop short", KCACHE_OP_POP, 0, "1", 1, -EMSGSIZE, NONE, NONE },
		{ "pop", KCACHE_OP_POP, 0, "1", 0, 0, KC_STAT_pops, NONE },
		{ "pop absent", KCACHE_OP_POP, 0, "1", 0, -ENOENT, NONE, NONE },
	};
	struct kc_cache *cache = kt_cache(test, MIB);
	struct snapshot before;
	int i;

	KUNIT_ASSERT_EQ(test, kt_set(cache, "1", "1234", 0), 0);
	take(cache, &before);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kt_op op = {
			.op = {
				.opcode = cases[i].opcode,
				.flags = cases[i].flags,
				.out_len = cases[i].out_len,
			},
			.key = cases[i].key,
			.value = "1234",
		};

		KUNIT_EXPECT_EQ_MSG(test, kt_run(cache, &op), cases[i].err, "%s", cases[i].name);
		expect_counted(test, cache, &before, cases[i].which, cases[i].which_else,
			       cases[i].name);
	}
}

static void expired_entry_is_counted_once_by_whoever_meets_it(struct kunit *test)
{
	static const u32 opcodes[] = {
		KCACHE_OP_SET, KCACHE_OP_REMOVE, KCACHE_OP_TOUCH, KCACHE_OP_ADD,
	};
	struct kc_cache *cache = kt_cache(test, MIB);
	int i;

	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		struct kt_op op = {
			.op = { .opcode = opcodes[i] }, .key = "key", .value = "1",
		};
		struct kcache_op is;

		KUNIT_ASSERT_EQ(test, kt_set(cache, "key", "1", 1), 0);
		kt_sleep_past(1);
		KUNIT_EXPECT_EQ(test, kt_stat(cache, "key", &is), -ENOENT);
		kt_run(cache, &op);
		kt_run(cache, &op);
		kt_expire_now(cache);
		KUNIT_EXPECT_EQ(test, kc_stats_sum(cache->stats, KC_STAT_expirations), i + 1);
		kt_remove(cache, "key");
	}
}

static void flush_counts_itself_and_what_it_removed(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct snapshot before;

	KUNIT_ASSERT_EQ(test, kt_set(cache, "key", "value", 0), 0);
	take(cache, &before);
	KUNIT_EXPECT_EQ(test, kc_cache_flush(cache), 0);
	expect_counted(test, cache, &before, KC_STAT_flushes, KC_STAT_flushed, "flush");
}

static void account_tells_what_the_cache_holds(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kc_cache_account account;

	kc_cache_account(cache, &account);
	KUNIT_EXPECT_EQ(test, account.entries, 0);
	KUNIT_EXPECT_EQ(test, account.buckets, cache->table.nr_stripes);
	KUNIT_EXPECT_EQ(test, account.segments, 0);
	KUNIT_EXPECT_GT(test, account.bytes_allocated, 0);

	/* 20 bytes of header, 3 of key, 5 of value, to a multiple of 4 */
	KUNIT_ASSERT_EQ(test, kt_set(cache, "one", "value", 0), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "two", "value", 0), 0);
	kc_cache_account(cache, &account);
	KUNIT_EXPECT_EQ(test, account.entries, 2);
	KUNIT_EXPECT_EQ(test, account.bytes_live, 56);
	KUNIT_EXPECT_EQ(test, account.bytes_dead, 0);
	KUNIT_ASSERT_EQ(test, kt_remove(cache, "one"), 0);
	KUNIT_ASSERT_EQ(test, kt_set(cache, "two", "longer value", 0), 0);
	kc_cache_account(cache, &account);
	KUNIT_EXPECT_EQ(test, account.entries, 1);
	KUNIT_EXPECT_EQ(test, account.bytes_live, 36);
	KUNIT_EXPECT_EQ(test, account.bytes_dead, 56);
	KUNIT_EXPECT_EQ(test, account.overflow_buckets, 0);
}

#define COUNTS	2000

static long count_on_cpu(void *arg)
{
	struct kc_cache *cache = arg;
	int i;

	for (i = 0; i < COUNTS; i++)
		kc_stats_inc(cache->stats, hits);
	return 0;
}

static void sum_is_over_all_cpus(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	int cpu, nr = 0;

	for_each_online_cpu(cpu) {
		KUNIT_EXPECT_EQ(test, work_on_cpu(cpu, count_on_cpu, cache), 0);
		KUNIT_EXPECT_EQ(test, per_cpu_ptr(cache->stats, cpu)->count[KC_STAT_hits], COUNTS);
		KUNIT_EXPECT_EQ(test, kc_stats_sum(cache->stats, KC_STAT_hits), ++nr * COUNTS);
	}
	KUNIT_EXPECT_EQ(test, kc_stats_sum(cache->stats, KC_STAT_misses), 0);
}

static int count_anywhere(struct kt_hand *hand)
{
	struct kc_cache *cache = hand->arg;
	int i;

	for (i = 0; i < 10 * COUNTS; i++) {
		if (kt_get_id(cache, kt_random(hand, 100)) != -ENOENT)
			return kt_wrong(hand, "found something");
	}
	return 0;
}

static void concurrent_counts_are_not_lost(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	kt_crew(test, cache, count_anywhere, count_anywhere, count_anywhere);
	KUNIT_EXPECT_EQ(test, kc_stats_sum(cache->stats, KC_STAT_misses), 30 * COUNTS);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_operation_is_counted_as_what_it_is),
	KUNIT_CASE(expired_entry_is_counted_once_by_whoever_meets_it),
	KUNIT_CASE(flush_counts_itself_and_what_it_removed),
	KUNIT_CASE(account_tells_what_the_cache_holds),
	KUNIT_CASE(sum_is_over_all_cpus),
	KUNIT_CASE(concurrent_counts_are_not_lost),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_stats",
	.test_cases = cases,
};

kunit_test_suite(suite);
