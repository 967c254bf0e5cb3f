// SPDX-License-Identifier: GPL-2.0
/* What is measured: the keys, and the loops of calls with them. */
#include <errno.h>
#include <string.h>

#include "measure.h"

const char *const op_names[] = {
	"call", "get_first", "get_hit", "get_miss", "set_overwrite", "set_new", "pop", "scan",
	"set_evict", "get_hit_beside_writer",
};

/* -------- the loops -------- */

static long none_call(void *client)
{
	(void)client;
	return 0;
}

static long none_get(void *client, const char *key, void *out, size_t size)
{
	(void)key, (void)out, (void)size;
	return ((struct client *)client)->value_len;
}

static long none_set(void *client, const char *key, const void *value, size_t len)
{
	(void)client, (void)key, (void)value, (void)len;
	return 0;
}

static long none_get_many(void *client, const char *keys, size_t nr, char *out)
{
	(void)client, (void)keys, (void)out;
	return nr;
}

static long none_set_many(void *client, const char *keys, size_t nr, const void *value, size_t len)
{
	(void)client, (void)keys, (void)nr, (void)value, (void)len;
	return 0;
}

const struct peer none = {
	.call = none_call, .get = none_get, .set = none_set, .pop = none_get,
	.get_many = none_get_many, .set_many = none_set_many,
};

void wrong(const struct client *c, enum kind kind, long result)
{
	die("%s, %s, %zu bytes: gave %ld (%s)", c->peer->name, op_names[kind], c->value_len, result,
	    result < 0 ? strerror(-result) : "a length or a number");
}

void run_calls(struct client *c, const struct peer *peer, void *handle, enum kind kind,
	       unsigned int batch, unsigned int first, unsigned int nr)
{
	long expected = kind == GET_MISS && peer != &none ? -ENOENT : (long)c->value_len;
	const char *key = c->keys + first * batch * KEY_LEN, *end = key + nr * batch * KEY_LEN;
	long result = 0;

	switch (kind) {
	case CALL:
		for (; key < end; key += KEY_LEN)
			if ((result = peer->call(handle)))
				break;
		break;
	case GET_FIRST: case GET_HIT: case GET_MISS: case BESIDE_WRITER:
		if (batch == 1) {
			for (; key < end; key += KEY_LEN)
				if ((result = peer->get(handle, key, c->out, VALUE_MAX)) != expected)
					break;
		} else {
			expected = kind == GET_MISS && peer != &none ? 0 : batch;
			for (; key < end; key += batch * KEY_LEN)
				if ((result = peer->get_many(handle, key, batch, c->out)) != expected)
					break;
		}
		break;
	case SET_OVERWRITE: case SET_NEW: case SET_EVICT:
		if (batch == 1) {
			for (; key < end; key += KEY_LEN)
				if ((result = peer->set(handle, key, c->value, c->value_len)))
					break;
		} else {
			for (; key < end; key += batch * KEY_LEN)
				if ((result = peer->set_many(handle, key, batch, c->value,
							     c->value_len)))
					break;
		}
		break;
	case POP:
		for (; key < end; key += KEY_LEN)
			if ((result = peer->pop(handle, key, c->out, VALUE_MAX)) != expected)
				break;
		break;
	case SCAN:
		return;
	}
	if (key < end)
		wrong(c, kind, result);
}

bool can(const struct peer *peer, enum kind kind, unsigned int batch)
{
	switch (kind) {
	case CALL:
		return peer->call && batch == 1;
	case GET_HIT: case GET_MISS:
		return batch == 1 ? !!peer->get : !!peer->get_many;
	case SET_OVERWRITE: case SET_NEW: case SET_EVICT:
		return batch == 1 ? !!peer->set : !!peer->set_many;
	case GET_FIRST:
		return batch == 1 && peer->get;
	case POP:
		return batch == 1 && peer->pop;
	case SCAN:
		return batch == 1 && peer->scan;
	case BESIDE_WRITER:
		return batch == 1 && peer->is_writer_tested;
	}
	return false;
}

/* -------- keys -------- */

static uint64_t mix(uint64_t n)
{
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ULL;
	n = (n ^ n >> 27) * 0x94d049bb133111ebULL;
	return n ^ n >> 31;
}

void make_key(char key[KEY_LEN], uint64_t n)
{
	n = mix(n + 0x9e3779b97f4a7c15ULL);
	for (int i = 0; i < KEY_LEN; i++, n >>= 4)
		key[i] = "0123456789abcdef"[n & 15];
}

static uint64_t fresh(struct client *c)
{
	return (uint64_t)(c->id + 1) << 48 | c->nr_fresh++;
}

/* Stores what the keys from @keys on name, however the peer can. */
static void store(struct client *c, const char *keys, unsigned int nr)
{
	long err = 0;
	unsigned int step;

	for (; nr && !err; nr -= step, keys += step * KEY_LEN) {
		step = c->peer->set_many && nr >= BATCH_MAX ? BATCH_MAX : 1;
		if (step > 1 || !c->peer->set)
			err = c->peer->set_many(c->handle, keys, step, c->value, c->value_len);
		else
			err = c->peer->set(c->handle, keys, c->value, c->value_len);
	}
	if (err)
		wrong(c, SET_NEW, err);
}

void prepare(struct client *c, enum kind kind, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t n = c->random = mix(c->random + 0x9e3779b97f4a7c15ULL);

		if (kind == GET_MISS)
			n |= 1ULL << 63;
		else if (kind == SET_NEW || kind == SET_EVICT || kind == POP)
			n = fresh(c);
		else
			n %= options.nr_keys;
		make_key(c->keys + i * KEY_LEN, n);
	}
	if (kind == POP)
		store(c, c->keys, nr);
}

void fill(struct client *c, uint64_t first, uint64_t nr)
{
	for (uint64_t n = 0; n < nr; n += KEYS_MAX) {
		unsigned int step = nr - n < KEYS_MAX ? nr - n : KEYS_MAX;

		for (unsigned int i = 0; i < step; i++)
			make_key(c->keys + i * KEY_LEN, first + n + i);
		store(c, c->keys, step);
	}
}

void check_values(struct client *c)
{
	char other[VALUE_MAX], key[KEY_LEN];
	size_t seen = strcmp(c->peer->name, "kcache borrow") ? c->value_len : KEY_LEN;

	if (!c->peer->get)
		return;
	memset(other, 'w', sizeof(other));
	make_key(key, 0);
	c->peer->set(c->handle, key, other, c->value_len);
	for (unsigned int n = 0; n < 64; n++) {
		make_key(key, n);
		memset(c->out, 0, seen);
		if (c->peer->get(c->handle, key, c->out, VALUE_MAX) != (long)c->value_len ||
		    memcmp(c->out, n ? c->value : other, seen))
			die("%s: the value of %.16s is not the one stored", c->peer->name, key);
	}
}
