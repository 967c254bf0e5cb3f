/* SPDX-License-Identifier: GPL-2.0 */
/*
 * audit: is a cache that nobody uses now what its rooms promise?
 *
 * Walks all there is, segments and buckets, and compares: each slot leads to one
 * live entry of its hash and each live entry has one slot; chains are packed and
 * overflow buckets neither lost nor shared; what segments and counters say is what
 * is there; the account is the memory that is in use, within the limit; the next
 * expiry is never later than an expiry. Changes nothing.
 */
#ifndef AUDIT_H
#define AUDIT_H

#include "cache.h"

/* False, and reasons on stdout, if there is anything wrong. */
bool audit(struct kc_cache *cache);

/* The same but for the memory in use: an operation waits that has a buffer of its own. */
bool audit_contents(struct kc_cache *cache);

#endif /* AUDIT_H */
