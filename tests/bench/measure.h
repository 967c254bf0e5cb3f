/* SPDX-License-Identifier: GPL-2.0 */
/*
 * measure: what operations cost, in ticks of the time stamp counter.
 *
 * A case is one peer, one length of values and one number of clients, in a fresh
 * process. Each client runs the same list of operations, in step with the others:
 * rounds of many calls, of which the median counts, the loop around them subtracted;
 * then calls that are timed one by one, for the percentiles. Keys are made outside
 * of what is timed. Each result is checked.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdatomic.h>

#include "bench.h"

#define ROUNDS_MAX	64
#define CLIENTS_MAX	4
#define KEYS_MAX	32768	/* of one round */
#define SAMPLES_MAX	16384
#define SAMPLES_MIN	1000	/* what the last percentile takes */
#define BATCHES_MIN	200	/* the same, of calls that carry many keys */
#define FRESH_MAX	16384	/* entries that an operation may add */

enum kind {
	CALL, GET_FIRST, GET_HIT, GET_MISS, SET_OVERWRITE, SET_NEW, POP, SCAN, SET_EVICT,
	BESIDE_WRITER
};

/* As in the lines that are printed. */
extern const char *const op_names[];

/* What the clients of a case share. */
struct shared {
	atomic_uint nr_waiting, turn;
	atomic_bool is_over;		/* the writer may stop */
	unsigned int nr_calls;		/* in a round */
	unsigned int nr_samples;
	struct {
		uint64_t begin, end;
	} rounds[CLIENTS_MAX][ROUNDS_MAX];
	double samples[CLIENTS_MAX * SAMPLES_MAX];
};

struct bench_case {
	const struct peer *peer;
	size_t value_len;
	unsigned int nr_clients;
	bool is_evicting;
	struct shared *shared;
};

struct client {
	const struct bench_case *bench_case;
	unsigned int id;
	const struct peer *peer;
	void *handle;
	uint64_t nr_fresh;		/* keys that were used up */
	uint64_t random;
	size_t value_len;
	char value[VALUE_MAX];
	char keys[KEYS_MAX * KEY_LEN];
	char out[BATCH_MAX * VALUE_MAX];
};

/* calls.c */
extern const struct peer none;		/* does nothing: the cost of the loop */
bool can(const struct peer *peer, enum kind kind, unsigned int batch);
/* Makes @nr keys, and what there must be before they are used. */
void prepare(struct client *c, enum kind kind, unsigned int nr);
/* @nr calls with the keys that were prepared, from the @first on. */
void run_calls(struct client *c, const struct peer *peer, void *handle, enum kind kind,
	       unsigned int batch, unsigned int first, unsigned int nr);
/* Stores entries @first..@first+@nr. */
void fill(struct client *c, uint64_t first, uint64_t nr);
/* Are the values there that fill(c, 0, ...) stored? */
void check_values(struct client *c);
_Noreturn void wrong(const struct client *c, enum kind kind, long result);

/* timing.c */
bool is_op_wanted(enum kind kind);
void barrier(const struct client *c);
void run_operations(struct client *c);

#endif /* BENCH_MEASURE_H */
