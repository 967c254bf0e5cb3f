// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_op: every operation on a key that is there, is not there or has expired,
 * under every condition.
 */
#include "helpers.h"

#define OLD_FLAGS	7

enum before { ABSENT, PRESENT, MORTAL, EXPIRED };

/**
 * struct op_case - an operation and what comes of it
 * @name: says so
 * @before: what there is under the key; the value is @old, or "10"
 * @op: IF_VERSION demands the entry's version, and another with version = 1
 * @old: value there is under the key
 * @value: of @op
 * @err: that is expected
 * @after: value that the key has then, NULL: it is absent
 * @out: value that comes out, NULL: none is looked at
 * @keeps_ttl: an entry that was MORTAL is so afterwards, and no other
 */
struct op_case {
	const char *name;
	enum before before;
	struct kcache_op op;
	const char *old;
	const char *value;
	int err;
	const char *after;
	const char *out;
	bool keeps_ttl;
};

#define OP(code, ...)	{ .opcode = KCACHE_OP_##code, __VA_ARGS__ }
#define FLAGS(flag)	.flags = KCACHE_##flag
#define OTHER_VERSION	.version = 1
#define LONG		"0123456789012345678901234567890123456789"

static const struct op_case op_cases[] = {
	{ "get_absent", ABSENT, OP(GET), .err = -ENOENT },
	{ "get", PRESENT, OP(GET), .after = "10", .out = "10" },
	{ "get_mortal", MORTAL, OP(GET), .after = "10", .out = "10", .keeps_ttl = true },
	{ "get_expired", EXPIRED, OP(GET), .err = -ENOENT },
	{ "get_to_short_buffer", PRESENT, OP(GET, .out_len = 1), .err = -EMSGSIZE, .after = "10" },
	{ "get_touch_absent", ABSENT, OP(GET, FLAGS(TOUCH)), .err = -ENOENT },
	{ "get_touch", MORTAL, OP(GET, FLAGS(TOUCH)), .after = "10", .out = "10" },
	{ "get_touch_expired", EXPIRED, OP(GET, FLAGS(TOUCH)), .err = -ENOENT },
	{ "get_touch_to_short_buffer", MORTAL, OP(GET, FLAGS(TOUCH), .out_len = 1),
	  .err = -EMSGSIZE, .after = "10", .keeps_ttl = true },

	{ "set_absent", ABSENT, OP(SET), .value = "new", .after = "new" },
	{ "set", PRESENT, OP(SET), .value = "new", .after = "new" },
	{ "set_mortal_is_immortal", MORTAL, OP(SET), .value = "new", .after = "new" },
	{ "set_expired", EXPIRED, OP(SET), .value = "new", .after = "new" },
	{ "set_nothing", PRESENT, OP(SET), .value = "", .after = "" },
	{ "set_if_absent_absent", ABSENT, OP(SET, FLAGS(IF_ABSENT)), .value = "new",
	  .after = "new" },
	{ "set_if_absent", PRESENT, OP(SET, FLAGS(IF_ABSENT)), .value = "new", .err = -EEXIST,
	  .after = "10" },
	{ "set_if_absent_expired", EXPIRED, OP(SET, FLAGS(IF_ABSENT)), .value = "new",
	  .after = "new" },
	{ "set_if_present_absent", ABSENT, OP(SET, FLAGS(IF_PRESENT)), .value = "new",
	  .err = -ENOENT },
	{ "set_if_present", PRESENT, OP(SET, FLAGS(IF_PRESENT)), .value = "new", .after = "new" },
	{ "set_if_present_expired", EXPIRED, OP(SET, FLAGS(IF_PRESENT)), .value = "new",
	  .err = -ENOENT },
	{ "set_if_version_absent", ABSENT, OP(SET, FLAGS(IF_VERSION)), .value = "new",
	  .err = -ENOENT },
	{ "set_if_version", PRESENT, OP(SET, FLAGS(IF_VERSION)), .value = "new", .after = "new" },
	{ "set_if_other_version", PRESENT, OP(SET, FLAGS(IF_VERSION), OTHER_VERSION),
	  .value = "new", .err = -ESTALE, .after = "10" },
	{ "set_if_version_expired", EXPIRED, OP(SET, FLAGS(IF_VERSION)), .value = "new",
	  .err = -ENOENT },
	{ "set_keep_ttl_absent", ABSENT, OP(SET, FLAGS(KEEP_TTL)), .value = "new", .after = "new" },
	{ "set_keep_ttl_immortal", PRESENT, OP(SET, FLAGS(KEEP_TTL), .ttl_ms = 1), .value = "new",
	  .after = "new" },
	{ "set_keep_ttl", MORTAL, OP(SET, FLAGS(KEEP_TTL)), .value = "new", .after = "new",
	  .keeps_ttl = true },
	{ "set_keep_ttl_expired", EXPIRED, OP(SET, FLAGS(KEEP_TTL)), .value = "new",
	  .after = "new" },
	{ "set_return_old_absent", ABSENT, OP(SET, FLAGS(RETURN_OLD)), .value = "new",
	  .after = "new" },
	{ "set_return_old", PRESENT, OP(SET, FLAGS(RETURN_OLD)), .value = "new", .after = "new",
	  .out = "10" },
	{ "set_return_old_expired", EXPIRED, OP(SET, FLAGS(RETURN_OLD)), .value = "new",
	  .after = "new" },
	{ "set_return_old_to_short_buffer", PRESENT, OP(SET, FLAGS(RETURN_OLD), .out_len = 1),
	  .value = "new", .err = -EMSGSIZE, .after = "10" },
	{ "set_return_old_if_version", PRESENT,
	  OP(SET, .flags = KCACHE_RETURN_OLD | KCACHE_IF_VERSION), .value = "new",
	  .after = "new", .out = "10" },
	{ "set_return_old_if_other_version", PRESENT,
	  OP(SET, .flags = KCACHE_RETURN_OLD | KCACHE_IF_VERSION, OTHER_VERSION), .value = "new",
	  .err = -ESTALE, .after = "10" },

	{ "remove_absent", ABSENT, OP(REMOVE), .err = -ENOENT },
	{ "remove", PRESENT, OP(REMOVE) },
	{ "remove_expired", EXPIRED, OP(REMOVE), .err = -ENOENT },
	{ "remove_if_version_absent", ABSENT, OP(REMOVE, FLAGS(IF_VERSION)), .err = -ENOENT },
	{ "remove_if_version", PRESENT, OP(REMOVE, FLAGS(IF_VERSION)) },
	{ "remove_if_other_version", PRESENT, OP(REMOVE, FLAGS(IF_VERSION), OTHER_VERSION),
	  .err = -ESTALE, .after = "10" },

	{ "pop_absent", ABSENT, OP(POP), .err = -ENOENT },
	{ "pop", PRESENT, OP(POP), .out = "10" },
	{ "pop_expired", EXPIRED, OP(POP), .err = -ENOENT },
	{ "pop_to_short_buffer", PRESENT, OP(POP, .out_len = 1), .err = -EMSGSIZE, .after = "10" },

	{ "stat_absent", ABSENT, OP(STAT), .err = -ENOENT },
	{ "stat", MORTAL, OP(STAT), .after = "10", .keeps_ttl = true },
	{ "stat_expired", EXPIRED, OP(STAT), .err = -ENOENT },

	{ "touch_absent", ABSENT, OP(TOUCH), .err = -ENOENT },
	{ "touch_to_immortal", MORTAL, OP(TOUCH), .after = "10" },
	{ "touch_expired", EXPIRED, OP(TOUCH), .err = -ENOENT },

	{ "add_absent", ABSENT, OP(ADD, .delta = 1), .err = -ENOENT },
	{ "add", PRESENT, OP(ADD, .delta = 32), .after = "42" },
	{ "add_keeps_ttl", MORTAL, OP(ADD, .delta = 1), .after = "11", .keeps_ttl = true },
	{ "add_negative", PRESENT, OP(ADD, .delta = -11), .after = "-1" },
	{ "add_that_needs_more_room", MORTAL, OP(ADD, .delta = 1000000), .after = "1000010",
	  .keeps_ttl = true },
	{ "add_that_needs_less_room", PRESENT, OP(ADD, .delta = -1234560), .old = "1234567",
	  .after = "7" },
	{ "add_expired", EXPIRED, OP(ADD, .delta = 1), .err = -ENOENT },
	{ "add_initial_absent", ABSENT, OP(ADD, FLAGS(INITIAL), .number = -5, .delta = 1),
	  .after = "-5" },
	{ "add_initial", PRESENT, OP(ADD, FLAGS(INITIAL), .number = -5, .delta = 1),
	  .after = "11" },
	{ "add_initial_expired", EXPIRED, OP(ADD, FLAGS(INITIAL), .number = -5, .delta = 1),
	  .after = "-5" },
	{ "add_up_to_the_greatest", PRESENT, OP(ADD, .delta = 7), .old = "9223372036854775800",
	  .after = "9223372036854775807" },
	{ "add_over_the_greatest", PRESENT, OP(ADD, .delta = 8), .old = "9223372036854775800",
	  .err = -ERANGE, .after = "9223372036854775800" },
	{ "add_down_to_the_least", PRESENT, OP(ADD, .delta = -8), .old = "-9223372036854775800",
	  .after = "-9223372036854775808" },
	{ "add_below_the_least", PRESENT, OP(ADD, .delta = -9), .old = "-9223372036854775800",
	  .err = -ERANGE, .after = "-9223372036854775800" },
	{ "add_to_text", PRESENT, OP(ADD), .old = "12a", .err = -ERANGE, .after = "12a" },
	{ "add_to_nothing", PRESENT, OP(ADD), .old = "", .err = -ERANGE, .after = "" },
	{ "add_to_plus", PRESENT, OP(ADD), .old = "+1", .err = -ERANGE, .after = "+1" },
	{ "add_to_line", PRESENT, OP(ADD), .old = "1\n", .err = -ERANGE, .after = "1\n" },
	{ "add_to_long_number", PRESENT, OP(ADD), .old = LONG, .err = -ERANGE, .after = LONG },
	{ "add_to_hex", PRESENT, OP(ADD), .old = "0x10", .err = -ERANGE, .after = "0x10" },

	{ "append_absent", ABSENT, OP(APPEND), .value = "ab", .err = -ENOENT },
	{ "append", PRESENT, OP(APPEND), .value = "ab", .after = "10ab" },
	{ "append_keeps_ttl", MORTAL, OP(APPEND), .value = "ab", .after = "10ab",
	  .keeps_ttl = true },
	{ "append_nothing", PRESENT, OP(APPEND), .value = "", .after = "10" },
	{ "append_to_nothing", PRESENT, OP(APPEND), .old = "", .value = "ab", .after = "ab" },
	{ "append_expired", EXPIRED, OP(APPEND), .value = "ab", .err = -ENOENT },
	{ "append_if_version_absent", ABSENT, OP(APPEND, FLAGS(IF_VERSION)), .value = "ab",
	  .err = -ENOENT },
	{ "append_if_version", PRESENT, OP(APPEND, FLAGS(IF_VERSION)), .value = "ab",
	  .after = "10ab" },
	{ "append_if_other_version", PRESENT, OP(APPEND, FLAGS(IF_VERSION), OTHER_VERSION),
	  .value = "ab", .err = -ESTALE, .after = "10" },
	{ "prepend_absent", ABSENT, OP(PREPEND), .value = "ab", .err = -ENOENT },
	{ "prepend", PRESENT, OP(PREPEND), .value = "ab", .after = "ab10" },
	{ "prepend_expired", EXPIRED, OP(PREPEND), .value = "ab", .err = -ENOENT },
	{ "prepend_if_version", MORTAL, OP(PREPEND, FLAGS(IF_VERSION)), .value = "ab",
	  .after = "ab10", .keeps_ttl = true },
	{ "prepend_if_other_version", PRESENT, OP(PREPEND, FLAGS(IF_VERSION), OTHER_VERSION),
	  .value = "ab", .err = -ESTALE, .after = "10" },
};

static void op_case_name(const struct op_case *op_case, char *name)
{
	strscpy(name, op_case->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(op_case, op_cases, op_case_name);

/* What a SET in a case left behind was made by others than the case's operation. */
static bool is_new_entry(const struct op_case *c)
{
	return c->op.opcode == KCACHE_OP_SET || c->before == ABSENT || c->before == EXPIRED;
}

static u64 make_before(struct kunit *test, struct kc_cache *cache, const struct op_case *c)
{
	struct kt_op set = {
		.op = { .opcode = KCACHE_OP_SET, .client_flags = OLD_FLAGS },
		.key = "key",
		.value = c->old ?: "10",
	};

	if (c->before == ABSENT)
		return 0;
	if (c->before != PRESENT)
		set.op.ttl_ms = c->before == MORTAL ? KT_HOUR_MS : 1;
	KUNIT_ASSERT_EQ(test, kt_run(cache, &set), 0);
	if (c->before == EXPIRED)
		kt_sleep_past(1);
	return set.op.version;
}

static void expect_results(struct kunit *test, const struct op_case *c, const struct kt_op *op,
			   u64 version)
{
	u32 opcode = c->op.opcode;

	if (c->err == -EMSGSIZE)
		KUNIT_EXPECT_EQ(test, op->op.out_len, 2);
	if (c->err)
		return;
	if (c->out) {
		KUNIT_EXPECT_EQ(test, op->op.out_len, strlen(c->out));
		KUNIT_EXPECT_STREQ(test, op->out, c->out);
	}
	if (opcode == KCACHE_OP_GET || opcode == KCACHE_OP_POP || opcode == KCACHE_OP_STAT) {
		KUNIT_EXPECT_EQ(test, op->op.client_flags, OLD_FLAGS);
		KUNIT_EXPECT_EQ(test, op->op.ttl_ms > KT_HOUR_MS / 2, c->keeps_ttl);
		if (!c->op.flags)
			KUNIT_EXPECT_EQ(test, op->op.version, version);
	}
	if (opcode == KCACHE_OP_APPEND || opcode == KCACHE_OP_PREPEND)
		KUNIT_EXPECT_EQ(test, op->op.out_len, strlen(c->after));
	if (opcode == KCACHE_OP_ADD) {
		char number[24];

		snprintf(number, sizeof(number), "%lld", op->op.number);
		KUNIT_EXPECT_STREQ(test, number, c->after);
	}
	if (opcode == KCACHE_OP_SET && c->op.flags & KCACHE_RETURN_OLD && !c->out)
		KUNIT_EXPECT_EQ(test, op->op.out_len, KCACHE_ABSENT);
}

/* Does an operation that succeeds give the entry a new version? */
static bool changes(const struct op_case *c)
{
	return !c->err && c->op.opcode != KCACHE_OP_STAT &&
	       (c->op.opcode != KCACHE_OP_GET || c->op.flags & KCACHE_TOUCH);
}

static struct kc_cache shared;

static void operation(struct kunit *test)
{
	const struct op_case *c = test->param_value;
	struct kt_op op = { .op = c->op, .key = "key", .value = c->value };
	struct kc_cache *cache = &shared;
	struct kcache_op now;
	u64 version;

	kt_remove(cache, "key");
	version = make_before(test, cache, c);
	if (op.op.flags & KCACHE_IF_VERSION)
		op.op.version += version;
	KUNIT_EXPECT_EQ(test, kt_run(cache, &op), c->err);
	expect_results(test, c, &op, version);

	kt_expect_value(test, cache, "key", c->after);
	kt_check_table(test, &cache->table);
	if (kt_stat(cache, "key", &now))
		return;
	KUNIT_EXPECT_EQ(test, now.client_flags, is_new_entry(c) && !c->err ? 0 : OLD_FLAGS);
	KUNIT_EXPECT_EQ(test, now.ttl_ms > KT_HOUR_MS / 2, c->keeps_ttl);
	KUNIT_EXPECT_EQ(test, now.version != version, changes(c));
	if (changes(c) && c->op.opcode != KCACHE_OP_POP)
		KUNIT_EXPECT_EQ(test, now.version, op.op.version);
}

/* One cache for all, since a hundred would take as many grace periods to go. */
static int make_cache(struct kunit_suite *suite)
{
	memset(&shared, 0, sizeof(shared));
	return kc_cache_init(&shared, "kunit", SZ_1M);
}

static void drop_cache(struct kunit_suite *suite)
{
	kc_cache_exit(&shared);
	WARN_ON(atomic64_read(&shared.arena.used_bytes));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(operation, op_case_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_op",
	.suite_init = make_cache,
	.suite_exit = drop_cache,
	.test_cases = cases,
};

kunit_test_suite(suite);
