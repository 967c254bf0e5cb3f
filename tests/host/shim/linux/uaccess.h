/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_UACCESS_H
#define SHIM_LINUX_UACCESS_H

#include <linux/types.h>

#define pagefault_disable()	shim_pagefault_disable()
#define pagefault_enable()	shim_pagefault_enable()

/* Any memory may be a user's here. */
#define access_ok(p, len)	((void)(p), (void)(len), true)

/* Both return the number of bytes that were not copied. */
unsigned long raw_copy_from_user(void *to, const void __user *from, unsigned long len);
unsigned long raw_copy_to_user(void __user *to, const void *from, unsigned long len);

#endif /* SHIM_LINUX_UACCESS_H */
