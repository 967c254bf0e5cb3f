// SPDX-License-Identifier: GPL-2.0
#include <linux/bits.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "hints.h"

/* A count that jumps further between two looks is not believed. */
#define JUMP_MAX	BIT_ULL(32)

static_assert(sizeof(struct kcache_hint_lane) == 512);
static_assert(sizeof(struct kcache_hints) <= PAGE_SIZE);

void kc_hints_init(struct kc_hint_pages *pages, struct kc_table *table,
		   struct kc_stats __percpu *stats)
{
	mutex_init(&pages->mutex);
	INIT_LIST_HEAD(&pages->pages);
	pages->table = table;
	pages->stats = stats;
}

static void take_count(u64 *seen, u64 now, u64 __percpu *count)
{
	if (now - *seen <= JUMP_MAX)
		this_cpu_add(*count, now - *seen);
	*seen = now;
}

static void take_locked(struct kc_hint_pages *pages, struct kc_hint_page *page)
{
	u64 hash;
	int i;

	lockdep_assert_held(&pages->mutex);
	for (i = 0; i < KCACHE_HINT_LANES; i++) {
		struct kcache_hint_lane *lane = &page->shared->lane[i];
		u32 nr = READ_ONCE(lane->nr);
		u32 new = min_t(u32, nr - page->seen[i].nr, KCACHE_LANE_HINTS);

		page->seen[i].nr = nr;
		rcu_read_lock();
		for (; new; new--) {
			hash = READ_ONCE(lane->hash[(nr - new) % KCACHE_LANE_HINTS]);
			kc_table_use_hash_rcu(pages->table, hash);
		}
		rcu_read_unlock();
		take_count(&page->seen[i].hits, READ_ONCE(lane->hits),
			   &pages->stats->count[KC_STAT_hits]);
		take_count(&page->seen[i].misses, READ_ONCE(lane->misses),
			   &pages->stats->count[KC_STAT_misses]);
	}
}

/**
 * kc_hints_open() - have a page to share
 * @pages: of the cache
 * @page: of the open file, zeroed at first
 *
 * Context: Process context.
 * Return: 0, also if it was there, or -ENOMEM.
 */
int kc_hints_open(struct kc_hint_pages *pages, struct kc_hint_page *page)
{
	int err = 0;

	mutex_lock(&pages->mutex);
	if (!page->shared) {
		page->shared = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (page->shared)
			list_add(&page->link, &pages->pages);
		else
			err = -ENOMEM;
	}
	mutex_unlock(&pages->mutex);
	return err;
}

/* The open file goes: takes note of the last hints. */
void kc_hints_close(struct kc_hint_pages *pages, struct kc_hint_page *page)
{
	if (!page->shared)
		return;
	mutex_lock(&pages->mutex);
	take_locked(pages, page);
	list_del(&page->link);
	mutex_unlock(&pages->mutex);
	free_page((unsigned long)page->shared);
}

/* Takes note of what one open file's readers have written. */
void kc_hints_take(struct kc_hint_pages *pages, struct kc_hint_page *page)
{
	mutex_lock(&pages->mutex);
	if (page->shared)
		take_locked(pages, page);
	mutex_unlock(&pages->mutex);
}

/**
 * kc_hints_take_some() - take note of what some open files' readers have written
 * @pages: of the cache
 * @nr: how many files at the most, those whose turn it is
 *
 * A page holds few hints, and its readers see to it that none is overrun, so
 * those that have to wait do not lose much.
 */
void kc_hints_take_some(struct kc_hint_pages *pages, u32 nr)
{
	struct kc_hint_page *page, *first = NULL;

	if (!mutex_trylock(&pages->mutex))
		return;
	while (nr-- && !list_empty(&pages->pages)) {
		page = list_first_entry(&pages->pages, struct kc_hint_page, link);
		if (page == first)
			break;
		first = first ?: page;
		take_locked(pages, page);
		list_move_tail(&page->link, &pages->pages);
	}
	mutex_unlock(&pages->mutex);
}

/* The same of all open files, so that the statistics are of now. */
void kc_hints_take_all(struct kc_hint_pages *pages)
{
	struct kc_hint_page *page;

	mutex_lock(&pages->mutex);
	list_for_each_entry(page, &pages->pages, link) {
		take_locked(pages, page);
		cond_resched();
	}
	mutex_unlock(&pages->mutex);
}
