/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * kcache: a cache that the processes of one host share, served by the kernel.
 *
 * This file is the contract of a cache's device node (/dev/kcache) for programs;
 * its text form, for read(2) and write(2), is in kcache(4). One request is one
 * struct kcache_op, whatever carries it. Keys and values are byte strings: any
 * byte, any order, no terminator.
 *
 * Errors mean the same in every transport:
 *
 *   ENOENT    no such key, or its time is up
 *   EEXIST    KCACHE_IF_ABSENT, and the key is there
 *   ESTALE    KCACHE_IF_VERSION, and the entry has another version (ENOENT, if
 *             there is none)
 *   EMSGSIZE  the out buffer is too small: @out_len tells the length that is
 *             needed, and the entry is as it was (POP removed nothing)
 *   EFBIG     the key or the value is longer than the cache takes
 *   ENOSPC    no room could be made for the entry
 *   ERANGE    ADD: the value is no decimal number of signed 64 bits, or the
 *             sum is not
 *   E2BIG     the struct has fields set that this kernel does not know, or
 *             its size is over a page
 *   EINVAL    unknown opcode or flag, flags that exclude each other, a
 *             non-zero reserved field, an empty key, a ttl over
 *             KCACHE_TTL_MAX_MS, a struct shorter than the first published
 *   EFAULT    a pointer does not lead to memory of the caller
 *   EBADF     the descriptor was not opened for what the opcode does
 *   EAGAIN    read or write with O_NONBLOCK, and another is at it on the same
 *             open file
 *   ENOMEM    open, read or write: no memory for what the open file keeps
 *   EPERM     FLUSH by someone who neither owns the device node nor has
 *             CAP_SYS_ADMIN
 *   EINTR     a signal came before the operation began
 *   ENOTTY    unknown ioctl command
 *
 * A failed operation changes nothing, in the cache and in the struct, except
 * @out_len on EMSGSIZE; the content of the out buffer is then undefined.
 */
#ifndef _UAPI_LINUX_KCACHE_H
#define _UAPI_LINUX_KCACHE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KCACHE_KEY_MAX		1024		/* bytes; the shortest key has one */
#define KCACHE_TTL_MAX_MS	0x10000000000ULL	/* about 34 years */

/**
 * DOC: Opcodes
 *
 * "R" and "W" say what the descriptor must have been opened for.
 *
 * %KCACHE_OP_GET (R; with KCACHE_TOUCH: RW): copies the value to @out and tells
 * @out_len, @ttl_ms, @version and @client_flags, with KCACHE_TOUCH as they are
 * after it.
 *
 * %KCACHE_OP_SET (W; with KCACHE_RETURN_OLD: RW): stores @key and @value with
 * @client_flags, to expire in @ttl_ms (0: never), and tells @version.
 *
 * %KCACHE_OP_REMOVE (W): removes the entry.
 *
 * %KCACHE_OP_POP (RW): GET and REMOVE in one: of many callers, exactly one gets
 * the entry.
 *
 * %KCACHE_OP_STAT (R): GET without the value.
 *
 * %KCACHE_OP_TOUCH (W): sets the expiry to @ttl_ms from now (0: never) and
 * tells the new @version.
 *
 * %KCACHE_OP_ADD (RW): adds @delta to a value that is a decimal number and tells
 * the sum in @number, and @version. Expiry and client flags stay. With
 * KCACHE_INITIAL a missing key is stored with the value @number, @ttl_ms and
 * @client_flags; @delta is not applied then.
 *
 * %KCACHE_OP_APPEND, %KCACHE_OP_PREPEND (W): put @value behind or before the stored
 * value and tell the new length in @out_len, and @version. Expiry and client
 * flags stay.
 */
#define KCACHE_OP_GET		1
#define KCACHE_OP_SET		2
#define KCACHE_OP_REMOVE	3
#define KCACHE_OP_POP		4
#define KCACHE_OP_STAT		5
#define KCACHE_OP_TOUCH		6
#define KCACHE_OP_ADD		7
#define KCACHE_OP_APPEND	8
#define KCACHE_OP_PREPEND	9

/* Flags, with the opcodes that take them. Of the KCACHE_IF_*, at most one. */
#define KCACHE_IF_ABSENT	0x0001	/* SET: else EEXIST */
#define KCACHE_IF_PRESENT	0x0002	/* SET: else ENOENT */
#define KCACHE_IF_VERSION	0x0004	/* SET REMOVE APPEND PREPEND: else ESTALE */
#define KCACHE_KEEP_TTL		0x0008	/* SET: an entry that is there keeps its expiry */
#define KCACHE_RETURN_OLD	0x0010	/* SET: the old value to @out */
#define KCACHE_TOUCH		0x0020	/* GET: also sets the expiry to @ttl_ms */
#define KCACHE_INITIAL		0x0040	/* ADD: a missing key is stored as @number */

/* @out_len after a SET with KCACHE_RETURN_OLD that found no entry. */
#define KCACHE_ABSENT		(~0ULL)

/**
 * struct kcache_op - one operation
 * @size: in, sizeof(struct kcache_op) as the caller knows it
 * @opcode: in, KCACHE_OP_GET and so on
 * @flags: in, KCACHE_IF_ABSENT and so on
 * @key_len: in, bytes, 1..KCACHE_KEY_MAX
 * @key: in, address of the key
 * @value: in, address of the value that SET, APPEND and PREPEND bring; anything
 *	where @value_len is 0
 * @value_len: in, bytes, at most @value_max of struct kcache_info
 * @out: in, address of the buffer for the value that GET, POP and SET with
 *	KCACHE_RETURN_OLD give; anything where that has no bytes or @out_len is 0
 * @delta: in, what ADD adds
 * @out_len: in, bytes that fit in @out; out, length of the value in bytes
 * @ttl_ms: in, time to live in milliseconds, 0: for ever; out of GET, POP and
 *	STAT, what is left of it, at least 1, or 0: for ever
 * @version: in, what KCACHE_IF_VERSION demands; out, the version of the entry
 *	now (POP: as it was). Unique in a cache and new with each change of an
 *	entry; greater does not mean later.
 * @number: in, what KCACHE_INITIAL stores; out, the number that ADD stored
 * @client_flags: in and out, 32 bits of the clients' own
 * @error: in, 0, but in a batch anything; out of a batch, 0 or a negative errno
 *
 * Fields that an opcode does not name are neither read nor written. New fields
 * come at the end, and zero there will mean "as before".
 */
struct kcache_op {
	__u32 size;
	__u32 opcode;
	__u32 flags;
	__u32 key_len;
	__aligned_u64 key;
	__aligned_u64 value;
	__aligned_u64 value_len;
	__aligned_u64 out;
	__s64 delta;
	__aligned_u64 out_len;
	__aligned_u64 ttl_ms;
	__aligned_u64 version;
	__s64 number;
	__u32 client_flags;
	__s32 error;
};

#define KCACHE_OP_SIZE_VER0	96

#define KCACHE_BATCH_MAX	1024		/* operations */

/**
 * struct kcache_batch - many operations in one call
 * @size: in, sizeof(struct kcache_batch) as the caller knows it
 * @op_size: in, sizeof(struct kcache_op) as the caller knows it; also the distance
 *	from one operation to the next
 * @ops: in, address of the operations
 * @nr: in, how many, at most KCACHE_BATCH_MAX
 * @done: out, how many were carried out, the first ones
 *
 * They are carried out in their order, each as atomic as if it came alone, and
 * not as one. One that fails has its error in @error and does not end the batch.
 * The call returns 0 if @done tells what happened, even if that are not all: a
 * signal, or memory of @ops that is not there, ends the batch early. With
 * nothing done that is EINTR or EFAULT.
 */
struct kcache_batch {
	__u32 size;
	__u32 op_size;
	__aligned_u64 ops;
	__u32 nr;
	__u32 done;
};

#define KCACHE_BATCH_SIZE_VER0	24

/**
 * struct kcache_info - what a cache is and takes
 * @size: in, sizeof(struct kcache_info) as the caller knows it; what is behind the
 *	fields that this kernel knows must be zero
 * @key_max: longest key in bytes
 * @value_max: longest value in bytes; follows @max_bytes
 * @max_bytes: bound of all the memory that the cache uses
 * @opcodes: bit n is set if opcode n is known
 * @flags: the known bits of kcache_op.flags
 * @reserved: 0
 * @name: name of the cache, NUL-terminated
 * @map_bytes: how much of the device can be mapped, from offset 0 on
 * @clock_offset_ns: what the caller's time namespace adds to CLOCK_BOOTTIME,
 *	the clock of expiry
 */
struct kcache_info {
	__u32 size;
	__u32 key_max;
	__aligned_u64 value_max;
	__aligned_u64 max_bytes;
	__aligned_u64 opcodes;
	__u32 flags;
	__u32 reserved;
	char name[32];
	__aligned_u64 map_bytes;
	__s64 clock_offset_ns;
};

#define KCACHE_INFO_SIZE_VER0	72		/* up to @name */
#define KCACHE_INFO_SIZE_VER1	88

#define KCACHE_IOC_MAGIC	0xE8

/*
 * The size of a struct is not part of its command's number, since structs
 * grow; each struct carries its own.
 */
/* struct kcache_op, in and out */
#define KCACHE_IOC_OP		_IO(KCACHE_IOC_MAGIC, 0x10)
/* struct kcache_info, out; on any descriptor */
#define KCACHE_IOC_INFO		_IO(KCACHE_IOC_MAGIC, 0x11)
/* Removes every entry. W; the argument must be 0. */
#define KCACHE_IOC_FLUSH	_IO(KCACHE_IOC_MAGIC, 0x12)
/* struct kcache_batch, in and out */
#define KCACHE_IOC_BATCH	_IO(KCACHE_IOC_MAGIC, 0x13)
/*
 * Returns a descriptor of which one page can be mapped, shared, for reading and
 * writing: the struct kcache_hints of this open file. R; the argument must be 0.
 */
#define KCACHE_IOC_HINTS	_IO(KCACHE_IOC_MAGIC, 0x14)
/* Takes note of the hints that were written. R; the argument must be 0. */
#define KCACHE_IOC_TAKE_HINTS	_IO(KCACHE_IOC_MAGIC, 0x15)

#endif /* _UAPI_LINUX_KCACHE_H */
