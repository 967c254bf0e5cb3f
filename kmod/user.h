/* SPDX-License-Identifier: GPL-2.0 */
/*
 * user: copies to and from the memory of callers.
 *
 * Keeps nothing. The stock copies check the kernel's buffer against the slab it
 * may lie in, which costs more than to copy 100 bytes, and finds nothing here:
 * the buffers are parts of whole pages, or are declared where they are used. With
 * page faults disabled, memory that is not there ends the copy. As in the stock
 * copies, fault injection may have one fail. No bytes are the caller's wherever they are.
 */
#ifndef KC_USER_H
#define KC_USER_H

#include <linux/fault-inject-usercopy.h>
#include <linux/instrumented.h>
#include <linux/kasan-checks.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/uaccess.h>

/*
 * Copies in. False if @from is not the caller's memory, or not there. The last bytes, less
 * than a word, are copied as a word that overlaps what comes before: the stock copy takes
 * them one by one.
 */
static __always_inline bool kc_user_get(void *to, const void __user *from, size_t len)
{
	size_t words = len & ~7UL, left;
	u64 last;

	if (unlikely(should_fail_usercopy() || !access_ok(from, len)))
		return !len;
	if (words == len || !words) {
		instrument_copy_from_user_before(to, from, len);
		left = raw_copy_from_user(to, from, len);
		instrument_copy_from_user_after(to, from, len, left);
		return !left;
	}
	instrument_copy_from_user_before(to, from, words);
	left = raw_copy_from_user(to, from, words);
	instrument_copy_from_user_after(to, from, words, left);
	if (unlikely(left || !user_access_begin(from + len - 8, 8)))
		return false;
	unsafe_get_user(last, (u64 __user *)(from + len - 8), err_end);
	user_access_end();
	memcpy(to + len - 8, &last, sizeof(last));
	return true;

err_end:
	user_access_end();
	return false;
}

/*
 * Copies out, in the same way. False if @to is not the caller's memory, or not there. For
 * KASAN it is a read like others, for KCSAN none: what is copied may be changing, and the
 * caller looks at the seq afterwards.
 */
static __always_inline bool kc_user_put(void __user *to, const void *from, size_t len)
{
	size_t words = len & ~7UL;
	u64 last;

	if (unlikely(should_fail_usercopy() || !access_ok(to, len)))
		return !len;
	kasan_check_read(from, len);
	if (words == len || !words)
		return !raw_copy_to_user(to, from, len);
	if (unlikely(raw_copy_to_user(to, from, words)))
		return false;
	/* It may be changing, see above. */
	data_race(memcpy(&last, from + len - 8, sizeof(last)));
	if (!user_access_begin(to + len - 8, 8))
		return false;
	unsafe_put_user(last, (u64 __user *)(to + len - 8), err_end);
	user_access_end();
	return true;

err_end:
	user_access_end();
	return false;
}

/**
 * struct kc_buffer - where the bytes of a value come from or go to
 * @user: memory of the caller's, of which nothing is known yet
 * @kernel: instead, if @is_kernel
 * @is_kernel: which of the two
 *
 * How long it is stands in the operation.
 */
struct kc_buffer {
	union {
		void __user *user;
		void *kernel;
	};
	bool is_kernel;
};

static inline struct kc_buffer kc_buffer_user(void __user *user)
{
	return (struct kc_buffer) { .user = user };
}

static inline struct kc_buffer kc_buffer_kernel(const void *kernel)
{
	return (struct kc_buffer) { .kernel = (void *)kernel, .is_kernel = true };
}

/**
 * kc_buffer_get() - copy a part of a buffer in
 * @to: where to
 * @from: where from
 * @at: bytes of it to pass over
 * @len: bytes
 *
 * Context: Process context, or page faults disabled.
 * Return: 0 or -EFAULT.
 */
static __always_inline int kc_buffer_get(void *to, const struct kc_buffer *from, size_t at,
					 size_t len)
{
	if (likely(!from->is_kernel))
		return kc_user_get(to, from->user + at, len) ? 0 : -EFAULT;
	memcpy(to, from->kernel + at, len);
	return 0;
}

/**
 * kc_buffer_put() - copy to a part of a buffer
 * @to: where to
 * @at: bytes of it to pass over
 * @from: where from
 * @len: bytes
 *
 * Context: Process context, or page faults disabled.
 * Return: 0 or -EFAULT.
 */
static __always_inline int kc_buffer_put(const struct kc_buffer *to, size_t at, const void *from,
					 size_t len)
{
	if (likely(!to->is_kernel))
		return kc_user_put(to->user + at, from, len) ? 0 : -EFAULT;
	memcpy(to->kernel + at, from, len);
	return 0;
}

#endif /* KC_USER_H */
