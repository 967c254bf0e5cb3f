/* SPDX-License-Identifier: GPL-2.0 */
/* As the kernel's: read() is off by up to a batch per CPU, sum() is not. */
#ifndef SHIM_LINUX_PERCPU_COUNTER_H
#define SHIM_LINUX_PERCPU_COUNTER_H

#include <linux/percpu.h>
#include <linux/spinlock.h>

struct percpu_counter {
	spinlock_t lock;
	s64 count;		/* written under lock */
	s64 *local;		/* one per CPU, atomic */
};

int percpu_counter_init(struct percpu_counter *counter, s64 amount, gfp_t gfp);
void percpu_counter_destroy(struct percpu_counter *counter);
void percpu_counter_add(struct percpu_counter *counter, s64 amount);
s64 percpu_counter_sum(struct percpu_counter *counter);

static inline void percpu_counter_inc(struct percpu_counter *counter)
{
	percpu_counter_add(counter, 1);
}

static inline void percpu_counter_dec(struct percpu_counter *counter)
{
	percpu_counter_add(counter, -1);
}

static inline void percpu_counter_sub(struct percpu_counter *counter, s64 amount)
{
	percpu_counter_add(counter, -amount);
}

static inline s64 percpu_counter_read(struct percpu_counter *counter)
{
	return READ_ONCE(counter->count);
}

static inline s64 percpu_counter_sum_positive(struct percpu_counter *counter)
{
	s64 sum = percpu_counter_sum(counter);

	return sum > 0 ? sum : 0;
}

#endif /* SHIM_LINUX_PERCPU_COUNTER_H */
