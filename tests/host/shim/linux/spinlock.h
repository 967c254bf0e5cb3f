/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A spinlock is a pthread mutex, which TSan understands. It may not be taken
 * with preemption off, since on PREEMPT_RT it sleeps.
 */
#ifndef SHIM_LINUX_SPINLOCK_H
#define SHIM_LINUX_SPINLOCK_H

#include <pthread.h>

#include <linux/kernel.h>
#include <linux/types.h>

typedef struct {
	pthread_mutex_t mutex;
	struct shim_thread *owner;	/* NULL: free; atomic */
} spinlock_t;

void spin_lock_init(spinlock_t *lock);
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);

/* For a spinlock_t and a struct mutex alike. */
#define lockdep_is_held(lock)	(READ_ONCE((lock)->owner) == shim_self())
#define lockdep_assert_held(lock) \
	((void)(lockdep_is_held(lock) || (shim_die("not held: " #lock), 0)))

#define preempt_disable()	shim_preempt_disable()
#define preempt_enable()	shim_preempt_enable()

/* As where a spin lock does not disable it. */
#define preempt_disable_nested()	shim_preempt_disable()
#define preempt_enable_nested()		shim_preempt_enable()

#endif /* SHIM_LINUX_SPINLOCK_H */
