// SPDX-License-Identifier: GPL-2.0
/*
 * Readers without a lock beside all that can happen to what they read: writers that
 * store, extend, change in place, touch, remove and pop, eviction, expiry, flushes and
 * a limit that goes up and down, all at full speed in processes of their own. Mapped
 * readers, borrowers and readers by ioctl check each value: it is one that was stored
 * whole under its key, and neither older than what the reader has seen, nor older
 * than what was known to be stored or gone when the read began, nor younger than
 * what was ever begun to be stored.
 *
 * It lasts as many operations as it has, TORTURE=N times as many, or if it is given
 * TORTURE_SECONDS that long. TORTURE_READERS=get, borrow or call leaves one kind of
 * readers. That it catches what it is there for is shown by torture_broken.sh.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <sched.h>

#include <kcache.h>
#include <linux/kcache_map.h>

#include "record.h"

#define KIB	1024
#define MIB	(1024 * KIB)
#define BUFFER	(2 * MIB)	/* longer than any value */

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

#define atomic_add(where, what)	__atomic_add_fetch(where, what, __ATOMIC_SEQ_CST)
#define atomic_get(where)	__atomic_load_n(where, __ATOMIC_SEQ_CST)
#define atomic_put(where, what)	__atomic_store_n(where, what, __ATOMIC_SEQ_CST)

static void atomic_raise(__u64 *where, __u64 to)
{
	__u64 now = atomic_get(where);

	while (now < to && !__atomic_compare_exchange_n(where, &now, to, false, __ATOMIC_SEQ_CST,
							__ATOMIC_SEQ_CST))
		;
}

/* -------- values that can be checked: records, and -------- */

/*
 * Numbers, which ADD changes in place: of 19 digits, 7 modulo 97. Their version is
 * the number.
 */
#define MODULUS		97
#define FIRST_NUMBER	(1000000000000000000ULL / MODULUS * MODULUS + 7 + MODULUS)

static const char *wrong_number(const char *text, size_t len, __u64 *number)
{
	size_t i;

	*number = 0;
	if (len != 19)
		return "a number of another length";
	for (i = 0; i < len; i++) {
		unsigned int digit = (unsigned char)text[i] - '0';

		if (digit > 9)
			return "no number";
		*number = *number * 10 + digit;
	}
	return *number % MODULUS == 7 ? NULL : "a mixture of numbers";
}

/* -------- keys -------- */

#define NR_RECORDS	48
#define NR_NUMBERS	16
#define NR_KEYS		(NR_RECORDS + NR_NUMBERS)
#define VERSIONS_MAX	(1 << 17)	/* that are followed through POP */

static struct shared {
	struct {
		__u64 begun;	/* no version over it is stored */
		__u64 stored;	/* the last one that was */
		__u64 floor;	/* no version under it is there any more */
	} key[NR_KEYS];
	__u8 popped[NR_RECORDS][VERSIONS_MAX / 8];
	int left;		/* of those who have a quota to do */
	__u64 end_ms;		/* if it is not 0, when all end */
	struct {
		__u64 gets, hits, invalid, again, too_small;
	} read[4];
	__u64 sets, appends, adds, touches, removes, pops, expired, flushes, resizes, fills, refused;
} *shared;

static const char *const kinds[] = { "get", "borrow", "call", "batch" };

enum kind { BY_GET, BY_BORROW, BY_CALL, BY_BATCH, NR_KINDS };

static bool is_number(int key_nr)
{
	return key_nr >= NR_RECORDS;
}

#define KEY_LEN	1024

/* Keys of various lengths. */
static size_t make_key(char *key, int key_nr)
{
	size_t len = sprintf(key, "key%d", key_nr);

	if (key_nr % 4 != 3)
		return len;
	memset(key + len, 'k', key_nr * 12);
	return len + key_nr * 12;
}

/* -------- what the test is to do -------- */

static struct {
	int writer_ops, reader_ops;	/* quota of each writer process and reader thread */
	unsigned long long limits[4];
	__u32 large;			/* longest value */
	bool keys_stay;			/* nothing goes: a miss is a fault */
	unsigned int kinds;
} plan;

static int times(void)
{
	const char *torture = getenv("TORTURE");
	int n = torture ? atoi(torture) : 1;

	return n > 0 ? n : 1;
}

static int seconds(void)
{
	const char *text = getenv("TORTURE_SECONDS");

	return text ? atoi(text) : 0;
}

static void choose_kinds(void)
{
	const char *readers = getenv("TORTURE_READERS");

	plan.kinds = (1 << NR_KINDS) - 1;
	if (!readers)
		return;
	plan.kinds = !strcmp(readers, "get") ? 1 << BY_GET : !strcmp(readers, "borrow") ?
		1 << BY_BORROW : 1 << BY_CALL | 1 << BY_BATCH;
}

static void did_quota(int *quota)
{
	if (*quota > 0 && --*quota == 0)
		atomic_add(&shared->left, -1);
}

static __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static bool is_going_on(void)
{
	return atomic_get(&shared->left) > 0 && (!shared->end_ms || now_ms() < shared->end_ms);
}

/* Until @nr have done their quota, or time is up. */
static void begin_going_on(int nr)
{
	if (!shared)
		shared = shared_memory(sizeof(*shared));
	shared->left = nr;
	alarm(KTAP_SECONDS * times() + seconds());
	if (seconds())
		shared->end_ms = now_ms() + seconds() * 1000ULL;
}

/* -------- writers -------- */

/* What the one writer of a key knows of it. */
struct own {
	__u64 version;		/* the last one that was tried */
	__u64 deadline_ms;	/* when it is gone for sure; 0: never */
	int nr_records;		/* that it may have */
	__u64 number;
};

static char *value, *old;

static __u32 random_len(void)
{
	__u64 lot = random_below(100);
	__u32 max = lot < 70 ? 1500 : lot < 90 ? 20 * KIB : lot < 97 ? plan.large / 4 : plan.large;

	return sizeof(struct record) + random_below(max - sizeof(struct record));
}

static void is_gone(int key_nr, struct own *own)
{
	atomic_raise(&shared->key[key_nr].floor, own->version + 1);
	own->deadline_ms = 0;
	own->nr_records = 0;
}

static void is_stored(int key_nr, __u64 version)
{
	atomic_raise(&shared->key[key_nr].stored, version);
	atomic_raise(&shared->key[key_nr].floor, version);
}

static bool is_refused(int err)
{
	if (err == -EFBIG || err == -ENOSPC)
		atomic_add(&shared->refused, 1);
	return err == -EFBIG || err == -ENOSPC;
}

/* Of what left the cache: it was whole, and leaves once. */
static void check_popped(int key_nr, const void *bytes, size_t len, __u64 floor)
{
	const char *wrong;
	__u64 version;
	__u8 bit;

	wrong = wrong_value(bytes, len, key_nr, &version);
	CASE("POP of key %d, %zu bytes, version %llu, at least %llu: %s", key_nr, len,
	     (unsigned long long)version, (unsigned long long)floor, wrong);
	CHECK(!wrong);
	CHECK(version >= floor && version <= atomic_get(&shared->key[key_nr].begun));
	atomic_raise(&shared->key[key_nr].floor, version + 1);
	atomic_add(&shared->pops, 1);
	if (version >= VERSIONS_MAX)
		return;
	bit = 1 << version % 8;
	CHECK(!(__atomic_fetch_or(&shared->popped[key_nr][version / 8], bit, __ATOMIC_SEQ_CST) & bit));
}

static void pop(int key_nr)
{
	__u64 floor = atomic_get(&shared->key[key_nr].floor);
	char key[KEY_LEN];
	struct kcache_op op = OP_ON(POP, key, make_key(key, key_nr), INTO_BYTES(old, BUFFER));
	int err = run(&op);

	if (!err)
		check_popped(key_nr, old, op.out_len, floor);
	else
		CHECK_ERR(err, ENOENT);
}

/* SET or APPEND of a record of the next version. */
static void store(int key_nr, struct own *own, bool is_append)
{
	__u64 version = ++own->version;
	__u32 len = random_len();
	char key[KEY_LEN];
	struct kcache_op op = OP_ON(SET, key, make_key(key, key_nr), BYTES(value, len),
				    .client_flags = random_below(2) * key_nr);
	int err;

	if (is_append)
		op.opcode = KCACHE_OP_APPEND;
	else if (!plan.keys_stay && random_below(4) == 0)
		op.ttl_ms = 1 + random_below(30);
	make_record(value, key_nr, version, len);
	atomic_put(&shared->key[key_nr].begun, version);
	err = run(&op);
	CASE("%s of %u bytes to key %d: %s", is_append ? "APPEND" : "SET", len, key_nr, ktap_errno(-err));
	if (is_refused(err))
		return;
	if (is_append && err == -ENOENT && !plan.keys_stay)
		return;
	CHECK(!err);
	is_stored(key_nr, version);
	atomic_add(is_append ? &shared->appends : &shared->sets, 1);
	if (is_append) {
		own->nr_records++;
		return;
	}
	own->nr_records = 1;
	own->deadline_ms = op.ttl_ms ? now_ms() + op.ttl_ms : 0;
}

static void touch(int key_nr, struct own *own)
{
	char key[KEY_LEN];
	struct kcache_op op = OP_ON(TOUCH, key, make_key(key, key_nr));
	int err;

	op.ttl_ms = plan.keys_stay ? random_below(2) * 1000000 : random_below(30);
	err = run(&op);
	CHECK(!err || (err == -ENOENT && !plan.keys_stay));
	if (err)
		return;
	own->deadline_ms = op.ttl_ms && !plan.keys_stay ? now_ms() + op.ttl_ms : 0;
	atomic_add(&shared->touches, 1);
}

static void add(int key_nr, struct own *own)
{
	__s64 delta = MODULUS * (1 + random_below(1000000));
	char key[KEY_LEN];
	struct kcache_op op = OP_ON(ADD, key, make_key(key, key_nr), .delta = delta,
				    .number = own->number + 2 * delta, .flags = KCACHE_INITIAL,
				    .client_flags = key_nr % 2);
	int err;

	atomic_put(&shared->key[key_nr].begun, own->number + 2 * delta);
	err = run(&op);
	if (is_refused(err))
		return;
	CHECK(!err);
	CHECK(op.number == (__s64)own->number + delta ||
	      (op.number == (__s64)own->number + 2 * delta && !plan.keys_stay));
	if (op.number != (__s64)own->number + delta)
		own->deadline_ms = 0;	/* it had gone, and is new */
	own->number = own->version = op.number;
	is_stored(key_nr, op.number);
	atomic_add(&shared->adds, 1);
}

static void remove_key(int key_nr, struct own *own)
{
	char key[KEY_LEN];
	struct kcache_op op = OP_ON(REMOVE, key, make_key(key, key_nr));
	int err = run(&op);

	CHECK(!err || err == -ENOENT);
	is_gone(key_nr, own);
	atomic_add(&shared->removes, 1);
}

/* One of the things that the one writer of a key does to it. */
static void write_once(int key_nr, struct own *own)
{
	__u64 lot = random_below(100);

	if (own->deadline_ms && now_ms() > own->deadline_ms) {
		is_gone(key_nr, own);
		atomic_add(&shared->expired, 1);
	}
	if (is_number(key_nr)) {
		if (lot < 90 || plan.keys_stay)
			add(key_nr, own);
		else if (lot < 96)
			touch(key_nr, own);
		else
			remove_key(key_nr, own);
	} else if (lot < 60 || (lot < 70 && own->nr_records >= 4)) {
		store(key_nr, own, false);
	} else if (lot < 70) {
		store(key_nr, own, own->nr_records > 0);
	} else if (lot < 80) {
		touch(key_nr, own);
	} else if (plan.keys_stay) {
		store(key_nr, own, false);
	} else if (lot < 90) {
		remove_key(key_nr, own);
	} else {
		pop(key_nr);
		is_gone(key_nr, own);
	}
}

#define NR_WRITERS	2

static void write_keys(int nr)
{
	static struct own own[NR_KEYS];
	int quota = plan.writer_ops, i;

	for (i = 0; i < NR_KEYS; i++) {
		own[i].number = FIRST_NUMBER;
		own[i].version = is_number(i) ? FIRST_NUMBER : 1;
		own[i].nr_records = plan.keys_stay;
	}
	while (is_going_on()) {
		i = random_below(NR_KEYS / NR_WRITERS) * NR_WRITERS + nr;
		/* Some are changed far more often than others. */
		if (random_below(2))
			i = is_number(i) ? NR_RECORDS + i % NR_WRITERS : i % NR_WRITERS;
		write_once(i, &own[i]);
		did_quota(&quota);
	}
}

/* -------- those who make entries go -------- */

static void pop_keys(void)
{
	while (is_going_on()) {
		pop(random_below(NR_RECORDS));
		sched_yield();
	}
}

static void fill(void)
{
	char key[32];
	int err;

	while (is_going_on()) {
		struct kcache_op op;

		snprintf(key, sizeof(key), "fill%d", (int)random_below(20000));
		op = OP(SET, key, BYTES(value, random_len()), .ttl_ms = random_below(2) * random_below(200));
		if (random_below(10) == 0)
			op.opcode = KCACHE_OP_REMOVE;
		err = run(&op);
		CHECK(!err || err == -ENOENT || is_refused(err));
		atomic_add(&shared->fills, 1);
	}
}

/* What was stored before a flush began is gone after it. */
static void flush(void)
{
	__u64 before[NR_KEYS];
	int i;

	for (i = 0; i < NR_KEYS; i++)
		before[i] = atomic_get(&shared->key[i].stored);
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	/* A number that was changed meanwhile may go on from there. */
	for (i = 0; i < NR_RECORDS; i++)
		atomic_raise(&shared->key[i].floor, before[i] + 1);
	atomic_add(&shared->flushes, 1);
}

static void flush_and_resize(void)
{
	while (is_going_on()) {
		if (random_below(4)) {
			CHECK_ERR(set_max_bytes(plan.limits[random_below(NR(plan.limits))]), 0);
			atomic_add(&shared->resizes, 1);
		} else {
			flush();
		}
		milliseconds_pass(random_below(20));
	}
}

/* The table grows and shrinks, bucket by bucket. */
static void swell(int nr)
{
	char key[32];
	int i;

	while (is_going_on()) {
		for (i = 0; i < 4000 && is_going_on(); i++) {
			snprintf(key, sizeof(key), "swell%d.%d", nr, i);
			WORKS(OP(SET, key, VALUE(key)));
		}
		for (i = 0; i < 4000 && is_going_on(); i++) {
			struct kcache_op op;

			snprintf(key, sizeof(key), "swell%d.%d", nr, i);
			op = OP(REMOVE, key);
			run(&op);
		}
		atomic_add(&shared->fills, i);
	}
}

/* -------- readers -------- */

static struct kcache *handle;

struct reader {
	__u64 seed;
	__u64 seen[NR_KEYS];
	char *buffer;
};

static __u64 draw(struct reader *reader, __u64 bound)
{
	reader->seed = reader->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (reader->seed >> 33) % bound;
}

static const char *wrong_any(int key_nr, const void *bytes, size_t len, __u64 *version)
{
	return is_number(key_nr) ? wrong_number(bytes, len, version) :
		wrong_value(bytes, len, key_nr, version);
}

static void check_read(struct reader *reader, enum kind kind, int key_nr, const char *wrong,
		       size_t len, __u64 version, __u64 floor)
{
	__u64 begun = atomic_get(&shared->key[key_nr].begun);
	const char *is = wrong;

	if (!is && version < reader->seen[key_nr])
		is = "older than what this reader has seen";
	if (!is && version < floor)
		is = "older than what was stored, or gone";
	if (!is && version > begun)
		is = "younger than all that was stored";
	if (is)
		ktap_fail(__LINE__, "%s: the value of key %d is %s: %zu bytes, version %llu; seen %llu, at least %llu, at most %llu",
			  kinds[kind], key_nr, is, len, (unsigned long long)version,
			  (unsigned long long)reader->seen[key_nr], (unsigned long long)floor,
			  (unsigned long long)begun);
	reader->seen[key_nr] = version;
	shared->read[kind].hits++;	/* roughly */
}

static void check_miss(enum kind kind, int key_nr, int err)
{
	if (err == -EAGAIN && kind == BY_BORROW)
		shared->read[kind].again++;
	else if (err == -EMSGSIZE)
		shared->read[kind].too_small++;
	else if (err != -ENOENT || plan.keys_stay)
		ktap_fail(__LINE__, "%s: key %d: %s", kinds[kind], key_nr, ktap_errno(-err));
}

static void read_by_get(struct reader *reader, int key_nr, const char *key, size_t key_len)
{
	__u64 floor = atomic_get(&shared->key[key_nr].floor), version;
	size_t size = draw(reader, 16) ? BUFFER : draw(reader, 2000), len = 0;
	const char *wrong;
	int err;

	err = kcache_get(handle, key, key_len, reader->buffer, size, &len);
	if (err == -EMSGSIZE && len <= size)
		ktap_fail(__LINE__, "get: %zu bytes did not fit into %zu", len, size);
	if (err) {
		check_miss(BY_GET, key_nr, err);
		return;
	}
	wrong = wrong_any(key_nr, reader->buffer, len, &version);
	check_read(reader, BY_GET, key_nr, wrong, len, version, floor);
}

static void read_by_borrow(struct reader *reader, int key_nr, const char *key, size_t key_len)
{
	__u64 floor = atomic_get(&shared->key[key_nr].floor), version;
	struct kcache_borrow borrow;
	const char *wrong;
	int err;

	err = kcache_borrow(handle, key, key_len, &borrow);
	if (err) {
		check_miss(BY_BORROW, key_nr, err);
		return;
	}
	wrong = wrong_any(key_nr, borrow.value, borrow.value_len, &version);
	if (!kcache_borrow_is_valid(&borrow)) {
		shared->read[BY_BORROW].invalid++;
		return;
	}
	check_read(reader, BY_BORROW, key_nr, wrong, borrow.value_len, version, floor);
}

static void read_by_call(struct reader *reader, int key_nr, const char *key, size_t key_len)
{
	__u64 floor = atomic_get(&shared->key[key_nr].floor), version;
	struct kcache_op op = OP_ON(GET, key, key_len, INTO_BYTES(reader->buffer, BUFFER));
	const char *wrong;
	int err = run(&op);

	if (err) {
		check_miss(BY_CALL, key_nr, err);
		return;
	}
	wrong = wrong_any(key_nr, reader->buffer, op.out_len, &version);
	check_read(reader, BY_CALL, key_nr, wrong, op.out_len, version, floor);
}

#define BATCH	4

static void read_by_batch(struct reader *reader)
{
	char keys[BATCH][KEY_LEN], *at = reader->buffer;
	struct kcache_op ops[BATCH];
	int key_nr[BATCH], i;
	__u64 floor[BATCH], version;
	size_t done;

	for (i = 0; i < BATCH; i++) {
		key_nr[i] = draw(reader, NR_KEYS);
		ops[i] = OP_ON(GET, keys[i], make_key(keys[i], key_nr[i]),
			       INTO_BYTES(at + i * (BUFFER / BATCH), BUFFER / BATCH));
		floor[i] = atomic_get(&shared->key[key_nr[i]].floor);
	}
	CHECK_ERR(kcache_run_many(handle, ops, BATCH, &done), 0);
	CHECK_EQ(done, BATCH);
	for (i = 0; i < BATCH; i++) {
		const char *wrong;

		if (ops[i].error) {
			check_miss(BY_BATCH, key_nr[i], ops[i].error);
			continue;
		}
		wrong = wrong_any(key_nr[i], at + i * (BUFFER / BATCH), ops[i].out_len, &version);
		/* Its own second look at a key comes later, but what is checked is of the first. */
		check_read(reader, BY_BATCH, key_nr[i], wrong, ops[i].out_len, version, floor[i]);
	}
}

static void *read_in_thread(void *argument)
{
	struct reader reader = { .seed = (uintptr_t)argument, .buffer = malloc(BUFFER) };
	int quota = plan.reader_ops;

	CHECK(reader.buffer);
	while (is_going_on()) {
		enum kind kind = draw(&reader, NR_KINDS);
		int key_nr = draw(&reader, NR_KEYS);
		char key[KEY_LEN];
		size_t key_len;

		/* Those that are changed most are read most. */
		if (draw(&reader, 2))
			key_nr = is_number(key_nr) ? NR_RECORDS + key_nr % NR_WRITERS : key_nr % NR_WRITERS;
		if (!(plan.kinds & 1 << kind))
			continue;
		key_len = make_key(key, key_nr);
		shared->read[kind].gets++;
		switch (kind) {
		case BY_GET: read_by_get(&reader, key_nr, key, key_len); break;
		case BY_BORROW: read_by_borrow(&reader, key_nr, key, key_len); break;
		case BY_CALL: read_by_call(&reader, key_nr, key, key_len); break;
		default: read_by_batch(&reader);
		}
		did_quota(&quota);
	}
	return NULL;
}

#define NR_READERS	3
#define NR_THREADS	2
#define HITS_MIN	600	/* of each kind of read; one in twenty of a quota */

static void read_keys(void)
{
	pthread_t thread[NR_THREADS];
	int i;

	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	for (i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, read_in_thread,
				      (void *)(uintptr_t)random_number()));
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	kcache_close(handle);
}

/* -------- all at once -------- */

static void one_of_all(int nr)
{
	value = malloc(BUFFER);
	old = malloc(BUFFER);
	CHECK(value && old);
	memset(value, 'f', BUFFER);
	if (nr < NR_READERS)
		read_keys();
	else if (nr < NR_READERS + NR_WRITERS)
		write_keys(nr - NR_READERS);
	else if (plan.keys_stay)
		swell(nr);
	else if (nr == NR_READERS + NR_WRITERS)
		pop_keys();
	else if (nr == NR_READERS + NR_WRITERS + 1)
		fill();
	else
		flush_and_resize();
}

/* Each key has its first version. */
static void store_all(void)
{
	char key[KEY_LEN], first[64];
	int i;

	for (i = 0; i < NR_KEYS; i++) {
		size_t key_len = make_key(key, i);

		if (is_number(i)) {
			snprintf(first, sizeof(first), "%llu", FIRST_NUMBER);
			WORKS(OP_ON(SET, key, key_len, VALUE(first)));
		} else {
			make_record(first, i, 1, sizeof(first));
			WORKS(OP_ON(SET, key, key_len, BYTES(first, sizeof(first))));
		}
		shared->key[i].begun = shared->key[i].stored = shared->key[i].floor =
			is_number(i) ? FIRST_NUMBER : 1;
	}
}

static void torture(void)
{
	static const char *const names[] = {
		"evictions", "expirations", "flushed", "moves", "retries", "no_space", "promotions",
	};
	__u64 before[NR(names)];
	char path[64], text[256] = "";
	size_t i, at;

	need_threads();
	choose_kinds();
	plan.writer_ops *= times();
	plan.reader_ops *= times();
	begin_going_on(NR_WRITERS + NR_READERS * NR_THREADS);
	for (i = 0; i < NR(names); i++) {
		snprintf(path, sizeof(path), "stats/%s", names[i]);
		before[i] = sysfs_number(path);
	}
	store_all();
	if (seconds())
		plan.writer_ops = plan.reader_ops = 0;
	in_processes(NR_READERS + NR_WRITERS + 3, one_of_all);

	for (i = at = 0; i < NR(names); i++) {
		snprintf(path, sizeof(path), "stats/%s", names[i]);
		at += snprintf(text + at, sizeof(text) - at, " %llu %s",
			       sysfs_number(path) - (unsigned long long)before[i], names[i]);
	}
	NOTE("the cache:%s", text);
	NOTE("done: %llu set, %llu appended, %llu added, %llu touched, %llu removed, %llu popped, %llu expired, %llu filled, %llu flushes, %llu resizes; %llu refused",
	     shared->sets, shared->appends, shared->adds, shared->touches, shared->removes, shared->pops,
	     shared->expired, shared->fills, shared->flushes, shared->resizes, shared->refused);
	for (i = 0; i < NR_KINDS; i++) {
		if (!(plan.kinds & 1 << i))
			continue;
		NOTE("%s: %llu gets, %llu hits, %llu did not fit, %llu borrowed in vain, %llu gave up",
		     kinds[i], shared->read[i].gets, shared->read[i].hits, shared->read[i].too_small,
		     shared->read[i].invalid, shared->read[i].again);
		/* Else it has shown nothing. Where time is the limit, readers may be far ahead of writers. */
		CHECK(shared->read[i].hits > HITS_MIN);
	}
	CHECK(sysfs_number("stats/bytes_allocated") <= sysfs_number("limits/max_bytes"));
}

/* A cache that was small when it was loaded has small chunks, and stays small. */
static void make_plan(bool is_small)
{
	plan.writer_ops = 6000;
	plan.reader_ops = 8000;
	plan.large = is_small ? 32 * KIB - 2 * KIB : 600 * KIB;
	plan.limits[0] = is_small ? MIB : 8 * MIB;
	plan.limits[1] = is_small ? MIB : 9 * MIB;
	plan.limits[2] = is_small ? 5 * MIB / 4 : 16 * MIB;
	plan.limits[3] = is_small ? 3 * MIB : 40 * MIB;
}

TEST(every_value_read_was_stored_whole_and_is_not_older_than_known)
{
	make_plan(number_in("/sys/module/kcache/parameters/max_bytes") < 64 * MIB);
	torture();
}

TEST(keys_that_stay_are_found_by_every_read)
{
	__u64 evictions = sysfs_number("stats/evictions");

	plan.writer_ops = 6000;
	plan.reader_ops = 8000;
	plan.large = 100 * KIB;
	plan.keys_stay = true;
	torture();
	CHECK_EQ(sysfs_number("stats/evictions"), evictions);
}

/* -------- one key, changed in place -------- */

#define IN_PLACE_LEN	200

static void set_in_place(void)
{
	char bytes[IN_PLACE_LEN];
	int quota = seconds() ? 0 : 20000 * times();

	while (is_going_on()) {
		__u64 version = ++shared->key[0].begun;

		make_record(bytes, 0, version, sizeof(bytes));
		WORKS(OP(SET, "k", BYTES(bytes, sizeof(bytes)), .client_flags = version));
		did_quota(&quota);
	}
}

/* Value, flags and version are of the same SET. */
static void get_in_place(void)
{
	__u64 version = 0, seen = 0, seen_version = 0;
	char bytes[IN_PLACE_LEN];
	const char *wrong;

	while (is_going_on()) {
		struct kcache_op op = OP(GET, "k", INTO(bytes));

		CHECK_ERR(run(&op), 0);
		wrong = wrong_value(bytes, op.out_len, 0, &version);
		CASE("%s: record %llu with flags %u and version %llu, after record %llu and version %llu",
		     wrong ? wrong : "whole", (unsigned long long)version, op.client_flags,
		     (unsigned long long)op.version, (unsigned long long)seen,
		     (unsigned long long)seen_version);
		CHECK(!wrong && op.client_flags == (__u32)version && version >= seen);
		CHECK(!seen || (version == seen) == (op.version == seen_version));
		seen = version;
		seen_version = op.version;
		atomic_add(&shared->read[BY_CALL].hits, 1);
	}
}

static void set_or_get_in_place(int nr)
{
	if (nr)
		get_in_place();
	else
		set_in_place();
}

TEST(value_flags_and_version_that_are_read_are_of_one_set)
{
	char bytes[IN_PLACE_LEN];

	begin_going_on(1);
	shared->key[0].begun = 1;
	make_record(bytes, 0, 1, sizeof(bytes));
	WORKS(OP(SET, "k", BYTES(bytes, sizeof(bytes)), .client_flags = 1));
	in_processes(3, set_or_get_in_place);
	NOTE("%llu sets, %llu gets", shared->key[0].begun, shared->read[BY_CALL].hits);
	CHECK(shared->read[BY_CALL].hits > 0);
}

/* -------- long reads, beside a table that gives memory back -------- */

#define BLOCK_BUCKETS	512	/* in the largest block, 32 KiB */
#define NR_FAR		4
#define NR_SWINGS	(BLOCK_BUCKETS * 5 + 240)	/* so many entries take a block more */
#define SWINGS_AT_ONCE	50	/* of these, in a batch */

static char far_key[NR_FAR][16];	/* their buckets are the first in the second block */

static __u64 nr_buckets_now(void)
{
	return sysfs_number("stats/buckets");
}

static void find_far_keys(void)
{
	const struct kcache_map_header *header = mmap(NULL, 4096, PROT_READ, MAP_SHARED, cache, 0);
	int i, n = 0;

	CHECK(header != MAP_FAILED);
	for (i = 0; n < NR_FAR; i++) {
		int len = sprintf(far_key[n], "far%d", i);
		__u64 hash = kcache_hash(header->secret, far_key[n], len);

		n += hash % (2 * BLOCK_BUCKETS) - BLOCK_BUCKETS < 2;
	}
	munmap((void *)header, 4096);
}

static void store_far(int i)
{
	make_record(value, i, ++shared->key[i].begun, BUFFER);
	WORKS(OP(SET, far_key[i], BYTES(value, BUFFER)));
}

/* Whoever reads them is nearly always in the midst of a copy, in the kernel. */
static void read_far(int nr)
{
	char *bytes = malloc(BUFFER);
	__u64 version;

	CHECK(bytes);
	for (nr = 0; is_going_on(); nr++) {
		int i = nr % NR_FAR;
		struct kcache_op op = OP(GET, far_key[i], INTO_BYTES(bytes, BUFFER));
		int err = run(&op);
		/* To check all would take longer than to read. */
		const char *wrong = err || nr % 16 ? NULL : wrong_value(bytes, op.out_len, i, &version);

		CASE("value of %s: %s", far_key[i], wrong ? wrong : "fine");
		CHECK(!wrong && (!err || err == -ENOENT));
		shared->read[BY_CALL].gets++;
		shared->read[BY_CALL].hits += !err;
	}
}

static void swing_entries(unsigned int opcode, int from, int to)
{
	struct kcache_op ops[SWINGS_AT_ONCE];
	char keys[SWINGS_AT_ONCE][16];
	size_t done;
	int i, n;

	for (; from < to; from += n) {
		n = to - from < SWINGS_AT_ONCE ? to - from : SWINGS_AT_ONCE;
		for (i = 0; i < n; i++) {
			sprintf(keys[i], "swing%d", from + i);
			ops[i] = OP(SET, keys[i], VALUE(keys[i]));
			ops[i].opcode = opcode;
		}
		CHECK_ERR(kcache_run_many(handle, ops, n, &done), 0);
		CHECK_EQ(done, n);
	}
}

/*
 * The table grows by a block, and just gives it back again: that is a part of what
 * happens when a lower limit is set.
 */
static void swing(void)
{
	__u64 limit = sysfs_number("limits/max_bytes");
	int i, left = NR_SWINGS;
	char key[16];

	for (i = 0; i < 8; i++) {
		sprintf(key, "fill%d", i);
		WORKS(OP(SET, key, BYTES(value, 600 * KIB)));
	}
	for (i = 0; i < NR_FAR; i++)
		store_far(i);
	swing_entries(KCACHE_OP_SET, 0, NR_SWINGS);
	CHECK(nr_buckets_now() > BLOCK_BUCKETS);
	while (left && sysfs_number("stats/entries") >= BLOCK_BUCKETS) {
		left -= SWINGS_AT_ONCE;
		swing_entries(KCACHE_OP_REMOVE, left, left + SWINGS_AT_ONCE);
	}
	/* The first to leave are those that came first. */
	CHECK_ERR(set_max_bytes(sysfs_number("stats/bytes_allocated") - MIB), 0);
	CHECK(nr_buckets_now() <= BLOCK_BUCKETS);
	CHECK_ERR(set_max_bytes(limit), 0);
}

static void read_or_swing(int nr)
{
	int quota = seconds() ? 0 : 8 * times();

	if (nr) {
		read_far(nr);
		return;
	}
	value = malloc(BUFFER);
	CHECK(value);
	CHECK_ERR(kcache_open(&handle, NULL, O_RDWR), 0);
	while (is_going_on()) {
		swing();
		did_quota(&quota);
	}
}

/* Who stands in a bucket when its memory is given back would read another's. */
TEST(reads_that_last_while_the_table_gives_memory_back)
{
	begin_going_on(1);
	find_far_keys();
	in_processes(4, read_or_swing);
	NOTE("%llu reads of %d MiB, %llu hits", shared->read[BY_CALL].gets, BUFFER / MIB,
	     shared->read[BY_CALL].hits);
	CHECK(shared->read[BY_CALL].hits > 0);
}

/* -------- a cache of the smallest chunks, where memory is used again soonest -------- */

#define MODULE	"/run/vm/job/kcache.ko"

static void load_anew(unsigned long long max_bytes)
{
	char command[256];
	int i;

	snprintf(command, sizeof(command),
		 "rmmod kcache && insmod %s max_bytes=%llu", MODULE, max_bytes);
	for (i = 0; system(command) && i < 100; i++)
		milliseconds_pass(20);	/* who had it open is just ending */
	for (i = 0; access(DEVICE, R_OK) && i < 1000; i++)
		milliseconds_pass(5);
	CHECK(!access(DEVICE, R_OK));
}

static void torture_small(int nr)
{
	(void)nr;
	begin_empty();
	make_plan(true);
	torture();
}

TEST(every_value_read_from_a_cache_of_small_chunks_was_stored_whole)
{
	unsigned long long at_load = number_in("/sys/module/kcache/parameters/max_bytes");
	int status;
	pid_t pid;

	if (access(MODULE, R_OK))
		SKIP("there is no %s to load with another size", MODULE);
	close(cache);
	load_anew(MIB);
	alarm(KTAP_SECONDS * times());
	shared = shared_memory(sizeof(*shared));
	pid = start_process(torture_small, 0);
	MUST(waitpid(pid, &status, 0));
	atomic_put(&shared->left, 0);	/* to those who are left of one that failed */
	load_anew(at_load);
	CHECK(WIFEXITED(status));
	_exit(WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
