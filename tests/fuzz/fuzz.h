/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fuzz: what the targets share.
 *
 * A target is a function from bytes to nothing. It makes all that it needs and takes it
 * away again, so that the same bytes always do the same; what is wrong ends in abort().
 * Besides libFuzzer, replay.c calls it.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Tells what does not hold, and numbers to go with it. */
#define DEMAND(x, ...)								\
	do {									\
		if (!(x)) {							\
			fflush(stdout);						\
			fprintf(stderr, "%s:%d: not so: %s", __FILE__, __LINE__, #x); \
			fprintf(stderr, "" __VA_ARGS__);			\
			fprintf(stderr, "\n");					\
			abort();						\
		}								\
	} while (0)

#endif /* FUZZ_H */
