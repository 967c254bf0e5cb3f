/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_SLAB_H
#define SHIM_LINUX_SLAB_H

#include <linux/gfp.h>
#include <linux/overflow.h>
#include <linux/string.h>

void *shim_alloc(size_t size, gfp_t gfp);
void shim_free(const void *p);

static inline void *kmalloc(size_t size, gfp_t gfp)
{
	return shim_alloc(size, gfp);
}

static inline void *kzalloc(size_t size, gfp_t gfp)
{
	return shim_alloc(size, gfp | __GFP_ZERO);
}

/* The kernel's may go to vmalloc, which sleeps whatever the flags. */
static inline void *kvmalloc(size_t size, gfp_t gfp)
{
	shim_might_sleep("kvmalloc");
	return shim_alloc(size, gfp);
}

static inline void *kvzalloc(size_t size, gfp_t gfp)
{
	return kvmalloc(size, gfp | __GFP_ZERO);
}

static inline void *kvcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kvzalloc(array_size(n, size), gfp);
}

static inline void kfree(const void *p)
{
	shim_free(p);
}

static inline void kvfree(const void *p)
{
	if (p)
		shim_might_sleep("kvfree");
	shim_free(p);
}

#endif /* SHIM_LINUX_SLAB_H */
