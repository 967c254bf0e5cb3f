/* SPDX-License-Identifier: GPL-2.0 */
/*
 * space: memory for the log and the table, within the limit.
 *
 * Owns the order in which memory is looked for: what is free, what is dead, what
 * eviction frees; and the worker that sees to it that there mostly is some.
 * Promises that whoever waits here holds nothing, and that a caller who is being
 * killed does not wait.
 */
#ifndef KC_SPACE_H
#define KC_SPACE_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct kc_cache;
struct kc_room;

int kc_space_refill(struct kc_cache *cache, u32 size, u32 whole);
int kc_space_open_run(struct kc_cache *cache, u32 size, struct kc_room *room);
int kc_space_grow_overflow(struct kc_cache *cache);
void kc_space_grow_table(struct kc_cache *cache);
void kc_space_shrink_table(struct kc_cache *cache);

void kc_space_wake(struct kc_cache *cache);
void kc_space_work(struct work_struct *work);

#endif /* KC_SPACE_H */
