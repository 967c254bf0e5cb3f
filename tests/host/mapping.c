// SPDX-License-Identifier: GPL-2.0
/* The kernel's side: what mmap.c, hints.c's file and ioctl.c are to the device. */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "cache.h"
#include "mapping.h"
#include "ops.h"
#include "shim/memory.h"
#include "shim/shim.h"

/* A file's number and this is that of its hints. */
#define HINTS_FD	1000

static struct kc_cache *mapped;
static char *window;
static u64 window_bytes;
static u32 *shown_at;			/* of each page of the window, the pool's from 1; mutex */
static u8 nr_shown[SHIM_POOL_BYTES >> PAGE_SHIFT];	/* of each of the pool's; atomic */

static struct file {
	bool is_used;			/* atomic */
	struct kc_hint_page hints;
} files[MAPPING_FILES];

/* By system calls that sanitizers do not see: they would touch their shadow of all of it. */
static void *map(void *at, u64 bytes, int prot, int flags, int fd, u64 offset)
{
	long p = syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);

	if (p == -1)
		shim_die("no address space for a mapping");
	return (void *)p;
}

static void page_freed(const void *p, size_t bytes)
{
	size_t first = ((char *)p - shim_pool) >> PAGE_SHIFT, i;

	for (i = first; i < first + (bytes >> PAGE_SHIFT); i++)
		if (READ_ONCE(nr_shown[i]))
			shim_die("a page is freed that a mapping shows");
}

void mapping_prepare(uint64_t bytes)
{
	shim_pool_share(bytes);
	shim_page_freed = page_freed;
}

static void note_shown(u64 at, const char *page, u64 bytes)
{
	u64 i, pool = page ? ((page - shim_pool) >> PAGE_SHIFT) + 1 : 0;

	for (i = at >> PAGE_SHIFT; i < (at + bytes) >> PAGE_SHIFT; i++) {
		if (shown_at[i])
			__atomic_fetch_sub(&nr_shown[shown_at[i] - 1], 1, __ATOMIC_SEQ_CST);
		shown_at[i] = pool;
		if (pool)
			__atomic_fetch_add(&nr_shown[pool++ - 1], 1, __ATOMIC_SEQ_CST);
	}
}

/* Lets the window show @page from @at on; NULL: zeros. */
static void show(u64 at, const char *page, u64 bytes)
{
	if (page)
		map(window + at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, shim_pool_fd,
		    page - shim_pool);
	else
		map(window + at, bytes, PROT_READ,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	note_shown(at, page, bytes);
}

/* What lies in one piece is mapped in one. */
static void show_blocks(struct kc_arena *arena, enum kcache_region region, u64 first, u64 nr)
{
	u64 size = kc_block_size(arena), end = first + nr, n;
	const char *page;

	lockdep_assert_held(&arena->mutex);
	for (; first < end; first += n) {
		page = kc_arena_block(arena, region, first * size);
		for (n = 1; first + n < end; n++)
			if (kc_arena_block(arena, region, (first + n) * size) !=
			    (page ? page + n * size : NULL))
				break;
		show(arena->header->at[region] + first * size, page, n * size);
	}
}

static void zap(struct kc_arena_watch *watch, u64 at, u64 bytes)
{
	struct kc_arena *arena = &mapped->arena;
	u64 offset;
	int region;

	for (region = 0; region < KCACHE_NR_REGIONS; region++) {
		offset = at - arena->header->at[region];
		if (offset < arena->header->bytes[region])
			show_blocks(arena, region, offset >> arena->block_shift,
				    bytes >> arena->block_shift);
	}
}

static struct kc_arena_watch watch = { .zap = zap };

void mapping_init(struct kc_cache *cache)
{
	struct kc_arena *arena = &cache->arena;
	struct kc_dir *dir;
	int region;

	if (mapped)
		shim_die("two caches are mapped");
	mapped = cache;
	window_bytes = kc_arena_span(arena);
	window = map(NULL, window_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	shown_at = map(NULL, (window_bytes >> PAGE_SHIFT) * sizeof(*shown_at),
		       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	show(0, (char *)arena->header, PAGE_SIZE);
	mutex_lock(&arena->mutex);
	for (region = 0; region < KCACHE_NR_REGIONS; region++) {
		dir = rcu_dereference_protected(arena->dir[region],
						lockdep_is_held(&arena->mutex));
		show_blocks(arena, region, 0, dir ? dir->nr : 0);
	}
	arena->watch = &watch;
	mutex_unlock(&arena->mutex);
}

void mapping_exit(void)
{
	int i;

	for (i = 0; i < MAPPING_FILES; i++)
		if (files[i].is_used)
			shim_die("a file is open while its device goes");
	mapped->arena.watch = NULL;
	mapped = NULL;
	memset(nr_shown, 0, sizeof(nr_shown));
	syscall(SYS_munmap, shown_at, (window_bytes >> PAGE_SHIFT) * sizeof(*shown_at));
	syscall(SYS_munmap, window, window_bytes);
}

/* -------- open files -------- */

int mapping_open_file(void)
{
	int fd;

	for (fd = 0; fd < MAPPING_FILES; fd++)
		if (!__atomic_exchange_n(&files[fd].is_used, true, __ATOMIC_ACQUIRE))
			return fd;
	shim_die("too many open files");
}

void mapping_close_file(int fd)
{
	kc_hints_close(&mapped->hints, &files[fd].hints);
	memset(&files[fd].hints, 0, sizeof(files[fd].hints));
	__atomic_store_n(&files[fd].is_used, false, __ATOMIC_RELEASE);
}

void *mapping_memory(int fd)
{
	return fd < HINTS_FD ? (void *)window : files[fd - HINTS_FD].hints.shared;
}

static int ioctl_op(struct kcache_op *op)
{
	struct kc_call call = { .op = *op, .key = (void *)(uintptr_t)op->key };
	int err = kc_call_check(op, KC_READ | KC_WRITE);

	if (err < 0)
		return err;
	call.value = kc_buffer_user((void *)(uintptr_t)op->value);
	call.out = kc_buffer_user((void *)(uintptr_t)op->out);
	err = kc_cache_run(mapped, &call);
	*op = call.op;
	return err;
}

static int ioctl_info(struct kcache_info *info)
{
	*info = (struct kcache_info) { .size = sizeof(*info), .map_bytes = window_bytes };
	return 0;
}

static long ioctl_hints(int fd)
{
	int err = kc_hints_open(&mapped->hints, &files[fd].hints);

	return err ? err : HINTS_FD + fd;
}

long mapping_ioctl(int fd, unsigned long command, void *arg)
{
	switch (command) {
	case KCACHE_IOC_OP:
		return ioctl_op(arg);
	case KCACHE_IOC_INFO:
		return ioctl_info(arg);
	case KCACHE_IOC_HINTS:
		return ioctl_hints(fd);
	case KCACHE_IOC_TAKE_HINTS:
		kc_hints_take(&mapped->hints, &files[fd].hints);
		return 0;
	default:
		return -ENOTTY;
	}
}
