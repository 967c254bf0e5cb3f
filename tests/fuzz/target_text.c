// SPDX-License-Identifier: GPL-2.0
/*
 * read(2) and write(2) of the device against a second, plain opinion on what a line
 * means, and lines rendered and taken apart again.
 *
 * An input is a byte that says how many bytes of choices follow, these, and text. If the
 * first choice is odd, 0xff in the text and the byte behind it stand for many bytes, so
 * that lines may be longer than a piece of a write, and than the cache takes.
 */
#include <string.h>

#include <linux/kernel.h>
#include <linux/sched/signal.h>

#include "choose.h"
#include "fixture.h"
#include "fuzz.h"
#include "text.h"

#define PIECE		(16 << 10)	/* what a write takes at a time */
#define TEXT_MAX	(512 << 10)
#define RENDERED_MIN	64		/* least room for a part of a line */
#define RESTART		(-ERESTARTSYS)

static u8 text[TEXT_MAX];
static size_t text_len;

/* -------- the other opinion: a line -------- */

struct line {
	u8 *key, *value;
	size_t key_len, value_len;
	u64 ttl_ms;
	u32 flags;
};

/* Digits, and no more than @most. */
static bool read_number(const u8 *p, size_t len, u64 most, u64 *number)
{
	unsigned __int128 v = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		v = v * 10 + p[i] - '0';
		if (v > most)
			return false;
	}
	*number = v;
	return len;
}

static bool has_name(const u8 *p, size_t len, const char *name)
{
	return len >= strlen(name) && !memcmp(p, name, strlen(name));
}

static bool read_attribute(const u8 *p, size_t len, struct line *line)
{
	u64 flags;

	if (has_name(p, len, "ttl_ms="))
		return read_number(p + 7, len - 7, U64_MAX, &line->ttl_ms);
	if (!has_name(p, len, "flags=") || !read_number(p + 6, len - 6, U32_MAX, &flags))
		return false;
	line->flags = flags;
	return true;
}

static bool read_attributes(const u8 *p, size_t len, struct line *line)
{
	const u8 *comma;

	while ((comma = memchr(p, ',', len))) {
		if (!read_attribute(p, comma - p, line))
			return false;
		len -= comma + 1 - p;
		p = comma + 1;
	}
	return read_attribute(p, len, line);
}

static int nibble(u8 c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* malloc'ed; NULL: it is malformed. */
static u8 *unescape(const u8 *p, size_t len, size_t *out_len)
{
	static const char named[] = "n\nt\tr\r\\\\";
	u8 *out = malloc(len + 1);
	const char *name;
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (p[i] != '\\') {
			out[n++] = p[i];
			continue;
		}
		if (++i == len)
			goto malformed;
		if (p[i] == 'x' && len - i > 2 && nibble(p[i + 1]) >= 0 && nibble(p[i + 2]) >= 0) {
			out[n++] = nibble(p[i + 1]) << 4 | nibble(p[i + 2]);
			i += 2;
			continue;
		}
		for (name = named; *name && *name != (char)p[i]; name += 2)
			;
		if (!*name)
			goto malformed;
		out[n++] = name[1];
	}
	*out_len = n;
	return out;

malformed:
	free(out);
	return NULL;
}

static void free_line(struct line *line)
{
	free(line->key);
	free(line->value);
}

static bool read_line(const u8 *p, size_t len, struct line *line)
{
	const u8 *space;

	*line = (struct line) { 0 };
	if (len && *p == '@') {
		space = memchr(p, ' ', len);
		if (!space || !read_attributes(p + 1, space - p - 1, line))
			return false;
		len -= space + 1 - p;
		p = space + 1;
	}
	space = len ? memchr(p, ' ', len) : NULL;
	if (!space)
		return false;
	line->key = unescape(p, space - p, &line->key_len);
	line->value = unescape(space + 1, len - (space + 1 - p), &line->value_len);
	if (line->key && line->value)
		return true;
	free_line(line);
	return false;
}

/* -------- the codec -------- */

static void is_same(const struct line *line, const struct kc_line *decoded)
{
	DEMAND(decoded->key_len == line->key_len);
	DEMAND(decoded->value_len == line->value_len);
	DEMAND(!memcmp(decoded->key, line->key, line->key_len));
	DEMAND(!memcmp(decoded->value, line->value, line->value_len));
	DEMAND(decoded->ttl_ms == line->ttl_ms);
	DEMAND(decoded->client_flags == line->flags);
}

/* Renders it in parts of @size bytes, each in memory of its own. */
static void check_rendered(const struct line *line, size_t size)
{
	size_t total = line->key_len + line->value_len, at = 0, len = 0, more;
	char *all = malloc(4 * total + size + 2 * RENDERED_MIN), *part;
	struct kc_copy entry = {
		.key_len = line->key_len,
		.value_len = line->value_len,
		.client_flags = line->flags,
		.ttl_ms = line->ttl_ms,
		.data = malloc(total),
	};
	struct kc_line decoded;

	memcpy(entry.data, line->key, line->key_len);
	memcpy(entry.data + line->key_len, line->value, line->value_len);
	while (at <= total) {
		part = malloc(size);
		more = kc_line_encode(&entry, &at, part, size);
		DEMAND(more && more <= size);
		memcpy(all + len, part, more);
		len += more;
		free(part);
	}
	DEMAND(memchr(all, '\n', len) == all + len - 1);
	DEMAND(!kc_line_decode(all, len - 1, &decoded));
	is_same(line, &decoded);
	free(entry.data);
	free(all);
}

/* Each line of the text, in memory of its own. */
static void check_codec(void)
{
	size_t size = RENDERED_MIN + choose(200), at, len;
	struct kc_line decoded;
	struct line line;
	const u8 *newline;
	bool is_good;
	char *copy;

	for (at = 0; at < text_len; at += len + 1) {
		newline = memchr(text + at, '\n', text_len - at);
		len = newline ? newline - (text + at) : text_len - at;
		is_good = read_line(text + at, len, &line);
		copy = malloc(len);
		memcpy(copy, text + at, len);
		DEMAND(kc_line_decode(copy, len, &decoded) == (is_good ? 0 : -EINVAL), " at %zu", at);
		if (is_good) {
			is_same(&line, &decoded);
			if (line.key_len && line.key_len <= KCACHE_KEY_MAX)
				check_rendered(&line, size);
			free_line(&line);
		}
		free(copy);
	}
}

/* -------- the other opinion: a cache -------- */

static struct entry {
	struct line line;
	u64 expiry_ms;
	bool is_met;
} *stored;
static size_t nr_stored;
static u8 *begun;		/* a line whose end is still to come */
static size_t begun_len;

static struct entry *find(const u8 *key, size_t len)
{
	size_t i;

	for (i = 0; i < nr_stored; i++)
		if (stored[i].line.key_len == len && !memcmp(stored[i].line.key, key, len))
			return &stored[i];
	return NULL;
}

/* Of an error that is not the only one possible, the core's is taken. */
static int store(const u8 *p, size_t len, int is)
{
	struct entry *entry;
	struct line line;
	int err = 0;

	if (!read_line(p, len, &line))
		return -EINVAL;
	if (line.key_len > KCACHE_KEY_MAX || line.value_len > kc_cache_value_max(cache))
		err = -EFBIG;
	if ((!line.key_len || line.ttl_ms > KCACHE_TTL_MAX_MS) && !(err && is == err))
		err = -EINVAL;
	if (err) {
		free_line(&line);
		return err;
	}
	entry = find(line.key, line.key_len);
	if (!entry) {
		stored = realloc(stored, (nr_stored + 1) * sizeof(*stored));
		entry = &stored[nr_stored++];
		*entry = (struct entry) { 0 };
	}
	free_line(&entry->line);
	entry->line = line;
	entry->expiry_ms = line.ttl_ms ? shim_clock_ms() + line.ttl_ms : 0;
	return 0;
}

static size_t longest_line(void)
{
	return 64 + 4 * (KCACHE_KEY_MAX + kc_cache_value_max(cache));
}

/*
 * What a write of @len bytes gives of which @there are in memory: bytes, or an error. The
 * core's own error is @is, the writer is being killed if @is_killed.
 */
static ssize_t expect_write(const u8 *p, size_t len, size_t there, bool is_killed, int is)
{
	size_t done, whole = 0, piece, from;
	const u8 *newline;
	int err;

	for (done = 0; done < len; done += piece) {
		if (begun_len > longest_line()) {
			begun_len = 0;
			return whole ? (ssize_t)whole : -EFBIG;
		}
		piece = len - done < PIECE ? len - done : PIECE;
		piece = there - done < piece ? there - done : piece;
		if (!piece)
			return done ? (ssize_t)done : -EFAULT;
		begun = realloc(begun, begun_len + piece);
		memcpy(begun + begun_len, p + done, piece);
		from = begun_len;
		begun_len += piece;
		while ((newline = memchr(begun + from, '\n', begun_len - from))) {
			err = store(begun, newline - begun, is);
			if (!err) {
				whole = done + piece - (begun + begun_len - (newline + 1));
				err = is_killed ? -EINTR : 0;
			}
			if (err) {
				begun_len = 0;
				return whole ? (ssize_t)whole : err;
			}
			begun_len -= newline + 1 - begun;
			memmove(begun, newline + 1, begun_len);
			from = 0;
		}
		if (is_killed)
			return done + piece;
	}
	return done;
}

/* -------- an open file -------- */

/* Writes all of the text, in writes of any length; some of it may not be in memory. */
static void write_all(struct kc_text *file)
{
	size_t at = 0, len, there;
	struct iov_iter from;
	ssize_t is, expected;
	bool is_killed;

	while (at < text_len) {
		len = choose(3) == 1 ? 1 + choose(64) : choose(3) == 1 ? 1 + choose(1 << 16) : text_len;
		len = len < text_len - at ? len : text_len - at;
		there = choose(8) == 1 ? choose(len + 1) : len;
		is_killed = choose(16) == 1;
		if (there < len)
			shim_user_mark(text + at + there, 1, SHIM_UNMAPPED);
		if (choose(8) == 1)
			shim_user_mark(text + at + choose(len), 1, SHIM_ABSENT);
		shim_kill(is_killed);
		import_ubuf(ITER_SOURCE, (char *)text + at, len, &from);
		is = kc_text_write(file, cache, &from, choose(2));
		shim_kill(false);
		shim_user_clear();
		expected = expect_write(text + at, len, there, is_killed, is);
		DEMAND(is == expected, ": %zd, not %zd, of %zu at %zu", is, expected, len, at);
		DEMAND(kc_text_is_incomplete(file) == !!begun_len);
		if (is > 0) {
			at += is;
		} else {		/* a caller may go on with the next line */
			const u8 *newline = memchr(text + at, '\n', text_len - at);

			at = newline && is != -EFAULT ? newline + 1 - text : at + len;
		}
		if (choose(4) == 1)
			shim_clock_advance_ms(choose(2000));
	}
}

/* Of what was read: an entry that is there, and was not met before. */
static void meet(const u8 *p, size_t len)
{
	struct entry *entry;
	struct line line;
	u64 now = shim_clock_ms();

	DEMAND(read_line(p, len, &line));
	entry = find(line.key, line.key_len);
	DEMAND(entry && !entry->is_met);
	entry->is_met = true;
	DEMAND(!entry->expiry_ms || entry->expiry_ms > now);
	DEMAND(line.ttl_ms == (entry->expiry_ms ? entry->expiry_ms - now : 0));
	DEMAND(line.flags == entry->line.flags);
	DEMAND(line.value_len == entry->line.value_len);
	DEMAND(!memcmp(line.value, entry->line.value, line.value_len));
	free_line(&line);
}

static void read_all(struct kc_text *file)
{
	u8 *out = NULL, *newline;
	struct iov_iter to;
	size_t len, there, from = 0, have = 0;
	bool is_killed;
	ssize_t is;

	do {
		len = choose(3) == 1 ? 1 + choose(64) : 1 + choose(1 << 16) + 256;
		there = choose(8) == 1 ? choose(len + 1) : len;
		is_killed = choose(16) == 1;
		out = realloc(out, have + len);
		if (there < len)
			shim_user_mark(out + have + there, 1, SHIM_UNMAPPED);
		shim_kill(is_killed);
		import_ubuf(ITER_DEST, (char *)out + have, len, &to);
		is = kc_text_read(file, cache, &to, choose(2));
		shim_kill(false);
		shim_user_clear();
		if (is == -EFAULT && there < len)
			DEMAND(!there);
		else if (is == RESTART || is == -EINTR)
			DEMAND(is_killed);
		else
			DEMAND(is >= 0 && (size_t)is <= there, ": %zd of %zu", is, len);
		have += is > 0 ? is : 0;
		while (have > from && (newline = memchr(out + from, '\n', have - from))) {
			meet(out + from, newline - (out + from));
			from = newline + 1 - out;
		}
	} while (is);
	DEMAND(from == have);
	free(out);
}

static void check_all_met(void)
{
	u64 now = shim_clock_ms(), nr_missed = 0;
	size_t i;

	for (i = 0; i < nr_stored; i++)
		nr_missed += !stored[i].is_met &&
			     (!stored[i].expiry_ms || stored[i].expiry_ms > now);
	DEMAND(nr_missed <= count_of(cache, KC_STAT_evictions));
}

/* -------- the target -------- */

static void make_text(const u8 *p, size_t len, bool is_long)
{
	size_t nr;

	for (text_len = 0; len && text_len < TEXT_MAX - 256 * 97; p++, len--) {
		if (!is_long || *p != 0xff || len < 2) {
			text[text_len++] = *p;
			continue;
		}
		nr = *++p * 97;
		len--;
		memset(text + text_len, 'v', nr);
		text_len += nr;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kc_text writer = { 0 }, reader = { 0 };
	size_t nr;

	if (!size)
		return 0;
	nr = data[0] < size - 1 ? data[0] : size - 1;
	choose_from(data + 1, nr);
	make_text(data + 1 + nr, size - 1 - nr, choose(2));
	check_codec();

	start(MiB);
	kc_text_init(&writer);
	kc_text_init(&reader);
	write_all(&writer);
	kc_text_exit(&writer);
	read_all(&reader);
	check_all_met();
	kc_text_exit(&reader);
	stop();

	for (; nr_stored; nr_stored--)
		free_line(&stored[nr_stored - 1].line);
	free(stored);
	free(begun);
	stored = NULL;
	begun = NULL;
	begun_len = 0;
	return 0;
}
