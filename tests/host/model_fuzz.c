// SPDX-License-Identifier: GPL-2.0
/*
 * Random histories (history.h), long ones. tests/fuzz has those that a fuzzer makes.
 *
 * KCACHE_STRESS=N does N times as many; KCACHE_SEED=N repeats a run exactly.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "history.h"
#include "ktap.h"

static void fuzz(const struct history_of *of)
{
	const char *times = getenv("KCACHE_STRESS"), *given = getenv("KCACHE_SEED");
	u64 seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) * 1000 + getpid();
	u64 i, nr = 30000 * (times ? strtoull(times, NULL, 0) : 1);

	printf("# seed %llu\n", seed);
	alarm(nr / 200 + 60);
	history_begin(of);
	shim_seed(seed);
	for (i = 0; i < nr && EXPECT(history_step()); i++)
		;
	if (of->is_lossy)
		EXPECT(history_nr_left() > 0);
	else
		EXPECT_EQ(history_nr_left(), 0);
	history_end();
}

KTAP_TEST(a_cache_that_holds_all_does_what_the_contract_says)
{
	fuzz(&(struct history_of) {
		.max_bytes = 192 * MiB,	/* for what is dead, too */
		.most_bytes = 256 * MiB,
		.longest = 70000,
		.nr_keys = HISTORY_KEYS,
	});
}

KTAP_TEST(a_cache_that_is_too_small_does_what_the_contract_says_with_what_is_left)
{
	fuzz(&(struct history_of) {
		.max_bytes = MiB,
		.most_bytes = 2 * MiB,
		.longest = 40000,
		.nr_keys = HISTORY_KEYS,
		.is_lossy = true,
	});
}

KTAP_MAIN
