// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_log: reservations, segments, what is dead in them and where they go.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "entry.h"
#include "helpers.h"
#include "log.h"

#define HEADER	((u32)sizeof(struct kcache_entry))
#define CHUNK	(128U << 10)
#define BLOCK	(32U << 10)

struct rig {
	struct kunit *test;
	struct kc_arena arena;
	struct kc_log log;
};

static void rig_exit(void *context)
{
	struct rig *rig = context;

	synchronize_rcu();
	kc_log_exit(&rig->log);
	kc_arena_exit(&rig->arena);
	KUNIT_EXPECT_EQ(rig->test, atomic64_read(&rig->arena.used_bytes), 0);
}

/* 16 MiB in chunks of 128 KiB, in blocks of 32 KiB; the test stays in one lane. */
static struct rig *new_rig(struct kunit *test)
{
	struct rig *rig = kunit_kzalloc(test, sizeof(*rig), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, rig);
	rig->test = test;
	kc_arena_init(&rig->arena, 16 << 20);
	KUNIT_ASSERT_EQ(test, kc_log_init(&rig->log, &rig->arena), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, rig_exit, rig), 0);
	kt_stay_on_cpu(test);
	return rig;
}

/* Reserves, with a new segment if it takes one. Enters an RCU read section in any case. */
static int reserve(struct rig *rig, u32 key_len, u32 value_len, struct kc_room *room)
	__acquires(RCU)
{
	u32 size = kcache_entry_size(key_len, value_len), whole = HEADER + key_len;
	int err = 0;

	rcu_read_lock();
	while (!err && !kc_log_reserve_rcu(&rig->log, size, whole, room)) {
		rcu_read_unlock();
		mutex_lock(&rig->arena.mutex);
		err = min(kc_log_refill_locked(&rig->log, size, whole, U32_MAX), 0);
		mutex_unlock(&rig->arena.mutex);
		rcu_read_lock();
	}
	return err;
}

/* Writes the header of an entry, and @id where its version is. */
static void write(struct rig *rig, const struct kc_room *room, u32 key_len, u32 value_len, u32 id)
{
	struct kcache_entry *entry = kc_arena_ptr(&rig->arena, KCACHE_SEGMENTS, room->offset,
						  HEADER);

	entry->value_len = value_len;
	entry->key_len = key_len;
	kc_entry_set_version(entry, id);
}

static int append(struct rig *rig, u32 key_len, u32 value_len, u32 id, struct kc_room *room)
{
	int err = reserve(rig, key_len, value_len, room);

	if (!err) {
		write(rig, room, key_len, value_len, id);
		kc_log_commit(&rig->log, room);
	}
	rcu_read_unlock();
	return err;
}

static int open_run(struct rig *rig, u32 size, struct kc_room *room)
{
	int err;

	mutex_lock(&rig->arena.mutex);
	err = kc_log_open_run_locked(&rig->log, size, room);
	mutex_unlock(&rig->arena.mutex);
	return err;
}

static void kill(struct rig *rig, const struct kc_room *room)
{
	rcu_read_lock();
	kc_log_kill_rcu(&rig->log, room->offset, room->size);
	rcu_read_unlock();
}

static void seal_all(struct rig *rig)
{
	mutex_lock(&rig->arena.mutex);
	kc_log_seal_lanes_locked(&rig->log);
	mutex_unlock(&rig->arena.mutex);
}

static struct kc_segment *oldest(struct rig *rig)
{
	struct kc_segment *segment;

	mutex_lock(&rig->arena.mutex);
	segment = kc_log_oldest_locked(&rig->log, KC_SMALL);
	mutex_unlock(&rig->arena.mutex);
	return segment;
}

static struct kc_segment *next_dead(struct rig *rig)
{
	struct kc_segment *segment;

	mutex_lock(&rig->arena.mutex);
	segment = kc_log_next_dead_locked(&rig->log);
	mutex_unlock(&rig->arena.mutex);
	return segment;
}

static struct kc_log_bytes count(struct rig *rig)
{
	struct kc_log_bytes bytes;

	mutex_lock(&rig->arena.mutex);
	kc_log_count_locked(&rig->log, &bytes);
	mutex_unlock(&rig->arena.mutex);
	return bytes;
}

static u64 used(struct rig *rig)
{
	return atomic64_read(&rig->arena.used_bytes);
}

/* Walks all sealed segments; a bit in @met for each id. Returns the bytes of the entries. */
static u64 walk(struct rig *rig, unsigned long *met, u32 *nr)
{
	struct kc_segment *segment;
	struct kcache_entry *entry;
	u64 offset, bytes = 0;

	*nr = 0;
	mutex_lock(&rig->arena.mutex);
	list_for_each_entry(segment, &rig->log.queue[KC_SMALL], link) {
		struct kc_log_cursor cursor = { 0 };

		kc_log_wait_readable(segment);
		while ((entry = kc_log_walk_rcu(&rig->log, segment, &cursor, &offset))) {
			bytes += kcache_entry_size(entry->key_len, entry->value_len);
			__set_bit(kc_entry_version(entry), met);
			++*nr;
		}
	}
	mutex_unlock(&rig->arena.mutex);
	return bytes;
}

static void header_and_key_never_cross_a_block(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	unsigned long *met = kunit_kcalloc(test, BITS_TO_LONGS(4000), sizeof(long), GFP_KERNEL);
	struct rnd_state rnd;
	struct kc_room room;
	u64 bytes = 0;
	u32 id, nr;

	prandom_seed_state(&rnd, 3);
	for (id = 0; id < 4000; id++) {
		/* Keys of all lengths, so that there are gaps of all sizes. */
		u32 key_len = 1 + prandom_u32_state(&rnd) % KCACHE_KEY_MAX;
		u32 value_len = prandom_u32_state(&rnd) % 500;

		KUNIT_ASSERT_EQ(test, append(rig, key_len, value_len, id, &room), 0);
		KUNIT_ASSERT_LE(test, room.offset % BLOCK + HEADER + key_len, BLOCK);
		KUNIT_ASSERT_EQ(test, room.offset % KCACHE_ALIGN, 0);
		KUNIT_ASSERT_GE(test, room.offset, CHUNK);	/* nothing lies at 0 */
		bytes += room.size;
	}
	KUNIT_EXPECT_EQ(test, count(rig).used - count(rig).dead, bytes);
	seal_all(rig);
	KUNIT_EXPECT_EQ(test, walk(rig, met, &nr), bytes);
	KUNIT_EXPECT_EQ(test, nr, 4000);
	KUNIT_EXPECT_EQ(test, bitmap_weight(met, 4000), 4000);
	KUNIT_EXPECT_EQ(test, count(rig).used - count(rig).dead, bytes);
}

/* An entry that ends @left bytes before the end of the first block, and one that needs more. */
static void expect_gap(struct kunit *test, u32 left)
{
	struct rig *rig = new_rig(test);
	struct kc_room first, second;
	unsigned long met[1] = { 0 };
	u32 nr;

	KUNIT_ASSERT_EQ(test, append(rig, 4, BLOCK - HEADER - 4 - left, 1, &first), 0);
	KUNIT_ASSERT_EQ(test, append(rig, left + 1, 0, 2, &second), 0);
	KUNIT_EXPECT_EQ(test, second.offset, first.offset + BLOCK);
	KUNIT_EXPECT_EQ(test, count(rig).dead, left);
	seal_all(rig);
	KUNIT_EXPECT_EQ(test, walk(rig, met, &nr), first.size + second.size);
	KUNIT_EXPECT_EQ(test, nr, 2);
	KUNIT_EXPECT_EQ(test, met[0], 6);
	kill(rig, &first);
	KUNIT_EXPECT_NULL(test, next_dead(rig));
	kill(rig, &second);
	KUNIT_EXPECT_NOT_NULL(test, next_dead(rig));	/* gaps are dead, too */
}

static void gaps_at_block_borders_are_dead_and_walked_over(struct kunit *test)
{
	u32 left;

	for (left = 0; left <= 2 * HEADER; left += KCACHE_ALIGN)
		expect_gap(test, left);
}

static void entry_that_fills_a_chunk_is_no_run(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	struct kc_room room;

	KUNIT_EXPECT_FALSE(test, kc_log_is_large(&rig->log, CHUNK));
	KUNIT_EXPECT_TRUE(test, kc_log_is_large(&rig->log, CHUNK + KCACHE_ALIGN));
	KUNIT_ASSERT_EQ(test, append(rig, 4, 100, 1, &room), 0);
	KUNIT_ASSERT_EQ(test, append(rig, 4, CHUNK - HEADER - 4, 2, &room), 0);
	KUNIT_EXPECT_EQ(test, room.size, CHUNK);
	KUNIT_EXPECT_EQ(test, room.offset % CHUNK, 0);
	KUNIT_EXPECT_EQ(test, count(rig).segments, 2);
	seal_all(rig);
	kill(rig, &room);
	KUNIT_EXPECT_PTR_EQ(test, next_dead(rig), room.segment);
}

static void last_reservation_is_taken_back_and_an_earlier_one_becomes_a_filler(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	unsigned long met[1] = { 0 };
	struct kc_room a, b, c;
	bool is_reserved;
	u32 nr;

	KUNIT_ASSERT_EQ(test, reserve(rig, 4, 40, &a), 0);
	kc_log_abandon(&rig->log, &a);
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, count(rig).used, 0);

	KUNIT_ASSERT_EQ(test, reserve(rig, 4, 60, &b), 0);
	is_reserved = kc_log_reserve_rcu(&rig->log, 40, HEADER + 4, &c);
	kc_log_abandon(&rig->log, &b);
	if (is_reserved) {
		write(rig, &c, 4, 16, 5);
		kc_log_commit(&rig->log, &c);
	}
	rcu_read_unlock();
	KUNIT_ASSERT_TRUE(test, is_reserved);
	KUNIT_EXPECT_EQ(test, b.offset, a.offset);
	KUNIT_EXPECT_EQ(test, count(rig).dead, b.size);
	seal_all(rig);
	KUNIT_EXPECT_EQ(test, walk(rig, met, &nr), c.size);
	KUNIT_EXPECT_EQ(test, met[0], 1 << 5);
}

static void reservation_given_up_after_the_seal_is_dead(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	struct kc_room room;
	u32 nr;

	KUNIT_ASSERT_EQ(test, reserve(rig, 4, 40, &room), 0);
	rcu_read_unlock();	/* nobody else is here: the memory stays */
	seal_all(rig);
	KUNIT_EXPECT_NULL(test, next_dead(rig));
	rcu_read_lock();
	kc_log_abandon(&rig->log, &room);
	rcu_read_unlock();
	KUNIT_EXPECT_PTR_EQ(test, next_dead(rig), room.segment);
	KUNIT_EXPECT_EQ(test, walk(rig, NULL, &nr), 0);
}

static void wholly_dead_segment_is_told_once_whether_killed_or_sealed_last(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	struct kc_room a, b;

	KUNIT_ASSERT_EQ(test, append(rig, 4, 10, 1, &a), 0);
	KUNIT_ASSERT_EQ(test, append(rig, 4, 10, 2, &b), 0);
	kill(rig, &b);
	kill(rig, &a);
	KUNIT_EXPECT_NULL(test, next_dead(rig));
	seal_all(rig);
	KUNIT_EXPECT_PTR_EQ(test, next_dead(rig), a.segment);
	KUNIT_EXPECT_NULL(test, next_dead(rig));

	KUNIT_ASSERT_EQ(test, append(rig, 4, 10, 3, &a), 0);
	seal_all(rig);
	KUNIT_EXPECT_NULL(test, next_dead(rig));
	kill(rig, &a);
	KUNIT_EXPECT_PTR_EQ(test, next_dead(rig), a.segment);
	KUNIT_EXPECT_NULL(test, next_dead(rig));
	/* A segment that nobody ever wrote to is dead when it is sealed. */
	KUNIT_ASSERT_EQ(test, reserve(rig, 4, 10, &a), 0);
	kc_log_abandon(&rig->log, &a);
	rcu_read_unlock();
	seal_all(rig);
	KUNIT_EXPECT_PTR_EQ(test, next_dead(rig), a.segment);
}

static void segments_are_oldest_first(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	struct kc_segment *segments[4];
	struct kc_room room;
	int i;

	KUNIT_EXPECT_NULL(test, oldest(rig));
	for (i = 0; i < 4; i++) {
		KUNIT_ASSERT_EQ(test, append(rig, 4, CHUNK / 2, i, &room), 0);
		segments[i] = room.segment;
		if (i)
			KUNIT_EXPECT_GT(test, room.segment->opened, segments[i - 1]->opened);
		KUNIT_EXPECT_PTR_EQ(test, oldest(rig), i ? segments[0] : NULL);
	}
	mutex_lock(&rig->arena.mutex);
	kc_log_pool_locked(&rig->log, segments[0]);
	mutex_unlock(&rig->arena.mutex);
	KUNIT_EXPECT_PTR_EQ(test, oldest(rig), segments[1]);
}

static void pooled_memory_is_used_again_and_dropped_memory_goes_back(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	struct kc_segment *pooled;
	struct kc_room room;
	u64 with_one;

	KUNIT_ASSERT_EQ(test, append(rig, 4, 100, 1, &room), 0);
	with_one = used(rig);
	seal_all(rig);
	kill(rig, &room);
	pooled = next_dead(rig);
	mutex_lock(&rig->arena.mutex);
	kc_log_pool_locked(&rig->log, pooled);
	mutex_unlock(&rig->arena.mutex);
	KUNIT_EXPECT_EQ(test, count(rig).pooled, CHUNK);
	KUNIT_EXPECT_EQ(test, used(rig), with_one);

	KUNIT_ASSERT_EQ(test, append(rig, 4, 100, 2, &room), 0);
	KUNIT_EXPECT_PTR_EQ(test, room.segment, pooled);
	KUNIT_EXPECT_EQ(test, count(rig).used, room.size);
	KUNIT_EXPECT_EQ(test, count(rig).dead, 0);
	KUNIT_EXPECT_EQ(test, used(rig), with_one);

	seal_all(rig);
	kill(rig, &room);
	mutex_lock(&rig->arena.mutex);
	KUNIT_EXPECT_FALSE(test, kc_log_drop_pool_locked(&rig->log, 0));
	kc_log_pool_locked(&rig->log, kc_log_next_dead_locked(&rig->log));
	KUNIT_EXPECT_TRUE(test, kc_log_drop_pool_locked(&rig->log, 0));
	mutex_unlock(&rig->arena.mutex);
	KUNIT_EXPECT_TRUE(test, kc_log_reap(&rig->log));
	KUNIT_EXPECT_EQ(test, used(rig), with_one - CHUNK - sizeof(struct kc_segment));
}

static void run_takes_consecutive_chunks_and_goes_as_one(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	u32 size = 3 * CHUNK + 100, nr;
	unsigned long met[1] = { 0 };
	struct kc_room small, run;
	struct kc_segment *dead;
	u64 before;

	KUNIT_ASSERT_EQ(test, append(rig, 4, 100, 1, &small), 0);
	mutex_lock(&rig->arena.mutex);
	KUNIT_ASSERT_EQ(test, kc_dir_grow_locked(&rig->arena, &rig->arena.dir[KCACHE_SEGMENTS],
						 100), 0);
	mutex_unlock(&rig->arena.mutex);
	before = used(rig);
	KUNIT_ASSERT_EQ(test, open_run(rig, size, &run), 0);
	KUNIT_EXPECT_EQ(test, used(rig), before + 3 * CHUNK + kc_block_size(&rig->arena) +
			sizeof(struct kc_segment));
	KUNIT_EXPECT_EQ(test, run.offset % CHUNK, 0);
	rcu_read_lock();
	write(rig, &run, 4, size - HEADER - 4, 2);
	kc_log_commit(&rig->log, &run);
	rcu_read_unlock();
	KUNIT_EXPECT_PTR_EQ(test, oldest(rig), run.segment);
	seal_all(rig);
	KUNIT_EXPECT_EQ(test, walk(rig, met, &nr), size + small.size);
	KUNIT_EXPECT_EQ(test, met[0], 6);

	kill(rig, &run);
	dead = next_dead(rig);
	KUNIT_EXPECT_PTR_EQ(test, dead, run.segment);
	mutex_lock(&rig->arena.mutex);
	kc_log_pool_locked(&rig->log, dead);
	mutex_unlock(&rig->arena.mutex);
	KUNIT_EXPECT_TRUE(test, kc_log_reap(&rig->log));
	KUNIT_EXPECT_EQ(test, count(rig).pooled, 0);
	KUNIT_EXPECT_EQ(test, used(rig), before);
}

static void abandoned_run_is_dead(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	struct kc_room run;

	KUNIT_ASSERT_EQ(test, open_run(rig, 2 * CHUNK, &run), 0);
	rcu_read_lock();
	kc_log_abandon(&rig->log, &run);
	rcu_read_unlock();
	KUNIT_EXPECT_PTR_EQ(test, next_dead(rig), run.segment);
}

static void log_over_the_limit_is_enospc_and_leaves_the_account(struct kunit *test)
{
	struct rig *rig = new_rig(test);
	struct kc_room room;
	u64 before;
	int nr = 0;

	while (!append(rig, 4, CHUNK - HEADER - 4, 0, &room))
		nr++;
	KUNIT_EXPECT_GE(test, nr, 120);		/* of 128 chunks that would be 16 MiB */
	KUNIT_EXPECT_LT(test, nr, 128);
	before = used(rig);
	KUNIT_EXPECT_EQ(test, open_run(rig, 2 * CHUNK, &room), -ENOSPC);
	mutex_lock(&rig->arena.mutex);
	KUNIT_EXPECT_EQ(test, kc_log_refill_locked(&rig->log, CHUNK, HEADER + 4, U32_MAX),
			-ENOSPC);
	mutex_unlock(&rig->arena.mutex);
	KUNIT_EXPECT_EQ(test, used(rig), before);
}

static void earliest_expiry_of_a_segment_is_noted(struct kunit *test)
{
	static const u64 expiries[] = { 0, 500, 700, 300, 0, 301 };
	static const u64 noted[] = { U64_MAX, 500, 500, 300, 300, 300 };
	struct rig *rig = new_rig(test);
	struct kc_room room;
	int i;

	KUNIT_ASSERT_EQ(test, append(rig, 4, 100, 1, &room), 0);
	for (i = 0; i < ARRAY_SIZE(expiries); i++) {
		rcu_read_lock();
		kc_log_note_expiry_rcu(&rig->log, room.offset, expiries[i]);
		rcu_read_unlock();
		KUNIT_EXPECT_EQ(test, room.segment->next_expiry_ms, noted[i]);
	}
}

/* -------- threads -------- */

#define APPENDERS	3
#define APPENDS		4000

struct room_of {
	struct rig *rig;
	struct kc_room *rooms;	/* by id, size 0: given up */
};

static int append_many(struct kt_hand *hand)
{
	struct room_of *room_of = hand->arg;
	struct rig *rig = room_of->rig;
	u32 i;
	int err;

	for (i = 0; i < APPENDS; i++) {
		u32 id = hand->id * APPENDS + i;
		struct kc_room *room = &room_of->rooms[id];
		u32 key_len = 1 + kt_random(hand, 60), value_len = kt_random(hand, 300);

		err = reserve(rig, key_len, value_len, room);
		if (!err && i % 7) {
			write(rig, room, key_len, value_len, id);
			kc_log_commit(&rig->log, room);
		} else if (!err) {
			kc_log_abandon(&rig->log, room);
			room->size = 0;
		}
		rcu_read_unlock();
		if (err)
			return err;
	}
	return 0;
}

static int seal_often(struct kt_hand *hand)
{
	struct room_of *room_of = hand->arg;
	int i;

	kt_be_urgent();
	for (i = 0; i < 30; i++) {
		seal_all(room_of->rig);
		usleep_range(200, 2000);
	}
	return 0;
}

static void concurrent_reservations_are_each_their_own(struct kunit *test)
{
	struct room_of room_of = { .rig = new_rig(test) };
	u32 nr_ids = APPENDERS * APPENDS, id, nr, expected = 0, lost = 0;
	struct kc_segment *dead;
	unsigned long *met;
	u64 bytes = 0;

	room_of.rooms = kunit_kcalloc(test, nr_ids, sizeof(*room_of.rooms), GFP_KERNEL);
	met = kunit_kcalloc(test, BITS_TO_LONGS(nr_ids), sizeof(long), GFP_KERNEL);
	kt_crew(test, &room_of, append_many, append_many, append_many, seal_often);
	seal_all(room_of.rig);
	for (id = 0; id < nr_ids; id++) {
		bytes += room_of.rooms[id].size;
		expected += !!room_of.rooms[id].size;
	}
	KUNIT_EXPECT_EQ(test, walk(room_of.rig, met, &nr), bytes);
	KUNIT_EXPECT_EQ(test, nr, expected);
	KUNIT_EXPECT_EQ(test, bitmap_weight(met, nr_ids), expected);
	KUNIT_EXPECT_EQ(test, count(room_of.rig).used - count(room_of.rig).dead, bytes);

	for (id = 0; id < nr_ids; id++)
		if (room_of.rooms[id].size)
			kill(room_of.rig, &room_of.rooms[id]);
	mutex_lock(&room_of.rig->arena.mutex);
	while ((dead = kc_log_next_dead_locked(&room_of.rig->log)))
		kc_log_pool_locked(&room_of.rig->log, dead);
	lost = !list_empty(&room_of.rig->log.queue[KC_SMALL]);
	mutex_unlock(&room_of.rig->arena.mutex);
	KUNIT_EXPECT_EQ(test, lost, 0);		/* every segment turned out to be dead */
}

static int hold_a_reservation(struct kt_hand *hand)
{
	struct rig *rig = hand->arg;
	struct kc_room room;
	int i;

	for (i = 0; i < 60; i++) {
		if (reserve(rig, 4, 8, &room)) {
			rcu_read_unlock();
			return kt_wrong(hand, "no room");
		}
		mdelay(1);
		write(rig, &room, 4, 8, 9);
		kc_log_commit(&rig->log, &room);
		rcu_read_unlock();
		cond_resched();
	}
	return 0;
}

static int walk_what_is_sealed(struct kt_hand *hand)
{
	struct rig *rig = hand->arg;
	struct kc_segment *segment;
	int i;

	kt_be_urgent();
	for (i = 0; i < 30 && !hand->is_wrong; i++) {
		struct kc_log_cursor cursor;
		u64 offset;

		usleep_range(100, 3000);
		mutex_lock(&rig->arena.mutex);
		kc_log_seal_lanes_locked(&rig->log);
		list_for_each_entry(segment, &rig->log.queue[KC_SMALL], link) {
			struct kcache_entry *entry;

			kc_log_wait_readable(segment);
			/* Else a walk of it need not come to an end. */
			entry = kc_arena_ptr(&rig->arena, KCACHE_SEGMENTS,
					     segment->offset, HEADER);
			cursor = (struct kc_log_cursor) { 0 };
			if (segment->end && !entry->key_len) {
				kt_wrong(hand, "an entry was not begun");
				break;
			}
			while ((entry = kc_log_walk_rcu(&rig->log, segment, &cursor, &offset)))
				if (kc_entry_version(entry) != 9)
					kt_wrong(hand, "an entry was not complete");
			if (cursor.position != segment->end)
				kt_wrong(hand, "the walk stopped at %u of %u", cursor.position,
					 segment->end);
		}
		mutex_unlock(&rig->arena.mutex);
	}
	return 0;
}

static void walk_waits_for_the_reservations_in_a_segment(struct kunit *test)
{
	kt_crew(test, new_rig(test), hold_a_reservation, walk_what_is_sealed, hold_a_reservation);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(header_and_key_never_cross_a_block),
	KUNIT_CASE(gaps_at_block_borders_are_dead_and_walked_over),
	KUNIT_CASE(entry_that_fills_a_chunk_is_no_run),
	KUNIT_CASE(last_reservation_is_taken_back_and_an_earlier_one_becomes_a_filler),
	KUNIT_CASE(reservation_given_up_after_the_seal_is_dead),
	KUNIT_CASE(wholly_dead_segment_is_told_once_whether_killed_or_sealed_last),
	KUNIT_CASE(segments_are_oldest_first),
	KUNIT_CASE(pooled_memory_is_used_again_and_dropped_memory_goes_back),
	KUNIT_CASE(run_takes_consecutive_chunks_and_goes_as_one),
	KUNIT_CASE(abandoned_run_is_dead),
	KUNIT_CASE(log_over_the_limit_is_enospc_and_leaves_the_account),
	KUNIT_CASE(earliest_expiry_of_a_segment_is_noted),
	KUNIT_CASE(concurrent_reservations_are_each_their_own),
	KUNIT_CASE(walk_waits_for_the_reservations_in_a_segment),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_log",
	.test_cases = cases,
};

kunit_test_suite(suite);
