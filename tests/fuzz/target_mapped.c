// SPDX-License-Identifier: GPL-2.0
/*
 * libkcache's mapped reader on an arena that is not as the kernel leaves it.
 *
 * An arena in small, with the library's own layout, is filled with entries and then
 * scribbled on, before the library maps it, afterwards, and in the midst of its reads. It
 * lies between pages that nobody may touch, and the library sees it read-only. However
 * wrong it is, each call must end, and must not read outside.
 */
#define SCRIBBLE_SELF
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"
#include "internal.h"
#include "scribble.h"

/* choose.h, whose types are the kernel's. */
void choose_from(const void *bytes, size_t len);
unsigned char choose_is_over(void);
unsigned long long choose(unsigned long long n);
unsigned long long choose_any(void);
void choose_bytes(void *to, size_t len);

#define PAGE		4096UL
#define BUCKETS_AT	PAGE
#define BUCKETS_BYTES	(2 * PAGE)	/* each with the slack */
#define OVERFLOW_AT	(BUCKETS_AT + BUCKETS_BYTES)
#define OVERFLOW_BYTES	(2 * PAGE)
#define SEGMENTS_AT	(OVERFLOW_AT + OVERFLOW_BYTES)
#define SEGMENTS_BYTES	(8 * PAGE)
#define ARENA_BYTES	(SEGMENTS_AT + SEGMENTS_BYTES)

#define HINTS_FD	1000
#define NR_KEYS		24
#define VALUE_MAX	3000

/* A call that loads more words than this does not end. */
#define LOADS_MAX	(1UL << 20)

static uint8_t *arena;		/* for us to write */
static const uint8_t *shown;	/* the same, as the library sees it */
static struct kcache_hints *hints;
static struct kcache_map_header *header;
static uint64_t map_bytes;

static uint8_t keys[NR_KEYS][KCACHE_KEY_MAX];
static uint32_t key_lens[NR_KEYS];
static uint32_t offsets[NR_KEYS];	/* of the entries in their region, 0: there is none */
static uint32_t value_lens[NR_KEYS];
static uint32_t segments_end, nr_overflow;

static unsigned long nr_loads, change_in;
static int nr_calls;

/* -------- a well-formed arena -------- */

static void make_memory(void)
{
	int fd = memfd_create("arena", MFD_CLOEXEC);
	uint8_t *window = mmap(NULL, 5 * PAGE + 2 * ARENA_BYTES, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *second = window + ARENA_BYTES + 2 * PAGE;

	DEMAND(fd >= 0 && !ftruncate(fd, ARENA_BYTES) && window != MAP_FAILED);
	arena = mmap(window + PAGE, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		     0);
	shown = mmap(second, ARENA_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	hints = mmap(second + ARENA_BYTES + PAGE, sizeof(*hints), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	DEMAND(arena != MAP_FAILED && shown != MAP_FAILED && hints != MAP_FAILED);
	header = (struct kcache_map_header *)arena;
	close(fd);
}

static struct kcache_bucket *bucket(enum kcache_region region, uint64_t index)
{
	uint64_t at = region == KCACHE_BUCKETS ? BUCKETS_AT : OVERFLOW_AT;

	return (struct kcache_bucket *)(arena + at) + index % (BUCKETS_BYTES / 64);
}

static uint64_t hash_of(uint32_t key)
{
	return kcache_hash(header->secret, keys[key], key_lens[key]);
}

static struct kcache_entry *entry_at(uint32_t offset)
{
	return (struct kcache_entry *)(arena + SEGMENTS_AT + offset);
}

/* Writes an entry where there is room for it up to the end of its key. */
static void write_entry(uint32_t key, uint32_t offset, uint32_t value_len, uint32_t flags)
{
	struct kcache_entry *entry = entry_at(offset);

	memset(entry, 0, sizeof(*entry));
	entry->value_len = value_len;
	entry->key_len = (uint16_t)(key_lens[key] | flags);
	memcpy((uint8_t *)entry + kcache_entry_key_offset(entry->key_len), keys[key], key_lens[key]);
	offsets[key] = offset;
	value_lens[key] = value_len;
}

static uint8_t byte_of(uint32_t key, uint32_t i)
{
	return (uint8_t)(key * 31 + i);
}

static void link_entry(uint32_t key)
{
	uint64_t hash = hash_of(key);
	struct kcache_bucket *b = bucket(KCACHE_BUCKETS, kcache_bucket_at(hash, header->table_size));
	int i;

	for (;;) {
		for (i = 0; i < KCACHE_BUCKET_SLOTS; i++) {
			if (!b->slot[i]) {
				b->slot[i] = kcache_slot_make(hash, offsets[key]);
				return;
			}
		}
		if (!b->next)
			b->next = ++nr_overflow;
		b = bucket(KCACHE_OVERFLOW, b->next - 1);
	}
}

static void store(uint32_t key, uint32_t value_len, uint32_t flags)
{
	uint64_t size = kcache_entry_size((uint16_t)(key_lens[key] | flags), value_len);
	uint32_t i, at = segments_end;

	if (at + size > SEGMENTS_BYTES - KCACHE_MAP_SLACK)
		return;
	segments_end += (uint32_t)size;
	write_entry(key, at, value_len, flags);
	for (i = 0; i < value_len; i++)
		((uint8_t *)entry_at(at))[kcache_entry_value_offset(entry_at(at)->key_len) + i] =
			byte_of(key, i);
	link_entry(key);
}

static void make_arena(void)
{
	static const uint32_t lens[] = { 1, 7, 8, 9, 16, 17, 100, KCACHE_KEY_MAX };
	uint32_t i, nr_buckets;

	memset(arena, 0, ARENA_BYTES);
	memset(hints, 0, sizeof(*hints));
	header->layout = KCACHE_MAP_LAYOUT;
	header->at[KCACHE_BUCKETS] = BUCKETS_AT;
	header->bytes[KCACHE_BUCKETS] = BUCKETS_BYTES;
	header->at[KCACHE_OVERFLOW] = OVERFLOW_AT;
	header->bytes[KCACHE_OVERFLOW] = OVERFLOW_BYTES;
	header->at[KCACHE_SEGMENTS] = SEGMENTS_AT;
	header->bytes[KCACHE_SEGMENTS] = SEGMENTS_BYTES;
	for (i = 0; i < KCACHE_HASH_WORDS; i++)
		header->secret[i] = (i + 1) * 0x9e3779b97f4a7c15ULL;
	nr_buckets = 1 + (uint32_t)choose((BUCKETS_BYTES - KCACHE_MAP_SLACK) / 64);
	header->table_size = kcache_table_size(nr_buckets);
	for (i = 0; i < nr_buckets; i++)
		bucket(KCACHE_BUCKETS, i)->seq = 2;
	map_bytes = ARENA_BYTES;
	segments_end = 64;
	nr_overflow = 0;
	memset(offsets, 0, sizeof(offsets));
	for (i = 0; i < NR_KEYS; i++) {
		key_lens[i] = lens[i % 8];
		memset(keys[i], 'a' + (int)i, key_lens[i]);
		if (choose(4) != 1)
			store(i, (uint32_t)(choose(4) == 1 ? choose(VALUE_MAX) : choose(50)),
			      choose(4) == 1 ? KCACHE_ENTRY_FLAGS : 0);
	}
}

/* -------- scribbling -------- */

/* A number that is near to one that matters. */
static uint64_t number(void)
{
	static const uint64_t near[] = {
		0, 64, PAGE, SEGMENTS_BYTES - KCACHE_MAP_SLACK, SEGMENTS_BYTES,
		BUCKETS_BYTES - KCACHE_MAP_SLACK, ARENA_BYTES, UINT32_MAX, 1ULL << 40, 1ULL << 48,
		UINT64_MAX,
	};

	if (choose(3) == 1)
		return choose_any();
	return near[choose(sizeof(near) / sizeof(near[0]))] + choose(256) - 128;
}

static uint32_t offset(void)
{
	uint64_t most = SEGMENTS_BYTES - KCACHE_MAP_SLACK;

	return (uint32_t)(choose(2) ? most - 4 - 4 * choose(300) : choose(most)) & ~3U;
}

/* An entry of @key near the end of the region, with a slot that leads to it. */
static void write_at_end(uint32_t key)
{
	struct kcache_bucket *b = bucket(KCACHE_BUCKETS,
					 kcache_bucket_at(hash_of(key), header->table_size));
	uint32_t at = offset(), room = (uint32_t)(SEGMENTS_BYTES - KCACHE_MAP_SLACK - at);
	uint32_t value_len = (uint32_t)(room + choose(64) - 32);

	write_entry(key, at, choose(4) == 1 ? (uint32_t)number() : value_len,
		    choose(2) ? KCACHE_ENTRY_FLAGS : 0);
	b->slot[choose(KCACHE_BUCKET_SLOTS)] = kcache_slot_make(hash_of(key), at);
}

static void scribble(void)
{
	struct kcache_bucket *b = bucket(choose(2) ? KCACHE_OVERFLOW : KCACHE_BUCKETS,
					 choose(choose(2) ? 4 : BUCKETS_BYTES / 64));
	uint32_t key = (uint32_t)choose(NR_KEYS);
	struct kcache_entry *entry = entry_at(offsets[key]);

	switch (choose(12)) {
	case 0:
		header->table_size = choose(2) ? number() :
				     kcache_table_size((uint32_t)choose(256) + 1);
		break;
	case 1:
		b->seq = (uint32_t)choose(4) ? (uint32_t)choose(16) : (uint32_t)choose_any();
		break;
	case 2:
		b->next = choose(4) ? 1 + (uint32_t)choose(4) : (uint32_t)number();
		break;
	case 3:
		b->slot[choose(KCACHE_BUCKET_SLOTS)] =
			kcache_slot_make(hash_of(key), choose(2) ? offset() : number() & ~3ULL);
		break;
	case 4:
		b->slot[choose(KCACHE_BUCKET_SLOTS)] = choose_any();
		break;
	case 5:
		entry->value_len = (uint32_t)number();
		break;
	case 6:
		entry->key_len = (uint16_t)number();
		break;
	case 7:
		entry->expiry_lo = (uint32_t)choose(3);
		entry->expiry_hi = (uint16_t)choose(3);
		break;
	case 8:
		write_at_end(key);
		break;
	case 9:			/* as memory that was given back */
		memset(arena + choose(ARENA_BYTES / PAGE - 1) * PAGE + PAGE, 0, PAGE);
		break;
	case 10:
		choose_bytes(arena + choose(ARENA_BYTES - 8), 1 + choose(8));
		break;
	case 11:
		hints->lane[choose(KCACHE_HINT_LANES)].nr = (uint32_t)number();
		break;
	}
}

/* What a kernel would have to be mad to say. */
static void scribble_on_header(void)
{
	enum kcache_region region = choose(KCACHE_NR_REGIONS);

	switch (choose(4)) {
	case 0:
		header->layout = (uint32_t)choose(3);
		break;
	case 1:
		header->at[region] = number();
		break;
	case 2:
		header->bytes[region] = number();
		break;
	case 3:
		map_bytes = choose(ARENA_BYTES / PAGE + 1) * PAGE;
		break;
	}
}

/* -------- what stands for the kernel -------- */

void scribble_at_load(void)
{
	DEMAND(++nr_loads < LOADS_MAX, ": a call does not end");
	if (change_in && !--change_in) {
		scribble();
		change_in = choose(40);
	}
}

void *scribble_mmap(void *at, size_t len, int prot, int flags, int fd, off_t from)
{
	(void)from;
	if (fd < 0)
		return mmap(at, len, prot, flags, fd, 0);
	if (fd == HINTS_FD)
		return hints;
	/* Pages behind what was asked for are not there. */
	mprotect((void *)shown, ARENA_BYTES, PROT_NONE);
	mprotect((void *)shown, len, PROT_READ);
	return (void *)shown;
}

int scribble_munmap(void *p, size_t len)
{
	return len == sizeof(struct kcache_clock) ? munmap(p, len) : 0;
}

int scribble_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	*now = (struct timespec) { .tv_sec = 1 };
	return 0;
}

long kcache_system_call(long nr, long a, long b, long c)
{
	(void)a;
	if (nr != SYS_ioctl)
		return 0;
	switch ((unsigned long)b) {
	case KCACHE_IOC_HINTS:
		return HINTS_FD;
	case KCACHE_IOC_OP:
		DEMAND(((struct kcache_op *)c)->opcode == KCACHE_OP_GET);
		nr_calls++;
		return -ENOENT;
	default:
		return 0;
	}
}

/* -------- reading -------- */

static volatile uint8_t sink;

static void touch(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		sink ^= p[i];
}

static void is_value_of(uint32_t key, const uint8_t *value, size_t len)
{
	uint32_t i;

	DEMAND(len == value_lens[key]);
	for (i = 0; i < len; i++)
		DEMAND(value[i] == byte_of(key, i));
}

static void get(struct kcache *cache, uint32_t key, bool is_intact)
{
	size_t size = choose(VALUE_MAX), len = 0;
	uint8_t *value = malloc(size);
	int err = kcache_get(cache, keys[key], key_lens[key], value, size, &len);

	DEMAND(err != -EMSGSIZE || (len > size && len < map_bytes), ": %zu bytes", len);
	DEMAND(!err || err == -EMSGSIZE || err == -ENOENT);
	if (is_intact)
		DEMAND(err == (!offsets[key] ? -ENOENT : value_lens[key] > size ? -EMSGSIZE : 0));
	if (is_intact && !err)
		is_value_of(key, value, len);
	free(value);
}

static void get_alloc(struct kcache *cache, uint32_t key, bool is_intact)
{
	void *value;
	size_t len;

	if (kcache_get_alloc(cache, keys[key], key_lens[key], &value, &len))
		return;
	if (is_intact)
		is_value_of(key, value, len);
	free(value);
}

static void borrow(struct kcache *cache, uint32_t key, bool is_intact)
{
	struct kcache_borrow borrow;
	int err = kcache_borrow(cache, keys[key], key_lens[key], &borrow);

	DEMAND(!err || err == -ENOENT || err == -EAGAIN || err == -EOPNOTSUPP);
	if (is_intact)
		DEMAND(err == (offsets[key] ? 0 : -ENOENT));
	if (err)
		return;
	touch(borrow.value, borrow.value_len);
	if (is_intact)
		is_value_of(key, borrow.value, borrow.value_len);
	kcache_borrow_is_valid(&borrow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kcache_info info = { .size = sizeof(info) };
	struct kcache cache = { .fd = 1 };
	bool is_intact = true;
	uint32_t key;

	if (!arena)
		make_memory();
	choose_from(size ? data : (const uint8_t *)"", size);
	nr_loads = change_in = 0;
	make_arena();
	if (choose(4) == 1) {
		is_intact = false;
		scribble_on_header();
	}
	info.map_bytes = map_bytes;
	kcache_map_open(&cache.map, cache.fd, &info);
	while (!choose_is_over()) {
		key = (uint32_t)choose(NR_KEYS);
		switch (choose(6)) {
		case 0:
		case 1:
			is_intact = false;
			scribble();
			break;
		case 2:
			is_intact = false;
			change_in = choose(40);
			break;
		case 3:
			get(&cache, key, is_intact && cache.map.view.header);
			break;
		case 4:
			get_alloc(&cache, key, is_intact && cache.map.view.header);
			break;
		case 5:
			borrow(&cache, key, is_intact && cache.map.view.header);
			break;
		}
		nr_loads = 0;
	}
	kcache_map_close(&cache.map);
	return 0;
}
