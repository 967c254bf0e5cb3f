// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The handle: opening, closing, and what concerns a cache as a whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/*
 * EINTR of open and of an ioctl says that nothing was done yet, and nothing
 * here waits, so asking again is always right. An operation that waits for
 * something, should there be one, must not come here that way: its caller wants
 * to hear of the signal. A close has closed the descriptor even so, and the
 * second time it may be another thread's.
 */
long kcache_system_call(long number, long a, long b, long c)
{
	long ret;

	do
		ret = syscall(number, a, b, c);
	while (ret < 0 && errno == EINTR && number != SYS_close);

	return ret < 0 ? -errno : ret;
}

static int info_of_fd(int fd, struct kcache_info *info)
{
	return (int)kcache_system_call(SYS_ioctl, fd, KCACHE_IOC_INFO, (long)info);
}

/* A descriptor for @device that is known to be a cache's, or a negative errno. */
static int open_cache(const char *device, int flags, struct kcache_info *info)
{
	int err, fd;

	fd = (int)kcache_system_call(SYS_openat, AT_FDCWD, (long)device, flags | O_CLOEXEC);
	if (fd < 0)
		return fd;
	err = info_of_fd(fd, info);
	if (err) {
		kcache_system_call(SYS_close, fd, 0, 0);
		return err;
	}
	return fd;
}

int kcache_open(struct kcache **cache, const char *device, int flags)
{
	struct kcache_info info = { .size = sizeof(info) };
	struct kcache *new;
	int fd;

	if (flags != O_RDONLY && flags != O_WRONLY && flags != O_RDWR)
		return -EINVAL;
	new = malloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	fd = open_cache(device ? device : KCACHE_DEVICE, flags, &info);
	if (fd < 0) {
		free(new);
		return fd;
	}
	new->fd = fd;
	if (flags == O_WRONLY)
		info.map_bytes = 0;
	kcache_map_open(&new->map, fd, &info);
	*cache = new;
	return 0;
}

void kcache_close(struct kcache *cache)
{
	if (!cache)
		return;
	kcache_map_close(&cache->map);
	kcache_system_call(SYS_close, cache->fd, 0, 0);
	free(cache);
}

int kcache_fd(const struct kcache *cache)
{
	return cache->fd;
}

int kcache_info(struct kcache *cache, struct kcache_info *info)
{
	return info_of_fd(cache->fd, info);
}

int kcache_flush(struct kcache *cache)
{
	return (int)kcache_system_call(SYS_ioctl, cache->fd, KCACHE_IOC_FLUSH, 0);
}
