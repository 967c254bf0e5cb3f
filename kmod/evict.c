// SPDX-License-Identifier: GPL-2.0
#include <linux/sched.h>

#include "evict.h"

/**
 * kc_evict_retire_locked() - unlink all that lives in a segment
 * @evict: of the cache
 * @segment: sealed
 * @why: what to count an entry as whose time was not up
 *
 * The segment is wholly dead then, and so in the queue of
 * kc_evict_pool_dead_locked().
 *
 * Context: Process context, holds arena->mutex.
 */
void kc_evict_retire_locked(struct kc_evict *evict, struct kc_segment *segment,
			    enum kc_counter why)
{
	struct kcache_entry *entry;
	struct kc_found found;
	u32 position = 0;
	u64 offset;

	kc_log_wait_readable(segment);
	while ((entry = kc_log_walk(evict->log, segment, &position, &offset))) {
		u64 hash = kc_table_hash_entry(evict->table, entry);

		rcu_read_lock();
		kc_table_lock(evict->table, hash);
		if (kc_table_find_offset_locked(evict->table, hash, offset, &found)) {
			this_cpu_inc(evict->stats->count[kc_entry_is_expired(entry) ?
							 KC_STAT_expirations : why]);
			kc_evict_unlink_rcu(evict, hash, &found);
		}
		kc_table_unlock(evict->table, hash);
		rcu_read_unlock();
		cond_resched();
	}
}

/**
 * kc_evict_pool_dead_locked() - collect the segments in which nothing lives
 * @evict: of the cache
 *
 * Context: Process context, holds arena->mutex.
 * Return: how many there were. Their memory is in the pool of the log, or, if
 * they were runs, waits to be reaped.
 */
u32 kc_evict_pool_dead_locked(struct kc_evict *evict)
{
	struct kc_segment *segment;
	u32 nr = 0;

	while ((segment = kc_log_next_dead_locked(evict->log))) {
		kc_log_wait_readable(segment);
		kc_log_pool_locked(evict->log, segment);
		nr++;
	}
	return nr;
}

/**
 * kc_evict_one_locked() - make room by at least one segment
 * @evict: of the cache
 *
 * Context: Process context, holds arena->mutex.
 * Return: 0, or -ENOSPC if the log is empty.
 */
int kc_evict_one_locked(struct kc_evict *evict)
{
	struct kc_segment *segment;

	if (kc_evict_pool_dead_locked(evict))
		return 0;
	segment = kc_log_oldest_locked(evict->log);
	if (!segment) {
		kc_log_seal_lanes_locked(evict->log);
		segment = kc_log_oldest_locked(evict->log);
	}
	if (!segment)
		return -ENOSPC;
	kc_evict_retire_locked(evict, segment, KC_STAT_evictions);
	return kc_evict_pool_dead_locked(evict) ? 0 : -ENOSPC;
}

/*
 * Copies an entry to the newest segment, metadata and all. False if there is no
 * room there. An entry that changes meanwhile is left where it is.
 */
static bool move_entry(struct kc_evict *evict, struct kcache_entry *entry, u64 offset)
{
	struct kc_table *table = evict->table;
	struct kc_log *log = evict->log;
	u64 hash = kc_table_hash_entry(table, entry);
	struct kc_found found;
	struct kc_room room;
	bool is_moved = false;
	u32 size;

	rcu_read_lock();
	kc_table_lock(table, hash);
	if (!kc_table_find_offset_locked(table, hash, offset, &found)) {
		kc_table_unlock(table, hash);
		rcu_read_unlock();
		return true;
	}
	size = kc_entry_size(entry);
	kc_table_unlock(table, hash);

	if (!kc_log_reserve_rcu(log, size, kcache_entry_value_offset(entry->key_len), &room)) {
		rcu_read_unlock();
		return false;
	}
	kc_arena_move(log->arena, room.offset, offset, size);
	kc_table_lock(table, hash);
	if (kc_found_is_valid(&found)) {
		kc_log_note_expiry_rcu(log, room.offset, kc_entry_expiry_ms(entry));
		kc_table_replace_locked(table, hash, &found, room.offset);
		kc_log_kill_rcu(log, offset, size);
		kc_stats_inc(evict->stats, moves);
		is_moved = true;
	}
	kc_table_unlock(table, hash);
	if (is_moved)
		kc_log_commit(log, &room);
	else
		kc_log_abandon(log, &room);
	rcu_read_unlock();
	return true;
}

/**
 * kc_evict_compact_locked() - move what lives in a segment to the newest one
 * @evict: of the cache
 * @segment: sealed, not a run
 *
 * Does nothing while a flush is under way: an entry that was there when the flush
 * began must not get ahead of it.
 *
 * Context: Process context, holds arena->mutex.
 * Return: false if there was no room to go on. What was not moved stays.
 */
bool kc_evict_compact_locked(struct kc_evict *evict, struct kc_segment *segment)
{
	u32 position = 0, before = 0;
	struct kcache_entry *entry;
	u64 offset;

	if (evict->nr_flushes)
		return false;
	kc_log_wait_readable(segment);
	while ((entry = kc_log_walk(evict->log, segment, &position, &offset))) {
		if (move_entry(evict, entry, offset)) {
			before = position;
			cond_resched();
			continue;
		}
		position = before;
		if (kc_log_refill_locked(evict->log, kc_entry_size(entry),
					 kcache_entry_value_offset(entry->key_len)))
			return false;
	}
	return true;
}
