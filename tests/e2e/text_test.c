// SPDX-License-Identifier: GPL-2.0
/*
 * read and write on the real device, where bytes and offsets matter: what is a line
 * and what is not, lines that come in pieces, what a write returns when a line in it
 * is none, and that whatever was read can be written back. What a person does with
 * it in a shell is in text.sh.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <sys/uio.h>

#define KIB	1024
#define MIB	(1024 * KIB)

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

/* -------- lines -------- */

static int open_to(int flags)
{
	return MUST(open(DEVICE, flags | O_CLOEXEC));
}

/* write(): bytes or -errno. */
static ssize_t put(int fd, const void *bytes, size_t len)
{
	ssize_t taken = write(fd, bytes, len);

	return taken < 0 ? -errno : taken;
}

/* Writes all of it through a descriptor of its own, and closes that. */
static void write_text(const char *text, size_t len)
{
	int fd = open_to(O_WRONLY);

	CHECK_EQ(put(fd, text, len), len);
	MUST(close(fd));
}

#define WRITE(text)	write_text(text, strlen(text))

static char *text;	/* what read_all() read, NUL-terminated */
static size_t text_len;

static void read_from(int fd)
{
	static size_t size;
	ssize_t len;

	for (text_len = 0;; text_len += len) {
		if (size - text_len < 2 * MIB) {
			size += 4 * MIB;
			text = realloc(text, size);
			CHECK(text);
		}
		len = MUST(read(fd, text + text_len, size - text_len - 1));
		if (!len)
			break;
	}
	text[text_len] = '\0';
}

static void read_all(void)
{
	int fd = open_to(O_RDONLY);

	read_from(fd);
	close(fd);
}

/* That all there is reads so. */
#define READS(wanted)							\
	do {								\
		read_all();						\
		if (strcmp(text, wanted))				\
			ktap_fail(__LINE__, "it reads '%.200s'", text);	\
	} while (0)

static void nothing_is_there(void)
{
	READS("");
	CHECK_EQ(sysfs_number("stats/entries"), 0);
}

static void flush(void)
{
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
}

/* Much faster than to flush: what a table of lines may have left. */
static void remove_entries(void)
{
	static const char *const keys[] = { "after", "one", "two", "three", "four" };
	size_t i;

	for (i = 0; i < NR(keys); i++) {
		struct kcache_op op = OP(REMOVE, keys[i]);

		run(&op);
	}
	CHECK_EQ(sysfs_number("stats/entries"), 0);
}

TEST(line_stores_an_entry)
{
	WRITE("greeting hello\n");
	HOLDS("greeting", "hello");
	CHECK_EQ(WORKS(OP(STAT, "greeting")).ttl_ms, 0);
	CHECK_EQ(WORKS(OP(STAT, "greeting")).client_flags, 0);
	READS("greeting hello\n");
	WRITE("greeting hi\n");
	READS("greeting hi\n");
	CHECK_EQ(sysfs_number("stats/entries"), 1);
}

TEST(first_space_ends_the_key_and_the_rest_is_the_value)
{
	WRITE("key a value of words\nspaces   \nempty \nat @value=1\n");
	HOLDS("key", "a value of words");
	HOLDS("spaces", "  ");
	HOLDS("empty", "");
	HOLDS("at", "@value=1");
	CHECK_EQ(sysfs_number("stats/entries"), 4);
}

TEST(escapes_carry_any_byte)
{
	WRITE("a\\x20b\\n\\t\\r\\\\ c\\x00d\\n\\t\\r\\\\e\\xFf\\xfF\n");
	HOLDS_ON("a b\n\t\r\\", 7, "c\0d\n\t\r\\e\xff\xff", 10);
	flush();
	WRITE("\\x40at value\n");
	HOLDS("@at", "value");
	READS("\\x40at value\n");
}

TEST(bytes_that_are_not_space_newline_or_backslash_need_no_escape)
{
	char line[600], key[256];
	int i, len = 0, key_len;

	for (i = 0; i < 256; i++)
		if (i != '\n' && i != ' ' && i != '\\')
			line[len++] = i;
	key_len = len;
	memcpy(key, line, len);
	line[len++] = ' ';
	memcpy(line + len, key, key_len);
	len += key_len;
	line[len++] = '\n';
	write_text(line, len);
	HOLDS_ON(key, key_len, key, key_len);
}

TEST(attributes_set_ttl_and_flags)
{
	struct kcache_op op;

	WRITE("@ttl_ms=500000,flags=5 both value\n@flags=4294967295 flags value\n"
	      "@ttl_ms=500000 ttl value\n@flags=7,ttl_ms=500000 other value\n"
	      "@ttl_ms=0,flags=0 none value\n@ttl_ms=1099511627776 long value\n"
	      "@ttl_ms=0000500000,flags=007 zeros value\n");
	op = WORKS(OP(STAT, "both"));
	CHECK(op.ttl_ms > 1 && op.ttl_ms <= 500000);
	CHECK_EQ(op.client_flags, 5);
	op = WORKS(OP(STAT, "flags"));
	CHECK_EQ(op.ttl_ms, 0);
	CHECK_EQ(op.client_flags, 4294967295);
	op = WORKS(OP(STAT, "ttl"));
	CHECK(op.ttl_ms > 1 && op.ttl_ms <= 500000);
	CHECK_EQ(op.client_flags, 0);
	op = WORKS(OP(STAT, "other"));
	CHECK(op.ttl_ms > 1 && op.ttl_ms <= 500000);
	CHECK_EQ(op.client_flags, 7);
	op = WORKS(OP(STAT, "none"));
	CHECK_EQ(op.ttl_ms, 0);
	CHECK_EQ(op.client_flags, 0);
	CHECK(WORKS(OP(STAT, "long")).ttl_ms > 1ULL << 39);
	CHECK_EQ(WORKS(OP(STAT, "zeros")).client_flags, 7);
	HOLDS("both", "value");
}

TEST(line_replaces_ttl_and_flags_too)
{
	WRITE("@ttl_ms=500000,flags=5 key old\nkey new\n");
	CHECK_EQ(WORKS(OP(STAT, "key")).ttl_ms, 0);
	CHECK_EQ(WORKS(OP(STAT, "key")).client_flags, 0);
	READS("key new\n");
	WRITE("@flags=9 key new\n");
	READS("@flags=9 key new\n");
}

TEST(expired_entry_is_not_read)
{
	WRITE("@ttl_ms=1 short value\nlong value\n");
	time_passes();
	READS("long value\n");
}

TEST(ttl_that_is_left_is_read)
{
	unsigned long long ttl_ms;
	char key[8], value[8];

	WRITE("@ttl_ms=500000 key value\n");
	milliseconds_pass(5);
	read_all();
	CHECK_EQ(sscanf(text, "@ttl_ms=%llu %7s %7s", &ttl_ms, key, value), 3);
	CHECK(ttl_ms < 500000 && ttl_ms > 1);
	CHECK(!strcmp(key, "key") && !strcmp(value, "value"));
}

TEST(empty_cache_reads_as_nothing)
{
	char byte;
	int fd = open_to(O_RDONLY);

	CHECK_EQ(read(fd, &byte, 1), 0);
	CHECK_EQ(read(fd, &byte, 1), 0);
	nothing_is_there();
}

TEST(write_of_nothing_is_nothing)
{
	int fd = open_to(O_WRONLY);

	CHECK_EQ(put(fd, "", 0), 0);
	MUST(close(fd));
	nothing_is_there();
}

/* -------- lines that are none -------- */

static const struct {
	const char *what;
	const char *line;	/* with its newline */
	int error;
} malformed[] = {
	{ "no space", "key\n", EINVAL },
	{ "nothing", "\n", EINVAL },
	{ "a space", " \n", EINVAL },
	{ "an empty key", " value\n", EINVAL },
	{ "an unknown escape in the value", "key \\q\n", EINVAL },
	{ "an unknown escape in the key", "k\\ey value\n", EINVAL },
	{ "a backslash at the end", "key value\\\n", EINVAL },
	{ "a backslash at the end of the key", "key\\ value\n", EINVAL },
	{ "half a hex escape", "key \\x4\n", EINVAL },
	{ "a hex escape of nothing", "key \\x\n", EINVAL },
	{ "a hex escape that is not hex", "key \\x4g\n", EINVAL },
	{ "a hex escape cut by the space", "key\\x4 1\n", EINVAL },
	{ "a big X", "key \\X41\n", EINVAL },
	{ "an octal escape", "key \\101\n", EINVAL },
	{ "a big N", "key \\N\n", EINVAL },
	{ "no attributes", "@ key value\n", EINVAL },
	{ "attributes and no key", "@flags=1\n", EINVAL },
	{ "attributes and no value", "@flags=1 key\n", EINVAL },
	{ "attributes and an empty key", "@flags=1  value\n", EINVAL },
	{ "an unknown attribute", "@frob=1 key value\n", EINVAL },
	{ "an attribute in capitals", "@FLAGS=1 key value\n", EINVAL },
	{ "an attribute without a number", "@flags= key value\n", EINVAL },
	{ "an attribute without =", "@flags key value\n", EINVAL },
	{ "an attribute without a name", "@=1 key value\n", EINVAL },
	{ "a number with a sign", "@flags=+1 key value\n", EINVAL },
	{ "a negative number", "@flags=-1 key value\n", EINVAL },
	{ "a hex number", "@flags=0x10 key value\n", EINVAL },
	{ "a number and more", "@flags=1a key value\n", EINVAL },
	{ "a comma and nothing", "@flags=1, key value\n", EINVAL },
	{ "nothing and a comma", "@,flags=1 key value\n", EINVAL },
	{ "two commas", "@flags=1,,ttl_ms=5 key value\n", EINVAL },
	{ "flags of 33 bits", "@flags=4294967296 key value\n", EINVAL },
	{ "flags of 65 bits", "@flags=18446744073709551616 key value\n", EINVAL },
	{ "a ttl over the maximum", "@ttl_ms=1099511627777 key value\n", EINVAL },
	{ "a ttl of 64 bits", "@ttl_ms=18446744073709551615 key value\n", EINVAL },
	{ "a ttl of 65 bits", "@ttl_ms=18446744073709551617 key value\n", EINVAL },
	{ "a ttl that is no number", "@ttl_ms=soon key value\n", EINVAL },
	{ "two @", "@@flags=1 key value\n", EINVAL },
};

TEST(malformed_line_is_einval_and_stores_nothing)
{
	size_t i;

	for (i = 0; i < NR(malformed); i++) {
		const char *line = malformed[i].line;
		int fd = open_to(O_WRONLY);

		CASE("%s", malformed[i].what);
		CHECK_EQ(put(fd, line, strlen(line)), -malformed[i].error);
		/* The descriptor is as good as new. */
		CHECK_EQ(put(fd, "after 1\n", 8), 8);
		MUST(close(fd));
		READS("after 1\n");
		remove_entries();
	}
}

TEST(malformed_line_after_good_ones_gives_their_bytes)
{
	static const char good[] = "one 1\n@flags=2 two 2\n";
	const size_t good_len = sizeof(good) - 1;
	char lines[256];
	size_t i;

	for (i = 0; i < NR(malformed); i++) {
		int fd = open_to(O_WRONLY), len;

		CASE("%s", malformed[i].what);
		len = snprintf(lines, sizeof(lines), "%s%sthree 3\n", good, malformed[i].line);
		CHECK_EQ(put(fd, lines, len), good_len);
		HOLDS("one", "1");
		HOLDS("two", "2");
		HOLDS_NOT("three");
		CHECK_EQ(sysfs_number("stats/entries"), 2);
		/* Who goes on where it stopped is told what is wrong. */
		CHECK_EQ(put(fd, lines + good_len, len - good_len), -malformed[i].error);
		len = good_len + strlen(malformed[i].line);
		CHECK_EQ(put(fd, lines + len, 8), 8);
		HOLDS("three", "3");
		MUST(close(fd));
		CHECK_EQ(sysfs_number("stats/entries"), 3);
		remove_entries();
	}
}

TEST(malformed_line_split_over_writes_is_einval)
{
	size_t i, at;

	for (i = 0; i < NR(malformed); i++) {
		const char *line = malformed[i].line;
		size_t len = strlen(line);
		int fd = open_to(O_WRONLY);

		for (at = 1; at < len; at++) {
			CASE("%s, at %zu", malformed[i].what, at);
			CHECK_EQ(put(fd, line, at), at);
			CHECK_EQ(put(fd, line + at, len - at), -malformed[i].error);
		}
		MUST(close(fd));
	}
	nothing_is_there();
}

/* The lines of a large write are stored piece by piece; that must not be seen. */
TEST(malformed_line_anywhere_in_a_large_write_gives_the_bytes_of_the_lines_before)
{
	static const int around[] = { PAGE, 16 * KIB, 32 * KIB, 64 * KIB, 100000 };
	static const int shifts[] = { -30, -24, -23, -22, -21, -15, -2, -1, 0, 1, 2 };
	static const char bad[] = "bad \\q and more of it\n";
	char *lines = malloc(200 * KIB);
	size_t a;
	int s;

	for (a = 0; a < NR(around); a++)
		for (s = 0; s < (int)NR(shifts); s++) {
			int shift = shifts[s], fd = open_to(O_WRONLY), good, len = 0, nr = 0;

			while (len < around[a] - 200)
				len += sprintf(lines + len, "key%d %099d\n", nr++, 0);
			len += sprintf(lines + len, "last %0*d\n", around[a] + shift - len - 6, 0);
			CHECK_EQ(len, around[a] + shift);
			good = len;
			len += sprintf(lines + len, "%snever 1\n", bad);
			CASE("a bad line at byte %d", good);
			CHECK_EQ(put(fd, lines, len), good);
			CHECK_EQ(sysfs_number("stats/entries"), nr + 1);
			HOLDS_NOT("never");
			CHECK_EQ(put(fd, lines + good, len - good), -EINVAL);
			CHECK_EQ(sysfs_number("stats/entries"), nr + 1);
			MUST(close(fd));
			flush();
		}
}

TEST(long_malformed_line_in_one_write_is_einval)
{
	static const size_t sizes[] = { 10000, 16 * KIB - 5, 16 * KIB, 20000, 40000, 500000 };
	char *line = malloc(MIB);
	size_t i;

	for (i = 0; i < NR(sizes); i++) {
		int fd = open_to(O_WRONLY);
		size_t len = 4;

		CASE("%zu bytes", sizes[i]);
		memcpy(line, "bad ", 4);
		memset(line + len, 'b', sizes[i] - len);
		len = sizes[i];
		memcpy(line + len - 10, "an escape:", 10);
		memcpy(line + len, "\\q rest\nnever 1\n", 16);
		CHECK_EQ(put(fd, line, len + 16), -EINVAL);
		MUST(close(fd));
		nothing_is_there();
	}
}

/* -------- lines that come in pieces -------- */

#define PIECES	"@ttl_ms=500000,flags=3 on\\x65 1\\n\\x00\ntwo 2\n@flags=4 three \\\\\nfour \n"

static void pieces_are_stored(void)
{
	HOLDS_ON("one", 3, "1\n\0", 3);
	CHECK_EQ(WORKS(OP(STAT, "one")).client_flags, 3);
	CHECK(WORKS(OP(STAT, "one")).ttl_ms > 1);
	HOLDS("two", "2");
	HOLDS("three", "\\");
	CHECK_EQ(WORKS(OP(STAT, "three")).client_flags, 4);
	HOLDS("four", "");
	CHECK_EQ(sysfs_number("stats/entries"), 4);
}

TEST(lines_may_be_split_over_two_writes_anywhere)
{
	const size_t len = strlen(PIECES);
	size_t at;

	for (at = 0; at <= len; at++) {
		int fd = open_to(O_WRONLY);

		CASE("at byte %zu", at);
		CHECK_EQ(put(fd, PIECES, at), at);
		CHECK_EQ(put(fd, PIECES + at, len - at), len - at);
		MUST(close(fd));
		pieces_are_stored();
		remove_entries();
	}
}

TEST(lines_may_be_written_byte_by_byte)
{
	int fd = open_to(O_WRONLY);
	const char *at;

	for (at = PIECES; *at; at++)
		CHECK_EQ(put(fd, at, 1), 1);
	MUST(close(fd));
	pieces_are_stored();
}

TEST(lines_may_be_written_from_several_buffers)
{
	const size_t len = strlen(PIECES);
	size_t at;

	for (at = 1; at + 7 < len; at++) {
		struct iovec vec[] = {
			{ .iov_base = (char *)PIECES, .iov_len = at },
			{ .iov_base = NULL, .iov_len = 0 },
			{ .iov_base = (char *)PIECES + at, .iov_len = 7 },
			{ .iov_base = (char *)PIECES + at + 7, .iov_len = len - at - 7 },
		};
		int fd = open_to(O_WRONLY);

		CASE("at byte %zu", at);
		CHECK_EQ(writev(fd, vec, 4), len);
		MUST(close(fd));
		pieces_are_stored();
		remove_entries();
	}
}

TEST(line_is_stored_when_its_newline_is_written)
{
	int fd = open_to(O_WRONLY);

	CHECK_EQ(put(fd, "key value", 9), 9);
	nothing_is_there();
	CHECK_EQ(put(fd, " and more", 9), 9);
	nothing_is_there();
	CHECK_EQ(put(fd, "\n", 1), 1);
	HOLDS("key", "value and more");
	MUST(close(fd));
}

TEST(beginning_of_a_line_is_of_its_open_file_only)
{
	int one = open_to(O_WRONLY), two = open_to(O_RDWR);

	CHECK_EQ(put(one, "one ", 4), 4);
	CHECK_EQ(put(two, "two ", 4), 4);
	CHECK_EQ(put(one, "1\n", 2), 2);
	CHECK_EQ(put(two, "2\n", 2), 2);
	MUST(close(one));
	MUST(close(two));
	HOLDS("one", "1");
	HOLDS("two", "2");
}

TEST(line_without_an_end_is_not_stored_and_close_says_so)
{
	int fd = open_to(O_WRONLY);

	CHECK_EQ(put(fd, "good 1\nbad 2", 12), 12);
	CHECK_REFUSED(close(fd), EINVAL);
	CHECK_REFUSED(close(fd), EBADF);
	READS("good 1\n");
}

TEST(close_of_a_descriptor_says_it_also_if_another_is_left)
{
	int fd = open_to(O_WRONLY), other = MUST(dup(fd));

	CHECK_EQ(put(fd, "key val", 7), 7);
	CHECK_REFUSED(close(fd), EINVAL);
	CHECK_EQ(put(other, "ue\n", 3), 3);
	MUST(close(other));
	HOLDS("key", "value");
}

TEST(close_after_a_malformed_line_has_nothing_to_say)
{
	int fd = open_to(O_WRONLY);

	CHECK_EQ(put(fd, "begin", 5), 5);
	CHECK_EQ(put(fd, "\\q x\nrest", 9), -EINVAL);
	MUST(close(fd));
	nothing_is_there();
}

/* -------- lengths -------- */

/* value_max of a smaller cache, where less is too much. */
static size_t smaller_value_max(void)
{
	CHECK_ERR(set_max_bytes(sysfs_number("limits/max_bytes") / 8), 0);
	return sysfs_number("limits/value_max");
}

/* A line of @key_len and @value_len bytes, each escaped if @is_escaped. Its length. */
static size_t make_line(char *line, size_t key_len, size_t value_len, bool is_escaped)
{
	size_t len = 0, i;

	for (i = 0; i < key_len; i++)
		len += is_escaped ? (size_t)sprintf(line + len, "\\x%02x", 'k') :
			(size_t)(line[len] = 'k', 1);
	line[len++] = ' ';
	for (i = 0; i < value_len; i++) {
		if (is_escaped)
			memcpy(line + len, "\\x80", 4);
		else
			line[len] = '\x80';
		len += is_escaped ? 4 : 1;
	}
	line[len++] = '\n';
	return len;
}

static void check_long(size_t key_len, size_t value_len)
{
	char *key = malloc(key_len + 1), *value = malloc(value_len + 1);

	memset(key, 'k', key_len);
	memset(value, '\x80', value_len);
	HOLDS_ON(key, key_len, value, value_len);
	free(key);
	free(value);
}

TEST(longest_key_and_longest_value)
{
	size_t value_max = sysfs_number("limits/value_max");
	char *line = malloc(4 * (KCACHE_KEY_MAX + value_max) + 100);
	int is_escaped;

	for (is_escaped = 0; is_escaped < 2; is_escaped++) {
		CASE("is_escaped %d", is_escaped);
		write_text(line, make_line(line, KCACHE_KEY_MAX, value_max, is_escaped));
		check_long(KCACHE_KEY_MAX, value_max);
		CHECK_EQ(sysfs_number("stats/entries"), 1);
		flush();
	}
}

TEST(longest_line_that_there_is)
{
	static const char attributes[] = "@ttl_ms=1099511627776,flags=4294967295 ";
	size_t value_max = sysfs_number("limits/value_max"), len = strlen(attributes);
	char *line = malloc(4 * (KCACHE_KEY_MAX + value_max) + 100);

	memcpy(line, attributes, len);
	write_text(line, len + make_line(line + len, KCACHE_KEY_MAX, value_max, true));
	check_long(KCACHE_KEY_MAX, value_max);
}

/* Writes @len bytes in writes of @step: the errno of the first that fails, or 0. */
static int put_in_steps(const char *line, size_t len, size_t step)
{
	int fd = open_to(O_WRONLY), error = 0;
	size_t at = 0;

	while (at < len && !error) {
		ssize_t taken = put(fd, line + at, len - at < step ? len - at : step);

		if (taken < 0)
			error = -taken;
		else
			at += taken;
		/* A write that does not take all fails the next time. */
	}
	close(fd);
	return error;
}

TEST(key_or_value_over_the_limit_is_efbig_and_stores_nothing)
{
	static const size_t steps[] = { 1000, 16 * KIB, 100000, 8 * MIB };
	size_t value_max = smaller_value_max(), s;
	char *line = malloc(4 * (2 * KCACHE_KEY_MAX + 2 * value_max) + 100);
	int is_escaped;

	for (is_escaped = 0; is_escaped < 2; is_escaped++)
		for (s = 0; s < NR(steps); s++) {
			size_t len;

			CASE("is_escaped %d, writes of %zu", is_escaped, steps[s]);
			len = make_line(line, KCACHE_KEY_MAX + 1, 1, is_escaped);
			CHECK_ERR(-put_in_steps(line, len, steps[s]), EFBIG);
			len = make_line(line, 1, value_max + 1, is_escaped);
			CHECK_ERR(-put_in_steps(line, len, steps[s]), EFBIG);
			len = make_line(line, 1, value_max * 2, is_escaped);
			CHECK_ERR(-put_in_steps(line, len, steps[s]), EFBIG);
			CHECK_EQ(sysfs_number("stats/entries"), 0);
		}
	nothing_is_there();
}

/* One write with a line that is too long: it is refused as a whole, not from its middle on. */
TEST(line_over_the_limit_in_one_write_takes_only_the_lines_before_it)
{
	size_t value_max = smaller_value_max(), len, good;
	char *line = malloc(value_max * 9 + 100);
	int fd = open_to(O_WRONLY);

	good = sprintf(line, "good 1\n");
	len = good + make_line(line + good, 3, value_max * 2, true);
	len += sprintf(line + len, "never 1\n");
	CHECK_EQ(put(fd, line + good, len - good), -EFBIG);
	nothing_is_there();
	CHECK_EQ(put(fd, line, len), good);
	READS("good 1\n");
	CHECK_EQ(put(fd, line + good, len - good), -EFBIG);
	MUST(close(fd));
	READS("good 1\n");
}

/* It does not remember more than a line can have. */
TEST(line_that_never_ends_is_efbig)
{
	size_t value_max = smaller_value_max(), at;
	char *piece = malloc(MIB);
	int fd = open_to(O_WRONLY);
	ssize_t taken = 0;

	memset(piece, 'x', MIB);
	for (at = 0; at < 16 * value_max && taken >= 0; at += MIB)
		taken = put(fd, piece, MIB);
	CHECK_EQ(taken, -EFBIG);
	close(fd);
	nothing_is_there();
}

/* -------- round trip -------- */

static const char *nth_key(int nr, size_t *len)
{
	static unsigned char key[KCACHE_KEY_MAX];
	size_t i;

	/* Each byte value is somewhere first, last and in the middle. */
	*len = 4 + (nr * 37) % 300;
	if (nr == 256)
		*len = KCACHE_KEY_MAX;
	for (i = 0; i < *len; i++)
		key[i] = nr + i * (i % 5);
	key[0] = key[*len - 1] = nr;
	key[1] = nr >> 8;
	return (char *)key;
}

static const char *nth_value(int nr, size_t *len)
{
	static unsigned char value[MIB];
	size_t i;

	*len = nr % 10 ? nr * 7 % 1000 : nr * 100;
	if (nr == 299)
		*len = MIB;
	for (i = 0; i < *len; i++)
		value[i] = nr * 3 + i + (i >> 8);
	return (char *)value;
}

#define NR_TRIP	300

static __u64 nth_ttl(int nr)
{
	return nr % 3 == 1 ? 1000000 + nr : 0;
}

static __u32 nth_flags(int nr)
{
	return nr % 4 == 2 ? 0 : nr * 16777619U;
}

static void set_trip(void)
{
	size_t key_len, len;
	int i;

	for (i = 0; i < NR_TRIP; i++) {
		const char *key = nth_key(i, &key_len), *value = nth_value(i, &len);

		WORKS(OP_ON(SET, key, key_len, BYTES(value, len), .ttl_ms = nth_ttl(i),
			    .client_flags = nth_flags(i)));
	}
	CHECK_EQ(sysfs_number("stats/entries"), NR_TRIP);
}

static void check_trip(void)
{
	size_t key_len, len;
	int i;

	CHECK_EQ(sysfs_number("stats/entries"), NR_TRIP);
	for (i = 0; i < NR_TRIP; i++) {
		const char *key = nth_key(i, &key_len), *value = nth_value(i, &len);
		struct kcache_op op;

		CASE("entry %d", i);
		HOLDS_ON(key, key_len, value, len);
		op = WORKS(OP_ON(STAT, key, key_len));
		CHECK_EQ(op.client_flags, nth_flags(i));
		CHECK_EQ(!!op.ttl_ms, !!nth_ttl(i));
		CHECK(op.ttl_ms <= nth_ttl(i));
		CHECK(op.ttl_ms + 500000 > nth_ttl(i));
	}
	CASE("%s", "");
}

TEST(what_was_read_restores_every_entry_when_written)
{
	set_trip();
	read_all();
	flush();
	nothing_is_there();
	set_trip();
	read_all();
	flush();
	write_text(text, text_len);
	check_trip();
}

TEST(what_is_read_is_printable_and_of_whole_lines)
{
	size_t i, nr = 0, high = 0;

	set_trip();
	read_all();
	for (i = 0; i < text_len; i++) {
		unsigned char c = text[i];

		CHECK(c == '\n' || (c >= ' ' && c != 0x7f));
		nr += c == '\n';
		high += c >= 0x80;
	}
	CHECK_EQ(nr, NR_TRIP);
	CHECK_EQ(text[text_len - 1], '\n');
	NOTE("%zu of %zu bytes are over 0x7f", high, text_len);
}

/* Without ttls, a cache that does not change reads the same each time. */
static char *read_reference(size_t *len)
{
	size_t key_len, value_len;
	char *copy;
	int i;

	for (i = 0; i < 40; i++) {
		const char *key = nth_key(i, &key_len), *value = nth_value(i, &value_len);

		WORKS(OP_ON(SET, key, key_len, BYTES(value, value_len), .client_flags = nth_flags(i)));
	}
	read_all();
	copy = malloc(text_len);
	*len = text_len;
	return memcpy(copy, text, text_len);
}

TEST(reads_of_any_size_give_the_same)
{
	static const size_t sizes[] = { 1, 2, 3, 7, 63, 64, 65, 4095, 4096, 4097, 100000 };
	size_t len, s;
	char *want = read_reference(&len), *got = malloc(len + 100000);

	for (s = 0; s < NR(sizes); s++) {
		int fd = open_to(O_RDONLY);
		size_t at = 0, more;

		CASE("reads of %zu bytes", sizes[s]);
		while ((more = MUST(read(fd, got + at, sizes[s])))) {
			CHECK(more <= sizes[s]);
			at += more;
			CHECK(at <= len);
		}
		CHECK_EQ(at, len);
		CHECK(!memcmp(got, want, len));
		CHECK_EQ(read(fd, got, sizes[s]), 0);
		close(fd);
	}
}

TEST(reads_into_several_buffers_give_the_same)
{
	size_t len, at = 0;
	char *want = read_reference(&len), *got = malloc(len + 100000);
	int fd = open_to(O_RDONLY), i;

	for (i = 0;; i++) {
		struct iovec vec[] = {
			{ .iov_base = got + at, .iov_len = i % 5 },
			{ .iov_base = got + at + i % 5, .iov_len = 100 },
			{ .iov_base = got + at + i % 5 + 100, .iov_len = i * 13 },
		};
		ssize_t more = MUST(readv(fd, vec, 3));

		if (!more)
			break;
		at += more;
		CHECK(at <= len);
	}
	CHECK_EQ(at, len);
	CHECK(!memcmp(got, want, len));
}

TEST(open_files_read_each_for_itself)
{
	size_t len;
	char *want = read_reference(&len), byte;
	int one = open_to(O_RDONLY), two = open_to(O_RDWR), i;

	for (i = 0; i < 100; i++)
		CHECK_EQ(read(one, &byte, 1), 1);
	read_from(two);
	CHECK_EQ(text_len, len);
	CHECK(!memcmp(text, want, len));
	read_from(one);
	CHECK_EQ(text_len, len - 100);
	CHECK(!memcmp(text, want + 100, len - 100));
}

TEST(entry_that_is_being_read_is_of_one_moment)
{
	char *value = malloc(100 * KIB), byte;
	int fd;

	memset(value, 'a', 100 * KIB);
	WORKS(OP(SET, "key", BYTES(value, 100 * KIB)));
	fd = open_to(O_RDONLY);
	CHECK_EQ(read(fd, &byte, 1), 1);
	WORKS(OP(SET, "key", VALUE("other")));
	read_from(fd);
	CHECK_EQ(text_len, 3 + 100 * KIB + 1);
	CHECK(!memcmp(text, "ey ", 3));
	CHECK(!memcmp(text + 3, value, 100 * KIB));
	CHECK_EQ(byte, 'k');
	flush();
	fd = open_to(O_RDONLY);
	WORKS(OP(SET, "key", BYTES(value, 100 * KIB)));
	CHECK_EQ(read(fd, &byte, 1), 1);
	flush();
	read_from(fd);
	CHECK_EQ(text_len, 3 + 100 * KIB + 1);
}

TEST(mebibyte_that_is_all_escapes_comes_back)
{
	char *value = malloc(MIB);
	size_t i;

	for (i = 0; i < MIB; i++)
		value[i] = i % 31 + (i % 31 > 8);
	WORKS(OP(SET, "key", BYTES(value, MIB), .ttl_ms = 500000));
	read_all();
	CHECK(text_len > 3 * MIB);
	flush();
	write_text(text, text_len);
	HOLDS_ON("key", 3, value, MIB);
	CHECK(WORKS(OP(STAT, "key")).ttl_ms > 1);
}

/* -------- the descriptor -------- */

TEST(device_has_no_position)
{
	char byte;

	WRITE("key value\n");
	CHECK_REFUSED(lseek(cache, 0, SEEK_SET), ESPIPE);
	CHECK_REFUSED(lseek(cache, 0, SEEK_CUR), ESPIPE);
	CHECK_REFUSED(lseek(cache, 0, SEEK_END), ESPIPE);
	CHECK_REFUSED(pread(cache, &byte, 1, 0), ESPIPE);
	CHECK_REFUSED(pwrite(cache, "a b\n", 4, 0), ESPIPE);
	CHECK_REFUSED(pwrite(cache, "a b\n", 4, 100), ESPIPE);
	READS("key value\n");
}

TEST(device_is_read_and_written_by_who_opened_it_for_that)
{
	char byte;
	int fd = open_to(O_RDONLY);

	CHECK_REFUSED(write(fd, "key value\n", 10), EBADF);
	MUST(close(fd));
	fd = open_to(O_WRONLY);
	CHECK_REFUSED(read(fd, &byte, 1), EBADF);
	MUST(close(fd));
	nothing_is_there();
}

TEST(device_opens_as_a_shell_opens_it)
{
	int fd = MUST(open(DEVICE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));

	CHECK_EQ(put(fd, "one 1\n", 6), 6);
	MUST(close(fd));
	fd = MUST(open(DEVICE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
	CHECK_EQ(put(fd, "two 2\n", 6), 6);
	MUST(close(fd));
	HOLDS("one", "1");
	HOLDS("two", "2");
}

TEST(nonblocking_reads_and_writes_work_when_nobody_else_does)
{
	int fd = open_to(O_RDWR | O_NONBLOCK);

	CHECK_EQ(put(fd, "key ", 4), 4);
	CHECK_EQ(put(fd, "value\n", 6), 6);
	read_from(fd);
	CHECK(!strcmp(text, "key value\n"));
	MUST(close(fd));
}

/* -------- memory that is not there -------- */

/* The end of a page, with nothing behind it. */
static char *end_of_memory(void)
{
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	MUST(munmap(pages + PAGE, PAGE));
	return pages + PAGE;
}

TEST(write_from_memory_that_is_not_there_is_efault)
{
	int fd = open_to(O_WRONLY);

	CHECK_REFUSED(write(fd, end_of_memory(), 10), EFAULT);
	CHECK_REFUSED(write(fd, (void *)-4096L, 10), EFAULT);
	MUST(close(fd));
	nothing_is_there();
}

TEST(write_from_memory_that_ends_takes_what_is_there)
{
	char *end = end_of_memory();
	int fd = open_to(O_WRONLY);

	memcpy(end - 13, "one 1\ntwo 22\n", 13);
	CHECK_EQ(put(fd, end - 13, 100), 13);
	HOLDS("one", "1");
	HOLDS("two", "22");
	/* Half a line, which can be ended. */
	memcpy(end - 5, "three", 5);
	CHECK_EQ(put(fd, end - 5, 100), 5);
	CHECK_EQ(put(fd, " 3\n", 3), 3);
	HOLDS("three", "3");
	CHECK_EQ(put(fd, "fo", 2), 2);
	CHECK_EQ(put(fd, end, 100), -EFAULT);
	CHECK_EQ(put(fd, "ur 4\n", 5), 5);
	HOLDS("four", "4");
	MUST(close(fd));
}

TEST(read_into_memory_that_is_not_there_is_efault_and_loses_nothing)
{
	size_t len, at = 0, more;
	char *want = read_reference(&len), *end = end_of_memory(), *got = malloc(len + PAGE);
	int fd = open_to(O_RDONLY), i;

	for (i = 0;; i++) {
		int have = i * 7 % 300;

		if (i % 3 == 0) {
			ssize_t err = read(fd, end, 100);

			CHECK(err == 0 || (err == -1 && errno == EFAULT));
			CHECK(err || at == len);
		}
		more = MUST(read(fd, end - have - 1, 5000));
		CHECK(more <= (size_t)have + 1);
		memcpy(got + at, end - have - 1, more);
		at += more;
		CHECK(at <= len);
		if (!more)
			break;
	}
	CHECK_EQ(at, len);
	CHECK(!memcmp(got, want, len));
}

/* -------- one open file, held up by one of its users -------- */

static int held_fd;
static volatile int *is_held;	/* in shared memory */

static void say_held(struct late_page *late)
{
	(void)late;
	*is_held = 1;
	pause();
}

static void hold_in_write(int nr)
{
	struct late_page late;

	(void)nr;
	late_page_init(&late, say_held);
	write(held_fd, late.page, 100);
	_exit(KTAP_FAIL);
}

static void on_signal(int nr)
{
	(void)nr;
}

TEST(open_file_that_is_held_up_is_eagain_or_waits_and_is_free_after_a_kill)
{
	struct sigaction action = { .sa_handler = on_signal };	/* no SA_RESTART */
	int i, status, other = open_to(O_RDWR);
	pid_t holder, waiter;
	char byte;

	is_held = shared_memory(sizeof(*is_held));
	held_fd = open_to(O_RDWR);
	CHECK_EQ(put(held_fd, "half ", 5), 5);
	holder = start_process(hold_in_write, 0);
	for (i = 0; !*is_held; i++) {
		if (waitpid(holder, &status, WNOHANG) == holder)
			_exit(WIFSIGNALED(status) ? KTAP_FAIL : WEXITSTATUS(status));
		CHECK(i < 3000);
		milliseconds_pass(10);
	}
	MUST(fcntl(held_fd, F_SETFL, O_NONBLOCK));
	CHECK_EQ(put(held_fd, "a b\n", 4), -EAGAIN);
	CHECK_REFUSED(read(held_fd, &byte, 1), EAGAIN);
	MUST(fcntl(held_fd, F_SETFL, 0));

	/* Who waits can be interrupted, and killed. */
	MUST(sigaction(SIGALRM, &action, NULL));
	i = alarm(1);
	CHECK_EQ(put(held_fd, "a b\n", 4), -EINTR);
	alarm(i);
	waiter = MUST(fork());
	if (!waiter) {
		put(held_fd, "a b\n", 4);
		_exit(KTAP_FAIL);
	}
	milliseconds_pass(50);
	MUST(kill(waiter, SIGKILL));
	MUST(waitpid(waiter, &status, 0));
	CHECK(WIFSIGNALED(status));

	/* Other open files go on, and so do operations. */
	CHECK_EQ(put(other, "other 1\n", 8), 8);
	HOLDS("other", "1");
	MUST(kill(holder, SIGKILL));
	MUST(waitpid(holder, &status, 0));
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(put(held_fd, "line\n", 5), 5);
	HOLDS("half", "line");
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
