/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of kcachectl share: the command line as it was understood,
 * the commands, and the ways to fail.
 */
#ifndef KCACHECTL_CLI_H
#define KCACHECTL_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include <kcache.h>

enum exit_code {
	EXIT_DONE,
	EXIT_UNMET,	/* not found, a condition not met, or not all of it done */
	EXIT_USAGE,
	EXIT_REFUSED,	/* the device said no, or the data could not get in or out */
};

struct bytes {
	const void *data;
	size_t len;
};

/* The command line: what is not given is zero, as the contract has it. */
struct command_line {
	const struct command *command;
	const char *device;	/* never NULL */
	char **operands;
	int nr_operands;

	uint32_t op_flags;	/* KCACHE_IF_ABSENT and so on */
	uint32_t client_flags;
	uint64_t ttl_ms;
	uint64_t version;	/* KCACHE_IF_VERSION */
	int64_t initial;	/* KCACHE_INITIAL */
	const char *file;
	unsigned int watch_s;
	bool ttl_given;
	bool flags_given;
	bool escaped;
	bool json;
	bool long_format;
};

/*
 * Commands return an exit code, or do not return at all: an error of theirs
 * goes to one of the die functions.
 */
int cmd_set(const struct command_line *line);
int cmd_get(const struct command_line *line);
int cmd_remove(const struct command_line *line);
int cmd_pop(const struct command_line *line);
int cmd_stat(const struct command_line *line);
int cmd_touch(const struct command_line *line);
int cmd_add(const struct command_line *line);
int cmd_append(const struct command_line *line);
int cmd_prepend(const struct command_line *line);
int cmd_flush(const struct command_line *line);
int cmd_list(const struct command_line *line);
int cmd_stats(const struct command_line *line);
int cmd_info(const struct command_line *line);
int cmd_save(const struct command_line *line);
int cmd_restore(const struct command_line *line);

/**
 * open_cache() - open the cache of a command line, or die
 * @line: names the device
 * @flags: O_RDONLY, O_WRONLY or O_RDWR
 *
 * Return: a handle. Commands leave the closing to the end of the program.
 */
struct kcache *open_cache(const struct command_line *line, int flags);

/* What the cache is and takes, or die with the device's name. */
struct kcache_info cache_info(const struct command_line *line, struct kcache *cache);

/**
 * die() - print an error and exit
 * @code: exit code
 * @subject: what it is about, or NULL
 * @format: cause, and after a semicolon the way out
 */
_Noreturn void die(enum exit_code code, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* die() with EXIT_USAGE; @format tells what is wrong with the command line. */
_Noreturn void die_usage(const struct command_line *line, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* KCACHECTL_CLI_H */
