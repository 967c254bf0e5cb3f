/* SPDX-License-Identifier: GPL-2.0 */
/* HZ is 1000. */
#ifndef SHIM_LINUX_JIFFIES_H
#define SHIM_LINUX_JIFFIES_H

#include <linux/minmax.h>
#include <linux/timekeeping.h>

#define jiffies			((unsigned long)(ktime_get_boottime_ns() / NSEC_PER_MSEC))
#define msecs_to_jiffies(ms)	((unsigned long)(ms))

#endif /* SHIM_LINUX_JIFFIES_H */
