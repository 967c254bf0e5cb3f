/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shim: what a test tells the simulated kernel to do. Tests include this; the
 * core sees only linux/.
 */
#ifndef SHIM_H
#define SHIM_H

#include <linux/types.h>

/* -------- repeatability -------- */

/* For get_random_bytes() and all other chance. */
void shim_seed(u64 seed);

/* A number by chance, for tests; each thread has its own sequence. */
u64 shim_random(void);
void shim_random_seed(u64 seed);	/* of this thread's sequence */

/* Pauses and migrations by chance at atomics, locks and barriers. */
void shim_perturb_set(bool is_on);

/* -------- CPUs, signals, time -------- */

void shim_set_cpu(int cpu);		/* where this thread runs from now on */
void shim_be_busy(bool busy);		/* !single_task_running() */
void shim_kill(bool is_killed);		/* fatal_signal_pending() of this thread */
void shim_user_is(u32 fsuid, bool is_capable);

void shim_clock_set_ms(u64 ms);
void shim_clock_advance_ms(u64 ms);
u64 shim_clock_ms(void);

/* Runs the delayed work whose time has come. Returns how many ran. */
int shim_run_work(void);

/* -------- memory -------- */

/* Lets @how_many allocations of any thread fail, beginning with the @nth from now, 1: next. */
void shim_fail_allocs(u64 nth, u64 how_many);
/* Has one failed since? Also ends it. */
bool shim_fail_end(void);
/* Lets one of @n allocations of all threads fail by chance, 0: none. */
void shim_fail_one_of(u32 n);

/* Bytes that the core has allocated and not freed, pages and all. */
u64 shim_bytes_in_use(void);
/* Of these, pages. */
u64 shim_page_bytes_in_use(void);
/* Was it ever handed out by alloc_pages_exact()? */
bool shim_is_page(const void *p);

/* -------- user memory -------- */

enum shim_mark {
	SHIM_ABSENT,	/* not in memory until a fault brings it in */
	SHIM_FLEETING,	/* can be brought in, and is gone again at once */
	SHIM_UNMAPPED,	/* never there */
};

/* Marks bytes of user memory, as this thread sees them, in addition to others. */
void shim_user_mark(const void *p, size_t len, enum shim_mark mark);
void shim_user_clear(void);
/*
 * Of all memory, only these @len bytes are this thread's user's; what is outside is not
 * mapped, and access_ok() is true below @p + @len and no further. NULL: all is.
 */
void shim_user_bound(const void *p, size_t len);
/* How often an access of this thread met a mark. */
u64 shim_user_faults(void);

/* -------- interleavings by hand -------- */

typedef void (*shim_hook_t)(void *arg);

/*
 * Lets another thread run @hook when this one comes to @point for the @nth time
 * from now (1: next), and waits for its end. Once; other points stay as they are.
 */
void shim_hook(enum shim_point point, u64 nth, shim_hook_t hook, void *arg);
/* The same each time. */
void shim_hook_always(enum shim_point point, shim_hook_t hook, void *arg);
void shim_unhook(void);		/* from all points */
/* How often the last hook of @point was called. */
u64 shim_hook_calls(enum shim_point point);

#endif /* SHIM_H */
