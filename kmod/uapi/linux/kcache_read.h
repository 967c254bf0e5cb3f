/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The read protocol: how to find an entry and copy it without a lock, in the
 * kernel and in a mapping of the device alike.
 *
 *  1. Load the size of the table (acquire) and compute the bucket; load the
 *     bucket's @seq (acquire). Odd: it is being written, begin again.
 *  2. Look for slots with the key's tag, in the bucket and along @next. For
 *     each, check the place and the lengths against the arena before following
 *     them, compare the key, copy the value out.
 *  3. After a miss, load the size again: changed, or @seq was 0 (there is no
 *     bucket here any more), begin again.
 *  4. Issue a read barrier and load @seq again. Changed: what was copied is
 *     void, begin again.
 *
 * Why it holds. Four orders, in two pairs, and three rules. tests/model tries
 * all interleavings, and what goes wrong without each.
 *
 *	writer, who has the stripe		reader
 *	seq = odd				size		(acquire)
 *	write barrier	(W1)			seq		(acquire, R1)
 *	slots, chain, entry in place, size	slots, key, value
 *	seq = even	(release, W2)		size as before?	(after a miss)
 *						read barrier	(R2)
 *						seq as before?
 *
 *  - W2 with R1: who begins with an even seq sees all that was stored before
 *    it. Without either, the copy may be older than the seq that vouches for
 *    it: of a slot that is gone, or of an entry not yet written.
 *  - W1 with R2: whoever saw any store behind an odd seq sees that seq, or a
 *    later one, in the end. Without either, the copy may be younger than the
 *    seq that vouches for it: half of a change, or a slot that has moved.
 *  - An entry's memory, or an overflow bucket's, is written anew only after it
 *    was unlinked under an odd seq. Another CPU may do that, so the way from
 *    the unlink to the reuse ends with a full barrier (the reservation in the
 *    log) or a lock: whoever sees the new content must see the odd seq, too.
 *  - A split or merge stores the size while both seqs are odd. At any other time
 *    there would be a moment at which size and seq are good and the key is in
 *    neither bucket. The bucket that goes is emptied.
 *  - After a miss, the size is compared before the seq. If a split moved the key
 *    away before seq was loaded, the size differs, unless a merge has brought
 *    the key back; then the merge made seq odd before it stored the size, and
 *    R2 makes that seen. The same is true of a merge and then a split. A hit
 *    needs no look at the size: only buckets in use have slots.
 *
 * A bucket whose memory was given back reads as zeros; when it comes back it
 * begins with a random seq, so that nobody takes it for the one that was there.
 * The frequency bits of a slot change without seq, but only by compare-and-
 * exchange, so never in a slot that has been emptied or leads elsewhere.
 *
 * Who includes this has defined
 *   KCACHE_LOAD(x)		one load of x, not torn
 *   KCACHE_LOAD_ACQUIRE(p)	the same of *p, and later accesses stay behind it
 *   KCACHE_READ_BARRIER()	later loads stay behind earlier ones
 *   struct kcache_view		what it takes to get from an offset to memory
 *   kcache_view_at(view, region, offset, len, &left)
 *				the memory at an offset that may be anything, and how
 *				many bytes of it lie in one piece; NULL if they are
 *				fewer than len, or none
 *   kcache_view_table_size(view)	where the size of the table is
 *   KCACHE_HOPS_MAX	if he does not trust the arena to be in order: after so many
 *				overflow buckets in a chain, begin again
 *   KCACHE_RACY(x)	if a tool that looks for races is to be told: x reads bytes of an
 *			entry that may be changing, and the seq says later whether they were
 */
#ifndef _UAPI_LINUX_KCACHE_READ_H
#define _UAPI_LINUX_KCACHE_READ_H

#include <linux/stddef.h>	/* __always_inline: the whole search is one piece */
#include "kcache_map.h"

#ifndef NULL
#define NULL	((void *)0)
#endif

#ifndef KCACHE_RACY
#define KCACHE_RACY(x)	(x)
#endif

/**
 * struct kcache_found - where a key was found
 * @home: first bucket of the chain; its seq guards all of it
 * @slot: the slot
 * @value: what was in it
 * @offset: the entry's offset in the segment region
 * @entry: its memory, up to the end of the key
 * @left: bytes from there that lie in one piece
 * @value_at: bytes from there to the value
 * @seq: of @home when the search began
 */
struct kcache_found {
	struct kcache_bucket *home;
	__u64 *slot;
	__u64 value;
	__u64 offset;
	struct kcache_entry *entry;
	__u64 left;
	__u32 value_at;
	__u32 seq;
};

enum kcache_find_result {
	KCACHE_FOUND,
	KCACHE_MISSED,
	KCACHE_CHANGED,		/* begin again */
};

/* Has the chain stayed as it was since @found was found? Else all is void. */
static __always_inline int kcache_found_is_valid(const struct kcache_found *found)
{
	KCACHE_READ_BARRIER();	/* pairs with the write barrier behind the odd seq */
	return KCACHE_LOAD(found->home->seq) == found->seq;
}

/*
 * The entry in slot @value if its key is @key. The slot's memory may have got
 * other content since: everything is bounded here, and nothing is believed until
 * the seq is checked.
 */
static __always_inline struct kcache_entry *
kcache_entry_with_key(const struct kcache_view *view, __u64 value, const void *key,
		      __u32 key_len, __u32 *value_at, __u64 *left)
{
	__u32 key_at = sizeof(struct kcache_entry);
	struct kcache_entry *entry;
	__u16 stored;

	entry = (struct kcache_entry *)kcache_view_at(view, KCACHE_SEGMENTS,
						      kcache_slot_offset(value),
						      sizeof(*entry), left);
	if (!entry)
		return NULL;
	stored = KCACHE_LOAD(entry->key_len);
	if (__builtin_expect(stored != key_len, 0)) {
		if (stored != (key_len | KCACHE_ENTRY_FLAGS))
			return NULL;
		key_at = kcache_entry_key_offset(stored);
	}
	*value_at = key_at + key_len;
	if (*value_at > *left ||
	    !KCACHE_RACY(kcache_key_is_equal((__u8 *)entry + key_at, key, key_len)))
		return NULL;
	return entry;
}

/*
 * Looks for @key in one bucket. All slots are looked at, whether empty or not, which
 * is one test less for each: an empty slot leads to offset 0, where no entry is.
 * KCACHE_MISSED here: go on with @next. With @is_quick, KCACHE_CHANGED if another
 * key has the tag, so that the usual way needs fewer registers.
 */
static __always_inline enum kcache_find_result
kcache_find_in_bucket(const struct kcache_view *view, struct kcache_bucket *bucket, __u64 hash,
		      const void *key, __u32 key_len, int is_quick, struct kcache_found *found)
{
	struct kcache_entry *entry;
	__u64 value;
	int i;

#pragma GCC unroll 7
	for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
		value = KCACHE_LOAD(bucket->slot[i]);
		if (kcache_slot_has_tag(value, hash))
			goto has_tag;
	}
	return KCACHE_MISSED;

has_tag:
	for (;;) {
		entry = kcache_entry_with_key(view, value, key, key_len, &found->value_at,
					      &found->left);
		if (__builtin_expect(!!entry, 1))
			break;
		if (is_quick)
			return KCACHE_CHANGED;
		do {
			if (++i == KCACHE_BUCKET_SLOTS)
				return KCACHE_MISSED;
			value = KCACHE_LOAD(bucket->slot[i]);
		} while (!kcache_slot_has_tag(value, hash));
	}
	found->entry = entry;
	found->slot = &bucket->slot[i];
	found->value = value;
	found->offset = kcache_slot_offset(value);
	return KCACHE_FOUND;
}

/* The bucket at @index of one of its regions, NULL if there is none. */
static __always_inline struct kcache_bucket *
kcache_view_bucket(const struct kcache_view *view, enum kcache_region region, __u64 index)
{
	__u64 left;

	return (struct kcache_bucket *)kcache_view_at(view, region,
						      index * sizeof(struct kcache_bucket),
						      sizeof(struct kcache_bucket), &left);
}

/* Has the walk of a chain come too far? */
static __always_inline int kcache_is_endless(__u32 hops)
{
#ifdef KCACHE_HOPS_MAX
	return hops > KCACHE_HOPS_MAX;
#else
	(void)hops;
	return 0;
#endif
}

/* Step 1. False: begin again. */
static __always_inline int kcache_chain_begin(const struct kcache_view *view, __u64 hash,
					      __u64 *size, struct kcache_found *found)
{
	/* Pairs with the release of the size in a split or merge. */
	*size = KCACHE_LOAD_ACQUIRE(kcache_view_table_size(view));
	found->home = kcache_view_bucket(view, KCACHE_BUCKETS, kcache_bucket_at(hash, *size));
	if (__builtin_expect(!found->home, 0))
		return 0;
	/* Pairs with the release of the even seq. */
	found->seq = KCACHE_LOAD_ACQUIRE(&found->home->seq);
	return __builtin_expect(!(found->seq & 1), 1);
}

/**
 * kcache_find_by() - one search for a key
 * @view: where
 * @hash: of the key
 * @key: key bytes
 * @key_len: their number
 * @is_quick: whether to give up where another key has the tag: once in a million
 *	searches. Begin again without it then.
 * @found: out. What is read from @entry and behind it holds only if
 *	kcache_found_is_valid() says so afterwards.
 *
 * Return: KCACHE_FOUND; KCACHE_MISSED, which is final; or KCACHE_CHANGED.
 */
static __always_inline enum kcache_find_result
kcache_find_by(const struct kcache_view *view, __u64 hash, const void *key, __u32 key_len,
	       int is_quick, struct kcache_found *found)
{
	enum kcache_find_result result;
	struct kcache_bucket *bucket;
	__u32 next, hops = 0;
	__u64 size;

	if (!kcache_chain_begin(view, hash, &size, found))
		return KCACHE_CHANGED;
	for (bucket = found->home;;) {
		result = kcache_find_in_bucket(view, bucket, hash, key, key_len, is_quick, found);
		if (result != KCACHE_MISSED)
			return result;
		next = KCACHE_LOAD(bucket->next);
		if (!next)
			break;
		/* Only a chain that did not change is sure to end. */
		if (!kcache_found_is_valid(found) || kcache_is_endless(++hops))
			return KCACHE_CHANGED;
		bucket = kcache_view_bucket(view, KCACHE_OVERFLOW, next - 1ULL);
		if (!bucket)
			return KCACHE_CHANGED;
	}
	/* In this order: see above. */
	if (!found->seq || KCACHE_LOAD(*kcache_view_table_size(view)) != size ||
	    !kcache_found_is_valid(found))
		return KCACHE_CHANGED;
	return KCACHE_MISSED;
}

/* The same without @is_quick. */
static __always_inline enum kcache_find_result
kcache_find(const struct kcache_view *view, __u64 hash, const void *key, __u32 key_len,
	    struct kcache_found *found)
{
	return kcache_find_by(view, hash, key, key_len, 0, found);
}

#endif /* _UAPI_LINUX_KCACHE_READ_H */
