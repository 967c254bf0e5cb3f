/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hints: what mapped readers say of their use.
 *
 * Owns the page that an open file shares with its readers, and what was taken
 * note of in it. The page is written by readers at any time, so each word of it
 * is read once, and what it says can only make keys look used, and add to hits
 * and misses.
 */
#ifndef KC_HINTS_H
#define KC_HINTS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "stats.h"
#include "table.h"

/* Of a cache. */
struct kc_hint_pages {
	struct mutex mutex;		/* takes note of one page at a time */
	struct list_head pages;		/* of open files; mutex */
	struct kc_table *table;		/* constant */
	struct kc_stats __percpu *stats; /* constant */
};

/* Of an open file. */
struct kc_hint_page {
	struct list_head link;		/* in pages */
	struct kcache_hints *shared;	/* NULL: nobody has asked for it */
	struct {			/* what was taken note of; mutex */
		u64 hits;
		u64 misses;
		u32 nr;
	} seen[KCACHE_HINT_LANES];
};

void kc_hints_init(struct kc_hint_pages *pages, struct kc_table *table,
		   struct kc_stats __percpu *stats);

int kc_hints_open(struct kc_hint_pages *pages, struct kc_hint_page *page);
void kc_hints_close(struct kc_hint_pages *pages, struct kc_hint_page *page);

void kc_hints_take(struct kc_hint_pages *pages, struct kc_hint_page *page);
void kc_hints_take_some(struct kc_hint_pages *pages, u32 nr);
void kc_hints_take_all(struct kc_hint_pages *pages);

#endif /* KC_HINTS_H */
