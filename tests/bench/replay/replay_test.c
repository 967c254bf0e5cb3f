// SPDX-License-Identifier: GPL-2.0
/*
 * replay_test: the policies on sequences worked by hand, the readers on good and
 * bad input, the workloads on what they promise.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ktap.h"
#include "replay.h"

/* -------- policies -------- */

/* With no overhead an object of this value costs 100 bytes. */
#define VALUE_LEN	(100 - KEY_LEN)

static struct cache_options room_for(int nr_objects)
{
	return (struct cache_options) { .bytes = 100 * nr_objects, .threshold = 1 };
}

/* Objects are letters; capital ones are SETs, the others GETs that then SET. */
static void add_letters(struct trace *trace, const char *letters)
{
	for (; *letters; letters++)
		trace_add(trace, *letters | 0x20, (struct request) {
			.size = VALUE_LEN,
			.op = *letters & 0x20 ? REQUEST_GET : REQUEST_SET,
		});
}

/* h or m for each GET, S for a SET. */
static void expect(const struct cache_ops *ops, struct cache_options options,
		   const char *letters, const char *wanted)
{
	struct trace trace = { 0 };
	char got[128] = "";
	void *cache;
	size_t i;

	add_letters(&trace, letters);
	cache = ops->open(&trace, &options);
	for (i = 0; i < trace.nr; i++) {
		const struct request *request = &trace.request[i];

		got[i] = request->op == REQUEST_SET ? 'S' : ops->get(cache, request) ? 'h' : 'm';
		if (got[i] != 'h')
			ops->set(cache, request);
	}
	if (strcmp(got, wanted))
		FAIL("%s on %s: %s, expected %s", ops->name, letters, got, wanted);
	ops->close(cache);
	trace_free(&trace);
}

KTAP_TEST(fifo_evicts_the_oldest_however_often_used)
{
	expect(&fifo_cache, room_for(3), "abcaadabcb", "mmmhhmmmmh");
}

KTAP_TEST(lru_evicts_the_least_recently_used)
{
	expect(&lru_cache, room_for(3), "abcadabcda", "mmmhmhmmmm");
}

KTAP_TEST(overwriting_is_a_use_for_lru_but_not_for_fifo)
{
	expect(&lru_cache, room_for(3), "abcAdab", "mmmSmhm");
	expect(&fifo_cache, room_for(3), "abcAdab", "mmmSmmm");
}

/*
 * Room for 3, of which small has less than one, and 2 ghosts. Oldest first:
 *
 *	abc	small abc
 *	a	hit
 *	d	a, used, moves to main, b goes: small cd, main a, ghosts b
 *	b	was a ghost: small d, main ab, ghosts c
 *	c	was a ghost: main abc, ghosts d
 *	a	hit
 *	e	a is used and goes round, b goes for good: small e, main ca
 *	b	no ghost: small b, main ca, ghosts de
 *	d	was a ghost: main cad, ghosts eb
 *	f	c goes: small f, main ad
 *	g	f goes: small g, main ad, ghosts bf
 *	e	a ghost no more: small e, main ad, ghosts fg
 *	a d	hits
 */
KTAP_TEST(s3fifo_as_worked_by_hand)
{
	expect(&s3fifo_cache, room_for(3), "abcadbcaebdfgead", "mmmhmmmhmmmmmmhh");
}

/*
 * The third ghost drives a out, so that its return is to small (with more ghosts
 * it would be in main at the end): small def, ghosts bc; a; c from the ghosts to
 * main; g and h drive f and a out; c is still there, a is not.
 */
KTAP_TEST(s3fifo_has_as_many_ghosts_as_main_has_room)
{
	expect(&s3fifo_cache, room_for(3), "abcdefacghca", "mmmmmmmmmmhm");
}

KTAP_TEST(s3fifo_promotes_at_the_threshold)
{
	struct cache_options options = room_for(3);

	expect(&s3fifo_cache, options, "abcada", "mmmhmh");
	options.threshold = 2;
	expect(&s3fifo_cache, options, "abcada", "mmmhmm");
	expect(&s3fifo_cache, options, "abcaada", "mmmhhmh");
}

/* Main is abc when d, a ghost, comes; that a was used in small does not keep it. */
KTAP_TEST(s3fifo_forgets_uses_on_promotion)
{
	expect(&s3fifo_cache, room_for(3), "abcadbcda", "mmmhmmmmm");
	expect(&s3fifo_cache, room_for(3), "abcadabcda", "mmmhmhmmmh");
}

/*
 * Room for 2, one ghost. After abcab a and b are in main; five uses count as
 * three, so a goes round when c, b and the next c come, and goes at the next b.
 */
KTAP_TEST(s3fifo_counts_to_three)
{
	expect(&s3fifo_cache, room_for(2), "abcabaaaaacbcbcba", "mmmmmhhhhhmmmmmmm");
	expect(&s3fifo_cache, room_for(2), "abcabaaaaacbcbca", "mmmmmhhhhhmmmmmh");
}

KTAP_TEST(s3fifo_counts_an_overwrite_as_a_use)
{
	expect(&s3fifo_cache, room_for(3), "abcAda", "mmmSmh");
	expect(&s3fifo_cache, room_for(3), "abcda", "mmmmm");
}

static void store(const struct cache_ops *ops, void *cache, uint32_t object, uint32_t cost)
{
	ops->set(cache, &(struct request) { .object = object, .size = cost - KEY_LEN });
}

static bool is_stored(const struct cache_ops *ops, void *cache, uint32_t object)
{
	return ops->get(cache, &(struct request) { .object = object });
}

static const struct cache_ops *const policies[] = { &fifo_cache, &lru_cache, &s3fifo_cache };
#define for_each_policy(i)	for (i = 0; i < 3; i++)

static const struct trace ten_objects = { .nr_objects = 10 };

KTAP_TEST(memory_is_counted_in_bytes_with_overhead)
{
	struct cache_options options = { .bytes = 1000, .overhead = 20, .threshold = 1 };
	struct cache_account account;
	uint32_t object;
	int i;

	for_each_policy(i) {
		const struct cache_ops *ops = policies[i];
		void *cache = ops->open(&ten_objects, &options);

		for (object = 0; object < 10; object++)
			store(ops, cache, object, 100);
		ops->account(cache, &account);
		EXPECT_EQ(account.entries, 8);
		EXPECT_EQ(account.allocated, 8 * 120);
		EXPECT_EQ(account.inserted, 10 * 120);
		/* One that grows by two drives out what it needs. */
		store(ops, cache, 9, 340);
		ops->account(cache, &account);
		EXPECT_EQ(account.entries, 6);
		EXPECT_EQ(account.allocated, 5 * 120 + 360);
		EXPECT(is_stored(ops, cache, 9));
		ops->close(cache);
	}
}

KTAP_TEST(what_is_larger_than_the_cache_is_refused_and_forgotten)
{
	struct cache_options options = room_for(3);
	struct cache_account account;
	int i;

	for_each_policy(i) {
		const struct cache_ops *ops = policies[i];
		void *cache = ops->open(&ten_objects, &options);

		store(ops, cache, 0, 300);
		EXPECT(is_stored(ops, cache, 0));
		store(ops, cache, 0, 301);
		EXPECT(!is_stored(ops, cache, 0));
		ops->account(cache, &account);
		EXPECT_EQ(account.too_large, 1);
		EXPECT_EQ(account.entries, 0);
		ops->close(cache);
	}
}

KTAP_TEST(removed_and_expired_objects_are_misses)
{
	struct cache_options options = room_for(3);
	int i;

	for_each_policy(i) {
		const struct cache_ops *ops = policies[i];
		void *cache = ops->open(&ten_objects, &options);

		store(ops, cache, 0, 100);
		ops->remove(cache, &(struct request) { .object = 0 });
		ops->remove(cache, &(struct request) { .object = 1 });
		EXPECT(!is_stored(ops, cache, 0));
		ops->set(cache, &(struct request) { .object = 2, .time_ms = 50, .ttl_ms = 10 });
		EXPECT(ops->get(cache, &(struct request) { .object = 2, .time_ms = 59 }));
		EXPECT(!ops->get(cache, &(struct request) { .object = 2, .time_ms = 60 }));
		EXPECT(!ops->get(cache, &(struct request) { .object = 2, .time_ms = 59 }));
		ops->close(cache);
	}
}

KTAP_TEST(replay_counts_after_the_warm_up)
{
	struct cache_options options = room_for(3);
	struct trace trace = { 0 };
	struct outcome outcome;

	add_letters(&trace, "abcAabd");
	EXPECT(replay(&trace, &lru_cache, &options, 0, &outcome));
	EXPECT_EQ(outcome.gets, 6);
	EXPECT_EQ(outcome.misses, 4);
	EXPECT(replay(&trace, &lru_cache, &options, 2, &outcome));
	EXPECT_EQ(outcome.gets, 4);
	EXPECT_EQ(outcome.misses, 2);
	EXPECT(miss_ratio(&outcome) == 50);
	trace_free(&trace);
}

KTAP_TEST(keys_differ)
{
	static char key[5000][KEY_LEN];
	int i, j;

	for (i = 0; i < 5000; i++) {
		make_key(key[i], i);
		for (j = 0; j < i; j++)
			ASSERT(memcmp(key[i], key[j], KEY_LEN));
	}
}

/* -------- readers -------- */

typedef int (*reader_t)(struct trace *, FILE *, size_t, struct trace_error *);

/* The trace, or a failure with this text in its error. */
static struct trace read_bytes(reader_t reader, const void *bytes, size_t len, size_t limit,
			       const char *wanted_error)
{
	FILE *file = len ? fmemopen((void *)bytes, len, "r") : fopen("/dev/null", "r");
	struct trace trace = { 0 };
	struct trace_error error = { "" };
	int err = reader(&trace, file, limit, &error);

	if (wanted_error && !err)
		FAIL("read, but expected: %s", wanted_error);
	else if (wanted_error ? !strstr(error.text, wanted_error) : err)
		FAIL("error \"%s\", expected \"%s\"", error.text, wanted_error ? wanted_error : "");
	fclose(file);
	return trace;
}

static struct trace read_csv(const char *text)
{
	return read_bytes(trace_read_csv, text, strlen(text), 0, NULL);
}

static void expect_csv_error(const char *text, const char *error)
{
	struct trace trace = read_bytes(trace_read_csv, text, strlen(text), 0, error);

	trace_free(&trace);
}

/* Two objects, three requests. */
static const uint8_t oracle[3 * 24] = {
	5, 0, 0, 0,  1, 2, 3, 4, 5, 6, 7, 8,  0x10, 0x27, 0, 0,  3, 0, 0, 0, 0, 0, 0, 0,
	5, 0, 0, 0,  9, 0, 0, 0, 0, 0, 0, 0,  7, 0, 0, 0,  255, 255, 255, 255, 255, 255, 255, 255,
	6, 0, 0, 0,  1, 2, 3, 4, 5, 6, 7, 8,  0x11, 0x27, 0, 0,
	255, 255, 255, 255, 255, 255, 255, 127,
};

KTAP_TEST(oracle_records_are_read)
{
	struct trace trace = read_bytes(trace_read_oracle, oracle, sizeof(oracle), 0, NULL);

	ASSERT_EQ(trace.nr, 3);
	EXPECT_EQ(trace.nr_objects, 2);
	EXPECT_EQ(trace.bytes, 10001 + 7);
	EXPECT_EQ(trace.request[0].time_ms, 5000);
	EXPECT_EQ(trace.request[0].size, 10000);
	EXPECT_EQ(trace.request[2].time_ms, 6000);
	EXPECT_EQ(trace.request[0].object, trace.request[2].object);
	EXPECT(trace.request[0].object != trace.request[1].object);
	EXPECT(!trace.has_ttl);
	trace_free(&trace);
}

KTAP_TEST(a_limit_ends_the_reading)
{
	struct trace trace = read_bytes(trace_read_oracle, oracle, sizeof(oracle), 2, NULL);

	EXPECT_EQ(trace.nr, 2);
	trace_free(&trace);
	trace = read_bytes(trace_read_csv, "1,a,2\n1,b,2\nwrong", 17, 2, NULL);
	EXPECT_EQ(trace.nr, 2);
	trace_free(&trace);
}

KTAP_TEST(a_cut_oracle_record_is_an_error)
{
	struct trace trace = read_bytes(trace_read_oracle, oracle, 2 * 24 + 5, 0,
					"record 3: cut short: 5 bytes of 24");

	trace_free(&trace);
}

KTAP_TEST(what_is_no_oracle_trace_is_an_error)
{
	static const char text[] = "time,id,size\n1,2,3\n4,5,6\n7,8,9\n1,2,3\n1,2,3\n";
	uint8_t backwards[sizeof(oracle)];
	struct trace trace = read_bytes(trace_read_oracle, text, sizeof(text) - 1, 0, "record ");

	trace_free(&trace);
	memcpy(backwards, oracle, sizeof(oracle));
	backwards[2 * 24 + 23] = 0;
	memset(backwards + 2 * 24 + 17, 0, 7);
	backwards[2 * 24 + 16] = 2;
	trace = read_bytes(trace_read_oracle, backwards, sizeof(backwards), 0, "record 3: its next");
	trace_free(&trace);
	trace = read_bytes(trace_read_oracle, "", 0, 0, "no requests");
	trace_free(&trace);
}

KTAP_TEST(csv_lines_are_read)
{
	struct trace trace = read_csv("time,id,size,op,ttl\n"
				      "# a comment\n"
				      "1,user:7,100\n"
				      "\n"
				      " 1.25 , 8 , 200 , SET , 0.5 \r\n"
				      "2,user:7,0,delete,\n"
				      "1,8,5,get,3");

	ASSERT_EQ(trace.nr, 4);
	EXPECT_EQ(trace.nr_objects, 2);
	EXPECT_EQ(trace.bytes, 300);
	EXPECT_EQ(trace.request[0].op, REQUEST_GET);
	EXPECT_EQ(trace.request[1].time_ms, 1250);
	EXPECT_EQ(trace.request[1].size, 200);
	EXPECT_EQ(trace.request[1].op, REQUEST_SET);
	EXPECT_EQ(trace.request[1].ttl_ms, 500);
	EXPECT_EQ(trace.request[2].op, REQUEST_REMOVE);
	EXPECT_EQ(trace.request[2].object, trace.request[0].object);
	/* Time does not go back. */
	EXPECT_EQ(trace.request[3].time_ms, 2000);
	EXPECT_EQ(trace.request[3].ttl_ms, 3000);
	EXPECT(trace.has_ttl);
	trace_free(&trace);
}

KTAP_TEST(bad_csv_is_an_error_with_its_line)
{
	char longest[6000];

	expect_csv_error("", "no requests");
	expect_csv_error("time,id,size\n", "no requests");
	expect_csv_error("1,a,2\n\nx,a,2\n", "line 3: \"x\" is no time");
	expect_csv_error("-1,a,2\n", "no requests");
	expect_csv_error("1,a,2\n-1,a,2\n", "line 2: \"-1\" is no time");
	expect_csv_error("1e300,a,2\n", "line 1: \"1e300\" is no time");
	expect_csv_error("1,a\n", "line 1: 2 fields;");
	expect_csv_error("1\n", "line 1: 1 field;");
	expect_csv_error("1,a,2,get,3,4\n", "line 1: 6 fields;");
	expect_csv_error("1,,2\n", "is no id");
	expect_csv_error("1,a,\n", "\"\" is no size");
	expect_csv_error("1,a,-2\n", "\"-2\" is no size");
	expect_csv_error("1,a,2.5\n", "\"2.5\" is no size");
	expect_csv_error("1,a,4294967296\n", "is no size");
	expect_csv_error("1,a,99999999999999999999\n", "is no size");
	expect_csv_error("1,a,2,fetch\n", "\"fetch\" is no op");
	expect_csv_error("1,a,2,get,soon\n", "\"soon\" is no ttl");
	expect_csv_error("1,a,2,get,5000000\n", "is no ttl");
	memset(longest, '1', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	expect_csv_error(longest, "line 1: longer than");
}

static char *write_temporary(const char *command)
{
	static char path[] = "/tmp/replay-test-XXXXXX.csv.zst";
	char line[256];
	int fd;

	memcpy(strstr(path, "test-") + 5, "XXXXXX", 6);
	fd = mkstemps(path, 8);
	close(fd);
	snprintf(line, sizeof(line), "%s > %s", command, path);
	return system(line) ? NULL : path;
}

KTAP_TEST(compressed_traces_are_read)
{
	struct trace trace = { 0 };
	struct trace_error error = { "" };
	char *path;

	if (system("zstd --version > /dev/null 2>&1"))
		SKIP("no zstd here");
	path = write_temporary("printf '1,a,2\\n1,b,2\\n' | zstd -qc");
	ASSERT(path);
	EXPECT_EQ(trace_open(&trace, path, TRACE_BY_NAME, 0, &error), 0);
	EXPECT_EQ(trace.nr, 2);
	trace_free(&trace);
	unlink(path);
	path = write_temporary("printf '1,a,2\\n'");
	ASSERT(path);
	EXPECT_EQ(trace_open(&trace, path, TRACE_BY_NAME, 0, &error), -1);
	EXPECT(strstr(error.text, "zstd"));
	trace_free(&trace);
	unlink(path);
}

KTAP_TEST(a_missing_file_is_an_error)
{
	struct trace trace = { 0 };
	struct trace_error error = { "" };

	EXPECT_EQ(trace_open(&trace, "/nonexistent/trace", TRACE_BY_NAME, 0, &error), -1);
	EXPECT(strstr(error.text, "No such file"));
}

KTAP_TEST(many_objects_are_told_apart)
{
	struct trace trace = { 0 };
	uint64_t id;

	for (id = 0; id < 100000; id++)
		trace_add(&trace, id << 32, (struct request) { .size = 1 });
	for (id = 0; id < 100000; id++)
		trace_add(&trace, id << 32, (struct request) { .size = 2 });
	EXPECT_EQ(trace.nr_objects, 100000);
	EXPECT_EQ(trace.bytes, 200000);
	for (id = 0; id < 100000; id++)
		ASSERT_EQ(trace.request[id].object, trace.request[100000 + id].object);
	trace_free(&trace);
}

/* -------- workloads -------- */

static struct trace make_small(const struct workload *as_defined, uint64_t seed)
{
	struct workload workload = *as_defined;
	struct trace trace = { 0 };

	workload.nr_requests = 20000;
	workload.nr_objects = 2000;
	workload_make(&trace, &workload, seed);
	return trace;
}

KTAP_TEST(the_same_seed_gives_the_same_workload)
{
	const struct workload *workload;

	for (workload = workloads; workload->name; workload++) {
		struct trace a = make_small(workload, 1), b = make_small(workload, 1);
		struct trace c = make_small(workload, 2);

		ASSERT_EQ(a.nr, 20000);
		ASSERT_EQ(b.nr, 20000);
		if (memcmp(a.request, b.request, a.nr * sizeof(*a.request)))
			FAIL("%s: the same seed gave two traces", workload->name);
		if (!memcmp(a.request, c.request, a.nr * sizeof(*a.request)))
			FAIL("%s: two seeds gave one trace", workload->name);
		trace_free(&a);
		trace_free(&b);
		trace_free(&c);
	}
}

KTAP_TEST(sizes_and_times_are_as_promised)
{
	const struct workload *workload;
	size_t i;

	for (workload = workloads; workload->name; workload++) {
		struct trace trace = make_small(workload, 3);

		for (i = 0; i < trace.nr; i++) {
			const struct request *request = &trace.request[i];

			ASSERT(request->size >= workload->size_min);
			ASSERT(request->size <= workload->size_max);
			ASSERT(request->object < trace.nr_objects);
			ASSERT(!i || request->time_ms >= request[-1].time_ms);
		}
		trace_free(&trace);
	}
}

/* The most popular object of zipf gets 1 / H of the requests, half of that the next. */
KTAP_TEST(zipf_is_zipf)
{
	static const double exponents[] = { 0.6, 0.8, 1.0, 1.2 };
	int i;

	for (i = 0; i < 4; i++) {
		struct workload workload = workloads[i];
		struct trace trace = { 0 };
		uint32_t *count;
		double sum = 0, expected;
		size_t n;
		int rank;

		workload.nr_requests = 400000;
		workload.nr_objects = 1000;
		workload_make(&trace, &workload, 1);
		count = calloc(trace.nr_objects, sizeof(*count));
		for (n = 0; n < trace.nr; n++)
			count[trace.request[n].object]++;
		for (rank = 1; rank <= 1000; rank++)
			sum += pow(rank, -exponents[i]);
		expected = trace.nr / sum;
		for (n = rank = 0; n < trace.nr_objects; n++)
			if (count[n] > count[rank])
				rank = n;
		EXPECT(fabs(count[rank] - expected) < 5 * sqrt(expected));
		count[rank] = 0;
		for (n = rank = 0; n < trace.nr_objects; n++)
			if (count[n] > count[rank])
				rank = n;
		expected *= pow(2, -exponents[i]);
		EXPECT(fabs(count[rank] - expected) < 5 * sqrt(expected));
		free(count);
		trace_free(&trace);
	}
}

static double share(const char *name, bool (*is_such)(const struct request *))
{
	const struct workload *workload = workloads;
	struct trace trace;
	size_t i, nr = 0;

	while (strcmp(workload->name, name))
		workload++;
	trace = make_small(workload, 5);
	for (i = 0; i < trace.nr; i++)
		nr += is_such(&trace.request[i]);
	trace_free(&trace);
	return nr / 20000.0;
}

static bool is_set(const struct request *request)
{
	return request->op == REQUEST_SET;
}

static bool has_ttl(const struct request *request)
{
	return request->ttl_ms;
}

KTAP_TEST(shares_of_sets_and_ttls_are_as_promised)
{
	EXPECT(fabs(share("overwrites-10", is_set) - 0.10) < 0.01);
	EXPECT(fabs(share("overwrites-50", is_set) - 0.50) < 0.02);
	EXPECT(share("zipf-1.0", is_set) == 0);
	EXPECT(fabs(share("ttl", has_ttl) - 0.67) < 0.15);
	EXPECT(share("zipf-1.0", has_ttl) == 0);
}

/* LRU finds nothing of a loop that is longer than the cache, and all of one that is not. */
KTAP_TEST(lru_on_a_loop)
{
	expect(&lru_cache, room_for(3), "abcdabcdabcd", "mmmmmmmmmmmm");
	expect(&lru_cache, room_for(4), "abcdabcdabcd", "mmmmhhhhhhhh");
}

KTAP_MAIN
