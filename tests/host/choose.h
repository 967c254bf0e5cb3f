/* SPDX-License-Identifier: GPL-2.0 */
/*
 * choose: what a test leaves open, decided by chance or by bytes that a fuzzer made.
 *
 * Of bytes, a choice takes as few as can tell its alternatives apart, and once they
 * are used up, each is 0: so an input that is cut short, or has a byte changed, is
 * still a test much like the one before.
 */
#ifndef CHOOSE_H
#define CHOOSE_H

#include <linux/types.h>

/* Where this thread's choices come from, from now on; NULL: shim_random(). */
void choose_from(const void *bytes, size_t len);
/* Bytes that are left. */
size_t choose_left(void);
/* Have there been bytes, and are they used up? */
bool choose_is_over(void);

/* One of 0 to @n - 1. */
u64 choose(u64 n);
/* All 64 bits. */
u64 choose_any(void);
/* Up to @len of the bytes as they are; zeros behind their end. */
void choose_bytes(void *to, size_t len);

#endif /* CHOOSE_H */
