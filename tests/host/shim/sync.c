// SPDX-License-Identifier: GPL-2.0
/*
 * sync: tasks, locks, RCU.
 *
 * RCU: a reader's outermost rcu_read_lock() notes the number of the current
 * grace period in its thread's slot; synchronize_rcu() begins a new one and
 * waits until no slot has an older number. That is the textbook's epoch scheme,
 * and the atomics in it give TSan the very order that a grace period gives.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <linux/cpumask.h>
#include <linux/mutex.h>
#include <linux/percpu_counter.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>

#include "memory.h"
#include "shim.h"

#define THREADS_MAX	128

unsigned int nr_cpu_ids = 4;
bool shim_is_perturbed;
int shim_fence;

/* -------- tasks -------- */

static struct shim_thread threads[THREADS_MAX];
static __thread struct shim_thread *self;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

_Noreturn void shim_die(const char *what)
{
	fflush(stdout);
	fprintf(stderr, "shim: %s\n", what);
	abort();
}

static void thread_exit(void *thread)
{
	struct shim_thread *t = thread;

	if (t->rcu_depth || t->spin_depth || t->mutex_depth || t->preempt_depth ||
	    t->pagefault_depth)
		shim_die("thread ends in the midst of something");
	__atomic_store_n(&t->is_used, false, __ATOMIC_RELEASE);
}

static void make_exit_key(void)
{
	pthread_key_create(&exit_key, thread_exit);
}

static struct shim_thread *enter(void)
{
	int i;

	pthread_once(&exit_once, make_exit_key);
	for (i = 0; i < THREADS_MAX; i++) {
		bool is_used = false;

		if (!__atomic_compare_exchange_n(&threads[i].is_used, &is_used, true, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			continue;
		self = &threads[i];
		self->cpu = i % nr_cpu_ids;
		self->is_killed = self->is_capable = false;
		self->fsuid = 0;
		self->random = self->noise = 0x9e3779b97f4a7c15ULL * (i + 1);
		pthread_setspecific(exit_key, self);
		return self;
	}
	shim_die("too many threads");
}

struct shim_thread *shim_self(void)
{
	return self ? self : enter();
}

void shim_set_cpu(int cpu)
{
	shim_self()->cpu = cpu % nr_cpu_ids;
}

int raw_smp_processor_id(void)
{
	return shim_self()->cpu;
}

void shim_kill(bool is_killed)
{
	shim_self()->is_killed = is_killed;
}

void shim_user_is(u32 fsuid, bool is_capable)
{
	shim_self()->fsuid = fsuid;
	shim_self()->is_capable = is_capable;
}

bool fatal_signal_pending(struct shim_thread *thread)
{
	return thread->is_killed;
}

static bool is_atomic(const struct shim_thread *t)
{
	return t->rcu_depth || t->spin_depth || t->preempt_depth || t->pagefault_depth;
}

void shim_might_sleep(const char *what)
{
	struct shim_thread *t = shim_self();

	if (!is_atomic(t))
		return;
	fprintf(stderr, "shim: %s may sleep; depth of rcu %d, spinlock %d, preempt_disable %d, ",
		what, t->rcu_depth, t->spin_depth, t->preempt_depth);
	fprintf(stderr, "pagefault_disable %d\n", t->pagefault_depth);
	shim_die("sleeping in atomic context");
}

void cond_resched(void)
{
	shim_might_sleep("cond_resched");
	shim_at(SHIM_AT_RESCHED);
	shim_perturb();
}

static void count_down(int *depth, const char *what)
{
	if (--*depth < 0)
		shim_die(what);
}

void shim_preempt_disable(void)
{
	shim_self()->preempt_depth++;
}

void shim_preempt_enable(void)
{
	count_down(&shim_self()->preempt_depth, "preempt_enable too often");
}

void shim_pagefault_disable(void)
{
	shim_self()->pagefault_depth++;
}

void shim_pagefault_enable(void)
{
	count_down(&shim_self()->pagefault_depth, "pagefault_enable too often");
}

/* -------- chance -------- */

static u64 next_random(uint64_t *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ULL;	/* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u64 shim_random(void)
{
	return next_random(&shim_self()->random);
}

void shim_random_seed(u64 seed)
{
	shim_self()->random = seed;
	shim_self()->noise = ~seed;
}

u64 shim_noise(void)
{
	return next_random(&shim_self()->noise);
}

void shim_perturb_set(bool is_on)
{
	shim_is_perturbed = is_on;
}

/* What a pause that went well takes. */
#define PAUSE_NS	50000

static u64 monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/*
 * Lets another thread run. Where programs wait that use up their time slices, such as a guest,
 * each of them may come first: a test of a second took 15 minutes. So after a pause that was
 * long, the thread does without as many as would have taken that time.
 */
static void yield(void)
{
	static _Thread_local u64 to_skip;
	u64 began;

	if (to_skip) {
		to_skip--;
		return;
	}
	began = monotonic_ns();
	sched_yield();
	to_skip = (monotonic_ns() - began) / PAUSE_NS;
}

void shim_pause_now(u32 n)
{
	struct timespec pause = { .tv_nsec = 20000 };
	struct shim_thread *t = shim_self();
	u64 dice = shim_noise();

	if (dice % n)
		return;
	dice /= n;
	if (!t->preempt_depth)
		t->cpu = dice % nr_cpu_ids;
	if (dice >> 8 & 0x3f)
		yield();
	else
		nanosleep(&pause, NULL);
}

void shim_perturb_now(void)
{
	shim_pause_now(64);
}

void shim_relax(void)
{
	sched_yield();
}

/* -------- locks -------- */

void spin_lock_init(spinlock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->owner = NULL;
}

void spin_lock(spinlock_t *lock)
{
	struct shim_thread *t = shim_self();

	if (lockdep_is_held(lock))
		shim_die("spinlock is taken twice");
	if (t->preempt_depth)
		shim_die("spin_lock() where nothing may sleep: it does on PREEMPT_RT");
	shim_at(SHIM_AT_LOCK);
	shim_perturb();
	pthread_mutex_lock(&lock->mutex);
	WRITE_ONCE(lock->owner, t);
	t->spin_depth++;
}

void spin_unlock(spinlock_t *lock)
{
	lockdep_assert_held(lock);
	WRITE_ONCE(lock->owner, NULL);
	pthread_mutex_unlock(&lock->mutex);
	count_down(&shim_self()->spin_depth, "spin_unlock too often");
	shim_perturb();
}

void mutex_init(struct mutex *mutex)
{
	pthread_mutex_init(&mutex->mutex, NULL);
	mutex->owner = NULL;
}

void mutex_destroy(struct mutex *mutex)
{
	if (mutex_is_locked(mutex))
		shim_die("mutex is destroyed while it is held");
	pthread_mutex_destroy(&mutex->mutex);
}

static void mutex_taken(struct mutex *mutex)
{
	WRITE_ONCE(mutex->owner, shim_self());
	shim_self()->mutex_depth++;
}

void mutex_lock(struct mutex *mutex)
{
	shim_might_sleep("mutex_lock");
	if (lockdep_is_held(mutex))
		shim_die("mutex is taken twice");
	shim_perturb();
	pthread_mutex_lock(&mutex->mutex);
	mutex_taken(mutex);
}

/* Like the kernel's, it minds a signal only if it would have to wait. */
int mutex_lock_killable(struct mutex *mutex)
{
	shim_might_sleep("mutex_lock_killable");
	if (mutex_trylock(mutex))
		return 0;
	if (fatal_signal_pending(current))
		return -EINTR;
	mutex_lock(mutex);
	return 0;
}

int mutex_lock_interruptible(struct mutex *mutex)
{
	return mutex_lock_killable(mutex);
}

bool mutex_trylock(struct mutex *mutex)
{
	if (pthread_mutex_trylock(&mutex->mutex))
		return false;
	mutex_taken(mutex);
	return true;
}

void mutex_unlock(struct mutex *mutex)
{
	lockdep_assert_held(mutex);
	WRITE_ONCE(mutex->owner, NULL);
	pthread_mutex_unlock(&mutex->mutex);
	count_down(&shim_self()->mutex_depth, "mutex_unlock too often");
	shim_perturb();
}

/* -------- RCU -------- */

static u64 gp_begun = 1;		/* number of the newest grace period; atomic */
static u64 gp_ended = 1;		/* all up to this one have ended; atomic */
static pthread_mutex_t gp_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t deferred_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct rcu_head *deferred;	/* under deferred_mutex */

void rcu_read_lock(void)
{
	struct shim_thread *t = shim_self();

	if (t->rcu_depth++)
		return;
	/*
	 * Before all reads of the section: synchronize_rcu() sees this store, or
	 * they see what was written before it began.
	 */
	__atomic_store_n(&t->rcu_epoch, __atomic_load_n(&gp_begun, __ATOMIC_SEQ_CST),
			 __ATOMIC_SEQ_CST);
	smp_mb();
}

void rcu_read_unlock(void)
{
	struct shim_thread *t = shim_self();

	count_down(&t->rcu_depth, "rcu_read_unlock too often");
	if (!t->rcu_depth)
		__atomic_store_n(&t->rcu_epoch, 0, __ATOMIC_RELEASE);
}

bool rcu_read_lock_held(void)
{
	return shim_self()->rcu_depth;
}

static void wait_for_readers(u64 gp)
{
	struct timespec pause = { .tv_nsec = 10000 };
	int i, tries = 0;
	u64 epoch;

	for (i = 0; i < THREADS_MAX; i++)
		while ((epoch = __atomic_load_n(&threads[i].rcu_epoch, __ATOMIC_SEQ_CST)) &&
		       epoch < gp)
			if (++tries < 10)
				sched_yield();
			else
				nanosleep(&pause, NULL);
}

void shim_kvfree_rcu(struct rcu_head *rcu, void *object)
{
	rcu->object = object;
	rcu->grace = get_state_synchronize_rcu();
	shim_uncount(object);
	pthread_mutex_lock(&deferred_mutex);
	rcu->next = deferred;
	deferred = rcu;
	pthread_mutex_unlock(&deferred_mutex);
}

/* Frees what was given to kvfree_rcu() before a grace period that has ended. */
static void free_deferred(void)
{
	struct rcu_head **p, *head;

	pthread_mutex_lock(&deferred_mutex);
	for (p = &deferred; (head = *p); ) {
		if (poll_state_synchronize_rcu(head->grace)) {
			*p = head->next;
			shim_free(head->object);
		} else {
			p = &head->next;
		}
	}
	pthread_mutex_unlock(&deferred_mutex);
}

static void wait_for_grace(unsigned long state)
{
	u64 gp;

	shim_might_sleep("synchronize_rcu");
	pthread_mutex_lock(&gp_mutex);
	if (!poll_state_synchronize_rcu(state)) {
		gp = __atomic_add_fetch(&gp_begun, 1, __ATOMIC_SEQ_CST);
		wait_for_readers(gp);
		__atomic_store_n(&gp_ended, gp, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&gp_mutex);
	free_deferred();
}

/* The number of the first grace period that begins after this. */
unsigned long get_state_synchronize_rcu(void)
{
	smp_mb();
	return __atomic_load_n(&gp_begun, __ATOMIC_SEQ_CST) + 1;
}

bool poll_state_synchronize_rcu(unsigned long state)
{
	return __atomic_load_n(&gp_ended, __ATOMIC_SEQ_CST) >= state;
}

void cond_synchronize_rcu(unsigned long state)
{
	shim_might_sleep("cond_synchronize_rcu");
	if (!poll_state_synchronize_rcu(state))
		wait_for_grace(state);
}

void synchronize_rcu(void)
{
	wait_for_grace(get_state_synchronize_rcu());
}

void rcu_barrier(void)
{
	synchronize_rcu();
}

/* -------- counters -------- */

#define COUNTER_BATCH	32

int percpu_counter_init(struct percpu_counter *counter, s64 amount, gfp_t gfp)
{
	(void)gfp;
	counter->local = shim_alloc_percpu(sizeof(s64));
	if (!counter->local)
		return -ENOMEM;
	spin_lock_init(&counter->lock);
	counter->count = amount;
	return 0;
}

void percpu_counter_destroy(struct percpu_counter *counter)
{
	free_percpu(counter->local);
	counter->local = NULL;
}

static void fold(struct percpu_counter *counter, s64 *local)
{
	s64 amount = __atomic_exchange_n(local, 0, __ATOMIC_RELAXED);

	WRITE_ONCE(counter->count, counter->count + amount);
}

void percpu_counter_add(struct percpu_counter *counter, s64 amount)
{
	s64 *local = this_cpu_ptr(counter->local);
	s64 now = __atomic_add_fetch(local, amount, __ATOMIC_RELAXED);

	if (now < COUNTER_BATCH && now > -COUNTER_BATCH)
		return;
	pthread_mutex_lock(&counter->lock.mutex);	/* a raw lock: may be taken anywhere */
	fold(counter, local);
	pthread_mutex_unlock(&counter->lock.mutex);
}

s64 percpu_counter_sum(struct percpu_counter *counter)
{
	s64 sum;
	int cpu;

	pthread_mutex_lock(&counter->lock.mutex);
	sum = counter->count;
	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counter->local, cpu));
	pthread_mutex_unlock(&counter->lock.mutex);
	return sum;
}
