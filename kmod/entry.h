/* SPDX-License-Identifier: GPL-2.0 */
/*
 * entry: the metadata of one entry, in and out of the arena.
 */
#ifndef KC_ENTRY_H
#define KC_ENTRY_H

#include <linux/compiler.h>
#include <linux/ktime.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "uapi/linux/kcache_map.h"

/* Milliseconds on the clock of expiry, which runs through suspend. */
static inline u64 kc_now_ms(void)
{
	return div_u64(ktime_get_boottime_ns(), NSEC_PER_MSEC);
}

static inline u64 kc_entry_expiry_ms(const struct kcache_entry *entry)
{
	return (u64)READ_ONCE(entry->expiry_hi) << 32 | READ_ONCE(entry->expiry_lo);
}

static inline void kc_entry_set_expiry_ms(struct kcache_entry *entry, u64 expiry_ms)
{
	WRITE_ONCE(entry->expiry_hi, expiry_ms >> 32);
	WRITE_ONCE(entry->expiry_lo, expiry_ms);
}

static inline u64 kc_entry_version(const struct kcache_entry *entry)
{
	return (u64)READ_ONCE(entry->version[1]) << 32 | READ_ONCE(entry->version[0]);
}

static inline void kc_entry_set_version(struct kcache_entry *entry, u64 version)
{
	WRITE_ONCE(entry->version[0], version);
	WRITE_ONCE(entry->version[1], version >> 32);
}

/* Bytes that an entry takes in its segment. */
static inline u32 kc_entry_size(const struct kcache_entry *entry)
{
	return kcache_entry_size(READ_ONCE(entry->key_len), READ_ONCE(entry->value_len));
}

/* Is the time of an entry with this expiry up? */
static inline bool kc_expiry_is_over(u64 expiry_ms)
{
	return expiry_ms && expiry_ms <= kc_now_ms();
}

static inline bool kc_entry_is_expired(const struct kcache_entry *entry)
{
	return kc_expiry_is_over(kc_entry_expiry_ms(entry));
}

/* What one look at an entry tells. */
struct kc_meta {
	u64 version;
	u64 expiry_ms;
	u32 value_len;
	u32 client_flags;
	u16 key_len;
};

static __always_inline void kc_meta_read(const struct kcache_entry *entry, struct kc_meta *meta)
{
	meta->key_len = READ_ONCE(entry->key_len);
	meta->value_len = READ_ONCE(entry->value_len);
	meta->expiry_ms = kc_entry_expiry_ms(entry);
	meta->version = kc_entry_version(entry);
	meta->client_flags = 0;
	if (meta->key_len & KCACHE_ENTRY_FLAGS)
		/* Of these, too, any mix of old and new bytes will do: the seq tells. */
		data_race(memcpy(&meta->client_flags, entry->data, sizeof(meta->client_flags)));
}

/* What @ttl_ms of struct kcache_op tells of this expiry. */
static inline u64 kc_ttl_left_ms(u64 expiry_ms)
{
	u64 now;

	if (!expiry_ms)
		return 0;
	now = kc_now_ms();
	return expiry_ms > now ? expiry_ms - now : 1;
}

#endif /* KC_ENTRY_H */
