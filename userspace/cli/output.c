// SPDX-License-Identifier: GPL-2.0
/*
 * What goes to standard output, as text and as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

void check_output(void)
{
	if (ferror(stdout))
		die(EXIT_REFUSED, "standard output", "%s", strerror(errno));
}

void flush_output(void)
{
	check_output();
	if (fflush(stdout))
		die(EXIT_REFUSED, "standard output", "%s", strerror(errno));
}

void put_value(struct bytes value)
{
	const char *text = value.data;

	fwrite(text, 1, value.len, stdout);
	if (isatty(STDOUT_FILENO) && (!value.len || text[value.len - 1] != '\n'))
		putchar('\n');
}

static bool is_continuation(const unsigned char *p, size_t nr)
{
	while (nr--)
		if ((*p++ & 0xc0) != 0x80)
			return false;
	return true;
}

/* Bytes of the UTF-8 sequence at @p, at most 4; 0 if there is none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	size_t len = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

	if (len > left || !is_continuation(p + 1, len - 1))
		return 0;
	switch (*p) {
	case 0x00 ... 0x7f:
	case 0xc2 ... 0xdf:
	case 0xe1 ... 0xec:
	case 0xee ... 0xef:
	case 0xf1 ... 0xf3:
		return len;
	case 0xe0:			/* shorter sequences have these */
		return p[1] >= 0xa0 ? len : 0;
	case 0xed:			/* surrogates */
		return p[1] < 0xa0 ? len : 0;
	case 0xf0:
		return p[1] >= 0x90 ? len : 0;
	case 0xf4:			/* over U+10FFFF */
		return p[1] < 0x90 ? len : 0;
	default:
		return 0;
	}
}

static bool is_utf8(struct bytes bytes)
{
	const unsigned char *p = bytes.data, *end = p + bytes.len;
	size_t len;

	for (; p < end; p += len) {
		len = utf8_len(p, (size_t)(end - p));
		if (!len)
			return false;
	}
	return true;
}

static void put_escape(FILE *to, unsigned char c)
{
	switch (c) {
	case '\n':
		fputs("\\n", to);
		break;
	case '\t':
		fputs("\\t", to);
		break;
	case '\r':
		fputs("\\r", to);
		break;
	case '\\':
		fputs("\\\\", to);
		break;
	default:
		fprintf(to, "\\x%02x", c);
	}
}

void put_key(FILE *to, struct bytes key)
{
	const unsigned char *start = key.data, *p = start, *end = p + key.len;
	size_t len;

	while (p < end) {
		len = utf8_len(p, (size_t)(end - p));
		if (!len || *p <= ' ' || *p == 0x7f || *p == '\\' || (*p == '@' && p == start)) {
			put_escape(to, *p++);
		} else {
			fwrite(p, 1, len, to);
			p += len;
		}
	}
}

const char *format_ttl(char text[TTL_TEXT_MAX], uint64_t ttl_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
	};
	size_t i = 0;
	int len;

	if (!ttl_ms)
		return "never";
	while (ttl_ms < units[i].ms)
		i++;
	len = snprintf(text, TTL_TEXT_MAX, "%" PRIu64 "%s", ttl_ms / units[i].ms, units[i].name);
	ttl_ms %= units[i].ms;
	i++;
	if (ttl_ms && ttl_ms >= units[i].ms)
		snprintf(text + len, TTL_TEXT_MAX - (size_t)len, "%" PRIu64 "%s",
			 ttl_ms / units[i].ms, units[i].name);
	return text;
}

const char *format_size(char text[SIZE_TEXT_MAX], uint64_t size)
{
	static const char units[] = "BKMGTPE";
	uint64_t unit = 1;
	size_t i = 0;

	while (size / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	snprintf(text, SIZE_TEXT_MAX, size % unit ? "%.1f%c" : "%.0f%c",
		 (double)size / (double)unit, units[i]);
	return text;
}

/* Whether the next piece needs a comma before it, and how many brackets are open. */
static bool json_follows;
static int json_depth;

static void json_piece(const char *name)
{
	if (json_follows)
		fputs(", ", stdout);
	json_follows = true;
	if (name)
		printf("\"%s\": ", name);
}

void json_begin(const char *name, char bracket)
{
	if (json_follows && !name) {
		fputs(",\n", stdout);	/* objects of an array: one a line */
		json_follows = false;
	}
	json_piece(name);
	putchar(bracket);
	json_depth++;
	json_follows = false;
}

void json_end(char bracket)
{
	putchar(bracket);
	json_follows = --json_depth;
	if (!json_depth)
		putchar('\n');		/* documents: one a line, nothing between them */
}

void json_unsigned(const char *name, uint64_t number)
{
	json_piece(name);
	printf("%" PRIu64, number);
}

void json_null(const char *name)
{
	json_raw(name, "null");
}

void json_raw(const char *name, const char *text)
{
	json_piece(name);
	fputs(text, stdout);
}

void json_string(const char *name, const char *text)
{
	json_bytes(name, (struct bytes){ text, strlen(text) });
}

static void put_json_string(struct bytes bytes)
{
	const unsigned char *p = bytes.data, *end = p + bytes.len;
	size_t len;

	putchar('"');
	for (; p < end; p += len) {
		len = utf8_len(p, (size_t)(end - p));
		if (!len) {
			fputs("\\ufffd", stdout);
			len = 1;
		} else if (*p < ' ' || *p == 0x7f) {
			printf("\\u%04x", *p);
		} else {
			if (*p == '"' || *p == '\\')
				putchar('\\');
			fwrite(p, 1, len, stdout);
		}
	}
	putchar('"');
}

static void put_base64(struct bytes bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = bytes.data;
	size_t left, i;
	uint32_t three;

	putchar('"');
	for (left = bytes.len; left; left -= left < 3 ? left : 3, p += 3) {
		three = (uint32_t)p[0] << 16;
		if (left > 1)
			three |= (uint32_t)p[1] << 8;
		if (left > 2)
			three |= p[2];
		for (i = 0; i < 4; i++)
			putchar(i <= left ? digits[three >> (18 - 6 * i) & 63] : '=');
	}
	putchar('"');
}

void json_bytes(const char *name, struct bytes bytes)
{
	json_piece(name);
	put_json_string(bytes);
	if (is_utf8(bytes))
		return;
	printf(", \"%s_base64\": ", name);
	put_base64(bytes);
}

void json_ttl(const char *name, uint64_t ttl_ms)
{
	if (ttl_ms)
		json_unsigned(name, ttl_ms);
	else
		json_null(name);
}
