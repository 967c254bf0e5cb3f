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
#include <linux/uio.h>

#include "log.h"
#include "table.h"

struct kc_cache;

/**
 * struct kc_draft - an entry that is being written
 * @room: where; its segment is NULL if there is none, or it was given up
 * @entry: its memory, up to the end of the key
 * @value_at: offset of its value in the segment region
 * @source: where the caller's bytes come from: its memory, or @bounce
 * @source_len: their number
 * @bounce: the caller's bytes, if they could not be copied at once
 * @bounce_vec: where they are
 * @bounce_iter: @source then
 */
struct kc_draft {
	struct kc_room room;
	struct kcache_entry *entry;
	u64 value_at;
	const struct iov_iter *source;
	size_t source_len;
	void *bounce;
	struct kvec bounce_vec;
	struct iov_iter bounce_iter;
};

static inline void kc_draft_init(struct kc_draft *draft, const struct iov_iter *source, size_t len)
{
	draft->source = source;
	draft->source_len = len;
	draft->bounce = NULL;
}

static inline void kc_draft_exit(struct kc_draft *draft)
{
	kvfree(draft->bounce);
}

int kc_draft_begin(struct kc_cache *cache, const void *key, u32 key_bytes, u32 client_flags,
		   u32 value_len, struct kc_draft *draft);
int kc_draft_fill_rcu(struct kc_cache *cache, struct kc_draft *draft, u32 offset);
int kc_draft_link_rcu(struct kc_cache *cache, struct kc_draft *draft, u64 hash,
		      struct kcache_found *old, u64 expiry_ms, u64 *version);
int kc_draft_end(struct kc_cache *cache, struct kc_draft *draft, int err);

#endif /* KC_DRAFT_H */
