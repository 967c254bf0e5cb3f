/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before all else in libkcache's files: its system calls are the target's, and
 * before each of its loads the mapping may change under it.
 */
#ifndef SCRIBBLE_H
#define SCRIBBLE_H

#include <string.h>
#include <sys/mman.h>
#include <time.h>

void *scribble_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int scribble_munmap(void *p, size_t len);
int scribble_clock_gettime(clockid_t clock, struct timespec *now);
void scribble_at_load(void);

#ifndef SCRIBBLE_SELF
#define mmap(...)		scribble_mmap(__VA_ARGS__)
#define munmap(...)		scribble_munmap(__VA_ARGS__)
#define clock_gettime(...)	scribble_clock_gettime(__VA_ARGS__)

/* Of KCACHE_LOAD(), KCACHE_LOAD_ACQUIRE() and KCACHE_READ_BARRIER(). */
#define __atomic_load_n(p, order)		\
	({					\
		scribble_at_load();		\
		__atomic_load_n(p, order);	\
	})
#define __atomic_thread_fence(order)		\
	({					\
		scribble_at_load();		\
		__atomic_thread_fence(order);	\
	})
#endif

#endif /* SCRIBBLE_H */
