// SPDX-License-Identifier: GPL-2.0
/*
 * core: the core of the module, the very same files, as a cache to replay on.
 *
 * It gets all the memory there is as max_bytes, and so pays for table, segments
 * and dead space from it. Its clock shows the time of the request, and its
 * delayed work runs when that time has come.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/rcupdate.h>
#include <linux/sizes.h>

#include "ops.h"
#include "replay.h"
#include "shim/memory.h"
#include "shim/shim.h"

/* So many requests on, work that is due runs at the latest. */
#define WORK_EVERY	16
/* The clock of expiry begins here: 0 would mean never. */
#define BOOT_MS		1000

struct core {
	struct kc_cache cache;
	u32 *value_len;		/* of the last SET, by object: what a hit must give */
	u32 requests;
	struct cache_account account;
};

static u8 buffer[KC_VALUE_MAX];

/* -------- operations -------- */

static int run(struct core *core, struct kcache_op *op)
{
	struct kc_call call = { .op = *op, .key = (void *)(uintptr_t)op->key };
	int err = kc_call_check(op, KC_READ | KC_WRITE);

	if (err < 0)
		return err;
	call.value = kc_buffer_user((void *)(uintptr_t)op->value);
	call.out = kc_buffer_user((void *)(uintptr_t)op->out);
	err = kc_cache_run(&core->cache, &call);
	*op = call.op;
	return err;
}

static void let_time_pass(struct core *core, u64 time_ms)
{
	bool is_later = BOOT_MS + time_ms != shim_clock_ms();

	if (is_later)
		shim_clock_set_ms(BOOT_MS + time_ms);
	if (is_later || !(++core->requests % WORK_EVERY))
		shim_run_work();
}

static struct kcache_op op_on(u32 opcode, char key[KEY_LEN], u32 object)
{
	make_key(key, object);
	return (struct kcache_op) {
		.size = sizeof(struct kcache_op),
		.opcode = opcode,
		.key = (uintptr_t)key,
		.key_len = KEY_LEN,
	};
}

static void die(const char *what, u32 object, int err)
{
	fprintf(stderr, "replay: %s of object %u: error %d\n", what, object, err);
	abort();
}

static bool core_get(void *cache, const struct request *request)
{
	struct core *core = cache;
	char key[KEY_LEN];
	struct kcache_op op = op_on(KCACHE_OP_GET, key, request->object);
	int err;

	let_time_pass(core, request->time_ms);
	op.out = (uintptr_t)buffer;
	op.out_len = sizeof(buffer);
	err = run(core, &op);
	if (err && err != -ENOENT)
		die("GET", request->object, err);
	if (!err && op.out_len != core->value_len[request->object])
		die("GET (another length than was stored)", request->object, 0);
	return !err;
}

static void core_remove(void *cache, const struct request *request)
{
	char key[KEY_LEN];
	struct kcache_op op = op_on(KCACHE_OP_REMOVE, key, request->object);

	run(cache, &op);
}

static void core_set(void *cache, const struct request *request)
{
	struct core *core = cache;
	char key[KEY_LEN];
	struct kcache_op op = op_on(KCACHE_OP_SET, key, request->object);
	int err;

	let_time_pass(core, request->time_ms);
	op.value = (uintptr_t)buffer;
	op.value_len = request->size;
	op.ttl_ms = request->ttl_ms;
	err = run(core, &op);
	if (!err) {
		core->value_len[request->object] = request->size;
		core->account.inserted += kcache_entry_size(KEY_LEN, request->size);
		return;
	}
	if (err != -EFBIG && err != -ENOSPC)
		die("SET", request->object, err);
	*(err == -EFBIG ? &core->account.too_large : &core->account.failed) += 1;
	core_remove(cache, request);
}

/* -------- the whole -------- */

static void *core_open(const struct trace *trace, const struct cache_options *options)
{
	struct core *core = calloc(1, sizeof(*core));
	int err;

	core->value_len = calloc(trace->nr_objects + 1, sizeof(*core->value_len));
	/* Private pages that come and go would leave more mappings than the kernel allows. */
	shim_pool_share(SHIM_POOL_BYTES);
	shim_set_cpu(0);
	shim_seed(1);
	shim_clock_set_ms(BOOT_MS);
	err = kc_cache_init(&core->cache, "replay", options->bytes);
	if (!err)
		return core;
	fprintf(stderr, "replay: no cache of %llu bytes: error %d\n",
		(unsigned long long)options->bytes, err);
	free(core->value_len);
	free(core);
	return NULL;
}

static void core_account(void *cache, struct cache_account *account)
{
	struct core *core = cache;
	struct kc_cache_account now;

	kc_cache_account(&core->cache, &now);
	*account = core->account;
	account->copied = kc_stats_sum(core->cache.stats, KC_STAT_moved_bytes);
	account->promotions = kc_stats_sum(core->cache.stats, KC_STAT_promotions);
	account->ghost_hits = kc_stats_sum(core->cache.stats, KC_STAT_ghost_hits);
	account->entries = now.entries;
	account->allocated = now.bytes_allocated;
	account->live = now.bytes_live;
	account->dead = now.bytes_dead;
	account->unused = now.bytes_free;
	account->small = now.bytes_small;
	account->main = now.bytes_main;
	account->tails = now.bytes_small + now.bytes_main - now.bytes_live - now.bytes_dead;
	account->table = (now.buckets + now.overflow_buckets) * sizeof(struct kcache_bucket);
	account->payload = now.bytes_live - now.entries *
			   (sizeof(struct kcache_entry) + (KCACHE_ALIGN - 1) / 2.0);
}

static void core_close(void *cache)
{
	struct core *core = cache;

	kc_cache_exit(&core->cache);
	rcu_barrier();
	free(core->value_len);
	free(core);
}

const struct cache_ops core_cache = {
	.name = "kcache",
	.open = core_open,
	.get = core_get,
	.set = core_set,
	.remove = core_remove,
	.account = core_account,
	.close = core_close,
};
