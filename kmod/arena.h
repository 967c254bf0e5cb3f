/* SPDX-License-Identifier: GPL-2.0 */
/*
 * arena: a cache's memory, addressed by region and offset.
 *
 * Owns every page that holds buckets or entries, the directories that lead from
 * an offset to its page, and the account of all the memory that the cache uses.
 * Promises that the account never passes the limit by an allocation, that fresh
 * memory is zeroed and in the linear map, and that no allocation forces reclaim
 * or wakes the OOM killer.
 *
 * Memory comes and goes in blocks; a chunk is a power of two of blocks, asked
 * for as one piece first. Whoever gives memory back has unlinked all that it
 * held and has waited for an RCU grace period. The header page and the regions
 * have their places in one space of offsets, which is that of the mapping.
 */
#ifndef KC_ARENA_H
#define KC_ARENA_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uaccess.h>

#include "uapi/linux/kcache_map.h"
#include "user.h"

#define KC_CHUNK_MIN	SZ_8K
#define KC_CHUNK_MAX	SZ_2M
#define KC_BLOCK_MIN	KC_CHUNK_MIN
#define KC_BLOCK_MAX	SZ_32K	/* the page allocator's costly order */
#define KC_CHUNK_BLOCKS	8	/* in a chunk, if they are of one of these sizes */

/* Pointers by index; replaced as a whole when it has to grow. */
struct kc_dir {
	struct rcu_head rcu;
	u32 nr;
	void *ptr[];		/* written under arena->mutex; NULL: a hole */
};

/* Is told of each range in which memory came or is about to go. */
struct kc_arena_watch {
	void (*zap)(struct kc_arena_watch *watch, u64 at, u64 bytes);
};

struct kc_arena {
	/*
	 * The slow path of a whole cache: memory in and out, segment turnover,
	 * bucket splits, resizing. Outermost lock.
	 */
	struct mutex mutex;
	struct kc_dir __rcu *dir[KCACHE_NR_REGIONS];
	u32 block_shift;	/* constant after init */
	u32 block_mask;		/* size of a block - 1; constant after init */
	u32 chunk_shift;	/* constant after init */
	u64 max_bytes;		/* written under mutex, read with READ_ONCE */
	u64 most_bytes;		/* what max_bytes can be; constant after init */
	atomic64_t used_bytes;
	struct kcache_map_header *header; /* one page; the table writes to it */
	struct kc_arena_watch *watch;	/* NULL: the arena cannot be mapped */
};

int kc_arena_init(struct kc_arena *arena, u64 max_bytes);
void kc_arena_exit(struct kc_arena *arena);

int kc_arena_charge(struct kc_arena *arena, u64 bytes);
void kc_arena_uncharge(struct kc_arena *arena, u64 bytes);

int kc_dir_grow_locked(struct kc_arena *arena, struct kc_dir __rcu **dir, u32 nr);
void kc_dir_free(struct kc_arena *arena, struct kc_dir __rcu **dir);

int kc_arena_populate_locked(struct kc_arena *arena, enum kcache_region region,
			     u32 first, u32 nr);
void kc_arena_release_locked(struct kc_arena *arena, enum kcache_region region,
			     u32 first, u32 nr);

int kc_arena_pieces_from(struct kc_arena *arena, u64 offset, const struct kc_buffer *from,
			 size_t len);
int kc_arena_pieces_to(struct kc_arena *arena, u64 offset, const struct kc_buffer *to,
		       size_t len);
int kc_arena_move(struct kc_arena *arena, u64 to, u64 from, size_t len);

/* Bytes of the whole space of offsets. */
static inline u64 kc_arena_span(const struct kc_arena *arena)
{
	return arena->header->at[KCACHE_SEGMENTS] + arena->header->bytes[KCACHE_SEGMENTS];
}

static inline u32 kc_block_size(const struct kc_arena *arena)
{
	return arena->block_mask + 1;
}

static inline u32 kc_chunk_size(const struct kc_arena *arena)
{
	return 1U << arena->chunk_shift;
}

/* Entry @index of a directory, NULL where it has none. RCU or arena->mutex. */
static inline void *kc_dir_get(struct kc_arena *arena, struct kc_dir __rcu **slot, u64 index)
{
	struct kc_dir *dir = rcu_dereference_check(*slot, lockdep_is_held(&arena->mutex));

	return dir && index < dir->nr ? READ_ONCE(dir->ptr[index]) : NULL;
}

/* The block that holds @offset, NULL for a hole: any offset may be asked for. */
static inline void *kc_arena_block(struct kc_arena *arena, enum kcache_region region, u64 offset)
{
	return kc_dir_get(arena, &arena->dir[region], offset >> arena->block_shift);
}

/* The memory at @offset, where there is some for sure: in a bucket or a reservation. */
static inline void *kc_arena_sure_ptr(struct kc_arena *arena, enum kcache_region region, u64 offset)
{
	struct kc_dir *dir = rcu_dereference_check(arena->dir[region],
						   lockdep_is_held(&arena->mutex));

	return READ_ONCE(dir->ptr[offset >> arena->block_shift]) + (offset & arena->block_mask);
}

/*
 * The memory at @offset, NULL for a hole or where less than @len bytes are left
 * in the block. Any offset below KCACHE_SEGMENTS_MAX may be asked for.
 */
static inline void *kc_arena_ptr(struct kc_arena *arena, enum kcache_region region,
				 u64 offset, u32 len)
{
	u32 in_block = offset & arena->block_mask;
	void *block = kc_arena_block(arena, region, offset);

	if (unlikely(!block || len > kc_block_size(arena) - in_block))
		return NULL;
	return block + in_block;
}

/**
 * kc_arena_from_nofault() - copy into the segment region
 * @arena: the arena
 * @offset: where to, memory that the caller has reserved
 * @from: where from
 * @len: bytes
 *
 * Context: RCU read section. Never sleeps.
 * Return: 0, or -EFAULT if @from is not in memory now.
 */
static inline int kc_arena_from_nofault(struct kc_arena *arena, u64 offset,
					const struct kc_buffer *from, size_t len)
{
	void *p = kc_arena_ptr(arena, KCACHE_SEGMENTS, offset, len);
	int err;

	if (unlikely(!p))
		return kc_arena_pieces_from(arena, offset, from, len);
	pagefault_disable();
	err = kc_buffer_get(p, from, 0, len);
	pagefault_enable();
	return err;
}

/**
 * kc_arena_to_nofault() - copy out of the segment region
 * @arena: the arena
 * @offset: where from; need not be true, the caller checks afterwards
 * @to: where to
 * @len: bytes
 *
 * Context: RCU read section. Never sleeps.
 * Return: 0, -EFAULT if @to is not in memory now, -EAGAIN if there is a hole
 * in the arena, which is never so where an entry is.
 */
static inline int kc_arena_to_nofault(struct kc_arena *arena, u64 offset,
				      const struct kc_buffer *to, size_t len)
{
	const void *p = kc_arena_ptr(arena, KCACHE_SEGMENTS, offset, len);
	int err;

	if (unlikely(!p))
		return kc_arena_pieces_to(arena, offset, to, len);
	pagefault_disable();
	err = kc_buffer_put(to, 0, p, len);
	pagefault_enable();
	return err;
}

#endif /* KC_ARENA_H */
