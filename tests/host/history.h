/* SPDX-License-Identifier: GPL-2.0 */
/*
 * history: operations of one thread on a cache of its own, each compared with the
 * model; in between the clock moves, and the cache is flushed, resized, scanned, shrunk
 * and passed for expiry. What comes next is up to choose().
 *
 *	history_begin(&(struct history_of){ .max_bytes = MiB, ... });
 *	while (... && history_step())
 *		;
 *	history_end();
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "model.h"

#define HISTORY_KEYS	600

/**
 * struct history_of - what a history is about
 * @max_bytes: of the cache, at first
 * @most_bytes: resizes stay below, from @max_bytes on
 * @longest: value that is stored
 * @nr_keys: up to HISTORY_KEYS
 * @is_lossy: entries may leave by themselves: the cache is too small for all, or is shrunk
 * @is_not_alone: memory of open files is in use, too, which no account tells
 */
struct history_of {
	u64 max_bytes;
	u64 most_bytes;
	u32 longest;
	u32 nr_keys;
	bool is_lossy;
	bool is_not_alone;
};

void history_begin(const struct history_of *of);
/* An operation, and perhaps something else. False: a line on stdout tells what is wrong. */
bool history_step(void);
/* Is the cache, met entry by entry, what the model says? As history_step(). */
bool history_scan(void);
void history_end(void);

/* Entries that have left by themselves. */
u64 history_nr_left(void);
/* Key number @i. */
const char *history_key(u32 i);

#endif /* HISTORY_H */
