/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_MM_H
#define SHIM_LINUX_MM_H

#include <linux/gfp.h>
#include <linux/slab.h>

extern unsigned long shim_totalram_pages;	/* a test may set it */

#define totalram_pages()	shim_totalram_pages

#endif /* SHIM_LINUX_MM_H */
