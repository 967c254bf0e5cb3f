/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included first into what is built to be measured: a process that ends by _exit(), as
 * each test of tests/e2e does, or by a signal that it raises, says before what it ran.
 */
#ifndef COVERAGE_EXIT_H
#define COVERAGE_EXIT_H

#include <signal.h>
#include <unistd.h>

void __gcov_dump(void);

__attribute__((noreturn, unused)) static inline void coverage_exit(int status)
{
	__gcov_dump();
	_exit(status);
}

__attribute__((unused)) static inline int coverage_raise(int number)
{
	__gcov_dump();
	return raise(number);
}

#define _exit	coverage_exit
#define raise	coverage_raise

#endif /* COVERAGE_EXIT_H */
