/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls that a program is made of. Byte 0 says which, byte 1 in which thread,
 * the others are its arguments. Each returns what the system call did, or -errno,
 * and none waits for long. What must never happen, whoever does what at the same
 * time, is checked here; what only shows to one who is alone, if now.is_alone.
 */
#ifndef SYSCALLS_CALLS_H
#define SYSCALLS_CALLS_H

/* A finding: says what and ends the process. */
#define FOUND(...)		\
	do {			\
		NOTE(__VA_ARGS__);	\
		_exit(KTAP_FAIL);	\
	} while (0)

static long result_of(long result)
{
	return result < 0 ? -errno : result;
}

static const int documented[] = {
	ENOENT, EEXIST, ESTALE, EMSGSIZE, EFBIG, ENOSPC, ERANGE, E2BIG, EINVAL, EFAULT, EBADF, EINTR,
	EPERM, ENOMEM, ENOTTY,
};

/* What an ioctl of the device did: an error is one of those in the contract. */
static long judge_ioctl(int file, const char *what, long result)
{
	size_t i;

	if (result >= 0 || now.file[file].kind != DEVICE_FILE || !now.is_alone)
		return result;
	for (i = 0; i < NR(documented); i++)
		if (result == -documented[i])
			return result;
	FOUND("%s: %s is not in the contract", what, ktap_errno(-result));
}

static long call_op(const uint8_t *b)
{
	int file = file_at(b[2]);
	char *scratch = SCRATCH(this_thread);
	struct kcache_op op = make_op(b, scratch + 4096), after;
	char *at = b[12] % 16 < 12 ? scratch : place(b[15]);
	long result;

	if (op.size > sizeof(op))
		memset(scratch + sizeof(op), b[15] & 1, 4096 - sizeof(op));
	put(at, &op, sizeof(op));
	result = result_of(ioctl(now.file[file].fd, KCACHE_IOC_OP, at));
	if (!result && !TRY(memcpy(&after, at, sizeof(after))))
		now.version = after.version;
	return judge_ioctl(file, "OP", result);
}

/* Byte 15: how many, and how they differ from one another. */
static long call_batch(const uint8_t *b)
{
	int file = file_at(b[2]);
	char *scratch = SCRATCH(this_thread), *ops = scratch + 4096, *keys = scratch + MIB;
	struct kcache_op op = make_op(b, keys);
	struct kcache_batch batch = {
		.size = struct_size(b[12] << 4 | 8, sizeof(batch)),
		.op_size = op.size,
		.ops = address(ops),
		.nr = batch_lengths[b[15] & 15],
	};
	uint32_t step = op.size < sizeof(op) || op.size > 4096 ? sizeof(op) : op.size;
	uint32_t nr = batch.nr < 1100 ? batch.nr : 1100, i;
	long result;

	if (b[14] % 8 == 7)
		batch.ops = address(place(b[5]));
	for (i = 0; i < nr && (i + 1) * step < MIB - 4096; i++) {
		struct kcache_op each = op;

		if (b[15] & 0x10 && b[15] < 240) {
			make_key(keys + i % 256 * 256, b[5] + i, op.key_len < 256 ? op.key_len : 256);
			each.key = address(keys + i % 256 * 256);
			each.key_len = op.key_len < 256 ? op.key_len : 256;
		}
		if (b[15] & 0x20)
			each.opcode = 1 + (b[3] + i) % 9;
		if (b[15] & 0x40)
			each.value_len = op.value_len / (1 + i % 8);
		if (b[15] & 0x80 && i == 2)
			each.size++;
		memcpy(ops + i * step, &each, sizeof(each));
	}
	put(scratch, &batch, sizeof(batch));
	result = result_of(ioctl(now.file[file].fd, KCACHE_IOC_BATCH, scratch));
	if (now.file[file].kind == DEVICE_FILE && now.is_alone) {
		uint32_t done = ((struct kcache_batch *)scratch)->done;

		if (batch.nr > KCACHE_BATCH_MAX && !result)
			FOUND("a batch of %u works", batch.nr);
		if (!result && done > batch.nr)
			FOUND("a batch of %u has done %u", batch.nr, done);
	}
	return judge_ioctl(file, "BATCH", result);
}

static long call_info(const uint8_t *b)
{
	int file = file_at(b[2]);
	struct kcache_info info = { .size = struct_size(b[3], sizeof(info)) };
	char *at = b[4] < 128 ? SCRATCH(this_thread) : place(b[5]);

	if (at == SCRATCH(this_thread) && info.size > sizeof(info))
		memset(at, b[4] & 1, 4096);
	put(at, &info, sizeof(info));
	return judge_ioctl(file, "INFO", result_of(ioctl(now.file[file].fd, KCACHE_IOC_INFO, at)));
}

static long call_hints(const uint8_t *b)
{
	int file = file_at(b[2]);
	long result = result_of(ioctl(now.file[file].fd, KCACHE_IOC_HINTS, b[3] < 240 ? 0UL : b[3]));

	if (now.file[file].kind == DEVICE_FILE)
		keep_file(b[4], result, HINTS_FILE);
	return judge_ioctl(file, "HINTS", result);
}

static long call_take_hints(const uint8_t *b)
{
	int file = file_at(b[2]);
	unsigned long argument = b[3] < 240 ? 0UL : b[3];

	return judge_ioctl(file, "TAKE_HINTS",
			   result_of(ioctl(now.file[file].fd, KCACHE_IOC_TAKE_HINTS, argument)));
}

static long call_flush(const uint8_t *b)
{
	int file = file_at(b[2]);
	unsigned long argument = b[3] < 240 ? 0UL : b[3];

	return judge_ioctl(file, "FLUSH",
			   result_of(ioctl(now.file[file].fd, KCACHE_IOC_FLUSH, argument)));
}

static long call_odd_ioctl(const uint8_t *b)
{
	static const unsigned long numbers_[] = {
		0, 1, 2, 0x5401, 0x541b, 0x5421, 0x5450, 0x5451, 0x5452, 0x5460, 0xc0045877, 0xc0045878,
		0xc020660b, 0x40049409, 0x80087601, 0xffffffff,
	};
	unsigned long number = b[3] & 0x80 ? _IOC(b[3] >> 5 & 3, KCACHE_IOC_MAGIC, b[4], b[5] << 3) :
		PICK(numbers_, b[4]);

	/* FIOASYNC and the like: what they leave on is off with the descriptor. */
	return result_of(ioctl(fd_at(b[2]), number, put(SCRATCH(this_thread), b, 8)));
}

/* -------- text -------- */

static int make_pieces(struct iovec *pieces, char *at, size_t len, uint8_t how)
{
	int nr = 1 + how % 8, i;

	for (i = 0; i < nr; i++) {
		pieces[i].iov_base = at + len / nr * i;
		pieces[i].iov_len = i == nr - 1 ? len - len / nr * i : len / nr;
	}
	if (how & 0x80)
		pieces[nr / 2].iov_base = place(how * 7);
	return nr;
}

/* Pages of bytes that may be a line, or several, or none. */
static size_t make_text(char *at, const uint8_t *b)
{
	static const char *const odd[] = {
		"\n", " \n", "  \n", "key\n", "@\n", "@ k v\n", "@ttl_ms= k v\n", "@ttl_ms=1\n",
		"@ttl_ms=-1 k v\n", "@flags=4294967296 k v\n", "@ttl_ms=99999999999999999999 k v\n",
		"@ttl_ms=1,,flags=2 k v\n", "@flags=1,flags=2 k v\n", "@size=4 k v\n", "k \\x4\n",
		"k \\", "k \\q\n", "\\x00\\xff\\n\\t\\r\\\\ \\x00\\xff\\n\\t\\r\\\\\n", "\\x20 \\x40\n",
		"\\x40k v", "k", " v\n", "k v\nbad\nk2 v2\n", "\nk v\n", "@ttl_ms=1099511627777 k v\n",
	};
	size_t len = lengths[b[6] & 63], done = 0, i;

	if (len > MIB)
		len = 300;
	switch (b[3] % 8) {
	case 0:
		return sprintf(at, "A%u value%u\n", b[4], b[5]);
	case 1:
		return sprintf(at, "@ttl_ms=%llu,flags=%u A%u value\n",
			       (unsigned long long)PICK(ttls, b[5]), b[6], b[4]);
	case 2:		/* lines */
		for (i = 0; i < b[4]; i++)
			done += sprintf(at + done, "B%zu %.*s\n", i * b[5], b[6] % 64,
					"0123456789012345678901234567890123456789012345678901234567890123");
		return done;
	case 3:		/* long values, with or without an end */
		done = sprintf(at, "L%u ", b[4]);
		memset(at + done, b[5] & 1 ? '\\' : 'v', len);
		if (b[5] & 2)
			at[done + len++] = '\n';
		return done + len;
	case 4:		/* long keys */
		memset(at, 'K', len);
		return len + sprintf(at + len, " value\n");
	case 5:
		return sprintf(at, "%s", PICK(odd, b[4]));
	case 6:
		for (i = 0; i < 4; i++)
			done += sprintf(at + done, "%s", PICK(odd, b[4] >> i));
		return done;
	default:	/* whatever these bytes are */
		for (i = 0; i < len; i++)
			at[i] = b[2 + i % 14] ^ (i & 0x40 ? 0x20 : 0);
		return len;
	}
}

static long call_write(const uint8_t *b)
{
	char *at = b[7] < 224 ? SCRATCH(this_thread) + 16 * KIB : place(b[8]);
	size_t len = at == SCRATCH(this_thread) + 16 * KIB ? make_text(at, b) : lengths[b[9] & 63];
	struct iovec pieces[9];
	int nr = make_pieces(pieces, at, len, b[9]), fd = fd_at(b[2]);

	switch (b[10] % 8) {
	case 0:
		return result_of(writev(fd, pieces, nr));
	case 1:
		return result_of(pwrite(fd, at, len, b[11]));
	case 2:
		return result_of(pwritev2(fd, pieces, nr, -1, 1 << b[11] % 8));
	default:
		return result_of(write(fd, at, len));
	}
}

static long call_read(const uint8_t *b)
{
	char *at = b[7] < 160 ? SCRATCH(this_thread) + 16 * KIB : place(b[8]);
	size_t len = lengths[b[6] & 63];
	struct iovec pieces[9];
	int nr, fd = fd_at(b[2]), file = b[2] % NR_FILES;
	long result;

	if (b[7] < 160 && len > MIB)
		len = MIB;
	nr = make_pieces(pieces, at, len, b[9]);
	switch (b[10] % 8) {
	case 0:
		result = result_of(readv(fd, pieces, nr));
		break;
	case 1:
		result = result_of(pread(fd, at, len, b[11]));
		break;
	case 2:
		result = result_of(preadv2(fd, pieces, nr, -1, 1 << b[11] % 8));
		break;
	default:
		result = result_of(read(fd, at, len));
	}
	if (result > 0 && now.is_alone && now.file[file].kind == DEVICE_FILE && (size_t)result > len)
		FOUND("read of %zu bytes gave %ld", len, result);
	return result;
}

static long call_splice(const uint8_t *b)
{
	size_t len = lengths[b[6] & 63] % MIB;
	int fd = fd_at(b[2]), other = fd_at(b[4]);
	struct iovec piece;

	if (now.pipe[0] < 0 && pipe2(now.pipe, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	switch (b[5] % 8) {
	case 0: case 1:
		return result_of(splice(fd, NULL, now.pipe[1], NULL, len, SPLICE_F_NONBLOCK));
	case 2: case 3:
		piece.iov_base = SCRATCH(this_thread) + 16 * KIB;
		piece.iov_len = make_text(piece.iov_base, b);
		if (b[7] & 1)
			vmsplice(now.pipe[1], &piece, 1, SPLICE_F_NONBLOCK);
		else if (write(now.pipe[1], piece.iov_base, piece.iov_len) < 0)
			return -errno;
		return result_of(splice(now.pipe[0], NULL, fd, NULL, len, SPLICE_F_NONBLOCK));
	case 4:
		return result_of(sendfile(fd, other, NULL, len % (64 * KIB)));
	case 5:
		return result_of(sendfile(now.pipe[1], fd, NULL, len));
	case 6:
		return result_of(copy_file_range(fd, NULL, other, NULL, len, 0));
	default:
		return result_of(tee(now.pipe[0], fd, len, SPLICE_F_NONBLOCK));
	}
}

#endif /* SYSCALLS_CALLS_H */
