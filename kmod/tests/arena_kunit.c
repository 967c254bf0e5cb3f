// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_arena: memory in, memory out, and the account of it.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>

#include "arena.h"
#include "helpers.h"

/* The page that tells readers where everything is. */
#define HEADER		PAGE_SIZE
#define MAX_BYTES	(16ULL << 20)	/* chunks of 128 KiB, blocks of 16 KiB */
#define BLOCK		(16U << 10)

struct rig {
	struct kunit *test;
	struct kc_arena arena;
};

static void rig_exit(void *context)
{
	struct rig *rig = context;

	kc_arena_exit(&rig->arena);
	KUNIT_EXPECT_EQ(rig->test, atomic64_read(&rig->arena.used_bytes), 0);
}

static struct kc_arena *new_arena(struct kunit *test, u64 max_bytes)
{
	struct rig *rig = kunit_kzalloc(test, sizeof(*rig), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, rig);
	rig->test = test;
	kc_arena_init(&rig->arena, max_bytes);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, rig_exit, rig), 0);
	return &rig->arena;
}

static u64 used(struct kc_arena *arena)
{
	return atomic64_read(&arena->used_bytes);
}

static int populate(struct kc_arena *arena, u32 first, u32 nr)
{
	int err;

	mutex_lock(&arena->mutex);
	err = kc_arena_populate_locked(arena, KCACHE_SEGMENTS, first, nr);
	mutex_unlock(&arena->mutex);
	return err;
}

static void release(struct kc_arena *arena, u32 first, u32 nr)
{
	mutex_lock(&arena->mutex);
	kc_arena_release_locked(arena, KCACHE_SEGMENTS, first, nr);
	mutex_unlock(&arena->mutex);
}

/* The memory stays, so the pointer may be used outside of the section. */
static void *piece_at(struct kc_arena *arena, u64 offset, u32 len)
{
	void *p;

	rcu_read_lock();
	p = kc_arena_ptr(arena, KCACHE_SEGMENTS, offset, len);
	rcu_read_unlock();
	return p;
}

static void *memory_at(struct kc_arena *arena, u64 offset)
{
	return piece_at(arena, offset, 1);
}

static void chunks_follow_the_limit(struct kunit *test)
{
	static const struct {
		u64 max_bytes;
		u32 chunk, block;
	} cases[] = {
		{ 1ULL << 20,		8 << 10,	8 << 10 },
		{ 3ULL << 20,		16 << 10,	8 << 10 },
		{ 16ULL << 20,		128 << 10,	16 << 10 },
		{ 64ULL << 20,		512 << 10,	32 << 10 },
		{ 256ULL << 20,		2 << 20,	32 << 10 },
		{ 1ULL << 40,		2 << 20,	32 << 10 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kc_arena *arena = new_arena(test, cases[i].max_bytes);

		KUNIT_EXPECT_EQ(test, kc_chunk_size(arena), cases[i].chunk);
		KUNIT_EXPECT_EQ(test, kc_block_size(arena), cases[i].block);
		KUNIT_EXPECT_EQ(test, used(arena), HEADER);
	}
}

static void charge_up_to_the_limit_and_not_over_it(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);

	KUNIT_EXPECT_EQ(test, kc_arena_charge(arena, MAX_BYTES - HEADER + 1), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kc_arena_charge(arena, MAX_BYTES - HEADER - 1), 0);
	KUNIT_EXPECT_EQ(test, kc_arena_charge(arena, 2), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kc_arena_charge(arena, 1), 0);
	KUNIT_EXPECT_EQ(test, used(arena), MAX_BYTES);
	kc_arena_uncharge(arena, MAX_BYTES - HEADER);
}

static int charge_and_uncharge(struct kt_hand *hand)
{
	struct kc_arena *arena = hand->arg;
	u64 mine = 0, step;
	int i;

	for (i = 0; i < 20000; i++) {
		step = 1 + kt_random(hand, MAX_BYTES / 4);
		if (!kc_arena_charge(arena, step))
			mine += step;
		if (used(arena) > MAX_BYTES)
			return kt_wrong(hand, "over the limit");
		if (kt_random(hand, 3) == 0) {
			kc_arena_uncharge(arena, mine);
			mine = 0;
		}
	}
	kc_arena_uncharge(arena, mine);
	return 0;
}

static void concurrent_charges_never_pass_the_limit(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);

	kt_crew(test, arena, charge_and_uncharge, charge_and_uncharge, charge_and_uncharge);
	KUNIT_EXPECT_EQ(test, used(arena), HEADER);
}

static void memory_comes_zeroed_and_in_the_linear_map(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);
	int round, i;

	for (round = 0; round < 3; round++) {
		/* As one piece, as blocks of a piece, as more than a chunk. */
		u32 nr = 1 << (2 * round);

		KUNIT_ASSERT_EQ(test, populate(arena, 5, nr), 0);
		for (i = 0; i < nr; i++) {
			void *block = memory_at(arena, (u64)(5 + i) * BLOCK);

			KUNIT_ASSERT_NOT_NULL(test, block);
			KUNIT_EXPECT_TRUE(test, virt_addr_valid(block));
			KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(block));
			KUNIT_EXPECT_NULL(test, memchr_inv(block, 0, BLOCK));
			memset(block, 0xa5, BLOCK);
		}
		release(arena, 5, nr);
	}
}

static void populate_over_the_limit_leaves_holes_and_the_account(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);
	u64 before;

	KUNIT_ASSERT_EQ(test, populate(arena, 0, 4), 0);
	KUNIT_ASSERT_EQ(test, populate(arena, 1100, 4), 0);	/* the directory has grown */
	before = used(arena);
	KUNIT_EXPECT_EQ(test, populate(arena, 4, MAX_BYTES / BLOCK), -ENOSPC);
	KUNIT_EXPECT_EQ(test, used(arena), before);
	KUNIT_EXPECT_NULL(test, memory_at(arena, 4 * BLOCK));
	release(arena, 0, 1104);	/* holes and all */
	KUNIT_EXPECT_EQ(test, used(arena), before - 8 * BLOCK);
}

static void pointer_is_null_for_a_hole_and_over_the_end_of_a_block(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);

	KUNIT_EXPECT_NULL(test, memory_at(arena, 0));
	KUNIT_ASSERT_EQ(test, populate(arena, 1, 2), 0);
	KUNIT_EXPECT_NULL(test, memory_at(arena, BLOCK - 1));
	KUNIT_EXPECT_NOT_NULL(test, memory_at(arena, BLOCK));
	KUNIT_EXPECT_NOT_NULL(test, memory_at(arena, 3 * BLOCK - 1));
	KUNIT_EXPECT_NULL(test, memory_at(arena, 3 * BLOCK));
	KUNIT_EXPECT_NULL(test, memory_at(arena, KCACHE_SEGMENTS_MAX - KCACHE_ALIGN));
	KUNIT_EXPECT_NOT_NULL(test, piece_at(arena, BLOCK, BLOCK));
	KUNIT_EXPECT_NOT_NULL(test, piece_at(arena, 2 * BLOCK - 20, 20));
	KUNIT_EXPECT_NULL(test, piece_at(arena, 2 * BLOCK - 20, 21));
}

static int read_block_0(struct kt_hand *hand)
{
	struct kc_arena *arena = hand->arg;
	int i;

	for (i = 0; i < 50000; i++) {
		u32 *p;

		rcu_read_lock();
		p = kc_arena_ptr(arena, KCACHE_SEGMENTS, 4, 4);
		if (!p || *p != 0x6b636163)
			kt_wrong(hand, "block 0 is gone");
		rcu_read_unlock();
	}
	return 0;
}

static int grow_directory(struct kt_hand *hand)
{
	struct kc_arena *arena = hand->arg;
	u32 nr;
	int err;

	for (nr = 40; nr < 40000; nr += nr / 16) {
		mutex_lock(&arena->mutex);
		err = kc_dir_grow_locked(arena, &arena->dir[KCACHE_SEGMENTS], nr);
		mutex_unlock(&arena->mutex);
		if (err)
			return err;
	}
	return 0;
}

static void directory_grows_under_readers(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);

	KUNIT_ASSERT_EQ(test, populate(arena, 0, 1), 0);
	*(u32 *)memory_at(arena, 4) = 0x6b636163;
	kt_crew(test, arena, grow_directory, read_block_0, read_block_0);
}

static void copies_run_over_block_borders(struct kunit *test)
{
	static const u32 starts[] = { 0, 1, BLOCK - 1, BLOCK, BLOCK + 7 };
	static const u32 lens[] = { 0, 1, 2, 100, BLOCK - 1, BLOCK, 2 * BLOCK + 3 };
	struct kc_arena *arena = new_arena(test, MAX_BYTES);
	u8 *in = kunit_kmalloc(test, 3 * BLOCK, GFP_KERNEL);
	u8 *out = kunit_kmalloc(test, 3 * BLOCK, GFP_KERNEL);
	struct kc_buffer buffer;
	int i, k, err = 0;

	KUNIT_ASSERT_EQ(test, populate(arena, 0, 10), 0);
	for (i = 0; i < 3 * BLOCK; i++)
		in[i] = i + i / 251;
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		for (k = 0; k < ARRAY_SIZE(lens); k++) {
			u32 from = starts[i], to = 5 * BLOCK + 3 + lens[k] / 2, len = lens[k];

			memset(out, 0, 3 * BLOCK);
			rcu_read_lock();
			buffer = kc_buffer_kernel(in);
			err = err ?: kc_arena_from_nofault(arena, from, &buffer, len);
			err = err ?: kc_arena_move(arena, to, from, len);
			buffer = kc_buffer_kernel(out);
			err = err ?: kc_arena_to_nofault(arena, to, &buffer, len);
			rcu_read_unlock();
			KUNIT_EXPECT_EQ(test, err, 0);
			KUNIT_EXPECT_MEMEQ(test, out, in, len);
		}
	}
}

static void copy_out_of_a_hole_is_eagain(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);
	struct kc_buffer buffer;
	int errs[3];
	u8 out[64];

	KUNIT_ASSERT_EQ(test, populate(arena, 0, 1), 0);
	rcu_read_lock();
	buffer = kc_buffer_kernel(out);
	errs[0] = kc_arena_to_nofault(arena, BLOCK - 32, &buffer, 64);
	errs[1] = kc_arena_move(arena, 0, BLOCK - 32, 64);
	errs[2] = kc_arena_move(arena, 0, KCACHE_SEGMENTS_MAX - 4, 4);
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, errs[0], -EAGAIN);
	KUNIT_EXPECT_EQ(test, errs[1], -EAGAIN);
	KUNIT_EXPECT_EQ(test, errs[2], -EAGAIN);
}

static void copies_of_absent_user_memory_are_efault_and_do_not_sleep(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);
	unsigned long user = kunit_vm_mmap(test, NULL, 0, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE,
					   MAP_ANONYMOUS | MAP_PRIVATE, 0);
	struct kc_buffer buffer;
	int errs[3];

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(user));
	KUNIT_ASSERT_EQ(test, populate(arena, 0, 1), 0);
	KUNIT_ASSERT_EQ(test, put_user(1, (u8 __user *)user), 0);	/* the first page is in */

	rcu_read_lock();
	preempt_disable();
	buffer = kc_buffer_user((void __user *)user);
	errs[0] = kc_arena_from_nofault(arena, 0, &buffer, PAGE_SIZE);
	errs[1] = kc_arena_from_nofault(arena, 0, &buffer, PAGE_SIZE + 1);
	errs[2] = kc_arena_to_nofault(arena, 0, &buffer, 2 * PAGE_SIZE);
	preempt_enable();
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, errs[0], 0);
	KUNIT_EXPECT_EQ(test, errs[1], -EFAULT);
	KUNIT_EXPECT_EQ(test, errs[2], -EFAULT);
}

static void released_memory_is_free_again(struct kunit *test)
{
	struct kc_arena *arena = new_arena(test, MAX_BYTES);
	struct page *pages[256];
	int i, nr_free = 0;

	KUNIT_ASSERT_EQ(test, populate(arena, 0, 256), 0);
	for (i = 0; i < 256; i++) {
		pages[i] = virt_to_page(memory_at(arena, (u64)i * BLOCK + BLOCK / 2));
		KUNIT_EXPECT_EQ(test, page_count(pages[i]), 1);
	}
	release(arena, 0, 256);
	for (i = 0; i < 256; i++)
		nr_free += !page_count(pages[i]);
	KUNIT_EXPECT_GT(test, nr_free, 128);	/* others may have taken some */
}

static struct kunit_case cases[] = {
	KUNIT_CASE(chunks_follow_the_limit),
	KUNIT_CASE(charge_up_to_the_limit_and_not_over_it),
	KUNIT_CASE(concurrent_charges_never_pass_the_limit),
	KUNIT_CASE(memory_comes_zeroed_and_in_the_linear_map),
	KUNIT_CASE(populate_over_the_limit_leaves_holes_and_the_account),
	KUNIT_CASE(pointer_is_null_for_a_hole_and_over_the_end_of_a_block),
	KUNIT_CASE(directory_grows_under_readers),
	KUNIT_CASE(copies_run_over_block_borders),
	KUNIT_CASE(copy_out_of_a_hole_is_eagain),
	KUNIT_CASE(copies_of_absent_user_memory_are_efault_and_do_not_sleep),
	KUNIT_CASE(released_memory_is_free_again),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_arena",
	.test_cases = cases,
};

kunit_test_suite(suite);
