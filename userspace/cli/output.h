/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What goes to standard output, as text and as JSON.
 */
#ifndef KCACHECTL_OUTPUT_H
#define KCACHECTL_OUTPUT_H

#include <stdio.h>

#include "cli.h"

#define TTL_TEXT_MAX	32	/* bytes, with the NUL */
#define SIZE_TEXT_MAX	32

/* Dies if something could not be written to standard output so far. */
void check_output(void);

/* check_output(), after all that is in the buffer went out. */
void flush_output(void);

/* A value as it is; on a terminal, a newline after it if it brings none. */
void put_value(struct bytes value);

/*
 * A key in the escaped form of the cache's text lines, which --escaped takes.
 * What is not UTF-8 is escaped too, to keep terminals in order.
 */
void put_key(FILE *to, struct bytes key);

/* "1m29s", the two largest units, or "never" for 0. Returns @text. */
const char *format_ttl(char text[TTL_TEXT_MAX], uint64_t ttl_ms);

/* "64M", "1.5K". Returns @text. */
const char *format_size(char text[SIZE_TEXT_MAX], uint64_t size);

/*
 * JSON, piece by piece. @name is the name of the member, or NULL for an element
 * of an array and at the outermost level.
 */
void json_begin(const char *name, char bracket);
void json_end(char bracket);
void json_unsigned(const char *name, uint64_t number);
void json_null(const char *name);

/* @text as it stands: a number that somebody else has formatted. */
void json_raw(const char *name, const char *text);
void json_string(const char *name, const char *text);

/*
 * Bytes as a string. Where they are not UTF-8, U+FFFD stands for each byte that
 * does not fit, and a second member, its name ending in _base64, has the bytes.
 */
void json_bytes(const char *name, struct bytes bytes);

/* null for 0: for ever */
void json_ttl(const char *name, uint64_t ttl_ms);

#endif /* KCACHECTL_OUTPUT_H */
