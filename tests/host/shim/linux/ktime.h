/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_KTIME_H
#define SHIM_LINUX_KTIME_H

#include <linux/types.h>

#define NSEC_PER_MSEC	1000000L

static inline u64 div_u64(u64 n, u32 d)
{
	return n / d;
}

#endif /* SHIM_LINUX_KTIME_H */
