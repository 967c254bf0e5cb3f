// SPDX-License-Identifier: GPL-2.0
/* Which entries outlive their segment (evict, ghost), and memory ahead and back (space, shrink). */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/notifier.h>
#include <linux/shrinker.h>

#include "audit.h"
#include "entry.h"
#include "fixture.h"
#include "ktap.h"
#include "space.h"

/* -------- looking in -------- */

/* With values of 1100 bytes, a chunk of 8 KiB holds seven. */
#define VALUE_LEN	1100
#define PER_SEGMENT	7

static const char *name(u32 i)
{
	static __thread char key[16];

	snprintf(key, sizeof(key), "k%u", i);
	return key;
}

static void store(u32 from, u32 to)
{
	static u8 value[VALUE_LEN];

	for (; from < to; from++) {
		fill(value, sizeof(value), from);
		EXPECT_EQ(set_bytes(cache, name(from), strlen(name(from)), value, sizeof(value)),
			  0);
	}
}

static bool use(u32 i)
{
	u8 value[VALUE_LEN];
	s64 len = get_bytes(cache, name(i), strlen(name(i)), value, sizeof(value));

	EXPECT(len == -ENOENT || (len == VALUE_LEN && is_filled(value, VALUE_LEN, i)));
	return len > 0;
}

static bool find(const char *key, struct kcache_found *found)
{
	u64 hash = kc_table_hash(&cache->table, key, strlen(key));
	bool is_there;

	rcu_read_lock();
	is_there = kc_table_find_rcu(&cache->table, hash, key, strlen(key), found);
	rcu_read_unlock();
	return is_there;
}

/* Is it there? Does not count as a use. */
static bool is_there(u32 i)
{
	struct kcache_found found;

	return find(name(i), &found);
}

static u32 count_there(u32 from, u32 to)
{
	u32 nr = 0;

	for (; from < to; from++)
		nr += is_there(from);
	return nr;
}

static u32 frequency_of(const char *key)
{
	struct kcache_found found;

	return find(key, &found) ? kc_found_frequency(&found) : 99;
}

static u32 frequency(u32 i)
{
	return frequency_of(name(i));
}

static u64 offset_of(const char *key)
{
	struct kcache_found found;

	return find(key, &found) ? found.offset : 0;
}

static enum kc_queue queue_of(const char *key)
{
	struct kc_segment *segment;
	struct kcache_found found;

	if (!find(key, &found))
		return KC_NR_QUEUES;
	rcu_read_lock();
	segment = kc_dir_get(&cache->arena, &cache->log.segments,
			     found.offset >> cache->arena.chunk_shift);
	rcu_read_unlock();
	return segment->queue;
}

static bool is_in(enum kc_queue queue, u32 i)
{
	return queue_of(name(i)) == queue;
}

static void seal(void)
{
	mutex_lock(&cache->evict.mutex);
	mutex_lock(&cache->arena.mutex);
	kc_log_seal_lanes_locked(&cache->log);
	mutex_unlock(&cache->arena.mutex);
	mutex_unlock(&cache->evict.mutex);
}

static int evict_one(void)
{
	int err;

	mutex_lock(&cache->evict.mutex);
	err = kc_evict_one_locked(&cache->evict);
	mutex_unlock(&cache->evict.mutex);
	return err;
}

static int step(void)
{
	int err;

	mutex_lock(&cache->evict.mutex);
	err = kc_evict_step_locked(&cache->evict, true);
	mutex_unlock(&cache->evict.mutex);
	return err;
}

static void make_ghost(u64 nr)
{
	mutex_lock(&cache->evict.mutex);
	EXPECT_EQ(kc_ghost_make(&cache->evict.ghost, nr), 0);
	mutex_unlock(&cache->evict.mutex);
}

static u64 nr_free(void)
{
	u64 nr;

	mutex_lock(&cache->arena.mutex);
	kc_log_collect_locked(&cache->log);
	nr = kc_log_nr_free_locked(&cache->log);
	mutex_unlock(&cache->arena.mutex);
	return nr;
}

static struct kc_cache_account account(void)
{
	struct kc_cache_account account;

	nr_free();	/* has collected the dead */
	kc_cache_account(cache, &account);
	return account;
}

/* -------- use -------- */

KTAP_TEST(uses_are_counted_up_to_three)
{
	struct kcache_op op;
	u32 i;

	start(MiB);
	store(0, 1);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(frequency(0), i < 3 ? i : 3);
		EXPECT(use(0));
	}
	/* Looking at what an entry is does not count. */
	EXPECT_EQ(set(cache, "a", "5"), 0);
	stat_of(cache, "a");
	EXPECT_EQ(frequency_of("a"), 0);
	op = op_on(KCACHE_OP_TOUCH, "a");
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(frequency_of("a"), 1);
	op = op_on(KCACHE_OP_ADD, "a");
	op.delta = 1;
	EXPECT_EQ(run_op(cache, &op), 0);
	EXPECT_EQ(frequency_of("a"), 2);
	EXPECT_EQ(extend(cache, KCACHE_OP_APPEND, "a", "0"), 0);
	EXPECT_EQ(frequency_of("a"), 3);
	stop();
}

KTAP_TEST(a_value_stored_anew_keeps_the_uses_and_counts_as_one)
{
	start(MiB);
	EXPECT_EQ(set(cache, "a", "1"), 0);
	EXPECT_EQ(frequency_of("a"), 0);
	EXPECT_EQ(set(cache, "a", "2 is longer"), 0);
	EXPECT_EQ(frequency_of("a"), 1);
	EXPECT(has(cache, "a", "2 is longer"));
	EXPECT_EQ(set(cache, "a", "3 is longer than that"), 0);
	EXPECT_EQ(frequency_of("a"), 3);
	EXPECT_EQ(set(cache, "a", "4 is still longer, by much"), 0);
	EXPECT_EQ(frequency_of("a"), 3);
	/* One that was removed is new. */
	EXPECT_EQ(remove_key(cache, "a"), 0);
	EXPECT_EQ(set(cache, "a", "5"), 0);
	EXPECT_EQ(frequency_of("a"), 0);
	stop();
}

KTAP_TEST(splits_and_merges_keep_the_uses)
{
	u32 i;

	start(4 * MiB);
	store(0, 300);
	for (i = 0; i < 300; i++)
		if (i % 2)
			EXPECT(use(i));
	mutex_lock(&cache->arena.mutex);
	for (i = 0; i < 400; i++)
		EXPECT_EQ(kc_table_split_locked(&cache->table), 0);
	for (i = 0; i < 400; i++)
		if (kc_table_merge_locked(&cache->table))
			EXPECT_EQ(kc_table_grow_overflow_locked(&cache->table), 0);
	mutex_unlock(&cache->arena.mutex);
	for (i = 0; i < 300; i++)
		if (!EXPECT_EQ(frequency(i), i % 2))
			break;
	/* What fills the hole that another left brings its own along. */
	for (i = 0; i < 300; i += 3)
		EXPECT_EQ(remove_key(cache, name(i)), 0);
	for (i = 0; i < 300; i++)
		if (i % 3)
			EXPECT_EQ(frequency(i), i % 2);
	stop();
}

KTAP_TEST(a_hint_counts_as_a_use_and_a_false_one_does_no_harm)
{
	u32 i, nr = 0;

	start(MiB);
	store(0, 400);
	rcu_read_lock();
	kc_table_use_hash_rcu(&cache->table, kc_table_hash(&cache->table, "k7", 2));
	rcu_read_unlock();
	for (i = 0; i < 400; i++)
		nr += frequency(i);
	EXPECT_EQ(nr, 1);
	EXPECT_EQ(frequency(7), 1);
	for (i = 0; i < 100000; i++) {
		rcu_read_lock();
		kc_table_use_hash_rcu(&cache->table, i < 400 ? ~0ULL << (i % 64) : shim_random());
		rcu_read_unlock();
	}
	EXPECT(audit(cache));
	EXPECT_EQ(count_there(0, 400), 400);
	stop();
}

/* Between the look at the slot and the use of it, the slot becomes another's. */
static void remove_k1(void *arg)
{
	EXPECT_EQ(remove_key(cache, "k1"), 0);
}

KTAP_TEST(a_use_that_comes_late_does_not_bring_an_entry_back)
{
	struct kcache_found found;

	start(MiB);
	store(1, 2);
	rcu_read_lock();
	EXPECT(kc_table_find_rcu(&cache->table, kc_table_hash(&cache->table, "k1", 2), "k1", 2,
				 &found));
	shim_hook(SHIM_AT_RECHECK, 1, remove_k1, NULL);
	smp_rmb();
	shim_unhook();
	kc_table_use_rcu(&found);
	rcu_read_unlock();
	EXPECT_EQ(entries(cache), 0);
	EXPECT(!is_there(1));
	EXPECT(audit(cache));
	stop();
}

/* -------- the small queue -------- */

KTAP_TEST(what_was_used_goes_to_main_and_forgets_it_the_rest_goes)
{
	u32 i;

	start(MiB);
	store(0, PER_SEGMENT);
	seal();
	store(100, 100 + PER_SEGMENT);
	use(2);
	use(5);
	use(5);
	EXPECT_EQ(step(), 0);
	for (i = 0; i < PER_SEGMENT; i++)
		EXPECT_EQ(is_there(i), i == 2 || i == 5);
	EXPECT(is_in(KC_MAIN, 2) && is_in(KC_MAIN, 5));
	EXPECT_EQ(frequency(2), 0);
	EXPECT_EQ(frequency(5), 0);
	EXPECT_EQ(count_there(100, 100 + PER_SEGMENT), PER_SEGMENT);
	EXPECT_EQ(count_of(cache, KC_STAT_promotions), 2);
	EXPECT_EQ(count_of(cache, KC_STAT_moves), 2);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), PER_SEGMENT - 2);
	EXPECT(use(2) && use(5));
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(how_many_uses_it_takes_is_a_setting)
{
	u32 uses, i, j;

	for (uses = 1; uses <= 3; uses++) {
		start(MiB);
		EXPECT_EQ(kc_cache_set_promote_after(cache, uses), 0);
		store(0, 4);
		for (i = 0; i < 4; i++)
			for (j = 0; j < i; j++)
				use(i);
		EXPECT_EQ(step(), 0);
		for (i = 0; i < 4; i++)
			EXPECT_EQ(is_there(i), i >= uses);
		stop();
	}
	start(MiB);
	EXPECT_EQ(kc_cache_set_promote_after(cache, 0), -EINVAL);
	EXPECT_EQ(kc_cache_set_promote_after(cache, 4), -EINVAL);
	EXPECT_EQ(cache->evict.promote_after, 1);
	stop();
}

KTAP_TEST(what_comes_back_soon_begins_proven)
{
	u32 uses;

	for (uses = 1; uses <= 2; uses++) {
		start(MiB);
		make_ghost(100);
		EXPECT_EQ(kc_cache_set_promote_after(cache, uses), 0);
		store(0, 4);
		EXPECT_EQ(step(), 0);
		EXPECT_EQ(count_there(0, 4), 0);
		store(0, 6);
		EXPECT_EQ(count_of(cache, KC_STAT_ghost_hits), 4);
		EXPECT_EQ(frequency(1), uses);
		EXPECT_EQ(frequency(5), 0);
		EXPECT_EQ(step(), 0);
		EXPECT_EQ(count_there(0, 6), 4);
		EXPECT(is_in(KC_MAIN, 0));
		/* It was remembered once. */
		EXPECT_EQ(remove_key(cache, name(1)), 0);
		store(1, 2);
		EXPECT_EQ(frequency(1), 0);
		stop();
	}
}

KTAP_TEST(what_was_removed_or_expired_or_flushed_is_not_remembered)
{
	start(MiB);
	make_ghost(100);
	store(0, 4);
	EXPECT_EQ(remove_key(cache, name(0)), 0);
	EXPECT_EQ(set_ttl(cache, "k9", "v", 10), 0);
	shim_clock_advance_ms(10);
	EXPECT_EQ(step(), 0);
	store(0, 1);
	EXPECT_EQ(frequency(0), 0);
	store(9, 10);
	EXPECT_EQ(frequency(9), 0);
	store(1, 2);
	EXPECT_EQ(frequency(1), 1);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	store(1, 4);
	EXPECT_EQ(frequency(1) + frequency(2) + frequency(3), 0);
	stop();
}

KTAP_TEST(small_goes_first_while_it_is_over_a_tenth)
{
	u32 i, nr = 30 * PER_SEGMENT;
	u64 before;

	start(MiB);
	store(0, nr);
	for (i = 0; i < nr; i++)
		use(i);
	seal();
	/* All is proven: each eviction makes the one queue shorter and the other longer. */
	for (i = 0; i < 40 && account().bytes_small * 10 > account().bytes_small +
	     account().bytes_main; i++) {
		before = account().bytes_small;
		EXPECT_EQ(step(), 0);
		EXPECT(account().bytes_small < before);
	}
	EXPECT(i < 40);
	EXPECT(account().bytes_main >= 9 * account().bytes_small);
	/* Now main is to give. */
	before = account().bytes_small;
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(account().bytes_small, before);
	EXPECT(audit(cache));
	stop();
}

/* -------- the main queue -------- */

/* Makes these entries the oldest of main, each in a segment of its queue's end. */
static void promote(u32 from, u32 to)
{
	u32 i;

	store(from, to);
	for (i = from; i < to; i++)
		use(i);
	seal();
	/* Main would give first once it is large, if small did not seem larger. */
	cache->log.nr_chunks[KC_SMALL] += 1 << 20;
	while (cache->log.nr_chunks[KC_SMALL] > 1 << 20) {
		EXPECT_EQ(step(), 0);
		nr_free();
	}
	cache->log.nr_chunks[KC_SMALL] -= 1 << 20;
	for (i = from; i < to; i++)
		if (!EXPECT(is_in(KC_MAIN, i)))
			break;
	seal();
}

KTAP_TEST(main_keeps_what_was_used_there_with_one_use_less)
{
	u32 i;

	start(MiB);
	make_ghost(100);
	promote(0, PER_SEGMENT);
	promote(100, 100 + PER_SEGMENT);
	use(1);
	use(3);
	use(3);
	use(3);
	use(3);
	EXPECT_EQ(step(), 0);
	for (i = 0; i < PER_SEGMENT; i++)
		EXPECT_EQ(is_there(i), i == 1 || i == 3);
	EXPECT_EQ(frequency(1), 0);
	EXPECT_EQ(frequency(3), 2);
	EXPECT_EQ(count_there(100, 100 + PER_SEGMENT), PER_SEGMENT);
	/* At the other end now: others go before them. */
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(count_there(100, 100 + PER_SEGMENT), 0);
	EXPECT(is_there(1) && is_there(3));
	/* Who leaves main is not remembered. */
	store(0, 1);
	EXPECT_EQ(frequency(0), 0);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(a_cache_in_which_all_was_used_makes_room_nevertheless)
{
	u32 i, j, nr = 100 * PER_SEGMENT;
	u64 before;

	start(MiB);
	promote(0, nr);
	for (i = 0; i < nr; i++)
		for (j = 0; j < 3; j++)
			use(i);
	before = nr_free();
	EXPECT_EQ(evict_one(), 0);
	EXPECT(nr_free() > before);
	EXPECT(count_there(0, nr) >= nr - 2 * PER_SEGMENT);
	EXPECT(count_of(cache, KC_STAT_moves) < nr + 80 * PER_SEGMENT);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(a_mostly_dead_main_segment_is_compacted_before_anything_goes)
{
	u32 i;

	start(MiB);
	promote(0, 3 * PER_SEGMENT);
	for (i = PER_SEGMENT; i < 2 * PER_SEGMENT - 2; i++)
		EXPECT_EQ(remove_key(cache, name(i)), 0);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(count_there(0, 3 * PER_SEGMENT), 2 * PER_SEGMENT + 2);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	EXPECT_EQ(frequency(2 * PER_SEGMENT - 1), 0);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(compaction_in_main_keeps_the_uses)
{
	u32 i;

	start(MiB);
	promote(0, PER_SEGMENT);
	use(0);
	use(0);
	for (i = 1; i < PER_SEGMENT - 1; i++)
		EXPECT_EQ(remove_key(cache, name(i)), 0);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(frequency(0), 2);
	EXPECT_EQ(frequency(PER_SEGMENT - 1), 0);
	EXPECT(is_in(KC_MAIN, 0));
	stop();
}

/* -------- runs -------- */

static u8 long_value[30000];

static int set_run(const char *key)
{
	return set_bytes(cache, key, strlen(key), long_value, sizeof(long_value));
}

static void use_run(void *arg)
{
	EXPECT(get_bytes(cache, "run", 3, long_value, sizeof(long_value)) > 0);
}

/* Between the look at its uses and the walk that takes it out, and elsewhere. */
KTAP_TEST(a_run_that_is_used_while_it_is_retired_stays_or_goes)
{
	u32 nth, nr_gone = 0;

	for (nth = 1; nth < 5; nth++) {
		start(MiB);
		EXPECT_EQ(set_run("run"), 0);
		shim_hook(SHIM_AT_LOCK, nth, use_run, NULL);
		EXPECT_EQ(step(), 0);
		shim_unhook();
		nr_gone += !offset_of("run");
		EXPECT(audit(cache));
		stop();
	}
	EXPECT(nr_gone > 0 && nr_gone < 4);
}

KTAP_TEST(a_run_that_a_set_retires_goes_back_by_the_worker)
{
	static u8 value[150000];
	u32 i, nr_zombies, nr_runs = 0;
	u64 nr_reaped;
	char key[16];

	start(16 * MiB);
	for (i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "run %u", i);
		ASSERT_EQ(set_bytes(cache, key, strlen(key), value, sizeof(value)), 0);
	}
	shim_be_busy(true);
	kc_space_wake(cache);
	shim_run_work();
	for (i = 0; i < 30000; i++) {
		nr_zombies = cache->log.nr_zombies;
		nr_reaped = cache->log.nr_reaped;
		store(i, i + 1);
		EXPECT_EQ(cache->log.nr_reaped, nr_reaped);
		nr_runs += cache->log.nr_zombies > nr_zombies;
		shim_run_work();
	}
	EXPECT(nr_runs > 10);
	shim_be_busy(false);
	stop();
}

KTAP_TEST(a_run_that_goes_to_main_is_the_newest_there)
{
	start(MiB);
	promote(0, PER_SEGMENT);
	EXPECT_EQ(set_run("run"), 0);
	EXPECT(get_bytes(cache, "run", 3, long_value, sizeof(long_value)) > 0);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(queue_of("run"), KC_MAIN);
	EXPECT(audit(cache));		/* in order, too */
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(entries(cache), 0);
	stop();
}

KTAP_TEST(a_run_that_was_used_goes_to_main_without_a_copy)
{
	u64 offset;

	start(MiB);
	EXPECT_EQ(set_run("run"), 0);
	offset = offset_of("run");
	EXPECT_EQ(set_run("other"), 0);
	EXPECT(get_bytes(cache, "run", 3, long_value, sizeof(long_value)) > 0);
	EXPECT(get_bytes(cache, "run", 3, long_value, sizeof(long_value)) > 0);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(offset_of("run"), offset);
	EXPECT_EQ(queue_of("run"), KC_MAIN);
	EXPECT_EQ(frequency_of("run"), 0);
	EXPECT_EQ(offset_of("other"), 0);
	EXPECT_EQ(count_of(cache, KC_STAT_promotions), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_moves), 0);
	/* In main it is given as many chances as it has uses. */
	EXPECT(get_bytes(cache, "run", 3, long_value, sizeof(long_value)) > 0);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(offset_of("run"), offset);
	EXPECT_EQ(frequency_of("run"), 0);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(offset_of("run"), 0);
	EXPECT(audit(cache));
	stop();
}

/* -------- room -------- */

KTAP_TEST(stores_leave_a_segment_for_eviction_to_copy_to)
{
	u32 i;

	start(MiB);
	for (i = 0; i < 3000; i++) {
		store(i, i + 1);
		if (!EXPECT(nr_free() >= 1))
			break;
	}
	EXPECT(count_of(cache, KC_STAT_evictions) > 1000);
	stop();
}

/* The table and the ghosts grow meanwhile, up to the limit. */
KTAP_TEST(what_is_used_outlives_a_flood)
{
	u32 i;

	start(MiB);
	store(0, 200);
	for (i = 1000; i < 9000; i++) {
		store(i, i + 1);
		use(i % 200);
		if (work_pending(&cache->work) && i % 3 == 0)
			shim_run_work();
	}
	EXPECT_EQ(count_there(0, 200), 200);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(what_has_no_room_to_go_to_goes)
{
	u32 i;

	start(MiB);
	store(0, PER_SEGMENT);
	for (i = 0; i < PER_SEGMENT; i++)
		use(i);
	seal();
	shim_fail_allocs(1, ~0ULL >> 1);
	EXPECT_EQ(step(), 0);
	shim_fail_end();
	EXPECT_EQ(count_there(0, PER_SEGMENT), 0);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), PER_SEGMENT);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(memory_of_the_dead_is_used_at_once_though_readers_are_about)
{
	u64 bytes;
	u32 i;

	start(MiB);
	store(0, PER_SEGMENT);
	store(0, PER_SEGMENT + 1);
	bytes = shim_page_bytes_in_use();
	rcu_read_lock();	/* no grace period ends */
	rcu_read_unlock();
	for (i = 0; i < 50; i++)
		store(0, PER_SEGMENT);
	EXPECT(shim_page_bytes_in_use() <= bytes + 2 * kc_chunk_size(&cache->arena));
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	EXPECT(audit(cache));
	stop();
}

/* Of 100 bytes, more than a walk looks ahead. */
static void store_short(u32 from, u32 to)
{
	static const u8 value[100];

	for (; from < to; from++)
		EXPECT_EQ(set_bytes(cache, name(from), strlen(name(from)), value, sizeof(value)),
			  0);
}

/* All others of the segment that is being walked die: it must not be filled anew. */
static void overwrite_all(void *arg)
{
	shim_set_cpu(0);
	store_short(0, 60);
	store_short(100, 400);
}

KTAP_TEST(a_segment_that_is_walked_is_not_used_again)
{
	u64 nth;

	for (nth = 1; nth < 8; nth++) {
		start(MiB);
		store_short(0, 60);
		seal();
		shim_hook(SHIM_AT_RESCHED, nth, overwrite_all, NULL);
		EXPECT_EQ(step(), 0);
		EXPECT_EQ(shim_hook_calls(SHIM_AT_RESCHED), 1);
		shim_unhook();
		EXPECT_EQ(count_there(0, 60), 60);
		EXPECT_EQ(count_there(100, 400), 300);
		EXPECT(audit(cache));
		stop();
	}
}

/* The search for sparse segments stands before a segment that leaves the queue. */
KTAP_TEST(the_search_for_sparse_segments_survives_that_its_place_goes)
{
	struct kc_segment *next;
	u32 i;

	start(MiB);
	promote(0, 12 * PER_SEGMENT);
	for (i = 0; i < 12 * PER_SEGMENT; i++)
		use(i);
	mutex_lock(&cache->arena.mutex);
	cache->log.cursor = &cache->log.queue[KC_MAIN];
	EXPECT(!kc_log_sparse_locked(&cache->log));
	mutex_unlock(&cache->arena.mutex);
	ASSERT(cache->log.cursor != &cache->log.queue[KC_MAIN]);
	next = list_entry(cache->log.cursor, struct kc_segment, link);
	for (i = 0; i < 12 * PER_SEGMENT; i++)
		if (offset_of(name(i)) >> cache->arena.chunk_shift ==
		    kc_segment_chunk(&cache->log, next))
			EXPECT_EQ(remove_key(cache, name(i)), 0);
	nr_free();		/* collects it */
	for (i = 0; i < 8; i++)
		EXPECT_EQ(step(), 0);
	EXPECT(audit(cache));
	stop();
}

/* -------- the worker -------- */

KTAP_TEST(the_worker_keeps_segments_ahead_and_is_woken_when_they_are_few)
{
	u32 i, late = 0;
	u64 evictions;

	start(MiB);
	EXPECT(!work_pending(&cache->work));
	for (i = 0; i < 3000; i++) {
		evictions = count_of(cache, KC_STAT_evictions);
		store(i, i + 1);
		late += count_of(cache, KC_STAT_evictions) > evictions;
		if (work_pending(&cache->work)) {
			shim_run_work();
			EXPECT(nr_free() >= KC_LOG_RESERVE + 2);
		}
	}
	EXPECT(count_of(cache, KC_STAT_evictions) > 1000);
	EXPECT_EQ(late, 0);	/* no SET evicted by itself */
	EXPECT(nr_free() <= KC_LOG_RESERVE + 3);
	stop();
}

/* Stores so many short values and returns how many entries went for one at the most. */
static u64 store_watched(u32 from, u32 to)
{
	u64 before, most = 0;
	u8 value[100] = { 0 };

	for (; from < to; from++) {
		before = count_of(cache, KC_STAT_evictions);
		EXPECT_EQ(set_bytes(cache, name(from), strlen(name(from)), value, sizeof(value)),
			  0);
		most = max(most, count_of(cache, KC_STAT_evictions) - before);
	}
	return most;
}

KTAP_TEST(where_the_worker_does_not_come_each_set_frees_about_what_it_takes)
{
	u64 most;

	start(16 * MiB);
	most = store_watched(0, 200000);
	EXPECT(most > 8);
	EXPECT(most < 100);		/* a segment has 1000 */
	EXPECT(count_of(cache, KC_STAT_evictions) > 80000);
	EXPECT(nr_free() >= KC_LOG_RESERVE);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(sets_make_up_for_what_had_to_stay)
{
	u32 i, nr_many = 0;
	u8 value[100];

	start(16 * MiB);
	for (i = 0; i < 200000; i++) {
		nr_many += store_watched(i, i + 1) > 300;
		if (i % 4)
			get_bytes(cache, name(i), strlen(name(i)), value, sizeof(value));
	}
	EXPECT(nr_many < 5);		/* segments that one SET retires as a whole */
	EXPECT(count_of(cache, KC_STAT_moves) > 80000);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(the_worker_leaves_it_to_the_sets_where_its_cpu_is_wanted)
{
	u64 evictions, opened;
	u32 i, nr_wakes = 0;

	start(16 * MiB);
	store_watched(0, 150000);
	shim_be_busy(true);
	shim_run_work();
	store_watched(150000, 155000);	/* the ghost set took memory */
	evictions = count_of(cache, KC_STAT_evictions);
	kc_space_wake(cache);
	shim_run_work();
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), evictions);
	opened = cache->log.opened;
	for (i = 155000; i < 250000; i++) {
		EXPECT(store_watched(i, i + 1) < 100);
		nr_wakes += work_pending(&cache->work);
		shim_run_work();
	}
	EXPECT(nr_wakes);
	EXPECT(nr_wakes <= (cache->log.opened - opened) / 16 + 1);
	EXPECT(nr_wakes >= (cache->log.opened - opened) / 16 - 2);

	/* And comes again, at the latest then, when it is not. */
	shim_be_busy(false);
	opened = cache->log.opened;
	for (; !work_pending(&cache->work) && cache->log.opened < opened + 20; i++)
		store_watched(i, i + 1);
	shim_run_work();
	EXPECT(nr_free() >= KC_LOG_RESERVE + 2);
	EXPECT_EQ(cache->wake_at, 0);
	stop();
}

static u32 retired_of_oldest(void)
{
	return list_first_entry(&cache->log.queue[KC_SMALL], struct kc_segment, link)->retired;
}

KTAP_TEST(what_is_left_of_a_segment_that_is_being_retired_is_not_compacted)
{
	u32 i;

	start(16 * MiB);
	store_watched(0, 1);
	for (i = 1; retired_of_oldest() < kc_chunk_size(&cache->arena) / 4 * 3; i++)
		store_watched(i, i + 1);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(step(), 0);
	EXPECT_EQ(count_of(cache, KC_STAT_moves), 0);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(the_ghost_set_comes_with_the_first_eviction_and_follows_the_entries)
{
	struct kc_ghost *ghost = &cache->evict.ghost;
	u32 i;

	start(MiB);
	ghost = &cache->evict.ghost;
	store(0, 100);
	shim_run_work();
	EXPECT(!rcu_access_pointer(ghost->sets));
	store(100, 3000);
	shim_run_work();
	mutex_lock(&cache->evict.mutex);
	EXPECT(kc_ghost_fits(ghost, 800));
	mutex_unlock(&cache->evict.mutex);
	/* Many more, and shorter. */
	for (i = 0; i < 20000; i++) {
		char key[16], value[8];

		snprintf(key, sizeof(key), "short %u", i);
		snprintf(value, sizeof(value), "%u", i);
		EXPECT_EQ(set(cache, key, value), 0);
		if (i % 100 == 0)
			shim_run_work();
	}
	shim_run_work();
	mutex_lock(&cache->evict.mutex);
	EXPECT(!kc_ghost_fits(ghost, 800));
	EXPECT(kc_ghost_fits(ghost, entries(cache)));
	mutex_unlock(&cache->evict.mutex);
	EXPECT(audit(cache));		/* the account knows of it */
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT(!rcu_access_pointer(ghost->sets));
	stop();
}

KTAP_TEST(the_ghost_set_remembers_about_as_many_as_there_are_and_forgets_the_oldest)
{
	struct kc_ghost *ghost;
	u32 i, found = 0, strange = 0;
	u64 hash[2000];

	start(MiB);
	ghost = &cache->evict.ghost;
	make_ghost(1000);
	mutex_lock(&cache->evict.mutex);
	rcu_read_lock();
	for (i = 0; i < 2000; i++) {
		hash[i] = shim_random();
		kc_ghost_add_rcu(rcu_dereference(ghost->sets), hash[i]);
	}
	for (i = 0; i < 20000; i++)
		strange += kc_ghost_take_rcu(ghost, shim_random());
	EXPECT(strange < 40);
	for (i = 1500; i < 2000; i++)
		found += kc_ghost_take_rcu(ghost, hash[i]);
	EXPECT(found > 480);
	for (i = 1500; i < 2000; i++)
		found -= kc_ghost_take_rcu(ghost, hash[i]);
	EXPECT(found > 480);		/* taken once */
	for (found = 0, i = 0; i < 500; i++)
		found += kc_ghost_take_rcu(ghost, hash[i]);
	EXPECT(found < 50);		/* sets of eight are not filled evenly */
	rcu_read_unlock();
	mutex_unlock(&cache->evict.mutex);
	stop();
}

static void work_between(void *arg)
{
	if (!mutex_is_locked(&cache->evict.mutex)) {
		kc_space_work(&cache->work);
		evict_one();
	}
}

static void sets_between(void *arg)
{
	if (!mutex_is_locked(&cache->evict.mutex))
		kc_evict_as_much(&cache->evict, kc_chunk_size(&cache->arena));
}

/* A flush of what was all used, while @between goes on. */
static void flush_while(void (*between)(void *arg))
{
	u32 i;

	start(MiB);
	promote(0, 20 * PER_SEGMENT);
	store(500, 500 + 20 * PER_SEGMENT);
	for (i = 0; i < 20 * PER_SEGMENT; i++) {
		use(i);
		use(500 + i);
	}
	seal();
	shim_hook_always(SHIM_AT_RESCHED, between, NULL);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT(shim_hook_calls(SHIM_AT_RESCHED) > 0);
	shim_unhook();
	EXPECT_EQ(entries(cache), 0);
	stop();
}

KTAP_TEST(a_flush_takes_out_what_eviction_would_keep_meanwhile)
{
	flush_while(work_between);
}

KTAP_TEST(a_flush_takes_out_what_sets_would_keep_meanwhile)
{
	flush_while(sets_between);
}

/* -------- reclaim -------- */

static unsigned long shrinker_count(void)
{
	struct shrink_control control = { 0 };

	return cache->shrinker->count_objects(cache->shrinker, &control);
}

static unsigned long shrinker_scan(unsigned long pages)
{
	struct shrink_control control = { .nr_to_scan = pages };

	return cache->shrinker->scan_objects(cache->shrinker, &control);
}

KTAP_TEST(reclaim_gets_memory_without_an_allocation_or_a_grace_period)
{
	u64 before, used;
	unsigned long got;

	start(MiB);
	store(0, 1000);
	shim_run_work();
	used = atomic64_read(&cache->arena.used_bytes);
	before = shim_page_bytes_in_use();
	EXPECT_EQ(shrinker_count(), used / PAGE_SIZE);
	shim_fail_allocs(1, ~0ULL >> 1);
	got = shrinker_scan(50);
	EXPECT(!shim_fail_end());	/* not even tried */
	EXPECT(got >= 50 && got <= 52);
	EXPECT_EQ(shim_page_bytes_in_use(), before);	/* not yet: readers may be there */
	EXPECT_EQ(shrinker_count(), used / PAGE_SIZE - got);
	EXPECT_EQ(shim_run_work(), 1);
	EXPECT_EQ(shim_page_bytes_in_use(), before - got * PAGE_SIZE);
	EXPECT_EQ(count_of(cache, KC_STAT_shrunk_bytes), got * PAGE_SIZE);
	EXPECT(audit(cache));
	store(1000, 3000);
	EXPECT_EQ(count_there(2990, 3000), 10);
	stop();
}

KTAP_TEST(reclaim_takes_the_coldest_first_and_all_in_the_end)
{
	u64 base;
	u32 i;

	start(MiB);
	base = shim_page_bytes_in_use();
	promote(0, PER_SEGMENT);
	store(100, 100 + 10 * PER_SEGMENT);
	for (i = 0; i < PER_SEGMENT; i++)
		use(i);
	EXPECT(shrinker_scan(1) > 0);
	EXPECT_EQ(count_there(0, PER_SEGMENT), PER_SEGMENT);
	EXPECT(count_there(100, 100 + 10 * PER_SEGMENT) >= 9 * PER_SEGMENT);
	for (i = 0; i < 100 && shrinker_scan(2) != SHRINK_STOP; i++)
		shim_run_work();
	EXPECT_EQ(entries(cache), 0);
	EXPECT(shim_page_bytes_in_use() <= base + kc_block_size(&cache->arena));
	store(0, 10);
	EXPECT_EQ(count_there(0, 10), 10);
	stop();
}

KTAP_TEST(reclaim_leaves_the_floor)
{
	u32 i;

	start(MiB);
	store(0, 1000);
	EXPECT_EQ(kc_cache_set_min(cache, 2 * MiB), -EINVAL);
	EXPECT_EQ(kc_cache_set_min(cache, MiB / 2), 0);
	EXPECT_EQ(shrinker_count(), (atomic64_read(&cache->arena.used_bytes) - MiB / 2) /
		  PAGE_SIZE);
	for (i = 0; i < 1000 && shrinker_scan(7) != SHRINK_STOP; i++)
		if (i % 3)
			shim_run_work();
	EXPECT(i > 5 && i < 1000);
	shim_run_work();
	EXPECT(atomic64_read(&cache->arena.used_bytes) >= MiB / 2);
	EXPECT(atomic64_read(&cache->arena.used_bytes) < MiB / 2 + 3 * PAGE_SIZE);
	EXPECT_EQ(kc_cache_set_min(cache, MiB), 0);
	EXPECT_EQ(shrinker_count(), 0);
	EXPECT_EQ(shrinker_scan(7), SHRINK_STOP);
	stop();
}

KTAP_TEST(reclaim_does_not_wait_for_a_lock)
{
	start(MiB);
	store(0, 100);
	mutex_lock(&cache->evict.mutex);
	EXPECT_EQ(shrinker_scan(1), SHRINK_STOP);
	mutex_unlock(&cache->evict.mutex);
	mutex_lock(&cache->arena.mutex);	/* as when the cache itself allocates */
	EXPECT_EQ(shrinker_scan(1), SHRINK_STOP);
	mutex_unlock(&cache->arena.mutex);
	EXPECT(shrinker_scan(1) != SHRINK_STOP);
	stop();
}

/* What the system calls before it kills; bytes that came back. */
static u64 before_oom_kill(void)
{
	unsigned long freed = 0;

	EXPECT_EQ(cache->oom_notifier.notifier_call(&cache->oom_notifier, 0, &freed), NOTIFY_OK);
	return freed * PAGE_SIZE;
}

KTAP_TEST(nobody_is_killed_while_memory_is_on_its_way)
{
	u64 before, got;

	start(MiB);
	store(0, 1000);
	shim_run_work();
	before = shim_page_bytes_in_use();
	got = shrinker_scan(50) * PAGE_SIZE;
	EXPECT_EQ(before_oom_kill(), got);
	EXPECT_EQ(shim_page_bytes_in_use(), before - got);
	/* Reclaim found a mutex taken each time: more is dropped now. */
	EXPECT(before_oom_kill() > 0);
	EXPECT(shim_page_bytes_in_use() < before - got);
	EXPECT_EQ(kc_cache_set_min(cache, MiB), 0);
	EXPECT_EQ(before_oom_kill(), 0);
	stop();
}

KTAP_TEST(the_table_shrinks_after_reclaim_by_itself)
{
	u64 buckets;
	char key[16];
	u32 i;

	start(4 * MiB);
	buckets = account().buckets;
	for (i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "short %u", i);
		EXPECT_EQ(set(cache, key, "v"), 0);
	}
	EXPECT(account().buckets > 10 * buckets);
	for (i = 0; i < 1000 && shrinker_scan(64) != SHRINK_STOP; i++)
		shim_run_work();
	EXPECT_EQ(account().buckets, buckets);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(without_memory_from_the_system_stores_go_on_by_evicting)
{
	start(MiB);
	store(0, 20 * PER_SEGMENT);
	shim_fail_allocs(1, ~0ULL >> 1);
	store(1000, 1000 + 40 * PER_SEGMENT);
	shim_fail_end();
	EXPECT_EQ(count_of(cache, KC_STAT_no_space), 0);
	EXPECT_EQ(count_there(1000 + 39 * PER_SEGMENT, 1000 + 40 * PER_SEGMENT), PER_SEGMENT);
	EXPECT(audit(cache));
	stop();
}

KTAP_MAIN
