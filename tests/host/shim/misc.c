// SPDX-License-Identifier: GPL-2.0
/* misc: time and delayed work, chance, hooks, sanitizers, text. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/list.h>
#include <linux/random.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "shim.h"

/* -------- time and delayed work -------- */

static u64 clock_ms = 1000;		/* atomic */
static pthread_mutex_t work_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_done = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(work_queue);		/* under work_mutex, as the next */
static struct work_struct *running;

void shim_clock_set_ms(u64 ms)
{
	WRITE_ONCE(clock_ms, ms);
}

void shim_clock_advance_ms(u64 ms)
{
	__atomic_fetch_add(&clock_ms, ms, __ATOMIC_RELAXED);
}

u64 shim_clock_ms(void)
{
	return READ_ONCE(clock_ms);
}

u64 ktime_get_boottime_ns(void)
{
	return shim_clock_ms() * NSEC_PER_MSEC;
}

static bool queue_at(struct work_struct *work, unsigned long due)
{
	bool is_new;

	pthread_mutex_lock(&work_mutex);
	is_new = !work->is_pending;
	if (is_new) {
		WRITE_ONCE(work->is_pending, true);
		work->due = due;
		list_add_tail(&work->link, &work_queue);
	}
	pthread_mutex_unlock(&work_mutex);
	return is_new;
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	(void)wq;
	return queue_at(work, jiffies);
}

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
			unsigned long delay)
{
	(void)wq;
	return queue_at(&work->work, jiffies + delay);
}

static void dequeue(struct work_struct *work)
{
	WRITE_ONCE(work->is_pending, false);
	list_del(&work->link);
}

bool cancel_work_sync(struct work_struct *work)
{
	bool was_pending;

	shim_might_sleep("cancel_work_sync");
	pthread_mutex_lock(&work_mutex);
	while (running == work)
		pthread_cond_wait(&work_done, &work_mutex);
	was_pending = work->is_pending;
	if (was_pending)
		dequeue(work);
	pthread_mutex_unlock(&work_mutex);
	return was_pending;
}

bool cancel_delayed_work_sync(struct delayed_work *work)
{
	return cancel_work_sync(&work->work);
}

static struct work_struct *next_due(void)
{
	struct work_struct *work;

	list_for_each_entry(work, &work_queue, link)
		if (work->due <= jiffies)
			return work;
	return NULL;
}

static bool is_busy;

void shim_be_busy(bool busy)
{
	WRITE_ONCE(is_busy, busy);
}

bool single_task_running(void)
{
	return !READ_ONCE(is_busy);
}

/* One at a time: work of one kind does not run twice at once, as in the kernel. */
int shim_run_work(void)
{
	struct work_struct *work;
	int nr = 0;

	pthread_mutex_lock(&work_mutex);
	while (!running && (work = next_due())) {
		dequeue(work);
		running = work;
		pthread_mutex_unlock(&work_mutex);
		work->func(work);
		nr++;
		pthread_mutex_lock(&work_mutex);
		running = NULL;
		pthread_cond_broadcast(&work_done);
	}
	pthread_mutex_unlock(&work_mutex);
	return nr;
}

/* -------- chance -------- */

static u64 seed = 1;
static pthread_mutex_t seed_mutex = PTHREAD_MUTEX_INITIALIZER;

void shim_seed(u64 new_seed)
{
	pthread_mutex_lock(&seed_mutex);
	seed = new_seed;
	pthread_mutex_unlock(&seed_mutex);
	shim_random_seed(new_seed);
}

void get_random_bytes(void *to, size_t len)
{
	u8 *p = to;

	pthread_mutex_lock(&seed_mutex);
	while (len--) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		*p++ = seed >> 56;
	}
	pthread_mutex_unlock(&seed_mutex);
}

/* -------- hooks -------- */

__thread bool shim_has_hooks;
static __thread struct hook {
	shim_hook_t run;
	void *arg;
	u64 in;			/* visits until it runs; 0: each time */
	u64 calls;
} hooks[SHIM_NR_POINTS];

void shim_hook(enum shim_point point, u64 nth, shim_hook_t hook, void *arg)
{
	hooks[point] = (struct hook) { .run = hook, .arg = arg, .in = nth };
	shim_has_hooks = true;
}

void shim_hook_always(enum shim_point point, shim_hook_t hook, void *arg)
{
	shim_hook(point, 0, hook, arg);
}

u64 shim_hook_calls(enum shim_point point)
{
	return hooks[point].calls;
}

void shim_unhook(void)
{
	int i;

	for (i = 0; i < SHIM_NR_POINTS; i++)
		hooks[i].run = NULL;
	shim_has_hooks = false;
}

static void *run_hook(void *arg)
{
	struct hook *hook = arg;

	hook->run(hook->arg);
	return NULL;
}

void shim_at_hook(enum shim_point point)
{
	struct hook *hook = &hooks[point], now = *hook;
	pthread_t thread;

	/* Who is in the way of the other thread would wait for it for ever. */
	if (!now.run || shim_self()->spin_depth || (now.in && --hook->in))
		return;
	if (now.in)
		hook->run = NULL;
	if (pthread_create(&thread, NULL, run_hook, &now))
		shim_die("no thread for a hook");
	pthread_join(thread, NULL);
	hook->calls++;
}

/* -------- sanitizers -------- */

const char *__tsan_default_options(void);
const char *__asan_default_options(void);

const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}

const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=1:strict_string_checks=1";
}

/* -------- text -------- */

/* Is it digits with at most a newline behind them? */
static bool is_digits(const char *s)
{
	size_t len = strspn(s, "0123456789");

	return len && !(s[len] == '\n' ? s[len + 1] : s[len]);
}

int kstrtos64(const char *s, unsigned int base, s64 *number)
{
	long long v;

	if (base != 10)
		shim_die("kstrtos64: only base 10");
	if (!is_digits(s + (*s == '-' || *s == '+')))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, NULL, 10);
	if (errno)
		return -ERANGE;
	*number = v;
	return 0;
}

int kstrtou64(const char *s, unsigned int base, u64 *number)
{
	unsigned long long v;

	if (base != 10)
		shim_die("kstrtou64: only base 10");
	if (!is_digits(s + (*s == '+')))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, NULL, 10);
	if (errno)
		return -ERANGE;
	*number = v;
	return 0;
}

int kstrtou32(const char *s, unsigned int base, u32 *number)
{
	u64 v;
	int err = kstrtou64(s, base, &v);

	if (err)
		return err;
	if (v > U32_MAX)
		return -ERANGE;
	*number = v;
	return 0;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdefABCDEF", *p = c ? strchr(digits, c) : NULL;

	return !p ? -1 : p - digits < 16 ? p - digits : p - digits - 6;
}

int hex2bin(u8 *to, const char *from, size_t bytes)
{
	int high, low;

	for (; bytes; bytes--, from += 2) {
		high = hex_digit(from[0]);
		low = high < 0 ? high : hex_digit(from[1]);
		if (low < 0)
			return -EINVAL;
		*to++ = high << 4 | low;
	}
	return 0;
}

ssize_t strscpy(char *to, const char *from, size_t size)
{
	size_t len = strnlen(from, size);

	if (!size)
		return -E2BIG;
	if (len == size) {
		memcpy(to, from, size - 1);
		to[size - 1] = '\0';
		return -E2BIG;
	}
	memcpy(to, from, len + 1);
	return len;
}

ssize_t strscpy_pad(char *to, const char *from, size_t size)
{
	ssize_t len = strscpy(to, from, size);

	if (len >= 0)
		memset(to + len, 0, size - len);
	return len;
}
