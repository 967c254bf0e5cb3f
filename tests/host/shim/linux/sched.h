/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_SCHED_H
#define SHIM_LINUX_SCHED_H

#include <linux/types.h>

#define current		shim_self()

void cond_resched(void);

int shim_run_work(void);

/* Work that was queued gets its turn, and no time passes. */
#define schedule_timeout_uninterruptible(timeout)	((void)(timeout), (void)shim_run_work())

#endif /* SHIM_LINUX_SCHED_H */
