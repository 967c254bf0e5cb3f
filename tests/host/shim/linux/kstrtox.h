/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_KSTRTOX_H
#define SHIM_LINUX_KSTRTOX_H

#include <linux/types.h>

/* As the kernel's: takes a sign and one newline at the end, and nothing else. */
int kstrtos64(const char *s, unsigned int base, s64 *number);
/* Of the signs, these take a '+'. */
int kstrtou64(const char *s, unsigned int base, u64 *number);
int kstrtou32(const char *s, unsigned int base, u32 *number);

#endif /* SHIM_LINUX_KSTRTOX_H */
