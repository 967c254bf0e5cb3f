/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ghost: remembers entries that left the small queue unused.
 *
 * Owns fingerprints of 16 bits, in sets of eight, each a FIFO. About as
 * many as there are entries, so that one is remembered for about as long as an
 * entry that was used would have stayed. Nothing is promised: some are forgotten
 * early, one in 8000 that are not there is found nevertheless.
 */
#ifndef KC_GHOST_H
#define KC_GHOST_H

#include <linux/rcupdate.h>
#include <linux/types.h>

#include "arena.h"

/*
 * The prints of keys that went, the youngest in the low bits: a new one pushes the oldest
 * out. 0: none. Written by one that adds, under the mutex, and any that take, without a lock,
 * so a print may be lost, or come back.
 */
#define KC_GHOST_WORDS		2
#define KC_GHOST_PRINTS		(4 * KC_GHOST_WORDS)

struct kc_ghost_set {
	u64 word[KC_GHOST_WORDS];
};

struct kc_ghost_sets {
	struct rcu_head rcu;
	u32 nr;
	struct kc_ghost_set set[];
};

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

bool kc_ghost_take_from(struct kc_ghost_set *set, u16 print);

/* Bucket and tag go by low and high bits, so any will do that differ from each other. */
static inline struct kc_ghost_set *kc_ghost_set_of(struct kc_ghost_sets *sets, u64 hash)
{
	return &sets->set[(hash >> 32) * sets->nr >> 32];
}

static inline u16 kc_ghost_print(u64 hash)
{
	return (u16)hash ?: 1;
}

/**
 * kc_ghost_add_rcu() - remember a key
 * @sets: of the ghost set
 * @hash: of the key
 *
 * Context: RCU read section, holds the mutex of who evicts.
 */
static inline void kc_ghost_add_rcu(struct kc_ghost_sets *sets, u64 hash)
{
	struct kc_ghost_set *set = kc_ghost_set_of(sets, hash);
	u64 word;
	int i;

#pragma GCC unroll 2
	for (i = KC_GHOST_WORDS - 1; i > 0; i--) {
		word = READ_ONCE(set->word[i]) << 16 | READ_ONCE(set->word[i - 1]) >> 48;
		WRITE_ONCE(set->word[i], word);
	}
	WRITE_ONCE(set->word[0], READ_ONCE(set->word[0]) << 16 | kc_ghost_print(hash));
}

/* Where a part of 16 bits of @word is zero, its highest bit; above that, maybe more. */
static inline u64 kc_ghost_zeros(u64 word)
{
	return (word - 0x0001000100010001ULL) & ~word & 0x8000800080008000ULL;
}

/**
 * kc_ghost_take_rcu() - is a key remembered? Then it is not any more.
 * @ghost: where
 * @hash: of the key
 *
 * Context: RCU read section.
 * Return: whether it was, or another one that looks the same.
 */
static inline bool kc_ghost_take_rcu(struct kc_ghost *ghost, u64 hash)
{
	struct kc_ghost_sets *sets = rcu_dereference(ghost->sets);
	u16 print = kc_ghost_print(hash);
	u64 pattern = print * 0x0001000100010001ULL, seen = 0;
	struct kc_ghost_set *set;
	int i;

	if (!sets)
		return false;
	set = kc_ghost_set_of(sets, hash);
#pragma GCC unroll 2
	for (i = 0; i < KC_GHOST_WORDS; i++)
		seen |= kc_ghost_zeros(READ_ONCE(set->word[i]) ^ pattern);
	return unlikely(seen) && kc_ghost_take_from(set, print);
}

#endif /* KC_GHOST_H */
