/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Several threads may be on one simulated CPU at the same time, so this_cpu
 * operations are atomic. A CPU's instance is a fixed distance from the one of
 * the CPU before.
 */
#ifndef SHIM_LINUX_PERCPU_H
#define SHIM_LINUX_PERCPU_H

#include <linux/cpumask.h>
#include <linux/smp.h>
#include <linux/types.h>

#define SHIM_PERCPU_STRIDE	512

void *shim_alloc_percpu(size_t size);
void free_percpu(void *p);

#define alloc_percpu(type)	((type *)shim_alloc_percpu(sizeof(type)))
#define per_cpu_ptr(p, cpu)	((typeof(p))((char *)(p) + (cpu) * SHIM_PERCPU_STRIDE))
#define this_cpu_ptr(p)		per_cpu_ptr(p, raw_smp_processor_id())

#define this_cpu_add_return(var, n) \
	__atomic_add_fetch(this_cpu_ptr(&(var)), n, __ATOMIC_RELAXED)
#define this_cpu_add(var, n)	((void)this_cpu_add_return(var, n))
#define this_cpu_inc(var)	this_cpu_add(var, 1)

#endif /* SHIM_LINUX_PERCPU_H */
