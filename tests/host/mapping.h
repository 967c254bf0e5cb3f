/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mapping: a cache's device, as a program sees it that has it open and mapped.
 *
 *	mapping_prepare(64 * MiB);		before the first cache
 *	mapping_init(cache);			the cache has a device now
 *	struct kcache *reader = mapping_open();	libkcache's own handle, for any thread
 *	kcache_get(reader, ...);		on a second, read-only mapping of the pages
 *	mapping_close(reader);
 *	mapping_exit();				before the cache goes
 *
 * The mapping follows the arena by its watch, as that of the device does, but at once
 * and not at the next fault: it shows pages where there are some, zeros elsewhere. A
 * page that is freed while it is shown aborts. map.c and ops.c of libkcache run
 * unchanged, but for mapped.h, and where they call the kernel they call the core.
 * Their clock is the simulated one.
 */
#ifndef MAPPING_H
#define MAPPING_H

#include <stdint.h>

struct kc_cache;
struct kcache;

/* Of all caches, no more than @bytes of pages are in use; as for shim_pool_share(). */
void mapping_prepare(uint64_t bytes);

/* One cache at a time. */
void mapping_init(struct kc_cache *cache);
void mapping_exit(void);

/* An open file, with hints of its own. */
struct kcache *mapping_open(void);
void mapping_close(struct kcache *cache);

/* -------- between the kernel's side, mapping.c, and the library's, mapped.c -------- */

#define MAPPING_FILES	16

int mapping_open_file(void);
void mapping_close_file(int fd);
long mapping_ioctl(int fd, unsigned long command, void *arg);
/* What mmap() of @fd gives: the window on the arena, or a page for hints. */
void *mapping_memory(int fd);

#endif /* MAPPING_H */
