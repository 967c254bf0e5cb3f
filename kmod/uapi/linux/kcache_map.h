/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The arena of a cache: how entries and the table that finds them are laid out
 * in memory, in the byte order of the machine. Whoever reads the arena uses
 * these helpers and those of kcache_read.h, and no others.
 *
 * Places are byte offsets, never pointers. There are three regions, each with
 * offsets of its own: buckets, overflow buckets, and segments, where entries
 * lie one behind the other, aligned to 4 bytes. A mapping of the device shows a
 * header page and the regions at the places that it tells.
 */
#ifndef _UAPI_LINUX_KCACHE_MAP_H
#define _UAPI_LINUX_KCACHE_MAP_H

#include <linux/types.h>
#include <asm/byteorder.h>

#define KCACHE_BUCKET_SLOTS	7

/**
 * struct kcache_bucket - one cache line of the table
 * @seq: odd while the bucket or its chain is written; 0: there is no bucket here
 * @next: overflow bucket that goes on with the chain, counted from 1; 0: none
 * @slot: entries, packed towards the front over the whole chain; 0: none
 */
struct kcache_bucket {
	__u32 seq;
	__u32 next;
	__u64 slot[KCACHE_BUCKET_SLOTS];
};

/*
 * A slot: location in bits 0..39, tag in bits 40..61, frequency of use in bits
 * 62..63, which changes without the bucket's @seq. The location is the entry's
 * offset in the segment region, in units of 4 bytes. No entry lies at offset 0.
 */
#define KCACHE_ALIGN		4
#define KCACHE_LOC_BITS		40
#define KCACHE_TAG_BITS		22
#define KCACHE_LOC_MASK		((1ULL << KCACHE_LOC_BITS) - 1)
#define KCACHE_TAG_MASK		(((1ULL << KCACHE_TAG_BITS) - 1) << KCACHE_LOC_BITS)
#define KCACHE_SEGMENTS_MAX	((__u64)KCACHE_ALIGN << KCACHE_LOC_BITS)	/* bytes */
#define KCACHE_FREQUENCY_SHIFT	62
#define KCACHE_FREQUENCY_MAX	3

/**
 * struct kcache_entry - what precedes key and value
 * @value_len: bytes of value; of a filler, all its bytes
 * @key_len: bytes of key; KCACHE_ENTRY_FLAGS: four bytes of client flags stand
 *	before the key; 0: no entry but a filler
 * @expiry_hi: bits 32..47 of the expiry
 * @expiry_lo: milliseconds since boot, suspend included; all 0: never
 * @version: low half first; not aligned to 8 bytes
 * @data: client flags if any, key, value
 *
 * From here to the end of the key lies within one block (see arena.h), so that
 * a key can be compared in one go. A value may run over block boundaries.
 */
struct kcache_entry {
	__u32 value_len;
	__u16 key_len;
	__u16 expiry_hi;
	__u32 expiry_lo;
	__u32 version[2];
	__u8 data[];
};

#define KCACHE_ENTRY_FLAGS	0x8000
#define KCACHE_ENTRY_KEY_MASK	0x07ff

static inline __u32 kcache_entry_key_len(__u16 key_len)
{
	return key_len & KCACHE_ENTRY_KEY_MASK;
}

/* Bytes from the start of an entry to its key. */
static inline __u32 kcache_entry_key_offset(__u16 key_len)
{
	return sizeof(struct kcache_entry) + (key_len & KCACHE_ENTRY_FLAGS ? 4 : 0);
}

/* Bytes from the start of an entry to its value. */
static inline __u32 kcache_entry_value_offset(__u16 key_len)
{
	return kcache_entry_key_offset(key_len) + kcache_entry_key_len(key_len);
}

/* Bytes that an entry takes in its segment. */
static inline __u64 kcache_entry_size(__u16 key_len, __u32 value_len)
{
	__u64 size = kcache_entry_value_offset(key_len) + (__u64)value_len;

	return (size + KCACHE_ALIGN - 1) & ~(__u64)(KCACHE_ALIGN - 1);
}

static inline __u64 kcache_slot_tag(__u64 hash)
{
	return hash >> 2 & KCACHE_TAG_MASK;
}

/* Is the tag in @slot that of @hash? */
static inline int kcache_slot_has_tag(__u64 slot, __u64 hash)
{
	return !((slot ^ hash >> 2) & KCACHE_TAG_MASK);
}

static inline __u64 kcache_slot_offset(__u64 slot)
{
	return slot << (64 - KCACHE_LOC_BITS) >> (64 - KCACHE_LOC_BITS) << 2;
}

static inline __u64 kcache_slot_make(__u64 hash, __u64 offset)
{
	return kcache_slot_tag(hash) | offset / KCACHE_ALIGN;
}

/*
 * Linear hashing (Litwin 1980): with L the smallest power of two that is at least
 * the number of buckets, the buckets from L/2 on have been split off the ones L/2
 * below them. The size of a table is that number in the low half, L - 1 in the
 * high half.
 */
static inline __u64 kcache_table_size(__u32 nr_buckets)
{
	__u32 mask = ~0U >> __builtin_clz((nr_buckets - 1) | 1);

	return (__u64)mask << 32 | nr_buckets;
}

/* The bucket of @hash in a table of @size. */
static inline __u32 kcache_bucket_at(__u64 hash, __u64 size)
{
	__u32 mask = size >> 32;
	__u32 index = hash & mask;

	return index < (__u32)size ? index : index & (mask >> 1);
}

static inline __u32 kcache_bucket_index(__u64 hash, __u32 nr_buckets)
{
	return kcache_bucket_at(hash, kcache_table_size(nr_buckets));
}

static inline __u64 kcache_load_le64(const __u8 *p)
{
	__le64 v;

	__builtin_memcpy(&v, p, sizeof(v));
	return __le64_to_cpu(v);
}

/* memcmp() without the order, for short keys. */
static inline int kcache_key_is_equal(const void *a, const void *b, __u32 len)
{
	const __u8 *p = (const __u8 *)a, *q = (const __u8 *)b;

	if (len < 8) {
		for (; len; len--)
			if (*p++ != *q++)
				return 0;
		return 1;
	}
	/* The last 8 may overlap those before them. */
	if (kcache_load_le64(p) != kcache_load_le64(q) ||
	    kcache_load_le64(p + len - 8) != kcache_load_le64(q + len - 8))
		return 0;
	for (; len > 16; len -= 8) {
		p += 8;
		q += 8;
		if (kcache_load_le64(p) != kcache_load_le64(q))
			return 0;
	}
	return 1;
}

/* A number of 128 bits. */
struct kcache_u128 {
	__u64 low;
	__u64 high;
};

/* @n + @a * @b modulo 2^128 */
static inline struct kcache_u128 kcache_mul_add(struct kcache_u128 n, __u64 a, __u64 b)
{
#ifdef __SIZEOF_INT128__
	__extension__ __uint128_t sum = n.high;

	sum = (sum << 64 | n.low) + (__extension__ (__uint128_t)a) * b;
	n.low = (__u64)sum;
	n.high = (__u64)(sum >> 64);
#else
	__u64 a0 = (__u32)a, a1 = a >> 32, b0 = (__u32)b, b1 = b >> 32;
	__u64 middle = a0 * b1, other = (a0 * b0 >> 32) + (__u32)middle + a1 * b0;

	n.low += a * b;
	n.high += a1 * b1 + (middle >> 32) + (other >> 32) + (n.low < a * b);
#endif
	return n;
}

/* Words of a cache's secret, each random. */
#define KCACHE_HASH_LENGTHS	0	/* two for each length of a short key */
#define KCACHE_HASH_SHORT	32	/* four for its two words */
#define KCACHE_HASH_LONG	36	/* six to end the hash of a long key */
#define KCACHE_HASH_NH		42	/* two for the length, and two for each 16 bytes */
#define KCACHE_HASH_WORDS	(KCACHE_HASH_NH + 2 + 128)

/* @first + @m[0..1] * @a + @m[2..3] * @b modulo 2^128, the high half. */
static inline __u64 kcache_multilinear(const __u64 *first, const __u64 *m, __u64 a, __u64 b)
{
	struct kcache_u128 n = { first[0], first[1] };

	n = kcache_mul_add(n, m[0], a);
	n = kcache_mul_add(n, m[2], b);
	return n.high + m[1] * a + m[3] * b;
}

static inline __u64 kcache_hash_long(const __u64 *secret, const __u8 *key, __u32 len)
{
	const __u64 *s = secret + KCACHE_HASH_NH;
	const __u8 *last = key + len - 16;
	struct kcache_u128 n = { 0, 0 };

	n = kcache_mul_add(n, s[0] + len, s[1]);
	for (s += 2; key < last; key += 16, s += 2)
		n = kcache_mul_add(n, s[0] + kcache_load_le64(key),
				   s[1] + kcache_load_le64(key + 8));
	n = kcache_mul_add(n, s[0] + kcache_load_le64(last), s[1] + kcache_load_le64(last + 8));
	s = secret + KCACHE_HASH_LONG;
	return kcache_multilinear(s, s + 2, n.low, n.high);
}

/**
 * kcache_hash() - keyed hash of a key
 * @secret: of the cache, KCACHE_HASH_WORDS random words
 * @key: key bytes
 * @len: their number, 1..1024
 *
 * A key of up to 16 bytes is two words, which may overlap, and its length: the
 * multilinear hash of Lemire and Kaser (2014) gives any two of them results that are
 * as two random numbers, in each subset of their bits. Longer keys are brought
 * to two words by NH of UMAC (Black, Halevi, Krawczyk, Krovetz and Rogaway 1999)
 * on their words and their length: two get the same for one secret in 2^64. So
 * whoever does not know @secret and does not see hashes cannot aim keys at one
 * bucket, whatever keys he takes.
 *
 * Return: 64 bits, of which the low ones choose the bucket.
 */
static __always_inline __u64 kcache_hash(const __u64 *secret, const void *key, __u32 len)
{
	const __u8 *p = (const __u8 *)key;
	__u64 a = 0, b = 0;
	__u32 i;

	if (len > 16)
		return kcache_hash_long(secret, p, len);
	if (len >= 8) {
		a = kcache_load_le64(p);
		b = kcache_load_le64(p + len - 8);
	} else {
		for (i = 0; i < len; i++)
			a = a << 8 | p[i];
	}
	return kcache_multilinear(secret + KCACHE_HASH_LENGTHS + 2 * (len - 1),
				  secret + KCACHE_HASH_SHORT, a, b);
}

/* -------- the mapping of the device -------- */

#define KCACHE_MAP_LAYOUT	1

/* At the end of each region so many bytes stay holes. */
#define KCACHE_MAP_SLACK	4096

enum kcache_region {
	KCACHE_BUCKETS,
	KCACHE_OVERFLOW,
	KCACHE_SEGMENTS,
	KCACHE_NR_REGIONS
};

/**
 * struct kcache_map_header - what is at offset 0 of the mapping
 * @layout: KCACHE_MAP_LAYOUT, or a reader does not know what it sees
 * @reserved: 0
 * @at: of each region, its offset in the mapping
 * @bytes: of each region, its length; most of it are holes, which read as zeros
 * @table_size: now, as kcache_table_size() gives it
 * @secret: for kcache_hash()
 *
 * Constant but for @table_size.
 */
struct kcache_map_header {
	__u32 layout;
	__u32 reserved;
	__aligned_u64 at[KCACHE_NR_REGIONS];
	__aligned_u64 bytes[KCACHE_NR_REGIONS];
	__aligned_u64 table_size;
	__aligned_u64 secret[KCACHE_HASH_WORDS];
};

/* -------- what mapped readers tell -------- */

#define KCACHE_HINT_LANES	8
#define KCACHE_LANE_HINTS	56

/**
 * struct kcache_hint_lane - of the readers that run on one CPU of eight
 * @hits: GETs that found their key
 * @misses: GETs that did not
 * @nr: hints ever written
 * @reserved: 0
 * @hash: hint number n stands in n % KCACHE_LANE_HINTS: the hash of a key that was
 *	hit while its slot's frequency was below KCACHE_FREQUENCY_MAX
 *
 * Written by readers only. Before the lane is overrun, KCACHE_IOC_HINTS lets
 * the kernel take note. What a reader writes here is its own word for its own
 * use: the kernel takes nothing else from it.
 */
struct kcache_hint_lane {
	__aligned_u64 hits;
	__aligned_u64 misses;
	__u32 nr;
	__u32 reserved[11];
	__aligned_u64 hash[KCACHE_LANE_HINTS];
};

/* One page, private to the open file: KCACHE_IOC_HINTS. */
struct kcache_hints {
	struct kcache_hint_lane lane[KCACHE_HINT_LANES];
};

#endif /* _UAPI_LINUX_KCACHE_MAP_H */
