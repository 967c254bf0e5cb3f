// SPDX-License-Identifier: GPL-2.0
/*
 * Much of everything: a clock that jumps, ten thousand open descriptors, ten thousand
 * mappings, a thousand processes, and a user who knows the secret of the hash and puts
 * all his keys into one bucket.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <sys/resource.h>

#include "crash.h"
#include "flood.h"
#include "ttl.h"

#define MANY	10000

/* -------- clocks -------- */

static const time_t wall_clocks[] = {
	1000000000,	/* 2001 */
	4000000000,	/* 2096 */
	86400 * 400,	/* 1971 */
	2147483640,	/* just before 32 bits are over */
	1700000000,
};

static __s64 wall_before, boot_before;

static void restore_wall_clock(void)
{
	__s64 now = wall_before + boot_ms() - boot_before;
	struct timespec time = { .tv_sec = now / 1000, .tv_nsec = now % 1000 * 1000000 };

	clock_settime(CLOCK_REALTIME, &time);
}

static void turn_wall_clock(int nr)
{
	__s64 from[3], to[3];
	const __s64 ttl_ms[] = { 40, 3600000, 1000000000000 };
	char key[8];
	size_t w;
	int i;

	(void)nr;
	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	for (w = 0; w < 4 * NR(wall_clocks); w++) {
		struct timespec time = { .tv_sec = wall_clocks[w % NR(wall_clocks)] };

		for (i = 0; i < 3; i++) {
			snprintf(key, sizeof(key), "key%d", i);
			if (w && i)
				continue;	/* those of before go on */
			from[i] = boot_ms();
			WORKS(OP(SET, key, VALUE("value"), .ttl_ms = ttl_ms[i]));
			to[i] = boot_ms();
		}
		MUST(clock_settime(CLOCK_REALTIME, &time));
		CHECK(clock_ms(CLOCK_REALTIME) / 1000 - time.tv_sec < 1000);
		do {
			for (i = 0; i < 3; i++) {
				CASE("key%d, clock %zu", i, w);
				snprintf(key, sizeof(key), "key%d", i);
				check_ttl(key, from[i], to[i], ttl_ms[i]);
			}
		} while (boot_ms() < to[0] + ttl_ms[0] + 5);
		HOLDS_NOT("key0");
	}
}

TEST(wall_clock_that_jumps_changes_no_expiry)
{
	int status;
	pid_t pid;

	wall_before = clock_ms(CLOCK_REALTIME);
	boot_before = boot_ms();
	pid = start_process(turn_wall_clock, 0);
	MUST(waitpid(pid, &status, 0));
	restore_wall_clock();
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	HOLDS("key1", "value");
}

/* -------- ten thousand of something -------- */

static void raise_files(rlim_t limit)
{
	struct rlimit all = { limit, limit };

	MUST(setrlimit(RLIMIT_NOFILE, &all));
}

static void hold_many_descriptors(int nr)
{
	int *fds = malloc(2 * MANY * sizeof(*fds)), i;
	__u64 hits = sysfs_number("stats/hits");
	char key[24], out[24];
	struct kcache_op op;

	(void)nr;
	raise_files(2 * MANY + 100);
	for (i = 0; i < MANY; i++) {
		CASE("descriptor %d", i);
		fds[i] = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
		/* Each keeps the beginning of a line, and a page of hints. */
		snprintf(key, sizeof(key), "fd%d ", i);
		CHECK_EQ(write(fds[i], key, strlen(key)), (ssize_t)strlen(key));
		fds[MANY + i] = MUST(ioctl(fds[i], KCACHE_IOC_HINTS, 0));
	}
	for (i = 0; i < MANY; i++) {
		CASE("descriptor %d", i);
		snprintf(key, sizeof(key), "v%d\n", i);
		CHECK_EQ(write(fds[i], key, strlen(key)), (ssize_t)strlen(key));
		snprintf(key, sizeof(key), "fd%d", i);
		op = OP(GET, key, INTO(out));
		CHECK_ERR(run_on(fds[MANY - 1 - i], &op), 0);
		CHECK_EQ(atoi(out + 1), i);
	}
	CHECK_EQ(sysfs_number("stats/hits"), hits + MANY);
	CHECK(number_in("/sys/module/kcache/refcnt") >= MANY);
	/* All at once, by the end of the process. */
}

TEST(ten_thousand_open_descriptors)
{
	unsigned long long refs = number_in("/sys/module/kcache/refcnt");
	int i;

	end_process(start_process(hold_many_descriptors, 0));
	for (i = 0; number_in("/sys/module/kcache/refcnt") > refs; i++) {
		CHECK(i < 20000);
		milliseconds_pass(1);
	}
	HOLDS("fd9999", "v9999");
	check_account();
	check_flush();
}

static void hold_many_mappings(int nr)
{
	struct kcache_info info = { .size = sizeof(info) };
	const struct kcache_map_header *header;
	unsigned long long at, max_bytes = sysfs_number("limits/max_bytes");
	char **maps = malloc(MANY * sizeof(*maps)), value[2000], key[16];
	int i, round;

	(void)nr;
	memset(value, 'v', sizeof(value));
	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	header = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, 0));
	/* A third shows the header, the others the same few MiB of buckets and segments. */
	for (i = 0; i < MANY; i++) {
		CASE("mapping %d", i);
		at = i % 3 == 0 ? 0 : header->at[i % 3 == 1 ? KCACHE_BUCKETS : KCACHE_SEGMENTS];
		at += i % 3 == 2 ? (i % 64) * PAGE * 16ULL : 0;
		maps[i] = MUST(mmap(NULL, 64 * KIB, PROT_READ, MAP_SHARED, cache, at));
		CHECK(i % 3 || !memcmp(maps[i], header, sizeof(*header) - sizeof(header->secret)));
	}
	/* Memory comes and goes below all of them. */
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 8000; i++) {
			snprintf(key, sizeof(key), "key%d", i);
			WORKS(OP(SET, key, BYTES(value, sizeof(value))));
		}
		for (i = 0; i < MANY; i++) {
			CASE("mapping %d, round %d", i, round);
			*(volatile char *)(maps[i] + i % 16 * PAGE);
			CHECK(i % 3 || *(__u32 *)maps[i] == KCACHE_MAP_LAYOUT);
		}
		CHECK_ERR(set_max_bytes(8 * MIB), 0);
		MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		CHECK_ERR(set_max_bytes(max_bytes), 0);
	}
	for (i = 0; i < MANY; i += 2)
		MUST(munmap(maps[i], 64 * KIB));
	for (i = 1; i < MANY; i += 2)
		*(volatile char *)maps[i];
	/* The rest by the end of the process. */
}

TEST(ten_thousand_mappings)
{
	unsigned long long refs = number_in("/sys/module/kcache/refcnt");
	int i;

	end_process(start_process(hold_many_mappings, 0));
	for (i = 0; number_in("/sys/module/kcache/refcnt") > refs; i++) {
		CHECK(i < 20000);
		milliseconds_pass(1);
	}
	WORKS(OP(SET, "key", VALUE("value")));
	HOLDS("key", "value");
	check_account();
}

#define PROCESSES	1000
#define ROUNDS		5

static void be_one_of_many(int nr)
{
	char key[16], value[16], out[16];
	struct kcache *mine;
	size_t len;
	int i;

	close(cache);
	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	CHECK_ERR(kcache_open(&mine, NULL, O_RDWR), 0);
	snprintf(key, sizeof(key), "process%d", nr);
	for (i = 0; i < ROUNDS; i++) {
		snprintf(value, sizeof(value), "%d of %d", i, nr);
		WORKS(OP(SET, key, VALUE(value)));
		WORKS(OP(ADD, "sum", .delta = nr));
		CHECK_ERR(kcache_get(mine, key, strlen(key), out, sizeof(out), &len), 0);
		CHECK(len == strlen(value) && !memcmp(out, value, len));
		if (i < ROUNDS - 1)
			WORKS(OP(POP, key, INTO(out)));
	}
}

TEST(thousand_processes)
{
	char value[16], key[16];
	int i;

	WORKS(OP(SET, "sum", VALUE("0")));
	in_processes(PROCESSES, be_one_of_many);
	snprintf(value, sizeof(value), "%d", ROUNDS * (PROCESSES - 1) * PROCESSES / 2);
	HOLDS("sum", value);
	for (i = 0; i < PROCESSES; i++) {
		snprintf(key, sizeof(key), "process%d", i);
		snprintf(value, sizeof(value), "%d of %d", ROUNDS - 1, i);
		HOLDS(key, value);
	}
	CHECK_EQ(sysfs_number("stats/entries"), PROCESSES + 1);
	check_account();
	check_flush();
}

/* -------- nothing at all -------- */

static int batch_of_one(struct kcache_op op)
{
	struct kcache_batch batch = {
		.size = sizeof(batch), .op_size = sizeof(op), .ops = address(&op), .nr = 1,
	};

	MUST(ioctl(cache, KCACHE_IOC_BATCH, &batch));
	return op.error;
}

TEST(no_bytes_may_lie_anywhere)
{
	static const __u64 anywhere[] = { 0, 1, 1ULL << 62, 0xffffffff81000000ULL, ~0ULL };
	size_t i;

	for (i = 0; i < NR(anywhere); i++) {
		__u64 at = anywhere[i];

		CASE("at %#llx", (unsigned long long)at);
		WORKS(OP(SET, "key", .value = at));
		HOLDS("key", "");
		WORKS(OP(APPEND, "key", .value = at));
		WORKS(OP(PREPEND, "key", .value = at));
		WORKS(OP(GET, "key", .out = at));
		WORKS(OP(GET, "key", .out = at, .out_len = 100));
		WORKS(OP(SET, "key", .value = at, .out = at, .out_len = 100, .flags = KCACHE_RETURN_OLD));
		CHECK_ERR(batch_of_one(OP(SET, "key", .value = at)), 0);
		CHECK_ERR(batch_of_one(OP(GET, "key", .out = at)), 0);
		CHECK_EQ(WORKS(OP(POP, "key", .out = at)).out_len, 0);
		/* A byte makes the difference. */
		WORKS(OP(SET, "key", VALUE("v")));
		FAILS(EFAULT, OP(GET, "key", .out = at, .out_len = 1));
		FAILS(EFAULT, OP(SET, "key", .value = at, .value_len = 1));
		HOLDS("key", "v");
	}
	check_account();
}

/* -------- one bucket, flooded on purpose -------- */

#define FLOOD	3000

TEST(flood_of_one_bucket_hurts_no_other_key)
{
	const struct kcache_map_header *header;
	unsigned long long overflow, evictions, first, kept, nr, other, nr_there = 0;
	__u64 key[2], step, value[2];
	struct kcache_op op;
	char text[16];
	size_t len;
	int i;

	header = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, 0));
	step = flood_step(header->secret);
	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "other%d", i);
		WORKS(OP(SET, text, VALUE(text)));
	}
	overflow = sysfs_number("stats/overflow_buckets");
	evictions = sysfs_number("stats/evictions");

	first = flood_first(header->secret, step, FLOOD);
	for (nr = first; nr < first + FLOOD; nr++) {
		flood_key(nr, step, key);
		CHECK_EQ(flood_bucket(header->secret, nr, step),
			 flood_bucket(header->secret, first, step));
		WORKS(OP_ON(SET, key, sizeof(key), BYTES(key, sizeof(key))));
	}
	kept = sysfs_number("stats/entries") - 1000;
	overflow = sysfs_number("stats/overflow_buckets") - overflow;
	NOTE("of %d keys for one bucket %llu are left, in %llu overflow buckets", FLOOD, kept, overflow);
	/* The chain ends somewhere, and takes in what is new nevertheless. */
	CHECK(overflow < 32);
	CHECK(kept > 100 && kept <= 32 * KCACHE_BUCKET_SLOTS);
	CHECK_EQ(sysfs_number("stats/evictions") - evictions, FLOOD - kept);
	CHECK_EQ(list_keys(NULL), kept + 1000);
	op = OP_ON(GET, key, sizeof(key), INTO(value));
	WORKS(op);

	/* What is there of it is right, by both ways of reading. */
	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	for (nr = first; nr < first + FLOOD; nr++) {
		int error;

		flood_key(nr, step, key);
		op = OP_ON(GET, key, sizeof(key), INTO(value));
		error = -run(&op);
		CHECK(!error || error == ENOENT);
		CHECK_ERR(kcache_get(handle, key, sizeof(key), value, sizeof(value), &len), error);
		if (error)
			continue;
		CHECK(op.out_len == sizeof(key) && !memcmp(value, key, sizeof(key)));
		CHECK(len == sizeof(key) && !memcmp(value, key, sizeof(key)));
		nr_there++;
	}
	CHECK_EQ(nr_there, kept);
	/* All others are there, and new ones come, which the flooded bucket keeps one of. */
	evictions = sysfs_number("stats/evictions");
	for (other = 0; other < 2000; other++) {
		snprintf(text, sizeof(text), "other%llu", other);
		if (other >= 1000)
			WORKS(OP(SET, text, VALUE(text)));
		HOLDS(text, text);
	}
	for (nr = first; nr < first + FLOOD; nr++) {
		flood_key(nr, step, key);
		op = OP_ON(REMOVE, key, sizeof(key));
		kept -= !run(&op);
	}
	/* Of the flood, what is not there any more has gone for one of those. */
	CHECK_EQ(sysfs_number("stats/entries") + (sysfs_number("stats/evictions") - evictions),
		 2000 + kept);
	check_account();
	check_flush();
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
