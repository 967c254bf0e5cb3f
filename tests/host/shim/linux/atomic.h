/* SPDX-License-Identifier: GPL-2.0 */
/* Operations that return a value are fully ordered; the others are not ordered. */
#ifndef SHIM_LINUX_ATOMIC_H
#define SHIM_LINUX_ATOMIC_H

#include <linux/types.h>

#define SHIM_ATOMIC(prefix, type, arg)						\
static inline arg prefix##_read(const type *v)					\
{										\
	return READ_ONCE(v->counter);						\
}										\
static inline arg prefix##_read_acquire(const type *v)				\
{										\
	return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE);			\
}										\
static inline void prefix##_set(type *v, arg i)					\
{										\
	WRITE_ONCE(v->counter, i);						\
}										\
static inline void prefix##_set_release(type *v, arg i)			\
{										\
	__atomic_store_n(&v->counter, i, __ATOMIC_RELEASE);			\
}										\
static inline arg prefix##_fetch_add_release(arg i, type *v)			\
{										\
	return __atomic_fetch_add(&v->counter, i, __ATOMIC_RELEASE);		\
}										\
static inline bool prefix##_inc_not_zero(type *v)				\
{										\
	arg old = READ_ONCE(v->counter);					\
										\
	while (old && !__atomic_compare_exchange_n(&v->counter, &old, old + 1, false, \
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) \
		;								\
	return old;								\
}										\
static inline void prefix##_add(arg i, type *v)					\
{										\
	__atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED);			\
}										\
static inline void prefix##_sub(arg i, type *v)					\
{										\
	__atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED);			\
}										\
static inline arg prefix##_add_return(arg i, type *v)				\
{										\
	arg now;								\
										\
	shim_perturb();								\
	now = __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);		\
	shim_perturb();								\
	return now;								\
}										\
static inline arg prefix##_sub_return(arg i, type *v)				\
{										\
	return prefix##_add_return(-i, v);					\
}										\
static inline arg prefix##_xchg(type *v, arg i)					\
{										\
	arg old;								\
										\
	shim_perturb();								\
	old = __atomic_exchange_n(&v->counter, i, __ATOMIC_SEQ_CST);		\
	shim_perturb();								\
	return old;								\
}										\
static inline bool prefix##_try_cmpxchg(type *v, arg *old, arg new)		\
{										\
	bool is_done;								\
										\
	shim_perturb();								\
	is_done = __atomic_compare_exchange_n(&v->counter, old, new, false,	\
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); \
	shim_perturb();								\
	return is_done;								\
}

SHIM_ATOMIC(atomic, atomic_t, int)
SHIM_ATOMIC(atomic64, atomic64_t, s64)

#define try_cmpxchg(ptr, old, new)						\
	__atomic_compare_exchange_n(ptr, old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)

#endif /* SHIM_LINUX_ATOMIC_H */
