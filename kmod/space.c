// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/sched/signal.h>

#include "cache.h"
#include "space.h"

/* Buckets that one operation splits at the most. */
#define SPLITS_MAX	8

static int make_room_locked(struct kc_cache *cache)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	return kc_evict_one_locked(&cache->evict);
}

/**
 * kc_space_refill() - give this CPU's lane room for an entry
 * @cache: which
 * @size: as for kc_log_reserve_rcu()
 * @whole: as for kc_log_reserve_rcu()
 *
 * Context: Process context, holds nothing.
 * Return: 0, -ENOSPC if nothing can be evicted, -EINTR.
 */
int kc_space_refill(struct kc_cache *cache, u32 size, u32 whole)
{
	int err;

	if (mutex_lock_killable(&cache->arena.mutex))
		return -EINTR;
	while ((err = kc_log_refill_locked(&cache->log, size, whole)) == -ENOSPC) {
		err = make_room_locked(cache);
		if (err)
			break;
	}
	mutex_unlock(&cache->arena.mutex);
	return err;
}

/* Drops all memory in which nothing lives. False if there was none. */
static bool drop_free_locked(struct kc_cache *cache)
{
	bool is_any = kc_evict_pool_dead_locked(&cache->evict);

	while (kc_log_drop_pool_locked(&cache->log))
		is_any = true;
	return is_any;
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
	u32 nr = DIV_ROUND_UP(size, kc_chunk_size(&cache->arena)), i;
	int err;

	if (mutex_lock_killable(&cache->arena.mutex))
		return -EINTR;
	while ((err = kc_log_open_run_locked(&cache->log, size, room)) == -ENOSPC) {
		if (drop_free_locked(cache))
			continue;
		for (i = 0; i < nr && !(err = make_room_locked(cache)); i++)
			;
		if (!i)
			break;
		drop_free_locked(cache);
	}
	mutex_unlock(&cache->arena.mutex);
	return err;
}

/* Gives the memory of a segment back, so that the table can have it. */
static int give_back_one_locked(struct kc_cache *cache)
{
	int err = kc_log_drop_pool_locked(&cache->log) ? 0 : make_room_locked(cache);

	kc_log_drop_pool_locked(&cache->log);
	kc_log_reap_locked(&cache->log);
	return err;
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

	if (mutex_lock_killable(&cache->arena.mutex))
		return -EINTR;
	while ((err = kc_table_grow_overflow_locked(&cache->table)) == -ENOSPC) {
		err = give_back_one_locked(cache);
		if (err)
			break;
	}
	mutex_unlock(&cache->arena.mutex);
	return err;
}

/**
 * kc_space_grow_table() - let the table follow the number of entries
 * @cache: which
 *
 * If another is at it, or there is no memory, chains get longer instead, and a
 * later operation comes here again.
 *
 * Context: Process context, holds nothing.
 */
void kc_space_grow_table(struct kc_cache *cache)
{
	int i;

	if (!mutex_trylock(&cache->arena.mutex))
		return;
	for (i = 0; i < SPLITS_MAX && kc_table_wants_split(&cache->table); i++)
		if (kc_table_split_locked(&cache->table) && give_back_one_locked(cache))
			break;
	mutex_unlock(&cache->arena.mutex);
}

/**
 * kc_space_shrink_table_locked() - let the table follow when entries have left
 * @cache: which
 *
 * Context: Process context, holds arena->mutex.
 */
void kc_space_shrink_table_locked(struct kc_cache *cache)
{
	struct kc_table *table = &cache->table;

	while (kc_table_wants_merge(table)) {
		if (kc_table_merge_locked(table) && kc_table_grow_overflow_locked(table))
			break;
		cond_resched();
	}
	kc_table_trim_locked(table);
}
