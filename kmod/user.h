/* SPDX-License-Identifier: GPL-2.0 */
/*
 * user: copies to and from the memory of callers.
 *
 * Keeps nothing. The stock copies check the kernel's buffer against the slab it
 * may lie in, which costs more than to copy 100 bytes, and finds nothing here:
 * the buffers are parts of whole pages, or are declared where they are used. With
 * page faults disabled, memory that is not there ends the copy.
 */
#ifndef KC_USER_H
#define KC_USER_H

#include <linux/instrumented.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

/* Copies in. False if @from is not the caller's memory, or not there. */
static __always_inline bool kc_user_get(void *to, const void __user *from, size_t len)
{
	size_t left;

	if (unlikely(!access_ok(from, len)))
		return false;
	instrument_copy_from_user_before(to, from, len);
	left = raw_copy_from_user(to, from, len);
	instrument_copy_from_user_after(to, from, len, left);
	return !left;
}

/* Copies out. False if @to is not the caller's memory, or not there. */
static __always_inline bool kc_user_put(void __user *to, const void *from, size_t len)
{
	if (unlikely(!access_ok(to, len)))
		return false;
	instrument_copy_to_user(to, from, len);
	return !raw_copy_to_user(to, from, len);
}

int kc_user_from_iter(void *to, const struct iov_iter *from, size_t at, size_t len);
int kc_user_to_other_iter(const struct iov_iter *to, size_t at, const void *from, size_t len);

/**
 * kc_user_to_iter() - copy to a part of an iterator
 * @to: where to; not advanced
 * @at: bytes of it to pass over
 * @from: where from
 * @len: bytes, no more than are left then
 *
 * Context: Process context, or page faults disabled.
 * Return: 0 or -EFAULT.
 */
static __always_inline int kc_user_to_iter(const struct iov_iter *to, size_t at,
					   const void *from, size_t len)
{
	if (likely(iter_is_ubuf(to)))
		return kc_user_put(to->ubuf + to->iov_offset + at, from, len) ? 0 : -EFAULT;
	return kc_user_to_other_iter(to, at, from, len);
}

#endif /* KC_USER_H */
