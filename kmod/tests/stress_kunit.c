// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_cache_stress: threads that hammer one cache, with values that tell whether
 * they are whole and sums that must come out. How much is done is a number, not a
 * time; the seed of a run is printed.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "helpers.h"
#include "space.h"

#define MIB	((u64)SZ_1M)

/* -------- one key, many at it -------- */

#define NR_KEYS		4
#define NR_ADDS		3000

/* The shared state of a test, beside its cache. */
struct job {
	struct kc_cache *cache;
	unsigned long *met;	/* numbers or ids that were given out */
	atomic_t count;
	atomic_t busy;		/* producers */
};

static struct job new_job(struct kunit *test, u64 max_bytes, u32 nr_ids)
{
	struct job job = { .cache = kt_cache(test, max_bytes) };

	job.met = kunit_kcalloc(test, BITS_TO_LONGS(nr_ids), sizeof(long), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, job.met);
	return job;
}

static int add_ones(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	int i, err;

	for (i = 0; i < NR_ADDS; i++) {
		struct kt_op op = {
			.op = {
				.opcode = KCACHE_OP_ADD,
				.flags = KCACHE_INITIAL,
				.delta = 1,
				.number = 1,
			},
			.key = "counter",
		};

		err = kt_run(job->cache, &op);
		if (err)
			return kt_wrong(hand, "add: %d", err);
		if (op.op.number < 1 || op.op.number > 3 * NR_ADDS)
			return kt_wrong(hand, "%lld is impossible", op.op.number);
		if (test_and_set_bit(op.op.number, job->met))
			return kt_wrong(hand, "%lld came twice", op.op.number);
	}
	return 0;
}

static void adds_of_many_threads_give_each_number_once(struct kunit *test)
{
	struct job job = new_job(test, MIB, 3 * NR_ADDS + 1);

	kt_crew(test, &job, add_ones, add_ones, add_ones);
	KUNIT_EXPECT_EQ(test, bitmap_weight(job.met, 3 * NR_ADDS + 1), 3 * NR_ADDS);
	kt_expect_value(test, job.cache, "counter", "9000");
}

static int add_and_outgrow(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	int i, err;

	for (i = 0; i < 5000; i++) {
		struct kt_op op = {
			.op = {
				.opcode = KCACHE_OP_ADD,
				.flags = KCACHE_INITIAL,
				.delta = 123456789,	/* seldom fits where it was */
				.number = 1,
			},
			.key = "counter",
		};

		err = kt_run(job->cache, &op);
		if (err)
			return kt_wrong(hand, "add: %d", err);
	}
	return 0;
}

static int remove_always(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	int i, err;

	for (i = 0; i < 8000; i++) {
		err = kt_remove(job->cache, "counter");
		if (err && err != -ENOENT)
			return kt_wrong(hand, "remove: %d", err);
	}
	return 0;
}

static void add_with_initial_never_misses_while_others_remove(struct kunit *test)
{
	struct job job = new_job(test, MIB, 1);

	kt_crew(test, &job, add_and_outgrow, remove_always, add_and_outgrow, remove_always);
}

static int increment_by_version(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	int i, err, done = 0;
	long number;

	for (i = 0; done < 1000 && i < 200000; i++) {
		struct kt_op op = { .op = { .opcode = KCACHE_OP_GET }, .key = "cas" };
		char text[16];

		err = kt_run(job->cache, &op);
		if (err || kstrtol(op.out, 10, &number))
			return kt_wrong(hand, "get: %d", err);
		snprintf(text, sizeof(text), "%ld", number + 1);
		op.op.opcode = KCACHE_OP_SET;
		op.op.flags = KCACHE_IF_VERSION;
		op.value = text;
		err = kt_run(job->cache, &op);
		if (err && err != -ESTALE)
			return kt_wrong(hand, "set: %d", err);
		done += !err;
	}
	return done == 1000 ? 0 : kt_wrong(hand, "only %d", done);
}

static void increments_by_version_lose_none(struct kunit *test)
{
	struct job job = new_job(test, MIB, 1);

	KUNIT_ASSERT_EQ(test, kt_set(job.cache, "cas", "0", 0), 0);
	kt_crew(test, &job, increment_by_version, increment_by_version, increment_by_version);
	kt_expect_value(test, job.cache, "cas", "3000");
}

static int set_if_absent(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	u32 i;
	int err;

	for (i = 0; i < 3000; i++) {
		struct kt_op op = {
			.op = {
				.opcode = KCACHE_OP_SET,
				.flags = KCACHE_IF_ABSENT,
				.key_len = sizeof(i),
			},
			.key = &i,
			.value = "v",
		};

		err = kt_run(job->cache, &op);
		if (err && err != -EEXIST)
			return kt_wrong(hand, "set: %d", err);
		if (!err && test_and_set_bit(i, job->met))
			return kt_wrong(hand, "%u was set twice", i);
	}
	return 0;
}

static void set_if_absent_has_one_winner(struct kunit *test)
{
	struct job job = new_job(test, 4 * MIB, 3000);

	kt_crew(test, &job, set_if_absent, set_if_absent, set_if_absent);
	KUNIT_EXPECT_EQ(test, bitmap_weight(job.met, 3000), 3000);
}

static int exchange(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	u32 i, id, old;
	int err;

	for (i = 0; i < 3000; i++) {
		struct kt_op op = {
			.op = {
				.opcode = KCACHE_OP_SET,
				.flags = KCACHE_RETURN_OLD,
				.value_len = sizeof(id),
			},
			.key = "exchange",
			.value = &id,
		};

		id = hand->id * 3000 + i;
		err = kt_run(job->cache, &op);
		if (err)
			return kt_wrong(hand, "set: %d", err);
		if (op.op.out_len == KCACHE_ABSENT) {
			atomic_inc(&job->count);
			continue;
		}
		memcpy(&old, op.out, sizeof(old));
		if (op.op.out_len != sizeof(old) || old >= 9000)
			return kt_wrong(hand, "%u is impossible", old);
		if (test_and_set_bit(old, job->met))
			return kt_wrong(hand, "%u came back twice", old);
	}
	return 0;
}

static void exchanged_values_come_back_once(struct kunit *test)
{
	struct job job = new_job(test, MIB, 9000);

	kt_crew(test, &job, exchange, exchange, exchange);
	KUNIT_EXPECT_EQ(test, atomic_read(&job.count), 1);
	KUNIT_EXPECT_EQ(test, bitmap_weight(job.met, 9000), 9000 - 1);	/* one is in the cache */
}

/* Each piece: who, and the how-many-eth of its own. */
struct piece {
	u32 who;
	u32 number;
};

#define NR_PIECES	500

static int extend(struct kt_hand *hand, u32 opcode)
{
	struct job *job = hand->arg;
	struct piece piece = { .who = hand->id };
	int err;

	for (piece.number = 0; piece.number < NR_PIECES; piece.number++) {
		struct kt_op op = {
			.op = { .opcode = opcode, .value_len = sizeof(piece) },
			.key = "list",
			.value = &piece,
		};

		err = kt_run(job->cache, &op);
		if (err)
			return kt_wrong(hand, "append: %d", err);
	}
	return 0;
}

static int append(struct kt_hand *hand)
{
	return extend(hand, KCACHE_OP_APPEND);
}

static int prepend(struct kt_hand *hand)
{
	return extend(hand, KCACHE_OP_PREPEND);
}

static void appends_and_prepends_are_all_there_in_order(struct kunit *test)
{
	struct job job = new_job(test, MIB, 1);
	struct kc_copy copy = { 0 };
	u32 next[3] = { 0, 0, NR_PIECES }, wrong = 0, i;
	struct piece *pieces;
	u64 position = 0;

	KUNIT_ASSERT_EQ(test, kt_set(job.cache, "list", "", 0), 0);
	kt_crew(test, &job, append, append, prepend);
	KUNIT_ASSERT_EQ(test, kc_cache_next(job.cache, &position, &copy), 1);
	KUNIT_EXPECT_EQ(test, copy.value_len, 3 * NR_PIECES * sizeof(struct piece));
	pieces = (struct piece *)(copy.data + copy.key_len);	/* "list" aligns it */
	for (i = 0; i < copy.value_len / sizeof(*pieces); i++) {
		if (pieces[i].who == 2)
			wrong += pieces[i].number != --next[2];
		else
			wrong += pieces[i].who > 2 ||
				 pieces[i].number != next[pieces[i].who]++;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, next[0], NR_PIECES);
	KUNIT_EXPECT_EQ(test, next[1], NR_PIECES);
	KUNIT_EXPECT_EQ(test, next[2], 0);
	kvfree(copy.data);
}

/* -------- POP -------- */

#define NR_POPS	6000

static int produce(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	int err;
	u32 id;

	for (id = hand->id; id < NR_POPS; id += 2) {
		err = kt_set_id(job->cache, id, id, KT_VALUE_MIN + kt_random(hand, 400), 0);
		if (err)
			return kt_wrong(hand, "set: %d", err);
	}
	atomic_dec(&job->busy);
	return 0;
}

static int consume(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	bool is_last;
	int err;
	u32 id;

	do {	/* once more after the last was produced */
		is_last = !atomic_read(&job->busy);
		for (id = 0; id < NR_POPS; id++) {
			err = kt_take_id(job->cache, KCACHE_OP_POP, id);
			if (err == -ENOENT)
				continue;
			if (err)
				return kt_wrong(hand, "pop: %d", err);
			if (test_and_set_bit(id, job->met))
				return kt_wrong(hand, "%u came twice", id);
			atomic_inc(&job->count);
		}
	} while (!is_last);
	return 0;
}

static void of_many_pops_exactly_one_gets_each_value(struct kunit *test)
{
	struct job job = new_job(test, 8 * MIB, NR_POPS);

	atomic_set(&job.busy, 2);
	kt_crew(test, &job, produce, produce, consume, consume);
	KUNIT_EXPECT_EQ(test, atomic_read(&job.count), NR_POPS);
	KUNIT_EXPECT_EQ(test, bitmap_weight(job.met, NR_POPS), NR_POPS);
	KUNIT_EXPECT_EQ(test, kc_stats_sum(job.cache->stats, KC_STAT_pops), NR_POPS);
	KUNIT_EXPECT_EQ(test, percpu_counter_sum(&job.cache->table.nr_entries), 0);
}

static int add_to_be_popped(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	int i, err;

	for (i = 0; i < 5000; i++) {
		struct kt_op op = {
			.op = {
				.opcode = KCACHE_OP_ADD,
				.flags = KCACHE_INITIAL,
				.delta = 1,
				.number = 1,
			},
			.key = "purse",
		};

		err = kt_run(job->cache, &op);
		if (err)
			return kt_wrong(hand, "add: %d", err);
	}
	atomic_dec(&job->busy);
	return 0;
}

static int pop_the_sum(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	bool is_last;
	int err;

	do {
		struct kt_op op = { .op = { .opcode = KCACHE_OP_POP }, .key = "purse" };
		int sum;

		is_last = !atomic_read(&job->busy);
		err = kt_run(job->cache, &op);
		if (err == -ENOENT)
			continue;
		if (err || kstrtoint(op.out, 10, &sum))
			return kt_wrong(hand, "pop: %d", err);
		atomic_add(sum, &job->count);
	} while (!is_last);
	return 0;
}

static void pops_between_adds_lose_nothing(struct kunit *test)
{
	struct job job = new_job(test, MIB, 1);

	atomic_set(&job.busy, 2);
	kt_crew(test, &job, add_to_be_popped, pop_the_sum, add_to_be_popped);
	KUNIT_EXPECT_EQ(test, atomic_read(&job.count), 10000);
}

/* -------- walks -------- */

#define STEADY	1500

static int grow_and_shrink(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	u32 round, id;
	int err = 0;

	for (round = 0; round < 2; round++) {
		for (id = STEADY; id < 8000 && !err; id++)
			err = kt_set_id(job->cache, id, id, KT_VALUE_MIN + id % 40, 0);
		for (id = STEADY; id < 8000 && !err; id++)
			err = kt_remove_id(job->cache, id);
		mutex_lock(&job->cache->evict.mutex);
		kc_space_shrink_table(job->cache);
		mutex_unlock(&job->cache->evict.mutex);
	}
	atomic_dec(&job->busy);
	return err;
}

static int replace_steady(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	int err = 0;

	while (!err && atomic_read(&job->busy))
		err = kt_set_id(job->cache, kt_random(hand, STEADY), kt_random(hand, 1000),
				KT_VALUE_MIN + kt_random(hand, 100), 0);
	return err;
}

static int walk_once(struct kt_hand *hand, unsigned long *met, struct kc_copy *copy)
{
	struct job *job = hand->arg;
	u64 position = 0;
	int err;
	u32 id;

	do {
		err = kc_cache_next(job->cache, &position, copy);
		if (err != 1)
			return err;
		memcpy(&id, copy->data, sizeof(id));
		if (!kt_is_whole(copy->data + copy->key_len, copy->value_len, id))
			return kt_wrong(hand, "%u is torn", id);
		if (id < STEADY && __test_and_set_bit(id, met))
			return kt_wrong(hand, "%u was met twice", id);
	} while (position);
	return 0;
}

static int walk_often(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	unsigned long *met = bitmap_zalloc(STEADY, GFP_KERNEL);
	struct kc_copy copy = { 0 };
	int err = 0;

	do {
		bitmap_zero(met, STEADY);
		err = walk_once(hand, met, &copy);
		if (!err && bitmap_weight(met, STEADY) != STEADY)
			err = kt_wrong(hand, "%u were missed", STEADY - bitmap_weight(met, STEADY));
	} while (!err && atomic_read(&job->busy));
	kvfree(copy.data);
	bitmap_free(met);
	return err;
}

static void walk_meets_what_stays_once_while_the_table_grows_and_shrinks(struct kunit *test)
{
	struct job job = new_job(test, 8 * MIB, 1);
	u32 id;

	for (id = 0; id < STEADY; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(job.cache, id, 0, 50, 0), 0);
	atomic_set(&job.busy, 1);
	kt_crew(test, &job, grow_and_shrink, walk_often, replace_steady, walk_often);
	KUNIT_EXPECT_EQ(test, percpu_counter_sum(&job.cache->table.nr_entries), STEADY);
	KUNIT_EXPECT_EQ(test, kc_stats_sum(job.cache->stats, KC_STAT_evictions), 0);
}

/* -------- memory that goes -------- */

#define NR_LARGE	8

static int store_and_flush(struct kt_hand *hand)
{
	struct job *job = hand->arg;
	u32 round, id;
	int err = 0;

	kt_be_urgent();
	for (round = 0; round < 40 && !err; round++) {
		for (id = 0; id < NR_LARGE && !err; id++)
			err = kt_set_id(job->cache, id, round, SZ_32K, 0);
		usleep_range(50, 1000);		/* readers go into the values meanwhile */
		err = err ?: kc_cache_flush(job->cache);
	}
	atomic_dec(&job->busy);
	return err;
}

static int read_large(struct kt_hand *hand)
{
	u8 key[KT_KEY_MAX], *out = kvmalloc(SZ_32K, GFP_KERNEL);
	struct job *job = hand->arg;
	u32 i;
	int err;

	for (i = 0; atomic_read(&job->busy); i++) {
		u32 id = kt_random(hand, NR_LARGE);
		struct kcache_op op = {
			.opcode = KCACHE_OP_GET,
			.key_len = kt_key(id, key),
			.out_len = SZ_32K,
		};

		err = kt_run_op(job->cache, &op, key, NULL, out);
		if (err && err != -ENOENT)
			kt_wrong(hand, "get: %d", err);
		/* To look takes longer than to copy, and is not what this is about. */
		if (!err && i % 64 == 0 && !kt_is_whole(out, op.out_len, id))
			kt_wrong(hand, "%u is torn", id);
		cond_resched();
	}
	kvfree(out);
	return 0;
}

static void no_reader_stands_in_memory_that_is_given_back(struct kunit *test)
{
	struct job job = new_job(test, MIB, 1);

	atomic_set(&job.busy, 1);
	kt_crew(test, &job, read_large, store_and_flush, read_large, read_large);
}

/* -------- everything at once -------- */

#define NR_IDS	1500

/*
 * Mostly short values, some over a block's border, and now and then a run. Of those that
 * are not removed, all together are more than the smallest cache holds.
 */
static u32 random_len(struct kt_hand *hand)
{
	u32 kind = kt_random(hand, 64);

	if (kind == 0)
		return KT_VALUE_MIN + kt_random(hand, 30000);
	return KT_VALUE_MIN + kt_random(hand, kind < 16 ? 6000 : 250);
}

static int number_op(struct kt_hand *hand, struct kc_cache *cache)
{
	struct kt_op op = {
		.op = {
			.opcode = KCACHE_OP_ADD,
			.flags = KCACHE_INITIAL,
			.delta = kt_random(hand, 1000000),
		},
		.key = "number",
	};
	int err = kt_run(cache, &op);

	return err == -ERANGE ? kt_remove(cache, "number") : err;
}

static int list_op(struct kt_hand *hand, struct kc_cache *cache)
{
	struct kt_op op = {
		.op = { .opcode = kt_random(hand, 2) ? KCACHE_OP_APPEND : KCACHE_OP_PREPEND },
		.key = "list",
		.value = "a few bytes more",
	};
	int err = kt_run(cache, &op);

	return err == -ENOENT || err == -EFBIG ? kt_set(cache, "list", "", 0) : err;
}

static int touch_op(struct kt_hand *hand, struct kc_cache *cache)
{
	u8 key[KT_KEY_MAX];
	struct kt_op op = {
		.op = {
			.opcode = KCACHE_OP_TOUCH,
			.ttl_ms = kt_random(hand, 4) ? 0 : kt_random(hand, 50),
			.key_len = kt_key(kt_random(hand, NR_IDS), key),
		},
		.key = key,
	};

	return kt_run(cache, &op);
}

static int any_op(struct kt_hand *hand, struct kc_cache *cache)
{
	u32 id = kt_random(hand, NR_IDS);

	switch (kt_random(hand, 16)) {
	case 0:
		return kt_remove_id(cache, id);
	case 1:
		return kt_take_id(cache, KCACHE_OP_POP, id);
	case 2:
		return number_op(hand, cache);
	case 3:
		return list_op(hand, cache);
	case 4:
		return touch_op(hand, cache);
	case 5 ... 9:
		return kt_set_id(cache, id, kt_random(hand, 1000), random_len(hand),
				 kt_random(hand, 8) ? 0 : 1 + kt_random(hand, 100));
	default:
		return kt_get_id(cache, id);
	}
}

static int hammer(struct kt_hand *hand)
{
	struct kc_cache *cache = hand->arg;
	int i, err;

	for (i = 0; i < 6000; i++) {
		err = any_op(hand, cache);
		if (err && err != -ENOENT && err != -EFBIG)
			return kt_wrong(hand, "operation: %d", err);
	}
	return 0;
}

static int administer(struct kt_hand *hand)
{
	struct kc_cache *cache = hand->arg;
	struct kc_cache_account account;
	int i, err = 0;

	kt_be_urgent();
	for (i = 0; i < 100 && !err; i++) {
		switch (kt_random(hand, 4)) {
		case 0:
			err = kc_cache_flush(cache);
			break;
		case 1:
			err = kc_cache_resize(cache, MIB + kt_random(hand, 3 * MIB));
			break;
		case 2:
			kt_expire_now(cache);
			break;
		default:
			kc_cache_account(cache, &account);
		}
		usleep_range(100, 10000);
	}
	return err;
}

static void everything_at_once_leaves_the_cache_in_order(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 2 * MIB);

	kt_crew(test, cache, hammer, administer, hammer, hammer);
	kt_check(test, cache);
	KUNIT_EXPECT_EQ(test, kc_cache_flush(cache), 0);
	KUNIT_EXPECT_EQ(test, percpu_counter_sum(&cache->table.nr_entries), 0);
}

static void everything_at_once_in_the_smallest_cache(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);

	kt_crew(test, cache, hammer, hammer, hammer);
	KUNIT_EXPECT_GT(test, kc_stats_sum(cache->stats, KC_STAT_evictions), 0);
	kt_check(test, cache);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(adds_of_many_threads_give_each_number_once),
	KUNIT_CASE_SLOW(add_with_initial_never_misses_while_others_remove),
	KUNIT_CASE_SLOW(increments_by_version_lose_none),
	KUNIT_CASE_SLOW(set_if_absent_has_one_winner),
	KUNIT_CASE_SLOW(exchanged_values_come_back_once),
	KUNIT_CASE_SLOW(appends_and_prepends_are_all_there_in_order),
	KUNIT_CASE_SLOW(of_many_pops_exactly_one_gets_each_value),
	KUNIT_CASE_SLOW(pops_between_adds_lose_nothing),
	KUNIT_CASE_SLOW(walk_meets_what_stays_once_while_the_table_grows_and_shrinks),
	KUNIT_CASE_SLOW(no_reader_stands_in_memory_that_is_given_back),
	KUNIT_CASE_SLOW(everything_at_once_leaves_the_cache_in_order),
	KUNIT_CASE_SLOW(everything_at_once_in_the_smallest_cache),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_cache_stress",
	.test_cases = cases,
};

kunit_test_suite(suite);
