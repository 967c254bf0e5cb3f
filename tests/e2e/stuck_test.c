// SPDX-License-Identifier: GPL-2.0
/*
 * Clients whose memory never comes: a buffer behind a userfaultfd that nobody serves, or
 * of a file whose file system does not answer (FUSE), under every call that takes one.
 * Nobody waits for them, no memory of the cache stays for them, and they can be killed.
 * Then memory that cannot come, since the disk below it is full.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <kcache.h>

#include "crash.h"

/* -------- a file system that does not answer -------- */

#define DIRECTORY	"/tmp/kcache-stuck"
#define FILE_NODE	2

static int fuse = -1;
static int *asked;	/* by page of the file, in shared memory: somebody waits for it */

static void fuse_answer(__u64 unique, int error, const void *body, size_t len)
{
	char answer[sizeof(struct fuse_out_header) + 256];
	struct fuse_out_header header = { sizeof(header) + len, -error, unique };

	CHECK(len <= 256);
	memcpy(answer, &header, sizeof(header));
	memcpy(answer + sizeof(header), body, len);
	/* Whoever asked may have been killed by now. */
	if (write(fuse, answer, header.len) < 0)
		CHECK(errno == ENOENT || errno == EINVAL);
}

static struct fuse_attr attributes_of(__u64 node)
{
	struct fuse_attr attr = { .ino = node, .nlink = 1, .mode = S_IFDIR | 0755 };

	if (node == FILE_NODE) {
		attr.mode = S_IFREG | 0600;
		attr.size = 64 * PAGE;
	}
	return attr;
}

/*
 * Serves a directory with one file, of which no page is ever read. Does not come back.
 * Pages are asked for ahead, if only by one: who waits for FUSE itself cannot be killed.
 */
static void serve(int nr)
{
	static char request[FUSE_MIN_READ_BUFFER + PAGE];
	const struct fuse_in_header *in = (void *)request;
	const struct fuse_init_in *init_in = (void *)(in + 1);
	const struct fuse_read_in *read_in = (void *)(in + 1);

	(void)nr;
	close(cache);
	for (;;) {
		struct fuse_init_out init = {
			.major = FUSE_KERNEL_VERSION, .flags = FUSE_ASYNC_READ,
			.max_readahead = PAGE, .max_background = 64, .congestion_threshold = 64, .max_write = PAGE,
		};
		struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr_valid = 1000,
						.entry_valid = 1000 };
		struct fuse_attr_out attr = { .attr_valid = 1000 };
		struct fuse_open_out open_out = { .open_flags = FOPEN_KEEP_CACHE };

		if (read(fuse, request, sizeof(request)) < 0) {
			CHECK(errno == EINTR || errno == ENOENT);
			continue;
		}
		switch (in->opcode) {
		case FUSE_INIT:
			init.minor = init_in->minor < FUSE_KERNEL_MINOR_VERSION ?
				     init_in->minor : FUSE_KERNEL_MINOR_VERSION;
			fuse_answer(in->unique, 0, &init, sizeof(init));
			break;
		case FUSE_LOOKUP:
			entry.attr = attributes_of(FILE_NODE);
			fuse_answer(in->unique, 0, &entry, sizeof(entry));
			break;
		case FUSE_GETATTR:
			attr.attr = attributes_of(in->nodeid);
			fuse_answer(in->unique, 0, &attr, sizeof(attr));
			break;
		case FUSE_OPEN:
			fuse_answer(in->unique, 0, &open_out, sizeof(open_out));
			break;
		case FUSE_READ:
			atomic_put(&asked[read_in->offset / PAGE % 64], 1);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		case FUSE_FLUSH:
		case FUSE_RELEASE:
			fuse_answer(in->unique, 0, NULL, 0);
			break;
		default:
			fuse_answer(in->unique, ENOSYS, NULL, 0);
		}
	}
}

static pid_t mount_fuse(void)
{
	char options[64];
	pid_t server;

	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0 && !system("modprobe -q fuse"))
		fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0)
		SKIP("no FUSE here: %s", ktap_errno(errno));
	asked = shared_memory(64 * sizeof(*asked));
	umount2(DIRECTORY, MNT_DETACH);
	mkdir(DIRECTORY, 0700);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	MUST(mount("kcache-stuck", DIRECTORY, "fuse", MS_NOSUID | MS_NODEV, options));
	server = start_process(serve, 0);
	close(fuse);	/* when the server ends, so does the file system */
	return server;
}

/* -------- everything that takes memory of the caller -------- */

#define STUCK(X)									\
	X(struct) X(key) X(SET) X(SET_of_two_pages) X(APPEND) X(PREPEND) X(GET) X(GET_TOUCH)	\
	X(POP) X(RETURN_OLD) X(batch) X(batch_ops) X(batch_key) X(batch_SET) X(batch_GET)	\
	X(batch_POP) X(INFO) X(write) X(write_half) X(read) X(mapped_GET)

enum stuck {
#define X(name) STUCK_##name,
	STUCK(X)
#undef X
	NR_STUCK
};

static const char *const stuck_names[] = {
#define X(name) #name,
	STUCK(X)
#undef X
};

#define OLD_LEN	3000	/* of the value of "key" */

static bool by_fuse;
static int *arrived;	/* by enum stuck, in shared memory */
static int stuck_nr;
static struct late_page late;	/* if not by_fuse */

static void say_arrived(struct late_page *page)
{
	(void)page;
	atomic_put(&arrived[stuck_nr], 1);
	pause();
}

static char *page_that_never_comes(int nr)
{
	char *page;
	int fd;

	stuck_nr = nr;
	if (!by_fuse) {
		late_page_init(&late, say_arrived);
		return late.page;
	}
	fd = MUST(open(DIRECTORY "/file", O_RDONLY | O_CLOEXEC));
	page = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, nr * PAGE));
	return page;
}

static bool is_stuck(int nr)
{
	return atomic_get(by_fuse ? &asked[nr] : &arrived[nr]);
}

/* @len bytes that are there, right before @page. */
static char *memory_before(char *page, size_t len)
{
	char *area = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	MUST(mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + PAGE));
	if (!by_fuse) {
		/* What is moved has left its userfaultfd. */
		struct uffdio_register again = {
			.range = { address(area + PAGE), PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		MUST(ioctl(late.fd, UFFDIO_REGISTER, &again));
	}
	memset(area, 'x', PAGE);
	return area + PAGE - len;
}

static int batch_at(struct kcache_batch *batch)
{
	int err = ioctl(cache, KCACHE_IOC_BATCH, batch) < 0 ? -errno : 0;

	return err;
}

/* One operation in a batch: its error, or that of the batch. */
static int batch_one(struct kcache_op op)
{
	struct kcache_batch batch = {
		.size = sizeof(batch), .op_size = sizeof(op), .ops = address(&op), .nr = 1,
	};

	return batch_at(&batch) ?: op.error;
}

/* Does something with a page that never comes: if it comes back, an error. */
static int do_stuck(int nr, char *page)
{
	struct kcache_batch batch = {
		.size = sizeof(batch), .op_size = sizeof(struct kcache_op), .ops = address(page),
		.nr = 1,
	};
	struct kcache *handle;
	static char out[OLD_LEN];
	size_t len;
	int fd;

	switch (nr) {
	case STUCK_struct:
		return run((struct kcache_op *)page);
	case STUCK_key:
		return run(&OP_ON(GET, page, 100, INTO(out)));
	case STUCK_SET:
		return run(&OP(SET, "key", BYTES(page, PAGE)));
	case STUCK_SET_of_two_pages:
		return run(&OP(SET, "key", BYTES(memory_before(page, 100), 200)));
	case STUCK_APPEND:
		return run(&OP(APPEND, "key", BYTES(page, 100)));
	case STUCK_PREPEND:
		return run(&OP(PREPEND, "key", BYTES(page, 100)));
	case STUCK_GET:
		return run(&OP(GET, "key", INTO_BYTES(page, PAGE)));
	case STUCK_GET_TOUCH:
		return run(&OP(GET, "key", INTO_BYTES(page, PAGE), .flags = KCACHE_TOUCH,
			       .ttl_ms = 1));
	case STUCK_POP:
		return run(&OP(POP, "key", INTO_BYTES(page, PAGE)));
	case STUCK_RETURN_OLD:
		return run(&OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD,
			       INTO_BYTES(page, PAGE)));
	case STUCK_batch:
		return batch_at((struct kcache_batch *)page);
	case STUCK_batch_ops:
		return batch_at(&batch);
	case STUCK_batch_key:
		return batch_one(OP_ON(REMOVE, page, 100));
	case STUCK_batch_SET:
		return batch_one(OP(SET, "key", BYTES(page, 100)));
	case STUCK_batch_GET:
		return batch_one(OP(GET, "key", INTO_BYTES(page, PAGE)));
	case STUCK_batch_POP:
		return batch_one(OP(POP, "key", INTO_BYTES(page, PAGE)));
	case STUCK_INFO:
		return ioctl(cache, KCACHE_IOC_INFO, page) < 0 ? -errno : 0;
	case STUCK_write:
		return write(cache, page, PAGE) < 0 ? -errno : 0;
	case STUCK_write_half:
		/* The beginning of a line is there, and was taken. */
		CHECK_EQ(write(cache, "half a li", 9), 9);
		return write(cache, page, PAGE) < 0 ? -errno : 0;
	case STUCK_read:
		return read(cache, page, PAGE) < 0 ? -errno : 0;
	default:
		/* It is the program that touches it here: by a mapping that the cache fills. */
		fd = MUST(open("/dev/null", O_RDWR | O_CLOEXEC));
		CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
		CHECK_ERR(kcache_get(handle, "key", 3, out, sizeof(out), &len), 0);
		MUST(write(fd, out, len));
		return kcache_get(handle, page, 100, out, sizeof(out), &len);
	}
}

static void get_stuck(int nr)
{
	int err;

	/* Each has an open file of its own: one that is stuck in write() holds its file. */
	close(cache);
	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	err = do_stuck(nr, page_that_never_comes(nr));
	CASE("%s", stuck_names[nr]);
	CHECK(by_fuse && is_stuck(nr));
	/* The file system went: the page is none. */
	CHECK_ERR(err, EFAULT);
}

/* -------- what others do meanwhile -------- */

static void set_old(void)
{
	static char value[OLD_LEN];

	memset(value, 'o', sizeof(value));
	WORKS(OP(SET, "key", BYTES(value, sizeof(value)), .client_flags = 7));
}

static void check_old(void)
{
	static char value[OLD_LEN];

	memset(value, 'o', sizeof(value));
	HOLDS_ON("key", 3, value, sizeof(value));
	CHECK_EQ(WORKS(OP(STAT, "key")).client_flags, 7);
	CHECK_EQ(WORKS(OP(STAT, "key")).ttl_ms, 0);
}

/*
 * Waits until the cache has no more memory than @most or, if that is 0, until it has
 * not given any back for a while; what it has then.
 */
static unsigned long long allocated_at_last(unsigned long long most)
{
	unsigned long long bytes = 0, before;
	int i, same = 0;

	for (i = 0; i < 1000 && (most || same < 100); i++) {
		before = bytes;
		bytes = sysfs_number("stats/bytes_allocated");
		if (bytes <= most)
			break;
		same = bytes == before ? same + 1 : 0;
		milliseconds_pass(10);
	}
	return bytes;
}

static void fill(unsigned long long bytes)
{
	static char value[20 * KIB];
	unsigned long long i;
	char key[24];

	for (i = 0; i < bytes / sizeof(value); i++) {
		snprintf(key, sizeof(key), "fill%llu", i);
		WORKS(OP(SET, key, BYTES(value, sizeof(value))));
	}
}

/* What an empty cache of the smallest limit takes, after it was full. */
static unsigned long long empty_it(unsigned long long expected)
{
	unsigned long long bytes;

	fill(70ULL * MIB);
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK_ERR(set_max_bytes(8 * MIB), 0);
	CHECK_EQ(sysfs_number("stats/entries"), 0);
	CHECK_EQ(sysfs_number("stats/bytes_live"), 0);
	bytes = allocated_at_last(expected);
	CHECK_ERR(set_max_bytes(64ULL * MIB), 0);
	return bytes;
}

/* All that there is to do, on the same key too. */
static void others_work(void)
{
	struct kcache *handle;
	char out[OLD_LEN + 100], key[16];
	size_t len;
	int i;

	CHECK_ERR(kcache_open(&handle, NULL, O_RDWR), 0);
	for (i = 0; i < 200; i++) {
		struct kcache_op ops[] = {
			OP(SET, "key", VALUE("1")), OP(ADD, "key", .delta = 1000000000000),
			OP(APPEND, "key", VALUE("more")), OP(PREPEND, "key", VALUE("more")),
			OP(TOUCH, "key", .ttl_ms = 500000), OP(STAT, "key"), OP(GET, "key", INTO(out)),
			OP(SET, "key", VALUE("2"), .flags = KCACHE_RETURN_OLD, INTO(out)),
			OP(REMOVE, "key"), OP(SET, "key", VALUE("3")), OP(POP, "key", INTO(out)),
		};
		struct kcache_batch batch = {
			.size = sizeof(batch), .op_size = sizeof(ops[0]), .ops = address(ops),
			.nr = NR(ops),
		};
		size_t op;

		if (i % 2) {
			MUST(ioctl(cache, KCACHE_IOC_BATCH, &batch));
			CHECK_EQ(batch.done, NR(ops));
			for (op = 0; op < NR(ops); op++)
				CHECK_ERR(ops[op].error, 0);
		} else {
			for (op = 0; op < NR(ops); op++)
				WORKS(ops[op]);
		}
		snprintf(key, sizeof(key), "other%d", i);
		CHECK(dprintf(cache, "%s line\n", key) > 0);
		HOLDS(key, "line");
		CHECK_ERR(kcache_get(handle, key, strlen(key), out, sizeof(out), &len), 0);
		CHECK(len == 4 && !memcmp(out, "line", 4));
	}
	kcache_close(handle);
	check_account();
	CHECK(sysfs_number("stats/entries") >= 200);
}

/* The system asks for memory. */
static void shrink(void)
{
	unsigned long long before = sysfs_number("stats/shrunk_bytes");
	int fd = MUST(open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC)), i;

	fill(60ULL * MIB);
	for (i = 0; i < 20 && sysfs_number("stats/shrunk_bytes") == before; i++)
		CHECK_EQ(pwrite(fd, "2", 1, 0), 1);
	close(fd);
	CHECK(sysfs_number("stats/shrunk_bytes") > before);
}

/* The last @nr_left of them stay stuck. */
static void kill_stuck(pid_t *pids, int nr_left)
{
	int nr, status;

	for (nr = 0; nr < NR_STUCK - nr_left; nr++) {
		CASE("%s", stuck_names[nr]);
		MUST(kill(pids[nr], SIGKILL));
		MUST(waitpid(pids[nr], &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		check_old();
	}
}

static void stick_all(pid_t *pids)
{
	int nr, i, status;

	arrived = shared_memory(NR_STUCK * sizeof(*arrived));
	set_old();
	for (nr = 0; nr < NR_STUCK; nr++) {
		CASE("%s", stuck_names[nr]);
		pids[nr] = start_process(get_stuck, nr);
		for (i = 0; !is_stuck(nr); i++) {
			if (waitpid(pids[nr], &status, WNOHANG) == pids[nr])
				_exit(WIFSIGNALED(status) ? KTAP_FAIL : WEXITSTATUS(status));
			CHECK(i < 30000);
			milliseconds_pass(1);
		}
	}
	check_old();
}

static void stuck_hold_up_nobody(unsigned long long at_rest)
{
	unsigned long long bytes;

	others_work();
	shrink();
	bytes = empty_it(at_rest);
	CASE("the empty cache keeps %llu bytes, without them %llu", bytes, at_rest);
	CHECK(bytes <= at_rest);
	others_work();
	CHECK_REFUSED(syscall(SYS_delete_module, "kcache", O_NONBLOCK), EAGAIN);
	set_old();
}

TEST(clients_stuck_behind_a_userfaultfd_hold_up_nobody_and_keep_nothing)
{
	unsigned long long at_rest = empty_it(0);
	pid_t pids[NR_STUCK];

	stick_all(pids);
	stuck_hold_up_nobody(at_rest);
	kill_stuck(pids, 0);
	check_account();
	check_flush();
	unload_and_load();
}

TEST(clients_stuck_behind_fuse_hold_up_nobody_and_keep_nothing)
{
	unsigned long long at_rest = empty_it(0);
	pid_t server = mount_fuse(), pids[NR_STUCK];

	by_fuse = true;
	stick_all(pids);
	stuck_hold_up_nobody(at_rest);
	kill_stuck(pids, 0);
	check_account();
	check_flush();
	unload_and_load();
	MUST(kill(server, SIGKILL));
	MUST(umount2(DIRECTORY, MNT_DETACH));
}

TEST(calls_whose_file_system_goes_are_efault_and_change_nothing)
{
	pid_t server = mount_fuse(), pids[NR_STUCK];
	int nr, status;

	by_fuse = true;
	stick_all(pids);
	MUST(kill(server, SIGKILL));
	for (nr = 0; nr < NR_STUCK; nr++) {
		CASE("%s", stuck_names[nr]);
		MUST(waitpid(pids[nr], &status, 0));
		/* Where it is the program itself that reads, that is a signal. */
		if (nr == STUCK_mapped_GET)
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
		else
			CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
		check_old();
	}
	CHECK_EQ(sysfs_number("stats/entries"), 1);
	check_account();
	MUST(umount2(DIRECTORY, MNT_DETACH));
}

/* Nor can others be made to wait: what the cache shows brings its own memory. */
TEST(mapping_of_the_cache_takes_no_userfaultfd)
{
	static const __u64 modes[] = {
		UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP, UFFDIO_REGISTER_MODE_MINOR,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC), hints, m, i;
	struct uffdio_api api = { .api = UFFD_API };
	char *maps[2];

	if (uffd < 0)
		SKIP("no userfaultfd here: %s", ktap_errno(errno));
	MUST(ioctl(uffd, UFFDIO_API, &api));
	hints = MUST(ioctl(cache, KCACHE_IOC_HINTS, 0));
	maps[0] = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, 0));
	maps[1] = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, hints, 0));
	for (m = 0; m < 2; m++) {
		for (i = 0; i < 3; i++) {
			struct uffdio_register area = {
				.range = { address(maps[m]), PAGE }, .mode = modes[i],
			};

			CASE("mapping %d, mode %d", m, i);
			CHECK(ioctl(uffd, UFFDIO_REGISTER, &area) < 0);
			CHECK(errno == EINVAL || errno == EPERM);
		}
	}
}

/* -------- a full disk below a buffer -------- */

/* Pages of a file on a full disk: the first is there, the others can never be. */
static char *pages_on_a_full_disk(int nr)
{
	char *pages, block[PAGE] = "";
	int fd, filler;

	umount2(DIRECTORY, MNT_DETACH);
	mkdir(DIRECTORY, 0700);
	MUST(mount("kcache-full", DIRECTORY, "tmpfs", 0, "size=128k"));
	fd = MUST(open(DIRECTORY "/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(ftruncate(fd, nr * PAGE));
	CHECK_EQ(pwrite(fd, block, PAGE, 0), PAGE);
	filler = MUST(open(DIRECTORY "/filler", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	while (write(filler, block, PAGE) == PAGE)
		;
	CHECK_EQ(errno, ENOSPC);
	pages = MUST(mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	close(filler);
	return pages;
}

TEST(memory_on_a_full_disk_is_efault_and_nothing_half_done)
{
	char *pages = pages_on_a_full_disk(8), *value = malloc(3 * PAGE), *out = malloc(3 * PAGE);
	const int starts[] = { PAGE, PAGE - 1, PAGE - 100, 1 };
	unsigned long long live;
	size_t i;
	int fd;

	memset(value, 'v', 3 * PAGE);
	WORKS(OP(SET, "key", BYTES(value, 3 * PAGE), .client_flags = 9));
	live = sysfs_number("stats/bytes_live");
	for (i = 0; i < NR(starts); i++) {
		char *at = pages + starts[i];

		CASE("at %d", starts[i]);
		FAILS(EFAULT, OP(SET, "key", BYTES(at, 2 * PAGE)));
		FAILS(EFAULT, OP(SET, "key", BYTES(at, PAGE + 5), .flags = KCACHE_KEEP_TTL));
		FAILS(EFAULT, OP(SET, "new", BYTES(at, 2 * PAGE)));
		FAILS(EFAULT, OP(APPEND, "key", BYTES(at, 2 * PAGE)));
		FAILS(EFAULT, OP(PREPEND, "key", BYTES(at, 2 * PAGE)));
		FAILS(EFAULT, OP(GET, "key", INTO_BYTES(at, 3 * PAGE)));
		FAILS(EFAULT, OP(GET, "key", INTO_BYTES(at, 3 * PAGE), .flags = KCACHE_TOUCH,
				 .ttl_ms = 1));
		FAILS(EFAULT, OP(POP, "key", INTO_BYTES(at, 3 * PAGE)));
		FAILS(EFAULT, OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD,
				 INTO_BYTES(at, 3 * PAGE)));
		CHECK_ERR(batch_one(OP(POP, "key", INTO_BYTES(at, 3 * PAGE))), EFAULT);
		CHECK_ERR(batch_one(OP(SET, "key", BYTES(at, 2 * PAGE))), EFAULT);
		HOLDS_NOT("new");
		HOLDS_ON("key", 3, value, 3 * PAGE);
		CHECK_EQ(WORKS(OP(STAT, "key")).client_flags, 9);
		CHECK_EQ(WORKS(OP(STAT, "key")).ttl_ms, 0);
	}
	CASE("key, struct, batch");
	FAILS(EFAULT, OP_ON(GET, pages + PAGE - 1, 2, INTO_BYTES(out, PAGE)));
	CHECK_ERR(run((struct kcache_op *)(pages + PAGE - 8)), EFAULT);
	CHECK_ERR(batch_at((struct kcache_batch *)(pages + PAGE - 8)), EFAULT);
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_INFO, pages + 2 * PAGE), EFAULT);

	CASE("read and write");
	fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	CHECK_REFUSED(write(fd, pages + PAGE, 10), EFAULT);
	CHECK_REFUSED(read(fd, pages + PAGE, PAGE), EFAULT);
	/* What could not be taken is read by the next call. */
	CHECK_EQ(read(fd, out, 16), 16);
	CHECK(!memcmp(out, "@flags=9 key vvv", 16));
	close(fd);
	CHECK_EQ(sysfs_number("stats/entries"), 1);
	CHECK_EQ(sysfs_number("stats/bytes_live"), live);
	check_account();
	MUST(umount2(DIRECTORY, MNT_DETACH));
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
