/* SPDX-License-Identifier: GPL-2.0 */
/*
 * table: finds entries by key.
 *
 * Owns the buckets, their chains and their sequence counts. Linear hashing: the
 * table grows and shrinks by one bucket at a time, so there is no rehash, and
 * nothing moves that a reader could not detect. Promises that the slots of a
 * chain are packed towards its front.
 *
 * A stripe covers all hashes with the same low bits, so a bucket and the one it
 * is split into share it, and a writer knows its stripe without knowing the
 * number of buckets.
 */
#ifndef KC_TABLE_H
#define KC_TABLE_H

#include <linux/percpu_counter.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "arena.h"

/* Slots in use per bucket that the table grows to keep: 5 of 7. */
#define KC_TABLE_LOAD	5

struct kc_stripe {
	spinlock_t lock;	/* of the buckets of its hashes, see above */
} ____cacheline_aligned_in_smp;

struct kc_table {
	struct kc_arena *arena;		/* constant after init */
	struct kc_stripe *stripe;	/* array constant after init */
	u32 nr_stripes;			/* a power of two; constant after init */
	u64 seed[2];			/* constant after init */
	/*
	 * Written under arena->mutex and the stripe of the bucket that comes
	 * or goes, while its seq is odd; whoever holds a stripe may rely on
	 * the bucket that it computes; readers load-acquire.
	 */
	u32 nr_buckets;
	struct percpu_counter nr_entries;	/* slots in use */

	spinlock_t overflow_lock;	/* innermost; protects the rest */
	u32 overflow_free;		/* head of the free list by ->next; 0: empty */
	u32 nr_overflow;		/* buckets that there is memory for */
	u32 nr_overflow_used;
};

/**
 * struct kc_found - where a key was found
 * @home: first bucket of the chain; its seq guards all of it
 * @slot: the slot
 * @value: what was in it
 * @offset: the entry's offset in the segment region
 * @entry: its memory, up to the end of the key
 * @seq: of @home when the search began
 */
struct kc_found {
	struct kcache_bucket *home;
	u64 *slot;
	u64 value;
	u64 offset;
	struct kcache_entry *entry;
	u32 seq;
};

int kc_table_init(struct kc_table *table, struct kc_arena *arena);
void kc_table_exit(struct kc_table *table);

static inline u64 kc_table_hash(const struct kc_table *table, const void *key, u32 key_len)
{
	return kcache_hash(table->seed, key, key_len);
}

/* The hash of an entry that is sure to be whole. */
static inline u64 kc_table_hash_entry(const struct kc_table *table,
				      const struct kcache_entry *entry)
{
	return kc_table_hash(table, (void *)entry + kcache_entry_key_offset(entry->key_len),
			     kcache_entry_key_len(entry->key_len));
}

static inline struct kc_stripe *kc_table_stripe(struct kc_table *table, u64 hash)
{
	return &table->stripe[hash & (table->nr_stripes - 1)];
}

static inline void kc_table_lock(struct kc_table *table, u64 hash)
	__acquires(&kc_table_stripe(table, hash)->lock)
{
	spin_lock(&kc_table_stripe(table, hash)->lock);
}

static inline void kc_table_unlock(struct kc_table *table, u64 hash)
	__releases(&kc_table_stripe(table, hash)->lock)
{
	spin_unlock(&kc_table_stripe(table, hash)->lock);
}

bool kc_table_find_rcu(struct kc_table *table, u64 hash, const void *key, u32 key_len,
		       struct kc_found *found);
bool kc_table_find_locked(struct kc_table *table, u64 hash, const void *key, u32 key_len,
			  struct kc_found *found);
bool kc_table_find_offset_locked(struct kc_table *table, u64 hash, u64 offset,
				 struct kc_found *found);

/* Has the chain stayed as it was since @found was found? Else all is void. */
static inline bool kc_found_is_valid(const struct kc_found *found)
{
	smp_rmb();	/* pairs with smp_wmb() in kc_bucket_write_begin() */
	return READ_ONCE(found->home->seq) == found->seq;
}

/*
 * Between these two, what readers see of the chain of @home may be anything.
 * The caller holds the stripe and the stretch is a bounded run of stores.
 */
static inline void kc_bucket_write_begin(struct kcache_bucket *home)
{
	preempt_disable();	/* a reader that spins must not spin on us */
	WRITE_ONCE(home->seq, home->seq + 1);
	smp_wmb();		/* odd before the stores; pairs with kc_found_is_valid() */
}

static inline void kc_bucket_write_end(struct kcache_bucket *home)
{
	smp_store_release(&home->seq, home->seq + 1);	/* pairs with chain_begin_rcu() */
	preempt_enable();
}

int kc_table_insert_locked(struct kc_table *table, u64 hash, u64 offset);
void kc_table_replace_locked(struct kc_table *table, u64 hash, struct kc_found *found,
			     u64 offset);
void kc_table_remove_locked(struct kc_table *table, u64 hash, struct kc_found *found);

bool kc_table_wants_split(struct kc_table *table);
int kc_table_split_locked(struct kc_table *table);
bool kc_table_wants_merge(struct kc_table *table);
int kc_table_merge_locked(struct kc_table *table);
void kc_table_trim_locked(struct kc_table *table);
int kc_table_grow_overflow_locked(struct kc_table *table);

int kc_table_scan_rcu(struct kc_table *table, u64 *position, struct kc_found *found);

#endif /* KC_TABLE_H */
