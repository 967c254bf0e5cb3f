/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before all else in libkcache's files: its system calls are the test's, and
 * readers pause by chance where writers may come between, as the core does in the
 * shim. Costs one load where shim_perturb_set() is not on.
 */
#ifndef MAPPED_H
#define MAPPED_H

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "shim/context.h"

void *mapped_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int mapped_munmap(void *p, size_t len);
int mapped_clock_gettime(clockid_t clock, struct timespec *now);
/* In two steps if perturbed. */
void *mapped_memcpy(void *to, const void *from, size_t len);

#ifndef MAPPED_SELF
#define mmap(...)		mapped_mmap(__VA_ARGS__)
#define munmap(...)		mapped_munmap(__VA_ARGS__)
#define clock_gettime(...)	mapped_clock_gettime(__VA_ARGS__)
#define memcpy(...)		mapped_memcpy(__VA_ARGS__)

/* Of KCACHE_LOAD_ACQUIRE() and KCACHE_READ_BARRIER(). */
#define __atomic_load_n(p, order)			\
	({						\
		if ((order) == __ATOMIC_ACQUIRE)	\
			shim_perturb();			\
		__atomic_load_n(p, order);		\
	})
#define __atomic_thread_fence(order)			\
	({						\
		shim_perturb();				\
		__atomic_thread_fence(order);		\
	})
#endif

#endif /* MAPPED_H */
