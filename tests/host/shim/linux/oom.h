/* SPDX-License-Identifier: GPL-2.0 */
/* Nobody is killed: a test calls the notifier itself. */
#ifndef SHIM_LINUX_OOM_H
#define SHIM_LINUX_OOM_H

#include <linux/notifier.h>

#define register_oom_notifier(block)	((void)(block))
#define unregister_oom_notifier(block)	((void)(block))

#endif /* SHIM_LINUX_OOM_H */
