/* SPDX-License-Identifier: GPL-2.0 */
/* Is an entry there for as long as it was to live, on CLOCK_BOOTTIME? After ktap.h. */
#ifndef TTL_H
#define TTL_H

#include <time.h>

#include <kcache.h>

static __s64 clock_ms(clockid_t clock)
{
	struct timespec now;

	MUST(clock_gettime(clock, &now));
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static __s64 boot_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

static struct kcache *handle;

/* An entry of @ttl_ms is there until then and not a moment longer, by both ways of reading. */
static void check_ttl(const char *key, __s64 set_from, __s64 set_to, __s64 ttl_ms)
{
	__s64 from = boot_ms(), to, left;
	struct kcache_op op = OP(STAT, key);
	char out[8];
	size_t len;
	int err, mapped;

	err = run(&op);
	mapped = kcache_get(handle, key, strlen(key), out, sizeof(out), &len);
	to = boot_ms();
	CHECK(!err || err == -ENOENT);
	CHECK(!mapped || mapped == -ENOENT);
	/* The kernel counts whole milliseconds. */
	if (to < set_from + ttl_ms - 1)
		CHECK(!err && !mapped);
	if (from > set_to + ttl_ms + 1)
		CHECK(err && mapped);
	if (err)
		return;
	left = op.ttl_ms;
	CHECK(left <= set_to + ttl_ms + 1 - from);
	CHECK(left >= set_from + ttl_ms - 1 - to);
}

#endif /* TTL_H */
