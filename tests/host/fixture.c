// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "audit.h"
#include "fixture.h"

struct kc_cache *cache;

void start(u64 max_bytes)
{
	shim_set_cpu(0);
	shim_seed(1);
	shim_clock_set_ms(1000);
	cache = cache_new(max_bytes);
}

void stop(void)
{
	shim_unhook();
	cache_delete(cache);
}

struct kc_cache *cache_new(u64 max_bytes)
{
	struct kc_cache *cache = calloc(1, sizeof(*cache));
	int err = kc_cache_init(cache, "test", max_bytes);

	if (err) {
		printf("# no cache of %llu bytes: %d\n", max_bytes, err);
		abort();
	}
	return cache;
}

void cache_delete(struct kc_cache *cache)
{
	if (!audit(cache))
		abort();
	kc_cache_exit(cache);
	rcu_barrier();
	if (atomic64_read(&cache->arena.used_bytes) || shim_bytes_in_use()) {
		printf("# left behind: %lld bytes in the account, %llu in use\n",
		       atomic64_read(&cache->arena.used_bytes), shim_bytes_in_use());
		abort();
	}
	free(cache);
}

int run_op(struct kc_cache *cache, struct kcache_op *op)
{
	struct kc_call call = { .op = *op, .key = (void *)(uintptr_t)op->key };
	int err = kc_call_check(op, KC_READ | KC_WRITE);

	if (err < 0)
		return err;
	call.value = kc_buffer_user((void *)(uintptr_t)op->value);
	call.out = kc_buffer_user((void *)(uintptr_t)op->out);
	err = kc_cache_run(cache, &call);
	if (err == -EMSGSIZE) {
		if (call.op.out_len <= op->out_len)
			shim_die("EMSGSIZE, but it would have fitted");
		op->out_len = call.op.out_len;
	}
	if (err && memcmp(&call.op, op, sizeof(*op)))
		shim_die("an operation that failed has changed its struct");
	*op = call.op;
	return err;
}

struct kcache_op op_on(u32 opcode, const char *key)
{
	return (struct kcache_op) {
		.size = sizeof(struct kcache_op),
		.opcode = opcode,
		.key = (uintptr_t)key,
		.key_len = strlen(key),
	};
}

static struct kcache_op op_bytes(u32 opcode, const void *key, u32 key_len)
{
	return (struct kcache_op) {
		.size = sizeof(struct kcache_op),
		.opcode = opcode,
		.key = (uintptr_t)key,
		.key_len = key_len,
	};
}

int set_ttl(struct kc_cache *cache, const char *key, const char *value, u64 ttl_ms)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, key);

	VALUE(&op, value, strlen(value));
	op.ttl_ms = ttl_ms;
	return run_op(cache, &op);
}

int set(struct kc_cache *cache, const char *key, const char *value)
{
	return set_ttl(cache, key, value, 0);
}

int set_bytes(struct kc_cache *cache, const void *key, u32 key_len, const void *value, u64 len)
{
	struct kcache_op op = op_bytes(KCACHE_OP_SET, key, key_len);

	VALUE(&op, value, len);
	return run_op(cache, &op);
}

s64 get_bytes(struct kc_cache *cache, const void *key, u32 key_len, void *to, u64 size)
{
	struct kcache_op op = op_bytes(KCACHE_OP_GET, key, key_len);
	int err;

	OUT(&op, to, size);
	err = run_op(cache, &op);
	return err ? err : (s64)op.out_len;
}

bool has(struct kc_cache *cache, const char *key, const char *value)
{
	char text[256];
	s64 len = get_bytes(cache, key, strlen(key), text, sizeof(text));

	if (value ? len == (s64)strlen(value) && !memcmp(text, value, len) : len == -ENOENT)
		return true;
	if (len < 0)
		printf("# %s: error %lld, expected \"%s\"\n", key, len, value ? value : "-ENOENT");
	else
		printf("# %s: \"%.*s\", expected \"%s\"\n", key, (int)len, text,
		       value ? value : "-ENOENT");
	return false;
}

int remove_key(struct kc_cache *cache, const char *key)
{
	struct kcache_op op = op_on(KCACHE_OP_REMOVE, key);

	return run_op(cache, &op);
}

int set_if(struct kc_cache *cache, const char *key, const char *value, u32 flags, u64 version,
	   u64 ttl_ms)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, key);

	VALUE(&op, value, strlen(value));
	op.flags = flags;
	op.version = version;
	op.ttl_ms = ttl_ms;
	return run_op(cache, &op);
}

int add(struct kc_cache *cache, const char *key, s64 delta, s64 *sum)
{
	struct kcache_op op = op_on(KCACHE_OP_ADD, key);
	int err;

	op.delta = delta;
	err = run_op(cache, &op);
	*sum = op.number;
	return err;
}

int extend(struct kc_cache *cache, u32 opcode, const char *key, const char *value)
{
	struct kcache_op op = op_on(opcode, key);

	VALUE(&op, value, strlen(value));
	return run_op(cache, &op);
}

int pop(struct kc_cache *cache, const char *key, char *to, size_t size, u64 *len)
{
	struct kcache_op op = op_on(KCACHE_OP_POP, key);
	int err;

	OUT(&op, to, size);
	err = run_op(cache, &op);
	*len = op.out_len;
	return err;
}

struct kcache_op stat_of(struct kc_cache *cache, const char *key)
{
	struct kcache_op op = op_on(KCACHE_OP_STAT, key);

	run_op(cache, &op);
	return op;
}

int stat_error(struct kc_cache *cache, const char *key)
{
	struct kcache_op op = op_on(KCACHE_OP_STAT, key);

	return run_op(cache, &op);
}

u64 entries(struct kc_cache *cache)
{
	struct kc_cache_account account;

	kc_cache_account(cache, &account);
	return account.entries;
}

u64 count_of(struct kc_cache *cache, enum kc_counter which)
{
	return kc_stats_sum(cache->stats, which);
}

static u64 word_at(size_t i, u64 seed)
{
	return (seed + i) * 0x9e3779b97f4a7c15ULL;
}

void fill(void *to, size_t len, u64 seed)
{
	u8 *p = to;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = word_at(i / 8, seed) >> (8 + 8 * (i % 7));
}

bool is_filled(const void *p, size_t len, u64 seed)
{
	const u8 *byte = p;
	size_t i;

	for (i = 0; i < len; i++)
		if (byte[i] != (u8)(word_at(i / 8, seed) >> (8 + 8 * (i % 7))))
			return false;
	return true;
}
