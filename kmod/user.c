// SPDX-License-Identifier: GPL-2.0
#include "user.h"

/**
 * kc_user_from_iter() - copy a part of an iterator in
 * @to: where to
 * @from: where from; not advanced
 * @at: bytes of it to pass over
 * @len: bytes, no more than are left then
 *
 * Context: Process context, or page faults disabled.
 * Return: 0 or -EFAULT.
 */
int kc_user_from_iter(void *to, const struct iov_iter *from, size_t at, size_t len)
{
	struct iov_iter iter;

	if (likely(iter_is_ubuf(from)))
		return kc_user_get(to, from->ubuf + from->iov_offset + at, len) ? 0 : -EFAULT;
	iter = *from;
	iov_iter_advance(&iter, at);
	return copy_from_iter(to, len, &iter) == len ? 0 : -EFAULT;
}

/* kc_user_to_iter() for an iterator over more than one buffer, or the kernel's. */
int kc_user_to_other_iter(const struct iov_iter *to, size_t at, const void *from, size_t len)
{
	struct iov_iter iter = *to;

	iov_iter_advance(&iter, at);
	return copy_to_iter(from, len, &iter) == len ? 0 : -EFAULT;
}
