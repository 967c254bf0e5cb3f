// SPDX-License-Identifier: GPL-2.0
/* libkcache's readers on a mapping of the core, one thing after the other. */
#include <sched.h>

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "fixture.h"
#include "kcache.h"
#include "ktap.h"
#include "mapping.h"

static struct kcache *reader;

static void map_cache(u64 max_bytes)
{
	mapping_prepare(64 * MiB);
	shim_totalram_pages = 64 * MiB >> PAGE_SHIFT;
	start(max_bytes);
	mapping_init(cache);
	reader = mapping_open();
}

static void unmap_cache(void)
{
	mapping_close(reader);
	mapping_exit();
	stop();
}

/* Length of the value or an error. */
static s64 read_key(const char *key, void *to, size_t size)
{
	size_t len;
	int err = kcache_get(reader, key, strlen(key), to, size, &len);

	return err ? err : (s64)len;
}

static bool reads(const char *key, const char *value)
{
	char text[256];
	s64 len = read_key(key, text, sizeof(text));

	return value ? EXPECT_EQ(len, strlen(value)) && EXPECT_MEM(text, value, len) :
	       EXPECT_EQ(len, -ENOENT);
}

KTAP_TEST(a_mapped_get_gives_what_was_set)
{
	map_cache(MiB);
	reads("a", NULL);
	EXPECT_EQ(set(cache, "a", "1"), 0);
	EXPECT_EQ(set(cache, "b", ""), 0);
	reads("a", "1");
	reads("b", "");
	EXPECT_EQ(set(cache, "a", "longer than before"), 0);
	reads("a", "longer than before");
	EXPECT_EQ(remove_key(cache, "a"), 0);
	reads("a", NULL);
	reads("b", "");
	unmap_cache();
}

KTAP_TEST(a_mapped_get_finds_the_value_behind_client_flags)
{
	struct kcache_op op = op_on(KCACHE_OP_SET, "flagged");

	map_cache(MiB);
	VALUE(&op, "value", 5);
	op.client_flags = 0xffffffff;
	EXPECT_EQ(run_op(cache, &op), 0);
	reads("flagged", "value");
	unmap_cache();
}

KTAP_TEST(values_run_over_blocks_and_chunks)
{
	static const u32 lens[] = { 4096, 7000, 8150, 8192, 8193, 20000, 32768 };
	static u8 value[32768], got[32768];
	char key[16];
	u32 i, n;

	map_cache(MiB);
	for (n = 0; n < 40; n++) {
		for (i = 0; i < ARRAY_SIZE(lens); i++) {
			snprintf(key, sizeof(key), "%u of %u", i, n);
			fill(value, lens[i], n + i);
			ASSERT_EQ(set_bytes(cache, key, strlen(key), value, lens[i]), 0);
			ASSERT_EQ(read_key(key, got, sizeof(got)), lens[i]);
			EXPECT(is_filled(got, lens[i], n + i));
		}
	}
	unmap_cache();
}

KTAP_TEST(a_buffer_that_is_too_small_is_emsgsize_with_the_length)
{
	char byte = 'x';
	size_t len = 0;

	map_cache(MiB);
	EXPECT_EQ(set(cache, "a", "12"), 0);
	EXPECT_EQ(kcache_get(reader, "a", 1, &byte, 1, &len), -EMSGSIZE);
	EXPECT_EQ(len, 2);
	EXPECT_EQ(byte, 'x');
	unmap_cache();
}

KTAP_TEST(what_has_expired_is_a_miss_to_the_millisecond)
{
	map_cache(MiB);
	EXPECT_EQ(set_ttl(cache, "a", "1", 50), 0);
	shim_clock_advance_ms(49);
	reads("a", "1");
	shim_clock_advance_ms(1);
	reads("a", NULL);
	unmap_cache();
}

KTAP_TEST(a_borrowed_value_is_valid_until_it_is_replaced)
{
	struct kcache_borrow borrow;

	map_cache(MiB);
	EXPECT_EQ(kcache_borrow(reader, "a", 1, &borrow), -ENOENT);
	EXPECT_EQ(set(cache, "a", "1"), 0);
	ASSERT_EQ(kcache_borrow(reader, "a", 1, &borrow), 0);
	EXPECT_EQ(borrow.value_len, 1);
	EXPECT_MEM(borrow.value, "1", 1);
	EXPECT(kcache_borrow_is_valid(&borrow));
	EXPECT_EQ(set(cache, "a", "2"), 0);
	EXPECT(!kcache_borrow_is_valid(&borrow));
	ASSERT_EQ(kcache_borrow(reader, "a", 1, &borrow), 0);
	EXPECT_MEM(borrow.value, "2", 1);
	EXPECT_EQ(remove_key(cache, "a"), 0);
	EXPECT(!kcache_borrow_is_valid(&borrow));
	unmap_cache();
}

#define NR_MANY	20000

static void set_many(const char *what)
{
	char key[32], value[32];
	u32 i;

	for (i = 0; i < NR_MANY; i++) {
		snprintf(key, sizeof(key), "key %u", i);
		snprintf(value, sizeof(value), "%s %u", what, i);
		ASSERT_EQ(set(cache, key, value), 0);
	}
}

/* How many there are; what is there must be right. */
static u32 read_many(const char *what)
{
	char key[32], value[32], got[32];
	u32 i, nr = 0;
	s64 len;

	for (i = 0; i < NR_MANY; i++) {
		snprintf(key, sizeof(key), "key %u", i);
		snprintf(value, sizeof(value), "%s %u", what, i);
		len = read_key(key, got, sizeof(got));
		if (len == -ENOENT)
			continue;
		nr++;
		if (!EXPECT_EQ(len, strlen(value)) || !EXPECT_MEM(got, value, len))
			break;
	}
	return nr;
}

KTAP_TEST(readers_follow_a_table_that_grows_and_shrinks)
{
	struct kcache_borrow borrow;
	struct kc_cache_account account;

	map_cache(8 * MiB);
	set_many("first");
	EXPECT_EQ(read_many("first"), NR_MANY);
	ASSERT_EQ(kcache_borrow(reader, "key 1", 5, &borrow), 0);
	EXPECT_EQ(kc_cache_flush(cache), 0);
	EXPECT_EQ(read_many("first"), 0);
	/* The memory went: the value reads as zeros, and is void. */
	EXPECT_EQ(*(const u8 *)borrow.value, 0);
	EXPECT(!kcache_borrow_is_valid(&borrow));
	kc_cache_account(cache, &account);
	EXPECT_EQ(account.buckets, cache->table.nr_stripes);
	set_many("second");
	EXPECT_EQ(read_many("second"), NR_MANY);
	EXPECT(!kcache_borrow_is_valid(&borrow));
	unmap_cache();
}

/* A page that went and is shown would end the program: see mapping.h. */
KTAP_TEST(readers_follow_a_limit_that_falls_and_rises)
{
	u32 i, nr;

	map_cache(8 * MiB);
	for (i = 0; i < 3; i++) {
		set_many("some");
		EXPECT_EQ(read_many("some"), NR_MANY);
		EXPECT_EQ(kc_cache_resize(cache, MiB + 64 * KiB), 0);
		nr = read_many("some");
		EXPECT(nr > 1000 && nr < NR_MANY);
		EXPECT_EQ(nr, entries(cache));
		EXPECT_EQ(kc_cache_resize(cache, 8 * MiB), 0);
	}
	unmap_cache();
}

static u32 frequency(const char *key)
{
	u64 hash = kc_table_hash(&cache->table, key, strlen(key));
	struct kcache_found found;
	u32 is = 0;

	rcu_read_lock();
	if (EXPECT(kc_table_find_rcu(&cache->table, hash, key, strlen(key), &found)))
		is = kc_found_frequency(&found);
	rcu_read_unlock();
	return is;
}

/* So that all hints of this thread go to one lane. */
static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	ASSERT(!sched_setaffinity(0, sizeof(set), &set));
}

KTAP_TEST(reads_count_as_uses_once_the_lane_is_full)
{
	char key[16];
	u32 i;

	map_cache(MiB);
	stay_on_this_cpu();
	for (i = 0; i < KCACHE_LANE_HINTS; i++) {
		snprintf(key, sizeof(key), "key %u", i);
		EXPECT_EQ(set(cache, key, "value"), 0);
	}
	for (i = 0; i < KCACHE_LANE_HINTS; i++) {
		EXPECT_EQ(frequency("key 0"), 0);
		EXPECT_EQ(count_of(cache, KC_STAT_hits), 0);
		snprintf(key, sizeof(key), "key %u", i);
		reads(key, "value");
	}
	for (i = 0; i < KCACHE_LANE_HINTS; i++) {
		snprintf(key, sizeof(key), "key %u", i);
		EXPECT_EQ(frequency(key), 1);
	}
	EXPECT_EQ(count_of(cache, KC_STAT_hits), KCACHE_LANE_HINTS);
	unmap_cache();
}

KTAP_TEST(the_last_hints_are_taken_when_the_file_is_closed)
{
	map_cache(MiB);
	EXPECT_EQ(set(cache, "a", "1"), 0);
	reads("a", "1");
	reads("b", NULL);
	mapping_close(reader);
	EXPECT_EQ(frequency("a"), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 1);
	EXPECT_EQ(count_of(cache, KC_STAT_misses), 1);
	reader = mapping_open();
	unmap_cache();
}

KTAP_TEST(a_bucket_that_is_written_for_long_is_read_by_a_call)
{
	struct kcache_borrow borrow;
	struct kcache_found found;
	u64 hash;

	map_cache(MiB);
	EXPECT_EQ(set(cache, "a", "1"), 0);
	hash = kc_table_hash(&cache->table, "a", 1);
	rcu_read_lock();
	ASSERT(kc_table_find_rcu(&cache->table, hash, "a", 1, &found));
	rcu_read_unlock();
	WRITE_ONCE(found.home->seq, found.home->seq + 1);
	reads("a", "1");
	EXPECT_EQ(count_of(cache, KC_STAT_hits), 1);	/* as the kernel counts */
	EXPECT_EQ(kcache_borrow(reader, "a", 1, &borrow), -EAGAIN);
	WRITE_ONCE(found.home->seq, found.home->seq + 1);
	EXPECT_EQ(kcache_borrow(reader, "a", 1, &borrow), 0);
	unmap_cache();
}

KTAP_MAIN
