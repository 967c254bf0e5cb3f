// SPDX-License-Identifier: GPL-2.0
/* The library's side: what stands for handle.c and the C library. */
#define MAPPED_SELF
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "internal.h"
#include "mapped.h"
#include "mapping.h"

void shim_pause_now(uint32_t n);
uint64_t shim_noise(void);
unsigned long long shim_clock_ms(void);

struct kcache *mapping_open(void)
{
	struct kcache_info info = { .size = sizeof(info) };
	struct kcache *cache = calloc(1, sizeof(*cache));

	cache->fd = mapping_open_file();
	mapping_ioctl(cache->fd, KCACHE_IOC_INFO, &info);
	kcache_map_open(&cache->map, cache->fd, &info);
	if (!cache->map.view.header)
		shim_die("libkcache does not take the mapping");
	return cache;
}

void mapping_close(struct kcache *cache)
{
	kcache_map_close(&cache->map);
	mapping_close_file(cache->fd);
	free(cache);
}

long kcache_system_call(long number, long a, long b, long c)
{
	switch (number) {
	case SYS_ioctl:
		return mapping_ioctl((int)a, (unsigned long)b, (void *)c);
	case SYS_close:		/* of the descriptor that its hints are mapped by */
		return 0;
	default:
		return -ENOSYS;
	}
}

void *mapped_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	return fd < 0 ? mmap(at, len, prot, flags, fd, offset) : mapping_memory(fd);
}

/* Of the mappings, the clock's page alone is the reader's own. */
int mapped_munmap(void *p, size_t len)
{
	return len == sizeof(struct kcache_clock) ? munmap(p, len) : 0;
}

int mapped_clock_gettime(clockid_t clock, struct timespec *now)
{
	unsigned long long ms = shim_clock_ms();

	(void)clock;
	now->tv_sec = (time_t)(ms / 1000);
	now->tv_nsec = (long)(ms % 1000 * 1000000);
	return 0;
}

void *mapped_memcpy(void *to, const void *from, size_t len)
{
	size_t first = shim_is_perturbed && len ? shim_noise() % len : 0;

	memcpy(to, from, first);
	if (first)
		shim_pause_now(8);
	memcpy((char *)to + first, (const char *)from + first, len - first);
	return to;
}
