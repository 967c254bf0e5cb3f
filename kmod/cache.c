// SPDX-License-Identifier: GPL-2.0
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "cache.h"
#include "entry.h"
#include "user.h"

/* After this many changes in the middle of a copy, a reader takes the stripe. */
#define LOCKLESS_COPIES	16

/* After this many faults, a buffer that was brought in each time is not there. */
#define FAULTS_MAX	64

/* Buckets that one operation splits at the most. */
#define SPLITS_MAX	8

/* Digits of S64_MIN with its sign. */
#define NUMBER_MAX	20

/* -------- set up -------- */

static int check_limit(u64 max_bytes)
{
	if (max_bytes < KC_CACHE_BYTES_MIN || max_bytes >= KCACHE_SEGMENTS_MAX / 4 ||
	    max_bytes >> PAGE_SHIFT > totalram_pages())
		return -EINVAL;
	return 0;
}

/* What the cache takes beside its arena. */
static u64 fixed_bytes(void)
{
	return sizeof(struct kc_cache) +
	       (u64)num_possible_cpus() * (sizeof(struct kc_stats) + sizeof(u64));
}

/**
 * kc_cache_init() - set up an empty cache
 * @cache: to set up, zeroed
 * @name: shorter than KC_NAME_MAX
 * @max_bytes: bound of all its memory, at least KC_CACHE_BYTES_MIN and no more
 *	than the machine has
 *
 * Context: Process context.
 * Return: 0, -EINVAL for the limit, -ENOMEM.
 */
int kc_cache_init(struct kc_cache *cache, const char *name, u64 max_bytes)
{
	int cpu, err = check_limit(max_bytes);
	u64 *version;

	if (err)
		return err;
	strscpy(cache->name, name, sizeof(cache->name));
	cache->stats = alloc_percpu(struct kc_stats);
	if (!cache->stats)
		return -ENOMEM;
	err = -ENOMEM;
	cache->version = alloc_percpu(u64);
	if (!cache->version)
		goto err_free_stats;
	for_each_possible_cpu(cpu) {
		version = per_cpu_ptr(cache->version, cpu);
		*version = cpu;
	}
	kc_arena_init(&cache->arena, max_bytes);
	if (kc_arena_charge(&cache->arena, fixed_bytes()))
		goto err_exit_arena;
	if (kc_table_init(&cache->table, &cache->arena))
		goto err_exit_arena;
	if (kc_log_init(&cache->log, &cache->arena))
		goto err_exit_table;
	cache->evict = (struct kc_evict) {
		.table = &cache->table,
		.log = &cache->log,
		.stats = cache->stats,
	};
	kc_expire_init(&cache->expire, &cache->evict);
	return 0;

err_exit_table:
	kc_table_exit(&cache->table);
err_exit_arena:
	kc_arena_exit(&cache->arena);
	free_percpu(cache->version);
err_free_stats:
	free_percpu(cache->stats);
	return err;
}

/**
 * kc_cache_exit() - free all that a cache holds
 * @cache: nobody uses it any more
 */
void kc_cache_exit(struct kc_cache *cache)
{
	kc_expire_exit(&cache->expire);
	synchronize_rcu();
	kc_log_exit(&cache->log);
	kc_table_exit(&cache->table);
	kc_arena_uncharge(&cache->arena, fixed_bytes());
	kc_arena_exit(&cache->arena);
	free_percpu(cache->version);
	free_percpu(cache->stats);
}

/**
 * kc_cache_value_max() - the longest value that the cache takes now
 * @cache: which
 *
 * A 32nd of the cache, so that one value never drives out more than that.
 *
 * Return: bytes.
 */
u64 kc_cache_value_max(struct kc_cache *cache)
{
	return min_t(u64, READ_ONCE(cache->arena.max_bytes) / 32, KC_VALUE_MAX);
}

/* Unique, and cheap: each CPU counts in steps of the number of CPUs. */
static u64 new_version(struct kc_cache *cache)
{
	return this_cpu_add_return(*cache->version, nr_cpu_ids);
}

/* -------- room -------- */

static int make_room_locked(struct kc_cache *cache)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	return kc_evict_one_locked(&cache->evict);
}

static int refill(struct kc_cache *cache, u32 size, u32 whole)
{
	int err;

	if (mutex_lock_killable(&cache->arena.mutex))
		return -EINTR;
	while ((err = kc_log_refill_locked(&cache->log, size, whole)) == -ENOSPC) {
		err = make_room_locked(cache);
		if (err)
			break;
	}
	mutex_unlock(&cache->arena.mutex);
	return err;
}

/* Drops all memory in which nothing lives. False if there was none. */
static bool drop_free_locked(struct kc_cache *cache)
{
	bool is_any = kc_evict_pool_dead_locked(&cache->evict);

	while (kc_log_drop_pool_locked(&cache->log))
		is_any = true;
	return is_any;
}

/* A run needs memory at its own place, so other segments are dropped for it. */
static int open_run(struct kc_cache *cache, u32 size, struct kc_room *room)
{
	u32 nr = DIV_ROUND_UP(size, kc_chunk_size(&cache->arena)), i;
	int err;

	if (mutex_lock_killable(&cache->arena.mutex))
		return -EINTR;
	while ((err = kc_log_open_run_locked(&cache->log, size, room)) == -ENOSPC) {
		if (drop_free_locked(cache))
			continue;
		for (i = 0; i < nr && !(err = make_room_locked(cache)); i++)
			;
		if (!i)
			break;
		drop_free_locked(cache);
	}
	mutex_unlock(&cache->arena.mutex);
	return err;
}

/* Gives the memory of a segment back, so that the table can have it. */
static int give_back_one_locked(struct kc_cache *cache)
{
	int err = kc_log_drop_pool_locked(&cache->log) ? 0 : make_room_locked(cache);

	kc_log_drop_pool_locked(&cache->log);
	kc_log_reap_locked(&cache->log);
	return err;
}

static int grow_overflow(struct kc_cache *cache)
{
	int err;

	if (mutex_lock_killable(&cache->arena.mutex))
		return -EINTR;
	while ((err = kc_table_grow_overflow_locked(&cache->table)) == -ENOSPC) {
		err = give_back_one_locked(cache);
		if (err)
			break;
	}
	mutex_unlock(&cache->arena.mutex);
	return err;
}

/*
 * Lets the table follow the number of entries. If another is at it, or there is
 * no memory, chains get longer instead, and a later operation comes here again.
 */
static void grow_table(struct kc_cache *cache)
{
	int i;

	if (!mutex_trylock(&cache->arena.mutex))
		return;
	for (i = 0; i < SPLITS_MAX && kc_table_wants_split(&cache->table); i++)
		if (kc_table_split_locked(&cache->table) && give_back_one_locked(cache))
			break;
	mutex_unlock(&cache->arena.mutex);
}

static void shrink_table_locked(struct kc_cache *cache)
{
	struct kc_table *table = &cache->table;

	while (kc_table_wants_merge(table)) {
		if (kc_table_merge_locked(table) && kc_table_grow_overflow_locked(table))
			break;
		cond_resched();
	}
	kc_table_trim_locked(table);
}

/* -------- reading -------- */

/* What one look at an entry tells. */
struct meta {
	u64 version;
	u64 expiry_ms;
	u32 value_len;
	u32 client_flags;
	u16 key_len;
};

static __always_inline void read_meta(const struct kcache_entry *entry, struct meta *meta)
{
	meta->key_len = READ_ONCE(entry->key_len);
	meta->value_len = READ_ONCE(entry->value_len);
	meta->expiry_ms = kc_entry_expiry_ms(entry);
	meta->version = kc_entry_version(entry);
	meta->client_flags = 0;
	if (meta->key_len & KCACHE_ENTRY_FLAGS)
		memcpy(&meta->client_flags, entry->data, sizeof(meta->client_flags));
}

static u64 ttl_left_ms(u64 expiry_ms)
{
	u64 now;

	if (!expiry_ms)
		return 0;
	now = kc_now_ms();
	return expiry_ms > now ? expiry_ms - now : 1;
}

static void tell_meta(struct kcache_op *op, const struct meta *meta)
{
	op->out_len = meta->value_len;
	op->ttl_ms = ttl_left_ms(meta->expiry_ms);
	op->version = meta->version;
	op->client_flags = meta->client_flags;
}

/*
 * One look at the entry that was found, and one copy of its value to @out unless
 * that is NULL. -EAGAIN: it changed meanwhile; -EFAULT: @out is not in memory now.
 */
static __always_inline int read_found_rcu(struct kc_cache *cache,
					  const struct kc_found *found,
					  const struct iov_iter *out, struct meta *meta)
{
	u64 from;
	int err = 0;

	read_meta(found->entry, meta);
	if (out) {
		if (unlikely(meta->value_len > iov_iter_count(out))) {
			err = -EMSGSIZE;
		} else {
			from = found->offset + kcache_entry_value_offset(meta->key_len);
			err = kc_arena_to_iter_nofault(&cache->arena, from, out, meta->value_len);
		}
	}
	if (unlikely(!kc_found_is_valid(found)))
		return -EAGAIN;
	if (unlikely(kc_expiry_is_over(meta->expiry_ms)))
		return -ENOENT;
	return err;
}

static __always_inline int read_once_rcu(struct kc_cache *cache, const struct kc_call *call,
					 u64 hash, const struct iov_iter *out,
					 struct meta *meta, struct kc_found *found)
{
	if (!kc_table_find_rcu(&cache->table, hash, call->key, call->op.key_len, found))
		return -ENOENT;
	return read_found_rcu(cache, found, out, meta);
}

/* The same when changes came too often: none can come while the stripe is held. */
static int read_once_locked(struct kc_cache *cache, const struct kc_call *call, u64 hash,
			    const struct iov_iter *out, struct meta *meta,
			    struct kc_found *found)
{
	int err = -ENOENT;

	kc_table_lock(&cache->table, hash);
	if (kc_table_find_locked(&cache->table, hash, call->key, call->op.key_len, found))
		err = read_found_rcu(cache, found, out, meta);
	kc_table_unlock(&cache->table, hash);
	return err;
}

/* Ends what read_entry() began, if the first look failed with @err. */
static noinline int read_again(struct kc_cache *cache, struct kc_call *call, u64 hash,
			       const struct iov_iter *out, struct meta *meta, int err)
{
	int tries = 0, faults = 0;
	struct kc_found found;

	while (err == -EAGAIN || err == -EFAULT) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (err == -EAGAIN) {
			kc_stats_inc(cache->stats, retries);
			tries++;
		} else {
			kc_stats_inc(cache->stats, faults);
			if (++faults > FAULTS_MAX ||
			    fault_in_iov_iter_writeable(out, meta->value_len))
				return -EFAULT;
		}
		rcu_read_lock();
		if (tries < LOCKLESS_COPIES)
			err = read_once_rcu(cache, call, hash, out, meta, &found);
		else
			err = read_once_locked(cache, call, hash, out, meta, &found);
		rcu_read_unlock();
	}
	return err;
}

/*
 * Reads the entry of the call's key: its value to call->out if @with_value, what
 * it is to @meta. All of it is of one moment. -EMSGSIZE leaves @meta filled in.
 */
static __always_inline int read_entry(struct kc_cache *cache, struct kc_call *call, u64 hash,
				      bool with_value, struct meta *meta)
{
	const struct iov_iter *out = with_value ? &call->out : NULL;
	struct kc_found found;
	int err;

	rcu_read_lock();
	err = read_once_rcu(cache, call, hash, out, meta, &found);
	rcu_read_unlock();
	if (likely(err != -EAGAIN && err != -EFAULT))
		return err;
	return read_again(cache, call, hash, out, meta, err);
}

/* -------- writing -------- */

/**
 * struct draft - an entry that is being written
 * @room: where; its segment is NULL if there is none
 * @entry: its memory, up to the end of the key
 * @value_at: offset of its value in the segment region
 * @source: where the caller's bytes come from: its memory, or @bounce
 * @source_len: their number
 * @bounce: the caller's bytes, if they could not be copied at once
 * @bounce_vec: where they are
 * @bounce_iter: @source then
 */
struct draft {
	struct kc_room room;
	struct kcache_entry *entry;
	u64 value_at;
	const struct iov_iter *source;
	size_t source_len;
	void *bounce;
	struct kvec bounce_vec;
	struct iov_iter bounce_iter;
};

static void draft_init(struct draft *draft, const struct iov_iter *source, size_t len)
{
	draft->source = source;
	draft->source_len = len;
	draft->bounce = NULL;
}

static void draft_exit(struct draft *draft)
{
	kvfree(draft->bounce);
}

static int draft_reserve(struct kc_cache *cache, u32 size, u32 whole, struct draft *draft)
	__acquires(RCU)
{
	int err = 0;

	if (kc_log_is_large(&cache->log, size)) {
		err = open_run(cache, size, &draft->room);
		rcu_read_lock();
		return err;
	}
	rcu_read_lock();
	while (!err && !kc_log_reserve_rcu(&cache->log, size, whole, &draft->room)) {
		rcu_read_unlock();
		err = refill(cache, size, whole);
		rcu_read_lock();
	}
	return err;
}

/*
 * Reserves room and writes header and key. Whatever it returns, an RCU read
 * section has begun in which the draft has to be filled and linked, and which
 * draft_end() leaves.
 */
static int draft_begin(struct kc_cache *cache, const struct kc_call *call, u32 client_flags,
		       u32 value_len, struct draft *draft)
	__acquires(RCU)
{
	u16 key_len = call->op.key_len | (client_flags ? KCACHE_ENTRY_FLAGS : 0);
	u32 whole = kcache_entry_value_offset(key_len);
	struct kcache_entry *entry;
	int err;

	draft->room.segment = NULL;
	err = draft_reserve(cache, kcache_entry_size(key_len, value_len), whole, draft);
	if (err)
		return err;
	entry = kc_arena_ptr(&cache->arena, KC_SEGMENTS, draft->room.offset, whole);
	draft->entry = entry;
	draft->value_at = draft->room.offset + whole;
	WRITE_ONCE(entry->value_len, value_len);
	WRITE_ONCE(entry->key_len, key_len);
	if (client_flags)
		memcpy(entry->data, &client_flags, sizeof(client_flags));
	memcpy((void *)entry + kcache_entry_key_offset(key_len), call->key, call->op.key_len);
	return 0;
}

/* Copies the caller's bytes to @offset of the value. -EFAULT: not in memory now. */
static int draft_fill_rcu(struct kc_cache *cache, struct draft *draft, u32 offset)
{
	return kc_arena_from_iter_nofault(&cache->arena, draft->value_at + offset, draft->source,
					  draft->source_len);
}

/* Brings the caller's bytes in, so that the next try cannot fault. */
static int draft_bounce(struct kc_cache *cache, struct draft *draft)
{
	size_t len = draft->source_len;

	kc_stats_inc(cache->stats, faults);
	if (draft->bounce)
		return -EFAULT;
	draft->bounce = kvmalloc(len, GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_NORETRY);
	if (!draft->bounce)
		return -ENOSPC;
	if (kc_user_from_iter(draft->bounce, draft->source, 0, len))
		return -EFAULT;
	draft->bounce_vec = (struct kvec) { .iov_base = draft->bounce, .iov_len = len };
	iov_iter_kvec(&draft->bounce_iter, ITER_SOURCE, &draft->bounce_vec, 1, len);
	draft->source = &draft->bounce_iter;
	return -EAGAIN;
}

/*
 * Ends what draft_begin() began: the draft is linked, or with @err given up.
 * -EFAULT turns into -EAGAIN if another try will get further.
 */
static int draft_end(struct kc_cache *cache, struct draft *draft, int err)
	__releases(RCU)
{
	if (!err)
		kc_log_commit(&cache->log, &draft->room);
	else if (draft->room.segment)
		kc_log_abandon(&cache->log, &draft->room);
	rcu_read_unlock();

	if (err == -EFAULT)
		return draft_bounce(cache, draft);
	if (!err && unlikely(kc_table_wants_split(&cache->table)))
		grow_table(cache);
	return err;
}

/* The entry that @found leads to is dead from now on. Holds its stripe. */
static void kill_old_rcu(struct kc_cache *cache, const struct kc_found *found)
{
	kc_log_kill_rcu(&cache->log, found->offset, kc_entry_size(found->entry));
}

/*
 * Puts the draft where the key's entry was, or where it will be from now on if
 * @old is NULL. Holds the stripe. -ENOSPC: the table needs an overflow bucket.
 */
static int draft_link_rcu(struct kc_cache *cache, struct draft *draft, u64 hash,
			  struct kc_found *old, u64 expiry_ms, u64 *version)
{
	u64 next = new_version(cache);
	int err;

	kc_entry_set_expiry_ms(draft->entry, expiry_ms);
	kc_entry_set_version(draft->entry, next);
	kc_log_note_expiry_rcu(&cache->log, draft->room.offset, expiry_ms);
	if (old) {
		kc_table_replace_locked(&cache->table, hash, old, draft->room.offset);
		kill_old_rcu(cache, old);
	} else {
		err = kc_table_insert_locked(&cache->table, hash, draft->room.offset);
		if (err)
			return err;
	}
	*version = next;
	return 0;
}

static u64 expiry_from_ttl(u64 ttl_ms)
{
	return ttl_ms ? kc_now_ms() + ttl_ms : 0;
}

/* Do the conditions of @op allow it on an entry of @version, NULL: on none? */
static int check_conditions(const struct kcache_op *op, const u64 *version)
{
	if (op->flags & KCACHE_IF_ABSENT)
		return version ? -EEXIST : 0;
	if (op->flags & (KCACHE_IF_PRESENT | KCACHE_IF_VERSION) && !version)
		return -ENOENT;
	if (op->flags & KCACHE_IF_VERSION && *version != op->version)
		return -ESTALE;
	return 0;
}

/* What an operation saw before it took the stripe, and what must still be so. */
struct expected {
	bool is_set;
	bool is_there;
	u64 version;
};

static bool is_as_expected(const struct expected *expected, const u64 *version)
{
	if (!expected->is_set)
		return true;
	return expected->is_there == !!version && (!version || *version == expected->version);
}

/*
 * The last step of SET: decides under the stripe. -EAGAIN: the key is not any
 * more what @expected says. -EXFULL: the table needs an overflow bucket.
 */
static int set_link_rcu(struct kc_cache *cache, struct kc_call *call, u64 hash,
			struct draft *draft, const struct expected *expected, u64 expiry_ms)
{
	struct kcache_op *op = &call->op;
	u64 old_version, *version = NULL;
	struct kc_found found;
	bool is_linked;
	int err;

	kc_table_lock(&cache->table, hash);
	is_linked = kc_table_find_locked(&cache->table, hash, call->key, op->key_len, &found);
	if (is_linked && !kc_entry_is_expired(found.entry)) {
		old_version = kc_entry_version(found.entry);
		version = &old_version;
	}
	err = is_as_expected(expected, version) ? check_conditions(op, version) : -EAGAIN;
	if (!err) {
		if (version && op->flags & KCACHE_KEEP_TTL)
			expiry_ms = kc_entry_expiry_ms(found.entry);
		err = draft_link_rcu(cache, draft, hash, is_linked ? &found : NULL, expiry_ms,
				     &op->version);
		if (err == -ENOSPC)
			err = -EXFULL;
		else if (is_linked && !version)
			kc_stats_inc(cache->stats, expirations);
	}
	kc_table_unlock(&cache->table, hash);
	return err;
}

/* Writes the entry that @call asks for and links it. Errors as set_link_rcu(). */
static int set_once(struct kc_cache *cache, struct kc_call *call, u64 hash, struct draft *draft,
		    const struct expected *expected)
{
	struct kcache_op *op = &call->op;
	u64 expiry_ms;
	int err;

	expiry_ms = expiry_from_ttl(op->ttl_ms);
	err = draft_begin(cache, call, op->client_flags, op->value_len, draft);
	if (!err)
		err = draft_fill_rcu(cache, draft, 0);
	if (!err)
		err = set_link_rcu(cache, call, hash, draft, expected, expiry_ms);
	err = draft_end(cache, draft, err);
	if (!err && expiry_ms)
		kc_expire_arm(&cache->expire);
	return err;
}

/* May the operation begin again after @err? Makes sure that it gets further then. */
static bool may_retry(struct kc_cache *cache, int *err)
{
	if (*err == -EXFULL) {
		*err = grow_overflow(cache);
		return !*err;
	}
	if (*err != -EAGAIN)
		return false;
	kc_stats_inc(cache->stats, retries);
	if (fatal_signal_pending(current))
		*err = -EINTR;
	cond_resched();
	return *err == -EAGAIN;
}

/*
 * Looks at the key before a conditional SET, so that one that fails costs no
 * room in the log; and copies the old value out if it is asked for.
 */
static int set_look(struct kc_cache *cache, struct kc_call *call, u64 hash,
		    struct expected *expected, struct meta *old)
{
	struct kcache_op *op = &call->op;
	bool with_old = op->flags & KCACHE_RETURN_OLD;
	int err = read_entry(cache, call, hash, with_old, old);
	bool is_there = err != -ENOENT;

	if (err && err != -ENOENT && err != -EMSGSIZE)
		return err;
	*expected = (struct expected) {
		.is_set = with_old,
		.is_there = is_there,
		.version = is_there ? old->version : 0,
	};
	if (err == -EMSGSIZE) {
		op->out_len = old->value_len;
		return err;
	}
	return check_conditions(op, is_there ? &old->version : NULL);
}

static int op_set(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kcache_op *op = &call->op;
	struct expected expected = { 0 };
	struct draft draft;
	struct meta old;
	int err;

	draft_init(&draft, &call->value, op->value_len);
	do {
		err = 0;
		if (op->flags & (KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION |
				 KCACHE_RETURN_OLD))
			err = set_look(cache, call, hash, &expected, &old);
		if (!err)
			err = set_once(cache, call, hash, &draft, &expected);
	} while (err && may_retry(cache, &err));
	draft_exit(&draft);
	if (err)
		return err;
	if (op->flags & KCACHE_RETURN_OLD)
		op->out_len = expected.is_there ? old.value_len : KCACHE_ABSENT;
	kc_stats_inc(cache->stats, sets);
	return 0;
}

/* -------- changing what is there -------- */

/*
 * Finds the live entry of the call's key under its stripe. An expired one is
 * taken out.
 */
static int find_live_rcu(struct kc_cache *cache, const struct kc_call *call, u64 hash,
			 struct kc_found *found)
{
	if (!kc_table_find_locked(&cache->table, hash, call->key, call->op.key_len, found))
		return -ENOENT;
	if (!kc_entry_is_expired(found->entry))
		return 0;
	kc_stats_inc(cache->stats, expirations);
	kc_evict_unlink_rcu(&cache->evict, hash, found);
	return -ENOENT;
}

/* As find_live_rcu(), and checks @version of the entry against the one expected. */
static int find_version_rcu(struct kc_cache *cache, const struct kc_call *call, u64 hash,
			    u64 version, struct kc_found *found)
{
	int err = find_live_rcu(cache, call, hash, found);

	if (!err && kc_entry_version(found->entry) != version)
		err = -EAGAIN;
	return err;
}

static void touch_rcu(struct kc_cache *cache, struct kc_found *found, u64 expiry_ms, u64 *version)
{
	*version = new_version(cache);
	kc_bucket_write_begin(found->home);
	kc_entry_set_expiry_ms(found->entry, expiry_ms);
	kc_entry_set_version(found->entry, *version);
	kc_bucket_write_end(found->home);
	kc_log_note_expiry_rcu(&cache->log, found->offset, expiry_ms);
}

static void touched(struct kc_cache *cache, u64 expiry_ms)
{
	kc_stats_inc(cache->stats, touches);
	if (expiry_ms)
		kc_expire_arm(&cache->expire);
}

static int op_touch(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	u64 expiry_ms = expiry_from_ttl(call->op.ttl_ms);
	struct kc_found found;
	int err;

	rcu_read_lock();
	kc_table_lock(&cache->table, hash);
	err = find_live_rcu(cache, call, hash, &found);
	if (!err)
		touch_rcu(cache, &found, expiry_ms, &call->op.version);
	kc_table_unlock(&cache->table, hash);
	rcu_read_unlock();
	if (!err)
		touched(cache, expiry_ms);
	return err;
}

static int op_remove(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kc_found found;
	u64 version;
	int err;

	rcu_read_lock();
	kc_table_lock(&cache->table, hash);
	err = find_live_rcu(cache, call, hash, &found);
	if (!err) {
		version = kc_entry_version(found.entry);
		err = check_conditions(&call->op, &version);
	}
	if (!err)
		kc_evict_unlink_rcu(&cache->evict, hash, &found);
	kc_table_unlock(&cache->table, hash);
	rcu_read_unlock();
	if (!err)
		kc_stats_inc(cache->stats, removes);
	return err;
}

/* GET with TOUCH: the value that was copied is the one whose expiry is set. */
static int get_touch(struct kc_cache *cache, struct kc_call *call, u64 hash, struct meta *meta)
{
	u64 expiry_ms = expiry_from_ttl(call->op.ttl_ms);
	struct kc_found found;
	int err;

	do {
		err = read_entry(cache, call, hash, true, meta);
		if (err)
			return err;
		rcu_read_lock();
		kc_table_lock(&cache->table, hash);
		err = find_version_rcu(cache, call, hash, meta->version, &found);
		if (!err)
			touch_rcu(cache, &found, expiry_ms, &meta->version);
		kc_table_unlock(&cache->table, hash);
		rcu_read_unlock();
	} while (err && may_retry(cache, &err));
	if (!err) {
		meta->expiry_ms = expiry_ms;
		touched(cache, expiry_ms);
	}
	return err;
}

static int op_get(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kcache_op *op = &call->op;
	struct meta meta;
	int err;

	if (unlikely(op->flags & KCACHE_TOUCH))
		err = get_touch(cache, call, hash, &meta);
	else
		err = read_entry(cache, call, hash, true, &meta);

	if (!err || err == -EMSGSIZE)
		kc_stats_inc(cache->stats, hits);
	else if (err == -ENOENT)
		kc_stats_inc(cache->stats, misses);
	if (!err)
		tell_meta(op, &meta);
	else if (err == -EMSGSIZE)
		op->out_len = meta.value_len;
	return err;
}

static int op_stat(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct meta meta;
	int err = read_entry(cache, call, hash, false, &meta);

	if (!err)
		tell_meta(&call->op, &meta);
	return err;
}

static int op_pop(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kc_found found;
	struct meta meta;
	int err;

	do {
		err = read_entry(cache, call, hash, true, &meta);
		if (err)
			break;
		rcu_read_lock();
		kc_table_lock(&cache->table, hash);
		err = find_version_rcu(cache, call, hash, meta.version, &found);
		if (!err)
			kc_evict_unlink_rcu(&cache->evict, hash, &found);
		kc_table_unlock(&cache->table, hash);
		rcu_read_unlock();
	} while (err && may_retry(cache, &err));
	if (!err) {
		tell_meta(&call->op, &meta);
		kc_stats_inc(cache->stats, pops);
	} else if (err == -EMSGSIZE) {
		call->op.out_len = meta.value_len;
	}
	return err;
}

static int read_number_rcu(struct kc_cache *cache, const struct kc_found *found, s64 *number)
{
	u32 len = found->entry->value_len;
	char text[NUMBER_MAX + 1];
	struct kvec vec = { .iov_base = text, .iov_len = len };
	struct iov_iter to;
	u64 from = found->offset + kcache_entry_value_offset(found->entry->key_len);

	if (!len || len > NUMBER_MAX)
		return -ERANGE;
	iov_iter_kvec(&to, ITER_DEST, &vec, 1, len);
	if (kc_arena_to_iter_nofault(&cache->arena, from, &to, len))
		return -ERANGE;
	text[len] = '\0';
	/* kstrto*() end at a NUL, and take a '+' and a newline that we do not write. */
	if (strlen(text) != len || text[0] == '+' || text[len - 1] == '\n' ||
	    kstrtos64(text, 10, number))
		return -ERANGE;
	return 0;
}

static void write_text_rcu(struct kc_cache *cache, u64 offset, const char *text, u32 len)
{
	struct kvec vec = { .iov_base = (void *)text, .iov_len = len };
	struct iov_iter from;

	iov_iter_kvec(&from, ITER_SOURCE, &vec, 1, len);
	kc_arena_from_iter_nofault(&cache->arena, offset, &from, len);
}

/* Writes the number in place if the entry takes as much room then as now. */
static bool add_in_place_rcu(struct kc_cache *cache, struct kc_found *found, const char *text,
			     u32 len, u64 *version)
{
	struct kcache_entry *entry = found->entry;

	if (kcache_entry_size(entry->key_len, len) !=
	    kcache_entry_size(entry->key_len, entry->value_len))
		return false;
	*version = new_version(cache);
	kc_bucket_write_begin(found->home);
	write_text_rcu(cache, found->offset + kcache_entry_value_offset(entry->key_len), text, len);
	WRITE_ONCE(entry->value_len, len);
	kc_entry_set_version(entry, *version);
	kc_bucket_write_end(found->home);
	return true;
}

/*
 * Puts a new entry with @text as its value where the one of @meta is, as long as
 * that has not changed. For ADD, when the number outgrew its place.
 */
static int replace_text(struct kc_cache *cache, struct kc_call *call, u64 hash,
			const struct meta *meta, const char *text, u32 len)
{
	struct kc_found found;
	struct draft draft;
	int err;

	err = draft_begin(cache, call, meta->client_flags, len, &draft);
	if (!err) {
		write_text_rcu(cache, draft.value_at, text, len);
		kc_table_lock(&cache->table, hash);
		err = find_version_rcu(cache, call, hash, meta->version, &found);
		if (!err)
			err = draft_link_rcu(cache, &draft, hash, &found, meta->expiry_ms,
					     &call->op.version);
		kc_table_unlock(&cache->table, hash);
		if (err == -ENOENT)	/* gone meanwhile: what that means, the next look decides */
			err = -EAGAIN;
	}
	return draft_end(cache, &draft, err);
}

/* ADD on a missing key: a SET of the initial value, if the key is still missing. */
static int add_initial(struct kc_cache *cache, const struct kc_call *call, u64 hash, u64 *version)
{
	char text[NUMBER_MAX + 1];
	struct kvec vec = { .iov_base = text };
	struct kc_call set = {
		.op = {
			.flags = KCACHE_IF_ABSENT,
			.key_len = call->op.key_len,
			.ttl_ms = call->op.ttl_ms,
			.client_flags = call->op.client_flags,
		},
		.key = call->key,
	};
	struct expected expected = { 0 };
	struct draft draft;
	int err;

	vec.iov_len = snprintf(text, sizeof(text), "%lld", call->op.number);
	set.op.value_len = vec.iov_len;
	iov_iter_kvec(&set.value, ITER_SOURCE, &vec, 1, vec.iov_len);
	draft_init(&draft, &set.value, vec.iov_len);
	err = set_once(cache, &set, hash, &draft, &expected);
	draft_exit(&draft);
	if (!err)
		*version = set.op.version;
	return err == -EEXIST ? -EAGAIN : err;
}

static int add_once(struct kc_cache *cache, struct kc_call *call, u64 hash, s64 *sum)
{
	struct kcache_op *op = &call->op;
	char text[NUMBER_MAX + 1];
	struct kc_found found;
	bool is_done = false;
	struct meta meta;
	u32 len;
	int err;

	rcu_read_lock();
	kc_table_lock(&cache->table, hash);
	err = find_live_rcu(cache, call, hash, &found);
	if (!err)
		err = read_number_rcu(cache, &found, sum);
	if (!err && check_add_overflow(*sum, op->delta, sum))
		err = -ERANGE;
	if (!err) {
		len = snprintf(text, sizeof(text), "%lld", *sum);
		is_done = add_in_place_rcu(cache, &found, text, len, &op->version);
		read_meta(found.entry, &meta);
	}
	kc_table_unlock(&cache->table, hash);
	rcu_read_unlock();

	if (err == -ENOENT && op->flags & KCACHE_INITIAL) {
		*sum = op->number;
		return add_initial(cache, call, hash, &op->version);
	}
	if (err || is_done)
		return err;
	return replace_text(cache, call, hash, &meta, text, len);
}

static int op_add(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	s64 sum;
	int err;

	do {
		err = add_once(cache, call, hash, &sum);
	} while (err && may_retry(cache, &err));
	if (err)
		return err;
	call->op.number = sum;
	kc_stats_inc(cache->stats, adds);
	return 0;
}

/*
 * Copies addition and old value into the draft and links it. -EAGAIN: the entry
 * is not what it was when room was reserved.
 */
static int extend_link_rcu(struct kc_cache *cache, struct kc_call *call, u64 hash,
			   const struct meta *meta, struct draft *draft)
{
	bool is_append = call->op.opcode == KCACHE_OP_APPEND;
	struct kc_found found;
	struct meta now;
	u64 old_to;
	int err;

	err = draft_fill_rcu(cache, draft, is_append ? meta->value_len : 0);
	if (err)
		return err;
	err = read_once_rcu(cache, call, hash, NULL, &now, &found);
	if (!err && now.version != meta->version)
		err = -EAGAIN;
	if (err)
		return err;
	old_to = draft->value_at + (is_append ? 0 : call->op.value_len);
	err = kc_arena_move(&cache->arena, old_to,
			    found.offset + kcache_entry_value_offset(now.key_len), now.value_len);
	if (err)
		return err;

	kc_table_lock(&cache->table, hash);
	if (kc_found_is_valid(&found))
		err = draft_link_rcu(cache, draft, hash, &found, now.expiry_ms,
				     &call->op.version);
	else
		err = -EAGAIN;
	kc_table_unlock(&cache->table, hash);
	return err;
}

static int extend_once(struct kc_cache *cache, struct kc_call *call, u64 hash,
		       struct draft *draft, u64 *len)
{
	struct meta meta;
	int err;

	err = read_entry(cache, call, hash, false, &meta);
	if (!err)
		err = check_conditions(&call->op, &meta.version);
	if (err)
		return err;
	*len = meta.value_len + call->op.value_len;
	if (*len > kc_cache_value_max(cache))
		return -EFBIG;
	err = draft_begin(cache, call, meta.client_flags, *len, draft);
	if (!err)
		err = extend_link_rcu(cache, call, hash, &meta, draft);
	return draft_end(cache, draft, err);
}

static int op_extend(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct draft draft;
	u64 len;
	int err;

	draft_init(&draft, &call->value, call->op.value_len);
	do {
		err = extend_once(cache, call, hash, &draft, &len);
	} while (err && may_retry(cache, &err));
	draft_exit(&draft);
	if (err)
		return err;
	call->op.out_len = len;
	kc_stats_inc(cache->stats, appends);
	return 0;
}

/* -------- the door -------- */

/**
 * struct opcode - what is known of an opcode
 * @run: does it
 * @access: what it needs, KC_READ and KC_WRITE
 * @flags: which it takes
 * @takes_value: whether value and value_len mean something
 */
struct opcode {
	int (*run)(struct kc_cache *cache, struct kc_call *call, u64 hash);
	u8 access;
	bool takes_value;
	u32 flags;
};

#define RW	(KC_READ | KC_WRITE)

static const struct opcode opcodes[] = {
	[KCACHE_OP_GET]     = { op_get,    KC_READ,  false, KCACHE_TOUCH },
	[KCACHE_OP_SET]     = { op_set,    KC_WRITE, true,
				KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION |
				KCACHE_KEEP_TTL | KCACHE_RETURN_OLD },
	[KCACHE_OP_REMOVE]  = { op_remove, KC_WRITE, false, KCACHE_IF_VERSION },
	[KCACHE_OP_POP]     = { op_pop,    RW,       false, 0 },
	[KCACHE_OP_STAT]    = { op_stat,   KC_READ,  false, 0 },
	[KCACHE_OP_TOUCH]   = { op_touch,  KC_WRITE, false, 0 },
	[KCACHE_OP_ADD]     = { op_add,    RW,       false, KCACHE_INITIAL },
	[KCACHE_OP_APPEND]  = { op_extend, KC_WRITE, true,  KCACHE_IF_VERSION },
	[KCACHE_OP_PREPEND] = { op_extend, KC_WRITE, true,  KCACHE_IF_VERSION },
};

/* One bit per known opcode. */
u32 kc_cache_opcodes(void)
{
	return GENMASK(ARRAY_SIZE(opcodes) - 1, KCACHE_OP_GET);
}

/* The flags that some opcode takes. */
u32 kc_cache_flags(void)
{
	u32 flags = 0, i;

	for (i = 0; i < ARRAY_SIZE(opcodes); i++)
		flags |= opcodes[i].flags;
	return flags;
}

static bool sets_ttl(const struct kcache_op *op)
{
	return op->opcode == KCACHE_OP_SET || op->opcode == KCACHE_OP_TOUCH ||
	       op->flags & (KCACHE_TOUCH | KCACHE_INITIAL);
}

/* Flags that exclude each other, or that ask for more than the opcode. */
static int check_flags(const struct kcache_op *op, unsigned int *needed)
{
	const u32 exclusive = KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION;

	if (op->flags & ~opcodes[op->opcode].flags || hweight32(op->flags & exclusive) > 1)
		return -EINVAL;
	/* Who asks for both a look and a change must be allowed both. */
	if (op->flags & (KCACHE_TOUCH | KCACHE_RETURN_OLD))
		*needed = RW;
	return 0;
}

/**
 * kc_call_check() - is this a request, and may the caller make it?
 * @op: from an untrusted caller
 * @access: what the caller may do, KC_READ and KC_WRITE
 *
 * Checks all that does not depend on a cache.
 *
 * Return: what the operation needs of KC_READ and KC_WRITE, or -EINVAL, -EFBIG
 * for the key, -EBADF.
 */
int kc_call_check(const struct kcache_op *op, unsigned int access)
{
	unsigned int needed;

	if (unlikely(op->opcode - 1 >= ARRAY_SIZE(opcodes) - 1 || op->reserved))
		return -EINVAL;
	needed = opcodes[op->opcode].access;
	if (unlikely(op->flags && check_flags(op, &needed)))
		return -EINVAL;
	if (unlikely(op->ttl_ms > KCACHE_TTL_MAX_MS && sets_ttl(op)))
		return -EINVAL;
	if (unlikely(op->key_len - 1 >= KCACHE_KEY_MAX))
		return op->key_len ? -EFBIG : -EINVAL;
	if (unlikely(needed & ~access))
		return -EBADF;
	return needed;
}

/**
 * kc_cache_run() - do one operation
 * @cache: on which
 * @call: the operation, checked; on success its op has the results
 *
 * Context: Process context, may sleep and fault the caller's buffers in.
 * Return: 0 or an error as listed in the contract. An operation that failed has
 * changed nothing, but for op.out_len on -EMSGSIZE.
 */
int kc_cache_run(struct kc_cache *cache, struct kc_call *call)
{
	const struct opcode *opcode = &opcodes[call->op.opcode];
	int err;

	if (opcode->takes_value && call->op.value_len > kc_cache_value_max(cache))
		return -EFBIG;
	err = opcode->run(cache, call, kc_table_hash(&cache->table, call->key,
						     call->op.key_len));
	if (unlikely(err == -ENOSPC))
		kc_stats_inc(cache->stats, no_space);
	return err;
}

/**
 * kc_cache_flush() - remove every entry
 * @cache: which
 *
 * Entries that are stored meanwhile may stay. The memory goes back.
 *
 * Context: Process context.
 * Return: 0, or -EINTR if the caller was killed: some entries are left then.
 */
int kc_cache_flush(struct kc_cache *cache)
{
	struct mutex *mutex = &cache->arena.mutex;
	struct kc_segment *segment;
	int err = 0;
	u64 end;

	if (mutex_lock_killable(mutex))
		return -EINTR;
	kc_log_seal_lanes_locked(&cache->log);
	end = cache->log.opened;
	cache->evict.nr_flushes++;
	while ((segment = kc_log_oldest_locked(&cache->log)) && segment->opened < end) {
		kc_evict_retire_locked(&cache->evict, segment, KC_STAT_flushed);
		kc_evict_pool_dead_locked(&cache->evict);
		mutex_unlock(mutex);
		cond_resched();
		mutex_lock(mutex);
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
	}
	cache->evict.nr_flushes--;
	while (kc_log_drop_pool_locked(&cache->log))
		;
	kc_log_reap_locked(&cache->log);
	shrink_table_locked(cache);
	mutex_unlock(mutex);
	if (!err)
		kc_stats_inc(cache->stats, flushes);
	return err;
}

/* Evicts until the limit holds, with one grace period for many segments. */
static void shrink_to_limit_locked(struct kc_cache *cache)
{
	struct kc_arena *arena = &cache->arena;
	int i;

	while (atomic64_read(&arena->used_bytes) > arena->max_bytes) {
		u64 excess = atomic64_read(&arena->used_bytes) - arena->max_bytes;

		for (i = 0; i <= excess >> arena->chunk_shift; i++)
			if (!kc_log_drop_pool_locked(&cache->log) &&
			    kc_evict_one_locked(&cache->evict))
				break;
		while (kc_log_drop_pool_locked(&cache->log))
			;
		kc_log_reap_locked(&cache->log);
		shrink_table_locked(cache);
		if (!i)
			break;
	}
}

/**
 * kc_cache_resize() - change the limit
 * @cache: which
 * @max_bytes: new limit, at least KC_CACHE_BYTES_MIN and 16 chunks, at most the
 *	memory of the machine
 *
 * If the cache holds more, entries are evicted and memory goes back, at once.
 *
 * Context: Process context.
 * Return: 0, -EINVAL for the limit, -ENOSPC if there is no memory for a larger
 * directory, -EINTR if the caller was killed while it waited for others.
 */
int kc_cache_resize(struct kc_cache *cache, u64 max_bytes)
{
	struct kc_arena *arena = &cache->arena;
	int err = check_limit(max_bytes);
	u64 before;

	if (err || max_bytes < 16ULL << arena->chunk_shift)
		return -EINVAL;
	if (mutex_lock_killable(&arena->mutex))
		return -EINTR;
	before = arena->max_bytes;
	WRITE_ONCE(arena->max_bytes, max_bytes);
	err = kc_log_resize_locked(&cache->log);
	if (err)
		WRITE_ONCE(arena->max_bytes, before);
	else
		shrink_to_limit_locked(cache);
	mutex_unlock(&arena->mutex);
	return err;
}

/* -------- looking at all of it -------- */

static int copy_found_rcu(struct kc_cache *cache, const struct kc_found *found,
			  struct kc_copy *copy)
{
	size_t size;
	struct meta meta;
	struct kvec vec;
	struct iov_iter to;
	int err;

	read_meta(found->entry, &meta);
	copy->key_len = kcache_entry_key_len(meta.key_len);
	copy->value_len = meta.value_len;
	copy->client_flags = meta.client_flags;
	copy->version = meta.version;
	if (!kc_found_is_valid(found))
		return -EAGAIN;
	if (kc_expiry_is_over(meta.expiry_ms))
		return -ENOENT;
	copy->ttl_ms = ttl_left_ms(meta.expiry_ms);
	size = (size_t)copy->key_len + copy->value_len;
	if (size > copy->capacity)
		return -EMSGSIZE;
	vec = (struct kvec) { .iov_base = copy->data, .iov_len = size };
	iov_iter_kvec(&to, ITER_DEST, &vec, 1, size);
	err = kc_arena_to_iter_nofault(&cache->arena, found->offset +
				       kcache_entry_key_offset(meta.key_len), &to, size);
	return err || !kc_found_is_valid(found) ? -EAGAIN : 0;
}

static int grow_copy(struct kc_copy *copy)
{
	size_t size = roundup_pow_of_two((size_t)copy->key_len + copy->value_len);

	kvfree(copy->data);
	copy->data = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	copy->capacity = copy->data ? size : 0;
	return copy->data ? 0 : -ENOMEM;
}

/**
 * kc_cache_next() - copy the next entry of a walk over all of them
 * @cache: which
 * @position: in, where the walk stands, first 0; out, where it goes on, 0 after
 *	the last
 * @copy: out; its buffer is made larger as needed
 *
 * An entry that is there all the time is met exactly once, whatever happens to
 * others. Does not count as a use.
 *
 * Context: Process context.
 * Return: 1, 0 at the end, -ENOMEM, -EINTR if the caller is being killed.
 */
int kc_cache_next(struct kc_cache *cache, u64 *position, struct kc_copy *copy)
{
	struct kc_found found;
	u64 next;
	int err;

	do {
		next = *position;
		rcu_read_lock();
		err = kc_table_scan_rcu(&cache->table, &next, &found);
		if (err != 1) {
			*position = next;
		} else {
			err = copy_found_rcu(cache, &found, copy);
			if (!err || err == -ENOENT)
				*position = next;
			if (!err)
				err = 1;
		}
		rcu_read_unlock();

		if (err >= 0)
			return err;
		if (err == -EMSGSIZE && grow_copy(copy))
			return -ENOMEM;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (err != -ENOENT || *position);
	return 0;
}

/**
 * kc_cache_account() - count what a cache holds
 * @cache: which
 * @account: out; of one moment only if nobody uses the cache
 *
 * Context: Process context.
 */
void kc_cache_account(struct kc_cache *cache, struct kc_cache_account *account)
{
	struct kc_log_bytes bytes;

	mutex_lock(&cache->arena.mutex);
	kc_log_count_locked(&cache->log, &bytes);
	*account = (struct kc_cache_account) {
		.entries = percpu_counter_sum_positive(&cache->table.nr_entries),
		.buckets = cache->table.nr_buckets,
		.overflow_buckets = READ_ONCE(cache->table.nr_overflow_used),
		.bytes_allocated = atomic64_read(&cache->arena.used_bytes),
		.bytes_live = bytes.used - bytes.dead,
		.bytes_dead = bytes.dead,
		.bytes_free = bytes.pooled,
		.segments = bytes.segments,
	};
	mutex_unlock(&cache->arena.mutex);
}
