/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the calls of a program work on: descriptors, memory, mappings, and the
 * threads and children that work on them at the same time.
 *
 * All addresses lie in a window that nothing else of the process uses, so that a
 * program may unmap and protect what it likes there.
 */
#ifndef SYSCALLS_STATE_H
#define SYSCALLS_STATE_H

#define CALL_BYTES	16
#define CALLS_MAX	48

/* A program is a byte string: its calls, one behind the other, of 16 bytes each. */
struct program {
	uint32_t nr;
	uint8_t call[CALLS_MAX][CALL_BYTES];
};

#define NR_THREADS	4

#define KIB		1024UL
#define MIB		(1024 * KIB)
#define GIB		(1024 * MIB)

/*
 * The window: regions of 1 MiB with holes behind them, which programs pass to the
 * kernel and change while it reads them; scratch memory, where a thread makes the
 * structs that it passes, and which no program changes but by writing; and room
 * for each mapping of a descriptor.
 */
#define WINDOW		0x100000000000UL
#define NR_REGIONS	8
#define REGION_STRIDE	(2 * MIB)
#define REGION(nr)	((char *)WINDOW + (nr) * REGION_STRIDE)
#define REGION_SHORT	6	/* maps a file that has one page only */
#define REGION_NONE	7	/* no protection lets anyone in, at first */
#define REGIONS_END	((char *)WINDOW + NR_REGIONS * REGION_STRIDE)
#define SCRATCH(thread)	((char *)WINDOW + 64 * MIB + (thread) * 4 * MIB)
#define SCRATCH_BYTES	(2 * MIB)
#define NR_MAPS		8
#define MAP_ROOM	(16 * GIB)
#define MAP_AT(nr)	((char *)WINDOW + GIB * 1024 + (nr) * MAP_ROOM)

enum kind { NOTHING, DEVICE_FILE, HINTS_FILE, OTHER_FILE };

#define NR_FILES	16	/* the first four are the device, opened when first used */
#define NR_CHILDREN	4

static struct {
	struct {
		int fd;
		enum kind kind;
	} file[NR_FILES];
	struct {
		size_t len;
		enum kind kind;
	} map[NR_MAPS];
	int pipe[2], epoll;		/* -1: not yet */
	pid_t child[NR_CHILDREN];
	int nr_children;
	bool in_child;
	bool is_alone;			/* one thread, no children: results are to be relied on */
	bool layout_changed;		/* the regions are no longer as they were made */
	uint64_t version;		/* that some operation told */
} now;

static struct kcache_info cache_info;	/* as it was at load */

static __thread int this_thread;

/* -------- memory that may not be there -------- */

static __thread sigjmp_buf on_bad_memory;
static __thread volatile sig_atomic_t expects_bad_memory;

static void bad_memory(int nr)
{
	if (expects_bad_memory)
		siglongjmp(on_bad_memory, nr);
	signal(nr, SIG_DFL);	/* happens again, and ends the process */
}

static void on_alarm(int nr)
{
	(void)nr;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = bad_memory, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	action = (struct sigaction) { .sa_handler = on_alarm };
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGIO, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

/* Runs what follows with bad memory expected: 0, or the signal that ended it. */
#define TRY(...)							\
	({								\
		int signal_ = sigsetjmp(on_bad_memory, 0);		\
									\
		if (!signal_) {						\
			expects_bad_memory = 1;				\
			__VA_ARGS__;					\
		}							\
		expects_bad_memory = 0;					\
		signal_;						\
	})

/* Makes sure that @bytes are at @at, if they can be. */
static void *put(void *at, const void *bytes, size_t len)
{
	if (at != bytes)
		TRY(memcpy(at, bytes, len));
	return at;
}

/* -------- the regions -------- */

static void make_regions(void)
{
	static int file = -1;
	int i;

	if (file < 0) {
		file = MUST(memfd_create("short", MFD_CLOEXEC));
		MUST(ftruncate(file, PAGE));
	}
	munmap((void *)WINDOW, REGIONS_END - (char *)WINDOW);
	for (i = 0; i < NR_REGIONS; i++) {
		bool is_short = i == REGION_SHORT;

		MUST(mmap(REGION(i), MIB, i == REGION_NONE ? PROT_NONE : PROT_READ | PROT_WRITE,
			  MAP_FIXED | MAP_NORESERVE | MAP_PRIVATE | (is_short ? 0 : MAP_ANONYMOUS),
			  is_short ? file : -1, 0));
	}
	now.layout_changed = false;
}

static void make_scratch(void)
{
	int i;

	for (i = 0; i < NR_THREADS; i++)
		MUST(mmap(SCRATCH(i), SCRATCH_BYTES, PROT_READ | PROT_WRITE,
			  MAP_FIXED | MAP_NORESERVE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* -------- the beginning and the end of a program -------- */

static int first_fd;	/* descriptors from here on are the program's */

static void begin_state(void)
{
	int i;

	for (i = 0; i < NR_FILES; i++) {
		now.file[i].fd = -1;
		now.file[i].kind = NOTHING;
	}
	memset(now.map, 0, sizeof(now.map));
	now.pipe[0] = -1;
	now.pipe[1] = -1;
	now.epoll = -1;
	now.nr_children = 0;
	if (now.layout_changed)
		make_regions();
	else
		madvise((void *)WINDOW, REGIONS_END - (char *)WINDOW, MADV_DONTNEED);
}

/* Leaves nothing of a program behind but what it did to the cache. */
static void end_state(void)
{
	struct itimerval never = { 0 };
	int i, status;

	setitimer(ITIMER_REAL, &never, NULL);
	for (i = 0; i < now.nr_children; i++) {
		kill(now.child[i], SIGKILL);
		while (waitpid(now.child[i], &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status))
			_exit(KTAP_FAIL);	/* it has said why */
	}
	munmap(MAP_AT(0), NR_MAPS * MAP_ROOM);
	syscall(SYS_close_range, first_fd, ~0U, 0);
	syscall(SYS_setresuid, -1, 0, -1);
}

/* Everything that is to stay open is open. */
static void begin_worker(void)
{
	catch_signals();
	make_scratch();
	make_regions();
	cache_info.size = sizeof(cache_info);
	MUST(ioctl(cache, KCACHE_IOC_INFO, &cache_info));
	first_fd = MUST(dup(cache));
	close(first_fd);
}

#endif /* SYSCALLS_STATE_H */
