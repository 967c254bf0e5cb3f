// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "draft.h"
#include "entry.h"
#include "space.h"
#include "user.h"

/* Longest value that is copied while readers have to wait for it, in bytes. */
#define IN_PLACE_MAX	1024

/* kc_draft_begin() when the lane has no room, or none is large enough. In an RCU read section. */
int kc_draft_reserve_slowly(struct kc_cache *cache, u32 size, u32 whole, struct kc_room *room)
	__must_hold(RCU)
{
	bool is_large = kc_log_is_large(&cache->log, size);
	int err;

	do {
		rcu_read_unlock();
		if (is_large)
			err = kc_space_open_run(cache, size, room);
		else
			err = kc_space_refill(cache, size, whole);
		rcu_read_lock();
	} while (!err && !is_large && !kc_log_reserve_rcu(&cache->log, size, whole, room));
	return err;
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
	return kc_buffer_get(draft->bounce, draft->source, 0, len) ? -EFAULT : -EAGAIN;
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
static bool overwrite_rcu(struct kc_cache *cache, const struct kc_draft *draft,
			  const struct kcache_found *old, u64 expiry_ms, u64 version)
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
	return true;
}

/* kc_draft_link_rcu() of an entry that has an old one, @found. Holds the stripe. */
void kc_draft_replace_rcu(struct kc_cache *cache, const struct kc_draft *draft, u64 hash,
			  struct kcache_found *found, u64 expiry_ms, u64 version)
{
	u32 frequency = min_t(u32, kc_found_frequency(found) + 1, KCACHE_FREQUENCY_MAX);

	if (overwrite_rcu(cache, draft, found, expiry_ms, version))
		return;
	kc_draft_set_times_rcu(cache, draft, expiry_ms, version);
	kc_table_replace_locked(&cache->table, hash, found, draft->room.offset, frequency);
	kc_log_kill_rcu(&cache->log, found->offset, kc_entry_size(found->entry));
	kc_log_commit(&cache->log, &draft->room);
}

/*
 * The chain may be no longer: what came last to it goes, and the draft takes its slot. Who
 * fills a bucket on purpose displaces himself, and not what was there before him. Holds the
 * stripe.
 */
void kc_draft_displace_rcu(struct kc_cache *cache, const struct kc_room *room, u64 hash,
			   struct kcache_bucket *home, u32 frequency)
{
	struct kcache_found last = { .home = home };
	bool is_expired;

	kc_table_find_last_locked(&cache->table, hash, &last);
	is_expired = kc_entry_is_expired(last.entry);
	kc_table_replace_locked(&cache->table, hash, &last, room->offset, frequency);
	kc_log_kill_rcu(&cache->log, last.offset, kc_entry_size(last.entry));
	if (is_expired)
		kc_stats_inc(cache->stats, expirations);
	else
		kc_stats_inc(cache->stats, evictions);
}
