/* SPDX-License-Identifier: GPL-2.0 */
/* There is no reclaim: a test calls count_objects() and scan_objects() itself. */
#ifndef SHIM_LINUX_SHRINKER_H
#define SHIM_LINUX_SHRINKER_H

#include <stdlib.h>

#include <linux/types.h>

#define SHRINK_STOP	(~0UL)
#define DEFAULT_SEEKS	2

struct shrink_control {
	unsigned long nr_to_scan;
	unsigned long nr_scanned;
};

struct shrinker {
	unsigned long (*count_objects)(struct shrinker *shrinker, struct shrink_control *control);
	unsigned long (*scan_objects)(struct shrinker *shrinker, struct shrink_control *control);
	int seeks;
	long batch;
	void *private_data;
};

#define shrinker_alloc(flags, ...)	((struct shrinker *)calloc(1, sizeof(struct shrinker)))
#define shrinker_register(shrinker)	((void)(shrinker))
#define shrinker_free(shrinker)		free(shrinker)

#endif /* SHIM_LINUX_SHRINKER_H */
