// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<sys/rseq.h>) && __has_builtin(__builtin_thread_pointer)
#include <sys/rseq.h>
#define HAVE_RSEQ
#else
#include <sched.h>
#endif

#include "internal.h"

/* How often a read begins again before the kernel is asked. */
#define TRIES	16

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* -------- the mapping -------- */

static bool view_init(struct kcache_view *view, const void *map, uint64_t bytes)
{
	const struct kcache_map_header *header = map;
	int region;

	if (header->layout != KCACHE_MAP_LAYOUT)
		return false;
	for (region = 0; region < KCACHE_NR_REGIONS; region++) {
		if (header->at[region] % sizeof(struct kcache_bucket) ||
		    header->at[region] > bytes || header->bytes[region] < KCACHE_MAP_SLACK ||
		    header->bytes[region] > bytes - header->at[region])
			return false;
		view->base[region] = (const uint8_t *)map + header->at[region];
		view->bytes[region] = header->bytes[region] - KCACHE_MAP_SLACK;
	}
	view->header = header;
	return true;
}

static struct kcache_hints *map_hints(int cache_fd)
{
	long fd = kcache_system_call(SYS_ioctl, cache_fd, KCACHE_IOC_HINTS, 0);
	void *hints;

	if (fd < 0)
		return NULL;
	hints = mmap(NULL, sizeof(struct kcache_hints), PROT_READ | PROT_WRITE, MAP_SHARED,
		     (int)fd, 0);
	kcache_system_call(SYS_close, fd, 0, 0);
	return hints == MAP_FAILED ? NULL : hints;
}

static struct kcache_clock *map_clock(void)
{
	struct kcache_clock *clock = mmap(NULL, sizeof(*clock), PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (clock == MAP_FAILED)
		return NULL;
	if (madvise(clock, sizeof(*clock), MADV_WIPEONFORK)) {
		munmap(clock, sizeof(*clock));
		return NULL;
	}
	return clock;
}

void kcache_map_open(struct kcache_map *map, int fd, const struct kcache_info *info)
{
	void *arena;

	memset(map, 0, sizeof(*map));
	if (!info->map_bytes || info->map_bytes > SIZE_MAX)
		return;
	arena = mmap(NULL, (size_t)info->map_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (arena == MAP_FAILED)
		return;
	map->fd = fd;
	map->bytes = (size_t)info->map_bytes;
	map->hints = map_hints(fd);
	map->clock = map_clock();
	/* A reader whose use does not count would lose his entries. */
	if (!map->hints || !map->clock || !view_init(&map->view, arena, info->map_bytes)) {
		munmap(arena, map->bytes);
		kcache_map_close(map);
	}
}

void kcache_map_close(struct kcache_map *map)
{
	if (map->view.header)
		munmap((void *)map->view.header, map->bytes);
	if (map->hints)
		munmap(map->hints, sizeof(*map->hints));
	if (map->clock)
		munmap(map->clock, sizeof(*map->clock));
	map->view.header = NULL;
}

/* -------- time -------- */

static int64_t clock_offset_ns(struct kcache_map *map)
{
	struct kcache_info info = { .size = sizeof(info) };

	if (unlikely(!__atomic_load_n(&map->clock->is_known, __ATOMIC_ACQUIRE))) {
		kcache_system_call(SYS_ioctl, map->fd, KCACHE_IOC_INFO, (long)&info);
		__atomic_store_n(&map->clock->offset_ns, info.clock_offset_ns, __ATOMIC_RELAXED);
		__atomic_store_n(&map->clock->is_known, 1, __ATOMIC_RELEASE);
	}
	return __atomic_load_n(&map->clock->offset_ns, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) bool is_over(struct kcache_map *map,
					      const struct kcache_entry *entry)
{
	uint64_t expiry_ms = (uint64_t)KCACHE_LOAD(entry->expiry_hi) << 32 |
			     KCACHE_LOAD(entry->expiry_lo);
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return expiry_ms <= (uint64_t)(now.tv_sec * 1000000000LL + now.tv_nsec -
				       clock_offset_ns(map)) / 1000000;
}

/* -------- what the kernel is told -------- */

static struct kcache_hint_lane *this_lane(struct kcache_map *map)
{
#ifdef HAVE_RSEQ
	const struct rseq *rseq = (const struct rseq *)((char *)__builtin_thread_pointer() +
							__rseq_offset);
	unsigned int cpu = *(const volatile uint32_t *)&rseq->cpu_id;
#else
	unsigned int cpu = (unsigned int)sched_getcpu();
#endif
	return &map->hints->lane[cpu % KCACHE_HINT_LANES];
}

static inline uint64_t hash_of(const struct kcache_map *map, const void *key, size_t key_len)
{
	return kcache_hash(map->view.header->secret, key, (uint32_t)key_len);
}

/* Computes the hash again, which the caller need not remember so over his copy. */
static __attribute__((noinline)) void tell_use(struct kcache_map *map,
					       struct kcache_hint_lane *lane,
					       const void *key, size_t key_len)
{
	uint64_t hash = hash_of(map, key, key_len);
	uint32_t nr = __atomic_fetch_add(&lane->nr, 1, __ATOMIC_RELAXED);

	__atomic_store_n(&lane->hash[nr % KCACHE_LANE_HINTS], hash, __ATOMIC_RELAXED);
	if (nr % KCACHE_LANE_HINTS == KCACHE_LANE_HINTS - 1)
		kcache_system_call(SYS_ioctl, map->fd, KCACHE_IOC_TAKE_HINTS, 0);
}

static inline void hit(struct kcache_map *map, const struct kcache_found *found,
		       const void *key, size_t key_len)
{
	struct kcache_hint_lane *lane = this_lane(map);

	__atomic_fetch_add(&lane->hits, 1, __ATOMIC_RELAXED);
	if (unlikely(found->value >> KCACHE_FREQUENCY_SHIFT != KCACHE_FREQUENCY_MAX))
		tell_use(map, lane, key, key_len);
}

static __attribute__((noinline)) int missed(struct kcache_map *map)
{
	__atomic_fetch_add(&this_lane(map)->misses, 1, __ATOMIC_RELAXED);
	return -ENOENT;
}

/* -------- reading -------- */

/*
 * The value that was found, NULL if its length is not within the arena: the entry
 * has changed then. Behind the arena there is room for header and key.
 */
static inline const uint8_t *value_of(const struct kcache_map *map,
				      const struct kcache_found *found, uint32_t *len)
{
	*len = KCACHE_LOAD(found->entry->value_len);
	if (unlikely(found->offset + *len > map->view.bytes[KCACHE_SEGMENTS]))
		return NULL;
	return (const uint8_t *)found->entry + found->value_at;
}

/* Can a key of this length be looked for in the mapping? */
static inline bool is_mapped(const struct kcache *cache, size_t key_len)
{
	return likely(cache->map.view.header && key_len - 1 < KCACHE_KEY_MAX);
}

/* Is its time up? Whether the entry is what was found, the caller checks afterwards. */
static inline bool is_expired(struct kcache_map *map, const struct kcache_entry *entry)
{
	return unlikely(KCACHE_LOAD(entry->expiry_hi) | KCACHE_LOAD(entry->expiry_lo)) &&
	       is_over(map, entry);
}

/*
 * One try: 0, -ENOENT, -EMSGSIZE, or -EAGAIN. With @is_quick, -EAGAIN for all that is
 * rare: what has to be remembered over the copy costs.
 */
static inline int get_once(struct kcache_map *map, uint64_t hash, const void *key,
			   uint32_t key_len, bool is_quick, void *value, size_t size,
			   size_t *value_len)
{
	enum kcache_find_result result;
	struct kcache_found found;
	const uint8_t *from;
	bool fits;
	uint32_t len;

	result = kcache_find_by(&map->view, hash, key, key_len, is_quick, &found);
	if (unlikely(result != KCACHE_FOUND))
		return result == KCACHE_MISSED ? missed(map) : -EAGAIN;
	if (is_expired(map, found.entry))
		return kcache_found_is_valid(&found) ? missed(map) : -EAGAIN;
	from = value_of(map, &found, &len);
	fits = from && len <= size;
	if (likely(fits))
		memcpy(value, from, len);
	else if (is_quick || !from)
		return -EAGAIN;
	if (unlikely(!kcache_found_is_valid(&found)))
		return -EAGAIN;
	hit(map, &found, key, key_len);
	*value_len = len;
	return likely(fits) ? 0 : -EMSGSIZE;
}

static __attribute__((noinline, flatten))
int get_any(struct kcache *cache, const void *key, size_t key_len,
	    void *value, size_t size, size_t *value_len)
{
	uint64_t hash;
	int tries, err;

	if (is_mapped(cache, key_len)) {
		hash = hash_of(&cache->map, key, key_len);
		for (tries = 0; tries < TRIES; tries++) {
			err = get_once(&cache->map, hash, key, (uint32_t)key_len, false, value,
				       size, value_len);
			if (err != -EAGAIN)
				return err;
		}
	}
	return kcache_get_by_call(cache, key, key_len, value, size, value_len);
}

/*
 * What the library is there for, all in one piece: a first try with a key of 8 to
 * 16 bytes, for which the compiler leaves out each loop over the key.
 */
__attribute__((flatten))
int kcache_get(struct kcache *cache, const void *key, size_t key_len,
	       void *value, size_t size, size_t *value_len)
{
	int err;

	if (likely(cache->map.view.header && key_len - 8 <= 8)) {
		err = get_once(&cache->map, hash_of(&cache->map, key, key_len), key,
			       (uint32_t)key_len, true, value, size, value_len);
		if (likely(err != -EAGAIN))
			return err;
	}
	return get_any(cache, key, key_len, value, size, value_len);
}

int kcache_borrow(struct kcache *cache, const void *key, size_t key_len,
		  struct kcache_borrow *borrow)
{
	struct kcache_map *map = &cache->map;
	enum kcache_find_result result;
	struct kcache_found found;
	uint64_t hash;
	uint32_t len;
	bool is_dead;
	int tries;

	if (!map->view.header)
		return -EOPNOTSUPP;
	if (!is_mapped(cache, key_len))
		return key_len ? -EFBIG : -EINVAL;
	hash = hash_of(map, key, key_len);
	for (tries = 0; tries < TRIES; tries++) {
		result = kcache_find(&map->view, hash, key, (uint32_t)key_len, &found);
		if (result == KCACHE_MISSED)
			return missed(map);
		if (result != KCACHE_FOUND)
			continue;
		is_dead = is_expired(map, found.entry);
		borrow->value = value_of(map, &found, &len);
		borrow->value_len = len;
		borrow->seq_at = &found.home->seq;
		borrow->seq = found.seq;
		if (!borrow->value || !kcache_borrow_is_valid(borrow))
			continue;
		if (is_dead)
			return missed(map);
		hit(map, &found, key, key_len);
		return 0;
	}
	return -EAGAIN;
}

bool kcache_borrow_is_valid(const struct kcache_borrow *borrow)
{
	KCACHE_READ_BARRIER();
	return KCACHE_LOAD(*borrow->seq_at) == borrow->seq;
}
