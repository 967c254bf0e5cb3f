/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_SCHED_STAT_H
#define SHIM_LINUX_SCHED_STAT_H

#include <linux/types.h>

bool single_task_running(void);

#endif /* SHIM_LINUX_SCHED_STAT_H */
