/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A program as a whole: which calls there are, how it runs, and how it reads.
 */
#ifndef SYSCALLS_PROGRAM_H
#define SYSCALLS_PROGRAM_H

static long call_fork(const uint8_t *b);

/* Corpora know calls by their place here: new ones come at the end. */
static const struct {
	const char *name;
	int weight;	/* how often a new call is this one */
	long (*run)(const uint8_t *b);
} calls[] = {
	{ "op", 30, call_op },
	{ "batch", 12, call_batch },
	{ "info", 2, call_info },
	{ "hints", 3, call_hints },
	{ "take_hints", 2, call_take_hints },
	{ "flush", 2, call_flush },
	{ "odd_ioctl", 2, call_odd_ioctl },
	{ "write", 12, call_write },
	{ "read", 8, call_read },
	{ "splice", 3, call_splice },
	{ "mmap", 8, call_mmap },
	{ "munmap", 2, call_munmap },
	{ "map_again", 2, call_map_again },
	{ "mremap", 2, call_mremap },
	{ "mprotect", 3, call_mprotect },
	{ "madvise", 4, call_madvise },
	{ "mlock", 2, call_mlock },
	{ "touch", 6, call_touch },
	{ "write_hints", 4, call_write_hints },
	{ "foreign_read", 1, call_foreign_read },
	{ "scribble", 4, call_scribble },
	{ "flip", 3, call_flip },
	{ "open", 4, call_open },
	{ "close", 4, call_close },
	{ "dup", 2, call_dup },
	{ "any_file", 4, call_any_file },
	{ "poll", 1, call_poll },
	{ "epoll", 2, call_epoll },
	{ "pass", 2, call_pass },
	{ "sysfs", 5, call_sysfs },
	{ "drop_caches", 1, call_drop_caches },
	{ "unload", 1, call_unload },
	{ "alarm", 1, call_alarm },
	{ "sleep", 3, call_sleep },
	{ "user", 1, call_user },
	{ "fork", 2, call_fork },
};

static const struct program *running;
static bool is_verbose;

static int call_nr(const uint8_t *b)
{
	return b[0] % NR(calls);
}

/* Half of all bytes mean the first thread: most calls follow one another. */
static int thread_nr(const uint8_t *b)
{
	return b[1] < 128 ? 0 : b[1] % NR_THREADS;
}

static void run_call(uint32_t nr)
{
	const uint8_t *b = running->call[nr];
	long result = calls[call_nr(b)].run(b);

	if (is_verbose)
		NOTE("%2u %d %-12s %s %ld %s", nr, this_thread, calls[call_nr(b)].name,
		     now.in_child ? "child" : "", result,
		     result < 0 && result > -200 ? ktap_errno(-result) : "");
}

/* A child does what comes next, as its parent does too. */
static long call_fork(const uint8_t *b)
{
	uint32_t at = (b - running->call[0]) / CALL_BYTES + 1, end = at + 1 + b[2] % 8;
	pid_t pid;
	int status;

	if (now.in_child || now.nr_children == NR_CHILDREN)
		return -EAGAIN;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		now.in_child = true;
		now.is_alone = false;
		this_thread = 0;
		for (; at < end && at < running->nr; at++)
			run_call(at);
		_exit(KTAP_PASS);
	}
	if (b[3] & 1 && this_thread == 0) {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status))
			_exit(KTAP_FAIL);
	} else {
		now.child[__sync_fetch_and_add(&now.nr_children, 1) % NR_CHILDREN] = pid;
	}
	return 0;
}

/* -------- threads -------- */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	unsigned int turn;	/* goes up by one for each program with threads */
	int nr_running;
} pool = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };

static void run_thread(void)
{
	uint32_t i;

	for (i = 0; i < running->nr; i++)
		if (thread_nr(running->call[i]) == this_thread)
			run_call(i);
}

static void *helper(void *nr)
{
	unsigned int turn = 0;

	this_thread = (intptr_t)nr;
	begin_coverage();
	for (;;) {
		pthread_mutex_lock(&pool.mutex);
		pool.nr_running--;
		pthread_cond_broadcast(&pool.cond);
		while (pool.turn == turn)
			pthread_cond_wait(&pool.cond, &pool.mutex);
		turn = pool.turn;
		pthread_mutex_unlock(&pool.mutex);

		run_thread();
		syscall(SYS_setresuid, -1, 0, -1);
	}
	return NULL;
}

static void wait_for_threads(void)
{
	pthread_mutex_lock(&pool.mutex);
	while (pool.nr_running)
		pthread_cond_wait(&pool.cond, &pool.mutex);
	pthread_mutex_unlock(&pool.mutex);
}

static void begin_threads(void)
{
	pthread_t thread;
	intptr_t i;

	begin_coverage();
	pool.nr_running = NR_THREADS - 1;
	for (i = 1; i < NR_THREADS; i++)
		if (pthread_create(&thread, NULL, helper, (void *)i))
			_exit(KTAP_FAIL);
	wait_for_threads();
}

/* Runs @program, from an empty cache at its limit at load if @is_reset. */
static void run_program(const struct program *program, bool is_reset)
{
	bool has_threads = false, has_children = false;
	uint32_t i;

	if (is_reset) {
		struct kcache_info info = { .size = sizeof(info) };
		char text[32];

		ioctl(cache, KCACHE_IOC_INFO, &info);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)cache_info.max_bytes);
		if (info.max_bytes != cache_info.max_bytes)	/* it waits for readers */
			write_file(SYSFS "limits/max_bytes", text);
		write_file(SYSFS "limits/min_bytes", "0");
		write_file(SYSFS "limits/promote_after", "1");
		ioctl(cache, KCACHE_IOC_FLUSH, 0);
	}
	for (i = 0; i < program->nr; i++) {
		has_threads |= thread_nr(program->call[i]) != 0;
		has_children |= calls[call_nr(program->call[i])].run == call_fork;
	}
	running = program;
	now.is_alone = !has_threads && !has_children;
	begin_state();
	reset_coverage();
	if (has_threads) {
		pthread_mutex_lock(&pool.mutex);
		pool.turn++;
		pool.nr_running = NR_THREADS - 1;
		pthread_cond_broadcast(&pool.cond);
		pthread_mutex_unlock(&pool.mutex);
	}
	run_thread();
	wait_for_threads();
	end_state();
}

/* -------- programs as files and as text -------- */

static bool load_program(const char *name, struct program *program)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, program->call, sizeof(program->call));

	close(fd);
	program->nr = len < 0 ? 0 : len / CALL_BYTES;
	return program->nr > 0;
}

static bool save_program(const char *name, const struct program *program)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t len = program->nr * CALL_BYTES;
	bool is_saved = fd >= 0 && write(fd, program->call, len) == len;

	close(fd);
	return is_saved;
}

static void print_program(const struct program *program)
{
	uint32_t i;
	int k;

	for (i = 0; i < program->nr; i++) {
		const uint8_t *b = program->call[i];
		char line[128];
		int len = snprintf(line, sizeof(line), "%2u thread %d %-12s", i, thread_nr(b),
				   calls[call_nr(b)].name);

		for (k = 2; k < CALL_BYTES; k++)
			len += snprintf(line + len, sizeof(line) - len, " %02x", b[k]);
		NOTE("%s", line);
	}
}

#endif /* SYSCALLS_PROGRAM_H */
