/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat: what differs between the kernels that kcache builds on, 6.1 to 6.12.
 * All other files read as for the newest.
 */
#ifndef KC_COMPAT_H
#define KC_COMPAT_H

#include <linux/device.h>

#ifdef class_create	/* until 6.4, a macro that took the owner, too */
#undef class_create
#define class_create(name) \
	({ static struct lock_class_key key; __class_create(THIS_MODULE, name, &key); })
#endif

/* Large enough for CONFIG_INIT_STACK_ALL_ZERO to be felt, and written before it is read. */
#if __has_attribute(__uninitialized__)
#define kc_uninitialized	__attribute__((__uninitialized__))
#else
#define kc_uninitialized
#endif

#endif /* KC_COMPAT_H */
