// SPDX-License-Identifier: GPL-2.0
/* Who goes when room is short (evict), and whose time is up (expire). */
#include "audit.h"
#include "entry.h"
#include "fixture.h"
#include "ktap.h"

static void lock(void)
{
	mutex_lock(&cache->evict.mutex);
	mutex_lock(&cache->arena.mutex);
}

static void unlock(void)
{
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

static void give_back(void)
{
	lock();
	kc_log_collect_locked(&cache->log);
	while (kc_log_drop_pool_locked(&cache->log, 0))
		;
	unlock();
	kc_log_reap(&cache->log);
}

static void seal(void)
{
	lock();
	kc_log_seal_lanes_locked(&cache->log);
	unlock();
}

static struct kc_segment *oldest_of(enum kc_queue queue)
{
	struct kc_segment *segment;

	lock();
	segment = kc_log_oldest_locked(&cache->log, queue);
	unlock();
	return segment;
}

static struct kc_segment *oldest(void)
{
	return oldest_of(KC_SMALL);
}

/* Holds @segment while something is done to it. */
static bool on_segment(struct kc_segment *segment, bool (*act)(struct kc_segment *segment))
{
	bool is_held, result;

	mutex_lock(&cache->evict.mutex);
	mutex_lock(&cache->arena.mutex);
	is_held = kc_log_hold_locked(segment);
	mutex_unlock(&cache->arena.mutex);
	ASSERT(is_held);
	result = act(segment);
	kc_log_release(&cache->log, segment);
	mutex_unlock(&cache->evict.mutex);
	return result;
}

static bool act_drop(struct kc_segment *segment)
{
	kc_evict_drop_locked(&cache->evict, segment, KC_STAT_evictions);
	return true;
}

static u64 nr_segments(void)
{
	struct kc_cache_account account;

	kc_cache_account(cache, &account);
	return account.segments;
}

/* Stores keys @from to @to, with values of 100 bytes. */
static void store(u32 from, u32 to, u64 ttl_ms)
{
	char key[16], value[101];
	u32 i;

	for (i = from; i < to; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		snprintf(value, sizeof(value), "%099u", i);
		EXPECT_EQ(set_ttl(cache, key, value, ttl_ms), 0);
	}
}

static bool is_there(u32 i)
{
	char key[16], value[100], expected[101];
	s64 len;

	snprintf(key, sizeof(key), "k%u", i);
	len = get_bytes(cache, key, strlen(key), value, sizeof(value));
	if (len < 0)
		return false;
	snprintf(expected, sizeof(expected), "%099u", i);
	EXPECT_EQ(len, 99);
	EXPECT_MEM(value, expected, 99);
	return true;
}

static u32 count_there(u32 from, u32 to)
{
	u32 nr = 0;

	for (; from < to; from++)
		nr += is_there(from);
	return nr;
}

static void drop(u32 from, u32 to, u32 step)
{
	char key[16];

	for (; from < to; from += step) {
		snprintf(key, sizeof(key), "k%u", from);
		EXPECT_EQ(remove_key(cache, key), 0);
	}
}

/* -------- evict -------- */

KTAP_TEST(retiring_a_segment_takes_out_its_entries_and_no_others)
{
	struct kc_segment *segment;

	start(MiB);
	store(0, 40, 0);
	seal();
	store(40, 60, 0);
	segment = oldest();
	on_segment(segment, act_drop);
	lock();
	EXPECT_EQ(kc_log_collect_locked(&cache->log), 1);
	unlock();
	EXPECT_EQ(count_there(0, 40), 0);
	EXPECT_EQ(count_there(40, 60), 20);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 40);
	EXPECT_EQ(entries(cache), 20);
	stop();
}

static void hook_split(void *arg)
{
	u32 i, nr = cache->table.nr_buckets;

	mutex_lock(&cache->arena.mutex);
	for (i = 0; i < nr; i++)
		EXPECT_EQ(kc_table_split_locked(&cache->table), 0);
	mutex_unlock(&cache->arena.mutex);
}

KTAP_TEST(the_table_may_grow_while_a_segment_is_walked)
{
	start(MiB);
	store(0, 40, 0);
	seal();
	shim_hook(SHIM_AT_LOCK, 1, hook_split, NULL);
	on_segment(oldest(), act_drop);
	EXPECT_EQ(shim_hook_calls(SHIM_AT_LOCK), 1);
	shim_unhook();
	EXPECT_EQ(count_there(0, 40), 0);
	EXPECT_EQ(entries(cache), 0);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 40);
	stop();
}

KTAP_TEST(an_entry_in_a_chain_that_is_full_goes_for_a_new_one)
{
	u32 most = KC_CHAIN_MAX * KCACHE_BUCKET_SLOTS, i = 0, nr;
	char key[16], last[16] = "";

	start(4 * MiB);
	EXPECT_EQ(set_ttl(cache, "other", "value", 1000), 0);
	/* The same bucket, however large the table is by then. */
	for (nr = 0; nr < most + 20; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		if (kc_table_hash(&cache->table, key, strlen(key)) & 1023)
			continue;
		EXPECT_EQ(set(cache, key, key), 0);
		EXPECT(has(cache, key, key));
		if (nr >= most)		/* he who came last goes */
			EXPECT(has(cache, last, NULL));
		strcpy(last, key);
		nr++;
	}
	EXPECT(audit(cache));
	EXPECT(has(cache, "other", "value"));
	EXPECT_EQ(entries(cache), most + 1);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 20);
	EXPECT_EQ(count_of(cache, KC_STAT_no_space), 0);
	/* One whose time is up expires, wherever it is in the chain. */
	EXPECT_EQ(set_ttl(cache, last, "short", 10), 0);
	shim_clock_advance_ms(20);
	for (; kc_table_hash(&cache->table, key, strlen(key)) & 1023 || !strcmp(key, last); i++)
		snprintf(key, sizeof(key), "k%u", i);
	EXPECT_EQ(set(cache, key, key), 0);
	EXPECT(has(cache, key, key));
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 20);
	EXPECT_EQ(count_of(cache, KC_STAT_expirations), 1);
	EXPECT_EQ(entries(cache), most + 1);
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(entries_leave_in_the_order_in_which_they_came)
{
	u32 i, first;

	start(MiB);
	store(0, 12000, 0);
	EXPECT(audit(cache));
	for (first = 0; !is_there(first); first++)
		;
	EXPECT(first > 3000 && first < 8000);
	for (i = first; i < 12000; i++)
		if (!EXPECT(is_there(i)))
			break;
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), first);
	EXPECT_EQ(entries(cache), 12000 - first);
	EXPECT_EQ(count_of(cache, KC_STAT_no_space), 0);
	stop();
}

KTAP_TEST(an_entry_stored_anew_is_as_young_as_its_newest_value)
{
	start(MiB);
	store(0, 2000, 0);
	store(0, 1, 0);
	store(2000, 6000, 0);
	while (stat_of(cache, "k1").version)
		EXPECT_EQ(evict_one(), 0);
	EXPECT(is_there(0));
	stop();
}

KTAP_TEST(dead_segments_go_before_living_ones)
{
	start(MiB);
	store(0, 40, 0);
	seal();
	store(40, 80, 0);
	seal();
	drop(40, 80, 1);
	EXPECT_EQ(nr_segments(), 2);
	EXPECT_EQ(evict_one(), 0);
	EXPECT_EQ(nr_segments(), 1);
	EXPECT_EQ(count_there(0, 40), 40);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	stop();
}

/* Memory full of what is dead, held by a few that live: they are not what has to go. */
KTAP_TEST(what_lives_in_mostly_dead_segments_is_moved_and_not_evicted)
{
	u32 i;

	start(MiB);
	for (i = 0; i < 40000; i += 40) {
		store(i, i + 40, 0);
		drop(i + 1, i + 40, 1);
	}
	EXPECT(count_of(cache, KC_STAT_moves) > 0);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	EXPECT_EQ(entries(cache), 1000);
	for (i = 0; i < 40000; i += 40)
		EXPECT(is_there(i));
	EXPECT(audit(cache));
	stop();
}

KTAP_TEST(when_all_is_open_or_gone_eviction_seals_or_says_so)
{
	start(MiB);
	EXPECT_EQ(evict_one(), -ENOSPC);
	store(0, 5, 0);
	EXPECT_EQ(evict_one(), 0);
	EXPECT_EQ(count_there(0, 5), 0);
	EXPECT_EQ(evict_one(), -ENOSPC);
	store(0, 5, 0);
	EXPECT_EQ(count_there(0, 5), 5);
	stop();
}

KTAP_TEST(evicting_what_has_expired_counts_as_expiry)
{
	start(MiB);
	store(0, 10, 500);
	store(10, 30, 0);
	shim_clock_advance_ms(500);
	EXPECT_EQ(evict_one(), 0);
	EXPECT_EQ(count_of(cache, KC_STAT_expirations), 10);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 20);
	stop();
}

KTAP_TEST(memory_of_what_left_goes_back_to_the_system)
{
	u64 base;

	start(MiB);
	base = shim_page_bytes_in_use();
	store(0, 3000, 0);
	EXPECT(shim_page_bytes_in_use() > base + 300000);
	while (!evict_one())
		;
	give_back();
	EXPECT(shim_page_bytes_in_use() < base + 200000);	/* the table has grown */
	EXPECT(audit(cache));
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(shim_page_bytes_in_use(), base);
	stop();
}

static u64 limit_seen;

static void note_account(void *arg)
{
	u64 used = atomic64_read(&cache->arena.used_bytes);

	if (used > limit_seen)
		limit_seen = used;
}

KTAP_TEST(the_account_never_passes_the_limit)
{
	static u8 value[32768];
	u32 i;

	start(MiB);
	limit_seen = 0;
	shim_hook_always(SHIM_AT_LOCK, note_account, NULL);
	for (i = 0; i < 600; i++) {
		u64 len = shim_random() % (i % 5 ? 3000 : sizeof(value));

		EXPECT_EQ(set_bytes(cache, &i, sizeof(i), value, len), 0);
		EXPECT(atomic64_read(&cache->arena.used_bytes) <= MiB);
	}
	EXPECT(limit_seen > MiB - 100000 && limit_seen <= MiB);
	stop();
}

/* -------- compaction -------- */

static bool act_compact(struct kc_segment *segment)
{
	return kc_evict_compact_locked(&cache->evict, segment);
}

static bool compact(struct kc_segment *segment)
{
	return on_segment(segment, act_compact);
}

KTAP_TEST(compaction_moves_what_lives_as_it_is)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "special"), stat;
	struct kc_segment *segment;

	start(MiB);
	store(0, 30, 0);
	op.client_flags = 77;
	op.ttl_ms = 5000;
	op.value = (uintptr_t)"value";
	op.value_len = 5;
	EXPECT_EQ(run_op(cache, &op), 0);
	seal();
	drop(0, 29, 1);
	segment = oldest();
	EXPECT(compact(segment));
	EXPECT_EQ(kc_segment_dead(segment), segment->end);
	EXPECT_EQ(count_of(cache, KC_STAT_moves), 2);
	EXPECT(is_there(29));
	EXPECT(has(cache, "special", "value"));
	stat = op_on(KCACHE_OP_STAT, "special");
	EXPECT_EQ(run_op(cache, &stat), 0);
	EXPECT_EQ(stat.version, op.version);
	EXPECT_EQ(stat.client_flags, 77);
	EXPECT_EQ(stat.ttl_ms, 5000);
	EXPECT_EQ(stat.out_len, 5);
	EXPECT(audit(cache));		/* the expiry is known where it is now, too */
	stop();
}

KTAP_TEST(compaction_without_room_loses_nothing)
{
	struct kc_segment *segment;

	start(MiB);
	store(0, 40, 0);
	seal();
	drop(0, 35, 1);
	segment = oldest();
	shim_fail_allocs(1, 1000);
	EXPECT(!compact(segment));
	EXPECT(shim_fail_end());
	EXPECT_EQ(count_there(35, 40), 5);
	EXPECT(audit(cache));
	EXPECT(compact(segment));
	EXPECT_EQ(count_there(35, 40), 5);
	stop();
}

static void change_k1(void *arg)
{
	shim_set_cpu(0);
	EXPECT_EQ(set(cache, "k1", "changed"), 0);
}

KTAP_TEST(an_entry_that_changes_while_it_is_moved_keeps_the_change)
{
	struct kc_segment *segment;
	u64 nth;

	for (nth = 1; nth <= 3; nth++) {
		start(MiB);
		store(1, 2, 0);
		seal();
		store(3, 4, 0);		/* a lane with room: the hook must not wait */
		segment = oldest();
		shim_hook(SHIM_AT_LOCK, nth, change_k1, NULL);
		EXPECT(compact(segment));
		EXPECT_EQ(shim_hook_calls(SHIM_AT_LOCK), nth < 3);
		shim_unhook();
		if (nth < 3)
			EXPECT(has(cache, "k1", "changed"));
		else
			EXPECT(is_there(1));
		EXPECT_EQ(entries(cache), 2);
		stop();
	}
}

/* -------- expire -------- */

KTAP_TEST(a_pass_takes_out_what_has_expired_and_nothing_else)
{
	start(MiB);
	store(0, 10, 100);
	store(10, 20, 200);
	store(20, 30, 0);
	EXPECT(kc_expire_pass(&cache->expire));
	EXPECT_EQ(entries(cache), 30);
	shim_clock_advance_ms(99);
	EXPECT(kc_expire_pass(&cache->expire));
	EXPECT_EQ(entries(cache), 30);
	shim_clock_advance_ms(1);
	EXPECT(kc_expire_pass(&cache->expire));
	EXPECT_EQ(entries(cache), 20);
	EXPECT_EQ(count_of(cache, KC_STAT_expirations), 10);
	EXPECT_EQ(count_there(10, 30), 20);
	EXPECT(audit(cache));
	shim_clock_advance_ms(100);
	kc_expire_pass(&cache->expire);
	EXPECT_EQ(entries(cache), 10);
	EXPECT(!kc_expire_pass(&cache->expire));
	EXPECT_EQ(count_there(20, 30), 10);
	stop();
}

KTAP_TEST(memory_of_what_has_expired_comes_back_without_a_read)
{
	u64 base;

	start(4 * MiB);
	store(0, 1, 0);
	base = shim_page_bytes_in_use();
	store(1, 2000, 300);
	EXPECT(shim_page_bytes_in_use() > base + 200000);
	shim_clock_advance_ms(1300);
	EXPECT_EQ(shim_run_work(), 1);
	EXPECT_EQ(entries(cache), 1);
	EXPECT(shim_page_bytes_in_use() < base + 100000);	/* the table has grown */
	EXPECT(is_there(0));
	stop();
}

KTAP_TEST(a_pass_compacts_a_segment_that_is_mostly_dead)
{
	start(MiB);
	store(0, 40, 100);
	store(40, 50, 0);
	seal();
	shim_clock_advance_ms(100);
	kc_expire_pass(&cache->expire);
	EXPECT_EQ(count_of(cache, KC_STAT_moves), 10);
	EXPECT_EQ(count_there(40, 50), 10);
	EXPECT_EQ(nr_segments(), 1);
	EXPECT(audit(cache));
	stop();
}

/* Who walks a segment holds it, and that must not make it look dead. */
KTAP_TEST(a_pass_leaves_a_segment_in_which_all_lives_where_it_is)
{
	u32 i;

	start(MiB);
	store(0, 40, 100);
	seal();
	for (i = 0; i < 40; i++) {
		char key[16];
		struct kcache_op op;

		snprintf(key, sizeof(key), "k%u", i);
		op = op_on(KCACHE_OP_TOUCH, key);
		op.ttl_ms = 100000;
		EXPECT_EQ(run_op(cache, &op), 0);
	}
	shim_clock_advance_ms(100);
	kc_expire_pass(&cache->expire);
	EXPECT_EQ(count_of(cache, KC_STAT_moves), 0);
	EXPECT_EQ(count_there(0, 40), 40);
	stop();
}

KTAP_TEST(passes_come_while_something_will_expire)
{
	struct kcache_op op;

	start(MiB);
	store(0, 10, 0);
	EXPECT(!delayed_work_pending(&cache->expire.work));
	EXPECT_EQ(set_ttl(cache, "a", "1", 2500), 0);
	EXPECT(delayed_work_pending(&cache->expire.work));
	shim_clock_advance_ms(1000);
	EXPECT_EQ(shim_run_work(), 1);
	EXPECT(delayed_work_pending(&cache->expire.work));
	/* A value that keeps its ttl, and an entry that is moved, are not forgotten. */
	op = op_on(KCACHE_OP_SET, "a");
	op.flags = KCACHE_KEEP_TTL;
	op.value = (uintptr_t)"2";
	op.value_len = 1;
	EXPECT_EQ(run_op(cache, &op), 0);
	shim_clock_advance_ms(1000);
	EXPECT_EQ(shim_run_work(), 1);
	EXPECT(has(cache, "a", "2"));
	shim_clock_advance_ms(1000);
	EXPECT_EQ(shim_run_work(), 1);
	EXPECT_EQ(entries(cache), 10);
	shim_clock_advance_ms(100000);
	shim_run_work();
	shim_clock_advance_ms(100000);
	EXPECT_EQ(shim_run_work(), 0);
	EXPECT(!delayed_work_pending(&cache->expire.work));
	stop();
}

KTAP_TEST(every_way_to_set_an_expiry_brings_passes)
{
	struct kcache_op op;
	char out[8];
	int way;

	for (way = 0; way < 5; way++) {
		start(MiB);
		if (way != 3 && way != 4)
			EXPECT_EQ(set(cache, "a", "1"), 0);
		else if (way == 4)
			EXPECT_EQ(set_ttl(cache, "a", "9", 700), 0);
		op = op_on(way == 0 ? KCACHE_OP_SET : way == 1 ? KCACHE_OP_TOUCH :
			   way == 2 ? KCACHE_OP_GET : KCACHE_OP_ADD, "a");
		op.ttl_ms = 700;
		op.flags = way == 2 ? KCACHE_TOUCH : way >= 3 ? KCACHE_INITIAL : 0;
		op.value = op.out = (uintptr_t)out;
		op.out_len = way == 2 ? sizeof(out) : 0;
		op.delta = 99991;	/* outgrows its place */
		op.number = 3;
		EXPECT_EQ(run_op(cache, &op), 0);
		EXPECT(delayed_work_pending(&cache->expire.work));
		EXPECT(audit(cache));
		shim_clock_advance_ms(1000);
		EXPECT_EQ(shim_run_work(), 1);
		EXPECT_EQ(entries(cache), 0);
		stop();
	}
}

KTAP_TEST(an_expiry_that_is_put_off_or_lifted_is_minded)
{
	struct kcache_op op;

	start(MiB);
	EXPECT_EQ(set_ttl(cache, "later", "1", 100), 0);
	EXPECT_EQ(set_ttl(cache, "never", "1", 100), 0);
	EXPECT_EQ(set_ttl(cache, "sooner", "1", 1 << 20), 0);
	op = op_on(KCACHE_OP_TOUCH, "later");
	op.ttl_ms = 5000;
	EXPECT_EQ(run_op(cache, &op), 0);
	op = op_on(KCACHE_OP_TOUCH, "never");
	EXPECT_EQ(run_op(cache, &op), 0);
	op = op_on(KCACHE_OP_TOUCH, "sooner");
	op.ttl_ms = 50;
	EXPECT_EQ(run_op(cache, &op), 0);
	shim_clock_advance_ms(1000);
	kc_expire_pass(&cache->expire);
	EXPECT(has(cache, "later", "1") && has(cache, "never", "1"));
	EXPECT_EQ(entries(cache), 2);
	shim_clock_advance_ms(4000);
	kc_expire_pass(&cache->expire);
	EXPECT(has(cache, "never", "1"));
	EXPECT_EQ(entries(cache), 1);
	stop();
}

/* The mutex is let go between two segments: then another may do what it likes. */
static void flush_between(void *arg)
{
	if (!mutex_is_locked(&cache->evict.mutex))
		EXPECT_EQ(kc_cache_flush(cache), 0);
}

KTAP_TEST(segments_may_be_freed_between_two_steps_of_a_pass)
{
	int i;

	start(MiB);
	for (i = 0; i < 8; i++) {
		store(10 * i, 10 * i + 5, 100);
		store(10 * i + 5, 10 * i + 10, 0);
		seal();
	}
	shim_clock_advance_ms(100);
	shim_hook_always(SHIM_AT_RESCHED, flush_between, NULL);
	kc_expire_pass(&cache->expire);
	shim_unhook();
	EXPECT_EQ(entries(cache), 0);
	EXPECT(audit(cache));
	stop();
}

static void pass_between(void *arg)
{
	if (!mutex_is_locked(&cache->evict.mutex))
		kc_expire_pass(&cache->expire);
}

KTAP_TEST(a_flush_takes_out_what_a_pass_moves_meanwhile)
{
	int i;

	start(MiB);
	for (i = 0; i < 8; i++) {
		store(10 * i, 10 * i + 9, 100);
		store(10 * i + 9, 10 * i + 10, 0);
		seal();
	}
	shim_clock_advance_ms(100);
	shim_hook_always(SHIM_AT_RESCHED, pass_between, NULL);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT(shim_hook_calls(SHIM_AT_RESCHED) > 0);
	shim_unhook();
	EXPECT_EQ(entries(cache), 0);
	stop();
}

static void touch_k5(void *arg)
{
	struct kcache_op op = op_on(KCACHE_OP_TOUCH, "k5");

	op.ttl_ms = 1000;
	EXPECT_EQ(run_op(cache, &op), 0);
}

/* At each place where the pass takes a stripe: the new expiry is kept and known. */
KTAP_TEST(a_touch_during_a_pass_is_not_lost)
{
	u64 nth;

	for (nth = 1; nth <= 12; nth++) {
		start(MiB);
		store(0, 5, 100);
		store(5, 10, 1 << 20);
		seal();
		shim_clock_advance_ms(100);
		shim_hook(SHIM_AT_LOCK, nth, touch_k5, NULL);
		kc_expire_pass(&cache->expire);
		EXPECT_EQ(shim_hook_calls(SHIM_AT_LOCK), nth <= 10);
		shim_unhook();
		EXPECT_EQ(entries(cache), 5);
		EXPECT(audit(cache));
		shim_clock_advance_ms(1000);
		kc_expire_pass(&cache->expire);
		EXPECT_EQ(entries(cache), 4 + (nth > 10));
		stop();
	}
}

KTAP_MAIN
