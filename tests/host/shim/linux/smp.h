/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_SMP_H
#define SHIM_LINUX_SMP_H

#include <linux/cpumask.h>
#include <linux/spinlock.h>

int raw_smp_processor_id(void);		/* see shim_set_cpu() */

#endif /* SHIM_LINUX_SMP_H */
