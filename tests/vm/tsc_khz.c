// SPDX-License-Identifier: GPL-2.0
/* Prints the rate of the time stamp counter in kHz, by the clock that does not jump. */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	double from_ms = now_ms();
	unsigned long long from = __rdtsc();

	nanosleep(&pause, NULL);
	printf("%.0f\n", (__rdtsc() - from) / (now_ms() - from_ms));
	return 0;
}
