// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "core.h"
#include "cache.h"
#include "shim/memory.h"
#include "window.h"

static char *window;
static u64 window_bytes;
static int pool_fd = -1;
static struct kc_hint_page hint_page;

/* The simulated kernel's pages, which are private, become those of a file. */
void window_prepare(void)
{
	if (pool_fd >= 0)
		return;
	free_pages_exact(alloc_pages_exact(PAGE_SIZE, GFP_KERNEL), PAGE_SIZE);
	pool_fd = memfd_create("bench", MFD_CLOEXEC);
	if (pool_fd < 0 || ftruncate(pool_fd, SHIM_POOL_BYTES) ||
	    mmap(shim_pool, SHIM_POOL_BYTES, PROT_NONE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
		 pool_fd, 0) == MAP_FAILED)
		die("no shared memory for the arena");
}

/* Shows what is at @page, NULL: nothing, from @at on. */
static void show(u64 at, const char *page, u64 bytes)
{
	void *shown;

	if (page)
		shown = mmap(window + at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, pool_fd,
			     page - shim_pool);
	else
		shown = mmap(window + at, bytes, PROT_READ,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	if (shown == MAP_FAILED)
		die("no window on the arena");
}

static void show_blocks(struct kc_arena *arena, enum kcache_region region, u64 first, u64 nr)
{
	u64 size = kc_block_size(arena), end = first + nr, n;
	const char *page;

	rcu_read_lock();
	for (; first < end; first += n) {
		page = kc_arena_block(arena, region, first * size);
		for (n = 1; first + n < end; n++)
			if (kc_arena_block(arena, region, (first + n) * size) !=
			    (page ? page + n * size : NULL))
				break;
		show(arena->header->at[region] + first * size, page, n * size);
	}
	rcu_read_unlock();
}

static void zap(struct kc_arena_watch *watch, u64 at, u64 bytes)
{
	struct kc_arena *arena = &core_cache->arena;
	int region;

	for (region = 0; region < KCACHE_NR_REGIONS; region++)
		if (at - arena->header->at[region] < arena->header->bytes[region])
			show_blocks(arena, region,
				    (at - arena->header->at[region]) >> arena->block_shift,
				    bytes >> arena->block_shift);
}

static struct kc_arena_watch watch = { .zap = zap };

const void *window_open(void)
{
	struct kc_arena *arena = &core_cache->arena;
	int region;
	u32 nr;

	window_bytes = kc_arena_span(arena);
	window = mmap(NULL, window_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		      -1, 0);
	if (window == MAP_FAILED)
		die("no address space for a window on the arena");
	show(0, (char *)arena->header, PAGE_SIZE);
	for (region = 0; region < KCACHE_NR_REGIONS; region++) {
		rcu_read_lock();
		nr = rcu_dereference(arena->dir[region]) ?
			rcu_dereference(arena->dir[region])->nr : 0;
		rcu_read_unlock();
		show_blocks(arena, region, 0, nr);
	}
	arena->watch = &watch;
	if (kc_hints_open(&core_cache->hints, &hint_page))
		die("no page for hints");
	return window;
}

void window_close(void)
{
	kc_hints_close(&core_cache->hints, &hint_page);
	core_cache->arena.watch = NULL;
	munmap(window, window_bytes);
}

void *window_hints(void)
{
	return hint_page.shared;
}

void window_take_hints(void)
{
	kc_hints_take(&core_cache->hints, &hint_page);
}
