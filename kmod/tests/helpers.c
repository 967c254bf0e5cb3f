// SPDX-License-Identifier: GPL-2.0
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "entry.h"
#include "helpers.h"

static unsigned int seed;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "Of the random numbers; 0: choose one (each test prints it)");

/* -------- is a table in order? -------- */

struct table_check {
	struct kc_table *table;
	unsigned long *seen;	/* overflow buckets */
	const char *broken;	/* the first thing that is wrong */
	u64 entries;
	u64 bytes;
	u64 in_chains;		/* overflow buckets */
};

static void check_slot(struct table_check *check, u32 index, u64 value)
{
	struct kc_table *table = check->table;
	struct kcache_entry *entry = kc_arena_ptr(table->arena, KCACHE_SEGMENTS,
						  kcache_slot_offset(value), sizeof(*entry));
	u64 hash;

	check->entries++;
	if (!entry || !kcache_entry_key_len(entry->key_len)) {
		check->broken = check->broken ?: "a slot leads to no entry";
		return;
	}
	check->bytes += kcache_entry_size(entry->key_len, entry->value_len);
	hash = kc_table_hash_entry(table, entry);
	if (kcache_slot_tag(hash) != (value & KCACHE_TAG_MASK))
		check->broken = check->broken ?: "a slot has the tag of another key";
	if (kcache_bucket_index(hash, table->nr_buckets) != index)
		check->broken = check->broken ?: "an entry is in the wrong chain";
}

static struct kcache_bucket *overflow_bucket(struct kc_table *table, u32 next)
{
	return kc_arena_ptr(table->arena, KCACHE_OVERFLOW, (next - 1ULL) * 64, 64);
}

/* Enters an overflow bucket that something leads to. NULL if it is not fit to be followed. */
static struct kcache_bucket *check_overflow(struct table_check *check, u32 next)
{
	if (next > check->table->nr_overflow) {
		check->broken = check->broken ?: "a link leads out of the overflow buckets";
		return NULL;
	}
	if (test_and_set_bit(next - 1, check->seen)) {
		check->broken = check->broken ?: "two links lead to one overflow bucket";
		return NULL;
	}
	return overflow_bucket(check->table, next);
}

static void check_chain(struct table_check *check, u32 index)
{
	struct kcache_bucket *bucket = kc_arena_ptr(check->table->arena, KCACHE_BUCKETS,
						    index * 64ULL, 64);
	bool is_ended = false;
	int i;

	if (bucket->seq & 1)
		check->broken = check->broken ?: "a bucket is still being written";
	while (bucket) {
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
			if (bucket->slot[i] && is_ended)
				check->broken = check->broken ?: "the slots of a chain have a gap";
			if (bucket->slot[i])
				check_slot(check, index, bucket->slot[i]);
			else
				is_ended = true;
		}
		if (!bucket->next)
			break;
		bucket = check_overflow(check, bucket->next);
		check->in_chains++;
		if (bucket && !bucket->slot[0])
			check->broken = check->broken ?: "a chain has an empty overflow bucket";
	}
}

static void check_free_list(struct table_check *check)
{
	struct kcache_bucket *bucket;
	u32 next;

	for (next = check->table->overflow_free; next; next = bucket->next) {
		bucket = check_overflow(check, next);
		if (!bucket)
			return;
		if (memchr_inv(bucket->slot, 0, sizeof(bucket->slot)))
			check->broken = check->broken ?: "a free overflow bucket has slots";
	}
}

static void check_table_locked(struct kunit *test, struct table_check *check)
{
	struct kc_table *table = check->table;
	u32 i;

	check->seen = bitmap_zalloc(table->nr_overflow + 1, GFP_KERNEL);
	for (i = 0; i < table->nr_buckets; i++)
		check_chain(check, i);
	check_free_list(check);
	KUNIT_EXPECT_STREQ(test, check->broken ?: "", "");
	KUNIT_EXPECT_EQ(test, bitmap_weight(check->seen, table->nr_overflow), table->nr_overflow);
	KUNIT_EXPECT_EQ(test, check->in_chains, table->nr_overflow_used);
	KUNIT_EXPECT_EQ(test, check->entries, percpu_counter_sum(&table->nr_entries));
	bitmap_free(check->seen);
}

/**
 * kt_check_table() - expect that a table is in order
 * @test: which fails if it is not
 * @table: nobody changes it
 *
 * Each slot is in the chain of its hash, chains are packed and share nothing,
 * each overflow bucket is in one chain or, empty, in the free list, and the
 * counters say so.
 *
 * Return: the number of entries.
 */
u64 kt_check_table(struct kunit *test, struct kc_table *table)
{
	struct table_check check = { .table = table };

	mutex_lock(&table->arena->mutex);
	check_table_locked(test, &check);
	mutex_unlock(&table->arena->mutex);
	return check.entries;
}

/* -------- is a cache in order? -------- */

struct fixture {
	struct kunit *test;
	u64 overhead;		/* used_bytes that known_bytes() does not know of */
	struct kc_cache cache;
};

static u64 dir_bytes(struct kc_arena *arena, struct kc_dir __rcu **slot, u64 each)
{
	struct kc_dir *dir = rcu_dereference_protected(*slot, lockdep_is_held(&arena->mutex));
	u64 bytes;
	u32 i;

	if (!dir)
		return 0;
	bytes = struct_size(dir, ptr, dir->nr);
	for (i = 0; i < dir->nr; i++)
		if (dir->ptr[i])
			bytes += each;
	return bytes;
}

/* All memory that comes and goes while a cache is used, counted from below. */
static u64 known_bytes_locked(struct kc_cache *cache)
{
	struct kc_arena *arena = &cache->arena;
	u64 bytes = BITS_TO_LONGS(cache->log.nr_map) * sizeof(long);
	int region;

	for (region = 0; region < KCACHE_NR_REGIONS; region++)
		bytes += dir_bytes(arena, &arena->dir[region], kc_block_size(arena));
	return bytes + dir_bytes(arena, &cache->log.segments, sizeof(struct kc_segment));
}

/* What the log holds, seen from the log: live entries and their bytes. */
static void walk_queue_locked(struct kc_cache *cache, enum kc_queue queue, u64 *entries,
			      u64 *bytes)
{
	struct kc_segment *segment;
	struct kcache_entry *entry;
	struct kcache_found found;
	struct kc_log_cursor cursor;
	u64 offset, hash;

	list_for_each_entry(segment, &cache->log.queue[queue], link) {
		kc_log_wait_readable(segment);
		cursor = (struct kc_log_cursor) { 0 };
		while ((entry = kc_log_walk_rcu(&cache->log, segment, &cursor, &offset))) {
			hash = kc_table_hash_entry(&cache->table, entry);
			kc_table_lock(&cache->table, hash);
			if (kc_table_find_offset_locked(&cache->table, hash, offset, &found)) {
				++*entries;
				*bytes += kcache_entry_size(entry->key_len, entry->value_len);
			}
			kc_table_unlock(&cache->table, hash);
		}
	}
}

static void walk_log_locked(struct kc_cache *cache, u64 *entries, u64 *bytes)
{
	kc_log_seal_lanes_locked(&cache->log);
	walk_queue_locked(cache, KC_SMALL, entries, bytes);
	walk_queue_locked(cache, KC_MAIN, entries, bytes);
}

/**
 * kt_check() - expect that a cache is in order
 * @test: which fails if it is not
 * @cache: from kt_cache(); nobody uses it
 *
 * The table is, table and log know of the same entries, what they take is what
 * the accounts say, and all memory is accounted for and within the limit.
 */
void kt_check(struct kunit *test, struct kc_cache *cache)
{
	struct fixture *fixture = container_of(cache, struct fixture, cache);
	struct table_check check = { .table = &cache->table };
	u64 entries = 0, bytes = 0, used;
	struct kc_log_bytes counted;

	cancel_work_sync(&cache->work);
	mutex_lock(&cache->evict.mutex);
	kc_ghost_drop(&cache->evict.ghost);
	mutex_lock(&cache->arena.mutex);
	check_table_locked(test, &check);
	walk_log_locked(cache, &entries, &bytes);
	kc_log_count_locked(&cache->log, &counted);
	used = atomic64_read(&cache->arena.used_bytes);
	KUNIT_EXPECT_EQ(test, used, known_bytes_locked(cache) + fixture->overhead);
	mutex_unlock(&cache->arena.mutex);
	mutex_unlock(&cache->evict.mutex);

	KUNIT_EXPECT_EQ(test, entries, check.entries);
	KUNIT_EXPECT_EQ(test, bytes, check.bytes);
	KUNIT_EXPECT_EQ(test, bytes, counted.used - counted.dead);
	KUNIT_EXPECT_LE(test, used, cache->arena.max_bytes);
}

/* Memory in use without directories and the like, which only grow. */
u64 kt_memory_used(struct kc_cache *cache)
{
	struct kc_arena *arena = &cache->arena;
	struct kc_log_bytes bytes;
	u64 used = 0;
	int region;

	mutex_lock(&arena->mutex);
	for (region = 0; region < KCACHE_NR_REGIONS; region++)
		used += dir_bytes(arena, &arena->dir[region], kc_block_size(arena)) -
			dir_bytes(arena, &arena->dir[region], 0);
	kc_log_count_locked(&cache->log, &bytes);
	mutex_unlock(&arena->mutex);
	return used + bytes.segments * sizeof(struct kc_segment);
}

static void cache_exit(void *context)
{
	struct fixture *fixture = context;

	kt_check(fixture->test, &fixture->cache);
	kc_cache_exit(&fixture->cache);
	KUNIT_EXPECT_EQ(fixture->test, atomic64_read(&fixture->cache.arena.used_bytes), 0);
}

/**
 * kt_cache() - a cache for a test
 * @test: at its end the cache is checked, and must leave nothing behind
 * @max_bytes: limit
 *
 * Return: the cache; there is no other outcome.
 */
struct kc_cache *kt_cache(struct kunit *test, u64 max_bytes)
{
	struct fixture *fixture = kunit_kzalloc(test, sizeof(*fixture), GFP_KERNEL);
	struct kc_cache *cache = &fixture->cache;

	KUNIT_ASSERT_NOT_NULL(test, fixture);
	KUNIT_ASSERT_EQ(test, kc_cache_init(cache, "kunit", max_bytes), 0);
	fixture->test = test;
	mutex_lock(&cache->arena.mutex);
	fixture->overhead = atomic64_read(&cache->arena.used_bytes) - known_bytes_locked(cache);
	mutex_unlock(&cache->arena.mutex);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, cache_exit, fixture), 0);
	return cache;
}

void kt_expire_now(struct kc_cache *cache)
{
	mod_delayed_work(system_unbound_wq, &cache->expire.work, 0);
	flush_delayed_work(&cache->expire.work);
}

void kt_sleep_past(u64 ttl_ms)
{
	u64 end = kc_now_ms() + ttl_ms;

	while (kc_now_ms() <= end)
		msleep(1 + ttl_ms / 4);
}

void kt_stay_on_cpu(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, set_cpus_allowed_ptr(current, cpumask_of(0)), 0);
}

/* -------- one operation -------- */

/* Has the operation, which failed, left its struct alone? */
static bool is_untouched(const struct kcache_op *now, struct kcache_op before, int err)
{
	if (err == -EMSGSIZE)
		before.out_len = now->out_len;
	return !memcmp(now, &before, sizeof(before));
}

int kt_run_op(struct kc_cache *cache, struct kcache_op *op, const void *key, const void *value,
	      void *out)
{
	struct kc_call call = {
		.op = *op,
		.key = key,
		.value = kc_buffer_kernel(value),
		.out = kc_buffer_kernel(out),
	};
	int err;

	err = kc_call_check(&call.op, KC_READ | KC_WRITE);
	if (err >= 0)
		err = kc_cache_run(cache, &call);
	if (err && !is_untouched(&call.op, *op, err))
		return -EUCLEAN;
	*op = call.op;
	return err;
}

int kt_run(struct kc_cache *cache, struct kt_op *op)
{
	if (!op->op.key_len)
		op->op.key_len = strlen(op->key);
	if (!op->op.value_len && op->value)
		op->op.value_len = strlen(op->value);
	if (!op->op.out_len)
		op->op.out_len = sizeof(op->out) - 1;
	memset(op->out, 0, sizeof(op->out));
	return kt_run_op(cache, &op->op, op->key, op->value, op->out);
}

int kt_set(struct kc_cache *cache, const char *key, const char *value, u64 ttl_ms)
{
	struct kt_op op = {
		.op = { .opcode = KCACHE_OP_SET, .ttl_ms = ttl_ms },
		.key = key,
		.value = value,
	};

	return kt_run(cache, &op);
}

int kt_remove(struct kc_cache *cache, const char *key)
{
	struct kt_op op = { .op = { .opcode = KCACHE_OP_REMOVE }, .key = key };

	return kt_run(cache, &op);
}

int kt_stat(struct kc_cache *cache, const char *key, struct kcache_op *result)
{
	struct kt_op op = { .op = { .opcode = KCACHE_OP_STAT }, .key = key };
	int err = kt_run(cache, &op);

	*result = op.op;
	return err;
}

void kt_expect_value(struct kunit *test, struct kc_cache *cache, const char *key,
		     const char *value)
{
	struct kt_op op = { .op = { .opcode = KCACHE_OP_GET }, .key = key };

	KUNIT_EXPECT_EQ(test, kt_run(cache, &op), value ? 0 : -ENOENT);
	if (!value)
		return;
	KUNIT_EXPECT_EQ(test, op.op.out_len, strlen(value));
	KUNIT_EXPECT_STREQ(test, op.out, value);
}

/* -------- numbered keys, and values that tell whether they are whole -------- */

/* The key of @id: 4 to 34 bytes. */
u32 kt_key(u32 id, u8 *key)
{
	u32 len = sizeof(id) + id % 31;

	memcpy(key, &id, sizeof(id));
	memset(key + sizeof(id), id, len - sizeof(id));
	return len;
}

static u8 pattern(u32 id, u32 salt, u32 i)
{
	return (id ^ salt * 31) + i + (i >> 8);
}

/* @len is at least KT_VALUE_MIN. */
void kt_fill(u8 *value, u32 id, u32 salt, u32 len)
{
	u32 head[3] = { id, salt, len }, i;

	memcpy(value, head, sizeof(head));
	for (i = sizeof(head); i < len; i++)
		value[i] = pattern(id, salt, i);
}

/* Did one kt_fill() for @id write all of it? */
bool kt_is_whole(const u8 *value, u64 len, u32 id)
{
	u32 head[3], i;

	if (len < sizeof(head))
		return false;
	memcpy(head, value, sizeof(head));
	if (head[0] != id || head[2] != len)
		return false;
	for (i = sizeof(head); i < len; i++)
		if (value[i] != pattern(id, head[1], i))
			return false;
	return true;
}

int kt_set_id(struct kc_cache *cache, u32 id, u32 salt, u32 len, u64 ttl_ms)
{
	struct kcache_op op = {
		.opcode = KCACHE_OP_SET,
		.value_len = len,
		.ttl_ms = ttl_ms,
	};
	u8 key[KT_KEY_MAX], on_stack[256], *value = on_stack;
	int err;

	if (len > sizeof(on_stack))
		value = kvmalloc(len, GFP_KERNEL);
	op.key_len = kt_key(id, key);
	kt_fill(value, id, salt, len);
	err = kt_run_op(cache, &op, key, value, NULL);
	if (value != on_stack)
		kvfree(value);
	return err;
}

int kt_take_id(struct kc_cache *cache, u32 opcode, u32 id)
{
	struct kcache_op op = { .opcode = opcode };
	u8 key[KT_KEY_MAX], on_stack[256], *out = on_stack;
	int err;

	op.key_len = kt_key(id, key);
	op.out_len = sizeof(on_stack);
	while ((err = kt_run_op(cache, &op, key, NULL, out)) == -EMSGSIZE) {
		if (out != on_stack)
			kvfree(out);
		out = kvmalloc(op.out_len, GFP_KERNEL);
	}
	if (!err && !kt_is_whole(out, op.out_len, id))
		err = -EBADMSG;
	if (out != on_stack)
		kvfree(out);
	return err;
}

int kt_remove_id(struct kc_cache *cache, u32 id)
{
	struct kcache_op op = { .opcode = KCACHE_OP_REMOVE };
	u8 key[KT_KEY_MAX];

	op.key_len = kt_key(id, key);
	return kt_run_op(cache, &op, key, NULL, NULL);
}

/* -------- threads -------- */

int kt_wrong(struct kt_hand *hand, const char *format, ...)
{
	va_list args;

	hand->is_wrong = true;
	va_start(args, format);
	vsnprintf(hand->wrong, sizeof(hand->wrong), format, args);
	va_end(args);
	return -EINVAL;
}

void kt_be_urgent(void)
{
	sched_set_fifo_low(current);
}

static int hand_main(void *arg)
{
	struct kt_hand *hand = arg;
	int err = hand->work(hand);

	if (err && !hand->is_wrong)
		kt_wrong(hand, "error %d", err);
	complete(&hand->done);
	return 0;
}

void kt_crew_run(struct kunit *test, void *arg, const kt_work *works, int nr)
{
	struct kt_hand *hands = kunit_kcalloc(test, nr, sizeof(*hands), GFP_KERNEL);
	u32 first = seed ?: get_random_u32() | 1;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, hands);
	kunit_info(test, "seed=%u\n", first);
	for (i = 0; i < nr; i++) {
		struct kt_hand *hand = &hands[i];

		hand->arg = arg;
		hand->id = i;
		hand->work = works[i];
		init_completion(&hand->done);
		prandom_seed_state(&hand->rnd, (u64)first << 8 | i);
		hand->task = kthread_create(hand_main, hand, "kt/%d", i);
		if (IS_ERR(hand->task)) {
			KUNIT_FAIL(test, "no thread");
			break;
		}
		get_task_struct(hand->task);
		wake_up_process(hand->task);
	}
	while (i-- > 0) {
		wait_for_completion(&hands[i].done);
		kthread_stop_put(hands[i].task);
		KUNIT_EXPECT_STREQ_MSG(test, hands[i].wrong, "", "thread %d", i);
	}
}

MODULE_DESCRIPTION("KUnit suites of kcache");
MODULE_LICENSE("GPL");
