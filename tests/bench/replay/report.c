// SPDX-License-Identifier: GPL-2.0
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

const char *const cache_names[NR_CACHES] = { "kcache", "fifo", "lru", "s3-fifo" };

static const double aims[NR_CACHES] = { [LRU] = AIM_LRU, [S3FIFO] = AIM_S3FIFO };

/* -------- helpers -------- */

static void print_size(char text[32], const struct row *row)
{
	if (row->percent)
		snprintf(text, 32, "%g %%", row->percent);
	else
		snprintf(text, 32, "%.1f MiB", (double)row->bytes / MIB);
}

static void print_json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			printf("\\u%04x", *text);
		else
			printf("%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	}
	putchar('"');
}

/* Of kcache over another, in points; positive: kcache misses more. */
static double points_over(const struct row *row, enum which other)
{
	return miss_ratio(&row->outcome[KCACHE]) - miss_ratio(&row->outcome[other]);
}

static bool is_comparable(const struct row *row, enum which other)
{
	return row->is_run[KCACHE] && row->is_run[other];
}

static double copied_per_byte(const struct cache_account *account)
{
	return account->inserted ? (double)account->copied / account->inserted : 0;
}

static double dead_share(const struct cache_account *account)
{
	return account->allocated ? 100.0 * account->dead / account->allocated : 0;
}

static double overhead_per_entry(const struct cache_account *account)
{
	return account->entries ?
	       (double)(account->allocated - account->payload) / account->entries : 0;
}

/* -------- the aims -------- */

static void add_violation(struct report *report, const struct row *row, enum which than)
{
	struct violation *v;

	report->violation = alloc_or_die(report->violation, report->nr_violations + 1,
					 sizeof(*report->violation));
	v = &report->violation[report->nr_violations++];
	*v = (struct violation) {
		.than = than,
		.points = points_over(row, than),
		.aim = aims[than],
		.s3fifo_points = NAN,
	};
	if (than != S3FIFO && row->is_run[S3FIFO])
		v->s3fifo_points = miss_ratio(&row->outcome[S3FIFO]) -
				   miss_ratio(&row->outcome[than]);
	snprintf(v->trace, sizeof(v->trace), "%s", report->trace->name);
	print_size(v->size, row);
}

static void compare(struct report *report, const struct row *row, enum which other)
{
	struct gap *gap = &report->gap[other];
	double points;

	if (!is_comparable(row, other))
		return;
	points = points_over(row, other);
	if (!gap->nr++ || points > gap->most)
		gap->most = points;
	gap->sum += points;
	if (aims[other] && points > aims[other])
		add_violation(report, row, other);
}

/* -------- table -------- */

static void print_row(const struct row *row)
{
	const struct cache_account *account = &row->outcome[KCACHE].account;
	char size[32];
	int i;

	print_size(size, row);
	printf("%10s %8.1f", size, (double)row->bytes / MIB);
	for (i = 0; i < NR_CACHES; i++)
		if (row->is_run[i])
			printf(" %8.2f", miss_ratio(&row->outcome[i]));
		else
			printf(" %8s", "-");
	for (i = S3FIFO; i >= LRU; i--)
		if (is_comparable(row, i))
			printf(" %+8.2f%c", points_over(row, i),
			       points_over(row, i) > aims[i] ? '!' : ' ');
		else
			printf(" %8s ", "-");
	if (row->is_run[KCACHE])
		printf(" %7.2f %6.1f %7.1f", copied_per_byte(account), dead_share(account),
		       overhead_per_entry(account));
	putchar('\n');
	if (account->too_large || account->failed)
		printf("%10s refused by kcache: %llu too large, %llu for lack of room\n", "",
		       (unsigned long long)account->too_large, (unsigned long long)account->failed);
}

static void print_summary(const struct report *report)
{
	int i;

	printf("\nkcache against      mean   worst     aim  (points of miss ratio; + is worse)\n");
	for (i = S3FIFO; i >= FIFO; i--) {
		const struct gap *gap = &report->gap[i];
		char aim[16] = "-";

		if (!gap->nr)
			continue;
		if (aims[i])
			snprintf(aim, sizeof(aim), "%+.2f", aims[i]);
		printf("%-14s %+9.2f %+7.2f %7s\n", cache_names[i], gap->sum / gap->nr, gap->most, aim);
	}
	printf("%d comparison%s at %d sizes, %d violation%s of the aims\n", report->gap[LRU].nr +
	       report->gap[S3FIFO].nr, report->gap[LRU].nr + report->gap[S3FIFO].nr == 1 ? "" : "s",
	       report->nr_rows, report->nr_violations, report->nr_violations == 1 ? "" : "s");
	for (i = 0; i < report->nr_violations; i++) {
		const struct violation *v = &report->violation[i];

		printf("violation: %s at %s: %+.2f points over %s, the aim is %+.1f", v->trace,
		       v->size, v->points, cache_names[v->than], v->aim);
		if (!isnan(v->s3fifo_points))
			printf("; s3-fifo itself: %+.2f", v->s3fifo_points);
		putchar('\n');
	}
}

/* -------- JSON -------- */

static void print_json_outcome(enum which which, const struct outcome *outcome)
{
	const struct cache_account *account = &outcome->account;

	print_json_text(cache_names[which]);
	printf(":{\"gets\":%llu,\"misses\":%llu,\"miss_percent\":%.4f,\"entries\":%llu,",
	       (unsigned long long)outcome->gets, (unsigned long long)outcome->misses,
	       miss_ratio(outcome), (unsigned long long)account->entries);
	printf("\"bytes_allocated\":%llu,\"bytes_live\":%llu,\"bytes_dead\":%llu,\"bytes_free\":%llu,\"bytes_table\":%llu,",
	       (unsigned long long)account->allocated, (unsigned long long)account->live,
	       (unsigned long long)account->dead, (unsigned long long)account->unused,
	       (unsigned long long)account->table);
	printf("\"bytes_tails\":%llu,\"bytes_small\":%llu,\"bytes_main\":%llu,\"promotions\":%llu,\"ghost_hits\":%llu,",
	       (unsigned long long)account->tails, (unsigned long long)account->small,
	       (unsigned long long)account->main, (unsigned long long)account->promotions,
	       (unsigned long long)account->ghost_hits);
	printf("\"bytes_inserted\":%llu,\"bytes_copied\":%llu,\"too_large\":%llu,\"failed\":%llu}",
	       (unsigned long long)account->inserted, (unsigned long long)account->copied,
	       (unsigned long long)account->too_large, (unsigned long long)account->failed);
}

static void print_json_row(const struct report *report, const struct row *row)
{
	bool is_first = true;
	int i;

	printf("%s\n    {\"percent\":%g,\"bytes\":%llu,\"caches\":{", report->nr_rows ? "," : "",
	       row->percent, (unsigned long long)row->bytes);
	for (i = 0; i < NR_CACHES; i++) {
		if (!row->is_run[i])
			continue;
		printf("%s", is_first ? "" : ",");
		print_json_outcome(i, &row->outcome[i]);
		is_first = false;
	}
	printf("}}");
}

static void print_json_violations(const struct report *report)
{
	int i;

	printf("],\n \"violations\":[");
	for (i = 0; i < report->nr_violations; i++) {
		const struct violation *v = &report->violation[i];

		printf("%s\n  {\"workload\":", i ? "," : "");
		print_json_text(v->trace);
		printf(",\"size\":\"%s\",\"than\":\"%s\",\"points\":%.4f,\"aim\":%.1f}", v->size,
		       cache_names[v->than], v->points, v->aim);
	}
	printf("]}\n");
}

/* -------- both -------- */

void report_begin(struct report *report)
{
	if (report->is_json) {
		printf("{\"key_bytes\":%d,\"overhead_bytes\":%u,\"threshold\":%u,", KEY_LEN,
		       report->overhead, report->threshold);
		printf("\"warm_up_percent\":%g,\"is_device\":%s,\n \"workloads\":[", report->warm_up,
		       report->is_device ? "true" : "false");
		return;
	}
	printf("Misses in %% of the GETs after the first %g %% of the requests. A miss is followed by a SET.\n"
	       "All caches have the same memory. fifo, lru and s3-fifo are policies on paper: an entry costs\n"
	       "them its key of %d bytes, its value, and %u bytes; their lists and ghosts cost nothing. kcache\n"
	       "is %s and pays for all it uses: headers, table, dead and unused space.\n"
	       "size: of the working set, counted as the policies pay. copied: bytes that eviction copied per\n"
	       "byte stored. dead: %% of the memory. beyond: bytes of all the memory per entry\n"
	       "beyond key and value, for the policies %u.\n"
	       "!: an aim is missed: +%.1f points over s3-fifo (threshold %u), +%.1f over lru.\n",
	       report->warm_up, KEY_LEN, report->overhead,
	       report->is_device ? "a device of this kernel" : "the core of the module",
	       report->overhead, AIM_S3FIFO, report->threshold, AIM_LRU);
}

void report_trace(struct report *report, const struct trace *trace, uint64_t working_set)
{
	report->trace = trace;
	if (report->is_json) {
		printf("%s\n  {\"name\":", report->nr_traces ? "," : "");
		print_json_text(trace->name);
		printf(",\"requests\":%zu,\"objects\":%u,\"working_set_bytes\":%llu,\"rows\":[",
		       trace->nr, trace->nr_objects, (unsigned long long)working_set);
		report->nr_rows = 0;
	} else {
		printf("\n%s: %zu requests, %u objects, working set %.1f MiB\n", trace->name,
		       trace->nr, trace->nr_objects, (double)working_set / MIB);
		printf("%10s %8s %8s %8s %8s %8s %9s %9s %7s %6s %7s\n", "size", "MiB",
		       cache_names[KCACHE], cache_names[FIFO], cache_names[LRU],
		       cache_names[S3FIFO], "vs s3f ", "vs lru ", "copied", "dead", "beyond");
	}
	report->nr_traces++;
	fflush(stdout);
}

void report_row(struct report *report, const struct row *row)
{
	int i;

	for (i = FIFO; i < NR_CACHES; i++)
		compare(report, row, i);
	if (report->is_json)
		print_json_row(report, row);
	else
		print_row(row);
	report->nr_rows++;
	fflush(stdout);
}

void report_skip(struct report *report, const struct row *row, const char *why)
{
	char size[32];

	print_size(size, row);
	if (report->is_json)
		fprintf(stderr, "replay: %s at %s is left out: %s\n", report->trace->name, size, why);
	else
		printf("%10s %8.1f %s\n", size, (double)row->bytes / MIB, why);
}

void report_trace_end(struct report *report)
{
	if (report->is_json)
		printf("]}");
}

void report_end(struct report *report)
{
	if (report->is_json)
		print_json_violations(report);
	else
		print_summary(report);
	free(report->violation);
}
