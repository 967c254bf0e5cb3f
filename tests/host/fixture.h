/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fixture: a cache to test on, and operations on it as a caller makes them.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "ops.h"
#include "shim/shim.h"

#define KiB	(1ULL << 10)
#define MiB	(1ULL << 20)

/* The cache of a unit test: on CPU 0, at a known time, with a known hash. */
extern struct kc_cache *cache;
void start(u64 max_bytes);
void stop(void);

/* Aborts if there is none. */
struct kc_cache *cache_new(u64 max_bytes);
/* Also sees to it that nothing is left behind, in memory or in accounts. */
void cache_delete(struct kc_cache *cache);

/*
 * Does what the ioctl does: checks @op, whose key, value and out are addresses,
 * runs it, and carries the results back. Sees to it that one that fails leaves
 * @op as it was, but for out_len on -EMSGSIZE.
 */
int run_op(struct kc_cache *cache, struct kcache_op *op);

/* An operation on the key in a string; more goes in through the struct. */
struct kcache_op op_on(u32 opcode, const char *key);

#define VALUE(op, p, len)	((op)->value = (uintptr_t)(p), (op)->value_len = (len))
#define OUT(op, p, len)		((op)->out = (uintptr_t)(p), (op)->out_len = (len))

int set(struct kc_cache *cache, const char *key, const char *value);
int set_ttl(struct kc_cache *cache, const char *key, const char *value, u64 ttl_ms);
int set_bytes(struct kc_cache *cache, const void *key, u32 key_len, const void *value, u64 len);
/* Length of the value or an error. */
s64 get_bytes(struct kc_cache *cache, const void *key, u32 key_len, void *to, u64 size);
/* Is @value what GET gives? NULL: nothing. Says on stdout what there is instead. */
bool has(struct kc_cache *cache, const char *key, const char *value);
int remove_key(struct kc_cache *cache, const char *key);
/* SET with @flags, and @version for KCACHE_IF_VERSION. */
int set_if(struct kc_cache *cache, const char *key, const char *value, u32 flags, u64 version,
	   u64 ttl_ms);
int add(struct kc_cache *cache, const char *key, s64 delta, s64 *sum);
/* APPEND or PREPEND. */
int extend(struct kc_cache *cache, u32 opcode, const char *key, const char *value);
int pop(struct kc_cache *cache, const char *key, char *to, size_t size, u64 *len);
/* What STAT tells; version 0 if there is nothing. */
struct kcache_op stat_of(struct kc_cache *cache, const char *key);
int stat_error(struct kc_cache *cache, const char *key);

u64 entries(struct kc_cache *cache);
u64 count_of(struct kc_cache *cache, enum kc_counter which);

/* A value of @len bytes that tells its place and @seed, and whether it is that. */
void fill(void *to, size_t len, u64 seed);
bool is_filled(const void *p, size_t len, u64 seed);

#endif /* FIXTURE_H */
