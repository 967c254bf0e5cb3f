// SPDX-License-Identifier: GPL-2.0
/*
 * workload: traces that are made up, each to show one behaviour.
 *
 * Ten requests take a millisecond of the simulated time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

#define REQUESTS_PER_MS	10

/* -------- chance -------- */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t random_below(uint64_t *state, uint64_t n)
{
	return (unsigned __int128)next_random(state) * n >> 64;
}

/* 0 <= x < 1 */
static double random_unit(uint64_t *state)
{
	return (next_random(state) >> 11) * 0x1p-53;
}

/* A number for each object, the same each time. */
static uint64_t hash_of(uint64_t seed, uint64_t id)
{
	uint64_t state = seed ^ id * 0xd6e8feb86659fd93ULL;

	return next_random(&state);
}

/*
 * A distribution over 0..n-1 by Walker's alias method: column i belongs to i up
 * to @part[i], and to @alias[i] above it.
 */
struct zipf {
	uint32_t n;
	uint32_t *alias;
	float *part;
};

static void fill_columns(struct zipf *zipf, double *height, uint32_t *stack)
{
	uint32_t i, nr_low = 0, first_high = zipf->n;

	/* Low ones from the front of the stack, high ones from its end. */
	for (i = 0; i < zipf->n; i++)
		stack[height[i] < 1 ? nr_low++ : --first_high] = i;
	while (nr_low && first_high < zipf->n) {
		uint32_t low = stack[--nr_low], high = stack[first_high];

		zipf->part[low] = height[low];
		zipf->alias[low] = high;
		height[high] -= 1 - height[low];
		if (height[high] < 1) {
			first_high++;
			stack[nr_low++] = high;
		}
	}
	while (nr_low)
		zipf->part[stack[--nr_low]] = 1;
	while (first_high < zipf->n)
		zipf->part[stack[first_high++]] = 1;
}

/* Object i is asked for in proportion to 1 / (i + 1) ^ @exponent. */
static struct zipf zipf_new(uint32_t n, double exponent)
{
	double *height = alloc_or_die(NULL, n, sizeof(*height)), sum = 0;
	uint32_t *stack = alloc_or_die(NULL, n, sizeof(*stack)), i;
	struct zipf zipf = {
		.n = n,
		.alias = alloc_or_die(NULL, n, sizeof(*zipf.alias)),
		.part = alloc_or_die(NULL, n, sizeof(*zipf.part)),
	};

	for (i = 0; i < n; i++)
		sum += height[i] = pow(i + 1, -exponent);
	for (i = 0; i < n; i++) {
		height[i] *= n / sum;
		zipf.alias[i] = i;
	}
	fill_columns(&zipf, height, stack);
	free(height);
	free(stack);
	return zipf;
}

static void zipf_free(struct zipf *zipf)
{
	free(zipf->alias);
	free(zipf->part);
}

static uint32_t zipf_next(const struct zipf *zipf, uint64_t *state)
{
	uint32_t i = random_below(state, zipf->n);

	return random_unit(state) < zipf->part[i] ? i : zipf->alias[i];
}

/* -------- what all have in common -------- */

/* Objects of a set of their own: a scan does not ask for what others ask for. */
#define SET_OF(n, id)	((uint64_t)(n) << 32 | (id))

struct maker {
	struct trace *trace;
	const struct workload *workload;
	uint64_t seed;
	uint64_t chance;
};

static struct maker maker_new(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	return (struct maker) { trace, workload, seed, hash_of(seed, 1) };
}

static uint32_t size_of(const struct maker *m, uint64_t id)
{
	double min = m->workload->size_min, max = m->workload->size_max;
	uint64_t state = hash_of(m->seed, id);
	double x = random_unit(&state);

	return m->workload->is_skewed ? min * pow(max / min, x) : min + x * (max - min + 1);
}

static bool is_done(const struct maker *m)
{
	return m->trace->nr >= m->workload->nr_requests;
}

static struct request request_on(const struct maker *m, uint64_t id)
{
	return (struct request) {
		.time_ms = m->trace->nr / REQUESTS_PER_MS,
		.size = size_of(m, id),
	};
}

static void get(struct maker *m, uint64_t id)
{
	if (!is_done(m))
		trace_add(m->trace, id, request_on(m, id));
}

static void get_with_ttl(struct maker *m, uint64_t id, uint32_t ttl_ms)
{
	struct request request = request_on(m, id);

	request.ttl_ms = ttl_ms;
	trace_add(m->trace, id, request);
}

static void set(struct maker *m, uint64_t id, uint32_t size)
{
	struct request request = request_on(m, id);

	request.op = REQUEST_SET;
	request.size = size;
	trace_add(m->trace, id, request);
}

/* -------- the workloads -------- */

static void make_zipf(struct trace *trace, const struct workload *workload, uint64_t seed,
		      double exponent)
{
	struct maker m = maker_new(trace, workload, seed);
	struct zipf zipf = zipf_new(workload->nr_objects, exponent);

	while (!is_done(&m))
		get(&m, zipf_next(&zipf, &m.chance));
	zipf_free(&zipf);
}

static void make_zipf_06(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	make_zipf(trace, workload, seed, 0.6);
}

static void make_zipf_08(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	make_zipf(trace, workload, seed, 0.8);
}

static void make_zipf_10(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	make_zipf(trace, workload, seed, 1.0);
}

static void make_zipf_12(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	make_zipf(trace, workload, seed, 1.2);
}

/* Every so often something reads as much as a tenth of the objects, never seen again. */
static void make_scans(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	struct maker m = maker_new(trace, workload, seed);
	struct zipf zipf = zipf_new(workload->nr_objects, 1.0);
	uint32_t len = workload->nr_objects / 10, i, scanned = 0;

	while (!is_done(&m)) {
		for (i = 0; i < 3 * len; i++)
			get(&m, zipf_next(&zipf, &m.chance));
		for (i = 0; i < len; i++)
			get(&m, SET_OF(1, scanned++));
	}
	zipf_free(&zipf);
}

/* A scan over the same half of as many objects, always under way. */
static void make_rescans(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	struct maker m = maker_new(trace, workload, seed);
	struct zipf zipf = zipf_new(workload->nr_objects, 0.8);
	uint32_t scanned = 0;

	while (!is_done(&m)) {
		if (random_below(&m.chance, 4))
			get(&m, zipf_next(&zipf, &m.chance));
		else
			get(&m, SET_OF(1, scanned++ % (workload->nr_objects / 2)));
	}
	zipf_free(&zipf);
}

/* Loops of all lengths, each run through a few times. */
static void make_loops(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	struct maker m = maker_new(trace, workload, seed);
	uint32_t n = workload->nr_objects, i;

	while (!is_done(&m)) {
		uint32_t len = n * pow(0.005, random_unit(&m.chance));
		uint32_t first = random_below(&m.chance, n), turns;

		for (turns = 2 + random_below(&m.chance, 4); turns; turns--)
			for (i = 0; i < len; i++)
				get(&m, (first + i) % n);
	}
}

/* One loop over a quarter of the objects for half of the requests, zipf for the rest. */
static void make_loop_zipf(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	struct maker m = maker_new(trace, workload, seed);
	struct zipf zipf = zipf_new(workload->nr_objects, 1.0);
	uint32_t at = 0;

	while (!is_done(&m)) {
		get(&m, zipf_next(&zipf, &m.chance));
		get(&m, SET_OF(1, at++ % (workload->nr_objects / 4)));
	}
	zipf_free(&zipf);
}

/* Nine of ten requests go to a fiftieth of the objects, which is another one each time. */
static void make_shifts(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	struct maker m = maker_new(trace, workload, seed);
	uint32_t n = workload->nr_objects, hot = n / 50, i;

	while (!is_done(&m)) {
		uint32_t first = random_below(&m.chance, n);

		for (i = 0; i < workload->nr_requests / 20; i++)
			get(&m, random_below(&m.chance, 10) ?
			    (first + random_below(&m.chance, hot)) % n : random_below(&m.chance, n));
	}
}

/* Zipf whose ranks move on: what is new is popular, as news are. */
static void make_drift(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	struct maker m = maker_new(trace, workload, seed);
	struct zipf zipf = zipf_new(workload->nr_objects / 2, 0.9);
	uint64_t newest = workload->nr_objects / 2, last = workload->nr_objects;

	while (!is_done(&m)) {
		uint64_t front = newest + (last - newest) * m.trace->nr / workload->nr_requests;

		get(&m, front - zipf_next(&zipf, &m.chance));
	}
	zipf_free(&zipf);
}

static void make_mixed(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	make_zipf(trace, workload, seed, 0.9);
}

/* @percent of the requests store a new value for an object that was there before. */
static void make_overwrites(struct trace *trace, const struct workload *workload, uint64_t seed,
			    uint32_t percent, bool is_resized)
{
	struct maker m = maker_new(trace, workload, seed);
	struct zipf zipf = zipf_new(workload->nr_objects, 0.9);

	while (!is_done(&m)) {
		uint64_t id = zipf_next(&zipf, &m.chance);

		if (random_below(&m.chance, 100) >= percent)
			get(&m, id);
		else
			set(&m, id, size_of(&m, is_resized ? next_random(&m.chance) : id));
	}
	zipf_free(&zipf);
}

static void make_overwrites_10(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	make_overwrites(trace, workload, seed, 10, false);
}

static void make_overwrites_50(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	make_overwrites(trace, workload, seed, 50, true);
}

/* A third of the objects live for seconds, a third for half a minute, the rest for ever. */
static void make_ttl(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	static const uint32_t ttl_ms[] = { 5000, 30000, 0 };
	struct maker m = maker_new(trace, workload, seed);
	struct zipf zipf = zipf_new(workload->nr_objects, 0.9);

	while (!is_done(&m)) {
		uint64_t id = zipf_next(&zipf, &m.chance);
		uint32_t ttl = ttl_ms[hash_of(seed, id) % 3];

		get_with_ttl(&m, id, ttl ? ttl / 2 + random_below(&m.chance, ttl) : 0);
	}
	zipf_free(&zipf);
}

const struct workload workloads[] = {
	{ "zipf-0.6", "nearly even", 250000, 2000000, 100, 900, false, make_zipf_06 },
	{ "zipf-0.8", "mildly skewed", 250000, 2000000, 100, 900, false, make_zipf_08 },
	{ "zipf-1.0", "skewed, as web caches are", 400000, 2000000, 100, 900, false, make_zipf_10 },
	{ "zipf-1.2", "very skewed", 1500000, 2500000, 100, 900, false, make_zipf_12 },
	{ "small", "zipf 1.0, values of 10 to 50 bytes", 2000000, 3000000, 10, 50, false,
	  make_zipf_10 },
	{ "mixed", "zipf 0.9, values of 50 bytes to 100 KB", 40000, 600000, 50, 100000, true,
	  make_mixed },
	{ "scans", "zipf 1.0, a quarter in scans of what is never seen again", 200000, 2000000,
	  100, 900, false, make_scans },
	{ "rescans", "zipf 0.8, a quarter in scans of the same", 200000, 2000000, 100, 900, false,
	  make_rescans },
	{ "loops", "loops of all lengths, two to five turns each", 250000, 2000000, 100, 900, false,
	  make_loops },
	{ "loop-zipf", "one loop and zipf 1.0, half and half", 250000, 2000000, 100, 900, false,
	  make_loop_zipf },
	{ "shifts", "a hot fiftieth that is another one twenty times", 250000, 2000000, 100, 900,
	  false, make_shifts },
	{ "drift", "zipf 0.9 in which new objects take the lead", 400000, 2000000, 100, 900, false,
	  make_drift },
	{ "overwrites-10", "zipf 0.9, a tenth of the requests are SETs", 300000, 2000000, 100, 900,
	  false, make_overwrites_10 },
	{ "overwrites-50", "zipf 0.9, half are SETs, of other lengths", 300000, 2000000, 100, 900,
	  false, make_overwrites_50 },
	{ "ttl", "zipf 0.9, two thirds of the objects live 2 to 45 seconds", 300000, 2000000, 100,
	  900, false, make_ttl },
	{ 0 }
};

void workload_make(struct trace *trace, const struct workload *workload, uint64_t seed)
{
	trace->name = workload->name;
	workload->make(trace, workload, seed);
}
