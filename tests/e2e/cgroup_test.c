// SPDX-License-Identifier: GPL-2.0
/*
 * Clients in a memory cgroup: killed since their group has no memory, in the middle of
 * every call that takes some of it, or left alive without any. Others see nothing but whole
 * values meanwhile, and afterwards the accounts add up to the byte.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "crash.h"

#define CGROUP	"/sys/fs/cgroup/kcache-test"

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return is_written;
}

static void make_cgroup(int limit)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", limit);
	rmdir(CGROUP);
	if (mkdir(CGROUP, 0755) || !write_file(CGROUP "/memory.max", text))
		SKIP("no memory cgroup to be had here: %s", ktap_errno(errno));
	write_file(CGROUP "/memory.swap.max", "0");
}

static unsigned long long nr_oom_kills(void)
{
	char text[512] = "", *at;
	int fd = MUST(open(CGROUP "/memory.events", O_RDONLY | O_CLOEXEC));

	MUST(read(fd, text, sizeof(text) - 1));
	close(fd);
	at = strstr(text, "oom_kill ");
	CHECK(at);
	return strtoull(at + 9, NULL, 10);
}

static void *fresh_memory(size_t len)
{
	return MUST(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* Memory that has no pages yet and gets some when it is read, too. */
static void *fresh_file(size_t len)
{
	int fd = MUST(memfd_create("fresh", MFD_CLOEXEC));
	void *memory;

	MUST(ftruncate(fd, len));
	memory = MUST(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	return memory;
}

static __u64 read_a_page_each_2_mib(const char *map, __u64 len)
{
	__u64 at, sum = 0;

	for (at = 0; at < len; at += 2 * MIB)
		sum += *(volatile const char *)(map + at);
	return sum;
}

#define GREEDY_LIMIT	(16 * MIB)

static __u64 *taken;	/* bytes that the kernel keeps for who is greedy, or some of them; shared */

enum greedy {
	GREEDY_SET, GREEDY_APPEND, GREEDY_GET, GREEDY_POP, GREEDY_BATCH, GREEDY_READ, GREEDY_WRITE,
	GREEDY_OPEN, GREEDY_HINTS, GREEDY_MAP, NR_GREEDY
};

static const char *const greedy_names[] = {
	"SET", "APPEND", "GET", "POP", "BATCH", "read", "write", "open", "hints", "map",
};

/* Takes memory by calls of the cache until it is killed. Does not come back. */
static void be_greedy(int nr)
{
	const size_t len = 300 * KIB;
	struct kcache_info info = { .size = sizeof(info) };
	int fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	char key[16];
	int i;

	CHECK(write_file(CGROUP "/cgroup.procs", "0"));
	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	for (i = 0;; i++) {
		struct kcache_op op = OP(SET, "key", BYTES(NULL, len));
		struct kcache_batch batch = {
			.size = sizeof(batch), .op_size = sizeof(op), .ops = address(&op), .nr = 1,
		};

		snprintf(key, sizeof(key), "greedy%d", i % 8);
		switch (nr) {
		case GREEDY_SET:
			op.value = address(fresh_file(len));
			op.key = address(key);
			op.key_len = strlen(key);
			run(&op);
			break;
		case GREEDY_APPEND:
			run(&OP(APPEND, "small", BYTES(fresh_file(PAGE), 1)));
			break;
		case GREEDY_GET:
			run(&OP(GET, "whole0", INTO_BYTES(fresh_memory(WHOLE_MAX), WHOLE_MAX)));
			break;
		case GREEDY_POP:
			run(&OP(SET, key, BYTES(buffer, 100 * KIB)));
			run(&OP(POP, key, INTO_BYTES(fresh_memory(len), len)));
			break;
		case GREEDY_BATCH:
			op = OP(GET, "whole0", INTO_BYTES(fresh_memory(WHOLE_MAX), WHOLE_MAX));
			ioctl(cache, KCACHE_IOC_BATCH, &batch);
			break;
		case GREEDY_READ:
			if (read(fd, fresh_memory(len), len) <= 0)
				fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
			break;
		case GREEDY_WRITE:
			/* A line that has no end yet is kept. */
			fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
			memset(buffer, 'a', len);
			memcpy(buffer, "line ", 5);
			if (write(fd, buffer, len) == (ssize_t)len)
				*taken += len;
			break;
		case GREEDY_OPEN:
			open(DEVICE, O_RDWR | O_CLOEXEC);
			break;
		case GREEDY_HINTS:
			fd = open(DEVICE, O_RDWR | O_CLOEXEC);
			if (fd >= 0 && ioctl(fd, KCACHE_IOC_HINTS, 0) >= 0)
				*taken += PAGE;
			break;
		default:
			read_a_page_each_2_mib(mmap(NULL, info.map_bytes, PROT_READ, MAP_SHARED, cache, 0),
					       info.map_bytes);
		}
	}
}

static void raise_limit(int which, rlim_t limit)
{
	struct rlimit all = { limit, limit };

	MUST(setrlimit(which, &all));
}

TEST(process_killed_for_lack_of_memory_leaves_everything_whole)
{
	int nr, i;

	make_cgroup(GREEDY_LIMIT);
	raise_limit(RLIMIT_NOFILE, 200000);
	buffer = malloc(2 * WHOLE_MAX);
	taken = shared_memory(sizeof(*taken));
	for (i = 0; i < NR_WHOLE; i++)
		WORKS(OP(SET, whole_key(i), BYTES(buffer, make_whole((struct whole *)buffer, i,
								     i ? 5000 : WHOLE_WORDS))));
	WORKS(OP(SET, "small", VALUE("small")));
	begin_looking();
	for (nr = 0; nr < NR_GREEDY; nr++) {
		CASE("%s", greedy_names[nr]);
		*taken = 0;
		check_killed(start_process(be_greedy, nr));
		CHECK(nr_oom_kills() > 0);
		/* It was all his own. */
		CHECK(*taken <= GREEDY_LIMIT);
		MUST(rmdir(CGROUP));
		make_cgroup(GREEDY_LIMIT);
	}
	end_looking();
	check_account();
	check_flush();
	unload_and_load();
	rmdir(CGROUP);
}

/* Nothing of what follows needs memory of the group that the process does not have. */
static void work_without_memory(void)
{
	static char out[200], long_value[100 * KIB];
	struct kcache_op ops[3];
	struct kcache_batch batch = {
		.size = sizeof(batch), .op_size = sizeof(ops[0]), .ops = address(ops), .nr = 3,
	};
	int i;

	memset(long_value, 'v', sizeof(long_value));
	for (i = 0; i < 50; i++) {
		WORKS(OP(SET, "key", VALUE("1"), .client_flags = 3));
		WORKS(OP(ADD, "key", .delta = 1000000));
		WORKS(OP(APPEND, "key", VALUE("b")));
		WORKS(OP(PREPEND, "key", VALUE("a")));
		WORKS(OP(TOUCH, "key", .ttl_ms = 100000));
		CHECK_EQ(WORKS(OP(STAT, "key")).out_len, 9);
		WORKS(OP(SET, "key", VALUE("new"), INTO(out), .flags = KCACHE_RETURN_OLD));
		CHECK(!memcmp(out, "a1000001b", 9));
		WORKS(OP(SET, "long", BYTES(long_value, sizeof(long_value))));
		WORKS(OP(GET, "long", INTO_BYTES(long_value, sizeof(long_value))));
		ops[0] = OP(SET, "batch", VALUE("value"));
		ops[1] = OP(GET, "batch", INTO(out));
		ops[2] = OP(REMOVE, "batch");
		MUST(ioctl(cache, KCACHE_IOC_BATCH, &batch));
		CHECK_EQ(batch.done, 3);
		CHECK(!ops[0].error && !ops[1].error && !ops[2].error);
		WORKS(OP(POP, "key", INTO(out)));
		CHECK(!memcmp(out, "new", 3));
		CHECK_EQ(write(cache, "line of text\n", 13), 13);
	}
}

/*
 * The call before this one failed: EFAULT is for memory of its caller's that could not be had,
 * @other for the kernel's, as the contract has it for the call.
 */
static void check_refused(const char *call, int other)
{
	CASE("%s: %s", call, ktap_errno(errno));
	CHECK(errno == EFAULT || errno == other);
}

static void live_at_the_limit(int nr)
{
	static char block[64 * KIB];
	int file = MUST(memfd_create("all", MFD_CLOEXEC)), i, fd, refused = 0;
	char *in[8], *out[8];
	struct kcache_op op;

	(void)nr;
	/* Pages that fork() left to be copied are copied now, at the cost of the outer group. */
	work_without_memory();
	MUST(mlockall(MCL_CURRENT));
	for (i = 0; i < 8; i++) {
		in[i] = fresh_file(200 * KIB);
		out[i] = fresh_memory(200 * KIB);
	}
	/* There is nobody to be killed for it: what cannot be had fails. */
	CHECK(write_file("/proc/self/oom_score_adj", "-1000"));
	CHECK(write_file(CGROUP "/cgroup.procs", "0"));
	for (i = sizeof(block); i >= PAGE; i /= 4)
		while (write(file, block, i) == i)
			;
	CHECK_EQ(errno, ENOMEM);

	work_without_memory();
	WORKS(OP(SET, "key", VALUE("value")));
	for (i = 0; i < 8; i++) {
		op = OP(SET, "key", BYTES(in[i], 200 * KIB));
		if (run(&op)) {
			check_refused("SET", ENOSPC);
			HOLDS("key", "value");
			refused++;
		} else {
			WORKS(OP(SET, "key", VALUE("value")));
		}
		op = OP(GET, "long", INTO_BYTES(out[i], 200 * KIB));
		if (run(&op)) {
			check_refused("GET", EFAULT);
			refused++;
		}
		op = OP(POP, "long", INTO_BYTES(out[i], 200 * KIB));
		if (run(&op)) {
			check_refused("POP", EFAULT);
			CHECK_EQ(WORKS(OP(STAT, "long")).out_len, 100 * KIB);
			refused++;
		} else {
			WORKS(OP(SET, "long", BYTES(out[i], 100 * KIB)));
		}
		fd = open(DEVICE, O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			check_refused("open", ENOMEM);
			refused++;
			continue;
		}
		if (ioctl(fd, KCACHE_IOC_HINTS, 0) < 0) {
			check_refused("hints", ENOMEM);
			refused++;
		}
		if (read(fd, block, sizeof(block)) < 0) {
			check_refused("read", ENOMEM);
			refused++;
		}
		if (mmap(NULL, MIB, PROT_READ, MAP_SHARED, cache, 0) == MAP_FAILED) {
			check_refused("mmap", ENOMEM);
			refused++;
		}
	}
	NOTE("%d calls were refused for lack of memory", refused);
	CHECK(refused > 0);
	HOLDS("key", "value");
	work_without_memory();
}

TEST(process_whose_cgroup_has_no_memory_left_works_or_is_told)
{
	make_cgroup(4 * MIB);
	end_process(start_process(live_at_the_limit, 0));
	WORKS(OP(SET, "after", VALUE("wards")));
	HOLDS("after", "wards");
	check_account();
	check_flush();
	unload_and_load();
	rmdir(CGROUP);
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
