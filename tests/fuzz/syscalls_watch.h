/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Watches workers, the kernel's log and the module, and tells what it saw.
 */
#ifndef SYSCALLS_WATCH_H
#define SYSCALLS_WATCH_H

#define WORKERS_MAX	16
#define LAST_MAX	4

/* No program takes as long: all that it waits for is over in milliseconds. */
#define HANG_MS		180000

struct worker {
	uint64_t began_ms;	/* when the program began that it is at; 0: at none */
	uint64_t nr_run;
	struct program last[LAST_MAX];
};

static struct {
	volatile bool stop;
	char out[PATH_MAX - 64];
	struct worker worker[WORKERS_MAX];
} *workers;	/* shared memory */

static int kernel_log = -1;

static uint64_t now_ms(void)
{
	struct timespec now_;

	clock_gettime(CLOCK_MONOTONIC, &now_);
	return now_.tv_sec * 1000ULL + now_.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
	struct timespec time_ = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time_, NULL);
}

static unsigned long long nr_run(void)
{
	unsigned long long sum = 0;
	int i;

	for (i = 0; i < WORKERS_MAX; i++)
		sum += workers->worker[i].nr_run;
	return sum;
}

static unsigned long long number_of(const char *name, int base)
{
	char text[32] = "";
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	close(fd);
	return len > 0 ? strtoull(text, NULL, base) : 0;
}

static unsigned long long hash_of(const struct program *program)
{
	const uint8_t *byte = program->call[0], *end = byte + program->nr * CALL_BYTES;
	unsigned long long hash = 0xcbf29ce484222325ULL;

	while (byte < end)
		hash = (hash ^ *byte++) * 0x100000001b3ULL;
	return hash;
}

/* -------- the kernel's log -------- */

/* What comes from now on counts. */
static void watch_log(void)
{
	kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kernel_log >= 0)
		lseek(kernel_log, 0, SEEK_END);
}

/* tests/vm/run knows more of them, and has the last word. */
static bool is_complaint(const char *line)
{
	static const char *const words[] = {
		"BUG:", "WARNING:", "Oops", "general protection fault", "UBSAN", "ODEBUG",
		"possible circular", "inconsistent lock", "suspicious RCU", "blocked for more than",
	};
	size_t i;

	if (strstr(line, "KCSAN") && !strstr(line, "kc_") && !strstr(line, "kcache"))
		return false;
	for (i = 0; i < NR(words); i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

static bool kernel_complains(void)
{
	char line[8192];
	ssize_t len;

	for (;;) {
		len = read(kernel_log, line, sizeof(line) - 1);
		if (len < 0 && errno == EPIPE)
			continue;	/* lines were lost */
		if (len <= 0)
			return false;
		line[len] = '\0';
		if (is_complaint(line)) {
			NOTE("the kernel complains: %s", line);
			return true;
		}
	}
}

/* -------- workers -------- */

static void print_stack(int pid, const char *task)
{
	char name[PATH_MAX], text[600];
	int fd;
	ssize_t len;

	snprintf(name, sizeof(name), "/proc/%d/task/%s/stack", pid, task);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len > 0) {
		text[len] = '\0';
		NOTE("%s: %s", name, text);
	}
}

static void print_stacks(int pid)
{
	char name[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	dir = opendir(name);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			print_stack(pid, entry->d_name);
	if (dir)
		closedir(dir);
}

/* The suspects: what all workers were at, and what they did before. */
static void save_last(int nr_workers)
{
	char name[PATH_MAX];
	int i, k;

	snprintf(name, sizeof(name), "%s/findings", workers->out);
	mkdir(workers->out, 0755);
	mkdir(name, 0755);
	for (i = 0; i < nr_workers; i++) {
		struct worker *worker = &workers->worker[i];

		for (k = 1; k <= LAST_MAX && (uint64_t)k <= worker->nr_run; k++) {
			struct program *program = &worker->last[(worker->nr_run - k) % LAST_MAX];

			snprintf(name, sizeof(name), "%s/findings/%d-%d-%016llx", workers->out, i, k,
				 hash_of(program));
			save_program(name, program);
			if (k == 1) {
				NOTE("worker %d, %s:", i, worker->began_ms ? "is at" : "was at");
				print_program(program);
			}
		}
	}
}

/* Has worker @nr ended? True also if something is wrong with it, which is in @is_well. */
static bool has_ended(int nr, pid_t pid, bool *is_well)
{
	uint64_t began = __atomic_load_n(&workers->worker[nr].began_ms, __ATOMIC_ACQUIRE);
	int status;

	if (waitpid(pid, &status, WNOHANG) == pid) {
		if (WIFSIGNALED(status))
			NOTE("worker %d: %s", nr, strsignal(WTERMSIG(status)));
		if (status)
			*is_well = false;
		return true;
	}
	if (!began || now_ms() < began + HANG_MS)
		return false;
	NOTE("worker %d does not come to an end", nr);
	print_stacks(pid);
	*is_well = false;
	return true;
}

/*
 * Runs @body in workers until @round_ms are over, or @end is; the first of them, if
 * it is not told to stop, until it returns. False if something was found.
 */
static bool run_round(void (*body)(int nr), int nr_workers, uint64_t round_ms, uint64_t end)
{
	pid_t pid[WORKERS_MAX];
	uint64_t began = now_ms();
	int left = nr_workers, i;
	bool is_well = true;

	workers->stop = false;
	for (i = 0; i < nr_workers; i++) {
		workers->worker[i].began_ms = 0;
		random_number();	/* each has its own, in each round */
		pid[i] = start_process(body, i + 1);
	}
	while (left && is_well) {
		sleep_ms(50);
		if (now_ms() - began > round_ms || now_ms() > end)
			workers->stop = true;
		if (kernel_complains())
			is_well = false;
		for (i = 0; i < nr_workers && is_well; i++)
			if (pid[i] && has_ended(i, pid[i], &is_well)) {
				pid[i] = 0;
				left--;
			}
	}
	if (is_well)
		return true;
	sleep_ms(300);		/* the rest of the complaint */
	for (i = 0; i < nr_workers; i++)
		if (pid[i])
			kill(pid[i], SIGKILL);
	save_last(nr_workers);
	return false;
}

/* -------- the module -------- */

/* Of nobody's use, an empty cache is empty, and has not taken more than it may. */
static bool cache_adds_up(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	unsigned long long max, entries, live, allocated;

	if (fd < 0 || ioctl(fd, KCACHE_IOC_FLUSH, 0)) {
		NOTE("flush: %s", ktap_errno(errno));
		return false;
	}
	close(fd);
	max = number_of(SYSFS "limits/max_bytes", 10);
	entries = number_of(SYSFS "stats/entries", 10);
	live = number_of(SYSFS "stats/bytes_live", 10);
	allocated = number_of(SYSFS "stats/bytes_allocated", 10);
	if (!entries && !live && allocated && allocated <= max)
		return true;
	NOTE("after a flush: %llu entries, %llu bytes live, %llu allocated of %llu", entries, live,
	     allocated, max);
	return false;
}

/* What was passed through sockets that are gone goes a little later. */
static bool module_is_unused(void)
{
	int tries;

	for (tries = 0; tries < 600; tries++) {
		if (!number_of("/sys/module/kcache/refcnt", 10))
			return true;
		sleep_ms(100);
	}
	NOTE("the module is still in use");
	return false;
}

/* What a thread that is no worker goes through is no guide, but was reached. */
static void mark_reached(uint32_t edge, uint32_t pc)
{
	(void)edge;
	coverage->pc[pc] = 1;
}

static void find_module(void)
{
	text_base = number_of("/sys/module/kcache/sections/.text", 16);
}

/* Unloads the module and loads it again with another limit. */
static bool module_goes_and_comes(void)
{
	static const char *const limits[] = { "1M", "2M", "2M", "4M", "8M" };
	int fd = open("/run/vm/job/kcache.ko", O_RDONLY | O_CLOEXEC), tries;
	char parameters[64];
	bool is_well = false;

	if (!cache_adds_up() || !module_is_unused())
		return false;
	if (fd < 0)
		return true;
	snprintf(parameters, sizeof(parameters), "max_bytes=%s", PICK(limits, random_below(100)));
	if (!trace[0])
		begin_coverage();
	find_module();
	reset_coverage();
	if (syscall(SYS_delete_module, "kcache", O_NONBLOCK))
		NOTE("unloading: %s", ktap_errno(errno));
	else if (for_each_edge(mark_reached), reset_coverage(),
		 syscall(SYS_finit_module, fd, parameters, 0))
		NOTE("loading with %s: %s", parameters, ktap_errno(errno));
	else
		is_well = true;
	for (tries = 0; is_well && access(DEVICE, R_OK | W_OK) && tries < 600; tries++)
		sleep_ms(100);
	find_module();
	for_each_edge(mark_reached);
	close(fd);
	return is_well && !kernel_complains();
}

#endif /* SYSCALLS_WATCH_H */
