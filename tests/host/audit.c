// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/bitops.h>
#include <linux/rcupdate.h>

#include "audit.h"
#include "entry.h"
#include "shim/shim.h"

struct audit {
	struct kc_cache *cache;
	u64 live;		/* entries met in segments that have a slot */
	u64 slots;		/* slots met in the table */
	u64 overflow;		/* overflow buckets met in chains */
	int complaints;
};

__attribute__((format(printf, 2, 3)))
static void complain(struct audit *audit, const char *format, ...)
{
	va_list args;

	if (++audit->complaints > 20)
		return;
	printf("# audit: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* -------- segments -------- */

/* Bytes of the live entries in @segment, which is @end bytes long. */
static u64 audit_entries(struct audit *audit, const struct kc_segment *segment, u32 end)
{
	struct kc_cache *cache = audit->cache;
	struct kc_segment view = *segment;
	struct kcache_entry *entry;
	u64 live = 0, offset;
	struct kc_log_cursor cursor = { 0 };

	view.end = end;
	while ((entry = kc_log_walk_rcu(&cache->log, &view, &cursor, &offset))) {
		u64 hash = kc_table_hash_entry(&cache->table, entry), expiry_ms;
		struct kcache_found by_offset, by_key;
		const u8 *key;

		rcu_read_lock();
		kc_table_lock(&cache->table, hash);
		if (kc_table_find_offset_locked(&cache->table, hash, offset, &by_offset)) {
			audit->live++;
			live += kc_entry_size(entry);
			expiry_ms = kc_entry_expiry_ms(entry);
			if (expiry_ms && expiry_ms < segment->next_expiry_ms)
				complain(audit, "entry expires before next_expiry_ms");
			key = (u8 *)entry + kcache_entry_key_offset(entry->key_len);
			if (!kc_table_find_locked(&cache->table, hash, key,
						  kcache_entry_key_len(entry->key_len), &by_key) ||
			    by_key.slot != by_offset.slot)
				complain(audit, "key is in the table twice");
		}
		kc_table_unlock(&cache->table, hash);
		rcu_read_unlock();
	}
	if (cursor.position > end)
		complain(audit, "last entry of a segment ends behind it");
	return live;
}

static void audit_segment(struct audit *audit, const struct kc_segment *segment)
{
	bool is_sealed = kc_segment_is_sealed(segment);
	u32 end = is_sealed ? segment->end : atomic_read(&segment->head);
	u32 size = kc_segment_size(&audit->cache->log, segment);
	u64 live, dead;

	if (end > size) {
		complain(audit, "segment is fuller than it is large: %u of %u", end, size);
		return;
	}
	live = audit_entries(audit, segment, end);
	dead = kc_segment_dead(segment);
	if (live + dead != end)
		complain(audit, "segment %u: %llu live and %llu dead bytes are not %u",
			 kc_segment_chunk(&audit->cache->log, segment), live, dead, end);
}

static u64 count_chunks(struct audit *audit, struct list_head *list)
{
	struct kc_segment *segment;
	u64 nr = 0;

	list_for_each_entry(segment, list, link) {
		u32 i, chunk = kc_segment_chunk(&audit->cache->log, segment);

		nr += segment->nr_chunks;
		for (i = chunk; i < chunk + segment->nr_chunks; i++)
			if (!test_bit(i, audit->cache->log.chunk_map))
				complain(audit, "chunk %u is not in the map", i);
	}
	return nr;
}

/* Chunks of one queue, whose segments are checked, too. */
static u64 audit_queue(struct audit *audit, enum kc_queue queue)
{
	struct kc_log *log = &audit->cache->log;
	struct kc_segment *segment;
	u64 opened = 0, nr_chunks;

	list_for_each_entry(segment, &log->queue[queue], link) {
		if (segment->opened < opened)
			complain(audit, "segments are out of order");
		if (segment->queue != queue)
			complain(audit, "segment does not know its queue");
		opened = segment->opened;
		audit_segment(audit, segment);
	}
	nr_chunks = count_chunks(audit, &log->queue[queue]);
	if (nr_chunks != log->nr_chunks[queue])
		complain(audit, "%llu chunks in queue %d, counted %llu", nr_chunks, queue,
			 log->nr_chunks[queue]);
	return nr_chunks;
}

static void audit_log(struct audit *audit)
{
	struct kc_log *log = &audit->cache->log;
	u64 nr_chunks, nr_map = 0;
	u32 i;

	nr_chunks = count_chunks(audit, &log->pool);
	if (nr_chunks != log->nr_pool)
		complain(audit, "%llu segments in the pool, counted %u", nr_chunks, log->nr_pool);
	nr_chunks += 1 + audit_queue(audit, KC_SMALL) + audit_queue(audit, KC_MAIN) +
		     count_chunks(audit, &log->zombies);
	for (i = 0; i < log->nr_map; i++)
		nr_map += test_bit(i, log->chunk_map);
	if (nr_chunks != nr_map)
		complain(audit, "%llu chunks, %llu in the map", nr_chunks, nr_map);
}

/* -------- table -------- */

static struct kcache_bucket *bucket_at(struct kc_cache *cache, enum kcache_region region, u64 index)
{
	return kc_arena_ptr(&cache->arena, region, index * sizeof(struct kcache_bucket),
			    sizeof(struct kcache_bucket));
}

static void audit_slot(struct audit *audit, u32 index, u64 value)
{
	struct kc_cache *cache = audit->cache;
	u64 offset = kcache_slot_offset(value), hash;
	struct kcache_entry *entry;
	struct kc_segment *segment;
	int queue;

	audit->slots++;
	entry = kc_arena_ptr(&cache->arena, KCACHE_SEGMENTS, offset, sizeof(*entry));
	if (!entry) {
		complain(audit, "slot leads nowhere");
		return;
	}
	hash = kc_table_hash_entry(&cache->table, entry);
	if (kcache_slot_make(hash, offset) != (value & (KCACHE_TAG_MASK | KCACHE_LOC_MASK)))
		complain(audit, "slot has another tag than its entry's");
	if (kcache_bucket_index(hash, cache->table.nr_buckets) != index)
		complain(audit, "entry is in the wrong bucket");
	for (queue = 0; queue < KC_NR_QUEUES; queue++)
		list_for_each_entry(segment, &cache->log.queue[queue], link)
			if (offset - segment->offset <
			    kc_segment_size(&cache->log, segment))
				return;
	complain(audit, "slot leads to no segment");
}

static void audit_chain(struct audit *audit, u32 index)
{
	struct kc_cache *cache = audit->cache;
	struct kcache_bucket *bucket = bucket_at(cache, KCACHE_BUCKETS, index);
	bool has_ended = false;
	int i;

	if (!bucket || bucket->seq & 1) {
		complain(audit, "bucket %u is missing, or being written", index);
		return;
	}
	while (bucket) {
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
			if (bucket->slot[i] && has_ended)
				complain(audit, "chain %u has a hole", index);
			has_ended |= !bucket->slot[i];
			if (bucket->slot[i])
				audit_slot(audit, index, bucket->slot[i]);
		}
		if (!bucket->next)
			return;
		if (++audit->overflow > cache->table.nr_overflow) {
			complain(audit, "chain %u does not end", index);
			return;
		}
		if (has_ended)
			complain(audit, "chain %u goes on behind its end", index);
		bucket = bucket_at(cache, KCACHE_OVERFLOW, bucket->next - 1);
		if (bucket && !bucket->slot[0])
			complain(audit, "chain %u has an empty overflow bucket", index);
	}
}

static void audit_table(struct audit *audit)
{
	struct kc_cache *cache = audit->cache;
	struct kc_table *table = &cache->table;
	u32 i, nr_free = 0, next;

	for (i = 0; i < table->nr_buckets; i++)
		audit_chain(audit, i);
	for (next = table->overflow_free; next && nr_free <= table->nr_overflow; nr_free++)
		next = bucket_at(cache, KCACHE_OVERFLOW, next - 1)->next;
	if (table->nr_overflow_used != audit->overflow ||
	    table->nr_overflow_used + nr_free != table->nr_overflow)
		complain(audit, "overflow buckets: %u used, %llu met, %u free of %u",
			 table->nr_overflow_used, audit->overflow, nr_free, table->nr_overflow);
	if ((s64)audit->slots != percpu_counter_sum(&table->nr_entries))
		complain(audit, "%llu slots, counted %lld", audit->slots,
			 percpu_counter_sum(&table->nr_entries));
	if (audit->slots != audit->live)
		complain(audit, "%llu slots, %llu entries that have one", audit->slots,
			 audit->live);
}

/* -------- memory -------- */

static void audit_memory(struct audit *audit)
{
	struct kc_cache *cache = audit->cache;
	u64 used = atomic64_read(&cache->arena.used_bytes);
	u64 fixed = sizeof(*cache) + nr_cpu_ids * (sizeof(struct kc_stats) + sizeof(u64));

	if (used != fixed + shim_bytes_in_use())
		complain(audit, "account says %llu bytes, in use are %llu", used,
			 fixed + shim_bytes_in_use());
	if (used > cache->arena.max_bytes)
		complain(audit, "%llu bytes are over the limit of %llu", used,
			 cache->arena.max_bytes);
}

static bool run_audit(struct kc_cache *cache, bool with_memory)
{
	struct audit audit = { .cache = cache };
	struct kc_cache_account account;

	mutex_lock(&cache->evict.mutex);
	mutex_lock(&cache->arena.mutex);
	audit_log(&audit);
	audit_table(&audit);
	if (with_memory)
		audit_memory(&audit);
	mutex_unlock(&cache->arena.mutex);
	mutex_unlock(&cache->evict.mutex);
	kc_cache_account(cache, &account);
	if (account.entries != audit.slots)
		complain(&audit, "account has %llu entries, %llu are there", account.entries,
			 audit.slots);
	return !audit.complaints;
}

bool audit(struct kc_cache *cache)
{
	return run_audit(cache, true);
}

bool audit_contents(struct kc_cache *cache)
{
	return run_audit(cache, false);
}
