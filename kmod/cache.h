/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cache: the operations, composed from the rooms below.
 *
 * Owns one cache: its limits, its versions and the order in which its rooms are
 * used. Promises that each operation is atomic against all others, that one that
 * fails changes nothing, and that nothing is held over a page fault.
 *
 * Lock order, outermost first:
 *
 *   arena->mutex > table->stripe[i].lock > table->overflow_lock
 *
 * Readers take no lock: RCU keeps the memory, the seq of the bucket proves the
 * copy. A writer reserves room, fills it, takes the stripe, lets the slot lead
 * to it and releases the stripe, all in one RCU read section with page faults
 * off. On a fault it gives the room up, brings the value in through a buffer of
 * its own, and reserves again.
 */
#ifndef KC_CACHE_H
#define KC_CACHE_H

#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uio.h>

#include "arena.h"
#include "evict.h"
#include "expire.h"
#include "log.h"
#include "stats.h"
#include "table.h"
#include "uapi/linux/kcache.h"

#define KC_CACHE_BYTES_MIN	SZ_1M
#define KC_VALUE_MAX		SZ_16M
#define KC_NAME_MAX		32

struct kc_cache {
	char name[KC_NAME_MAX];		/* constant */
	struct kc_arena arena;
	struct kc_table table;
	struct kc_log log;
	struct kc_evict evict;
	struct kc_expire expire;
	struct kc_stats __percpu *stats;
	u64 __percpu *version;		/* the last one given out by each CPU */
};

/* What a caller may do, from how its descriptor was opened. */
#define KC_READ		1
#define KC_WRITE	2

/**
 * struct kc_call - one operation in flight
 * @op: the request, checked by kc_call_check(); takes the results
 * @key: op.key_len bytes, not in user memory
 * @value: op.value_len bytes, for SET, APPEND and PREPEND
 * @out: op.out_len bytes, for GET, POP and SET with KCACHE_RETURN_OLD
 */
struct kc_call {
	struct kcache_op op;
	const void *key;
	struct iov_iter value;
	struct iov_iter out;
};

int kc_cache_init(struct kc_cache *cache, const char *name, u64 max_bytes);
void kc_cache_exit(struct kc_cache *cache);

int kc_call_check(const struct kcache_op *op, unsigned int access);
int kc_cache_run(struct kc_cache *cache, struct kc_call *call);

int kc_cache_flush(struct kc_cache *cache);
int kc_cache_resize(struct kc_cache *cache, u64 max_bytes);

u64 kc_cache_value_max(struct kc_cache *cache);
u32 kc_cache_opcodes(void);
u32 kc_cache_flags(void);

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
	u64 segments;
};

void kc_cache_account(struct kc_cache *cache, struct kc_cache_account *account);

#endif /* KC_CACHE_H */
