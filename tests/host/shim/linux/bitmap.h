/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_BITMAP_H
#define SHIM_LINUX_BITMAP_H

#include <linux/bitops.h>

static inline void bitmap_copy(unsigned long *to, const unsigned long *from, unsigned int nr)
{
	__builtin_memcpy(to, from, BITS_TO_LONGS(nr) * sizeof(long));
}

static inline void bitmap_set(unsigned long *map, unsigned int start, unsigned int nr)
{
	for (; nr; nr--, start++)
		*SHIM_WORD(start, map) |= SHIM_BIT(start);
}

static inline void bitmap_clear(unsigned long *map, unsigned int start, unsigned int nr)
{
	for (; nr; nr--, start++)
		*SHIM_WORD(start, map) &= ~SHIM_BIT(start);
}

/* The kernel's returns something greater than @size where there is none, too. */
static inline unsigned long bitmap_find_next_zero_area(unsigned long *map, unsigned long size,
						       unsigned long start, unsigned int nr,
						       unsigned long align_mask)
{
	unsigned long i, n = 0;

	(void)align_mask;	/* the core has no use for one */
	for (i = start; i < size; i++) {
		n = *SHIM_WORD(i, map) & SHIM_BIT(i) ? 0 : n + 1;
		if (n == nr)
			return i + 1 - nr;
	}
	return size + 1;
}

#endif /* SHIM_LINUX_BITMAP_H */
