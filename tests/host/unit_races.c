// SPDX-License-Identifier: GPL-2.0
/* Between two steps of an operation, another CPU has its turn. */
#include <linux/kernel.h>
#include <linux/rcupdate.h>

#include "audit.h"
#include "fixture.h"
#include "ktap.h"

static const char *text_of_hook;

static void hook_set(void *key)
{
	shim_set_cpu(0);
	EXPECT_EQ(set(cache, key, text_of_hook), 0);
}

static void hook_remove(void *key)
{
	shim_set_cpu(0);
	EXPECT_EQ(remove_key(cache, key), 0);
}

static void hook_pop(void *key)
{
	char out[16];
	u64 len;

	EXPECT_EQ(pop(cache, key, out, sizeof(out), &len), 0);
}

static void hook_add(void *key)
{
	struct kcache_op op = op_on(KCACHE_OP_ADD, key);

	shim_set_cpu(0);
	op.flags = KCACHE_INITIAL;
	op.delta = 1000000;
	op.number = 500;
	EXPECT_EQ(run_op(cache, &op), 0);
}

static void hook_append(void *key)
{
	shim_set_cpu(0);
	EXPECT_EQ(extend(cache, KCACHE_OP_APPEND, key, text_of_hook), 0);
}

static void hook_expire(void *key)
{
	shim_clock_advance_ms(1000000);
}

/* Seals the lanes, and so the segment in which an entry is being written. */
static void hook_resize(void *arg)
{
	EXPECT_EQ(kc_cache_resize(cache, MiB), 0);
}

KTAP_TEST(pop_gives_the_value_that_it_removes)
{
	char out[16];
	u64 len;

	start(MiB);
	EXPECT_EQ(set(cache, "k", "old"), 0);
	text_of_hook = "newer";
	shim_hook(SHIM_AT_LOCK, 1, hook_set, "k");
	EXPECT_EQ(pop(cache, "k", out, sizeof(out), &len), 0);
	EXPECT_EQ(shim_hook_calls(SHIM_AT_LOCK), 1);
	EXPECT_EQ(len, 5);
	EXPECT_MEM(out, "newer", 5);
	EXPECT(has(cache, "k", NULL));
	stop();
}

KTAP_TEST(of_two_pops_one_gets_the_entry)
{
	enum shim_point points[] = { SHIM_AT_LOCK, SHIM_AT_COPY, SHIM_AT_RECHECK };
	char out[16];
	u64 len;
	u32 i;

	start(MiB);
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		EXPECT_EQ(set(cache, "k", "value"), 0);
		shim_hook(points[i], 1, hook_pop, "k");
		EXPECT_EQ(pop(cache, "k", out, sizeof(out), &len), -ENOENT);
		EXPECT_EQ(shim_hook_calls(points[i]), 1);
		shim_unhook();
	}
	EXPECT_EQ(count_of(cache, KC_STAT_pops), 3);
	stop();
}

KTAP_TEST(pop_of_an_entry_that_expires_meanwhile_is_enoent)
{
	char out[16];
	u64 len;

	start(MiB);
	EXPECT_EQ(set_ttl(cache, "k", "value", 1000), 0);
	shim_hook(SHIM_AT_LOCK, 1, hook_expire, NULL);
	EXPECT_EQ(pop(cache, "k", out, sizeof(out), &len), -ENOENT);
	stop();
}

KTAP_TEST(conditions_are_decided_when_the_entry_is_linked)
{
	u64 version;

	start(MiB);
	EXPECT_EQ(set(cache, "other", "1"), 0);		/* opens the lane */
	text_of_hook = "theirs";
	shim_hook(SHIM_AT_LOCK, 1, hook_set, "k");
	EXPECT_EQ(set_if(cache, "k", "mine", KCACHE_IF_ABSENT, 0, 0), -EEXIST);
	EXPECT(has(cache, "k", "theirs"));

	version = stat_of(cache, "k").version;
	shim_hook(SHIM_AT_LOCK, 1, hook_set, "k");
	EXPECT_EQ(set_if(cache, "k", "mine", KCACHE_IF_VERSION, version, 0), -ESTALE);
	EXPECT(has(cache, "k", "theirs"));

	shim_hook(SHIM_AT_LOCK, 1, hook_remove, "k");
	EXPECT_EQ(set_if(cache, "k", "mine", KCACHE_IF_PRESENT, 0, 0), -ENOENT);
	EXPECT(has(cache, "k", NULL));

	/* The other way round, too. */
	EXPECT_EQ(set_ttl(cache, "k", "1", 500), 0);
	EXPECT_EQ(set_if(cache, "k", "mine", KCACHE_IF_ABSENT, 0, 0), -EEXIST);
	version = stat_of(cache, "k").version;
	shim_hook(SHIM_AT_LOCK, 1, hook_expire, NULL);
	EXPECT_EQ(set_if(cache, "k", "mine", KCACHE_IF_VERSION, version, 0), -ENOENT);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(the_old_value_that_set_returns_is_the_one_it_replaces)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k");
	char out[16];
	int way;

	start(MiB);
	for (way = 0; way < 3; way++) {
		EXPECT_EQ(set(cache, "k", "old"), 0);
		if (way == 2)
			EXPECT_EQ(remove_key(cache, "k"), 0);
		op.flags = KCACHE_RETURN_OLD;
		VALUE(&op, "mine", 4);
		OUT(&op, out, sizeof(out));
		text_of_hook = "theirs";
		shim_hook(SHIM_AT_LOCK, 1, way == 1 ? hook_remove : hook_set, "k");
		EXPECT_EQ(run_op(cache, &op), 0);
		EXPECT_EQ(shim_hook_calls(SHIM_AT_LOCK), 1);
		shim_unhook();
		if (way == 1) {
			EXPECT_EQ(op.out_len, KCACHE_ABSENT);
		} else {
			EXPECT_EQ(op.out_len, 6);
			EXPECT_MEM(out, "theirs", 6);
		}
		EXPECT(has(cache, "k", "mine"));
	}
	stop();
}

KTAP_TEST(get_with_touch_sets_the_expiry_of_the_value_it_gives)
{
	struct kcache_op op = op_on(KCACHE_OP_GET, "k");
	char out[16];

	start(MiB);
	EXPECT_EQ(set(cache, "k", "old"), 0);
	op.flags = KCACHE_TOUCH;
	op.ttl_ms = 50;
	OUT(&op, out, sizeof(out));
	text_of_hook = "newer";
	shim_hook(SHIM_AT_LOCK, 1, hook_set, "k");
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(op.out_len, 5);
	EXPECT_MEM(out, "newer", 5);
	EXPECT_EQ(stat_of(cache, "k").ttl_ms, 50);
	stop();
}

/* Sums that need a new place, where another number may be by then. */
KTAP_TEST(no_addition_is_lost)
{
	struct kcache_op op;
	u64 nth;
	s64 sum;

	for (nth = 1; nth <= 3; nth++) {
		start(MiB);
		EXPECT_EQ(set(cache, "k", "5"), 0);
		shim_hook(SHIM_AT_LOCK, nth, hook_add, "k");
		EXPECT_EQ(add(cache, "k", 70000000000, &sum), 0);
		shim_unhook();
		EXPECT_EQ(shim_hook_calls(SHIM_AT_LOCK), nth < 3);
		EXPECT_EQ(sum, nth < 3 ? 70001000005 : 70000000005);

		op = op_on(KCACHE_OP_ADD, "new");
		op.flags = KCACHE_INITIAL;
		op.delta = 1;
		op.number = 9;
		shim_hook(SHIM_AT_LOCK, nth, hook_add, "new");
		EXPECT_EQ(run_op(cache, &op), 0);
		shim_unhook();
		EXPECT_EQ(op.number, nth < 3 ? 501 : 9);
		EXPECT(audit(cache));
		stop();
	}
}

KTAP_TEST(no_addition_outlives_its_entry)
{
	s64 sum;

	start(MiB);
	EXPECT_EQ(set(cache, "k", "5"), 0);
	shim_hook(SHIM_AT_LOCK, 2, hook_remove, "k");
	EXPECT_EQ(add(cache, "k", 70000000000, &sum), -ENOENT);
	EXPECT(has(cache, "k", NULL));
	stop();
}

KTAP_TEST(no_extension_is_lost)
{
	enum shim_point points[] = { SHIM_AT_LOCK, SHIM_AT_RECHECK };
	u64 nth, calls = 0;
	bool is_hooked;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		for (nth = 1; nth <= 4; nth++) {
			start(MiB);
			EXPECT_EQ(set(cache, "k", "1"), 0);
			text_of_hook = "2";
			shim_hook(points[i], nth, hook_append, "k");
			EXPECT_EQ(extend(cache, KCACHE_OP_PREPEND, "k", "0"), 0);
			shim_unhook();
			is_hooked = shim_hook_calls(points[i]);
			EXPECT(has(cache, "k", is_hooked ? "012" : "01"));
			calls += is_hooked;

			shim_hook(points[i], nth, hook_remove, "k");
			EXPECT_EQ(extend(cache, KCACHE_OP_APPEND, "k", "9"),
				  is_hooked ? -ENOENT : 0);
			stop();
		}
	}
	EXPECT(calls >= 3);
}

KTAP_TEST(an_extension_with_a_version_is_of_that_version)
{
	struct kcache_op op = op_on(KCACHE_OP_APPEND, "k");

	start(MiB);
	EXPECT_EQ(set(cache, "k", "1"), 0);
	op.flags = KCACHE_IF_VERSION;
	op.version = stat_of(cache, "k").version;
	VALUE(&op, "x", 1);
	text_of_hook = "theirs";
	shim_hook(SHIM_AT_LOCK, 1, hook_set, "k");
	EXPECT_EQ(run_op(cache, &op), -ESTALE);
	EXPECT(has(cache, "k", "theirs"));
	stop();
}

KTAP_TEST(a_segment_may_be_sealed_while_an_entry_is_written_to_it)
{
	s64 sum;

	start(MiB);
	EXPECT_EQ(set(cache, "k", "1"), 0);
	shim_hook(SHIM_AT_LOCK, 1, hook_resize, NULL);
	EXPECT_EQ(set(cache, "new", "value"), 0);
	EXPECT_EQ(shim_hook_calls(SHIM_AT_LOCK), 1);
	shim_hook(SHIM_AT_LOCK, 1, hook_resize, NULL);
	EXPECT_EQ(extend(cache, KCACHE_OP_APPEND, "k", "2"), 0);
	shim_hook(SHIM_AT_LOCK, 2, hook_resize, NULL);
	EXPECT_EQ(add(cache, "k", 1000000, &sum), 0);
	EXPECT(has(cache, "new", "value") && has(cache, "k", "1000012"));
	EXPECT(audit(cache));
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(entries(cache), 0);
	stop();
}

/* What a reader is copying is overwritten, in place or by what comes there next. */

static void hook_overwrite(void *arg)
{
	static u8 other[32768];
	u32 i;

	shim_set_cpu(0);
	fill(other, sizeof(other), 77);
	EXPECT_EQ(set_bytes(cache, "k", 1, other, 30000), 0);
	for (i = 0; i < 100; i++)
		EXPECT_EQ(set_bytes(cache, &i, 4, other, 7000), 0);
}

KTAP_TEST(a_value_is_of_one_moment_though_its_memory_is_used_again)
{
	static u8 value[32768], out[32768];
	enum shim_point points[] = { SHIM_AT_COPY, SHIM_AT_RECHECK };
	u32 i, nth;
	u64 len;
	s64 got;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		for (nth = 1; nth <= 3; nth++) {
			for (len = 20; len < 32000; len += 7900) {
				start(MiB);
				fill(value, len, 1);
				EXPECT_EQ(set_bytes(cache, "k", 1, value, len), 0);
				/* Sealed, and a grace period ago: nobody waits for this reader. */
				EXPECT_EQ(kc_cache_resize(cache, MiB), 0);
				EXPECT_EQ(set(cache, "x", ""), 0);
				synchronize_rcu();
				shim_hook(points[i], nth, hook_overwrite, NULL);
				got = get_bytes(cache, "k", 1, out, sizeof(out));
				if (shim_hook_calls(points[i]))
					EXPECT(got == 30000 && is_filled(out, got, 77));
				else
					EXPECT(got == len && is_filled(out, got, 1));
				stop();
			}
		}
	}
}

static bool hook_merges;

/* Every bucket is split, or joined to the one it was split from; then what was read goes. */
static void hook_move_and_overwrite(void *arg)
{
	struct kc_table *table = &cache->table;
	u32 i, nr = table->nr_buckets;

	mutex_lock(&cache->arena.mutex);
	for (i = 0; i < nr / (hook_merges ? 2 : 1); i++)
		EXPECT_EQ(hook_merges ? kc_table_merge_locked(table) :
			  kc_table_split_locked(table), 0);
	mutex_unlock(&cache->arena.mutex);
	hook_overwrite(NULL);
}

KTAP_TEST(a_value_is_of_one_moment_though_its_bucket_moves_as_well)
{
	static u8 value[8000], out[32768];
	u32 which, i, merges;
	s64 len;

	for (which = 0; which < 16; which++) {
		merges = which & 1;
		start(MiB);
		for (i = 0; i < 16; i++) {
			fill(value, sizeof(value), i);
			EXPECT_EQ(set_bytes(cache, &i, sizeof(i), value, sizeof(value)), 0);
		}
		mutex_lock(&cache->arena.mutex);
		EXPECT_EQ(kc_table_grow_overflow_locked(&cache->table), 0);
		while (merges && cache->table.nr_buckets < 2 * cache->table.nr_stripes)
			EXPECT_EQ(kc_table_split_locked(&cache->table), 0);
		mutex_unlock(&cache->arena.mutex);
		hook_merges = merges;
		EXPECT_EQ(kc_cache_resize(cache, MiB), 0);
		EXPECT_EQ(set(cache, "x", ""), 0);
		synchronize_rcu();
		shim_hook(SHIM_AT_COPY, 1, hook_move_and_overwrite, NULL);
		len = get_bytes(cache, &which, sizeof(which), out, sizeof(out));
		EXPECT_EQ(shim_hook_calls(SHIM_AT_COPY), 1);
		/* Of the keys below 100, which the hook writes, or evicted since. */
		EXPECT(len == -ENOENT || (len == 7000 && is_filled(out, len, 77)));
		stop();
	}
}

static void hook_add_9(void *arg)
{
	s64 sum;

	EXPECT_EQ(add(cache, "k", 999999999 - 100000000, &sum), 0);
}

KTAP_TEST(a_number_is_of_one_moment_though_it_is_changed_in_place)
{
	struct kcache_op op = op_on(KCACHE_OP_GET, "k");
	enum shim_point points[] = { SHIM_AT_COPY, SHIM_AT_RECHECK };
	char out[16];
	u32 i, nth;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		for (nth = 1; nth <= 2; nth++) {
			start(MiB);
			EXPECT_EQ(set(cache, "k", "100000000"), 0);
			OUT(&op, out, sizeof(out));
			shim_hook(points[i], nth, hook_add_9, NULL);
			EXPECT_EQ(run_op(cache, &op), 0);
			shim_unhook();
			EXPECT_EQ(op.out_len, 9);
			EXPECT_MEM(out, shim_hook_calls(points[i]) ? "999999999" : "100000000", 9);
			EXPECT_EQ(op.version, stat_of(cache, "k").version);
			stop();
		}
	}
}

KTAP_TEST(a_reader_that_is_disturbed_each_time_takes_the_stripe)
{
	char out[16];

	start(MiB);
	EXPECT_EQ(set(cache, "k", "old"), 0);
	text_of_hook = "new";
	shim_hook_always(SHIM_AT_COPY, hook_set, "k");
	EXPECT_EQ(get_bytes(cache, "k", 1, out, sizeof(out)), 3);
	shim_unhook();
	EXPECT(count_of(cache, KC_STAT_retries) >= 4);
	EXPECT_EQ(shim_hook_calls(SHIM_AT_COPY), count_of(cache, KC_STAT_retries));
	stop();
}

KTAP_MAIN
