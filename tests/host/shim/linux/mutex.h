/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_MUTEX_H
#define SHIM_LINUX_MUTEX_H

#include <pthread.h>

#include <linux/spinlock.h>

struct mutex {
	pthread_mutex_t mutex;
	struct shim_thread *owner;	/* NULL: free; atomic */
};

void mutex_init(struct mutex *mutex);
void mutex_destroy(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
int mutex_lock_killable(struct mutex *mutex);
int mutex_lock_interruptible(struct mutex *mutex);
bool mutex_trylock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

static inline bool mutex_is_locked(struct mutex *mutex)
{
	return READ_ONCE(mutex->owner);
}

#endif /* SHIM_LINUX_MUTEX_H */
