// SPDX-License-Identifier: GPL-2.0
#include <pthread.h>

#include <linux/bitmap.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "fixture.h"
#include "log.h"
#include "ktap.h"

static struct kc_arena arena;
static struct kc_log log_;

#define HEADER	((u32)sizeof(struct kcache_entry))

static void begin(u64 max_bytes)
{
	shim_set_cpu(0);
	kc_arena_init(&arena, max_bytes);
	ASSERT_EQ(kc_log_init(&log_, &arena), 0);
}

static void end(void)
{
	synchronize_rcu();
	kc_log_exit(&log_);
	kc_arena_exit(&arena);
	rcu_barrier();
	EXPECT_EQ(atomic64_read(&arena.used_bytes), 0);
	EXPECT_EQ(shim_bytes_in_use(), 0);
}

static int refill(u32 size, u32 whole)
{
	int err;

	mutex_lock(&arena.mutex);
	err = kc_log_refill_locked(&log_, size, whole, U32_MAX);
	mutex_unlock(&arena.mutex);
	return err < 0 ? err : 0;
}

/* A room of @size bytes, the RCU section of which the caller leaves. */
static struct kc_room reserve_whole(u32 size, u32 whole)
{
	struct kc_room room;

	rcu_read_lock();
	while (!kc_log_reserve_rcu(&log_, size, whole, &room)) {
		rcu_read_unlock();
		ASSERT_EQ(refill(size, whole), 0);
		rcu_read_lock();
	}
	return room;
}

/* Writes an entry whose key is @key, as four bytes, into its room. */
static void write_entry(const struct kc_room *room, u32 whole, u32 key)
{
	struct kcache_entry *entry = kc_arena_ptr(&arena, KCACHE_SEGMENTS, room->offset, whole);

	if (!EXPECT(entry))
		return;
	WRITE_ONCE(entry->key_len, whole - HEADER);
	WRITE_ONCE(entry->value_len, room->size - whole);
	memcpy(entry->data, &key, sizeof(key));
}

static u64 add_whole(u32 size, u32 whole, u32 key)
{
	struct kc_room room = reserve_whole(size, whole);

	EXPECT_EQ(room.offset % KCACHE_ALIGN, 0);
	EXPECT(room.offset >= kc_chunk_size(&arena));	/* chunk 0 holds nothing */
	write_entry(&room, whole, key);
	kc_log_commit(&log_, &room);
	rcu_read_unlock();
	return room.offset;
}

static u64 put(u32 size, u32 key)
{
	return add_whole(size, HEADER + sizeof(key), key);
}

static void kill_entry(u64 offset, u32 size)
{
	rcu_read_lock();
	kc_log_kill_rcu(&log_, offset, size);
	rcu_read_unlock();
}

static void seal_lanes(void)
{
	mutex_lock(&arena.mutex);
	kc_log_seal_lanes_locked(&log_);
	mutex_unlock(&arena.mutex);
}

static struct kc_segment *next_dead(void)
{
	struct kc_segment *segment;

	mutex_lock(&arena.mutex);
	segment = kc_log_next_dead_locked(&log_);
	mutex_unlock(&arena.mutex);
	return segment;
}

static struct kc_segment *oldest(void)
{
	struct kc_segment *segment;

	mutex_lock(&arena.mutex);
	segment = kc_log_oldest_locked(&log_, KC_SMALL);
	mutex_unlock(&arena.mutex);
	return segment;
}

static void pool(struct kc_segment *segment)
{
	mutex_lock(&arena.mutex);
	kc_log_wait_readable(segment);
	kc_log_pool_locked(&log_, segment);
	mutex_unlock(&arena.mutex);
}

static void reap(void)
{
	mutex_lock(&arena.mutex);
	while (kc_log_drop_pool_locked(&log_, 0))
		;
	mutex_unlock(&arena.mutex);
	kc_log_reap(&log_);
}

static struct kc_log_bytes count(void)
{
	struct kc_log_bytes bytes;

	mutex_lock(&arena.mutex);
	kc_log_count_locked(&log_, &bytes);
	mutex_unlock(&arena.mutex);
	return bytes;
}

/* Walks a sealed segment. Returns the number of entries, their keys in @keys. */
static u32 walk(const struct kc_segment *segment, u32 *keys, u32 max)
{
	struct kcache_entry *entry;
	struct kc_log_cursor cursor = { 0 };
	u32 nr = 0;
	u64 offset;

	rcu_read_lock();
	while ((entry = kc_log_walk_rcu(&log_, segment, &cursor, &offset))) {
		EXPECT(cursor.position <= segment->end);
		if (nr < max)
			memcpy(&keys[nr], entry->data, sizeof(*keys));
		nr++;
	}
	rcu_read_unlock();
	return nr;
}

/* -------- reserving -------- */

KTAP_TEST(a_new_log_has_no_room_until_it_is_refilled)
{
	struct kc_room room;

	begin(MiB);
	rcu_read_lock();
	EXPECT(!kc_log_reserve_rcu(&log_, 24, 24, &room));
	rcu_read_unlock();
	EXPECT_EQ(refill(24, 24), 0);
	rcu_read_lock();
	EXPECT(kc_log_reserve_rcu(&log_, 24, 24, &room));
	kc_log_commit(&log_, &room);
	rcu_read_unlock();
	EXPECT_EQ(refill(24, 24), 0);	/* there is room: nothing happens */
	EXPECT_EQ(count().segments, 1);
	end();
}

KTAP_TEST(entries_lie_one_behind_the_other)
{
	u64 first;

	begin(MiB);
	first = put(24, 1);
	EXPECT_EQ(put(100, 2), first + 24);
	EXPECT_EQ(put(28, 3), first + 124);
	EXPECT_EQ(count().used, 152);
	EXPECT_EQ(count().dead, 0);
	end();
}

KTAP_TEST(cpus_have_lanes_of_their_own)
{
	u64 offset[4];
	int cpu, other;

	begin(64 * MiB);
	EXPECT_EQ(log_.nr_lanes, 4);
	for (cpu = 0; cpu < 4; cpu++) {
		shim_set_cpu(cpu);
		offset[cpu] = put(24, cpu);
		for (other = 0; other < cpu; other++)
			EXPECT(offset[cpu] >> arena.chunk_shift !=
			       offset[other] >> arena.chunk_shift);
	}
	shim_set_cpu(1);
	EXPECT_EQ(put(24, 9), offset[1] + 24);
	shim_set_cpu(0);
	end();
}

KTAP_TEST(the_number_of_lanes_follows_cpus_and_chunks)
{
	static const struct {
		u32 cpus, lanes;
		u64 resize_to;
	} cases[] = {
		{ 1, 1, 0 }, { 2, 2, 0 }, { 3, 2, 0 }, { 16, 8, 0 },
		{ 16, 8, 2 * MiB }, { 16, 4, 512 * KiB },
		{ 16, 1, 128 * KiB }, { 16, 1, 255 * KiB },
	};
	u32 i, before = nr_cpu_ids;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		nr_cpu_ids = cases[i].cpus;
		begin(MiB);
		if (cases[i].resize_to) {
			put(24, 1);
			mutex_lock(&arena.mutex);
			WRITE_ONCE(arena.max_bytes, cases[i].resize_to);
			EXPECT_EQ(kc_log_resize_locked(&log_), 0);
			mutex_unlock(&arena.mutex);
			EXPECT(oldest());	/* sealed */
		}
		EXPECT_EQ(log_.nr_lanes, cases[i].lanes);
		end();
	}
	nr_cpu_ids = before;
}

/*
 * Around the end of a block, at every distance from it and for every length of key:
 * header and key are in one piece, and a walk meets what was written and no more.
 */
KTAP_TEST(header_and_key_never_cross_a_block_border)
{
	u32 left, whole, block, keys[8], nr;
	struct kc_segment *segment;

	begin(64 * MiB);
	block = kc_block_size(&arena);
	ASSERT_EQ(block, 32 * KiB);
	ASSERT(kc_chunk_size(&arena) > 2 * block);
	for (whole = HEADER + 4; whole <= HEADER + 4 + KCACHE_KEY_MAX; whole += 92) {
		for (left = 4; left < whole + 60; left += left < 60 || left > whole - 20 ? 4 : 52) {
			u32 size = (whole + 7) / 4 * 4;
			u64 offset, last;

			put(block - left, 1);
			offset = add_whole(size, whole, 2);
			EXPECT(offset % block + whole <= block);
			EXPECT_EQ(offset % block, left < whole ? 0 : block - left);
			last = put(24, 3);
			seal_lanes();
			segment = oldest();
			EXPECT_EQ(kc_segment_dead(segment),
				  segment->end - (block - left) - size - 24);
			nr = walk(segment, keys, 8);
			EXPECT_EQ(nr, 3);
			EXPECT(keys[0] == 1 && keys[1] == 2 && keys[2] == 3);
			/* All of it dies; so accounts of gaps must be right. */
			kill_entry(segment->offset, block - left);
			kill_entry(offset, size);
			EXPECT(!next_dead());
			kill_entry(last, 24);
			ASSERT(next_dead() == segment);
			pool(segment);
		}
	}
	end();
}

KTAP_TEST(an_entry_may_fill_a_chunk_to_the_byte)
{
	u32 chunk, key;

	begin(MiB);
	chunk = kc_chunk_size(&arena);
	EXPECT(!kc_log_is_large(&log_, chunk));
	EXPECT(kc_log_is_large(&log_, chunk + 1));
	EXPECT(kc_log_is_large(&log_, 1ULL << 33));
	put(24, 1);
	put(chunk, 2);
	EXPECT_EQ(count().segments, 2);
	/* Up to the last four bytes, and not beyond, of what was set aside. */
	put(chunk - 24, 3);
	EXPECT_EQ(count().segments, 2);
	put(24, 4);
	EXPECT_EQ(count().segments, 3);
	EXPECT_EQ(walk(oldest(), &key, 1), 2);
	EXPECT_EQ(key, 1);
	end();
}

/* -------- giving up -------- */

/* Is the segment that was opened as the @nth set aside? */
static bool is_spare(u64 nth)
{
	int i;

	for (i = 0; i < KC_SPARES; i++)
		if (log_.spare[KC_SMALL][i] && log_.spare[KC_SMALL][i]->opened == nth)
			return true;
	return false;
}

/* Of entries of half a chunk and a bit, each would else leave the rest empty. */
KTAP_TEST(what_a_large_entry_leaves_is_for_others)
{
	u32 chunk, i;

	begin(MiB);
	chunk = kc_chunk_size(&arena);
	put(chunk / 2 + 100, 1);
	put(chunk / 2 + 100, 2);
	EXPECT_EQ(count().segments, 2);
	put(chunk / 4, 3);
	put(chunk / 4, 4);
	EXPECT_EQ(count().segments, 2);
	EXPECT(is_spare(1));
	/* It is sealed when nobody has needed it for long. */
	for (i = 0; i < 20; i++)
		put(chunk, 5);
	EXPECT(!is_spare(0) && !is_spare(1));
	end();
}

KTAP_TEST(what_is_set_aside_is_sealed_when_it_is_the_oldest_and_with_the_lanes)
{
	u32 chunk;

	begin(MiB);
	chunk = kc_chunk_size(&arena);
	put(chunk / 2 + 100, 1);
	put(chunk / 2 + 100, 2);
	EXPECT(is_spare(0));
	ASSERT(oldest());
	EXPECT_EQ(oldest()->opened, 0);
	EXPECT(!is_spare(0));
	put(chunk / 2 + 100, 3);
	EXPECT(is_spare(1));
	seal_lanes();
	EXPECT(!log_.spare[KC_SMALL][0] && !log_.spare[KC_SMALL][1]);
	end();
}

KTAP_TEST(the_newest_reservation_is_taken_back)
{
	struct kc_room room;
	u64 first;

	begin(MiB);
	first = put(24, 1);
	room = reserve_whole(100, 24);
	kc_log_abandon(&log_, &room);
	rcu_read_unlock();
	EXPECT_EQ(count().used, 24);
	EXPECT_EQ(count().dead, 0);
	EXPECT_EQ(put(24, 2), first + 24);
	end();
}

KTAP_TEST(a_reservation_with_others_behind_it_becomes_dead)
{
	struct kc_room room, behind;
	u32 keys[3];

	begin(MiB);
	put(24, 1);
	room = reserve_whole(100, 24);
	write_entry(&room, 24, 7);	/* what was written is not met by a walk */
	behind = reserve_whole(28, 24);
	write_entry(&behind, 24, 2);
	kc_log_abandon(&log_, &room);
	kc_log_commit(&log_, &behind);
	rcu_read_unlock();
	rcu_read_unlock();
	EXPECT_EQ(count().used, 152);
	EXPECT_EQ(count().dead, 100);
	seal_lanes();
	EXPECT_EQ(walk(oldest(), keys, 3), 2);
	EXPECT(keys[0] == 1 && keys[1] == 2);
	end();
}

static void seal_elsewhere(void *arg)
{
	seal_lanes();
}

KTAP_TEST(a_reservation_in_a_sealed_segment_is_not_taken_back)
{
	struct kc_segment *segment;
	struct kc_room room;
	u32 keys[2];

	begin(MiB);
	put(24, 1);
	room = reserve_whole(100, 24);
	shim_hook(SHIM_AT_RECHECK, 1, seal_elsewhere, NULL);
	smp_rmb();	/* comes to the hook */
	shim_unhook();
	kc_log_abandon(&log_, &room);
	rcu_read_unlock();
	segment = oldest();
	ASSERT(segment);
	EXPECT_EQ(segment->end, 124);
	EXPECT_EQ(kc_segment_dead(segment), 100);
	EXPECT_EQ(walk(segment, keys, 2), 1);
	kill_entry(segment->offset, 24);
	EXPECT(next_dead() == segment);
	pool(segment);
	end();
}

/* -------- sealing, dying -------- */

KTAP_TEST(a_segment_dies_once_whether_sealed_before_or_after)
{
	struct kc_segment *segment;
	u64 a, b;

	begin(MiB);
	a = put(24, 1);
	b = put(40, 2);
	kill_entry(a, 24);
	kill_entry(b, 40);
	EXPECT(!next_dead());		/* more may come */
	seal_lanes();
	segment = next_dead();
	ASSERT(segment);
	EXPECT(!next_dead());
	pool(segment);

	a = put(24, 1);
	b = put(40, 2);
	seal_lanes();
	kill_entry(a, 24);
	EXPECT(!next_dead());
	kill_entry(b, 40);
	EXPECT(next_dead() == segment);	/* the memory of the first */
	EXPECT(!next_dead());
	pool(segment);
	end();
}

KTAP_TEST(an_empty_segment_is_dead_when_it_is_sealed)
{
	begin(MiB);
	EXPECT_EQ(refill(24, 24), 0);
	seal_lanes();
	EXPECT(next_dead());
	end();
}

KTAP_TEST(the_oldest_sealed_segment_comes_first)
{
	u32 chunk, i, key;

	begin(4 * MiB);
	chunk = kc_chunk_size(&arena);
	EXPECT(!oldest());
	shim_set_cpu(1);
	put(24, 100);			/* the oldest of all, but open */
	shim_set_cpu(0);
	for (i = 0; i < 4; i++) {
		put(chunk, i);
		if (i)
			EXPECT(oldest() && walk(oldest(), &key, 1) == 1 && key == 0);
	}
	for (i = 0; i < 3; i++) {
		struct kc_segment *segment = oldest();

		EXPECT(walk(segment, &key, 1) == 1 && key == i);
		kill_entry(segment->offset, chunk);
		EXPECT(next_dead() == segment);
		pool(segment);
	}
	seal_lanes();
	EXPECT(walk(oldest(), &key, 1) == 1 && key == 100);
	shim_set_cpu(0);
	end();
}

KTAP_TEST(pooled_memory_is_used_again_before_new)
{
	struct kc_segment *segment;
	u64 offset, bytes;

	begin(MiB);
	offset = put(24, 1);
	seal_lanes();
	kill_entry(offset, 24);
	segment = next_dead();
	ASSERT(segment);
	bytes = shim_bytes_in_use();
	pool(segment);
	EXPECT_EQ(count().pooled, kc_chunk_size(&arena));
	EXPECT_EQ(count().segments, 0);
	EXPECT_EQ(put(24, 2), offset);
	EXPECT_EQ(shim_bytes_in_use(), bytes);
	EXPECT_EQ(count().pooled, 0);
	EXPECT_EQ(count().used, 24);
	EXPECT_EQ(count().dead, 0);
	end();
}

KTAP_TEST(dropped_memory_goes_back_when_it_is_reaped)
{
	u64 offset, empty;

	begin(MiB);
	put(24, 0);			/* the directories have grown */
	shim_set_cpu(1);
	empty = shim_bytes_in_use();
	offset = put(24, 1);
	seal_lanes();
	kill_entry(offset, 24);
	pool(next_dead());
	EXPECT(shim_bytes_in_use() > empty);
	reap();
	EXPECT_EQ(shim_bytes_in_use(), empty);
	EXPECT_EQ(atomic64_read(&arena.used_bytes), empty);
	reap();
	shim_set_cpu(0);
	end();
}

static int is_reaped;		/* atomic */

static void *kill_and_reap(void *offset)
{
	kill_entry(*(u64 *)offset, 24);
	pool(next_dead());
	reap();
	WRITE_ONCE(is_reaped, 1);
	return NULL;
}

KTAP_TEST(reaping_waits_for_readers_of_what_it_frees)
{
	struct kcache_entry *entry;
	pthread_t thread;
	u64 offset;

	begin(MiB);
	WRITE_ONCE(is_reaped, 0);
	offset = put(24, 1);
	seal_lanes();
	synchronize_rcu();
	rcu_read_lock();
	entry = kc_arena_ptr(&arena, KCACHE_SEGMENTS, offset, 24);
	ASSERT(!pthread_create(&thread, NULL, kill_and_reap, &offset));
	usleep(20000);
	EXPECT(!READ_ONCE(is_reaped));
	EXPECT_EQ(READ_ONCE(entry->key_len), 4);	/* faults if it is gone */
	rcu_read_unlock();
	pthread_join(thread, NULL);
	EXPECT(READ_ONCE(is_reaped));
	end();
}

static int is_readable;		/* atomic */

static void *wait_readable(void *segment)
{
	kc_log_wait_readable(segment);
	WRITE_ONCE(is_readable, 1);
	return NULL;
}

KTAP_TEST(a_segment_is_not_readable_while_a_reservation_is_open)
{
	struct kc_room room;
	pthread_t thread;

	begin(MiB);
	WRITE_ONCE(is_readable, 0);
	room = reserve_whole(24, 24);
	shim_hook(SHIM_AT_RECHECK, 1, seal_elsewhere, NULL);
	smp_rmb();
	shim_unhook();
	ASSERT(!pthread_create(&thread, NULL, wait_readable, room.segment));
	usleep(20000);
	EXPECT(!READ_ONCE(is_readable));
	write_entry(&room, 24, 1);
	kc_log_commit(&log_, &room);
	rcu_read_unlock();
	pthread_join(thread, NULL);
	EXPECT(READ_ONCE(is_readable));
	end();
}

KTAP_TEST(the_next_expiry_only_comes_nearer)
{
	struct kc_segment *segment;
	u64 offset;

	begin(MiB);
	offset = put(24, 1);
	seal_lanes();
	segment = oldest();
	rcu_read_lock();
	EXPECT_EQ(segment->next_expiry_ms, U64_MAX);
	kc_log_note_expiry_rcu(&log_, offset, 0);
	EXPECT_EQ(segment->next_expiry_ms, U64_MAX);
	kc_log_note_expiry_rcu(&log_, offset, 500);
	kc_log_note_expiry_rcu(&log_, offset, 900);
	EXPECT_EQ(segment->next_expiry_ms, 500);
	kc_log_note_expiry_rcu(&log_, offset, 499);
	EXPECT_EQ(segment->next_expiry_ms, 499);
	rcu_read_unlock();
	end();
}

/* -------- runs -------- */

static u64 add_run(u32 size, u32 key)
{
	struct kc_room room;
	int err;

	mutex_lock(&arena.mutex);
	err = kc_log_open_run_locked(&log_, size, &room);
	mutex_unlock(&arena.mutex);
	if (err)
		return 0;
	rcu_read_lock();
	write_entry(&room, 24, key);
	kc_log_commit(&log_, &room);
	rcu_read_unlock();
	return room.offset;
}

KTAP_TEST(a_run_takes_consecutive_chunks_and_dies_as_one)
{
	u32 chunk, i, size, keys[2];
	struct kc_segment *segment;
	u64 offset, empty;

	begin(MiB);
	chunk = kc_chunk_size(&arena);
	put(24, 1);
	empty = shim_bytes_in_use();
	for (size = chunk + 4; size <= 5 * chunk; size += chunk - 4) {
		offset = add_run(size, size);
		ASSERT(offset);
		EXPECT_EQ(offset % chunk, 0);
		rcu_read_lock();
		for (i = 0; i < size; i += 4)
			EXPECT(kc_arena_ptr(&arena, KCACHE_SEGMENTS, offset + i, 4));
		rcu_read_unlock();
		segment = oldest();
		ASSERT(segment);
		EXPECT_EQ(segment->nr_chunks, (size + chunk - 1) / chunk);
		EXPECT_EQ(walk(segment, keys, 2), 1);
		EXPECT_EQ(keys[0], size);
		kill_entry(offset, size);
		EXPECT(next_dead() == segment);
		pool(segment);
		EXPECT_EQ(count().pooled, 0);	/* a run has no next use */
		reap();
		EXPECT_EQ(shim_bytes_in_use(), empty);
	}
	end();
}

static void *add_run_elsewhere(void *size)
{
	EXPECT(add_run(*(u32 *)size, 7));
	return NULL;
}

/* It is sealed without the mutex, so there must be order by itself: TSan looks on. */
KTAP_TEST(a_run_has_memory_as_far_as_its_entry_reaches)
{
	struct kc_log_bytes bytes;
	u32 chunk, block;
	u64 empty;

	begin(64 * MiB);
	chunk = kc_chunk_size(&arena);
	block = kc_block_size(&arena);
	/* The directories are long enough from here on. */
	ASSERT(add_run(5 * chunk, 1));
	empty = shim_page_bytes_in_use();
	ASSERT(add_run(chunk + 4, 2));
	EXPECT_EQ(shim_page_bytes_in_use(), empty + chunk + block);
	ASSERT(add_run(chunk + 3 * block, 3));
	EXPECT_EQ(shim_page_bytes_in_use(), empty + 2 * chunk + 4 * block);
	mutex_lock(&arena.mutex);
	kc_log_count_locked(&log_, &bytes);
	mutex_unlock(&arena.mutex);
	EXPECT_EQ(bytes.queue[KC_SMALL], 7 * chunk + 4 * block);
	end();
}

KTAP_TEST(a_run_that_another_has_sealed_is_readable)
{
	struct kc_segment *segment;
	pthread_t thread;
	u32 size, key;

	begin(MiB);
	size = 2 * kc_chunk_size(&arena);
	ASSERT(!pthread_create(&thread, NULL, add_run_elsewhere, &size));
	while (!(segment = oldest()))
		usleep(100);
	kc_log_wait_readable(segment);
	EXPECT_EQ(walk(segment, &key, 1), 1);
	EXPECT_EQ(key, 7);
	pthread_join(thread, NULL);
	end();
}

KTAP_TEST(a_run_that_is_given_up_is_dead)
{
	struct kc_room room;

	begin(MiB);
	mutex_lock(&arena.mutex);
	EXPECT_EQ(kc_log_open_run_locked(&log_, 3 * kc_chunk_size(&arena) - 8, &room), 0);
	mutex_unlock(&arena.mutex);
	EXPECT(!oldest());
	rcu_read_lock();
	kc_log_abandon(&log_, &room);
	rcu_read_unlock();
	EXPECT_EQ(count().used, count().dead);
	EXPECT(next_dead() == room.segment);
	pool(room.segment);
	reap();
	EXPECT_EQ(count().segments, 0);
	end();
}

/* Memory all in use, but for every other chunk: offsets for a run are still to be had. */
KTAP_TEST(a_run_finds_offsets_though_chunks_are_scattered)
{
	u32 chunk, nr, i;
	u64 offset[128];

	begin(MiB);
	chunk = kc_chunk_size(&arena);
	for (nr = 0; nr < 128 && !refill(chunk, 24); nr++)
		offset[nr] = put(chunk, nr);
	EXPECT(nr > 100);
	EXPECT_EQ(refill(chunk, 24), -ENOSPC);
	EXPECT_EQ(add_run(2 * chunk, 1), 0);
	seal_lanes();
	for (i = 0; i < 10; i += 2) {
		kill_entry(offset[i], chunk);
		pool(next_dead());
	}
	reap();
	EXPECT(add_run(4 * chunk, 2));
	end();
}

KTAP_TEST(the_map_grows_with_the_limit_and_keeps_what_is_in_use)
{
	u32 before, i;
	u64 offset;

	begin(MiB);
	offset = put(24, 1);
	before = log_.nr_map;
	mutex_lock(&arena.mutex);
	WRITE_ONCE(arena.max_bytes, 8 * MiB);
	EXPECT_EQ(kc_log_resize_locked(&log_), 0);
	EXPECT(log_.nr_map >= 8 * before - 8);
	EXPECT(test_bit(0, log_.chunk_map));
	EXPECT(test_bit(offset >> arena.chunk_shift, log_.chunk_map));
	for (i = 2; i < log_.nr_map; i++)
		EXPECT(!test_bit(i, log_.chunk_map));
	before = log_.nr_map;
	WRITE_ONCE(arena.max_bytes, 2 * MiB);
	EXPECT_EQ(kc_log_resize_locked(&log_), 0);
	EXPECT_EQ(log_.nr_map, before);
	/* No memory for a larger one: as it was. */
	WRITE_ONCE(arena.max_bytes, 64 * MiB);
	shim_fail_allocs(1, 1);
	EXPECT_EQ(kc_log_resize_locked(&log_), -ENOSPC);
	EXPECT(shim_fail_end());
	EXPECT_EQ(log_.nr_map, before);
	EXPECT_EQ(atomic64_read(&arena.used_bytes), shim_bytes_in_use());
	mutex_unlock(&arena.mutex);
	end();
}

/* -------- failing -------- */

KTAP_TEST(without_memory_no_segment_is_opened_and_nothing_is_lost)
{
	struct kc_room room;
	int nth, err, run;
	u64 bytes;

	for (run = 0; run < 2; run++) {
		begin(16 * MiB);
		mutex_lock(&arena.mutex);
		for (nth = 1; ; nth++) {
			bytes = shim_bytes_in_use();
			shim_fail_allocs(nth, ~0ULL >> 1);
			err = run ? kc_log_open_run_locked(&log_, 500000, &room) :
			      kc_log_refill_locked(&log_, 24, 24, U32_MAX);
			if (!shim_fail_end())
				break;
			/* But for a directory that has grown. */
			EXPECT(shim_bytes_in_use() <= bytes + 4096);
			EXPECT_EQ(atomic64_read(&arena.used_bytes), shim_bytes_in_use());
			if (err >= 0)
				break;
			EXPECT_EQ(err, -ENOSPC);
			EXPECT(list_empty(&log_.queue[KC_SMALL]));
			EXPECT(!test_bit(1, log_.chunk_map));
		}
		EXPECT(err >= 0);
		mutex_unlock(&arena.mutex);
		if (run) {
			rcu_read_lock();
			kc_log_abandon(&log_, &room);
			rcu_read_unlock();
		}
		end();
	}
}

/* -------- many at once -------- */

#define NR_THREADS	4
#define NR_EACH		6000

static u64 offsets[NR_THREADS][NR_EACH];
static u32 sizes[NR_THREADS][NR_EACH];

static void *reserve_a_lot(void *arg)
{
	u32 self = (uintptr_t)arg, i;

	shim_set_cpu(self / 2);		/* two share a lane */
	for (i = 0; i < NR_EACH; i++) {
		u32 size = 24 + shim_random() % 50 * 4;
		struct kc_room room;

		rcu_read_lock();
		while (!kc_log_reserve_rcu(&log_, size, 24, &room)) {
			rcu_read_unlock();
			if (refill(size, 24))
				shim_die("no room");
			rcu_read_lock();
		}
		write_entry(&room, 24, self << 24 | i);
		if (shim_random() % 4) {
			kc_log_commit(&log_, &room);
			offsets[self][i] = room.offset;
			sizes[self][i] = size;
		} else {
			kc_log_abandon(&log_, &room);
		}
		rcu_read_unlock();
	}
	return NULL;
}

static void *kill_a_lot(void *arg)
{
	u32 self = (uintptr_t)arg, i;

	for (i = 0; i < NR_EACH; i++)
		if (offsets[self][i])
			kill_entry(offsets[self][i], sizes[self][i]);
	return NULL;
}

static void on_all_threads(void *(*act)(void *arg))
{
	pthread_t thread[NR_THREADS];
	uintptr_t i;

	for (i = 0; i < NR_THREADS; i++)
		ASSERT(!pthread_create(&thread[i], NULL, act, (void *)i));
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
}

KTAP_TEST(reservations_of_many_threads_do_not_touch_and_all_are_walked)
{
	u32 nr = 0, met = 0, i, t, keys[2000];
	struct kc_segment *segment;
	u64 live = 0;

	begin(16 * MiB);
	memset(offsets, 0, sizeof(offsets));
	on_all_threads(reserve_a_lot);
	seal_lanes();
	for (t = 0; t < NR_THREADS; t++)
		for (i = 0; i < NR_EACH; i++) {
			nr += !!offsets[t][i];
			live += offsets[t][i] ? sizes[t][i] : 0;
		}
	list_for_each_entry(segment, &log_.queue[KC_SMALL], link) {
		u32 n = walk(segment, keys, 2000);

		ASSERT(n <= 2000);
		for (i = 0; i < n; i++)
			EXPECT(keys[i] >> 24 < NR_THREADS && (keys[i] & 0xffffff) < NR_EACH &&
			       offsets[keys[i] >> 24][keys[i] & 0xffffff]);
		met += n;
	}
	EXPECT_EQ(met, nr);
	EXPECT_EQ(count().used - count().dead, live);
	nr = count().segments;
	on_all_threads(kill_a_lot);
	for (i = 0; (segment = next_dead()); i++)
		pool(segment);
	EXPECT_EQ(i, nr);
	EXPECT_EQ(count().segments, 0);
	end();
}

KTAP_MAIN
