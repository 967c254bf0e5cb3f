// SPDX-License-Identifier: GPL-2.0
#include "replay.h"

/* 16 hexadecimal digits; spread, so that keys do not differ in the last ones only. */
void make_key(char key[KEY_LEN], uint32_t object)
{
	uint64_t id = (object + 1) * 0x9e3779b97f4a7c15ULL;
	int i;

	for (i = 0; i < KEY_LEN; i++, id >>= 4)
		key[i] = "0123456789abcdef"[id & 15];
}

static bool get_or_set(const struct cache_ops *ops, void *cache, const struct request *request)
{
	if (ops->get(cache, request))
		return true;
	ops->set(cache, request);
	return false;
}

bool replay(const struct trace *trace, const struct cache_ops *ops,
	    const struct cache_options *options, size_t warm_up, struct outcome *outcome)
{
	void *cache = ops->open(trace, options);
	size_t i;

	*outcome = (struct outcome) { 0 };
	if (!cache)
		return false;
	for (i = 0; i < trace->nr; i++) {
		const struct request *request = &trace->request[i];
		bool is_counted = i >= warm_up && request->op == REQUEST_GET;

		outcome->gets += is_counted;
		if (request->op == REQUEST_GET)
			outcome->misses += !get_or_set(ops, cache, request) && is_counted;
		else
			(request->op == REQUEST_SET ? ops->set : ops->remove)(cache, request);
	}
	ops->account(cache, &outcome->account);
	ops->close(cache);
	return true;
}
