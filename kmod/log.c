// SPDX-License-Identifier: GPL-2.0
#include <linux/bitmap.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "log.h"

static u32 blocks_per_chunk(const struct kc_log *log)
{
	return 1U << (log->arena->chunk_shift - log->arena->block_shift);
}

/*
 * Four times the chunks that memory can hold, or all there are, so that a run of free
 * offsets for a large entry is to be had, whose last chunk may be a hole for the most
 * part; and chunk 0, which holds nothing.
 */
static u32 map_bits(const struct kc_log *log)
{
	u64 most = log->arena->header->bytes[KCACHE_SEGMENTS] >> log->arena->chunk_shift;

	return min_t(u64, 4 * (log->arena->max_bytes >> log->arena->chunk_shift) + 1, most);
}

static size_t map_bytes(u32 nr)
{
	return BITS_TO_LONGS(nr) * sizeof(long);
}

static int grow_map_locked(struct kc_log *log)
{
	u32 nr = map_bits(log);
	unsigned long *map;

	lockdep_assert_held(&log->arena->mutex);
	if (nr <= log->nr_map)
		return 0;
	if (kc_arena_charge(log->arena, map_bytes(nr)))
		return -ENOSPC;
	map = kvzalloc(map_bytes(nr), GFP_KERNEL | __GFP_NOWARN);
	if (!map) {
		kc_arena_uncharge(log->arena, map_bytes(nr));
		return -ENOSPC;
	}
	if (log->chunk_map)
		bitmap_copy(map, log->chunk_map, log->nr_map);
	kvfree(log->chunk_map);
	kc_arena_uncharge(log->arena, map_bytes(log->nr_map));
	log->chunk_map = map;
	log->nr_map = nr;
	return 0;
}

/**
 * kc_log_resize_locked() - follow a new limit of the arena
 * @log: which
 *
 * Few chunks get few lanes, since a lane's segment cannot be retired. The map
 * of chunks only grows.
 *
 * Context: Process context, holds arena->mutex.
 * Return: 0 or -ENOSPC.
 */
int kc_log_resize_locked(struct kc_log *log)
{
	u64 nr_chunks = log->arena->max_bytes >> log->arena->chunk_shift;
	u32 nr = min_t(u64, num_possible_cpus(), nr_chunks / 16);
	int err = grow_map_locked(log);

	if (err)
		return err;
	nr = rounddown_pow_of_two(clamp_t(u32, nr, 1, KC_LANES_MAX));
	WRITE_ONCE(log->nr_lanes, nr);
	kc_log_seal_lanes_locked(log);
	return 0;
}

/**
 * kc_log_init() - a log without segments
 * @log: to set up
 * @arena: gives the memory
 *
 * Return: 0 or -ENOSPC.
 */
int kc_log_init(struct kc_log *log, struct kc_arena *arena)
{
	int err;

	*log = (struct kc_log) { .arena = arena };
	INIT_LIST_HEAD(&log->queue[KC_SMALL]);
	INIT_LIST_HEAD(&log->queue[KC_MAIN]);
	log->cursor = &log->queue[KC_MAIN];
	INIT_LIST_HEAD(&log->pool);
	INIT_LIST_HEAD(&log->zombies);
	init_llist_head(&log->dead);
	mutex_init(&log->reap_mutex);
	mutex_lock(&arena->mutex);
	err = kc_log_resize_locked(log);
	if (!err)
		__set_bit(0, log->chunk_map);
	mutex_unlock(&arena->mutex);
	return err;
}

static void free_segment_locked(struct kc_log *log, struct kc_segment *segment)
{
	struct kc_dir *dir = rcu_dereference_protected(log->segments,
						       lockdep_is_held(&log->arena->mutex));
	u32 chunk = kc_segment_chunk(log, segment);

	list_del(&segment->link);
	list_del(&segment->due_link);
	WRITE_ONCE(dir->ptr[chunk], NULL);
	kc_arena_release_locked(log->arena, KCACHE_SEGMENTS, chunk * blocks_per_chunk(log),
				segment->nr_blocks);
	bitmap_clear(log->chunk_map, chunk, segment->nr_chunks);
	kfree(segment);
	kc_arena_uncharge(log->arena, sizeof(*segment));
}

/* Nobody uses the log any more, and a grace period has passed. */
void kc_log_exit(struct kc_log *log)
{
	struct kc_segment *segment, *next;

	mutex_lock(&log->arena->mutex);
	list_splice_init(&log->queue[KC_SMALL], &log->zombies);
	list_splice_init(&log->queue[KC_MAIN], &log->zombies);
	list_splice_init(&log->pool, &log->zombies);
	list_for_each_entry_safe(segment, next, &log->zombies, link)
		free_segment_locked(log, segment);
	kc_dir_free(log->arena, &log->segments);
	kvfree(log->chunk_map);
	kc_arena_uncharge(log->arena, map_bytes(log->nr_map));
	mutex_unlock(&log->arena->mutex);
	mutex_destroy(&log->reap_mutex);
}

static struct kc_segment *segment_at(struct kc_log *log, u64 offset)
{
	return kc_dir_get(log->arena, &log->segments, offset >> log->arena->chunk_shift);
}

void kc_log_seal(struct kc_log *log, struct kc_segment *segment)
{
	/* From here on no reservation fits, and none can be taken back. */
	u32 end = atomic_xchg(&segment->head, kc_segment_size(log, segment) + 1);

	segment->end = end;
	segment->grace = get_state_synchronize_rcu();
	kc_log_lower_live(log, segment, KC_LIVE_OPEN - end);
}

static void write_filler(struct kc_log *log, u64 offset, u32 size)
{
	struct kcache_entry *entry = kc_arena_ptr(log->arena, KCACHE_SEGMENTS, offset,
						  KC_HEADER_BYTES);

	WRITE_ONCE(entry->key_len, 0);
	WRITE_ONCE(entry->value_len, size);
}

/* Space before a reservation that is left empty. */
void kc_log_fill_gap(struct kc_log *log, struct kc_segment *segment, u64 offset, u32 size)
{
	if (size >= KC_HEADER_BYTES)
		write_filler(log, offset, size);
	kc_log_finish(segment, size);
	kc_log_lower_live(log, segment, size);
}

/* kc_log_note_expiry_rcu() for an entry that does expire. */
void kc_log_lower_expiry_rcu(struct kc_log *log, u64 offset, u64 expiry_ms)
{
	struct kc_segment *segment;
	u64 old;

	segment = segment_at(log, offset);
	/*
	 * The expiry is written, then next_expiry_ms read; a pass does it the
	 * other way round. Pairs with smp_mb() in scan_segment_locked().
	 */
	smp_mb();
	old = READ_ONCE(segment->next_expiry_ms);
	while (expiry_ms < old && !try_cmpxchg(&segment->next_expiry_ms, &old, expiry_ms))
		;
}

/**
 * kc_log_abandon() - give a reservation up
 * @log: which
 * @room: the reservation, used up
 *
 * The bytes are taken back if nobody has reserved behind them, else they are
 * dead.
 */
void kc_log_abandon(struct kc_log *log, const struct kc_room *room)
{
	u32 start = room->offset - room->segment->offset;
	int head = start + room->size;

	if (!kc_log_is_large(log, room->size) &&
	    atomic_try_cmpxchg(&room->segment->head, &head, start))
		return;
	write_filler(log, room->offset, room->size);
	kc_log_commit(log, room);
	kc_log_lower_live(log, room->segment, room->size);
}

/**
 * kc_log_kill_rcu() - account an entry as dead
 * @log: which
 * @offset: of the entry
 * @size: of the entry
 *
 * Context: RCU read section; holds the stripe under which the entry was
 * unlinked, so that it is counted before the segment can be retired. The segment
 * may be gone afterwards.
 */
void kc_log_kill_rcu(struct kc_log *log, u64 offset, u32 size)
{
	kc_log_lower_live(log, segment_at(log, offset), size);
}

/* A new segment for @bytes, in no list. */
static struct kc_segment *alloc_segment_locked(struct kc_log *log, u32 bytes)
{
	u32 nr_blocks = DIV_ROUND_UP(bytes, kc_block_size(log->arena));
	u32 per_chunk = blocks_per_chunk(log), chunk, i;
	u32 nr = DIV_ROUND_UP(nr_blocks, per_chunk);
	struct kc_segment *segment;
	struct kc_dir *dir;

	chunk = bitmap_find_next_zero_area(log->chunk_map, log->nr_map, 0, nr, 0);
	if (chunk >= log->nr_map)
		return NULL;
	if (kc_dir_grow_locked(log->arena, &log->segments, chunk + nr))
		return NULL;
	if (kc_arena_charge(log->arena, sizeof(*segment)))
		return NULL;
	segment = kzalloc(sizeof(*segment), GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (!segment)
		goto err_uncharge;
	for (i = 0; i < nr; i++)
		if (kc_arena_populate_locked(log->arena, KCACHE_SEGMENTS, (chunk + i) * per_chunk,
					     min_t(u32, per_chunk, nr_blocks - i * per_chunk)))
			goto err_release;
	segment->offset = (u64)chunk << log->arena->chunk_shift;
	segment->nr_chunks = nr;
	segment->nr_blocks = nr_blocks;
	INIT_LIST_HEAD(&segment->link);
	INIT_LIST_HEAD(&segment->due_link);
	bitmap_set(log->chunk_map, chunk, nr);
	dir = rcu_dereference_protected(log->segments, lockdep_is_held(&log->arena->mutex));
	WRITE_ONCE(dir->ptr[chunk], segment);
	return segment;

err_release:
	kc_arena_release_locked(log->arena, KCACHE_SEGMENTS, chunk * per_chunk, i * per_chunk);
	kfree(segment);
err_uncharge:
	kc_arena_uncharge(log->arena, sizeof(*segment));
	return NULL;
}

/* Makes @segment the newest of a queue. */
static void enter_queue_locked(struct kc_log *log, struct kc_segment *segment,
			       enum kc_queue queue)
{
	segment->queue = queue;
	segment->opened = log->opened++;
	log->nr_chunks[queue] += segment->nr_chunks;
	list_add_tail(&segment->link, &log->queue[queue]);
}

static void leave_queue_locked(struct kc_log *log, struct kc_segment *segment)
{
	if (log->cursor == &segment->link)
		log->cursor = segment->link.next;
	log->nr_chunks[segment->queue] -= segment->nr_chunks;
	list_del_init(&segment->link);
}

/* @segment is empty and in no list. */
static void open_segment_locked(struct kc_log *log, struct kc_segment *segment,
				enum kc_queue queue, u32 head)
{
	segment->end = 0;
	segment->retired = 0;
	WRITE_ONCE(segment->limit, 0);
	WRITE_ONCE(segment->next_expiry_ms, U64_MAX);
	list_del_init(&segment->due_link);
	enter_queue_locked(log, segment, queue);
	atomic_set(&segment->done, 0);
	atomic_set(&segment->live, KC_LIVE_OPEN);
	/* From here on one may reserve who saw it in its lane long ago. */
	atomic_set_release(&segment->head, head);
}

/* Segments for which the limit leaves room. */
static u64 nr_unused(const struct kc_log *log)
{
	u64 used = atomic64_read(&log->arena->used_bytes), limit = READ_ONCE(log->arena->max_bytes);

	return used < limit ? (limit - used) >> log->arena->chunk_shift : 0;
}

/* A segment of one chunk, if that leaves @reserve others. */
static struct kc_segment *take_segment_locked(struct kc_log *log, u32 reserve)
{
	u64 unused = nr_unused(log);
	struct kc_segment *segment;

	kc_log_collect_locked(log);
	if (log->nr_pool + unused <= reserve)
		return NULL;
	if (log->nr_pool > (log->is_starved ? reserve : 0)) {
		segment = list_first_entry(&log->pool, struct kc_segment, link);
		list_del_init(&segment->link);
		log->nr_pool--;
		return segment;
	}
	segment = unused ? alloc_segment_locked(log, kc_chunk_size(log->arena)) : NULL;
	log->is_starved = !segment;
	return segment;
}

/* -------- segments that are set aside -------- */

/* One with less room than one of so many parts of it is sealed at once. */
#define SPARE_PART	8

/* After so many others have been opened, nobody has needed it. */
#define SPARE_TURNS	16

static u32 room_left(const struct kc_log *log, const struct kc_segment *segment, u32 whole)
{
	u32 start = kc_log_place(log, atomic_read(&segment->head), whole);
	u32 limit = kc_chunk_size(log->arena);

	return start < limit ? limit - start : 0;
}

/* Sets an open segment aside that no lane leads to any more, in the place of the fullest. */
static void put_spare_locked(struct kc_log *log, struct kc_segment *segment)
{
	struct kc_segment **spare = log->spare[segment->queue];
	int i;

	if (room_left(log, segment, 0) < kc_chunk_size(log->arena) / SPARE_PART) {
		kc_log_seal(log, segment);
		return;
	}
	for (i = 0; i < KC_SPARES && segment; i++)
		if (!spare[i] || room_left(log, spare[i], 0) < room_left(log, segment, 0))
			swap(spare[i], segment);
	if (segment)
		kc_log_seal(log, segment);
}

/* The spare with the least room that is enough, or NULL. */
static struct kc_segment *take_spare_locked(struct kc_log *log, enum kc_queue queue, u32 size,
					    u32 whole)
{
	struct kc_segment **best = NULL, **spare, *segment = NULL;

	for (spare = log->spare[queue]; spare < log->spare[queue] + KC_SPARES; spare++)
		if (*spare && room_left(log, *spare, whole) >= size &&
		    (!best || room_left(log, *spare, 0) < room_left(log, *best, 0)))
			best = spare;
	if (best)
		swap(*best, segment);
	return segment;
}

/* Seals @segment if it is a spare. */
static void seal_spare_locked(struct kc_log *log, struct kc_segment *segment)
{
	struct kc_segment **spare = log->spare[segment->queue];
	int i;

	for (i = 0; i < KC_SPARES; i++) {
		if (spare[i] != segment)
			continue;
		spare[i] = NULL;
		kc_log_seal(log, segment);
	}
}

/* Lets spares be retired, in time or all of them. */
static void seal_spares_locked(struct kc_log *log, enum kc_queue queue, u64 turns)
{
	struct kc_segment **spare;

	for (spare = log->spare[queue]; spare < log->spare[queue] + KC_SPARES; spare++) {
		if (*spare && (*spare)->opened + turns <= log->opened)
			seal_spare_locked(log, *spare);
	}
}

/* Sees to it that @bytes can be reserved in an open segment, as far as it reaches. */
static int extend_locked(struct kc_log *log, struct kc_segment *segment, u32 whole, u32 bytes)
{
	u64 wanted = (u64)kc_log_place(log, atomic_read(&segment->head), whole) + bytes;
	u32 before = segment->limit, limit = min_t(u64, wanted, kc_chunk_size(log->arena));

	if (limit <= before)
		return 0;
	WRITE_ONCE(segment->limit, limit);
	return limit - before;
}

static int refill_locked(struct kc_log *log, struct kc_lane *lane, enum kc_queue queue,
			 u32 reserve, u32 size, u32 whole, u32 step)
{
	struct kc_segment *old, *segment;
	int granted;

	lockdep_assert_held(&log->arena->mutex);
	old = rcu_dereference_protected(lane->segment, lockdep_is_held(&log->arena->mutex));
	if (old && room_left(log, old, whole) >= size)
		return extend_locked(log, old, whole, step);
	segment = take_spare_locked(log, queue, size, whole);
	if (!segment) {
		segment = take_segment_locked(log, reserve);
		if (!segment)
			return -ENOSPC;
		open_segment_locked(log, segment, queue, 0);
		seal_spares_locked(log, queue, SPARE_TURNS);
	}
	granted = extend_locked(log, segment, whole, step);
	rcu_assign_pointer(lane->segment, segment);
	if (old)
		put_spare_locked(log, old);
	return granted;
}

/**
 * kc_log_refill_locked() - give this CPU's lane room for an entry
 * @log: which
 * @size: as for kc_log_reserve_rcu()
 * @whole: as for kc_log_reserve_rcu()
 * @step: bytes, @size or more, after which to ask again although the segment may
 *	have room
 *
 * Takes what is dead before it asks for memory, and leaves KC_LOG_RESERVE.
 *
 * Context: Process context, holds arena->mutex.
 * Return: bytes that the lane had not before, or -ENOSPC: retire a segment and try again.
 */
int kc_log_refill_locked(struct kc_log *log, u32 size, u32 whole, u32 step)
{
	return refill_locked(log, kc_log_this_lane(log), KC_SMALL, KC_LOG_RESERVE, size, whole,
			     step);
}

/**
 * kc_log_refill_to_move_locked() - give a lane room for an entry that is moved
 * @log: which
 * @queue: KC_MAIN: the main lane; KC_SMALL: this CPU's
 * @size: as for kc_log_reserve_rcu()
 * @whole: as for kc_log_reserve_rcu()
 *
 * May take what kc_log_refill_locked() leaves.
 *
 * Context: Process context, holds arena->mutex, and is the only one who evicts.
 * Return: as kc_log_refill_locked().
 */
int kc_log_refill_to_move_locked(struct kc_log *log, enum kc_queue queue, u32 size, u32 whole)
{
	struct kc_lane *lane = queue == KC_MAIN ? &log->main : kc_log_this_lane(log);

	return refill_locked(log, lane, queue, 0, size, whole, kc_chunk_size(log->arena));
}

/**
 * kc_log_open_run_locked() - room for a large entry
 * @log: which
 * @size: of the entry
 * @room: out; to be committed or abandoned, without a fault in between
 *
 * Context: Process context, holds arena->mutex.
 * Return: 0, or -ENOSPC: retire segments, drop and reap them, and try again.
 */
int kc_log_open_run_locked(struct kc_log *log, u32 size, struct kc_room *room)
{
	u32 nr = DIV_ROUND_UP(size, kc_chunk_size(log->arena));
	struct kc_segment *segment;

	kc_log_collect_locked(log);
	if (log->nr_pool + nr_unused(log) < nr + KC_LOG_RESERVE)
		return -ENOSPC;
	segment = alloc_segment_locked(log, size);
	if (!segment)
		return -ENOSPC;
	open_segment_locked(log, segment, KC_SMALL, size);
	room->segment = segment;
	room->offset = segment->offset;
	room->size = size;
	return 0;
}

static void seal_lane_locked(struct kc_log *log, struct kc_lane *lane)
{
	struct kc_segment *segment;

	segment = rcu_dereference_protected(lane->segment,
					    lockdep_is_held(&log->arena->mutex));
	if (!segment)
		return;
	RCU_INIT_POINTER(lane->segment, NULL);
	kc_log_seal(log, segment);
}

/**
 * kc_log_seal_lanes_locked() - let all that is written be retired
 * @log: which
 *
 * Context: Process context, holds arena->mutex, and is the only one who evicts.
 */
void kc_log_seal_lanes_locked(struct kc_log *log)
{
	int i;

	for (i = 0; i < KC_LANES_MAX; i++)
		seal_lane_locked(log, &log->lane[i]);
	seal_lane_locked(log, &log->main);
	for (i = 0; i < KC_NR_QUEUES; i++)
		seal_spares_locked(log, i, 0);
}

/* The oldest segment of a queue that is in no lane, sealed, or NULL. */
struct kc_segment *kc_log_oldest_locked(struct kc_log *log, enum kc_queue queue)
{
	struct kc_segment *segment;

	list_for_each_entry(segment, &log->queue[queue], link) {
		seal_spare_locked(log, segment);
		if (kc_segment_is_sealed(segment))
			return segment;
	}
	return NULL;
}

/* Segments that one search for a sparse one looks at. */
#define SPARSE_LOOKS	8

/**
 * kc_log_sparse_locked() - look for a main segment with much that is dead
 * @log: which
 *
 * Goes through the queue a few segments at a time, from call to call.
 *
 * Context: Holds arena->mutex.
 * Return: a segment as kc_segment_is_sparse() says, or NULL if there was none
 * among those looked at.
 */
struct kc_segment *kc_log_sparse_locked(struct kc_log *log)
{
	int i;

	lockdep_assert_held(&log->arena->mutex);
	for (i = 0; i < SPARSE_LOOKS; i++) {
		struct kc_segment *segment;

		if (log->cursor == &log->queue[KC_MAIN])
			log->cursor = log->cursor->next;
		if (log->cursor == &log->queue[KC_MAIN])
			return NULL;
		segment = list_entry(log->cursor, struct kc_segment, link);
		log->cursor = log->cursor->next;
		if (kc_segment_is_sparse(segment))
			return segment;
	}
	return NULL;
}

/**
 * kc_log_hold_locked() - keep a segment from being filled anew
 * @segment: sealed, in a queue
 *
 * Context: Holds arena->mutex.
 * Return: false if nothing lives in it: it is about to go.
 */
bool kc_log_hold_locked(struct kc_segment *segment)
{
	return atomic_inc_not_zero(&segment->live);
}

/* Undoes kc_log_hold_locked(); needs no lock. */
void kc_log_release(struct kc_log *log, struct kc_segment *segment)
{
	kc_log_lower_live(log, segment, 1);
}

/**
 * kc_log_requeue_locked() - make a segment the newest of the main queue
 * @log: which
 * @segment: sealed, held
 *
 * Context: Holds arena->mutex.
 */
void kc_log_requeue_locked(struct kc_log *log, struct kc_segment *segment)
{
	lockdep_assert_held(&log->arena->mutex);
	leave_queue_locked(log, segment);
	enter_queue_locked(log, segment, KC_MAIN);
}

/* A sealed segment in which nothing lives, or NULL. */
struct kc_segment *kc_log_next_dead_locked(struct kc_log *log)
{
	struct llist_node *node;

	lockdep_assert_held(&log->arena->mutex);
	node = llist_del_first(&log->dead);
	return node ? llist_entry(node, struct kc_segment, dead_link) : NULL;
}

/* Has every reservation in a sealed segment been used, so that it can be walked? */
bool kc_log_is_readable(const struct kc_segment *segment)
{
	/* Pairs with finish(). */
	return atomic_read_acquire(&segment->done) == segment->end ||
	       poll_state_synchronize_rcu(segment->grace);
}

/* Waits until it is so. */
void kc_log_wait_readable(const struct kc_segment *segment)
{
	if (!kc_log_is_readable(segment))
		cond_synchronize_rcu(segment->grace);
}

static void add_zombie_locked(struct kc_log *log, struct kc_segment *segment)
{
	list_add(&segment->link, &log->zombies);
	WRITE_ONCE(log->nr_zombies, log->nr_zombies + segment->nr_chunks);
}

/**
 * kc_log_pool_locked() - keep the memory of a dead segment for the next one
 * @log: which
 * @segment: what kc_log_next_dead_locked() gave, readable
 *
 * Context: Holds arena->mutex.
 */
void kc_log_pool_locked(struct kc_log *log, struct kc_segment *segment)
{
	lockdep_assert_held(&log->arena->mutex);
	leave_queue_locked(log, segment);
	if (kc_segment_is_run(segment)) {
		add_zombie_locked(log, segment);
	} else {
		list_add(&segment->link, &log->pool);
		log->nr_pool++;
	}
}

/**
 * kc_log_collect_locked() - pool all segments in which nothing lives
 * @log: which
 *
 * Context: Holds arena->mutex.
 * Return: how many there were. Runs among them wait to be reaped.
 */
u32 kc_log_collect_locked(struct kc_log *log)
{
	struct kc_segment *segment;
	u32 nr = 0;

	while ((segment = kc_log_next_dead_locked(log))) {
		kc_log_pool_locked(log, segment);
		nr++;
	}
	return nr;
}

/* Segments that could be filled now, by eviction at least. */
u64 kc_log_nr_free_locked(struct kc_log *log)
{
	lockdep_assert_held(&log->arena->mutex);
	return log->nr_pool + (log->is_starved ? 0 : nr_unused(log));
}

/* Gives the memory of one pooled segment up. False if there are no more than @keep. */
bool kc_log_drop_pool_locked(struct kc_log *log, u32 keep)
{
	struct kc_segment *segment;

	if (log->nr_pool <= keep)
		return false;
	segment = list_first_entry(&log->pool, struct kc_segment, link);
	list_del(&segment->link);
	log->nr_pool--;
	add_zombie_locked(log, segment);
	return true;
}

/**
 * kc_log_reap() - give the memory of dropped segments back
 * @log: which
 *
 * Context: Process context, does not hold arena->mutex. Waits for a grace period
 * if there is anything to do, also if another is at it already.
 * Return: whether there was.
 */
bool kc_log_reap(struct kc_log *log)
{
	struct mutex *mutex = &log->arena->mutex;
	struct kc_segment *segment, *next;
	LIST_HEAD(gone);

	if (!READ_ONCE(log->nr_zombies))
		return false;
	mutex_lock(&log->reap_mutex);
	mutex_lock(mutex);
	list_splice_init(&log->zombies, &gone);
	mutex_unlock(mutex);
	if (!list_empty(&gone))
		synchronize_rcu();
	mutex_lock(mutex);
	list_for_each_entry_safe(segment, next, &gone, link) {
		WRITE_ONCE(log->nr_zombies, log->nr_zombies - segment->nr_chunks);
		WRITE_ONCE(log->nr_reaped, log->nr_reaped + segment->nr_chunks);
		free_segment_locked(log, segment);
	}
	log->is_starved = false;
	mutex_unlock(mutex);
	mutex_unlock(&log->reap_mutex);
	return true;
}

/**
 * kc_log_count_locked() - what the segments hold
 * @log: which
 * @bytes: out
 *
 * Context: Holds arena->mutex.
 */
void kc_log_count_locked(struct kc_log *log, struct kc_log_bytes *bytes)
{
	struct kc_segment *segment;
	int queue;

	lockdep_assert_held(&log->arena->mutex);
	*bytes = (struct kc_log_bytes) { 0 };
	for (queue = 0; queue < KC_NR_QUEUES; queue++) {
		list_for_each_entry(segment, &log->queue[queue], link) {
			bytes->used += kc_segment_is_sealed(segment) ? segment->end :
				       atomic_read(&segment->head);
			bytes->dead += kc_segment_dead(segment);
			bytes->queue[queue] += (u64)segment->nr_blocks * kc_block_size(log->arena);
			bytes->segments++;
		}
	}
	list_for_each_entry(segment, &log->pool, link)
		bytes->pooled += kc_segment_size(log, segment);
}
