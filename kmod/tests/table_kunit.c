// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_table: chains, splits and merges, with readers that take no lock.
 *
 * The entries lie where they like, without a log: the one of number n at 32 * (n + 1).
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "helpers.h"
#include "table.h"

#define ENTRY_BYTES	32U

struct rig {
	struct kunit *test;
	struct kc_arena arena;
	struct kc_table table;
	u32 nr_ids;
};

static u64 offset_of(u32 id)
{
	return (id + 1ULL) * ENTRY_BYTES;
}

static struct kcache_entry *entry_of(struct rig *rig, u32 id)
{
	return kc_arena_ptr(&rig->arena, KCACHE_SEGMENTS, offset_of(id), ENTRY_BYTES);
}

static void write_entries(struct rig *rig)
{
	u32 id;

	rcu_read_lock();
	for (id = 0; id < rig->nr_ids; id++) {
		struct kcache_entry *entry = entry_of(rig, id);

		entry->key_len = sizeof(id);
		memcpy(entry->data, &id, sizeof(id));
	}
	rcu_read_unlock();
}

static void rig_exit(void *context)
{
	struct rig *rig = context;

	kt_check_table(rig->test, &rig->table);
	synchronize_rcu();
	kc_table_exit(&rig->table);
	kc_arena_exit(&rig->arena);
	KUNIT_EXPECT_EQ(rig->test, atomic64_read(&rig->arena.used_bytes), 0);
}

/* A table that is empty, and entries 0..@nr_ids - 1 to put into it. */
static struct rig *new_rig(struct kunit *test, u32 nr_ids)
{
	struct rig *rig = kunit_kzalloc(test, sizeof(*rig), GFP_KERNEL);
	int err;

	KUNIT_ASSERT_NOT_NULL(test, rig);
	rig->test = test;
	rig->nr_ids = nr_ids;
	kc_arena_init(&rig->arena, 8 << 20);
	KUNIT_ASSERT_EQ(test, kc_table_init(&rig->table, &rig->arena), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, rig_exit, rig), 0);
	mutex_lock(&rig->arena.mutex);
	err = kc_arena_populate_locked(&rig->arena, KCACHE_SEGMENTS, 0,
				       offset_of(nr_ids) / kc_block_size(&rig->arena) + 1);
	mutex_unlock(&rig->arena.mutex);
	KUNIT_ASSERT_EQ(test, err, 0);
	write_entries(rig);
	return rig;
}

static u64 hash_of(struct rig *rig, u32 id)
{
	return kc_table_hash(&rig->table, &id, sizeof(id));
}

static int grow_overflow(struct rig *rig)
{
	int err;

	mutex_lock(&rig->arena.mutex);
	err = kc_table_grow_overflow_locked(&rig->table);
	mutex_unlock(&rig->arena.mutex);
	return err;
}

/* Puts the entry in; more overflow buckets come as needed. */
static int link_id(struct rig *rig, u32 id)
{
	u64 hash = hash_of(rig, id);
	struct kcache_found found;
	int err;

	do {
		rcu_read_lock();
		kc_table_lock(&rig->table, hash);
		kc_table_find_locked(&rig->table, hash, &id, sizeof(id), &found);
		err = kc_table_insert_locked(&rig->table, hash, &found, offset_of(id), 0);
		kc_table_unlock(&rig->table, hash);
		rcu_read_unlock();
	} while (err == -ENOSPC && !grow_overflow(rig));
	return err;
}

static bool unlink_id(struct rig *rig, u32 id)
{
	u64 hash = hash_of(rig, id);
	struct kcache_found found;
	bool is_there;

	rcu_read_lock();
	kc_table_lock(&rig->table, hash);
	is_there = kc_table_find_locked(&rig->table, hash, &id, sizeof(id), &found);
	if (is_there)
		kc_table_remove_locked(&rig->table, hash, &found);
	kc_table_unlock(&rig->table, hash);
	rcu_read_unlock();
	return is_there;
}

static bool is_there(struct rig *rig, u32 id)
{
	struct kcache_found found;
	bool yes;

	rcu_read_lock();
	yes = kc_table_find_rcu(&rig->table, hash_of(rig, id), &id, sizeof(id), &found) &&
	      found.offset == offset_of(id);
	rcu_read_unlock();
	return yes;
}

static int step(struct rig *rig, int (*split_or_merge)(struct kc_table *table))
{
	int err;

	mutex_lock(&rig->arena.mutex);
	while ((err = split_or_merge(&rig->table)) == -ENOSPC)
		if (kc_table_grow_overflow_locked(&rig->table))
			break;
	mutex_unlock(&rig->arena.mutex);
	return err;
}

static int resize_to(struct rig *rig, u32 nr_buckets)
{
	int err = 0;

	while (!err && rig->table.nr_buckets < nr_buckets)
		err = step(rig, kc_table_split_locked);
	while (!err && rig->table.nr_buckets > nr_buckets)
		err = step(rig, kc_table_merge_locked);
	return err;
}

/* Finds @nr ids whose bucket is @index when there are @nr_buckets. */
static void ids_of_chain(struct kunit *test, struct rig *rig, u32 index, u32 nr_buckets,
			 u32 *ids, int nr)
{
	u32 id;

	for (id = 0; id < rig->nr_ids && nr; id++)
		if (kcache_bucket_index(hash_of(rig, id), nr_buckets) == index)
			ids[--nr] = id;
	KUNIT_ASSERT_EQ(test, nr, 0);
}

static void expect_there(struct kunit *test, struct rig *rig, const u32 *ids, int nr)
{
	int i, missing = 0;

	for (i = 0; i < nr; i++)
		missing += !is_there(rig, ids[i]);
	KUNIT_EXPECT_EQ(test, missing, 0);
}

static void link_all(struct kunit *test, struct rig *rig, const u32 *ids, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		KUNIT_ASSERT_EQ(test, link_id(rig, ids[i]), 0);
}

static void entries_are_found_until_they_are_removed(struct kunit *test)
{
	struct rig *rig = new_rig(test, 3000);
	u32 id, wrong = 0;

	for (id = 0; id < 3000; id++) {
		KUNIT_ASSERT_EQ(test, link_id(rig, id), 0);
		while (kc_table_wants_split(&rig->table))
			KUNIT_ASSERT_EQ(test, step(rig, kc_table_split_locked), 0);
	}
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 3000);
	for (id = 0; id < 3000; id++)
		wrong += !is_there(rig, id);
	KUNIT_EXPECT_EQ(test, wrong, 0);

	for (id = 0; id < 3000; id += 3)
		KUNIT_EXPECT_TRUE(test, unlink_id(rig, id));
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 2000);
	for (id = 0; id < 3000; id++)
		wrong += is_there(rig, id) != !!(id % 3);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void full_chain_is_enospc_until_there_are_overflow_buckets(struct kunit *test)
{
	struct rig *rig = new_rig(test, 2000);
	struct kcache_found found;
	u64 hash;
	u32 ids[8];
	int err;

	ids_of_chain(test, rig, 9, rig->table.nr_buckets, ids, 8);
	link_all(test, rig, ids, 7);
	hash = hash_of(rig, ids[7]);
	rcu_read_lock();
	kc_table_lock(&rig->table, hash);
	kc_table_find_locked(&rig->table, hash, &ids[7], sizeof(ids[7]), &found);
	err = kc_table_insert_locked(&rig->table, hash, &found, offset_of(ids[7]), 0);
	kc_table_unlock(&rig->table, hash);
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, err, -ENOSPC);
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 7);
	KUNIT_EXPECT_EQ(test, link_id(rig, ids[7]), 0);	/* which brings some in */
	expect_there(test, rig, ids, 8);
	KUNIT_EXPECT_EQ(test, rig->table.nr_overflow_used, 1);
}

static void removes_in_any_order_keep_a_chain_packed(struct kunit *test)
{
	struct rig *rig = new_rig(test, 4000);
	struct rnd_state rnd;
	u32 ids[30];
	int nr, at;

	prandom_seed_state(&rnd, 7);
	ids_of_chain(test, rig, 3, rig->table.nr_buckets, ids, 30);
	link_all(test, rig, ids, 30);
	KUNIT_EXPECT_EQ(test, rig->table.nr_overflow_used, 4);
	for (nr = 30; nr > 0; nr--) {
		at = prandom_u32_state(&rnd) % nr;
		KUNIT_EXPECT_TRUE(test, unlink_id(rig, ids[at]));
		KUNIT_EXPECT_FALSE(test, is_there(rig, ids[at]));
		ids[at] = ids[nr - 1];
		KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), nr - 1);
		expect_there(test, rig, ids, nr - 1);
	}
	KUNIT_EXPECT_EQ(test, rig->table.nr_overflow_used, 0);
}

/*
 * Regression: a bucket came back from the free list with the slots it had there
 * when it went, and so entries of one chain were in another.
 */
static void recycled_overflow_bucket_brings_no_slots_along(struct kunit *test)
{
	struct rig *rig = new_rig(test, 20000);
	u32 nr = rig->table.nr_stripes, a[28], b[28];
	int i;

	ids_of_chain(test, rig, 1, 4 * nr, a, 28);
	for (i = 0; i < 4; i++)		/* one chain now, four that need no overflow then */
		ids_of_chain(test, rig, 2 + i * nr, 4 * nr, b + 7 * i, 7);

	/* Freed by removal. */
	link_all(test, rig, a, 28);
	for (i = 0; i < 28; i++)
		unlink_id(rig, a[i]);
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 0);
	link_all(test, rig, b, 8);	/* one slot in the recycled bucket */
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 8);

	/* Freed by splits, full as they were. */
	link_all(test, rig, b + 8, 20);
	KUNIT_EXPECT_EQ(test, rig->table.nr_overflow_used, 3);
	KUNIT_EXPECT_EQ(test, resize_to(rig, 4 * nr), 0);
	KUNIT_EXPECT_EQ(test, rig->table.nr_overflow_used, 0);
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 28);
	for (i = 0; i < 28; i++) {
		KUNIT_ASSERT_EQ(test, link_id(rig, a[i]), 0);
		KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 28 + i + 1);
	}
	expect_there(test, rig, a, 28);

	/* Taken by merges, which give back the one that they took to be safe. */
	KUNIT_EXPECT_EQ(test, resize_to(rig, nr), 0);
	KUNIT_EXPECT_EQ(test, rig->table.nr_overflow_used, 6);
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 56);
	for (i = 0; i < 28; i++)
		unlink_id(rig, b[i]);
	link_all(test, rig, b, 15);
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &rig->table), 43);
	expect_there(test, rig, a, 28);
	expect_there(test, rig, b, 15);
}

static void replaced_slot_leads_to_the_new_entry(struct kunit *test)
{
	struct rig *rig = new_rig(test, 10);
	u64 hash = hash_of(rig, 4);
	struct kcache_found found, ignored;
	bool was_there, is_valid, is_old_there, is_new_there;
	u32 id = 4;

	KUNIT_ASSERT_EQ(test, link_id(rig, id), 0);
	rcu_read_lock();
	memcpy(entry_of(rig, 9), entry_of(rig, id), ENTRY_BYTES);
	kc_table_lock(&rig->table, hash);
	was_there = kc_table_find_locked(&rig->table, hash, &id, sizeof(id), &found);
	kc_table_replace_locked(&rig->table, hash, &found, offset_of(9), 0);
	is_valid = kcache_found_is_valid(&found);
	is_old_there = kc_table_find_offset_locked(&rig->table, hash, offset_of(id), &ignored);
	is_new_there = kc_table_find_offset_locked(&rig->table, hash, offset_of(9), &ignored);
	kc_table_unlock(&rig->table, hash);
	rcu_read_unlock();
	KUNIT_EXPECT_TRUE(test, was_there);
	KUNIT_EXPECT_FALSE(test, is_valid);
	KUNIT_EXPECT_FALSE(test, is_old_there);
	KUNIT_EXPECT_TRUE(test, is_new_there);
	KUNIT_EXPECT_FALSE(test, is_there(rig, id));
}

/* Links @offset as if its entry had the hash of @id. */
static bool find_with_strange_slot(struct rig *rig, u32 id, u64 offset)
{
	u64 hash = hash_of(rig, id);
	struct kcache_found found;
	bool yes;

	rcu_read_lock();
	kc_table_lock(&rig->table, hash);
	kc_table_find_locked(&rig->table, hash, &id, sizeof(id), &found);
	kc_table_insert_locked(&rig->table, hash, &found, offset, 0);
	kc_table_unlock(&rig->table, hash);
	yes = kc_table_find_rcu(&rig->table, hash, &id, sizeof(id), &found);
	kc_table_lock(&rig->table, hash);
	found.home = kc_arena_ptr(&rig->arena, KCACHE_BUCKETS,
				  64ULL * kcache_bucket_index(hash, rig->table.nr_buckets), 64);
	found.slot = &found.home->slot[0];
	kc_table_remove_locked(&rig->table, hash, &found);
	kc_table_unlock(&rig->table, hash);
	rcu_read_unlock();
	return yes;
}

static void slot_is_not_believed(struct kunit *test)
{
	struct rig *rig = new_rig(test, 10);
	struct kcache_entry *last;
	u64 end = 0;

	KUNIT_EXPECT_TRUE(test, find_with_strange_slot(rig, 5, offset_of(5)));
	/* The same tag, another key. */
	KUNIT_EXPECT_FALSE(test, find_with_strange_slot(rig, 5, offset_of(6)));
	/* A hole, and the end of the region. */
	KUNIT_EXPECT_FALSE(test, find_with_strange_slot(rig, 5, 1 << 30));
	KUNIT_EXPECT_FALSE(test, find_with_strange_slot(rig, 5, KCACHE_SEGMENTS_MAX - 4));
	/* A header over the end of the block, and a key over it. */
	end = kc_block_size(&rig->arena);
	KUNIT_EXPECT_FALSE(test, find_with_strange_slot(rig, 5, end - 16));
	rcu_read_lock();
	last = kc_arena_ptr(&rig->arena, KCACHE_SEGMENTS, end - 20, 20);
	last->key_len = sizeof(u32);
	rcu_read_unlock();
	KUNIT_EXPECT_FALSE(test, find_with_strange_slot(rig, 5, end - 20));
	/* Nothing was written there. */
	KUNIT_EXPECT_FALSE(test, find_with_strange_slot(rig, 5, offset_of(20)));
}

static void merged_buckets_give_their_memory_back(struct kunit *test)
{
	struct rig *rig = new_rig(test, 2000);
	struct kc_table *table = &rig->table;
	u64 before, dir;
	u32 id;

	KUNIT_ASSERT_EQ(test, resize_to(rig, 4000), 0);	/* the directory has grown */
	for (id = 0; id < 2000; id++)
		KUNIT_ASSERT_EQ(test, link_id(rig, id), 0);
	before = atomic64_read(&rig->arena.used_bytes);
	KUNIT_ASSERT_EQ(test, resize_to(rig, table->nr_stripes), 0);
	for (id = 0; id < 2000; id++)
		unlink_id(rig, id);
	KUNIT_EXPECT_EQ(test, table->nr_overflow_used, 0);
	dir = atomic64_read(&rig->arena.used_bytes);
	kc_table_trim(table);
	mutex_lock(&rig->arena.mutex);
	KUNIT_EXPECT_NULL(test, kc_arena_block(&rig->arena, KCACHE_OVERFLOW, 0));
	KUNIT_EXPECT_NULL(test, kc_arena_block(&rig->arena, KCACHE_BUCKETS,
					       kc_block_size(&rig->arena)));
	mutex_unlock(&rig->arena.mutex);
	KUNIT_EXPECT_GT(test, dir, before);
	KUNIT_EXPECT_LT(test, atomic64_read(&rig->arena.used_bytes), before);
	KUNIT_EXPECT_EQ(test, table->nr_overflow, 0);
	/* And it all works again. */
	for (id = 0; id < 2000; id++)
		KUNIT_ASSERT_EQ(test, link_id(rig, id), 0);
	KUNIT_EXPECT_EQ(test, kt_check_table(test, table), 2000);
}

static void table_over_the_limit_is_enospc_and_in_order(struct kunit *test)
{
	struct rig *rig = new_rig(test, 2000);
	struct kc_table *table = &rig->table;
	u64 rest;
	int err;
	u32 id;

	for (id = 0; id < 2000; id++)
		KUNIT_ASSERT_EQ(test, link_id(rig, id), 0);
	rest = rig->arena.max_bytes - atomic64_read(&rig->arena.used_bytes);
	KUNIT_ASSERT_EQ(test, kc_arena_charge(&rig->arena, rest), 0);
	mutex_lock(&rig->arena.mutex);
	while (!(err = kc_table_split_locked(table)))	/* while there is memory left */
		;
	KUNIT_EXPECT_EQ(test, err, -ENOSPC);
	KUNIT_EXPECT_EQ(test, kc_table_grow_overflow_locked(table), -ENOSPC);
	mutex_unlock(&rig->arena.mutex);
	KUNIT_EXPECT_EQ(test, kt_check_table(test, table), 2000);
	kc_arena_uncharge(&rig->arena, rest);
	KUNIT_EXPECT_EQ(test, step(rig, kc_table_split_locked), 0);
}

/* -------- scans -------- */

/* Goes through the table; @met has a bit for each id. Returns how many were met twice. */
static int scan(struct rig *rig, unsigned long *met, void (*disturb)(struct rig *rig))
{
	struct kcache_found found;
	u64 position = 0;
	u32 id, twice = 0;
	int err;

	do {
		u64 next = position;

		rcu_read_lock();
		err = kc_table_scan_rcu(&rig->table, &next, &found);
		id = err == 1 ? (found.offset / ENTRY_BYTES) - 1 : 0;
		if (err == 1 && !kcache_found_is_valid(&found))
			err = -EINTR;
		rcu_read_unlock();
		if (err == 1 && __test_and_set_bit(id, met))
			twice++;
		if (err != -EINTR)
			position = next;
		if (disturb)
			disturb(rig);
		cond_resched();
	} while (err && !(err == 1 && !position));
	return twice;
}

static void split_once(struct rig *rig)
{
	if (rig->table.nr_buckets < 3000)
		step(rig, kc_table_split_locked);
}

static void merge_once(struct rig *rig)
{
	if (rig->table.nr_buckets > rig->table.nr_stripes)
		step(rig, kc_table_merge_locked);
}

static void split_or_merge(struct rig *rig)
{
	if (get_random_u32_below(2))
		split_once(rig);
	else
		merge_once(rig);
}

static void scan_meets_each_entry_once_whatever_the_table_does(struct kunit *test)
{
	static void (* const disturbances[])(struct rig *rig) = {
		NULL, split_once, merge_once, split_or_merge,
	};
	struct rig *rig = new_rig(test, 1500);
	unsigned long *met = kunit_kcalloc(test, BITS_TO_LONGS(1500), sizeof(long), GFP_KERNEL);
	u32 id;
	int i;

	for (id = 0; id < 1500; id++)
		KUNIT_ASSERT_EQ(test, link_id(rig, id), 0);
	for (i = 0; i < ARRAY_SIZE(disturbances); i++) {
		bitmap_zero(met, 1500);
		KUNIT_EXPECT_EQ(test, scan(rig, met, disturbances[i]), 0);
		KUNIT_EXPECT_EQ(test, bitmap_weight(met, 1500), 1500);
	}
}

/* -------- threads -------- */

#define STEADY	1000	/* ids below it stay; the others come and go */
#define ALL	2000

static int split_and_merge(struct kt_hand *hand)
{
	struct rig *rig = hand->arg;
	u32 low = rig->table.nr_stripes;
	int round, err = 0;

	kt_be_urgent();
	for (round = 0; round < 12 && !err; round++) {
		err = resize_to(rig, low + 1 + kt_random(hand, 10 * low));
		if (!err)
			err = resize_to(rig, low + kt_random(hand, low));
		kc_table_trim(&rig->table);
	}
	return err;
}

static int come_and_go(struct kt_hand *hand)
{
	struct rig *rig = hand->arg;
	u32 i, id;

	/* Each writer has ids of its own. */
	for (i = 0; i < 20000; i++) {
		id = STEADY + 2 * kt_random(hand, (ALL - STEADY) / 2) + (hand->id & 1);
		if (unlink_id(rig, id))
			continue;
		if (link_id(rig, id))
			return kt_wrong(hand, "%u does not go in", id);
		if (!is_there(rig, id))
			return kt_wrong(hand, "%u is not there", id);
	}
	return 0;
}

static int find_steady(struct kt_hand *hand)
{
	struct rig *rig = hand->arg;
	u32 i, id;

	for (i = 0; i < 30000; i++) {
		id = kt_random(hand, STEADY);
		if (!is_there(rig, id))
			return kt_wrong(hand, "%u was missed", id);
	}
	return 0;
}

static int scan_steady(struct kt_hand *hand)
{
	struct rig *rig = hand->arg;
	unsigned long *met = bitmap_zalloc(ALL, GFP_KERNEL);
	u32 round, missed;

	for (round = 0; round < 5 && !hand->is_wrong; round++) {
		bitmap_zero(met, ALL);
		scan(rig, met, NULL);
		missed = STEADY - bitmap_weight(met, STEADY);
		if (missed)
			kt_wrong(hand, "%u of %u were missed", missed, STEADY);
	}
	bitmap_free(met);
	return 0;
}

static void readers_and_scans_miss_nothing_while_the_table_changes(struct kunit *test)
{
	struct rig *rig = new_rig(test, ALL);
	u32 id;

	for (id = 0; id < STEADY; id++)
		KUNIT_ASSERT_EQ(test, link_id(rig, id), 0);
	kt_crew(test, rig, come_and_go, come_and_go, split_and_merge, find_steady, scan_steady);
	KUNIT_EXPECT_GE(test, kt_check_table(test, &rig->table), STEADY);
}

/*
 * A long chain whose overflow buckets go all at once, so that there is memory to
 * trim at a moment that readers do not choose.
 */
struct chain {
	struct rig *rig;
	atomic_t is_done;
	u32 ids[20];
};

static int fill_empty_and_trim(struct kt_hand *hand)
{
	struct chain *chain = hand->arg;
	struct rig *rig = chain->rig;
	int round, i;

	kt_be_urgent();
	for (round = 0; round < 25; round++) {
		for (i = 0; i < ARRAY_SIZE(chain->ids); i++)
			if (link_id(rig, chain->ids[i]))
				return kt_wrong(hand, "does not go in");
		usleep_range(50, 500);	/* readers go into the chain meanwhile */
		for (i = 0; i < ARRAY_SIZE(chain->ids); i++)
			unlink_id(rig, chain->ids[i]);
		kc_table_trim(&rig->table);
	}
	atomic_set(&chain->is_done, 1);
	return 0;
}

static int find_in_chain(struct kt_hand *hand)
{
	struct chain *chain = hand->arg;
	u32 i;

	while (!atomic_read(&chain->is_done)) {
		for (i = 0; i < ARRAY_SIZE(chain->ids); i++)
			is_there(chain->rig, chain->ids[i]);
		cond_resched();
	}
	return 0;
}

static void no_reader_stands_in_an_overflow_bucket_that_is_trimmed(struct kunit *test)
{
	struct chain chain = { .rig = new_rig(test, 4000) };

	ids_of_chain(test, chain.rig, 0, chain.rig->table.nr_buckets, chain.ids,
		     ARRAY_SIZE(chain.ids));
	kt_crew(test, &chain, find_in_chain, fill_empty_and_trim, find_in_chain, find_in_chain);
	KUNIT_EXPECT_EQ(test, kt_check_table(test, &chain.rig->table), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(entries_are_found_until_they_are_removed),
	KUNIT_CASE(full_chain_is_enospc_until_there_are_overflow_buckets),
	KUNIT_CASE(removes_in_any_order_keep_a_chain_packed),
	KUNIT_CASE(recycled_overflow_bucket_brings_no_slots_along),
	KUNIT_CASE(replaced_slot_leads_to_the_new_entry),
	KUNIT_CASE(slot_is_not_believed),
	KUNIT_CASE(merged_buckets_give_their_memory_back),
	KUNIT_CASE(table_over_the_limit_is_enospc_and_in_order),
	KUNIT_CASE(scan_meets_each_entry_once_whatever_the_table_does),
	KUNIT_CASE_SLOW(readers_and_scans_miss_nothing_while_the_table_changes),
	KUNIT_CASE_SLOW(no_reader_stands_in_an_overflow_bucket_that_is_trimmed),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_table",
	.test_cases = cases,
};

kunit_test_suite(suite);
