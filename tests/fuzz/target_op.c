// SPDX-License-Identifier: GPL-2.0
/*
 * The device's ioctl: every command, with structs of any size and content in the memory
 * of a caller of which some is not there. That memory lies at a fixed address.
 *
 * An operation's error, results and effect are compared with the contract, by a second
 * opinion on what is a request and the model map. A batch is compared with the same
 * operations one by one, on a twin of the cache. What a call may not write must be as it was.
 */
#include <string.h>
#include <sys/mman.h>

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "chardev.h"
#include "choose.h"
#include "fuzz.h"
#include "ioctl.h"
#include "model.h"

#define USER_AT		0x10000000UL
#define USER_BYTES	(16UL << 10)
#define KEYS_MAX	1000
#define OP_BYTES	sizeof(struct kcache_op)

static u8 *user;			/* USER_AT */
static u8 before[USER_BYTES];		/* the same as it was before the call */
static u8 after[USER_BYTES];		/* and as the batch left it */
static u8 may_change[USER_BYTES];
static struct {
	u64 at, len;
	enum shim_mark mark;
} marked[3];
static int nr_marked;

static struct inode inode = { .i_uid = { 1000 } };
static struct kc_cache *twin;
static struct kc_file files[2];		/* on the cache and its twin */
static struct file file;

static struct {
	u8 key[KCACHE_KEY_MAX];
	u32 len;
	struct model model;
} known[KEYS_MAX];
static u32 nr_known;

/* -------- what the device calls -------- */

int kc_hints_fd(struct file *of)
{
	struct kc_file *kc_file = of->private_data;
	int err = kc_hints_open(&kc_file->cache->hints, &kc_file->hints);

	return err ? err : 77;
}

/* -------- the caller's memory -------- */

static void make_memory(void)
{
	user = mmap((void *)USER_AT, USER_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	DEMAND(user == (u8 *)USER_AT);
}

/* Bytes of @len from @at on before the first that cannot be had, with @mark and worse. */
static u64 there(u64 at, u64 len, enum shim_mark mark)
{
	u64 has, from = at - USER_AT;
	int i;

	if (from >= USER_BYTES)
		return 0;
	has = min_t(u64, len, USER_BYTES - from);
	for (i = 0; i < nr_marked; i++)
		if (marked[i].mark >= mark && marked[i].at < at + has &&
		    marked[i].at + marked[i].len > at)
			has = marked[i].at > at ? marked[i].at - at : 0;
	return has;
}

static bool is_there(u64 at, u64 len)
{
	return there(at, len, SHIM_UNMAPPED) == len;
}

static void choose_marks(void)
{
	u64 i;

	for (nr_marked = 0; nr_marked < 3 && choose(12) == 1; nr_marked++) {
		i = choose(USER_BYTES);
		marked[nr_marked].at = USER_AT + i;
		marked[nr_marked].len = 1 + choose(min_t(u64, 256, USER_BYTES - i));
		marked[nr_marked].mark = choose(3);
	}
}

static void set_marks(void)
{
	int i;

	shim_user_clear();
	for (i = 0; i < nr_marked; i++)
		shim_user_mark((void *)marked[i].at, marked[i].len, marked[i].mark);
}

static u64 address(void)
{
	switch (choose(8)) {
	case 0:
		return USER_AT + USER_BYTES - choose(256);
	case 1:
		return choose(4) == 1 ? choose_any() : choose(3) - 1;
	}
	return USER_AT + choose(USER_BYTES / 64) * 64 + choose(4);
}

static u64 length(u64 usual)
{
	static const u64 edges[] = {
		0, 1, 7, 8, 9, 16, 17, KCACHE_KEY_MAX, KCACHE_KEY_MAX + 1, PAGE_SIZE, USER_BYTES,
		U32_MAX, U64_MAX,
	};

	switch (choose(8)) {
	case 0:
		return edges[choose(ARRAY_SIZE(edges))];
	case 1:
		return choose(1 << 15);
	}
	return choose(usual);
}

static u32 any_size(u32 right)
{
	switch (choose(16)) {
	case 1:
		return right + 8 * choose(20);
	case 2:
		return right - choose(right);
	case 3:
		return choose(2) ? PAGE_SIZE + choose(2) : choose_any();
	}
	return right;
}

static struct kcache_op any_op(u32 size)
{
	static const u32 flags[] = {
		0, 0, KCACHE_IF_ABSENT, KCACHE_IF_PRESENT, KCACHE_IF_VERSION, KCACHE_KEEP_TTL,
		KCACHE_RETURN_OLD, KCACHE_TOUCH, KCACHE_INITIAL,
	};
	struct kcache_op op = {
		.size = size,
		.opcode = choose(24) == 1 ? choose_any() : KCACHE_OP_GET + choose(9),
		.flags = flags[choose(ARRAY_SIZE(flags))],
		/* Few keys, so that they are met again. */
		.key = choose(4) ? USER_AT + choose(8) * 2048 : address(),
		.key_len = choose(4) ? 1 + choose(20) : length(64),
		.value = address(),
		.value_len = length(200),
		.out = address(),
		.out_len = choose(4) ? 2000 : length(200),
		.ttl_ms = choose(3) ? 0 : choose(4) ? choose(1000) : KCACHE_TTL_MAX_MS + choose(3) - 1,
		.client_flags = choose(4) ? 0 : choose(1 << 16),
		.error = choose(32) == 1 ? choose_any() : 0,
	};

	if (choose(8) == 1)
		op.flags |= 1U << choose(32);
	if (op.opcode == KCACHE_OP_ADD) {
		op.delta = choose(2) ? choose(256) : choose_any();
		op.number = choose(2) ? choose(256) : choose_any();
	}
	if (op.flags & KCACHE_IF_VERSION && nr_known)
		op.version = known[choose(nr_known)].model.version + choose(8) / 7;
	return op;
}

static void put(u64 at, const void *p, u64 len)
{
	u64 from = at - USER_AT;

	if (from < USER_BYTES)
		memcpy(user + from, p, min_t(u64, len, USER_BYTES - from));
}

/* -------- the second opinion -------- */

static bool overlap(u64 a, u64 a_len, u64 b, u64 b_len)
{
	return a < b + b_len && b < a + a_len && a_len && b_len;
}

/*
 * Is a struct of @size at @at, of which @least is known, refused? 1: yes, and @err is a reason;
 * 0: no; -1: yes, but not with that.
 */
static int is_size_refused(u64 at, u64 size, u64 least, int err)
{
	bool is_there_all = true, is_zero = true;
	u64 i;

	if (size < least)
		return err == -EINVAL ? 1 : -1;
	if (size > PAGE_SIZE)
		return err == -E2BIG ? 1 : -1;
	for (i = least; i < size; i++) {
		if (!is_there(at + i, 1))
			is_there_all = false;
		else if (before[at + i - USER_AT])
			is_zero = false;
	}
	if (is_there_all && is_zero)
		return 0;
	return (err == -EFAULT && !is_there_all) || (err == -E2BIG && !is_zero) ? 1 : -1;
}

/* Is it refused before it is looked up, and may it be with @err? 1 yes, 0 no, -1: not with that. */
static int is_refused(u64 at, const struct kcache_op *op, int err)
{
	static const struct {
		u32 access, flags;
	} takes[] = {
		[KCACHE_OP_GET] = { KC_READ, KCACHE_TOUCH },
		[KCACHE_OP_SET] = { KC_WRITE, 0x1f },
		[KCACHE_OP_REMOVE] = { KC_WRITE, KCACHE_IF_VERSION },
		[KCACHE_OP_POP] = { KC_READ | KC_WRITE, 0 },
		[KCACHE_OP_STAT] = { KC_READ, 0 },
		[KCACHE_OP_TOUCH] = { KC_WRITE, 0 },
		[KCACHE_OP_ADD] = { KC_READ | KC_WRITE, KCACHE_INITIAL },
		[KCACHE_OP_APPEND] = { KC_WRITE, KCACHE_IF_VERSION },
		[KCACHE_OP_PREPEND] = { KC_WRITE, KCACHE_IF_VERSION },
	};
	int refused = is_size_refused(at, op->size, OP_BYTES, err);
	bool einval = false, efbig, ebadf = false, efault;
	u32 conditions = op->flags & 7, access;

	if (refused)
		return refused;
	if (!op->opcode || op->opcode >= ARRAY_SIZE(takes)) {
		einval = true;
	} else {
		access = takes[op->opcode].access;
		if (op->flags & (KCACHE_TOUCH | KCACHE_RETURN_OLD))
			access = KC_READ | KC_WRITE;
		einval = op->flags & ~takes[op->opcode].flags ||
			 (conditions & (conditions - 1));
		einval |= op->ttl_ms > KCACHE_TTL_MAX_MS &&
			  (op->opcode == KCACHE_OP_SET || op->opcode == KCACHE_OP_TOUCH ||
			   op->flags & (KCACHE_TOUCH | KCACHE_INITIAL));
		ebadf = access & ~kc_file_access(&file);
	}
	einval |= !op->key_len || op->error;
	efbig = op->key_len > KCACHE_KEY_MAX;
	efault = !efbig && !is_there(op->key, op->key_len);
	if (!einval && !efbig && !ebadf && !efault)
		return 0;
	return (err == -EINVAL && einval) || (err == -EFBIG && efbig) ||
	       (err == -EBADF && ebadf) || (err == -EFAULT && efault) ? 1 : -1;
}

static struct model *model_of(const u8 *key, u32 len)
{
	u32 i;

	for (i = 0; i < nr_known; i++)
		if (known[i].len == len && !memcmp(known[i].key, key, len))
			return &known[i].model;
	DEMAND(nr_known < KEYS_MAX);
	memset(&known[i].model, 0, sizeof(known[i].model));
	memcpy(known[i].key, key, len);
	known[i].len = len;
	nr_known++;
	return &known[i].model;
}

static void forget_all(void)
{
	for (; nr_known; nr_known--)
		free(known[nr_known - 1].model.value);
}

static void allow(u64 at, u64 len)
{
	u64 from = at - USER_AT;

	if (from < USER_BYTES)
		memset(may_change + from, 1, min_t(u64, len, USER_BYTES - from));
}

static void check_unchanged(void)
{
	u32 i;

	for (i = 0; i < USER_BYTES; i++)
		DEMAND(may_change[i] || user[i] == before[i], " at %u", i);
}

/* -------- commands -------- */

static long call(int which, unsigned int number, u64 arg)
{
	long result;

	file.private_data = &files[which];
	set_marks();
	result = kc_ioctl(&file, number, arg);
	shim_user_clear();
	return result;
}

static void begin_call(void)
{
	memcpy(before, user, USER_BYTES);
	memset(may_change, 0, USER_BYTES);
}

static bool gives_value(const struct kcache_op *op)
{
	return op->opcode == KCACHE_OP_GET || op->opcode == KCACHE_OP_POP ||
	       op->flags & KCACHE_RETURN_OLD;
}

static bool takes_value(const struct kcache_op *op)
{
	return op->opcode == KCACHE_OP_SET || op->opcode == KCACHE_OP_APPEND ||
	       op->opcode == KCACHE_OP_PREPEND;
}

/* Its buffers and itself lie apart, so that what it did can be told from them. */
static bool is_apart(u64 at, u64 bytes, const struct kcache_op *op)
{
	u64 out = gives_value(op) ? min_t(u64, op->out_len, USER_BYTES) : 0;

	return !overlap(op->out, out, at, bytes);
}

static void check_op(u64 at, const struct kcache_op *op, int err)
{
	struct outcome o = {
		.asked = *op, .err = err, .value_max = kc_cache_value_max(cache),
		.from = shim_clock_ms(), .to = shim_clock_ms(),
	};
	u64 has;

	memcpy(&o.got, (void *)at, OP_BYTES);
	o.bad_in = takes_value(op) && op->value_len && op->value_len <= o.value_max &&
		   !is_there(op->value, op->value_len);
	has = gives_value(op) ? there(op->out, min_t(u64, op->out_len, 1 << 20), SHIM_FLEETING) : 0;
	o.bad_out = gives_value(op) && has < op->out_len ? has + 1 : 0;
	/* As they were before, and are now. */
	if (!o.bad_in)
		o.asked.value = (uintptr_t)before + (op->value - USER_AT);
	DEMAND(model_agrees(model_of(before + (op->key - USER_AT), op->key_len), &o));
}

/* False: what is known of the cache is not enough to go on. */
static bool do_op(void)
{
	u64 at = choose(8) ? USER_AT + 1024 + choose(12) * 1024 : address();
	struct kcache_op op = any_op(any_size(OP_BYTES));
	int err, refused;

	put(at, &op, OP_BYTES);
	choose_marks();
	begin_call();
	if (!is_there(at, OP_BYTES)) {
		DEMAND(call(0, KCACHE_IOC_OP, at) == -EFAULT);
		check_unchanged();
		return true;
	}
	err = call(0, KCACHE_IOC_OP, at);
	memcpy(&op, before + (at - USER_AT), OP_BYTES);
	refused = is_refused(at, &op, err);
	DEMAND(refused >= 0, ": error %d", err);
	if (!refused) {
		if (gives_value(&op))
			allow(op.out, op.out_len);
		if (!err)
			allow(at + offsetof(struct kcache_op, out_len),
			      OP_BYTES - offsetof(struct kcache_op, out_len));
		else if (err == -EMSGSIZE)
			allow(at + offsetof(struct kcache_op, out_len), 8);
	}
	check_unchanged();
	if (!refused && !is_apart(at, OP_BYTES, &op))
		return false;
	if (!refused)
		check_op(at, &op, err);
	/* The twin does the same. */
	memcpy(after, user, USER_BYTES);
	memcpy(user, before, USER_BYTES);
	DEMAND(call(1, KCACHE_IOC_OP, at) == err);
	DEMAND(err || !memcmp(user, after, USER_BYTES));
	return true;
}

/* The operations of a batch one by one; gives what the batch is to give. */
static int run_singly(const struct kcache_batch *batch, u32 *done)
{
	struct kcache_op op;
	int err, refused;
	u64 at;

	for (*done = 0; *done < batch->nr; ++*done) {
		at = batch->ops + (u64)*done * batch->op_size;
		if (!is_there(at, OP_BYTES))
			return -EFAULT;
		memcpy(&op, (void *)at, OP_BYTES);
		if (op.size != batch->op_size)
			return -EINVAL;
		op.error = ((struct kcache_op *)at)->error = 0;
		begin_call();
		err = call(1, KCACHE_IOC_OP, at);
		refused = is_refused(at, &op, err);
		DEMAND(refused >= 0, ": error %d", err);
		if (!refused)
			check_op(at, &op, err);
		if (err)
			((struct kcache_op *)at)->error = err;
	}
	return 0;
}

static bool do_batch(void)
{
	u64 at = USER_AT + choose(16) * 1024, i, bytes;
	struct kcache_batch batch = {
		.size = any_size(sizeof(batch)),
		.op_size = any_size(OP_BYTES),
		.ops = choose(8) ? USER_AT + 4096 : address(),
		.nr = choose(8) ? choose(12) : choose(2) ? KCACHE_BATCH_MAX + choose(3) - 1 : choose_any(),
		.done = choose(256),
	};
	int err, expected, refused;
	struct kcache_op op;
	bool is_simple;
	u32 done = 0;

	for (i = 0; i < min_t(u32, batch.nr, 12); i++) {
		op = any_op(choose(16) == 1 ? any_size(OP_BYTES) : batch.op_size);
		op.out = choose(4) ? USER_AT + 12288 : op.out;
		put(batch.ops + i * batch.op_size, &op, OP_BYTES);
	}
	put(at, &batch, sizeof(batch));
	choose_marks();
	begin_call();
	err = call(0, KCACHE_IOC_BATCH, at);
	if (!is_there(at, sizeof(batch))) {
		DEMAND(err == -EFAULT);
		check_unchanged();
		return true;
	}
	memcpy(&batch, before + (at - USER_AT), sizeof(batch));
	refused = is_size_refused(at, batch.size, sizeof(batch), err);
	DEMAND(refused >= 0, ": error %d", err);
	if (refused || batch.nr > KCACHE_BATCH_MAX || batch.op_size < OP_BYTES ||
	    batch.op_size > PAGE_SIZE) {
		DEMAND(refused || err == -EINVAL, ": error %d", err);
		check_unchanged();
		return true;
	}
	/* What the operations read and write must not be they themselves, nor the batch. */
	bytes = (u64)batch.nr * batch.op_size;
	is_simple = !overlap(at, max_t(u32, batch.size, sizeof(batch)), batch.ops, bytes);
	for (i = 0; i < batch.nr && is_there(batch.ops + i * batch.op_size, OP_BYTES); i++) {
		memcpy(&op, before + (batch.ops + i * batch.op_size - USER_AT), OP_BYTES);
		is_simple &= is_apart(at, sizeof(batch), &op) && is_apart(batch.ops, bytes, &op) &&
			     !overlap(op.key, op.key_len, batch.ops, bytes) &&
			     !overlap(op.key, op.key_len, at, sizeof(batch)) &&
			     !overlap(op.value, op.value_len, batch.ops, bytes) &&
			     !overlap(op.value, op.value_len, at, sizeof(batch));
	}
	DEMAND(err <= 0);
	if (!is_simple)
		return false;
	DEMAND(((struct kcache_batch *)at)->done <= batch.nr);
	memcpy(after, user, USER_BYTES);
	memcpy(user, before, USER_BYTES);
	expected = run_singly(&batch, &done);
	((struct kcache_batch *)at)->done = done;
	DEMAND(err == (done ? 0 : expected), ": error %d, %d after %u", err, expected, done);
	DEMAND(!memcmp(user, after, USER_BYTES));
	return true;
}

static void do_info(void)
{
	u64 at = address();
	u32 size = any_size(sizeof(struct kcache_info)), has;
	const struct kcache_info *info = (void *)at;
	int err;

	put(at, &size, sizeof(size));
	choose_marks();
	begin_call();
	err = call(0, KCACHE_IOC_INFO, at);
	if (!is_there(at, sizeof(size))) {
		DEMAND(err == -EFAULT);
	} else if (err) {
		has = min_t(u32, size, sizeof(*info));
		DEMAND(size < KCACHE_INFO_SIZE_VER0 ? err == -EINVAL :
		       (size > sizeof(*info) &&
			is_size_refused(at, size, sizeof(*info), err) == 1) ||
		       (err == -EFAULT && !is_there(at, has)), ": error %d", err);
		if (err == -EFAULT)
			allow(at, has);
	} else {
		DEMAND(size >= KCACHE_INFO_SIZE_VER0 && info->size == size);
		DEMAND(info->key_max == KCACHE_KEY_MAX && !info->reserved);
		DEMAND(info->max_bytes == cache->arena.max_bytes);
		DEMAND(!strcmp(info->name, "test"));
		allow(at, min_t(u32, size, sizeof(*info)));
	}
	check_unchanged();
}

static void do_flush(void)
{
	u64 arg = choose(8) == 1 ? address() : 0;
	bool is_owner = choose(2), is_capable = choose(3) == 1;
	int err;

	shim_user_is(is_owner ? 1000 : 7, is_capable);
	begin_call();
	err = call(0, KCACHE_IOC_FLUSH, arg);
	if (arg)
		DEMAND(err == -EINVAL);
	else if (!(file.f_mode & FMODE_WRITE))
		DEMAND(err == -EBADF);
	else
		DEMAND(err == (is_owner || is_capable ? 0 : -EPERM));
	DEMAND(call(1, KCACHE_IOC_FLUSH, arg) == err);
	check_unchanged();
	if (!err) {
		DEMAND(!entries(cache));
		forget_all();
	}
}

static void do_hints(unsigned int number)
{
	u64 arg = choose(8) == 1 ? address() : 0;
	int err;

	begin_call();
	err = call(0, number, arg);
	if (arg)
		DEMAND(err == -EINVAL);
	else if (!(file.f_mode & FMODE_READ))
		DEMAND(err == -EBADF);
	else
		DEMAND(err == (number == KCACHE_IOC_HINTS ? 77 : 0));
	check_unchanged();
}

static bool do_something(void)
{
	static const u32 modes[] = { 3, 3, 3, 3, 3, FMODE_READ, FMODE_WRITE, 0 };
	u32 number;

	nr_marked = 0;
	file.f_mode = modes[choose(ARRAY_SIZE(modes))];
	switch (choose(16)) {
	case 0:
		choose_bytes(user + choose(USER_BYTES - 64), choose(64));
		break;
	case 1:
		do_info();
		break;
	case 2:
		if (choose(4) == 1)
			do_flush();
		break;
	case 3:
		do_hints(choose(2) ? KCACHE_IOC_HINTS : KCACHE_IOC_TAKE_HINTS);
		break;
	case 4:
		number = choose(2) ? _IO(KCACHE_IOC_MAGIC, choose(256)) : choose_any();
		begin_call();
		if (number < KCACHE_IOC_OP || number > KCACHE_IOC_TAKE_HINTS)
			DEMAND(call(0, number, address()) == -ENOTTY);
		check_unchanged();
		break;
	case 5:
		shim_clock_advance_ms(choose(1000));
		break;
	case 6:
	case 7:
	case 8:
		return do_batch();
	default:
		return do_op();
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int i;

	if (!size)
		return 0;
	if (!user)
		make_memory();
	choose_from(data, size);
	start(16 * MiB);
	twin = cache_new(16 * MiB);
	memset(files, 0, sizeof(files));
	files[0].cache = cache;
	files[1].cache = twin;
	file.f_inode = &inode;
	for (i = 0; i < USER_BYTES; i++)
		user[i] = '0' + i / 2048;
	shim_user_bound(user, USER_BYTES);
	while (!choose_is_over() && do_something())
		DEMAND(!count_of(cache, KC_STAT_evictions));
	shim_user_bound(NULL, 0);
	for (i = 0; i < 2; i++)
		kc_hints_close(&files[i].cache->hints, &files[i].hints);
	forget_all();
	kc_cache_exit(twin);
	free(twin);
	stop();
	return 0;
}
