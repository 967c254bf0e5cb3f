// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <pthread.h>

#include <linux/log2.h>
#include <linux/overflow.h>

#include "arena.h"
#include "fixture.h"
#include "ktap.h"

/* The page that tells readers where everything is. */
#define HEADER	PAGE_SIZE

static struct kc_arena arena;

static u64 used(void)
{
	return atomic64_read(&arena.used_bytes);
}

static void begin(u64 max_bytes)
{
	kc_arena_init(&arena, max_bytes);
	mutex_lock(&arena.mutex);
}

static void end(void)
{
	mutex_unlock(&arena.mutex);
	kc_arena_exit(&arena);
	rcu_barrier();
	EXPECT_EQ(used(), 0);
	EXPECT_EQ(shim_bytes_in_use(), 0);
}

static void *at(u64 offset, u32 len)
{
	return kc_arena_ptr(&arena, KCACHE_SEGMENTS, offset, len);
}

/* What the account says is in use, and no more than the limit. */
static void check_account(void)
{
	EXPECT_EQ(used(), shim_bytes_in_use());
	EXPECT(used() <= arena.max_bytes);
}

KTAP_TEST(chunk_and_block_size_follow_the_limit)
{
	static const struct {
		u64 max_bytes;
		u32 chunk, block;
	} cases[] = {
		{ MiB, 8 * KiB, 8 * KiB },
		{ 2 * MiB - 1, 8 * KiB, 8 * KiB },
		{ 4 * MiB, 32 * KiB, 8 * KiB },
		{ 16 * MiB, 128 * KiB, 16 * KiB },
		{ 64 * MiB, 512 * KiB, 32 * KiB },
		{ 100 * MiB, 512 * KiB, 32 * KiB },
		{ 256 * MiB, 2 * MiB, 32 * KiB },
		{ 1ULL << 40, 2 * MiB, 32 * KiB },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kc_arena_init(&arena, cases[i].max_bytes);
		EXPECT_EQ(kc_chunk_size(&arena), cases[i].chunk);
		EXPECT_EQ(kc_block_size(&arena), cases[i].block);
		kc_arena_exit(&arena);
	}
}

KTAP_TEST(charging_stops_at_the_limit_to_the_byte)
{
	begin(MiB);
	EXPECT_EQ(kc_arena_charge(&arena, MiB - HEADER + 1), -ENOSPC);
	EXPECT_EQ(kc_arena_charge(&arena, MiB - HEADER), 0);
	EXPECT_EQ(kc_arena_charge(&arena, 1), -ENOSPC);
	EXPECT_EQ(kc_arena_charge(&arena, 0), 0);
	kc_arena_uncharge(&arena, 1);
	EXPECT_EQ(kc_arena_charge(&arena, 1), 0);
	kc_arena_uncharge(&arena, MiB - HEADER);
	end();
}

static void *charge_a_lot(void *granted)
{
	int i;

	for (i = 0; i < 20000; i++)
		if (!kc_arena_charge(&arena, 3))
			*(u64 *)granted += 3;
	return NULL;
}

KTAP_TEST(charges_of_many_threads_never_pass_the_limit)
{
	u64 granted[4] = { 0 };
	pthread_t thread[4];
	int i;

	begin(HEADER + 100000);
	for (i = 0; i < 4; i++)
		ASSERT(!pthread_create(&thread[i], NULL, charge_a_lot, &granted[i]));
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(granted[0] + granted[1] + granted[2] + granted[3], 99999);
	EXPECT_EQ(used(), HEADER + 99999);
	kc_arena_uncharge(&arena, 99999);
	end();
}

KTAP_TEST(populated_memory_is_zeroed_and_accounted)
{
	u32 block, i;

	begin(64 * MiB);
	block = kc_block_size(&arena);
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 3, 5), 0);
	check_account();
	EXPECT_EQ(shim_page_bytes_in_use(), HEADER + 5 * block);
	EXPECT(!at(3 * block - 1, 1));
	EXPECT(!at(8 * block, 1));
	for (i = 3; i < 8; i++) {
		u64 *word = at((u64)i * block, block);

		ASSERT(word);
		EXPECT(!word[0] && !word[block / 8 - 1]);
	}
	EXPECT(!kc_arena_ptr(&arena, KCACHE_BUCKETS, 3 * block, 1));
	end();
}

KTAP_TEST(any_offset_may_be_asked_for)
{
	u32 block;

	begin(MiB);
	block = kc_block_size(&arena);
	EXPECT(!at(0, 1));
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 0, 1), 0);
	EXPECT(at(block - 1, 1));
	EXPECT(!at(block - 1, 2));
	EXPECT(!at(0, block + 1));
	EXPECT(!at(block, 1));
	EXPECT(!at(KCACHE_SEGMENTS_MAX - 1, 1));
	EXPECT(!at(~0ULL, 1));
	end();
}

KTAP_TEST(released_blocks_are_holes_and_their_neighbours_stay)
{
	u32 block;

	begin(64 * MiB);
	block = kc_block_size(&arena);
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 0, 16), 0);
	memset(at(4 * block, block), 1, block);
	memset(at(6 * block, block), 2, block);
	kc_arena_release_locked(&arena, KCACHE_SEGMENTS, 5, 1);
	EXPECT(!at(5 * block, 1));
	EXPECT_EQ(*(u8 *)at(5 * block - 1, 1), 1);
	EXPECT_EQ(*(u8 *)at(6 * block, 1), 2);
	check_account();
	/* Holes are passed over, and memory that comes again is zeroed again. */
	kc_arena_release_locked(&arena, KCACHE_SEGMENTS, 4, 4);
	check_account();
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 4, 4), 0);
	EXPECT_EQ(*(u8 *)at(4 * block, 1), 0);
	check_account();
	end();
}

KTAP_TEST(populating_past_the_limit_changes_nothing)
{
	u64 before;

	begin(MiB);
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 0, 100), 0);
	before = shim_page_bytes_in_use();
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 100, 40), -ENOSPC);
	EXPECT_EQ(shim_page_bytes_in_use(), before);
	EXPECT(!at(100 * kc_block_size(&arena), 1));
	check_account();
	end();
}

KTAP_TEST(a_chunk_comes_as_one_piece_or_else_as_blocks)
{
	u32 block, per_chunk;
	void *first;

	begin(64 * MiB);
	block = kc_block_size(&arena);
	per_chunk = kc_chunk_size(&arena) / block;
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 0, per_chunk), 0);
	first = at(0, block);
	EXPECT_EQ((char *)at((per_chunk - 1) * block, block) - (char *)first,
		  (per_chunk - 1) * block);
	shim_fail_allocs(1, 1);		/* the piece */
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, per_chunk, per_chunk), 0);
	EXPECT(shim_fail_end());
	EXPECT(at((2 * per_chunk - 1) * block, block));
	check_account();
	end();
}

KTAP_TEST(a_system_without_memory_changes_nothing)
{
	int nth, err;

	begin(64 * MiB);
	for (nth = 1; ; nth++) {
		shim_fail_allocs(nth, ~0ULL >> 1);
		err = kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 0, 16);
		if (!shim_fail_end())
			break;
		/* The first, failing alone, is not fatal: it may be the one large piece. */
		EXPECT(err == -ENOSPC || nth > 1);
		check_account();
		EXPECT_EQ(shim_page_bytes_in_use(), HEADER + (err ? 0 : kc_chunk_size(&arena)));
		EXPECT(!at(0, 1) == !!err);
		if (!err)
			kc_arena_release_locked(&arena, KCACHE_SEGMENTS, 0, 16);
	}
	EXPECT_EQ(err, 0);
	EXPECT(nth > 2);
	end();
}

KTAP_TEST(a_directory_grows_and_keeps_its_entries)
{
	struct kc_dir __rcu *dir = NULL;
	struct kc_dir *first;

	begin(MiB);
	EXPECT(!kc_dir_get(&arena, &dir, 0));
	EXPECT_EQ(kc_dir_grow_locked(&arena, &dir, 1), 0);
	first = dir;
	EXPECT(first->nr >= 1);
	WRITE_ONCE(first->ptr[0], &arena);
	EXPECT_EQ(kc_dir_grow_locked(&arena, &dir, first->nr), 0);
	EXPECT(dir == first);
	EXPECT_EQ(kc_dir_grow_locked(&arena, &dir, first->nr + 1), 0);
	EXPECT(dir != first);
	EXPECT(kc_dir_get(&arena, &dir, 0) == &arena);
	EXPECT(!kc_dir_get(&arena, &dir, 1));
	EXPECT(!kc_dir_get(&arena, &dir, ~0ULL));
	check_account();
	/* Over the limit, or without memory: as it was. */
	first = dir;
	EXPECT_EQ(kc_dir_grow_locked(&arena, &dir, MiB / 8), -ENOSPC);
	shim_fail_allocs(1, 1);
	EXPECT_EQ(kc_dir_grow_locked(&arena, &dir, 1000), -ENOSPC);
	EXPECT(shim_fail_end());
	EXPECT(dir == first);
	check_account();
	kc_dir_free(&arena, &dir);
	end();
}

static void *grow_and_wait(void *dir)
{
	mutex_lock(&arena.mutex);
	kc_dir_grow_locked(&arena, dir, 1000);
	mutex_unlock(&arena.mutex);
	synchronize_rcu();
	return NULL;
}

KTAP_TEST(a_reader_may_go_on_with_the_directory_it_has)
{
	struct kc_dir __rcu *dir = NULL;
	struct kc_dir *seen;
	pthread_t thread;

	begin(MiB);
	EXPECT_EQ(kc_dir_grow_locked(&arena, &dir, 10), 0);
	mutex_unlock(&arena.mutex);
	rcu_read_lock();
	seen = rcu_dereference(dir);
	ASSERT(!pthread_create(&thread, NULL, grow_and_wait, &dir));
	while (rcu_access_pointer(dir) == seen)
		usleep(100);
	EXPECT(seen->nr >= 10 && !READ_ONCE(seen->ptr[9]));	/* ASan looks on */
	rcu_read_unlock();
	pthread_join(thread, NULL);
	mutex_lock(&arena.mutex);
	kc_dir_free(&arena, &dir);
	end();
}

/* Copies of all lengths around the borders of blocks, in, within and out. */
KTAP_TEST(copies_go_over_block_borders)
{
	static u8 in[3 * 8192], out[3 * 8192];
	struct kc_buffer b;
	u32 block;
	int len, start_at;

	begin(MiB);
	block = kc_block_size(&arena);
	ASSERT_EQ(block, 8192);
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 0, 8), 0);
	fill(in, sizeof(in), 7);
	for (start_at = (int)block - 2; start_at <= (int)block + 1; start_at++) {
		for (len = 0; len <= 2 * (int)block + 3; len += len < 4 ? 1 : 4093) {
			u64 to = 4 * block + start_at % 3;

			b = kc_buffer_user(in);
			EXPECT_EQ(kc_arena_from_nofault(&arena, start_at, &b, len), 0);
			rcu_read_lock();
			EXPECT_EQ(kc_arena_move(&arena, to, start_at, len), 0);
			b = kc_buffer_user(out);
			EXPECT_EQ(kc_arena_to_nofault(&arena, to, &b, len), 0);
			rcu_read_unlock();
			EXPECT(is_filled(out, len, 7));
		}
	}
	end();
}

KTAP_TEST(copies_out_of_a_hole_ask_for_another_try)
{
	static u8 out[8192];
	struct kc_buffer b;

	begin(MiB);
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 1, 1), 0);
	rcu_read_lock();
	b = kc_buffer_user(out);
	EXPECT_EQ(kc_arena_to_nofault(&arena, 0, &b, 1), -EAGAIN);
	EXPECT_EQ(kc_arena_to_nofault(&arena, 2 * 8192 - 1, &b, 2), -EAGAIN);
	EXPECT_EQ(kc_arena_to_nofault(&arena, KCACHE_SEGMENTS_MAX + 5, &b, 1), -EAGAIN);
	EXPECT_EQ(kc_arena_move(&arena, 8192, 2 * 8192, 1), -EAGAIN);
	rcu_read_unlock();
	end();
}

KTAP_TEST(copies_stop_at_memory_that_is_not_there)
{
	static u8 user[2 * 8192];
	struct kc_buffer b;

	begin(MiB);
	EXPECT_EQ(kc_arena_populate_locked(&arena, KCACHE_SEGMENTS, 0, 4), 0);
	shim_user_mark(user + 9000, 1, SHIM_ABSENT);
	rcu_read_lock();
	b = kc_buffer_user(user);
	EXPECT_EQ(kc_arena_from_nofault(&arena, 0, &b, 9001), -EFAULT);
	b = kc_buffer_user(user);
	EXPECT_EQ(kc_arena_from_nofault(&arena, 0, &b, 9000), 0);
	b = kc_buffer_user(user);
	EXPECT_EQ(kc_arena_to_nofault(&arena, 0, &b, 9001), -EFAULT);
	b = kc_buffer_user(user + 8999);
	EXPECT_EQ(kc_arena_to_nofault(&arena, 0, &b, 2), -EFAULT);
	rcu_read_unlock();
	shim_user_clear();
	end();
}

KTAP_MAIN
