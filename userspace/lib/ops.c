// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The operations. Each call fills a struct kcache_op and hands it to
 * kcache_run(), the one place where an operation leaves for the kernel.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "internal.h"

#define FIRST_GUESS	4096	/* bytes; most values fit, and malloc() has it at hand */

int kcache_run(struct kcache *cache, struct kcache_op *op)
{
	return (int)kcache_system_call(SYS_ioctl, cache->fd, KCACHE_IOC_OP, (long)op);
}

/* Room for @len bytes, somewhat more, as the value may be growing, and a NUL. */
static int make_room(void **value, size_t *size, uint64_t len)
{
	uint64_t want = len + len / 8;
	void *new;

	if (want >= SIZE_MAX)
		return -ENOMEM;
	new = realloc(*value, (size_t)want + 1);
	if (!new)
		return -ENOMEM;
	*value = new;
	*size = (size_t)want;
	return 0;
}

/* Gives back what is too much, and puts the NUL. */
static void *trim(void *value, size_t len)
{
	char *exact = realloc(value, len + 1);

	if (!exact)
		exact = value;
	exact[len] = '\0';
	return exact;
}

/*
 * Works in the caller's struct, which may be longer than the one known here.
 * Ends, as the buffer only grows, and no value outgrows the cache's limit.
 */
int kcache_run_alloc(struct kcache *cache, struct kcache_op *op, void **value)
{
	void *buf = NULL;
	size_t size = 0;
	int err;

	op->out_len = FIRST_GUESS;
	do {
		err = make_room(&buf, &size, op->out_len);
		if (err)
			break;
		op->out = (uintptr_t)buf;
		op->out_len = size;
		err = kcache_run(cache, op);
	} while (err == -EMSGSIZE);

	if (err || op->out_len == KCACHE_ABSENT) {
		free(buf);
		buf = NULL;
	}
	if (!err)
		*value = buf ? trim(buf, (size_t)op->out_len) : NULL;
	return err;
}

/* The length as a size_t; one that does not fit stays too long. */
static size_t length(uint64_t len)
{
	return len < SIZE_MAX ? (size_t)len : SIZE_MAX;
}

static int run_value(struct kcache *cache, struct kcache_op *op, size_t *value_len)
{
	int err = kcache_run(cache, op);

	if (!err || err == -EMSGSIZE)
		*value_len = length(op->out_len);
	return err;
}

static int run_value_alloc(struct kcache *cache, struct kcache_op *op,
			   void **value, size_t *value_len)
{
	int err = kcache_run_alloc(cache, op, value);

	if (!err)
		*value_len = length(op->out_len);
	return err;
}

int kcache_get_by_call(struct kcache *cache, const void *key, size_t key_len,
		       void *value, size_t size, size_t *value_len)
{
	struct kcache_op op;

	kcache_prep_get(&op, key, key_len, value, size);
	return run_value(cache, &op, value_len);
}

/* As kcache_run_alloc(). */
int kcache_get_alloc(struct kcache *cache, const void *key, size_t key_len,
		     void **value, size_t *value_len)
{
	size_t len = FIRST_GUESS, size = 0;
	void *buf = NULL;
	int err;

	do {
		err = make_room(&buf, &size, len);
		if (!err)
			err = kcache_get(cache, key, key_len, buf, size, &len);
	} while (err == -EMSGSIZE);

	if (err) {
		free(buf);
		return err;
	}
	*value = trim(buf, len);
	*value_len = len;
	return 0;
}

int kcache_run_many(struct kcache *cache, struct kcache_op *ops, size_t nr, size_t *done)
{
	struct kcache_batch batch;
	size_t all = 0;
	int err = 0;

	while (all < nr && !err) {
		batch = (struct kcache_batch) {
			.size = sizeof(batch),
			.op_size = ops->size,
			.ops = (uintptr_t)ops + all * ops->size,
			.nr = nr - all < KCACHE_BATCH_MAX ? (uint32_t)(nr - all) : KCACHE_BATCH_MAX,
		};
		err = (int)kcache_system_call(SYS_ioctl, cache->fd, KCACHE_IOC_BATCH, (long)&batch);
		if (!err)
			all += batch.done;
	}
	if (done)
		*done = all;
	return err;
}

int kcache_set(struct kcache *cache, const void *key, size_t key_len,
	       const void *value, size_t value_len, uint64_t ttl_ms)
{
	struct kcache_op op;

	kcache_prep_set(&op, key, key_len, value, value_len, ttl_ms);
	return kcache_run(cache, &op);
}

int kcache_remove(struct kcache *cache, const void *key, size_t key_len)
{
	struct kcache_op op;

	kcache_prep_remove(&op, key, key_len);
	return kcache_run(cache, &op);
}

int kcache_pop(struct kcache *cache, const void *key, size_t key_len,
	       void *value, size_t size, size_t *value_len)
{
	struct kcache_op op;

	kcache_prep_pop(&op, key, key_len, value, size);
	return run_value(cache, &op, value_len);
}

int kcache_pop_alloc(struct kcache *cache, const void *key, size_t key_len,
		     void **value, size_t *value_len)
{
	struct kcache_op op;

	kcache_prep_pop(&op, key, key_len, NULL, 0);
	return run_value_alloc(cache, &op, value, value_len);
}

int kcache_stat(struct kcache *cache, const void *key, size_t key_len,
		struct kcache_stat *stat)
{
	struct kcache_op op;
	int err;

	kcache_prep_stat(&op, key, key_len);
	err = kcache_run(cache, &op);
	if (err)
		return err;
	stat->value_len = op.out_len;
	stat->ttl_ms = op.ttl_ms;
	stat->version = op.version;
	stat->client_flags = op.client_flags;
	return 0;
}

int kcache_touch(struct kcache *cache, const void *key, size_t key_len, uint64_t ttl_ms)
{
	struct kcache_op op;

	kcache_prep_touch(&op, key, key_len, ttl_ms);
	return kcache_run(cache, &op);
}

int kcache_add(struct kcache *cache, const void *key, size_t key_len,
	       int64_t delta, int64_t *sum)
{
	struct kcache_op op;
	int err;

	kcache_prep_add(&op, key, key_len, delta);
	err = kcache_run(cache, &op);
	if (!err && sum)
		*sum = op.number;
	return err;
}

int kcache_append(struct kcache *cache, const void *key, size_t key_len,
		  const void *value, size_t value_len)
{
	struct kcache_op op;

	kcache_prep_append(&op, key, key_len, value, value_len);
	return kcache_run(cache, &op);
}

int kcache_prepend(struct kcache *cache, const void *key, size_t key_len,
		   const void *value, size_t value_len)
{
	struct kcache_op op;

	kcache_prep_prepend(&op, key, key_len, value, value_len);
	return kcache_run(cache, &op);
}
