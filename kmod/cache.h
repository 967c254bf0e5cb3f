/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cache: one cache, put together from the rooms below.
 *
 * Owns its limits, its versions, its statistics, and what concerns all of its
 * entries at once.
 *
 * Lock order, outermost first:
 *
 *   evict->mutex > log->reap_mutex > arena->mutex > table->stripe[i].lock > table->overflow_lock
 */
#ifndef KC_CACHE_H
#define KC_CACHE_H

#include <linux/cpumask.h>
#include <linux/minmax.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "arena.h"
#include "evict.h"
#include "expire.h"
#include "hints.h"
#include "log.h"
#include "stats.h"
#include "table.h"

#define KC_CACHE_BYTES_MIN	SZ_1M
#define KC_VALUE_MAX		SZ_16M
#define KC_NAME_MAX		32

/* A value takes at most one of so many parts of the cache. */
#define KC_VALUE_PART		32

struct kc_cache {
	char name[KC_NAME_MAX];		/* constant */
	struct kc_arena arena;
	struct kc_table table;
	struct kc_log log;
	struct kc_evict evict;
	struct kc_expire expire;
	struct kc_hint_pages hints;
	struct work_struct work;	/* keeps memory ready, see space.h */
	u64 wake_at;			/* log.opened from which SETs wake it; arena->mutex */
	struct shrinker *shrinker;	/* constant after init */
	struct notifier_block oom_notifier;	/* the same */
	u64 min_bytes;			/* that reclaim leaves; READ_ONCE */
	struct kc_stats __percpu *stats;
	u64 __percpu *version;		/* the last one given out by each CPU */
};

int kc_cache_init(struct kc_cache *cache, const char *name, u64 max_bytes);
void kc_cache_exit(struct kc_cache *cache);

int kc_cache_flush(struct kc_cache *cache);
int kc_cache_resize(struct kc_cache *cache, u64 max_bytes);
int kc_cache_set_min(struct kc_cache *cache, u64 min_bytes);
int kc_cache_set_promote_after(struct kc_cache *cache, u32 uses);

/* The longest value that the cache takes now: one never drives out more than its part. */
static inline u64 kc_cache_value_max(struct kc_cache *cache)
{
	return min_t(u64, READ_ONCE(cache->arena.max_bytes) / KC_VALUE_PART, KC_VALUE_MAX);
}

/* Unique, and cheap: each CPU counts in steps of the number of CPUs. */
static inline u64 kc_cache_new_version(struct kc_cache *cache)
{
	return this_cpu_add_return(*cache->version, nr_cpu_ids);
}

/**
 * struct kc_copy - a copy of one entry
 * @key_len: bytes of key, at @data
 * @value_len: bytes of value, behind the key
 * @client_flags: as in struct kcache_op
 * @ttl_ms: as in struct kcache_op
 * @version: as in struct kcache_op
 * @data: kvmalloc'ed, for the caller to kvfree()
 * @capacity: of @data in bytes
 */
struct kc_copy {
	u32 key_len;
	u32 value_len;
	u32 client_flags;
	u64 ttl_ms;
	u64 version;
	u8 *data;
	size_t capacity;
};

int kc_cache_next(struct kc_cache *cache, u64 *position, struct kc_copy *copy);

/**
 * struct kc_cache_account - what a cache holds
 * @entries: live ones, and expired ones that were not taken out yet
 * @buckets: home buckets
 * @overflow_buckets: in use
 * @bytes_allocated: all memory, bounded by max_bytes
 * @bytes_live: of entries, with their headers
 * @bytes_dead: of dead entries and fillers
 * @bytes_free: of allocated memory that waits for the next segment
 * @bytes_small: of memory of segments in the small queue
 * @bytes_main: of memory of segments in the main queue
 * @segments: in use
 */
struct kc_cache_account {
	u64 entries;
	u64 buckets;
	u64 overflow_buckets;
	u64 bytes_allocated;
	u64 bytes_live;
	u64 bytes_dead;
	u64 bytes_free;
	u64 bytes_small;
	u64 bytes_main;
	u64 segments;
};

void kc_cache_account(struct kc_cache *cache, struct kc_cache_account *account);

#endif /* KC_CACHE_H */
