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

/*
 * Makes zeroed memory a bucket. Its seq is random, so that who has seen a bucket
 * here before it was given back does not take this one for that.
 */
static void begin_bucket(struct kcache_bucket *bucket)
{
	u32 seq;

	get_random_bytes(&seq, sizeof(seq));
	WRITE_ONCE(bucket->seq, (seq | 2) & ~1U);
}

static void set_nr_buckets(struct kc_table *table, u32 nr)
{
	WRITE_ONCE(table->nr_buckets, nr);
	/* Pairs with kcache_chain_begin(). */
	smp_store_release(table->size, kcache_table_size(nr));
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
	get_random_bytes(arena->header->secret, sizeof(arena->header->secret));
	table->secret = arena->header->secret;
	table->size = &arena->header->table_size;

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
	err = kc_arena_populate_locked(arena, KCACHE_BUCKETS, 0, nr_blocks);
	for (i = 0; !err && i < nr_stripes; i++)
		begin_bucket(kc_home_bucket(table, i));
	mutex_unlock(&arena->mutex);
	if (err)
		goto err_destroy_counter;
	WRITE_ONCE(*table->size, kcache_table_size(nr_stripes));
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

/* __kc_table_find_locked() where it need not be in line, with @found->seq. */
bool kc_table_find_locked(struct kc_table *table, u64 hash, const void *key, u32 key_len,
			  struct kcache_found *found)
{
	bool is_there = __kc_table_find_locked(table, hash, key, key_len, found);

	found->seq = found->home->seq;
	return is_there;
}

/**
 * kc_table_find_again_rcu() - go on when the chain was being written
 * @table: as for kc_table_find_rcu(), which alone calls this
 * @hash: the same
 * @key: the same
 * @key_len: the same
 * @found: the same
 *
 * A few more looks, then one with the stripe.
 *
 * Return: whether it is there.
 */
bool kc_table_find_again_rcu(struct kc_table *table, u64 hash, const void *key, u32 key_len,
			     struct kcache_found *found)
{
	enum kcache_find_result result;
	bool is_there;
	int tries;

	for (tries = 0; tries < LOCKLESS_TRIES; tries++) {
		cpu_relax();
		result = kcache_find(table, hash, key, key_len, found);
		if (result != KCACHE_CHANGED)
			return result == KCACHE_FOUND;
	}
	kc_table_lock(table, hash);
	is_there = kc_table_find_locked(table, hash, key, key_len, found);
	kc_table_unlock(table, hash);
	return is_there;
}

/**
 * kc_table_use_slot_rcu() - count a use, unless the slot is saturated or has changed
 * @slot: the slot
 * @value: what was read from it, not saturated
 *
 * Context: RCU read section, or holds the stripe. The slot may lead to another
 * entry by now, or be free: it is changed only if it still is @value.
 */
void kc_table_use_slot_rcu(u64 *slot, u64 value)
{
	try_cmpxchg(slot, &value, value + (1ULL << KCACHE_FREQUENCY_SHIFT));
}

/* Overflow buckets that a hint is followed to. */
#define USE_CHAIN_MAX	4

/**
 * kc_table_use_hash_rcu() - count a use of some entry with this tag
 * @table: where
 * @hash: of its key, as somebody says who may be wrong or lying
 *
 * Context: RCU read section. Bounded, takes no lock. The worst that can come of a
 * wrong hint is that an entry stays longer than it deserves.
 */
void kc_table_use_hash_rcu(struct kc_table *table, u64 hash)
{
	struct kcache_bucket *bucket;
	int chain, i;
	u32 next;

	/* Pairs with set_nr_buckets(). */
	bucket = kc_home_bucket(table, kcache_bucket_at(hash, smp_load_acquire(table->size)));
	for (chain = 0; bucket && chain <= USE_CHAIN_MAX; chain++) {
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
			u64 value = READ_ONCE(bucket->slot[i]);

			if (!value)
				return;
			if (!kcache_slot_has_tag(value, hash))
				continue;
			if (kc_slot_frequency(value) != KCACHE_FREQUENCY_MAX)
				kc_table_use_slot_rcu(&bucket->slot[i], value);
			return;
		}
		next = READ_ONCE(bucket->next);
		bucket = next ? kcache_view_bucket(table, KCACHE_OVERFLOW, next - 1ULL) : NULL;
	}
}

/* Not by memset(): others may be about to count a use in a slot. */
static void clear_slots(struct kcache_bucket *bucket)
{
	int i;

	for (i = 0; i < KCACHE_BUCKET_SLOTS; i++)
		WRITE_ONCE(bucket->slot[i], 0);
}

/* An overflow bucket without slots, counted from 1; 0: there is none. */
static u32 overflow_get_rcu(struct kc_table *table)
{
	u32 next;

	spin_lock(&table->overflow_lock);
	next = table->overflow_free;
	if (next) {
		table->overflow_free = kc_overflow_bucket(table, next)->next;
		WRITE_ONCE(table->nr_overflow_used, table->nr_overflow_used + 1);
	}
	spin_unlock(&table->overflow_lock);
	return next;
}

static void overflow_put(struct kc_table *table, u32 next)
{
	struct kcache_bucket *bucket = kc_overflow_bucket(table, next);

	clear_slots(bucket);
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
	/* A trim that waits for readers has not taken it yet. */
	if (!kcache_view_bucket(table, KCACHE_OVERFLOW, first)) {
		err = kc_arena_populate_locked(table->arena, KCACHE_OVERFLOW, first / nr, 1);
		if (err)
			return err;
	}
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

/* @nr: out, the number of buckets in the chain. */
static struct kcache_bucket *last_bucket(struct kc_table *table, struct kcache_bucket *home,
					 u32 *nr)
{
	struct kcache_bucket *bucket = home;

	for (*nr = 1; bucket->next; ++*nr)
		bucket = kc_overflow_bucket(table, bucket->next);
	return bucket;
}

/* Puts @value into a new bucket at the end of a chain that is full. */
int kc_table_append_bucket_rcu(struct kc_table *table, struct kcache_bucket *home, u64 value)
{
	struct kcache_bucket *bucket, *added;
	u32 nr, next;

	bucket = last_bucket(table, home, &nr);
	if (nr >= KC_CHAIN_MAX)
		return -EMLINK;
	next = overflow_get_rcu(table);
	if (!next)
		return -ENOSPC;
	added = kc_overflow_bucket(table, next);
	kc_bucket_write_begin(home);
	WRITE_ONCE(added->next, 0);
	WRITE_ONCE(added->slot[0], value);
	WRITE_ONCE(bucket->next, next);
	kc_bucket_write_end(home);
	return 0;
}

/**
 * kc_table_find_last_locked() - find what came last to a chain that is full
 * @table: where
 * @hash: of a key of the chain
 * @found: what kc_table_find_locked() said of the key under this hold of the stripe; out,
 *	the last entry, whatever its key
 *
 * Context: Holds the stripe and an RCU read section.
 */
void kc_table_find_last_locked(struct kc_table *table, u64 hash, struct kcache_found *found)
{
	struct kcache_bucket *last;
	u32 nr;

	kc_table_assert_locked(table, hash);
	last = last_bucket(table, found->home, &nr);
	found->slot = &last->slot[KCACHE_BUCKET_SLOTS - 1];
	found->value = READ_ONCE(*found->slot);
	found->offset = kcache_slot_offset(found->value);
	found->entry = kc_arena_ptr(table->arena, KCACHE_SEGMENTS, found->offset,
				    sizeof(*found->entry));
}

/**
 * kc_table_replace_locked() - let a slot lead to another entry
 * @table: where
 * @hash: of the new entry's key
 * @found: the slot, found under this hold of the stripe
 * @offset: of the new entry, which is complete
 * @frequency: of the new entry
 *
 * Context: Holds the stripe. The old entry is dead afterwards.
 */
void kc_table_replace_locked(struct kc_table *table, u64 hash, struct kcache_found *found,
			     u64 offset, u32 frequency)
{
	kc_table_assert_locked(table, hash);
	kc_bucket_write_begin(found->home);
	WRITE_ONCE(*found->slot, kc_slot_make(hash, offset, frequency));
	kc_bucket_write_end(found->home);
}

/**
 * kc_table_set_frequency_locked() - forget uses, or make some up
 * @table: where
 * @hash: of the key
 * @found: the slot, found under this hold of the stripe
 * @frequency: to set
 *
 * Context: Holds the stripe.
 */
void kc_table_set_frequency_locked(struct kc_table *table, u64 hash,
				   struct kcache_found *found, u32 frequency)
{
	kc_table_assert_locked(table, hash);
	WRITE_ONCE(*found->slot, kc_slot_make(hash, found->offset, frequency));
}

/* The last slot in use of a chain that has more than one bucket moves to @slot. */
void kc_table_shorten_chain_rcu(struct kc_table *table, struct kcache_bucket *home, u64 *slot)
{
	struct kcache_bucket *last = home, *before = NULL;
	u32 emptied = 0;
	int i;

	while (last->next) {
		before = last;
		last = kc_overflow_bucket(table, last->next);
	}
	for (i = 0; i < KCACHE_BUCKET_SLOTS - 1 && READ_ONCE(last->slot[i + 1]); i++)
		;
	kc_bucket_write_begin(home);
	WRITE_ONCE(*slot, READ_ONCE(last->slot[i]));
	WRITE_ONCE(last->slot[i], 0);
	if (i == 0) {
		emptied = before->next;
		WRITE_ONCE(before->next, 0);
	}
	kc_bucket_write_end(home);
	if (emptied)
		overflow_put(table, emptied);
}

/**
 * kc_table_remove_locked() - empty a slot
 * @table: where
 * @hash: of the key
 * @found: the slot, found under this hold of the stripe
 *
 * Context: As kc_table_remove_uncounted_locked().
 */
void kc_table_remove_locked(struct kc_table *table, u64 hash, struct kcache_found *found)
{
	kc_table_remove_uncounted_locked(table, hash, found);
	kc_table_removed(table, 1);
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
		struct kcache_bucket *bucket = kc_overflow_bucket(table, *spare);

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
	struct kcache_entry *entry = kc_arena_ptr(table->arena, KCACHE_SEGMENTS,
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
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++)
			slot[i] = READ_ONCE(bucket->slot[i]);
		next = bucket->next;
		if (index) {
			WRITE_ONCE(bucket->next, *spare);
			*spare = index;
		}
		for (i = 0; i < KCACHE_BUCKET_SLOTS && slot[i]; i++)
			chain_put(table, hash_of_slot(table, slot[i]) & bit ? high : low,
				  slot[i], spare);
		index = next;
		bucket = index ? kc_overflow_bucket(table, index) : NULL;
	} while (bucket);
}

static void put_spares(struct kc_table *table, u32 spare)
{
	while (spare) {
		u32 next = kc_overflow_bucket(table, spare)->next;

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
	if (!kcache_view_bucket(table, KCACHE_BUCKETS, nr) &&
	    kc_arena_populate_locked(table->arena, KCACHE_BUCKETS, nr / buckets_per_block(table),
				     1))
		return -ENOSPC;

	new = kc_home_bucket(table, nr);
	if (!new->seq)
		begin_bucket(new);

	rcu_read_lock();
	kc_table_lock(table, nr);
	old = kc_home_bucket(table, split_partner(nr));
	low = (struct chain_out) { .tail = old };
	high = (struct chain_out) { .tail = new };
	kc_bucket_write_begin(old);
	kc_bucket_write_begin(new);
	chain_distribute(table, old, 1U << ilog2(nr), &low, &high, &spare);
	chain_end(&low);
	chain_end(&high);
	/* A reader that sees the number sees @new odd; pairs with kcache_chain_begin(). */
	set_nr_buckets(table, nr + 1);
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
 * Context: Process context, holds arena->mutex. kc_table_trim() gives the memory
 * back afterwards.
 * Return: 0; -ENOSPC if there is no overflow bucket, which a longer chain
 * may need: kc_table_grow_overflow_locked() helps; or -EMLINK if the chain would be
 * longer than may be.
 */
int kc_table_merge_locked(struct kc_table *table)
{
	u32 nr = table->nr_buckets - 1, nr_old, nr_last, spare = 0;
	struct kcache_bucket *old, *last;
	struct chain_out out;

	lockdep_assert_held(&table->arena->mutex);
	rcu_read_lock();
	kc_table_lock(table, nr);
	old = kc_home_bucket(table, split_partner(nr));
	last = kc_home_bucket(table, nr);
	last_bucket(table, old, &nr_old);
	last_bucket(table, last, &nr_last);
	if (nr_old + nr_last <= KC_CHAIN_MAX)
		spare = overflow_get_rcu(table);
	if (!spare) {
		kc_table_unlock(table, nr);
		rcu_read_unlock();
		return nr_old + nr_last > KC_CHAIN_MAX ? -EMLINK : -ENOSPC;
	}
	WRITE_ONCE(kc_overflow_bucket(table, spare)->next, 0);
	out = (struct chain_out) { .tail = old };
	kc_bucket_write_begin(old);
	kc_bucket_write_begin(last);
	chain_distribute(table, old, 0, &out, &out, &spare);
	chain_distribute(table, last, 0, &out, &out, &spare);
	chain_end(&out);
	clear_slots(last);
	WRITE_ONCE(last->next, 0);
	/* Who misses in @last sees the number change; pairs with kcache_chain_begin(). */
	set_nr_buckets(table, nr);
	kc_bucket_write_end(last);
	kc_bucket_write_end(old);
	kc_table_unlock(table, nr);
	put_spares(table, spare);
	rcu_read_unlock();
	return 0;
}

/* Blocks that a region has from @first on. */
static u32 count_blocks_locked(struct kc_arena *arena, enum kcache_region region, u32 first)
{
	u32 nr = 0;

	while (kc_dir_get(arena, &arena->dir[region], first + nr))
		nr++;
	return nr;
}

/* Blocks behind those that hold @nr buckets. */
static u32 count_spare_locked(struct kc_table *table, enum kcache_region region, u32 nr,
			      u32 *first)
{
	*first = DIV_ROUND_UP(nr, buckets_per_block(table));
	return count_blocks_locked(table->arena, region, *first);
}

static void release_spare_locked(struct kc_table *table, enum kcache_region region, u32 nr)
{
	u32 first, nr_blocks = count_spare_locked(table, region, nr, &first);

	kc_arena_release_locked(table->arena, region, first, nr_blocks);
}

/**
 * kc_table_trim() - give back the memory of merged buckets
 * @table: which
 *
 * Waits for a grace period, so that no reader stands in what goes. Meanwhile the
 * table may grow into it again, and keeps what it took.
 *
 * Context: Process context, does not hold arena->mutex. Neither this nor
 * kc_table_merge_locked() runs at the same time.
 */
void kc_table_trim(struct kc_table *table)
{
	struct mutex *mutex = &table->arena->mutex;
	bool is_any;
	u32 first;

	mutex_lock(mutex);
	spin_lock(&table->overflow_lock);
	if (!table->nr_overflow_used) {
		table->overflow_free = 0;
		table->nr_overflow = 0;
	}
	spin_unlock(&table->overflow_lock);
	is_any = count_spare_locked(table, KCACHE_BUCKETS, table->nr_buckets, &first) ||
		 count_spare_locked(table, KCACHE_OVERFLOW, table->nr_overflow, &first);
	mutex_unlock(mutex);
	if (!is_any)
		return;
	synchronize_rcu();
	mutex_lock(mutex);
	release_spare_locked(table, KCACHE_BUCKETS, table->nr_buckets);
	release_spare_locked(table, KCACHE_OVERFLOW, table->nr_overflow);
	mutex_unlock(mutex);
}

static u64 reverse_bits(u64 v)
{
	return (u64)bitrev32(v) << 32 | bitrev32(v >> 32);
}

/* Enters the entry of @value in @found. False if the slot is void by now. */
static bool hash_of_slot_rcu(struct kc_table *table, u64 value, struct kcache_found *found,
			     u64 *hash)
{
	u64 offset = kcache_slot_offset(value);
	struct kcache_entry *entry = kc_arena_ptr(table->arena, KCACHE_SEGMENTS, offset,
						  sizeof(*entry));
	u16 key_len;

	if (!entry)
		return false;
	key_len = READ_ONCE(entry->key_len);
	if (!kc_arena_ptr(table->arena, KCACHE_SEGMENTS, offset,
			  kcache_entry_value_offset(key_len)))
		return false;
	/* The key may be changing: the seq says later whether it did. */
	*hash = data_race(kc_table_hash(table, (void *)entry + kcache_entry_key_offset(key_len),
					kcache_entry_key_len(key_len)));
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
int kc_table_scan_rcu(struct kc_table *table, u64 *position, struct kcache_found *found)
{
	u64 first = *position, best = U64_MAX, end;
	struct kcache_bucket *bucket;
	struct kcache_found candidate;
	bool is_found = false;
	u64 size;
	u32 next;
	int i;

	if (!kcache_chain_begin(table, reverse_bits(first), &size, &candidate))
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
		if (next && !kcache_found_is_valid(&candidate))
			return -EAGAIN;
		bucket = next ? kcache_view_bucket(table, KCACHE_OVERFLOW, next - 1ULL) : NULL;
	} while (bucket);
	if (READ_ONCE(*table->size) != size || !kcache_found_is_valid(&candidate))
		return -EAGAIN;

	end = first | (U64_MAX >> index_bits(reverse_bits(first), (u32)size));
	*position = is_found ? best + 1 : end + 1;
	if (is_found)
		return 1;
	return *position ? -EAGAIN : 0;
}
