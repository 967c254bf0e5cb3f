/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktap: a test program in one header.
 *
 *	#include "ktap.h"
 *
 *	KTAP_TEST(set_then_get_gives_the_value)
 *	{
 *		EXPECT_EQ(set("a", "1"), 0);		goes on
 *		ASSERT(get("a", buffer) == 0);		ends the test
 *		if (!have_io_uring())
 *			SKIP("no io_uring here");
 *	}
 *
 *	KTAP_MAIN
 *
 * Tests run in the order of the file and print KTAP. Arguments choose tests whose
 * names contain one of them; -l lists the names. A test that takes longer than
 * KTAP_SECONDS (environment, 60) or aborts fails, and the program ends there. Exit
 * status: 0 passed, 1 failed, 4 all skipped. C99, and constructors as gcc and clang
 * have them. Checks may be made by any thread.
 */
#ifndef KTAP_H
#define KTAP_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ktap_case {
	const char *name;
	void (*run)(void);
	struct ktap_case *next;
};

static struct ktap_case *ktap_first, **ktap_last = &ktap_first;
static struct ktap_case *ktap_now;
static int ktap_number;
static int ktap_failures;		/* of the test that runs; atomic */
static const char *ktap_skipped;
static jmp_buf ktap_end;

#define KTAP_TEST(test)								\
	static void test(void);							\
	__attribute__((constructor)) static void ktap_add_##test(void)		\
	{									\
		static struct ktap_case c = { #test, test, NULL };		\
										\
		*ktap_last = &c;						\
		ktap_last = &c.next;						\
	}									\
	static void test(void)

#define KTAP_MAIN								\
	int main(int argc, char **argv)						\
	{									\
		return ktap_main(argc, argv);					\
	}

__attribute__((format(printf, 3, 4), unused))
static int ktap_fail(const char *file, int line, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* The first few tell what there is to tell. */
	if (__atomic_add_fetch(&ktap_failures, 1, __ATOMIC_RELAXED) <= 20)
		printf("# %s:%d: %s\n", file, line, text);
	return 0;
}

/* All give whether the check held. Numbers are compared and shown as signed 64 bits. */
#define EXPECT(x) \
	((x) ? 1 : (ktap_fail(__FILE__, __LINE__, "expected: %s", #x), 0))
#define EXPECT_EQ(a, b) \
	ktap_expect_eq((long long)(a), (long long)(b), #a, #b, __FILE__, __LINE__)
#define EXPECT_MEM(a, b, len) \
	(!memcmp(a, b, len) ? 1 : \
	 (ktap_fail(__FILE__, __LINE__, "bytes differ: %s, %s", #a, #b), 0))
#define FAIL(...)	ktap_fail(__FILE__, __LINE__, __VA_ARGS__)

/* These end the test, and are for the thread that runs it. */
#define ASSERT(x)		do { if (!EXPECT(x)) longjmp(ktap_end, 1); } while (0)
#define ASSERT_EQ(a, b)		do { if (!EXPECT_EQ(a, b)) longjmp(ktap_end, 1); } while (0)
#define SKIP(why)		do { ktap_skipped = (why); longjmp(ktap_end, 1); } while (0)

__attribute__((unused))
static int ktap_expect_eq(long long a, long long b, const char *a_text, const char *b_text,
			  const char *file, int line)
{
	if (a == b)
		return 1;
	return ktap_fail(file, line, "%s is %lld, expected %s, which is %lld",
			 a_text, a, b_text, b);
}

static void ktap_die(int sig)
{
	char text[256];
	int len = snprintf(text, sizeof(text), "not ok %d - %s # %s\nBail out!\n", ktap_number,
			   ktap_now ? ktap_now->name : "-",
			   sig == SIGALRM ? "took too long" : "aborted");

	if (write(STDOUT_FILENO, text, len) < 0)
		_exit(1);
	signal(sig, SIG_DFL);
	if (sig == SIGALRM)
		_exit(1);
	raise(sig);
}

static int ktap_is_chosen(const struct ktap_case *c, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(c->name, argv[i]))
			return 1;
	return argc < 2;
}

/* Gives 'o' for ok, 'n' for not ok, 's' for skipped. */
static int ktap_run(struct ktap_case *c)
{
	const char *seconds = getenv("KTAP_SECONDS");

	ktap_now = c;
	ktap_number++;
	ktap_failures = 0;
	ktap_skipped = NULL;
	alarm(seconds ? atoi(seconds) : 60);
	if (!setjmp(ktap_end))
		c->run();
	alarm(0);
	printf("%sok %d - %s%s%s\n", ktap_failures ? "not " : "", ktap_number, c->name,
	       ktap_skipped ? " # SKIP " : "", ktap_skipped ? ktap_skipped : "");
	return ktap_failures ? 'n' : ktap_skipped ? 's' : 'o';
}

__attribute__((unused))
static int ktap_main(int argc, char **argv)
{
	int nr = 0, nr_failed = 0, nr_skipped = 0;
	struct ktap_case *c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "-l")) {
		for (c = ktap_first; c; c = c->next)
			puts(c->name);
		return 0;
	}
	signal(SIGABRT, ktap_die);
	signal(SIGALRM, ktap_die);
	for (c = ktap_first; c; c = c->next)
		nr += ktap_is_chosen(c, argc, argv);
	printf("TAP version 14\n1..%d\n", nr);
	for (c = ktap_first; c; c = c->next) {
		int result = ktap_is_chosen(c, argc, argv) ? ktap_run(c) : 'o';

		nr_failed += result == 'n';
		nr_skipped += result == 's';
	}
	if (nr_failed)
		return 1;
	return nr && nr_skipped == nr ? 4 : 0;
}

#endif /* KTAP_H */
