// SPDX-License-Identifier: GPL-2.0
/*
 * kcache_text: the line codec, and read and write on an open file.
 */
#include <linux/slab.h>

#include "helpers.h"
#include "text.h"

#define MIB	((u64)SZ_1M)
#define PIECE	(16 << 10)	/* what a write takes at a time */

/* -------- the codec -------- */

/* Takes a copy of @line apart; a string literal must not be written to. */
static int decode(struct kunit *test, const char *line, size_t len, struct kc_line *decoded)
{
	char *copy = kunit_kmalloc(test, len + 1, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, copy);
	memcpy(copy, line, len);
	copy[len] = '\n';
	return kc_line_decode(copy, len, decoded);
}

static void line_is_taken_apart(struct kunit *test)
{
	static const struct {
		const char *line, *key, *value;
		u64 ttl_ms;
		u32 flags;
	} cases[] = {
		{ "key value", "key", "value" },
		{ "k  two  spaces ", "k", " two  spaces " },
		{ "k ", "k", "" },
		{ " v", "", "v" },		/* an empty key is for kc_call_check() */
		{ "k @v", "k", "@v" },
		{ "\\x40k v", "@k", "v" },
		{ "a@b v", "a@b", "v" },
		{ "\\x6b\\x20 \\x41\\xffz", "k ", "A\xffz" },
		{ "\\n\\t\\r\\\\ \\n\\t\\r\\\\", "\n\t\r\\", "\n\t\r\\" },
		{ "\\xAf \\xaF", "\xaf", "\xaf" },
		{ "@ttl_ms=30000 k v", "k", "v", 30000 },
		{ "@flags=5 k v", "k", "v", 0, 5 },
		{ "@ttl_ms=1,flags=4294967295 k v", "k", "v", 1, 4294967295U },
		{ "@flags=7,ttl_ms=18446744073709551615 k v", "k", "v", ~0ULL, 7 },
		{ "@ttl_ms=0,flags=0 k v", "k", "v" },
		{ "@ttl_ms=007 k v", "k", "v", 7 },
	};
	struct kc_line line;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_EXPECT_EQ_MSG(test, decode(test, cases[i].line, strlen(cases[i].line), &line),
				    0, "%s", cases[i].line);
		KUNIT_ASSERT_EQ(test, line.key_len, strlen(cases[i].key));
		KUNIT_ASSERT_EQ(test, line.value_len, strlen(cases[i].value));
		KUNIT_EXPECT_MEMEQ(test, line.key, cases[i].key, line.key_len);
		KUNIT_EXPECT_MEMEQ(test, line.value, cases[i].value, line.value_len);
		KUNIT_EXPECT_EQ(test, line.ttl_ms, cases[i].ttl_ms);
		KUNIT_EXPECT_EQ(test, line.client_flags, cases[i].flags);
	}
}

static const char * const malformed[] = {
	"", "key", "\\x20",					/* no space */
	"\\ v", "k \\", "k \\a", "k \\0", "k\\v v", "k \\N",	/* no such escape */
	"k \\x", "k \\x4", "k \\xg1", "k \\x1g", "k\\x4 v", "k \\x 1",
	"@", "@ ", "@ k v", "@ttl_ms", "@ttl_ms k v", "@ttl_ms= k v", "@ttl_ms=5", "@ttl_ms=5 ",
	"@ttl_ms=5 k", "@ttl=5 k v", "@TTL_MS=5 k v", "@ttl_ms=-5 k v", "@ttl_ms=+5 k v",
	"@ttl_ms=5s k v", "@ttl_ms=0x5 k v", "@ttl_ms=18446744073709551616 k v",
	"@ttl_ms=1, k v", "@,ttl_ms=1 k v", "@ttl_ms=1,,flags=1 k v", "@ttl_ms=1;flags=1 k v",
	"@ttl_ms==1 k v", "@=1 k v", "@flags=4294967296 k v", "@flags=-1 k v", "@flags= 1 k v",
	"@ttl_ms=1 \\q v", "@k v",
};

static void malformed_line_is_einval(struct kunit *test)
{
	struct kc_line line;
	int i;

	for (i = 0; i < ARRAY_SIZE(malformed); i++)
		KUNIT_EXPECT_EQ_MSG(test, decode(test, malformed[i], strlen(malformed[i]), &line),
				    -EINVAL, "\"%s\"", malformed[i]);
	KUNIT_EXPECT_EQ(test, decode(test, "@ttl_ms=5\0 k v", 14, &line), -EINVAL);
	KUNIT_EXPECT_EQ(test, decode(test, "@ttl_ms\0=5 k v", 14, &line), -EINVAL);
}

/* Renders all of @copy, at most @size bytes at a time. */
static size_t encode(const struct kc_copy *copy, char *out, size_t size)
{
	size_t at = 0, len = 0;

	while (at <= copy->key_len + copy->value_len)
		len += kc_line_encode(copy, &at, out + len, size);
	return len;
}

/* Does an entry come through, rendered in pieces of @size? */
static void expect_round_trip(struct kunit *test, const struct kc_copy *copy, size_t size)
{
	size_t longest = 4 * (copy->key_len + copy->value_len) + 66 + size, len;
	char *text = kunit_kmalloc(test, longest, GFP_KERNEL);
	struct kc_line line;

	len = encode(copy, text, size);
	KUNIT_ASSERT_EQ(test, text[len - 1], '\n');
	KUNIT_EXPECT_PTR_EQ(test, memchr(text, '\n', len), text + len - 1);
	KUNIT_EXPECT_EQ(test, kc_line_decode(text, len - 1, &line), 0);
	KUNIT_EXPECT_EQ(test, line.ttl_ms, copy->ttl_ms);
	KUNIT_EXPECT_EQ(test, line.client_flags, copy->client_flags);
	KUNIT_ASSERT_EQ(test, line.key_len, copy->key_len);
	KUNIT_ASSERT_EQ(test, line.value_len, copy->value_len);
	KUNIT_EXPECT_MEMEQ(test, line.key, copy->data, copy->key_len);
	KUNIT_EXPECT_MEMEQ(test, line.value, copy->data + copy->key_len, copy->value_len);
	kunit_kfree(test, text);
}

static void every_byte_comes_through_in_key_and_value(struct kunit *test)
{
	u8 data[512];
	struct kc_copy copy = { .data = data };
	int i;

	for (i = 0; i < 256; i++) {
		data[0] = i;
		data[1] = i;
		copy.key_len = 1;		/* first in the key, first in the value */
		copy.value_len = 1;
		expect_round_trip(test, &copy, 64);
		copy.key_len = 2;		/* second */
		copy.value_len = 0;
		expect_round_trip(test, &copy, 64);
	}
	for (i = 0; i < 512; i++)
		data[i] = i;
	copy.key_len = 256;
	copy.value_len = 256;
	expect_round_trip(test, &copy, 4096);
}

static void line_rendered_in_small_pieces_is_the_same(struct kunit *test)
{
	u8 data[300];
	struct kc_copy copy = {
		.data = data,
		.ttl_ms = ~0ULL,
		.client_flags = ~0U,
	};
	size_t size, len, whole;
	char *in_one, *in_pieces;
	int i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 11;
	in_one = kunit_kmalloc(test, 2000, GFP_KERNEL);
	in_pieces = kunit_kmalloc(test, 2000, GFP_KERNEL);
	for (copy.key_len = 1; copy.key_len < sizeof(data); copy.key_len += 50) {
		copy.value_len = sizeof(data) - copy.key_len;
		whole = encode(&copy, in_one, 1500);
		for (size = 64; size < 100; size++) {
			len = encode(&copy, in_pieces, size);
			KUNIT_ASSERT_EQ(test, len, whole);
			KUNIT_EXPECT_MEMEQ(test, in_pieces, in_one, len);
			expect_round_trip(test, &copy, size);
		}
	}
}

static void text_that_needs_no_escape_is_as_it_is(struct kunit *test)
{
	struct kc_copy copy = { .data = "greeting hello world", .key_len = 8, .value_len = 12 };
	char out[128];
	size_t len = encode(&copy, out, sizeof(out));

	KUNIT_EXPECT_EQ(test, len, 22);
	KUNIT_EXPECT_MEMEQ(test, out, "greeting  hello world\n", 22);
	copy.ttl_ms = 30000;
	copy.client_flags = 5;
	len = encode(&copy, out, sizeof(out));
	KUNIT_EXPECT_MEMEQ(test, out, "@ttl_ms=30000,flags=5 greeting  hello world\n", len);
}

/* -------- an open file -------- */

static void text_exit(void *text)
{
	kc_text_exit(text);
}

static struct kc_text *open_text(struct kunit *test)
{
	struct kc_text *text = kunit_kzalloc(test, sizeof(*text), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, text);
	kc_text_init(text);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, text_exit, text), 0);
	return text;
}

static ssize_t write_bytes(struct kc_text *text, struct kc_cache *cache, const char *bytes,
			   size_t len)
{
	struct kvec vec = { .iov_base = (void *)bytes, .iov_len = len };
	struct iov_iter from;

	iov_iter_kvec(&from, ITER_SOURCE, &vec, 1, len);
	return kc_text_write(text, cache, &from, false);
}

static ssize_t write_string(struct kc_text *text, struct kc_cache *cache, const char *string)
{
	return write_bytes(text, cache, string, strlen(string));
}

static ssize_t read_bytes(struct kc_text *text, struct kc_cache *cache, char *bytes, size_t len)
{
	struct kvec vec = { .iov_base = bytes, .iov_len = len };
	struct iov_iter to;

	iov_iter_kvec(&to, ITER_DEST, &vec, 1, len);
	return kc_text_read(text, cache, &to, false);
}

static void lines_are_stored(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kc_text *text = open_text(test);
	struct kcache_op is;

	KUNIT_EXPECT_EQ(test, write_string(text, cache, "a 1\nb 2\n@ttl_ms=100000,flags=9 c 3\n"),
			35);
	KUNIT_EXPECT_FALSE(test, kc_text_is_incomplete(text));
	kt_expect_value(test, cache, "a", "1");
	kt_expect_value(test, cache, "b", "2");
	kt_expect_value(test, cache, "c", "3");
	KUNIT_EXPECT_EQ(test, kt_stat(cache, "c", &is), 0);
	KUNIT_EXPECT_EQ(test, is.client_flags, 9);
	KUNIT_EXPECT_GT(test, is.ttl_ms, 50000);
	KUNIT_EXPECT_LE(test, is.ttl_ms, 100000);
	KUNIT_EXPECT_EQ(test, write_string(text, cache, ""), 0);
}

static void line_may_be_split_over_writes_anywhere(struct kunit *test)
{
	static const char line[] = "@ttl_ms=90000 k\\x41ey va\\nlue\nnext 1\n";
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kc_text *text = open_text(test);
	int at, len = strlen(line);

	for (at = 1; at < len; at++) {
		kt_remove(cache, "kAey");
		KUNIT_EXPECT_EQ(test, write_bytes(text, cache, line, at), at);
		KUNIT_EXPECT_EQ(test, kc_text_is_incomplete(text), line[at - 1] != '\n');
		KUNIT_EXPECT_EQ(test, write_bytes(text, cache, line + at, len - at), len - at);
		KUNIT_EXPECT_FALSE(test, kc_text_is_incomplete(text));
		kt_expect_value(test, cache, "kAey", "va\nlue");
		kt_expect_value(test, cache, "next", "1");
	}
}

static void malformed_line_ends_a_write_after_the_lines_before_it(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kc_text *text = open_text(test);
	char all[100];
	int i;

	for (i = 0; i < ARRAY_SIZE(malformed); i++) {
		kt_remove(cache, "good");
		snprintf(all, sizeof(all), "good 1\n%s\nlater 1\n", malformed[i]);
		KUNIT_EXPECT_EQ(test, write_string(text, cache, all), 7);
		KUNIT_EXPECT_EQ(test, write_string(text, cache, all + 7), -EINVAL);
		KUNIT_EXPECT_FALSE(test, kc_text_is_incomplete(text));
		kt_expect_value(test, cache, "good", "1");
		kt_expect_value(test, cache, "later", NULL);
	}
	/* What the operation refuses: an empty key, a key too long, a ttl too long. */
	KUNIT_EXPECT_EQ(test, write_string(text, cache, " v\n"), -EINVAL);
	KUNIT_EXPECT_EQ(test, write_string(text, cache, "@ttl_ms=1099511627777 k v\n"), -EINVAL);
	/* The start of a line that was taken earlier goes with the rest of it. */
	KUNIT_EXPECT_EQ(test, write_string(text, cache, "begun "), 6);
	KUNIT_EXPECT_EQ(test, write_string(text, cache, "\\q\n"), -EINVAL);
	KUNIT_EXPECT_EQ(test, write_string(text, cache, "a 1\n"), 4);
	kt_expect_value(test, cache, "begun", NULL);
	kt_expect_value(test, cache, "a", "1");
}

static void long_line_is_stored_whole_or_not_at_all(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, 4 * MIB);
	struct kc_text *text = open_text(test);
	u32 max = kc_cache_value_max(cache), len;
	char *line = kunit_kmalloc(test, max + 100, GFP_KERNEL);
	struct kcache_op is;

	memset(line, 'v', max + 100);
	memcpy(line, "key ", 4);
	line[max + 4] = '\n';
	KUNIT_EXPECT_EQ(test, write_bytes(text, cache, line, max + 5), max + 5);
	KUNIT_EXPECT_EQ(test, kt_stat(cache, "key", &is), 0);
	KUNIT_EXPECT_EQ(test, is.out_len, max);
	line[max + 4] = 'v';
	line[max + 5] = '\n';
	memcpy(line, "big ", 4);
	KUNIT_EXPECT_EQ(test, write_bytes(text, cache, line, max + 6), -EFBIG);
	kt_expect_value(test, cache, "big", NULL);

	/* What is wrong comes after many pieces; nothing before it was a line. */
	for (len = PIECE - 2; len < 3 * PIECE; len += PIECE / 2 + 1) {
		memset(line, 'v', max);
		memcpy(line, "bad ", 4);
		memcpy(line + len, "\\q\n", 3);
		KUNIT_EXPECT_EQ(test, write_bytes(text, cache, line, len + 3), -EINVAL);
		KUNIT_EXPECT_FALSE(test, kc_text_is_incomplete(text));
		kt_expect_value(test, cache, "bad", NULL);

		/* A caller goes on behind what was taken: with the bad line, not in it. */
		memcpy(line, "ok 1\nbad ", 9);
		KUNIT_EXPECT_EQ(test, write_bytes(text, cache, line, len + 3), 5);
		kt_expect_value(test, cache, "ok", "1");
	}
}

static void line_without_end_is_efbig_at_last(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kc_text *text = open_text(test);
	char *bytes = kunit_kmalloc(test, PIECE, GFP_KERNEL);
	ssize_t n;
	int i;

	memset(bytes, 'k', PIECE);
	for (i = 0; i < 20; i++) {
		n = write_bytes(text, cache, bytes, PIECE);
		if (n != PIECE)
			break;
	}
	KUNIT_EXPECT_EQ(test, n, -EFBIG);
	KUNIT_EXPECT_FALSE(test, kc_text_is_incomplete(text));
}

static void store_many(struct kunit *test, struct kc_cache *cache, u32 nr)
{
	u32 id;

	for (id = 0; id < nr; id++)
		KUNIT_ASSERT_EQ(test, kt_set_id(cache, id, id, KT_VALUE_MIN + id % 200, 0), 0);
	KUNIT_ASSERT_EQ(test, kt_set_id(cache, nr, 0, 20000, KT_HOUR_MS), 0);
	KUNIT_ASSERT_EQ(test, kt_set_id(cache, nr + 1, 0, 20, 1), 0);
	kt_sleep_past(1);	/* which does not show */
}

/* Reads all of @cache, in pieces of 1 to @most bytes. */
static size_t dump(struct kunit *test, struct kc_cache *cache, char *out, size_t size, u32 most)
{
	struct kc_text *text = open_text(test);
	size_t len = 0;
	ssize_t n;

	do {
		n = read_bytes(text, cache, out + len, min_t(size_t, 1 + len % most, size - len));
		KUNIT_ASSERT_GE(test, n, 0);
		len += n;
	} while (n);
	KUNIT_EXPECT_EQ(test, read_bytes(text, cache, out, 10), 0);	/* the end stays the end */
	return len;
}

static void dump_in_any_pieces_restores_the_cache(struct kunit *test)
{
	static const u32 pieces[] = { 7, 5000, 1000000 };
	struct kc_cache *cache = kt_cache(test, MIB), *other;
	size_t size = 1000000, len;
	char *out = kunit_kmalloc(test, size, GFP_KERNEL);
	u32 i, id, wrong;

	KUNIT_EXPECT_EQ(test, dump(test, cache, out, size, 100), 0);
	store_many(test, cache, 300);
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		len = dump(test, cache, out, size, pieces[i]);
		other = kt_cache(test, MIB);
		KUNIT_EXPECT_EQ(test, write_bytes(open_text(test), other, out, len), len);
		for (id = 0, wrong = 0; id <= 300; id++)
			wrong += !!kt_get_id(other, id);
		KUNIT_EXPECT_EQ(test, wrong, 0);
		KUNIT_EXPECT_EQ(test, percpu_counter_sum(&other->table.nr_entries), 301);
	}
}

static void busy_file_is_eagain_for_who_does_not_wait(struct kunit *test)
{
	struct kc_cache *cache = kt_cache(test, MIB);
	struct kc_text *text = open_text(test);
	struct kvec vec = { .iov_base = "a 1\n", .iov_len = 4 };
	struct iov_iter iter;

	mutex_lock(&text->lock);
	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, 4);
	KUNIT_EXPECT_EQ(test, kc_text_write(text, cache, &iter, true), -EAGAIN);
	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, 4);
	KUNIT_EXPECT_EQ(test, kc_text_read(text, cache, &iter, true), -EAGAIN);
	mutex_unlock(&text->lock);
	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, 4);
	KUNIT_EXPECT_EQ(test, kc_text_write(text, cache, &iter, true), 4);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(line_is_taken_apart),
	KUNIT_CASE(malformed_line_is_einval),
	KUNIT_CASE(every_byte_comes_through_in_key_and_value),
	KUNIT_CASE(line_rendered_in_small_pieces_is_the_same),
	KUNIT_CASE(text_that_needs_no_escape_is_as_it_is),
	KUNIT_CASE(lines_are_stored),
	KUNIT_CASE(line_may_be_split_over_writes_anywhere),
	KUNIT_CASE(malformed_line_ends_a_write_after_the_lines_before_it),
	KUNIT_CASE(long_line_is_stored_whole_or_not_at_all),
	KUNIT_CASE(line_without_end_is_efbig_at_last),
	KUNIT_CASE(dump_in_any_pieces_restores_the_cache),
	KUNIT_CASE(busy_file_is_eagain_for_who_does_not_wait),
	{}
};

static struct kunit_suite suite = {
	.name = "kcache_text",
	.test_cases = cases,
};

kunit_test_suite(suite);
