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
#include <linux/prefetch.h>
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
	const u64 *secret;		/* of kcache_hash(), in the arena's header */
	/*
	 * Written under arena->mutex and the stripe of the bucket that comes
	 * or goes, while its seq is odd; whoever holds a stripe may rely on
	 * the bucket that it computes from @size.
	 */
	u32 nr_buckets;
	u64 *size;		/* the same in the arena's header, for readers to load-acquire */
	struct percpu_counter nr_entries;	/* slots in use */

	spinlock_t overflow_lock;	/* innermost; protects the rest */
	u32 overflow_free;		/* head of the free list by ->next; 0: empty */
	u32 nr_overflow;		/* buckets that there is memory for */
	u32 nr_overflow_used;
};

/*
 * What the read protocol asks for: the table is the view, and memory ends with
 * its block.
 */
#define KCACHE_LOAD(x)		READ_ONCE(x)
#define KCACHE_LOAD_ACQUIRE(p)	smp_load_acquire(p)	/* see kcache_read.h for the pairs */
#define KCACHE_READ_BARRIER()	smp_rmb()		/* the same */
#define kcache_view		kc_table

static __always_inline const u64 *kcache_view_table_size(const struct kc_table *table)
{
	return table->size;
}

static __always_inline void *kcache_view_at(const struct kc_table *table,
					    enum kcache_region region, u64 offset, u64 len,
					    u64 *left)
{
	void *block = kc_arena_block(table->arena, region, offset);
	u32 in_block = offset & table->arena->block_mask;

	*left = kc_block_size(table->arena) - in_block;
	/* Buckets do not cross blocks. */
	if (unlikely(!block || (region == KCACHE_SEGMENTS && len > *left)))
		return NULL;
	return block + in_block;
}

#include "uapi/linux/kcache_read.h"

int kc_table_init(struct kc_table *table, struct kc_arena *arena);
void kc_table_exit(struct kc_table *table);

static inline u64 kc_table_hash(const struct kc_table *table, const void *key, u32 key_len)
{
	return kcache_hash(table->secret, key, key_len);
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

bool kc_table_find_again_rcu(struct kc_table *table, u64 hash, const void *key, u32 key_len,
			     struct kcache_found *found);

/**
 * kc_table_find_rcu() - find a key without a lock
 * @table: where
 * @hash: of the key
 * @key: key bytes
 * @key_len: their number
 * @found: out. What is read from @entry and behind it holds only if
 *	kcache_found_is_valid() says so afterwards.
 *
 * Context: RCU read section.
 * Return: whether it is there. A miss is final.
 */
static __always_inline bool kc_table_find_rcu(struct kc_table *table, u64 hash, const void *key,
					      u32 key_len, struct kcache_found *found)
{
	enum kcache_find_result result = kcache_find(table, hash, key, key_len, found);

	if (likely(result != KCACHE_CHANGED))
		return result == KCACHE_FOUND;
	return kc_table_find_again_rcu(table, hash, key, key_len, found);
}

/* The bucket of @hash will soon be written. RCU read section. */
static inline void kc_table_prefetch_rcu(struct kc_table *table, u64 hash)
{
	prefetchw(kcache_view_bucket(table, KCACHE_BUCKETS,
				     kcache_bucket_at(hash, READ_ONCE(*table->size))));
}

bool kc_table_find_locked(struct kc_table *table, u64 hash, const void *key, u32 key_len,
			  struct kcache_found *found);
bool kc_table_find_offset_locked(struct kc_table *table, u64 hash, u64 offset,
				 struct kcache_found *found);

/*
 * Between these two, what readers see of the chain of @home may be anything.
 * The caller holds the stripe and the stretch is a bounded run of stores.
 */
static inline void kc_bucket_write_begin(struct kcache_bucket *home)
{
	preempt_disable();	/* a reader that spins must not spin on us */
	WRITE_ONCE(home->seq, home->seq + 1);
	smp_wmb();		/* odd before the stores; pairs with kcache_found_is_valid() */
}

static inline void kc_bucket_write_end(struct kcache_bucket *home)
{
	/* Never 0, which says that there is no bucket. Pairs with kcache_chain_begin(). */
	smp_store_release(&home->seq, home->seq + 1 ?: 2);
	preempt_enable();
}

/* -------- frequency of use -------- */

/*
 * The two high bits of a slot change by compare-and-exchange, at any time, without
 * the stripe and without the seq. So they alone may differ from what a writer has
 * read before; a use that a writer's store undoes is lost, and nothing else.
 */
static inline u32 kc_slot_frequency(u64 value)
{
	return value >> KCACHE_FREQUENCY_SHIFT;
}

/* Of the slot that @found leads to, now. */
static inline u32 kc_found_frequency(const struct kcache_found *found)
{
	return kc_slot_frequency(READ_ONCE(*found->slot));
}

void kc_table_use_slot_rcu(u64 *slot, u64 value);
void kc_table_use_hash_rcu(struct kc_table *table, u64 hash);

/* Counts a use of what was found. RCU read section, or the stripe. */
static __always_inline void kc_table_use_rcu(const struct kcache_found *found)
{
	if (kc_slot_frequency(found->value) != KCACHE_FREQUENCY_MAX)
		kc_table_use_slot_rcu(found->slot, found->value);
}

int kc_table_insert_locked(struct kc_table *table, u64 hash, struct kcache_found *found,
			   u64 offset, u32 frequency);
void kc_table_replace_locked(struct kc_table *table, u64 hash, struct kcache_found *found,
			     u64 offset, u32 frequency);
void kc_table_set_frequency_locked(struct kc_table *table, u64 hash,
				   struct kcache_found *found, u32 frequency);
void kc_table_remove_locked(struct kc_table *table, u64 hash, struct kcache_found *found);
void kc_table_remove_uncounted_locked(struct kc_table *table, u64 hash,
				      struct kcache_found *found);

/* So many were removed by kc_table_remove_uncounted_locked(). */
static inline void kc_table_removed(struct kc_table *table, u32 nr)
{
	percpu_counter_sub(&table->nr_entries, nr);
}

/* Are there more entries than the buckets should hold? */
static inline bool kc_table_wants_split(struct kc_table *table)
{
	/* Writers change the counter meanwhile: a split comes one SET sooner or later. */
	return data_race(percpu_counter_read(&table->nr_entries)) >
	       (s64)READ_ONCE(table->nr_buckets) * KC_TABLE_LOAD;
}

int kc_table_split_locked(struct kc_table *table);
bool kc_table_wants_merge(struct kc_table *table);
int kc_table_merge_locked(struct kc_table *table);
void kc_table_trim(struct kc_table *table);
int kc_table_grow_overflow_locked(struct kc_table *table);

int kc_table_scan_rcu(struct kc_table *table, u64 *position, struct kcache_found *found);

#endif /* KC_TABLE_H */
