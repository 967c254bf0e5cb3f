/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ops: the operations.
 *
 * Promises that each operation is atomic against all others, that one that fails
 * changes nothing, and that nothing is held over a page fault.
 *
 * Readers take no lock: RCU keeps the memory, the seq of the bucket proves the
 * copy. A writer reserves room, fills it, takes the stripe, lets the slot lead
 * to it and releases the stripe, all in one RCU read section with page faults
 * off. On a fault it gives the room up, brings the value in through a buffer of
 * its own, and reserves again.
 */
#ifndef KC_OPS_H
#define KC_OPS_H

#include <linux/types.h>

#include "cache.h"
#include "uapi/linux/kcache.h"

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
	struct kc_buffer value;
	struct kc_buffer out;
};

int kc_call_check(const struct kcache_op *op, unsigned int access);
int kc_op_get(struct kc_cache *cache, struct kc_call *call);
int kc_op_set(struct kc_cache *cache, struct kc_call *call);
int kc_op_other(struct kc_cache *cache, struct kc_call *call);

/**
 * kc_cache_run() - do one operation
 * @cache: on which
 * @call: the operation, checked; on success its op has the results
 *
 * Context: Process context, may sleep and fault the caller's buffers in.
 * Return: 0 or an error as listed in the contract. An operation that failed has
 * changed nothing, but for op.out_len on -EMSGSIZE.
 */
static __always_inline int kc_cache_run(struct kc_cache *cache, struct kc_call *call)
{
	if (likely(call->op.opcode == KCACHE_OP_GET))
		return kc_op_get(cache, call);
	if (likely(call->op.opcode == KCACHE_OP_SET))
		return kc_op_set(cache, call);
	return kc_op_other(cache, call);
}

/* kc_call_check() with the answer for a plain GET or SET, as most calls are, in line. */
static __always_inline int kc_call_check_quickly(const struct kcache_op *op, unsigned int access)
{
	if (likely(op->opcode == KCACHE_OP_GET && !op->flags && !op->error &&
		   op->key_len - 1 < KCACHE_KEY_MAX && access & KC_READ))
		return KC_READ;
	if (likely(op->opcode == KCACHE_OP_SET && !op->flags && !op->error && !op->ttl_ms &&
		   op->key_len - 1 < KCACHE_KEY_MAX && access & KC_WRITE))
		return KC_WRITE;
	return kc_call_check(op, access);
}

u32 kc_cache_opcodes(void);
u32 kc_cache_flags(void);

#endif /* KC_OPS_H */
