// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the system needs comes back: a process asks for more than is free while
 * the cache holds most of the memory. It gets it, nobody is killed, and readers and a
 * writer of the cache go on meanwhile.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <kcache.h>

#define MIB		(1024ULL * 1024)
#define VALUE_LEN	30000	/* few of them fill a cache */

static struct {
	__u32 end;		/* keys with numbers below have been set; atomic */
	__u32 stop;		/* atomic, as all that follows */
	__u64 hits[2];		/* by the mapping, by a call */
	__u64 touched;		/* bytes that the process has */
	__u64 allocated;	/* of the cache, when it had them all */
} *shared;

#define atomic_get(where)	__atomic_load_n(where, __ATOMIC_SEQ_CST)
#define atomic_put(where, what)	__atomic_store_n(where, what, __ATOMIC_SEQ_CST)

/* The number behind @name in /proc/meminfo or /proc/vmstat, @none if that has no such line. */
static unsigned long long proc_number(const char *path, const char *name, unsigned long long none)
{
	FILE *file = fopen(path, "re");
	size_t len = strlen(name);
	char line[128];

	CHECK(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, len)) {
			fclose(file);
			return strtoull(line + len, NULL, 10);
		}
	}
	fclose(file);
	return none;
}

static unsigned long long available_bytes(void)
{
	unsigned long long kib = proc_number("/proc/meminfo", "MemAvailable:", 0);

	CHECK(kib);
	return kib * 1024;
}

/* Our own kernels do not count them; there, one of ours that is killed is seen to have died. */
#define UNCOUNTED	(~0ULL)

static unsigned long long oom_kills(void)
{
	return proc_number("/proc/vmstat", "oom_kill", UNCOUNTED);
}

static void make_value(char *value, __u32 nr)
{
	memset(value, (int)(nr % 251), VALUE_LEN);
	memcpy(value, &nr, sizeof(nr));
}

static void set_next(void)
{
	char value[VALUE_LEN], key[16];
	int err;

	snprintf(key, sizeof(key), "m%u", shared->end);
	make_value(value, shared->end);
	err = run(&OP(SET, key, BYTES(value, VALUE_LEN)));
	CHECK(!err || err == -ENOSPC);	/* while memory is scarce, a SET may find none */
	atomic_put(&shared->end, shared->end + 1);
}

static void write_on(int nr)
{
	(void)nr;
	while (!atomic_get(&shared->stop)) {
		set_next();
		milliseconds_pass(10);
	}
}

/* What is found has to be right; by the mapping or, with @nr, by a call. */
static void read_on(int nr)
{
	char want[VALUE_LEN], got[VALUE_LEN], key[16];
	unsigned int state = nr;
	struct kcache *handle;
	size_t len;
	__u32 which;
	int err;

	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	while (!atomic_get(&shared->stop)) {
		which = (__u32)rand_r(&state) % atomic_get(&shared->end);
		snprintf(key, sizeof(key), "m%u", which);
		len = sizeof(got);
		if (nr)
			err = run(&OP(GET, key, INTO(got)));
		else
			err = kcache_get(handle, key, strlen(key), got, sizeof(got), &len);
		if (err == -ENOENT)
			continue;
		CHECK_ERR(err, 0);
		make_value(want, which);
		CHECK(len == VALUE_LEN && !memcmp(got, want, VALUE_LEN));
		__atomic_add_fetch(&shared->hits[nr], 1, __ATOMIC_SEQ_CST);
		milliseconds_pass(1);		/* the CPU is for who wants memory */
	}
	kcache_close(handle);
}

static unsigned long long wanted;	/* bytes */

static void use_wanted(int nr)
{
	char *memory = mmap(NULL, wanted, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)nr;
	CHECK(memory != MAP_FAILED);
	for (; shared->touched < wanted; shared->touched += PAGE)
		memory[shared->touched] = 1;
	shared->allocated = sysfs_number("stats/bytes_allocated");
}

static unsigned long long fill_to(unsigned long long bytes)
{
	int i;

	while (sysfs_number("stats/bytes_allocated") < bytes && shared->end < 1000000)
		for (i = 0; i < 100; i++)
			set_next();
	return sysfs_number("stats/bytes_allocated");
}

TEST(process_gets_the_memory_it_needs_while_the_cache_serves)
{
	unsigned long long most = available_bytes() / 10 * 7, free, full, kills, shrunk, back;
	__u64 hits[2];
	pid_t pids[3], pid;
	int i, status;

	shared = shared_memory(sizeof(*shared));
	CHECK_ERR(set_max_bytes(most), 0);
	full = fill_to(most / 20 * 19);
	CHECK(full >= most / 20 * 19);
	free = available_bytes();
	kills = oom_kills();
	shrunk = sysfs_number("stats/shrunk_bytes");
	pids[0] = start_process(read_on, 0);
	pids[1] = start_process(read_on, 1);
	pids[2] = start_process(write_on, 0);

	wanted = free + full / 10 * 7;
	pid = start_process(use_wanted, 0);
	MUST(waitpid(pid, &status, 0));
	back = full - shared->allocated;
	NOTE("%llu MiB were free and the cache had %llu; of %llu wanted a process got %llu, and the cache gave %llu",
	     free / MIB, full / MIB, wanted / MIB, (unsigned long long)shared->touched / MIB,
	     back / MIB);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	if (kills == UNCOUNTED)
		NOTE("this kernel does not count OOM kills: that nobody else was killed is not checked");
	else
		CHECK_EQ(oom_kills(), kills);
	CHECK(sysfs_number("stats/shrunk_bytes") > shrunk);
	CHECK(back >= full / 2);	/* what was free tells no more of what had to come back */

	/* The cache goes on, with what it has. */
	for (i = 0; i < 2; i++)
		hits[i] = atomic_get(&shared->hits[i]);
	for (i = 0; i < 2000 && (atomic_get(&shared->hits[0]) < hits[0] + 100 ||
				 atomic_get(&shared->hits[1]) < hits[1] + 100); i++)
		milliseconds_pass(10);
	atomic_put(&shared->stop, 1);
	for (i = 0; i < 3; i++)
		end_process(pids[i]);
	CHECK(shared->hits[0] >= hits[0] + 100);
	CHECK(shared->hits[1] >= hits[1] + 100);
	WORKS(OP(SET, "after", VALUE("wards")));
	HOLDS("after", "wards");
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
