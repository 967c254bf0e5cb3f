// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include <linux/minmax.h>

#include "choose.h"
#include "shim/shim.h"

static __thread const u8 *next;
static __thread size_t left;

void choose_from(const void *bytes, size_t len)
{
	next = bytes;
	left = bytes ? len : 0;
}

size_t choose_left(void)
{
	return left;
}

bool choose_is_over(void)
{
	return next && !left;
}

void choose_bytes(void *to, size_t len)
{
	size_t some = min_t(size_t, len, left);
	u64 any;

	if (!next) {
		for (; len; len -= some, to += some) {
			any = shim_random();
			some = min_t(size_t, len, sizeof(any));
			memcpy(to, &any, some);
		}
		return;
	}
	if (some)
		memcpy(to, next, some);
	memset(to + some, 0, len - some);
	next += some;
	left -= some;
}

u64 choose_any(void)
{
	u64 any;

	choose_bytes(&any, sizeof(any));
	return any;
}

u64 choose(u64 n)
{
	u64 any = 0;

	if (!next)
		return shim_random() % n;
	choose_bytes(&any, n <= 1 << 8 ? 1 : n <= 1 << 16 ? 2 : n <= 1ULL << 32 ? 4 : 8);
	return any % n;
}
