/* SPDX-License-Identifier: GPL-2.0 */
/*
 * protocol: the table, the log and the operations, as far as readers can tell.
 *
 * Functions have the names of those in kmod/ that they stand for, and store and
 * load the same in the same order; tests/model/run compares them.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "weak.h"

#define KCACHE_BUCKET_SLOTS	2
#define NR_STRIPES		2	/* and buckets at first */
#define NR_HOMES		3
#define NR_OVERFLOW		3
#define NR_ENTRIES		5
#define NR_KEYS			8	/* a key is its own hash; 0 is none */
#define STATES_MAX		8
#define STEPS_MAX		12

struct kcache_bucket {
	u32 seq;
	u32 next;	/* overflow bucket, counted from 1; 0: none */
	u32 slot[KCACHE_BUCKET_SLOTS];	/* entry, counted from 1, and frequency; 0: none */
};

/* Each is one store, which does not tear. @key_len is the key, too. */
struct kcache_entry {
	u32 value_len;
	u32 key_len;
	u32 expiry;
	u32 version;
	u32 value;
};

/* All that a reader can load. */
extern struct shared {
	struct {
		u32 nr_buckets;	/* for writers */
		u32 size[1];
	} table;
	struct kcache_bucket home[NR_HOMES];
	struct kcache_bucket overflow[NR_OVERFLOW];
	struct kcache_entry entry[NR_ENTRIES];
	u32 told[NR_WRITERS];	/* steps that a writer has told the world of */
} shared;

/* What was stored under a key, one after the other. The first is absence. */
struct state {
	bool is_there;
	struct kcache_entry entry;
};

struct history {
	u32 nr;
	struct state state[STATES_MAX];
};

extern struct history history[NR_KEYS];

/* What a writer does without being interrupted by one who could tell. */
struct step {
	const char *name;
	bool (*is_ready)(u32 key);	/* NULL: always */
	void (*run)(u32 key);
};

extern const struct step SET_DRAFT, SET_LINK, REMOVE, TOUCH, ADD, MOVE_COPY, MOVE_LINK, SPLIT,
	MERGE, TRIM;

/* An arena with @nr_entries free places for entries. */
void arena_init(u32 nr_entries);
/* Forgets how it came to what it is: from here on it counts. @is_used: somebody uses entries. */
void arena_begin(bool is_used);
/* Runs a step on writer @cpu. */
void run_step(int cpu, const struct step *step, u32 key);
/* A key's newest state of which @cpu has told after @step of its steps. */
u32 told_state(int cpu, u32 step, u32 key);

/* What the reader knows between two reads. */
extern struct reader {
	u32 key;
	u32 reads;	/* so far */
	u32 floor;	/* state of @key that it must not go back behind */
} reader;

enum kcache_find_result {
	KCACHE_FOUND,
	KCACHE_MISSED,
	KCACHE_CHANGED,		/* begin again */
};

enum kcache_find_result read_once_rcu(u32 key, struct kcache_entry *copy);

enum mutant {
	NO_MUTANT,
	/* fences */
	BEGIN_WITHOUT_WMB, END_WITHOUT_RELEASE, SEQ_WITHOUT_ACQUIRE, VALID_WITHOUT_RMB,
	/* what a reader checks */
	ODD_NOT_CHECKED, ZERO_NOT_CHECKED, VALID_NOT_CHECKED, SIZE_NOT_CHECKED,
	SIZE_CHECKED_AFTER_SEQ,
	/* the size of the table */
	SPLIT_SIZE_EARLY, SPLIT_SIZE_LATE, MERGE_SIZE_EARLY, MERGE_SIZE_LATE, SPLIT_NEW_NOT_ODD,
	SPLIT_OLD_NOT_ODD, MERGE_LAST_NOT_ODD, MERGE_LEAVES_SLOTS, SEQ_STARTS_OVER,
	/* memory */
	REUSE_BEFORE_REPLACE, REUSE_BEFORE_REMOVE, OVERFLOW_REUSED_EARLY, KILL_WITHOUT_RELEASE,
	RESERVE_WITHOUT_MB, LINK_BEFORE_FILL,
	/* changes */
	REMOVE_NOT_ODD, TOUCH_NOT_ODD, ADD_NOT_ODD, MOVE_NOT_CHECKED, USE_NOT_ATOMIC,
	/* not needed */
	SIZE_WITHOUT_ACQUIRE, SIZE_WITHOUT_RELEASE,
	NR_MUTANTS
};

#endif /* PROTOCOL_H */
