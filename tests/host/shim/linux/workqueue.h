/* SPDX-License-Identifier: GPL-2.0 */
/* Work is done when a test says so: shim_run_work(). */
#ifndef SHIM_LINUX_WORKQUEUE_H
#define SHIM_LINUX_WORKQUEUE_H

#include <linux/types.h>

struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);

struct work_struct {
	struct list_head link;		/* in the queue; under the shim's lock */
	work_func_t func;
	bool is_pending;		/* atomic */
	unsigned long due;		/* jiffies; under the shim's lock */
};

struct delayed_work {
	struct work_struct work;
};

struct workqueue_struct;
#define system_unbound_wq	((struct workqueue_struct *)NULL)

#define INIT_WORK(w, f)		(*(w) = (struct work_struct) { .func = f })
#define INIT_DELAYED_WORK(d, f)	(*(d) = (struct delayed_work) { .work = { .func = f } })

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
			unsigned long delay);
bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool cancel_work_sync(struct work_struct *work);
bool cancel_delayed_work_sync(struct delayed_work *work);

static inline bool work_pending(struct work_struct *work)
{
	return READ_ONCE(work->is_pending);
}

static inline bool delayed_work_pending(struct delayed_work *work)
{
	return READ_ONCE(work->work.is_pending);
}

#endif /* SHIM_LINUX_WORKQUEUE_H */
