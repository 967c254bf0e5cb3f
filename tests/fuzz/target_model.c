// SPDX-License-Identifier: GPL-2.0
/*
 * The core against a plain map: the bytes are choices in a history (tests/host/history.h),
 * time among them.
 */
#include "choose.h"
#include "fuzz.h"
#include "history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct history_of all = {
		.max_bytes = 4 * MiB, .most_bytes = 8 * MiB, .longest = 2000, .nr_keys = 250,
	}, some = {
		.max_bytes = MiB, .most_bytes = 2 * MiB, .longest = 40000, .nr_keys = 250,
		.is_lossy = true,
	};
	bool is_lossy;

	if (!size)
		return 0;
	choose_from(data, size);
	is_lossy = choose(4);
	history_begin(is_lossy ? &some : &all);
	while (!choose_is_over())
		DEMAND(history_step());
	DEMAND(history_scan());
	if (!is_lossy)
		DEMAND(!history_nr_left());
	history_end();
	return 0;
}
