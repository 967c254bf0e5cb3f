/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_CAPABILITY_H
#define SHIM_LINUX_CAPABILITY_H

#include <linux/fs.h>
#include <linux/sched.h>

#define CAP_SYS_ADMIN	21

/* See shim_user_is(). */
#define current_fsuid()	((kuid_t) { current->fsuid })
#define capable(what)	((void)(what), current->is_capable)
#define uid_eq(a, b)	((a).val == (b).val)

#endif /* SHIM_LINUX_CAPABILITY_H */
