/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_TIME_NAMESPACE_H
#define SHIM_LINUX_TIME_NAMESPACE_H

#include <linux/types.h>

/* All are in the first one. */
static inline u64 timens_add_boottime_ns(u64 ns)
{
	return ns;
}

#endif /* SHIM_LINUX_TIME_NAMESPACE_H */
