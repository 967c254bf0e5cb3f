// SPDX-License-Identifier: GPL-2.0
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "cache.h"
#include "compat.h"
#include "draft.h"
#include "entry.h"
#include "ops.h"
#include "space.h"

/* After this many changes in the middle of a copy, a reader takes the stripe. */
#define LOCKLESS_COPIES	16

/* After this many faults, a buffer that was brought in each time is not there. */
#define FAULTS_MAX	64

/* Digits of S64_MIN with its sign. */
#define NUMBER_MAX	20

static __always_inline u64 hash_of(struct kc_cache *cache, const struct kc_call *call)
{
	return kc_table_hash(&cache->table, call->key, call->op.key_len);
}

/* -------- reading -------- */

static void tell_meta(struct kcache_op *op, const struct kc_meta *meta)
{
	op->out_len = meta->value_len;
	op->ttl_ms = kc_ttl_left_ms(meta->expiry_ms);
	op->version = meta->version;
	op->client_flags = meta->client_flags;
}

/* Copies out the value that was found, which need not be one any more. */
static __always_inline int copy_value_rcu(struct kc_cache *cache,
					  const struct kcache_found *found,
					  const struct kc_buffer *out, u32 len)
{
	int err;

	if (unlikely(found->value_at + (u64)len > found->left))
		return kc_arena_pieces_to(&cache->arena, found->offset + found->value_at, out, len);
	pagefault_disable();
	err = kc_buffer_put(out, 0, (void *)found->entry + found->value_at, len);
	pagefault_enable();
	return err;
}

/*
 * One look at the entry that was found, and one copy of its value to call->out if
 * @with_value. -EAGAIN: it changed meanwhile; -EFAULT: call->out is not in memory now.
 */
static __always_inline int read_found_rcu(struct kc_cache *cache, const struct kc_call *call,
					  const struct kcache_found *found, bool with_value,
					  struct kc_meta *meta)
{
	int err = 0;

	kc_meta_read(found->entry, meta);
	if (with_value) {
		if (unlikely(meta->value_len > call->op.out_len))
			err = -EMSGSIZE;
		else
			err = copy_value_rcu(cache, found, &call->out, meta->value_len);
	}
	if (unlikely(!kcache_found_is_valid(found)))
		return -EAGAIN;
	if (unlikely(kc_expiry_is_over(meta->expiry_ms)))
		return -ENOENT;
	if (with_value && !err)
		kc_table_use_rcu(found);
	return err;
}

static int read_once_rcu(struct kc_cache *cache, const struct kc_call *call, u64 hash,
			 bool with_value, struct kc_meta *meta, struct kcache_found *found)
{
	if (!kc_table_find_rcu(&cache->table, hash, call->key, call->op.key_len, found))
		return -ENOENT;
	return read_found_rcu(cache, call, found, with_value, meta);
}

/* The same when changes came too often: none can come while the stripe is held. */
static int read_once_locked(struct kc_cache *cache, const struct kc_call *call, u64 hash,
			    bool with_value, struct kc_meta *meta, struct kcache_found *found)
{
	int err = -ENOENT;

	kc_table_lock(&cache->table, hash);
	if (kc_table_find_locked(&cache->table, hash, call->key, call->op.key_len, found))
		err = read_found_rcu(cache, call, found, with_value, meta);
	kc_table_unlock(&cache->table, hash);
	return err;
}

/*
 * Reads the entry of the call's key: its value to call->out if @with_value, what
 * it is to @meta. All of it is of one moment. -EMSGSIZE leaves @meta filled in.
 */
static noinline int read_entry(struct kc_cache *cache, const struct kc_call *call, u64 hash,
			       bool with_value, struct kc_meta *meta)
{
	int err, tries = 0, faults = 0;
	struct kcache_found found;

	for (;;) {
		rcu_read_lock();
		if (tries < LOCKLESS_COPIES)
			err = read_once_rcu(cache, call, hash, with_value, meta, &found);
		else
			err = read_once_locked(cache, call, hash, with_value, meta, &found);
		rcu_read_unlock();

		if (err != -EAGAIN && err != -EFAULT)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (err == -EAGAIN) {
			kc_stats_inc(cache->stats, retries);
			tries++;
		} else {
			kc_stats_inc(cache->stats, faults);
			if (++faults > FAULTS_MAX || call->out.is_kernel ||
			    fault_in_safe_writeable(call->out.user, meta->value_len))
				return -EFAULT;
		}
	}
}

/*
 * One try at read_entry() with the value, as GET does it nearly always. -EAGAIN and
 * -EFAULT: nothing is known, call that.
 */
static __always_inline int read_quickly(struct kc_cache *cache, const struct kc_call *call,
					u64 hash, struct kc_meta *meta)
{
	struct kcache_found found kc_uninitialized;
	enum kcache_find_result result;
	int err;

	rcu_read_lock();
	result = kcache_find_by(&cache->table, hash, call->key, call->op.key_len, true, &found);
	if (likely(result == KCACHE_FOUND))
		err = read_found_rcu(cache, call, &found, true, meta);
	else
		err = result == KCACHE_MISSED ? -ENOENT : -EAGAIN;
	rcu_read_unlock();
	return err;
}

/* -------- SET -------- */

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
 * more what @expected says, NULL: it may be as it likes. -EXFULL: the table needs an
 * overflow bucket.
 */
static __always_inline int set_link_rcu(struct kc_cache *cache, struct kc_call *call, u64 hash,
					struct kc_draft *draft,
					const struct expected *expected, u64 expiry_ms)
{
	struct kcache_op *op = &call->op;
	struct kc_stripe *stripe = kc_table_stripe(&cache->table, hash);
	struct kcache_found found kc_uninitialized;
	u64 old_version kc_uninitialized, *version = NULL;
	bool is_linked;
	int err = 0;

	spin_lock(&stripe->lock);
	is_linked = __kc_table_find_locked(&cache->table, hash, call->key, op->key_len, &found);
	if (is_linked && !kc_entry_is_expired(found.entry)) {
		old_version = kc_entry_version(found.entry);
		version = &old_version;
	}
	if (expected)
		err = is_as_expected(expected, version) ? check_conditions(op, version) : -EAGAIN;
	if (!err) {
		if (version && op->flags & KCACHE_KEEP_TTL)
			expiry_ms = kc_entry_expiry_ms(found.entry);
		err = kc_draft_link_rcu(cache, draft, hash, &found, is_linked, expiry_ms,
					&op->version);
		if (err == -ENOSPC)
			err = -EXFULL;
		else if (is_linked && !version)
			kc_stats_inc(cache->stats, expirations);
	}
	spin_unlock(&stripe->lock);
	return err;
}

/* Writes the entry that @call asks for and links it. Errors as set_link_rcu(). */
static __always_inline int set_once(struct kc_cache *cache, struct kc_call *call, u64 hash,
				    struct kc_draft *draft, const struct expected *expected)
{
	struct kcache_op *op = &call->op;
	u64 expiry_ms;
	int err;

	expiry_ms = expiry_from_ttl(op->ttl_ms);
	err = kc_draft_begin(cache, call->key, op->key_len, op->client_flags, op->value_len,
			     draft);
	if (!err)
		err = kc_draft_fill_rcu(cache, draft, 0);
	if (!err)
		err = set_link_rcu(cache, call, hash, draft, expected, expiry_ms);
	err = kc_draft_end(cache, draft, err);
	if (!err && expiry_ms)
		kc_expire_arm(&cache->expire);
	return err;
}

/* What comes of an operation after @err. -EAGAIN: it begins again, and gets further then. */
static noinline int after_failure(struct kc_cache *cache, int err)
{
	if (err == -EXFULL) {
		err = kc_space_grow_overflow(cache);
		if (!err)
			return -EAGAIN;
	}
	if (err == -ENOSPC)
		kc_stats_inc(cache->stats, no_space);
	if (err != -EAGAIN)
		return err;
	kc_stats_inc(cache->stats, retries);
	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	return -EAGAIN;
}

/*
 * Looks at the key before a conditional SET, so that one that fails costs no
 * room in the log; and copies the old value out if it is asked for.
 */
static int set_look(struct kc_cache *cache, struct kc_call *call, u64 hash,
		    struct expected *expected, struct kc_meta *old)
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

/* Flags of a SET that depends on what is there. */
#define LOOK_FLAGS	(KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION | \
			 KCACHE_RETURN_OLD)

static noinline int set_after_look(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kcache_op *op = &call->op;
	struct expected expected;
	struct kc_draft draft;
	struct kc_meta old;
	int err;

	kc_draft_init(&draft, &call->value, op->value_len);
	do {
		err = set_look(cache, call, hash, &expected, &old);
		if (!err)
			err = set_once(cache, call, hash, &draft, &expected);
		if (err)
			err = after_failure(cache, err);
	} while (err == -EAGAIN);
	kc_draft_exit(&draft);
	if (err)
		return err;
	if (op->flags & KCACHE_RETURN_OLD)
		op->out_len = expected.is_there ? old.value_len : KCACHE_ABSENT;
	kc_stats_inc(cache->stats, sets);
	return 0;
}

static bool is_too_long(struct kc_cache *cache, const struct kc_call *call)
{
	/* The smallest cache takes as much. */
	return unlikely(call->op.value_len > KC_CACHE_BYTES_MIN / KC_VALUE_PART) &&
	       call->op.value_len > kc_cache_value_max(cache);
}

/* kc_cache_run() of a SET. */
int kc_op_set(struct kc_cache *cache, struct kc_call *call)
{
	struct kc_draft draft kc_uninitialized;
	u64 hash = hash_of(cache, call);
	int err;

	if (is_too_long(cache, call))
		return -EFBIG;
	if (unlikely(call->op.flags & LOOK_FLAGS))
		return set_after_look(cache, call, hash);
	kc_draft_init(&draft, &call->value, call->op.value_len);
	do {
		err = set_once(cache, call, hash, &draft, NULL);
		if (unlikely(err))
			err = after_failure(cache, err);
	} while (unlikely(err == -EAGAIN));
	kc_draft_exit(&draft);
	if (likely(!err))
		kc_stats_inc(cache->stats, sets);
	return err;
}

/* -------- changing what is there -------- */

/*
 * Finds the live entry of the call's key under its stripe. An expired one is
 * taken out.
 */
static int find_live_rcu(struct kc_cache *cache, const struct kc_call *call, u64 hash,
			 struct kcache_found *found)
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
			    u64 version, struct kcache_found *found)
{
	int err = find_live_rcu(cache, call, hash, found);

	if (!err && kc_entry_version(found->entry) != version)
		err = -EAGAIN;
	return err;
}

static void touch_rcu(struct kc_cache *cache, struct kcache_found *found, u64 expiry_ms,
		      u64 *version)
{
	*version = kc_cache_new_version(cache);
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

static noinline int op_touch(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	u64 expiry_ms = expiry_from_ttl(call->op.ttl_ms);
	struct kcache_found found;
	int err;

	rcu_read_lock();
	kc_table_lock(&cache->table, hash);
	err = find_live_rcu(cache, call, hash, &found);
	if (!err) {
		kc_table_use_rcu(&found);
		touch_rcu(cache, &found, expiry_ms, &call->op.version);
	}
	kc_table_unlock(&cache->table, hash);
	rcu_read_unlock();
	if (!err)
		touched(cache, expiry_ms);
	return err;
}

static noinline int op_remove(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kcache_found found;
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
static int get_touch(struct kc_cache *cache, struct kc_call *call, u64 hash, struct kc_meta *meta)
{
	u64 expiry_ms = expiry_from_ttl(call->op.ttl_ms);
	struct kcache_found found;
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
		if (err)
			err = after_failure(cache, err);
	} while (err == -EAGAIN);
	if (!err) {
		meta->expiry_ms = expiry_ms;
		touched(cache, expiry_ms);
	}
	return err;
}

/* Counts a GET and tells its results. */
static __always_inline int got(struct kc_cache *cache, struct kc_call *call,
			       const struct kc_meta *meta, int err)
{
	if (likely(!err)) {
		kc_stats_inc(cache->stats, hits);
		tell_meta(&call->op, meta);
	} else if (err == -ENOENT) {
		kc_stats_inc(cache->stats, misses);
	} else if (err == -EMSGSIZE) {
		kc_stats_inc(cache->stats, hits);
		call->op.out_len = meta->value_len;
	}
	return err;
}

/* GET with TOUCH, and GET after read_quickly() gave @err. */
static noinline int get_slowly(struct kc_cache *cache, struct kc_call *call, u64 hash, int err)
{
	struct kc_meta meta;

	if (err == -EAGAIN)
		kc_stats_inc(cache->stats, retries);
	if (call->op.flags & KCACHE_TOUCH)
		err = get_touch(cache, call, hash, &meta);
	else
		err = read_entry(cache, call, hash, true, &meta);
	return got(cache, call, &meta, err);
}

/* kc_cache_run() of a GET. */
int kc_op_get(struct kc_cache *cache, struct kc_call *call)
{
	u64 hash = hash_of(cache, call);
	struct kc_meta meta kc_uninitialized;
	int err;

	if (unlikely(call->op.flags & KCACHE_TOUCH))
		return get_slowly(cache, call, hash, 0);
	err = read_quickly(cache, call, hash, &meta);
	if (unlikely(err == -EAGAIN || err == -EFAULT))
		return get_slowly(cache, call, hash, err);
	return got(cache, call, &meta, err);
}

static noinline int op_stat(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kc_meta meta;
	int err = read_entry(cache, call, hash, false, &meta);

	if (!err)
		tell_meta(&call->op, &meta);
	return err;
}

static noinline int op_pop(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kcache_found found;
	struct kc_meta meta;
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
		if (err)
			err = after_failure(cache, err);
	} while (err == -EAGAIN);
	if (!err) {
		tell_meta(&call->op, &meta);
		kc_stats_inc(cache->stats, pops);
	} else if (err == -EMSGSIZE) {
		call->op.out_len = meta.value_len;
	}
	return err;
}

static int read_number_rcu(struct kc_cache *cache, const struct kcache_found *found, s64 *number)
{
	u32 len = found->entry->value_len;
	char text[NUMBER_MAX + 1];
	struct kc_buffer to = kc_buffer_kernel(text);
	u64 from = found->offset + kcache_entry_value_offset(found->entry->key_len);

	if (!len || len > NUMBER_MAX)
		return -ERANGE;
	if (kc_arena_to_nofault(&cache->arena, from, &to, len))
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
	struct kc_buffer from = kc_buffer_kernel(text);

	kc_arena_from_nofault(&cache->arena, offset, &from, len);
}

/* Writes the number in place if the entry takes as much room then as now. */
static bool add_in_place_rcu(struct kc_cache *cache, struct kcache_found *found, const char *text,
			     u32 len, u64 *version)
{
	struct kcache_entry *entry = found->entry;

	if (kcache_entry_size(entry->key_len, len) !=
	    kcache_entry_size(entry->key_len, entry->value_len))
		return false;
	*version = kc_cache_new_version(cache);
	kc_table_use_rcu(found);
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
			const struct kc_meta *meta, const char *text, u32 len)
{
	struct kcache_found found;
	struct kc_draft draft;
	int err;

	err = kc_draft_begin(cache, call->key, call->op.key_len, meta->client_flags, len,
			     &draft);
	if (!err) {
		write_text_rcu(cache, draft.value_at, text, len);
		kc_table_lock(&cache->table, hash);
		err = find_version_rcu(cache, call, hash, meta->version, &found);
		if (!err)
			err = kc_draft_link_rcu(cache, &draft, hash, &found, true, meta->expiry_ms,
						&call->op.version);
		kc_table_unlock(&cache->table, hash);
		if (err == -ENOENT)	/* gone meanwhile: what that means, the next look decides */
			err = -EAGAIN;
	}
	return kc_draft_end(cache, &draft, err);
}

/* ADD on a missing key: a SET of the initial value, if the key is still missing. */
static int add_initial(struct kc_cache *cache, const struct kc_call *call, u64 hash, u64 *version)
{
	char text[NUMBER_MAX + 1];
	struct kc_call set = {
		.op = {
			.flags = KCACHE_IF_ABSENT,
			.key_len = call->op.key_len,
			.ttl_ms = call->op.ttl_ms,
			.client_flags = call->op.client_flags,
		},
		.key = call->key,
	};
	struct kc_buffer value = kc_buffer_kernel(text);
	struct expected expected = { 0 };
	struct kc_draft draft;
	int err;

	set.op.value_len = snprintf(text, sizeof(text), "%lld", call->op.number);
	kc_draft_init(&draft, &value, set.op.value_len);
	err = set_once(cache, &set, hash, &draft, &expected);
	kc_draft_exit(&draft);
	if (!err)
		*version = set.op.version;
	return err == -EEXIST ? -EAGAIN : err;
}

static int add_once(struct kc_cache *cache, struct kc_call *call, u64 hash, s64 *sum)
{
	struct kcache_op *op = &call->op;
	char text[NUMBER_MAX + 1];
	struct kcache_found found;
	bool is_done = false;
	struct kc_meta meta;
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
		kc_meta_read(found.entry, &meta);
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

static noinline int op_add(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	s64 sum;
	int err;

	do {
		err = add_once(cache, call, hash, &sum);
		if (err)
			err = after_failure(cache, err);
	} while (err == -EAGAIN);
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
			   const struct kc_meta *meta, struct kc_draft *draft)
{
	bool is_append = call->op.opcode == KCACHE_OP_APPEND;
	struct kcache_found found;
	struct kc_meta now;
	u64 old_to;
	int err;

	err = kc_draft_fill_rcu(cache, draft, is_append ? meta->value_len : 0);
	if (err)
		return err;
	err = read_once_rcu(cache, call, hash, false, &now, &found);
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
	if (kcache_found_is_valid(&found))
		err = kc_draft_link_rcu(cache, draft, hash, &found, true, now.expiry_ms,
					&call->op.version);
	else
		err = -EAGAIN;
	kc_table_unlock(&cache->table, hash);
	return err;
}

static int extend_once(struct kc_cache *cache, struct kc_call *call, u64 hash,
		       struct kc_draft *draft, u64 *len)
{
	struct kc_meta meta;
	int err;

	err = read_entry(cache, call, hash, false, &meta);
	if (!err)
		err = check_conditions(&call->op, &meta.version);
	if (err)
		return err;
	*len = meta.value_len + call->op.value_len;
	if (*len > kc_cache_value_max(cache))
		return -EFBIG;
	err = kc_draft_begin(cache, call->key, call->op.key_len, meta.client_flags, *len,
			     draft);
	if (!err)
		err = extend_link_rcu(cache, call, hash, &meta, draft);
	return kc_draft_end(cache, draft, err);
}

static noinline int op_extend(struct kc_cache *cache, struct kc_call *call, u64 hash)
{
	struct kc_draft draft;
	u64 len;
	int err;

	if (is_too_long(cache, call))
		return -EFBIG;
	kc_draft_init(&draft, &call->value, call->op.value_len);
	do {
		err = extend_once(cache, call, hash, &draft, &len);
		if (err)
			err = after_failure(cache, err);
	} while (err == -EAGAIN);
	kc_draft_exit(&draft);
	if (err)
		return err;
	call->op.out_len = len;
	kc_stats_inc(cache->stats, appends);
	return 0;
}

/* -------- the door -------- */

/**
 * struct opcode - what is known of an opcode
 * @access: what it needs, KC_READ and KC_WRITE
 * @flags: which it takes
 */
struct opcode {
	u8 access;
	u32 flags;
};

#define RW	(KC_READ | KC_WRITE)

static const struct opcode opcodes[] = {
	[KCACHE_OP_GET]     = { KC_READ,  KCACHE_TOUCH },
	[KCACHE_OP_SET]     = { KC_WRITE,
				KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION |
				KCACHE_KEEP_TTL | KCACHE_RETURN_OLD },
	[KCACHE_OP_REMOVE]  = { KC_WRITE, KCACHE_IF_VERSION },
	[KCACHE_OP_POP]     = { RW,       0 },
	[KCACHE_OP_STAT]    = { KC_READ,  0 },
	[KCACHE_OP_TOUCH]   = { KC_WRITE, 0 },
	[KCACHE_OP_ADD]     = { RW,       KCACHE_INITIAL },
	[KCACHE_OP_APPEND]  = { KC_WRITE, KCACHE_IF_VERSION },
	[KCACHE_OP_PREPEND] = { KC_WRITE, KCACHE_IF_VERSION },
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

	if (unlikely(op->opcode - 1 >= ARRAY_SIZE(opcodes) - 1 || op->error))
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

/*
 * kc_cache_run() of all others. A switch and no pointers in a table: indirect calls are slow
 * where Spectre is held off.
 */
int kc_op_other(struct kc_cache *cache, struct kc_call *call)
{
	u64 hash = hash_of(cache, call);

	switch (call->op.opcode) {
	case KCACHE_OP_REMOVE:
		return op_remove(cache, call, hash);
	case KCACHE_OP_POP:
		return op_pop(cache, call, hash);
	case KCACHE_OP_STAT:
		return op_stat(cache, call, hash);
	case KCACHE_OP_TOUCH:
		return op_touch(cache, call, hash);
	case KCACHE_OP_ADD:
		return op_add(cache, call, hash);
	default:
		return op_extend(cache, call, hash);
	}
}
