// SPDX-License-Identifier: GPL-2.0
#include <linux/minmax.h>
#include <linux/prefetch.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "compat.h"
#include "evict.h"

/* The small queue may hold one of so many parts of the memory. */
#define SMALL_PART	10

/* More uses than an entry can have: it goes in any case. */
#define USES_NEVER	(KCACHE_FREQUENCY_MAX + 1)

/* After so many segments, or bytes, of which all was kept, one goes whatever it holds. */
#define FRUITLESS_MAX	16
#define FRUITLESS_BYTES	SZ_512K

/* A SET looks at the most at so many times the bytes that it takes, to free as many. */
#define CATCH_UP	4

/* An entry that changes each time that it is looked at is not looked at more often. */
#define MOVE_TRIES	3

/**
 * kc_evict_init() - nothing to evict yet
 * @evict: to set up
 * @table: of the cache
 * @log: of the cache
 * @stats: of the cache
 */
void kc_evict_init(struct kc_evict *evict, struct kc_table *table, struct kc_log *log,
		   struct kc_stats __percpu *stats)
{
	*evict = (struct kc_evict) {
		.table = table,
		.log = log,
		.stats = stats,
		.promote_after = 1,
	};
	mutex_init(&evict->mutex);
	kc_ghost_init(&evict->ghost, log->arena, &evict->mutex);
}

/* Nobody uses the cache any more. */
void kc_evict_exit(struct kc_evict *evict)
{
	mutex_lock(&evict->mutex);
	kc_ghost_drop(&evict->ghost);
	mutex_unlock(&evict->mutex);
	mutex_destroy(&evict->mutex);
}

/* -------- a walk through a segment -------- */

/**
 * struct passage - an entry of a segment that is walked
 * @entry: may be dead
 * @offset: of it
 * @hash: of its key
 * @home: where its chain begins, as long as the table does not grow or shrink, in the RCU
 *	read section in which it was looked for
 * @size: bytes that it takes
 */
struct passage {
	struct kcache_entry *entry;
	u64 offset;
	u64 hash;
	struct kcache_bucket *home;
	u32 size;
};

/* A walk looks so many entries ahead, so that their buckets come into the cache together. */
#define WALK_AHEAD	8

/**
 * struct walk - a walk through a segment
 * @segment: held, readable
 * @keep: uses that let an entry stay; one with fewer is unlinked as the walk comes by. 0:
 *	nothing is
 * @why: what an entry that goes is counted as, unless its time was up
 * @until: position at which it stops
 * @cursor: at what comes behind those below
 * @table_size: when those below were looked for
 * @at: the next of them
 * @nr: number of them
 * @ahead: what comes next
 */
struct walk {
	struct kc_segment *segment;
	u32 keep;
	enum kc_counter why;
	u64 until;
	struct kc_log_cursor cursor;
	u64 table_size;
	u32 at;
	u32 nr;
	struct passage ahead[WALK_AHEAD];
};

static void walk_begin(struct walk *walk, struct kc_segment *segment, u32 keep,
		       enum kc_counter why)
{
	walk->segment = segment;
	walk->keep = keep;
	walk->why = why;
	walk->until = U64_MAX;
	walk->cursor = (struct kc_log_cursor) { 0 };
	walk->at = 0;
	walk->nr = 0;
}

/* This and drop_ahead_rcu() are out of line: in one function they run out of registers. */
static noinline void look_ahead_rcu(struct kc_evict *evict, struct walk *walk)
{
	struct kc_table *table = evict->table;
	/* Pairs with the release in a split: the bucket is there. */
	u64 table_size = smp_load_acquire(table->size);
	struct kc_segment *segment = walk->segment;
	struct kc_log_cursor cursor = walk->cursor;
	struct kcache_bucket *home;
	struct kcache_entry *entry;
	struct passage *passage;
	u64 offset, hash;

	for (passage = walk->ahead; passage < walk->ahead + WALK_AHEAD; passage++) {
		entry = kc_log_walk_rcu(evict->log, segment, &cursor, &offset);
		if (!entry)
			break;
		hash = kc_table_hash_entry(table, entry);
		home = kc_home_bucket(table, kcache_bucket_at(hash, table_size));
		prefetchw(home);
		*passage = (struct passage) {
			.entry = entry,
			.offset = offset,
			.hash = hash,
			.home = home,
			.size = cursor.start + cursor.position - offset,
		};
	}
	walk->nr = passage - walk->ahead;
	walk->cursor = cursor;
	walk->table_size = table_size;
}

/**
 * struct gone - what was unlinked
 * @entries: how many, of
 * @expired: that were expired
 * @bytes: that they take
 */
struct gone {
	u32 entries;
	u32 expired;
	u32 bytes;
};

/* Finds the slot of @passage if it lives. Holds the stripe. */
static __always_inline bool find_passage(struct kc_table *table, const struct passage *passage,
					 u64 table_size, struct kcache_found *found)
{
	if (unlikely(READ_ONCE(*table->size) != table_size))
		return kc_table_find_offset_locked(table, passage->hash, passage->offset, found);
	found->home = passage->home;
	return kc_table_find_offset_at_home(table, passage->offset, found);
}

/*
 * Unlinks an entry unless it has @keep uses: then false. Its segment is held, so that
 * the bytes may be counted as dead later. @table_size: at which its home was looked for in
 * this RCU read section, 0: it was not. @ghosts: that remember it, or NULL.
 */
static __always_inline bool unlink_rcu(struct kc_table *table, struct kc_ghost_sets *ghosts,
				       const struct passage *passage, u64 table_size, u32 keep,
				       struct gone *gone)
{
	struct kcache_found found kc_uninitialized;
	bool is_kept = false, is_expired;

	kc_table_lock(table, passage->hash);
	if (find_passage(table, passage, table_size, &found)) {
		is_expired = kc_entry_is_expired(passage->entry);
		is_kept = !is_expired && kc_slot_frequency(found.value) >= keep;
		if (!is_kept) {
			kc_table_remove_uncounted_locked(table, passage->hash, &found);
			gone->bytes += passage->size;
			gone->entries++;
			if (unlikely(is_expired))
				gone->expired++;
			else if (ghosts)
				kc_ghost_add_rcu(ghosts, passage->hash);
		}
	}
	kc_table_unlock(table, passage->hash);
	return !is_kept;
}

/* What remembers those that are evicted from @segment, NULL: nothing does. */
static struct kc_ghost_sets *ghosts_for_rcu(struct kc_evict *evict,
					    const struct kc_segment *segment, enum kc_counter why)
{
	lockdep_assert_held(&evict->mutex);
	return why == KC_STAT_evictions && segment->queue == KC_SMALL ?
	       rcu_dereference(evict->ghost.sets) : NULL;
}

static void account(struct kc_evict *evict, struct kc_segment *segment, enum kc_counter why,
		    const struct gone *gone)
{
	if (!gone->entries)
		return;
	kc_table_removed(evict->table, gone->entries);
	kc_log_lower_live(evict->log, segment, gone->bytes);
	this_cpu_add(evict->stats->count[why], gone->entries - gone->expired);
	kc_stats_add(evict->stats, expirations, gone->expired);
}

/* One entry by itself: true if it has gone. */
static bool drop_entry(struct kc_evict *evict, struct kc_segment *segment,
		       const struct passage *passage, u32 keep)
{
	struct gone gone = { 0 };
	bool is_gone;

	rcu_read_lock();
	is_gone = unlink_rcu(evict->table, ghosts_for_rcu(evict, segment, KC_STAT_evictions),
			     passage, 0, keep, &gone);
	account(evict, segment, KC_STAT_evictions, &gone);
	rcu_read_unlock();
	return is_gone;
}

/* Lets those ahead go that have not earned to stay. */
static noinline void drop_ahead_rcu(struct kc_evict *evict, struct walk *walk)
{
	struct kc_ghost_sets *ghosts = ghosts_for_rcu(evict, walk->segment, walk->why);
	struct passage *passage, *kept = walk->ahead, *end = walk->ahead + walk->nr;
	struct kc_table *table = evict->table;
	u64 table_size = walk->table_size;
	struct gone gone = { 0 };
	u32 keep = walk->keep;

	for (passage = walk->ahead; passage < end; passage++)
		if (!unlink_rcu(table, ghosts, passage, table_size, keep, &gone))
			*kept++ = *passage;
	walk->nr = kept - walk->ahead;
	account(evict, walk->segment, walk->why, &gone);
}

/* Looks ahead, and lets what is to go do so at once. False at the end. */
static bool go_ahead(struct kc_evict *evict, struct walk *walk)
{
	u32 nr;

	rcu_read_lock();
	look_ahead_rcu(evict, walk);
	nr = walk->nr;
	if (walk->keep)
		drop_ahead_rcu(evict, walk);
	rcu_read_unlock();
	walk->at = 0;
	return nr;
}

/* The next entry that has not gone, NULL at the end. */
static const struct passage *walk_next(struct kc_evict *evict, struct walk *walk)
{
	while (walk->at == walk->nr) {
		if (walk->cursor.position >= walk->until || !go_ahead(evict, walk))
			return NULL;
		cond_resched();
	}
	return &walk->ahead[walk->at++];
}

/* -------- one entry -------- */

enum move_result {
	MOVED,		/* or it was dead */
	CHANGED,	/* meanwhile, or something near it in the table */
	NO_ROOM,
};

static u32 less_use(const struct kcache_found *found, u32 cost)
{
	u32 frequency = kc_found_frequency(found);

	return frequency > cost ? frequency - cost : 0;
}

/* Copies an entry to the lane of queue @to, all but @cost of its uses. */
static enum move_result copy_entry(struct kc_evict *evict, const struct passage *passage,
				   enum kc_queue to, u32 cost)
{
	u32 whole = kcache_entry_value_offset(passage->entry->key_len), size;
	struct kc_table *table = evict->table;
	struct kc_log *log = evict->log;
	struct kcache_found found;
	struct kc_room room;
	bool is_there;

	rcu_read_lock();
	kc_table_lock(table, passage->hash);
	is_there = kc_table_find_offset_locked(table, passage->hash, passage->offset, &found);
	size = kc_entry_size(passage->entry);
	kc_table_unlock(table, passage->hash);
	if (!is_there) {
		rcu_read_unlock();
		return MOVED;
	}
	if (!(to == KC_MAIN ? kc_log_reserve_main_rcu(log, size, whole, &room) :
			      kc_log_reserve_rcu(log, size, whole, &room))) {
		rcu_read_unlock();
		return NO_ROOM;
	}
	kc_arena_move(log->arena, room.offset, passage->offset, size);
	kc_table_lock(table, passage->hash);
	is_there = kcache_found_is_valid(&found);
	if (is_there) {
		kc_log_note_expiry_rcu(log, room.offset, kc_entry_expiry_ms(passage->entry));
		kc_table_replace_locked(table, passage->hash, &found, room.offset,
					less_use(&found, cost));
		kc_log_kill_rcu(log, passage->offset, size);
		kc_log_commit(log, &room);
	}
	kc_table_unlock(table, passage->hash);
	if (!is_there)
		kc_log_abandon(log, &room);
	rcu_read_unlock();
	if (!is_there)
		return CHANGED;
	kc_stats_inc(evict->stats, moves);
	kc_stats_add(evict->stats, moved_bytes, size);
	return MOVED;
}

/* As copy_entry(), and finds room if there is any. */
static enum move_result move_entry(struct kc_evict *evict, const struct passage *passage,
				   enum kc_queue to, u32 cost)
{
	struct mutex *mutex = &evict->log->arena->mutex;
	enum move_result result;
	u32 size, whole;
	int err;

	while ((result = copy_entry(evict, passage, to, cost)) == NO_ROOM) {
		size = kc_entry_size(passage->entry);
		whole = kcache_entry_value_offset(passage->entry->key_len);
		mutex_lock(mutex);
		err = kc_log_refill_to_move_locked(evict->log, to, size, whole);
		mutex_unlock(mutex);
		if (err < 0)
			break;
	}
	return result;
}

/* Moves an entry to main, as long as it has @keep uses; else it goes. True if it has moved. */
static bool move_or_drop(struct kc_evict *evict, struct kc_segment *segment,
			 const struct passage *passage, u32 keep, u32 cost)
{
	enum move_result result;
	int tries = 0;

	do {
		result = move_entry(evict, passage, KC_MAIN, cost);
		if (result == CHANGED && drop_entry(evict, segment, passage, keep))
			return false;
	} while (result == CHANGED && ++tries < MOVE_TRIES);
	if (result == MOVED)
		return true;
	drop_entry(evict, segment, passage, USES_NEVER);
	return false;
}

/* -------- one segment -------- */

/**
 * kc_evict_drop_locked() - unlink all that lives in a segment
 * @evict: of the cache
 * @segment: sealed, held
 * @why: what to count an entry as whose time was not up
 *
 * Context: Process context, holds evict->mutex.
 */
void kc_evict_drop_locked(struct kc_evict *evict, struct kc_segment *segment,
			  enum kc_counter why)
{
	struct walk walk;

	lockdep_assert_held(&evict->mutex);
	kc_log_wait_readable(segment);
	walk_begin(&walk, segment, USES_NEVER, why);
	walk_next(evict, &walk);	/* it stops at what stays, and nothing does */
}

/* Keeps a run where it is and makes it the newest of main. False if it is to go. */
static bool keep_run(struct kc_evict *evict, struct kc_segment *segment, u32 keep, u32 cost)
{
	const struct passage *passage;
	struct kcache_found found;
	bool is_kept = false;
	struct walk walk;

	walk_begin(&walk, segment, 0, KC_STAT_evictions);
	passage = walk_next(evict, &walk);
	if (!passage)
		return false;
	rcu_read_lock();
	kc_table_lock(evict->table, passage->hash);
	if (kc_table_find_offset_locked(evict->table, passage->hash, passage->offset, &found)) {
		is_kept = !kc_entry_is_expired(passage->entry) &&
			  kc_found_frequency(&found) >= keep;
		if (is_kept)
			kc_table_set_frequency_locked(evict->table, passage->hash, &found,
						      less_use(&found, cost));
	}
	kc_table_unlock(evict->table, passage->hash);
	rcu_read_unlock();
	return is_kept;
}

/*
 * Moves the entries that have earned it to the newest end of main; the others go. Begins
 * where the last call ended, and goes on for about @bytes. Returns how many of these are free.
 */
static u64 retire(struct kc_evict *evict, struct kc_segment *segment, u64 bytes)
{
	bool is_small = segment->queue == KC_SMALL;
	u32 keep = is_small ? READ_ONCE(evict->promote_after) : 1;
	u32 cost = is_small ? KCACHE_FREQUENCY_MAX : 1;
	const struct passage *passage;
	u64 freed, moved = 0;
	struct walk walk;

	kc_log_wait_readable(segment);
	if (kc_segment_is_run(segment)) {
		if (keep_run(evict, segment, keep, cost)) {
			mutex_lock(&evict->log->arena->mutex);
			kc_log_requeue_locked(evict->log, segment);
			mutex_unlock(&evict->log->arena->mutex);
			if (is_small)
				kc_stats_inc(evict->stats, promotions);
			return 0;
		}
		keep = USES_NEVER;	/* if it is used just now: no lane has room for it */
	}
	walk_begin(&walk, segment, keep, KC_STAT_evictions);
	walk.cursor.position = segment->retired;
	walk.until = segment->retired + bytes;
	while ((passage = walk_next(evict, &walk))) {
		if (move_or_drop(evict, segment, passage, keep, cost)) {
			moved += passage->size;
			if (is_small)
				kc_stats_inc(evict->stats, promotions);
		}
		cond_resched();
	}
	freed = walk.cursor.position - segment->retired - moved;
	segment->retired = walk.cursor.position;
	return freed;
}

/**
 * kc_evict_compact_locked() - move what lives in a segment to the newest of its queue
 * @evict: of the cache
 * @segment: sealed, held, not a run
 *
 * Does nothing while a flush is under way: an entry that was there when the flush
 * began must not get ahead of it.
 *
 * Context: Process context, holds evict->mutex.
 * Return: false if there was no room to go on. What was not moved stays.
 */
bool kc_evict_compact_locked(struct kc_evict *evict, struct kc_segment *segment)
{
	const struct passage *passage;
	struct walk walk;

	lockdep_assert_held(&evict->mutex);
	if (evict->nr_flushes)
		return false;
	kc_log_wait_readable(segment);
	walk_begin(&walk, segment, 0, KC_STAT_evictions);
	while ((passage = walk_next(evict, &walk))) {
		if (move_entry(evict, passage, segment->queue, 0) == NO_ROOM)
			return false;
		cond_resched();
	}
	return true;
}

/* -------- which segment -------- */

static struct kc_segment *coldest_locked(struct kc_log *log)
{
	u64 small = log->nr_chunks[KC_SMALL], all = small + log->nr_chunks[KC_MAIN];
	enum kc_queue queue = small * SMALL_PART > all ? KC_SMALL : KC_MAIN;

	return kc_log_oldest_locked(log, queue) ?: kc_log_oldest_locked(log, !queue);
}

/* The segment to be retired next, held. NULL: there is none. */
static struct kc_segment *hold_coldest_locked(struct kc_log *log)
{
	struct kc_segment *segment;

	for (;;) {
		kc_log_collect_locked(log);
		segment = coldest_locked(log);
		if (!segment) {
			kc_log_seal_lanes_locked(log);
			kc_log_collect_locked(log);
			segment = coldest_locked(log);
		}
		if (!segment || kc_log_hold_locked(segment))
			return segment;
	}
}

/* Moves what lives in a mostly dead segment, if one comes in sight and there is room. */
static bool compact_some(struct kc_evict *evict)
{
	struct kc_log *log = evict->log;
	struct kc_segment *segment;
	bool is_whole;

	mutex_lock(&log->arena->mutex);
	segment = kc_log_sparse_locked(log);
	if (segment && !kc_log_hold_locked(segment))
		segment = NULL;
	mutex_unlock(&log->arena->mutex);
	if (!segment)
		return false;
	is_whole = kc_evict_compact_locked(evict, segment);
	kc_log_release(log, segment);
	return is_whole;
}

/* It is not what lives in a mostly dead segment that takes the memory: that stays young. */
static bool compact_small(struct kc_evict *evict, struct kc_segment *segment)
{
	return segment->queue == KC_SMALL && kc_segment_is_mostly_dead(segment) &&
	       kc_evict_compact_locked(evict, segment);
}

/* Has there been one more free segment since there were @before? */
static bool has_gained(struct kc_log *log, u64 before)
{
	u64 now;

	mutex_lock(&log->arena->mutex);
	kc_log_collect_locked(log);
	now = kc_log_nr_free_locked(log);
	mutex_unlock(&log->arena->mutex);
	return now > before;
}

/**
 * kc_evict_step_locked() - compact one segment that has much that is dead, or retire the coldest
 * @evict: of the cache
 * @may_keep: whether entries may outlive it; not while a flush is under way
 *
 * Context: Process context, holds evict->mutex.
 * Return: 0, or -ENOSPC if the log is empty.
 */
int kc_evict_step_locked(struct kc_evict *evict, bool may_keep)
{
	struct kc_log *log = evict->log;
	struct kc_segment *segment;

	lockdep_assert_held(&evict->mutex);
	may_keep &= !evict->nr_flushes;
	if (may_keep && compact_some(evict))
		return 0;
	evict->is_needed = true;
	mutex_lock(&log->arena->mutex);
	segment = hold_coldest_locked(log);
	mutex_unlock(&log->arena->mutex);
	if (!segment)
		return -ENOSPC;
	if (!may_keep)
		kc_evict_drop_locked(evict, segment, KC_STAT_evictions);
	else if (!compact_small(evict, segment))
		retire(evict, segment, U32_MAX);
	kc_log_release(log, segment);
	return 0;
}

/* A part of what kc_evict_step_locked() does. What a compaction frees pays for all. */
static void evict_some_locked(struct kc_evict *evict, u32 bytes)
{
	struct kc_log *log = evict->log;
	struct kc_segment *segment;
	bool is_run;

	mutex_lock(&log->arena->mutex);
	segment = coldest_locked(log);
	if (segment && (!kc_log_is_readable(segment) || !kc_log_hold_locked(segment)))
		segment = NULL;
	mutex_unlock(&log->arena->mutex);
	if (!segment)
		return;
	evict->is_needed = true;
	if (!segment->retired && (compact_some(evict) || compact_small(evict, segment)))
		atomic64_set(&evict->owed, 0);
	else if (atomic64_sub_return(retire(evict, segment, bytes), &evict->owed) < 0)
		atomic64_set(&evict->owed, 0);	/* SETs stop when there is enough, not before */
	is_run = kc_segment_is_run(segment);
	kc_log_release(log, segment);
	if (is_run) {
		mutex_lock(&log->arena->mutex);
		kc_log_collect_locked(log);	/* so that its memory can be given back */
		mutex_unlock(&log->arena->mutex);
	}
}

/**
 * kc_evict_as_much() - free about as much as was taken
 * @evict: of the cache
 * @bytes: that the caller took
 *
 * Later calls free what this one does not: another evicts just now, or much of what it
 * looks at stays. The memory is there once all of a segment is free.
 *
 * Context: Process context, holds nothing. Waits neither for who evicts nor for readers.
 */
void kc_evict_as_much(struct kc_evict *evict, u32 bytes)
{
	s64 owed = atomic64_add_return(bytes, &evict->owed);

	if (!owed || !mutex_trylock(&evict->mutex))
		return;
	if (!evict->nr_flushes)
		evict_some_locked(evict, min_t(u64, owed, CATCH_UP * (u64)bytes));
	mutex_unlock(&evict->mutex);
}

/**
 * kc_evict_one_locked() - make room by at least one segment
 * @evict: of the cache
 *
 * Context: Process context, holds evict->mutex. Waits for a grace period if a
 * run has gone.
 * Return: 0, or -ENOSPC if the log is empty.
 */
int kc_evict_one_locked(struct kc_evict *evict)
{
	struct kc_log *log = evict->log;
	u32 i, fruitless = max_t(u32, FRUITLESS_MAX, FRUITLESS_BYTES >> log->arena->chunk_shift);
	u64 before;

	lockdep_assert_held(&evict->mutex);
	atomic64_set(&evict->owed, 0);
	mutex_lock(&log->arena->mutex);
	before = kc_log_nr_free_locked(log);
	mutex_unlock(&log->arena->mutex);
	for (i = 0; i < 2 * fruitless; i++) {
		if (has_gained(log, before) || (kc_log_reap(log) && has_gained(log, before)))
			return 0;
		if (kc_evict_step_locked(evict, i < fruitless))
			return has_gained(log, before) ? 0 : -ENOSPC;
	}
	return 0;	/* others were faster to take what there was */
}

/* As retire(), but takes no more memory for what stays than the main lane has. */
static void retire_in_reclaim(struct kc_evict *evict, struct kc_segment *segment)
{
	bool is_small = segment->queue == KC_SMALL;
	u32 keep = is_small ? READ_ONCE(evict->promote_after) : 1;
	u32 cost = is_small ? KCACHE_FREQUENCY_MAX : 1;
	const struct passage *passage;
	struct walk walk;

	if (kc_segment_is_run(segment) || evict->nr_flushes)
		keep = USES_NEVER;
	walk_begin(&walk, segment, keep, KC_STAT_evictions);
	while ((passage = walk_next(evict, &walk))) {
		if (copy_entry(evict, passage, KC_MAIN, cost) != MOVED)
			drop_entry(evict, segment, passage, USES_NEVER);
		else if (is_small)
			kc_stats_inc(evict->stats, promotions);
	}
}

/**
 * kc_evict_shrink_locked() - drop one segment, a free one or else the coldest
 * @evict: of the cache
 *
 * Context: Reclaim; holds evict->mutex and arena->mutex. Does not allocate, and
 * does not wait.
 * Return: bytes that kc_log_reap() will give back for it, 0 if there is nothing
 * to drop now.
 */
u64 kc_evict_shrink_locked(struct kc_evict *evict)
{
	struct kc_log *log = evict->log;
	u32 before = log->nr_zombies;
	struct kc_segment *segment;

	lockdep_assert_held(&evict->mutex);
	kc_log_collect_locked(log);
	if (log->nr_zombies == before && !kc_log_drop_pool_locked(log, 0)) {
		segment = hold_coldest_locked(log);
		if (!segment)
			return 0;
		if (kc_log_is_readable(segment))
			retire_in_reclaim(evict, segment);
		kc_log_release(log, segment);
		evict->is_needed = true;
		kc_log_collect_locked(log);
		kc_log_drop_pool_locked(log, 0);
	}
	return (u64)(log->nr_zombies - before) << log->arena->chunk_shift;
}
