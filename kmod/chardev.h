/* SPDX-License-Identifier: GPL-2.0 */
/*
 * chardev: device nodes, and who may do what through them.
 *
 * Owns the life of a cache's device and of its open files. Promises that a cache
 * outlives every descriptor: the module cannot go while one is open.
 */
#ifndef KC_CHARDEV_H
#define KC_CHARDEV_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>

#include "hints.h"
#include "mmap.h"
#include "ops.h"
#include "text.h"

struct kc_device {
	struct device dev;
	struct cdev cdev;
	struct kc_cache cache;
	struct kc_map map;
};

/* One open file. */
struct kc_file {
	struct kc_cache *cache;
	struct kc_map *map;
	struct kc_text text;
	struct kc_hint_page hints;
};

/* What the descriptor was opened for, as KC_READ and KC_WRITE. */
static inline unsigned int kc_file_access(const struct file *file)
{
	return (file->f_mode & FMODE_READ ? KC_READ : 0) |
	       (file->f_mode & FMODE_WRITE ? KC_WRITE : 0);
}

int kc_chardev_init(void);
void kc_chardev_exit(void);

struct kc_device *kc_device_create(const char *name, u64 max_bytes);
void kc_device_destroy(struct kc_device *device);

int kc_hints_fd(struct file *file);

#endif /* KC_CHARDEV_H */
