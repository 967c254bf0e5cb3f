/* SPDX-License-Identifier: GPL-2.0 */
/*
 * evict: who goes when room is short.
 *
 * Owns the choice of the segment that is retired, and nothing else: plain FIFO,
 * after segments in which nothing lives. Promises that an entry leaves only
 * under its stripe, so that no reader believes what is written there next.
 */
#ifndef KC_EVICT_H
#define KC_EVICT_H

#include "entry.h"
#include "log.h"
#include "stats.h"
#include "table.h"

/* What retiring works on. Constant but for the last. */
struct kc_evict {
	struct kc_table *table;
	struct kc_log *log;
	struct kc_stats __percpu *stats;
	u32 nr_flushes;		/* under way; arena->mutex */
};

int kc_evict_one_locked(struct kc_evict *evict);
void kc_evict_retire_locked(struct kc_evict *evict, struct kc_segment *segment,
			    enum kc_counter why);
bool kc_evict_compact_locked(struct kc_evict *evict, struct kc_segment *segment);
u32 kc_evict_pool_dead_locked(struct kc_evict *evict);

/* Unlinks a live entry. Holds the stripe and an RCU read section. */
static inline void kc_evict_unlink_rcu(struct kc_evict *evict, u64 hash, struct kc_found *found)
{
	u32 size = kc_entry_size(found->entry);

	kc_table_remove_locked(evict->table, hash, found);
	kc_log_kill_rcu(evict->log, found->offset, size);
}

#endif /* KC_EVICT_H */
