/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The arena of a cache: how entries and the table that finds them are laid out
 * in memory, in the byte order of the machine. Whoever reads the arena uses
 * these helpers and no others.
 *
 * Places are byte offsets, never pointers. There are three regions, each with
 * offsets of its own: buckets, overflow buckets, and segments, where entries
 * lie one behind the other, aligned to 4 bytes.
 *
 * The read protocol, which takes no lock:
 *
 *  1. Load the number of buckets (acquire) and compute the bucket; load the
 *     bucket's @seq (acquire). Odd: it is being written, begin again.
 *  2. Look for slots with the key's tag, in the bucket and along @next. For
 *     each, check the place and the lengths against the arena before following
 *     them, compare the key, copy the value out.
 *  3. Issue a read barrier and load @seq again. Changed: what was copied is
 *     void, begin again. After a miss the number of buckets must be as in 1.,
 *     too.
 *
 * It holds because an entry's memory is written anew only after the entry was
 * unlinked, or while it is changed in place, and both make the @seq of its
 * bucket odd first. Overflow buckets are guarded by the @seq of the bucket
 * whose chain they are in.
 */
#ifndef _UAPI_LINUX_KCACHE_MAP_H
#define _UAPI_LINUX_KCACHE_MAP_H

#include <linux/types.h>
#include <asm/byteorder.h>

#define KCACHE_BUCKET_SLOTS	7

/**
 * struct kcache_bucket - one cache line of the table
 * @seq: odd while the bucket or its chain is written
 * @next: overflow bucket that goes on with the chain, counted from 1; 0: none
 * @slot: entries, packed towards the front over the whole chain; 0: none
 */
struct kcache_bucket {
	__u32 seq;
	__u32 next;
	__u64 slot[KCACHE_BUCKET_SLOTS];
};

/*
 * A slot: location in bits 0..39, tag in bits 40..61, frequency in bits 62..63
 * (0 as long as eviction is plain FIFO). The location is the entry's offset in
 * the segment region, in units of 4 bytes. No entry lies at offset 0.
 */
#define KCACHE_ALIGN		4
#define KCACHE_LOC_BITS		40
#define KCACHE_TAG_BITS		22
#define KCACHE_LOC_MASK		((1ULL << KCACHE_LOC_BITS) - 1)
#define KCACHE_TAG_MASK		(((1ULL << KCACHE_TAG_BITS) - 1) << KCACHE_LOC_BITS)
#define KCACHE_SEGMENTS_MAX	((__u64)KCACHE_ALIGN << KCACHE_LOC_BITS)	/* bytes */

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

static inline __u64 kcache_slot_offset(__u64 slot)
{
	return (slot & KCACHE_LOC_MASK) * KCACHE_ALIGN;
}

static inline __u64 kcache_slot_make(__u64 hash, __u64 offset)
{
	return kcache_slot_tag(hash) | offset / KCACHE_ALIGN;
}

/*
 * The bucket of @hash among @nr_buckets (linear hashing, Litwin 1980): with L
 * the smallest power of two that is at least @nr_buckets, the buckets from L/2
 * on have been split off the ones L/2 below them.
 */
static inline __u32 kcache_bucket_index(__u64 hash, __u32 nr_buckets)
{
	__u32 mask = ~0U >> __builtin_clz((nr_buckets - 1) | 1);
	__u32 index = hash & mask;

	return index < nr_buckets ? index : index & (mask >> 1);
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

	for (; len >= 8; len -= 8, p += 8, q += 8)
		if (kcache_load_le64(p) != kcache_load_le64(q))
			return 0;
	for (; len; len--)
		if (*p++ != *q++)
			return 0;
	return 1;
}

static inline __u64 kcache_rotl64(__u64 v, int n)
{
	return v << n | v >> (64 - n);
}

/**
 * kcache_hash() - SipHash-1-3 of a key
 * @seed: the cache's secret, two words
 * @key: key bytes
 * @len: their number
 *
 * SipHash by Aumasson and Bernstein (2012), with one round per word and three
 * at the end: who does not know @seed cannot aim keys at one bucket. The kernel
 * has SipHash-2-4 (too slow here) and hsiphash, which gives 32 bits.
 *
 * Return: 64 bits, of which the low ones choose the bucket.
 */
static inline __u64 kcache_hash(const __u64 seed[2], const void *key, __u32 len)
{
	__u64 v0 = seed[0] ^ 0x736f6d6570736575ULL;
	__u64 v1 = seed[1] ^ 0x646f72616e646f6dULL;
	__u64 v2 = seed[0] ^ 0x6c7967656e657261ULL;
	__u64 v3 = seed[1] ^ 0x7465646279746573ULL;
	const __u8 *p = (const __u8 *)key, *end = p + (len & ~7U);
	__u64 word, tail = (__u64)len << 56;
	__u32 i;

#define KCACHE_SIPROUND do {					\
	v0 += v1; v2 += v3;					\
	v1 = kcache_rotl64(v1, 13); v3 = kcache_rotl64(v3, 16);	\
	v1 ^= v0; v3 ^= v2;					\
	v0 = kcache_rotl64(v0, 32);				\
	v2 += v1; v0 += v3;					\
	v1 = kcache_rotl64(v1, 17); v3 = kcache_rotl64(v3, 21);	\
	v1 ^= v2; v3 ^= v0;					\
	v2 = kcache_rotl64(v2, 32);				\
} while (0)

	for (; p < end; p += 8) {
		word = kcache_load_le64(p);
		v3 ^= word;
		KCACHE_SIPROUND;
		v0 ^= word;
	}
	for (i = 0; i < (len & 7); i++)
		tail |= (__u64)p[i] << (8 * i);
	v3 ^= tail;
	KCACHE_SIPROUND;
	v0 ^= tail;
	v2 ^= 0xff;
	KCACHE_SIPROUND;
	KCACHE_SIPROUND;
	KCACHE_SIPROUND;
#undef KCACHE_SIPROUND
	return v0 ^ v1 ^ v2 ^ v3;
}

#endif /* _UAPI_LINUX_KCACHE_MAP_H */
