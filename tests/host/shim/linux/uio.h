/* SPDX-License-Identifier: GPL-2.0 */
/* An iterator here is over one buffer of user memory. */
#ifndef SHIM_LINUX_UIO_H
#define SHIM_LINUX_UIO_H

#include <linux/types.h>

#define ITER_SOURCE	1
#define ITER_DEST	0

struct iov_iter {
	char __user *p;
	size_t count;
};

static inline int import_ubuf(int type, void __user *p, size_t len, struct iov_iter *iter)
{
	(void)type;
	*iter = (struct iov_iter) { .p = p, .count = len };
	return 0;
}

static inline size_t iov_iter_count(const struct iov_iter *iter)
{
	return iter->count;
}

/* Both return the number of bytes that were copied. */
size_t copy_to_iter(const void *from, size_t len, struct iov_iter *to);
size_t copy_from_iter(void *to, size_t len, struct iov_iter *from);

#endif /* SHIM_LINUX_UIO_H */
