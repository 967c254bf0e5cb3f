/* SPDX-License-Identifier: GPL-2.0 */
/*
 * log: where entries are written, one behind the other.
 *
 * Owns the segments: their order, how far each is filled, how much of each is
 * dead. Promises that a reservation is the caller's alone until it is committed
 * or abandoned, and that a segment is not walked before every reservation in it
 * has come to that.
 *
 * A segment is a chunk, or a run of chunks if one entry is too large for a chunk. A run
 * has memory as far as its entry reaches, in blocks.
 * Lanes are the segments that are being filled, chosen by CPU, so that appenders
 * do not contend; one more, the main lane, belongs to eviction. Full segments are
 * sealed. They stand in two queues, small for new entries and main for proven ones,
 * each in FIFO order of their opening. One that has much room left when a large entry
 * does not fit is not sealed yet, but set aside as a spare for another entry.
 *
 * A segment in which nothing lives may be filled again at once: who has reserved
 * room in it counts as living there, and a reader looks at the seq of its bucket
 * before it believes what it has read. Only memory that is given back has to wait
 * for an RCU grace period.
 */
#ifndef KC_LOG_H
#define KC_LOG_H

#include <linux/list.h>
#include <linux/llist.h>
#include <linux/minmax.h>
#include <linux/smp.h>
#include <linux/types.h>

#include "arena.h"

#define KC_LANES_MAX	8
#define KC_SPARES	2

enum kc_queue {
	KC_SMALL,
	KC_MAIN,
	KC_NR_QUEUES
};

struct kc_segment {
	struct list_head link;	/* in a queue, pool or zombies; arena->mutex */
	struct list_head due_link; /* in the list of an expiry pass; arena->mutex */
	struct llist_node dead_link;
	u64 offset;		/* of its first chunk, in the segment region; constant */
	u32 nr_chunks;		/* constant */
	u32 nr_blocks;		/* with memory, the first of these chunks; constant */
	enum kc_queue queue;	/* that it is in, or was in last; arena->mutex */
	atomic_t head;		/* bytes reserved; more than the size once sealed */
	u32 limit;		/* of @head until the next refill; arena->mutex, READ_ONCE */
	u32 retired;		/* before this nothing lives; evict->mutex, or not open yet */
	u32 end;		/* bytes used; valid once sealed */
	atomic_t done;		/* bytes committed, abandoned or filled; @end: all */
	atomic_t live;		/* see below */
	u64 opened;		/* number in the order of opening; arena->mutex */
	u64 next_expiry_ms;	/* no entry expires earlier; U64_MAX: none does */
	unsigned long grace;	/* RCU state when sealed */
};

/*
 * @live of a sealed segment is what its name says: bytes of entries that live.
 * From that, each entry that dies is subtracted, and whoever brings it to zero,
 * and nobody else, puts the segment into log->dead and does not touch it again.
 * Before the segment is sealed, @live is greater by KC_LIVE_OPEN - end. Who holds
 * it has added one.
 */
#define KC_LIVE_OPEN	0x40000000

struct kc_lane {
	struct kc_segment __rcu *segment;	/* set under arena->mutex */
} ____cacheline_aligned_in_smp;

struct kc_log {
	struct kc_arena *arena;			/* constant after init */
	struct kc_dir __rcu *segments;		/* by first chunk; arena->mutex */
	unsigned long *chunk_map;		/* chunks in use; arena->mutex */
	u32 nr_map;				/* bits in chunk_map */
	u32 nr_lanes;				/* written under arena->mutex */
	u64 opened;				/* segments ever; arena->mutex */
	struct list_head queue[KC_NR_QUEUES];	/* arena->mutex; oldest first */
	u64 nr_chunks[KC_NR_QUEUES];		/* in the queues; arena->mutex */
	struct list_head *cursor;		/* in the main queue; arena->mutex */
	struct list_head pool;			/* arena->mutex; empty, with memory */
	u32 nr_pool;				/* arena->mutex */
	bool is_starved;			/* the system gave no memory; arena->mutex */
	struct list_head zombies;		/* arena->mutex; await a grace period */
	u32 nr_zombies;				/* chunks of these, and being freed; arena->mutex */
	u64 nr_reaped;				/* chunks ever freed; arena->mutex */
	struct mutex reap_mutex;		/* who frees them; outside of arena->mutex */
	struct llist_head dead;			/* wholly dead, sealed */
	struct kc_lane lane[KC_LANES_MAX];
	struct kc_lane main;			/* of whoever evicts: one at a time */
	/* Were in a lane, and have room left; not sealed. NULL: none; arena->mutex */
	struct kc_segment *spare[KC_NR_QUEUES][KC_SPARES];
};

/* Free segments that only eviction may take, so that it can copy. */
#define KC_LOG_RESERVE	1

/**
 * struct kc_room - a reservation
 * @segment: it is in
 * @offset: in the segment region
 * @size: bytes
 */
struct kc_room {
	struct kc_segment *segment;
	u64 offset;
	u32 size;
};

int kc_log_init(struct kc_log *log, struct kc_arena *arena);
void kc_log_exit(struct kc_log *log);

int kc_log_open_run_locked(struct kc_log *log, u32 size, struct kc_room *room);
void kc_log_fill_gap(struct kc_log *log, struct kc_segment *segment, u64 offset, u32 size);
void kc_log_seal(struct kc_log *log, struct kc_segment *segment);
void kc_log_abandon(struct kc_log *log, const struct kc_room *room);
void kc_log_kill_rcu(struct kc_log *log, u64 offset, u32 size);
void kc_log_lower_expiry_rcu(struct kc_log *log, u64 offset, u64 expiry_ms);

int kc_log_refill_locked(struct kc_log *log, u32 size, u32 whole, u32 step);
int kc_log_refill_to_move_locked(struct kc_log *log, enum kc_queue queue, u32 size, u32 whole);
void kc_log_seal_lanes_locked(struct kc_log *log);
int kc_log_resize_locked(struct kc_log *log);

struct kc_segment *kc_log_oldest_locked(struct kc_log *log, enum kc_queue queue);
struct kc_segment *kc_log_sparse_locked(struct kc_log *log);
bool kc_log_hold_locked(struct kc_segment *segment);
void kc_log_release(struct kc_log *log, struct kc_segment *segment);
void kc_log_requeue_locked(struct kc_log *log, struct kc_segment *segment);
bool kc_log_is_readable(const struct kc_segment *segment);
void kc_log_wait_readable(const struct kc_segment *segment);

struct kc_segment *kc_log_next_dead_locked(struct kc_log *log);
void kc_log_pool_locked(struct kc_log *log, struct kc_segment *segment);
u32 kc_log_collect_locked(struct kc_log *log);
u64 kc_log_nr_free_locked(struct kc_log *log);
bool kc_log_drop_pool_locked(struct kc_log *log, u32 keep);
bool kc_log_reap(struct kc_log *log);

/**
 * struct kc_log_bytes - the account of the segments
 * @used: bytes filled
 * @dead: of these, bytes of dead entries and fillers
 * @queue: bytes of memory of the segments in each queue
 * @segments: number of segments
 * @pooled: bytes of memory that wait for the next segment
 */
struct kc_log_bytes {
	u64 used;
	u64 dead;
	u64 queue[KC_NR_QUEUES];
	u64 segments;
	u64 pooled;
};

void kc_log_count_locked(struct kc_log *log, struct kc_log_bytes *bytes);

/**
 * kc_log_note_expiry_rcu() - let the expiry pass know when to look here
 * @log: which
 * @offset: of the entry
 * @expiry_ms: when it expires, 0: never
 *
 * Context: RCU read section; the entry is linked and its stripe is held, or the
 * room is reserved.
 */
static inline void kc_log_note_expiry_rcu(struct kc_log *log, u64 offset, u64 expiry_ms)
{
	if (expiry_ms)
		kc_log_lower_expiry_rcu(log, offset, expiry_ms);
}

/* Does an entry of @size bytes need a run of its own? */
static inline bool kc_log_is_large(const struct kc_log *log, u64 size)
{
	return size > kc_chunk_size(log->arena);
}

/* Number of the first chunk. */
static inline u32 kc_segment_chunk(const struct kc_log *log, const struct kc_segment *segment)
{
	return segment->offset >> log->arena->chunk_shift;
}

static inline u32 kc_segment_size(const struct kc_log *log, const struct kc_segment *segment)
{
	return segment->nr_chunks << log->arena->chunk_shift;
}

static inline bool kc_segment_is_sealed(const struct kc_segment *segment)
{
	/* Pairs with atomic_sub_return() in seal(): @end and @grace are valid then. */
	return atomic_read_acquire(&segment->live) < KC_LIVE_OPEN / 2;
}

static inline bool kc_segment_is_run(const struct kc_segment *segment)
{
	return segment->nr_chunks > 1;
}

/* Bytes of dead entries and fillers in a segment. */
static inline u32 kc_segment_dead(const struct kc_segment *segment)
{
	s32 live = atomic_read_acquire(&segment->live);
	s32 all = live < KC_LIVE_OPEN / 2 ? segment->end : KC_LIVE_OPEN;

	return max(all - live, 0);	/* who holds it counts as one byte that lives */
}

/*
 * Did so much die, more than a quarter, that it is worth while to move what lives? Not if it
 * is being retired.
 */
static inline bool kc_segment_is_sparse(const struct kc_segment *segment)
{
	return !kc_segment_is_run(segment) && kc_segment_is_sealed(segment) &&
	       !segment->retired && kc_segment_dead(segment) > segment->end / 4;
}

/* Is so much dead that what lives costs little to move, though nothing wants the memory? */
static inline bool kc_segment_is_mostly_dead(const struct kc_segment *segment)
{
	return kc_segment_is_sparse(segment) && kc_segment_dead(segment) > segment->end / 2;
}

#define KC_HEADER_BYTES	((u32)sizeof(struct kcache_entry))

/* Where an entry can begin at or after @position: its first @whole bytes are in one block. */
static inline u32 kc_log_place(const struct kc_log *log, u32 position, u32 whole)
{
	u32 left = -position & log->arena->block_mask;

	return left && left < whole ? position + left : position;
}

static inline struct kc_lane *kc_log_this_lane(struct kc_log *log)
{
	return &log->lane[raw_smp_processor_id() & (READ_ONCE(log->nr_lanes) - 1)];
}

/*
 * Room in @lane. Its segment may have been sealed and opened anew since the lane led to it.
 * A reservation that succeeds then is as good as any.
 */
static __always_inline bool kc_lane_reserve_rcu(struct kc_log *log, struct kc_lane *lane, u32 size,
						u32 whole, struct kc_room *room)
{
	struct kc_segment *segment = rcu_dereference(lane->segment);
	u32 limit, start, gap;
	int head;

	if (unlikely(!segment))
		return false;
	limit = READ_ONCE(segment->limit);
	head = atomic_read(&segment->head);
	do {
		start = kc_log_place(log, head, whole);
		if (unlikely((u64)start + size > limit))
			return false;
	} while (!atomic_try_cmpxchg(&segment->head, &head, start + size));
	room->segment = segment;
	room->offset = segment->offset + start;
	room->size = size;
	gap = start - head;
	if (unlikely(gap))
		kc_log_fill_gap(log, segment, room->offset - gap, gap);
	return true;
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
static __always_inline bool kc_log_reserve_rcu(struct kc_log *log, u32 size, u32 whole,
					       struct kc_room *room)
{
	return kc_lane_reserve_rcu(log, kc_log_this_lane(log), size, whole, room);
}

/**
 * kc_log_reserve_main_rcu() - room for a proven entry in the main lane
 * @log: which
 * @size: as for kc_log_reserve_rcu()
 * @whole: as for kc_log_reserve_rcu()
 * @room: out
 *
 * Context: As kc_log_reserve_rcu(). The caller is the only one who evicts.
 * Return: false if the lane has no room: kc_log_refill_to_move_locked() helps.
 */
static inline bool kc_log_reserve_main_rcu(struct kc_log *log, u32 size, u32 whole,
					   struct kc_room *room)
{
	return kc_lane_reserve_rcu(log, &log->main, size, whole, room);
}

/* The next @bytes are as they will stay, for who walks the segment. */
static inline void kc_log_finish(struct kc_segment *segment, u32 bytes)
{
	atomic_fetch_add_release(bytes, &segment->done);	/* kc_log_is_readable() */
}

/**
 * kc_log_commit() - the entry in @room is complete and linked
 * @log: which
 * @room: the reservation, used up
 *
 * Context: Holds the stripe under which the entry was linked, so that it has not
 * died yet; afterwards the segment may be gone any time.
 */
static inline void kc_log_commit(struct kc_log *log, const struct kc_room *room)
{
	bool is_run = kc_segment_is_run(room->segment);

	kc_log_finish(room->segment, room->size);
	if (unlikely(is_run))
		kc_log_seal(log, room->segment);
}

/*
 * Accounts @bytes of what lives in a segment as dead. Nothing lives without the stripe, a
 * hold or a reservation; afterwards the segment may be gone.
 */
static inline void kc_log_lower_live(struct kc_log *log, struct kc_segment *segment, u32 bytes)
{
	if (!atomic_sub_return(bytes, &segment->live))
		llist_add(&segment->dead_link, &log->dead);
}

/**
 * struct kc_log_cursor - how far a walk through a segment has come; begins as zeros
 * @position: of what comes next
 * @end: where the block ends that is at hand, or the segment
 * @start: offset of the segment in the segment region
 * @base: memory of the block, less its position
 */
struct kc_log_cursor {
	u32 position;
	u32 end;
	u64 start;
	void *base;
};

/* Goes to where an entry at or after the position can begin, in another block. False: none can. */
static inline bool kc_log_next_block(struct kc_log *log, const struct kc_segment *segment,
				     struct kc_log_cursor *cursor)
{
	u32 at = kc_log_place(log, cursor->position, KC_HEADER_BYTES);
	u32 mask = log->arena->block_mask;

	if (at >= segment->end)
		return false;
	cursor->position = at;
	cursor->end = min_t(u32, (at | mask) + 1, segment->end);
	cursor->start = segment->offset;
	cursor->base = kc_arena_block(log->arena, KCACHE_SEGMENTS, cursor->start + at);
	cursor->base -= at & ~mask;
	return true;
}

/**
 * kc_log_walk_rcu() - the next entry in a segment
 * @log: which
 * @segment: sealed and readable
 * @cursor: in and out, where to go on
 * @offset: out, of the entry
 *
 * Meets dead entries, too.
 *
 * Context: RCU read section, or arena->mutex; holds the segment from the first call on, so
 * that the entries' memory stays.
 * Return: the entry, or NULL at the end.
 */
static __always_inline struct kcache_entry *
kc_log_walk_rcu(struct kc_log *log, const struct kc_segment *segment,
		struct kc_log_cursor *cursor, u64 *offset)
{
	for (;;) {
		struct kcache_entry *entry;
		u32 at, value_len;
		u16 key_len;

		if (unlikely(cursor->position + KC_HEADER_BYTES > cursor->end) &&
		    !kc_log_next_block(log, segment, cursor))
			return NULL;
		at = cursor->position;
		entry = cursor->base + at;
		key_len = entry->key_len;	/* constant, unlike the other */
		value_len = READ_ONCE(entry->value_len);
		if (likely(key_len)) {
			*offset = cursor->start + at;
			cursor->position = at + kcache_entry_size(key_len, value_len);
			return entry;
		}
		cursor->position = at + value_len;
	}
}

#endif /* KC_LOG_H */
