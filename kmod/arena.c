// SPDX-License-Identifier: GPL-2.0
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "arena.h"

#define GFP_BLOCK	((GFP_KERNEL & ~__GFP_DIRECT_RECLAIM) | __GFP_ZERO | __GFP_NOWARN)
#define GFP_CHUNK	((GFP_BLOCK & ~__GFP_RECLAIM) | __GFP_NORETRY)

/* Most blocks whose mappings are zapped in one go. */
#define ZAP_BLOCKS	32

static_assert(sizeof(struct kcache_map_header) <= PAGE_SIZE);

static void init_header(struct kc_arena *arena)
{
	struct kcache_map_header *header = arena->header;
	u64 most = arena->most_bytes, at = KC_CHUNK_MAX;
	int region;

	header->layout = KCACHE_MAP_LAYOUT;
	header->bytes[KCACHE_BUCKETS] = most;
	header->bytes[KCACHE_OVERFLOW] = most;
	header->bytes[KCACHE_SEGMENTS] = 2 * most + KC_CHUNK_MAX;
	for (region = 0; region < KCACHE_NR_REGIONS; region++) {
		header->at[region] = at;
		at += roundup(header->bytes[region] + KCACHE_MAP_SLACK, KC_CHUNK_MAX);
		header->bytes[region] = at - header->at[region];
	}
}

/**
 * kc_arena_init() - an arena without memory
 * @arena: to set up
 * @max_bytes: the limit; the size of chunk and block follow it for good
 *
 * A cache has about 128 chunks at its first limit, so that one that is half
 * tables still has the 64 segments that eviction wants. Offsets are reserved for
 * the memory of the machine, and twice for segments, so that a run of chunks is
 * to be had.
 *
 * Return: 0 or -ENOMEM.
 */
int kc_arena_init(struct kc_arena *arena, u64 max_bytes)
{
	u64 chunk = clamp_t(u64, rounddown_pow_of_two(max_bytes / 128), KC_CHUNK_MIN,
			    KC_CHUNK_MAX);
	u64 most = max_t(u64, (u64)totalram_pages() << PAGE_SHIFT, max_bytes);
	int region;

	arena->header = alloc_pages_exact(PAGE_SIZE, GFP_KERNEL | __GFP_ZERO);
	if (!arena->header)
		return -ENOMEM;
	mutex_init(&arena->mutex);
	for (region = 0; region < KCACHE_NR_REGIONS; region++)
		RCU_INIT_POINTER(arena->dir[region], NULL);
	arena->chunk_shift = ilog2(chunk);
	arena->block_shift = ilog2(clamp_t(u64, chunk / KC_CHUNK_BLOCKS, KC_BLOCK_MIN,
					   KC_BLOCK_MAX));
	arena->block_mask = (1U << arena->block_shift) - 1;
	arena->max_bytes = max_bytes;
	arena->most_bytes = roundup(min_t(u64, most, KCACHE_SEGMENTS_MAX / 4), KC_CHUNK_MAX);
	arena->watch = NULL;
	atomic64_set(&arena->used_bytes, PAGE_SIZE);
	init_header(arena);
	return 0;
}

/**
 * kc_arena_exit() - free all memory that is left
 * @arena: nobody uses it any more, and an RCU grace period has passed
 */
void kc_arena_exit(struct kc_arena *arena)
{
	int region;

	mutex_lock(&arena->mutex);
	for (region = 0; region < KCACHE_NR_REGIONS; region++) {
		struct kc_dir *dir = rcu_dereference_protected(arena->dir[region],
							       lockdep_is_held(&arena->mutex));

		if (dir)
			kc_arena_release_locked(arena, region, 0, dir->nr);
		kc_dir_free(arena, &arena->dir[region]);
	}
	mutex_unlock(&arena->mutex);
	mutex_destroy(&arena->mutex);
	free_pages_exact(arena->header, PAGE_SIZE);
	kc_arena_uncharge(arena, PAGE_SIZE);
}

/**
 * kc_arena_charge() - account memory before it is allocated
 * @arena: whose account
 * @bytes: how much
 *
 * Context: Any.
 * Return: 0, or -ENOSPC if that would pass the limit.
 */
int kc_arena_charge(struct kc_arena *arena, u64 bytes)
{
	s64 used = atomic64_read(&arena->used_bytes);

	do {
		if (used + bytes > READ_ONCE(arena->max_bytes))
			return -ENOSPC;
	} while (!atomic64_try_cmpxchg(&arena->used_bytes, &used, used + bytes));
	return 0;
}

void kc_arena_uncharge(struct kc_arena *arena, u64 bytes)
{
	atomic64_sub(bytes, &arena->used_bytes);
}

static u64 dir_bytes(const struct kc_dir *dir)
{
	return dir ? struct_size(dir, ptr, dir->nr) : 0;
}

/**
 * kc_dir_grow_locked() - make a directory long enough
 * @arena: whose account pays
 * @slot: the directory
 * @nr: entries that it must have
 *
 * Context: Process context, holds arena->mutex.
 * Return: 0 or -ENOSPC.
 */
int kc_dir_grow_locked(struct kc_arena *arena, struct kc_dir __rcu **slot, u32 nr)
{
	struct kc_dir *old = rcu_dereference_protected(*slot, lockdep_is_held(&arena->mutex));
	struct kc_dir *dir;

	lockdep_assert_held(&arena->mutex);
	if (old && old->nr >= nr)
		return 0;
	nr = max_t(u32, old ? old->nr + old->nr / 2 : 0, nr);
	nr = max_t(u32, nr, 32);
	if (kc_arena_charge(arena, struct_size(dir, ptr, nr)))
		return -ENOSPC;
	dir = kvzalloc(struct_size(dir, ptr, nr), GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (!dir) {
		kc_arena_uncharge(arena, struct_size(dir, ptr, nr));
		return -ENOSPC;
	}
	dir->nr = nr;
	if (old)
		memcpy(dir->ptr, old->ptr, array_size(old->nr, sizeof(old->ptr[0])));
	rcu_assign_pointer(*slot, dir);
	if (old) {
		kc_arena_uncharge(arena, dir_bytes(old));
		kvfree_rcu(old, rcu);
	}
	return 0;
}

/* Nobody uses the directory any more. */
void kc_dir_free(struct kc_arena *arena, struct kc_dir __rcu **slot)
{
	struct kc_dir *dir = rcu_dereference_protected(*slot, lockdep_is_held(&arena->mutex));

	RCU_INIT_POINTER(*slot, NULL);
	kc_arena_uncharge(arena, dir_bytes(dir));
	kvfree(dir);
}

static struct kc_dir *region_dir(struct kc_arena *arena, enum kcache_region region)
{
	return rcu_dereference_protected(arena->dir[region], lockdep_is_held(&arena->mutex));
}

static void zap(struct kc_arena *arena, enum kcache_region region, u32 first, u32 nr)
{
	if (arena->watch)
		arena->watch->zap(arena->watch, arena->header->at[region] +
				  ((u64)first << arena->block_shift),
				  (u64)nr << arena->block_shift);
}

/**
 * kc_arena_populate_locked() - bring in memory
 * @arena: the arena
 * @region: where in it
 * @first: index of the first block; all of them are holes
 * @nr: number of blocks
 *
 * The memory is zeroed. It comes as one piece if there is one, else as blocks.
 *
 * Context: Process context, holds arena->mutex. Does not enter reclaim.
 * Return: 0 or -ENOSPC, whether the limit or the system said no.
 */
int kc_arena_populate_locked(struct kc_arena *arena, enum kcache_region region, u32 first, u32 nr)
{
	u64 bytes = (u64)nr << arena->block_shift;
	struct kc_dir *dir;
	void *piece = NULL;
	u32 i;

	if (kc_dir_grow_locked(arena, &arena->dir[region], first + nr))
		return -ENOSPC;
	if (kc_arena_charge(arena, bytes))
		return -ENOSPC;
	dir = region_dir(arena, region);
	if (nr > 1 && bytes <= kc_chunk_size(arena))
		piece = alloc_pages_exact(bytes, GFP_CHUNK);
	for (i = 0; i < nr; i++) {
		void *block = piece ? piece + ((size_t)i << arena->block_shift) :
			      alloc_pages_exact(kc_block_size(arena), GFP_BLOCK);

		if (!block)
			goto err_release;
		/* Published by the store that makes an offset in it known. */
		WRITE_ONCE(dir->ptr[first + i], block);
	}
	zap(arena, region, first, nr);	/* where mappings saw a hole */
	return 0;

err_release:
	kc_arena_uncharge(arena, (u64)(nr - i) << arena->block_shift);
	kc_arena_release_locked(arena, region, first, i);
	return -ENOSPC;
}

/**
 * kc_arena_release_locked() - give memory back
 * @arena: the arena
 * @region: where in it
 * @first: index of the first block
 * @nr: number of blocks; holes among them are passed over
 *
 * All that the blocks held was unlinked before the RCU grace period that the
 * caller has waited for, or the blocks never held anything.
 *
 * Context: Process context, holds arena->mutex.
 */
void kc_arena_release_locked(struct kc_arena *arena, enum kcache_region region, u32 first, u32 nr)
{
	struct kc_dir *dir = region_dir(arena, region);
	void *block[ZAP_BLOCKS];
	u32 i, n;

	lockdep_assert_held(&arena->mutex);
	for (; nr; first += n, nr -= n) {
		n = min_t(u32, nr, ZAP_BLOCKS);
		for (i = 0; i < n; i++) {
			block[i] = dir->ptr[first + i];
			WRITE_ONCE(dir->ptr[first + i], NULL);
		}
		zap(arena, region, first, n);
		for (i = 0; i < n; i++) {
			if (!block[i])
				continue;
			free_pages_exact(block[i], kc_block_size(arena));
			kc_arena_uncharge(arena, kc_block_size(arena));
		}
	}
}

/* The memory at @offset and how much of @len lies in one piece there. */
static void *segment_piece(struct kc_arena *arena, u64 offset, size_t *len)
{
	u32 in_block = offset & arena->block_mask;
	void *block = kc_arena_block(arena, KCACHE_SEGMENTS, offset);

	*len = min_t(size_t, *len, kc_block_size(arena) - in_block);
	return block ? block + in_block : NULL;
}

/* kc_arena_from_nofault() for what runs over the border of a block. */
int kc_arena_pieces_from(struct kc_arena *arena, u64 offset, const struct kc_buffer *from,
			 size_t len)
{
	size_t done = 0, piece;
	int err = 0;

	pagefault_disable();
	for (; done < len && !err; done += piece) {
		void *p;

		piece = len - done;
		p = segment_piece(arena, offset + done, &piece);
		err = kc_buffer_get(p, from, done, piece);
	}
	pagefault_enable();
	return err;
}

/* kc_arena_to_nofault() for what runs over the border of a block, or into a hole. */
int kc_arena_pieces_to(struct kc_arena *arena, u64 offset, const struct kc_buffer *to,
		       size_t len)
{
	size_t done = 0, piece;
	int err = 0;

	pagefault_disable();
	for (; done < len && !err; done += piece) {
		void *p;

		piece = len - done;
		p = segment_piece(arena, offset + done, &piece);
		err = likely(p) ? kc_buffer_put(to, done, p, piece) : -EAGAIN;
	}
	pagefault_enable();
	return err;
}

/**
 * kc_arena_move() - copy within the segment region
 * @arena: the arena
 * @to: offset, memory that the caller has reserved
 * @from: offset, need not be true, the caller checks afterwards
 * @len: bytes; the ranges do not overlap
 *
 * Context: RCU read section.
 * Return: 0, or -EAGAIN if there is a hole at @from.
 */
int kc_arena_move(struct kc_arena *arena, u64 to, u64 from, size_t len)
{
	while (len) {
		size_t piece = len;
		void *source = segment_piece(arena, from, &piece);
		void *target = segment_piece(arena, to, &piece);

		if (!source)
			return -EAGAIN;
		memcpy(target, source, piece);
		to += piece;
		from += piece;
		len -= piece;
	}
	return 0;
}
