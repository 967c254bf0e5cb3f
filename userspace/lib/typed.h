/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls for one C type of key and one C type of value. Part of <kcache.h>.
 */
#ifndef LIBKCACHE_TYPED_H
#define LIBKCACHE_TYPED_H

#include <errno.h>

/**
 * KCACHE_TYPED() - declare the calls for entries of one kind
 * @name: prefix of the calls, and of the keys in the cache, so that kinds with
 *	the same type of key do not meet
 * @key_type: C type of the key: a number, or a struct
 * @value_type: C type of the value
 *
 * KCACHE_TYPED(user, uint64_t, struct user); at file scope declares, as static
 * inline functions:
 *
 *	int user_get(struct kcache *cache, uint64_t key, struct user *value);
 *	int user_set(struct kcache *cache, uint64_t key, const struct user *value,
 *		     uint64_t ttl_ms);
 *	int user_remove(struct kcache *cache, uint64_t key);
 *	int user_pop(struct kcache *cache, uint64_t key, struct user *value);
 *
 * and for compare and swap:
 *
 *	int user_get_version(struct kcache *cache, uint64_t key, struct user *value,
 *			     uint64_t *version);
 *	int user_set_if_version(struct kcache *cache, uint64_t key,
 *				const struct user *value, uint64_t ttl_ms,
 *				uint64_t version);
 *
 * They return what the calls of libkcache return, and -EBADMSG if what is
 * stored is not of the size of @value_type; pop leaves it there then.
 * @value is written only on success. user_pop() is a GET and a REMOVE of that
 * very version, in order to look before it takes; still only one caller gets
 * the entry.
 *
 * Keys and values are stored as the bytes that they are in memory: types that
 * 32-bit and 64-bit programs share need members of fixed width, pointers mean
 * nothing to others, and the padding of a key that is a struct must be zeroed.
 * In the cache a key is @name, a colon, and the bytes of the key.
 */
#define KCACHE_TYPED(name, key_type, value_type)				\
struct name##_kcache_key {							\
	unsigned char bytes[sizeof(#name) + sizeof(key_type)];			\
};										\
										\
KCACHE_TYPED_CALL void								\
name##_kcache_key_fill(struct name##_kcache_key *k_, const key_type *key_)	\
{										\
	memcpy(k_->bytes, #name ":", sizeof(#name));				\
	memcpy(k_->bytes + sizeof(#name), key_, sizeof(*key_));			\
}										\
										\
KCACHE_TYPED_CALL int								\
name##_get_version(struct kcache *cache_, key_type key_, value_type *value_,	\
		   uint64_t *version_)						\
{										\
	struct name##_kcache_key k_;						\
	struct kcache_op op_;							\
	value_type found_;							\
	int err_;								\
										\
	name##_kcache_key_fill(&k_, &key_);					\
	kcache_prep_get(&op_, k_.bytes, sizeof(k_.bytes),			\
			&found_, sizeof(found_));				\
	err_ = kcache_run(cache_, &op_);					\
	if (err_ == -EMSGSIZE || (!err_ && op_.out_len != sizeof(found_)))	\
		return -EBADMSG;						\
	if (err_)								\
		return err_;							\
	*value_ = found_;							\
	*version_ = op_.version;						\
	return 0;								\
}										\
										\
KCACHE_TYPED_CALL int								\
name##_get(struct kcache *cache_, key_type key_, value_type *value_)		\
{										\
	uint64_t version_;							\
										\
	return name##_get_version(cache_, key_, value_, &version_);		\
}										\
										\
KCACHE_TYPED_CALL int								\
name##_set(struct kcache *cache_, key_type key_, const value_type *value_,	\
	   uint64_t ttl_ms_)							\
{										\
	struct name##_kcache_key k_;						\
										\
	name##_kcache_key_fill(&k_, &key_);					\
	return kcache_set(cache_, k_.bytes, sizeof(k_.bytes),			\
			  value_, sizeof(*value_), ttl_ms_);			\
}										\
										\
KCACHE_TYPED_CALL int								\
name##_set_if_version(struct kcache *cache_, key_type key_,			\
		      const value_type *value_, uint64_t ttl_ms_,		\
		      uint64_t version_)					\
{										\
	struct name##_kcache_key k_;						\
	struct kcache_op op_;							\
										\
	name##_kcache_key_fill(&k_, &key_);					\
	kcache_prep_set(&op_, k_.bytes, sizeof(k_.bytes),			\
			value_, sizeof(*value_), ttl_ms_);			\
	op_.flags = KCACHE_IF_VERSION;						\
	op_.version = version_;							\
	return kcache_run(cache_, &op_);					\
}										\
										\
KCACHE_TYPED_CALL int								\
name##_remove(struct kcache *cache_, key_type key_)				\
{										\
	struct name##_kcache_key k_;						\
										\
	name##_kcache_key_fill(&k_, &key_);					\
	return kcache_remove(cache_, k_.bytes, sizeof(k_.bytes));		\
}										\
										\
KCACHE_TYPED_CALL int								\
name##_pop(struct kcache *cache_, key_type key_, value_type *value_)		\
{										\
	struct name##_kcache_key k_;						\
	struct kcache_op op_;							\
	value_type found_;							\
	uint64_t version_;							\
	int err_;								\
										\
	name##_kcache_key_fill(&k_, &key_);					\
	do {									\
		err_ = name##_get_version(cache_, key_, &found_, &version_);	\
		if (err_)							\
			return err_;						\
		kcache_prep_remove(&op_, k_.bytes, sizeof(k_.bytes));		\
		op_.flags = KCACHE_IF_VERSION;					\
		op_.version = version_;						\
		err_ = kcache_run(cache_, &op_);				\
	} while (err_ == -ESTALE);						\
	if (!err_)								\
		*value_ = found_;						\
	return err_;								\
}										\
										\
struct name##_kcache_key	/* the caller's semicolon ends this */

/* A program need not use all of them. Their names are not to shadow its own: hence name_. */
#define KCACHE_TYPED_CALL __attribute__((__unused__)) static inline

#endif /* LIBKCACHE_TYPED_H */
