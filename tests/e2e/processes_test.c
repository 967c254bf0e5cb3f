// SPDX-License-Identifier: GPL-2.0
/*
 * Many processes at the same keys at once. Operations are atomic, so sums are exact,
 * what is popped is popped once, and nobody ever sees half of one value and half of
 * another: each value carries its key, its length and a stream of bytes that can be
 * recomputed. All of it goes on while the cache evicts, is resized, flushed, listed
 * and has its users killed.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <sched.h>

#define KIB	1024
#define MIB	(1024 * KIB)

#define NR(array)	(sizeof(array) / sizeof((array)[0]))
#define PROCESSES	8

#define atomic_add(where, what)	__atomic_add_fetch(where, what, __ATOMIC_SEQ_CST)
#define atomic_get(where)	__atomic_load_n(where, __ATOMIC_SEQ_CST)

/* -------- values that can be checked -------- */

struct blob {
	__u32 key_nr;
	__u32 len;	/* with this header */
	__u64 seed;
	__u64 stream[];	/* what follows from seed; the last word may be cut */
};

#define BLOB_MAX	(700 * KIB)

static __u64 next_word(__u64 word)
{
	return word * 6364136223846793005ULL + 1442695040888963407ULL;
}

/* @len: at least that of the header. */
static void make_blob(struct blob *blob, __u32 key_nr, __u32 len)
{
	__u64 word = random_number();
	__u32 i;

	blob->key_nr = key_nr;
	blob->len = len;
	blob->seed = word;
	for (i = 0; sizeof(*blob) + 8 * i < len; i++)
		blob->stream[i] = word = next_word(word);
}

static void check_blob(int line, const struct blob *blob, __u32 key_nr, __u64 len)
{
	__u64 word = blob->seed;
	size_t i, rest;

	if (len < sizeof(*blob) || blob->len != len)
		ktap_fail(line, "the value has %llu bytes, and says %u", (unsigned long long)len, blob->len);
	if (blob->key_nr != key_nr)
		ktap_fail(line, "the value of key %u is under key %u", blob->key_nr, key_nr);
	for (i = 0; sizeof(*blob) + 8 * i + 8 <= len; i++) {
		word = next_word(word);
		if (blob->stream[i] != word)
			ktap_fail(line, "the value is mixed at byte %zu of %llu",
				  sizeof(*blob) + 8 * i, (unsigned long long)len);
	}
	rest = len - sizeof(*blob) - 8 * i;
	word = next_word(word);
	if (memcmp(&blob->stream[i], &word, rest))
		ktap_fail(line, "the value is mixed at its end");
}

#define CHECK_BLOB(blob, key_nr, len)	check_blob(__LINE__, blob, key_nr, len)

/* Mostly small, now and then larger than a block, seldom larger than a chunk. */
static __u32 random_len(__u32 max)
{
	__u64 lot = random_below(100);
	__u32 len = lot < 80 ? 1500 : lot < 98 ? 45 * KIB : 600 * KIB;

	return sizeof(struct blob) + random_below(len < max ? len : max);
}

/* -------- what was done, to compare with what was counted -------- */

#define COUNTERS(X)	X(hits) X(misses) X(sets) X(removes) X(pops) X(touches) X(adds) X(appends)

enum counter {
#define X(name) COUNT_##name,
	COUNTERS(X)
#undef X
	NR_COUNTERS
};

static const char *const counter_names[] = {
#define X(name) #name,
	COUNTERS(X)
#undef X
};

static __u64 *done;	/* by enum counter, in shared memory */
static __u64 counted_before[NR_COUNTERS];

static __u64 counted(enum counter which)
{
	char name[32];

	snprintf(name, sizeof(name), "stats/%s", counter_names[which]);
	return sysfs_number(name);
}

static void begin_counting(void)
{
	int i;

	done = shared_memory(NR_COUNTERS * sizeof(*done));
	for (i = 0; i < NR_COUNTERS; i++)
		counted_before[i] = counted(i);
}

static void check_counters(void)
{
	int i;

	for (i = 0; i < NR_COUNTERS; i++) {
		CASE("%s", counter_names[i]);
		CHECK_EQ(counted(i) - counted_before[i], done[i]);
	}
}

static void did(enum counter which)
{
	atomic_add(&done[which], 1);
}

/* -------- churn: everything at once on keys that all share -------- */

static struct {
	int nr_keys;
	__u32 len_max;
	int rounds;	/* of each process */
	int flags;
} churn_of;

#define MAY_VANISH	1	/* entries may go by themselves: eviction, flush */
#define MAY_BE_LARGE	2	/* a value may be over the limit of the moment */

static char *buffer;

static void churn_set(const char *key, int key_nr)
{
	static const __u32 flags[] = {
		0, 0, KCACHE_IF_ABSENT, KCACHE_IF_PRESENT, KCACHE_KEEP_TTL, KCACHE_RETURN_OLD,
		KCACHE_RETURN_OLD | KCACHE_IF_PRESENT, KCACHE_IF_VERSION,
	};
	struct blob *blob = (struct blob *)buffer;
	char *old = buffer + BLOB_MAX;
	__u32 len = random_len(churn_of.len_max);
	struct kcache_op op = OP(SET, key, BYTES(blob, len), .flags = flags[random_below(NR(flags))],
				 .client_flags = key_nr * (key_nr % 3));
	__u64 version = 0;
	int err;

	if (random_below(10) == 0)
		op.ttl_ms = 1 + random_below(20);
	if (op.flags & KCACHE_RETURN_OLD) {
		op.out = address(old);
		op.out_len = BLOB_MAX;
	}
	if (op.flags & KCACHE_IF_VERSION) {
		struct kcache_op stat = OP(STAT, key);

		err = run(&stat);
		CHECK(!err || err == -ENOENT);
		op.version = version = stat.version;
	}
	make_blob(blob, key_nr, len);
	err = run(&op);
	CASE("SET of %u bytes with %#x: %s", len, op.flags, ktap_errno(-err));
	switch (err) {
	case 0:
		did(COUNT_sets);
		CHECK(op.version != version);
		if (op.flags & KCACHE_RETURN_OLD && op.out_len != KCACHE_ABSENT)
			CHECK_BLOB((struct blob *)old, key_nr, op.out_len);
		break;
	case -EEXIST:
		CHECK(op.flags & KCACHE_IF_ABSENT);
		break;
	case -ENOENT:
		CHECK(op.flags & (KCACHE_IF_PRESENT | KCACHE_IF_VERSION));
		break;
	case -ESTALE:
		CHECK(op.flags & KCACHE_IF_VERSION);
		break;
	case -EFBIG:
		CHECK(churn_of.flags & MAY_BE_LARGE);
		break;
	default:
		CHECK(false);
	}
}

static void churn_get(const char *key, int key_nr)
{
	struct kcache_op op = OP(GET, key, INTO_BYTES(buffer, BLOB_MAX));
	int err;

	if (random_below(8) == 0)
		op.out_len = sizeof(struct blob) + random_below(2000);
	if (random_below(5) == 0) {
		op.flags = KCACHE_TOUCH;
		op.ttl_ms = random_below(3) ? 100000 : 0;
	}
	err = run(&op);
	CASE("GET with %#x: %s", op.flags, ktap_errno(-err));
	if (!err) {
		CHECK_BLOB((struct blob *)buffer, key_nr, op.out_len);
		CHECK_EQ(op.client_flags, key_nr * (key_nr % 3));
		if (op.flags & KCACHE_TOUCH)
			did(COUNT_touches);
		did(COUNT_hits);
	} else if (err == -EMSGSIZE) {
		did(COUNT_hits);
	} else {
		CHECK(err == -ENOENT);
		did(COUNT_misses);
	}
}

static void churn_other(const char *key, int key_nr)
{
	struct kcache_op op = OP(POP, key, INTO_BYTES(buffer, BLOB_MAX));
	int err;

	switch (random_below(4)) {
	case 0:
		err = run(&op);
		CASE("POP: %s", ktap_errno(-err));
		if (!err) {
			CHECK_BLOB((struct blob *)buffer, key_nr, op.out_len);
			did(COUNT_pops);
		}
		break;
	case 1:
		op.opcode = KCACHE_OP_REMOVE;
		err = run(&op);
		CASE("REMOVE: %s", ktap_errno(-err));
		if (!err)
			did(COUNT_removes);
		break;
	case 2:
		op.opcode = KCACHE_OP_STAT;
		err = run(&op);
		CASE("STAT: %s", ktap_errno(-err));
		if (!err) {
			CHECK(op.out_len >= sizeof(struct blob));
			CHECK_EQ(op.client_flags, key_nr * (key_nr % 3));
		}
		break;
	default:
		op.opcode = KCACHE_OP_TOUCH;
		op.ttl_ms = random_below(3) ? 100000 : 0;
		err = run(&op);
		CASE("TOUCH: %s", ktap_errno(-err));
		if (!err)
			did(COUNT_touches);
	}
	CHECK(!err || err == -ENOENT);
}

static void churn_once(void)
{
	int key_nr = random_below(churn_of.nr_keys);
	char key[32];
	__u64 lot = random_below(100);

	snprintf(key, sizeof(key), "shared%d", key_nr);
	if (lot < 35)
		churn_set(key, key_nr);
	else if (lot < 80)
		churn_get(key, key_nr);
	else
		churn_other(key, key_nr);
}

static void churn(int nr)
{
	int i;

	(void)nr;
	buffer = malloc(2 * BLOB_MAX);
	CHECK(buffer);
	for (i = 0; i < churn_of.rounds; i++)
		churn_once();
}

/* Number of lines that the device lists. @each: called with each key, may be NULL. */
static unsigned long long list(void (*each)(const char *key))
{
	static char text[64 * KIB];
	int fd = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC)), len, i;
	enum { ATTRIBUTES, KEY, REST } at = KEY;
	unsigned long long nr = 0;
	bool is_first = true;
	char key[64] = "";
	size_t key_len = 0;

	while ((len = MUST(read(fd, text, sizeof(text))))) {
		for (i = 0; i < len; i++) {
			char c = text[i];

			if (is_first && c == '@')
				at = ATTRIBUTES;
			is_first = c == '\n';
			if (is_first) {
				CHECK_EQ(at, REST);
				nr++;
				at = KEY;
				key_len = 0;
			} else if (c == ' ' && at == KEY) {
				key[key_len] = '\0';
				if (each)
					each(key);
				at = REST;
			} else if (c == ' ' && at == ATTRIBUTES) {
				at = KEY;
			} else if (at == KEY && key_len < sizeof(key) - 1) {
				key[key_len++] = c;
			}
		}
	}
	CHECK_EQ(at, KEY);
	close(fd);
	return nr;
}

/* All that is there is whole and accounted for, and it all goes. */
static void check_what_is_left(void)
{
	struct kcache_op op;
	char key[32];
	int i, err, there = 0;

	buffer = malloc(2 * BLOB_MAX);
	milliseconds_pass(30);	/* for those of a short ttl */
	for (i = 0; i < churn_of.nr_keys; i++) {
		snprintf(key, sizeof(key), "shared%d", i);
		op = OP(GET, key, INTO_BYTES(buffer, BLOB_MAX));
		err = run(&op);
		CHECK(!err || err == -ENOENT);
		if (err)
			continue;
		CHECK_BLOB((struct blob *)buffer, i, op.out_len);
		there++;
	}
	CHECK_EQ(list(NULL), there);
	CHECK(sysfs_number("stats/entries") >= (unsigned long long)there);
	CHECK(sysfs_number("stats/bytes_allocated") <= sysfs_number("limits/max_bytes"));
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK_EQ(sysfs_number("stats/entries"), 0);
	CHECK_EQ(sysfs_number("stats/bytes_live"), 0);
	CHECK_EQ(list(NULL), 0);
}

TEST(values_are_whole_while_many_processes_change_them)
{
	churn_of.nr_keys = 20;
	churn_of.len_max = BLOB_MAX - sizeof(struct blob);
	churn_of.rounds = 4000;
	begin_counting();
	in_processes(PROCESSES, churn);
	check_counters();
	check_what_is_left();
}

TEST(values_are_whole_while_sixteen_processes_change_one_key)
{
	churn_of.nr_keys = 1;
	churn_of.len_max = 20 * KIB;
	churn_of.rounds = 4000;
	begin_counting();
	in_processes(16, churn);
	check_counters();
	check_what_is_left();
}

/* The smallest limit that the cache takes, set. */
static __u64 set_smallest(void)
{
	__u64 max_bytes = sysfs_number("limits/max_bytes");

	while (!set_max_bytes(max_bytes / 2))
		max_bytes /= 2;
	CHECK_EQ(sysfs_number("limits/max_bytes"), max_bytes);
	return max_bytes;
}

TEST(values_are_whole_in_a_small_cache_that_evicts)
{
	unsigned long long before = sysfs_number("stats/evictions");
	unsigned long long no_space = sysfs_number("stats/no_space");

	set_smallest();
	churn_of.nr_keys = 2000;
	churn_of.len_max = sysfs_number("limits/value_max") - sizeof(struct blob);
	churn_of.rounds = 4000;
	churn_of.flags = MAY_VANISH;
	begin_counting();
	in_processes(PROCESSES, churn);
	check_counters();
	CHECK(sysfs_number("stats/evictions") > before);
	CHECK_EQ(sysfs_number("stats/no_space"), no_space);
	check_what_is_left();
}

static __u64 smallest, largest;
static volatile int *left;	/* processes that are not done; in shared memory */

static void resize_or_churn(int nr)
{
	if (nr) {
		churn(nr);
		atomic_add(left, -1);
		return;
	}
	while (atomic_get(left)) {
		__u64 max_bytes = smallest + random_below(largest - smallest);

		if (random_below(3) == 0)
			max_bytes = random_below(2) ? smallest : largest;
		CHECK_ERR(set_max_bytes(max_bytes), 0);
		CHECK_EQ(sysfs_number("limits/max_bytes"), max_bytes);
	}
}

TEST(values_are_whole_while_the_limit_goes_up_and_down)
{
	largest = sysfs_number("limits/max_bytes");
	smallest = set_smallest();
	left = shared_memory(sizeof(*left));
	*left = PROCESSES;
	churn_of.nr_keys = 1000;
	churn_of.len_max = BLOB_MAX - sizeof(struct blob);
	churn_of.rounds = 4000;
	churn_of.flags = MAY_VANISH | MAY_BE_LARGE;
	begin_counting();
	in_processes(PROCESSES + 1, resize_or_churn);
	check_counters();
	CHECK(sysfs_number("stats/bytes_allocated") <= sysfs_number("limits/max_bytes"));
	check_what_is_left();
}

static void flush_or_churn(int nr)
{
	if (nr) {
		churn(nr);
		atomic_add(left, -1);
		return;
	}
	while (atomic_get(left)) {
		MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		sched_yield();
	}
}

TEST(values_are_whole_while_the_cache_is_flushed)
{
	left = shared_memory(sizeof(*left));
	*left = PROCESSES;
	churn_of.nr_keys = 100;
	churn_of.len_max = 50 * KIB;
	churn_of.rounds = 4000;
	churn_of.flags = MAY_VANISH;
	begin_counting();
	in_processes(PROCESSES + 1, flush_or_churn);
	check_counters();
	check_what_is_left();
}

/* -------- listing meanwhile -------- */

#define NR_STEADY	1000

static unsigned char met[NR_STEADY];

static void meet(const char *key)
{
	int nr;

	if (strncmp(key, "steady", 6))
		return;
	nr = atoi(key + 6);
	CHECK(nr >= 0 && nr < NR_STEADY);
	met[nr]++;
}

static void list_once(void)
{
	int i;

	memset(met, 0, sizeof(met));
	list(meet);
	for (i = 0; i < NR_STEADY; i++) {
		CASE("steady%d", i);
		CHECK_EQ(met[i], 1);
	}
}

/* Fills and empties the table, so that it grows and shrinks under the listing. */
static void swell(int nr)
{
	char key[32];
	int round, i;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 3000; i++) {
			snprintf(key, sizeof(key), "swell%d.%d", nr, i);
			WORKS(OP(SET, key, VALUE("x"), .client_flags = i % 2));
		}
		for (i = 0; i < 3000; i++) {
			snprintf(key, sizeof(key), "swell%d.%d", nr, i);
			WORKS(OP(REMOVE, key));
		}
	}
}

static void list_swell_or_churn(int nr)
{
	char key[32];
	int i;

	switch (nr) {
	case 0:
		while (atomic_get(left))
			list_once();
		return;
	case 1:
	case 2:
		swell(nr);
		break;
	case 3:
		/* Steady ones change, but stay. */
		for (i = 0; i < 5 * NR_STEADY; i++) {
			snprintf(key, sizeof(key), "steady%d", (int)random_below(NR_STEADY));
			WORKS(OP(SET, key, BYTES(key, random_below(sizeof(key)))));
			snprintf(key, sizeof(key), "steady%d", (int)random_below(NR_STEADY));
			WORKS(OP(TOUCH, key, .ttl_ms = random_below(2) * 1000000));
		}
		break;
	default:
		churn(nr);
	}
	atomic_add(left, -1);
}

TEST(entries_that_stay_are_listed_exactly_once)
{
	char key[32];
	int i;

	for (i = 0; i < NR_STEADY; i++) {
		snprintf(key, sizeof(key), "steady%d", i);
		WORKS(OP(SET, key, VALUE("value"), .ttl_ms = i % 2 * 1000000));
	}
	list_once();
	CHECK_EQ(list(NULL), NR_STEADY);
	left = shared_memory(sizeof(*left));
	*left = 5;
	churn_of.nr_keys = 100;
	churn_of.len_max = 20 * KIB;
	churn_of.rounds = 4000;
	begin_counting();
	in_processes(6, list_swell_or_churn);
	list_once();
}

/* -------- killed meanwhile -------- */

static void churn_for_ever(int nr)
{
	(void)nr;
	buffer = malloc(2 * BLOB_MAX);
	for (;;) {
		churn_once();
		atomic_add(left, 1);
	}
}

TEST(processes_that_are_killed_leave_everything_whole)
{
	pid_t pids[PROCESSES];
	int i, round, status;

	left = shared_memory(sizeof(*left));
	churn_of.nr_keys = 50;
	churn_of.len_max = BLOB_MAX - sizeof(struct blob);
	begin_counting();
	for (i = 0; i < PROCESSES; i++)
		pids[i] = start_process(churn_for_ever, i + 1);
	for (round = 0; round < 60; round++) {
		int victim = random_below(PROCESSES), at = atomic_get(left);

		while (atomic_get(left) < at + 50)
			milliseconds_pass(1);
		MUST(kill(pids[victim], SIGKILL));
		MUST(waitpid(pids[victim], &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		random_number();
		pids[victim] = start_process(churn_for_ever, round * PROCESSES);
	}
	for (i = 0; i < PROCESSES; i++) {
		MUST(kill(pids[i], SIGKILL));
		MUST(waitpid(pids[i], &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	check_what_is_left();
}

/* -------- ADD -------- */

#define NR_SUMS	5

static __s64 *sums;	/* in shared memory */

static void add_up(int nr)
{
	static const __s64 sizes[] = { 1, 7, -3, 100000, -99999, 1LL << 40, -(1LL << 40), -12345678901 };
	int i;

	(void)nr;
	for (i = 0; i < 4000; i++) {
		int which = random_below(NR_SUMS);
		__s64 delta = sizes[random_below(NR(sizes))];
		char key[24];

		snprintf(key, sizeof(key), "sum%d", which);
		WORKS(OP(ADD, key, .delta = delta));
		atomic_add(&sums[which], delta);
		did(COUNT_adds);
	}
}

TEST(sums_of_many_processes_are_exact)
{
	char key[24], text[32];
	int i;

	sums = shared_memory(NR_SUMS * sizeof(*sums));
	for (i = 0; i < NR_SUMS; i++) {
		snprintf(key, sizeof(key), "sum%d", i);
		WORKS(OP(SET, key, VALUE("0"), .client_flags = i));
	}
	begin_counting();
	in_processes(PROCESSES, add_up);
	check_counters();
	for (i = 0; i < NR_SUMS; i++) {
		snprintf(key, sizeof(key), "sum%d", i);
		snprintf(text, sizeof(text), "%lld", (long long)sums[i]);
		HOLDS(key, text);
		CHECK_EQ(WORKS(OP(STAT, key)).client_flags, i);
	}
}

/* Each sum is seen by one process: ADD tells what it stored, not what is there later. */
#define NR_TICKETS	10000

static unsigned char *tickets;	/* in shared memory */

static void draw_tickets(int nr)
{
	__s64 number;

	(void)nr;
	do {
		number = WORKS(OP(ADD, "ticket", .delta = 1, .number = 0, .flags = KCACHE_INITIAL)).number;
		if (number < NR_TICKETS)
			atomic_add(&tickets[number], 1);
	} while (number < NR_TICKETS);
}

TEST(each_sum_is_told_to_one_process)
{
	int i;

	tickets = shared_memory(NR_TICKETS);
	in_processes(PROCESSES, draw_tickets);
	for (i = 0; i < NR_TICKETS; i++) {
		CASE("ticket %d", i);
		CHECK_EQ(tickets[i], 1);
	}
}

static void add_initial(int nr)
{
	char key[24];
	int i;

	(void)nr;
	for (i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "initial%d", i);
		WORKS(OP(ADD, key, .delta = 1, .number = 100, .flags = KCACHE_INITIAL));
	}
}

TEST(initial_value_is_stored_by_one_of_many)
{
	char key[24], text[16];
	int i;

	in_processes(PROCESSES, add_initial);
	for (i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "initial%d", i);
		snprintf(text, sizeof(text), "%d", 100 + PROCESSES - 1);
		HOLDS(key, text);
	}
}

/* -------- POP -------- */

#define NR_TOKENS	4000

static unsigned char *taken;	/* by token, in shared memory */
static volatile int *nr_taken;

static void pop_all(int nr)
{
	int i;

	for (i = 0; i < NR_TOKENS; i++) {
		int token = (i + nr * 17) % NR_TOKENS, value;
		struct kcache_op op;
		char key[24];
		int err;

		snprintf(key, sizeof(key), "token%d", token);
		op = OP(POP, key, INTO_BYTES(&value, sizeof(value)));
		err = run(&op);
		if (err) {
			CHECK_ERR(err, ENOENT);
			continue;
		}
		CHECK_EQ(value, token);
		atomic_add(&taken[token], 1);
	}
}

TEST(each_entry_is_popped_by_exactly_one_process)
{
	char key[24];
	int i;

	taken = shared_memory(NR_TOKENS);
	for (i = 0; i < NR_TOKENS; i++) {
		snprintf(key, sizeof(key), "token%d", i);
		WORKS(OP(SET, key, BYTES(&i, sizeof(i))));
	}
	in_processes(PROCESSES, pop_all);
	for (i = 0; i < NR_TOKENS; i++) {
		CASE("token %d", i);
		CHECK_EQ(taken[i], 1);
	}
	CHECK_EQ(sysfs_number("stats/entries"), 0);
}

/* Half of the processes put tokens into a few places, the others take them out. */
static void put_or_take(int nr)
{
	int places = 5, token = nr / 2, err, value;
	char key[24];

	while (nr % 2 ? atomic_get(nr_taken) < NR_TOKENS : token < NR_TOKENS) {
		struct kcache_op op;

		snprintf(key, sizeof(key), "place%d", (int)random_below(places));
		if (nr % 2) {
			op = OP(POP, key, INTO_BYTES(&value, sizeof(value)));
			err = run(&op);
			CHECK(!err || err == -ENOENT);
			if (!err) {
				CHECK(value >= 0 && value < NR_TOKENS);
				atomic_add(&taken[value], 1);
				atomic_add(nr_taken, 1);
			}
		} else {
			op = OP(SET, key, BYTES(&token, sizeof(token)), .flags = KCACHE_IF_ABSENT);
			err = run(&op);
			CHECK(!err || err == -EEXIST);
			if (!err)
				token += PROCESSES / 2;
		}
		if (err)
			sched_yield();
	}
}

TEST(what_is_set_if_absent_and_popped_is_neither_lost_nor_doubled)
{
	int i;

	taken = shared_memory(NR_TOKENS);
	nr_taken = shared_memory(sizeof(*nr_taken));
	in_processes(PROCESSES, put_or_take);
	for (i = 0; i < NR_TOKENS; i++) {
		CASE("token %d", i);
		CHECK_EQ(taken[i], 1);
	}
}

/* Every value that was ever there is returned as the old one once, or is the last. */
static void swap(int nr)
{
	int i, old;

	for (i = nr; i < NR_TOKENS; i += PROCESSES) {
		struct kcache_op op = OP(SET, "swap", BYTES(&i, sizeof(i)), .flags = KCACHE_RETURN_OLD,
					 INTO_BYTES(&old, sizeof(old)));

		CHECK_ERR(run(&op), 0);
		if (op.out_len == KCACHE_ABSENT)
			atomic_add(nr_taken, 1);
		else
			atomic_add(&taken[old], 1);
	}
}

TEST(each_old_value_is_returned_to_exactly_one_process)
{
	int i, last;

	taken = shared_memory(NR_TOKENS);
	nr_taken = shared_memory(sizeof(*nr_taken));
	in_processes(PROCESSES, swap);
	CHECK_EQ(*nr_taken, 1);
	WORKS(OP(GET, "swap", INTO_BYTES(&last, sizeof(last))));
	for (i = 0; i < NR_TOKENS; i++) {
		CASE("token %d", i);
		CHECK_EQ(taken[i], i != last);
	}
}

/* -------- conditions -------- */

static void count_by_version(int nr)
{
	int i, number, err;

	(void)nr;
	for (i = 0; i < 1000; i++) {
		do {
			struct kcache_op op = WORKS(OP(GET, "number", INTO_BYTES(&number, sizeof(number))));

			number++;
			op = OP(SET, "number", BYTES(&number, sizeof(number)), .flags = KCACHE_IF_VERSION,
				.version = op.version);
			err = run(&op);
			CHECK(!err || err == -ESTALE);
		} while (err);
	}
}

TEST(compare_and_swap_loses_no_increment)
{
	int number = 0;

	WORKS(OP(SET, "number", BYTES(&number, sizeof(number))));
	in_processes(PROCESSES, count_by_version);
	WORKS(OP(GET, "number", INTO_BYTES(&number, sizeof(number))));
	CHECK_EQ(number, PROCESSES * 1000);
}

static volatile int *guarded;	/* in shared memory */

static void count_under_lock(int nr)
{
	int i, seen, err;

	(void)nr;
	for (i = 0; i < 300; i++) {
		struct kcache_op op;

		do {
			op = OP(SET, "lock", VALUE("held"), .flags = KCACHE_IF_ABSENT);
			err = run(&op);
			CHECK(!err || err == -EEXIST);
			if (err)
				sched_yield();
		} while (err);
		seen = *guarded;
		sched_yield();
		*guarded = seen + 1;
		WORKS(OP(REMOVE, "lock", .flags = KCACHE_IF_VERSION, .version = op.version));
	}
}

TEST(set_if_absent_is_won_by_one_at_a_time)
{
	guarded = shared_memory(sizeof(*guarded));
	in_processes(PROCESSES, count_under_lock);
	CHECK_EQ(*guarded, PROCESSES * 300);
}

/* -------- APPEND, PREPEND -------- */

#define RECORD		16	/* bytes: "<process:2> <number:11>;\n" */
#define RECORDS		120	/* of each process, at each end */

static void append_records(int nr)
{
	static char value[2 * PROCESSES * RECORDS * RECORD];
	char record[RECORD + 1];
	int i;

	for (i = 0; i < RECORDS; i++) {
		struct kcache_op op;

		snprintf(record, sizeof(record), "%02d %011d;\n", nr, i);
		op = WORKS(OP(APPEND, "list", BYTES(record, RECORD)));
		CHECK_EQ(op.out_len % RECORD, 0);
		op = WORKS(OP(PREPEND, "list", BYTES(record, RECORD)));
		CHECK_EQ(op.out_len % RECORD, 0);
		op = WORKS(OP(GET, "list", INTO(value)));
		CHECK(op.out_len && op.out_len % RECORD == 0);
		CHECK_EQ(value[op.out_len - 1], '\n');
	}
}

TEST(appends_of_many_processes_are_all_there_and_in_order)
{
	static char value[2 * PROCESSES * RECORDS * RECORD];
	int behind[PROCESSES] = { 0 }, before[PROCESSES] = { 0 }, i;
	struct kcache_op op;

	WORKS(OP(SET, "list", .client_flags = 8));
	in_processes(PROCESSES, append_records);
	op = WORKS(OP(GET, "list", INTO(value)));
	CHECK_EQ(op.out_len, sizeof(value));
	CHECK_EQ(op.client_flags, 8);
	/* From the front the numbers of each process go down to 0, then up again. */
	for (i = 0; i < 2 * PROCESSES * RECORDS; i++) {
		char *record = value + i * RECORD;
		int nr = atoi(record), number = atoi(record + 3);

		CHECK(nr >= 0 && nr < PROCESSES && record[14] == ';' && record[15] == '\n');
		CASE("record %d, of process %d", i, nr);
		if (before[nr] < RECORDS)
			CHECK_EQ(number, RECORDS - 1 - before[nr]++);
		else
			CHECK_EQ(number, behind[nr]++);
	}
	for (i = 0; i < PROCESSES; i++)
		CHECK_EQ(before[i] + behind[i], 2 * RECORDS);
}

/* -------- expiry -------- */

#define NR_STAYING	300

static void set_short_lived(int nr)
{
	char key[32], value[1000];
	int i;

	memset(value, 's', sizeof(value));
	for (i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "short%d.%d", nr, i);
		WORKS(OP(SET, key, BYTES(value, sizeof(value)), .ttl_ms = 1 + random_below(300)));
		if (i % (2000 * 4 / NR_STAYING) == 0) {
			snprintf(key, sizeof(key), "stays%d.%d", nr, i);
			WORKS(OP(SET, key, BYTES(value, i % 1000), .client_flags = i));
		}
	}
	time_passes();
}

TEST(entries_that_stay_survive_the_expiry_of_those_around_them)
{
	char key[32], value[1000];
	int i, nr, staying = 0;

	memset(value, 's', sizeof(value));
	in_processes(4, set_short_lived);
	for (nr = 0; nr < 4; nr++)
		for (i = 0; i < 2000; i += 2000 * 4 / NR_STAYING)
			staying++;
	for (i = 0; sysfs_number("stats/entries") > (unsigned int)staying; i++) {
		CHECK(i < 600);
		milliseconds_pass(100);
	}
	for (nr = 0; nr < 4; nr++)
		for (i = 0; i < 2000; i += 2000 * 4 / NR_STAYING) {
			snprintf(key, sizeof(key), "stays%d.%d", nr, i);
			CASE("%s", key);
			HOLDS_ON(key, strlen(key), value, i % 1000);
			CHECK_EQ(WORKS(OP(STAT, key)).client_flags, i);
		}
	CHECK_EQ(list(NULL), staying);
	CHECK_EQ(sysfs_number("stats/entries"), staying);
}

/* -------- lines -------- */

static int shared_fd;

static void write_lines(int nr)
{
	int own_fd = MUST(open(DEVICE, O_WRONLY | O_CLOEXEC)), i, len;
	char line[64];

	for (i = 0; i < 300; i++) {
		len = snprintf(line, sizeof(line), "@flags=%d own%d.%d value %d\n", nr, nr, i, i);
		/* In two parts: the other half of a line is not for another file's line. */
		CHECK_EQ(write(own_fd, line, len / 2), len / 2);
		len = snprintf(line, sizeof(line), "shared%d.%d value %d\n", nr, i, i);
		CHECK_EQ(write(shared_fd, line, len), len);
		len = snprintf(line, sizeof(line), "@flags=%d own%d.%d value %d\n", nr, nr, i, i);
		CHECK_EQ(write(own_fd, line + len / 2, len - len / 2), len - len / 2);
	}
	MUST(close(own_fd));
}

TEST(lines_of_many_processes_do_not_mix)
{
	char key[32], value[32];
	int nr, i;

	shared_fd = MUST(open(DEVICE, O_WRONLY | O_CLOEXEC));
	in_processes(PROCESSES, write_lines);
	MUST(close(shared_fd));
	for (nr = 0; nr < PROCESSES; nr++)
		for (i = 0; i < 300; i++) {
			snprintf(value, sizeof(value), "value %d", i);
			snprintf(key, sizeof(key), "own%d.%d", nr, i);
			CASE("%s", key);
			HOLDS(key, value);
			CHECK_EQ(WORKS(OP(STAT, key)).client_flags, nr);
			snprintf(key, sizeof(key), "shared%d.%d", nr, i);
			CASE("%s", key);
			HOLDS(key, value);
		}
	CHECK_EQ(sysfs_number("stats/entries"), PROCESSES * 600);
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
