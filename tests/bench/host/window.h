/* SPDX-License-Identifier: GPL-2.0 */
/*
 * window: the core's arena as a mapping of the device would show it, in this
 * process: the same pages once more, read-only, at the offsets of the contract.
 */
#ifndef BENCH_WINDOW_H
#define BENCH_WINDOW_H

#include <stdint.h>

/* Before core_start(). */
void window_prepare(void);

/* After it. Where the window is; it follows the arena from then on. */
const void *window_open(void);
void window_close(void);

/* The page that readers tell their use in, and the call that takes note of it. */
void *window_hints(void);
void window_take_hints(void);

#endif /* BENCH_WINDOW_H */
