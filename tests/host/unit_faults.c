// SPDX-License-Identifier: GPL-2.0
/* Buffers that are not in memory, and memory that is not to be had. */
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "audit.h"
#include "fixture.h"
#include "ktap.h"

#define LEN	20000U		/* more than two blocks of the smallest cache */

static u8 old_value[LEN], buffer[LEN + 1];

/* -------- page faults -------- */

/* The operations that have a buffer, with what they are to give where "k" is @len of fill 1. */
static const struct {
	u32 opcode, flags;
	bool is_out;
} buffers[] = {
	{ KCACHE_OP_GET, 0, true },
	{ KCACHE_OP_GET, KCACHE_TOUCH, true },
	{ KCACHE_OP_POP, 0, true },
	{ KCACHE_OP_SET, KCACHE_RETURN_OLD, true },
	{ KCACHE_OP_SET, 0, false },
	{ KCACHE_OP_SET, KCACHE_IF_PRESENT, false },
	{ KCACHE_OP_APPEND, 0, false },
	{ KCACHE_OP_PREPEND, 0, false },
};

static struct kcache_op op_with_buffer(u32 which, u32 len)
{
	struct kcache_op op = op_on(buffers[which].opcode, "k");

	op.flags = buffers[which].flags;
	if (buffers[which].is_out) {
		memset(buffer, 0, sizeof(buffer));
		OUT(&op, buffer, len);
		VALUE(&op, "new", buffers[which].opcode == KCACHE_OP_SET ? 3 : 0);
	} else {
		fill(buffer, len, 2);
		VALUE(&op, buffer, len);
	}
	return op;
}

/* Is the cache as the operation, done whole or not at all, has to leave it? */
static void check_done(u32 which, u32 len, int err)
{
	static u8 now[2 * LEN];
	u32 opcode = buffers[which].opcode;
	s64 got;

	shim_user_clear();
	got = get_bytes(cache, "k", 1, now, sizeof(now));
	if (!err && buffers[which].is_out)
		EXPECT(is_filled(buffer, len, 1));
	if (err || opcode == KCACHE_OP_GET)
		EXPECT(got == len && is_filled(now, len, 1));
	else if (opcode == KCACHE_OP_POP)
		EXPECT_EQ(got, -ENOENT);
	else if (opcode == KCACHE_OP_SET && buffers[which].is_out)
		EXPECT(got == 3 && !memcmp(now, "new", 3));
	else if (opcode == KCACHE_OP_SET)
		EXPECT(got == len && is_filled(now, len, 2));
	else if (opcode == KCACHE_OP_APPEND)
		EXPECT(got == 2 * len && is_filled(now, len, 1) && is_filled(now + len, len, 2));
	else
		EXPECT(got == 2 * len && is_filled(now, len, 2) && is_filled(now + len, len, 1));
	EXPECT(audit(cache));
}

/* Each kind of absence, at each place of the buffer, for each operation and some lengths. */
static void fault_everywhere(enum shim_mark mark, int (*expected)(u32 which))
{
	static const u32 lens[] = { 1, 7, 100, 5000, LEN / 2 };
	u32 which, l, place;

	start(MiB);
	for (which = 0; which < ARRAY_SIZE(buffers); which++) {
		for (l = 0; l < ARRAY_SIZE(lens); l++) {
			u32 len = lens[l], places[] = { 0, len / 2, len - 1 };

			for (place = 0; place < 3; place++) {
				struct kcache_op op;
				u64 faults = count_of(cache, KC_STAT_faults);
				int err;

				fill(old_value, len, 1);
				ASSERT_EQ(set_bytes(cache, "k", 1, old_value, len), 0);
				op = op_with_buffer(which, len);
				shim_user_mark(buffer + places[place], 1, mark);
				err = run_op(cache, &op);
				if (!EXPECT_EQ(err, expected(which)))
					FAIL("operation %u, length %u, place %u", which, len,
					     place);
				EXPECT(count_of(cache, KC_STAT_faults) > faults);
				check_done(which, len, err);
			}
		}
	}
	stop();
}

static int succeeds(u32 which)
{
	return 0;
}

static int is_efault(u32 which)
{
	return -EFAULT;
}

/* What is brought in and gone again at once can be read then, but not written later. */
static int is_efault_if_out(u32 which)
{
	return buffers[which].is_out ? -EFAULT : 0;
}

KTAP_TEST(a_buffer_that_is_not_in_memory_is_brought_in)
{
	fault_everywhere(SHIM_ABSENT, succeeds);
}

KTAP_TEST(a_buffer_that_is_not_there_is_efault_and_changes_nothing)
{
	fault_everywhere(SHIM_UNMAPPED, is_efault);
}

KTAP_TEST(a_buffer_that_never_stays_does_not_keep_an_operation_for_ever)
{
	fault_everywhere(SHIM_FLEETING, is_efault_if_out);
}

KTAP_TEST(a_buffer_is_used_no_further_than_the_value)
{
	char out[16];
	struct kcache_op op = op_on(KCACHE_OP_GET, "k");

	start(MiB);
	EXPECT_EQ(set(cache, "k", "value"), 0);
	shim_user_mark(out + 5, 11, SHIM_UNMAPPED);
	OUT(&op, out, 16);
	EXPECT_EQ(run_op(cache, &op), 0);
	shim_user_clear();
	/* Not even looked at where nothing is to be copied. */
	shim_user_mark(out, 16, SHIM_UNMAPPED);
	OUT(&op, out, 4);
	EXPECT_EQ(run_op(cache, &op), -EMSGSIZE);
	OUT(&op, out, 16);
	op.opcode = KCACHE_OP_STAT;
	EXPECT_EQ(run_op(cache, &op), 0);
	op = op_on(KCACHE_OP_SET, "k");
	VALUE(&op, out, 16);
	op.flags = KCACHE_IF_ABSENT;
	EXPECT_EQ(run_op(cache, &op), -EEXIST);
	EXPECT_EQ(shim_user_faults(), 0);
	shim_user_clear();
	stop();
}

KTAP_TEST(a_killed_caller_is_not_kept_by_its_faults)
{
	struct kcache_op op;

	start(MiB);
	fill(old_value, 100, 1);
	EXPECT_EQ(set_bytes(cache, "k", 1, old_value, 100), 0);
	op = op_with_buffer(0, 100);
	shim_user_mark(buffer, 1, SHIM_FLEETING);
	shim_kill(true);
	EXPECT_EQ(run_op(cache, &op), -EINTR);
	shim_kill(false);
	check_done(0, 100, -EINTR);
	stop();
}

/* -------- while a page is brought in, others have their turn -------- */

static bool is_audited;

static void audit_in_fault(void *arg)
{
	is_audited = audit_contents(cache);
}

KTAP_TEST(nothing_is_held_over_a_page_fault)
{
	u32 which;

	for (which = 0; which < ARRAY_SIZE(buffers); which++) {
		struct kcache_op op;

		start(MiB);
		fill(old_value, 9000, 1);
		ASSERT_EQ(set_bytes(cache, "k", 1, old_value, 9000), 0);
		op = op_with_buffer(which, 9000);
		shim_user_mark(buffer + 8500, 10, SHIM_ABSENT);
		is_audited = false;
		shim_hook(SHIM_AT_FAULT, 1, audit_in_fault, NULL);
		EXPECT_EQ(run_op(cache, &op), 0);
		EXPECT(is_audited);
		check_done(which, 9000, 0);
		stop();
	}
}

static void flush_in_fault(void *arg)
{
	EXPECT_EQ(kc_cache_flush(cache), 0);
}

KTAP_TEST(an_entry_that_goes_during_a_fault_is_gone)
{
	u32 which;

	for (which = 0; which < ARRAY_SIZE(buffers); which++) {
		u32 opcode = buffers[which].opcode;
		struct kcache_op op;
		int err;

		start(MiB);
		fill(old_value, 9000, 1);
		ASSERT_EQ(set_bytes(cache, "k", 1, old_value, 9000), 0);
		op = op_with_buffer(which, 9000);
		shim_user_mark(buffer + 8500, 10, SHIM_ABSENT);
		shim_hook(SHIM_AT_FAULT, 1, flush_in_fault, NULL);
		err = run_op(cache, &op);
		EXPECT_EQ(shim_hook_calls(SHIM_AT_FAULT), 1);
		shim_user_clear();
		if (opcode == KCACHE_OP_SET && !(op.flags & KCACHE_IF_PRESENT)) {
			EXPECT_EQ(err, 0);
			EXPECT_EQ(entries(cache), 1);
			if (op.flags & KCACHE_RETURN_OLD)
				EXPECT_EQ(op.out_len, KCACHE_ABSENT);
		} else {
			EXPECT_EQ(err, -ENOENT);
			EXPECT_EQ(entries(cache), 0);
		}
		EXPECT(audit(cache));
		stop();
	}
}

static void set_in_fault(void *arg)
{
	static u8 newer[9000];

	fill(newer, 8000, 9);
	EXPECT_EQ(set_bytes(cache, "k", 1, newer, 8000), 0);
}

KTAP_TEST(an_entry_that_changes_during_a_fault_counts_as_it_is_then)
{
	static u8 now[2 * LEN];
	u32 which;

	for (which = 0; which < ARRAY_SIZE(buffers); which++) {
		u32 opcode = buffers[which].opcode;
		struct kcache_op op;
		s64 got;

		start(MiB);
		fill(old_value, 9000, 1);
		ASSERT_EQ(set_bytes(cache, "k", 1, old_value, 9000), 0);
		op = op_with_buffer(which, 9000);
		shim_user_mark(buffer + 8500, 10, SHIM_ABSENT);
		shim_hook(SHIM_AT_FAULT, 1, set_in_fault, NULL);
		EXPECT_EQ(run_op(cache, &op), 0);
		EXPECT_EQ(shim_hook_calls(SHIM_AT_FAULT), 1);
		shim_user_clear();
		got = get_bytes(cache, "k", 1, now, sizeof(now));
		if (buffers[which].is_out)
			EXPECT(op.out_len == 8000 && is_filled(buffer, 8000, 9));
		if (opcode == KCACHE_OP_APPEND)
			EXPECT(got == 17000 && is_filled(now, 8000, 9) &&
			       is_filled(now + 8000, 9000, 2));
		if (opcode == KCACHE_OP_PREPEND)
			EXPECT(got == 17000 && is_filled(now, 9000, 2) &&
			       is_filled(now + 9000, 8000, 9));
		if (opcode == KCACHE_OP_GET)
			EXPECT(got == 8000 && is_filled(now, 8000, 9));
		EXPECT(audit(cache));
		stop();
	}
}

/* -------- allocations that fail -------- */

static u32 next_key;

static int set_next(u32 len)
{
	next_key++;
	fill(buffer, len, next_key);
	return set_bytes(cache, &next_key, sizeof(next_key), buffer, len);
}

static int first_set(void)
{
	return set_next(10);
}

static void nothing(void)
{
}

/* Bytes that are left in the lane of CPU 0, which has been opened. */
static u32 room_left(void)
{
	struct kc_segment *segment;
	u32 left;

	rcu_read_lock();
	segment = rcu_dereference(cache->log.lane[0].segment);
	left = kc_chunk_size(&cache->arena) - atomic_read(&segment->head);
	rcu_read_unlock();
	return left;
}

/* Segments with the lane's at its end. */
static void fill_lane(void)
{
	int i;

	for (i = 0; i < 50; i++)
		ASSERT_EQ(set_next(1000), 0);
	while (room_left() >= 1100)
		ASSERT_EQ(set_next(1000), 0);
	while (room_left() >= 24)
		ASSERT_EQ(set_next(0), 0);
}

static int set_to_new_segment(void)
{
	return set_next(3000);
}

static int set_run(void)
{
	return set_next(LEN);
}

/* Chains so full that entries come that need an overflow bucket. */
static void fill_chains(void)
{
	while (!cache->table.nr_overflow && kc_table_wants_split(&cache->table) == false &&
	       count_of(cache, KC_STAT_sets) < 200)
		ASSERT_EQ(set_next(8), 0);
}

static int set_many(void)
{
	int i, err = 0;

	for (i = 0; i < 600 && !err; i++)
		err = set_next(8);
	return err;
}

static int set_with_fault(void)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "k");
	int err;

	VALUE(&op, buffer, 5000);
	shim_user_mark(buffer + 4000, 1, SHIM_ABSENT);
	err = run_op(cache, &op);
	shim_user_clear();
	return err;
}

static void store_k(void)
{
	fill_lane();
	EXPECT_EQ(set(cache, "k", "7"), 0);
	while (room_left() >= 24)
		ASSERT_EQ(set_next(0), 0);
}

static int append_to_run(void)
{
	struct kcache_op op = op_on(KCACHE_OP_APPEND, "k");

	VALUE(&op, buffer, LEN);
	return run_op(cache, &op);
}

static int add_elsewhere(void)
{
	s64 sum;

	return add(cache, "k", 1000000000000, &sum);
}

static int add_initial(void)
{
	struct kcache_op op = op_on(KCACHE_OP_ADD, "new");

	op.flags = KCACHE_INITIAL;
	op.version = 77;
	return run_op(cache, &op);
}

static int walk(void)
{
	struct kc_copy copy = { 0 };
	u64 position = 0;
	int err;

	do {
		err = kc_cache_next(cache, &position, &copy);
	} while (err == 1 && position);
	kvfree(copy.data);
	return err < 0 ? err : 0;
}

static void grow_table(void)
{
	EXPECT_EQ(set_many(), 0);
	EXPECT_EQ(set_many(), 0);
}

static int flush(void)
{
	return kc_cache_flush(cache);
}

static int resize_up(void)
{
	return kc_cache_resize(cache, 64 * MiB);
}

static int resize_down(void)
{
	return kc_cache_resize(cache, MiB);
}

static void store_with_ttl(void)
{
	char key[16];
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "e%d", i);
		EXPECT_EQ(set_ttl(cache, key, "value", i % 10 ? 100 : 0), 0);
	}
	shim_clock_advance_ms(100);
}

static int expire(void)
{
	kc_expire_pass(&cache->expire);
	return 0;
}

static const struct {
	const char *name;
	void (*prepare)(void);
	int (*run)(void);
	int err;		/* what it may fail with, 0: it may not */
} scenes[] = {
	{ "first set", nothing, first_set, -ENOSPC },
	{ "first add", nothing, add_initial, -ENOSPC },
	{ "set to a new segment", fill_lane, set_to_new_segment, -ENOSPC },
	{ "set of a run", fill_lane, set_run, -ENOSPC },
	{ "sets to full chains", fill_chains, set_many, -ENOSPC },
	{ "set with a fault", fill_lane, set_with_fault, -ENOSPC },
	{ "append", store_k, append_to_run, -ENOSPC },
	{ "add that outgrows its place", store_k, add_elsewhere, -ENOSPC },
	{ "add of a new key", store_k, add_initial, -ENOSPC },
	{ "walk", store_k, walk, -ENOMEM },
	{ "flush", grow_table, flush, 0 },
	{ "resize up", grow_table, resize_up, -ENOSPC },
	{ "resize down", grow_table, resize_down, 0 },
	{ "expiry pass", store_with_ttl, expire, 0 },
};

/* Fails the first allocation of each scene, the second and so on; alone, or all from there on. */
static void sweep(u64 how_many)
{
	u32 i, nth, hit;
	bool is_gone;
	int err;

	for (i = 0; i < ARRAY_SIZE(scenes); i++) {
		for (nth = 1, hit = 1; hit; nth++) {
			start(2 * MiB);
			next_key = 0;
			scenes[i].prepare();
			shim_fail_allocs(nth, how_many);
			err = scenes[i].run();
			hit = shim_fail_end();
			/* To make room, the key may have been evicted that was to be changed. */
			is_gone = err == -ENOENT && scenes[i].prepare == store_k;
			if (!EXPECT(!err || (hit && (err == scenes[i].err || is_gone))))
				FAIL("%s: %d when allocation %u failed", scenes[i].name, err, nth);
			if (err == -ENOSPC && scenes[i].run != resize_up)
				EXPECT_EQ(count_of(cache, KC_STAT_no_space), 1);
			if (!EXPECT(audit(cache)))
				FAIL("%s: allocation %u failed", scenes[i].name, nth);
			/* And then it works. */
			if (scenes[i].prepare == store_k && stat_error(cache, "k"))
				EXPECT_EQ(set(cache, "k", "7"), 0);
			if (!EXPECT_EQ(scenes[i].run(), 0))
				FAIL("%s: after allocation %u had failed", scenes[i].name, nth);
			stop();
			ASSERT(nth < 2000);
		}
		if (scenes[i].run != flush && scenes[i].run != resize_down)
			EXPECT(nth > 2);	/* it allocates at all */
	}
}

KTAP_TEST(each_allocation_may_fail)
{
	sweep(1);
}

KTAP_TEST(the_system_may_have_no_memory_from_any_point_on)
{
	sweep(~0ULL >> 1);
}

KTAP_TEST(a_cache_that_cannot_be_set_up_leaves_nothing)
{
	struct kc_cache *c;
	u32 nth, hit;
	int err;

	for (nth = 1, hit = 1; hit; nth++) {
		c = calloc(1, sizeof(*c));
		shim_fail_allocs(nth, 1);
		err = kc_cache_init(c, "test", MiB);
		hit = shim_fail_end();
		EXPECT_EQ(err, hit ? -ENOMEM : 0);
		if (!err)
			kc_cache_exit(c);
		EXPECT_EQ(shim_bytes_in_use(), 0);
		free(c);
	}
	EXPECT(nth > 6);
}

/* Unless it was evicted: who asks for room may pay for it. */
KTAP_TEST(what_fails_for_want_of_memory_leaves_its_key_alone)
{
	struct kcache_op before, after;
	int (*runs[])(void) = { set_with_fault, append_to_run };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		start(2 * MiB);
		next_key = 0;
		store_k();
		before = stat_of(cache, "k");
		shim_fail_allocs(1, ~0ULL >> 1);
		EXPECT(runs[i]() < 0);
		EXPECT(shim_fail_end());
		after = stat_of(cache, "k");
		EXPECT(!memcmp(&before, &after, sizeof(before)) ||
		       stat_error(cache, "k") == -ENOENT);
		if (!stat_error(cache, "k"))
			EXPECT(has(cache, "k", "7"));
		stop();
	}
}

KTAP_MAIN
