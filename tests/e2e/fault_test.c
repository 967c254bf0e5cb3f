// SPDX-License-Identifier: GPL-2.0
/*
 * fault: memory that is not to be had and copies that fail, at each place in turn.
 *
 * The kernel's fault injection fails the first allocation or user copy of a call,
 * then the second, and so on until the call gets through without one (fail-nth in
 * Documentation/fault-injection). Then each kind of failure comes every time, every
 * second time and so on. After each: the error is one that the contract has for the
 * call, the entry is what it was or what it was to be, the accounts add up, and the
 * same call works.
 *
 * The last tests unload the module and load it again. $KCACHE_KO is its file, else
 * the one that the guest began with. Needs a kernel with fault injection: debug.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <limits.h>
#include <linux/kcache_map.h>

#define MEBI		(1UL << 20)
#define VALUE_MOST	(2 * MEBI)
#define POINTS_MOST	3000	/* more places to fail than any call has */

/* -------- fault injection -------- */

#define KINDS		3
#define TIMES		1000000

static const char *const kinds[KINDS] = { "failslab", "fail_page_alloc", "fail_usercopy" };

enum { SLAB = 1, PAGES = 2, COPIES = 4 };

static const struct {
	unsigned int kinds;
	const char *name;
} mixes[] = {
	{ SLAB, "slab" },
	{ PAGES, "pages" },
	{ SLAB | PAGES, "slab and pages" },
	{ COPIES, "user copies" },
	{ SLAB | PAGES | COPIES, "all" },
};

/* Only what is called from code in there fails. */
struct range {
	unsigned long from, to;
};

static const struct range anywhere = { 0, ULONG_MAX };

static int fail_nth = -1, make_it_fail = -1;

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return is_written;
}

__attribute__((format(printf, 3, 4)))
static void set_attribute(int kind, const char *name, const char *format, ...)
{
	char path[128], text[64];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kinds[kind], name);
	if (!write_file(path, text))
		ktap_fail(__LINE__, "%s: %s", path, ktap_errno(errno));
}

static unsigned long times_left(int kind)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/times", kinds[kind]);
	return number_in(path);
}

/* Where the code of the module is: its symbols, to the end of the last page. */
static struct range ours(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	struct range range = { ULONG_MAX, 0 };
	unsigned long at;
	char line[512], type;

	CHECK(symbols);
	while (fgets(line, sizeof(line), symbols)) {
		if (!strstr(line, "[kcache]") || sscanf(line, "%lx %c", &at, &type) != 2 ||
		    (type != 't' && type != 'T'))
			continue;
		range.from = at < range.from ? at : range.from;
		range.to = at > range.to ? at : range.to;
	}
	fclose(symbols);
	range.to = (range.to | (PAGE - 1)) + 1;
	CHECK(range.from < range.to && range.from);
	return range;
}

/* One function of the kernel's. */
static struct range function(const char *name)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	struct range range = { 0, ULONG_MAX };
	char line[512], symbol[256];
	unsigned long at;

	CHECK(symbols);
	while (fgets(line, sizeof(line), symbols))
		if (sscanf(line, "%lx %*c %255s", &at, symbol) == 2 && !strcmp(symbol, name))
			range.from = at;
	CHECK(range.from);
	rewind(symbols);
	while (fgets(line, sizeof(line), symbols))
		if (sscanf(line, "%lx", &at) == 1 && at > range.from && at < range.to)
			range.to = at;
	fclose(symbols);
	return range;
}

/* Kinds that are not in @mix are held off: no place is one of theirs. */
static void inject_in(const struct range *range, unsigned int mix)
{
	int kind;

	for (kind = 0; kind < KINDS; kind++) {
		set_attribute(kind, "require-start", "%#lx", range->from);
		set_attribute(kind, "require-end", "%#lx", range->to);
		set_attribute(kind, "reject-start", "0");
		set_attribute(kind, "reject-end", "%#lx", mix & 1 << kind ? 0 : ULONG_MAX);
	}
}

static void begin_faults(void)
{
	static const char *const last[] = { "ignore-gfp-wait", "ignore-gfp-highmem" };
	int kind;

	for (kind = 0; kind < KINDS; kind++) {
		set_attribute(kind, "probability", "0");
		set_attribute(kind, "interval", "1");
		set_attribute(kind, "times", "%d", TIMES);
		set_attribute(kind, "space", "0");
		set_attribute(kind, "verbose", "0");
		set_attribute(kind, "task-filter", "Y");
	}
	/* Allocations that may wait fail as well, and those of a single page. */
	set_attribute(0, last[0], "N");
	set_attribute(1, last[0], "N");
	set_attribute(1, last[1], "N");
	set_attribute(1, "min-order", "0");
	fail_nth = MUST(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC));
	make_it_fail = MUST(open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC));
}

/* The @nth place from here on fails. */
static void arm(int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	CHECK_EQ(write(fail_nth, text, len), len);
}

/* Has one failed? Then nothing is left of the number. */
static bool disarm(void)
{
	char text[16] = "";
	ssize_t len = pread(fail_nth, text, sizeof(text) - 1, 0);

	/* The place was in this very read: there was none before. */
	if (len < 0)
		strcpy(text, "1");
	/* Or in this write: it takes one more. */
	if (write(fail_nth, "0", 1) < 0)
		CHECK_EQ(write(fail_nth, "0", 1), 1);
	return !atoi(text);
}

/* Of the kinds in @mix, every @interval-th fails. 0: no more. */
static void fail_every(unsigned int mix, int interval)
{
	int kind;

	if (!interval)
		CHECK_EQ(pwrite(make_it_fail, "0", 1, 0), 1);
	for (kind = 0; kind < KINDS; kind++) {
		set_attribute(kind, "times", "%d", TIMES);
		set_attribute(kind, "interval", "%d", interval ? interval : 1);
		set_attribute(kind, "probability", "%d", interval && mix & 1 << kind ? 100 : 0);
	}
	if (interval)
		CHECK_EQ(pwrite(make_it_fail, "1", 1, 0), 1);
}

static unsigned long nr_failed(void)
{
	unsigned long nr = 0;
	int kind;

	CHECK_EQ(pwrite(make_it_fail, "0", 1, 0), 1);
	for (kind = 0; kind < KINDS; kind++)
		nr += TIMES - times_left(kind);
	return nr;
}

/*
 * What is tried: @prepare, then @attempt with failures, which is nothing but the call
 * and gives 0 or -errno, then @check of what came of it, without.
 */
struct trial {
	const char *name;
	void (*prepare)(void);
	int (*attempt)(void);
	void (*check)(int err);
	int errors[4];		/* that the contract has for it */
};

static int check_trial(const struct trial *trial, int err, bool is_injected)
{
	int i;

	if (!err || !is_injected) {
		if (err)
			ktap_fail(__LINE__, "%s without a fault", ktap_errno(-err));
	} else {
		for (i = 0; i < 4 && trial->errors[i] != -err; i++)
			;
		if (i == 4)
			ktap_fail(__LINE__, "%s is none of its errors", ktap_errno(-err));
	}
	trial->check(err);
	return !!err;
}

/* Fails the first place, the second, and so on until it gets through. */
static void fail_each(const struct trial *trial)
{
	int nth, nr_errors = 0, err;
	bool is_injected = true;

	for (nth = 1; is_injected; nth++) {
		CASE("%s, place %d", trial->name, nth);
		CHECK(nth < POINTS_MOST);
		trial->prepare();
		arm(nth);
		err = trial->attempt();
		is_injected = disarm();
		nr_errors += check_trial(trial, err, is_injected);
	}
	NOTE("%s: %d faults injected, %d of them errors", trial->name, nth - 2, nr_errors);
}

/* Each kind of failure, every time, every second time and so on. */
static void fail_often(const struct trial *trial, const struct range *range)
{
	unsigned long nr = 0, failed;
	int mix, interval, nr_errors = 0, err;

	for (mix = 0; mix < (int)(sizeof(mixes) / sizeof(mixes[0])); mix++) {
		inject_in(range, mixes[mix].kinds);
		for (interval = 1; interval <= 4; interval++) {
			CASE("%s, every %d. of %s", trial->name, interval, mixes[mix].name);
			trial->prepare();
			fail_every(mixes[mix].kinds, interval);
			err = trial->attempt();
			failed = nr_failed();
			fail_every(0, 0);
			nr_errors += check_trial(trial, err, failed);
			nr += failed;
		}
	}
	NOTE("%s: %lu more by ones that come again, %d errors", trial->name, nr, nr_errors);
}

/* -------- a cache of which all keys are known -------- */

#define NR_NEIGHBOURS	6
#define NR_FILL		100
#define FILL_LEN	100000

static unsigned char *value, *out, *old, *want, *got;	/* VALUE_MOST bytes each */

static void fill_bytes(unsigned char *bytes, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		bytes[i] = seed + i * 7 + (i >> 8);
}

static void begin_known(void)
{
	value = shared_memory(VALUE_MOST);
	out = shared_memory(VALUE_MOST);
	old = shared_memory(VALUE_MOST);
	want = shared_memory(2 * VALUE_MOST);
	got = shared_memory(2 * VALUE_MOST);
}

static bool is_filled;		/* by fill_cache(), once */

/* The key is "k" as one of a few, or the @i-th of others. */
static const char *known_key(int i)
{
	static char key[16];

	if (!i)
		return "k";
	snprintf(key, sizeof(key), i <= NR_NEIGHBOURS ? "n%d" : "f%d", i);
	return key;
}

/* What the statistics say is what is there. Nothing has a time to live under a minute. */
static void check_accounts(void)
{
	unsigned long long entries = 0, bytes = 0;
	int i;

	for (i = 0; i <= NR_NEIGHBOURS + (is_filled ? NR_FILL : 0); i++) {
		const char *key = known_key(i);
		struct kcache_op op = OP(STAT, key);
		int err = run(&op);

		if (err == -ENOENT)
			continue;
		CHECK_ERR(err, 0);
		entries++;
		bytes += kcache_entry_size(strlen(key) |
					   (op.client_flags ? KCACHE_ENTRY_FLAGS : 0), op.out_len);
	}
	CHECK_EQ(sysfs_number("stats/entries"), entries);
	CHECK_EQ(sysfs_number("stats/bytes_live"), bytes);
	CHECK(sysfs_number("stats/bytes_allocated") <= sysfs_number("limits/max_bytes"));
}

static unsigned long long evictions;	/* when the trial was prepared */

static void store_neighbours(void)
{
	int i;

	for (i = 1; i <= NR_NEIGHBOURS; i++) {
		fill_bytes(got, 150 * i, i);
		WORKS(OP(SET, known_key(i), BYTES(got, 150 * i), .client_flags = i));
	}
	evictions = sysfs_number("stats/evictions");
}

/* They are as they were, or gone if somebody was evicted. */
static void check_neighbours(void)
{
	bool may_be_gone = sysfs_number("stats/evictions") != evictions;
	int i;

	for (i = 1; i <= NR_NEIGHBOURS; i++) {
		struct kcache_op op = OP(GET, known_key(i), INTO_BYTES(got, VALUE_MOST));
		int err = run(&op);

		if (err == -ENOENT && may_be_gone)
			continue;
		CHECK_ERR(err, 0);
		fill_bytes(want, 150 * i, i);
		CHECK(op.out_len == 150ULL * i && op.client_flags == (unsigned int)i);
		CHECK(!memcmp(want, got, 150 * i));
	}
}

/* -------- operations -------- */

#define MISSING	(-1)

/* What is tried: an operation on "k". */
static const struct scenario {
	const char *name;
	unsigned int opcode, flags;
	long old_len;		/* bytes of the value that is there, or MISSING */
	long len;		/* bytes of the value that it brings */
	const char *number;	/* instead, what is there for ADD */
	bool is_bare;		/* the cache has no memory but its tables */
	bool is_full;
	bool is_cold;		/* the caller's buffers are not in memory */
	int errors[4];
} scenarios[] = {
	{ "GET", KCACHE_OP_GET, .old_len = 100, .errors = { EFAULT } },
	{ "GET of a large value", KCACHE_OP_GET, .old_len = 100000, .errors = { EFAULT } },
	{ "GET of a run, cold", KCACHE_OP_GET, .old_len = 600000, .is_cold = true, .errors = { EFAULT } },
	{ "GET with TOUCH", KCACHE_OP_GET, KCACHE_TOUCH, .old_len = 100, .errors = { EFAULT } },
	{ "STAT", KCACHE_OP_STAT, .old_len = 100, .errors = { EFAULT } },
	{ "TOUCH", KCACHE_OP_TOUCH, .old_len = 100, .errors = { EFAULT } },
	{ "REMOVE", KCACHE_OP_REMOVE, .old_len = 100, .errors = { EFAULT } },
	{ "REMOVE of a run", KCACHE_OP_REMOVE, .old_len = 600000, .errors = { EFAULT } },
	{ "POP", KCACHE_OP_POP, .old_len = 100, .errors = { EFAULT } },
	{ "POP of a run, cold", KCACHE_OP_POP, .old_len = 600000, .is_cold = true, .errors = { EFAULT } },
	{ "SET of a new key", KCACHE_OP_SET, .old_len = MISSING, .len = 100,
	  .errors = { EFAULT, ENOSPC } },
	{ "SET into a bare cache", KCACHE_OP_SET, .old_len = MISSING, .len = 100, .is_bare = true,
	  .errors = { EFAULT, ENOSPC } },
	{ "SET into a bare cache, cold", KCACHE_OP_SET, .old_len = MISSING, .len = 100, .is_bare = true,
	  .is_cold = true, .errors = { EFAULT, ENOSPC } },
	{ "SET in place", KCACHE_OP_SET, .old_len = 100, .len = 100, .errors = { EFAULT, ENOSPC } },
	{ "SET of another length", KCACHE_OP_SET, .old_len = 100, .len = 1000, .errors = { EFAULT, ENOSPC } },
	{ "SET large into a bare cache", KCACHE_OP_SET, .old_len = MISSING, .len = 100000, .is_bare = true,
	  .errors = { EFAULT, ENOSPC } },
	{ "SET large, cold", KCACHE_OP_SET, .old_len = 200, .len = 100000, .is_cold = true,
	  .errors = { EFAULT, ENOSPC } },
	{ "SET of a run into a bare cache", KCACHE_OP_SET, .old_len = MISSING, .len = 600000, .is_bare = true,
	  .errors = { EFAULT, ENOSPC } },
	{ "SET of a run, cold", KCACHE_OP_SET, .old_len = 560000, .len = 600000, .is_cold = true,
	  .errors = { EFAULT, ENOSPC } },
	{ "SET with IF_PRESENT", KCACHE_OP_SET, KCACHE_IF_PRESENT | KCACHE_KEEP_TTL, .old_len = 100,
	  .len = 300, .errors = { EFAULT, ENOSPC, ENOENT } },
	{ "SET with RETURN_OLD", KCACHE_OP_SET, KCACHE_RETURN_OLD, .old_len = 100, .len = 300,
	  .errors = { EFAULT, ENOSPC } },
	{ "SET with RETURN_OLD of runs, cold", KCACHE_OP_SET, KCACHE_RETURN_OLD, .old_len = 560000,
	  .len = 600000, .is_cold = true, .errors = { EFAULT, ENOSPC } },
	{ "ADD in place", KCACHE_OP_ADD, .number = "41", .errors = { EFAULT, ENOSPC } },
	{ "ADD that outgrows its place", KCACHE_OP_ADD, .number = "999", .errors = { EFAULT, ENOSPC, ENOENT } },
	{ "ADD of an initial value", KCACHE_OP_ADD, KCACHE_INITIAL, .old_len = MISSING,
	  .errors = { EFAULT, ENOSPC } },
	{ "ADD of an initial value, bare", KCACHE_OP_ADD, KCACHE_INITIAL, .old_len = MISSING,
	  .is_bare = true, .errors = { EFAULT, ENOSPC } },
	{ "APPEND", KCACHE_OP_APPEND, .old_len = 100, .len = 300, .errors = { EFAULT, ENOSPC, ENOENT } },
	{ "APPEND to a run, cold", KCACHE_OP_APPEND, .old_len = 400000, .len = 200000, .is_cold = true,
	  .errors = { EFAULT, ENOSPC, ENOENT } },
	{ "PREPEND", KCACHE_OP_PREPEND, .old_len = 100, .len = 300, .errors = { EFAULT, ENOSPC, ENOENT } },
	{ "PREPEND to a run, cold", KCACHE_OP_PREPEND, .old_len = 400000, .len = 200000, .is_cold = true,
	  .errors = { EFAULT, ENOSPC, ENOENT } },
	{ "SET into a full cache", KCACHE_OP_SET, .old_len = MISSING, .len = 100000, .is_full = true,
	  .errors = { EFAULT, ENOSPC } },
	{ "SET of a run into a full cache, cold", KCACHE_OP_SET, .old_len = MISSING, .len = 200000,
	  .is_full = true, .is_cold = true, .errors = { EFAULT, ENOSPC } },
	{ "APPEND in a full cache", KCACHE_OP_APPEND, .old_len = 100, .len = 100000, .is_full = true,
	  .errors = { EFAULT, ENOSPC, ENOENT } },
};

static const struct scenario *scenario;
static struct kcache_op asked, answered;	/* the operation, before and after */
static unsigned long long old_version;
static long old_len, want_len;			/* MISSING: no entry */

/* What "k" is when the operation is done: want and want_len. */
static void foresee(void)
{
	want_len = old_len;
	memcpy(want, old, old_len > 0 ? old_len : 0);
	switch (asked.opcode) {
	case KCACHE_OP_SET:
		want_len = scenario->len;
		memcpy(want, value, want_len);
		break;
	case KCACHE_OP_REMOVE:
	case KCACHE_OP_POP:
		want_len = MISSING;
		break;
	case KCACHE_OP_ADD:
		want_len = sprintf((char *)want, "%d", scenario->number ? atoi(scenario->number) + 1 : 77);
		break;
	case KCACHE_OP_APPEND:
		memcpy(want + old_len, value, scenario->len);
		want_len = old_len + scenario->len;
		break;
	case KCACHE_OP_PREPEND:
		memcpy(want, value, scenario->len);
		memcpy(want + scenario->len, old, old_len);
		want_len = old_len + scenario->len;
		break;
	}
}

/* More than 9 MiB of entries, where that is the limit as many as there is room for. */
static void fill_cache(void)
{
	int i;

	is_filled = true;
	fill_bytes(got, FILL_LEN, 9);
	for (i = NR_NEIGHBOURS + 1; i <= NR_NEIGHBOURS + NR_FILL; i++)
		WORKS(OP(SET, known_key(i), BYTES(got, FILL_LEN)));
}

static void prepare_op(void)
{
	if (scenario->is_full && sysfs_number("limits/max_bytes") != 9 * MEBI)
		CHECK_ERR(set_max_bytes(9 * MEBI), 0);
	if (!scenario->is_full || sysfs_number("stats/entries") < 60) {
		MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		if (scenario->is_full)
			fill_cache();
	}
	if (!scenario->is_bare)
		store_neighbours();
	old_len = scenario->old_len;
	fill_bytes(old, old_len > 0 ? old_len : 0, 1);
	if (scenario->number) {
		old_len = strlen(scenario->number);
		memcpy(old, scenario->number, old_len);
	}
	if (old_len == MISSING) {
		struct kcache_op op = OP(REMOVE, "k");
		int err = run(&op);

		CHECK(!err || err == -ENOENT);
	} else {
		old_version = WORKS(OP(SET, "k", BYTES(old, old_len), .client_flags = 5)).version;
		evictions = sysfs_number("stats/evictions");
	}
	fill_bytes(value, scenario->len, 2);
	memset(out, 0, old_len > 0 ? old_len : 0);
	asked = OP(GET, "k", BYTES(value, scenario->len), INTO_BYTES(out, VALUE_MOST),
		   .flags = scenario->flags, .delta = 1, .ttl_ms = 1000000, .number = 77,
		   .client_flags = 6);
	asked.opcode = scenario->opcode;
	foresee();
	if (scenario->is_cold) {
		MUST(madvise(value, VALUE_MOST, MADV_DONTNEED));
		MUST(madvise(out, VALUE_MOST, MADV_DONTNEED));
	}
	answered = asked;
}

static int attempt_op(void)
{
	return run(&answered);
}

/* "k" has @len bytes of @bytes. */
static void check_key(const unsigned char *bytes, long len, unsigned int client_flags,
		      unsigned long long version, bool has_ttl)
{
	struct kcache_op op = OP(GET, "k", INTO_BYTES(got, 2 * VALUE_MOST));
	int err = run(&op);

	if (len == MISSING) {
		CHECK_ERR(err, ENOENT);
		return;
	}
	CHECK_ERR(err, 0);
	CHECK_EQ(op.out_len, len);
	CHECK(!memcmp(got, bytes, len));
	CHECK_EQ(op.client_flags, client_flags);
	CHECK_EQ(!!op.ttl_ms, has_ttl);
	if (version)
		CHECK_EQ(op.version, version);
}

static void check_op_done(void)
{
	bool takes_ttl = asked.opcode == KCACHE_OP_TOUCH || asked.flags & (KCACHE_TOUCH | KCACHE_INITIAL) ||
		(asked.opcode == KCACHE_OP_SET && !(asked.flags & KCACHE_KEEP_TTL));
	bool takes_flags = asked.opcode == KCACHE_OP_SET || asked.flags & KCACHE_INITIAL;

	check_unwritten(__LINE__, &answered, &asked, fields_told(&asked));
	check_key(want, want_len, takes_flags ? 6 : 5,
		  fields_told(&asked) & 1 << KTAP_FIELD_version ? answered.version : 0, takes_ttl);
	if (asked.opcode == KCACHE_OP_GET || asked.opcode == KCACHE_OP_POP ||
	    asked.flags & KCACHE_RETURN_OLD) {
		/* Room for the new value may have been made by evicting the old one. */
		if (asked.flags & KCACHE_RETURN_OLD && answered.out_len == KCACHE_ABSENT) {
			CHECK(sysfs_number("stats/evictions") != evictions);
			return;
		}
		CHECK_EQ(answered.out_len, old_len);
		CHECK(!memcmp(out, old, old_len));
	}
	if (asked.opcode == KCACHE_OP_ADD)
		CHECK_EQ(answered.number, atoi((char *)want));
}

static void check_op(int err)
{
	if (err) {
		struct kcache_op op = OP(STAT, "k");

		check_unwritten(__LINE__, &answered, &asked, 0);
		/* To make room, the very key may have been evicted; ENOENT means nothing else. */
		if (run(&op) == -ENOENT && old_len != MISSING) {
			CHECK(sysfs_number("stats/evictions") != evictions);
			check_accounts();
			return;
		}
		CHECK(err != -ENOENT);
		check_key(old, old_len, 5, old_version, false);
		check_accounts();
		answered = asked;
		CHECK_ERR(run(&answered), 0);
	}
	check_op_done();
	if (!scenario->is_bare)
		check_neighbours();
	check_accounts();
}

static void begin_test(void)
{
	begin_faults();
	begin_known();
}

static unsigned long long bytes_when_empty(void)
{
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	return sysfs_number("stats/bytes_allocated");
}

/* In the end, all memory is back, but for a chunk that is kept for the next entry. */
static void sweep_operations(void (*sweep)(const struct trial *trial, const struct range *range))
{
	unsigned long long at_load = number_in("/sys/module/kcache/parameters/max_bytes"), empty;
	struct range range = ours();
	unsigned int i;

	begin_test();
	WORKS(OP(SET, "k", BYTES(value, 600000)));
	empty = bytes_when_empty();
	for (i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		struct trial trial = { scenarios[i].name, prepare_op, attempt_op, check_op, { 0 } };

		scenario = &scenarios[i];
		memcpy(trial.errors, scenario->errors, sizeof(trial.errors));
		if (!scenario->is_full && sysfs_number("limits/max_bytes") == 9 * MEBI)
			CHECK_ERR(set_max_bytes(at_load), 0);
		sweep(&trial, &range);
	}
	CASE("%llu bytes were enough for an empty cache", empty);
	CHECK(bytes_when_empty() <= empty + at_load / 128);
}

static void sweep_each(const struct trial *trial, const struct range *range)
{
	inject_in(range, SLAB | PAGES | COPIES);
	fail_each(trial);
}

TEST(each_operation_with_a_failure_at_each_place)
{
	sweep_operations(sweep_each);
}

TEST(each_operation_with_failures_that_come_again)
{
	sweep_operations(fail_often);
}

/* -------- the other commands -------- */

static void nothing_to_prepare(void)
{
}

static void prepare_flush(void)
{
	store_neighbours();
	fill_bytes(got, 600000, 3);
	WORKS(OP(SET, "k", BYTES(got, 600000)));
}

static int attempt_flush(void)
{
	return ioctl(cache, KCACHE_IOC_FLUSH, 0) < 0 ? -errno : 0;
}

static void check_flush(int err)
{
	CHECK(!err);
	CHECK_EQ(sysfs_number("stats/entries"), 0);
	CHECK_EQ(sysfs_number("stats/bytes_live"), 0);
	check_accounts();
}

static struct kcache_info info;

static void prepare_info(void)
{
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
}

static int attempt_info(void)
{
	return ioctl(cache, KCACHE_IOC_INFO, &info) < 0 ? -errno : 0;
}

static void check_info(int err)
{
	CHECK_EQ(info.key_max, err ? 0 : KCACHE_KEY_MAX);
	info.size = sizeof(info);
	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	CHECK_EQ(info.key_max, KCACHE_KEY_MAX);
}

static int hints = -1, hinted = -1;	/* an open device, and the descriptor of its hints */
static unsigned long long refcnt;

static unsigned long long module_refcnt(void)
{
	return number_in("/sys/module/kcache/refcnt");
}

static void prepare_hints(void)
{
	refcnt = module_refcnt();
	hints = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC));
}

static int attempt_hints(void)
{
	hinted = ioctl(hints, KCACHE_IOC_HINTS, 0);
	return hinted < 0 ? -errno : 0;
}

/* Nobody holds the open file, and so the module, who should not. */
static void close_hints(void)
{
	if (hinted >= 0)
		close(hinted);
	close(hints);
	hints = hinted = -1;
	CHECK_EQ(module_refcnt(), refcnt);
}

static void check_hints(int err)
{
	struct kcache_hints *page;

	if (err)
		hinted = MUST(ioctl(hints, KCACHE_IOC_HINTS, 0));
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, hinted, 0);
	CHECK(page != MAP_FAILED);
	CHECK(!page->lane[0].hits && !page->lane[3].nr);
	munmap(page, PAGE);
	close_hints();
}

static int attempt_take_hints(void)
{
	return ioctl(cache, KCACHE_IOC_TAKE_HINTS, 0) < 0 ? -errno : 0;
}

static void check_nothing_failed(int err)
{
	CHECK_ERR(err, 0);
}

TEST(other_commands_with_a_failure_at_each_place)
{
	static const struct trial trials[] = {
		{ "FLUSH", prepare_flush, attempt_flush, check_flush, { 0 } },
		{ "INFO", prepare_info, attempt_info, check_info, { EFAULT } },
		{ "HINTS", prepare_hints, attempt_hints, check_hints, { ENOMEM } },
		{ "TAKE_HINTS", nothing_to_prepare, attempt_take_hints, check_nothing_failed, { 0 } },
	};
	struct range range = ours();
	unsigned int i;

	begin_test();
	MUST(ioctl(cache, KCACHE_IOC_HINTS, 0));
	for (i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		sweep_each(&trials[i], &range);
		fail_often(&trials[i], &range);
	}
}

#define NR_BATCH	NR_NEIGHBOURS

static struct kcache_op batched[NR_BATCH];
static struct kcache_batch batch;
static char batch_keys[NR_BATCH][8];

static void prepare_batch(void)
{
	int i;

	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	for (i = 0; i < NR_BATCH; i++) {
		strcpy(batch_keys[i], known_key(i + 1));
		fill_bytes(value + i * 1000, 1000, i);
		batched[i] = OP(SET, batch_keys[i], BYTES(value + i * 1000, 100 * i), .error = 99);
	}
	batch = (struct kcache_batch) {
		.size = sizeof(batch), .op_size = sizeof(batched[0]),
		.ops = address(batched), .nr = NR_BATCH, .done = 99,
	};
}

static int attempt_batch(void)
{
	return ioctl(cache, KCACHE_IOC_BATCH, &batch) < 0 ? -errno : 0;
}

/* Those that the batch says are done are, and no others. */
static void check_batch(int err)
{
	unsigned int i, done = err ? 0 : batch.done;

	CHECK(done <= NR_BATCH);
	for (i = 0; i < NR_BATCH; i++) {
		if (i >= done) {
			CHECK_EQ(batched[i].error, 99);
			HOLDS_NOT(batch_keys[i]);
		} else if (batched[i].error) {
			CHECK(batched[i].error == -EFAULT || batched[i].error == -ENOSPC);
			HOLDS_NOT(batch_keys[i]);
		} else {
			HOLDS_ON(batch_keys[i], strlen(batch_keys[i]), value + i * 1000, 100 * i);
		}
	}
	check_accounts();
	MUST(ioctl(cache, KCACHE_IOC_BATCH, &batch));
	CHECK_EQ(batch.done, NR_BATCH);
	for (i = 0; i < NR_BATCH; i++)
		CHECK_EQ(batched[i].error, 0);
	check_accounts();
}

TEST(batch_with_a_failure_at_each_place)
{
	static const struct trial trial = {
		"BATCH", prepare_batch, attempt_batch, check_batch, { EFAULT }
	};
	struct range range = ours();

	begin_test();
	sweep_each(&trial, &range);
	fail_often(&trial, &range);
}

/* -------- text -------- */

#define NR_LINES	5

static int file = -1;
static char *text;		/* lines */
static size_t text_len, line_end[NR_LINES];
static size_t split;		/* bytes of the text that come in a write before */
static ssize_t taken;		/* bytes that the write took */

/* n1 to n4 get short values, k a long one. */
static void make_text(size_t longest)
{
	int i, fill;

	text = (char *)value;
	text_len = 0;
	for (i = 0; i < NR_LINES; i++) {
		fill = i == NR_LINES - 1 ? (int)longest : 50 * (i + 1);
		text_len += sprintf(text + text_len, "@flags=3 %s ", known_key(NR_LINES - 1 - i));
		memset(text + text_len, 'a' + i, fill);
		text_len += fill;
		text[text_len++] = '\n';
		line_end[i] = text_len;
	}
}

static void prepare_write(void)
{
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	file = MUST(open(DEVICE, O_WRONLY | O_CLOEXEC));
	if (split)
		CHECK_EQ(write(file, text, split), split);
	evictions = sysfs_number("stats/evictions");
}

static int attempt_write(void)
{
	taken = write(file, text + split, text_len - split);
	return taken < 0 ? -errno : 0;
}

/* With @may_be_gone, also one that was stored: it made room where no memory was to be had. */
static void check_line(int line, bool is_stored, bool may_be_gone)
{
	const char *key = known_key(NR_LINES - 1 - line);
	size_t begin = line ? line_end[line - 1] : 0, before = begin + strlen("@flags=3 ") + strlen(key) + 1;

	if (is_stored && may_be_gone && run(&OP(STAT, key)) == -ENOENT)
		return;
	if (is_stored)
		HOLDS_ON(key, strlen(key), text + before, line_end[line] - 1 - before);
	else
		HOLDS_NOT(key);
}

/* The lines that end within what was taken are stored, and no others. */
static void check_write(int err)
{
	bool may_be_gone = sysfs_number("stats/evictions") != evictions;
	size_t at = split + (err ? 0 : taken), before;
	int i;

	for (i = 0; i < NR_LINES; i++)
		check_line(i, line_end[i] <= at, may_be_gone);
	check_accounts();
	/* Of an error other than EFAULT, the line is forgotten with all that came of it. */
	if (err && err != -EFAULT)
		for (at = i = 0; i < NR_LINES && line_end[i] <= split; i++)
			at = line_end[i];
	for (before = at; at < text_len; )
		at += MUST(write(file, text + at, text_len - at));
	for (i = 0; i < NR_LINES; i++)
		check_line(i, true, may_be_gone && line_end[i] <= before);
	MUST(close(file));
	check_accounts();
}

TEST(write_of_text_with_a_failure_at_each_place)
{
	static const struct {
		const char *name;
		size_t longest, split;
	} writes[] = {
		{ "write() of lines", 200, 0 },
		{ "write() of half a line, split in a key", 200, 11 },
		{ "write() of a long line", 100000, 0 },
		{ "write() of a long line, split in its value", 100000, 50000 },
	};
	struct range range = ours();
	unsigned int i;

	begin_test();
	for (i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		struct trial trial = {
			writes[i].name, prepare_write, attempt_write, check_write,
			{ EFAULT, ENOSPC, ENOMEM }
		};

		make_text(writes[i].longest);
		split = writes[i].split;
		sweep_each(&trial, &range);
		fail_often(&trial, &range);
	}
}

static char *whole;		/* the text of the cache, read without failures */
static size_t whole_len, read_len;
static size_t piece;		/* bytes that one read() asks for */

static size_t read_rest(int fd, char *to)
{
	size_t len = 0;
	ssize_t got_now;

	while ((got_now = MUST(read(fd, to + len, piece))))
		len += got_now;
	return len;
}

static void prepare_read(void)
{
	file = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC));
	read_len = 0;
}

/* Up to the end, or the first error. */
static int attempt_read(void)
{
	ssize_t got_now;

	while ((got_now = read(file, out + read_len, piece)) > 0)
		read_len += got_now;
	return got_now < 0 ? -errno : 0;
}

/* The next read goes on: each byte is there, once. */
static void check_read(int err)
{
	if (err)
		read_len += read_rest(file, (char *)out + read_len);
	CHECK_EQ(read_len, whole_len);
	CHECK(!memcmp(out, whole, whole_len));
	close(file);
}

TEST(read_of_text_with_a_failure_at_each_place)
{
	static const struct trial trial = {
		"read()", prepare_read, attempt_read, check_read, { EFAULT, ENOMEM }
	};
	struct range range = ours();

	begin_test();
	store_neighbours();
	memset(old, 'v', 30000);
	WORKS(OP(SET, "k", BYTES(old, 30000), .client_flags = 7));
	whole = (char *)want;
	for (piece = 1000; piece <= 100000; piece *= 100) {
		file = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC));
		whole_len = read_rest(file, whole);
		close(file);
		CHECK(whole_len > 30000);
		sweep_each(&trial, &range);
		fail_often(&trial, &range);
	}
}

/* -------- open files and mappings -------- */

static void prepare_open(void)
{
	refcnt = module_refcnt();
}

static int attempt_open(void)
{
	file = open(DEVICE, O_RDWR);
	return file < 0 ? -errno : 0;
}

static void check_open(int err)
{
	if (err)
		file = MUST(open(DEVICE, O_RDWR));
	CHECK_EQ(write(file, "k value\n", 8), 8);
	HOLDS("k", "value");
	close(file);
	CHECK_EQ(module_refcnt(), refcnt);
}

/* What the kernel itself needs for the call may fail, too. */
TEST(open_with_a_failure_at_each_place)
{
	static const struct trial trial = {
		"open()", prepare_open, attempt_open, check_open, { ENOMEM, EFAULT, ENFILE }
	};
	struct range range = ours();

	begin_test();
	sweep_each(&trial, &range);
	fail_often(&trial, &range);
	MUST(mlockall(MCL_CURRENT));
	sweep_each(&trial, &anywhere);
}

#define MAP_BYTES	(64 * MEBI)

static const struct kcache_map_header *map = MAP_FAILED;
static int pipe_fds[2];

static void prepare_map(void)
{
	refcnt = module_refcnt();
	map = MAP_FAILED;
}

static int attempt_map(void)
{
	map = mmap(NULL, MAP_BYTES, PROT_READ, MAP_SHARED, cache, 0);
	return map == MAP_FAILED ? -errno : 0;
}

static void check_map(int err)
{
	if (err)
		CHECK_ERR(attempt_map(), 0);
	CHECK_EQ(map->layout, KCACHE_MAP_LAYOUT);
	munmap((void *)map, MAP_BYTES);
	CHECK_EQ(module_refcnt(), refcnt);
}

static unsigned long long bucket_sum;

/* Touches the header, where buckets are, and holes in between. */
static unsigned long long touch_map(void)
{
	const volatile unsigned char *bytes = (const volatile unsigned char *)map;
	unsigned long long sum = map->layout;
	size_t at;

	for (at = 0; at < MAP_BYTES; at += 512 << 10)
		sum += bytes[at + 8] ? at : 0;
	return sum;
}

static void prepare_touch(void)
{
	CHECK_ERR(attempt_map(), 0);
}

static int attempt_touch(void)
{
	bucket_sum = touch_map();
	return 0;
}

static void check_touch(int err)
{
	CHECK(!err);
	CHECK_EQ(touch_map(), bucket_sum);
	munmap((void *)map, MAP_BYTES);
}

/* Here the kernel touches it for the caller, and cannot try again for ever. */
static int attempt_send(void)
{
	size_t at;

	for (at = 0; at < MAP_BYTES; at += 2 * MEBI)
		if (write(pipe_fds[1], (const char *)map + at, 8) < 0)
			return -errno;
	return 0;
}

static void check_send(int err)
{
	char bytes[1024];
	ssize_t len = read(pipe_fds[0], bytes, sizeof(bytes));

	CHECK(len >= 8 || err);
	CHECK(len < 8 || *(__u32 *)bytes == KCACHE_MAP_LAYOUT);
	bucket_sum = touch_map();
	check_touch(0);
}

static struct kcache_hints *hints_page = MAP_FAILED;

static void prepare_map_hints(void)
{
	prepare_hints();
	CHECK_ERR(attempt_hints(), 0);
}

static int attempt_map_hints(void)
{
	/* Where there is no page table yet. */
	hints_page = mmap((void *)0x100000000000, PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED_NOREPLACE, hinted, 0);
	return hints_page == MAP_FAILED ? -errno : 0;
}

static void check_map_hints(int err)
{
	if (err)
		CHECK_ERR(attempt_map_hints(), 0);
	hints_page->lane[0].nr = 0;
	munmap(hints_page, PAGE);
	close_hints();
}

TEST(mmap_and_page_faults_with_a_failure_at_each_place)
{
	static const struct trial trials[] = {
		{ "mmap()", prepare_map, attempt_map, check_map, { ENOMEM } },
		{ "page faults", prepare_touch, attempt_touch, check_touch, { 0 } },
		{ "page faults of the kernel", prepare_touch, attempt_send, check_send, { EFAULT } },
		{ "mmap() of hints", prepare_map_hints, attempt_map_hints, check_map_hints, { ENOMEM } },
	};
	struct range range = ours();
	unsigned int i;

	begin_test();
	MUST(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC));
	store_neighbours();
	for (i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		sweep_each(&trials[i], &range);
	MUST(mlockall(MCL_CURRENT));
	sweep_each(&trials[0], &anywhere);
	sweep_each(&trials[3], &anywhere);
}

/* -------- sysfs -------- */

static char limit[32] = "max_bytes";
static unsigned long long limit_old, limit_new;
static char limit_text[32];
static int limit_fd = -1;

static unsigned long long limit_now(void)
{
	char name[64];

	snprintf(name, sizeof(name), "limits/%s", limit);
	return sysfs_number(name);
}

static void write_limit(unsigned long long number)
{
	char path[128], digits[32];

	snprintf(path, sizeof(path), SYSFS "limits/%s", limit);
	snprintf(digits, sizeof(digits), "%llu", number);
	CHECK(write_file(path, digits));
}

static void prepare_limit(void)
{
	char path[128];

	if (limit_now() != limit_old)
		write_limit(limit_old);
	if (limit_new < limit_old && !strcmp(limit, "max_bytes"))
		fill_cache();
	snprintf(path, sizeof(path), SYSFS "limits/%s", limit);
	limit_fd = MUST(open(path, O_WRONLY | O_CLOEXEC));
	snprintf(limit_text, sizeof(limit_text), "%llu", limit_new);
}

static int attempt_limit(void)
{
	return write(limit_fd, limit_text, strlen(limit_text)) < 0 ? -errno : 0;
}

static void check_limit(int err)
{
	CHECK_EQ(limit_now(), err ? limit_old : limit_new);
	check_accounts();
	if (err)
		CHECK_ERR(attempt_limit(), 0);
	close(limit_fd);
	CHECK_EQ(limit_now(), limit_new);
	check_accounts();
}

static void sweep_limit(const char *name, const char *file_name, unsigned long long from,
			unsigned long long to)
{
	struct trial trial = {
		name, prepare_limit, attempt_limit, check_limit, { ENOSPC, ENOMEM, EFAULT }
	};
	struct range range = ours();

	strcpy(limit, file_name);
	limit_old = from;
	limit_new = to;
	sweep_each(&trial, &range);
	fail_often(&trial, &range);
	sweep_each(&trial, &anywhere);
}

TEST(limits_with_a_failure_at_each_place)
{
	unsigned long long at_load = sysfs_number("limits/max_bytes");

	begin_test();
	MUST(mlockall(MCL_CURRENT));
	sweep_limit("max_bytes down", "max_bytes", at_load, 9 * MEBI);
	sweep_limit("max_bytes up", "max_bytes", 9 * MEBI, 2 * at_load);
	strcpy(limit, "max_bytes");
	write_limit(at_load);
	sweep_limit("min_bytes", "min_bytes", 0, MEBI);
	write_limit(0);
	sweep_limit("promote_after", "promote_after", 1, 3);
	write_limit(1);
}

static unsigned long long number_then;
static char number_text[32];

static void prepare_sysfs(void)
{
	number_then = sysfs_number("stats/entries");
}

static int attempt_sysfs(void)
{
	ssize_t len;
	int fd = open(SYSFS "stats/entries", O_RDONLY);

	if (fd < 0)
		return -errno;
	len = read(fd, number_text, sizeof(number_text) - 1);
	if (len < 0) {
		len = -errno;
		close(fd);
		return len;
	}
	number_text[len] = '\0';
	close(fd);
	return 0;
}

static void check_sysfs(int err)
{
	if (err)
		CHECK_ERR(attempt_sysfs(), 0);
	CHECK_EQ(strtoull(number_text, NULL, 10), number_then);
}

TEST(statistics_with_a_failure_at_each_place)
{
	static const struct trial trial = {
		"read of statistics", prepare_sysfs, attempt_sysfs, check_sysfs,
		{ ENOMEM, EFAULT, ENFILE }
	};

	begin_test();
	store_neighbours();
	MUST(mlockall(MCL_CURRENT));
	sweep_each(&trial, &anywhere);
}

/* -------- memory for others -------- */

static void prepare_shrink(void)
{
	fill_cache();
	file = MUST(open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC));
}

static int attempt_shrink(void)
{
	return write(file, "2", 1) < 0 ? -errno : 0;
}

static void check_shrink(int err)
{
	CHECK(!err);
	close(file);
	check_accounts();
	fill_cache();
	check_accounts();
}

TEST(shrinking_with_a_failure_at_each_place)
{
	static const struct trial trial = {
		"drop_caches", prepare_shrink, attempt_shrink, check_shrink, { 0 }
	};
	unsigned long long shrunk = sysfs_number("stats/shrunk_bytes");
	struct range range = ours();

	begin_test();
	sweep_each(&trial, &range);
	fail_often(&trial, &range);
	CHECK(sysfs_number("stats/shrunk_bytes") > shrunk);
}

/* -------- loading and unloading -------- */

static int module = -1;
static char parameters[64];

static void need_module(void)
{
	const char *path = getenv("KCACHE_KO");

	path = path ? path : "/run/vm/job/kcache.ko";
	module = open(path, O_RDONLY | O_CLOEXEC);
	if (module < 0)
		SKIP("no module to load: %s: %s", path, ktap_errno(errno));
	snprintf(parameters, sizeof(parameters), "max_bytes=%llu",
		 number_in("/sys/module/kcache/parameters/max_bytes"));
}

static int load(void)
{
	return syscall(SYS_finit_module, module, parameters, 0) < 0 ? -errno : 0;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "kcache", O_NONBLOCK) < 0 ? -errno : 0;
}

static void open_cache(void)
{
	int ms;

	/* Who makes the node is a thread of the kernel's. */
	for (ms = 0; access(DEVICE, F_OK) && ms < 10000; ms++)
		milliseconds_pass(1);
	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
}

static void close_cache(void)
{
	close(cache);
	cache = -1;
}

/* A cache that has never had memory. */
static void load_anew(void)
{
	close_cache();
	CHECK_ERR(unload(), 0);
	CHECK_ERR(load(), 0);
	open_cache();
}

static void check_nothing_is_left(void)
{
	static const char *const paths[] = { "/sys/module/kcache", DEVICE, "/sys/class/kcache" };
	char line[256];
	FILE *devices;
	int i, ms;

	for (i = 0; i < 3; i++) {
		for (ms = 0; !access(paths[i], F_OK) && ms < 1000; ms++)
			milliseconds_pass(1);
		if (!access(paths[i], F_OK))
			ktap_fail(__LINE__, "%s is left", paths[i]);
	}
	devices = fopen("/proc/devices", "re");
	CHECK(devices);
	while (fgets(line, sizeof(line), devices))
		CHECK(!strstr(line, "kcache"));
	fclose(devices);
}

static void prepare_load(void)
{
	if (!access("/sys/module/kcache", F_OK))
		CHECK_ERR(unload(), 0);
	check_nothing_is_left();
}

/* Loading takes long: whether it works afterwards is tried after every eighth failure. */
static void check_load(int err)
{
	static int nr;

	if (err) {
		check_nothing_is_left();
		if (nr++ % 8)
			return;
		CHECK_ERR(load(), 0);
		open_cache();
		WORKS(OP(SET, "k", VALUE("value")));
		HOLDS("k", "value");
		MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		close_cache();
	}
	CHECK_EQ(sysfs_number("stats/entries"), 0);
}

static void prepare_unload(void)
{
	if (access("/sys/module/kcache", F_OK))
		CHECK_ERR(load(), 0);
	open_cache();
	store_neighbours();
	close_cache();
}

static void check_unload(int err)
{
	CHECK(!err);
	check_nothing_is_left();
}

/* All that the module's init does, down to what the kernel needs for it. */
TEST(load_and_unload_with_a_failure_at_each_place)
{
	static const struct trial trials[] = {
		{ "load", prepare_load, load, check_load, { ENOMEM } },
		{ "unload", prepare_unload, unload, check_unload, { 0 } },
	};
	struct range init = function("do_init_module"), exit = function("__x64_sys_delete_module");

	need_module();
	begin_test();
	close_cache();
	sweep_each(&trials[0], &init);
	prepare_load();
	sweep_each(&trials[1], &exit);
	CHECK_ERR(load(), 0);
}

/* -------- no memory for a while, for callers and workers -------- */

#define NR_MODELLED	200

static struct modelled {
	bool is_there;
	unsigned int seed;
	size_t len;
} modelled[NR_MODELLED];

static const char *model_key(int i)
{
	static char key[16];

	snprintf(key, sizeof(key), "model%d", i);
	return key;
}

/* The entry is what the model has, or was evicted. */
static void check_modelled(int i, const struct kcache_op *op, int err)
{
	struct modelled *model = &modelled[i];

	if (err == -ENOENT) {
		model->is_there = false;
		return;
	}
	CHECK_ERR(err, 0);
	CHECK(model->is_there);
	CHECK_EQ(op->out_len, model->len);
	fill_bytes(want, model->len, model->seed);
	CHECK(!memcmp(got, want, model->len));
}

static void set_modelled(int i)
{
	struct modelled new = { true, random_below(250), 1 };
	struct kcache_op op;
	int err;

	switch (random_below(40)) {
	case 0:
		new.len = random_below(250000);
		break;
	case 1 ... 10:
		new.len = random_below(20000);
		break;
	default:
		new.len = random_below(600);
	}
	fill_bytes(got, new.len, new.seed);
	op = OP(SET, model_key(i), BYTES(got, new.len));
	err = run(&op);
	if (err == -ENOSPC || err == -EFAULT)
		return;
	CHECK_ERR(err, 0);
	modelled[i] = new;
}

static void one_step(void)
{
	int i = random_below(NR_MODELLED), err;
	struct kcache_op op;

	switch (random_below(10)) {
	case 0 ... 4:
		set_modelled(i);
		return;
	case 5 ... 7:
		op = OP(GET, model_key(i), INTO_BYTES(got, VALUE_MOST));
		err = run(&op);
		if (err != -EFAULT)
			check_modelled(i, &op, err);
		return;
	case 8:
		op = OP(REMOVE, model_key(i));
		err = run(&op);
		if (err == -EFAULT)
			return;
		CHECK(err == -ENOENT || (!err && modelled[i].is_there));
		modelled[i].is_there = false;
		return;
	default:
		if (random_below(30))
			return;
		err = set_max_bytes((9 + random_below(16)) * MEBI);
		CHECK(!err || err == -ENOSPC);
	}
}

static void check_model(void)
{
	unsigned long long entries = 0, bytes = 0;
	int i;

	for (i = 0; i < NR_MODELLED; i++) {
		const char *key = model_key(i);
		struct kcache_op op = OP(GET, key, INTO_BYTES(got, VALUE_MOST));

		check_modelled(i, &op, run(&op));
		if (!modelled[i].is_there)
			continue;
		entries++;
		bytes += kcache_entry_size(strlen(key), modelled[i].len);
	}
	CHECK_EQ(sysfs_number("stats/entries"), entries);
	CHECK_EQ(sysfs_number("stats/bytes_live"), bytes);
	CHECK(sysfs_number("stats/bytes_allocated") <= sysfs_number("limits/max_bytes"));
}

/*
 * A cache that grows, evicts and changes its size while a part of all allocations and
 * copies fails, also those of its worker; begun anew, without memory, in each round.
 */
TEST(mixed_work_while_memory_comes_and_goes)
{
	static const int percents[] = { 20, 100 };
	static const unsigned int mixed[] = { SLAB | PAGES, PAGES, SLAB | PAGES | COPIES };
	struct range range;
	unsigned long nr;
	int round, kind, step;

	need_module();
	begin_test();
	for (round = 0; round < 6; round++) {
		unsigned int mix = mixed[round / 2];
		int percent = percents[round % 2];

		CASE("round %d, %d %% of mix %u", round, percent, mix);
		load_anew();
		CHECK_ERR(set_max_bytes(9 * MEBI), 0);
		memset(modelled, 0, sizeof(modelled));
		range = ours();
		inject_in(&range, mix);
		/* Some of it works, then nothing may, then all has to. */
		for (step = 0; step < (int)random_below(30); step++)
			one_step();
		for (kind = 0; kind < KINDS; kind++) {
			set_attribute(kind, "times", "%d", TIMES);
			set_attribute(kind, "interval", "1");
			set_attribute(kind, "task-filter", "N");
			set_attribute(kind, "probability", "%d", mix & 1 << kind ? percent : 0);
		}
		for (step = 0; step < 400; step++)
			one_step();
		nr = 0;
		for (kind = 0; kind < KINDS; kind++) {
			set_attribute(kind, "probability", "0");
			set_attribute(kind, "task-filter", "Y");
			nr += TIMES - times_left(kind);
		}
		check_model();
		for (step = 0; step < 200; step++)
			one_step();
		check_model();
		WORKS(OP(SET, "k", BYTES(got, 100000)));
		MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
		CHECK_EQ(sysfs_number("stats/bytes_live"), 0);
		NOTE("mixed work: %lu faults injected, %d %%, mix %u", nr, percent, mix);
	}
}

int main(int argc, char **argv)
{
	if (access("/proc/thread-self/fail-nth", W_OK) || access("/sys/kernel/debug/failslab", F_OK)) {
		printf("1..0 # SKIP this kernel has no fault injection\n");
		return KTAP_SKIP;
	}
	return ktap_device_main(argc, argv);
}
