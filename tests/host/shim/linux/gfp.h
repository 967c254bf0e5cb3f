/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_GFP_H
#define SHIM_LINUX_GFP_H

#include <linux/types.h>

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)

#define __GFP_DIRECT_RECLAIM	0x01U
#define __GFP_KSWAPD_RECLAIM	0x02U
#define __GFP_RECLAIM		(__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define __GFP_ZERO		0x04U
#define __GFP_NOWARN		0x08U
#define __GFP_NORETRY		0x10U
#define __GFP_ACCOUNT		0x20U
#define __GFP_IO_FS		0x40U

#define GFP_KERNEL		(__GFP_RECLAIM | __GFP_IO_FS)
#define GFP_KERNEL_ACCOUNT	(GFP_KERNEL | __GFP_ACCOUNT)
#define GFP_NOWAIT		__GFP_KSWAPD_RECLAIM

/* Pages of the shim's own range, see memory.c: a part may be freed, and then faults. */
void *alloc_pages_exact(size_t size, gfp_t gfp);
void free_pages_exact(void *p, size_t size);

#define get_zeroed_page(gfp)	((unsigned long)alloc_pages_exact(PAGE_SIZE, (gfp) | __GFP_ZERO))
#define free_page(p)		free_pages_exact((void *)(p), PAGE_SIZE)

#endif /* SHIM_LINUX_GFP_H */
