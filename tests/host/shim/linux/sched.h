/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_SCHED_H
#define SHIM_LINUX_SCHED_H

#include <linux/types.h>

#define current		shim_self()

void cond_resched(void);

#endif /* SHIM_LINUX_SCHED_H */
