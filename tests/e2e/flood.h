/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Keys that all fall into one bucket, as who knows the secret of the hash can make them.
 * After ktap.h.
 */
#ifndef FLOOD_H
#define FLOOD_H

#include <linux/kcache_map.h>

#define BITS		24	/* of the hash that the keys have in common: more than choose a bucket */

typedef unsigned __int128 u128;

/*
 * The hash of 16 bytes is the high half of a sum of products modulo 2^128, of which
 * one is that of the first 8 bytes with @factor. So a step of those bytes by which
 * that product moves little, modulo 2^(64 + BITS), leads from key to key in the same
 * bucket: Euclid finds one.
 */
static __u64 find_step(u128 factor)
{
	const u128 modulus = (u128)1 << (64 + BITS);
	u128 r0 = modulus, r1 = factor % modulus, s0 = 0, s1 = 1, q, t;

	/* s * factor = +r or -r modulo modulus, in turn; s grows, r falls. */
	while (r1 >> 46) {
		q = r0 / r1;
		t = r0 - q * r1;
		r0 = r1;
		r1 = t;
		t = s0 + q * s1;
		s0 = s1;
		s1 = t;
	}
	return s1;
}

static void flood_key(__u64 nr, __u64 step, __u64 *key)
{
	key[0] = nr * step;
	key[1] = 0x6b65796b65796b65ULL;
}

/* The bucket of a key of the flood, for tables up to 2^BITS of them. */
static __u64 flood_bucket(const __u64 *secret, __u64 nr, __u64 step)
{
	__u64 key[2];

	flood_key(nr, step, key);
	return kcache_hash(secret, key, sizeof(key)) & ((1ULL << BITS) - 1);
}

static __u64 flood_step(const __u64 *secret)
{
	return find_step((u128)secret[KCACHE_HASH_SHORT + 1] << 64 | secret[KCACHE_HASH_SHORT]);
}

/*
 * The first of @keys keys that are in one bucket. Where a carry comes up the bucket
 * changes, once in 2^18 steps: not in a run of them that begins well.
 */
static __u64 flood_first(const __u64 *secret, __u64 step, __u64 keys)
{
	__u64 first;

	for (first = 0; flood_bucket(secret, first, step) !=
	     flood_bucket(secret, first + keys - 1, step); first += keys)
		CHECK(first < 4 * keys);
	return first;
}

#endif /* FLOOD_H */
