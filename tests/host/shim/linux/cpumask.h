/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_CPUMASK_H
#define SHIM_LINUX_CPUMASK_H

#include <linux/types.h>

#define SHIM_CPUS_MAX	16

extern unsigned int nr_cpu_ids;		/* a test may set it while there is no cache */

#define num_possible_cpus()		nr_cpu_ids
#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < (int)nr_cpu_ids; (cpu)++)

#endif /* SHIM_LINUX_CPUMASK_H */
