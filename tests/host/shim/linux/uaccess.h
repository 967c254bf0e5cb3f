/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_UACCESS_H
#define SHIM_LINUX_UACCESS_H

#include <linux/types.h>

#define pagefault_disable()	shim_pagefault_disable()
#define pagefault_enable()	shim_pagefault_enable()

/* Any memory may be a user's here, unless shim_user_bound() says which is. */
bool access_ok(const void __user *p, unsigned long len);

/* Both return the number of bytes that were not copied. */
unsigned long raw_copy_from_user(void *to, const void __user *from, unsigned long len);
unsigned long raw_copy_to_user(void __user *to, const void *from, unsigned long len);

/* With access_ok(). */
unsigned long copy_to_user(void __user *to, const void *from, unsigned long len);
/* 1, 0 or -EFAULT. */
int check_zeroed_user(const void __user *from, size_t size);

#define user_access_begin(p, len)	access_ok(p, len)
#define user_access_end()		((void)0)

/* After user_access_begin() on more than that. */
#define unsafe_get_user(x, p, err)					\
	do {								\
		typeof(*(p)) v__;					\
									\
		if (raw_copy_from_user(&v__, p, sizeof(v__)))		\
			goto err;					\
		(x) = v__;						\
	} while (0)
#define unsafe_put_user(x, p, err)					\
	do {								\
		typeof(*(p)) v__ = (x);					\
									\
		if (raw_copy_to_user(p, &v__, sizeof(v__)))		\
			goto err;					\
	} while (0)

#define get_user(x, p)							\
	({								\
		typeof(*(p)) v__ = 0;					\
		int err__ = !access_ok(p, sizeof(v__)) ||		\
			    raw_copy_from_user(&v__, p, sizeof(v__));	\
									\
		(x) = v__;						\
		err__ ? -EFAULT : 0;					\
	})
#define put_user(x, p)							\
	({								\
		typeof(*(p)) v__ = (x);					\
									\
		copy_to_user(p, &v__, sizeof(v__)) ? -EFAULT : 0;	\
	})

#endif /* SHIM_LINUX_UACCESS_H */
