// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "protocol.h"

struct kcache_found {
	struct kcache_bucket *home;
	u32 *slot;
	struct kcache_entry *entry;
	u32 seq;
};

struct shared shared;
struct history history[NR_KEYS];
struct reader reader;

/* What no reader sees. */
static struct private {
	struct lock stripe[NR_STRIPES], overflow_lock;
	struct view mutex, log;
	u32 overflow_free;
	u32 pool[16], pool_head, pool_tail;	/* dead entries; of the log */
	u32 seq_start;
	u32 versions, values;
	struct user {
		u32 *slot, value;
		bool is_done;
	} user;
} private;

static struct writer {
	struct kcache_entry *draft;
	struct kcache_found found;
	u32 changed[NR_KEYS];		/* its newest state of each key */
	u32 told[STEPS_MAX + 1][NR_KEYS];	/* the same after each step */
	u32 nr_steps;
} writers[NR_WRITERS], *writer;

#define table	(&shared.table)

/* In a slot, the entry that it leads to; the rest is the frequency of its use. */
#define SLOT_USE	0x100

static u32 slot_entry(u32 value)
{
	return value % SLOT_USE;
}

/* -------- table.h -------- */

#define KCACHE_LOAD(x)		READ_ONCE(x)
#define KCACHE_LOAD_ACQUIRE(p)	smp_load_acquire(p)
#define KCACHE_READ_BARRIER()	smp_rmb()

static void kc_bucket_write_begin(struct kcache_bucket *home)
{
	WRITE_ONCE(home->seq, home->seq + 1);
	mutate(BEGIN_WITHOUT_WMB);
	smp_wmb();
}

static void kc_bucket_write_end(struct kcache_bucket *home)
{
	mutate(END_WITHOUT_RELEASE);
	smp_store_release(&home->seq, home->seq + 1 ?: 2);
}

static void kc_table_lock(u32 hash)
{
	spin_lock(&private.stripe[hash % NR_STRIPES]);
}

static void kc_table_unlock(u32 hash)
{
	spin_unlock(&private.stripe[hash % NR_STRIPES]);
}

/* As in kcache_map.h, but in half as many bits. */
#define SIZE_BITS	16

static u32 kcache_table_size(u32 nr_buckets)
{
	u32 mask = ~0U >> __builtin_clz((nr_buckets - 1) | 1);

	return mask << SIZE_BITS | nr_buckets;
}

static u32 kcache_bucket_at(u32 hash, u32 size)
{
	u32 mask = size >> SIZE_BITS;
	u32 index = hash & mask;

	return index < size % (1U << SIZE_BITS) ? index : index & (mask >> 1);
}

static u32 kcache_bucket_index(u32 hash, u32 nr_buckets)
{
	return kcache_bucket_at(hash, kcache_table_size(nr_buckets));
}

static const u32 *kcache_view_table_size(void)
{
	return table->size;
}

static struct kcache_bucket *kc_overflow_bucket(u32 next)
{
	return &shared.overflow[next - 1];
}

/* -------- log.c -------- */

/* Accounts an entry as dead: atomic_sub_return() and llist_add(). */
static void kc_log_kill_rcu(u32 slot)
{
	private.pool[private.pool_tail++] = slot;
	if (!mutant(KILL_WITHOUT_RELEASE))
		weak_release(&private.log);
}

static bool kc_log_has_room(u32 key)
{
	return private.pool_head < private.pool_tail;
}

/* Of the chain to here, what counts is the last: atomic_try_cmpxchg(), a full barrier. */
static struct kcache_entry *kc_log_reserve_rcu(void)
{
	u32 slot = private.pool[private.pool_head++];

	weak_acquire(&private.log);
	mutate(RESERVE_WITHOUT_MB);
	smp_mb();
	return &shared.entry[slot - 1];
}

static u32 slot_of(const struct kcache_entry *entry)
{
	return entry - shared.entry + 1;
}

/* -------- kcache_read.h -------- */

static bool kcache_found_is_valid(const struct kcache_found *found)
{
	mutate(VALID_WITHOUT_RMB);
	KCACHE_READ_BARRIER();
	return KCACHE_LOAD(found->home->seq) == found->seq || mutant(VALID_NOT_CHECKED);
}

/* What the reader does from here on follows from this, and from what it will load. */
static void note(const struct kcache_found *found, u32 size, const struct kcache_bucket *bucket,
		 u32 i)
{
	u32 locals[] = { reader.key, reader.reads, reader.floor, size, found->home - shared.home,
			 found->seq, bucket ? (u32 *)bucket - (u32 *)&shared : 0, i };

	weak_state(locals, sizeof(locals) / sizeof(locals[0]));
}

static struct kcache_entry *kcache_entry_with_key(u32 value, u32 key)
{
	struct kcache_entry *entry = &shared.entry[slot_entry(value) - 1];

	return KCACHE_LOAD(entry->key_len) == key ? entry : NULL;
}

static enum kcache_find_result
kcache_find_in_bucket(struct kcache_bucket *bucket, u32 size, u32 key, struct kcache_found *found)
{
	struct kcache_entry *entry;
	u32 value;
	int i;

	/* The keys have one tag, which an empty slot has not. */
	for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
		note(found, size, bucket, i);
		value = KCACHE_LOAD(bucket->slot[i]);
		if (value)
			goto has_tag;
	}
	return KCACHE_MISSED;

has_tag:
	for (;;) {
		entry = kcache_entry_with_key(value, key);
		if (entry)
			break;
		do {
			if (++i == KCACHE_BUCKET_SLOTS)
				return KCACHE_MISSED;
			note(found, size, bucket, i);
			value = KCACHE_LOAD(bucket->slot[i]);
		} while (!value);
	}
	found->entry = entry;
	found->slot = &bucket->slot[i];
	return KCACHE_FOUND;
}

static bool kcache_chain_begin(u32 hash, u32 *size, struct kcache_found *found)
{
	mutate(SIZE_WITHOUT_ACQUIRE);
	*size = KCACHE_LOAD_ACQUIRE(kcache_view_table_size());
	found->home = &shared.home[kcache_bucket_at(hash, *size)];
	mutate(SEQ_WITHOUT_ACQUIRE);
	found->seq = KCACHE_LOAD_ACQUIRE(&found->home->seq);
	return !(found->seq & 1) || mutant(ODD_NOT_CHECKED);
}

static bool is_miss_of_mutant(const struct kcache_found *found, u32 size)
{
	return found->seq && kcache_found_is_valid(found) &&
	       (mutant(SIZE_NOT_CHECKED) || KCACHE_LOAD(*kcache_view_table_size()) == size);
}

enum kcache_find_result kcache_find_by(u32 key, struct kcache_found *found)
{
	struct kcache_bucket *bucket;
	u32 size, next, hops = 0;

	if (!kcache_chain_begin(key, &size, found))
		return KCACHE_CHANGED;
	for (bucket = found->home;;) {
		if (kcache_find_in_bucket(bucket, size, key, found) == KCACHE_FOUND)
			return KCACHE_FOUND;
		next = KCACHE_LOAD(bucket->next);
		if (!next)
			break;
		if (!kcache_found_is_valid(found))
			return KCACHE_CHANGED;
		bucket = kc_overflow_bucket(next);
		if (++hops > NR_OVERFLOW)
			weak_fail("the chain of key %u does not end", key);
	}
	note(found, size, NULL, 0);
	if (mutant(SIZE_CHECKED_AFTER_SEQ) || mutant(SIZE_NOT_CHECKED))
		return is_miss_of_mutant(found, size) ? KCACHE_MISSED : KCACHE_CHANGED;
	if ((!found->seq && !mutant(ZERO_NOT_CHECKED)) ||
	    KCACHE_LOAD(*kcache_view_table_size()) != size || !kcache_found_is_valid(found))
		return KCACHE_CHANGED;
	return KCACHE_MISSED;
}

/* As read_found_rcu() of ops.c and get_once() of the library. */
enum kcache_find_result read_once_rcu(u32 key, struct kcache_entry *copy)
{
	struct kcache_found found = { 0 };
	enum kcache_find_result result = kcache_find_by(key, &found);

	if (result != KCACHE_FOUND)
		return result;
	copy->key_len = key;
	copy->value_len = KCACHE_LOAD(found.entry->value_len);
	copy->expiry = KCACHE_LOAD(found.entry->expiry);
	copy->version = KCACHE_LOAD(found.entry->version);
	copy->value = KCACHE_LOAD(found.entry->value);
	return kcache_found_is_valid(&found) ? KCACHE_FOUND : KCACHE_CHANGED;
}

/* -------- table.c, writing -------- */

/* Whoever holds a stripe may rely on the bucket that it computes from an old size, too. */
static struct kcache_bucket *own_bucket(u32 hash, u32 size)
{
	u32 index = kcache_bucket_at(hash, size);

	if (index != kcache_bucket_index(hash, table->nr_buckets))
		weak_fail("a writer of key %u takes bucket %u for its own", hash, index);
	return &shared.home[index];
}

static bool kc_table_find_locked(u32 key, struct kcache_found *found)
{
	struct kcache_bucket *bucket = own_bucket(key, READ_ONCE(*table->size));

	found->home = bucket;
	found->seq = bucket->seq;
	for (;; bucket = kc_overflow_bucket(bucket->next)) {
		for (u32 i = 0; i < KCACHE_BUCKET_SLOTS && bucket->slot[i]; i++) {
			found->slot = &bucket->slot[i];
			found->entry = &shared.entry[slot_entry(bucket->slot[i]) - 1];
			if (found->entry->key_len == key)
				return true;
		}
		if (!bucket->next)
			return false;
	}
}

static u32 overflow_get_rcu(void)
{
	u32 next;

	spin_lock(&private.overflow_lock);
	next = private.overflow_free;
	private.overflow_free = kc_overflow_bucket(next)->next;
	spin_unlock(&private.overflow_lock);
	return next;
}

static void clear_slots(struct kcache_bucket *bucket)
{
	int i;

	for (i = 0; i < KCACHE_BUCKET_SLOTS; i++)
		WRITE_ONCE(bucket->slot[i], 0);
}

static void overflow_put(u32 next)
{
	struct kcache_bucket *bucket = kc_overflow_bucket(next);

	clear_slots(bucket);
	spin_lock(&private.overflow_lock);
	WRITE_ONCE(bucket->next, private.overflow_free);
	private.overflow_free = next;
	spin_unlock(&private.overflow_lock);
}

static void kc_table_append_bucket_rcu(struct kcache_bucket *home, u32 value)
{
	struct kcache_bucket *bucket, *added;
	u32 next = overflow_get_rcu();

	for (bucket = home; bucket->next; bucket = kc_overflow_bucket(bucket->next))
		;
	added = kc_overflow_bucket(next);
	kc_bucket_write_begin(home);
	WRITE_ONCE(added->next, 0);
	WRITE_ONCE(added->slot[0], value);
	WRITE_ONCE(bucket->next, next);
	kc_bucket_write_end(home);
}

static void kc_table_insert_locked(struct kcache_found *found, u32 value)
{
	if (found->slot) {
		kc_bucket_write_begin(found->home);
		WRITE_ONCE(*found->slot, value);
		kc_bucket_write_end(found->home);
	} else {
		kc_table_append_bucket_rcu(found->home, value);
	}
}

/* What kc_table_find_locked() of the kernel tells of a key that is missing. */
static void find_free(u32 hash, struct kcache_found *found)
{
	struct kcache_bucket *bucket;
	u32 i;

	found->home = own_bucket(hash, READ_ONCE(*table->size));
	for (bucket = found->home; bucket->next; bucket = kc_overflow_bucket(bucket->next))
		;
	for (i = 0; i < KCACHE_BUCKET_SLOTS && READ_ONCE(bucket->slot[i]); i++)
		;
	found->slot = i < KCACHE_BUCKET_SLOTS ? &bucket->slot[i] : NULL;
}

static void kc_table_replace_locked(struct kcache_found *found, u32 value)
{
	kc_bucket_write_begin(found->home);
	WRITE_ONCE(*found->slot, value);
	kc_bucket_write_end(found->home);
}

static void remove_too_early(struct kcache_bucket *home, typeof(home->slot[0]) *slot,
			     struct kcache_bucket *before, u32 moved)
{
	overflow_put(before->next);
	kc_bucket_write_begin(home);
	WRITE_ONCE(*slot, moved);
	WRITE_ONCE(before->next, 0);
	kc_bucket_write_end(home);
}

static void kc_table_shorten_chain_rcu(struct kcache_bucket *home, typeof(home->slot[0]) *slot)
{
	struct kcache_bucket *last = home, *before = NULL;
	u32 emptied = 0;
	int i;

	while (last->next) {
		before = last;
		last = kc_overflow_bucket(last->next);
	}
	for (i = 0; i < KCACHE_BUCKET_SLOTS - 1 && READ_ONCE(last->slot[i + 1]); i++)
		;
	if (mutant(OVERFLOW_REUSED_EARLY) && i == 0) {
		remove_too_early(home, slot, before, last->slot[0]);
		return;
	}
	if (!mutant(REMOVE_NOT_ODD))
		kc_bucket_write_begin(home);
	WRITE_ONCE(*slot, READ_ONCE(last->slot[i]));
	WRITE_ONCE(last->slot[i], 0);
	if (i == 0) {
		emptied = before->next;
		WRITE_ONCE(before->next, 0);
	}
	if (!mutant(REMOVE_NOT_ODD))
		kc_bucket_write_end(home);
	if (emptied)
		overflow_put(emptied);
}

static void kc_table_remove_uncounted_locked(struct kcache_found *found)
{
	typeof(found->slot) last = found->slot, end = &found->home->slot[KCACHE_BUCKET_SLOTS - 1];

	if (found->home->next) {
		kc_table_shorten_chain_rcu(found->home, found->slot);
		return;
	}
	while (last < end && READ_ONCE(last[1]))
		last++;
	if (!mutant(REMOVE_NOT_ODD))
		kc_bucket_write_begin(found->home);
	WRITE_ONCE(*found->slot, READ_ONCE(*last));
	WRITE_ONCE(*last, 0);
	if (!mutant(REMOVE_NOT_ODD))
		kc_bucket_write_end(found->home);
}

struct chain_out {
	struct kcache_bucket *tail;
	int fill;
};

static void chain_put(struct chain_out *out, u32 value, u32 *spare)
{
	if (out->fill == KCACHE_BUCKET_SLOTS) {
		struct kcache_bucket *bucket = kc_overflow_bucket(*spare);

		WRITE_ONCE(out->tail->next, *spare);
		*spare = bucket->next;
		out->tail = bucket;
		out->fill = 0;
	}
	WRITE_ONCE(out->tail->slot[out->fill++], value);
}

static void chain_end(struct chain_out *out)
{
	while (out->fill < KCACHE_BUCKET_SLOTS)
		WRITE_ONCE(out->tail->slot[out->fill++], 0);
	WRITE_ONCE(out->tail->next, 0);
}

static void chain_distribute(struct kcache_bucket *home, u32 bit, struct chain_out *low,
			     struct chain_out *high, u32 *spare)
{
	struct kcache_bucket *bucket = home;
	u32 slot[KCACHE_BUCKET_SLOTS], index = 0, next;
	int i;

	do {
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++)
			slot[i] = READ_ONCE(bucket->slot[i]);
		next = bucket->next;
		if (index) {
			WRITE_ONCE(bucket->next, *spare);
			*spare = index;
		}
		for (i = 0; i < KCACHE_BUCKET_SLOTS && slot[i]; i++)
			chain_put(shared.entry[slot_entry(slot[i]) - 1].key_len & bit ? high : low, slot[i], spare);
		index = next;
		bucket = index ? kc_overflow_bucket(index) : NULL;
	} while (bucket);
}

static void put_spares(u32 spare)
{
	while (spare) {
		u32 next = kc_overflow_bucket(spare)->next;

		overflow_put(spare);
		spare = next;
	}
}

static u32 split_partner(u32 index)
{
	return index & ~(1U << (31 - __builtin_clz(index)));
}

/* In place of a random seq, one that was not there before. */
static void begin_bucket(struct kcache_bucket *bucket)
{
	WRITE_ONCE(bucket->seq, mutant(SEQ_STARTS_OVER) ? 2 : private.seq_start);
}

static void set_nr_buckets(u32 nr)
{
	WRITE_ONCE(table->nr_buckets, nr);
	mutate(SIZE_WITHOUT_RELEASE);
	smp_store_release(table->size, kcache_table_size(nr));
}

static void kc_table_split_locked(u32 unused)
{
	struct kcache_bucket *old, *new;
	u32 nr = table->nr_buckets, spare = 0;
	struct chain_out low, high;

	weak_acquire(&private.mutex);
	new = &shared.home[nr];
	if (!new->seq)
		begin_bucket(new);
	kc_table_lock(nr);
	old = &shared.home[split_partner(nr)];
	low = (struct chain_out) { .tail = old };
	high = (struct chain_out) { .tail = new };
	if (mutant(SPLIT_SIZE_EARLY))
		set_nr_buckets(nr + 1); /* mutant */
	if (!mutant(SPLIT_OLD_NOT_ODD))
		kc_bucket_write_begin(old);
	if (!mutant(SPLIT_NEW_NOT_ODD))
		kc_bucket_write_begin(new);
	chain_distribute(old, nr & ~split_partner(nr), &low, &high, &spare);
	chain_end(&low);
	chain_end(&high);
	if (!mutant(SPLIT_SIZE_LATE))
		set_nr_buckets(nr + 1);
	if (!mutant(SPLIT_NEW_NOT_ODD))
		kc_bucket_write_end(new);
	if (!mutant(SPLIT_OLD_NOT_ODD))
		kc_bucket_write_end(old);
	if (mutant(SPLIT_SIZE_LATE))
		set_nr_buckets(nr + 1); /* mutant */
	kc_table_unlock(nr);
	put_spares(spare);
	weak_release(&private.mutex);
}

static void kc_table_merge_locked(u32 unused)
{
	struct kcache_bucket *old, *last;
	u32 nr = table->nr_buckets - 1, spare;
	struct chain_out out;

	weak_acquire(&private.mutex);
	spare = overflow_get_rcu();
	WRITE_ONCE(kc_overflow_bucket(spare)->next, 0);
	kc_table_lock(nr);
	old = &shared.home[split_partner(nr)];
	last = &shared.home[nr];
	out = (struct chain_out) { .tail = old };
	if (mutant(MERGE_SIZE_EARLY))
		set_nr_buckets(nr); /* mutant */
	kc_bucket_write_begin(old);
	if (!mutant(MERGE_LAST_NOT_ODD))
		kc_bucket_write_begin(last);
	chain_distribute(old, 0, &out, &out, &spare);
	chain_distribute(last, 0, &out, &out, &spare);
	chain_end(&out);
	if (!mutant(MERGE_LEAVES_SLOTS))
		clear_slots(last);
	WRITE_ONCE(last->next, 0);
	if (!mutant(MERGE_SIZE_LATE))
		set_nr_buckets(nr);
	if (!mutant(MERGE_LAST_NOT_ODD))
		kc_bucket_write_end(last);
	kc_bucket_write_end(old);
	if (mutant(MERGE_SIZE_LATE))
		set_nr_buckets(nr); /* mutant */
	kc_table_unlock(nr);
	put_spares(spare);
	weak_release(&private.mutex);
}

/* A mapping shows a hole as zeros. Zapping is a full barrier for who does it, at least. */
static void kc_table_trim(u32 unused)
{
	u32 *word = (u32 *)&shared.home[table->nr_buckets];

	weak_acquire(&private.mutex);
	private.seq_start = *word + 2;
	smp_mb();
	for (u32 i = 0; i < sizeof(struct kcache_bucket) / sizeof(u32); i++)
		WRITE_ONCE(word[i], 0);
	smp_mb();
	weak_release(&private.mutex);
}

/* -------- the operations -------- */

static void changed(u32 key, const struct kcache_entry *entry)
{
	struct history *h = &history[key];

	h->state[h->nr].is_there = entry;
	if (entry)
		h->state[h->nr].entry = *entry;
	writer->changed[key] = h->nr++;
}

static void kc_entry_set_expiry_ms(struct kcache_entry *entry)
{
	WRITE_ONCE(entry->expiry, ++private.values);
}

static void kc_entry_set_version(struct kcache_entry *entry)
{
	WRITE_ONCE(entry->version, ++private.versions);
}

static void write_text_rcu(struct kcache_entry *entry)
{
	WRITE_ONCE(entry->value, ++private.values);
}

static void kc_draft_fill(u32 key)
{
	struct kcache_entry *entry = writer->draft;

	WRITE_ONCE(entry->value_len, ++private.values);
	WRITE_ONCE(entry->key_len, key);
	write_text_rcu(entry);
}

static void set_draft(u32 key)
{
	writer->draft = kc_log_reserve_rcu();
	if (!mutant(LINK_BEFORE_FILL))
		kc_draft_fill(key);
}

static void kc_draft_link_rcu(u32 key)
{
	struct kcache_found free;
	struct kcache_entry *entry = writer->draft;
	struct kcache_found old;
	u32 dead = 0;

	kc_table_lock(key);
	kc_entry_set_expiry_ms(entry);
	kc_entry_set_version(entry);
	if (kc_table_find_locked(key, &old)) {
		dead = slot_entry(*old.slot);
		if (mutant(REUSE_BEFORE_REPLACE))
			kc_log_kill_rcu(dead);
		kc_table_replace_locked(&old, slot_of(entry));
		if (!mutant(REUSE_BEFORE_REPLACE))
			kc_log_kill_rcu(dead);
	} else {
		find_free(key, &free);
		kc_table_insert_locked(&free, slot_of(entry));
	}
	if (mutant(LINK_BEFORE_FILL))
		kc_draft_fill(key);
	changed(key, entry);
	kc_table_unlock(key);
}

static void op_remove(u32 key)
{
	struct kcache_found found;
	u32 dead;

	kc_table_lock(key);
	kc_table_find_locked(key, &found);
	dead = slot_entry(*found.slot);
	if (mutant(REUSE_BEFORE_REMOVE))
		kc_log_kill_rcu(dead);
	kc_table_remove_uncounted_locked(&found);
	if (!mutant(REUSE_BEFORE_REMOVE))
		kc_log_kill_rcu(dead);
	changed(key, NULL);
	kc_table_unlock(key);
}

static void touch_rcu(struct kcache_found *found)
{
	if (!mutant(TOUCH_NOT_ODD))
		kc_bucket_write_begin(found->home);
	kc_entry_set_expiry_ms(found->entry);
	kc_entry_set_version(found->entry);
	if (!mutant(TOUCH_NOT_ODD))
		kc_bucket_write_end(found->home);
}

static void op_touch(u32 key)
{
	struct kcache_found found;

	kc_table_lock(key);
	kc_table_find_locked(key, &found);
	touch_rcu(&found);
	changed(key, found.entry);
	kc_table_unlock(key);
}

static void add_in_place_rcu(struct kcache_found *found)
{
	struct kcache_entry *entry = found->entry;

	if (!mutant(ADD_NOT_ODD))
		kc_bucket_write_begin(found->home);
	write_text_rcu(entry);
	WRITE_ONCE(entry->value_len, ++private.values);
	kc_entry_set_version(entry);
	if (!mutant(ADD_NOT_ODD))
		kc_bucket_write_end(found->home);
}

static void op_add(u32 key)
{
	struct kcache_found found;

	kc_table_lock(key);
	kc_table_find_locked(key, &found);
	add_in_place_rcu(&found);
	changed(key, found.entry);
	kc_table_unlock(key);
}

/* copy_entry() of evict.c, up to where it takes the stripe again. */
static void copy_entry(u32 key)
{
	struct kcache_found *found = &writer->found;
	struct kcache_entry *entry;

	kc_table_lock(key);
	kc_table_find_locked(key, found);
	kc_table_unlock(key);
	entry = kc_log_reserve_rcu();
	writer->draft = entry;
	/* kc_arena_move() */
	WRITE_ONCE(entry->value_len, READ_ONCE(found->entry->value_len));
	WRITE_ONCE(entry->key_len, READ_ONCE(found->entry->key_len));
	WRITE_ONCE(entry->expiry, READ_ONCE(found->entry->expiry));
	WRITE_ONCE(entry->version, READ_ONCE(found->entry->version));
	WRITE_ONCE(entry->value, READ_ONCE(found->entry->value));
}

static void copy_entry_link(u32 key)
{
	struct kcache_found *found = &writer->found;
	u32 old = slot_of(found->entry);

	kc_table_lock(key);
	if (kcache_found_is_valid(found) || mutant(MOVE_NOT_CHECKED)) {
		kc_table_replace_locked(found, slot_of(writer->draft));
		kc_log_kill_rcu(old);
	}
	kc_table_unlock(key);
}

/* -------- frequency of use -------- */

/*
 * Another CPU takes a value from a slot and some time later counts a use there,
 * once in a run, between any two stores of the writers.
 */
static void kc_table_use_slot_rcu(void)
{
	u32 *slots[NR_HOMES * KCACHE_BUCKET_SLOTS], nr = 0, i;
	struct user *user = &private.user;

	if (user->is_done || !weak_choose(2))
		return;
	weak_run_on(USER);
	if (!user->slot) {
		for (i = 0; i < NR_HOMES * KCACHE_BUCKET_SLOTS; i++) {
			slots[nr] = &shared.home[i / KCACHE_BUCKET_SLOTS].slot[i % KCACHE_BUCKET_SLOTS];
			nr += *slots[nr] != 0;
		}
		user->slot = slots[weak_choose(nr)];
		user->value = *user->slot;
	} else {
		user->is_done = true;
		if (mutant(USE_NOT_ATOMIC))
			WRITE_ONCE(*user->slot, user->value + SLOT_USE);
		else
			weak_cmpxchg(user->slot, user->value, user->value + SLOT_USE);
	}
	weak_run_on(writer - writers);
}

const struct step
	SET_DRAFT = { "SET, draft", kc_log_has_room, set_draft },
	SET_LINK = { "SET, link", NULL, kc_draft_link_rcu },
	REMOVE = { "REMOVE", NULL, op_remove },
	TOUCH = { "TOUCH", NULL, op_touch },
	ADD = { "ADD", NULL, op_add },
	MOVE_COPY = { "move, copy", kc_log_has_room, copy_entry },
	MOVE_LINK = { "move, link", NULL, copy_entry_link },
	SPLIT = { "split", NULL, kc_table_split_locked },
	MERGE = { "merge", NULL, kc_table_merge_locked },
	TRIM = { "trim", NULL, kc_table_trim };

void arena_init(u32 nr_entries)
{
	memset(&private, 0, sizeof(private));
	memset(&shared, 0, sizeof(shared));
	memset(history, 0, sizeof(history));
	memset(writers, 0, sizeof(writers));
	for (u32 key = 0; key < NR_KEYS; key++)
		history[key].nr = 1;
	table->nr_buckets = NR_STRIPES;
	*table->size = kcache_table_size(NR_STRIPES);
	private.seq_start = 2;
	for (u32 i = 0; i < NR_STRIPES; i++)
		shared.home[i].seq = private.seq_start;
	private.overflow_free = 1;
	for (u32 i = 1; i < NR_OVERFLOW; i++)
		kc_overflow_bucket(i)->next = i + 1;
	for (u32 i = 1; i <= nr_entries; i++)
		private.pool[private.pool_tail++] = i;
	weak_begin(NULL);
}

void arena_begin(bool is_used)
{
	struct private *p = &private;

	for (u32 i = 0; i < NR_STRIPES; i++)
		p->stripe[i] = (struct lock) { 0 };
	p->overflow_lock = (struct lock) { 0 };
	p->mutex = p->log = (struct view) { 0 };
	for (u32 key = 0; key < NR_KEYS; key++) {
		history[key].state[0] = history[key].state[history[key].nr - 1];
		history[key].nr = 1;
	}
	memset(writers, 0, sizeof(writers));
	memset(shared.told, 0, sizeof(shared.told));
	weak_begin(is_used ? kc_table_use_slot_rcu : NULL);
}

void run_step(int cpu, const struct step *step, u32 key)
{
	weak_run_on(cpu);
	writer = &writers[cpu];
	weak_print("CPU%d: %s, key %u", cpu, step->name, key);
	step->run(key);
	memcpy(writer->told[++writer->nr_steps], writer->changed, sizeof(writer->changed));
	weak_tell(&shared.told[cpu], writer->nr_steps);
}

u32 told_state(int cpu, u32 nr_steps, u32 key)
{
	return writers[cpu].told[nr_steps][key];
}
