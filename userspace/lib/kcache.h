/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkcache: the processes of one host share a cache that the kernel keeps.
 *
 *	struct kcache *cache;
 *	char value[100];
 *	size_t value_len;
 *	int err;
 *
 *	err = kcache_open(&cache, NULL, O_RDWR);
 *	if (err)
 *		return err;
 *	err = kcache_set(cache, "greeting", 8, "hello", 5, 30000);
 *	if (!err)
 *		err = kcache_get(cache, "greeting", 8, value, sizeof(value), &value_len);
 *	kcache_close(cache);
 *
 * There are three layers. The calls named after an operation do the common
 * case. Where a condition or an option is wanted, kcache_prep_<operation>()
 * fills a struct kcache_op, the caller adds to it, and kcache_run() executes
 * it. KCACHE_TYPED() declares calls for one C type of key and of value.
 *
 * Returns: 0, or a negative errno. The errors are those of <linux/kcache.h>,
 * in which each has one meaning. Each operation can give:
 *
 *	-ENOENT	no such key, or its time is up
 *	-EBADF	the cache was not opened for this: what only reads needs
 *		O_RDONLY, what only writes O_WRONLY, what does both O_RDWR
 *	-EINVAL	the key is empty, or the ttl is over KCACHE_TTL_MAX_MS
 *	-EFBIG	the key is longer than KCACHE_KEY_MAX
 *	-EFAULT	a pointer does not lead to memory of the caller. kcache_get()
 *		may get SIGSEGV instead, as from memcpy().
 *
 * What else a call can give stands with it. -EINTR is never among it: the
 * kernel gives it only if the operation has not begun, and the library then
 * asks again, after the caller's signal handler has run.
 *
 * Results go out through pointers, written only on success. The one exception
 * is the length of a value, which also comes with -EMSGSIZE.
 *
 * Keys and values are byte strings with lengths in bytes: any byte, no
 * terminator. The library keeps no pointer of the caller's after a call.
 *
 * Threads: a handle may be used by any number of threads at once, except that
 * kcache_close() must be the last call. It may be inherited over fork(). The
 * library has no global state, prints nothing, and is not async-signal-safe.
 */
#ifndef LIBKCACHE_H
#define LIBKCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/kcache.h>

#ifdef __cplusplus
extern "C" {
/* kcache_info and kcache_stat are a call and a struct each, like stat(2). */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

#define KCACHE_DEVICE	"/dev/kcache"	/* the default cache */

/* A handle on an open cache, made by kcache_open(), freed by kcache_close(). */
struct kcache;

/**
 * struct kcache_stat - what there is to know of an entry beside its value
 * @value_len: length of the value in bytes
 * @ttl_ms: milliseconds until it expires, at least 1, or 0: never
 * @version: its version, for KCACHE_IF_VERSION; equality is all it can tell
 * @client_flags: the 32 bits that its writer gave it
 */
struct kcache_stat {
	uint64_t value_len;
	uint64_t ttl_ms;
	uint64_t version;
	uint32_t client_flags;
};

/**
 * kcache_open() - open a cache
 * @cache: out, the handle, to be given to kcache_close()
 * @device: path of the device node, or NULL: KCACHE_DEVICE
 * @flags: O_RDONLY, O_WRONLY or O_RDWR, and nothing else
 *
 * The descriptor behind the handle is closed on exec.
 *
 * Return: 0, -ENOENT, -ENXIO or -ENODEV if there is no such device (is the
 * module loaded?), -EACCES if its mode forbids @flags, -ENOTTY if @device is no cache,
 * -EINVAL if @flags are none of the three, -ENOMEM, or what open(2) gives.
 */
int kcache_open(struct kcache **cache, const char *device, int flags);

/**
 * kcache_close() - close a cache and free its handle
 * @cache: handle, or NULL: nothing is done
 *
 * The entries stay in the cache. No other thread may be using @cache.
 */
void kcache_close(struct kcache *cache);

/**
 * kcache_fd() - the descriptor behind a handle
 * @cache: handle
 *
 * For read(2) and write(2), which speak the cache's text form (kcache(4)). The
 * descriptor stays the library's: it is not to be closed.
 *
 * Return: the descriptor.
 */
int kcache_fd(const struct kcache *cache);

/**
 * kcache_info() - tell what a cache is and takes
 * @cache: handle, opened for anything
 * @info: in, zeroed, with its member size set to sizeof(*info); out, all of it
 *
 * Return: 0, -EINVAL if the size is wrong.
 */
int kcache_info(struct kcache *cache, struct kcache_info *info);

/**
 * kcache_flush() - remove every entry
 * @cache: handle, opened for writing
 *
 * Return: 0, -EBADF, -EPERM if the caller neither owns the device node nor has
 * CAP_SYS_ADMIN.
 */
int kcache_flush(struct kcache *cache);

/**
 * kcache_get() - copy a value out
 * @cache: handle, opened for reading
 * @key: bytes of the key
 * @key_len: how many, 1..KCACHE_KEY_MAX
 * @value: where the value goes, apart from the key; on error its content is undefined
 * @size: bytes that fit there
 * @value_len: out, length of the value in bytes, also on -EMSGSIZE
 *
 * Return: 0, -EMSGSIZE if the value is longer than @size.
 */
int kcache_get(struct kcache *cache, const void *key, size_t key_len,
	       void *value, size_t size, size_t *value_len);

/**
 * kcache_get_alloc() - copy a value of any length out
 * @cache: handle, opened for reading
 * @key: bytes of the key
 * @key_len: how many
 * @value: out, the value, never NULL, to be freed by the caller with free().
 *	A NUL that is not counted follows the value, so text can be used as is.
 * @value_len: out, length of the value in bytes
 *
 * Return: 0, -ENOMEM.
 */
int kcache_get_alloc(struct kcache *cache, const void *key, size_t key_len,
		     void **value, size_t *value_len);

/**
 * struct kcache_borrow - a value where it lies in the cache
 * @value: its bytes; readable until kcache_close(), whatever becomes of the entry
 * @value_len: how many
 * @seq_at: the library's
 * @seq: the library's
 */
struct kcache_borrow {
	const void *value;
	size_t value_len;
	const uint32_t *seq_at;
	uint32_t seq;
};

/**
 * kcache_borrow() - see a value without copying it
 * @cache: handle, opened for reading
 * @key: bytes of the key
 * @key_len: how many
 * @borrow: out
 *
 * The bytes may change while they are looked at. So whatever was made of them
 * counts only if kcache_borrow_is_valid() says so afterwards, and until then it
 * must not be trusted: a length or an index found there may be anything.
 *
 *	err = kcache_borrow(cache, key, key_len, &borrow);
 *	if (!err) {
 *		sum = checksum(borrow.value, borrow.value_len);
 *		if (kcache_borrow_is_valid(&borrow))
 *			return sum;
 *	}
 *	... kcache_get() ...
 *
 * Return: 0, -EAGAIN if the entry keeps changing, -EOPNOTSUPP if this handle
 * cannot read without the kernel's help: kcache_get() always can.
 */
int kcache_borrow(struct kcache *cache, const void *key, size_t key_len,
		  struct kcache_borrow *borrow);

/**
 * kcache_borrow_is_valid() - was the value whole until now?
 * @borrow: from kcache_borrow(), of a handle that is still open
 *
 * Return: true if what has been read of the value was stored so, all of it. False
 * says that it was replaced or removed, or that a neighbour in the table was.
 */
bool kcache_borrow_is_valid(const struct kcache_borrow *borrow);

/**
 * kcache_set() - store a value, whether or not there is one
 * @cache: handle, opened for writing
 * @key: bytes of the key
 * @key_len: how many
 * @value: bytes of the value; may be NULL if there are none
 * @value_len: how many, 0..value_max of struct kcache_info
 * @ttl_ms: milliseconds after which it expires, or 0: never
 *
 * The entry's client flags become 0.
 *
 * Return: 0, -EFBIG also if the value is too long, -ENOSPC if no room could be
 * made for it.
 */
int kcache_set(struct kcache *cache, const void *key, size_t key_len,
	       const void *value, size_t value_len, uint64_t ttl_ms);

/**
 * kcache_remove() - remove an entry
 * @cache: handle, opened for writing
 * @key: bytes of the key
 * @key_len: how many
 *
 * Return: 0, or an error that any operation gives.
 */
int kcache_remove(struct kcache *cache, const void *key, size_t key_len);

/**
 * kcache_pop() - copy a value out and remove its entry
 * @cache: handle, opened for both
 * @key: bytes of the key
 * @key_len: how many
 * @value: where the value goes; on error its content is undefined
 * @size: bytes that fit there
 * @value_len: out, length of the value in bytes, also on -EMSGSIZE
 *
 * Of many callers at once, one gets the entry and the others -ENOENT.
 *
 * Return: 0, -EMSGSIZE if the value is longer than @size; the entry is still
 * there then.
 */
int kcache_pop(struct kcache *cache, const void *key, size_t key_len,
	       void *value, size_t size, size_t *value_len);

/**
 * kcache_pop_alloc() - copy a value of any length out and remove its entry
 * @cache: handle, opened for both
 * @key: bytes of the key
 * @key_len: how many
 * @value: out, as from kcache_get_alloc(), to be freed by the caller
 * @value_len: out, length of the value in bytes
 *
 * Return: 0, -ENOMEM; the entry is still there then.
 */
int kcache_pop_alloc(struct kcache *cache, const void *key, size_t key_len,
		     void **value, size_t *value_len);

/**
 * kcache_stat() - tell all of an entry but its value
 * @cache: handle, opened for reading
 * @key: bytes of the key
 * @key_len: how many
 * @stat: out
 *
 * Return: 0, or an error that any operation gives.
 */
int kcache_stat(struct kcache *cache, const void *key, size_t key_len,
		struct kcache_stat *stat);

/**
 * kcache_touch() - set when an entry expires
 * @cache: handle, opened for writing
 * @key: bytes of the key
 * @key_len: how many
 * @ttl_ms: milliseconds from now, or 0: never
 *
 * Return: 0, or an error that any operation gives.
 */
int kcache_touch(struct kcache *cache, const void *key, size_t key_len,
		 uint64_t ttl_ms);

/**
 * kcache_add() - add to a value that is a decimal number
 * @cache: handle, opened for both
 * @key: bytes of the key
 * @key_len: how many
 * @delta: what to add; may be negative
 * @sum: out, the number that is stored now; may be NULL
 *
 * A missing key is an error here; KCACHE_INITIAL starts it (kcache_prep_add()).
 *
 * Return: 0, -ERANGE if the value is no decimal number of signed 64 bits or the
 * sum is not, -ENOSPC.
 */
int kcache_add(struct kcache *cache, const void *key, size_t key_len,
	       int64_t delta, int64_t *sum);

/**
 * kcache_append() - put bytes behind a value
 * @cache: handle, opened for writing
 * @key: bytes of the key
 * @key_len: how many
 * @value: bytes to put there
 * @value_len: how many
 *
 * Return: 0, -EFBIG also if the whole is too long, -ENOSPC.
 */
int kcache_append(struct kcache *cache, const void *key, size_t key_len,
		  const void *value, size_t value_len);

/**
 * kcache_prepend() - put bytes before a value
 * @cache: handle, opened for writing
 * @key: bytes of the key
 * @key_len: how many
 * @value: bytes to put there
 * @value_len: how many
 *
 * Return: 0, -EFBIG also if the whole is too long, -ENOSPC.
 */
int kcache_prepend(struct kcache *cache, const void *key, size_t key_len,
		   const void *value, size_t value_len);

/**
 * kcache_run() - do one operation, with any condition and option
 * @cache: handle
 * @op: in and out; member for member what struct kcache_op says. One of the
 *	kcache_prep_*() functions fills it.
 *
 * Compare and swap, after a GET left the version in @op:
 *
 *	version = op.version;
 *	kcache_prep_set(&op, key, key_len, value, value_len, ttl_ms);
 *	op.flags = KCACHE_IF_VERSION;
 *	op.version = version;
 *	err = kcache_run(cache, &op);
 *
 * and -ESTALE says that somebody else was faster.
 *
 * Return: 0, or any error of <linux/kcache.h> but -EINTR.
 */
int kcache_run(struct kcache *cache, struct kcache_op *op);

/**
 * kcache_run_many() - do operations in one call, in their order
 * @cache: handle
 * @ops: in and out; each as for kcache_run(), and all of one size. The result of
 *	each, 0 or a negative errno, is in its member error.
 * @nr: how many
 * @done: out, how many were carried out, the first ones; may be NULL
 *
 * Each is atomic by itself; all together they are not.
 *
 * Return: 0 if all were carried out, whatever came of each; -EINVAL if they
 * have different sizes, -EFAULT.
 */
int kcache_run_many(struct kcache *cache, struct kcache_op *ops, size_t nr, size_t *done);

/**
 * kcache_run_alloc() - do one operation, with room for a value of any length
 * @cache: handle
 * @op: as for kcache_run(), but out and out_len are the library's business on
 *	the way in; out_len tells the length on the way out
 * @value: out, as from kcache_get_alloc(), to be freed by the caller. NULL if
 *	there was no value to give: op->out_len is KCACHE_ABSENT then.
 *
 * For GET, POP, and SET with KCACHE_RETURN_OLD. If a value grows in the
 * meantime, the library asks again with more room.
 *
 * Return: as kcache_run(), but never -EMSGSIZE; -ENOMEM, and nothing was done.
 */
int kcache_run_alloc(struct kcache *cache, struct kcache_op *op, void **value);

/*
 * kcache_prep_*() - fill an operation
 *
 * They set all members, flags to none. The arguments are those of the calls of
 * the same name. What @op points to must live until the last kcache_run().
 * They are inline so that op->size is what the caller was compiled with.
 */

static inline void kcache_prep(struct kcache_op *op, uint32_t opcode,
			       const void *key, size_t key_len)
{
	memset(op, 0, sizeof(*op));
	op->size = sizeof(*op);
	op->opcode = opcode;
	op->key = (uintptr_t)key;
	/* A length that does not fit must not become a short one: it stays too long. */
	op->key_len = key_len < UINT32_MAX ? (uint32_t)key_len : UINT32_MAX;
}

/* Takes KCACHE_TOUCH, with ttl_ms. */
static inline void kcache_prep_get(struct kcache_op *op, const void *key, size_t key_len,
				   void *value, size_t size)
{
	kcache_prep(op, KCACHE_OP_GET, key, key_len);
	op->out = (uintptr_t)value;
	op->out_len = size;
}

/*
 * Takes KCACHE_KEEP_TTL; one of KCACHE_IF_ABSENT, KCACHE_IF_PRESENT,
 * KCACHE_IF_VERSION with version; KCACHE_RETURN_OLD with out and out_len;
 * client_flags.
 */
static inline void kcache_prep_set(struct kcache_op *op, const void *key, size_t key_len,
				   const void *value, size_t value_len, uint64_t ttl_ms)
{
	kcache_prep(op, KCACHE_OP_SET, key, key_len);
	op->value = (uintptr_t)value;
	op->value_len = value_len;
	op->ttl_ms = ttl_ms;
}

/* Takes KCACHE_IF_VERSION, with version. */
static inline void kcache_prep_remove(struct kcache_op *op, const void *key, size_t key_len)
{
	kcache_prep(op, KCACHE_OP_REMOVE, key, key_len);
}

static inline void kcache_prep_pop(struct kcache_op *op, const void *key, size_t key_len,
				   void *value, size_t size)
{
	kcache_prep(op, KCACHE_OP_POP, key, key_len);
	op->out = (uintptr_t)value;
	op->out_len = size;
}

static inline void kcache_prep_stat(struct kcache_op *op, const void *key, size_t key_len)
{
	kcache_prep(op, KCACHE_OP_STAT, key, key_len);
}

static inline void kcache_prep_touch(struct kcache_op *op, const void *key, size_t key_len,
				     uint64_t ttl_ms)
{
	kcache_prep(op, KCACHE_OP_TOUCH, key, key_len);
	op->ttl_ms = ttl_ms;
}

/* Takes KCACHE_INITIAL, with number, ttl_ms and client_flags. */
static inline void kcache_prep_add(struct kcache_op *op, const void *key, size_t key_len,
				   int64_t delta)
{
	kcache_prep(op, KCACHE_OP_ADD, key, key_len);
	op->delta = delta;
}

/* Takes KCACHE_IF_VERSION, with version. */
static inline void kcache_prep_append(struct kcache_op *op, const void *key, size_t key_len,
				      const void *value, size_t value_len)
{
	kcache_prep(op, KCACHE_OP_APPEND, key, key_len);
	op->value = (uintptr_t)value;
	op->value_len = value_len;
}

/* Takes KCACHE_IF_VERSION, with version. */
static inline void kcache_prep_prepend(struct kcache_op *op, const void *key, size_t key_len,
				       const void *value, size_t value_len)
{
	kcache_prep(op, KCACHE_OP_PREPEND, key, key_len);
	op->value = (uintptr_t)value;
	op->value_len = value_len;
}

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#include "typed.h"

#endif /* LIBKCACHE_H */
