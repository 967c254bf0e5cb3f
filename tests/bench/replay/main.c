// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define SIZES_MAX		16
#define CACHE_BYTES_MIN		MIB	/* kcache takes no less */
#define OVERHEAD		36	/* what kcache aims to need */
#define QUICK_SCALE		8	/* --quick: so many times fewer requests */
#define QUICK_SIZE_SCALE	5	/* and fewer, but longer objects */

struct options {
	struct report report;
	const char *device;
	enum trace_format format;
	double size_percent[SIZES_MAX];	/* 0: in bytes */
	uint64_t size_bytes[SIZES_MAX];
	int nr_sizes;
	bool is_chosen[NR_CACHES];
	char *wanted;			/* workloads, with commas; NULL: all */
	uint64_t seed;
	uint64_t nr_requests;		/* 0: as the workload says */
	uint64_t nr_objects;
	uint64_t limit;
	bool is_quick;
	bool is_strict;
};

static const char usage_text[] =
"usage: replay [OPTION...] [TRACE...]\n"
"\n"
"Sends the requests of each TRACE, or without one of workloads made up here, to\n"
"kcache and to textbook policies with the same memory, and prints who misses how often.\n"
"\n"
"A TRACE is oracleGeneral (records of 24 bytes, little endian: u32 seconds, u64 id,\n"
"u32 size, s64 next), or if its name ends in .csv, lines of time,id,size[,op[,ttl]]\n"
"with times in seconds and get, set or remove for op. Either may end in .zst.\n"
"\n"
"What to replay:\n"
"  -w, --workload=NAME,...  only these; --list names them\n"
"      --list               list the workloads\n"
"  -q, --quick              fewer and longer objects, fewer sizes: under 30 seconds\n"
"      --seed=N             of the workloads (1)\n"
"      --requests=N         of each workload\n"
"      --objects=N          that each workload chooses from\n"
"      --limit=N            only the first N records of a TRACE\n"
"      --format=FORMAT      of TRACE: oracle or csv, whatever its name\n"
"\n"
"On what:\n"
"  -s, --sizes=SIZE,...     of the caches: percents of the working set in bytes, or\n"
"                           bytes with K, M or G (1,5,10,20,40)\n"
"  -c, --caches=NAME,...    of kcache, fifo, lru, s3-fifo (all)\n"
"  -d, --device[=PATH]      drive a real cache (/dev/kcache) instead of the core that is\n"
"                           built in. Sets its limit and empties it! Expiry is left out\n"
"                           there, as its time is real.\n"
"      --overhead=BYTES     that an entry costs the policies beyond key and value (36)\n"
"      --threshold=N        uses in the small queue that bring an object to main, s3-fifo (1)\n"
"      --warm-up=PERCENT    of the requests, not to be counted (20)\n"
"\n"
"Output:\n"
"      --json               instead of a table\n"
"      --strict             exit status 1 if an aim is missed\n"
"  -h, --help               this text\n"
"\n"
"Exit status: 0 done, 1 could not be done, 2 wrong usage.\n";

__attribute__((format(printf, 1, 2), noreturn))
static void usage_error(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "replay: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; see replay --help\n");
	exit(2);
}

/* -------- options -------- */

static uint64_t parse_number(const char *text, const char *option, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || v < min || v > max)
		usage_error("--%s=%s: a number from %llu to %llu is wanted", option, text,
			    (unsigned long long)min, (unsigned long long)max);
	return v;
}

static double parse_percent(const char *text, const char *option, double max)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || (*end && strcmp(end, "%")) || !(v >= 0 && v <= max))
		usage_error("--%s: '%s' is no percentage up to %g", option, text, max);
	return v;
}

static void add_size(struct options *o, const char *text)
{
	static const char units[] = "KMG";
	const char *unit = *text ? strchr(units, text[strlen(text) - 1]) : NULL;
	char *end;
	double v;

	if (o->nr_sizes == SIZES_MAX)
		usage_error("--sizes: more than %d", SIZES_MAX);
	if (!unit || !*unit) {
		v = parse_percent(text, "sizes", 1000);
		if (!v)
			usage_error("--sizes: '%s' is no size", text);
		o->size_percent[o->nr_sizes++] = v;
		return;
	}
	v = strtod(text, &end) * (double)(1024ULL << 10 * (unit - units));
	if (end != text + strlen(text) - 1 || !(v >= CACHE_BYTES_MIN && v < 1e15))
		usage_error("--sizes: '%s' is no size of at least 1M", text);
	o->size_percent[o->nr_sizes] = 0;
	o->size_bytes[o->nr_sizes++] = v;
}

static void parse_sizes(struct options *o, char *text)
{
	char *word;

	o->nr_sizes = 0;
	while ((word = strsep(&text, ",")))
		add_size(o, word);
}

static void parse_caches(struct options *o, char *text)
{
	char *word;
	int i;

	memset(o->is_chosen, 0, sizeof(o->is_chosen));
	while ((word = strsep(&text, ","))) {
		for (i = 0; i < NR_CACHES && strcmp(word, cache_names[i]); i++)
			;
		if (i == NR_CACHES)
			usage_error("--caches: no cache called '%s'", word);
		o->is_chosen[i] = true;
	}
}

static const struct workload *find_workload(const char *name)
{
	const struct workload *workload;

	for (workload = workloads; workload->name; workload++)
		if (!strcmp(workload->name, name))
			return workload;
	return NULL;
}

static void list_workloads(void)
{
	const struct workload *workload;

	for (workload = workloads; workload->name; workload++)
		printf("%-14s %s\n", workload->name, workload->what);
}

static enum trace_format parse_format(const char *text)
{
	if (!strcmp(text, "oracle") || !strcmp(text, "oracleGeneral"))
		return TRACE_ORACLE;
	if (!strcmp(text, "csv"))
		return TRACE_CSV;
	usage_error("--format: no format called '%s'", text);
}

enum { LIST = 256, SEED, REQUESTS, OBJECTS, LIMIT, FORMAT, OVERHEAD_OPTION, THRESHOLD, WARM_UP,
       JSON, STRICT };

static const struct option long_options[] = {
	{ "workload", required_argument, NULL, 'w' },
	{ "list", no_argument, NULL, LIST },
	{ "quick", no_argument, NULL, 'q' },
	{ "seed", required_argument, NULL, SEED },
	{ "requests", required_argument, NULL, REQUESTS },
	{ "objects", required_argument, NULL, OBJECTS },
	{ "limit", required_argument, NULL, LIMIT },
	{ "format", required_argument, NULL, FORMAT },
	{ "sizes", required_argument, NULL, 's' },
	{ "caches", required_argument, NULL, 'c' },
	{ "device", optional_argument, NULL, 'd' },
	{ "overhead", required_argument, NULL, OVERHEAD_OPTION },
	{ "threshold", required_argument, NULL, THRESHOLD },
	{ "warm-up", required_argument, NULL, WARM_UP },
	{ "json", no_argument, NULL, JSON },
	{ "strict", no_argument, NULL, STRICT },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

static void parse_option(struct options *o, int option)
{
	switch (option) {
	case 'w': o->wanted = optarg; break;
	case 'q': o->is_quick = true; break;
	case 's': parse_sizes(o, optarg); break;
	case 'c': parse_caches(o, optarg); break;
	case 'd': o->device = optarg ? optarg : "/dev/kcache"; break;
	case SEED: o->seed = parse_number(optarg, "seed", 0, UINT64_MAX); break;
	case REQUESTS: o->nr_requests = parse_number(optarg, "requests", 1, 1U << 31); break;
	case OBJECTS: o->nr_objects = parse_number(optarg, "objects", 100, 1U << 30); break;
	case LIMIT: o->limit = parse_number(optarg, "limit", 1, UINT64_MAX); break;
	case FORMAT: o->format = parse_format(optarg); break;
	case OVERHEAD_OPTION:
		o->report.overhead = parse_number(optarg, "overhead", 0, 1 << 20);
		break;
	case THRESHOLD: o->report.threshold = parse_number(optarg, "threshold", 0, 3); break;
	case WARM_UP: o->report.warm_up = parse_percent(optarg, "warm-up", 99); break;
	case JSON: o->report.is_json = true; break;
	case STRICT: o->is_strict = true; break;
	case LIST: list_workloads(); exit(0);
	case 'h': fputs(usage_text, stdout); exit(0);
	default: usage_error("wrong option");
	}
}

static void parse_options(struct options *o, int argc, char **argv)
{
	char sizes[] = "1,5,10,20,40", quick_sizes[] = "1,10,40";
	int option;

	while ((option = getopt_long(argc, argv, "w:qs:c:d::h", long_options, NULL)) != -1)
		parse_option(o, option);
	if (!o->nr_sizes)
		parse_sizes(o, o->is_quick ? quick_sizes : sizes);
	if (optind < argc && o->wanted)
		usage_error("either --workload or a TRACE");
	o->report.is_device = o->device;
}

/* -------- running -------- */

static const struct cache_ops *ops_of(const struct options *o, enum which which)
{
	static const struct cache_ops *const ops[NR_CACHES] = {
		&core_cache, &fifo_cache, &lru_cache, &s3fifo_cache
	};

	return which == KCACHE && o->device ? &device_cache : ops[which];
}

/* False if a cache could not be had; it has said why. */
static bool run_row(const struct options *o, const struct trace *trace, struct row *row)
{
	struct cache_options options = {
		.bytes = row->bytes,
		.overhead = o->report.overhead,
		.threshold = o->report.threshold,
		.device = o->device,
	};
	int i;

	for (i = 0; i < NR_CACHES; i++) {
		row->is_run[i] = o->is_chosen[i];
		if (o->is_chosen[i] && !replay(trace, ops_of(o, i), &options,
					       trace->nr * o->report.warm_up / 100, &row->outcome[i]))
			return false;
	}
	return true;
}

static bool run_trace(struct options *o, const struct trace *trace)
{
	uint64_t working_set = trace->bytes +
			       (uint64_t)trace->nr_objects * (KEY_LEN + o->report.overhead);
	bool is_ok = true;
	int i;

	report_trace(&o->report, trace, working_set);
	for (i = 0; i < o->nr_sizes; i++) {
		struct row row = { .percent = o->size_percent[i], .bytes = o->size_bytes[i] };

		if (row.percent)
			row.bytes = working_set * row.percent / 100;
		if (row.bytes < CACHE_BYTES_MIN)
			report_skip(&o->report, &row, "is under the 1 MiB that kcache needs");
		else if (run_row(o, trace, &row))
			report_row(&o->report, &row);
		else
			is_ok = false;
	}
	report_trace_end(&o->report);
	return is_ok;
}

/* The device's time is real, so nothing may expire there, nor elsewhere. */
static void drop_ttl(struct trace *trace)
{
	size_t i;

	for (i = 0; i < trace->nr; i++)
		trace->request[i].ttl_ms = 0;
	fprintf(stderr, "replay: %s: its ttl is left out, on a device time is real\n", trace->name);
}

static bool run_workload(struct options *o, const struct workload *as_defined)
{
	struct workload workload = *as_defined;
	struct trace trace = { 0 };
	bool is_ok;

	if (o->is_quick) {
		workload.nr_requests /= QUICK_SCALE;
		workload.nr_objects /= QUICK_SIZE_SCALE;
		workload.size_min *= workload.is_skewed ? 1 : QUICK_SIZE_SCALE;
		workload.size_max *= workload.is_skewed ? 1 : QUICK_SIZE_SCALE;
	}
	if (o->nr_requests)
		workload.nr_requests = o->nr_requests;
	if (o->nr_objects)
		workload.nr_objects = o->nr_objects;
	workload_make(&trace, &workload, o->seed);
	if (o->device && trace.has_ttl)
		drop_ttl(&trace);
	is_ok = run_trace(o, &trace);
	trace_free(&trace);
	return is_ok;
}

static bool run_file(struct options *o, const char *path)
{
	struct trace trace = { 0 };
	struct trace_error error;
	bool is_ok = false;

	trace.name = path;
	if (trace_open(&trace, path, o->format, o->limit, &error)) {
		fprintf(stderr, "replay: %s: %s\n", path, error.text);
	} else {
		if (o->device && trace.has_ttl)
			drop_ttl(&trace);
		is_ok = run_trace(o, &trace);
	}
	trace_free(&trace);
	return is_ok;
}

static bool run_wanted(struct options *o)
{
	char *names = strdup(o->wanted), *rest = names, *name;
	bool is_ok = true;

	while ((name = strsep(&rest, ",")))
		is_ok &= run_workload(o, find_workload(name));
	free(names);
	return is_ok;
}

static bool run_all(struct options *o)
{
	const struct workload *workload;
	bool is_ok = true;

	for (workload = workloads; workload->name; workload++)
		is_ok &= run_workload(o, workload);
	return is_ok;
}

/* Before hours of work, not after them. */
static void check_wanted(const struct options *o)
{
	char *names = o->wanted ? strdup(o->wanted) : NULL, *rest = names, *name;

	while ((name = strsep(&rest, ",")))
		if (!find_workload(name))
			usage_error("no workload called '%s' (--list names them)", name);
	free(names);
}

int main(int argc, char **argv)
{
	struct options o = {
		.report = { .overhead = OVERHEAD, .threshold = 1, .warm_up = 20 },
		.is_chosen = { true, true, true, true },
		.seed = 1,
	};
	bool is_ok = true, is_missed;

	parse_options(&o, argc, argv);
	check_wanted(&o);
	report_begin(&o.report);
	if (optind == argc)
		is_ok = o.wanted ? run_wanted(&o) : run_all(&o);
	for (; optind < argc; optind++)
		is_ok &= run_file(&o, argv[optind]);
	is_missed = o.report.nr_violations;
	report_end(&o.report);
	return !is_ok || (o.is_strict && is_missed);
}
