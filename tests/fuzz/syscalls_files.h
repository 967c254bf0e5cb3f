/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls that any descriptor takes, and those to the cache as a whole and to the
 * process.
 */
#ifndef SYSCALLS_FILES_H
#define SYSCALLS_FILES_H

/* -------- descriptors -------- */

static long call_open(const uint8_t *b)
{
	static const int odd[] = {
		0, O_NONBLOCK, O_APPEND, O_TRUNC, O_CREAT, O_CREAT | O_EXCL, O_DIRECT, O_SYNC, O_NOATIME,
		O_PATH, O_DIRECTORY, O_NOFOLLOW, O_ASYNC, O_TMPFILE, O_NOCTTY, 3,
	};
	static const char *const names[] = {
		DEVICE, DEVICE, DEVICE, DEVICE, DEVICE, DEVICE, "/proc/self/fd/0", "/dev/null",
	};
	int flags = b[3] % 4 | O_CLOEXEC | (b[4] < 128 ? 0 : odd[b[4] % 16]);
	const char *name = names[b[5] % 8];
	long fd = result_of(open(name, flags, 0600));

	keep_file(b[2], fd, !strcmp(name, DEVICE) && !(flags & O_PATH) ? DEVICE_FILE : OTHER_FILE);
	return fd;
}

static long call_close(const uint8_t *b)
{
	int nr = b[2] % NR_FILES, fd = now.file[nr].fd;

	if (fd < 0)
		return -EBADF;
	now.file[nr].fd = -1;
	return result_of(close(fd));
}

static long call_dup(const uint8_t *b)
{
	int file = file_at(b[2]);
	long fd = result_of(fcntl(now.file[file].fd, b[3] & 1 ? F_DUPFD : F_DUPFD_CLOEXEC, 0));

	keep_file(b[4], fd, now.file[file].kind);
	return fd;
}

/* What can be asked of any descriptor. */
static long call_any_file(const uint8_t *b)
{
	static const int lseeks[] = { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE };
	int fd = fd_at(b[2]);
	struct flock lock = { .l_type = b[4] % 3, .l_whence = SEEK_SET };
	struct stat stat_;

	switch (b[3] % 20) {
	case 0: case 1:
		return result_of(lseek(fd, numbers[b[4] & 15], PICK(lseeks, b[5])));
	case 2: case 3:
		return result_of(fcntl(fd, F_SETFL, (b[4] & 1 ? O_NONBLOCK : 0) |
				       (b[4] & 2 ? O_APPEND : 0) | (b[4] & 4 ? O_ASYNC : 0) |
				       (b[4] & 8 ? O_DIRECT : 0)));
	case 4:
		return result_of(fcntl(fd, F_SETLK, &lock));
	case 5:
		return result_of(flock(fd, (1 << b[4] % 4) | LOCK_NB));
	case 6:
		return result_of(fsync(fd));
	case 7:
		return result_of(fallocate(fd, b[4], 0, PAGE));
	case 8:
		return result_of(ftruncate(fd, b[4]));
	case 9:
		return result_of(fstat(fd, &stat_));
	case 10:
		return result_of(readahead(fd, b[4] * PAGE, MIB));
	case 11:
		return -posix_fadvise(fd, b[4] * PAGE, MIB, b[5] % 8);
	case 12:
		return result_of(sync_file_range(fd, 0, MIB, b[4] % 8));
	case 13:
		return result_of(fcntl(fd, F_SETLEASE, b[4] % 3));
	case 14:
		return result_of(fcntl(fd, F_ADD_SEALS, b[4]));
	case 15:
		return result_of(fcntl(fd, F_SETOWN, getpid()));
	case 16:
		return result_of(syscall(SYS_getdents64, fd, SCRATCH(this_thread), 4096));
	case 17:
		return result_of(syscall(451 /* cachestat */, fd, SCRATCH(this_thread),
					 SCRATCH(this_thread) + 64, 0));
	case 18:
		return result_of(fcntl(fd, F_NOTIFY, b[4]));
	default:
		return result_of(fdatasync(fd));
	}
}

static long call_poll(const uint8_t *b)
{
	struct pollfd poll_[2] = {
		{ .fd = fd_at(b[2]), .events = b[3] },
		{ .fd = fd_at(b[4]), .events = POLLIN | POLLOUT },
	};

	return result_of(poll(poll_, 1 + b[5] % 2, b[6] % 4));
}

static long call_epoll(const uint8_t *b)
{
	struct epoll_event event = { .events = b[4] << (b[5] & 24) };
	int fd = fd_at(b[2]);

	if (now.epoll < 0)
		now.epoll = epoll_create1(EPOLL_CLOEXEC);
	switch (b[3] % 4) {
	case 0: case 1:
		return result_of(epoll_ctl(now.epoll, EPOLL_CTL_ADD, fd, &event));
	case 2:
		return result_of(epoll_ctl(now.epoll, 2 + b[4] % 2, fd, &event));
	default:
		return result_of(epoll_wait(now.epoll, &event, 1, 0));
	}
}

/* Through a socket: received, left there, or lost with it. */
static long call_pass(const uint8_t *b)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	char byte = 0;
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int file = file_at(b[2]), sockets[2], fd = -1;
	long result;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets))
		return -errno;
	memcpy(CMSG_DATA(&control.header), &now.file[file].fd, sizeof(int));
	result = result_of(sendmsg(sockets[0], &message, 0));
	if (result > 0 && b[3] < 160) {
		result = result_of(recvmsg(sockets[1], &message, MSG_CMSG_CLOEXEC));
		if (result > 0 && message.msg_controllen >= CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(&control.header), sizeof(int));
		keep_file(b[4], fd, now.file[file].kind);
	}
	close(sockets[0]);
	if (b[3] < 200)
		close(sockets[1]);
	return result;
}

/* -------- the cache as a whole, and the process -------- */

static long write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	long result;

	if (fd < 0)
		return -errno;
	result = result_of(write(fd, text, strlen(text)));
	close(fd);
	return result;
}

static long call_sysfs(const uint8_t *b)
{
	static const char *const names[] = {
		"limits/max_bytes", "limits/max_bytes", "limits/max_bytes", "limits/min_bytes",
		"limits/promote_after", "limits/value_max", "stats/hits", "stats/entries",
	};
	static const char *const texts[] = {
		"1M", "2M", "3M", "4M\n", "8M", "1048576", "1048575", "0", "1", "2", "3", "4", "",
		"-1", "16E", "1T", "64G", "18446744073709551615", "18446744073709551616", "1 M", "1MM",
		"0x100000", "512K", "2m ", "99999999999999999999999999", "1536K", "16M",
	};
	char name[64], text[32];
	int fd;
	long result;

	snprintf(name, sizeof(name), SYSFS "%s", PICK(names, b[2]));
	if (b[3] < 200)
		return write_file(name, PICK(texts, b[4]));
	fd = open(name, O_RDONLY | O_CLOEXEC);
	result = result_of(read(fd, text, sizeof(text)));
	close(fd);
	return result;
}

/* Has all shrinkers asked for what they can give. */
static long call_drop_caches(const uint8_t *b)
{
	(void)b;
	return write_file("/proc/sys/vm/drop_caches", "2");
}

/* The module is in use: this process has the device open. */
static long call_unload(const uint8_t *b)
{
	long result = result_of(syscall(SYS_delete_module, "kcache", O_NONBLOCK | (b[2] & O_CLOEXEC)));

	if (result != -EAGAIN && result != -EBUSY && result != -EPERM)
		FOUND("unloading while the device is open: %s", ktap_errno(-result));
	return result;
}

static long call_alarm(const uint8_t *b)
{
	struct itimerval timer = { .it_value.tv_usec = 20 << b[2] % 8 };

	timer.it_interval = timer.it_value;
	if (b[3] & 1)
		timer.it_interval.tv_usec = 0;
	return result_of(setitimer(ITIMER_REAL, &timer, NULL));
}

static long call_sleep(const uint8_t *b)
{
	struct timespec time_ = { .tv_nsec = 1000 << b[2] % 13 };

	return result_of(nanosleep(&time_, NULL));
}

/* Of this thread alone, which is what the C library would not do. */
static long call_user(const uint8_t *b)
{
	return result_of(syscall(SYS_setresuid, -1, b[2] & 1 ? 65534 : 0, -1));
}

#endif /* SYSCALLS_FILES_H */
