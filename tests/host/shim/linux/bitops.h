/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_BITOPS_H
#define SHIM_LINUX_BITOPS_H

#include <linux/types.h>

#define BITS_PER_LONG		((int)sizeof(long) * 8)
#define BITS_TO_LONGS(nr)	(((nr) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define GENMASK(h, l)		((~0UL << (l)) & (~0UL >> (BITS_PER_LONG - 1 - (h))))

#define SHIM_WORD(nr, p)	((p) + (nr) / BITS_PER_LONG)
#define SHIM_BIT(nr)		(1UL << ((nr) % BITS_PER_LONG))

static inline bool test_bit(long nr, const unsigned long *p)
{
	return READ_ONCE(*SHIM_WORD(nr, p)) & SHIM_BIT(nr);
}

static inline void __set_bit(long nr, unsigned long *p)
{
	*SHIM_WORD(nr, p) |= SHIM_BIT(nr);
}

static inline int fls(unsigned int v)
{
	return v ? 32 - __builtin_clz(v) : 0;
}

static inline unsigned int hweight32(u32 v)
{
	return __builtin_popcount(v);
}

#endif /* SHIM_LINUX_BITOPS_H */
