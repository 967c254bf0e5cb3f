// SPDX-License-Identifier: GPL-2.0
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "chardev.h"
#include "compat.h"
#include "ioctl.h"
#include "sysfs.h"

static struct class *kc_class;
static dev_t kc_devt;

static int kc_open(struct inode *inode, struct file *file)
{
	struct kc_device *device = container_of(inode->i_cdev, struct kc_device, cdev);
	struct kc_file *kc_file = kzalloc(sizeof(*kc_file), GFP_KERNEL_ACCOUNT);

	if (!kc_file)
		return -ENOMEM;
	kc_file->cache = &device->cache;
	kc_file->map = &device->map;
	kc_text_init(&kc_file->text);
	file->private_data = kc_file;
	file->f_mapping = device->map.inode->i_mapping;
	return stream_open(inode, file);
}

static int kc_release(struct inode *inode, struct file *file)
{
	struct kc_file *kc_file = file->private_data;

	kc_hints_close(&kc_file->cache->hints, &kc_file->hints);
	kc_text_exit(&kc_file->text);
	kfree(kc_file);
	return 0;
}

static ssize_t kc_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct kc_file *kc_file = iocb->ki_filp->private_data;

	return kc_text_read(&kc_file->text, kc_file->cache, to,
			    iocb->ki_filp->f_flags & O_NONBLOCK);
}

static ssize_t kc_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct kc_file *kc_file = iocb->ki_filp->private_data;

	return kc_text_write(&kc_file->text, kc_file->cache, from,
			     iocb->ki_filp->f_flags & O_NONBLOCK);
}

/* Called by every close(): the last chance to say that a line has no end. */
static int kc_flush(struct file *file, fl_owner_t id)
{
	struct kc_file *kc_file = file->private_data;

	return kc_text_is_incomplete(&kc_file->text) ? -EINVAL : 0;
}

static int kc_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kc_file *kc_file = file->private_data;

	return kc_map_mmap(kc_file->map, vma);
}

static const struct file_operations kc_fops = {
	.owner = THIS_MODULE,
	.open = kc_open,
	.release = kc_release,
	.flush = kc_flush,
	.read_iter = kc_read_iter,
	.write_iter = kc_write_iter,
	.unlocked_ioctl = kc_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = kc_mmap,
};

/* -------- the page of hints that an open file shares with its readers -------- */

static int kc_hints_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kc_file *kc_file = ((struct file *)file->private_data)->private_data;

	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EACCES;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYEXEC);
	return vm_insert_page(vma, vma->vm_start, virt_to_page(kc_file->hints.shared));
}

static int kc_hints_release(struct inode *inode, struct file *file)
{
	fput(file->private_data);
	return 0;
}

static const struct file_operations kc_hints_fops = {
	.owner = THIS_MODULE,
	.mmap = kc_hints_mmap,
	.release = kc_hints_release,
};

/**
 * kc_hints_fd() - a descriptor that maps an open file's page of hints
 * @file: open device
 *
 * The page has to be writable for who may only read the cache, and a descriptor
 * that was opened for reading can have no such mapping: hence another one. It
 * keeps @file open.
 *
 * Return: the descriptor or an error.
 */
int kc_hints_fd(struct file *file)
{
	struct kc_file *kc_file = file->private_data;
	int fd, err = kc_hints_open(&kc_file->cache->hints, &kc_file->hints);

	if (err)
		return err;
	fd = anon_inode_getfd("[kcache-hints]", &kc_hints_fops, get_file(file),
			      O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fput(file);
	return fd;
}

static void kc_device_release(struct device *dev)
{
	struct kc_device *device = container_of(dev, struct kc_device, dev);

	kc_map_exit(&device->map);
	kc_cache_exit(&device->cache);
	kfree(device);
}

/**
 * kc_device_create() - a cache with its device node and its sysfs directory
 * @name: of the cache, and of the node in /dev
 * @max_bytes: limit of the cache
 *
 * Context: Process context.
 * Return: the device or ERR_PTR().
 */
struct kc_device *kc_device_create(const char *name, u64 max_bytes)
{
	struct kc_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	int err;

	if (!device)
		return ERR_PTR(-ENOMEM);
	err = kc_cache_init(&device->cache, name, max_bytes);
	if (err) {
		kfree(device);
		return ERR_PTR(err);
	}
	err = kc_map_init(&device->map, &device->cache.arena);
	if (err) {
		kc_cache_exit(&device->cache);
		kfree(device);
		return ERR_PTR(err);
	}
	device_initialize(&device->dev);
	device->dev.class = kc_class;
	device->dev.devt = kc_devt;
	device->dev.groups = kc_sysfs_groups;
	device->dev.release = kc_device_release;
	dev_set_drvdata(&device->dev, &device->cache);
	cdev_init(&device->cdev, &kc_fops);
	device->cdev.owner = THIS_MODULE;
	err = dev_set_name(&device->dev, "%s", name);
	if (err)
		goto err_put;
	err = cdev_device_add(&device->cdev, &device->dev);
	if (err)
		goto err_put;
	return device;

err_put:
	put_device(&device->dev);
	return ERR_PTR(err);
}

/* Nobody has the device open any more. */
void kc_device_destroy(struct kc_device *device)
{
	cdev_device_del(&device->cdev, &device->dev);
	put_device(&device->dev);
}

int kc_chardev_init(void)
{
	int err = kc_mmap_init();

	if (err)
		return err;
	err = alloc_chrdev_region(&kc_devt, 0, 1, "kcache");
	if (err)
		goto err_mmap;
	kc_class = class_create("kcache");
	if (IS_ERR(kc_class)) {
		err = PTR_ERR(kc_class);
		goto err_region;
	}
	return 0;

err_region:
	unregister_chrdev_region(kc_devt, 1);
err_mmap:
	kc_mmap_exit();
	return err;
}

void kc_chardev_exit(void)
{
	class_destroy(kc_class);
	unregister_chrdev_region(kc_devt, 1);
	kc_mmap_exit();
}
