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
#define KCACHE_RACY(x)		data_race(x)		/* the seq decides */
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

static __always_inline u64 kc_table_hash(const struct kc_table *table, const void *key, u32 key_len)
{
	return kcache_hash(table->secret, key, key_len);
}

/* The hash of an entry that is sure to be whole. */
static __always_inline u64 kc_table_hash_entry(const struct kc_table *table,
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

/* One that is in use. */
static __always_inline struct kcache_bucket *kc_home_bucket(struct kc_table *table, u32 index)
{
	return kc_arena_sure_ptr(table->arena, KCACHE_BUCKETS,
				 (u64)index * sizeof(struct kcache_bucket));
}

/* One that is in a chain or in the free list, for who owns that. @next counts from 1. */
static inline struct kcache_bucket *kc_overflow_bucket(struct kc_table *table, u32 next)
{
	return kc_arena_sure_ptr(table->arena, KCACHE_OVERFLOW,
				 (next - 1ULL) * sizeof(struct kcache_bucket));
}

static inline void kc_table_assert_locked(struct kc_table *table, u64 hash)
{
	lockdep_assert_held(&kc_table_stripe(table, hash)->lock);
}

static __always_inline struct kcache_bucket *
kc_table_begin_locked(struct kc_table *table, u64 hash, struct kcache_found *found)
{
	kc_table_assert_locked(table, hash);
	found->home = kc_home_bucket(table, kcache_bucket_at(hash, READ_ONCE(*table->size)));
	return found->home;
}

/**
 * __kc_table_find_locked() - find a key, holding its stripe
 * @table: where
 * @hash: of the key
 * @key: key bytes
 * @key_len: their number
 * @found: out, without @seq; on a miss, @home, and @slot is where the key would be put in,
 *	NULL if the chain is full
 *
 * Context: Holds the stripe and an RCU read section.
 * Return: whether it is there. It stays so as long as the stripe is held.
 */
static __always_inline bool __kc_table_find_locked(struct kc_table *table, u64 hash,
						   const void *key, u32 key_len,
						   struct kcache_found *found)
{
	struct kcache_bucket *bucket = kc_table_begin_locked(table, hash, found);
	int i;

	for (;; bucket = kc_overflow_bucket(table, bucket->next)) {
		if (kcache_find_in_bucket(table, bucket, hash, key, key_len, false,
					  found) == KCACHE_FOUND)
			return true;
		if (likely(!bucket->next))
			break;
	}
	found->slot = NULL;
#pragma GCC unroll 7
	for (i = KCACHE_BUCKET_SLOTS - 1; i >= 0; i--) {
		if (READ_ONCE(bucket->slot[i]))
			break;
		found->slot = &bucket->slot[i];
	}
	return false;
}

bool kc_table_find_locked(struct kc_table *table, u64 hash, const void *key, u32 key_len,
			  struct kcache_found *found);

/* kc_table_find_offset_locked() in the chain that begins at found->home; leaves the entry out. */
static __always_inline bool kc_table_find_offset_at_home(struct kc_table *table, u64 offset,
							 struct kcache_found *found)
{
	const int shift = 64 - KCACHE_LOC_BITS;		/* away goes what else is in a slot */
	struct kcache_bucket *bucket = found->home;
	u64 loc = offset / KCACHE_ALIGN << shift;
	int i;

	for (;; bucket = kc_overflow_bucket(table, bucket->next)) {
#pragma GCC unroll 7
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
			u64 value = READ_ONCE(bucket->slot[i]);

			if (value << shift != loc)
				continue;
			found->slot = &bucket->slot[i];
			found->value = value;
			found->offset = offset;
			return true;
		}
		if (!bucket->next)
			return false;
	}
}

/**
 * kc_table_find_offset_locked() - find the slot that leads to an entry
 * @table: where
 * @hash: of the entry's key
 * @offset: of the entry
 * @found: out
 *
 * Context: As kc_table_find_locked().
 * Return: false if the entry is dead.
 */
static inline bool kc_table_find_offset_locked(struct kc_table *table, u64 hash, u64 offset,
					       struct kcache_found *found)
{
	found->seq = kc_table_begin_locked(table, hash, found)->seq;
	if (!kc_table_find_offset_at_home(table, offset, found))
		return false;
	found->entry = kc_arena_ptr(table->arena, KCACHE_SEGMENTS, offset, sizeof(*found->entry));
	return true;
}

/*
 * Between these two, what readers see of the chain of @home may be anything.
 * The caller holds the stripe and the stretch is a bounded run of stores.
 */
static inline void kc_bucket_write_begin(struct kcache_bucket *home)
{
	preempt_disable_nested();	/* a reader that spins must not spin on us */
	WRITE_ONCE(home->seq, home->seq + 1);
	smp_wmb();		/* odd before the stores; pairs with kcache_found_is_valid() */
}

static inline void kc_bucket_write_end(struct kcache_bucket *home)
{
	/* Never 0, which says that there is no bucket. Pairs with kcache_chain_begin(). */
	smp_store_release(&home->seq, home->seq + 1 ?: 2);
	preempt_enable_nested();
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

static inline u64 kc_slot_make(u64 hash, u64 offset, u32 frequency)
{
	return kcache_slot_make(hash, offset) | (u64)frequency << KCACHE_FREQUENCY_SHIFT;
}

/*
 * Buckets of the longest chain. Chance does not make one of more than a few; who computes
 * keys for one bucket does (docs/security.md), and gets no further.
 */
#define KC_CHAIN_MAX	32

int kc_table_append_bucket_rcu(struct kc_table *table, struct kcache_bucket *home, u64 value);

/*
 * percpu_counter_inc() in line, for each SET of a new key: only when this CPU's share has to
 * go to the whole is there a call, which adds nothing else.
 */
static inline void kc_table_count_one(struct kc_table *table)
{
#ifdef CONFIG_SMP
	if (likely(this_cpu_inc_return(*table->nr_entries.counters) < percpu_counter_batch))
		return;
	percpu_counter_add(&table->nr_entries, 0);
#else
	percpu_counter_inc(&table->nr_entries);
#endif
}

/**
 * kc_table_insert_locked() - put in an entry whose key is not there
 * @table: where
 * @hash: of the key
 * @found: what kc_table_find_locked() said of the key under this hold of the stripe
 * @offset: of the entry, which is complete
 * @frequency: to begin with
 *
 * Context: Holds the stripe and an RCU read section.
 * Return: 0, or -ENOSPC if the chain is full and there is no overflow bucket:
 * kc_table_grow_overflow_locked() helps; or -EMLINK if it is as long as a chain may be.
 */
static __always_inline int
kc_table_insert_locked(struct kc_table *table, u64 hash, struct kcache_found *found, u64 offset,
		       u32 frequency)
{
	u64 value = kc_slot_make(hash, offset, frequency);
	int err;

	kc_table_assert_locked(table, hash);
	if (likely(found->slot)) {
		kc_bucket_write_begin(found->home);
		WRITE_ONCE(*found->slot, value);
		kc_bucket_write_end(found->home);
	} else {
		err = kc_table_append_bucket_rcu(table, found->home, value);
		if (err)
			return err;
	}
	kc_table_count_one(table);
	return 0;
}

void kc_table_find_last_locked(struct kc_table *table, u64 hash, struct kcache_found *found);
void kc_table_replace_locked(struct kc_table *table, u64 hash, struct kcache_found *found,
			     u64 offset, u32 frequency);
void kc_table_set_frequency_locked(struct kc_table *table, u64 hash,
				   struct kcache_found *found, u32 frequency);
void kc_table_remove_locked(struct kc_table *table, u64 hash, struct kcache_found *found);
void kc_table_shorten_chain_rcu(struct kc_table *table, struct kcache_bucket *home, u64 *slot);

/**
 * kc_table_remove_uncounted_locked() - empty a slot, for who tells later how many
 * @table: where
 * @hash: of the key
 * @found: the slot, found under this hold of the stripe
 *
 * The last slot of the chain moves to where the hole would be.
 *
 * Context: Holds the stripe and an RCU read section. The entry is dead
 * afterwards. The caller owes kc_table_removed().
 */
static __always_inline void
kc_table_remove_uncounted_locked(struct kc_table *table, u64 hash, struct kcache_found *found)
{
	u64 *last = found->slot, *end = &found->home->slot[KCACHE_BUCKET_SLOTS - 1];

	kc_table_assert_locked(table, hash);
	if (unlikely(found->home->next)) {
		kc_table_shorten_chain_rcu(table, found->home, found->slot);
		return;
	}
	while (last < end && READ_ONCE(last[1]))
		last++;
	kc_bucket_write_begin(found->home);
	WRITE_ONCE(*found->slot, READ_ONCE(*last));
	WRITE_ONCE(*last, 0);
	kc_bucket_write_end(found->home);
}

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
