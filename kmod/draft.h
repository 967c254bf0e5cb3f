/* SPDX-License-Identifier: GPL-2.0 */
/*
 * draft: an entry that is being written.
 *
 * Owns the steps from room in the log to an entry that the table leads to, and
 * the buffer through which bytes come in that could not be copied at once.
 * Promises that no reservation outlives a page fault.
 */
#ifndef KC_DRAFT_H
#define KC_DRAFT_H

#include <linux/minmax.h>
#include <linux/mm.h>

#include "cache.h"
#include "entry.h"

/**
 * struct kc_draft - an entry that is being written
 * @room: where; its segment is NULL if there is none
 * @entry: its memory, up to the end of the key
 * @value_at: offset of its value in the segment region
 * @value: its memory, NULL if that is not in one piece
 * @source: where the caller's bytes come from
 * @source_len: their number
 * @bounce: the caller's bytes, if they could not be copied at once; NULL: they were not brought in
 */
struct kc_draft {
	struct kc_room room;
	struct kcache_entry *entry;
	u64 value_at;
	void *value;
	const struct kc_buffer *source;
	size_t source_len;
	void *bounce;
};

static inline void kc_draft_init(struct kc_draft *draft, const struct kc_buffer *source, size_t len)
{
	draft->source = source;
	draft->source_len = len;
	draft->bounce = NULL;
}

static inline void kc_draft_exit(struct kc_draft *draft)
{
	if (unlikely(draft->bounce))
		kvfree(draft->bounce);
}

/*
 * What is rare stands out of line, and gets copies: a draft whose address is known elsewhere
 * is in memory all the time.
 */
int kc_draft_reserve_slowly(struct kc_cache *cache, u32 size, u32 whole, struct kc_room *room);
void kc_draft_replace_rcu(struct kc_cache *cache, const struct kc_draft *draft, u64 hash,
			  struct kcache_found *found, u64 expiry_ms, u64 version);
void kc_draft_displace_rcu(struct kc_cache *cache, const struct kc_room *room, u64 hash,
			   struct kcache_bucket *home, u32 frequency);
int kc_draft_end_slowly(struct kc_cache *cache, struct kc_draft *draft, int err);

/* A copy of a key. Most have 8 to 16 bytes: two words, which may overlap. */
static __always_inline void kc_draft_copy_key(u8 *to, const u8 *key, u32 len)
{
	if (unlikely(len - 8 > 8)) {
		memcpy(to, key, len);
		return;
	}
	memcpy(to, key, 8);
	memcpy(to + len - 8, key + len - 8, 8);
}

/**
 * kc_draft_begin() - reserve room, write header and key
 * @cache: where
 * @key: key bytes, not in user memory
 * @key_bytes: their number
 * @client_flags: of the entry
 * @value_len: of the entry
 * @draft: initialized
 *
 * Whatever it returns, an RCU read section has begun in which the draft has to be
 * filled and linked, and which kc_draft_end() leaves.
 *
 * Context: Process context, holds nothing.
 * Return: 0, -ENOSPC, -EINTR.
 */
static __always_inline int kc_draft_begin(struct kc_cache *cache, const void *key, u32 key_bytes,
					  u32 client_flags, u32 value_len, struct kc_draft *draft)
	__acquires(RCU)
{
	u16 key_len = key_bytes | (client_flags ? KCACHE_ENTRY_FLAGS : 0);
	u32 whole = kcache_entry_value_offset(key_len);
	u32 size = kcache_entry_size(key_len, value_len);
	struct kcache_entry *entry;
	u32 in_block;

	draft->room.segment = NULL;
	rcu_read_lock();
	if (unlikely(!kc_log_reserve_rcu(&cache->log, size, whole, &draft->room))) {
		struct kc_room room = { 0 };
		int err = kc_draft_reserve_slowly(cache, size, whole, &room);

		if (err)
			return err;
		draft->room = room;
	}
	in_block = draft->room.offset & cache->arena.block_mask;
	entry = kc_arena_sure_ptr(&cache->arena, KCACHE_SEGMENTS, draft->room.offset);
	draft->entry = entry;
	draft->value_at = draft->room.offset + whole;
	draft->value = likely(in_block + (u64)size <= kc_block_size(&cache->arena)) ?
		       (void *)entry + whole : NULL;
	WRITE_ONCE(entry->value_len, value_len);
	WRITE_ONCE(entry->key_len, key_len);
	if (unlikely(client_flags))
		memcpy(entry->data, &client_flags, sizeof(client_flags));
	kc_draft_copy_key((u8 *)entry + whole - key_bytes, key, key_bytes);
	return 0;
}

/**
 * kc_draft_fill_rcu() - copy the caller's bytes into the value
 * @cache: where
 * @draft: begun
 * @offset: in the value
 *
 * Return: 0, or -EFAULT: not in memory now.
 */
static __always_inline int kc_draft_fill_rcu(struct kc_cache *cache, struct kc_draft *draft,
					     u32 offset)
{
	int err;

	if (unlikely(!draft->value || draft->bounce)) {
		struct kc_buffer brought = kc_buffer_kernel(draft->bounce);

		return kc_arena_pieces_from(&cache->arena, draft->value_at + offset,
					    draft->bounce ? &brought : draft->source,
					    draft->source_len);
	}
	pagefault_disable();
	err = kc_buffer_get(draft->value + offset, draft->source, 0, draft->source_len);
	pagefault_enable();
	return err;
}

/* What the header of a draft has that is known last. */
static __always_inline void kc_draft_set_times_rcu(struct kc_cache *cache,
						   const struct kc_draft *draft, u64 expiry_ms,
						   u64 version)
{
	kc_entry_set_expiry_ms(draft->entry, expiry_ms);
	kc_entry_set_version(draft->entry, version);
	kc_log_note_expiry_rcu(&cache->log, draft->room.offset, expiry_ms);
}

/**
 * kc_draft_link_rcu() - let the table lead to the draft
 * @cache: where
 * @draft: filled
 * @hash: of its key
 * @found: what kc_table_find_locked() said of the key
 * @is_old: whether there is an entry, which dies
 * @expiry_ms: of the entry
 * @version: out, of the entry
 *
 * Storing a value anew is a use of the entry. If it takes as much room as before,
 * it goes where the old one was, and the draft is given up.
 *
 * Context: Holds the stripe.
 * Return: 0, or -ENOSPC: the table needs an overflow bucket.
 */
static __always_inline int kc_draft_link_rcu(struct kc_cache *cache, struct kc_draft *draft,
					     u64 hash, struct kcache_found *found, bool is_old,
					     u64 expiry_ms, u64 *version)
{
	u64 next = kc_cache_new_version(cache);
	u32 frequency;
	int err;

	if (is_old) {
		struct kcache_found old = *found;
		struct kc_draft copy = *draft;

		kc_draft_replace_rcu(cache, &copy, hash, &old, expiry_ms, next);
		*version = next;
		return 0;
	}
	kc_draft_set_times_rcu(cache, draft, expiry_ms, next);
	frequency = kc_evict_first_frequency_rcu(&cache->evict, hash);
	err = kc_table_insert_locked(&cache->table, hash, found, draft->room.offset, frequency);
	if (unlikely(err)) {
		struct kc_room room = draft->room;

		if (err != -EMLINK)
			return err;
		kc_draft_displace_rcu(cache, &room, hash, found->home, frequency);
	}
	kc_log_commit(&cache->log, &draft->room);
	*version = next;
	return 0;
}

/**
 * kc_draft_end() - end what kc_draft_begin() began
 * @cache: where
 * @draft: linked, or with @err given up
 * @err: 0 or why
 *
 * Return: @err, but for -EFAULT -EAGAIN if another try will get further.
 */
static inline int kc_draft_end(struct kc_cache *cache, struct kc_draft *draft, int err)
{
	if (unlikely(err || kc_table_wants_split(&cache->table))) {
		struct kc_draft copy = *draft;

		__release(RCU);		/* it does */
		err = kc_draft_end_slowly(cache, &copy, err);
		*draft = copy;
		return err;
	}
	rcu_read_unlock();
	return 0;
}

#endif /* KC_DRAFT_H */
