/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_SCHED_SIGNAL_H
#define SHIM_LINUX_SCHED_SIGNAL_H

#include <linux/sched.h>

#define ERESTARTSYS	512

bool fatal_signal_pending(struct shim_thread *thread);	/* see shim_kill() */
/* There are no others. */
#define signal_pending(thread)	fatal_signal_pending(thread)

#endif /* SHIM_LINUX_SCHED_SIGNAL_H */
