// SPDX-License-Identifier: GPL-2.0
/*
 * Clients that end in the middle of what they do: killed at random moments of every
 * operation. Others see nothing but whole values meanwhile, and afterwards the accounts
 * add up to the byte.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include "crash.h"

#define VICTIMS		6
#define KILLS		150

/* -------- what was begun and what was done, to compare with what was counted -------- */

#define COUNTERS(X)	X(sets) X(removes) X(pops) X(touches) X(adds) X(appends)

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

/* All that processes share; atomic. */
static struct {
	__s64 begun[NR_COUNTERS];
	__s64 done[NR_COUNTERS];
	__s64 sum_begun, sum_done;		/* of ADD */
	__s64 append_begun, append_done, prepend_begun, prepend_done;
	int rank;				/* of the next victim */
} *shared;

static __s64 counted_before[NR_COUNTERS];

static __s64 counted(enum counter which)
{
	char name[32];

	snprintf(name, sizeof(name), "stats/%s", counter_names[which]);
	return sysfs_number(name);
}

static void begin_counting(void)
{
	int i;

	shared = shared_memory(sizeof(*shared));
	for (i = 0; i < NR_COUNTERS; i++)
		counted_before[i] = counted(i);
}

/* Who is killed has begun at most @each operations of which he does not know the end. */
static void check_counters(int kills, int each)
{
	int i;

	for (i = 0; i < NR_COUNTERS; i++) {
		__s64 more = counted(i) - counted_before[i] - shared->done[i];
		__s64 open = shared->begun[i] - shared->done[i];

		CASE("%s", counter_names[i]);
		CHECK(more >= 0 && more <= open);
		CHECK(open <= (__s64)kills * each);
		CHECK(shared->done[i] > 0);
	}
}

/* Does @op, which counts as @which if it succeeds: 0 or -errno. */
static int do_counted(enum counter which, struct kcache_op *op)
{
	int err;

	atomic_add(&shared->begun[which], 1);
	err = run(op);
	if (err)
		atomic_add(&shared->begun[which], -1);
	else
		atomic_add(&shared->done[which], 1);
	return err;
}

/* -------- victims: everything, for ever -------- */

static int is_all;	/* they flush, resize and expire, too */
static int rank;	/* of this process among all that were ever started */

static __u32 random_words(void)
{
	__u64 lot = random_below(100);

	return 1 + random_below(lot < 80 ? 100 : lot < 97 ? 8000 : WHOLE_WORDS);
}

static void strike_set(int nr)
{
	static const __u32 flags[] = {
		0, 0, 0, KCACHE_IF_ABSENT, KCACHE_IF_PRESENT, KCACHE_KEEP_TTL, KCACHE_RETURN_OLD,
	};
	struct kcache_op op = OP(SET, whole_key(nr), .flags = flags[random_below(NR(flags))],
				 .client_flags = nr % 3);
	int err;

	op.value = address(buffer);
	op.value_len = make_whole((struct whole *)buffer, nr, random_words());
	if (op.flags & KCACHE_RETURN_OLD) {
		op.out = address(buffer + WHOLE_MAX);
		op.out_len = WHOLE_MAX;
	}
	err = do_counted(COUNT_sets, &op);
	CASE("SET with %#x: %s", op.flags, ktap_errno(-err));
	if (!err && op.flags & KCACHE_RETURN_OLD && op.out_len != KCACHE_ABSENT)
		CHECK_WHOLE(buffer + WHOLE_MAX, nr, op.out_len);
	CHECK(!err || (err == -EEXIST && op.flags & KCACHE_IF_ABSENT) ||
	      (err == -ENOENT && op.flags & KCACHE_IF_PRESENT) ||
	      (err == -EFBIG && is_all));	/* under a low limit */
}

static void strike_get(int nr, __u32 flags)
{
	struct kcache_op op = OP(GET, whole_key(nr), INTO_BYTES(buffer, WHOLE_MAX), .flags = flags,
				 .ttl_ms = flags ? 1000000 : 0);
	int err = flags ? do_counted(COUNT_touches, &op) : run(&op);

	CASE("GET with %#x: %s", flags, ktap_errno(-err));
	CHECK(!err || err == -ENOENT);
	if (!err)
		CHECK_WHOLE(buffer, nr, op.out_len);
}

static void strike_small(enum counter which, struct kcache_op op)
{
	int err = do_counted(which, &op);

	CASE("opcode %u: %s", op.opcode, ktap_errno(-err));
	CHECK(!err || err == -ENOENT);
	if (!err && op.opcode == KCACHE_OP_POP)
		CHECK_WHOLE(buffer, ((struct whole *)buffer)->key_nr, op.out_len);
}

static void strike_add(void)
{
	struct kcache_op op = OP(ADD, "sum", .delta = 1);

	atomic_add(&shared->sum_begun, 1);
	CHECK_ERR(do_counted(COUNT_adds, &op), 0);
	atomic_add(&shared->sum_done, 1);
}

struct record {
	__u32 rank;
	__u32 serial;
};

static void strike_extend(bool is_append)
{
	static __u32 serial[2];
	struct record record = { rank, serial[is_append] };
	struct kcache_op op = OP(APPEND, is_append ? "log" : "gol", BYTES(&record, sizeof(record)));

	if (!is_append)
		op.opcode = KCACHE_OP_PREPEND;
	if (atomic_add(is_append ? &shared->append_begun : &shared->prepend_begun, 1) > 20000) {
		atomic_add(is_append ? &shared->append_begun : &shared->prepend_begun, -1);
		return;
	}
	CHECK_ERR(do_counted(COUNT_appends, &op), 0);
	atomic_add(is_append ? &shared->append_done : &shared->prepend_done, 1);
	serial[is_append]++;
}

#define BATCH	16

static void strike_batch(void)
{
	static struct { struct whole head; __u64 word[60]; } values[BATCH], outs[BATCH];
	static const enum counter which[] = { COUNT_sets, COUNT_adds, COUNT_removes, COUNT_pops };
	struct kcache_batch batch = {
		.size = sizeof(batch), .op_size = sizeof(struct kcache_op), .nr = BATCH,
	};
	struct kcache_op ops[BATCH];
	char keys[BATCH][16];
	int i, kind[BATCH];

	for (i = 0; i < BATCH; i++) {
		int nr = NR_WHOLE + random_below(NR_BATCH);

		kind[i] = random_below(4);
		snprintf(keys[i], sizeof(keys[i]), "whole%d", nr);
		switch (kind[i]) {
		case 0:
			ops[i] = OP(SET, keys[i], BYTES(&values[i], 0));
			ops[i].value_len = make_whole(&values[i].head, nr, 1 + random_below(60));
			break;
		case 1:
			ops[i] = OP(ADD, "sum", .delta = 1);
			atomic_add(&shared->sum_begun, 1);
			break;
		case 2:
			ops[i] = OP(REMOVE, keys[i]);
			break;
		default:
			ops[i] = OP(POP, keys[i], INTO_BYTES(&outs[i], sizeof(outs[i])));
		}
		atomic_add(&shared->begun[which[kind[i]]], 1);
	}
	batch.ops = address(ops);
	MUST(ioctl(cache, KCACHE_IOC_BATCH, &batch));
	CHECK_EQ(batch.done, BATCH);
	for (i = 0; i < BATCH; i++) {
		CASE("in a batch, opcode %u: %s", ops[i].opcode, ktap_errno(-ops[i].error));
		CHECK(!ops[i].error || (ops[i].error == -ENOENT && kind[i] > 1));
		if (kind[i] == 3 && !ops[i].error)
			CHECK_WHOLE(&outs[i], outs[i].head.key_nr, ops[i].out_len);
		if (ops[i].error)
			atomic_add(&shared->begun[which[kind[i]]], -1);
		else
			atomic_add(&shared->done[which[kind[i]]], 1);
		if (kind[i] == 1)
			atomic_add(&shared->sum_done, 1);
	}
}

/* Three lines, now and then in two writes. */
static void strike_write(int fd)
{
	char text[3 * (26 * 300 + 32)];
	size_t len = 0, first;
	int i;

	for (i = 0; i < 3; i++) {
		char letter = 'a' + random_below(26);

		len += sprintf(text + len, "text%d ", (int)random_below(NR_TEXT));
		memset(text + len, letter, text_len(letter));
		len += text_len(letter);
		text[len++] = '\n';
	}
	atomic_add(&shared->begun[COUNT_sets], 3);
	first = random_below(2) ? len : 1 + random_below(len - 1);
	CHECK_EQ(write(fd, text, first), (ssize_t)first);
	if (first < len)
		CHECK_EQ(write(fd, text + first, len - first), (ssize_t)(len - first));
	atomic_add(&shared->done[COUNT_sets], 3);
}

/* A handle of the library: a descriptor, a mapping and a page of hints, for a moment. */
static void strike_map(int nr)
{
	struct kcache *handle;
	size_t len;
	int err, i;

	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	for (i = 0; i < 20; i++) {
		err = kcache_get(handle, whole_key(nr), strlen(whole_key(nr)), buffer, WHOLE_MAX,
				 &len);
		CASE("mapped GET: %s", ktap_errno(-err));
		CHECK(!err || err == -ENOENT);
		if (!err)
			CHECK_WHOLE(buffer, nr, len);
	}
	kcache_close(handle);
}

static void strike_all(void)
{
	static const int limits[] = { 8, 16, 64 };
	struct kcache_op op;

	switch (random_below(20)) {
	case 0:
		MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		break;
	case 1:
		/* A little less than what is in use may not be had at this moment. */
		set_max_bytes((unsigned long long)limits[random_below(NR(limits))] * MIB);
		break;
	case 2:
		op = OP(TOUCH, whole_key(random_below(NR_WHOLE)), .ttl_ms = 1 + random_below(20));
		run(&op);
		break;
	case 3:
		sysfs_number("stats/hits");
		break;
	}
}

static void strike(int nr)
{
	int fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));

	(void)nr;
	buffer = malloc(2 * WHOLE_MAX);
	CHECK(buffer);
	rank = atomic_add(&shared->rank, 1) - 1;
	for (;;) {
		int which = random_below(NR_WHOLE);
		const char *key = whole_key(which);

		if (is_all)
			strike_all();
		switch (random_below(18)) {
		case 0 ... 3:
			strike_set(which);
			break;
		case 4 ... 6:
			strike_get(which, 0);
			break;
		case 7:
			strike_get(which, KCACHE_TOUCH);
			break;
		case 8:
			strike_small(COUNT_pops, OP(POP, key, INTO_BYTES(buffer, WHOLE_MAX)));
			break;
		case 9:
			strike_small(COUNT_removes, OP(REMOVE, key));
			break;
		case 10:
			strike_small(COUNT_touches, OP(TOUCH, key, .ttl_ms = 1000000));
			break;
		case 11 ... 12:
			if (!is_all)
				strike_add();
			break;
		case 13 ... 14:
			if (!is_all)
				strike_extend(random_below(2));
			break;
		case 15:
			if (!is_all)
				strike_batch();
			break;
		case 16:
			strike_write(fd);
			break;
		default:
			if (random_below(3))
				strike_map(which);
			else
				list_keys(NULL);
		}
	}
}

/* Starts, kills and starts processes that strike() while others look_on(). */
static void kill_many(int kills)
{
	pid_t pids[VICTIMS];
	int i;

	begin_looking();
	for (i = 0; i < VICTIMS; i++)
		pids[i] = start_process(strike, i + 1);
	for (i = 0; i < kills; i++) {
		int victim = random_below(VICTIMS);

		usleep(random_below(20000));
		MUST(kill(pids[victim], SIGKILL));
		check_killed(pids[victim]);
		random_number();
		pids[victim] = start_process(strike, VICTIMS + i + 1);
	}
	for (i = 0; i < VICTIMS; i++) {
		MUST(kill(pids[i], SIGKILL));
		check_killed(pids[i]);
	}
	end_looking();
}

static __s64 number_of(const char *key)
{
	char text[32] = "";

	WORKS(OP(GET, key, INTO_BYTES(text, sizeof(text) - 1)));
	return strtoll(text, NULL, 10);
}

/* Each process's records are there, in their order, and none twice or in part. */
static void check_records(const char *key, bool is_append, __s64 begun, __s64 done)
{
	static __u32 next[VICTIMS + KILLS];
	struct record *records = malloc(20100 * sizeof(*records));
	struct kcache_op op = WORKS(OP(GET, key,
				       INTO_BYTES(records, 20100 * sizeof(*records))));
	__s64 nr = op.out_len / sizeof(*records), i;

	CASE("%s of %lld records, %lld done, %lld begun", key, (long long)nr, (long long)done,
	     (long long)begun);
	CHECK_EQ(op.out_len % sizeof(*records), 0);
	CHECK(nr >= done && nr <= begun);
	memset(next, 0, sizeof(next));
	for (i = 0; i < nr; i++) {
		struct record *record = &records[is_append ? i : nr - 1 - i];

		CHECK(record->rank < NR(next));
		CHECK_EQ(record->serial, next[record->rank]++);
	}
	free(records);
}

TEST(processes_killed_at_any_moment_leave_accounts_that_add_up)
{
	__s64 sum;

	begin_counting();
	WORKS(OP(SET, "sum", VALUE("0")));
	WORKS(OP(SET, "log", BYTES("", 0)));
	WORKS(OP(SET, "gol", BYTES("", 0)));
	atomic_add(&shared->begun[COUNT_sets], 3);
	atomic_add(&shared->done[COUNT_sets], 3);
	kill_many(KILLS);
	NOTE("%d processes were killed; %lld SETs, %lld ADDs, %lld APPENDs, %lld POPs; %lld values looked at",
	     KILLS + VICTIMS, (long long)shared->done[COUNT_sets],
	     (long long)shared->done[COUNT_adds], (long long)shared->done[COUNT_appends],
	     (long long)shared->done[COUNT_pops], (long long)looking->nr_checked);
	check_counters(KILLS + VICTIMS, BATCH);
	sum = number_of("sum");
	CASE("sum %lld, %lld done, %lld begun", (long long)sum, (long long)shared->sum_done,
	     (long long)shared->sum_begun);
	CHECK(sum >= shared->sum_done && sum <= shared->sum_begun);
	check_records("log", true, shared->append_begun, shared->append_done);
	check_records("gol", false, shared->prepend_begun, shared->prepend_done);
	check_account();
	check_flush();
	unload_and_load();
}

TEST(processes_killed_while_they_flush_resize_and_expire_leave_a_cache_that_works)
{
	begin_counting();
	is_all = 1;
	kill_many(KILLS);
	CHECK_ERR(set_max_bytes(number_in("/sys/module/kcache/parameters/max_bytes")), 0);
	milliseconds_pass(30);	/* for those of a short ttl */
	counted_bytes = 0;
	list_keys(NULL);
	check_flush();
	WORKS(OP(SET, "key", VALUE("value")));
	HOLDS("key", "value");
	check_account();
	unload_and_load();
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
