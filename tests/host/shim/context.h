/* SPDX-License-Identifier: GPL-2.0 */
/*
 * context: what a thread is in the midst of, and what it may not do there.
 *
 * Every pthread that comes here is a task on a simulated CPU. The shim keeps for
 * each how deep it is in RCU sections, spinlocks and the like, and aborts on
 * what CONFIG_DEBUG_ATOMIC_SLEEP and lockdep would complain about.
 */
#ifndef SHIM_CONTEXT_H
#define SHIM_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define SHIM_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHIM_TSAN
#endif
#endif

struct shim_thread {
	bool is_used;		/* atomic; the rest is the thread's own, but for */
	uint64_t rcu_epoch;	/* grace period in which its section began, 0: in none; atomic */
	int cpu;
	int rcu_depth;
	int spin_depth;
	int mutex_depth;
	int preempt_depth;
	int pagefault_depth;
	bool is_killed;
	bool is_capable;
	uint32_t fsuid;
	uint64_t random;	/* for shim_random() */
	uint64_t noise;		/* for what comes as often as it happens to */
};

struct shim_thread *shim_self(void);

_Noreturn void shim_die(const char *what);
void shim_might_sleep(const char *what);

void shim_preempt_disable(void);
void shim_preempt_enable(void);
void shim_pagefault_disable(void);
void shim_pagefault_enable(void);

/* Now and then a pause, or another CPU, where an interleaving may matter. */
extern bool shim_is_perturbed;
void shim_perturb_now(void);

static inline void shim_perturb(void)
{
	if (__builtin_expect(shim_is_perturbed, 0))
		shim_perturb_now();
}

/* Where a test may let another CPU do something, unless a spinlock is held: see shim_hook(). */
enum shim_point {
	SHIM_AT_LOCK,		/* about to take a spinlock */
	SHIM_AT_COPY,		/* about to copy to user memory */
	SHIM_AT_ACQUIRE,	/* about to load a number of buckets or a seq */
	SHIM_AT_RECHECK,	/* in smp_rmb(): about to look at a seq again */
	SHIM_AT_RESCHED,	/* in cond_resched() */
	SHIM_AT_FAULT,		/* user memory is being brought in */
	SHIM_NR_POINTS
};

extern __thread bool shim_has_hooks;
void shim_at_hook(enum shim_point point);

static inline void shim_at(enum shim_point point)
{
	if (__builtin_expect(shim_has_hooks, 0))
		shim_at_hook(point);
}

void shim_relax(void);

#endif /* SHIM_CONTEXT_H */
