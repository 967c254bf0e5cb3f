// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzzer of all system calls that concern /dev/kcache, run in a guest:
 *
 *	syscalls [--replay DIRECTORY]	runs the corpus, and says so in KTAP
 *	syscalls --fuzz SECONDS [--seed N] [--workers N] [--out DIRECTORY] [DIRECTORY]
 *	syscalls --run FILE		runs one program, and says what each call did
 *	syscalls --print FILE		says what calls it has
 *
 * A program is a sequence of calls, each of 16 bytes (syscalls_program.h). Programs
 * run in several worker processes, which all work on the one cache, and within
 * them in up to four threads and some children. One that went through code in
 * an order that is new, does so again and again, and does not without any of its
 * calls, joins the corpus; others are made from those.
 *
 * Found is: what the kernel complains of, a call that does what none may do, a
 * worker that dies or does not come to an end, a module that does not go after
 * all have ended, and a cache that then does not add up. The programs that ran last are
 * left in DIRECTORY/findings.
 *
 * A seed says which programs are tried, as long as one worker does it alone:
 * otherwise what one has found depends on the others.
 */
#define KTAP_DEVICE
#include "../e2e/ktap.h"

#include <dirent.h>
#include <linux/kcov.h>
#include <linux/kcache_map.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "syscalls_state.h"
#include "syscalls_arguments.h"
#include "syscalls_calls.h"
#include "syscalls_memory.h"
#include "syscalls_files.h"
#include "syscalls_coverage.h"
#include "syscalls_program.h"
#include "syscalls_mutate.h"
#include "syscalls_watch.h"

#ifndef CORPUS
#define CORPUS "tests/fuzz/corpus/syscalls"
#endif

static const char *corpus_dir = CORPUS;

/* -------- the corpus on disk -------- */

static int is_program(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static uint32_t load_corpus(const char *dir)
{
	struct dirent **entries;
	int nr = scandir(dir, &entries, is_program, alphasort), i;
	char name[PATH_MAX];
	struct program program;

	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "%s/%s", dir, entries[i]->d_name);
		if (load_program(name, &program))
			add_to_corpus(&program);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
	return corpus->nr;
}

static void make_corpus(void)
{
	corpus = shared_memory(sizeof(*corpus));
	workers = shared_memory(sizeof(*workers));
}

/* -------- workers -------- */

static void set_up(void)
{
	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	find_module();
	begin_threads();
	begin_worker();
	cache_info.max_bytes = number_of("/sys/module/kcache/parameters/max_bytes", 10);
}

static void run_noted(struct worker *worker, const struct program *program, bool is_reset)
{
	worker->last[worker->nr_run % LAST_MAX] = *program;
	worker->nr_run++;
	__atomic_store_n(&worker->began_ms, now_ms(), __ATOMIC_RELEASE);
	run_program(program, is_reset);
	__atomic_store_n(&worker->began_ms, 0, __ATOMIC_RELEASE);
}

/*
 * Is what was new in the last run of @program due to it, and not to what others did?
 * Then takes out the calls that are not needed for it, and keeps it.
 */
static void look_closer(struct worker *worker, struct program *program)
{
	struct program shorter;
	uint32_t i;

	for (i = 0; i < 2 && fresh.nr; i++) {
		run_noted(worker, program, true);
		meet_again(true);
	}
	if (!fresh.nr)
		return;
	for (i = program->nr; i-- > 0 && program->nr > 1;) {
		shorter = *program;
		delete_calls(&shorter, i, 1);
		run_noted(worker, &shorter, true);
		if (meet_again(false) == fresh.nr)
			*program = shorter;
	}
	know_fresh();
	add_to_corpus(program);
}

/* What the corpus does is no news. */
static void know_corpus(int nr)
{
	uint32_t i;

	set_up();
	for (i = 0; i < corpus->nr; i++) {
		run_noted(&workers->worker[nr], &corpus->program[i], true);
		find_fresh();
		know_fresh();
	}
}

static void fuzz(int nr)
{
	struct worker *worker = &workers->worker[nr];
	struct program program;

	set_up();
	while (!workers->stop) {
		next_program(&program);
		run_noted(worker, &program, random_below(8) == 0);
		if (find_fresh())
			look_closer(worker, &program);
	}
}

/* Keeps, in their order, the programs that do what those before them do not. */
static void minimise(int nr)
{
	struct worker *worker = &workers->worker[nr];
	char name[PATH_MAX];
	uint32_t i, k, kept = 0;

	set_up();
	memset(coverage->edge, 0, sizeof(coverage->edge));
	for (i = 0; i < corpus->nr && i < CORPUS_MAX; i++) {
		struct program *program = &corpus->program[i];

		if (!corpus->is_there[i])
			continue;
		run_noted(worker, program, true);
		for (k = 0; k < 2 && (k || find_fresh()) && fresh.nr; k++) {
			run_noted(worker, program, true);
			meet_again(true);
		}
		if (!fresh.nr)
			continue;
		know_fresh();
		snprintf(name, sizeof(name), "%s/corpus/%016llx", workers->out, hash_of(program));
		if (!save_program(name, program))
			FOUND("%s: %s", name, ktap_errno(errno));
		kept++;
	}
	NOTE("%u of %u programs are kept", kept, corpus->nr);
}

/* -------- fuzzing -------- */

/*
 * What was reached, for tests/fuzz/guest: where in which section of the module is the
 * address that its relocation filled in. A PC is that of the next instruction.
 */
static void save_coverage(void)
{
	static const char *const sections[] = { ".exit.text", ".text.unlikely", ".text" };
	uint64_t base[NR(sections)];
	char name[PATH_MAX];
	uint32_t i, k;
	FILE *file;

	for (k = 0; k < NR(sections); k++) {
		snprintf(name, sizeof(name), "/sys/module/kcache/sections/%s", sections[k]);
		base[k] = number_of(name, 16);
	}

	snprintf(name, sizeof(name), "%s/pcs", workers->out);
	file = fopen(name, "w");
	for (i = 0; file && i < TEXT_BYTES; i++) {
		/* In the last section that begins before it. */
		uint32_t in = NR(sections) - 1;

		if (!coverage->pc[i])
			continue;
		for (k = 0; k < NR(sections); k++)
			if (base[k] <= text_base + i && base[k] > base[in])
				in = k;
		fprintf(file, "%s %016llx\n", sections[in],
			(unsigned long long)(text_base + i - base[in] - 4));
	}
	if (file)
		fclose(file);
}

static bool has_kcov(void)
{
	return !access("/sys/kernel/debug/kcov", R_OK | W_OK);
}

static int fuzz_main(int seconds, int nr_workers, const char *dir)
{
	uint64_t began = now_ms(), end = began + seconds * 1000ULL;
	bool is_well;
	char name[PATH_MAX];

	MUST(dup2(STDERR_FILENO, STDOUT_FILENO));
	coverage = has_kcov() ? shared_memory(sizeof(*coverage)) : NULL;
	load_corpus(dir);
	snprintf(name, sizeof(name), "%s/corpus", workers->out);
	mkdir(workers->out, 0755);
	mkdir(name, 0755);
	NOTE("KTAP_SEED=%llu, %d workers, %u programs to begin with%s",
	     (unsigned long long)ktap_seed, nr_workers, corpus->nr,
	     coverage ? "" : ", no KCOV: none will be found");
	watch_log();
	is_well = !coverage || run_round(know_corpus, 1, UINT64_MAX / 2, UINT64_MAX / 2);
	while (is_well && now_ms() < end) {
		is_well = run_round(fuzz, nr_workers, 20000, end) && module_goes_and_comes();
		NOTE("%llu s: %llu programs run, %u in the corpus, %u PCs, %u edges",
		     (unsigned long long)(now_ms() - began) / 1000, nr_run(), corpus->nr,
		     coverage ? nr_known_pcs() : 0, coverage ? nr_known_edges() : 0);
	}
	if (coverage) {
		save_coverage();
		if (is_well)
			is_well = run_round(minimise, 1, UINT64_MAX / 2, UINT64_MAX / 2) &&
				module_goes_and_comes();
	}
	NOTE("%s", is_well ? "nothing was found" : "something was found");
	return is_well ? KTAP_PASS : KTAP_FAIL;
}

/* -------- replaying -------- */

/* The programs of the corpus, each from an empty cache if @stride is 1. */
static void replay_every(int first, uint32_t stride)
{
	uint32_t i;

	set_up();
	for (i = first % stride; i < corpus->nr; i += stride) {
		snprintf(ktap_case, sizeof(ktap_case), "%016llx", hash_of(&corpus->program[i]));
		run_noted(&workers->worker[first], &corpus->program[i], stride == 1);
	}
}

static void replay_alone(int nr)
{
	replay_every(nr, 1);
}

static void replay_quarter(int nr)
{
	replay_every(nr, 4);
}

static void replay(void (*body)(int nr), int nr_workers)
{
	CHECK(corpus->nr > 0);
	watch_log();
	if (!run_round(body, nr_workers, UINT64_MAX / 2, UINT64_MAX / 2))
		_exit(KTAP_FAIL);
	NOTE("%u programs", corpus->nr);
	CHECK(cache_adds_up());
}

TEST(programs_of_the_corpus_run_one_by_one)
{
	replay(replay_alone, 1);
}

TEST(programs_of_the_corpus_run_four_at_a_time)
{
	replay(replay_quarter, 4);
}

TEST(nothing_keeps_the_module_when_they_have_ended)
{
	CHECK(module_is_unused());
}

static void run_one(int nr)
{
	set_up();
	is_verbose = true;
	run_noted(&workers->worker[nr], &corpus->program[0], true);
}

int main(int argc, char **argv)
{
	int seconds = 0, nr_workers = 3, i;
	const char *run_file = NULL, *seed = getenv("KTAP_SEED");
	char *no_arguments[] = { argv[0], NULL };

	make_corpus();
	ktap_seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	snprintf(workers->out, sizeof(workers->out), "/tmp/syscalls");
	for (i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--fuzz"))
			seconds = atoi(value);
		else if (!strcmp(argv[i], "--seed"))
			ktap_seed = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i], "--workers"))
			nr_workers = atoi(value);
		else if (!strcmp(argv[i], "--out"))
			snprintf(workers->out, sizeof(workers->out), "%s", value);
		else if (!strcmp(argv[i], "--replay"))
			corpus_dir = value;
		else if (!strcmp(argv[i], "--run") || !strcmp(argv[i], "--print"))
			run_file = value;
		else
			break;
		i++;
	}
	if (i < argc - 1 || nr_workers < 1 || nr_workers > WORKERS_MAX || !ktap_seed) {
		fprintf(stderr, "syscalls: wrong usage, see the top of syscalls.c\n");
		return 2;
	}
	if (i == argc - 1)
		corpus_dir = argv[i];

	if (run_file) {
		if (!load_program(run_file, &corpus->program[0])) {
			fprintf(stderr, "%s: no program\n", run_file);
			return 2;
		}
		print_program(&corpus->program[0]);
		if (!strcmp(argv[1], "--print"))
			return 0;
		watch_log();
		return run_round(run_one, 1, UINT64_MAX / 2, UINT64_MAX / 2) ? KTAP_PASS : KTAP_FAIL;
	}
	if (access(DEVICE, R_OK | W_OK)) {
		printf("1..0 # SKIP %s: %s\n", DEVICE, strerror(errno));
		return KTAP_SKIP;
	}
	if (seconds)
		return fuzz_main(seconds, nr_workers, corpus_dir);
	load_corpus(corpus_dir);
	return ktap_main(1, no_arguments, NULL);
}
