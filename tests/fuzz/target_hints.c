// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of hints that their readers fill with anything, at any time: while operations run,
 * and, by a hook, while note is taken of them. The operations are a history, so nothing
 * but what is evicted may change; of hits and misses, the count is known.
 */
#include <string.h>

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "choose.h"
#include "fuzz.h"
#include "history.h"

#define NR_PAGES	3
#define NR_KEYS		100
#define JUMP_MAX	(1ULL << 32)

static struct kc_hint_page pages[NR_PAGES];

static u64 any_number(void)
{
	switch (choose(4)) {
	case 0:
		return choose(3 * KCACHE_LANE_HINTS);
	case 1:
		return choose(256) - 128;
	case 2:
		return JUMP_MAX + choose(256) - 128;
	}
	return choose_any();
}

static u64 any_hash(void)
{
	const char *key = history_key(choose(NR_KEYS));
	u64 hash = kc_table_hash(&cache->table, key, strlen(key));

	switch (choose(4)) {
	case 0:
		return hash ^ 1ULL << choose(64);
	case 1:
		return choose_any();
	}
	return hash;
}

/* A word of a page that is about to be written. */
struct change {
	struct kcache_hints *page;
	u64 word;
	u64 value;
	bool fills_lane;
};

static struct change choose_change(void)
{
	struct change change = {
		.page = pages[choose(NR_PAGES)].shared,
		.word = choose(KCACHE_HINT_LANES) * sizeof(struct kcache_hint_lane) / 8,
	};
	u64 what = choose(8);

	if (what < 3) {		/* hits, misses, nr */
		change.word += what;
		change.value = any_number();
	} else {
		change.fills_lane = what == 3;
		change.word += 8 + choose(KCACHE_LANE_HINTS);
		change.value = any_hash();
	}
	return change;
}

static void apply(void *arg)
{
	struct change *change = arg;
	u64 *words = (u64 *)change->page, i, lane = change->word / 64 * 64;

	if (!change->page)
		return;
	WRITE_ONCE(words[change->word], change->value);
	if (change->fills_lane) {
		for (i = 8; i < 64; i++)
			WRITE_ONCE(words[lane + i], change->value);
		WRITE_ONCE(*(u32 *)&words[lane + 2], *(u32 *)&words[lane + 2] + KCACHE_LANE_HINTS);
	}
}

/* What taking note of it will add. */
static void add_expected(const struct kc_hint_page *page, u64 *hits, u64 *misses)
{
	u64 i, more;

	for (i = 0; page->shared && i < KCACHE_HINT_LANES; i++) {
		more = page->shared->lane[i].hits - page->seen[i].hits;
		*hits += more > JUMP_MAX ? 0 : more;
		more = page->shared->lane[i].misses - page->seen[i].misses;
		*misses += more > JUMP_MAX ? 0 : more;
	}
}

static void take(void)
{
	u64 hits = count_of(cache, KC_STAT_hits), misses = count_of(cache, KC_STAT_misses), i;
	u64 before = entries(cache), which = choose(NR_PAGES + 1);

	for (i = 0; i < NR_PAGES; i++)
		if (i == which || which == NR_PAGES)
			add_expected(&pages[i], &hits, &misses);
	if (which == NR_PAGES)
		kc_hints_take_all(&cache->hints);
	else
		kc_hints_take(&cache->hints, &pages[which]);
	DEMAND(count_of(cache, KC_STAT_hits) == hits);
	DEMAND(count_of(cache, KC_STAT_misses) == misses);
	DEMAND(entries(cache) == before);
}

/* The same with a reader that writes meanwhile. */
static void take_and_change(void)
{
	struct change change = choose_change();
	u64 before = entries(cache);

	shim_hook(SHIM_AT_ACQUIRE, 1 + choose(60), apply, &change);
	kc_hints_take_all(&cache->hints);
	shim_unhook();
	DEMAND(entries(cache) == before);
}

static void open_or_close(void)
{
	struct kc_hint_page *page = &pages[choose(NR_PAGES)];

	if (!page->shared || choose(2)) {
		DEMAND(!kc_hints_open(&cache->hints, page));
		return;
	}
	kc_hints_close(&cache->hints, page);
	memset(page, 0, sizeof(*page));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct history_of some = {
		.max_bytes = MiB, .most_bytes = 2 * MiB, .longest = 40000, .nr_keys = NR_KEYS,
		.is_lossy = true, .is_not_alone = true,
	};
	struct change change;
	int i;

	if (!size)
		return 0;
	choose_from(data, size);
	history_begin(&some);
	DEMAND(!kc_hints_open(&cache->hints, &pages[0]));
	while (!choose_is_over()) {
		switch (choose(8)) {
		case 0:
		case 1:
		case 2:
			change = choose_change();
			apply(&change);
			break;
		case 3:
			take();
			break;
		case 4:
			if (choose(4) == 1)
				take_and_change();
			break;
		case 5:
			if (choose(4) == 1)
				open_or_close();
			break;
		default:
			DEMAND(history_step());
		}
	}
	DEMAND(history_scan());
	for (i = 0; i < NR_PAGES; i++)
		kc_hints_close(&cache->hints, &pages[i]);
	memset(pages, 0, sizeof(pages));
	history_end();
	return 0;
}
