/* SPDX-License-Identifier: GPL-2.0 */
/*
 * report: what came out, as a table or as JSON, and whether the aims are met.
 */
#ifndef REPORT_H
#define REPORT_H

#include "replay.h"

enum which { KCACHE, FIFO, LRU, S3FIFO, NR_CACHES };

extern const char *const cache_names[NR_CACHES];

/* How far kcache's miss ratio may be above another's, in points. */
#define AIM_S3FIFO	1.0
#define AIM_LRU		0.5

/**
 * struct row - one trace at one size
 * @percent: of the working set, 0: the size was given in bytes
 * @bytes: of each cache
 * @is_run: was this cache asked?
 * @outcome: of each cache
 */
struct row {
	double percent;
	uint64_t bytes;
	bool is_run[NR_CACHES];
	struct outcome outcome[NR_CACHES];
};

/**
 * struct report - of a whole run
 * @is_json: JSON, else a table
 * @overhead: that the policies pay for an entry
 * @threshold: of S3-FIFO
 * @warm_up: percent of the requests that do not count
 */
struct report {
	bool is_json;
	bool is_device;
	uint32_t overhead;
	uint32_t threshold;
	double warm_up;
	/* the rest is the report's own */
	const struct trace *trace;
	int nr_traces, nr_rows;
	struct violation {
		char trace[64], size[32];
		enum which than;
		double points, aim;
		double s3fifo_points;	/* S3-FIFO over @than, or NAN */
	} *violation;
	int nr_violations;
	struct gap {
		int nr;
		double sum, most;
	} gap[NR_CACHES];
};

/* In this order: begin, for each trace (trace, row..., end), end. */
void report_begin(struct report *report);
void report_trace(struct report *report, const struct trace *trace, uint64_t working_set);
void report_row(struct report *report, const struct row *row);
void report_skip(struct report *report, const struct row *row, const char *why);
void report_trace_end(struct report *report);
void report_end(struct report *report);

#endif /* REPORT_H */
