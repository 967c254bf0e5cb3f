// SPDX-License-Identifier: GPL-2.0
/*
 * From the words of a command line to numbers, keys and values.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

static const struct {
	const char *name;
	uint64_t ms;
} units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60ULL * 1000 },
	{ "h", 60ULL * 60 * 1000 },
	{ "d", 24ULL * 60 * 60 * 1000 },
};

/* The unit that @text starts with; *@text is moved behind it. 0: none. */
static uint64_t take_unit(const char **text)
{
	size_t len = strcspn(*text, "0123456789");
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (len == strlen(units[i].name) && !strncmp(*text, units[i].name, len)) {
			*text += len;
			return units[i].ms;
		}
	}
	return 0;
}

/* The digits that @text starts with, at most KCACHE_TTL_MAX_MS; moves *@text. */
static bool take_number(const char **text, uint64_t *number)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*number = strtoull(*text, &end, 10);
	*text = end;
	return !errno && *number <= KCACHE_TTL_MAX_MS;
}

static bool parse_unsigned(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	uint64_t n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || n < min || n > max)
		return false;
	*number = n;
	return true;
}

static bool parse_ttl(const char *text, uint64_t *ttl_ms)
{
	uint64_t number, unit_ms, sum = 0;

	if (!strcmp(text, "never"))
		text = "0";
	if (parse_unsigned(text, 0, KCACHE_TTL_MAX_MS / 1000, &number)) {
		*ttl_ms = number * 1000;
		return true;
	}
	do {
		if (!take_number(&text, &number))
			return false;
		unit_ms = take_unit(&text);
		if (!unit_ms || number > (KCACHE_TTL_MAX_MS - sum) / unit_ms)
			return false;
		sum += number * unit_ms;
	} while (*text);

	*ttl_ms = sum;
	return true;
}

uint64_t ttl_argument(const struct command_line *line, const char *name, const char *text)
{
	uint64_t ttl_ms;

	if (!parse_ttl(text, &ttl_ms))
		die_usage(line, "%s: '%s' is no duration; write 500ms, 90s, 15m, 1h30m, 7d or never",
			  name, text);
	return ttl_ms;
}

uint64_t unsigned_argument(const struct command_line *line, const char *name, const char *text,
			   uint64_t min, uint64_t max)
{
	uint64_t number;

	if (!parse_unsigned(text, min, max, &number))
		die_usage(line, "%s: '%s' is no number from %" PRIu64 " to %" PRIu64,
			  name, text, min, max);
	return number;
}

int64_t signed_argument(const struct command_line *line, const char *name, const char *text)
{
	int64_t number;
	char *end;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (!isdigit((unsigned char)text[*text == '-' || *text == '+']) || errno || *end)
		die_usage(line, "%s: '%s' is no number of signed 64 bits", name, text);
	return number;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The byte that the escape at @text stands for, or -1; *@used: its characters. */
static int unescape_one(const char *text, size_t len, size_t *used)
{
	static const char from[] = "ntr\\", to[] = "\n\t\r\\";
	const char *match;
	int high, low;

	if (len >= 4 && text[1] == 'x') {
		high = hex_digit(text[2]);
		low = hex_digit(text[3]);
		*used = 4;
		return high < 0 || low < 0 ? -1 : high * 16 + low;
	}
	match = len >= 2 ? memchr(from, text[1], sizeof(from) - 1) : NULL;
	*used = 2;
	return match ? to[match - from] : -1;
}

long unescape(const char *text, size_t len, char *out)
{
	size_t used, in = 0;
	long nr = 0;
	int byte;

	while (in < len) {
		if (text[in] != '\\') {
			out[nr++] = text[in++];
			continue;
		}
		byte = unescape_one(text + in, len - in, &used);
		if (byte < 0)
			return -1;
		out[nr++] = (char)byte;
		in += used;
	}
	return nr;
}

struct bytes key_operand(const struct command_line *line, int index)
{
	char *text = line->operands[index];
	struct bytes key = { text, strlen(text) };
	long len;

	if (line->escaped) {
		len = unescape(text, key.len, text);
		if (len < 0)
			die_usage(line, "KEY has an escape that is none; there are \\n \\t \\r \\\\ \\xHH");
		key.len = (size_t)len;
	}
	if (!key.len)
		die_usage(line, "KEY is empty; the shortest has one byte");
	return key;
}

/* Reads to the end of the file, or until there is more than @max bytes. */
static struct bytes read_all(int fd, const char *name, uint64_t max)
{
	size_t len = 0, size = 0;
	char *data = NULL;
	ssize_t got;

	do {
		if (len == size) {
			size = size ? size * 2 : 65536;
			data = realloc(data, size);
			if (!data)
				die(EXIT_REFUSED, name, "no memory for the value");
		}
		got = read(fd, data + len, size - len);
		if (got < 0 && errno != EINTR)
			die(EXIT_REFUSED, name, "%s", strerror(errno));
		if (got > 0)
			len += (size_t)got;
	} while (got && len <= max);

	return (struct bytes){ data, len };
}

static struct bytes read_value(const char *file, uint64_t value_max)
{
	bool standard_input = !strcmp(file, "-");
	const char *name = standard_input ? "standard input" : file;
	int fd = standard_input ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	struct bytes value;

	if (fd < 0)
		die(EXIT_REFUSED, name, "%s", strerror(errno));
	value = read_all(fd, name, value_max);
	if (value.len > value_max)
		die(EXIT_REFUSED, name,
		    "longer than a value may be; the cache takes %" PRIu64 " bytes", value_max);
	return value;
}

struct bytes value_operand(const struct command_line *line, uint64_t value_max)
{
	const char *operand = line->operands[1];

	if (line->file)
		return read_value(line->file, value_max);
	if (!strcmp(operand, "-"))
		return read_value("-", value_max);
	return (struct bytes){ operand, strlen(operand) };
}
