// SPDX-License-Identifier: GPL-2.0
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "ghost.h"

static struct kc_ghost_sets *sets_of(struct kc_ghost *ghost)
{
	return rcu_dereference_protected(ghost->sets, lockdep_is_held(ghost->mutex));
}

/* Remembers nothing, and takes no memory, until kc_ghost_make(). */
void kc_ghost_init(struct kc_ghost *ghost, struct kc_arena *arena, struct mutex *mutex)
{
	ghost->arena = arena;
	ghost->mutex = mutex;
	RCU_INIT_POINTER(ghost->sets, NULL);
}

/**
 * kc_ghost_drop() - forget everything
 * @ghost: which
 *
 * Context: Process context, holds the mutex of who evicts.
 */
void kc_ghost_drop(struct kc_ghost *ghost)
{
	struct kc_ghost_sets *sets = sets_of(ghost);

	RCU_INIT_POINTER(ghost->sets, NULL);
	if (!sets)
		return;
	kc_arena_uncharge(ghost->arena, struct_size(sets, set, sets->nr));
	kvfree_rcu(sets, rcu);
}

static u32 sets_for(u64 entries)
{
	return clamp_t(u64, entries / KC_GHOST_PRINTS, 1, U32_MAX);
}

/* The memory that kc_ghost_make() takes. */
u64 kc_ghost_bytes(u64 entries)
{
	return sizeof(struct kc_ghost_sets) + (u64)sets_for(entries) * sizeof(struct kc_ghost_set);
}

/* Is it of about the right size for so many entries? */
bool kc_ghost_fits(struct kc_ghost *ghost, u64 entries)
{
	struct kc_ghost_sets *sets = sets_of(ghost);
	u32 nr = sets_for(entries);

	return sets && nr <= 2ULL * sets->nr && nr >= sets->nr / 2;
}

/**
 * kc_ghost_make() - begin anew, with room for the ghosts of so many entries
 * @ghost: which
 * @entries: in the cache
 *
 * Context: As kc_ghost_drop().
 * Return: 0, or -ENOSPC, whether the limit or the system said no; then nothing
 * is remembered.
 */
int kc_ghost_make(struct kc_ghost *ghost, u64 entries)
{
	u32 nr = sets_for(entries);
	struct kc_ghost_sets *sets;
	size_t size = struct_size(sets, set, nr);

	kc_ghost_drop(ghost);
	if (kc_arena_charge(ghost->arena, size))
		return -ENOSPC;
	sets = kvzalloc(size, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (!sets) {
		kc_arena_uncharge(ghost->arena, size);
		return -ENOSPC;
	}
	sets->nr = nr;
	rcu_assign_pointer(ghost->sets, sets);
	return 0;
}

/* Looks for a print one by one, and takes it out. */
bool kc_ghost_take_from(struct kc_ghost_set *set, u16 print)
{
	int i, shift;

	for (i = 0; i < KC_GHOST_WORDS; i++) {
		u64 word = READ_ONCE(set->word[i]);

		for (shift = 0; shift < 64; shift += 16) {
			if ((u16)(word >> shift) != print)
				continue;
			WRITE_ONCE(set->word[i], word & ~(0xffffULL << shift));
			return true;
		}
	}
	return false;
}
