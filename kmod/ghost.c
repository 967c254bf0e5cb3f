// SPDX-License-Identifier: GPL-2.0
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "ghost.h"

/*
 * The prints of keys that went, the youngest in the low bits: a new one pushes the oldest
 * out. 0: none. Written by one that adds, under the mutex, and any that take, without a lock,
 * so a print may be lost, or come back.
 */
#define WORDS		2
#define PRINTS		(4 * WORDS)

struct ghost_set {
	u64 word[WORDS];
};

struct kc_ghost_sets {
	struct rcu_head rcu;
	u32 nr;
	struct ghost_set set[];
};

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
	return clamp_t(u64, entries / PRINTS, 1, U32_MAX);
}

/* The memory that kc_ghost_make() takes. */
u64 kc_ghost_bytes(u64 entries)
{
	return sizeof(struct kc_ghost_sets) + (u64)sets_for(entries) * sizeof(struct ghost_set);
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

/* Bucket and tag go by low and high bits, so any will do that differ from each other. */
static struct ghost_set *find_set(struct kc_ghost_sets *sets, u64 hash)
{
	return &sets->set[(hash >> 32) * sets->nr >> 32];
}

static u16 print_of(u64 hash)
{
	return (u16)hash ?: 1;
}

/**
 * kc_ghost_add_rcu() - remember a key
 * @ghost: where
 * @hash: of the key
 *
 * Context: RCU read section, holds the mutex of who evicts.
 */
void kc_ghost_add_rcu(struct kc_ghost *ghost, u64 hash)
{
	struct kc_ghost_sets *sets = rcu_dereference(ghost->sets);
	struct ghost_set *set;
	u64 word;
	int i;

	lockdep_assert_held(ghost->mutex);
	if (!sets)
		return;
	set = find_set(sets, hash);
#pragma GCC unroll 2
	for (i = WORDS - 1; i > 0; i--) {
		word = READ_ONCE(set->word[i]) << 16 | READ_ONCE(set->word[i - 1]) >> 48;
		WRITE_ONCE(set->word[i], word);
	}
	WRITE_ONCE(set->word[0], READ_ONCE(set->word[0]) << 16 | print_of(hash));
}

/* Where a part of 16 bits of @word is zero, its highest bit; above that, maybe more. */
static u64 zeros(u64 word)
{
	return (word - 0x0001000100010001ULL) & ~word & 0x8000800080008000ULL;
}

static noinline bool take_from(struct ghost_set *set, u16 print)
{
	int i, shift;

	for (i = 0; i < WORDS; i++) {
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

/**
 * kc_ghost_take_rcu() - is a key remembered? Then it is not any more.
 * @ghost: where
 * @hash: of the key
 *
 * Context: RCU read section.
 * Return: whether it was, or another one that looks the same.
 */
bool kc_ghost_take_rcu(struct kc_ghost *ghost, u64 hash)
{
	struct kc_ghost_sets *sets = rcu_dereference(ghost->sets);
	u16 print = print_of(hash);
	u64 pattern = print * 0x0001000100010001ULL, seen = 0;
	struct ghost_set *set;
	int i;

	if (!sets)
		return false;
	set = find_set(sets, hash);
#pragma GCC unroll 2
	for (i = 0; i < WORDS; i++)
		seen |= zeros(READ_ONCE(set->word[i]) ^ pattern);
	return unlikely(seen) && take_from(set, print);
}
