// SPDX-License-Identifier: GPL-2.0
#include <linux/bitrev.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "table.h"

#define BUCKET_BYTES	sizeof(struct kcache_bucket)

/* How often a reader begins again before it takes the stripe. */
#define LOCKLESS_TRIES	32

static_assert(sizeof(struct kcache_bucket) == 64);
static_assert(sizeof(struct kcache_entry) == 20);
static_assert(sizeof(struct kcache_entry) % KCACHE_ALIGN == 0);

static __always_inline struct kcache_bucket *home_bucket(struct kc_table *table, u32 index)
{
	return kc_arena_ptr(table->arena, KC_BUCKETS, (u64)index * BUCKET_BYTES, BUCKET_BYTES);
}

/* @next counts from 1. */
static struct kcache_bucket *overflow_bucket(struct kc_table *table, u32 next)
{
	return kc_arena_ptr(table->arena, KC_OVERFLOW, (next - 1ULL) * BUCKET_BYTES,
			    BUCKET_BYTES);
}

static u32 buckets_per_block(const struct kc_table *table)
{
	return kc_block_size(table->arena) / BUCKET_BYTES;
}

/**
 * kc_table_init() - a table with one bucket per stripe
 * @table: to set up
 * @arena: gives the memory
 *
 * Return: 0, or -ENOSPC if the arena has no room or the system no memory.
 */
int kc_table_init(struct kc_table *table, struct kc_arena *arena)
{
	u32 nr_stripes = roundup_pow_of_two(16 * num_possible_cpus());
	u32 i, nr_blocks;
	int err = -ENOSPC;

	nr_stripes = clamp_t(u32, nr_stripes, 64, 1024);
	nr_stripes = min_t(u64, nr_stripes, rounddown_pow_of_two(arena->max_bytes >> 14));
	*table = (struct kc_table) {
		.arena = arena,
		.nr_stripes = nr_stripes,
		.nr_buckets = nr_stripes,
	};
	spin_lock_init(&table->overflow_lock);
	get_random_bytes(table->seed, sizeof(table->seed));

	if (kc_arena_charge(arena, array_size(nr_stripes, sizeof(*table->stripe))))
		return -ENOSPC;
	table->stripe = kvcalloc(nr_stripes, sizeof(*table->stripe), GFP_KERNEL);
	if (!table->stripe)
		goto err_uncharge;
	for (i = 0; i < nr_stripes; i++)
		spin_lock_init(&table->stripe[i].lock);
	if (percpu_counter_init(&table->nr_entries, 0, GFP_KERNEL))
		goto err_free_stripe;
	nr_blocks = DIV_ROUND_UP(nr_stripes, buckets_per_block(table));
	mutex_lock(&arena->mutex);
	err = kc_arena_populate_locked(arena, KC_BUCKETS, 0, nr_blocks);
	mutex_unlock(&arena->mutex);
	if (err)
		goto err_destroy_counter;
	return 0;

err_destroy_counter:
	percpu_counter_destroy(&table->nr_entries);
err_free_stripe:
	kvfree(table->stripe);
err_uncharge:
	kc_arena_uncharge(arena, array_size(nr_stripes, sizeof(*table->stripe)));
	return err;
}

/* The buckets go with the arena. */
void kc_table_exit(struct kc_table *table)
{
	percpu_counter_destroy(&table->nr_entries);
	kvfree(table->stripe);
	kc_arena_uncharge(table->arena, array_size(table->nr_stripes, sizeof(*table->stripe)));
}

static void assert_stripe_held(struct kc_table *table, u64 hash)
{
	lockdep_assert_held(&kc_table_stripe(table, hash)->lock);
}

/*
 * The entry in slot @value if its key is @key. Lockless callers may come with a
 * slot whose memory has got other content since: everything is bounded here, and
 * nothing is believed until the seq is checked.
 */
static __always_inline struct kcache_entry *
entry_with_key(struct kc_table *table, u64 value, const void *key, u32 key_len)
{
	u64 offset = kcache_slot_offset(value);
	u32 left = kc_block_size(table->arena) - (offset & (kc_block_size(table->arena) - 1));
	struct kcache_entry *entry = kc_arena_ptr(table->arena, KC_SEGMENTS, offset,
						  sizeof(*entry));
	u16 stored;

	if (unlikely(!entry))
		return NULL;
	stored = READ_ONCE(entry->key_len);
	if (kcache_entry_key_len(stored) != key_len || kcache_entry_value_offset(stored) > left)
		return NULL;
	if (!kcache_key_is_equal((void *)entry + kcache_entry_key_offset(stored), key, key_len))
		return NULL;
	return entry;
}

/* Looks for @key in one bucket. -EAGAIN: go on with the next of the chain. */
static __always_inline int find_in_bucket(struct kc_table *table, struct kcache_bucket *bucket,
					  u64 tag, const void *key, u32 key_len,
					  struct kc_found *found)
{
	int i;

	for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
		u64 value = READ_ONCE(bucket->slot[i]);
		struct kcache_entry *entry;

		if (!value)
			return -ENOENT;
		if ((value ^ tag) & KCACHE_TAG_MASK)
			continue;
		entry = entry_with_key(table, value, key, key_len);
		if (unlikely(!entry))
			continue;
		found->entry = entry;
		found->slot = &bucket->slot[i];
		found->value = value;
		found->offset = kcache_slot_offset(value);
		return 0;
	}
	return READ_ONCE(bucket->next) ? -EAGAIN : -ENOENT;
}

static struct kcache_bucket *begin_locked(struct kc_table *table, u64 hash,
					  struct kc_found *found)
{
	assert_stripe_held(table, hash);
	found->home = home_bucket(table, kcache_bucket_index(hash, READ_ONCE(table->nr_buckets)));
	found->seq = found->home->seq;
	return found->home;
}

/**
 * kc_table_find_locked() - find a key, holding its stripe
 * @table: where
 * @hash: of the key
 * @key: key bytes
 * @key_len: their number
 * @found: out; @home and @seq are set on a miss, too
 *
 * Context: Holds the stripe and an RCU read section.
 * Return: whether it is there. It stays so as long as the stripe is held.
 */
bool kc_table_find_locked(struct kc_table *table, u64 hash, const void *key, u32 key_len,
			  struct kc_found *found)
{
	struct kcache_bucket *bucket = begin_locked(table, hash, found);
	u64 tag = kcache_slot_tag(hash);
	int err;

	while ((err = find_in_bucket(table, bucket, tag, key, key_len, found)) == -EAGAIN)
		bucket = overflow_bucket(table, bucket->next);
	return !err;
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
bool kc_table_find_offset_locked(struct kc_table *table, u64 hash, u64 offset,
				 struct kc_found *found)
{
	struct kcache_bucket *bucket = begin_locked(table, hash, found);
	u64 loc = offset / KCACHE_ALIGN;
	int i;

	for (;; bucket = overflow_bucket(table, bucket->next)) {
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
			if ((bucket->slot[i] & KCACHE_LOC_MASK) != loc)
				continue;
			found->entry = kc_arena_ptr(table->arena, KC_SEGMENTS, offset,
						    sizeof(*found->entry));
			found->slot = &bucket->slot[i];
			found->value = bucket->slot[i];
			found->offset = offset;
			return true;
		}
		if (!bucket->next)
			return false;
	}
}

/* Steps 1 of the read protocol. False if the bucket is being written. */
static bool chain_begin_rcu(struct kc_table *table, u64 hash, u32 *nr, struct kc_found *found)
{
	/* Pairs with the stores in kc_table_split_locked() and _merge_locked(). */
	*nr = smp_load_acquire(&table->nr_buckets);
	found->home = home_bucket(table, kcache_bucket_index(hash, *nr));
	/* Pairs with kc_bucket_write_end(). */
	found->seq = smp_load_acquire(&found->home->seq);
	return !(found->seq & 1);
}

static __always_inline int find_once_rcu(struct kc_table *table, u64 hash, const void *key,
					 u32 key_len, struct kc_found *found)
{
	struct kcache_bucket *bucket;
	u32 nr, next;
	int err;

	if (!chain_begin_rcu(table, hash, &nr, found))
		return -EAGAIN;
	bucket = found->home;
	while ((err = find_in_bucket(table, bucket, kcache_slot_tag(hash), key, key_len,
				     found)) == -EAGAIN) {
		next = READ_ONCE(bucket->next);
		/* Only a chain that did not change is sure to end. */
		if (!next || !kc_found_is_valid(found))
			return -EAGAIN;
		bucket = overflow_bucket(table, next);
	}
	if (err && (!kc_found_is_valid(found) || READ_ONCE(table->nr_buckets) != nr))
		return -EAGAIN;
	return err;
}

/* For when the chain was being written: a few more looks, then with the stripe. */
static noinline bool find_again_rcu(struct kc_table *table, u64 hash, const void *key,
				    u32 key_len, struct kc_found *found)
{
	bool is_there;
	int tries, err;

	for (tries = 0; tries < LOCKLESS_TRIES; tries++) {
		cpu_relax();
		err = find_once_rcu(table, hash, key, key_len, found);
		if (err != -EAGAIN)
			return !err;
	}
	kc_table_lock(table, hash);
	is_there = kc_table_find_locked(table, hash, key, key_len, found);
	kc_table_unlock(table, hash);
	return is_there;
}

/**
 * kc_table_find_rcu() - find a key without a lock
 * @table: where
 * @hash: of the key
 * @key: key bytes
 * @key_len: their number
 * @found: out. What is read from @entry and behind it holds only if
 *	kc_found_is_valid() says so afterwards.
 *
 * Context: RCU read section.
 * Return: whether it is there. A miss is final.
 */
bool kc_table_find_rcu(struct kc_table *table, u64 hash, const void *key, u32 key_len,
		       struct kc_found *found)
{
	int err = find_once_rcu(table, hash, key, key_len, found);

	if (likely(err != -EAGAIN))
		return !err;
	return find_again_rcu(table, hash, key, key_len, found);
}

/* An overflow bucket without slots, counted from 1; 0: there is none. */
static u32 overflow_get_rcu(struct kc_table *table)
{
	u32 next;

	spin_lock(&table->overflow_lock);
	next = table->overflow_free;
	if (next) {
		table->overflow_free = overflow_bucket(table, next)->next;
		WRITE_ONCE(table->nr_overflow_used, table->nr_overflow_used + 1);
	}
	spin_unlock(&table->overflow_lock);
	return next;
}

static void overflow_put(struct kc_table *table, u32 next)
{
	struct kcache_bucket *bucket = overflow_bucket(table, next);

	memset(bucket->slot, 0, sizeof(bucket->slot));
	spin_lock(&table->overflow_lock);
	WRITE_ONCE(bucket->next, table->overflow_free);
	table->overflow_free = next;
	WRITE_ONCE(table->nr_overflow_used, table->nr_overflow_used - 1);
	spin_unlock(&table->overflow_lock);
}

/**
 * kc_table_grow_overflow_locked() - one more block of overflow buckets
 * @table: which
 *
 * Context: Process context, holds arena->mutex.
 * Return: 0 or -ENOSPC.
 */
int kc_table_grow_overflow_locked(struct kc_table *table)
{
	u32 nr = buckets_per_block(table), first = table->nr_overflow, i;
	int err;

	if (first > U32_MAX - nr)
		return -ENOSPC;
	err = kc_arena_populate_locked(table->arena, KC_OVERFLOW, first / nr, 1);
	if (err)
		return err;
	rcu_read_lock();
	spin_lock(&table->overflow_lock);
	table->nr_overflow += nr;
	/* In use until they are put. */
	WRITE_ONCE(table->nr_overflow_used, table->nr_overflow_used + nr);
	spin_unlock(&table->overflow_lock);
	for (i = nr; i > 0; i--)
		overflow_put(table, first + i);
	rcu_read_unlock();
	return 0;
}

/**
 * kc_table_insert_locked() - put in an entry whose key is not there
 * @table: where
 * @hash: of the key
 * @offset: of the entry, which is complete
 *
 * Context: Holds the stripe and an RCU read section.
 * Return: 0, or -ENOSPC if the chain is full and there is no overflow bucket:
 * kc_table_grow_overflow_locked() helps.
 */
int kc_table_insert_locked(struct kc_table *table, u64 hash, u64 offset)
{
	u64 value = kcache_slot_make(hash, offset);
	struct kcache_bucket *home, *bucket, *added;
	u32 next;
	int i;

	assert_stripe_held(table, hash);
	home = home_bucket(table, kcache_bucket_index(hash, READ_ONCE(table->nr_buckets)));
	for (bucket = home; bucket->next; bucket = overflow_bucket(table, bucket->next))
		;
	for (i = 0; i < KCACHE_BUCKET_SLOTS && bucket->slot[i]; i++)
		;
	if (i < KCACHE_BUCKET_SLOTS) {
		kc_bucket_write_begin(home);
		WRITE_ONCE(bucket->slot[i], value);
		kc_bucket_write_end(home);
	} else {
		next = overflow_get_rcu(table);
		if (!next)
			return -ENOSPC;
		added = overflow_bucket(table, next);
		kc_bucket_write_begin(home);
		WRITE_ONCE(added->next, 0);
		WRITE_ONCE(added->slot[0], value);
		WRITE_ONCE(bucket->next, next);
		kc_bucket_write_end(home);
	}
	percpu_counter_inc(&table->nr_entries);
	return 0;
}

/**
 * kc_table_replace_locked() - let a slot lead to another entry of the same key
 * @table: where
 * @hash: of the key
 * @found: the slot, found under this hold of the stripe
 * @offset: of the new entry, which is complete
 *
 * Context: Holds the stripe. The old entry is dead afterwards.
 */
void kc_table_replace_locked(struct kc_table *table, u64 hash, struct kc_found *found, u64 offset)
{
	assert_stripe_held(table, hash);
	kc_bucket_write_begin(found->home);
	WRITE_ONCE(*found->slot, kcache_slot_make(hash, offset));
	kc_bucket_write_end(found->home);
}

/**
 * kc_table_remove_locked() - empty a slot
 * @table: where
 * @hash: of the key
 * @found: the slot, found under this hold of the stripe
 *
 * The last slot of the chain moves to where the hole would be.
 *
 * Context: Holds the stripe and an RCU read section. The entry is dead
 * afterwards.
 */
void kc_table_remove_locked(struct kc_table *table, u64 hash, struct kc_found *found)
{
	struct kcache_bucket *last = found->home, *before = NULL;
	u32 emptied = 0;
	int i;

	assert_stripe_held(table, hash);
	while (last->next) {
		before = last;
		last = overflow_bucket(table, last->next);
	}
	for (i = KCACHE_BUCKET_SLOTS - 1; !last->slot[i]; i--)
		;
	kc_bucket_write_begin(found->home);
	WRITE_ONCE(*found->slot, last->slot[i]);
	WRITE_ONCE(last->slot[i], 0);
	if (i == 0 && before) {
		emptied = before->next;
		WRITE_ONCE(before->next, 0);
	}
	kc_bucket_write_end(found->home);
	if (emptied)
		overflow_put(table, emptied);
	percpu_counter_dec(&table->nr_entries);
}

/* Are there more entries than the buckets should hold? */
bool kc_table_wants_split(struct kc_table *table)
{
	return percpu_counter_read(&table->nr_entries) >
	       (s64)READ_ONCE(table->nr_buckets) * KC_TABLE_LOAD;
}

/* So few entries that the table should shrink, with room not to grow again at once. */
bool kc_table_wants_merge(struct kc_table *table)
{
	u32 nr = READ_ONCE(table->nr_buckets);

	return nr > table->nr_stripes && percpu_counter_sum(&table->nr_entries) < nr;
}

/* A chain that is written from its home bucket on. */
struct chain_out {
	struct kcache_bucket *tail;
	int fill;
};

static void chain_put(struct kc_table *table, struct chain_out *out, u64 value, u32 *spare)
{
	if (out->fill == KCACHE_BUCKET_SLOTS) {
		struct kcache_bucket *bucket = overflow_bucket(table, *spare);

		WRITE_ONCE(out->tail->next, *spare);
		*spare = bucket->next;
		out->tail = bucket;
		out->fill = 0;
	}
	WRITE_ONCE(out->tail->slot[out->fill++], value);
}

static void chain_end(struct chain_out *out)
{
	while (out->fill < KCACHE_BUCKET_SLOTS)
		WRITE_ONCE(out->tail->slot[out->fill++], 0);
	WRITE_ONCE(out->tail->next, 0);
}

static u64 hash_of_slot(struct kc_table *table, u64 value)
{
	struct kcache_entry *entry = kc_arena_ptr(table->arena, KC_SEGMENTS,
						  kcache_slot_offset(value), sizeof(*entry));

	return kc_table_hash_entry(table, entry);
}

/*
 * Reads the chain of @home to its end and writes its slots to @high if their
 * hash has @bit, else to @low. Either may begin at @home, since a bucket is read
 * before it is written. Overflow buckets that were read go to @spare, and those
 * that are needed come from there: for each one needed, one was read before.
 */
static void chain_distribute(struct kc_table *table, struct kcache_bucket *home, u64 bit,
			     struct chain_out *low, struct chain_out *high, u32 *spare)
{
	struct kcache_bucket *bucket = home;
	u64 slot[KCACHE_BUCKET_SLOTS];
	u32 index = 0, next;
	int i;

	do {
		memcpy(slot, bucket->slot, sizeof(slot));
		next = bucket->next;
		if (index) {
			WRITE_ONCE(bucket->next, *spare);
			*spare = index;
		}
		for (i = 0; i < KCACHE_BUCKET_SLOTS && slot[i]; i++)
			chain_put(table, hash_of_slot(table, slot[i]) & bit ? high : low,
				  slot[i], spare);
		index = next;
		bucket = index ? overflow_bucket(table, index) : NULL;
	} while (bucket);
}

static void put_spares(struct kc_table *table, u32 spare)
{
	while (spare) {
		u32 next = overflow_bucket(table, spare)->next;

		overflow_put(table, spare);
		spare = next;
	}
}

/* The bucket that @index was split from. */
static u32 split_partner(u32 index)
{
	return index & ~(1U << ilog2(index));
}

/**
 * kc_table_split_locked() - grow by one bucket
 * @table: which
 *
 * Context: Process context, holds arena->mutex.
 * Return: 0 or -ENOSPC.
 */
int kc_table_split_locked(struct kc_table *table)
{
	struct kcache_bucket *old, *new;
	u32 nr = table->nr_buckets, spare = 0;
	struct chain_out low, high;

	lockdep_assert_held(&table->arena->mutex);
	if (nr == 1U << 31)
		return -ENOSPC;
	if (!home_bucket(table, nr) &&
	    kc_arena_populate_locked(table->arena, KC_BUCKETS, nr / buckets_per_block(table), 1))
		return -ENOSPC;

	rcu_read_lock();
	kc_table_lock(table, nr);
	old = home_bucket(table, split_partner(nr));
	new = home_bucket(table, nr);
	low = (struct chain_out) { .tail = old };
	high = (struct chain_out) { .tail = new };
	kc_bucket_write_begin(old);
	kc_bucket_write_begin(new);
	chain_distribute(table, old, 1U << ilog2(nr), &low, &high, &spare);
	chain_end(&low);
	chain_end(&high);
	/* A reader that sees the number sees @new odd; pairs with chain_begin_rcu(). */
	smp_store_release(&table->nr_buckets, nr + 1);
	kc_bucket_write_end(new);
	kc_bucket_write_end(old);
	kc_table_unlock(table, nr);
	put_spares(table, spare);
	rcu_read_unlock();
	return 0;
}

/**
 * kc_table_merge_locked() - shrink by one bucket
 * @table: which; has more buckets than stripes
 *
 * Context: Process context, holds arena->mutex. kc_table_trim_locked() gives the
 * memory back afterwards.
 * Return: 0, or -ENOSPC if there is no overflow bucket, which a longer chain
 * may need: kc_table_grow_overflow_locked() helps.
 */
int kc_table_merge_locked(struct kc_table *table)
{
	struct kcache_bucket *old, *last;
	u32 nr = table->nr_buckets - 1, spare;
	struct chain_out out;

	lockdep_assert_held(&table->arena->mutex);
	rcu_read_lock();
	spare = overflow_get_rcu(table);
	if (!spare) {
		rcu_read_unlock();
		return -ENOSPC;
	}
	WRITE_ONCE(overflow_bucket(table, spare)->next, 0);
	kc_table_lock(table, nr);
	old = home_bucket(table, split_partner(nr));
	last = home_bucket(table, nr);
	out = (struct chain_out) { .tail = old };
	kc_bucket_write_begin(old);
	kc_bucket_write_begin(last);
	chain_distribute(table, old, 0, &out, &out, &spare);
	chain_distribute(table, last, 0, &out, &out, &spare);
	chain_end(&out);
	memset(last->slot, 0, sizeof(last->slot));
	WRITE_ONCE(last->next, 0);
	/* Who misses in @last sees the number change; pairs with chain_begin_rcu(). */
	smp_store_release(&table->nr_buckets, nr);
	kc_bucket_write_end(last);
	kc_bucket_write_end(old);
	kc_table_unlock(table, nr);
	put_spares(table, spare);
	rcu_read_unlock();
	return 0;
}

/**
 * kc_table_trim_locked() - give back the memory of merged buckets
 * @table: which
 *
 * Context: Process context, holds arena->mutex. Waits for a grace period, so
 * that no reader stands in what goes.
 */
void kc_table_trim_locked(struct kc_table *table)
{
	struct kc_arena *arena = table->arena;
	u32 per_block = buckets_per_block(table);
	u32 first = DIV_ROUND_UP(table->nr_buckets, per_block);
	u32 nr = 0, nr_overflow;

	spin_lock(&table->overflow_lock);
	nr_overflow = table->nr_overflow_used ? 0 : table->nr_overflow;
	if (nr_overflow) {
		table->overflow_free = 0;
		table->nr_overflow = 0;
	}
	spin_unlock(&table->overflow_lock);
	synchronize_rcu();
	while (kc_dir_get(arena, &arena->dir[KC_BUCKETS], first + nr))
		nr++;
	kc_arena_release_locked(arena, KC_BUCKETS, first, nr);
	kc_arena_release_locked(arena, KC_OVERFLOW, 0, nr_overflow / per_block);
}

static u64 reverse_bits(u64 v)
{
	return (u64)bitrev32(v) << 32 | bitrev32(v >> 32);
}

/* Enters the entry of @value in @found. False if the slot is void by now. */
static bool hash_of_slot_rcu(struct kc_table *table, u64 value, struct kc_found *found,
			     u64 *hash)
{
	u64 offset = kcache_slot_offset(value);
	struct kcache_entry *entry = kc_arena_ptr(table->arena, KC_SEGMENTS, offset,
						  sizeof(*entry));
	u16 key_len;

	if (!entry)
		return false;
	key_len = READ_ONCE(entry->key_len);
	if (!kc_arena_ptr(table->arena, KC_SEGMENTS, offset, kcache_entry_value_offset(key_len)))
		return false;
	*hash = kc_table_hash(table, (void *)entry + kcache_entry_key_offset(key_len),
			      kcache_entry_key_len(key_len));
	found->value = value;
	found->offset = offset;
	found->entry = entry;
	return true;
}

/* The number of low bits of @hash that chose its bucket. */
static int index_bits(u64 hash, u32 nr_buckets)
{
	int bits = fls(nr_buckets - 1);

	return (hash & GENMASK(bits - 1, 0)) < nr_buckets ? bits : bits - 1;
}

/**
 * kc_table_scan_rcu() - the next entry in the order of reversed hashes
 * @table: which
 * @position: in, reversed hash to begin at, first 0; out, where to begin after
 *	@found, or, on -EAGAIN, now
 * @found: out, as of kc_table_find_rcu(); if it turns out to be void, call again
 *	with the old position
 *
 * The hashes of a bucket have their low bits in common, so reversed they are an
 * interval, which a split halves and a merge doubles: an entry that is there all
 * the time is met exactly once, however the table grows or shrinks.
 *
 * Context: RCU read section; looks at one bucket.
 * Return: 1, 0 at the end, or -EAGAIN: nothing here, go on.
 */
int kc_table_scan_rcu(struct kc_table *table, u64 *position, struct kc_found *found)
{
	u64 first = *position, best = U64_MAX, end;
	struct kcache_bucket *bucket;
	struct kc_found candidate;
	bool is_found = false;
	u32 nr, next;
	int i;

	if (!chain_begin_rcu(table, reverse_bits(first), &nr, &candidate))
		return -EAGAIN;
	bucket = candidate.home;
	do {
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
			u64 value = READ_ONCE(bucket->slot[i]), reversed;

			if (!value)
				break;
			if (!hash_of_slot_rcu(table, value, &candidate, &reversed))
				return -EAGAIN;
			reversed = reverse_bits(reversed);
			if (reversed < first || reversed > best)
				continue;
			best = reversed;
			is_found = true;
			candidate.slot = &bucket->slot[i];
			*found = candidate;
		}
		next = READ_ONCE(bucket->next);
		if (next && !kc_found_is_valid(&candidate))
			return -EAGAIN;
		bucket = next ? overflow_bucket(table, next) : NULL;
	} while (bucket);
	if (!kc_found_is_valid(&candidate) || READ_ONCE(table->nr_buckets) != nr)
		return -EAGAIN;

	end = first | (U64_MAX >> index_bits(reverse_bits(first), nr));
	*position = is_found ? best + 1 : end + 1;
	if (is_found)
		return 1;
	return *position ? -EAGAIN : 0;
}
