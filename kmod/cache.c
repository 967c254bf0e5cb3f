// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "cache.h"
#include "entry.h"
#include "shrink.h"
#include "space.h"

/* -------- set up -------- */

static int check_limit(u64 max_bytes)
{
	if (max_bytes < KC_CACHE_BYTES_MIN || max_bytes >= KCACHE_SEGMENTS_MAX / 4 ||
	    max_bytes >> PAGE_SHIFT > totalram_pages())
		return -EINVAL;
	return 0;
}

/* What the cache takes beside its arena. */
static u64 fixed_bytes(void)
{
	return sizeof(struct kc_cache) +
	       (u64)num_possible_cpus() * (sizeof(struct kc_stats) + sizeof(u64));
}

/**
 * kc_cache_init() - set up an empty cache
 * @cache: to set up, zeroed
 * @name: shorter than KC_NAME_MAX
 * @max_bytes: bound of all its memory, at least KC_CACHE_BYTES_MIN and no more
 *	than the machine has
 *
 * Context: Process context.
 * Return: 0, -EINVAL for the limit, -ENOMEM.
 */
int kc_cache_init(struct kc_cache *cache, const char *name, u64 max_bytes)
{
	int cpu, err = check_limit(max_bytes);
	u64 *version;

	if (err)
		return err;
	strscpy(cache->name, name, sizeof(cache->name));
	cache->stats = alloc_percpu(struct kc_stats);
	if (!cache->stats)
		return -ENOMEM;
	err = -ENOMEM;
	cache->version = alloc_percpu(u64);
	if (!cache->version)
		goto err_free_stats;
	for_each_possible_cpu(cpu) {
		version = per_cpu_ptr(cache->version, cpu);
		*version = cpu;
	}
	if (kc_arena_init(&cache->arena, max_bytes))
		goto err_free_version;
	if (kc_arena_charge(&cache->arena, fixed_bytes()))
		goto err_exit_arena;
	if (kc_table_init(&cache->table, &cache->arena))
		goto err_exit_arena;
	if (kc_log_init(&cache->log, &cache->arena))
		goto err_exit_table;
	kc_evict_init(&cache->evict, &cache->table, &cache->log, cache->stats);
	INIT_WORK(&cache->work, kc_space_work);
	if (kc_shrink_init(cache))
		goto err_exit_evict;
	kc_hints_init(&cache->hints, &cache->table, cache->stats);
	kc_expire_init(&cache->expire, &cache->evict);
	return 0;

err_exit_evict:
	kc_evict_exit(&cache->evict);
	kc_log_exit(&cache->log);
err_exit_table:
	kc_table_exit(&cache->table);
err_exit_arena:
	kc_arena_exit(&cache->arena);
err_free_version:
	free_percpu(cache->version);
err_free_stats:
	free_percpu(cache->stats);
	return err;
}

/**
 * kc_cache_exit() - free all that a cache holds
 * @cache: nobody uses it any more
 */
void kc_cache_exit(struct kc_cache *cache)
{
	kc_shrink_exit(cache);
	kc_expire_exit(&cache->expire);
	cancel_work_sync(&cache->work);
	synchronize_rcu();
	kc_evict_exit(&cache->evict);
	kc_log_exit(&cache->log);
	kc_table_exit(&cache->table);
	kc_arena_uncharge(&cache->arena, fixed_bytes());
	kc_arena_exit(&cache->arena);
	free_percpu(cache->version);
	free_percpu(cache->stats);
}

/* -------- emptying and resizing -------- */

/* Holds the next segment of a queue that was opened before @end, or gives NULL. */
static struct kc_segment *hold_before(struct kc_cache *cache, enum kc_queue queue, u64 end)
{
	struct kc_segment *segment;

	mutex_lock(&cache->arena.mutex);
	do {
		kc_log_collect_locked(&cache->log);
		segment = kc_log_oldest_locked(&cache->log, queue);
		if (segment && segment->opened >= end)
			segment = NULL;
	} while (segment && !kc_log_hold_locked(segment));
	mutex_unlock(&cache->arena.mutex);
	return segment;
}

/* Gives all memory back in which nothing lives. */
static void give_back_free(struct kc_cache *cache)
{
	mutex_lock(&cache->arena.mutex);
	kc_log_collect_locked(&cache->log);
	while (kc_log_drop_pool_locked(&cache->log, 0))
		;
	mutex_unlock(&cache->arena.mutex);
	kc_log_reap(&cache->log);
}

/**
 * kc_cache_flush() - remove every entry
 * @cache: which
 *
 * Entries that are stored meanwhile may stay. The memory goes back.
 *
 * Context: Process context.
 * Return: 0, or -EINTR if the caller was killed: some entries are left then.
 */
int kc_cache_flush(struct kc_cache *cache)
{
	struct kc_evict *evict = &cache->evict;
	struct kc_segment *segment;
	int err = 0;
	u64 end;

	if (mutex_lock_killable(&evict->mutex))
		return -EINTR;
	mutex_lock(&cache->arena.mutex);
	kc_log_seal_lanes_locked(&cache->log);
	end = cache->log.opened;
	mutex_unlock(&cache->arena.mutex);
	evict->nr_flushes++;
	while ((segment = hold_before(cache, KC_SMALL, end) ?:
			  hold_before(cache, KC_MAIN, end))) {
		kc_evict_drop_locked(evict, segment, KC_STAT_flushed);
		kc_log_release(&cache->log, segment);
		mutex_unlock(&evict->mutex);
		cond_resched();
		mutex_lock(&evict->mutex);
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
	}
	evict->nr_flushes--;
	evict->is_needed = false;
	kc_ghost_drop(&evict->ghost);
	give_back_free(cache);
	kc_space_shrink_table(cache);
	mutex_unlock(&evict->mutex);
	if (!err)
		kc_stats_inc(cache->stats, flushes);
	return err;
}

/* Evicts until the limit holds, with one grace period for many segments. */
static void shrink_to_limit(struct kc_cache *cache)
{
	struct kc_arena *arena = &cache->arena;
	u64 used, i;

	while ((used = atomic64_read(&arena->used_bytes)) > arena->max_bytes) {
		for (i = 0; i <= (used - arena->max_bytes) >> arena->chunk_shift; i++)
			if (kc_evict_one_locked(&cache->evict))
				break;
		give_back_free(cache);
		kc_space_shrink_table(cache);
		if (!i)
			break;
	}
}

/**
 * kc_cache_resize() - change the limit
 * @cache: which
 * @max_bytes: new limit, at least KC_CACHE_BYTES_MIN and 16 chunks, at most the
 *	memory of the machine
 *
 * If the cache holds more, entries are evicted and memory goes back, at once.
 *
 * Context: Process context.
 * Return: 0, -EINVAL for the limit, -ENOSPC if there is no memory for a larger
 * directory, -EINTR if the caller was killed while it waited for others.
 */
int kc_cache_resize(struct kc_cache *cache, u64 max_bytes)
{
	struct kc_arena *arena = &cache->arena;
	int err = check_limit(max_bytes);
	u64 before;

	if (err || max_bytes < 16ULL << arena->chunk_shift || max_bytes > arena->most_bytes)
		return -EINVAL;
	if (mutex_lock_killable(&cache->evict.mutex))
		return -EINTR;
	mutex_lock(&arena->mutex);
	before = arena->max_bytes;
	WRITE_ONCE(arena->max_bytes, max_bytes);
	err = kc_log_resize_locked(&cache->log);
	if (err)
		WRITE_ONCE(arena->max_bytes, before);
	mutex_unlock(&arena->mutex);
	if (!err)
		shrink_to_limit(cache);
	mutex_unlock(&cache->evict.mutex);
	return err;
}

/**
 * kc_cache_set_min() - how much memory reclaim leaves to the cache
 * @cache: which
 * @min_bytes: at most the limit
 *
 * Return: 0 or -EINVAL.
 */
int kc_cache_set_min(struct kc_cache *cache, u64 min_bytes)
{
	if (min_bytes > READ_ONCE(cache->arena.max_bytes))
		return -EINVAL;
	WRITE_ONCE(cache->min_bytes, min_bytes);
	return 0;
}

/**
 * kc_cache_set_promote_after() - how many uses prove an entry
 * @cache: which
 * @uses: in the small queue, 1..KCACHE_FREQUENCY_MAX
 *
 * Return: 0 or -EINVAL.
 */
int kc_cache_set_promote_after(struct kc_cache *cache, u32 uses)
{
	if (!uses || uses > KCACHE_FREQUENCY_MAX)
		return -EINVAL;
	WRITE_ONCE(cache->evict.promote_after, uses);
	return 0;
}

/* -------- looking at all of it -------- */

static int copy_found_rcu(struct kc_cache *cache, const struct kcache_found *found,
			  struct kc_copy *copy)
{
	size_t size;
	struct kc_meta meta;
	struct kc_buffer to;
	int err;

	kc_meta_read(found->entry, &meta);
	copy->key_len = kcache_entry_key_len(meta.key_len);
	copy->value_len = meta.value_len;
	copy->client_flags = meta.client_flags;
	copy->version = meta.version;
	if (!kcache_found_is_valid(found))
		return -EAGAIN;
	if (kc_expiry_is_over(meta.expiry_ms))
		return -ENOENT;
	copy->ttl_ms = kc_ttl_left_ms(meta.expiry_ms);
	size = (size_t)copy->key_len + copy->value_len;
	if (size > copy->capacity)
		return -EMSGSIZE;
	to = kc_buffer_kernel(copy->data);
	err = kc_arena_to_nofault(&cache->arena, found->offset +
				  kcache_entry_key_offset(meta.key_len), &to, size);
	return err || !kcache_found_is_valid(found) ? -EAGAIN : 0;
}

static int grow_copy(struct kc_copy *copy)
{
	size_t size = roundup_pow_of_two((size_t)copy->key_len + copy->value_len);

	kvfree(copy->data);
	copy->data = kvmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	copy->capacity = copy->data ? size : 0;
	return copy->data ? 0 : -ENOMEM;
}

/**
 * kc_cache_next() - copy the next entry of a walk over all of them
 * @cache: which
 * @position: in, where the walk stands, first 0; out, where it goes on, 0 after
 *	the last
 * @copy: out; its buffer is made larger as needed
 *
 * An entry that is there all the time is met exactly once, whatever happens to
 * others. Does not count as a use.
 *
 * Context: Process context.
 * Return: 1, 0 at the end, -ENOMEM, -EINTR if the caller is being killed.
 */
int kc_cache_next(struct kc_cache *cache, u64 *position, struct kc_copy *copy)
{
	struct kcache_found found;
	u64 next;
	int err;

	do {
		next = *position;
		rcu_read_lock();
		err = kc_table_scan_rcu(&cache->table, &next, &found);
		if (err != 1) {
			*position = next;
		} else {
			err = copy_found_rcu(cache, &found, copy);
			if (!err || err == -ENOENT)
				*position = next;
			if (!err)
				err = 1;
		}
		rcu_read_unlock();

		if (err >= 0)
			return err;
		if (err == -EMSGSIZE && grow_copy(copy))
			return -ENOMEM;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (err != -ENOENT || *position);
	return 0;
}

/**
 * kc_cache_account() - count what a cache holds
 * @cache: which
 * @account: out; of one moment only if nobody uses the cache
 *
 * Context: Process context.
 */
void kc_cache_account(struct kc_cache *cache, struct kc_cache_account *account)
{
	struct kc_log_bytes bytes;

	mutex_lock(&cache->arena.mutex);
	kc_log_count_locked(&cache->log, &bytes);
	*account = (struct kc_cache_account) {
		.entries = percpu_counter_sum_positive(&cache->table.nr_entries),
		.buckets = cache->table.nr_buckets,
		.overflow_buckets = READ_ONCE(cache->table.nr_overflow_used),
		.bytes_allocated = atomic64_read(&cache->arena.used_bytes),
		.bytes_live = bytes.used - bytes.dead,
		.bytes_dead = bytes.dead,
		.bytes_free = bytes.pooled,
		.bytes_small = bytes.queue[KC_SMALL],
		.bytes_main = bytes.queue[KC_MAIN],
		.segments = bytes.segments,
	};
	mutex_unlock(&cache->arena.mutex);
}
