// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "audit.h"
#include "choose.h"
#include "history.h"

/* What does not hold is told, and ends the history. */
#define HOLDS(x) \
	((x) ? true : (printf("# %s:%d: expected: %s\n", __FILE__, __LINE__, #x), false))

static struct history_of of;
static struct model models[HISTORY_KEYS];
static char keys[HISTORY_KEYS][KCACHE_KEY_MAX + 1];
static u8 *in, *out;
static u64 nr_lost;		/* of the entries that left by themselves, those that were missed */

static void make_keys(void)
{
	u32 i, len;

	for (i = 0; i < of.nr_keys; i++) {
		len = i % 4 ? 3 + i % 50 : 3 + shim_random() % (KCACHE_KEY_MAX - 2);
		memset(keys[i], 'x', len);
		keys[i][len] = '\0';
		memcpy(keys[i], "000", 3);
		keys[i][0] += i / 100;
		keys[i][1] += i / 10 % 10;
		keys[i][2] += i % 10;
	}
}

void history_begin(const struct history_of *what)
{
	of = *what;
	in = malloc(of.longest + 32);
	out = malloc(of.longest + 1);
	memset(in, 0, of.longest + 32);
	memset(models, 0, sizeof(models));
	nr_lost = 0;
	start(of.max_bytes);
	make_keys();
}

void history_end(void)
{
	u32 i;

	for (i = 0; i < of.nr_keys; i++)
		free(models[i].value);
	free(in);
	free(out);
	stop();
}

u64 history_nr_left(void)
{
	return count_of(cache, KC_STAT_evictions);
}

const char *history_key(u32 i)
{
	return keys[i];
}

/* -------- operations -------- */

/* The entry is missed that the model has. May it be? */
static bool lose(u32 i)
{
	models[i].is_there = false;
	return HOLDS(of.is_lossy && ++nr_lost <= history_nr_left());
}

/* Forgets a key that has left by itself, if it has. */
static bool notice_loss(u32 i)
{
	if (!of.is_lossy || !model_is_there(&models[i], shim_clock_ms()) ||
	    !stat_error(cache, keys[i]))
		return true;
	return lose(i);
}

/* Lets some of the memory of the caller be absent. */
static void choose_marks(struct outcome *o, const struct model *model)
{
	o->bad_in = choose(30) == 1;
	if (o->bad_in && o->asked.value_len)
		shim_user_mark(in + choose(o->asked.value_len), 1, SHIM_UNMAPPED);
	if (choose(30) == 1 && model->len) {
		o->bad_out = 1 + choose(model->len);
		shim_user_mark(out + o->bad_out - 1, 1, SHIM_UNMAPPED);
	}
	if (choose(10) == 1)
		shim_user_mark((choose(2) ? in : out) + choose(40), 3, SHIM_ABSENT);
}

/*
 * In making room for itself an operation may have evicted what it was to change. Has it, as
 * far as that makes a difference?
 */
static bool has_lost_its_own(const struct model *model, const struct outcome *o, const char *key)
{
	const struct kcache_op *op = &o->asked;
	struct kcache_op now;
	s64 sum;

	if (o->err)
		return o->err == -ENOENT;
	if (op->flags & KCACHE_RETURN_OLD)
		return o->got.out_len == KCACHE_ABSENT;
	if (!(op->flags & (KCACHE_KEEP_TTL | KCACHE_INITIAL)))
		return false;
	if (op->flags & KCACHE_INITIAL &&
	    !(model_number(model, &sum) && sum + (u64)op->delta == (u64)o->got.number))
		return true;
	now = stat_of(cache, key);
	return now.ttl_ms != (model->expiry_to ? model->expiry_to - o->from : 0) ||
	       (op->flags & KCACHE_INITIAL && now.client_flags != model->client_flags);
}

static bool operate(void)
{
	u32 i = choose(of.nr_keys);
	struct outcome o = { .value_max = kc_cache_value_max(cache) };
	u64 left_before;

	if (!notice_loss(i))
		return false;
	o.asked = model_random_op(&models[i], keys[i], in, out, of.longest);
	o.asked.ttl_ms = choose(3) ? 0 : 1 + choose(300);
	o.got = o.asked;
	choose_marks(&o, &models[i]);
	shim_set_cpu(choose(4));
	left_before = history_nr_left();
	o.from = o.to = shim_clock_ms();
	o.err = run_op(cache, &o.got);
	shim_user_clear();
	if (model_is_there(&models[i], o.from) && history_nr_left() > left_before &&
	    has_lost_its_own(&models[i], &o, keys[i]) && !lose(i))
		return false;
	return model_agrees(&models[i], &o);
}

/* So that buckets split and segments fill: the same value under many keys. */
static bool store_many(void)
{
	u32 i = choose(of.nr_keys), nr = 1 + choose(of.nr_keys), len = choose(of.longest / 8);
	struct outcome o = { .value_max = kc_cache_value_max(cache) };

	fill(in, len, nr);
	for (; nr; nr--, i = (i + 1) % of.nr_keys) {
		if (!notice_loss(i))
			return false;
		o.asked = op_on(KCACHE_OP_SET, keys[i]);
		VALUE(&o.asked, in, len);
		o.got = o.asked;
		o.from = o.to = shim_clock_ms();
		o.err = run_op(cache, &o.got);
		if (!model_agrees(&models[i], &o))
			return false;
	}
	return true;
}

/* -------- everything else -------- */

/* Is the entry that a walk met the one of a key, and as the model has it? */
static bool is_as_modelled(const struct kc_copy *copy, bool *met, u64 now)
{
	const struct model *model;
	u32 i;

	i = (copy->data[0] - '0') * 100 + (copy->data[1] - '0') * 10 + copy->data[2] - '0';
	if (!HOLDS(i < of.nr_keys && copy->key_len == strlen(keys[i])))
		return false;
	model = &models[i];
	if (!HOLDS(!met[i] && model_is_there(model, now)))
		return false;
	met[i] = true;
	return HOLDS(!memcmp(copy->data, keys[i], copy->key_len)) &&
	       HOLDS(copy->version == model->version) &&
	       HOLDS(copy->client_flags == model->client_flags) &&
	       HOLDS(copy->ttl_ms == (model->expiry_to ? model->expiry_to - now : 0)) &&
	       HOLDS(copy->value_len == model->len) &&
	       HOLDS(!copy->value_len ||
		     !memcmp(copy->data + copy->key_len, model->value, copy->value_len));
}

/* A walk meets what is there, all of it, once. */
bool history_scan(void)
{
	u64 position = 0, now = shim_clock_ms();
	bool met[HISTORY_KEYS] = { false };
	struct kc_copy copy = { 0 };
	bool is_good = true;
	u32 i;

	while (is_good && kc_cache_next(cache, &position, &copy) == 1) {
		is_good = is_as_modelled(&copy, met, now);
		if (!position)
			break;
	}
	kvfree(copy.data);
	for (i = 0; is_good && i < of.nr_keys; i++)
		is_good = notice_loss(i) && HOLDS(met[i] == model_is_there(&models[i], now));
	return is_good;
}

static bool flush(void)
{
	u32 i;

	if (!HOLDS(!kc_cache_flush(cache)))
		return false;
	for (i = 0; i < of.nr_keys; i++)
		models[i].is_there = false;
	return HOLDS(!entries(cache));
}

/* As when the system is short of memory. */
static void reclaim(u64 pages)
{
	struct shrink_control control = { .nr_to_scan = pages };

	cache->shrinker->scan_objects(cache->shrinker, &control);
}

static bool resize(void)
{
	u64 max_bytes = of.max_bytes + (choose(of.most_bytes - of.max_bytes) & -PAGE_SIZE);

	return HOLDS(!kc_cache_resize(cache, max_bytes)) &&
	       HOLDS(atomic64_read(&cache->arena.used_bytes) <= max_bytes);
}

static bool do_something_else(void)
{
	switch (choose(60)) {
	case 1:
		return history_scan();
	case 2:
		return HOLDS(of.is_not_alone ? audit_contents(cache) : audit(cache));
	case 3:
		return resize();
	case 4:
		return choose(10) != 1 || flush();
	case 5:
	case 6:
		kc_expire_pass(&cache->expire);
		break;
	case 7:
		shim_run_work();
		break;
	case 8:
	case 9:
	case 10:
		shim_clock_advance_ms(choose(100));
		break;
	case 11:
		if (of.is_lossy)
			reclaim(choose(of.max_bytes / 4 / PAGE_SIZE));
		break;
	case 12:
		return choose(10) != 1 || store_many();
	case 13:
		return HOLDS(!kc_cache_set_promote_after(cache, 1 + choose(3)));
	case 14:
		return HOLDS(!kc_cache_set_min(cache, choose(of.max_bytes)));
	}
	return true;
}

bool history_step(void)
{
	return operate() && do_something_else();
}
