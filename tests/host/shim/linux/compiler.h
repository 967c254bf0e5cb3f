/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel's memory model says, said to the compiler of user space.
 *
 * ThreadSanitizer knows atomics but no fences, so a fence is taken as an access
 * to one atomic that all full fences share: it orders what comes before one with
 * what comes after another, as the real one does. smp_rmb() and smp_wmb() order
 * only accesses that are atomic anyway, so they tell it nothing.
 */
#ifndef SHIM_LINUX_COMPILER_H
#define SHIM_LINUX_COMPILER_H

#include "../context.h"

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

#define noinline	__attribute__((noinline))
#define __user
#define __rcu
#define __percpu
#define __acquires(x)
#define __acquire(x)		((void)0)
#define __release(x)		((void)0)
#define __must_hold(x)
#define __releases(x)
#define __aligned(x)	__attribute__((aligned(x)))
#define ____cacheline_aligned_in_smp	__attribute__((aligned(64)))

#ifdef SHIM_TSAN	/* part of its interface, but in no header */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#define data_race(expr)						\
	({							\
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);	\
		__auto_type shim_value = (expr);		\
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);	\
		shim_value;					\
	})
#else
#define data_race(expr)		(expr)
#endif
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define smp_load_acquire(p)				\
	({						\
		shim_at(SHIM_AT_ACQUIRE);		\
		shim_perturb();				\
		__atomic_load_n(p, __ATOMIC_ACQUIRE);	\
	})
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#ifdef SHIM_TSAN
extern int shim_fence;
#define smp_mb()	((void)__atomic_fetch_add(&shim_fence, 0, __ATOMIC_SEQ_CST))
#else
#define smp_mb()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif
#define smp_rmb()					\
	do {						\
		shim_at(SHIM_AT_RECHECK);		\
		shim_perturb();				\
		__atomic_thread_fence(__ATOMIC_ACQUIRE);\
	} while (0)
#define smp_wmb()					\
	do {						\
		__atomic_thread_fence(__ATOMIC_RELEASE);\
		shim_perturb();				\
	} while (0)

#define cpu_relax()	shim_relax()

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#undef static_assert
#define static_assert(expr, ...)	_Static_assert(expr, #expr)

#endif /* SHIM_LINUX_COMPILER_H */
