// SPDX-License-Identifier: GPL-2.0
#include <linux/capability.h>
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/time_namespace.h>
#include <linux/uaccess.h>

#include "chardev.h"
#include "compat.h"
#include "ioctl.h"
#include "user.h"

static_assert(sizeof(struct kcache_op) == KCACHE_OP_SIZE_VER0);
static_assert(sizeof(struct kcache_op) % 8 == 0);
static_assert(sizeof(struct kcache_batch) == KCACHE_BATCH_SIZE_VER0);
static_assert(offsetofend(struct kcache_info, name) == KCACHE_INFO_SIZE_VER0);
static_assert(sizeof(struct kcache_info) == KCACHE_INFO_SIZE_VER1);
static_assert(sizeof(struct kcache_info) % 8 == 0);

/*
 * Is @size a struct that a caller may have: at least @least, and if it is longer
 * than the one that is @known, is what he has set there zero?
 */
static int check_size(void __user *arg, size_t size, size_t least, size_t known)
{
	int is_zero;

	if (likely(size == known))
		return 0;
	if (size < least)
		return -EINVAL;
	if (size < known)
		return 0;
	if (size > PAGE_SIZE)
		return -E2BIG;
	is_zero = check_zeroed_user(arg + known, size - known);
	if (is_zero < 0)
		return is_zero;
	return is_zero ? 0 : -E2BIG;
}

/*
 * Copies the key in. Those of 8 to 16 bytes, as most are, by two loads that may
 * overlap: a copy of any length takes longer to begin than that.
 */
static __always_inline bool get_key(u8 *key, const u8 __user *from, u32 len)
{
	u64 first, last;

	if (unlikely(len - 8 > 8))
		return kc_user_get(key, from, len);
	if (should_fail_usercopy())
		return false;
	if (!user_access_begin(from, 16))
		return kc_user_get(key, from, len);
	unsafe_get_user(first, (u64 __user *)from, err_end);
	unsafe_get_user(last, (u64 __user *)(from + len - 8), err_end);
	user_access_end();
	memcpy(key, &first, sizeof(first));
	memcpy(key + len - sizeof(last), &last, sizeof(last));
	return true;

err_end:
	user_access_end();
	return false;
}

/* All results, or of what needs no KC_READ the two that it may have. */
static __always_inline bool put_results(struct kcache_op __user *user_op,
					const struct kcache_op *op, int access)
{
	if (!user_access_begin(user_op, sizeof(*op)))
		return false;
	unsafe_put_user(op->out_len, &user_op->out_len, err_end);
	unsafe_put_user(op->version, &user_op->version, err_end);
	if (access & KC_READ) {
		unsafe_put_user(op->ttl_ms, &user_op->ttl_ms, err_end);
		unsafe_put_user(op->number, &user_op->number, err_end);
		unsafe_put_user(op->client_flags, &user_op->client_flags, err_end);
		unsafe_put_user(op->error, &user_op->error, err_end);
	}
	user_access_end();
	return true;

err_end:
	user_access_end();
	return false;
}

/* Writes back the ends of the results as they were read. Less than a page is between. */
static __always_inline bool can_take_results(struct kcache_op __user *user_op,
					     const struct kcache_op *op)
{
	if (should_fail_usercopy() || !user_access_begin(user_op, sizeof(*op)))
		return false;
	unsafe_put_user(op->out_len, &user_op->out_len, err_end);
	unsafe_put_user(op->error, &user_op->error, err_end);
	user_access_end();
	return true;

err_end:
	user_access_end();
	return false;
}

/* The operation in @call, which came from @user_op, is a request, and needs @access. */
static __always_inline int run_checked(struct file *file, struct kcache_op __user *user_op,
				       struct kc_call *call, int access)
{
	struct kc_file *kc_file = file->private_data;
	u8 key[KCACHE_KEY_MAX] kc_uninitialized;
	struct kcache_op *op = &call->op;
	int err;

	if (!get_key(key, u64_to_user_ptr(op->key), op->key_len))
		return -EFAULT;
	call->key = key;
	/* Whether they are the caller's memory is found out by the copy. */
	call->value = kc_buffer_user(u64_to_user_ptr(op->value));
	call->out = kc_buffer_user(u64_to_user_ptr(op->out));
	/* Who cannot take an answer must not change anything. */
	if (access & KC_WRITE && !can_take_results(user_op, op))
		return -EFAULT;

	err = kc_cache_run(kc_file->cache, call);
	if (!err && !put_results(user_op, op, access))
		return -EFAULT;
	if (err == -EMSGSIZE && put_user(op->out_len, &user_op->out_len))
		return -EFAULT;
	return err;
}

/* The operation in @call, which came from @user_op. */
static __always_inline int run_op(struct file *file, struct kcache_op __user *user_op,
				  struct kc_call *call)
{
	struct kcache_op *op = &call->op;
	int access, err;

	err = check_size(user_op, op->size, sizeof(*op), sizeof(*op));
	if (err)
		return err;
	access = kc_call_check_quickly(op, kc_file_access(file));
	if (access < 0)
		return access;
	/* In line twice: of what is read, nothing asks for @access any more. */
	if (access == KC_READ)
		return run_checked(file, user_op, call, KC_READ);
	return run_checked(file, user_op, call, access);
}

static long ioctl_op(struct file *file, void __user *arg)
{
	struct kc_call call kc_uninitialized;

	if (!kc_user_get(&call.op, arg, sizeof(call.op)))
		return -EFAULT;
	return run_op(file, arg, &call);
}

/* Carries out operations until all are done or the batch must end with an error. */
static int run_batch(struct file *file, struct kcache_batch *batch)
{
	struct kc_call call kc_uninitialized;
	int err;

	for (batch->done = 0; batch->done < batch->nr; batch->done++) {
		void __user *user = u64_to_user_ptr(batch->ops +
						    (u64)batch->done * batch->op_size);
		struct kcache_op __user *user_op = user;

		if (signal_pending(current))
			return -EINTR;
		if (!kc_user_get(&call.op, user_op, sizeof(call.op)))
			return -EFAULT;
		if (call.op.size != batch->op_size)
			return -EINVAL;
		call.op.error = 0;
		err = run_op(file, user_op, &call);
		if (err && put_user(err, &user_op->error))
			return -EFAULT;
		cond_resched();
	}
	return 0;
}

static long ioctl_batch(struct file *file, void __user *arg)
{
	struct kcache_batch __user *user_batch = arg;
	struct kcache_batch batch;
	int err;

	if (!kc_user_get(&batch, arg, sizeof(batch)))
		return -EFAULT;
	err = check_size(arg, batch.size, sizeof(batch), sizeof(batch));
	if (err)
		return err;
	if (batch.nr > KCACHE_BATCH_MAX || batch.op_size < sizeof(struct kcache_op) ||
	    batch.op_size > PAGE_SIZE)
		return -EINVAL;
	/* Who cannot be told how far it came must not change anything. */
	if (put_user(0, &user_batch->done))
		return -EFAULT;
	err = run_batch(file, &batch);
	if (err && !batch.done)
		return err;
	return put_user(batch.done, &user_batch->done);
}

static long ioctl_info(struct file *file, void __user *arg)
{
	struct kc_file *kc_file = file->private_data;
	struct kcache_info info;
	u32 size;
	int err;

	if (get_user(size, (u32 __user *)arg))
		return -EFAULT;
	err = check_size(arg, size, KCACHE_INFO_SIZE_VER0, sizeof(info));
	if (err)
		return err;
	info = (struct kcache_info) {
		.size = size,
		.key_max = KCACHE_KEY_MAX,
		.value_max = kc_cache_value_max(kc_file->cache),
		.max_bytes = READ_ONCE(kc_file->cache->arena.max_bytes),
		.opcodes = kc_cache_opcodes(),
		.flags = kc_cache_flags(),
		.map_bytes = kc_arena_span(&kc_file->cache->arena),
		.clock_offset_ns = timens_add_boottime_ns(0),
	};
	strscpy_pad(info.name, kc_file->cache->name, sizeof(info.name));
	return copy_to_user(arg, &info, min_t(size_t, size, sizeof(info))) ? -EFAULT : 0;
}

static long ioctl_flush(struct file *file, void __user *arg)
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

static long ioctl_hints(struct file *file, void __user *arg)
{
	if (arg)
		return -EINVAL;
	if (!(kc_file_access(file) & KC_READ))
		return -EBADF;
	return kc_hints_fd(file);
}

static long ioctl_take_hints(struct file *file, void __user *arg)
{
	struct kc_file *kc_file = file->private_data;

	if (arg)
		return -EINVAL;
	if (!(kc_file_access(file) & KC_READ))
		return -EBADF;
	kc_hints_take(&kc_file->cache->hints, &kc_file->hints);
	return 0;
}

static const struct {
	unsigned int number;
	long (*run)(struct file *file, void __user *arg);
} commands[] = {
	{ KCACHE_IOC_OP,		ioctl_op },
	{ KCACHE_IOC_INFO,		ioctl_info },
	{ KCACHE_IOC_FLUSH,		ioctl_flush },
	{ KCACHE_IOC_BATCH,		ioctl_batch },
	{ KCACHE_IOC_HINTS,		ioctl_hints },
	{ KCACHE_IOC_TAKE_HINTS,	ioctl_take_hints },
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

	/* Not by an indirect call, which would be a part of what it takes. */
	if (likely(number == KCACHE_IOC_OP))
		return ioctl_op(file, (void __user *)arg);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].number == number)
			return commands[i].run(file, (void __user *)arg);
	return -ENOTTY;
}
