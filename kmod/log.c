// SPDX-License-Identifier: GPL-2.0
#include <linux/bitmap.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "log.h"

#define HEADER_BYTES	((u32)sizeof(struct kcache_entry))

static u32 blocks_per_chunk(const struct kc_log *log)
{
	return 1U << (log->arena->chunk_shift - log->arena->block_shift);
}

/*
 * Twice the chunks that memory can hold, so that a run of free offsets for a
 * large entry is to be had; and chunk 0, which holds nothing.
 */
static u32 map_bits(const struct kc_log *log)
{
	return 2 * (log->arena->max_bytes >> log->arena->chunk_shift) + 1;
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
	map = kvzalloc(map_bytes(nr), GFP_KERNEL);
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
	INIT_LIST_HEAD(&log->fifo);
	INIT_LIST_HEAD(&log->pool);
	INIT_LIST_HEAD(&log->zombies);
	init_llist_head(&log->dead);
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

	list_del(&segment->link);
	list_del(&segment->due_link);
	WRITE_ONCE(dir->ptr[segment->chunk], NULL);
	kc_arena_release_locked(log->arena, KC_SEGMENTS, segment->chunk * blocks_per_chunk(log),
				segment->nr_chunks * blocks_per_chunk(log));
	bitmap_clear(log->chunk_map, segment->chunk, segment->nr_chunks);
	kfree(segment);
	kc_arena_uncharge(log->arena, sizeof(*segment));
}

/* Nobody uses the log any more, and a grace period has passed. */
void kc_log_exit(struct kc_log *log)
{
	struct kc_segment *segment, *next;

	mutex_lock(&log->arena->mutex);
	list_splice_init(&log->fifo, &log->zombies);
	list_splice_init(&log->pool, &log->zombies);
	list_for_each_entry_safe(segment, next, &log->zombies, link)
		free_segment_locked(log, segment);
	kc_dir_free(log->arena, &log->segments);
	kvfree(log->chunk_map);
	kc_arena_uncharge(log->arena, map_bytes(log->nr_map));
	mutex_unlock(&log->arena->mutex);
}

static struct kc_segment *segment_at(struct kc_log *log, u64 offset)
{
	return kc_dir_get(log->arena, &log->segments, offset >> log->arena->chunk_shift);
}

/* Does an entry of @size bytes need a run of its own? */
bool kc_log_is_large(const struct kc_log *log, u64 size)
{
	return size > kc_chunk_size(log->arena);
}

static struct kc_lane *this_lane(struct kc_log *log)
{
	return &log->lane[raw_smp_processor_id() & (READ_ONCE(log->nr_lanes) - 1)];
}

static void lower_live(struct kc_log *log, struct kc_segment *segment, u32 bytes)
{
	if (!atomic_sub_return(bytes, &segment->live))
		llist_add(&segment->dead_link, &log->dead);
}

static void seal(struct kc_log *log, struct kc_segment *segment)
{
	/* From here on no reservation fits, and none can be taken back. */
	u32 end = atomic_xchg(&segment->head, kc_segment_size(log, segment) + 1);

	segment->end = end;
	segment->grace = get_state_synchronize_rcu();
	lower_live(log, segment, KC_LIVE_OPEN - end);
}

static void write_filler(struct kc_log *log, struct kc_segment *segment, u64 offset, u32 size)
{
	struct kcache_entry *entry = kc_arena_ptr(log->arena, KC_SEGMENTS, offset, HEADER_BYTES);

	WRITE_ONCE(entry->key_len, 0);
	WRITE_ONCE(entry->value_len, size);
	lower_live(log, segment, size);
}

/* Where an entry can begin at or after @position: its first @whole bytes are in one block. */
static u32 place(const struct kc_log *log, u32 position, u32 whole)
{
	u32 left = -position & (kc_block_size(log->arena) - 1);

	return left && left < whole ? position + left : position;
}

/**
 * kc_log_reserve_rcu() - room for an entry in this CPU's lane
 * @log: which
 * @size: bytes of the entry, a multiple of KCACHE_ALIGN; not large
 * @whole: bytes from its start to the end of its key
 * @room: out
 *
 * Context: RCU read section, in which it must be committed or abandoned.
 * Return: false if the lane has no room: kc_log_refill_locked() helps.
 */
bool kc_log_reserve_rcu(struct kc_log *log, u32 size, u32 whole, struct kc_room *room)
{
	struct kc_segment *segment = rcu_dereference(this_lane(log)->segment);
	u32 limit, start, gap;
	int head;

	if (unlikely(!segment))
		return false;
	limit = kc_chunk_size(log->arena);
	head = atomic_read(&segment->head);
	do {
		start = place(log, head, whole);
		if (unlikely(size > limit || start > limit - size))
			return false;
	} while (!atomic_try_cmpxchg(&segment->head, &head, start + size));
	room->segment = segment;
	room->offset = kc_segment_offset(log, segment) + start;
	room->size = size;
	gap = start - head;
	if (unlikely(gap >= HEADER_BYTES))
		write_filler(log, segment, room->offset - gap, gap);
	else if (unlikely(gap))
		lower_live(log, segment, gap);
	return true;
}

/**
 * kc_log_note_expiry_rcu() - let the expiry pass know when to look here
 * @log: which
 * @offset: of the entry
 * @expiry_ms: when it expires, 0: never
 *
 * Context: RCU read section; the entry is linked and its stripe is held, or the
 * room is reserved.
 */
void kc_log_note_expiry_rcu(struct kc_log *log, u64 offset, u64 expiry_ms)
{
	struct kc_segment *segment;
	u64 old;

	if (!expiry_ms)
		return;
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

static bool is_run(const struct kc_log *log, const struct kc_room *room)
{
	return kc_log_is_large(log, room->size);
}

/**
 * kc_log_commit() - the entry in @room is complete and published
 * @log: which
 * @room: the reservation, used up
 */
void kc_log_commit(struct kc_log *log, const struct kc_room *room)
{
	if (is_run(log, room))
		seal(log, room->segment);
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
	u32 start = room->offset - kc_segment_offset(log, room->segment);
	int head = start + room->size;

	if (!is_run(log, room) && atomic_try_cmpxchg(&room->segment->head, &head, start))
		return;
	write_filler(log, room->segment, room->offset, room->size);
	kc_log_commit(log, room);
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
	lower_live(log, segment_at(log, offset), size);
}

/* A new segment of @nr chunks, in no list. */
static struct kc_segment *alloc_segment_locked(struct kc_log *log, u32 nr)
{
	u32 per_chunk = blocks_per_chunk(log), chunk, i;
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
		if (kc_arena_populate_locked(log->arena, KC_SEGMENTS, (chunk + i) * per_chunk,
					     per_chunk))
			goto err_release;
	segment->chunk = chunk;
	segment->nr_chunks = nr;
	INIT_LIST_HEAD(&segment->link);
	INIT_LIST_HEAD(&segment->due_link);
	bitmap_set(log->chunk_map, chunk, nr);
	dir = rcu_dereference_protected(log->segments, lockdep_is_held(&log->arena->mutex));
	WRITE_ONCE(dir->ptr[chunk], segment);
	return segment;

err_release:
	kc_arena_release_locked(log->arena, KC_SEGMENTS, chunk * per_chunk, i * per_chunk);
	kfree(segment);
err_uncharge:
	kc_arena_uncharge(log->arena, sizeof(*segment));
	return NULL;
}

/* Makes @segment the newest. */
static void open_segment_locked(struct kc_log *log, struct kc_segment *segment)
{
	atomic_set(&segment->head, 0);
	atomic_set(&segment->live, KC_LIVE_OPEN);
	segment->end = 0;
	segment->next_expiry_ms = U64_MAX;
	segment->opened = log->opened++;
	list_del_init(&segment->due_link);
	list_move_tail(&segment->link, &log->fifo);
}

static struct kc_segment *take_segment_locked(struct kc_log *log, u32 nr)
{
	struct kc_segment *segment = NULL;

	if (nr == 1)
		segment = list_first_entry_or_null(&log->pool, struct kc_segment, link);
	if (!segment)
		segment = alloc_segment_locked(log, nr);
	if (!segment && !list_empty(&log->zombies)) {
		kc_log_reap_locked(log);
		segment = alloc_segment_locked(log, nr);
	}
	if (segment)
		open_segment_locked(log, segment);
	return segment;
}

/**
 * kc_log_refill_locked() - give this CPU's lane room for an entry
 * @log: which
 * @size: as for kc_log_reserve_rcu()
 * @whole: as for kc_log_reserve_rcu()
 *
 * Context: Process context, holds arena->mutex.
 * Return: 0, or -ENOSPC: retire a segment and try again.
 */
int kc_log_refill_locked(struct kc_log *log, u32 size, u32 whole)
{
	struct kc_lane *lane = this_lane(log);
	struct kc_segment *old, *segment;

	lockdep_assert_held(&log->arena->mutex);
	old = rcu_dereference_protected(lane->segment, lockdep_is_held(&log->arena->mutex));
	if (old && place(log, atomic_read(&old->head), whole) + size <= kc_chunk_size(log->arena))
		return 0;	/* another was faster */
	segment = take_segment_locked(log, 1);
	if (!segment)
		return -ENOSPC;
	rcu_assign_pointer(lane->segment, segment);
	if (old)
		seal(log, old);
	return 0;
}

/**
 * kc_log_open_run_locked() - room for a large entry
 * @log: which
 * @size: of the entry
 * @room: out; to be committed or abandoned, without a fault in between
 *
 * Context: Process context, holds arena->mutex.
 * Return: 0, or -ENOSPC: retire segments, drop them and try again.
 */
int kc_log_open_run_locked(struct kc_log *log, u32 size, struct kc_room *room)
{
	u32 nr = DIV_ROUND_UP(size, kc_chunk_size(log->arena));
	struct kc_segment *segment = take_segment_locked(log, nr);

	if (!segment)
		return -ENOSPC;
	atomic_set(&segment->head, size);
	room->segment = segment;
	room->offset = kc_segment_offset(log, segment);
	room->size = size;
	return 0;
}

/**
 * kc_log_seal_lanes_locked() - let all that is written be retired
 * @log: which
 *
 * Context: Process context, holds arena->mutex.
 */
void kc_log_seal_lanes_locked(struct kc_log *log)
{
	int i;

	for (i = 0; i < KC_LANES_MAX; i++) {
		struct kc_segment *segment;

		segment = rcu_dereference_protected(log->lane[i].segment,
						    lockdep_is_held(&log->arena->mutex));
		if (!segment)
			continue;
		RCU_INIT_POINTER(log->lane[i].segment, NULL);
		seal(log, segment);
	}
}

/* The oldest sealed segment, or NULL. */
struct kc_segment *kc_log_oldest_locked(struct kc_log *log)
{
	struct kc_segment *segment;

	list_for_each_entry(segment, &log->fifo, link)
		if (kc_segment_is_sealed(segment))
			return segment;
	return NULL;
}

/* A sealed segment in which nothing lives, or NULL. */
struct kc_segment *kc_log_next_dead_locked(struct kc_log *log)
{
	struct llist_node *node;

	lockdep_assert_held(&log->arena->mutex);
	node = llist_del_first(&log->dead);
	return node ? llist_entry(node, struct kc_segment, dead_link) : NULL;
}

/* Waits until every reservation in a sealed segment has been used. */
void kc_log_wait_readable(const struct kc_segment *segment)
{
	cond_synchronize_rcu(segment->grace);
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
	if (segment->nr_chunks > 1)
		list_move(&segment->link, &log->zombies);
	else
		list_move(&segment->link, &log->pool);
}

/* Gives the memory of one pooled segment up. False if there is none. */
bool kc_log_drop_pool_locked(struct kc_log *log)
{
	if (list_empty(&log->pool))
		return false;
	list_move(log->pool.next, &log->zombies);
	return true;
}

/**
 * kc_log_reap_locked() - give the memory of dropped segments back
 * @log: which
 *
 * Context: Process context, holds arena->mutex. Waits for a grace period if
 * there is anything to do.
 */
void kc_log_reap_locked(struct kc_log *log)
{
	struct kc_segment *segment, *next;

	lockdep_assert_held(&log->arena->mutex);
	if (list_empty(&log->zombies))
		return;
	synchronize_rcu();
	list_for_each_entry_safe(segment, next, &log->zombies, link)
		free_segment_locked(log, segment);
}

/**
 * kc_log_walk() - the next entry in a segment
 * @log: which
 * @segment: sealed and readable
 * @position: in and out, where to go on; first 0
 * @offset: out, of the entry
 *
 * Meets dead entries, too.
 *
 * Context: Holds what keeps the segment.
 * Return: the entry, or NULL at the end.
 */
struct kcache_entry *kc_log_walk(struct kc_log *log, const struct kc_segment *segment,
				 u32 *position, u64 *offset)
{
	for (;;) {
		u32 at = place(log, *position, HEADER_BYTES);
		struct kcache_entry *entry;
		u16 key_len;
		u32 value_len;

		if (at >= segment->end)
			return NULL;
		*offset = kc_segment_offset(log, segment) + at;
		entry = kc_arena_ptr(log->arena, KC_SEGMENTS, *offset, HEADER_BYTES);
		key_len = READ_ONCE(entry->key_len);
		value_len = READ_ONCE(entry->value_len);
		if (key_len) {
			*position = at + kcache_entry_size(key_len, value_len);
			return entry;
		}
		*position = at + value_len;
	}
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

	lockdep_assert_held(&log->arena->mutex);
	*bytes = (struct kc_log_bytes) { 0 };
	list_for_each_entry(segment, &log->fifo, link) {
		bytes->used += kc_segment_is_sealed(segment) ? segment->end :
			       atomic_read(&segment->head);
		bytes->dead += kc_segment_dead(segment);
		bytes->segments++;
	}
	list_for_each_entry(segment, &log->pool, link)
		bytes->pooled += kc_segment_size(log, segment);
}
