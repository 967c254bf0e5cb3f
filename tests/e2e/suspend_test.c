// SPDX-License-Identifier: GPL-2.0
/*
 * Time to live goes on while the machine is suspended. The kernel goes all the way but
 * for the last step, in which the firmware would cut the power, and waits 5 s there
 * (pm_test): the clocks cannot tell. Has a guest of its own, since 9p does not come back
 * from it: no program can be started any more, and no file of it closed.
 *
 *	tests/vm/run -- build/tests/suspend_test
 */
#define KTAP_DEVICE
#include "ktap.h"

#include "ttl.h"

static bool write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return is_written;
}

/* Suspends the machine: milliseconds that it slept. */
static __s64 sleep_machine(void)
{
	__s64 before = clock_ms(CLOCK_BOOTTIME) - clock_ms(CLOCK_MONOTONIC);

	if (!write_to("/sys/power/pm_test", "core"))
		SKIP("this kernel cannot try to suspend: CONFIG_PM_DEBUG");
	if (!write_to("/sys/power/state", "mem"))
		SKIP("this machine cannot be suspended: %s", ktap_errno(errno));
	return clock_ms(CLOCK_BOOTTIME) - clock_ms(CLOCK_MONOTONIC) - before;
}

TEST(time_goes_on_while_the_machine_is_suspended)
{
	unsigned long long expirations = sysfs_number("stats/expirations");
	__s64 from, to, slept;
	int i;

	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	from = boot_ms();
	WORKS(OP(SET, "short", VALUE("value"), .ttl_ms = 2000));
	WORKS(OP(SET, "other", VALUE("value"), .ttl_ms = 2000));
	WORKS(OP(SET, "long", VALUE("value"), .ttl_ms = 3600000));
	to = boot_ms();
	slept = sleep_machine();
	check_ttl("short", from, to, 2000);
	check_ttl("long", from, to, 3600000);
	NOTE("slept for %lld ms", (long long)slept);
	CHECK(slept > 2000);
	HOLDS_NOT("short");
	CHECK(WORKS(OP(STAT, "long")).ttl_ms <= 3600000 - (__u64)slept);
	/* And the memory of the others comes back by itself. */
	for (i = 0; sysfs_number("stats/expirations") < expirations + 2; i++) {
		CHECK(i < 3000);
		milliseconds_pass(10);
	}
	CHECK_EQ(sysfs_number("stats/entries"), 1);
}

/*
 * Who closes a file of 9p last waits for ever, and that is who ends last of those that run
 * this program. That is to be somebody for whom nobody waits: no child of ours.
 */
static void leave_somebody_behind(void)
{
	pid_t pid = MUST(fork());

	if (pid) {
		MUST(waitpid(pid, NULL, 0));
		return;
	}
	if (MUST(fork()))
		_exit(KTAP_PASS);
	close_range(0, ~0U, 0);
	setsid();
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	leave_somebody_behind();
	/* What is not in memory will never be. */
	mlockall(MCL_CURRENT | MCL_FUTURE);
	return ktap_device_main(argc, argv);
}
