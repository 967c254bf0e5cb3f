/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mmap: the arena as user space sees it, read-only for ever.
 *
 * Owns the mappings of a cache. Promises that a page is in no mapping any more
 * when it is given back, that what is not there reads as zeros, and that nobody
 * writes, pins or dumps the arena through a mapping.
 *
 * Lock order: mmap_lock > map->lock (read); arena->mutex > map->lock (write) >
 * i_mmap_rwsem. A fault may allocate page tables while it holds map->lock, so
 * nobody waits for it in reclaim.
 */
#ifndef KC_MMAP_H
#define KC_MMAP_H

#include <linux/fs.h>
#include <linux/rwsem.h>

#include "arena.h"

struct kc_map {
	struct kc_arena *arena;		/* constant */
	struct inode *inode;		/* whose i_mapping all open files share; constant */
	struct rw_semaphore lock;	/* read: from a look at the arena to the page table */
	struct kc_arena_watch watch;
};

int kc_map_init(struct kc_map *map, struct kc_arena *arena);
void kc_map_exit(struct kc_map *map);
int kc_map_mmap(struct kc_map *map, struct vm_area_struct *vma);

int kc_mmap_init(void);
void kc_mmap_exit(void);

#endif /* KC_MMAP_H */
