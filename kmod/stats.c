// SPDX-License-Identifier: GPL-2.0
#include <linux/cpumask.h>

#include "stats.h"

/**
 * kc_stats_sum() - read one counter
 * @stats: counters of one cache
 * @which: the counter
 *
 * Context: Any. Concurrent counting may or may not be included.
 * Return: the sum over all CPUs.
 */
u64 kc_stats_sum(struct kc_stats __percpu *stats, enum kc_counter which)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(stats, cpu)->count[which]);
	return sum;
}
