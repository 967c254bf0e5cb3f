// SPDX-License-Identifier: GPL-2.0
#include <linux/minmax.h>
#include <linux/slab.h>

#include "draft.h"
#include "entry.h"
#include "space.h"
#include "user.h"

/* Longest value that is copied while readers have to wait for it, in bytes. */
#define IN_PLACE_MAX	1024

static int draft_reserve(struct kc_cache *cache, u32 size, u32 whole, struct kc_draft *draft)
	__acquires(RCU)
{
	int err = 0;

	if (kc_log_is_large(&cache->log, size)) {
		err = kc_space_open_run(cache, size, &draft->room);
		rcu_read_lock();
		return err;
	}
	rcu_read_lock();
	while (!err && !kc_log_reserve_rcu(&cache->log, size, whole, &draft->room)) {
		rcu_read_unlock();
		err = kc_space_refill(cache, size, whole);
		rcu_read_lock();
	}
	return err;
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
int kc_draft_begin(struct kc_cache *cache, const void *key, u32 key_bytes, u32 client_flags,
		   u32 value_len, struct kc_draft *draft)
	__acquires(RCU)
{
	u16 key_len = key_bytes | (client_flags ? KCACHE_ENTRY_FLAGS : 0);
	u32 whole = kcache_entry_value_offset(key_len);
	struct kcache_entry *entry;
	u32 in_block;
	int err;

	draft->room.segment = NULL;
	err = draft_reserve(cache, kcache_entry_size(key_len, value_len), whole, draft);
	if (err)
		return err;
	entry = kc_arena_ptr(&cache->arena, KCACHE_SEGMENTS, draft->room.offset, whole);
	draft->entry = entry;
	draft->value_at = draft->room.offset + whole;
	in_block = draft->room.offset & cache->arena.block_mask;
	draft->value = likely(in_block + (u64)draft->room.size <= kc_block_size(&cache->arena)) ?
		       (void *)entry + whole : NULL;
	WRITE_ONCE(entry->value_len, value_len);
	WRITE_ONCE(entry->key_len, key_len);
	if (client_flags)
		memcpy(entry->data, &client_flags, sizeof(client_flags));
	memcpy((void *)entry + kcache_entry_key_offset(key_len), key, key_bytes);
	return 0;
}

/* Brings the caller's bytes in, so that the next try cannot fault. */
static int draft_bounce(struct kc_cache *cache, struct kc_draft *draft)
{
	size_t len = draft->source_len;

	kc_stats_inc(cache->stats, faults);
	if (draft->bounce)
		return -EFAULT;
	draft->bounce = kvmalloc(len, GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_NORETRY);
	if (!draft->bounce)
		return -ENOSPC;
	if (kc_buffer_get(draft->bounce, &draft->source, 0, len))
		return -EFAULT;
	draft->source = kc_buffer_kernel(draft->bounce);
	return -EAGAIN;
}

/* kc_draft_end() when there is more to do than to leave the RCU read section. */
int kc_draft_end_slowly(struct kc_cache *cache, struct kc_draft *draft, int err)
	__releases(RCU)
{
	if (err && draft->room.segment)
		kc_log_abandon(&cache->log, &draft->room);
	rcu_read_unlock();

	if (err == -EFAULT)
		return draft_bounce(cache, draft);
	if (!err && kc_table_wants_split(&cache->table))
		kc_space_grow_table(cache);
	return err;
}

/*
 * Copies the draft over the entry of its key, if that takes as much room and not
 * long to copy: the log gets no dead bytes, and the entry keeps its place in the
 * order of eviction. False if it is not so. Holds the stripe.
 */
static bool overwrite_rcu(struct kc_cache *cache, struct kc_draft *draft,
			  struct kcache_found *old, u64 expiry_ms, u64 version)
{
	struct kcache_entry *to = old->entry, *from = draft->entry;

	if (from->value_len > IN_PLACE_MAX || from->key_len != to->key_len ||
	    kc_entry_size(to) != draft->room.size)
		return false;
	kc_bucket_write_begin(old->home);
	WRITE_ONCE(to->value_len, from->value_len);
	kc_entry_set_expiry_ms(to, expiry_ms);
	kc_entry_set_version(to, version);
	if (from->key_len & KCACHE_ENTRY_FLAGS)
		memcpy(to->data, from->data, sizeof(u32));
	if (likely(draft->value && old->value_at + (u64)from->value_len <= old->left))
		memcpy((void *)to + old->value_at, draft->value, from->value_len);
	else
		kc_arena_move(&cache->arena, old->offset + old->value_at, draft->value_at,
			      from->value_len);
	kc_bucket_write_end(old->home);
	kc_log_note_expiry_rcu(&cache->log, old->offset, expiry_ms);
	kc_table_use_rcu(old);
	kc_log_abandon(&cache->log, &draft->room);
	draft->room.segment = NULL;
	return true;
}

/* The entry that @found leads to is dead from now on. Holds its stripe. */
static void kill_old_rcu(struct kc_cache *cache, const struct kcache_found *found)
{
	kc_log_kill_rcu(&cache->log, found->offset, kc_entry_size(found->entry));
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
int kc_draft_link_rcu(struct kc_cache *cache, struct kc_draft *draft, u64 hash,
		      struct kcache_found *found, bool is_old, u64 expiry_ms, u64 *version)
{
	u64 next = kc_cache_new_version(cache);
	u32 frequency;
	int err;

	if (is_old && overwrite_rcu(cache, draft, found, expiry_ms, next)) {
		*version = next;
		return 0;
	}
	kc_entry_set_expiry_ms(draft->entry, expiry_ms);
	kc_entry_set_version(draft->entry, next);
	kc_log_note_expiry_rcu(&cache->log, draft->room.offset, expiry_ms);
	if (is_old) {
		frequency = min_t(u32, kc_found_frequency(found) + 1, KCACHE_FREQUENCY_MAX);
		kc_table_replace_locked(&cache->table, hash, found, draft->room.offset, frequency);
		kill_old_rcu(cache, found);
	} else {
		frequency = kc_evict_first_frequency_rcu(&cache->evict, hash);
		err = kc_table_insert_locked(&cache->table, hash, found, draft->room.offset,
					     frequency);
		if (err)
			return err;
	}
	kc_log_commit(&cache->log, &draft->room);
	*version = next;
	return 0;
}
