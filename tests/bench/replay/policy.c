// SPDX-License-Identifier: GPL-2.0
/*
 * policy: what kcache is measured against, in the plainest form.
 *
 * Each object that is stored costs its key, its value and a fixed overhead, and
 * all of them together never more than the cache has; nothing else costs anything,
 * the ghosts of S3-FIFO neither. A SET of an object that is there counts as a use
 * and leaves it in its queue. Expired objects go when they are asked for, or in turn.
 *
 * Objects are numbered without gaps, so the queues are lists over one array.
 */
#include <stdlib.h>

#include "replay.h"

#define NONE		UINT32_MAX
#define USES_MAX	3

/* Where an object is. FIFO and LRU have all in main. */
enum place { ABSENT, SMALL, MAIN, GHOST, NR_PLACES };

struct object {
	uint32_t newer, older;	/* in its queue */
	uint32_t size;
	uint8_t place;
	uint8_t uses;
	uint64_t expiry_ms;	/* 0: never */
};

struct queue {
	uint32_t newest, oldest;
	uint64_t nr;
	uint64_t bytes;
};

struct policy {
	const struct policy_ops *ops;
	struct cache_options options;
	struct object *object;
	struct queue queue[NR_PLACES];
	struct cache_account account;
};

struct policy_ops {
	void (*use)(struct policy *p, uint32_t object);
	enum place (*place)(struct policy *p, uint32_t object);
	void (*evict_one)(struct policy *p);
};

/* -------- queues -------- */

static void push(struct policy *p, enum place place, uint32_t n)
{
	struct queue *queue = &p->queue[place];
	struct object *object = &p->object[n];

	object->place = place;
	object->newer = NONE;
	object->older = queue->newest;
	*(queue->newest == NONE ? &queue->oldest : &p->object[queue->newest].newer) = n;
	queue->newest = n;
	queue->nr++;
	queue->bytes += object->size;
}

static void unlink_object(struct policy *p, uint32_t n)
{
	struct object *object = &p->object[n];
	struct queue *queue = &p->queue[object->place];

	*(object->newer == NONE ? &queue->newest : &p->object[object->newer].older) = object->older;
	*(object->older == NONE ? &queue->oldest : &p->object[object->older].newer) = object->newer;
	queue->nr--;
	queue->bytes -= object->size;
	object->place = ABSENT;
}

static bool is_stored(const struct object *object)
{
	return object->place == SMALL || object->place == MAIN;
}

static uint64_t bytes_used(const struct policy *p)
{
	return p->queue[SMALL].bytes + p->queue[MAIN].bytes;
}

/* -------- FIFO and LRU -------- */

static void fifo_use(struct policy *p, uint32_t n)
{
	(void)p;
	(void)n;
}

static enum place fifo_place(struct policy *p, uint32_t n)
{
	(void)p;
	(void)n;
	return MAIN;
}

static void fifo_evict_one(struct policy *p)
{
	unlink_object(p, p->queue[MAIN].oldest);
}

static void lru_use(struct policy *p, uint32_t n)
{
	unlink_object(p, n);
	push(p, MAIN, n);
}

static const struct policy_ops fifo = { fifo_use, fifo_place, fifo_evict_one };
static const struct policy_ops lru = { lru_use, fifo_place, fifo_evict_one };

/* -------- S3-FIFO: Yang et al., SOSP 2023, algorithm 1 -------- */

static void s3fifo_use(struct policy *p, uint32_t n)
{
	if (p->object[n].uses < USES_MAX)
		p->object[n].uses++;
}

/* Who was here not long ago need not prove itself again. */
static enum place s3fifo_place(struct policy *p, uint32_t n)
{
	p->object[n].uses = 0;
	if (p->object[n].place != GHOST)
		return SMALL;
	unlink_object(p, n);
	return MAIN;
}

/* As many ghosts as main would hold, were all objects of the mean size of those here. */
static uint64_t ghosts_max(const struct policy *p)
{
	uint64_t nr = p->queue[SMALL].nr + p->queue[MAIN].nr, bytes = bytes_used(p);

	return bytes ? p->options.bytes * 0.9 * nr / bytes : 0;
}

static void add_ghost(struct policy *p, uint32_t n)
{
	push(p, GHOST, n);
	while (p->queue[GHOST].nr > ghosts_max(p))
		unlink_object(p, p->queue[GHOST].oldest);
}

static void evict_small(struct policy *p)
{
	uint32_t n = p->queue[SMALL].oldest;
	bool is_proven = p->object[n].uses >= p->options.threshold;

	unlink_object(p, n);
	if (is_proven) {
		p->object[n].uses = 0;
		push(p, MAIN, n);
	} else {
		add_ghost(p, n);
	}
}

static void evict_main(struct policy *p)
{
	uint32_t n = p->queue[MAIN].oldest;

	unlink_object(p, n);
	if (p->object[n].uses) {
		p->object[n].uses--;
		push(p, MAIN, n);
	}
}

/* One step, which need not make room: an object may only change its place. */
static void s3fifo_evict_one(struct policy *p)
{
	if (p->queue[SMALL].bytes >= p->options.bytes / 10 || !p->queue[MAIN].nr)
		evict_small(p);
	else
		evict_main(p);
}

static const struct policy_ops s3fifo = { s3fifo_use, s3fifo_place, s3fifo_evict_one };

/* -------- as caches -------- */

static struct policy *open_policy(const struct policy_ops *ops, const struct trace *trace,
				  const struct cache_options *options)
{
	struct policy *p = alloc_or_die(NULL, 1, sizeof(*p));
	int i;

	*p = (struct policy) { .ops = ops, .options = *options };
	p->object = calloc(trace->nr_objects + 1, sizeof(*p->object));
	if (!p->object)
		alloc_or_die(NULL, SIZE_MAX, 1);
	for (i = 0; i < NR_PLACES; i++)
		p->queue[i].newest = p->queue[i].oldest = NONE;
	return p;
}

static void *fifo_open(const struct trace *trace, const struct cache_options *options)
{
	return open_policy(&fifo, trace, options);
}

static void *lru_open(const struct trace *trace, const struct cache_options *options)
{
	return open_policy(&lru, trace, options);
}

static void *s3fifo_open(const struct trace *trace, const struct cache_options *options)
{
	return open_policy(&s3fifo, trace, options);
}

static void policy_close(void *cache)
{
	struct policy *p = cache;

	free(p->object);
	free(p);
}

/* Is it there for one who asks now? If its time is up, it is not from here on. */
static bool is_there(struct policy *p, const struct request *request)
{
	struct object *object = &p->object[request->object];

	if (!is_stored(object))
		return false;
	if (!object->expiry_ms || object->expiry_ms > request->time_ms)
		return true;
	unlink_object(p, request->object);
	return false;
}

static bool policy_get(void *cache, const struct request *request)
{
	struct policy *p = cache;

	if (!is_there(p, request))
		return false;
	p->ops->use(p, request->object);
	return true;
}

static void make_room(struct policy *p, uint64_t bytes)
{
	while (bytes_used(p) + bytes > p->options.bytes)
		p->ops->evict_one(p);
}

static void resize(struct policy *p, uint32_t n, uint32_t size)
{
	struct object *object = &p->object[n];

	p->queue[object->place].bytes += (uint64_t)size - object->size;
	object->size = size;
	make_room(p, 0);
}

static void insert(struct policy *p, uint32_t n, uint32_t size)
{
	enum place place = p->ops->place(p, n);

	p->object[n].size = size;
	make_room(p, size);
	push(p, place, n);
}

static void policy_remove(void *cache, const struct request *request)
{
	struct policy *p = cache;

	if (is_stored(&p->object[request->object]))
		unlink_object(p, request->object);
}

static void policy_set(void *cache, const struct request *request)
{
	struct policy *p = cache;
	uint64_t size = (uint64_t)KEY_LEN + request->size + p->options.overhead;

	if (size > p->options.bytes || size > UINT32_MAX) {
		p->account.too_large++;
		policy_remove(cache, request);
		return;
	}
	p->account.inserted += size;
	if (!is_there(p, request)) {
		insert(p, request->object, size);
	} else {
		p->ops->use(p, request->object);
		resize(p, request->object, size);
	}
	p->object[request->object].expiry_ms =
		request->ttl_ms ? request->time_ms + request->ttl_ms : 0;
}

static void policy_account(void *cache, struct cache_account *account)
{
	struct policy *p = cache;

	*account = p->account;
	account->entries = p->queue[SMALL].nr + p->queue[MAIN].nr;
	account->allocated = account->live = bytes_used(p);
	account->payload = account->live - account->entries * p->options.overhead;
}

#define POLICY_CACHE(which, text)			\
	const struct cache_ops which##_cache = {	\
		.name = text,				\
		.open = which##_open,			\
		.get = policy_get,			\
		.set = policy_set,			\
		.remove = policy_remove,		\
		.account = policy_account,		\
		.close = policy_close,			\
	}

POLICY_CACHE(fifo, "fifo");
POLICY_CACHE(lru, "lru");
POLICY_CACHE(s3fifo, "s3-fifo");
