// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "cache.h"
#include "compat.h"
#include "shrink.h"
#include "space.h"

/* Bytes that may be given back, without what is on its way already. */
static u64 spare_bytes(struct kc_cache *cache)
{
	u64 kept = READ_ONCE(cache->min_bytes) +
		   ((u64)READ_ONCE(cache->log.nr_zombies) << cache->arena.chunk_shift);
	u64 used = atomic64_read(&cache->arena.used_bytes);

	return used > kept ? used - kept : 0;
}

static unsigned long count_pages(struct shrinker *shrinker, struct shrink_control *control)
{
	return spare_bytes(shrinker_data(shrinker)) >> PAGE_SHIFT;
}

static unsigned long scan_pages(struct shrinker *shrinker, struct shrink_control *control)
{
	struct kc_cache *cache = shrinker_data(shrinker);
	u64 bytes = 0, step;

	/* Whoever holds one of these may be the very caller. */
	if (!mutex_trylock(&cache->evict.mutex))
		return SHRINK_STOP;
	if (!mutex_trylock(&cache->arena.mutex)) {
		mutex_unlock(&cache->evict.mutex);
		return SHRINK_STOP;
	}
	while (bytes >> PAGE_SHIFT < control->nr_to_scan &&
	       spare_bytes(cache) >= kc_chunk_size(&cache->arena)) {
		step = kc_evict_shrink_locked(&cache->evict);
		if (!step)
			break;
		bytes += step;
	}
	mutex_unlock(&cache->arena.mutex);
	mutex_unlock(&cache->evict.mutex);
	if (!bytes)
		return SHRINK_STOP;
	kc_stats_add(cache->stats, shrunk_bytes, bytes);
	kc_space_wake(cache);
	control->nr_scanned = bytes >> PAGE_SHIFT;
	return bytes >> PAGE_SHIFT;
}

/**
 * kc_shrink_init() - take part in reclaim
 * @cache: which, all set up but for this
 *
 * Return: 0 or -ENOMEM.
 */
int kc_shrink_init(struct kc_cache *cache)
{
	struct shrinker *shrinker = shrinker_alloc(0, "kcache-%s", cache->name);

	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count_pages;
	shrinker->scan_objects = scan_pages;
	shrinker->seeks = DEFAULT_SEEKS;
	shrinker->batch = kc_chunk_size(&cache->arena) >> PAGE_SHIFT;
	shrinker_set_data(shrinker, cache);
	shrinker_register(shrinker);
	cache->shrinker = shrinker;
	return 0;
}

/* Waits until it is not in use. */
void kc_shrink_exit(struct kc_cache *cache)
{
	shrinker_free(cache->shrinker);
}
