// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/sizes.h>

#include "cache.h"
#include "space.h"

/* Buckets that one operation splits at the most, and the worker under one hold. */
#define SPLITS_MAX	8
#define SPLITS_WORKER	64

/* SETs may be faster to take what was freed for the table. */
#define GIVE_BACK_TRIES	4

/* Of so many mapped readers' hints note is taken before a segment is retired. */
#define HINT_PAGES	8

/* The worker keeps so many segments free, or one of so many parts of the memory. */
#define AHEAD_MAX	4
#define AHEAD_PART	64

/* SETs that evict by themselves do so for so many entries or bytes at a time. */
#define STEP_ENTRIES	64
#define STEP_BYTES	SZ_32K

/* If its CPU is wanted by others, the worker is not woken for so many segments. */
#define BUSY_TURNS	16

static u64 nr_ahead(struct kc_cache *cache)
{
	return min_t(u64, AHEAD_MAX, READ_ONCE(cache->arena.max_bytes) /
		     AHEAD_PART >> cache->arena.chunk_shift);
}

static u64 nr_free(struct kc_cache *cache)
{
	u64 nr;

	mutex_lock(&cache->arena.mutex);
	kc_log_collect_locked(&cache->log);
	nr = kc_log_nr_free_locked(&cache->log);
	mutex_unlock(&cache->arena.mutex);
	return nr;
}

/* Sees to it that there is a segment for an entry. */
static int make_room(struct kc_cache *cache)
{
	int err = 0;

	kc_hints_take_some(&cache->hints, HINT_PAGES);
	if (fatal_signal_pending(current) || mutex_lock_killable(&cache->evict.mutex))
		return -EINTR;
	/* Another may have done it while we waited. */
	if (nr_free(cache) <= KC_LOG_RESERVE)
		err = kc_evict_one_locked(&cache->evict);
	mutex_unlock(&cache->evict.mutex);
	kc_space_wake(cache);
	return err;
}

/* Is there less than there would be if the worker had come? */
static bool is_low_locked(struct kc_cache *cache)
{
	u64 ahead = nr_ahead(cache);

	kc_log_collect_locked(&cache->log);
	return ahead && kc_log_nr_free_locked(&cache->log) <= KC_LOG_RESERVE + ahead / 2;
}

/* Frees about what a SET took. A new segment has come: another will have to be retired. */
static void free_as_much(struct kc_cache *cache, u32 bytes, bool is_new)
{
	if (is_new)
		kc_hints_take_some(&cache->hints, HINT_PAGES);
	if (!fatal_signal_pending(current))
		kc_evict_as_much(&cache->evict, bytes);
	if (READ_ONCE(cache->log.nr_zombies))
		kc_space_wake(cache);	/* a run has gone; who gives it back waits for readers */
}

/* What SETs of @size take and free at a time. */
static u32 step_bytes(u32 size)
{
	return max(size, min_t(u32, STEP_ENTRIES * size, STEP_BYTES));
}

/**
 * kc_space_refill() - give this CPU's lane room for an entry
 * @cache: which
 * @size: as for kc_log_reserve_rcu()
 * @whole: as for kc_log_reserve_rcu()
 *
 * As long as the worker does not come, the lane gets a part of its segment at a time, and
 * the caller frees as much, so that no SET has to free a segment.
 *
 * Context: Process context, holds nothing.
 * Return: 0, -ENOSPC if nothing can be evicted, -EINTR.
 */
int kc_space_refill(struct kc_cache *cache, u32 size, u32 whole)
{
	bool was_low, is_new, is_due;
	int err, granted;
	u64 opened;

	do {
		if (mutex_lock_killable(&cache->arena.mutex))
			return -EINTR;
		was_low = is_low_locked(cache);
		opened = cache->log.opened;
		granted = kc_log_refill_locked(&cache->log, size, whole, was_low ?
					       step_bytes(size) : kc_chunk_size(&cache->arena));
		is_new = cache->log.opened != opened;
		is_due = is_new && opened >= cache->wake_at && is_low_locked(cache);
		mutex_unlock(&cache->arena.mutex);
		if (is_due)
			kc_space_wake(cache);
		if (granted >= 0) {
			if (was_low)
				free_as_much(cache, granted, is_new);
			return 0;
		}
		err = make_room(cache);
	} while (!err);
	return err;
}

/* Drops and reaps memory in which nothing lives, but for the reserve. False if there was none. */
static bool give_back_free(struct kc_cache *cache)
{
	mutex_lock(&cache->arena.mutex);
	kc_log_collect_locked(&cache->log);
	while (kc_log_drop_pool_locked(&cache->log, KC_LOG_RESERVE))
		;
	mutex_unlock(&cache->arena.mutex);
	return kc_log_reap(&cache->log);
}

static int open_run(struct kc_cache *cache, u32 size, struct kc_room *room)
{
	int err;

	if (mutex_lock_killable(&cache->arena.mutex))
		return -EINTR;
	err = kc_log_open_run_locked(&cache->log, size, room);
	mutex_unlock(&cache->arena.mutex);
	return err;
}

/* Evicts as much as a run takes beyond what is free. */
static int make_room_for_run(struct kc_cache *cache, u32 nr_chunks)
{
	int err = 0;
	u32 i;

	if (mutex_lock_killable(&cache->evict.mutex))
		return -EINTR;
	for (i = 0; i < nr_chunks && !err; i++) {
		if (i && nr_free(cache) >= nr_chunks + KC_LOG_RESERVE)
			break;
		err = fatal_signal_pending(current) ? -EINTR :
		      kc_evict_one_locked(&cache->evict);
	}
	mutex_unlock(&cache->evict.mutex);
	return err == -ENOSPC && i > 1 ? 0 : err;
}

/**
 * kc_space_open_run() - room for an entry that is too large for a lane
 * @cache: which
 * @size: of the entry
 * @room: out, see kc_log_open_run_locked()
 *
 * A run needs memory at its own place, so other segments are dropped for it.
 *
 * Context: Process context, holds nothing.
 * Return: 0, -ENOSPC, -EINTR.
 */
int kc_space_open_run(struct kc_cache *cache, u32 size, struct kc_room *room)
{
	u32 nr = DIV_ROUND_UP(size, kc_chunk_size(&cache->arena));
	int err;

	while ((err = open_run(cache, size, room)) == -ENOSPC) {
		if (give_back_free(cache))
			continue;
		err = make_room_for_run(cache, nr);
		if (err)
			break;
		give_back_free(cache);
	}
	return err;
}

static bool drop_one(struct kc_cache *cache, u32 keep)
{
	bool is_dropped;

	mutex_lock(&cache->arena.mutex);
	kc_log_collect_locked(&cache->log);
	is_dropped = kc_log_drop_pool_locked(&cache->log, keep);
	mutex_unlock(&cache->arena.mutex);
	return is_dropped;
}

/* Gives the memory of a segment back, so that something else can have it. */
static int give_back_one(struct kc_cache *cache)
{
	bool is_dropped;
	int i, err = 0;

	if (mutex_lock_killable(&cache->evict.mutex))
		return -EINTR;
	is_dropped = drop_one(cache, KC_LOG_RESERVE);
	for (i = 0; i < GIVE_BACK_TRIES && !is_dropped && !err; i++) {
		err = kc_evict_one_locked(&cache->evict);
		is_dropped = drop_one(cache, err ? 0 : KC_LOG_RESERVE);
	}
	mutex_unlock(&cache->evict.mutex);
	kc_log_reap(&cache->log);
	return is_dropped ? 0 : err;
}

/**
 * kc_space_grow_overflow() - make sure that there are free overflow buckets
 * @cache: which
 *
 * Context: Process context, holds nothing.
 * Return: 0, -ENOSPC, -EINTR.
 */
int kc_space_grow_overflow(struct kc_cache *cache)
{
	int err;

	do {
		if (mutex_lock_killable(&cache->arena.mutex))
			return -EINTR;
		err = kc_table_grow_overflow_locked(&cache->table);
		mutex_unlock(&cache->arena.mutex);
		if (err != -ENOSPC)
			return err;
		err = fatal_signal_pending(current) ? -EINTR : give_back_one(cache);
	} while (!err);
	return err;
}

static int split_locked(struct kc_cache *cache, int nr)
{
	int err = 0;

	while (nr-- && !err && kc_table_wants_split(&cache->table))
		err = kc_table_split_locked(&cache->table);
	return err;
}

/**
 * kc_space_grow_table() - let the table follow the number of entries
 * @cache: which
 *
 * If another is at it, or there is no memory, chains get longer instead, and the
 * worker or a later operation comes here again.
 *
 * Context: Process context, holds nothing.
 */
void kc_space_grow_table(struct kc_cache *cache)
{
	int err;

	if (!mutex_trylock(&cache->arena.mutex))
		return;
	err = split_locked(cache, SPLITS_MAX);
	mutex_unlock(&cache->arena.mutex);
	if (err)
		kc_space_wake(cache);
}

/**
 * kc_space_shrink_table() - let the table follow when entries have left
 * @cache: which
 *
 * Context: Process context, holds evict->mutex. May wait for a grace period.
 */
void kc_space_shrink_table(struct kc_cache *cache)
{
	struct kc_table *table = &cache->table;
	int i, err = 0;

	lockdep_assert_held(&cache->evict.mutex);
	while (!err && kc_table_wants_merge(table)) {
		mutex_lock(&cache->arena.mutex);
		for (i = 0; i < SPLITS_WORKER && !err && kc_table_wants_merge(table); i++) {
			err = kc_table_merge_locked(table);
			if (err == -ENOSPC)
				err = kc_table_grow_overflow_locked(table);
		}
		mutex_unlock(&cache->arena.mutex);
		cond_resched();
	}
	kc_table_trim(table);
}

/* -------- the worker -------- */

/**
 * kc_space_wake() - let the worker look what there is to do
 * @cache: which
 *
 * Context: Any.
 */
void kc_space_wake(struct kc_cache *cache)
{
	queue_work(system_unbound_wq, &cache->work);
}

static void follow_table(struct kc_cache *cache)
{
	int err = 0;

	while (!err && kc_table_wants_split(&cache->table)) {
		mutex_lock(&cache->arena.mutex);
		err = split_locked(cache, SPLITS_WORKER);
		mutex_unlock(&cache->arena.mutex);
		if (err)
			err = give_back_one(cache);
		cond_resched();
	}
	mutex_lock(&cache->evict.mutex);
	if (kc_table_wants_merge(&cache->table))
		kc_space_shrink_table(cache);
	mutex_unlock(&cache->evict.mutex);
}

/* Makes a ghost set, or one of another size, once something had to be evicted. */
static void follow_ghost(struct kc_cache *cache)
{
	struct kc_evict *evict = &cache->evict;
	u64 entries = percpu_counter_sum_positive(&cache->table.nr_entries);
	s64 nr = kc_ghost_bytes(entries) >> cache->arena.chunk_shift;
	int err;

	mutex_lock(&evict->mutex);
	if (evict->is_needed && !kc_ghost_fits(&evict->ghost, entries)) {
		err = kc_ghost_make(&evict->ghost, entries);
		for (; err && nr >= 0; nr--) {
			if (kc_evict_one_locked(evict))
				break;
			give_back_free(cache);
			err = kc_ghost_make(&evict->ghost, entries);
		}
	}
	mutex_unlock(&evict->mutex);
}

/* Do others want this CPU? To take turns with SETs costs more than they save by it. */
static bool is_cpu_wanted(struct kc_cache *cache)
{
	bool is_wanted = !single_task_running();

	mutex_lock(&cache->arena.mutex);
	cache->wake_at = is_wanted ? cache->log.opened + BUSY_TURNS : 0;
	mutex_unlock(&cache->arena.mutex);
	return is_wanted;
}

static void stay_ahead(struct kc_cache *cache)
{
	int err = 0;

	while (!err && !is_cpu_wanted(cache)) {
		err = -EALREADY;
		kc_hints_take_some(&cache->hints, HINT_PAGES);
		mutex_lock(&cache->evict.mutex);
		if (nr_free(cache) < KC_LOG_RESERVE + nr_ahead(cache))
			err = kc_evict_one_locked(&cache->evict);
		mutex_unlock(&cache->evict.mutex);
		cond_resched();
	}
}

/**
 * kc_space_work() - have memory ready before it is asked for
 * @work: of the cache
 *
 * Context: Process context, holds nothing.
 */
void kc_space_work(struct work_struct *work)
{
	struct kc_cache *cache = container_of(work, struct kc_cache, work);

	kc_log_reap(&cache->log);
	follow_table(cache);
	follow_ghost(cache);
	stay_ahead(cache);
}
