// SPDX-License-Identifier: GPL-2.0
/* How it is measured: rounds, calls one by one, and the lines of the results. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "measure.h"

void barrier(const struct client *c)
{
	struct shared *shared = c->bench_case->shared;
	unsigned int turn = shared->turn;

	if (c->bench_case->nr_clients == 1)
		return;
	if (++shared->nr_waiting == c->bench_case->nr_clients) {
		shared->nr_waiting = 0;
		shared->turn++;
	}
	for (unsigned int tries = 0; shared->turn == turn; tries++) {
		_mm_pause();
		if (tries > 1000)
			sched_yield();
	}
}

/* -------- timing -------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double percentile(const double *sorted, size_t nr, double share)
{
	return sorted[(size_t)(share * (nr - 1) + 0.5)];
}

static uint64_t now(void)
{
	_mm_lfence();
	return __rdtsc();
}

/* Ticks that the loop around one call takes. */
static double loop_cost(struct client *c, enum kind kind, unsigned int batch)
{
	double rounds[15];
	unsigned int nr = KEYS_MAX / batch;

	for (int i = 0; i < 15; i++) {
		uint64_t begin = now();

		run_calls(c, &none, c, kind, batch, 0, nr);
		rounds[i] = (double)(now() - begin) / nr;
	}
	qsort(rounds, 15, sizeof(rounds[0]), compare);
	return rounds[7];
}

static double single_cost(struct client *c, enum kind kind, unsigned int batch)
{
	double samples[255];

	for (int i = 0; i < 255; i++) {
		uint64_t begin = now();

		run_calls(c, &none, c, kind, batch, 0, 1);
		samples[i] = now() - begin;
	}
	qsort(samples, 255, sizeof(samples[0]), compare);
	return samples[127];
}

static unsigned int clamp(double n, unsigned int low, unsigned int high)
{
	return n < low ? low : n > high ? high : n;
}

/* How many calls make a round, and how many are timed alone. */
static void plan(struct client *c, enum kind kind, unsigned int batch)
{
	struct shared *shared = c->bench_case->shared;
	unsigned int most = KEYS_MAX / batch, nr = 8;
	unsigned int nr_clients = c->bench_case->nr_clients;
	uint64_t round_ticks = options.round_ticks * (nr_clients > 1 ? 4 : 1);
	uint64_t sample_ticks = options.sample_ticks;
	double cost = 0;

	/* Eviction may come in large pieces, and a round is to have some of them. */
	if (kind == SET_EVICT) {
		round_ticks *= 16;
		sample_ticks *= 8;
	}

	for (int tries = 0; tries < 4; tries++) {
		uint64_t begin;
		double ticks;

		prepare(c, kind, nr * batch);
		begin = now();
		run_calls(c, c->peer, c->handle, kind, batch, 0, nr);
		ticks = (double)(now() - begin) / nr;
		cost = tries && cost < ticks ? cost : ticks;
	}
	shared->nr_samples = clamp(sample_ticks / cost,
				   batch == 1 ? SAMPLES_MIN : BATCHES_MIN, SAMPLES_MAX);
	if (kind == SET_NEW) {
		most = clamp(FRESH_MAX / 2 / options.rounds / batch / nr_clients, 4, most);
		shared->nr_samples = clamp(FRESH_MAX / 2 / batch / nr_clients, 1,
					   shared->nr_samples);
	}
	shared->nr_calls = clamp(round_ticks / cost, 4, most);
}

static void time_rounds(struct client *c, enum kind kind, unsigned int batch)
{
	struct shared *shared = c->bench_case->shared;

	for (unsigned int i = 0; i < options.rounds; i++) {
		prepare(c, kind, shared->nr_calls * batch);
		if (kind != BESIDE_WRITER)
			barrier(c);
		shared->rounds[c->id][i].begin = now();
		run_calls(c, c->peer, c->handle, kind, batch, 0, shared->nr_calls);
		shared->rounds[c->id][i].end = now();
		if (kind != BESIDE_WRITER)
			barrier(c);
	}
}

static void time_samples(struct client *c, enum kind kind, unsigned int batch)
{
	struct shared *shared = c->bench_case->shared;
	double *samples = shared->samples + c->id * shared->nr_samples;
	double single = single_cost(c, kind, batch);
	unsigned int most = KEYS_MAX / batch;

	for (unsigned int done = 0; done < shared->nr_samples; done += most) {
		unsigned int nr = clamp(shared->nr_samples - done, 1, most);

		prepare(c, kind, nr * batch);
		for (unsigned int i = 0; i < nr; i++) {
			uint64_t begin = now();

			run_calls(c, c->peer, c->handle, kind, batch, i, 1);
			samples[done + i] = now() - begin - single;
		}
	}
}

/* -------- results -------- */

bool is_op_wanted(enum kind kind)
{
	const char *name = op_names[kind];
	size_t len = strlen(name);

	for (const char *p = options.ops; p; p = strchr(p, ','), p = p ? p + 1 : p)
		if (!strncmp(p, name, len) && (p[len] == ',' || !p[len]))
			return true;
	return !options.ops;
}

static void print_percentiles(double *samples, unsigned int nr)
{
	if (!nr)
		return;
	qsort(samples, nr, sizeof(samples[0]), compare);
	printf(", \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f", percentile(samples, nr, 0.5),
	       percentile(samples, nr, 0.99), samples[nr - 1]);
	if (nr >= SAMPLES_MIN)
		printf(", \"p999\": %.1f", percentile(samples, nr, 0.999));
}

/*
 * The time that a client takes for one key, or what several take on average that
 * began together: the number of clients by the sum of their rates.
 */
static void print_cost(const struct bench_case *k, enum kind kind, unsigned int nr_clients,
		       unsigned int batch, double loop)
{
	struct shared *shared = k->shared;
	double rounds[ROUNDS_MAX];

	for (unsigned int i = 0; i < options.rounds; i++) {
		double rate = 0;

		for (unsigned int id = 0; id < nr_clients; id++) {
			uint64_t ticks = shared->rounds[id][i].end - shared->rounds[id][i].begin;

			rate += batch / ((double)ticks / shared->nr_calls - loop);
		}
		rounds[i] = nr_clients / rate;
	}
	qsort(rounds, options.rounds, sizeof(rounds[0]), compare);
	printf("{\"suite\": \"%s\", \"peer\": \"%s\", \"op\": \"%s\", \"len\": %zu, "
	       "\"clients\": %u, \"batch\": %u, \"keys\": %llu, "
	       "\"ticks\": %.1f, \"low\": %.1f, \"high\": %.1f",
	       options.suite, k->peer->name, op_names[kind], k->value_len, nr_clients, batch,
	       (unsigned long long)options.nr_keys, percentile(rounds, options.rounds, 0.5),
	       percentile(rounds, options.rounds, 0.1), percentile(rounds, options.rounds, 0.9));
	print_percentiles(shared->samples, nr_clients * shared->nr_samples);
	puts("}");
	fflush(stdout);
}

static void measure(struct client *c, enum kind kind, unsigned int batch)
{
	double loop = loop_cost(c, kind, batch);

	if (!c->id)
		plan(c, kind, batch);
	barrier(c);
	time_rounds(c, kind, batch);
	barrier(c);
	time_samples(c, kind, batch);
	barrier(c);
	if (!c->id)
		print_cost(c->bench_case, kind, c->bench_case->nr_clients, batch, loop);
	barrier(c);
}

/* The first client reads as fast as it can, and so does the second one write. */
static void measure_beside_writer(struct client *c)
{
	struct shared *shared = c->bench_case->shared;
	double loop = loop_cost(c, GET_HIT, 1);

	shared->is_over = false;
	barrier(c);
	if (c->id) {
		while (!shared->is_over) {
			prepare(c, SET_OVERWRITE, 256);
			run_calls(c, c->peer, c->handle, SET_OVERWRITE, 1, 0, 256);
		}
	} else {
		plan(c, GET_HIT, 1);
		time_rounds(c, BESIDE_WRITER, 1);
		time_samples(c, BESIDE_WRITER, 1);
		shared->is_over = true;
		print_cost(c->bench_case, BESIDE_WRITER, 1, 1, loop);
	}
	barrier(c);
}

/* Ticks for one entry of the list. */
static void measure_scan(struct client *c)
{
	struct shared *shared = c->bench_case->shared;
	uint64_t nr_per_round = options.nr_keys < 2048 ? options.nr_keys : 2048;

	if (c->bench_case->nr_clients > 1)
		return;
	for (unsigned int i = 0; i < options.rounds; i++) {
		uint64_t begin, ticks = 0, nr = 0;
		long n;

		while (nr < nr_per_round) {
			begin = now();
			n = c->peer->scan(c->handle);
			ticks += n > 0 ? now() - begin : 0;
			if (n < 0)
				wrong(c, SCAN, n);
			nr += n;
		}
		shared->rounds[0][i].begin = 0;
		shared->rounds[0][i].end = ticks * 1000 / nr;
	}
	shared->nr_calls = 1000;
	shared->nr_samples = 0;
	print_cost(c->bench_case, SCAN, 1, 1, 0);
}

/*
 * All keys once, as a new client reads them: the median over parts of the pass.
 * It also warms up what is measured next.
 */
static void measure_first(struct client *c)
{
	struct shared *shared = c->bench_case->shared;
	double loop = loop_cost(c, GET_HIT, 1);
	unsigned int nr = options.nr_keys / options.rounds;
	uint64_t n = 0;

	nr = nr < KEYS_MAX ? nr : KEYS_MAX;
	for (unsigned int i = 0; i < options.rounds; i++) {
		for (unsigned int k = 0; k < nr; k++)
			make_key(c->keys + k * KEY_LEN, n++);
		shared->rounds[c->id][i].begin = now();
		run_calls(c, c->peer, c->handle, GET_FIRST, 1, 0, nr);
		shared->rounds[c->id][i].end = now();
	}
	shared->nr_calls = nr;
	shared->nr_samples = 0;
	if (c->bench_case->nr_clients == 1 && is_op_wanted(GET_FIRST))
		print_cost(c->bench_case, GET_FIRST, 1, 1, loop);
	for (; n < options.nr_keys * (c->peer->learns ? 4 : 1); n++) {
		make_key(c->keys, n % options.nr_keys);
		run_calls(c, c->peer, c->handle, GET_FIRST, 1, 0, 1);
	}
	barrier(c);
}

void run_operations(struct client *c)
{
	static const unsigned int batches[] = { 1, 16, 64 };
	static const enum kind costs[] = { CALL, GET_HIT, GET_MISS, SET_OVERWRITE, SCAN, POP, SET_NEW };
	static const enum kind eviction[] = { SET_EVICT };
	bool is_evicting = c->bench_case->is_evicting;
	const enum kind *kinds = is_evicting ? eviction : costs;

	if (!is_evicting && c->peer->get)
		measure_first(c);
	for (int i = 0; i < (is_evicting ? 1 : 7); i++)
		for (int b = 0; b < 3; b++) {
			if (!is_op_wanted(kinds[i]) || !can(c->peer, kinds[i], batches[b]))
				continue;
			if (kinds[i] == SCAN)
				measure_scan(c);
			else
				measure(c, kinds[i], batches[b]);
		}
	if (!is_evicting && c->bench_case->nr_clients == 2 && can(c->peer, BESIDE_WRITER, 1) &&
	    is_op_wanted(BESIDE_WRITER))
		measure_beside_writer(c);
}
