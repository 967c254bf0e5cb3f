// SPDX-License-Identifier: GPL-2.0
#include <pthread.h>

#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "fixture.h"
#include "table.h"
#include "ktap.h"

/* A table and entries for it, without a log: they lie one behind the other. */
static struct kc_arena arena;
static struct kc_table table;
static u64 next_offset;

#define SEGMENT_BYTES	(2 * MiB)
#define NR_MAX		20000

static u64 offset_of[NR_MAX];		/* of the entry with this key; 0: not made */
static bool is_in[NR_MAX];		/* the table */

static void begin(void)
{
	memset(offset_of, 0, sizeof(offset_of));
	memset(is_in, 0, sizeof(is_in));
	shim_seed(42);
	kc_arena_init(&arena, 16 * MiB);
	ASSERT_EQ(kc_table_init(&table, &arena), 0);
	mutex_lock(&arena.mutex);
	ASSERT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 0,
					   SEGMENT_BYTES >> arena.block_shift), 0);
	mutex_unlock(&arena.mutex);
	next_offset = KCACHE_ALIGN;
}

static void end(void)
{
	kc_table_exit(&table);
	kc_arena_exit(&arena);
	rcu_barrier();
	EXPECT_EQ(atomic64_read(&arena.used_bytes), 0);
	EXPECT_EQ(shim_bytes_in_use(), 0);
}

static u64 hash_of(u32 key)
{
	return kc_table_hash(&table, &key, sizeof(key));
}

static struct kcache_entry *entry_at(u64 offset)
{
	struct kcache_entry *entry;

	rcu_read_lock();
	entry = kc_arena_ptr(&arena, KCACHE_SEGMENTS, offset, kcache_entry_size(sizeof(u32), 0));
	rcu_read_unlock();
	ASSERT(entry);
	return entry;
}

static u64 make_entry(u32 key)
{
	struct kcache_entry *entry;
	u32 size = kcache_entry_size(sizeof(key), 0);

	if (-next_offset % kc_block_size(&arena) < size)
		next_offset += -next_offset % kc_block_size(&arena);
	entry = entry_at(next_offset);
	entry->key_len = sizeof(key);
	memcpy(entry->data, &key, sizeof(key));
	offset_of[key] = next_offset;
	next_offset += size;
	return offset_of[key];
}

static int insert(u32 key)
{
	u64 offset = offset_of[key] ? offset_of[key] : make_entry(key);
	struct kcache_found found;
	int err;

	rcu_read_lock();
	kc_table_lock(&table, hash_of(key));
	EXPECT(!kc_table_find_locked(&table, hash_of(key), &key, sizeof(key), &found));
	err = kc_table_insert_locked(&table, hash_of(key), &found, offset, 0);
	kc_table_unlock(&table, hash_of(key));
	rcu_read_unlock();
	is_in[key] |= !err;
	return err;
}

static bool find(u32 key, struct kcache_found *found)
{
	u64 hash = hash_of(key);
	struct kcache_found lockless;
	bool is_there;

	rcu_read_lock();
	is_there = kc_table_find_rcu(&table, hash, &key, sizeof(key), &lockless);
	kc_table_lock(&table, hash);
	EXPECT_EQ(kc_table_find_locked(&table, hash, &key, sizeof(key), found), is_there);
	if (is_there) {
		EXPECT(lockless.slot == found->slot && lockless.seq == found->seq);
		EXPECT(kcache_found_is_valid(&lockless));
		EXPECT_EQ(found->offset, offset_of[key]);
		EXPECT(!memcmp(found->entry->data, &key, sizeof(key)));
	}
	kc_table_unlock(&table, hash);
	rcu_read_unlock();
	return is_there;
}

static bool remove_entry(u32 key)
{
	u64 hash = hash_of(key);
	struct kcache_found found;
	bool is_there;

	rcu_read_lock();
	kc_table_lock(&table, hash);
	is_there = kc_table_find_locked(&table, hash, &key, sizeof(key), &found);
	if (is_there)
		kc_table_remove_locked(&table, hash, &found);
	kc_table_unlock(&table, hash);
	rcu_read_unlock();
	is_in[key] = false;
	return is_there;
}

static int with_mutex(int (*act)(struct kc_table *table))
{
	int err;

	mutex_lock(&arena.mutex);
	err = act(&table);
	mutex_unlock(&arena.mutex);
	return err;
}

static void trim(void)
{
	kc_table_trim(&table);
}

/* Inserts, with what help it needs. */
static void put(u32 key)
{
	if (insert(key) == -ENOSPC) {
		ASSERT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
		ASSERT_EQ(insert(key), 0);
	}
}

static struct kcache_bucket *bucket(enum kcache_region region, u64 index)
{
	struct kcache_bucket *b;

	rcu_read_lock();
	b = kc_arena_ptr(&arena, region, index * sizeof(*b), sizeof(*b));
	rcu_read_unlock();
	return b;
}

static u32 nr_slots(u32 index, u32 *nr_overflow)
{
	struct kcache_bucket *b = bucket(KCACHE_BUCKETS, index);
	bool has_ended = false;
	u32 nr = 0;
	int i;

	EXPECT(!(b->seq & 1));
	for (;;) {
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
			EXPECT(!b->slot[i] || !has_ended);
			has_ended |= !b->slot[i];
			nr += !!b->slot[i];
		}
		if (!b->next)
			return nr;
		EXPECT(!has_ended);
		++*nr_overflow;
		b = bucket(KCACHE_OVERFLOW, b->next - 1);
		EXPECT(b->slot[0]);
	}
}

/* All keys are where they should be, chains are packed, nothing is lost. */
static void check(void)
{
	u32 i, nr_overflow = 0, nr_free = 0, next, slots = 0, in = 0;
	struct kcache_found found;

	for (i = 0; i < NR_MAX; i++) {
		if (offset_of[i])
			EXPECT_EQ(find(i, &found), is_in[i]);
		in += is_in[i];
	}
	for (i = 0; i < table.nr_buckets; i++)
		slots += nr_slots(i, &nr_overflow);
	for (next = table.overflow_free; next; next = bucket(KCACHE_OVERFLOW, next - 1)->next)
		nr_free++;
	EXPECT_EQ(slots, in);
	EXPECT_EQ(percpu_counter_sum(&table.nr_entries), in);
	EXPECT_EQ(table.nr_overflow_used, nr_overflow);
	EXPECT_EQ(table.nr_overflow, nr_overflow + nr_free);
}

/* The next key from @key on whose hash has the low @bits of @low. */
static u32 key_in_bucket(u32 key, u64 low, u64 bits)
{
	while ((hash_of(key) & bits) != low)
		key++;
	ASSERT(key < NR_MAX);
	return key;
}

/* -------- hash and index -------- */

/* From an implementation in Python, with numbers of any size. */
static const struct {
	u32 len;
	u64 hash;
} vectors[] = {
	{ 1, 0x2f4cfcd0ae6bcc83ULL }, { 7, 0xd0603bd2f006869bULL },
	{ 8, 0xced5dc3a9e759efdULL }, { 9, 0x59c35eca500f9a39ULL },
	{ 15, 0xe635f4a6115b05f4ULL }, { 16, 0x61ea25f2c140b2aaULL },
	{ 17, 0xd8005c2a0b314fe8ULL }, { 23, 0x136e4c551647ac06ULL },
	{ 24, 0x17830761f650b516ULL }, { 31, 0xad104e5e6ae801c0ULL },
	{ 32, 0xeac6a6fc77c94041ULL }, { 100, 0x9e76012e8b7db93fULL },
	{ 1023, 0xddf5e1201834f91bULL }, { 1024, 0x760062ee38b1672cULL },
};

/* SplitMix64 from 1, as the vectors have it. */
static void known_secret(u64 secret[KCACHE_HASH_WORDS])
{
	u64 x = 1, z;
	int i;

	for (i = 0; i < KCACHE_HASH_WORDS; i++) {
		z = x += 0x9e3779b97f4a7c15ULL;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
		secret[i] = z ^ z >> 31;
	}
}

KTAP_TEST(the_hash_is_the_known_one_at_any_alignment)
{
	u64 secret[KCACHE_HASH_WORDS];
	u8 text[1024 + 8];
	int i, shift;

	known_secret(secret);
	for (shift = 0; shift < 8; shift++) {
		for (i = 0; i < 1024; i++)
			text[shift + i] = i * 7 + 1;
		for (i = 0; i < ARRAY_SIZE(vectors); i++)
			EXPECT_EQ(kcache_hash(secret, text + shift, vectors[i].len),
				  vectors[i].hash);
	}
}

KTAP_TEST(keys_of_zeros_differ_by_their_length)
{
	static const u8 zeros[1024];
	u64 secret[KCACHE_HASH_WORDS], last = 0;
	int i;

	known_secret(secret);
	for (i = 1; i <= 1024; i++) {
		u64 hash = kcache_hash(secret, zeros, i);

		EXPECT(hash != last);
		last = hash;
	}
}

/* What does not fit in memory that ends with the key must not be read. */
KTAP_TEST(the_hash_reads_no_byte_beside_the_key)
{
	u64 secret[KCACHE_HASH_WORDS];
	u32 len;

	known_secret(secret);
	for (len = 1; len < 64; len++) {
		u8 *exact = malloc(len);

		memset(exact, 'k', len);
		EXPECT(kcache_hash(secret, exact, len));
		free(exact);
	}
}

KTAP_TEST(one_more_bucket_moves_only_what_goes_there)
{
	u32 nr, i;

	for (nr = 1; nr < 3000; nr++) {
		for (i = 0; i < 200; i++) {
			u64 hash = shim_random();
			u32 before = kcache_bucket_index(hash, nr);
			u32 after = kcache_bucket_index(hash, nr + 1);
			u32 partner = nr & ~(1U << ilog2(nr));

			if (!EXPECT(before < nr && after < nr + 1) ||
			    !EXPECT(before == after || (after == nr && before == partner)))
				return;
		}
	}
	EXPECT_EQ(kcache_bucket_index(~0ULL, 1), 0);
	EXPECT_EQ(kcache_bucket_index(~0ULL, 1U << 31), (1U << 31) - 1);
	EXPECT_EQ(kcache_bucket_index(~0ULL, (1U << 31) - 1), (1U << 30) - 1);
}

KTAP_TEST(a_stripe_covers_a_bucket_and_the_one_it_is_split_into)
{
	int i;
	u32 nr;

	begin();
	for (nr = table.nr_stripes; nr < 40 * table.nr_stripes; nr += 7) {
		for (i = 0; i < 50; i++) {
			u64 hash = shim_random();

			EXPECT(kc_table_stripe(&table, hash) ==
			       kc_table_stripe(&table, kcache_bucket_index(hash, nr)));
		}
	}
	end();
}

KTAP_TEST(slots_and_entries_are_laid_out_as_the_contract_says)
{
	EXPECT_EQ(kcache_slot_make(~0ULL, 0), KCACHE_TAG_MASK);
	EXPECT_EQ(kcache_slot_offset(kcache_slot_make(~0ULL, 8192 + 4)), 8192 + 4);
	EXPECT_EQ(kcache_slot_offset(kcache_slot_make(0, KCACHE_SEGMENTS_MAX - 4)),
		  KCACHE_SEGMENTS_MAX - 4);
	EXPECT_EQ(kcache_slot_make(0x123456789abcdef0ULL, 0) & ~KCACHE_TAG_MASK, 0);
	EXPECT_EQ(kcache_entry_size(1, 0), 24);
	EXPECT_EQ(kcache_entry_size(4, 0), 24);
	EXPECT_EQ(kcache_entry_size(4, 1), 28);
	EXPECT_EQ(kcache_entry_size(4 | KCACHE_ENTRY_FLAGS, 0), 28);
	EXPECT_EQ(kcache_entry_size(1024, 16 << 20), 20 + 1024 + (16 << 20));
	EXPECT_EQ(kcache_entry_size(1, ~0U), ((1ULL << 32) - 1 + 21 + 3) / 4 * 4);
	EXPECT_EQ(kcache_entry_key_len(1024 | KCACHE_ENTRY_FLAGS), 1024);
}

/* -------- one bucket -------- */

KTAP_TEST(what_was_inserted_is_found_and_nothing_else)
{
	u32 i;

	begin();
	for (i = 0; i < 300; i += 2)
		put(i);
	for (i = 1; i < 300; i += 2)
		make_entry(i);
	check();
	end();
}

/* Among so many keys, some share bucket and tag; only the key tells them apart. */
KTAP_TEST(a_tag_is_not_taken_for_a_key)
{
	static struct {
		u64 hash;
		u32 key;
	} seen[1 << 20];
	u32 key, nr, a = 0, b = 0;
	u64 mask = KCACHE_TAG_MASK << 2 | 63;
	struct kcache_found found;

	begin();
	/* Not one after the other: the hash spreads those better than by chance. */
	for (nr = 0; !b; nr++) {
		u64 hash = hash_of(key = shim_random()) & mask;
		u32 i = (hash ^ hash >> 42) & ((1 << 20) - 1);

		while (seen[i].hash && seen[i].hash != hash)
			i = (i + 1) & ((1 << 20) - 1);
		if (seen[i].hash && seen[i].key != key) {
			a = seen[i].key;
			b = key;
		}
		seen[i].hash = hash;
		seen[i].key = key;
		ASSERT(nr < 1 << 19);
	}
	memset(seen, 0, sizeof(seen));
	/* Entries of other keys, which the array knows, turned into those that collide. */
	memcpy(entry_at(make_entry(1))->data, &a, 4);
	memcpy(entry_at(make_entry(2))->data, &b, 4);
	rcu_read_lock();
	kc_table_lock(&table, hash_of(a));
	EXPECT(!kc_table_find_locked(&table, hash_of(a), &a, 4, &found));
	EXPECT_EQ(kc_table_insert_locked(&table, hash_of(a), &found, offset_of[1], 0), 0);
	EXPECT(!kc_table_find_locked(&table, hash_of(a), &a, 3, &found));
	EXPECT(!kc_table_find_locked(&table, hash_of(b), &b, 4, &found));
	EXPECT_EQ(kc_table_insert_locked(&table, hash_of(b), &found, offset_of[2], 0), 0);
	EXPECT(kc_table_find_locked(&table, hash_of(b), &b, 4, &found));
	EXPECT_EQ(found.offset, offset_of[2]);
	EXPECT(kc_table_find_offset_locked(&table, hash_of(b), offset_of[2], &found));
	EXPECT_EQ(found.offset, offset_of[2]);
	EXPECT(kc_table_find_locked(&table, hash_of(a), &a, 4, &found));
	EXPECT_EQ(found.offset, offset_of[1]);
	kc_table_remove_locked(&table, hash_of(a), &found);
	EXPECT(!kc_table_find_offset_locked(&table, hash_of(a), offset_of[1], &found));
	EXPECT(kc_table_find_locked(&table, hash_of(b), &b, 4, &found));
	kc_table_unlock(&table, hash_of(a));
	rcu_read_unlock();
	end();
}

KTAP_TEST(a_replaced_slot_leads_to_the_new_entry_only)
{
	u64 hash, old, new;
	struct kcache_found found, lockless;
	u32 key = 5;

	begin();
	put(key);
	old = offset_of[key];
	new = make_entry(key);
	hash = hash_of(key);
	rcu_read_lock();
	EXPECT(kc_table_find_rcu(&table, hash, &key, 4, &lockless));
	kc_table_lock(&table, hash);
	EXPECT(kc_table_find_locked(&table, hash, &key, 4, &found));
	EXPECT_EQ(found.offset, old);
	kc_table_replace_locked(&table, hash, &found, new, 0);
	EXPECT(!kcache_found_is_valid(&lockless));
	EXPECT(kc_table_find_offset_locked(&table, hash, new, &found));
	EXPECT(!kc_table_find_offset_locked(&table, hash, old, &found));
	kc_table_unlock(&table, hash);
	rcu_read_unlock();
	check();
	end();
}

KTAP_TEST(a_full_chain_needs_an_overflow_bucket)
{
	u32 key = 0, i;

	begin();
	for (i = 0; i < KCACHE_BUCKET_SLOTS; i++, key++)
		EXPECT_EQ(insert(key = key_in_bucket(key, 3, 63)), 0);
	key = key_in_bucket(key, 3, 63);
	EXPECT_EQ(insert(key), -ENOSPC);
	check();
	EXPECT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
	EXPECT_EQ(insert(key), 0);
	EXPECT_EQ(table.nr_overflow_used, 1);
	check();
	end();
}

KTAP_TEST(long_chains_shrink_in_any_order_and_give_their_buckets_back)
{
	u32 keys[60], i, n, round, key = 0;
	u64 before;

	begin();
	before = shim_page_bytes_in_use();
	for (i = 0; i < 60; i++, key++)
		keys[i] = key = key_in_bucket(key, 9, 63);
	for (round = 0; round < 40; round++) {
		for (i = 0; i < 60; i++)
			put(keys[i]);
		EXPECT_EQ(table.nr_overflow_used, (60 - 1) / KCACHE_BUCKET_SLOTS);
		for (n = 60; n; n--) {
			i = round == 0 ? 0 : round == 1 ? n - 1 : shim_random() % n;
			EXPECT(remove_entry(keys[i]));
			EXPECT(!remove_entry(keys[i]));
			key = keys[i];
			keys[i] = keys[n - 1];
			keys[n - 1] = key;
			if (round < 3 || n == 30)
				check();
		}
		EXPECT_EQ(table.nr_overflow_used, 0);
	}
	trim();
	EXPECT_EQ(shim_page_bytes_in_use(), before);
	EXPECT_EQ(table.nr_overflow, 0);
	put(keys[0]);
	check();
	end();
}

/* Puts as many keys as may be into a bucket, and says how many they are. */
static u32 flood_bucket(u64 low, u64 bits)
{
	u32 key = 0, n;
	int err;

	for (n = 0;; n++, key++) {
		key = key_in_bucket(key, low, bits);
		err = insert(key);
		if (err == -ENOSPC) {
			ASSERT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
			err = insert(key);
		}
		if (err)
			break;
	}
	EXPECT_EQ(err, -EMLINK);
	return n;
}

KTAP_TEST(a_chain_is_as_long_as_may_be_and_no_longer)
{
	struct kcache_found found;
	u32 key;

	begin();
	EXPECT_EQ(flood_bucket(9, 63), KC_CHAIN_MAX * KCACHE_BUCKET_SLOTS);
	EXPECT_EQ(table.nr_overflow_used, KC_CHAIN_MAX - 1);
	check();
	/* The last that came is the one that is found at its end. */
	for (key = NR_MAX - 1; !is_in[key]; key--)
		;
	rcu_read_lock();
	kc_table_lock(&table, 9);
	EXPECT(kc_table_find_locked(&table, hash_of(key), &key, sizeof(key), &found));
	kc_table_find_last_locked(&table, 9, &found);
	EXPECT_EQ(found.offset, offset_of[key]);
	kc_table_unlock(&table, 9);
	rcu_read_unlock();
	/* With one less there is room for one. */
	EXPECT(remove_entry(key));
	EXPECT_EQ(insert(key), 0);
	check();
	end();
}

KTAP_TEST(a_merge_makes_no_chain_that_is_too_long)
{
	u32 half = KC_CHAIN_MAX / 2 * KCACHE_BUCKET_SLOTS, key, i, nr;

	begin();
	EXPECT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
	EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
	nr = table.nr_buckets;
	for (i = 0, key = 0; i < half; i++, key++)
		EXPECT_EQ(insert(key = key_in_bucket(key, 0, 127)), 0);
	for (i = 0, key = 0; i < half + 1; i++, key++)
		EXPECT_EQ(insert(key = key_in_bucket(key, 64, 127)), 0);
	EXPECT_EQ(with_mutex(kc_table_merge_locked), -EMLINK);
	EXPECT_EQ(table.nr_buckets, nr);
	EXPECT_EQ(table.nr_overflow_used, KC_CHAIN_MAX - 1);
	check();
	/* A bucket less, and it may be. */
	EXPECT(remove_entry(key - 1));
	EXPECT_EQ(with_mutex(kc_table_merge_locked), 0);
	EXPECT_EQ(table.nr_buckets, nr - 1);
	check();
	end();
}

KTAP_TEST(overflow_memory_in_use_is_not_trimmed)
{
	u32 i, key = 0, last;

	begin();
	for (i = 0; i < 9; i++, key++)
		put(last = key = key_in_bucket(key, 0, 63));
	trim();
	EXPECT(table.nr_overflow);
	check();
	EXPECT(remove_entry(last));
	trim();
	EXPECT(table.nr_overflow);
	check();
	end();
}

/* -------- growing and shrinking -------- */

KTAP_TEST(every_split_and_every_merge_keeps_every_key)
{
	u32 i, nr;

	begin();
	nr = table.nr_buckets;
	EXPECT_EQ(nr, table.nr_stripes);
	for (i = 0; i < 1500; i++)
		put(i);
	for (i = 0; i < 5 * nr; i++) {
		EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
		EXPECT_EQ(table.nr_buckets, nr + i + 1);
		if (i % 16 < 2)
			check();
	}
	check();
	while (table.nr_buckets > nr) {
		if (with_mutex(kc_table_merge_locked))
			ASSERT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
		if (table.nr_buckets % 16 < 2)
			check();
	}
	trim();
	check();
	EXPECT(!bucket(KCACHE_BUCKETS, kc_block_size(&arena) / 64));
	/* And up again, over memory that was given back. */
	for (i = 0; i < 9 * nr; i++)
		EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
	check();
	end();
}

KTAP_TEST(a_split_divides_a_long_chain_and_a_merge_joins_it)
{
	u32 key = 0, i, low, high;

	begin();
	for (low = 0; low <= 30; low += 5) {
		for (high = 0; high <= 30; high += 6) {
			for (i = 0, key = 0; i < low; i++, key++)
				put(key = key_in_bucket(key, 0, 127));
			for (i = 0, key = 0; i < high; i++, key++)
				put(key = key_in_bucket(key, 64, 127));
			EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
			check();
			if (with_mutex(kc_table_merge_locked)) {
				ASSERT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
				EXPECT_EQ(with_mutex(kc_table_merge_locked), 0);
			}
			check();
			for (i = 0; i < NR_MAX; i++)
				if (is_in[i])
					remove_entry(i);
		}
	}
	EXPECT_EQ(table.nr_overflow_used, 0);
	end();
}

KTAP_TEST(a_merge_wants_a_spare_overflow_bucket)
{
	begin();
	EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
	EXPECT_EQ(with_mutex(kc_table_merge_locked), -ENOSPC);
	EXPECT_EQ(table.nr_buckets, table.nr_stripes + 1);
	EXPECT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
	EXPECT_EQ(with_mutex(kc_table_merge_locked), 0);
	check();
	end();
}

KTAP_TEST(the_table_wants_to_grow_over_five_a_bucket_and_to_shrink_under_one)
{
	u32 i, limit;

	begin();
	limit = table.nr_buckets * KC_TABLE_LOAD;
	shim_set_cpu(0);	/* one CPU, whose counter is off by less than a batch */
	for (i = 0; i <= limit; i++) {
		EXPECT(!kc_table_wants_split(&table));
		put(i);
	}
	for (; i <= limit + 33; i++)
		put(i);
	EXPECT(kc_table_wants_split(&table));
	EXPECT(!kc_table_wants_merge(&table));
	for (i = 0; i < limit; i++)
		remove_entry(i);
	EXPECT(!kc_table_wants_merge(&table));	/* it is as small as can be */
	EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
	EXPECT(kc_table_wants_merge(&table));
	end();
}

KTAP_TEST(without_memory_the_table_stays_as_it_is)
{
	u32 nr, per_block;
	int i;

	begin();
	per_block = kc_block_size(&arena) / 64;
	for (i = 0; i < 500; i++)
		put(i);
	while (table.nr_buckets < per_block)
		EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
	nr = table.nr_buckets;
	shim_fail_allocs(1, 1);
	EXPECT_EQ(with_mutex(kc_table_split_locked), -ENOSPC);
	EXPECT(shim_fail_end());
	EXPECT_EQ(table.nr_buckets, nr);
	shim_fail_allocs(1, 1);
	EXPECT_EQ(with_mutex(kc_table_grow_overflow_locked), -ENOSPC);
	EXPECT(shim_fail_end());
	check();
	EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
	check();
	end();
}

KTAP_TEST(a_table_that_cannot_be_set_up_leaves_nothing)
{
	int nth, err;

	for (nth = 1; ; nth++) {
		kc_arena_init(&arena, MiB);
		shim_fail_allocs(nth, 1);
		err = kc_table_init(&table, &arena);
		if (!shim_fail_end())
			break;
		EXPECT_EQ(err, -ENOSPC);
		kc_arena_exit(&arena);
		EXPECT_EQ(atomic64_read(&arena.used_bytes), 0);
		EXPECT_EQ(shim_bytes_in_use(), 0);
	}
	EXPECT_EQ(err, 0);
	EXPECT(nth > 3);
	end();
}

/* -------- readers and writers at once -------- */

static void split_once(void *arg)
{
	EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
}

static void merge_once(void *arg)
{
	EXPECT_EQ(with_mutex(kc_table_merge_locked), 0);
}

KTAP_TEST(a_key_that_a_split_moves_under_a_reader_is_found)
{
	u32 key, point;

	begin();
	for (point = 0; point < 2; point++) {
		u32 nr = table.nr_buckets;
		struct kcache_found found;

		/* It will move to the new bucket. */
		key = key_in_bucket(100 * (point + 1), nr, 127);
		put(key);
		rcu_read_lock();
		shim_hook(SHIM_AT_RECHECK, 1 + point, split_once, NULL);
		EXPECT(kc_table_find_rcu(&table, hash_of(key), &key, 4, &found));
		shim_unhook();
		rcu_read_unlock();
	}
	end();
}

/* In a bucket that is not its any more, and does not change from then on. */
KTAP_TEST(a_key_that_moves_before_the_bucket_is_looked_at_is_found)
{
	struct kcache_found found;
	u32 key, nth, calls = 0;

	begin();
	EXPECT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
	key = key_in_bucket(0, 64, 127);
	put(key);
	for (nth = 1; nth <= 6; nth++) {
		rcu_read_lock();
		shim_hook(SHIM_AT_ACQUIRE, nth, nth & 1 ? split_once : merge_once, NULL);
		EXPECT(kc_table_find_rcu(&table, hash_of(key), &key, 4, &found));
		EXPECT(kc_table_find_rcu(&table, hash_of(key), &key, 4, &found));
		shim_unhook();
		calls += shim_hook_calls(SHIM_AT_ACQUIRE);
		EXPECT(kc_table_find_rcu(&table, hash_of(key), &key, 4, &found));
		EXPECT(found.home == bucket(KCACHE_BUCKETS, table.nr_buckets == 65 ? 64 : 0));
		rcu_read_unlock();
		if (table.nr_buckets == 64 && nth & 1)
			split_once(NULL);
		if (table.nr_buckets == 65 && !(nth & 1))
			merge_once(NULL);
	}
	EXPECT(calls >= 4);
	check();
	end();
}

/* The miss is complete, but for the last look at the number of buckets. */
KTAP_TEST(a_miss_while_the_table_grows_or_shrinks_is_not_believed)
{
	struct kcache_found found;
	u32 key, absent;

	begin();
	EXPECT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
	key = key_in_bucket(0, 64, 127);
	absent = key_in_bucket(key + 1, 64, 127);
	put(key);
	rcu_read_lock();
	shim_hook(SHIM_AT_RECHECK, 1, split_once, NULL);
	EXPECT(!kc_table_find_rcu(&table, hash_of(absent), &absent, 4, &found));
	EXPECT_EQ(shim_hook_calls(SHIM_AT_RECHECK), 1);
	EXPECT(kc_table_find_rcu(&table, hash_of(key), &key, 4, &found));
	shim_hook(SHIM_AT_RECHECK, 1, merge_once, NULL);
	EXPECT(!kc_table_find_rcu(&table, hash_of(absent), &absent, 4, &found));
	EXPECT(kc_table_find_rcu(&table, hash_of(key), &key, 4, &found));
	EXPECT(found.home == bucket(KCACHE_BUCKETS, 0));
	shim_unhook();
	rcu_read_unlock();
	check();
	end();
}

static int odd_since;	/* atomic */

static void *hold_bucket_odd(void *key)
{
	u64 hash = hash_of(*(u32 *)key);
	u32 index = kcache_bucket_index(hash, table.nr_buckets);
	struct kcache_bucket *home = bucket(KCACHE_BUCKETS, index);

	kc_table_lock(&table, hash);
	kc_bucket_write_begin(home);
	WRITE_ONCE(odd_since, 1);
	usleep(20000);
	kc_bucket_write_end(home);
	kc_table_unlock(&table, hash);
	return NULL;
}

KTAP_TEST(a_reader_does_not_spin_for_ever_on_a_bucket_that_is_written)
{
	struct kcache_found found;
	pthread_t thread;
	u32 key = 7;

	begin();
	put(key);
	WRITE_ONCE(odd_since, 0);
	ASSERT(!pthread_create(&thread, NULL, hold_bucket_odd, &key));
	while (!READ_ONCE(odd_since))
		usleep(100);
	rcu_read_lock();
	EXPECT(kc_table_find_rcu(&table, hash_of(key), &key, 4, &found));
	EXPECT(kcache_found_is_valid(&found));
	rcu_read_unlock();
	pthread_join(thread, NULL);
	end();
}

static void *trim_elsewhere(void *is_done)
{
	trim();
	WRITE_ONCE(*(int *)is_done, 1);
	return NULL;
}

KTAP_TEST(trimming_waits_for_readers_of_what_it_frees)
{
	struct kcache_bucket *overflow, *merged;
	u32 i, key = 0, last, per_block;
	int is_done = 0;
	pthread_t thread;

	begin();
	per_block = kc_block_size(&arena) / 64;
	EXPECT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
	for (i = 0; i < 8; i++, key++)
		put(last = key = key_in_bucket(key, 0, 63));
	while (table.nr_buckets <= per_block)
		EXPECT_EQ(with_mutex(kc_table_split_locked), 0);
	while (table.nr_buckets > table.nr_stripes)
		EXPECT_EQ(with_mutex(kc_table_merge_locked), 0);
	overflow = bucket(KCACHE_OVERFLOW, bucket(KCACHE_BUCKETS, 0)->next - 1);
	merged = bucket(KCACHE_BUCKETS, per_block);
	ASSERT(overflow && merged);
	rcu_read_lock();
	remove_entry(last);
	ASSERT(!pthread_create(&thread, NULL, trim_elsewhere, &is_done));
	usleep(20000);
	EXPECT(!READ_ONCE(is_done));
	EXPECT(!READ_ONCE(overflow->slot[0]));	/* faults if it is gone */
	EXPECT(!READ_ONCE(merged->slot[0]));
	rcu_read_unlock();
	pthread_join(thread, NULL);
	EXPECT_EQ(table.nr_overflow, 0);
	EXPECT(!bucket(KCACHE_BUCKETS, per_block));
	end();
}

/* -------- scanning -------- */

static u32 seen[NR_MAX];

/* One step of a scan: 1 and the key, 0 at the end. */
static int scan(u64 *position, u32 *key)
{
	struct kcache_found found;
	int err, tries = 0;

	do {
		u64 next = *position;

		rcu_read_lock();
		err = kc_table_scan_rcu(&table, &next, &found);
		if (err == 1) {
			memcpy(key, found.entry->data, sizeof(*key));
			if (!kcache_found_is_valid(&found)) {
				rcu_read_unlock();
				err = -EAGAIN;
				continue;
			}
		}
		rcu_read_unlock();
		*position = next;
		ASSERT(err == 1 || err == 0 || err == -EAGAIN);
		ASSERT(++tries < 100000);
	} while (err == -EAGAIN);
	return err;
}

KTAP_TEST(a_scan_of_an_empty_table_ends)
{
	u64 position = 0;
	u32 key;

	begin();
	EXPECT_EQ(scan(&position, &key), 0);
	EXPECT_EQ(position, 0);
	end();
}

KTAP_TEST(a_scan_meets_each_entry_once_in_order)
{
	u64 position = 0, before = 0;
	u32 key, nr = 0, i;

	begin();
	memset(seen, 0, sizeof(seen));
	for (i = 0; i < 3000; i++) {
		put(i);
		if (kc_table_wants_split(&table))
			with_mutex(kc_table_split_locked);
	}
	while (scan(&position, &key)) {
		EXPECT(position > before || !position);
		before = position;
		EXPECT_EQ(seen[key]++, 0);
		nr++;
		if (!position)
			break;
	}
	EXPECT_EQ(nr, 3000);
	end();
}

/* Keys below 1000 stay; what else happens between two steps is up to chance. */
KTAP_TEST(a_scan_meets_what_stays_exactly_once_however_the_table_changes)
{
	u32 key, i, round, start_nr;

	begin();
	ASSERT_EQ(with_mutex(kc_table_grow_overflow_locked), 0);
	start_nr = table.nr_buckets;
	for (i = 0; i < 1000; i++)
		put(i);
	for (round = 0; round < 60; round++) {
		u64 position = 0;
		bool grows = round & 1;

		memset(seen, 0, sizeof(seen));
		while (scan(&position, &key)) {
			seen[key]++;
			if (!position)
				break;
			for (i = shim_random() % 6; i; i--) {
				u32 other = 1000 + shim_random() % 1000;

				if (is_in[other])
					remove_entry(other);
				else
					put(other);
				if (grows)
					with_mutex(kc_table_split_locked);
				else if (table.nr_buckets > start_nr)
					with_mutex(kc_table_merge_locked);
			}
		}
		for (i = 0; i < 1000; i++)
			if (!EXPECT_EQ(seen[i], 1))
				break;
	}
	check();
	end();
}

KTAP_MAIN
