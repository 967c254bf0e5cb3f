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

#include <linux/mm.h>

#include "cache.h"

/**
 * struct kc_draft - an entry that is being written
 * @room: where; its segment is NULL if there is none, or it was given up
 * @entry: its memory, up to the end of the key
 * @value_at: offset of its value in the segment region
 * @value: its memory, NULL if that is not in one piece
 * @source: where the caller's bytes come from: its memory, or @bounce
 * @source_len: their number
 * @bounce: the caller's bytes, if they could not be copied at once
 */
struct kc_draft {
	struct kc_room room;
	struct kcache_entry *entry;
	u64 value_at;
	void *value;
	struct kc_buffer source;
	size_t source_len;
	void *bounce;
};

static inline void kc_draft_init(struct kc_draft *draft, struct kc_buffer source, size_t len)
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

int kc_draft_begin(struct kc_cache *cache, const void *key, u32 key_bytes, u32 client_flags,
		   u32 value_len, struct kc_draft *draft);
int kc_draft_link_rcu(struct kc_cache *cache, struct kc_draft *draft, u64 hash,
		      struct kcache_found *found, bool is_old, u64 expiry_ms, u64 *version);
int kc_draft_end_slowly(struct kc_cache *cache, struct kc_draft *draft, int err);

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

	if (unlikely(!draft->value))
		return kc_arena_pieces_from(&cache->arena, draft->value_at + offset,
					    &draft->source, draft->source_len);
	pagefault_disable();
	err = kc_buffer_get(draft->value + offset, &draft->source, 0, draft->source_len);
	pagefault_enable();
	return err;
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
	if (unlikely(err || kc_table_wants_split(&cache->table)))
		return kc_draft_end_slowly(cache, draft, err);
	__acquire(RCU);		/* kc_draft_begin() did, which sparse does not know here */
	rcu_read_unlock();
	return 0;
}

#endif /* KC_DRAFT_H */
