// SPDX-License-Identifier: GPL-2.0
/*
 * Many threads on one cache, against what can be known of the result.
 *
 * Bounded by operations: KCACHE_STRESS=N does N times as many. Chance comes from
 * one seed, which is printed; KCACHE_SEED=N sets it. Interleavings do not repeat
 * with it, but what the threads do does.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "audit.h"
#include "space.h"
#include "model.h"
#include "ktap.h"

#define NR_THREADS	4

static u64 seed;
static u64 nr_ops;		/* of each thread, before a test takes its part of it */
static u32 workers_left;	/* atomic */

static u64 below(u64 n)
{
	return shim_random() % n;
}

static bool one_of(u64 n)
{
	return !below(n);
}

/* -------- threads -------- */

struct worker {
	pthread_t thread;
	u32 id;
	void (*run)(u32 id);
};

static void *run_worker(void *arg)
{
	struct worker *worker = arg;

	shim_random_seed(seed * 1000 + worker->id);
	shim_set_cpu(worker->id);
	worker->run(worker->id);
	__atomic_sub_fetch(&workers_left, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Runs @work in threads of their own, and @aside in another as long as they work. */
static void run_threads(void (*work)(u32 id), void (*aside)(u32 id))
{
	struct worker worker[NR_THREADS + 1];
	u32 i, nr = NR_THREADS + !!aside;

	WRITE_ONCE(workers_left, NR_THREADS + !!aside);
	for (i = 0; i < nr; i++) {
		worker[i].id = i;
		worker[i].run = i < NR_THREADS ? work : aside;
		ASSERT(!pthread_create(&worker[i].thread, NULL, run_worker, &worker[i]));
	}
	for (i = 0; i < nr; i++)
		pthread_join(worker[i].thread, NULL);
}

static bool is_work_left(void)
{
	return READ_ONCE(workers_left) > 1;
}

static void set_up(u64 max_bytes)
{
	static bool is_told;

	if (!is_told) {
		const char *times = getenv("KCACHE_STRESS"), *given = getenv("KCACHE_SEED");

		seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) * 1000 + getpid();
		nr_ops = 16000 * (times ? strtoull(times, NULL, 0) : 1);
#ifdef SHIM_TSAN
		nr_ops /= 2;
#endif
		printf("# seed %llu, %llu operations\n", seed, nr_ops);
		is_told = true;
	}
	alarm(nr_ops / 20 + 60);
	start(max_bytes);
	shim_seed(seed);
	shim_perturb_set(true);
}

static void tear_down(void)
{
	shim_perturb_set(false);
	shim_fail_one_of(0);
	stop();
}

/* What goes on beside the operations; whatever else a test allows to happen. */

static void nap(void)
{
	struct timespec pause = { .tv_nsec = 200000 };

	nanosleep(&pause, NULL);
}

static void scan_all(void (*look)(const struct kc_copy *copy))
{
	struct kc_copy copy = { 0 };
	u64 position = 0;

	while (kc_cache_next(cache, &position, &copy) == 1) {
		if (look)
			look(&copy);
		if (!position)
			break;
	}
	kvfree(copy.data);
}

/* As when the system is short of memory. */
static void reclaim(u64 pages)
{
	struct shrink_control control = { .nr_to_scan = pages };

	cache->shrinker->scan_objects(cache->shrinker, &control);
}

/* Entries that come and expire, so that passes find something to compact. */
static void store_junk(void)
{
	char key[24];
	u32 i;

	for (i = below(60); i; i--) {
		snprintf(key, sizeof(key), "junk %llu", below(5000));
		set_ttl(cache, key, "passes away", 1 + below(40));
	}
}

static void house_keeping(void)
{
	struct kc_cache_account account;

	store_junk();
	shim_clock_advance_ms(below(30));
	if (one_of(2))
		kc_expire_pass(&cache->expire);
	else
		shim_run_work();
	kc_cache_account(cache, &account);
	EXPECT(account.bytes_allocated <= 64 * MiB);
}

/* These change the table and evict nothing, where the limit is far. */

static void grow_table(void)
{
	u64 i;

	mutex_lock(&cache->arena.mutex);
	for (i = below(200); i; i--)
		EXPECT_EQ(kc_table_split_locked(&cache->table), 0);
	mutex_unlock(&cache->arena.mutex);
}

static void shrink_table(void)
{
	mutex_lock(&cache->evict.mutex);
	kc_space_shrink_table(cache);
	mutex_unlock(&cache->evict.mutex);
}

/* -------- values that tell what they are -------- */

/*
 * A value of key @key, the @nth that it had: both, and filler of a length that
 * follows from them. What is read is whole if it is one of these.
 */
struct stamp {
	u32 key;
	u32 len;
	u64 nth;
};

#define VALUE_MAX_BYTES	30000

static u32 stamp_len(u32 key, u64 nth)
{
	u64 dice = (key * 31 + nth) * 0x9e3779b97f4a7c15ULL >> 40;

	return sizeof(struct stamp) + (dice % 50 == 0 ? dice % 25000 : dice % 5 ? dice % 100 :
				       dice % 3000);
}

static u32 make_value(u8 *to, u32 key, u64 nth)
{
	struct stamp stamp = { .key = key, .len = stamp_len(key, nth), .nth = nth };

	memcpy(to, &stamp, sizeof(stamp));
	fill(to + sizeof(stamp), stamp.len - sizeof(stamp), key + nth);
	return stamp.len;
}

/* The number of a value, after it was found whole and of @key. */
static u64 check_value(const void *p, u64 len, u32 key)
{
	struct stamp stamp;

	if (!EXPECT(len >= sizeof(stamp)))
		return 0;
	memcpy(&stamp, p, sizeof(stamp));
	EXPECT_EQ(stamp.key, key);
	EXPECT_EQ(stamp.len, len);
	EXPECT_EQ(len, stamp_len(key, stamp.nth));
	EXPECT(is_filled((const u8 *)p + sizeof(stamp), len - sizeof(stamp), key + stamp.nth));
	return stamp.nth;
}

static struct kcache_op op_on_number(u32 opcode, const u32 *key)
{
	return (struct kcache_op) {
		.size = sizeof(struct kcache_op),
		.opcode = opcode,
		.key = (uintptr_t)key,
		.key_len = sizeof(*key),
	};
}

/* -------- one writer a key, many readers: each read is of its time -------- */

/*
 * Each key goes through numbered states; in each fifth it is absent. Its writer
 * says before a change which state comes and after it which has come. What a
 * reader gets must be one of the states from the last that had come before it
 * asked to the last that was announced when it was answered.
 */
#define NR_KEYS		64

static struct {
	u64 announced;		/* atomic */
	u64 reached;		/* atomic */
} states[NR_KEYS];
static bool is_lossy;		/* entries may leave by themselves */

static bool is_absent_state(u64 state)
{
	return state % 5 == 0;
}

static void check_read(u32 key, u64 from, int err, const void *value, u64 len)
{
	u64 to = __atomic_load_n(&states[key].announced, __ATOMIC_SEQ_CST), nth;

	if (err == -ENOENT) {
		EXPECT(is_lossy || to / 5 > from / 5 || is_absent_state(from));
		return;
	}
	if (!EXPECT_EQ(err, 0))
		return;
	nth = check_value(value, len, key);
	if (!EXPECT(nth >= from && nth <= to))
		FAIL("key %u: read state %llu, it was %llu to %llu", key, nth, from, to);
}

static u64 reached(u32 key)
{
	return __atomic_load_n(&states[key].reached, __ATOMIC_SEQ_CST);
}

static void read_state(u8 *buffer)
{
	u32 key = below(NR_KEYS);
	struct kcache_op op = op_on_number(KCACHE_OP_GET, &key);
	u64 from = reached(key);
	int err;

	OUT(&op, buffer, VALUE_MAX_BYTES);
	err = run_op(cache, &op);
	check_read(key, from, err, buffer, op.out_len);
}

/* The writer of @key itself knows what is there, unless entries may leave. */
static void next_state(u32 key, u8 *value, u8 *old)
{
	u64 before = reached(key), after = before + 1;
	bool was_absent = is_absent_state(before);
	struct kcache_op op = op_on_number(KCACHE_OP_SET, &key);
	bool with_old = false;
	int err;

	__atomic_store_n(&states[key].announced, after, __ATOMIC_SEQ_CST);
	if (is_absent_state(after)) {
		with_old = one_of(2);
		op.opcode = with_old ? KCACHE_OP_POP : KCACHE_OP_REMOVE;
	} else {
		VALUE(&op, value, make_value(value, key, after));
		op.client_flags = one_of(4) ? key : 0;
		if (!is_lossy && one_of(3))
			op.flags |= was_absent ? KCACHE_IF_ABSENT : KCACHE_IF_PRESENT;
		with_old = one_of(4);
		if (with_old)
			op.flags |= KCACHE_RETURN_OLD;
	}
	OUT(&op, old, VALUE_MAX_BYTES);
	do {
		err = run_op(cache, &op);
	} while (err == -ENOSPC && is_lossy);
	if (err == -ENOENT && is_lossy && is_absent_state(after))
		err = 0;
	else if (!err && with_old && op.out_len != KCACHE_ABSENT)
		EXPECT_EQ(check_value(old, op.out_len, key), before);
	else if (!err && with_old)
		EXPECT(is_lossy || was_absent);
	EXPECT_EQ(err, 0);
	__atomic_store_n(&states[key].reached, after, __ATOMIC_SEQ_CST);
}

static void read_and_write(u32 id)
{
	u8 *value = malloc(VALUE_MAX_BYTES), *old = malloc(VALUE_MAX_BYTES);
	u64 i;

	for (i = 0; i < nr_ops; i++) {
		if (one_of(3))
			next_state(below(NR_KEYS / NR_THREADS) * NR_THREADS + id, value, old);
		else
			read_state(old);
	}
	free(value);
	free(old);
}

static u64 seen_from[NR_KEYS];

static void look_at_state(const struct kc_copy *copy)
{
	u32 key;

	if (copy->key_len != sizeof(key))
		return;
	memcpy(&key, copy->data, sizeof(key));
	if (!EXPECT(key < NR_KEYS))
		return;
	check_read(key, seen_from[key], 0, copy->data + sizeof(key), copy->value_len);
}

static void keep_house(u32 id)
{
	u32 i;

	while (is_work_left()) {
		house_keeping();
		for (i = 0; i < NR_KEYS; i++)
			seen_from[i] = reached(i);
		scan_all(look_at_state);
		EXPECT_EQ(kc_cache_resize(cache, below(8) * MiB + 56 * MiB), 0);
		grow_table();
		nap();
		shrink_table();
	}
}

KTAP_TEST(each_read_is_of_its_time)
{
	set_up(64 * MiB);
	memset(states, 0, sizeof(states));
	is_lossy = false;
	run_threads(read_and_write, keep_house);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	tear_down();
}

/* Small, so that memory is used again all the time; and flushed, and resized, and starved. */
static void make_trouble(u32 id)
{
	u32 i;

	while (is_work_left()) {
		house_keeping();
		for (i = 0; i < NR_KEYS; i++)
			seen_from[i] = reached(i);
		scan_all(look_at_state);
		if (one_of(4))
			EXPECT_EQ(kc_cache_flush(cache), 0);
		if (one_of(4))
			shim_fail_one_of(one_of(2) ? 0 : 1 + below(30));
		if (one_of(2)) {
			int err = kc_cache_resize(cache, MiB + below(3) * MiB / 2);

			EXPECT(!err || err == -ENOSPC);
		}
		if (one_of(2))
			reclaim(1 + below(40));
		nap();
	}
}

KTAP_TEST(a_small_cache_in_trouble_gives_old_values_or_none_but_no_wrong_ones)
{
	set_up(MiB);
	memset(states, 0, sizeof(states));
	is_lossy = true;
	run_threads(read_and_write, make_trouble);
	EXPECT(count_of(cache, KC_STAT_flushed) > 0);
	tear_down();
}

/* Entries of one size fill each segment to the same end. */
static void overwrite_all(u32 id)
{
	u8 value[200], got[200];
	u64 i;

	for (i = 0; i < nr_ops * 3; i++) {
		u32 key = below(7000);
		s64 len;

		if (one_of(8)) {
			struct kcache_op op = op_on_number(KCACHE_OP_REMOVE, &key);

			run_op(cache, &op);
		}
		fill(value, sizeof(value), key);
		EXPECT_EQ(set_bytes(cache, &key, sizeof(key), value, sizeof(value)), 0);
		key = below(7000);
		len = get_bytes(cache, &key, sizeof(key), got, sizeof(got));
		EXPECT(len == -ENOENT || (len == sizeof(got) && is_filled(got, len, key)));
	}
}

static void flush_and_pass(u32 id)
{
	while (is_work_left()) {
		house_keeping();
		if (one_of(20))
			EXPECT_EQ(kc_cache_flush(cache), 0);
		if (one_of(20))
			reclaim(1 + below(10));
		EXPECT(atomic64_read(&cache->arena.used_bytes) <= MiB);
		nap();
	}
}

KTAP_TEST(memory_that_is_used_again_at_once_holds_what_was_stored)
{
	set_up(MiB);
	run_threads(overwrite_all, flush_and_pass);
	EXPECT(count_of(cache, KC_STAT_evictions) > 0);
	tear_down();
}

/* -------- keys of one's own: all operations, exactly -------- */

#define NR_OWN		24
#define OWN_LONGEST	4000

/* One random operation on a key that no other thread uses, compared with the model. */
static bool use_own_key(struct model *model, const char *key, u8 *in, u8 *out)
{
	struct outcome o = { .value_max = 2 * OWN_LONGEST };

	o.asked = o.got = model_random_op(model, key, in, out, OWN_LONGEST);
	/* Far off, since another moves the clock while we ask. */
	o.asked.ttl_ms = o.got.ttl_ms = one_of(3) ? (1ULL << 32) + below(1000) : 0;
	if (model->len + o.asked.value_len > o.value_max)
		o.asked.opcode = o.got.opcode = KCACHE_OP_SET;
	if (o.asked.opcode == KCACHE_OP_SET && one_of(20) && o.asked.value_len) {
		o.bad_in = true;
		shim_user_mark(in + below(o.asked.value_len), 1, SHIM_UNMAPPED);
	}
	if (one_of(20) && model->len) {
		o.bad_out = 1 + below(model->len);
		shim_user_mark(out + o.bad_out - 1, 1, SHIM_UNMAPPED);
	}
	if (one_of(10))
		shim_user_mark((one_of(2) ? in : out) + below(40), 3, SHIM_ABSENT);
	o.from = shim_clock_ms();
	o.err = run_op(cache, &o.got);
	o.to = shim_clock_ms();
	shim_user_clear();
	return EXPECT(model_agrees(model, &o));
}

static void use_own_keys(u32 id)
{
	struct model *models = calloc(NR_OWN, sizeof(*models));
	u8 *in = malloc(OWN_LONGEST + 32), *out = malloc(2 * OWN_LONGEST);
	char key[32];
	u32 which;
	u64 i;

	for (i = 0; i < nr_ops; i++) {
		which = below(NR_OWN);
		snprintf(key, sizeof(key), "own %u of %u", which, id);
		if (!use_own_key(&models[which], key, in, out))
			break;
	}
	for (which = 0; which < NR_OWN; which++)
		free(models[which].value);
	free(models);
	free(in);
	free(out);
}

static void keep_house_roughly(u32 id)
{
	while (is_work_left()) {
		house_keeping();
		scan_all(NULL);
		EXPECT_EQ(kc_cache_resize(cache, below(8) * MiB + 56 * MiB), 0);
		nap();
	}
}

KTAP_TEST(every_operation_is_exact_on_keys_that_nobody_else_uses)
{
	set_up(64 * MiB);
	run_threads(use_own_keys, keep_house_roughly);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	tear_down();
}

/* -------- nothing is lost, nothing is had twice -------- */

#define NR_POP_KEYS	8
#define TOKENS_MAX	(1 << 22)

static u8 *fates;		/* of each token: 1 stored, 2 taken; atomic */

static void take_token(const char *value, u64 len)
{
	char text[32] = "";
	u32 token;

	if (!EXPECT(len < sizeof(text)))
		return;
	memcpy(text, value, len);
	token = strtoul(text, NULL, 10);
	EXPECT_EQ(__atomic_exchange_n(&fates[token], 2, __ATOMIC_SEQ_CST), 1);
}

static void store_and_take(u32 id)
{
	char key[16], value[32], out[32];
	u64 i, len;

	for (i = 0; i < nr_ops; i++) {
		u32 token = (i * NR_THREADS + id) % TOKENS_MAX;
		struct kcache_op op;
		int err;

		snprintf(key, sizeof(key), "pop %llu", below(NR_POP_KEYS));
		if (one_of(2)) {
			err = pop(cache, key, out, sizeof(out), &len);
			EXPECT(!err || err == -ENOENT);
			if (!err)
				take_token(out, len);
			continue;
		}
		snprintf(value, sizeof(value), "%u", token);
		__atomic_store_n(&fates[token], 1, __ATOMIC_SEQ_CST);
		op = op_on(KCACHE_OP_SET, key);
		VALUE(&op, value, strlen(value));
		OUT(&op, out, sizeof(out));
		op.flags = KCACHE_RETURN_OLD | (one_of(3) ? KCACHE_IF_ABSENT : 0);
		err = run_op(cache, &op);
		EXPECT(!err || err == -EEXIST);
		if (err)
			__atomic_store_n(&fates[token], 0, __ATOMIC_SEQ_CST);
		else if (op.out_len != KCACHE_ABSENT)
			take_token(out, op.out_len);
	}
}

KTAP_TEST(every_token_that_is_stored_is_taken_exactly_once)
{
	char key[16], out[32];
	u64 i, len, left = 0;

	set_up(64 * MiB);
	fates = calloc(TOKENS_MAX, 1);
	run_threads(store_and_take, keep_house_roughly);
	for (i = 0; i < NR_POP_KEYS; i++) {
		snprintf(key, sizeof(key), "pop %llu", i);
		if (!pop(cache, key, out, sizeof(out), &len))
			take_token(out, len);
	}
	for (i = 0; i < TOKENS_MAX; i++)
		left += fates[i] == 1;
	EXPECT_EQ(left, 0);
	free(fates);
	tear_down();
}

/* What others may see: all that has been added before, and no more than is being added. */
static struct {
	s64 announced;		/* atomic */
	s64 reached;		/* atomic */
} sums[4];
static u64 cas_wins;		/* atomic */
static u64 nr_appended;		/* atomic */

#define LIST_MAX	20000	/* each time all of it is copied */

/* The first two only grow. */
static void add_to_sum(u32 which)
{
	s64 delta = (s64)below(1ULL << below(40)) - (which < 2 ? 0 : 1 << 20);
	struct kcache_op op;
	char key[16];

	snprintf(key, sizeof(key), "sum %u", which);
	op = op_on(KCACHE_OP_ADD, key);
	op.flags = KCACHE_INITIAL;
	op.delta = op.number = delta;
	__atomic_add_fetch(&sums[which].announced, delta, __ATOMIC_SEQ_CST);
	EXPECT_EQ(run_op(cache, &op), 0);
	__atomic_add_fetch(&sums[which].reached, delta, __ATOMIC_SEQ_CST);
}

static void read_sum(u32 which)
{
	s64 least = __atomic_load_n(&sums[which].reached, __ATOMIC_SEQ_CST), sum = 0, len;
	char key[16], text[32] = "";

	snprintf(key, sizeof(key), "sum %u", which);
	len = get_bytes(cache, key, strlen(key), text, sizeof(text) - 1);
	if (len != -ENOENT) {
		EXPECT(len > 0);
		sum = strtoll(text, NULL, 10);
	}
	if (!EXPECT(sum >= least &&
		    sum <= __atomic_load_n(&sums[which].announced, __ATOMIC_SEQ_CST)))
		FAIL("read sum %lld, it was at least %lld", sum, least);
}

/* Counts by compare-and-swap. */
static void count_by_version(void)
{
	struct kcache_op op;
	u64 value;
	int err;

	do {
		op = op_on(KCACHE_OP_GET, "cas");
		OUT(&op, &value, sizeof(value));
		if (!EXPECT_EQ(run_op(cache, &op), 0))
			return;
		value++;
		op.opcode = KCACHE_OP_SET;
		op.flags = KCACHE_IF_VERSION;
		VALUE(&op, &value, sizeof(value));
		err = run_op(cache, &op);
	} while (err == -ESTALE);
	EXPECT_EQ(err, 0);
	__atomic_add_fetch(&cas_wins, 1, __ATOMIC_SEQ_CST);
}

static void change_together(u32 id)
{
	u64 i;

	for (i = 0; i < nr_ops; i++) {
		struct kcache_op op;
		u64 word;

		switch (READ_ONCE(nr_appended) < LIST_MAX ? below(4) : 2 * below(2)) {
		case 0:
			count_by_version();
			break;
		case 1:
			op = op_on(one_of(2) ? KCACHE_OP_APPEND : KCACHE_OP_PREPEND, "list");
			word = (u64)id << 32 | i;
			VALUE(&op, &word, sizeof(word));
			EXPECT_EQ(run_op(cache, &op), 0);
			__atomic_add_fetch(&nr_appended, 1, __ATOMIC_SEQ_CST);
			break;
		default:
			add_to_sum(below(4));
			break;
		}
		if (one_of(2))
			read_sum(below(2));
	}
}

KTAP_TEST(sums_lists_and_swaps_lose_nothing)
{
	u64 value = 0, i, n;
	u64 *list = malloc(MiB);
	u8 *seen;
	s64 len;

	set_up(64 * MiB);
	memset(sums, 0, sizeof(sums));
	cas_wins = nr_appended = 0;
	EXPECT_EQ(set_bytes(cache, "cas", 3, &value, 8), 0);
	EXPECT_EQ(set(cache, "list", ""), 0);
	run_threads(change_together, keep_house_roughly);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);

	for (i = 0; i < 4; i++) {
		char key[16];
		s64 sum;

		snprintf(key, sizeof(key), "sum %llu", i);
		if (!add(cache, key, 0, &sum))
			EXPECT_EQ(sum, sums[i].reached);
	}
	EXPECT_EQ(get_bytes(cache, "cas", 3, &value, 8), 8);
	EXPECT_EQ(value, cas_wins);
	len = get_bytes(cache, "list", 4, list, MiB);
	EXPECT_EQ(len, nr_appended * 8);
	seen = calloc(NR_THREADS, nr_ops);
	for (n = 0; n < (u64)len / 8; n++) {
		u64 id = list[n] >> 32, nth = (u32)list[n];

		if (EXPECT(id < NR_THREADS && nth < nr_ops))
			EXPECT_EQ(seen[id * nr_ops + nth]++, 0);
	}
	free(seen);
	free(list);
	tear_down();
}

/* -------- scans, flushes -------- */

#define NR_STAYING	1500

static u16 met[NR_STAYING];

static void come_and_go(u32 id)
{
	u64 i;

	for (i = 0; i < nr_ops * 2; i++) {
		u32 key = NR_STAYING + below(20000);
		/* They come in waves, so that the table grows and shrinks. */
		bool comes = i / 1000 % 2 != one_of(10);
		struct kcache_op op = op_on_number(comes ? KCACHE_OP_SET : KCACHE_OP_REMOVE, &key);
		int err = run_op(cache, &op);

		EXPECT(!err || (!comes && err == -ENOENT));
		if (one_of(50)) {
			key = below(NR_STAYING);
			EXPECT_EQ(set_bytes(cache, &key, sizeof(key), &i, sizeof(i)), 0);
		}
	}
}

static void look_at_staying(const struct kc_copy *copy)
{
	u32 key;

	if (copy->key_len != sizeof(key))
		return;
	memcpy(&key, copy->data, sizeof(key));
	if (key < NR_STAYING)
		met[key]++;
}

static void scan_again_and_again(u32 id)
{
	u32 i;

	while (is_work_left()) {
		memset(met, 0, sizeof(met));
		scan_all(look_at_staying);
		for (i = 0; i < NR_STAYING; i++)
			if (!EXPECT_EQ(met[i], 1))
				break;
		shrink_table();
		house_keeping();
	}
}

KTAP_TEST(a_scan_meets_what_stays_exactly_once)
{
	u64 i;
	u32 key;

	set_up(64 * MiB);
	for (key = 0; key < NR_STAYING; key++) {
		i = key;
		ASSERT_EQ(set_bytes(cache, &key, sizeof(key), &i, sizeof(i)), 0);
	}
	run_threads(come_and_go, scan_again_and_again);
	EXPECT_EQ(count_of(cache, KC_STAT_evictions), 0);
	tear_down();
}

/* What a thread has stored before it flushes is not there afterwards, whoever moves it. */
static void store_and_flush(u32 id)
{
	char key[32];
	u64 i, j;

	for (i = 0; i < nr_ops / 40; i++) {
		for (j = 0; j < 40; j++) {
			snprintf(key, sizeof(key), "%u: %llu", id, j);
			EXPECT_EQ(set_ttl(cache, key, "some value",
					  one_of(2) ? 1 + below(50) : 0), 0);
		}
		EXPECT_EQ(kc_cache_flush(cache), 0);
		for (j = 0; j < 40; j++) {
			snprintf(key, sizeof(key), "%u: %llu", id, j);
			EXPECT(has(cache, key, NULL));
		}
	}
}

static void pass_again_and_again(u32 id)
{
	while (is_work_left())
		house_keeping();
}

KTAP_TEST(what_was_stored_before_a_flush_is_gone_after_it)
{
	set_up(4 * MiB);
	run_threads(store_and_flush, pass_again_and_again);
	tear_down();
}

KTAP_MAIN
