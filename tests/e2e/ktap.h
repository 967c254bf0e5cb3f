/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktap: what the C suites of this directory share.
 *
 * A suite is a file of TEST()s and a main() that calls ktap_main(). It says in KTAP
 * what it found, and exits 0 (passed), 1 (failed) or 4 (skipped). Each test runs
 * in a process of its own, with all that it starts in one process group: one that
 * crashes or hangs is "not ok", and nothing of it is left when the next begins.
 *
 *	TEST(set_then_get_gives_the_value)
 *	{
 *		WORKS(OP(SET, "key", VALUE("value")));
 *		HOLDS("key", "value");
 *	}
 *
 * A suite that defines KTAP_DEVICE first gets the second part: the device under
 * test, as short calls. Arguments of a suite are the tests to run; with none it
 * runs all. KTAP_SEED is the seed of those that draw lots.
 */
#ifndef KTAP_H
#define KTAP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KTAP_PASS	0
#define KTAP_FAIL	1
#define KTAP_SKIP	4

/* A test that takes longer hangs. */
#define KTAP_SECONDS	900

#define KTAP_UNUSED	__attribute__((unused))

/* -------- tests and checks -------- */

struct ktap_test {
	const char *name;
	void (*run)(void);
	int line;
	struct ktap_test *next;
};

static struct ktap_test *ktap_tests;	/* in the order of their lines */
static char *ktap_reason;		/* of a skip; shared with the tests */
static char ktap_case[256];		/* what the process is at, for who reads a failure */
static uint64_t ktap_seed;

/* Constructors run in any order. */
KTAP_UNUSED static void ktap_add(struct ktap_test *test)
{
	struct ktap_test **at = &ktap_tests;

	while (*at && (*at)->line < test->line)
		at = &(*at)->next;
	test->next = *at;
	*at = test;
}

#define TEST(name_)							\
	static void name_(void);					\
	static struct ktap_test ktap_test_##name_ =			\
		{ .name = #name_, .run = name_, .line = __LINE__ };	\
	__attribute__((constructor)) static void ktap_add_##name_(void)	\
	{								\
		ktap_add(&ktap_test_##name_);				\
	}								\
	static void name_(void)

/* A line of comment, in one write(): processes do not cut into each other's. */
__attribute__((format(printf, 1, 0))) KTAP_UNUSED
static void ktap_vnote(const char *format, va_list arguments)
{
	char line[768] = "# ";
	int len = 2 + vsnprintf(line + 2, sizeof(line) - 3, format, arguments);

	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	if (write(STDOUT_FILENO, line, len) != len)
		_exit(KTAP_FAIL);
}

__attribute__((format(printf, 1, 2))) KTAP_UNUSED
static void NOTE(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	ktap_vnote(format, arguments);
	va_end(arguments);
}

/* Ends the process: it may be one that a test started, too. */
__attribute__((format(printf, 2, 3), noreturn)) KTAP_UNUSED
static void ktap_fail(int line, const char *format, ...)
{
	char what[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	NOTE("line %d: %s%s%s", line, what, *ktap_case ? ": " : "", ktap_case);
	_exit(KTAP_FAIL);
}

__attribute__((format(printf, 1, 2), noreturn)) KTAP_UNUSED
static void SKIP(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(ktap_reason, 256, format, arguments);
	va_end(arguments);
	_exit(KTAP_SKIP);
}

/* Says which row of a table the checks are about from here on. */
#define CASE(...)	snprintf(ktap_case, sizeof(ktap_case), __VA_ARGS__)

#define CHECK(condition)						\
	do {								\
		if (!(condition))					\
			ktap_fail(__LINE__, "not %s", #condition);	\
	} while (0)

#define CHECK_EQ(got, want)						\
	do {								\
		long long got_ = (got), want_ = (want);			\
									\
		if (got_ != want_)					\
			ktap_fail(__LINE__, "%s is %lld, not %lld",	\
				  #got, got_, want_);			\
	} while (0)

KTAP_UNUSED static const char *ktap_errno(int error)
{
	const char *name = error ? strerrorname_np(error) : "success";

	return name ? name : "no errno";
}

/* @call gives 0 or -errno, and has to give @error, a positive errno or 0. */
#define CHECK_ERR(call, error)						\
	do {								\
		int got_ = -(call), want_ = (error);			\
									\
		if (got_ != want_)					\
			ktap_fail(__LINE__, "%s: %s, not %s", #call,	\
				  ktap_errno(got_), ktap_errno(want_));	\
	} while (0)

/* @call is a system call, which has to give -1 and @error. */
#define CHECK_REFUSED(call, error)					\
	do {								\
		long long got_ = (call);				\
		int errno_ = errno, want_ = (error);			\
									\
		if (got_ >= 0)						\
			ktap_fail(__LINE__, "%s: %lld, not %s", #call,	\
				  got_, ktap_errno(want_));		\
		if (errno_ != want_)					\
			ktap_fail(__LINE__, "%s: %s, not %s", #call,	\
				  ktap_errno(errno_), ktap_errno(want_)); \
	} while (0)

/* @call is a system call, which has to succeed. Its result. */
#define MUST(call)							\
	({								\
		__auto_type got_ = (call);				\
									\
		if ((intptr_t)got_ == -1)				\
			ktap_fail(__LINE__, "%s: %s", #call, ktap_errno(errno)); \
		got_;							\
	})

/* -------- lots, memory, processes -------- */

/* xorshift64*: each process goes on with a state of its own. */
KTAP_UNUSED static uint64_t random_number(void)
{
	ktap_seed ^= ktap_seed >> 12;
	ktap_seed ^= ktap_seed << 25;
	ktap_seed ^= ktap_seed >> 27;
	return ktap_seed * 0x2545f4914f6cdd1dULL;
}

KTAP_UNUSED static uint64_t random_below(uint64_t bound)
{
	return random_number() % bound;
}

/* Zeroed memory that the processes of a test have in common. */
KTAP_UNUSED static void *shared_memory(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		ktap_fail(__LINE__, "mmap of %zu bytes: %s", len, ktap_errno(errno));
	return memory;
}

/* Runs @body(@nr) in a process. */
KTAP_UNUSED static pid_t start_process(void (*body)(int nr), int nr)
{
	pid_t pid = MUST(fork());

	if (pid)
		return pid;
	ktap_seed += nr * 0x9e3779b97f4a7c15ULL;
	ktap_seed = ktap_seed ? ktap_seed : 1;
	body(nr);
	_exit(KTAP_PASS);
}

/* Waits for a process, which has to have passed its checks. */
KTAP_UNUSED static void end_process(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status))
		ktap_fail(__LINE__, "a process of the test: %s", strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) == KTAP_SKIP)
		_exit(KTAP_SKIP);
	if (status)
		_exit(KTAP_FAIL);
}

/* Runs @body(0) to @body(@nr - 1) in as many processes, all at once. */
KTAP_UNUSED static void in_processes(int nr, void (*body)(int nr))
{
	int start[2], i;
	pid_t *pids = calloc(nr, sizeof(*pids));
	char byte;

	CHECK(pids);
	MUST(pipe(start));
	for (i = 0; i < nr; i++) {
		pids[i] = MUST(fork());
		if (pids[i])
			continue;
		close(start[1]);
		if (read(start[0], &byte, 1))
			_exit(KTAP_FAIL);
		ktap_seed += (i + 1) * 0x9e3779b97f4a7c15ULL;
		ktap_seed = ktap_seed ? ktap_seed : 1;
		body(i);
		_exit(KTAP_PASS);
	}
	close(start[0]);
	close(start[1]);
	for (i = 0; i < nr; i++)
		end_process(pids[i]);
	free(pids);
}

/* -------- the harness -------- */

static int ktap_run(const struct ktap_test *test, void (*before)(void))
{
	int status;
	pid_t pid;

	*ktap_reason = '\0';
	pid = fork();
	if (pid < 0)
		return KTAP_FAIL;
	if (!pid) {
		setpgid(0, 0);
		alarm(KTAP_SECONDS);
		if (before)
			before();
		test->run();
		_exit(KTAP_PASS);
	}
	setpgid(pid, pid);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	if (WIFSIGNALED(status)) {
		NOTE("%s", WTERMSIG(status) == SIGALRM ? "It hangs." : strsignal(WTERMSIG(status)));
		return KTAP_FAIL;
	}
	return WEXITSTATUS(status);
}

static bool ktap_is_asked_for(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 2;
}

/* @before: run at the beginning of each test, in its process; may be NULL. */
KTAP_UNUSED static int ktap_main(int argc, char **argv, void (*before)(void))
{
	const char *seed = getenv("KTAP_SEED");
	int nr = 0, nr_skipped = 0, result = KTAP_PASS;
	struct ktap_test *test;

	ktap_reason = shared_memory(256);
	ktap_seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	ktap_seed = ktap_seed ? ktap_seed : 1;
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	for (test = ktap_tests; test; test = test->next)
		nr += ktap_is_asked_for(test->name, argc, argv);
	dprintf(STDOUT_FILENO, "KTAP version 1\n# KTAP_SEED=%llu\n1..%d\n",
		(unsigned long long)ktap_seed, nr);
	nr = 0;
	for (test = ktap_tests; test; test = test->next) {
		int status;

		if (!ktap_is_asked_for(test->name, argc, argv))
			continue;
		nr++;
		status = ktap_run(test, before);
		if (status == KTAP_SKIP) {
			dprintf(STDOUT_FILENO, "ok %d - %s # SKIP %s\n", nr, test->name, ktap_reason);
			nr_skipped++;
		} else {
			dprintf(STDOUT_FILENO, "%sok %d - %s\n", status ? "not " : "", nr, test->name);
			result = status ? KTAP_FAIL : result;
		}
	}
	if (!nr)
		return KTAP_FAIL;
	return result == KTAP_PASS && nr_skipped == nr ? KTAP_SKIP : result;
}

/* -------- the device under test -------- */

#ifdef KTAP_DEVICE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <linux/kcache.h>

#define PAGE	4096

#define DEVICE	"/dev/kcache"
#define SYSFS	"/sys/class/kcache/kcache/"

static int cache = -1;	/* DEVICE, open to read and write */

/* What a pointer is in the struct, also in a 32-bit program. */
KTAP_UNUSED static __u64 address(const volatile void *pointer)
{
	return (uintptr_t)pointer;
}

/*
 * An operation: OP(SET, "key", VALUE("value"), .ttl_ms = 5), or with a key that is
 * no string OP_ON(GET, bytes, len, INTO(buffer)).
 */
#define OP_ON(opcode_, key_, key_len_, ...)			\
	((struct kcache_op) {					\
		.size = sizeof(struct kcache_op),		\
		.opcode = KCACHE_OP_##opcode_,			\
		.key = address(key_),				\
		.key_len = (key_len_),				\
		__VA_ARGS__					\
	})
#define OP(opcode_, key_, ...)	OP_ON(opcode_, key_, strlen(key_), __VA_ARGS__)
#define VALUE(string)		.value = address(string), .value_len = strlen(string)
#define BYTES(bytes, len)	.value = address(bytes), .value_len = (len)
#define INTO(array)		.out = address(array), .out_len = sizeof(array)
#define INTO_BYTES(bytes, len)	.out = address(bytes), .out_len = (len)

KTAP_UNUSED static int run_on(int fd, struct kcache_op *op)
{
	return ioctl(fd, KCACHE_IOC_OP, op) < 0 ? -errno : 0;
}

KTAP_UNUSED static int run(struct kcache_op *op)
{
	return run_on(cache, op);
}

#define KTAP_FIELDS(X)							\
	X(size) X(opcode) X(flags) X(key_len) X(key) X(value) X(value_len) X(out) X(delta)	\
	X(out_len) X(ttl_ms) X(version) X(number) X(client_flags) X(error)

enum {
#define X(name) KTAP_FIELD_##name,
	KTAP_FIELDS(X)
#undef X
};

/* The fields that an operation which succeeds tells something in. */
KTAP_UNUSED static unsigned int fields_told(const struct kcache_op *op)
{
	const unsigned int meta = 1 << KTAP_FIELD_out_len | 1 << KTAP_FIELD_ttl_ms |
		1 << KTAP_FIELD_version | 1 << KTAP_FIELD_client_flags;

	switch (op->opcode) {
	case KCACHE_OP_GET:
	case KCACHE_OP_POP:
	case KCACHE_OP_STAT:
		return meta;
	case KCACHE_OP_SET:
		return 1 << KTAP_FIELD_version |
			(op->flags & KCACHE_RETURN_OLD ? 1 << KTAP_FIELD_out_len : 0);
	case KCACHE_OP_TOUCH:
		return 1 << KTAP_FIELD_version;
	case KCACHE_OP_ADD:
		return 1 << KTAP_FIELD_version | 1 << KTAP_FIELD_number;
	case KCACHE_OP_APPEND:
	case KCACHE_OP_PREPEND:
		return 1 << KTAP_FIELD_version | 1 << KTAP_FIELD_out_len;
	default:
		return 0;
	}
}

/* Checks that @op differs from @before in the fields of the mask @may at most. */
KTAP_UNUSED static void check_unwritten(int line, const struct kcache_op *op,
					const struct kcache_op *before, unsigned int may)
{
#define X(name)									\
	if (op->name != before->name && !(may & 1 << KTAP_FIELD_##name))	\
		ktap_fail(line, "opcode %u wrote the field %s: %#llx, was %#llx",	\
			  before->opcode, #name, (unsigned long long)op->name,	\
			  (unsigned long long)before->name);
	KTAP_FIELDS(X)
#undef X
}

KTAP_UNUSED static struct kcache_op works_at(int line, struct kcache_op op)
{
	struct kcache_op before = op;
	int err = run(&op);

	if (err)
		ktap_fail(line, "opcode %u, flags %#x: %s, not success", before.opcode, before.flags,
			  ktap_errno(-err));
	check_unwritten(line, &op, &before, fields_told(&before));
	return op;
}

KTAP_UNUSED static struct kcache_op fails_at(int line, int error, struct kcache_op op)
{
	struct kcache_op before = op;
	int err = run(&op);

	if (err != -error)
		ktap_fail(line, "opcode %u, flags %#x: %s, not %s", before.opcode, before.flags,
			  ktap_errno(-err), ktap_errno(error));
	check_unwritten(line, &op, &before, error == EMSGSIZE ? 1 << KTAP_FIELD_out_len : 0);
	return op;
}

/*
 * Does the operation, checks its success or its errno, and that no field was
 * written but those that tell something then. The struct afterwards.
 */
#define WORKS(...)		works_at(__LINE__, __VA_ARGS__)
#define FAILS(error, ...)	fails_at(__LINE__, error, __VA_ARGS__)

KTAP_UNUSED static void holds_at(int line, const void *key, size_t key_len, const void *value,
				 size_t len)
{
	char *got = malloc(len + 1);
	struct kcache_op op = OP_ON(GET, key, key_len, INTO_BYTES(got, len + 1));
	int err = run(&op);

	if (err)
		ktap_fail(line, "GET: %s", ktap_errno(-err));
	if (op.out_len != len)
		ktap_fail(line, "the value has %llu bytes, not %zu",
			  (unsigned long long)op.out_len, len);
	if (memcmp(got, value, len))
		ktap_fail(line, "the value is another: '%.*s', not '%.*s'",
			  len < 100 ? (int)len : 100, got, len < 100 ? (int)len : 100,
			  (const char *)value);
	free(got);
}

#define HOLDS_ON(key, key_len, value, len)	holds_at(__LINE__, key, key_len, value, len)
#define HOLDS(key, value)	HOLDS_ON(key, strlen(key), value, strlen(value))
#define HOLDS_NOT(key)		FAILS(ENOENT, OP(STAT, key))

KTAP_UNUSED static unsigned long long number_in(const char *path)
{
	unsigned long long number;
	char text[32], *end;
	ssize_t len;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		ktap_fail(__LINE__, "%s: %s", path, ktap_errno(errno));
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len < 2)
		ktap_fail(__LINE__, "%s: %zd bytes", path, len);
	text[len] = '\0';
	number = strtoull(text, &end, 10);
	if (strcmp(end, "\n"))
		ktap_fail(__LINE__, "%s: no number: %s", path, text);
	return number;
}

/* A number in a file of SYSFS, as "stats/hits". */
KTAP_UNUSED static unsigned long long sysfs_number(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), SYSFS "%s", name);
	return number_in(path);
}

/* Writes limits/max_bytes: 0 or -errno. */
KTAP_UNUSED static int set_max_bytes(unsigned long long max_bytes)
{
	int fd = MUST(open(SYSFS "limits/max_bytes", O_WRONLY | O_CLOEXEC));
	int err = dprintf(fd, "%llu", max_bytes) < 0 ? -errno : 0;

	close(fd);
	return err;
}

/* poll() takes no struct timespec, for which a kernel may have no 32-bit call. */
KTAP_UNUSED static void milliseconds_pass(int ms)
{
	CHECK_EQ(poll(NULL, 0, ms), 0);
}

/* What the C library's threads need may be missing for 32-bit programs. */
KTAP_UNUSED static void need_threads(void)
{
#ifdef SYS_futex
	int word = 0;

	if (syscall(SYS_futex, &word, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0) < 0 && errno == ENOSYS)
		SKIP("this kernel has no 32-bit futex: CONFIG_COMPAT_32BIT_TIME");
#endif
}

/* Entries of a ttl of 1 ms have expired once this returns. */
KTAP_UNUSED static void time_passes(void)
{
	milliseconds_pass(3);
}

/*
 * A page of a userfaultfd: whoever touches it sleeps until somebody brings it. The
 * callback runs in a thread of its own at the first touch.
 */
struct late_page {
	int fd;
	char *page;
	void (*touched)(struct late_page *late);
	pthread_t thread;
};

KTAP_UNUSED static void *wait_for_touch(void *argument)
{
	struct late_page *late = argument;
	struct pollfd event = { .fd = late->fd, .events = POLLIN };
	struct uffd_msg message;

	while (poll(&event, 1, -1) < 0 && errno == EINTR)
		;
	MUST(read(late->fd, &message, sizeof(message)));
	CHECK_EQ(message.event, UFFD_EVENT_PAGEFAULT);
	late->touched(late);
	return NULL;
}

KTAP_UNUSED static void late_page_init(struct late_page *late, void (*touched)(struct late_page *late))
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	need_threads();
	late->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (late->fd < 0)
		SKIP("no userfaultfd here: %s", ktap_errno(errno));
	MUST(ioctl(late->fd, UFFDIO_API, &api));
	late->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(late->page != MAP_FAILED);
	area.range.start = address(late->page);
	area.range.len = PAGE;
	MUST(ioctl(late->fd, UFFDIO_REGISTER, &area));
	late->touched = touched;
	CHECK(!pthread_create(&late->thread, NULL, wait_for_touch, late));
}

KTAP_UNUSED static void bring_page(struct late_page *late, const char *text)
{
	static char content[PAGE] __attribute__((aligned(PAGE)));
	struct uffdio_copy copy = {
		.dst = address(late->page), .src = address(content), .len = PAGE,
	};

	memcpy(content, text, strlen(text));
	MUST(ioctl(late->fd, UFFDIO_COPY, &copy));
}

/* Each test begins with an empty cache of the size that it had at load. */
KTAP_UNUSED static void begin_empty(void)
{
	unsigned long long at_load = number_in("/sys/module/kcache/parameters/max_bytes");

	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	if (sysfs_number("limits/max_bytes") != at_load)
		CHECK_ERR(set_max_bytes(at_load), 0);
}

KTAP_UNUSED static int ktap_device_main(int argc, char **argv)
{
	if (access(DEVICE, R_OK | W_OK)) {
		printf("1..0 # SKIP %s: %s\n", DEVICE, strerror(errno));
		return KTAP_SKIP;
	}
	return ktap_main(argc, argv, begin_empty);
}
#endif /* KTAP_DEVICE */

#endif /* KTAP_H */
