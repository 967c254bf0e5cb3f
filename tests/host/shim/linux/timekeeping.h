/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_TIMEKEEPING_H
#define SHIM_LINUX_TIMEKEEPING_H

#include <linux/ktime.h>

u64 ktime_get_boottime_ns(void);	/* the fake clock, see shim.h */

#endif /* SHIM_LINUX_TIMEKEEPING_H */
