// SPDX-License-Identifier: GPL-2.0
/* A cache as a whole: sizes, limits, flush, resize, the walk over all entries. */
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "audit.h"
#include "fixture.h"
#include "ktap.h"

/* -------- sizes -------- */

static u8 *value_in, *value_out;

static void check_length(u32 key, u64 len)
{
	ASSERT_EQ(set_bytes(cache, &key, 4, value_in, len), 0);
	/* Another behind it, so that the next lies elsewhere. */
	ASSERT_EQ(set_bytes(cache, "x", 1, value_in, key % 100), 0);
	memset(value_out, 0, len);
	ASSERT_EQ(get_bytes(cache, &key, 4, value_out, len), len);
	if (!EXPECT(!memcmp(value_out, value_in, len)))
		FAIL("length %llu", len);
}

/* Values that end at, before and behind each border of a block and of a chunk. */
KTAP_TEST(values_of_all_sizes_come_back_whole)
{
	static const u64 limits[] = { MiB, 3 * MiB, 8 * MiB, 64 * MiB, 300 * MiB };
	u64 max, border, unit, len;
	u32 l, i;

	for (l = 0; l < ARRAY_SIZE(limits); l++) {
		start(limits[l]);
		max = kc_cache_value_max(cache);
		value_in = malloc(max + 1);
		value_out = malloc(max + 1);
		fill(value_in, max + 1, l);
		unit = kc_block_size(&cache->arena);
		for (border = unit; border <= max + unit;
		     border = border < 3 * unit ? border + unit : border * 3 / 2) {
			for (i = 0; i < 12; i++) {
				len = border - 24 + 4 * i - i % 3;
				check_length(i, min_t(u64, len, max - i % 5));
			}
		}
		for (i = 0; i < 12; i++) {
			len = kc_chunk_size(&cache->arena) - 24 + 4 * i - i % 3;
			check_length(i, min_t(u64, len, max));
		}
		EXPECT_EQ(set_bytes(cache, "k", 1, value_in, max), 0);
		EXPECT_EQ(get_bytes(cache, "k", 1, value_out, max), max);
		EXPECT(is_filled(value_out, max, l));
		EXPECT_EQ(set_bytes(cache, "k", 1, value_in, max + 1), -EFBIG);
		EXPECT_EQ(stat_of(cache, "k").out_len, max);
		free(value_in);
		free(value_out);
		stop();
	}
}

KTAP_TEST(the_longest_value_is_a_part_of_the_cache)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k");

	start(MiB);
	EXPECT_EQ(kc_cache_value_max(cache), MiB / 32);
	op.value_len = ~0ULL;
	EXPECT_EQ(run_op(cache, &op), -EFBIG);
	op.value_len = 1ULL << 32;
	EXPECT_EQ(run_op(cache, &op), -EFBIG);
	op.opcode = KCACHE_OP_APPEND;
	EXPECT_EQ(run_op(cache, &op), -EFBIG);
	/* Where it means nothing, it is not looked at. */
	op.opcode = KCACHE_OP_TOUCH;
	EXPECT_EQ(run_op(cache, &op), -ENOENT);
	stop();
	start(2048 * MiB);
	EXPECT_EQ(kc_cache_value_max(cache), 16 * MiB);
	stop();
}

KTAP_TEST(overwriting_one_key_for_long_evicts_no_other)
{
	char value[900];
	u32 i;

	start(MiB);
	EXPECT_EQ(set(cache, "other", "stays"), 0);
	fill(value, sizeof(value), 1);
	for (i = 0; i < 20000; i++)
		ASSERT_EQ(set_bytes(cache, "k", 1, value, i % sizeof(value)), 0);
	EXPECT_EQ(entries(cache), 2);
	EXPECT(has(cache, "other", "stays"));
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	stop();
}

/* -------- a whole cache -------- */

KTAP_TEST(a_cache_needs_a_limit_that_makes_sense)
{
	static const u64 bad[] = {
		0, 1, MiB - 1, KCACHE_SEGMENTS_MAX / 4, KCACHE_SEGMENTS_MAX, ~0ULL,
		(8ULL << 30) + 4096,		/* more than the machine has */
	};
	struct kc_cache *c = calloc(1, sizeof(*c));
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(kc_cache_init(c, "test", bad[i]), -EINVAL);
		EXPECT_EQ(shim_bytes_in_use(), 0);
	}
	free(c);
	start(MiB);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(kc_cache_resize(cache, bad[i]), -EINVAL);
	EXPECT_EQ(cache->arena.max_bytes, MiB);
	stop();
	start(256 * MiB);
	EXPECT_EQ(kc_cache_resize(cache, 32 * MiB - 1), -EINVAL);	/* 16 chunks */
	EXPECT_EQ(kc_cache_resize(cache, 32 * MiB), 0);
	stop();
}

KTAP_TEST(caches_do_not_share_anything)
{
	struct kc_cache *other;

	start(MiB);
	other = calloc(1, sizeof(*other));
	ASSERT_EQ(kc_cache_init(other, "other", 2 * MiB), 0);
	EXPECT_EQ(set(cache, "k", "1"), 0);
	EXPECT(has(other, "k", NULL));
	EXPECT_EQ(set(other, "k", "2"), 0);
	EXPECT(has(cache, "k", "1"));
	EXPECT(memcmp(cache->table.secret, other->table.secret, sizeof(u64[KCACHE_HASH_WORDS])));
	kc_cache_exit(other);
	free(other);
	EXPECT(has(cache, "k", "1"));
	stop();
}

static void fill_cache(u32 from, u32 to, u32 len)
{
	static u8 value[2 * MiB];
	u32 i;

	for (i = from; i < to; i++) {
		fill(value, len, i);
		ASSERT_EQ(set_bytes(cache, &i, 4, value, len), 0);
	}
}

KTAP_TEST(flush_empties_the_cache_and_gives_the_memory_back)
{
	u64 pages;

	start(4 * MiB);
	pages = shim_page_bytes_in_use();
	fill_cache(0, 5000, 300);
	fill_cache(5000, 5010, 60000);
	EXPECT(cache->table.nr_buckets > cache->table.nr_stripes);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(entries(cache), 0);
	EXPECT_EQ(shim_page_bytes_in_use(), pages);
	EXPECT_EQ(cache->table.nr_buckets, cache->table.nr_stripes);
	EXPECT_EQ(count_of(cache, KC_STAT_flushed) + count_of(cache, KC_STAT_evictions), 5010);
	EXPECT(audit(cache));
	fill_cache(0, 5000, 300);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(shim_page_bytes_in_use(), pages);
	stop();
}

KTAP_TEST(a_flush_by_a_caller_that_is_killed_ends_early)
{
	start(MiB);
	fill_cache(0, 3000, 100);
	shim_kill(true);
	EXPECT_EQ(kc_cache_flush(cache), -EINTR);
	shim_kill(false);
	EXPECT(entries(cache) > 0 && entries(cache) < 3000);
	EXPECT_EQ(count_of(cache, KC_STAT_flushes), 0);
	EXPECT(audit(cache));
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(entries(cache), 0);
	stop();
}

/* The table then takes as much as the segments, and large values must still find room. */
KTAP_TEST(tiny_entries_leave_room_for_large_ones)
{
	start(MiB);
	fill_cache(0, 200000, 0);
	EXPECT(entries(cache) > 8000);
	EXPECT(audit(cache));
	fill_cache(0, 100, 32 * KiB);
	EXPECT(audit(cache));
	EXPECT(entries(cache) > 10);
	fill_cache(0, 200000, 3);
	EXPECT(audit(cache));
	EXPECT_EQ(count_of(cache, KC_STAT_no_space), 0);
	stop();
}

KTAP_TEST(a_cache_works_on_any_number_of_cpus)
{
	static const u32 cpus[] = { 1, 2, 3, 8, 16 };
	u32 i, key, before = nr_cpu_ids;
	u8 out[100];

	for (i = 0; i < ARRAY_SIZE(cpus); i++) {
		nr_cpu_ids = cpus[i];
		start(2 * MiB);
		for (key = 0; key < 20000; key++) {
			shim_set_cpu(key);
			fill_cache(key, key + 1, 100);
			EXPECT_EQ(get_bytes(cache, &key, 4, out, 100), 100);
		}
		EXPECT(entries(cache) > 5000);
		EXPECT(audit(cache));
		EXPECT_EQ(kc_cache_flush(cache), 0);
		EXPECT_EQ(entries(cache), 0);
		stop();
	}
	nr_cpu_ids = before;
	shim_set_cpu(0);
}

KTAP_TEST(a_smaller_limit_holds_at_once_and_a_larger_one_is_used)
{
	static const u64 limits[] = {
		8 * MiB, 3 * MiB, 1024 * KiB, 2 * MiB, MiB, 40 * MiB, 5 * MiB, MiB,
	};
	u32 i, next = 0;
	u64 had;

	start(2 * MiB);
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		EXPECT_EQ(kc_cache_resize(cache, limits[i]), 0);
		EXPECT(audit(cache));		/* within the limit */
		EXPECT_EQ(kc_cache_value_max(cache), limits[i] / 32);
		had = entries(cache);
		fill_cache(next, next + 30000, 100);
		next += 30000;
		EXPECT(audit(cache));
		EXPECT(entries(cache) > min_t(u64, limits[i] / 250, 28000));
		if (i == 1)
			EXPECT(had > 3 * MiB / 250);	/* no more evicted than needed */
		fill_cache(next, next + 1, limits[i] / 32);
		next++;
	}
	stop();
}

KTAP_TEST(what_remains_after_a_resize_is_the_newest)
{
	u8 out[100];
	u32 i, first = 0;

	start(8 * MiB);
	fill_cache(0, 20000, 100);
	EXPECT_EQ(kc_cache_resize(cache, 2 * MiB), 0);
	EXPECT(audit(cache));
	while (get_bytes(cache, &first, 4, out, 100) < 0)
		first++;
	EXPECT(first > 0 && first < 16000);
	for (i = first; i < 20000; i++) {
		if (!EXPECT_EQ(get_bytes(cache, &i, 4, out, 100), 100) ||
		    !EXPECT(is_filled(out, 100, i)))
			break;
	}
	stop();
}

/* -------- a walk over all -------- */

KTAP_TEST(a_walk_copies_every_live_entry_once)
{
	struct kc_copy copy = { 0 };
	static u8 seen[3000];
	u64 position = 0;
	u32 nr = 0, i;
	int err;

	start(8 * MiB);
	for (i = 0; i < 3000; i++) {
		struct kcache_op op = op_on(KCACHE_OP_SET, "");
		static u8 value[3000];

		op.key = (uintptr_t)&i;
		op.key_len = sizeof(i);
		fill(value, i, i);
		VALUE(&op, value, i % 7 ? i / 10 : i);
		op.client_flags = i % 3;
		op.ttl_ms = i % 5 ? 0 : i % 10 ? 100 : 1000;
		ASSERT_EQ(run_op(cache, &op), 0);
	}
	shim_clock_advance_ms(100);
	memset(seen, 0, sizeof(seen));
	while ((err = kc_cache_next(cache, &position, &copy)) == 1) {
		ASSERT_EQ(copy.key_len, 4);
		memcpy(&i, copy.data, 4);
		ASSERT(i < 3000);
		EXPECT_EQ(seen[i]++, 0);
		EXPECT_EQ(copy.value_len, i % 7 ? i / 10 : i);
		EXPECT(is_filled(copy.data + 4, copy.value_len, i));
		EXPECT_EQ(copy.client_flags, i % 3);
		EXPECT_EQ(copy.ttl_ms, i % 5 ? 0 : 900);
		EXPECT(copy.version);
		nr++;
		if (!position)
			break;
	}
	EXPECT(err >= 0);
	EXPECT_EQ(nr, 3000 - 300);
	for (i = 0; i < 3000; i++)
		EXPECT_EQ(seen[i], i % 10 != 5);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 0);
	kvfree(copy.data);
	stop();
}

/* Sets many times what the cache takes, or until it fails: why. */
static int set_many(void)
{
	static u8 value[3000];
	int err = 0;
	u32 i;

	for (i = 0; !err && i < 100000; i++)
		err = set_bytes(cache, &i, sizeof(i), value, sizeof(value));
	return err;
}

/* Another holds @mutex for ever. */
static void wait_for_and_be_killed(struct mutex *mutex)
{
	mutex_lock(mutex);
	shim_kill(true);
	EXPECT_EQ(set_many(), -EINTR);
	shim_kill(false);
	mutex_unlock(mutex);
}

KTAP_TEST(who_is_killed_while_he_waits_for_another_changes_nothing)
{
	u64 max_bytes;

	start(8 * MiB);
	max_bytes = cache->arena.max_bytes;
	EXPECT_EQ(set(cache, "k", "value"), 0);
	mutex_lock(&cache->evict.mutex);
	shim_kill(true);
	EXPECT_EQ(kc_cache_flush(cache), -EINTR);
	EXPECT_EQ(kc_cache_resize(cache, 4 * MiB), -EINTR);
	shim_kill(false);
	mutex_unlock(&cache->evict.mutex);
	EXPECT_EQ(cache->arena.max_bytes, max_bytes);
	EXPECT(has(cache, "k", "value"));
	wait_for_and_be_killed(&cache->arena.mutex);
	wait_for_and_be_killed(&cache->evict.mutex);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(set(cache, "k", "value"), 0);
	stop();
}

KTAP_TEST(a_walk_that_cannot_go_on_says_why_and_can_be_resumed)
{
	struct kc_copy copy = { 0 };
	u64 position = 0;
	int err;

	start(MiB);
	EXPECT_EQ(kc_cache_next(cache, &position, &copy), 0);
	EXPECT_EQ(set(cache, "k", "value"), 0);
	position = 0;
	shim_fail_allocs(1, 1);
	EXPECT_EQ(kc_cache_next(cache, &position, &copy), -ENOMEM);
	EXPECT(shim_fail_end());
	EXPECT_EQ(kc_cache_next(cache, &position, &copy), 1);
	EXPECT_MEM(copy.data, "kvalue", 6);
	/* To the end, which may be some empty buckets away. */
	shim_kill(true);
	err = position ? kc_cache_next(cache, &position, &copy) : 0;
	EXPECT(err == 0 || err == -EINTR);
	shim_kill(false);
	EXPECT_EQ(position ? kc_cache_next(cache, &position, &copy) : 0, 0);
	EXPECT_EQ(position, 0);
	kvfree(copy.data);
	stop();
}

KTAP_MAIN
