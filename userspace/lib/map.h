/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * map: the read-only mapping of the device, for reads without a system call.
 */
#ifndef LIBKCACHE_MAP_H
#define LIBKCACHE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kcache.h>
#include <linux/kcache_map.h>

#define KCACHE_LOAD(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define KCACHE_LOAD_ACQUIRE(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define KCACHE_READ_BARRIER()	__atomic_thread_fence(__ATOMIC_ACQUIRE)

/* A longer chain takes keys that somebody computed for it: of those, the kernel is asked. */
#define KCACHE_HOPS_MAX		1024

/*
 * Where the mapping is, as the kernel said when it was made. @header NULL: nowhere.
 * Behind @bytes of each region are KCACHE_MAP_SLACK more, so that whatever begins
 * within has room for a bucket, or an entry up to the end of its key.
 */
struct kcache_view {
	const struct kcache_map_header *header;
	const uint8_t *base[KCACHE_NR_REGIONS];
	uint64_t bytes[KCACHE_NR_REGIONS];
};

static inline const __u64 *kcache_view_table_size(const struct kcache_view *view)
{
	return &view->header->table_size;
}

static inline const void *kcache_view_at(const struct kcache_view *view,
					 enum kcache_region region, uint64_t offset,
					 uint64_t len, __u64 *left)
{
	const void *p = view->base[region] + offset;

	(void)len;	/* less than the slack */
	if (offset >= view->bytes[region])
		return NULL;
	*left = KCACHE_MAP_SLACK;
	if (!p)		/* who calls this looks, too */
		__builtin_unreachable();
	return p;
}

#include <linux/kcache_read.h>

/* In a page of its own that a fork wipes: a child may be in another time namespace. */
struct kcache_clock {
	int64_t offset_ns;
	int is_known;
};

struct kcache_map {
	struct kcache_view view;
	size_t bytes;
	struct kcache_hints *hints;
	struct kcache_clock *clock;
	int fd;
};

/* Leaves @map->view.header NULL if there is no mapping to be had. */
void kcache_map_open(struct kcache_map *map, int fd, const struct kcache_info *info);
void kcache_map_close(struct kcache_map *map);

#endif /* LIBKCACHE_MAP_H */
