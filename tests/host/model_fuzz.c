// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations of one thread, each compared with the model; the clock moves,
 * the cache is flushed, resized, scanned and passed for expiry in between.
 *
 * KCACHE_STRESS=N does N times as many; KCACHE_SEED=N repeats a run exactly.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <linux/slab.h>

#include "audit.h"
#include "model.h"
#include "ktap.h"

#define NR_KEYS	600

static struct model models[NR_KEYS];
static char keys[NR_KEYS][KCACHE_KEY_MAX + 1];
static u8 *in, *out;
static u32 longest;
static bool is_lossy;		/* too small for all */
static u64 left_before;		/* entries that had left by themselves */

static u64 below(u64 n)
{
	return shim_random() % n;
}

static u64 nr_left(void)
{
	return count_of(cache, KC_STAT_evictions);
}

static void set_up(u64 max_bytes, u32 longest_value)
{
	const char *given = getenv("KCACHE_SEED");
	u64 seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) * 1000 + getpid();
	u32 i;

	printf("# seed %llu\n", seed);
	start(max_bytes);
	shim_seed(seed);
	longest = longest_value;
	in = malloc(longest + 32);
	out = malloc(longest + 1);
	memset(models, 0, sizeof(models));
	for (i = 0; i < NR_KEYS; i++) {
		u32 len = i % 4 ? 3 + i % 50 : 3 + below(KCACHE_KEY_MAX - 2);

		memset(keys[i], 'x', len);
		keys[i][len] = '\0';
		memcpy(keys[i], "000", 3);
		keys[i][0] += i / 100;
		keys[i][1] += i / 10 % 10;
		keys[i][2] += i % 10;
	}
	left_before = 0;
}

static void tear_down(void)
{
	u32 i;

	for (i = 0; i < NR_KEYS; i++)
		free(models[i].value);
	free(in);
	free(out);
	stop();
}

/* Forgets a key that has left by itself, if there was one that did. */
static void notice_loss(u32 i)
{
	if (!is_lossy || !model_is_there(&models[i], shim_clock_ms()) ||
	    !stat_error(cache, keys[i]))
		return;
	EXPECT(nr_left() > 0);
	models[i].is_there = false;
}

static bool operate(void)
{
	u32 i = below(NR_KEYS);
	struct outcome o = { .value_max = kc_cache_value_max(cache) };

	notice_loss(i);
	o.asked = o.got = model_random_op(&models[i], keys[i], in, out, longest);
	o.asked.ttl_ms = o.got.ttl_ms = below(3) ? 0 : 1 + below(300);
	o.bad_in = !below(30);
	if (o.bad_in && o.asked.value_len)
		shim_user_mark(in + below(o.asked.value_len), 1, SHIM_UNMAPPED);
	if (!below(30) && models[i].len) {
		o.bad_out = 1 + below(models[i].len);
		shim_user_mark(out + o.bad_out - 1, 1, SHIM_UNMAPPED);
	}
	if (!below(10))
		shim_user_mark((below(2) ? in : out) + below(40), 3, SHIM_ABSENT);
	shim_set_cpu(below(4));
	left_before = nr_left();
	o.from = o.to = shim_clock_ms();
	o.err = run_op(cache, &o.got);
	shim_user_clear();
	/* In making room for itself it may have evicted what it was to change. */
	if (o.err == -ENOENT && nr_left() > left_before)
		models[i].is_there = false;
	return EXPECT(model_agrees(&models[i], &o));
}

/* A walk meets what is there, all of it, once. */
static void scan(void)
{
	struct kc_copy copy = { 0 };
	bool met[NR_KEYS] = { false };
	u64 position = 0, now = shim_clock_ms();
	u32 i;

	while (kc_cache_next(cache, &position, &copy) == 1) {
		i = (copy.data[0] - '0') * 100 + (copy.data[1] - '0') * 10 + copy.data[2] - '0';
		if (!EXPECT(i < NR_KEYS && copy.key_len == strlen(keys[i])))
			break;
		EXPECT(!met[i] && model_is_there(&models[i], now));
		met[i] = true;
		EXPECT(!memcmp(copy.data, keys[i], copy.key_len));
		EXPECT_EQ(copy.version, models[i].version);
		EXPECT_EQ(copy.client_flags, models[i].client_flags);
		EXPECT_EQ(copy.ttl_ms, models[i].expiry_to ? models[i].expiry_to - now : 0);
		if (EXPECT_EQ(copy.value_len, models[i].len) && copy.value_len)
			EXPECT(!memcmp(copy.data + copy.key_len, models[i].value, copy.value_len));
		if (!position)
			break;
	}
	kvfree(copy.data);
	for (i = 0; i < NR_KEYS; i++) {
		notice_loss(i);
		EXPECT(met[i] == model_is_there(&models[i], now));
	}
}

static void flush(void)
{
	u32 i;

	EXPECT_EQ(kc_cache_flush(cache), 0);
	for (i = 0; i < NR_KEYS; i++)
		models[i].is_there = false;
	EXPECT_EQ(entries(cache), 0);
}

static void do_something_else(u64 least_bytes)
{
	switch (below(60)) {
	case 0:
		scan();
		break;
	case 1:
		EXPECT(audit(cache));
		break;
	case 2:
		EXPECT_EQ(kc_cache_resize(cache, least_bytes + below(least_bytes / 2)), 0);
		break;
	case 3:
		if (!below(10))
			flush();
		break;
	case 4:
	case 5:
		kc_expire_pass(&cache->expire);
		break;
	case 6:
		shim_run_work();
		break;
	case 7:
	case 8:
	case 9:
		shim_clock_advance_ms(below(100));
		break;
	}
}

static void fuzz(u64 least_bytes, u32 longest_value)
{
	const char *times = getenv("KCACHE_STRESS");
	u64 i, nr = 30000 * (times ? strtoull(times, NULL, 0) : 1);

	alarm(nr / 200 + 60);
	set_up(least_bytes, longest_value);
	for (i = 0; i < nr && operate(); i++)
		do_something_else(least_bytes);
	if (!is_lossy)
		EXPECT_EQ(nr_left(), 0);
	else
		EXPECT(nr_left() > 0);
	tear_down();
}

KTAP_TEST(a_cache_that_holds_all_does_what_the_contract_says)
{
	is_lossy = false;
	fuzz(64 * MiB, 70000);
}

KTAP_TEST(a_cache_that_is_too_small_does_what_the_contract_says_with_what_is_left)
{
	is_lossy = true;
	fuzz(MiB, 40000);
}

KTAP_MAIN
