/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the functions of the contract give for known arguments. Included by the
 * program that tests/abi/describe writes.
 */
#include <stdio.h>
#include <string.h>

#include <linux/kcache.h>
#include <linux/kcache_map.h>

#define U(number)	((unsigned long long)(number))

static void print_constant(const char *name, unsigned long long value)
{
	printf("%-28s %#llx\n", name, value);
}

static void print_hashes(void)
{
	static const __u32 lengths[] = {
		1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 100, 1023, 1024,
	};
	__u64 secret[KCACHE_HASH_WORDS];
	__u8 key[KCACHE_KEY_MAX];
	__u64 word = 1;
	size_t i;

	/* Any numbers do, as long as they stay the same. */
	for (i = 0; i < KCACHE_HASH_WORDS; i++) {
		word = word * 6364136223846793005ULL + 1442695040888963407ULL;
		secret[i] = word ^ word >> 29;
	}
	for (i = 0; i < sizeof(key); i++)
		key[i] = i * 167 + 13;
	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		printf("hash of %4u bytes           %016llx\n", lengths[i],
		       U(kcache_hash(secret, key, lengths[i])));
}

static void print_places(void)
{
	static const __u32 buckets[] = { 1, 2, 3, 4, 5, 1000, 1024, 1025, 0x80000000, 0xffffffff };
	static const __u64 hash = 0xfedcba9876543210ULL;
	__u64 slot = kcache_slot_make(hash, 0x123456789cULL);
	size_t i;

	for (i = 0; i < sizeof(buckets) / sizeof(*buckets); i++)
		printf("table of %10u         %016llx, bucket %#x\n", buckets[i],
		       U(kcache_table_size(buckets[i])), kcache_bucket_index(hash, buckets[i]));
	printf("slot                         %016llx, offset %#llx, tag %#llx\n", U(slot),
	       U(kcache_slot_offset(slot)), U(kcache_slot_tag(hash)));
	printf("slot has its tag             %d, %d\n", kcache_slot_has_tag(slot, hash),
	       kcache_slot_has_tag(slot, ~hash));
}

static void print_entries(void)
{
	static const __u16 lengths[] = { 0, 1, 1024, KCACHE_ENTRY_FLAGS | 1, KCACHE_ENTRY_FLAGS | 1024 };
	size_t i;

	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		printf("entry with key_len %#06x    key %u of %u, value %u, size %llu, %llu\n",
		       lengths[i], kcache_entry_key_offset(lengths[i]),
		       kcache_entry_key_len(lengths[i]), kcache_entry_value_offset(lengths[i]),
		       U(kcache_entry_size(lengths[i], 0)),
		       U(kcache_entry_size(lengths[i], 0xffffffff)));
}

static void print_vectors(void)
{
	print_hashes();
	print_places();
	print_entries();
}
