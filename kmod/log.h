/* SPDX-License-Identifier: GPL-2.0 */
/*
 * log: where entries are written, one behind the other.
 *
 * Owns the segments: their order, how far each is filled, how much of each is
 * dead. Promises that a reservation is the caller's alone until it is committed
 * or abandoned, and that a segment is not walked before every reservation in it
 * has come to that.
 *
 * A segment is a chunk, or a run of chunks if one entry is too large for a chunk.
 * Lanes are the segments that are being filled, chosen by CPU, so that appenders
 * do not contend. Full ones are sealed. All are in FIFO order of their opening.
 * Memory of freed segments waits in a pool for the next segment, or goes back.
 */
#ifndef KC_LOG_H
#define KC_LOG_H

#include <linux/llist.h>
#include <linux/list.h>
#include <linux/types.h>

#include "arena.h"

#define KC_LANES_MAX	8

struct kc_segment {
	struct list_head link;	/* in fifo, pool or zombies; arena->mutex */
	struct list_head due_link; /* in the list of an expiry pass; arena->mutex */
	struct llist_node dead_link;
	u32 chunk;		/* first chunk; constant */
	u32 nr_chunks;		/* constant */
	atomic_t head;		/* bytes reserved; the size once sealed */
	u32 end;		/* bytes used; valid once sealed */
	atomic_t live;		/* see below */
	u64 opened;		/* number in the order of opening; arena->mutex */
	u64 next_expiry_ms;	/* no entry expires earlier; U64_MAX: none does */
	unsigned long grace;	/* RCU state when sealed */
};

/*
 * @live of a sealed segment is what its name says: bytes of entries that live.
 * From that, each entry that dies is subtracted, and whoever brings it to zero,
 * and nobody else, puts the segment into log->dead and does not touch it again.
 * Before the segment is sealed, @live is greater by KC_LIVE_OPEN - end.
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
	struct list_head fifo;			/* arena->mutex; oldest first */
	struct list_head pool;			/* arena->mutex; empty, with memory */
	struct list_head zombies;		/* arena->mutex; await a grace period */
	struct llist_head dead;			/* wholly dead, sealed */
	struct kc_lane lane[KC_LANES_MAX];
};

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

bool kc_log_is_large(const struct kc_log *log, u64 size);
bool kc_log_reserve_rcu(struct kc_log *log, u32 size, u32 whole, struct kc_room *room);
int kc_log_open_run_locked(struct kc_log *log, u32 size, struct kc_room *room);
void kc_log_commit(struct kc_log *log, const struct kc_room *room);
void kc_log_abandon(struct kc_log *log, const struct kc_room *room);
void kc_log_kill_rcu(struct kc_log *log, u64 offset, u32 size);
void kc_log_note_expiry_rcu(struct kc_log *log, u64 offset, u64 expiry_ms);

int kc_log_refill_locked(struct kc_log *log, u32 size, u32 whole);
void kc_log_seal_lanes_locked(struct kc_log *log);
int kc_log_resize_locked(struct kc_log *log);

struct kc_segment *kc_log_oldest_locked(struct kc_log *log);
struct kc_segment *kc_log_next_dead_locked(struct kc_log *log);
void kc_log_wait_readable(const struct kc_segment *segment);
void kc_log_pool_locked(struct kc_log *log, struct kc_segment *segment);
bool kc_log_drop_pool_locked(struct kc_log *log);
void kc_log_reap_locked(struct kc_log *log);

struct kcache_entry *kc_log_walk(struct kc_log *log, const struct kc_segment *segment,
				 u32 *position, u64 *offset);

/**
 * struct kc_log_bytes - the account of the segments
 * @used: bytes filled
 * @dead: of these, bytes of dead entries and fillers
 * @segments: number of segments
 * @pooled: bytes of memory that wait for the next segment
 */
struct kc_log_bytes {
	u64 used;
	u64 dead;
	u64 segments;
	u64 pooled;
};

void kc_log_count_locked(struct kc_log *log, struct kc_log_bytes *bytes);

static inline u64 kc_segment_offset(const struct kc_log *log, const struct kc_segment *segment)
{
	return (u64)segment->chunk << log->arena->chunk_shift;
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

/* Bytes of dead entries and fillers in a segment. */
static inline u32 kc_segment_dead(const struct kc_segment *segment)
{
	u32 live = atomic_read_acquire(&segment->live);

	return live < KC_LIVE_OPEN / 2 ? segment->end - live : KC_LIVE_OPEN - live;
}

#endif /* KC_LOG_H */
