// SPDX-License-Identifier: GPL-2.0
#include <linux/capability.h>
#include <linux/minmax.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "chardev.h"
#include "compat.h"
#include "ioctl.h"
#include "user.h"

/* The part of the struct that results are in. */
#define RESULTS_AT	offsetof(struct kcache_op, out_len)

static_assert(sizeof(struct kcache_op) == KCACHE_OP_SIZE_VER0);
static_assert(sizeof(struct kcache_op) % 8 == 0);
static_assert(sizeof(struct kcache_info) == KCACHE_INFO_SIZE_VER0);
static_assert(sizeof(struct kcache_info) % 8 == 0);

/* Is what a caller with a longer struct has set there zero? */
static int check_size(void __user *arg, size_t size, size_t known)
{
	int is_zero;

	if (likely(size == known))
		return 0;
	if (size < known)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	is_zero = check_zeroed_user(arg + known, size - known);
	if (is_zero < 0)
		return is_zero;
	return is_zero ? 0 : -E2BIG;
}

/*
 * A buffer of @len bytes, of which the core will use no more than a value has.
 * Whether it is the caller's memory is found out by the copy.
 */
static void import_buffer(int direction, u64 address, u64 len, struct iov_iter *iter)
{
	iov_iter_ubuf(iter, direction, u64_to_user_ptr(address), min_t(u64, len, KC_VALUE_MAX));
}

static bool put_results(struct kcache_op __user *user_op, const struct kcache_op *op)
{
	return kc_user_put(&user_op->out_len, &op->out_len, sizeof(*op) - RESULTS_AT);
}

/* Writes back the ends of the results as they were read. Less than a page is between. */
static bool can_take_results(struct kcache_op __user *user_op, const struct kcache_op *op)
{
	if (!user_access_begin(user_op, sizeof(*op)))
		return false;
	unsafe_put_user(op->out_len, &user_op->out_len, err_end);
	unsafe_put_user(op->reserved, &user_op->reserved, err_end);
	user_access_end();
	return true;

err_end:
	user_access_end();
	return false;
}

static int ioctl_op(struct file *file, void __user *arg)
{
	struct kc_file *kc_file = file->private_data;
	struct kcache_op __user *user_op = arg;
	u8 key[KCACHE_KEY_MAX] kc_uninitialized;
	struct kc_call call kc_uninitialized;
	struct kcache_op *op = &call.op;
	int access, err;

	if (!kc_user_get(op, arg, sizeof(*op)))
		return -EFAULT;
	err = check_size(arg, op->size, sizeof(*op));
	if (err)
		return err;
	access = kc_call_check(op, kc_file_access(file));
	if (access < 0)
		return access;
	if (!kc_user_get(key, u64_to_user_ptr(op->key), op->key_len))
		return -EFAULT;
	call.key = key;
	import_buffer(ITER_SOURCE, op->value, op->value_len, &call.value);
	import_buffer(ITER_DEST, op->out, op->out_len, &call.out);
	/* Who cannot take an answer must not change anything. */
	if (access & KC_WRITE && !can_take_results(user_op, op))
		return -EFAULT;

	err = kc_cache_run(kc_file->cache, &call);
	if (!err && !put_results(user_op, op))
		return -EFAULT;
	if (err == -EMSGSIZE && put_user(op->out_len, &user_op->out_len))
		return -EFAULT;
	return err;
}

static int ioctl_info(struct file *file, void __user *arg)
{
	struct kc_file *kc_file = file->private_data;
	struct kcache_info info;
	int err;

	if (copy_from_user(&info, arg, sizeof(info)))
		return -EFAULT;
	err = check_size(arg, info.size, sizeof(info));
	if (err)
		return err;
	info = (struct kcache_info) {
		.size = info.size,
		.key_max = KCACHE_KEY_MAX,
		.value_max = kc_cache_value_max(kc_file->cache),
		.max_bytes = READ_ONCE(kc_file->cache->arena.max_bytes),
		.opcodes = kc_cache_opcodes(),
		.flags = kc_cache_flags(),
	};
	strscpy_pad(info.name, kc_file->cache->name, sizeof(info.name));
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static int ioctl_flush(struct file *file, void __user *arg)
{
	struct kc_file *kc_file = file->private_data;

	if (arg)
		return -EINVAL;
	if (!(kc_file_access(file) & KC_WRITE))
		return -EBADF;
	if (!uid_eq(current_fsuid(), file_inode(file)->i_uid) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	return kc_cache_flush(kc_file->cache);
}

static const struct {
	unsigned int number;
	int (*run)(struct file *file, void __user *arg);
} commands[] = {
	{ KCACHE_IOC_OP,	ioctl_op },
	{ KCACHE_IOC_INFO,	ioctl_info },
	{ KCACHE_IOC_FLUSH,	ioctl_flush },
};

/**
 * kc_ioctl() - the device's ioctl entry
 * @file: open device
 * @number: command
 * @arg: its argument
 *
 * Return: as the contract says; -ENOTTY for an unknown command.
 */
long kc_ioctl(struct file *file, unsigned int number, unsigned long arg)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].number == number)
			return commands[i].run(file, (void __user *)arg);
	return -ENOTTY;
}
