// SPDX-License-Identifier: GPL-2.0
/*
 * Many operations in one call: their order, the result of each, where a batch ends
 * early and what is told then, and what becomes of batches that are malformed, whose
 * memory is not there, is read-only, is the memory of another operation of the same
 * batch, or is rewritten while the kernel reads it.
 *
 * Built with -m32 too.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <limits.h>
#include <sys/time.h>

#define KIB	1024
#define MIB	(1024 * KIB)

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

#define UNWRITTEN	0x5a5a5a5a

static struct kcache_batch batch_of(const void *ops, __u32 nr)
{
	return (struct kcache_batch) {
		.size = sizeof(struct kcache_batch),
		.op_size = sizeof(struct kcache_op),
		.ops = address(ops),
		.nr = nr,
		.done = UNWRITTEN,
	};
}

static int run_batch_on(int fd, struct kcache_batch *batch)
{
	return ioctl(fd, KCACHE_IOC_BATCH, batch) < 0 ? -errno : 0;
}

static int run_batch(struct kcache_batch *batch)
{
	return run_batch_on(cache, batch);
}

/* Runs them, which has to carry out @done of @nr. */
static void carries_out(int line, struct kcache_op *ops, __u32 nr, __u32 done)
{
	struct kcache_batch batch = batch_of(ops, nr);
	int err = run_batch(&batch);

	if (err)
		ktap_fail(line, "a batch of %u: %s", nr, ktap_errno(-err));
	if (batch.done != done)
		ktap_fail(line, "%u of %u were carried out, not %u", batch.done, nr, done);
	if (batch.size != sizeof(batch) || batch.op_size != sizeof(*ops) ||
	    batch.ops != address(ops) || batch.nr != nr)
		ktap_fail(line, "the batch was written to");
}

#define BATCH(ops, nr)		carries_out(__LINE__, ops, nr, nr)
#define BATCH_ENDS(ops, nr, done)	carries_out(__LINE__, ops, nr, done)

/* A batch that is refused as a whole; @done_ is what is in its member done then. */
#define REFUSES(errno_, done_, ...)					\
	do {								\
		struct kcache_batch batch_ = __VA_ARGS__;		\
									\
		CHECK_ERR(run_batch(&batch_), errno_);			\
		CHECK_EQ(batch_.done, done_);				\
	} while (0)

/* Pages, and one behind them that is none. */
static char *map_pages(int nr, int protection)
{
	char *pages = mmap(NULL, (nr + 1) * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	MUST(munmap(pages + nr * PAGE, PAGE));
	return pages;
}

#define NR_NEIGHBOURS	40

/* They are used, so that eviction, should there be any, spares them. */
static void set_neighbours(void)
{
	char key[32];
	int i;

	for (i = 0; i < NR_NEIGHBOURS; i++) {
		snprintf(key, sizeof(key), "neighbour%d", i);
		WORKS(OP(SET, key, VALUE(key), .client_flags = i));
		HOLDS(key, key);
		HOLDS(key, key);
	}
}

static void check_neighbours(void)
{
	char key[32];
	int i;

	for (i = 0; i < NR_NEIGHBOURS; i++) {
		snprintf(key, sizeof(key), "neighbour%d", i);
		CASE("%s", key);
		HOLDS(key, key);
		CHECK_EQ(WORKS(OP(STAT, key)).client_flags, i);
	}
	CASE("%s", "");
}

/* -------- order and results -------- */

TEST(batch_of_none_works)
{
	struct kcache_batch batch = batch_of(NULL, 0);

	CHECK_ERR(run_batch(&batch), 0);
	CHECK_EQ(batch.done, 0);
	batch = batch_of((void *)(uintptr_t)-1, 0);
	CHECK_ERR(run_batch(&batch), 0);
	CHECK_EQ(batch.done, 0);
}

TEST(batch_of_one_is_the_operation)
{
	char out[16] = "---------";
	struct kcache_op set = OP(SET, "key", VALUE("value"), .client_flags = 7);
	struct kcache_op get = OP(GET, "key", INTO(out));

	BATCH(&set, 1);
	CHECK_ERR(set.error, 0);
	BATCH(&get, 1);
	CHECK_ERR(get.error, 0);
	CHECK_EQ(get.out_len, 5);
	CHECK_EQ(get.client_flags, 7);
	CHECK_EQ(get.version, set.version);
	CHECK_EQ(get.ttl_ms, 0);
	CHECK(!strcmp(out, "value----"));
}

TEST(operations_are_carried_out_in_their_order)
{
	char out[6][16] = { { 0 } };
	struct kcache_op ops[] = {
		OP(GET, "key", INTO(out[0])),
		OP(SET, "key", VALUE("1")),
		OP(GET, "key", INTO(out[1])),
		OP(ADD, "key", .delta = 41),
		OP(GET, "key", INTO(out[2])),
		OP(APPEND, "key", VALUE("x")),
		OP(ADD, "key", .delta = 1),
		OP(POP, "key", INTO(out[3])),
		OP(STAT, "key"),
		OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_ABSENT),
		OP(SET, "key", VALUE("newer"), .flags = KCACHE_IF_ABSENT),
		OP(SET, "key", VALUE("newest"), .flags = KCACHE_RETURN_OLD, INTO(out[4])),
		OP(REMOVE, "key"),
		OP(REMOVE, "key"),
		OP(PREPEND, "key", VALUE("x")),
	};
	static const int errors[] = {
		ENOENT, 0, 0, 0, 0, 0, ERANGE, 0, ENOENT, 0, EEXIST, 0, 0, ENOENT, ENOENT
	};
	size_t i;

	BATCH(ops, NR(ops));
	for (i = 0; i < NR(ops); i++) {
		CASE("operation %zu", i);
		CHECK_ERR(ops[i].error, errors[i]);
	}
	CHECK(!strcmp(out[1], "1") && !strcmp(out[2], "42") && !strcmp(out[3], "42x"));
	CHECK(!strcmp(out[4], "new"));
	CHECK_EQ(ops[3].number, 42);
	CHECK_EQ(ops[5].out_len, 3);
	CHECK_EQ(ops[11].out_len, 3);
	HOLDS_NOT("key");
}

static struct kcache_op random_op(char *key, char *value, char *out, char prefix)
{
	static const __u32 flags[] = {
		0, 0, KCACHE_IF_ABSENT, KCACHE_IF_PRESENT, KCACHE_IF_VERSION, KCACHE_KEEP_TTL,
		KCACHE_RETURN_OLD, KCACHE_RETURN_OLD | KCACHE_KEEP_TTL,
	};
	struct kcache_op op;

	sprintf(key, "%c%d", prefix, (int)random_below(10));
	if (random_below(2))
		sprintf(value, "%d", (int)random_below(1000));
	else
		memset(value, 'a' + random_below(26), random_below(30));
	op = OP(GET, key, VALUE(value), .opcode = 1 + random_below(10),
		.delta = (int)random_below(200) - 100, .out = address(out),
		.out_len = random_below(40), .error = random_number(),
		.client_flags = random_below(5), .number = random_below(100));
	if (op.opcode == KCACHE_OP_SET)
		op.flags = flags[random_below(NR(flags))];
	if (op.opcode == KCACHE_OP_ADD)
		op.flags = random_below(2) * KCACHE_INITIAL;
	if (random_below(20) == 0)
		op.flags |= 1 << random_below(32);
	if (random_below(30) == 0)
		op.key_len = 0;
	return op;
}

/* The same, one by one on keys of another prefix, gives the same. */
TEST(batch_does_what_its_operations_do_one_by_one)
{
	static struct kcache_op ops[KCACHE_BATCH_MAX], single[KCACHE_BATCH_MAX];
	static char keys[2][KCACHE_BATCH_MAX][8], values[KCACHE_BATCH_MAX][40],
		out[2][KCACHE_BATCH_MAX][64];
	int round, i, nr, nr_failed = 0, nr_all = 0;

	for (round = 0; round < 20; round++) {
		nr = 1 + random_below(KCACHE_BATCH_MAX);
		memset(values, 0, sizeof(values));
		memset(out, 0, sizeof(out));
		for (i = 0; i < nr; i++) {
			ops[i] = single[i] = random_op(keys[0][i], values[i], out[0][i], 'b');
			memcpy(keys[1][i], keys[0][i], sizeof(keys[0][i]));
			keys[1][i][0] = 's';
			single[i].key = address(keys[1][i]);
			single[i].out = address(out[1][i]);
			single[i].error = 0;
		}
		BATCH(ops, nr);
		for (i = 0; i < nr; i++) {
			int err = run(&single[i]);

			CASE("operation %d of %d, opcode %u, flags %#x", i, nr, single[i].opcode,
			     single[i].flags);
			CHECK_ERR(ops[i].error, -err);
			CHECK_EQ(ops[i].out_len, single[i].out_len);
			CHECK_EQ(ops[i].number, single[i].number);
			CHECK_EQ(ops[i].client_flags, single[i].client_flags);
			CHECK_EQ(ops[i].ttl_ms, single[i].ttl_ms);
			CHECK_EQ(ops[i].key_len, single[i].key_len);
			CHECK_EQ(ops[i].flags, single[i].flags);
			CHECK_EQ(!ops[i].version, !single[i].version);
			if (!err)
				CHECK(!memcmp(out[0][i], out[1][i], sizeof(out[0][i])));
			nr_failed += !!err;
			nr_all++;
		}
	}
	CHECK(nr_failed > nr_all / 20 && nr_failed < nr_all * 19 / 20);
}

TEST(fields_that_an_operation_does_not_name_are_not_written)
{
	char out[64];
	struct kcache_op ops[] = {
		OP(SET, "key", VALUE("1")),
		OP(GET, "key", INTO(out)),
		OP(STAT, "key"),
		OP(TOUCH, "key", .ttl_ms = 100000),
		OP(ADD, "key", .delta = 1),
		OP(APPEND, "key", VALUE("1")),
		OP(PREPEND, "key", VALUE("1")),
		OP(GET, "none", INTO(out)),
		OP(GET, "key", INTO_BYTES(out, 1)),
		OP(REMOVE, "none"),
		OP(SET, "key", VALUE("1"), .flags = KCACHE_IF_ABSENT),
		OP(POP, "key", INTO(out)),
	}, before[NR(ops)];
	size_t i;

	for (i = 0; i < NR(ops); i++) {
		ops[i].error = 0x5a5a5a5a;
		ops[i].version = 0x1234567812345678ULL;
		if (ops[i].opcode != KCACHE_OP_ADD)
			ops[i].number = 0x1234567812345679LL;
		if (ops[i].opcode != KCACHE_OP_SET)
			ops[i].client_flags = 0x12345678;
		before[i] = ops[i];
	}
	BATCH(ops, NR(ops));
	for (i = 0; i < NR(ops); i++) {
		unsigned int may = 1 << KTAP_FIELD_error;

		CASE("operation %zu", i);
		if (!ops[i].error)
			may |= fields_told(&ops[i]);
		if (ops[i].error == -EMSGSIZE)
			may |= 1 << KTAP_FIELD_out_len;
		check_unwritten(__LINE__, &ops[i], &before[i], may);
		CHECK_ERR(ops[i].error, i == 7 || i == 9 ? ENOENT : i == 8 ? EMSGSIZE : i == 10 ? EEXIST : 0);
	}
	CHECK_EQ(ops[8].out_len, 3);
}

TEST(each_operation_has_its_own_error)
{
	static char large[KCACHE_KEY_MAX + 1];
	char *end = map_pages(1, PROT_READ | PROT_WRITE) + PAGE, out[32];
	size_t value_max = sysfs_number("limits/value_max");
	struct {
		struct kcache_op op;
		int error;
	} rows[] = {
		{ OP(GET, "key", .opcode = 0), EINVAL },
		{ OP(GET, "key", .opcode = 10), EINVAL },
		{ OP(GET, "key", .opcode = ~0U), EINVAL },
		{ OP(GET, "key", .flags = 1U << 31), EINVAL },
		{ OP(GET, "key", .flags = KCACHE_IF_ABSENT), EINVAL },
		{ OP(SET, "key", .flags = KCACHE_IF_ABSENT | KCACHE_IF_PRESENT), EINVAL },
		{ OP(SET, "key", .ttl_ms = KCACHE_TTL_MAX_MS + 1), EINVAL },
		{ OP(GET, ""), EINVAL },
		{ OP_ON(GET, large, KCACHE_KEY_MAX + 1), EFBIG },
		{ OP_ON(GET, large, ~0U), EFBIG },
		{ OP(SET, "key", BYTES(large, value_max + 1)), EFBIG },
		{ OP(SET, "key", BYTES(large, ~0ULL)), EFBIG },
		{ OP_ON(GET, end - 4, 5), EFAULT },
		{ OP_ON(REMOVE, NULL, 5), EFAULT },
		{ OP(SET, "key", BYTES(end - 4, 5)), EFAULT },
		{ OP(APPEND, "key", BYTES(end - 4, 5)), EFAULT },
		{ OP(GET, "key", INTO_BYTES(end - 3, 16)), EFAULT },
		{ OP(POP, "key", INTO_BYTES(end - 3, 16)), EFAULT },
		{ OP(SET, "key", VALUE("new"), .flags = KCACHE_RETURN_OLD, INTO_BYTES(end, 16)), EFAULT },
		{ OP(GET, "key", INTO_BYTES(out, 3)), EMSGSIZE },
		{ OP(POP, "key", INTO_BYTES(out, 3)), EMSGSIZE },
		{ OP(GET, "none", INTO(out)), ENOENT },
		{ OP(SET, "none", VALUE("new"), .flags = KCACHE_IF_PRESENT), ENOENT },
		{ OP(ADD, "none", .delta = 1), ENOENT },
		{ OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_ABSENT), EEXIST },
		{ OP(SET, "key", VALUE("new"), .flags = KCACHE_IF_VERSION), ESTALE },
		{ OP(REMOVE, "key", .flags = KCACHE_IF_VERSION), ESTALE },
		{ OP(ADD, "key", .delta = 1), ERANGE },
	};
	struct kcache_op ops[2 * NR(rows)];
	char keys[NR(rows)][16];
	size_t i;

	WORKS(OP(SET, "key", VALUE("value")));
	for (i = 0; i < NR(rows); i++) {
		snprintf(keys[i], sizeof(keys[i]), "between%zu", i);
		ops[2 * i] = rows[i].op;
		ops[2 * i + 1] = OP(SET, keys[i], VALUE(keys[i]), .error = INT_MIN);
	}
	BATCH(ops, NR(ops));
	for (i = 0; i < NR(rows); i++) {
		CASE("row %zu", i);
		CHECK_ERR(ops[2 * i].error, rows[i].error);
		CHECK_ERR(ops[2 * i + 1].error, 0);
		HOLDS(keys[i], keys[i]);
		if (rows[i].error == EMSGSIZE)
			CHECK_EQ(ops[2 * i].out_len, 5);
	}
	HOLDS("key", "value");
	HOLDS_NOT("none");
}

TEST(descriptor_not_opened_for_an_operation_is_its_ebadf)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, 3 };
	size_t m;

	WORKS(OP(SET, "key", VALUE("value")));
	for (m = 0; m < NR(modes); m++) {
		int fd = MUST(open(DEVICE, modes[m] | O_CLOEXEC));
		char out[16];
		struct kcache_op ops[] = {
			OP(GET, "key", INTO(out)), OP(SET, "new", VALUE("x")),
			OP(STAT, "key"), OP(POP, "key", INTO(out)), OP(REMOVE, "new"),
		};
		struct kcache_batch batch = batch_of(ops, NR(ops));

		CASE("mode %d", modes[m]);
		CHECK_ERR(run_batch_on(fd, &batch), 0);
		CHECK_EQ(batch.done, NR(ops));
		CHECK_ERR(ops[0].error, modes[m] == O_RDONLY ? 0 : EBADF);
		CHECK_ERR(ops[1].error, modes[m] == O_WRONLY ? 0 : EBADF);
		CHECK_ERR(ops[2].error, modes[m] == O_RDONLY ? 0 : EBADF);
		CHECK_ERR(ops[3].error, EBADF);
		CHECK_ERR(ops[4].error, modes[m] == O_WRONLY ? 0 : EBADF);
		close(fd);
	}
	HOLDS("key", "value");
	HOLDS_NOT("new");
}

TEST(operations_of_a_batch_are_counted_like_others)
{
	unsigned long long hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses"),
		sets = sysfs_number("stats/sets"), pops = sysfs_number("stats/pops");
	char out[8];
	struct kcache_op ops[] = {
		OP(GET, "key", INTO(out)), OP(SET, "key", VALUE("1")), OP(GET, "key", INTO(out)),
		OP(GET, "key", INTO(out)), OP(SET, "key", VALUE("1"), .flags = KCACHE_IF_ABSENT),
		OP(POP, "key", INTO(out)), OP(POP, "key", INTO(out)),
	};

	BATCH(ops, NR(ops));
	CHECK_EQ(sysfs_number("stats/hits"), hits + 2);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 1);
	CHECK_EQ(sysfs_number("stats/sets"), sets + 1);
	CHECK_EQ(sysfs_number("stats/pops"), pops + 1);
}

/* -------- how many -------- */

TEST(batch_takes_1024_operations_and_not_one_more)
{
	static const __u32 too_many[] = { KCACHE_BATCH_MAX + 1, 65536, 1U << 31, ~0U };
	static struct kcache_op ops[KCACHE_BATCH_MAX + 1];
	static char keys[KCACHE_BATCH_MAX + 1][8];
	size_t t;
	int i;

	for (i = 0; i <= KCACHE_BATCH_MAX; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%d", i);
		ops[i] = OP(SET, keys[i], VALUE(keys[i]), .error = 5);
	}
	for (t = 0; t < NR(too_many); t++) {
		CASE("%u operations", too_many[t]);
		REFUSES(EINVAL, UNWRITTEN, batch_of(ops, too_many[t]));
	}
	CHECK_EQ(sysfs_number("stats/entries"), 0);
	CHECK_EQ(ops[0].error, 5);
	BATCH(ops, KCACHE_BATCH_MAX);
	for (i = 0; i < KCACHE_BATCH_MAX; i++)
		CHECK_ERR(ops[i].error, 0);
	CHECK_EQ(ops[KCACHE_BATCH_MAX].error, 5);
	CHECK_EQ(sysfs_number("stats/entries"), KCACHE_BATCH_MAX);
	HOLDS("1023", "1023");
	HOLDS_NOT("1024");
}

/* -------- sizes -------- */

TEST(batch_struct_of_a_wrong_size)
{
	char *page = map_pages(1, PROT_READ | PROT_WRITE);
	struct kcache_batch *batch = (struct kcache_batch *)page;
	struct kcache_op op = OP(SET, "key", VALUE("new"));
	__u32 size, at;

	for (size = 0; size < KCACHE_BATCH_SIZE_VER0; size++) {
		CASE("size %u", size);
		*batch = batch_of(&op, 1);
		batch->size = size;
		CHECK_ERR(run_batch(batch), EINVAL);
		CHECK_EQ(batch->done, UNWRITTEN);
	}
	HOLDS_NOT("key");
	for (size = KCACHE_BATCH_SIZE_VER0; size <= PAGE; size += size < 60 ? 1 : 61) {
		CASE("size %u", size);
		memset(page, 0, PAGE);
		*batch = batch_of(&op, 1);
		batch->size = size;
		if (size < PAGE)
			page[size] = 1;
		CHECK_ERR(run_batch(batch), 0);
		CHECK_EQ(batch->done, 1);
		CHECK_EQ(batch->size, size);
		WORKS(OP(REMOVE, "key"));
		for (at = KCACHE_BATCH_SIZE_VER0; at < size; at += at < 60 || at > size - 8 ? 1 : 99) {
			memset(page, 0, PAGE);
			*batch = batch_of(&op, 1);
			batch->size = size;
			page[at] = 0x80;
			CHECK_ERR(run_batch(batch), E2BIG);
			CHECK_EQ(batch->done, UNWRITTEN);
		}
	}
	for (size = PAGE + 1; size; size *= 2) {
		CASE("size %u", size);
		memset(page, 0, PAGE);
		*batch = batch_of(&op, 1);
		batch->size = size;
		CHECK_ERR(run_batch(batch), E2BIG);
		if (size > 1U << 30)
			break;
	}
	/* It says more than there is memory. */
	batch = (struct kcache_batch *)(page + PAGE - sizeof(*batch));
	*batch = batch_of(&op, 1);
	batch->size++;
	CHECK_ERR(run_batch(batch), EFAULT);
	HOLDS_NOT("key");
	batch->size--;
	CHECK_ERR(run_batch(batch), 0);
	HOLDS("key", "new");
}

TEST(operation_size_that_is_too_short_is_einval)
{
	struct kcache_op ops[2] = { OP(SET, "key", VALUE("new")), OP(SET, "key", VALUE("new")) };
	__u32 size;

	for (size = 0; size < KCACHE_OP_SIZE_VER0; size++) {
		struct kcache_batch batch = batch_of(ops, 2);

		CASE("size %u", size);
		batch.op_size = ops[0].size = size;
		CHECK_ERR(run_batch(&batch), EINVAL);
	}
	HOLDS_NOT("key");
}

TEST(operation_size_over_a_page_is_refused)
{
	static const __u32 sizes[] = { PAGE + 1, PAGE + 8, 2 * PAGE, 1U << 31, ~0U };
	char *pages = map_pages(4, PROT_READ | PROT_WRITE);
	size_t s;

	for (s = 0; s < NR(sizes); s++) {
		struct kcache_batch batch = batch_of(pages, 1);
		int err;

		CASE("size %u", sizes[s]);
		*(struct kcache_op *)pages = OP(SET, "key", VALUE("new"), .size = sizes[s]);
		batch.op_size = sizes[s];
		err = run_batch(&batch);
		CHECK(err == -EINVAL || err == -E2BIG);
	}
	HOLDS_NOT("key");
}

/* Longer operations lie so far apart; what is behind the part that is known is zero. */
TEST(operations_that_are_longer_and_zero_are_taken)
{
	char *memory = map_pages(4, PROT_READ | PROT_WRITE);
	__u32 size;
	int i;

	for (size = KCACHE_OP_SIZE_VER0; size <= PAGE; size += size < 120 ? 1 : 71) {
		struct kcache_batch batch = batch_of(memory, 4);
		struct kcache_op op;
		char keys[4][8];

		CASE("size %u", size);
		memset(memory, 0, 4 * PAGE);
		for (i = 0; i < 4; i++) {
			snprintf(keys[i], sizeof(keys[i]), "%d", i);
			op = OP(SET, keys[i], VALUE(keys[i]), .size = size, .error = 9);
			memcpy(memory + i * size, &op, sizeof(op));
		}
		if (size > sizeof(op))
			memory[3 * size - 1] = 1;	/* of the third */
		batch.op_size = size;
		CHECK_ERR(run_batch(&batch), 0);
		CHECK_EQ(batch.done, 4);
		for (i = 0; i < 4; i++) {
			memcpy(&op, memory + i * size, sizeof(op));
			CHECK_ERR(op.error, i == 2 && size > sizeof(op) ? E2BIG : 0);
			CHECK_EQ(op.size, size);
		}
		HOLDS("3", "3");
		if (size > sizeof(op))
			HOLDS_NOT("2");
		MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	}
}

TEST(operation_of_another_size_than_the_batch_says_ends_it)
{
	struct kcache_op ops[4];
	int i, at;

	for (at = 0; at < 4; at++) {
		char keys[4][8];

		for (i = 0; i < 4; i++) {
			snprintf(keys[i], sizeof(keys[i]), "%d", i);
			ops[i] = OP(SET, keys[i], VALUE("x"), .error = 9);
		}
		ops[at].size += 8;
		CASE("operation %d", at);
		if (at)
			BATCH_ENDS(ops, 4, at);
		else
			REFUSES(EINVAL, 0, batch_of(ops, 4));
		for (i = 0; i < 4; i++)
			CHECK_EQ(ops[i].error, i < at ? 0 : 9);
		CHECK_EQ(sysfs_number("stats/entries"), at);
		MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	}
}

/* -------- memory that is not there -------- */

TEST(batch_that_is_not_there_is_efault)
{
	static const __u64 bad[] = {
		0, 8, 0xffff888000001000ULL, 0xdeadbeefdeadbeefULL, 0x00007ffffffff000ULL, ~0ULL,
		~0ULL - 95, 1ULL << 63, 0xffffffff81000000ULL,
	};
	size_t b;

	for (b = 0; b < NR(bad); b++) {
		struct kcache_batch batch = batch_of(NULL, 1);

		CASE("%#llx", (unsigned long long)bad[b]);
		batch.ops = bad[b];
		CHECK_ERR(run_batch(&batch), EFAULT);
		CHECK_EQ(batch.done, 0);
		batch.nr = KCACHE_BATCH_MAX;
		CHECK_ERR(run_batch(&batch), EFAULT);
		CHECK_EQ(batch.done, 0);
		if (bad[b] == (uintptr_t)bad[b])
			CHECK_REFUSED(ioctl(cache, KCACHE_IOC_BATCH, (uintptr_t)bad[b]), EFAULT);
	}
}

/* At each byte of an operation: those before it are carried out, and done tells. */
TEST(memory_that_ends_within_an_operation_ends_the_batch)
{
	char *end = map_pages(2, PROT_READ | PROT_WRITE) + 2 * PAGE;
	size_t there;
	int i, nr;

	set_neighbours();
	for (nr = 0; nr < 5; nr += 2) {
		for (there = 0; there < sizeof(struct kcache_op); there++) {
			char *ops = end - there - nr * sizeof(struct kcache_op);
			struct kcache_batch batch = batch_of(ops, 8);
			struct kcache_op op;
			char keys[8][8];

			CASE("%d operations and %zu bytes", nr, there);
			for (i = 0; i <= nr; i++) {
				size_t len = i < nr ? sizeof(op) : there;

				snprintf(keys[i], sizeof(keys[i]), "%d", i);
				op = OP(SET, keys[i], VALUE("x"), .error = 9);
				memcpy(ops + i * sizeof(op), &op, len);
			}
			CHECK_ERR(run_batch(&batch), nr ? 0 : EFAULT);
			CHECK_EQ(batch.done, nr);
			for (i = 0; i < nr; i++) {
				memcpy(&op, ops + i * sizeof(op), sizeof(op));
				CHECK_ERR(op.error, 0);
				WORKS(OP(REMOVE, keys[i]));
			}
			HOLDS_NOT(keys[nr]);
		}
	}
	check_neighbours();
}

TEST(operation_whose_result_cannot_be_told_changes_nothing)
{
	char *pages = map_pages(2, PROT_READ | PROT_WRITE), out[16];
	struct kcache_op ops[] = {
		OP(SET, "first", VALUE("x")), OP(GET, "key", INTO(out)), OP(SET, "key", VALUE("new")),
		OP(REMOVE, "key"), OP(POP, "key", INTO(out)), OP(ADD, "key", .delta = 1),
		OP(APPEND, "key", VALUE("x")), OP(TOUCH, "key", .ttl_ms = 1),
		OP(GET, "none", INTO(out)), OP(GET, "key", INTO_BYTES(out, 0)),
	};
	__u64 version = WORKS(OP(SET, "key", VALUE("1"))).version;
	size_t i, cut;

	for (i = 1; i < NR(ops); i++) {
		/* The second operation is read-only as a whole, or its end is. */
		for (cut = 0; cut <= 60; cut += 60) {
			struct kcache_op *at = (struct kcache_op *)(pages + PAGE - sizeof(*at) - cut);
			struct kcache_batch batch = batch_of(at, 3);

			MUST(mprotect(pages, 2 * PAGE, PROT_READ | PROT_WRITE));
			at[0] = ops[0];
			at[1] = ops[i];
			at[2] = ops[2];
			MUST(mprotect(pages + PAGE, PAGE, PROT_READ));
			CASE("operation %zu, cut %zu", i, cut);
			CHECK_ERR(run_batch(&batch), 0);
			CHECK_EQ(batch.done, 1);
			CHECK_ERR(at[0].error, 0);
			time_passes();
			CHECK_EQ(WORKS(OP(STAT, "key")).version, version);

			batch = batch_of(pages + PAGE, 1);
			MUST(mprotect(pages, 2 * PAGE, PROT_READ | PROT_WRITE));
			*(struct kcache_op *)(pages + PAGE) = ops[i];
			MUST(mprotect(pages + PAGE, PAGE, PROT_READ));
			CHECK_ERR(run_batch(&batch), EFAULT);
			CHECK_EQ(batch.done, 0);
			time_passes();
			CHECK_EQ(WORKS(OP(STAT, "key")).version, version);
		}
	}
	HOLDS("key", "1");
}

TEST(batch_that_cannot_be_told_how_far_it_came_changes_nothing)
{
	char *page = map_pages(1, PROT_READ | PROT_WRITE);
	struct kcache_batch *batch = (struct kcache_batch *)page;
	struct kcache_op op = OP(SET, "key", VALUE("new"), .error = 9);

	*batch = batch_of(&op, 1);
	MUST(mprotect(page, PAGE, PROT_READ));
	CHECK_ERR(run_batch(batch), EFAULT);
	CHECK_EQ(op.error, 9);
	HOLDS_NOT("key");
}

static struct late_page late;

static void bring_zeros(struct late_page *page)
{
	milliseconds_pass(20);
	bring_page(page, "");
}

TEST(operations_that_come_late_are_waited_for)
{
	struct kcache_op *ops;
	char *pages = map_pages(2, PROT_READ | PROT_WRITE);
	int i;

	late_page_init(&late, bring_zeros);
	pages = mremap(late.page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, pages + PAGE);
	if (pages == MAP_FAILED)
		SKIP("mremap of a userfaultfd");
	/* The fd's events name the new place, as mremap is not asked for in features. */
	late.page = pages;
	ops = (struct kcache_op *)(pages - 2 * sizeof(*ops));
	for (i = 0; i < 2; i++)
		ops[i] = OP(SET, i ? "b" : "a", VALUE("x"));
	{
		struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };

		area.range.start = address(pages);
		area.range.len = PAGE;
		MUST(ioctl(late.fd, UFFDIO_REGISTER, &area));
	}
	/* The third is zeros when it is there, so its size is wrong. */
	BATCH_ENDS(ops, 3, 2);
	HOLDS("a", "x");
	HOLDS("b", "x");
}

static volatile int *arrived;

static void never_bring(struct late_page *page)
{
	(void)page;
	*arrived = 1;
	pause();
}

static void get_stuck(int nr)
{
	struct kcache_op ops[3] = { OP(SET, "before", VALUE("x")) };

	(void)nr;
	late_page_init(&late, never_bring);
	ops[1] = OP(SET, "stuck", BYTES(late.page, PAGE));
	ops[2] = OP(SET, "after", VALUE("x"));
	run_batch(&(struct kcache_batch) {
		.size = sizeof(struct kcache_batch), .op_size = sizeof(ops[0]),
		.ops = address(ops), .nr = 3,
	});
	_exit(KTAP_FAIL);
}

TEST(batch_that_is_stuck_in_a_fault_holds_up_nobody_and_can_be_killed)
{
	int status, i;
	pid_t pid;

	need_threads();
	arrived = shared_memory(sizeof(*arrived));
	set_neighbours();
	pid = start_process(get_stuck, 0);
	for (i = 0; !*arrived; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid && WEXITSTATUS(status) == KTAP_SKIP)
			_exit(KTAP_SKIP);
		CHECK(i < 20000);
		milliseconds_pass(1);
	}
	HOLDS("before", "x");
	HOLDS_NOT("after");
	HOLDS_NOT("stuck");
	WORKS(OP(SET, "stuck", VALUE("other")));
	check_neighbours();
	MUST(kill(pid, SIGKILL));
	MUST(waitpid(pid, &status, 0));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	HOLDS("stuck", "other");
	HOLDS_NOT("after");
	check_neighbours();
}

/* -------- memory that is another operation's -------- */

TEST(operation_that_an_earlier_one_writes_is_carried_out_as_written)
{
	char out[16] = "";
	struct kcache_op ops[4], written = OP(SET, "key", VALUE("written"));

	WORKS(OP(SET, "op", BYTES(&written, sizeof(written))));
	memset(ops, 0xff, sizeof(ops));
	ops[0] = OP(GET, "op", INTO_BYTES(&ops[1], sizeof(ops[1])));
	ops[2] = OP(GET, "key", INTO(out));
	ops[3] = OP(SET, "copy", BYTES(&ops[2], sizeof(ops[2])));
	BATCH(ops, 4);
	CHECK_ERR(ops[1].error, 0);
	CHECK(!strcmp(out, "written"));
	HOLDS_ON("copy", 4, &ops[2], sizeof(ops[2]));
}

TEST(operations_that_write_over_each_other_hurt_nobody)
{
	struct kcache_op ops[4];
	struct kcache_batch batch;
	char junk[2 * sizeof(ops)];
	int i, err;

	set_neighbours();
	memset(junk, 0xa5, sizeof(junk));
	WORKS(OP(SET, "junk", BYTES(junk, sizeof(ops))));
	WORKS(OP(SET, "small", BYTES(junk, sizeof(batch))));
	for (i = 0; i < 4; i++) {
		/* Over all of the operations, itself among them: the next one's size is wrong. */
		memset(ops, 0, sizeof(ops));
		ops[0] = ops[1] = ops[2] = ops[3] = OP(STAT, "junk");
		ops[i] = OP(GET, "junk", INTO_BYTES(ops, sizeof(ops)));
		BATCH_ENDS(ops, 4, i + 1);
		CHECK_EQ(ops[i].out_len, sizeof(ops));
		CHECK_ERR(ops[i].error, 0);
	}
	/* Over the batch: it was read before, and what it tells is written behind that. */
	ops[0] = OP(GET, "small", INTO_BYTES(&batch, sizeof(batch)));
	ops[1] = OP(SET, "key", VALUE("x"));
	batch = batch_of(ops, 2);
	CHECK_ERR(run_batch(&batch), 0);
	CHECK_EQ(batch.done, 2);
	CHECK_EQ(batch.nr, 0xa5a5a5a5);
	HOLDS("key", "x");
	/* Its own key, which was read before. */
	strcpy(junk, "small");
	ops[0] = OP(GET, junk, INTO_BYTES(junk, sizeof(junk)));
	BATCH(ops, 1);
	CHECK_ERR(ops[0].error, 0);
	/* The batch is the operation. */
	memset(ops, 0, sizeof(ops));
	batch = batch_of(ops, 1);
	batch.ops = address(&batch);
	err = run_batch(&batch);
	CHECK(err == -EINVAL || err == -EFAULT);
	check_neighbours();
}

/* -------- memory that changes meanwhile -------- */

#define ARENA	(8 * PAGE)

static char *arena;
static volatile bool stop;

static void *rewrite_batch(void *unused)
{
	static const __u64 values[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 24, 31, 64, 96, 100, 104, 1024, 1025, 4096, 4097,
		1 << 20, 1U << 31, ~0U, 1ULL << 32, 1ULL << 63, ~0ULL, 0xffff888000000000ULL,
	};
	__u64 seed = ktap_seed, which;

	(void)unused;
	while (!stop) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		which = seed >> 33;
		if (which % 5 == 0)
			((volatile __u32 *)arena)[which / 5 % 6] = values[which / 30 % NR(values)];
		else if (which % 3)
			((volatile __u64 *)(arena + PAGE))[which / 3 % (12 * 20)] =
				values[which / 1000 % NR(values)];
		else
			((volatile __u32 *)(arena + PAGE))[which / 3 % (24 * 20)] =
				values[which / 1000 % NR(values)];
		if (which % 7 == 0)
			((volatile __u64 *)(arena + PAGE))[which / 7 % 20 * 12 + 2] =
				address(arena + 3 * PAGE);
	}
	return NULL;
}

TEST(batch_that_is_rewritten_during_the_call_hurts_nobody)
{
	struct kcache_batch *batch;
	pthread_t thread;
	int round, i, err, far = 0;

	need_threads();
	arena = map_pages(ARENA / PAGE, PROT_READ | PROT_WRITE);
	batch = (struct kcache_batch *)arena;
	memset(arena + 3 * PAGE, 'k', PAGE);
	set_neighbours();
	CHECK(!pthread_create(&thread, NULL, rewrite_batch, NULL));
	for (round = 0; round < 3000; round++) {
		struct kcache_op *ops = (struct kcache_op *)(arena + PAGE);

		for (i = 0; i < 20; i++)
			ops[i] = OP_ON(SET, arena + 3 * PAGE, 1 + (round + i) % 1024,
				       BYTES(arena + 4 * PAGE, (round + i) % 3000),
				       INTO_BYTES(arena + 5 * PAGE, 3000), .opcode = 1 + (round + i) % 9);
		*batch = batch_of(ops, 20);
		err = run_batch(batch);
		CASE("round %d: %s", round, ktap_errno(-err));
		CHECK(!err || err == -EINVAL || err == -EFAULT || err == -E2BIG);
		far += !err;
	}
	stop = true;
	pthread_join(thread, NULL);
	NOTE("%d of %d were carried out in part at least", far, round);
	CHECK(far > 10);	/* else it tested little */
	check_neighbours();
}

/* -------- signals -------- */

static volatile int nr_alarms;

static void on_alarm(int nr)
{
	(void)nr;
	nr_alarms++;
}

/* A signal ends a batch between two operations, whichever: done says which. */
TEST(signal_ends_a_batch_between_two_operations)
{
	struct sigaction action = { .sa_handler = on_alarm };	/* no SA_RESTART */
	struct itimerval interval = { .it_interval.tv_usec = 7000, .it_value.tv_usec = 7000 };
	static struct kcache_op ops[KCACHE_BATCH_MAX];
	static char keys[KCACHE_BATCH_MAX][8];
	char *value = malloc(8 * KIB);
	__u32 nr_short = 0, nr_none = 0, i;
	int round;

	for (i = 0; i < KCACHE_BATCH_MAX; i++)
		snprintf(keys[i], sizeof(keys[i]), "%u", i);
	MUST(sigaction(SIGALRM, &action, NULL));
	MUST(setitimer(ITIMER_REAL, &interval, NULL));
	for (round = 0; round < 2000 && (round < 20 || !nr_short); round++) {
		struct kcache_batch batch = batch_of(ops, KCACHE_BATCH_MAX);
		int err;

		memset(value, round, 8 * KIB);
		for (i = 0; i < KCACHE_BATCH_MAX; i++)
			ops[i] = OP(SET, keys[i], BYTES(value, 8 * KIB), .client_flags = round + 1,
				    .error = 9);
		err = run_batch(&batch);
		CASE("round %d: %s, %u done", round, ktap_errno(-err), batch.done);
		CHECK(!err || err == -EINTR);
		CHECK(batch.done <= KCACHE_BATCH_MAX);
		CHECK(!err == !!batch.done);
		for (i = 0; i < KCACHE_BATCH_MAX; i++)
			CHECK_EQ(ops[i].error, i < batch.done ? 0 : 9);
		/* The last that was carried out is there, the next is not. */
		if (batch.done) {
			struct kcache_op stat = OP(STAT, keys[batch.done - 1]);

			CHECK_ERR(run(&stat), 0);
			CHECK_EQ(stat.client_flags, (__u32)round + 1);
		}
		if (batch.done < KCACHE_BATCH_MAX) {
			struct kcache_op stat = OP(STAT, keys[batch.done]);

			if (!run(&stat))
				CHECK(stat.client_flags != (__u32)round + 1);
		}
		nr_short += batch.done && batch.done < KCACHE_BATCH_MAX;
		nr_none += !batch.done;
	}
	memset(&interval, 0, sizeof(interval));
	MUST(setitimer(ITIMER_REAL, &interval, NULL));
	NOTE("%d signals: %u batches of %d ended early, %u before they began", nr_alarms, nr_short,
	     round, nr_none);
	CHECK(nr_short);
}

static void batch_for_ever(int nr)
{
	static struct kcache_op ops[KCACHE_BATCH_MAX];
	char *value = calloc(1, 100 * KIB);
	int i;

	(void)nr;
	for (i = 0; i < KCACHE_BATCH_MAX; i++)
		ops[i] = OP(SET, i % 2 ? "odd" : "even", BYTES(value, 100 * KIB));
	for (;;) {
		struct kcache_batch batch = batch_of(ops, KCACHE_BATCH_MAX);

		run_batch(&batch);
		*arrived = 1;
	}
}

TEST(process_that_is_killed_in_a_batch_leaves_everything_whole)
{
	int round, status;
	pid_t pid;

	arrived = shared_memory(sizeof(*arrived));
	set_neighbours();
	for (round = 0; round < 8; round++) {
		*arrived = 0;
		pid = start_process(batch_for_ever, 0);
		if (round % 2)
			while (!*arrived)
				milliseconds_pass(1);
		milliseconds_pass(random_below(30));
		MUST(kill(pid, SIGKILL));
		MUST(waitpid(pid, &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	check_neighbours();
}

/* -------- many processes -------- */

#define PROCESSES	4
#define NR_SUMS		5
#define ROUNDS		60

static __s64 *sums;	/* in shared memory */

static void add_in_batches(int nr)
{
	static struct kcache_op ops[300];
	char keys[NR_SUMS][8];
	int round, i;

	(void)nr;
	for (i = 0; i < NR_SUMS; i++)
		snprintf(keys[i], sizeof(keys[i]), "sum%d", i);
	for (round = 0; round < ROUNDS; round++) {
		struct kcache_op *op = ops;
		int size = 1 + random_below(NR(ops));

		for (; op < ops + size; op++) {
			int which = random_below(NR_SUMS);
			__s64 delta = (__s64)random_below(2000001) - 1000000;

			*op = OP(ADD, keys[which], .delta = delta, .number = delta,
				 .flags = KCACHE_INITIAL);
			__atomic_add_fetch(&sums[which], delta, __ATOMIC_SEQ_CST);
		}
		BATCH(ops, size);
		for (op = ops; op < ops + size; op++)
			CHECK_ERR(op->error, 0);
	}
}

TEST(sums_of_processes_that_add_in_batches_are_exact)
{
	char key[8], text[32];
	int i;

	sums = shared_memory(NR_SUMS * sizeof(*sums));
	in_processes(PROCESSES, add_in_batches);
	for (i = 0; i < NR_SUMS; i++) {
		snprintf(key, sizeof(key), "sum%d", i);
		snprintf(text, sizeof(text), "%lld", (long long)sums[i]);
		HOLDS(key, text);
	}
}

/* Each operation is atomic by itself, so those of several batches interleave. */
static void pop_in_batches(int nr)
{
	static struct kcache_op ops[100];
	static char keys[100][8];
	static int values[100];
	int first, i;

	(void)nr;
	for (first = 0; first < 2000; first += 100) {
		for (i = 0; i < 100; i++) {
			snprintf(keys[i], sizeof(keys[i]), "t%d", first + i);
			ops[i] = OP(POP, keys[i], INTO_BYTES(&values[i], sizeof(values[i])));
		}
		BATCH(ops, 100);
		for (i = 0; i < 100; i++) {
			if (ops[i].error) {
				CHECK_ERR(ops[i].error, ENOENT);
				continue;
			}
			CHECK_EQ(values[i], first + i);
			__atomic_add_fetch(&sums[first + i], 1, __ATOMIC_SEQ_CST);
		}
	}
}

TEST(each_entry_is_popped_by_one_of_many_batches)
{
	char key[16];
	int i;

	sums = shared_memory(2000 * sizeof(*sums));
	for (i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "t%d", i);
		WORKS(OP(SET, key, BYTES(&i, sizeof(i))));
	}
	in_processes(PROCESSES, pop_in_batches);
	for (i = 0; i < 2000; i++) {
		CASE("token %d", i);
		CHECK_EQ(sums[i], 1);
	}
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
