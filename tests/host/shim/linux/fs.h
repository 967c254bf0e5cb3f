/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_FS_H
#define SHIM_LINUX_FS_H

#include <linux/types.h>

#define FMODE_READ	1U
#define FMODE_WRITE	2U

typedef struct {
	u32 val;
} kuid_t;

struct inode {
	kuid_t i_uid;
};

struct file {
	unsigned int f_mode;
	void *private_data;
	struct inode *f_inode;
};

struct vm_area_struct;

static inline struct inode *file_inode(const struct file *file)
{
	return file->f_inode;
}

#endif /* SHIM_LINUX_FS_H */
