/* SPDX-License-Identifier: GPL-2.0 */
/*
 * evict: who goes when room is short.
 *
 * Owns the choice of the segment that is retired and of the entries that outlive
 * it: S3-FIFO (Yang et al., SOSP 2023) on logs. Promises that an entry leaves only
 * under its stripe, so that no reader believes what is written there next, and
 * that one call does a bounded amount of work.
 *
 * New entries are written to the small queue, which holds a tenth of the memory.
 * When its oldest segment is retired, entries that were used since they came are
 * copied to the main queue, their use forgotten; the others go, and are remembered
 * in the ghost set for a while. A new entry that is remembered begins with enough
 * use to be copied when its turn comes. When the oldest main segment is retired,
 * entries that were used since they came there are copied to the other end of the
 * queue, with one use less; the others go.
 */
#ifndef KC_EVICT_H
#define KC_EVICT_H

#include <linux/mutex.h>

#include "entry.h"
#include "ghost.h"
#include "log.h"
#include "stats.h"
#include "table.h"

struct kc_evict {
	/*
	 * Whoever retires, compacts, or walks segments: one at a time. Outside of
	 * arena->mutex, which is held but for moments meanwhile.
	 */
	struct mutex mutex;
	struct kc_table *table;			/* constant after init */
	struct kc_log *log;			/* constant after init */
	struct kc_stats __percpu *stats;	/* constant after init */
	struct kc_ghost ghost;			/* changed under mutex */
	u32 promote_after;	/* uses that take an entry to main; READ_ONCE */
	u32 nr_flushes;		/* under way; mutex */
	bool is_needed;		/* something had to be evicted since the last flush; mutex */
	atomic64_t owed;	/* bytes that SETs took and have not freed since */
};

void kc_evict_init(struct kc_evict *evict, struct kc_table *table, struct kc_log *log,
		   struct kc_stats __percpu *stats);
void kc_evict_exit(struct kc_evict *evict);

int kc_evict_one_locked(struct kc_evict *evict);
int kc_evict_step_locked(struct kc_evict *evict, bool may_keep);
void kc_evict_as_much(struct kc_evict *evict, u32 bytes);
void kc_evict_drop_locked(struct kc_evict *evict, struct kc_segment *segment,
			  enum kc_counter why);
u64 kc_evict_shrink_locked(struct kc_evict *evict);
bool kc_evict_compact_locked(struct kc_evict *evict, struct kc_segment *segment);

/* Unlinks a live entry. Holds the stripe and an RCU read section. */
static inline void kc_evict_unlink_rcu(struct kc_evict *evict, u64 hash, struct kcache_found *found)
{
	u32 size = kc_entry_size(found->entry);

	kc_table_remove_locked(evict->table, hash, found);
	kc_log_kill_rcu(evict->log, found->offset, size);
}

/* The frequency of a new entry. RCU read section. */
static inline u32 kc_evict_first_frequency_rcu(struct kc_evict *evict, u64 hash)
{
	if (likely(!kc_ghost_take_rcu(&evict->ghost, hash)))
		return 0;
	kc_stats_inc(evict->stats, ghost_hits);
	return READ_ONCE(evict->promote_after);
}

#endif /* KC_EVICT_H */
