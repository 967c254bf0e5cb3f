// SPDX-License-Identifier: GPL-2.0
/*
 * Torn reads: writers change the cache in every way there is, at full speed, while
 * readers on a mapping (libkcache's, see mapping.h) and in the core check that
 * each value they get is one that was stored whole under its key, that it is no older
 * than what had been stored when they asked, and no older than what they got before;
 * and that a key that is never removed is never missed.
 *
 * KCACHE_STRESS=N makes it N times as long; KCACHE_SEED=N sets the seed, which is
 * printed. Interleavings do not repeat with it, but what the threads do does.
 *
 * TSan sees no race between a writer and a reader on the mapping, whose addresses
 * differ. It checks the writers, the core's readers, and the hints.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "fixture.h"
#include "kcache.h"
#include "ktap.h"
#include "mapping.h"
#include "space.h"

#define NR_WRITERS	2
#define NR_MAPPED	2	/* threads that get and borrow */
#define NR_THREADS	(NR_WRITERS + NR_MAPPED + 2)

static u64 seed;
static u64 nr_ops;		/* of each writer */
static u32 writers_left;	/* atomic */
static bool is_lossy;		/* entries may leave by themselves */

static u64 below(u64 n)
{
	return shim_random() % n;
}

static bool one_of(u64 n)
{
	return !below(n);
}

/* -------- keys and their states -------- */

/*
 * A key goes through numbered states, and one writer changes it. It says before a
 * change which state comes, and after it which has come. In some states there is no
 * value, in the others one that tells its key and the state.
 */
enum kind {
	KEPT,		/* there from state 1 on, for ever */
	COMING,		/* and going: absent in each third state */
	MORTAL,		/* has a time to live, from the SET or set anew by a TOUCH */
	NUMBER,		/* for ever; a decimal number, which ADD changes in place */
	NR_KINDS
};

#define NR_KEYS		96	/* the fewer, the more readers meet a writer */

static struct key {
	u64 announced;		/* atomic, as all here */
	u64 reached;
	u64 changes;		/* odd during one; also of the expiry */
	u64 dead_at_ms;		/* the last moment at which it may be there, 0: for ever */
} keys[NR_KEYS];

static u64 load(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void store(u64 *p, u64 v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

static enum kind kind_of(u32 key)
{
	return key / NR_WRITERS % NR_KINDS;
}

static bool is_absent(u32 key, u64 state)
{
	return !state || (kind_of(key) == COMING && state % 3 == 0);
}

/* Was there an absent one among them? */
static bool was_absent(u32 key, u64 from, u64 to)
{
	u64 state;

	for (state = from; state <= to; state++)
		if (is_absent(key, state))
			return true;
	return false;
}

/* -------- values -------- */

/* The rest of a value follows from this. */
struct stamp {
	u32 key;
	u32 len;
	u64 state;
};

#define VALUE_MAX_BYTES	24576
#define NUMBER_STEP	1000000007LL		/* prime: the digits of a sum are hard to meet by chance */
#define NUMBER_FIRST	1000000000LL		/* steps; so that all sums have as many digits */

static u64 mix(u64 v)
{
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ULL;
	return (v ^ v >> 27) * 0x94d049bb133111ebULL;
}

/* Most are short, some run over blocks, a few need a run of chunks where those are small. */
static u32 len_of(u32 key, u64 state)
{
	u64 dice = mix(state * NR_KEYS + key) >> 20;

	dice = dice % 200 == 0 ? 3000 + dice / 200 % (VALUE_MAX_BYTES - 3016) :
	       dice % 10 == 0 ? dice / 10 % 2000 : dice / 10 % 120;
	return sizeof(struct stamp) + dice / 8 * 8;
}

static u32 make_value(u64 *to, u32 key, u64 state)
{
	struct stamp stamp = { .key = key, .len = len_of(key, state), .state = state };
	u32 i;

	memcpy(to, &stamp, sizeof(stamp));
	for (i = sizeof(stamp) / 8; i < stamp.len / 8; i++)
		to[i] = mix(state * NR_KEYS + key + ((u64)i << 40));
	return stamp.len;
}

/* The state of a number, 0: that is none. */
static u64 state_of_number(const void *p, u64 len)
{
	char text[24] = "";
	s64 sum;

	if (len >= sizeof(text))
		return 0;
	memcpy(text, p, len);
	sum = strtoll(text, NULL, 10);
	if (strlen(text) != 19 || sum % NUMBER_STEP || sum / NUMBER_STEP <= NUMBER_FIRST)
		return 0;
	return sum / NUMBER_STEP - NUMBER_FIRST;
}

/* The state of a value, 0: it is not whole, or of another key. */
static u64 state_of_value(const u64 *p, u64 len, u32 key)
{
	struct stamp stamp;
	u32 i;

	if (kind_of(key) == NUMBER)
		return state_of_number(p, len);
	if (len < sizeof(stamp))
		return 0;
	memcpy(&stamp, p, sizeof(stamp));
	if (stamp.key != key || stamp.len != len || len != len_of(key, stamp.state))
		return 0;
	for (i = sizeof(stamp) / 8; i < len / 8; i++)
		if (p[i] != mix(stamp.state * NR_KEYS + key + ((u64)i << 40)))
			return 0;
	return stamp.state;
}

/* -------- readers -------- */

struct reader {
	struct kcache *mapped;		/* NULL: reads in the core */
	u64 *buffer;
	u64 seen[NR_KEYS];		/* the newest state that it got */
	u64 hits, misses, borrows, void_borrows;
};

/* What was known before a read began. */
struct moment {
	u64 from;
	u64 changes;
	u64 dead_at_ms;
	u64 now_ms;
};

static void begin_read(u32 key, struct moment *moment)
{
	moment->changes = load(&keys[key].changes);
	moment->from = load(&keys[key].reached);
	moment->dead_at_ms = load(&keys[key].dead_at_ms);
	moment->now_ms = shim_clock_ms();
}

static void check_hit(struct reader *reader, u32 key, const struct moment *before, u64 len)
{
	u64 to = load(&keys[key].announced);
	u64 state = state_of_value(reader->buffer, len, key);
	const char *how = reader->mapped ? "mapped" : "core";

	reader->hits++;
	if (!state)
		FAIL("%s: key %u: torn, %llu bytes; state was %llu to %llu", how, key, len,
		     before->from, to);
	else if (state < before->from || state > to || is_absent(key, state))
		FAIL("%s: key %u: got state %llu, it was %llu to %llu", how, key, state,
		     before->from, to);
	else if (state < reader->seen[key])
		FAIL("%s: key %u: got state %llu after %llu", how, key, state,
		     reader->seen[key]);
	else if (before->dead_at_ms && before->dead_at_ms <= before->now_ms &&
		 !(before->changes & 1) && load(&keys[key].changes) == before->changes)
		FAIL("%s: key %u: there at %llu ms, should have gone at %llu", how, key,
		     before->now_ms, before->dead_at_ms);
	else
		reader->seen[key] = state;
}

static void check_miss(struct reader *reader, u32 key, const struct moment *before)
{
	u64 to = load(&keys[key].announced);
	u64 from = before->from < reader->seen[key] ? reader->seen[key] : before->from;

	reader->misses++;
	if (!is_lossy && kind_of(key) != MORTAL && !was_absent(key, from, to))
		FAIL("%s: key %u: missed, it was there from state %llu to %llu",
		     reader->mapped ? "mapped" : "core", key, from, to);
}

static int get(struct reader *reader, u32 key, u64 *len)
{
	size_t value_len = 0;
	int err;

	if (reader->mapped) {
		err = kcache_get(reader->mapped, &key, sizeof(key), reader->buffer,
				 VALUE_MAX_BYTES, &value_len);
		*len = value_len;
		return err;
	}
	*len = get_bytes(cache, &key, sizeof(key), reader->buffer, VALUE_MAX_BYTES);
	return (s64)*len < 0 ? (s64)*len : 0;
}

/* -EAGAIN: what was borrowed was changed before it was copied. */
static int borrow(struct reader *reader, u32 key, u64 *len)
{
	struct kcache_borrow borrow;
	int err = kcache_borrow(reader->mapped, &key, sizeof(key), &borrow);
	bool is_too_long;
	u64 i;

	if (err)
		return err;
	is_too_long = borrow.value_len > VALUE_MAX_BYTES;
	if (!is_too_long)
		for (i = 0; i < borrow.value_len; i++)
			((u8 *)reader->buffer)[i] = ((const volatile u8 *)borrow.value)[i];
	shim_perturb();
	reader->borrows++;
	if (!kcache_borrow_is_valid(&borrow)) {
		reader->void_borrows++;
		return -EAGAIN;
	}
	*len = is_too_long ? 0 : borrow.value_len;
	return 0;
}

static void read_one(struct reader *reader)
{
	struct moment before;
	u32 key = below(NR_KEYS);
	u64 len = 0;
	int err;

	begin_read(key, &before);
	if (reader->mapped && one_of(3))
		err = borrow(reader, key, &len);
	else
		err = get(reader, key, &len);
	if (!err)
		check_hit(reader, key, &before, len);
	else if (err == -ENOENT)
		check_miss(reader, key, &before);
	else
		EXPECT_EQ(err, -EAGAIN);
}

static struct reader readers[NR_MAPPED + 1];

static void read_on(u32 nth)
{
	struct reader *reader = &readers[nth];

	*reader = (struct reader) { .buffer = malloc(VALUE_MAX_BYTES) };
	if (nth < NR_MAPPED)
		reader->mapped = mapping_open();
	while (READ_ONCE(writers_left) && !READ_ONCE(ktap_failures))
		read_one(reader);
	if (nth < NR_MAPPED)
		mapping_close(reader->mapped);
	free(reader->buffer);
}

/* -------- writers -------- */

static struct kcache_op op_on_key(u32 opcode, const u32 *key)
{
	return (struct kcache_op) {
		.size = sizeof(struct kcache_op),
		.opcode = opcode,
		.key = (uintptr_t)key,
		.key_len = sizeof(*key),
	};
}

static int run_in_trouble(struct kcache_op *op)
{
	int err;

	do {
		err = run_op(cache, op);
	} while (err == -ENOSPC && is_lossy);
	return err;
}

static int set_value(u32 key, u64 state, u64 *value, u64 ttl_ms)
{
	struct kcache_op op = op_on_key(KCACHE_OP_SET, &key);

	VALUE(&op, value, make_value(value, key, state));
	op.ttl_ms = ttl_ms;
	op.client_flags = one_of(4) ? key : 0;
	return run_in_trouble(&op);
}

static int take_away(u32 key, u64 before, u64 *value)
{
	struct kcache_op op = op_on_key(one_of(2) ? KCACHE_OP_POP : KCACHE_OP_REMOVE, &key);
	int err;

	OUT(&op, value, VALUE_MAX_BYTES);
	err = run_op(cache, &op);
	if (!err && op.opcode == KCACHE_OP_POP)
		EXPECT_EQ(state_of_value(value, op.out_len, key), before);
	return err == -ENOENT && is_lossy ? 0 : err;
}

static int add_step(u32 key, u64 state)
{
	struct kcache_op op = op_on_key(KCACHE_OP_ADD, &key);
	int err;

	op.delta = NUMBER_STEP;
	op.flags = KCACHE_INITIAL;
	op.number = (NUMBER_FIRST + state) * NUMBER_STEP;
	err = run_in_trouble(&op);
	if (!err)
		EXPECT_EQ(op.number, (NUMBER_FIRST + state) * NUMBER_STEP);
	return err;
}

/* As if it changed to what it is: with another expiry, and another version. */
static void touch(u32 key)
{
	struct kcache_op op = op_on_key(KCACHE_OP_TOUCH, &key);
	int err;

	store(&keys[key].changes, keys[key].changes + 1);
	if (kind_of(key) == MORTAL)
		op.ttl_ms = 1 + below(40);
	err = run_op(cache, &op);
	if (!err && op.ttl_ms)
		store(&keys[key].dead_at_ms, shim_clock_ms() + op.ttl_ms);
	if (err != -ENOENT || !(is_lossy || kind_of(key) == MORTAL ||
				is_absent(key, keys[key].reached)))
		EXPECT_EQ(err, 0);
	store(&keys[key].changes, keys[key].changes + 1);
}

static void next_state(u32 key, u64 *value)
{
	u64 before = keys[key].reached, state = before + 1, ttl_ms = 0;
	int err;

	store(&keys[key].changes, keys[key].changes + 1);
	store(&keys[key].announced, state);
	if (is_absent(key, state)) {
		err = take_away(key, before, value);
	} else if (kind_of(key) == NUMBER) {
		err = add_step(key, state);
	} else {
		ttl_ms = kind_of(key) == MORTAL ? 1 + below(40) : 0;
		err = set_value(key, state, value, ttl_ms);
	}
	EXPECT_EQ(err, 0);
	store(&keys[key].dead_at_ms, ttl_ms ? shim_clock_ms() + ttl_ms : 0);
	store(&keys[key].reached, state);
	store(&keys[key].changes, keys[key].changes + 1);
}

/* Neighbours, that slots and segments come and go; and what is evicted, if anything is. */
static void store_crowd(u64 *value)
{
	u32 i, first = NR_KEYS + below(8000);

	for (i = first; i < first + 10; i++) {
		struct kcache_op op = op_on_key(one_of(2) ? KCACHE_OP_SET : KCACHE_OP_REMOVE, &i);
		int err;

		VALUE(&op, value, op.opcode == KCACHE_OP_SET ? 20 + below(300) : 0);
		op.ttl_ms = op.opcode == KCACHE_OP_SET && one_of(4) ? 1 + below(40) : 0;
		err = op.opcode == KCACHE_OP_SET ? run_in_trouble(&op) : run_op(cache, &op);
		EXPECT(!err || (err == -ENOENT && op.opcode == KCACHE_OP_REMOVE));
	}
}

static void write_on(u32 id)
{
	u64 *value = calloc(1, VALUE_MAX_BYTES);
	u64 i;

	for (i = 0; i < nr_ops && !READ_ONCE(ktap_failures); i++) {
		u32 key = below(NR_KEYS / NR_WRITERS) * NR_WRITERS + id;

		if (one_of(10))
			store_crowd(value);
		else if (one_of(4))
			touch(key);
		else
			next_state(key, value);
	}
	free(value);
	__atomic_sub_fetch(&writers_left, 1, __ATOMIC_SEQ_CST);
}

/* -------- what goes on beside -------- */

static void nap(void)
{
	struct timespec pause = { .tv_nsec = 200000 };

	nanosleep(&pause, NULL);
}

static void grow_table(void)
{
	u64 i;

	mutex_lock(&cache->arena.mutex);
	for (i = 1 + below(300); i; i--)
		if (kc_table_split_locked(&cache->table))
			break;
	mutex_unlock(&cache->arena.mutex);
}

/* Merges as many again, and gives their memory back. */
static void shrink_table(void)
{
	mutex_lock(&cache->evict.mutex);
	mutex_lock(&cache->arena.mutex);
	while (cache->table.nr_buckets > cache->table.nr_stripes)
		if (kc_table_merge_locked(&cache->table) &&
		    kc_table_grow_overflow_locked(&cache->table))
			break;
	mutex_unlock(&cache->arena.mutex);
	kc_table_trim(&cache->table);
	mutex_unlock(&cache->evict.mutex);
}

static void reclaim(u64 pages)
{
	struct shrink_control control = { .nr_to_scan = pages };

	cache->shrinker->scan_objects(cache->shrinker, &control);
}

/* The coldest segment's entries are moved to others. */
static void compact_one(void)
{
	struct kc_log *log = &cache->log;
	struct kc_segment *segment;

	mutex_lock(&cache->evict.mutex);
	mutex_lock(&cache->arena.mutex);
	kc_log_collect_locked(log);
	segment = kc_log_oldest_locked(log, KC_SMALL) ?: kc_log_oldest_locked(log, KC_MAIN);
	if (segment && !kc_log_hold_locked(segment))
		segment = NULL;
	mutex_unlock(&cache->arena.mutex);
	if (segment) {
		if (!kc_segment_is_run(segment))
			kc_evict_compact_locked(&cache->evict, segment);
		kc_log_release(log, segment);
	}
	mutex_unlock(&cache->evict.mutex);
}

/* All of the memory that nothing lives in goes, and the limit with it. */
static void keep_house(void)
{
	shim_clock_advance_ms(below(10));
	if (one_of(4))
		kc_expire_pass(&cache->expire);
	shim_run_work();
	compact_one();
	if (one_of(2))
		EXPECT_EQ(kc_cache_resize(cache, below(8) * MiB + 56 * MiB), 0);
	grow_table();
	nap();
	shrink_table();
}

static void make_trouble(void)
{
	int err;

	shim_clock_advance_ms(below(10));
	if (one_of(4))
		kc_expire_pass(&cache->expire);
	shim_run_work();
	if (one_of(3))
		compact_one();
	if (one_of(6))
		EXPECT_EQ(kc_cache_flush(cache), 0);
	if (one_of(6))
		shim_fail_one_of(one_of(2) ? 0 : 1 + below(30));
	if (one_of(3)) {
		err = kc_cache_resize(cache, MiB + below(3) * MiB / 2);
		EXPECT(!err || err == -ENOSPC);
	}
	if (one_of(3))
		reclaim(1 + below(40));
	grow_table();
	nap();
	if (one_of(2))
		shrink_table();
}

/* -------- the two tests -------- */

struct worker {
	pthread_t thread;
	u32 id;
};

static void *work(void *arg)
{
	struct worker *worker = arg;

	shim_random_seed(seed * 1000 + worker->id);
	shim_set_cpu(worker->id);
	if (worker->id < NR_WRITERS)
		write_on(worker->id);
	else if (worker->id < NR_THREADS - 1)
		read_on(worker->id - NR_WRITERS);
	else
		while (READ_ONCE(writers_left))
			if (is_lossy)
				make_trouble();
			else
				keep_house();
	return NULL;
}

static void torture(u64 max_bytes)
{
	const char *times = getenv("KCACHE_STRESS"), *given = getenv("KCACHE_SEED");
	struct worker worker[NR_THREADS];
	u64 *value = calloc(1, VALUE_MAX_BYTES);
	u32 i;

	if (!seed)
		seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) * 1000 + getpid();
	nr_ops = 100000 * (times ? strtoull(times, NULL, 0) : 1);
#ifdef SHIM_TSAN
	nr_ops /= 2;
#endif
	alarm(nr_ops / 500 + 60);
	mapping_prepare(2 * max_bytes + 8 * MiB);
	shim_totalram_pages = 64 * MiB >> PAGE_SHIFT;
	start(max_bytes);
	shim_seed(seed);
	mapping_init(cache);
	memset(keys, 0, sizeof(keys));
	for (i = 0; i < NR_KEYS; i++)
		next_state(i, value);
	free(value);
	shim_perturb_set(true);

	WRITE_ONCE(writers_left, NR_WRITERS);
	for (i = 0; i < NR_THREADS; i++) {
		worker[i].id = i;
		ASSERT(!pthread_create(&worker[i].thread, NULL, work, &worker[i]));
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(worker[i].thread, NULL);

	shim_perturb_set(false);
	shim_fail_one_of(0);
	printf("# seed %llu, %llu operations of each of %d writers; reads:", seed, nr_ops,
	       NR_WRITERS);
	for (i = 0; i <= NR_MAPPED; i++)
		printf(" %s %llu hit, %llu missed;", i < NR_MAPPED ? "mapped" : "core",
		       readers[i].hits, readers[i].misses);
	printf(" %llu borrowed, %llu of them void\n", readers[0].borrows + readers[1].borrows,
	       readers[0].void_borrows + readers[1].void_borrows);
	for (i = 0; i <= NR_MAPPED; i++)
		EXPECT(readers[i].hits && readers[i].misses);
	EXPECT(count_of(cache, KC_STAT_expirations) > 0);
	EXPECT(count_of(cache, KC_STAT_moves) > 0);
}

static void end(void)
{
	mapping_exit();
	stop();
}

KTAP_TEST(what_is_kept_is_found_and_whole_while_all_around_it_changes)
{
	is_lossy = false;
	torture(64 * MiB);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	end();
}

KTAP_TEST(what_is_found_in_a_small_cache_in_trouble_is_whole_and_not_old)
{
	is_lossy = true;
	torture(2 * MiB);
	EXPECT(count_of(cache, KC_STAT_evictions) > 0);
	EXPECT(count_of(cache, KC_STAT_flushed) > 0);
	end();
}

KTAP_MAIN
