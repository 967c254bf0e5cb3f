// SPDX-License-Identifier: GPL-2.0
/* hints.h: what note is taken of, whatever a reader writes. */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "fixture.h"
#include "ktap.h"

#define NR_KEYS		(2 * KCACHE_LANE_HINTS)

static struct kc_hint_page page;
static struct kcache_hint_lane *lane;

static const char *key_name(u32 i)
{
	static char name[16];

	snprintf(name, sizeof(name), "key %u", i);
	return name;
}

static u64 hash_of(u32 i)
{
	const char *key = key_name(i);

	return kc_table_hash(&cache->table, key, strlen(key));
}

static u32 frequency(u32 i)
{
	const char *key = key_name(i);
	struct kcache_found found;
	u32 is = U32_MAX;

	rcu_read_lock();
	if (EXPECT(kc_table_find_rcu(&cache->table, hash_of(i), key, strlen(key), &found)))
		is = kc_found_frequency(&found);
	rcu_read_unlock();
	return is;
}

/* A page of hints, and keys that nobody has used. */
static void begin(void)
{
	u32 i;

	start(4 * MiB);
	memset(&page, 0, sizeof(page));
	ASSERT_EQ(kc_hints_open(&cache->hints, &page), 0);
	lane = &page.shared->lane[3];
	for (i = 0; i < NR_KEYS; i++)
		ASSERT_EQ(set(cache, key_name(i), "value"), 0);
}

static void end(void)
{
	kc_hints_close(&cache->hints, &page);
	stop();
}

static void take(void)
{
	kc_hints_take(&cache->hints, &page);
}

/* As a reader does, for @i. */
static void hint(u32 i)
{
	lane->hash[lane->nr++ % KCACHE_LANE_HINTS] = hash_of(i);
}

KTAP_TEST(what_was_told_counts_once)
{
	begin();
	hint(0);
	hint(1);
	hint(1);
	take();
	EXPECT_EQ(frequency(0), 1);
	EXPECT_EQ(frequency(1), 2);
	EXPECT_EQ(frequency(2), 0);
	take();
	EXPECT_EQ(frequency(0), 1);
	EXPECT_EQ(frequency(1), 2);
	end();
}

KTAP_TEST(all_lanes_are_looked_at)
{
	u32 i;

	begin();
	for (i = 0; i < KCACHE_HINT_LANES; i++) {
		lane = &page.shared->lane[i];
		hint(i);
		lane->hits = 1;
		lane->misses = 10;
	}
	take();
	for (i = 0; i < KCACHE_HINT_LANES; i++)
		EXPECT_EQ(frequency(i), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), KCACHE_HINT_LANES);
	EXPECT_EQ(count_of(cache, KC_STAT_misses), 10 * KCACHE_HINT_LANES);
	end();
}

KTAP_TEST(uses_end_at_the_most_that_a_slot_can_hold)
{
	u32 i;

	begin();
	for (i = 0; i < 20; i++)
		hint(0);
	take();
	EXPECT_EQ(frequency(0), KCACHE_FREQUENCY_MAX);
	end();
}

KTAP_TEST(of_an_overrun_lane_what_is_still_there_counts)
{
	u32 i;

	begin();
	for (i = 0; i < NR_KEYS; i++)
		hint(i);
	take();
	for (i = 0; i < NR_KEYS; i++)
		EXPECT_EQ(frequency(i), i >= NR_KEYS - KCACHE_LANE_HINTS);
	end();
}

KTAP_TEST(the_number_of_hints_wraps)
{
	u32 i;

	begin();
	lane->nr = U32_MAX - 2;
	take();
	for (i = 0; i < 5; i++)
		hint(i);
	EXPECT_EQ(lane->nr, 2);
	take();
	/* 2^32 is no multiple of the length: the last before the wrap are elsewhere. */
	for (i = 0; i < 5; i++)
		EXPECT(frequency(i) <= 1);
	EXPECT_EQ(frequency(3), 1);
	EXPECT_EQ(frequency(4), 1);
	hint(7);
	take();
	EXPECT_EQ(frequency(7), 1);
	EXPECT_EQ(frequency(4), 1);
	end();
}

KTAP_TEST(a_number_of_hints_that_jumps_costs_no_more_than_a_full_lane)
{
	static const u32 numbers[] = { U32_MAX, 1, 1U << 31, 0, 57, 56, 3 };
	u32 i;

	begin();
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		lane->nr = numbers[i];
		take();
		EXPECT_EQ(page.seen[3].nr, numbers[i]);
	}
	for (i = 0; i < NR_KEYS; i++)
		EXPECT_EQ(frequency(i), 0);
	end();
}

KTAP_TEST(counts_are_added)
{
	begin();
	lane->hits = 7;
	lane->misses = 9;
	take();
	lane->hits = 10;
	take();
	take();
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 10);
	EXPECT_EQ(count_of(cache, KC_STAT_misses), 9);
	end();
}

KTAP_TEST(a_count_that_jumps_too_far_is_not_believed)
{
	begin();
	lane->hits = (1ULL << 32) + 1;
	take();
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 0);
	/* From there on it goes on. */
	lane->hits += 5;
	take();
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 5);
	lane->hits += 1ULL << 32;
	take();
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 5 + (1ULL << 32));
	end();
}

KTAP_TEST(a_count_that_falls_is_not_believed)
{
	begin();
	lane->hits = lane->misses = 100;
	take();
	lane->hits = 99;
	lane->misses = 0;
	take();
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 100);
	EXPECT_EQ(count_of(cache, KC_STAT_misses), 100);
	/* Over the end is forward. */
	lane->hits = U64_MAX - 1;
	take();
	lane->hits = 3;
	take();
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 105);
	end();
}

KTAP_TEST(garbage_changes_nothing_but_uses)
{
	u64 before;
	u32 i, j;

	begin();
	before = entries(cache);
	for (i = 0; i < 2000; i++) {
		for (j = 0; j < sizeof(*page.shared) / 8; j++)
			((u64 *)page.shared)[j] = shim_random() % 8 ? shim_random() :
						  shim_random() % 2 ? 0 : U64_MAX;
		take();
	}
	EXPECT_EQ(entries(cache), before);
	for (i = 0; i < NR_KEYS; i++)
		has(cache, key_name(i), "value");
	end();
}

KTAP_TEST(hints_of_what_is_gone_are_void)
{
	begin();
	hint(0);
	hint(1);
	EXPECT_EQ(remove_key(cache, key_name(0)), 0);
	take();
	EXPECT_EQ(frequency(1), 1);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	hint(1);
	take();
	EXPECT_EQ(entries(cache), 0);
	end();
}

KTAP_TEST(a_hint_is_followed_along_a_chain)
{
	u32 i, n;

	begin();
	/* All keys are in few buckets: no table of 4 MiB has had to grow for them. */
	for (n = 0; n < 3; n++)
		for (i = 0; i < NR_KEYS; i++) {
			hint(i);
			take();
		}
	for (i = 0; i < NR_KEYS; i++)
		EXPECT_EQ(frequency(i), KCACHE_FREQUENCY_MAX);
	end();
}

KTAP_TEST(a_second_open_gives_the_same_page)
{
	struct kcache_hints *first;

	begin();
	first = page.shared;
	EXPECT_EQ(kc_hints_open(&cache->hints, &page), 0);
	EXPECT(page.shared == first);
	end();
}

KTAP_TEST(an_open_without_memory_is_enomem_and_may_be_tried_again)
{
	struct kc_hint_page other = { 0 };

	begin();
	shim_fail_allocs(1, 1);
	EXPECT_EQ(kc_hints_open(&cache->hints, &other), -ENOMEM);
	EXPECT(shim_fail_end());
	EXPECT(!other.shared);
	kc_hints_take(&cache->hints, &other);
	kc_hints_close(&cache->hints, &other);
	EXPECT_EQ(kc_hints_open(&cache->hints, &other), 0);
	kc_hints_close(&cache->hints, &other);
	end();
}

KTAP_TEST(a_new_page_is_zero)
{
	u32 i;

	begin();
	for (i = 0; i < PAGE_SIZE; i++)
		if (!EXPECT_EQ(((u8 *)page.shared)[i], 0))
			break;
	end();
}

KTAP_TEST(sets_that_evict_by_themselves_take_note_of_hints_first)
{
	static u8 value[1000];
	u32 i;

	begin();
	for (i = 0; count_of(cache, KC_STAT_evictions) < 10000; i++) {
		hint(0);	/* nothing but an eviction takes note of it */
		ASSERT_EQ(set_bytes(cache, &i, 4, value, sizeof(value)), 0);
	}
	EXPECT_EQ(get_bytes(cache, "key 0", 5, value, sizeof(value)), 5);
	end();
}

KTAP_TEST(files_take_turns)
{
	struct kc_hint_page others[4] = { 0 };
	u32 i;

	begin();
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(kc_hints_open(&cache->hints, &others[i]), 0);
		others[i].shared->lane[0].hits = 1;
	}
	/* Of five pages, two at a time: after three times all have had a turn. */
	lane->hits = 1;
	kc_hints_take_some(&cache->hints, 2);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 2);
	kc_hints_take_some(&cache->hints, 2);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 4);
	kc_hints_take_some(&cache->hints, 2);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 5);
	for (i = 0; i < 4; i++)
		others[i].shared->lane[0].hits++;
	kc_hints_take_some(&cache->hints, 100);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 9);
	others[2].shared->lane[0].hits++;
	kc_hints_take_all(&cache->hints);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 10);
	others[1].shared->lane[0].hits++;
	for (i = 0; i < 4; i++)
		kc_hints_close(&cache->hints, &others[i]);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 11);
	end();
}

KTAP_MAIN
