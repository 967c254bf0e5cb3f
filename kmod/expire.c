// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/sched.h>

#include "expire.h"

#define PERIOD_MS	1000

/* Of the time from pass to pass, a pass takes one part. */
#define PARTS		10

/* Unlinks what has expired in a segment and finds out when to come again. */
static void scan_segment_locked(struct kc_evict *evict, struct kc_segment *segment)
{
	struct kcache_entry *entry;
	struct kcache_found found;
	struct kc_log_cursor cursor = { 0 };
	u64 offset;

	lockdep_assert_held(&evict->mutex);
	kc_log_wait_readable(segment);
	WRITE_ONCE(segment->next_expiry_ms, U64_MAX);
	smp_mb();	/* pairs with the one in kc_log_note_expiry_rcu() */
	rcu_read_lock();
	while ((entry = kc_log_walk_rcu(evict->log, segment, &cursor, &offset))) {
		u64 hash;

		if (!kc_entry_expiry_ms(entry))
			continue;
		hash = kc_table_hash_entry(evict->table, entry);
		kc_table_lock(evict->table, hash);
		if (kc_table_find_offset_locked(evict->table, hash, offset, &found)) {
			if (kc_entry_is_expired(entry)) {
				kc_stats_inc(evict->stats, expirations);
				kc_evict_unlink_rcu(evict, hash, &found);
			} else {
				kc_log_note_expiry_rcu(evict->log, offset,
						       kc_entry_expiry_ms(entry));
			}
		}
		kc_table_unlock(evict->table, hash);
		rcu_read_unlock();
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
}

/* Lists the segments in which something is due, and says whether something will be. */
static bool collect_due_locked(struct kc_log *log, struct list_head *due)
{
	bool is_more = false, is_open = false;
	struct kc_segment *segment;
	u64 now = kc_now_ms();
	int queue;

	for (queue = 0; queue < KC_NR_QUEUES; queue++) {
		list_for_each_entry(segment, &log->queue[queue], link) {
			u64 next = READ_ONCE(segment->next_expiry_ms);

			is_more |= next != U64_MAX;
			if (next <= now) {
				is_open |= !kc_segment_is_sealed(segment);
				list_add_tail(&segment->due_link, due);
			}
		}
	}
	if (is_open)
		kc_log_seal_lanes_locked(log);
	return is_more;
}

/* Takes the next segment from the list and holds it. NULL: the list is empty. */
static struct kc_segment *hold_due(struct kc_log *log, struct list_head *due)
{
	struct kc_segment *segment;

	mutex_lock(&log->arena->mutex);
	while ((segment = list_first_entry_or_null(due, struct kc_segment, due_link))) {
		list_del_init(&segment->due_link);
		if (kc_segment_is_sealed(segment) && kc_log_hold_locked(segment))
			break;
	}
	mutex_unlock(&log->arena->mutex);
	return segment;
}

/* Gives all memory back that is free. */
static void give_back(struct kc_log *log)
{
	mutex_lock(&log->arena->mutex);
	kc_log_collect_locked(log);
	while (kc_log_drop_pool_locked(log, 0))
		;
	mutex_unlock(&log->arena->mutex);
	kc_log_reap(log);
}

/**
 * kc_expire_pass() - take out every entry that has expired
 * @expire: of the cache
 *
 * Segments that are mostly dead then are compacted, and memory that is free
 * goes back to the system.
 *
 * Context: Process context, not concurrently with itself. Takes and releases
 * evict->mutex segment by segment.
 * Return: whether there are entries that will expire.
 */
bool kc_expire_pass(struct kc_expire *expire)
{
	struct kc_evict *evict = expire->evict;
	struct kc_log *log = evict->log;
	struct kc_segment *segment;
	LIST_HEAD(due);
	bool is_more, is_any;

	mutex_lock(&evict->mutex);
	mutex_lock(&log->arena->mutex);
	is_more = collect_due_locked(log, &due);
	mutex_unlock(&log->arena->mutex);
	is_any = !list_empty(&due);
	while ((segment = hold_due(log, &due))) {
		scan_segment_locked(evict, segment);
		if (kc_segment_is_mostly_dead(segment))
			kc_evict_compact_locked(evict, segment);
		kc_log_release(log, segment);
		mutex_unlock(&evict->mutex);
		cond_resched();
		mutex_lock(&evict->mutex);
	}
	mutex_unlock(&evict->mutex);
	if (is_any)
		give_back(log);
	return is_more;
}

static void expire_work(struct work_struct *work)
{
	struct kc_expire *expire = container_of(work, struct kc_expire, work.work);
	unsigned long before = jiffies, took;

	if (!kc_expire_pass(expire))
		return;
	took = jiffies - before;
	queue_delayed_work(system_unbound_wq, &expire->work,
			   max(msecs_to_jiffies(PERIOD_MS), took * (PARTS - 1)));
}

void kc_expire_init(struct kc_expire *expire, struct kc_evict *evict)
{
	expire->evict = evict;
	INIT_DELAYED_WORK(&expire->work, expire_work);
}

void kc_expire_exit(struct kc_expire *expire)
{
	cancel_delayed_work_sync(&expire->work);
}

/**
 * kc_expire_arm() - an entry has been stored that will expire
 * @expire: of the cache
 *
 * Context: Any.
 */
void kc_expire_arm(struct kc_expire *expire)
{
	if (!delayed_work_pending(&expire->work))
		queue_delayed_work(system_unbound_wq, &expire->work, msecs_to_jiffies(PERIOD_MS));
}
