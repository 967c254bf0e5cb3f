/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shrink: gives memory back when the system needs it.
 *
 * Owns the shrinker of a cache. It retires the coldest segments and promises to do
 * so without allocating, waiting for a lock or for readers: the memory itself goes
 * back from the worker of space, after a grace period and after mappings have
 * forgotten it, neither of which may be waited for in reclaim.
 */
#ifndef KC_SHRINK_H
#define KC_SHRINK_H

struct kc_cache;

int kc_shrink_init(struct kc_cache *cache);
void kc_shrink_exit(struct kc_cache *cache);

#endif /* KC_SHRINK_H */
