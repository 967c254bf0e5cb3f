// SPDX-License-Identifier: GPL-2.0
/*
 * kcache: a cache that the processes of one host share, without a daemon.
 *
 * This file loads and unloads the module: its parameters and its default cache.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sizes.h>

#include "chardev.h"
#include "sysfs.h"

static u64 max_bytes = SZ_64M;

static int max_bytes_set(const char *text, const struct kernel_param *param)
{
	return kc_parse_bytes(text, param->arg);
}

static int max_bytes_get(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%llu\n", *(u64 *)param->arg);
}

static const struct kernel_param_ops max_bytes_ops = {
	.set = max_bytes_set,
	.get = max_bytes_get,
};

module_param_cb(max_bytes, &max_bytes_ops, &max_bytes, 0444);
MODULE_PARM_DESC(max_bytes,
		 "Bound of all the memory of /dev/kcache at load, at least 1M (default 64M)");

static struct kc_device *default_device;

static int __init kcache_init(void)
{
	int err = kc_chardev_init();

	if (err)
		return err;
	default_device = kc_device_create("kcache", max_bytes);
	if (IS_ERR(default_device)) {
		err = PTR_ERR(default_device);
		if (err == -EINVAL)
			pr_err("max_bytes=%llu is less than 1 MiB or more than the memory\n",
			       max_bytes);
		kc_chardev_exit();
		return err;
	}
	return 0;
}

static void __exit kcache_exit(void)
{
	kc_device_destroy(default_device);
	kc_chardev_exit();
}

module_init(kcache_init);
module_exit(kcache_exit);

MODULE_AUTHOR("The kcache developers");
MODULE_DESCRIPTION("A cache that the processes of one host share");
MODULE_LICENSE("GPL");
