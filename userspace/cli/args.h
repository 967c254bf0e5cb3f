/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From the words of a command line to numbers, keys and values.
 */
#ifndef KCACHECTL_ARGS_H
#define KCACHECTL_ARGS_H

#include "cli.h"

/*
 * Each reads @text, or dies with the usage; @name says what it was meant to be.
 */

/*
 * Milliseconds of "90s", "1h30m", "500ms"; a bare number is seconds. 0 and
 * "never" are 0: for ever.
 */
uint64_t ttl_argument(const struct command_line *line, const char *name, const char *text);
uint64_t unsigned_argument(const struct command_line *line, const char *name, const char *text,
			   uint64_t min, uint64_t max);
int64_t signed_argument(const struct command_line *line, const char *name, const char *text);

/**
 * unescape() - undo the escapes of the cache's text form
 * @text: characters
 * @len: how many
 * @out: room for @len bytes; may be @text
 *
 * Return: number of bytes, or -1 if an escape is none.
 */
long unescape(const char *text, size_t len, char *out);

/**
 * key_operand() - a key, or the beginning of one, or die
 * @line: tells whether escapes are to be undone
 * @index: which operand
 *
 * Return: its bytes, in the memory of the operand.
 */
struct bytes key_operand(const struct command_line *line, int index);

/**
 * value_operand() - the value that a command brings, or die
 * @line: has it from --file or as the operand after the key, "-" being standard
 *	input
 * @value_max: longest value in bytes that the cache takes
 *
 * Return: its bytes, in memory that lasts until the program's end.
 */
struct bytes value_operand(const struct command_line *line, uint64_t value_max);

#endif /* KCACHECTL_ARGS_H */
