/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ghost: remembers entries that left the small queue unused.
 *
 * Owns fingerprints of 16 bits, in sets of one cache line, each a FIFO. About as
 * many as there are entries, so that one is remembered for about as long as an
 * entry that was used would have stayed. Nothing is promised: some are forgotten
 * early, one in 2000 that are not there is found nevertheless.
 */
#ifndef KC_GHOST_H
#define KC_GHOST_H

#include <linux/rcupdate.h>
#include <linux/types.h>

#include "arena.h"

struct kc_ghost_sets;

struct kc_ghost {
	struct kc_arena *arena;			/* constant after init */
	struct mutex *mutex;			/* constant after init; of who evicts */
	struct kc_ghost_sets __rcu *sets;	/* under mutex; NULL: nothing is remembered */
};

void kc_ghost_init(struct kc_ghost *ghost, struct kc_arena *arena, struct mutex *mutex);
void kc_ghost_drop(struct kc_ghost *ghost);
u64 kc_ghost_bytes(u64 entries);
bool kc_ghost_fits(struct kc_ghost *ghost, u64 entries);
int kc_ghost_make(struct kc_ghost *ghost, u64 entries);

void kc_ghost_add_rcu(struct kc_ghost *ghost, u64 hash);
bool kc_ghost_take_rcu(struct kc_ghost *ghost, u64 hash);

#endif /* KC_GHOST_H */
