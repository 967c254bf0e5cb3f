/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stats: what happened, counted per CPU, so that counting shares no cache line.
 * Any room may count; this room calls nobody.
 */
#ifndef KC_STATS_H
#define KC_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

/*
 * Each is a file in stats/ (docs/ABI/sysfs-kcache). Only operations that succeeded
 * count, but for misses and no_space.
 */
enum kc_counter {
	KC_STAT_hits,		/* GET that found its key */
	KC_STAT_misses,		/* GET that did not */
	KC_STAT_sets,
	KC_STAT_removes,
	KC_STAT_pops,
	KC_STAT_touches,	/* TOUCH, and GET with TOUCH */
	KC_STAT_adds,
	KC_STAT_appends,	/* APPEND and PREPEND */
	KC_STAT_flushes,
	KC_STAT_evictions,	/* entries that left to make room, in memory or in a chain */
	KC_STAT_expirations,	/* entries that left because their time was up */
	KC_STAT_flushed,	/* entries that left in a FLUSH */
	KC_STAT_promotions,	/* entries that went from small to main */
	KC_STAT_ghost_hits,	/* new entries that were remembered */
	KC_STAT_moves,		/* entries that eviction or compaction copied */
	KC_STAT_moved_bytes,	/* of these entries */
	KC_STAT_shrunk_bytes,	/* given back because the system needed memory */
	KC_STAT_retries,	/* operations begun again for a concurrent change */
	KC_STAT_faults,		/* copies begun again for a page fault */
	KC_STAT_no_space,	/* operations that failed with ENOSPC */
	KC_NR_COUNTERS
};

struct kc_stats {
	u64 count[KC_NR_COUNTERS];
};

#define kc_stats_inc(stats, name) \
	this_cpu_inc((stats)->count[KC_STAT_##name])

#define kc_stats_add(stats, name, n) \
	this_cpu_add((stats)->count[KC_STAT_##name], n)

u64 kc_stats_sum(struct kc_stats __percpu *stats, enum kc_counter which);

#endif /* KC_STATS_H */
