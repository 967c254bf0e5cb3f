/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libkcache share and nobody else sees.
 */
#ifndef LIBKCACHE_INTERNAL_H
#define LIBKCACHE_INTERNAL_H

#include "kcache.h"
#include "map.h"

struct kcache {
	struct kcache_map map;
	int fd;		/* constant until the close */
};

/**
 * kcache_system_call() - the library's only way into the kernel
 * @number: SYS_openat and so on
 * @a: first argument
 * @b: second
 * @c: third
 *
 * Return: what the system call gave, or a negative errno, -EINTR only of close.
 */
long kcache_system_call(long number, long a, long b, long c);

/* kcache_get() by a system call. */
int kcache_get_by_call(struct kcache *cache, const void *key, size_t key_len,
		       void *value, size_t size, size_t *value_len);

#endif /* LIBKCACHE_INTERNAL_H */
