// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched.h>
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

/* So long, in steps, the system waits before it kills for memory that is on its way. */
#define OOM_STEPS	100
#define OOM_STEP_MS	50

/*
 * Reclaim has found nothing more. But what the shrinker dropped waits for a grace period and
 * for the worker, and may be all that is missing; or another had the mutexes each time.
 * Takes no mutex for which it would have to wait: who has it may wait for memory, too.
 */
static int before_oom_kill(struct notifier_block *block, unsigned long unused, void *freed)
{
	struct kc_cache *cache = container_of(block, struct kc_cache, oom_notifier);
	struct shrink_control control = { .nr_to_scan = cache->shrinker->batch };
	u32 shift = cache->arena.chunk_shift - PAGE_SHIFT;
	u64 before = READ_ONCE(cache->log.nr_reaped), now = before;
	int i;

	for (i = 0; i < OOM_STEPS && now == before; i++) {
		if (!READ_ONCE(cache->log.nr_zombies) &&
		    spare_bytes(cache) < kc_chunk_size(&cache->arena))
			break;
		if (!READ_ONCE(cache->log.nr_zombies))
			scan_pages(cache->shrinker, &control);
		kc_space_wake(cache);
		schedule_timeout_uninterruptible(msecs_to_jiffies(OOM_STEP_MS));
		now = READ_ONCE(cache->log.nr_reaped);
	}
	*(unsigned long *)freed += (now - before) << shift;
	return NOTIFY_OK;
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
	cache->oom_notifier.notifier_call = before_oom_kill;
	register_oom_notifier(&cache->oom_notifier);
	return 0;
}

/* Waits until it is not in use. */
void kc_shrink_exit(struct kc_cache *cache)
{
	unregister_oom_notifier(&cache->oom_notifier);
	shrinker_free(cache->shrinker);
}
