/* SPDX-License-Identifier: GPL-2.0 */
/* Between the files of the shim. */
#ifndef SHIM_MEMORY_H
#define SHIM_MEMORY_H

#include <linux/types.h>

#define SHIM_POOL_BYTES	(16UL << 30)

/* NULL before the first page. Behind the pool is as much again, never mapped: see copy.c. */
extern char *shim_pool;
/* What the pool is a mapping of, from its beginning on; -1: of nothing. */
extern int shim_pool_fd;
/* Is told of pages that are about to be freed. */
extern void (*shim_page_freed)(const void *p, size_t bytes);

/*
 * Before the first page: makes the pool a mapping of a file, so that pages can be mapped
 * a second time. Of it, pages are taken from the first @bytes, and come again the
 * sooner.
 */
void shim_pool_share(u64 bytes);

/* Chance that does not disturb shim_random(). */
u64 shim_noise(void);

/* A pause, or another CPU, one time of @n. */
void shim_pause_now(u32 n);

/* An object that kvfree_rcu() will free is not counted any more. */
void shim_uncount(void *p);

static inline bool shim_is_page(const void *p)
{
	return shim_pool && (uintptr_t)p - (uintptr_t)shim_pool < SHIM_POOL_BYTES;
}

#endif /* SHIM_MEMORY_H */
