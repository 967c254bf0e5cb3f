// SPDX-License-Identifier: GPL-2.0
/*
 * Clients that end in the middle of what they do: killed at random moments of every
 * operation, killed for lack of memory, or left without any. Others see nothing but
 * whole values meanwhile, and afterwards the accounts add up to the byte.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <kcache.h>

#include "crash.h"

#define VICTIMS		6
#define KILLS		150
#define NR_WHOLE	12
#define NR_TEXT		6

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
	__s64 nr_checked;			/* values that were seen to be whole */
	int stop;
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
static char *buffer;	/* two values */
static int rank;	/* of this process among all that were ever started */

static __u32 random_words(void)
{
	__u64 lot = random_below(100);

	return 1 + random_below(lot < 80 ? 100 : lot < 97 ? 8000 : WHOLE_WORDS);
}

static const char *whole_key(int nr)
{
	static char key[16];

	snprintf(key, sizeof(key), "whole%d", nr);
	return key;
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
		int nr = NR_WHOLE + random_below(4);

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

static int text_len(char letter)
{
	return (letter - 'a' + 1) * 300;
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

static void check_text(const char *value, size_t len)
{
	size_t i;

	CHECK(len && *value >= 'a' && *value <= 'z');
	CHECK_EQ(len, text_len(*value));
	for (i = 0; i < len; i++)
		CHECK_EQ(value[i], *value);
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

/* Looks on, by calls or, with @nr, through the mapping. */
static void look_on(int nr)
{
	struct kcache *handle;
	char key[16];
	size_t len;
	int i, err;

	buffer = malloc(WHOLE_MAX);
	CHECK(buffer);
	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	while (!atomic_get(&shared->stop)) {
		for (i = 0; i < NR_WHOLE + 4 + NR_TEXT; i++) {
			bool is_text = i >= NR_WHOLE + 4;

			if (is_text)
				snprintf(key, sizeof(key), "text%d", i - NR_WHOLE - 4);
			else
				snprintf(key, sizeof(key), "whole%d", i);
			CASE("%s of others", key);
			if (nr) {
				err = kcache_get(handle, key, strlen(key), buffer, WHOLE_MAX, &len);
			} else {
				struct kcache_op op = OP(GET, key, INTO_BYTES(buffer, WHOLE_MAX));

				err = run(&op);
				len = op.out_len;
			}
			CHECK(!err || err == -ENOENT);
			if (err)
				continue;
			if (is_text)
				check_text(buffer, len);
			else
				CHECK_WHOLE(buffer, i, len);
			atomic_add(&shared->nr_checked, 1);
		}
		milliseconds_pass(1);
	}
	kcache_close(handle);
}

static void check_killed(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	if (!WIFSIGNALED(status))	/* it has said what it found */
		_exit(KTAP_FAIL);
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

/* Starts, kills and starts processes that strike() while others look_on(). */
static void kill_many(int kills)
{
	pid_t pids[VICTIMS], on[2];
	int i;

	for (i = 0; i < 2; i++)
		on[i] = start_process(look_on, i);
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
	atomic_put(&shared->stop, 1);
	for (i = 0; i < 2; i++)
		end_process(on[i]);
	CHECK(shared->nr_checked > 0);
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
	     (long long)shared->done[COUNT_pops], (long long)shared->nr_checked);
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

/* -------- memory cgroups -------- */

#define CGROUP	"/sys/fs/cgroup/kcache-test"

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return is_written;
}

static void make_cgroup(const char *limit)
{
	rmdir(CGROUP);
	if (mkdir(CGROUP, 0755) || !write_file(CGROUP "/memory.max", limit))
		SKIP("no memory cgroup to be had here: %s", ktap_errno(errno));
	write_file(CGROUP "/memory.swap.max", "0");
}

static unsigned long long nr_oom_kills(void)
{
	char text[512] = "", *at;
	int fd = MUST(open(CGROUP "/memory.events", O_RDONLY | O_CLOEXEC));

	MUST(read(fd, text, sizeof(text) - 1));
	close(fd);
	at = strstr(text, "oom_kill ");
	CHECK(at);
	return strtoull(at + 9, NULL, 10);
}

static void *fresh_memory(size_t len)
{
	return MUST(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* Memory that has no pages yet and gets some when it is read, too. */
static void *fresh_file(size_t len)
{
	int fd = MUST(memfd_create("fresh", MFD_CLOEXEC));
	void *memory;

	MUST(ftruncate(fd, len));
	memory = MUST(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	return memory;
}

static __u64 read_a_page_each_2_mib(const char *map, __u64 len)
{
	__u64 at, sum = 0;

	for (at = 0; at < len; at += 2 * MIB)
		sum += *(volatile const char *)(map + at);
	return sum;
}

enum greedy {
	GREEDY_SET, GREEDY_APPEND, GREEDY_GET, GREEDY_POP, GREEDY_BATCH, GREEDY_READ, GREEDY_WRITE,
	GREEDY_OPEN, GREEDY_HINTS, GREEDY_MAP, NR_GREEDY
};

static const char *const greedy_names[] = {
	"SET", "APPEND", "GET", "POP", "BATCH", "read", "write", "open", "hints", "map",
};

/* Takes memory by calls of the cache until it is killed. Does not come back. */
static void be_greedy(int nr)
{
	const size_t len = 300 * KIB;
	struct kcache_info info = { .size = sizeof(info) };
	int fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	char key[16];
	int i;

	CHECK(write_file(CGROUP "/cgroup.procs", "0"));
	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	for (i = 0;; i++) {
		struct kcache_op op = OP(SET, "key", BYTES(NULL, len));
		struct kcache_batch batch = {
			.size = sizeof(batch), .op_size = sizeof(op), .ops = address(&op), .nr = 1,
		};

		snprintf(key, sizeof(key), "greedy%d", i % 8);
		switch (nr) {
		case GREEDY_SET:
			op.value = address(fresh_file(len));
			op.key = address(key);
			op.key_len = strlen(key);
			run(&op);
			break;
		case GREEDY_APPEND:
			run(&OP(APPEND, "small", BYTES(fresh_file(PAGE), 1)));
			break;
		case GREEDY_GET:
			run(&OP(GET, "whole0", INTO_BYTES(fresh_memory(WHOLE_MAX), WHOLE_MAX)));
			break;
		case GREEDY_POP:
			run(&OP(SET, key, BYTES(buffer, 100 * KIB)));
			run(&OP(POP, key, INTO_BYTES(fresh_memory(len), len)));
			break;
		case GREEDY_BATCH:
			op = OP(GET, "whole0", INTO_BYTES(fresh_memory(WHOLE_MAX), WHOLE_MAX));
			ioctl(cache, KCACHE_IOC_BATCH, &batch);
			break;
		case GREEDY_READ:
			if (read(fd, fresh_memory(len), len) <= 0)
				fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
			break;
		case GREEDY_WRITE:
			/* A line that has no end yet is kept. */
			fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
			memset(buffer, 'a', len);
			memcpy(buffer, "line ", 5);
			if (write(fd, buffer, len) < 0)
				continue;
			break;
		case GREEDY_OPEN:
			open(DEVICE, O_RDWR | O_CLOEXEC);
			break;
		case GREEDY_HINTS:
			fd = open(DEVICE, O_RDWR | O_CLOEXEC);
			if (fd >= 0)
				ioctl(fd, KCACHE_IOC_HINTS, 0);
			break;
		default:
			read_a_page_each_2_mib(mmap(NULL, info.map_bytes, PROT_READ, MAP_SHARED, cache, 0),
					       info.map_bytes);
		}
	}
}

static void raise_limit(int which, rlim_t limit)
{
	struct rlimit all = { limit, limit };

	MUST(setrlimit(which, &all));
}

TEST(process_killed_for_lack_of_memory_leaves_everything_whole)
{
	unsigned long long kills = 0;
	pid_t on[2];
	int nr, i;

	make_cgroup("16M");
	begin_counting();
	raise_limit(RLIMIT_NOFILE, 200000);
	buffer = malloc(2 * WHOLE_MAX);
	for (i = 0; i < NR_WHOLE; i++)
		WORKS(OP(SET, whole_key(i), BYTES(buffer, make_whole((struct whole *)buffer, i,
								     i ? 5000 : WHOLE_WORDS))));
	WORKS(OP(SET, "small", VALUE("small")));
	for (i = 0; i < 2; i++)
		on[i] = start_process(look_on, i);
	for (nr = 0; nr < NR_GREEDY; nr++) {
		CASE("%s", greedy_names[nr]);
		check_killed(start_process(be_greedy, nr));
		CHECK(nr_oom_kills() > kills);
		kills = nr_oom_kills();
		MUST(rmdir(CGROUP));
		make_cgroup("16M");
		kills = 0;
	}
	atomic_put(&shared->stop, 1);
	for (i = 0; i < 2; i++)
		end_process(on[i]);
	check_account();
	check_flush();
	unload_and_load();
	rmdir(CGROUP);
}

/* Nothing of what follows needs memory of the group that the process does not have. */
static void work_without_memory(void)
{
	static char out[200], long_value[100 * KIB];
	struct kcache_op ops[3];
	struct kcache_batch batch = {
		.size = sizeof(batch), .op_size = sizeof(ops[0]), .ops = address(ops), .nr = 3,
	};
	int i;

	memset(long_value, 'v', sizeof(long_value));
	for (i = 0; i < 50; i++) {
		WORKS(OP(SET, "key", VALUE("1"), .client_flags = 3));
		WORKS(OP(ADD, "key", .delta = 1000000));
		WORKS(OP(APPEND, "key", VALUE("b")));
		WORKS(OP(PREPEND, "key", VALUE("a")));
		WORKS(OP(TOUCH, "key", .ttl_ms = 100000));
		CHECK_EQ(WORKS(OP(STAT, "key")).out_len, 9);
		WORKS(OP(SET, "key", VALUE("new"), INTO(out), .flags = KCACHE_RETURN_OLD));
		CHECK(!memcmp(out, "a1000001b", 9));
		WORKS(OP(SET, "long", BYTES(long_value, sizeof(long_value))));
		WORKS(OP(GET, "long", INTO_BYTES(long_value, sizeof(long_value))));
		ops[0] = OP(SET, "batch", VALUE("value"));
		ops[1] = OP(GET, "batch", INTO(out));
		ops[2] = OP(REMOVE, "batch");
		MUST(ioctl(cache, KCACHE_IOC_BATCH, &batch));
		CHECK_EQ(batch.done, 3);
		CHECK(!ops[0].error && !ops[1].error && !ops[2].error);
		WORKS(OP(POP, "key", INTO(out)));
		CHECK(!memcmp(out, "new", 3));
		CHECK_EQ(write(cache, "line of text\n", 13), 13);
	}
}

/* An error that says what is the matter, and that nothing has happened. */
static bool is_for_lack_of_memory(long result, int error)
{
	CASE("%ld, %s", result, ktap_errno(result < 0 ? error : 0));
	return result < 0 && (error == ENOMEM || error == ENOSPC || error == EFAULT);
}

static void live_at_the_limit(int nr)
{
	static char block[64 * KIB];
	int file = MUST(memfd_create("all", MFD_CLOEXEC)), i, fd, refused = 0;
	char *in[8], *out[8];
	struct kcache_op op;

	(void)nr;
	/* Pages that fork() left to be copied are copied now, at the cost of the outer group. */
	work_without_memory();
	MUST(mlockall(MCL_CURRENT));
	for (i = 0; i < 8; i++) {
		in[i] = fresh_file(200 * KIB);
		out[i] = fresh_memory(200 * KIB);
	}
	/* There is nobody to be killed for it: what cannot be had fails. */
	CHECK(write_file("/proc/self/oom_score_adj", "-1000"));
	CHECK(write_file(CGROUP "/cgroup.procs", "0"));
	for (i = sizeof(block); i >= PAGE; i /= 4)
		while (write(file, block, i) == i)
			;
	CHECK_EQ(errno, ENOMEM);

	work_without_memory();
	WORKS(OP(SET, "key", VALUE("value")));
	for (i = 0; i < 8; i++) {
		bool is_refused;

		op = OP(SET, "key", BYTES(in[i], 200 * KIB));
		is_refused = run(&op) && is_for_lack_of_memory(-1, errno);
		if (is_refused)
			HOLDS("key", "value");
		else
			WORKS(OP(SET, "key", VALUE("value")));
		refused += is_refused;
		op = OP(GET, "long", INTO_BYTES(out[i], 200 * KIB));
		refused += run(&op) && is_for_lack_of_memory(-1, errno);
		op = OP(POP, "long", INTO_BYTES(out[i], 200 * KIB));
		if (run(&op)) {
			CHECK(is_for_lack_of_memory(-1, errno));
			CHECK_EQ(WORKS(OP(STAT, "long")).out_len, 100 * KIB);
			refused++;
		} else {
			WORKS(OP(SET, "long", BYTES(out[i], 100 * KIB)));
		}
		fd = open(DEVICE, O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			CHECK(is_for_lack_of_memory(fd, errno));
			refused++;
			continue;
		}
		if (ioctl(fd, KCACHE_IOC_HINTS, 0) < 0) {
			CHECK(is_for_lack_of_memory(-1, errno));
			refused++;
		}
		if (read(fd, block, sizeof(block)) < 0) {
			CHECK(is_for_lack_of_memory(-1, errno));
			refused++;
		}
		if (mmap(NULL, MIB, PROT_READ, MAP_SHARED, cache, 0) == MAP_FAILED) {
			CHECK(is_for_lack_of_memory(-1, errno));
			refused++;
		}
	}
	NOTE("%d calls were refused for lack of memory", refused);
	CHECK(refused > 0);
	HOLDS("key", "value");
	work_without_memory();
}

TEST(process_whose_cgroup_has_no_memory_left_works_or_is_told)
{
	make_cgroup("4M");
	end_process(start_process(live_at_the_limit, 0));
	WORKS(OP(SET, "after", VALUE("wards")));
	HOLDS("after", "wards");
	check_account();
	check_flush();
	unload_and_load();
	rmdir(CGROUP);
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
