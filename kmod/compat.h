/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat: what differs between the kernels that kcache builds on, 6.1 to 6.12.
 * All other files read as for the newest.
 */
#ifndef KC_COMPAT_H
#define KC_COMPAT_H

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>

#ifdef class_create	/* until 6.4, a macro that took the owner, too */
#undef class_create
#define class_create(name) \
	({ static struct lock_class_key key; __class_create(THIS_MODULE, name, &key); })
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
/* Shrinkers were not allocated then, had no private data, and could fail to register. */
struct kc_old_shrinker {
	struct shrinker shrinker;
	void *data;
	const char *format;
	const char *name;
};

static inline struct shrinker *shrinker_alloc(unsigned int flags, const char *format,
					      const char *name)
{
	struct kc_old_shrinker *old = kzalloc(sizeof(*old), GFP_KERNEL);

	if (!old)
		return NULL;
	old->shrinker.flags = flags;
	old->format = format;
	old->name = name;
	return &old->shrinker;
}

static inline void *shrinker_data(struct shrinker *shrinker)
{
	return container_of(shrinker, struct kc_old_shrinker, shrinker)->data;
}

static inline void shrinker_set_data(struct shrinker *shrinker, void *data)
{
	container_of(shrinker, struct kc_old_shrinker, shrinker)->data = data;
}

static inline void shrinker_register(struct shrinker *shrinker)
{
	struct kc_old_shrinker *old = container_of(shrinker, struct kc_old_shrinker, shrinker);

	if (register_shrinker(shrinker, old->format, old->name))
		pr_warn("kcache: %s does not shrink under memory pressure\n", old->name);
}

static inline void shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(container_of(shrinker, struct kc_old_shrinker, shrinker));
}
#else
static inline void *shrinker_data(struct shrinker *shrinker)
{
	return shrinker->private_data;
}

static inline void shrinker_set_data(struct shrinker *shrinker, void *data)
{
	shrinker->private_data = data;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* Large enough for CONFIG_INIT_STACK_ALL_ZERO to be felt, and written before it is read. */
#if __has_attribute(__uninitialized__)
#define kc_uninitialized	__attribute__((__uninitialized__))
#else
#define kc_uninitialized
#endif

#endif /* KC_COMPAT_H */
