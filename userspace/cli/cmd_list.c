// SPDX-License-Identifier: GPL-2.0
/*
 * list: reads the cache's text form and keeps of each line what is not the
 * value. A line may be as long as the longest value, escaped; of a value only
 * the length is counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

#define READ_SIZE	(256 * 1024)	/* bytes */

/* Attributes and a key of which each byte is escaped, with the spaces. */
#define HEAD_MAX	(256 + 4 * KCACHE_KEY_MAX)

struct text_line {
	char head[HEAD_MAX];	/* up to the space after the key */
	size_t head_len;
	size_t key_at;		/* where in head the key starts */
	bool in_value;
	uint64_t value_len;	/* bytes so far */
	unsigned int escape_left;	/* characters to come of an escape in the value */
};

static _Noreturn void die_format(const struct command_line *line)
{
	die(EXIT_REFUSED, line->device,
	    "sent a line that is no entry; it may be newer than this program");
}

/* One more character of attributes or key. False: the line is none. */
static bool take_head(struct text_line *text, char c)
{
	if (c == ' ' && text->head_len && text->head[0] == '@' && !text->key_at)
		text->key_at = text->head_len + 1;
	else if (c == ' ')
		text->in_value = true;
	if (text->in_value)
		return true;
	if (c == '\n' || text->head_len == HEAD_MAX - 1)
		return false;
	text->head[text->head_len++] = c;
	text->head[text->head_len] = '\0';
	return true;
}

/* After a backslash, one character is to come, and two more if that is an x. */
static void take_value(struct text_line *text, char c)
{
	if (text->escape_left) {
		text->escape_left--;
		if (c == 'x')
			text->escape_left = 2;
	} else {
		text->value_len++;
		text->escape_left = c == '\\';
	}
}

/* The number of the attribute @name, or 0. */
static uint64_t attribute(const struct text_line *text, const char *name)
{
	const char *p = text->head, *end = text->head + text->key_at;
	size_t len = strlen(name);

	while (p < end) {
		p++;		/* '@' or ',' */
		if (!strncmp(p, name, len) && p[len] == '=')
			return strtoull(p + len + 1, NULL, 10);
		p += strcspn(p, ", ");
		if (*p == ' ')
			break;
	}
	return 0;
}

static void print_json(struct bytes key, const struct text_line *text)
{
	json_begin(NULL, '{');
	json_bytes("key", key);
	json_unsigned("length", text->value_len);
	json_ttl("ttl_ms", attribute(text, "ttl_ms"));
	json_unsigned("flags", attribute(text, "flags"));
	json_end('}');
}

static void print_text(struct bytes key, const struct text_line *text, bool long_format)
{
	char ttl[TTL_TEXT_MAX];

	if (long_format)
		printf("%10" PRIu64 " %8s  ", text->value_len,
		       format_ttl(ttl, attribute(text, "ttl_ms")));
	put_key(stdout, key);
	putchar('\n');
}

static void print_entry(const struct command_line *line, struct text_line *text,
			struct bytes prefix)
{
	char *escaped = text->head + text->key_at;
	long len = unescape(escaped, text->head_len - text->key_at, escaped);
	struct bytes key = { escaped, (size_t)len };

	if (len < 1 || text->escape_left)
		die_format(line);
	if (key.len < prefix.len || memcmp(key.data, prefix.data, prefix.len))
		return;
	if (line->json)
		print_json(key, text);
	else
		print_text(key, text, line->long_format);
	check_output();
}

static void take(const struct command_line *line, struct text_line *text,
		 struct bytes prefix, char c)
{
	if (!text->in_value) {
		if (!take_head(text, c))
			die_format(line);
	} else if (c != '\n') {
		take_value(text, c);
	} else {
		print_entry(line, text, prefix);
		text->head_len = 0;
		text->key_at = 0;
		text->in_value = false;
		text->value_len = 0;
	}
}

static void list(const struct command_line *line, int fd, struct bytes prefix)
{
	static char buf[READ_SIZE];
	static struct text_line text;
	ssize_t got, i;

	do {
		got = read(fd, buf, sizeof(buf));
		if (got < 0 && errno != EINTR)
			die(EXIT_REFUSED, line->device, "%s", strerror(errno));
		for (i = 0; i < got; i++)
			take(line, &text, prefix, buf[i]);
	} while (got);

	if (text.head_len || text.in_value)
		die_format(line);
}

int cmd_list(const struct command_line *line)
{
	struct bytes prefix = { "", 0 };
	struct kcache *cache = open_cache(line, O_RDONLY);

	if (line->nr_operands && line->operands[0][0])
		prefix = key_operand(line, 0);
	if (line->json)
		json_begin(NULL, '[');
	list(line, kcache_fd(cache), prefix);
	if (line->json)
		json_end(']');
	return EXIT_DONE;
}
