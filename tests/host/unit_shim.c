// SPDX-License-Identifier: GPL-2.0
/* Is the simulated kernel as strict as the tests that rest on it need it to be? */
#include <pthread.h>
#include <sys/wait.h>

#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/mutex.h>
#include <linux/percpu_counter.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/pagemap.h>
#include <linux/workqueue.h>

#include "shim/shim.h"
#include "ktap.h"

/* Does @act abort, or fault? */
static bool dies(void (*act)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		act();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return false;
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static char *pages;
static spinlock_t spinlock;
static struct mutex mutex;

/* -------- contexts -------- */

static void sleep_in_rcu(void)
{
	rcu_read_lock();
	cond_resched();
}

static void lock_mutex_in_rcu(void)
{
	rcu_read_lock();
	mutex_lock(&mutex);
}

static void wait_for_grace_in_rcu(void)
{
	rcu_read_lock();
	synchronize_rcu();
}

static void allocate_under_spinlock(void)
{
	spin_lock(&spinlock);
	kfree(kmalloc(1, GFP_KERNEL));
}

static void kvmalloc_with_preemption_off(void)
{
	preempt_disable();
	kvfree(kvmalloc(1, GFP_NOWAIT));
}

static void spin_lock_with_preemption_off(void)
{
	preempt_disable();
	spin_lock(&spinlock);
}

static void faulting_copy_in_rcu(void)
{
	char from[8] = "", to[8];

	rcu_read_lock();
	if (raw_copy_from_user(to, from, sizeof(to)))
		_exit(0);
}

static void lock_twice(void)
{
	spin_lock(&spinlock);
	spin_lock(&spinlock);
}

static void assert_lock_that_is_free(void)
{
	lockdep_assert_held(&spinlock);
}

static void *hold_spinlock(void *arg)
{
	spin_lock(&spinlock);
	lockdep_assert_held(&spinlock);
	spin_unlock(&spinlock);
	return NULL;
}

static void dereference_without_rcu(void)
{
	void *p = NULL;

	if (rcu_dereference(p))
		_exit(0);
}

static void nothing_wrong(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, hold_spinlock, NULL))
		_exit(1);
	pthread_join(thread, NULL);
	mutex_lock(&mutex);
	lockdep_assert_held(&mutex);
	spin_lock(&spinlock);
	kfree(kmalloc(1, GFP_NOWAIT));
	spin_unlock(&spinlock);
	mutex_unlock(&mutex);
	synchronize_rcu();
}

KTAP_TEST(what_may_not_be_done_in_a_context_aborts)
{
	spin_lock_init(&spinlock);
	mutex_init(&mutex);
	EXPECT(!dies(nothing_wrong));
	EXPECT(dies(sleep_in_rcu));
	EXPECT(dies(lock_mutex_in_rcu));
	EXPECT(dies(wait_for_grace_in_rcu));
	EXPECT(dies(allocate_under_spinlock));
	EXPECT(dies(kvmalloc_with_preemption_off));
	EXPECT(dies(spin_lock_with_preemption_off));
	EXPECT(dies(faulting_copy_in_rcu));
	EXPECT(dies(lock_twice));
	EXPECT(dies(assert_lock_that_is_free));
	EXPECT(dies(dereference_without_rcu));
}

/* -------- RCU -------- */

static int grace_passed;	/* atomic */

static void *wait_for_grace(void *arg)
{
	synchronize_rcu();
	WRITE_ONCE(grace_passed, 1);
	return NULL;
}

KTAP_TEST(a_grace_period_waits_for_the_readers_that_were_there)
{
	pthread_t thread;

	WRITE_ONCE(grace_passed, 0);
	rcu_read_lock();
	rcu_read_lock();
	ASSERT(!pthread_create(&thread, NULL, wait_for_grace, NULL));
	rcu_read_unlock();
	usleep(20000);
	EXPECT(!READ_ONCE(grace_passed));
	rcu_read_unlock();
	pthread_join(thread, NULL);
	EXPECT(READ_ONCE(grace_passed));
}

static int reader_is_in;	/* atomic: 1: in a section, 2: to leave it */

static void *stay_in_section(void *arg)
{
	rcu_read_lock();
	WRITE_ONCE(reader_is_in, 1);
	while (READ_ONCE(reader_is_in) == 1)
		usleep(100);
	rcu_read_unlock();
	return NULL;
}

KTAP_TEST(a_grace_state_is_over_after_a_whole_grace_period_and_not_before)
{
	unsigned long early = get_state_synchronize_rcu(), late;
	pthread_t thread;

	EXPECT(!poll_state_synchronize_rcu(early));
	synchronize_rcu();
	EXPECT(poll_state_synchronize_rcu(early));
	late = get_state_synchronize_rcu();
	EXPECT(!poll_state_synchronize_rcu(late));

	/* What is over already waits for nobody. */
	WRITE_ONCE(reader_is_in, 0);
	ASSERT(!pthread_create(&thread, NULL, stay_in_section, NULL));
	while (!READ_ONCE(reader_is_in))
		usleep(100);
	cond_synchronize_rcu(early);
	WRITE_ONCE(reader_is_in, 2);
	pthread_join(thread, NULL);
	cond_synchronize_rcu(late);
	EXPECT(poll_state_synchronize_rcu(late));
}

struct object {
	struct rcu_head rcu;
	int number;
};

static void *free_object(void *object)
{
	struct object *o = object;

	kvfree_rcu(o, rcu);
	synchronize_rcu();
	return NULL;
}

KTAP_TEST(kvfree_rcu_leaves_an_object_to_its_readers)
{
	struct object *object = kmalloc(sizeof(*object), GFP_KERNEL);
	pthread_t thread;

	object->number = 42;
	rcu_read_lock();
	ASSERT(!pthread_create(&thread, NULL, free_object, object));
	while (shim_bytes_in_use())	/* it is not counted from kvfree_rcu() on */
		usleep(100);
	EXPECT_EQ(READ_ONCE(object->number), 42);
	rcu_read_unlock();
	pthread_join(thread, NULL);
}

/* -------- memory -------- */

static void touch_first_page(void)
{
	*(volatile char *)pages = 1;
}

static void touch_second_page(void)
{
	*(volatile char *)(pages + 4096) = 1;
}

static void touch_behind(void)
{
	*(volatile char *)(pages + 2 * 4096) = 1;
}

static void free_twice(void)
{
	free_pages_exact(pages, 4096);
}

KTAP_TEST(pages_are_zeroed_and_fault_once_they_are_freed)
{
	pages = alloc_pages_exact(2 * 4096, GFP_KERNEL);
	EXPECT(pages[0] && pages[8191]);
	free_pages_exact(pages, 2 * 4096);
	pages = alloc_pages_exact(2 * 4096, GFP_KERNEL | __GFP_ZERO);
	EXPECT(!pages[0] && !pages[8191]);
	EXPECT_EQ(shim_page_bytes_in_use(), 2 * 4096);
	EXPECT(dies(touch_behind));
	free_pages_exact(pages, 4096);
	EXPECT(dies(touch_first_page));
	EXPECT(!dies(touch_second_page));
	EXPECT(dies(free_twice));
	free_pages_exact(pages + 4096, 4096);
	EXPECT_EQ(shim_page_bytes_in_use(), 0);
}

KTAP_TEST(the_allocations_that_a_test_names_fail)
{
	void *p;

	shim_fail_allocs(2, 1);
	p = kmalloc(8, GFP_KERNEL);
	EXPECT(p);
	kfree(p);
	EXPECT(!alloc_pages_exact(4096, GFP_KERNEL));
	p = kvzalloc(8, GFP_KERNEL);
	EXPECT(p);
	kvfree(p);
	EXPECT(shim_fail_end());
	shim_fail_allocs(1, 2);
	EXPECT(!kmalloc(8, GFP_KERNEL));
	EXPECT(!kmalloc(8, GFP_KERNEL));
	EXPECT(shim_fail_end());
	shim_fail_allocs(1, 1);
	EXPECT(!shim_fail_end());
	EXPECT_EQ(shim_bytes_in_use(), 0);
}

/* -------- what TSan is told -------- */

#ifdef SHIM_TSAN
static char *shared;

static void *write_shared(void *arg)
{
	char bytes[64] = "";

	memcpy(shared + 32, bytes, sizeof(bytes));
	return NULL;
}

static void *read_shared(void *arg)
{
	char bytes[64];

	memcpy(bytes, shared, sizeof(bytes));
	return NULL;
}

static void at_once(void *(*one)(void *arg), void *(*other)(void *arg))
{
	pthread_t thread[2];

	if (pthread_create(&thread[0], NULL, one, NULL) ||
	    pthread_create(&thread[1], NULL, other, NULL))
		_exit(0);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
}

static void write_and_read(void)
{
	at_once(write_shared, read_shared);
}

static void write_and_write(void)
{
	at_once(write_shared, write_shared);
}

KTAP_TEST(copies_of_pages_may_race_with_a_writer_but_writers_not_with_each_other)
{
	shared = alloc_pages_exact(4096, GFP_KERNEL);
	EXPECT(!dies(write_and_read));
	EXPECT(dies(write_and_write));
	free_pages_exact(shared, 4096);
	/* Other memory is nobody's to race for. */
	shared = kmalloc(4096, GFP_KERNEL);
	EXPECT(dies(write_and_read));
	kfree(shared);
}
#endif

/* -------- user memory -------- */

KTAP_TEST(memory_that_is_absent_stops_a_copy_until_it_is_brought_in)
{
	char user[64] = "0123456789", kernel[64] = "";

	shim_user_mark(user + 4, 2, SHIM_ABSENT);
	pagefault_disable();
	EXPECT_EQ(raw_copy_from_user(kernel, user, 10), 6);
	EXPECT_EQ(raw_copy_to_user(user + 5, kernel, 1), 1);
	pagefault_enable();
	EXPECT_EQ(raw_copy_from_user(kernel + 4, user + 4, 6), 0);
	EXPECT_MEM(kernel, "0123456789", 10);
	EXPECT_EQ(shim_user_faults(), 3);
	pagefault_disable();
	EXPECT_EQ(raw_copy_from_user(kernel, user, 10), 0);
	pagefault_enable();
	shim_user_clear();
}

KTAP_TEST(memory_that_is_fleeting_or_unmapped_stays_away)
{
	char user[16] = "", kernel[16] = "";

	shim_user_mark(user, 16, SHIM_FLEETING);
	EXPECT_EQ(fault_in_safe_writeable(user, 16), 0);
	pagefault_disable();
	EXPECT_EQ(raw_copy_to_user(user, kernel, 16), 16);
	pagefault_enable();
	shim_user_clear();
	shim_user_mark(user + 8, 1, SHIM_UNMAPPED);
	EXPECT_EQ(fault_in_safe_writeable(user, 16), 8);
	EXPECT_EQ(fault_in_safe_writeable(user, 8), 0);
	EXPECT_EQ(raw_copy_to_user(user, kernel, 16), 8);
	shim_user_clear();
}

KTAP_TEST(what_is_outside_of_the_users_memory_is_not_there)
{
	char all[48] = "", *user = all + 16, kernel[32] = "";
	unsigned int word = 7;
	struct iov_iter iter;

	shim_user_bound(user, 16);
	EXPECT(access_ok(user, 16) && access_ok(all, 1) && !access_ok(user + 1, 16));
	EXPECT(!access_ok(user, -1UL) && !access_ok((char *)-8UL, 16));
	EXPECT_EQ(raw_copy_from_user(kernel, user + 10, 10), 4);
	EXPECT_EQ(raw_copy_to_user(user - 1, kernel, 2), 2);
	EXPECT_EQ(fault_in_safe_writeable(user + 15, 3), 2);
	EXPECT_EQ(copy_to_user(user + 16, kernel, 1), 1);
	EXPECT_EQ(get_user(word, (unsigned int *)(user + 13)), -EFAULT);
	EXPECT_EQ(word, 0);
	EXPECT_EQ(put_user(7, (unsigned int *)(user + 12)), 0);
	EXPECT_EQ(check_zeroed_user(user, 12), 1);
	EXPECT_EQ(check_zeroed_user(user, 13), 0);
	EXPECT_EQ(check_zeroed_user(user - 1, 2), -EFAULT);
	import_ubuf(ITER_SOURCE, user + 12, 10, &iter);
	EXPECT_EQ(copy_from_iter(kernel, 4, &iter), 4);
	EXPECT_EQ(copy_from_iter(kernel, 4, &iter), 0);
	EXPECT_EQ(iov_iter_count(&iter), 6);
	shim_user_bound(NULL, 0);
	EXPECT(access_ok(all, -1UL));
}

/* -------- the rest -------- */

static int nr_runs;
static struct delayed_work work;

static void run(struct work_struct *w)
{
	if (!nr_runs++)
		queue_delayed_work(system_unbound_wq, &work, 10);
}

KTAP_TEST(delayed_work_runs_when_its_time_has_come)
{
	INIT_DELAYED_WORK(&work, run);
	EXPECT(queue_delayed_work(system_unbound_wq, &work, 5));
	EXPECT(!queue_delayed_work(system_unbound_wq, &work, 5));
	EXPECT_EQ(shim_run_work(), 0);
	shim_clock_advance_ms(5);
	EXPECT_EQ(shim_run_work(), 1);
	EXPECT(delayed_work_pending(&work));
	EXPECT_EQ(shim_run_work(), 0);
	EXPECT(cancel_delayed_work_sync(&work));
	shim_clock_advance_ms(10);
	EXPECT_EQ(shim_run_work(), 0);
}

KTAP_TEST(a_counter_is_exact_only_when_it_is_summed)
{
	struct percpu_counter counter;
	int i;

	ASSERT_EQ(percpu_counter_init(&counter, 0, GFP_KERNEL), 0);
	for (i = 0; i < 100; i++) {
		shim_set_cpu(i);
		percpu_counter_inc(&counter);
	}
	EXPECT_EQ(percpu_counter_sum(&counter), 100);
	EXPECT(percpu_counter_read(&counter) < 100);
	percpu_counter_destroy(&counter);
}

KTAP_TEST(kstrtos64_takes_what_the_kernels_takes)
{
	s64 n;

	EXPECT(!kstrtos64("-9223372036854775808", 10, &n) && n == S64_MIN);
	EXPECT(!kstrtos64("+7\n", 10, &n) && n == 7);
	EXPECT_EQ(kstrtos64("9223372036854775808", 10, &n), -ERANGE);
	EXPECT_EQ(kstrtos64("", 10, &n), -EINVAL);
	EXPECT_EQ(kstrtos64("-", 10, &n), -EINVAL);
	EXPECT_EQ(kstrtos64(" 1", 10, &n), -EINVAL);
	EXPECT_EQ(kstrtos64("1\n\n", 10, &n), -EINVAL);
	EXPECT_EQ(kstrtos64("--1", 10, &n), -EINVAL);
}

KTAP_TEST(other_numbers_are_taken_as_the_kernel_takes_them)
{
	u8 bytes[2];
	char hex[3] = "";
	u64 n;
	u32 small;

	EXPECT(!kstrtou64("18446744073709551615\n", 10, &n) && n == U64_MAX);
	EXPECT(!kstrtou64("+007", 10, &n) && n == 7);
	EXPECT_EQ(kstrtou64("18446744073709551616", 10, &n), -ERANGE);
	EXPECT_EQ(kstrtou64("-1", 10, &n), -EINVAL);
	EXPECT_EQ(kstrtou64("1 ", 10, &n), -EINVAL);
	EXPECT(!kstrtou32("4294967295", 10, &small) && small == U32_MAX);
	EXPECT_EQ(kstrtou32("4294967296", 10, &small), -ERANGE);
	EXPECT(!hex2bin(bytes, "aF09", 2) && bytes[0] == 0xaf && bytes[1] == 9);
	EXPECT_EQ(hex2bin(bytes, "0g", 1), -EINVAL);
	EXPECT_EQ(hex2bin(bytes, "\0" "1", 1), -EINVAL);
	hex_byte_pack(hex, 0x5e);
	EXPECT_MEM(hex, "5e", 3);
}

static void note_cpu(void *arg)
{
	*(struct shim_thread **)arg = shim_self();
}

KTAP_TEST(a_hook_runs_once_in_another_thread)
{
	struct shim_thread *other = NULL;

	shim_hook(SHIM_AT_RESCHED, 2, note_cpu, &other);
	cond_resched();
	EXPECT(!other);
	cond_resched();
	EXPECT(other && other != shim_self());
	cond_resched();
	EXPECT_EQ(shim_hook_calls(SHIM_AT_RESCHED), 1);
	shim_unhook();
}

static void *lock_while_killed(void *err)
{
	shim_kill(true);
	*(int *)err = mutex_lock_killable(&mutex);
	return NULL;
}

KTAP_TEST(a_killed_task_does_not_wait_for_a_mutex_that_is_held)
{
	pthread_t thread;
	int err;

	mutex_init(&mutex);
	shim_kill(true);
	EXPECT(fatal_signal_pending(current));
	EXPECT_EQ(mutex_lock_killable(&mutex), 0);
	shim_kill(false);
	ASSERT(!pthread_create(&thread, NULL, lock_while_killed, &err));
	pthread_join(thread, NULL);
	EXPECT_EQ(err, -EINTR);
	mutex_unlock(&mutex);
}

KTAP_MAIN
