// SPDX-License-Identifier: GPL-2.0
/*
 * model: what is tried, what must hold, and which mutants must not. KTAP.
 *
 *	model [-v] [NAME...]	tests whose names contain one; -v shows counterexamples
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol.h"

#define READS	2	/* that a reader does, one after the other */

struct todo {
	const struct step *step;
	u32 key;
};

/* Keys 2, 4, 6 are of bucket 0 at first; a split takes 2 and 6 to bucket 2. 1, 3, 5: bucket 1. */
static const struct scenario {
	const char *name;
	u32 nr_entries;
	struct todo before[STEPS_MAX];
	struct todo writer[NR_WRITERS][STEPS_MAX];
	u32 keys[4];		/* that the reader looks for, one in a run */
	bool is_used;		/* somebody counts a use between any two stores */
} scenarios[] = {
	{ "overwrite, and reuse of what was overwritten by another key", 2,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 } },
	  { { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SET_DRAFT, 2 }, { &SET_LINK, 2 } },
	    { { &SET_DRAFT, 4 }, { &SET_LINK, 4 } } },
	  { 2, 4 } },
	{ "overwrite, and reuse of what was overwritten by the same key", 2,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 } },
	  { { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SET_DRAFT, 2 }, { &SET_LINK, 2 },
	      { &SET_DRAFT, 2 }, { &SET_LINK, 2 } } },
	  { 2 } },
	{ "remove moves the last slot into the hole", 4,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SET_DRAFT, 4 }, { &SET_LINK, 4 },
	    { &SET_DRAFT, 6 }, { &SET_LINK, 6 } },
	  { { { &REMOVE, 2 }, { &SET_DRAFT, 2 }, { &SET_LINK, 2 } },
	    { { &REMOVE, 4 } } },
	  { 2, 4, 6 } },
	{ "split, merge and split while others write", 5,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SET_DRAFT, 4 }, { &SET_LINK, 4 },
	    { &SET_DRAFT, 6 }, { &SET_LINK, 6 } },
	  { { { &SPLIT }, { &MERGE }, { &SPLIT } },
	    { { &SET_DRAFT, 2 }, { &SET_LINK, 2 } } },
	  { 2, 4, 6 } },
	{ "merge, trim and split: a bucket's memory comes again", 2,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SPLIT } },
	  { { { &MERGE }, { &TRIM }, { &SPLIT } },
	    { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SET_DRAFT, 4 }, { &SET_LINK, 4 } } },
	  { 2, 4 } },
	{ "changes in place", 2,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 } },
	  { { { &TOUCH, 2 }, { &ADD, 2 } },
	    { { &ADD, 2 }, { &SET_DRAFT, 2 }, { &SET_LINK, 2 } } },
	  { 2 } },
	{ "an entry is moved while it is changed", 3,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 } },
	  { { { &MOVE_COPY, 2 }, { &MOVE_LINK, 2 } },
	    { { &ADD, 2 }, { &SET_DRAFT, 4 }, { &SET_LINK, 4 } } },
	  { 2, 4 } },
	{ "two buckets share recycled entries and overflow buckets", 4,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SET_DRAFT, 4 }, { &SET_LINK, 4 },
	    { &SET_DRAFT, 1 }, { &SET_LINK, 1 }, { &SET_DRAFT, 6 }, { &SET_LINK, 6 } },
	  { { { &REMOVE, 2 }, { &REMOVE, 6 } },
	    { { &SET_DRAFT, 3 }, { &SET_LINK, 3 }, { &SET_DRAFT, 5 }, { &SET_LINK, 5 } } },
	  { 6, 4, 1, 5 } },
	{ "a use is counted while a slot is emptied and filled", 2,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SET_DRAFT, 4 }, { &SET_LINK, 4 } },
	  { { { &REMOVE, 2 }, { &SET_DRAFT, 6 }, { &SET_LINK, 6 } } },
	  { 2, 4, 6 }, true },
	{ "a use is counted while a bucket is split", 2,
	  { { &SET_DRAFT, 2 }, { &SET_LINK, 2 }, { &SET_DRAFT, 4 }, { &SET_LINK, 4 } },
	  { { { &SPLIT } } },
	  { 2, 4 }, true },
};
#define NR_SCENARIOS	(sizeof(scenarios) / sizeof(scenarios[0]))

static const struct {
	enum mutant mutant;
	const char *name;
	bool is_harmless;
} mutants[] = {
	{ BEGIN_WITHOUT_WMB, "smp_wmb() in kc_bucket_write_begin()" },
	{ END_WITHOUT_RELEASE, "the release in kc_bucket_write_end()" },
	{ SEQ_WITHOUT_ACQUIRE, "the acquire of seq in kcache_chain_begin()" },
	{ VALID_WITHOUT_RMB, "smp_rmb() in kcache_found_is_valid()" },
	{ ODD_NOT_CHECKED, "turning back at an odd seq" },
	{ ZERO_NOT_CHECKED, "turning back at a seq of 0", true },
	{ VALID_NOT_CHECKED, "comparing seq again" },
	{ SIZE_NOT_CHECKED, "comparing the size again after a miss" },
	{ SIZE_CHECKED_AFTER_SEQ, "comparing the size before seq, not after it" },
	{ SPLIT_SIZE_EARLY, "storing the size after seq is odd, in a split" },
	{ SPLIT_SIZE_LATE, "storing the size before seq is even, in a split" },
	{ MERGE_SIZE_EARLY, "storing the size after seq is odd, in a merge" },
	{ MERGE_SIZE_LATE, "storing the size before seq is even, in a merge" },
	{ SPLIT_OLD_NOT_ODD, "making the old bucket odd in a split" },
	{ SPLIT_NEW_NOT_ODD, "making the new bucket odd in a split" },
	{ MERGE_LAST_NOT_ODD, "making the last bucket odd in a merge" },
	{ MERGE_LEAVES_SLOTS, "emptying the last bucket in a merge" },
	{ SEQ_STARTS_OVER, "a seq that goes on when a bucket's memory comes again" },
	{ REUSE_BEFORE_REPLACE, "reuse after the unlink only, by an overwrite" },
	{ REUSE_BEFORE_REMOVE, "reuse after the unlink only, by a removal" },
	{ OVERFLOW_REUSED_EARLY, "reuse of an overflow bucket after the unlink only" },
	{ KILL_WITHOUT_RELEASE, "the release in kc_log_kill_rcu()" },
	{ RESERVE_WITHOUT_MB, "the full barrier in kc_log_reserve_rcu()" },
	{ LINK_BEFORE_FILL, "filling the draft before it is linked" },
	{ REMOVE_NOT_ODD, "an odd seq while a slot is emptied" },
	{ TOUCH_NOT_ODD, "an odd seq while an entry is touched" },
	{ ADD_NOT_ODD, "an odd seq while a number is added" },
	{ MOVE_NOT_CHECKED, "comparing seq before an entry's copy is linked" },
	{ USE_NOT_ATOMIC, "compare-and-exchange where a use is counted" },
	{ SIZE_WITHOUT_ACQUIRE, "the acquire of the size in kcache_chain_begin()", true },
	{ SIZE_WITHOUT_RELEASE, "the release of the size in set_nr_buckets()", true },
};
#define NR_MUTANTS_TRIED	(sizeof(mutants) / sizeof(mutants[0]))

static const struct scenario *scenario;
static u64 nr_hits, nr_misses, nr_retries;
static bool is_seen[NR_KEYS][STATES_MAX];

static void name_location(u32 index, char *text)
{
	static const char *const of_entry[] = {
		"value_len", "key_len", "expiry", "version", "value",
	};
	const u32 *p = (u32 *)&shared + index;
	u32 i;

	if (p == &shared.table.nr_buckets) {
		strcpy(text, "nr_buckets");
	} else if (p == shared.table.size) {
		strcpy(text, "size");
	} else if (p >= shared.told) {
		sprintf(text, "told[%d]", (int)(p - shared.told));
	} else if (p >= (u32 *)shared.entry) {
		i = p - (u32 *)shared.entry;
		sprintf(text, "entry[%u]->%s", i / 5 + 1, of_entry[i % 5]);
	} else {
		i = p - &shared.home[0].seq;
		text += i / 4 < NR_HOMES ? sprintf(text, "home[%u]->", i / 4) :
			sprintf(text, "overflow[%u]->", i / 4 - NR_HOMES + 1);
		if (i % 4 < 2)
			strcpy(text, i % 4 ? "next" : "seq");
		else
			sprintf(text, "slot[%u]", i % 4 - 2);
	}
}

/* Both writers' steps in every order in which memory is there when it is asked for. */
static void run_writers(void)
{
	const struct todo *next[NR_WRITERS] = { scenario->writer[0], scenario->writer[1] };
	u32 ready[NR_WRITERS], nr, i;

	arena_init(scenario->nr_entries);
	for (const struct todo *todo = scenario->before; todo->step; todo++)
		run_step(0, todo->step, todo->key);
	arena_begin(scenario->is_used);
	for (;;) {
		for (i = nr = 0; i < NR_WRITERS; i++)
			if (next[i]->step &&
			    (!next[i]->step->is_ready || next[i]->step->is_ready(next[i]->key)))
				ready[nr++] = i;
		if (!nr)
			return;
		i = ready[weak_choose(nr)];
		run_step(i, next[i]->step, next[i]->key);
		next[i]++;
	}
}

static void check_hit(const struct kcache_entry *copy)
{
	const struct history *h = &history[reader.key];

	for (u32 i = 0; i < h->nr; i++) {
		if (!h->state[i].is_there || memcmp(copy, &h->state[i].entry, sizeof(*copy)))
			continue;
		if (i < reader.floor)
			weak_fail("key %u: an old value came back", reader.key);
		reader.floor = i;
		is_seen[reader.key][i] = true;
		return;
	}
	weak_fail("key %u: torn, or not its own", reader.key);
}

static void check_miss(void)
{
	const struct history *h = &history[reader.key];

	for (u32 i = reader.floor; i < h->nr; i++) {
		if (!h->state[i].is_there) {
			reader.floor = i;
			is_seen[reader.key][i] = true;
			return;
		}
	}
	weak_fail("key %u: there all the time, and not found", reader.key);
}

static void read_once(void)
{
	struct kcache_entry copy;
	u32 floor;

	/* What was told before it began, it knows. */
	for (int i = 0; i < NR_WRITERS; i++) {
		floor = told_state(i, smp_load_acquire(&shared.told[i]), reader.key);
		if (reader.floor < floor)
			reader.floor = floor;
	}
	switch (read_once_rcu(reader.key, &copy)) {
	case KCACHE_FOUND:
		nr_hits++;
		check_hit(&copy);
		break;
	case KCACHE_MISSED:
		nr_misses++;
		check_miss();
		break;
	default:
		nr_retries++;
	}
	weak_state((u32 *)&reader, sizeof(reader) / sizeof(u32));
}

static void run_reader(void)
{
	u32 nr = 0;

	while (nr < 4 && scenario->keys[nr])
		nr++;
	reader = (struct reader) { .key = scenario->keys[weak_choose(nr)] };
	weak_print("reader of key %u", reader.key);
	for (; reader.reads < READS; reader.reads++)
		read_once();
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Every state of every key that is looked for must have been read by somebody. */
static bool is_all_seen(void)
{
	bool is_all = true;

	for (const u32 *key = scenario->keys; key < scenario->keys + 4 && *key; key++)
		for (u32 i = 0; i < history[*key].nr; i++)
			if (!is_seen[*key][i]) {
				printf("# state %u of key %u was never read\n", i, *key);
				is_all = false;
			}
	return is_all;
}

static bool test_scenario(bool verbose)
{
	struct weak_result result;
	double start = seconds();

	weak_mutant = NO_MUTANT;
	nr_hits = nr_misses = nr_retries = 0;
	memset(is_seen, 0, sizeof(is_seen));
	weak_explore(run_writers, run_reader, &result);
	printf("# %lu schedules, %lu states, %lu runs; ", result.schedules, result.states,
	       result.runs);
	printf("reads: %lu hit, %lu missed, %lu to begin again; %.1f s\n", nr_hits, nr_misses,
	       nr_retries, seconds() - start);
	if (!result.failure[0])
		return is_all_seen();
	printf("# %s\n", result.failure);
	if (verbose)
		weak_show(run_writers, run_reader);
	return false;
}

/* Gives whether a scenario finds it. */
static bool is_found(enum mutant mutant, bool verbose)
{
	struct weak_result result;

	weak_mutant = mutant;
	for (u32 i = 0; i < NR_SCENARIOS; i++) {
		scenario = &scenarios[i];
		weak_explore(run_writers, run_reader, &result);
		if (!result.failure[0])
			continue;
		printf("# %s: %s\n", scenario->name, result.failure);
		if (verbose)
			weak_show(run_writers, run_reader);
		return true;
	}
	return false;
}

static bool is_chosen(const char *name, int argc, char **argv)
{
	int i, nr = 0;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-v"))
			continue;
		nr++;
		if (strstr(name, argv[i]))
			return true;
	}
	return !nr;
}

int main(int argc, char **argv)
{
	bool verbose = argc > 1 && !strcmp(argv[1], "-v"), is_ok;
	u32 i, nr = 0, nr_failed = 0;
	char name[160];

	setvbuf(stdout, NULL, _IOLBF, 0);
	weak_init((u32 *)&shared, sizeof(shared) / sizeof(u32), name_location);
	printf("TAP version 14\n");
	for (i = 0; i < NR_SCENARIOS; i++) {
		snprintf(name, sizeof(name), "verified: %s", scenarios[i].name);
		if (!is_chosen(name, argc, argv))
			continue;
		scenario = &scenarios[i];
		is_ok = test_scenario(verbose);
		nr_failed += !is_ok;
		printf("%sok %u - %s\n", is_ok ? "" : "not ", ++nr, name);
	}
	for (i = 0; i < NR_MUTANTS_TRIED; i++) {
		snprintf(name, sizeof(name), "%s without %s",
			 mutants[i].is_harmless ? "still verified" : "found", mutants[i].name);
		if (!is_chosen(name, argc, argv))
			continue;
		is_ok = is_found(mutants[i].mutant, verbose) != mutants[i].is_harmless;
		nr_failed += !is_ok;
		printf("%sok %u - %s\n", is_ok ? "" : "not ", ++nr, name);
	}
	printf("1..%u\n", nr);
	return nr_failed != 0;
}
