// SPDX-License-Identifier: GPL-2.0
/*
 * The core of the module in this process, on the simulated kernel of tests/host:
 * what an operation costs on this CPU without the way into a kernel, but with the
 * simulation's checks on each lock and each RCU section.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "../bench.h"
#include "core.h"
#include "ops.h"
#include "shim/shim.h"

struct kc_cache *core_cache;
static int nr_connected;

int core_start(const struct setup *setup)
{
	shim_clock_set_ms(1000);
	core_cache = calloc(1, sizeof(*core_cache));
	return kc_cache_init(core_cache, "bench", setup->bytes);
}

void core_stop(void)
{
	kc_cache_exit(core_cache);
	rcu_barrier();
	free(core_cache);
}

uint64_t core_bytes(void)
{
	struct kc_cache_account account;

	kc_cache_account(core_cache, &account);
	return account.bytes_allocated;
}

void *core_connect(void)
{
	shim_set_cpu(__atomic_fetch_add(&nr_connected, 1, __ATOMIC_RELAXED) % nr_cpu_ids);
	return core_cache;
}

void core_disconnect(void *client)
{
	(void)client;
}

static long run(struct kcache_op *op)
{
	struct kc_call call = { .op = *op, .key = (void *)(uintptr_t)op->key };
	int err = kc_call_check(op, KC_READ | KC_WRITE);

	if (err < 0)
		return err;
	call.value = kc_buffer_user((void *)(uintptr_t)op->value);
	call.out = kc_buffer_user((void *)(uintptr_t)op->out);
	err = kc_cache_run(core_cache, &call);
	return err ? err : (long)call.op.out_len;
}

long core_get(void *client, const char *key, void *out, size_t size)
{
	struct kcache_op op = {
		.size = sizeof(op),
		.opcode = KCACHE_OP_GET,
		.key = (uintptr_t)key,
		.key_len = KEY_LEN,
		.out = (uintptr_t)out,
		.out_len = size,
	};

	return run(&op);
}

long core_set(void *client, const char *key, const void *value, size_t len)
{
	struct kcache_op op = {
		.size = sizeof(op),
		.opcode = KCACHE_OP_SET,
		.key = (uintptr_t)key,
		.key_len = KEY_LEN,
		.value = (uintptr_t)value,
		.value_len = len,
	};
	long err = run(&op);

	return err < 0 ? err : 0;
}

static long pop(void *client, const char *key, void *out, size_t size)
{
	struct kcache_op op = {
		.size = sizeof(op),
		.opcode = KCACHE_OP_POP,
		.key = (uintptr_t)key,
		.key_len = KEY_LEN,
		.out = (uintptr_t)out,
		.out_len = size,
	};

	return run(&op);
}

const struct peer peer_core = {
	.name = "kcache core",
	.how = "the module's core in this process on the simulated kernel of tests/host (with its "
	       "checks): what SET, POP and GET do, without the way into a kernel",
	.in_process = true,
	.evicts = true,
	.learns = true,
	.is_writer_tested = true,
	.counts_itself = true,
	.start = core_start, .stop = core_stop, .bytes = core_bytes,
	.connect = core_connect, .disconnect = core_disconnect,
	.get = core_get, .set = core_set, .pop = pop,
};
