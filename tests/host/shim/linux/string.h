/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Under TSan, accesses to page memory by these functions are relaxed atomics,
 * as the copies of the read protocol must be taken for; see copy.c.
 */
#ifndef SHIM_LINUX_STRING_H
#define SHIM_LINUX_STRING_H

#include <string.h>

#include <linux/types.h>

ssize_t strscpy(char *to, const char *from, size_t size);
ssize_t strscpy_pad(char *to, const char *from, size_t size);

#ifdef SHIM_TSAN
void *shim_memcpy(void *to, const void *from, size_t len);
void *shim_memset(void *to, int c, size_t len);
int shim_memcmp(const void *a, const void *b, size_t len);
#define memcpy(to, from, len)	shim_memcpy(to, from, len)
#define memset(to, c, len)	shim_memset(to, c, len)
#define memcmp(a, b, len)	shim_memcmp(a, b, len)
#endif

#endif /* SHIM_LINUX_STRING_H */
