/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_KERNEL_H
#define SHIM_LINUX_KERNEL_H

#include <stdio.h>	/* snprintf() */

#include <linux/types.h>

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define offsetofend(type, member) \
	(offsetof(type, member) + sizeof(((type *)0)->member))
#define u64_to_user_ptr(x)	((void __user *)(uintptr_t)(x))

/* 0, or -EINVAL for what is no digit. */
int hex2bin(u8 *to, const char *from, size_t bytes);

static inline char *hex_byte_pack(char *to, u8 byte)
{
	*to++ = "0123456789abcdef"[byte >> 4];
	*to++ = "0123456789abcdef"[byte & 15];
	return to;
}

#define roundup(n, d)		(DIV_ROUND_UP(n, d) * (d))

#endif /* SHIM_LINUX_KERNEL_H */
