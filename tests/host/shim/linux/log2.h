/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_LOG2_H
#define SHIM_LINUX_LOG2_H

#include <linux/bitops.h>

static inline int ilog2(u64 v)
{
	return 63 - __builtin_clzll(v);
}

static inline unsigned long rounddown_pow_of_two(unsigned long v)
{
	return 1UL << ilog2(v);
}

static inline unsigned long roundup_pow_of_two(unsigned long v)
{
	return v == 1 ? 1 : 1UL << (ilog2(v - 1) + 1);
}

#endif /* SHIM_LINUX_LOG2_H */
