// SPDX-License-Identifier: GPL-2.0
/*
 * kcachectl: a cache's operations as commands. Here: the table of commands, the
 * one parser for all their options, help, and errors. The exit codes are
 * enum exit_code; standard output carries data only.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

/* Options of commands; a set of them is a mask of 1 << OPT_... */
enum {
	OPT_ESCAPED,
	OPT_FILE,
	OPT_FLAGS,
	OPT_IF_ABSENT,
	OPT_IF_PRESENT,
	OPT_IF_VERSION,
	OPT_INITIAL,
	OPT_JSON,
	OPT_KEEP_TTL,
	OPT_LONG,
	OPT_RETURN_OLD,
	OPT_TOUCH,
	OPT_TTL,
	OPT_WATCH,
	NR_OPTS
};

static const struct {
	const char *name;
	char letter;		/* or 0 */
	const char *argument;	/* or NULL */
	const char *help;
} option_table[NR_OPTS] = {
	[OPT_ESCAPED] = { "escaped", 'e', NULL,
		"the key has escapes, as 'list' prints them: \\n \\t \\r \\\\ \\xHH" },
	[OPT_FILE] = { "file", 'f', "FILE",
		"take the value from FILE, or from standard input: -" },
	[OPT_FLAGS] = { "flags", 0, "N",
		"the client's own 32 bits, kept with the entry" },
	[OPT_IF_ABSENT] = { "if-absent", 0, NULL,
		"only if there is no such key, else exit 1" },
	[OPT_IF_PRESENT] = { "if-present", 0, NULL,
		"only if there is such a key, else exit 1" },
	[OPT_IF_VERSION] = { "if-version", 0, "V",
		"only if the entry still has the version V (see 'stat'), else exit 1" },
	[OPT_INITIAL] = { "initial", 0, "N",
		"a missing key gets the value N; DELTA is not added then" },
	[OPT_JSON] = { "json", 0, NULL,
		"print JSON" },
	[OPT_KEEP_TTL] = { "keep-ttl", 0, NULL,
		"an entry that is there keeps its time to live" },
	[OPT_LONG] = { "long", 'l', NULL,
		"with length in bytes and time to live before each key" },
	[OPT_RETURN_OLD] = { "return-old", 0, NULL,
		"print the value that was there, if there was one" },
	[OPT_TOUCH] = { "touch", 0, "TTL",
		"also let the entry expire after TTL" },
	[OPT_TTL] = { "ttl", 0, "TTL",
		"expire after TTL: 500ms, 90s, 15m, 1h30m, 7d, or never;\n"
		"                      a bare number is seconds (default: never)" },
	[OPT_WATCH] = { "watch", 0, "SECONDS",
		"print again and again, with the change per second" },
};

struct command {
	const char *name;
	const char *alias;	/* or NULL */
	int (*run)(const struct command_line *line);
	unsigned int options;
	bool options_first;	/* an operand may start with '-' */
	int min_operands;
	int max_operands;
	const char *synopsis;
	const char *summary;
	const char *example;
};

#define O(name) (1U << OPT_##name)
#define ANY_NUMBER 0x7fffffff

static const struct command commands[] = {
	{ "set", NULL, cmd_set,
	  O(TTL) | O(KEEP_TTL) | O(FLAGS) | O(IF_ABSENT) | O(IF_PRESENT) | O(IF_VERSION) |
	  O(RETURN_OLD) | O(FILE) | O(ESCAPED) | O(JSON), false, 1, 2,
	  "KEY VALUE|-", "store VALUE under KEY (-: from standard input)",
	  "kcachectl set --ttl 90s greeting hello\n"
	  "  convert in.png jpg:- | kcachectl set --if-absent thumb:17 -" },
	{ "get", NULL, cmd_get, O(TOUCH) | O(ESCAPED) | O(JSON), false, 1, ANY_NUMBER,
	  "KEY...", "print the value of each KEY, several of them a line each",
	  "kcachectl get greeting\n"
	  "  kcachectl get --json user:1 user:2 user:3\n"
	  "  kcachectl get --touch 30m session:42 > session.bin" },
	{ "remove", "rm", cmd_remove, O(IF_VERSION) | O(ESCAPED), false, 1, ANY_NUMBER,
	  "KEY...", "remove each KEY",
	  "kcachectl remove greeting thumb:17" },
	{ "pop", NULL, cmd_pop, O(ESCAPED), false, 1, 1,
	  "KEY", "print the value of KEY and remove it, in one step",
	  "token=$(kcachectl pop reset-token:42) || echo 'used before'" },
	{ "stat", NULL, cmd_stat, O(ESCAPED) | O(JSON), false, 1, 1,
	  "KEY", "print length, time to live, version and flags of KEY",
	  "kcachectl stat --json greeting" },
	{ "touch", NULL, cmd_touch, O(ESCAPED), false, 2, 2,
	  "KEY TTL", "let KEY expire after TTL (90s, 1h30m, never; a bare number is seconds)",
	  "kcachectl touch session:42 30m" },
	{ "add", NULL, cmd_add, O(INITIAL) | O(TTL) | O(FLAGS) | O(ESCAPED), true, 2, 2,
	  "KEY DELTA", "add DELTA to the number under KEY and print the sum",
	  "kcachectl add --initial 1 --ttl 1h hits 1\n"
	  "  kcachectl add stock -3" },
	{ "append", NULL, cmd_append, O(IF_VERSION) | O(FILE) | O(ESCAPED), false, 1, 2,
	  "KEY VALUE|-", "put VALUE behind the value of KEY (-: from standard input)",
	  "kcachectl append log 'one more line'" },
	{ "prepend", NULL, cmd_prepend, O(IF_VERSION) | O(FILE) | O(ESCAPED), false, 1, 2,
	  "KEY VALUE|-", "put VALUE before the value of KEY (-: from standard input)",
	  "kcachectl prepend path /opt/bin:" },
	{ "list", "ls", cmd_list, O(LONG) | O(ESCAPED) | O(JSON), false, 0, 1,
	  "[PREFIX]", "print all keys, or those that start with PREFIX, in no order",
	  "kcachectl list --long session: | sort -n" },
	{ "stats", NULL, cmd_stats, O(WATCH) | O(JSON), false, 0, 0,
	  "", "print the statistics of the cache",
	  "kcachectl stats --watch 1" },
	{ "info", NULL, cmd_info, O(JSON), false, 0, 0,
	  "", "print what the cache is and takes: limits, operations",
	  "kcachectl info" },
	{ "flush", NULL, cmd_flush, 0, false, 0, 0,
	  "", "remove all entries, without asking; for the owner of the device",
	  "sudo kcachectl flush" },
	{ "save", NULL, cmd_save, 0, false, 1, 1,
	  "FILE|-", "write all entries to FILE, which appears when it is complete",
	  "kcachectl save /var/backups/cache.dump" },
	{ "restore", NULL, cmd_restore, 0, false, 1, 1,
	  "FILE|-", "store the entries of FILE, written by 'save' or by hand",
	  "kcachectl restore /var/backups/cache.dump\n"
	  "  printf '@ttl_ms=90000 greeting hello\\n' | kcachectl restore -" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

__attribute__((format(printf, 2, 0)))
static void print_error(const char *subject, const char *format, va_list args)
{
	fflush(stdout);
	fputs("kcachectl: ", stderr);
	if (subject)
		fprintf(stderr, "%s: ", subject);
	vfprintf(stderr, format, args);
}

_Noreturn void die(enum exit_code code, const char *subject, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(subject, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(code);
}

_Noreturn void die_usage(const struct command_line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(line->command->name, format, args);
	va_end(args);
	fprintf(stderr, "; see 'kcachectl %s --help'\n", line->command->name);
	exit(EXIT_USAGE);
}

static const char *open_error(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return "no such device; load the module: 'sudo modprobe kcache', or 'sudo make load' in the source tree";
	case -EACCES:
	case -EPERM:
		return "permission denied; its owner and mode say who may ('ls -l'), and sudo may";
	case -ENOTTY:
		return "not a cache; --device takes the device node of one";
	default:
		return strerror(-err);
	}
}

struct kcache *open_cache(const struct command_line *line, int flags)
{
	struct kcache *cache;
	int err = kcache_open(&cache, line->device, flags);

	if (err)
		die(EXIT_REFUSED, line->device, "%s", open_error(err));
	return cache;
}

struct kcache_info cache_info(const struct command_line *line, struct kcache *cache)
{
	struct kcache_info info = { .size = sizeof(info) };
	int err = kcache_info(cache, &info);

	if (err)
		die(EXIT_REFUSED, line->device, "%s", strerror(-err));
	return info;
}

static void print_help(void)
{
	const struct command *c;

	puts("Usage: kcachectl [-d DEVICE] COMMAND [OPTION]... [OPERAND]...\n"
	     "\n"
	     "Reads and changes a cache that the kernel keeps for all processes.\n"
	     "\n"
	     "Commands ('kcachectl COMMAND --help' tells more):");
	for (c = commands; c < commands + NR_COMMANDS; c++)
		printf("  %-7s %-11s %s\n", c->name, c->synopsis, c->summary);
	puts("\n"
	     "Options before the command:\n"
	     "  -d, --device DEVICE  the cache's device node (default: " KCACHE_DEVICE ")\n"
	     "  -h, --help           print this\n"
	     "  -V, --version        print the version\n"
	     "\n"
	     "Exit status: 0 done, 1 not found or condition not met, 2 wrong usage,\n"
	     "3 the device said no, or a file could not be read or written.\n"
	     "\n"
	     "Example:\n"
	     "  kcachectl set --ttl 90s greeting hello && kcachectl get greeting");
}

static void print_option_help(int opt)
{
	char text[32];

	snprintf(text, sizeof(text), "--%s%s%s", option_table[opt].name,
		 option_table[opt].argument ? " " : "",
		 option_table[opt].argument ? option_table[opt].argument : "");
	if (option_table[opt].letter)
		printf("  -%c, %-15s %s\n", option_table[opt].letter, text, option_table[opt].help);
	else
		printf("      %-15s %s\n", text, option_table[opt].help);
}

static void print_command_help(const struct command *command)
{
	const char *name = command->name, *summary = command->summary;
	int opt;

	printf("Usage: kcachectl [-d DEVICE] %s [OPTION]... %s\n", name, command->synopsis);
	if (command->options & O(FILE))
		printf("       kcachectl [-d DEVICE] %s [OPTION]... --file FILE KEY\n", name);
	printf("\n%c%s.\n\nOptions:\n", toupper((unsigned char)summary[0]), summary + 1);
	for (opt = 0; opt < NR_OPTS; opt++)
		if (command->options & 1U << opt)
			print_option_help(opt);
	puts("  -h, --help          print this");
	if (command->options_first)
		puts("Options stand before the operands.");
	if (command->alias)
		printf("\nThe same: kcachectl %s\n", command->alias);
	printf("\nExample:\n  %s\n", command->example);
}

static void set_condition(struct command_line *line, uint32_t condition)
{
	const uint32_t all = KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION;

	if (line->op_flags & all & ~condition)
		die_usage(line, "--if-absent, --if-present and --if-version exclude each other");
	line->op_flags |= condition;
}

static void take_option(struct command_line *line, int opt)
{
	switch (opt) {
	case OPT_ESCAPED:
		line->escaped = true;
		break;
	case OPT_FILE:
		line->file = optarg;
		break;
	case OPT_FLAGS:
		line->client_flags =
			(uint32_t)unsigned_argument(line, "--flags", optarg, 0, UINT32_MAX);
		line->flags_given = true;
		break;
	case OPT_IF_ABSENT:
		set_condition(line, KCACHE_IF_ABSENT);
		break;
	case OPT_IF_PRESENT:
		set_condition(line, KCACHE_IF_PRESENT);
		break;
	case OPT_IF_VERSION:
		line->version = unsigned_argument(line, "--if-version", optarg, 0, UINT64_MAX);
		set_condition(line, KCACHE_IF_VERSION);
		break;
	case OPT_INITIAL:
		line->initial = signed_argument(line, "--initial", optarg);
		line->op_flags |= KCACHE_INITIAL;
		break;
	case OPT_JSON:
		line->json = true;
		break;
	case OPT_KEEP_TTL:
		line->op_flags |= KCACHE_KEEP_TTL;
		break;
	case OPT_LONG:
		line->long_format = true;
		break;
	case OPT_RETURN_OLD:
		line->op_flags |= KCACHE_RETURN_OLD;
		break;
	case OPT_TOUCH:
		line->ttl_ms = ttl_argument(line, "--touch", optarg);
		line->op_flags |= KCACHE_TOUCH;
		break;
	case OPT_TTL:
		line->ttl_ms = ttl_argument(line, "--ttl", optarg);
		line->ttl_given = true;
		break;
	case OPT_WATCH:
		line->watch_s =
			(unsigned int)unsigned_argument(line, "--watch", optarg, 1, 86400);
		break;
	}
}

/*
 * What getopt_long() is to know of a command's options. It gives back the
 * letter of one that has a letter, else LONG_ONLY + OPT_...
 */
#define LONG_ONLY 256

struct getopt_tables {
	struct option longs[NR_OPTS + 2];
	char letters[2 * NR_OPTS + 4];
};

static void fill_getopt_tables(struct getopt_tables *tables, const struct command *command)
{
	struct option *next = tables->longs;
	char *letters = tables->letters;
	char letter;
	int opt;

	if (command->options_first)
		*letters++ = '+';
	*letters++ = ':';
	*letters++ = 'h';
	*next++ = (struct option){ "help", no_argument, NULL, 'h' };
	for (opt = 0; opt < NR_OPTS; opt++) {
		if (!(command->options & 1U << opt))
			continue;
		letter = option_table[opt].letter;
		*next++ = (struct option){
			.name = option_table[opt].name,
			.has_arg = option_table[opt].argument ? required_argument : no_argument,
			.val = letter ? letter : LONG_ONLY + opt,
		};
		if (!letter)
			continue;
		*letters++ = letter;
		if (option_table[opt].argument)
			*letters++ = ':';
	}
	*next = (struct option){ 0 };
	*letters = '\0';
}

static int option_by_value(int value)
{
	int opt;

	if (value >= LONG_ONLY)
		return value - LONG_ONLY;
	for (opt = 0; option_table[opt].letter != value; opt++)
		;
	return opt;
}

/* The option that getopt_long() has just complained of, as it was written. */
static const char *bad_option(char **argv)
{
	static char letter[3] = "-";

	if (!strncmp(argv[optind - 1], "--", 2))
		return argv[optind - 1];
	letter[1] = (char)optopt;
	return letter;
}

static void parse_options(struct command_line *line, int argc, char **argv)
{
	struct getopt_tables tables;
	int value;

	fill_getopt_tables(&tables, line->command);
	optind = 0;		/* start anew: main() has parsed the global ones */
	while ((value = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		switch (value) {
		case 'h':
			print_command_help(line->command);
			flush_output();
			exit(EXIT_DONE);
		case '?':
			die_usage(line, "wrong option '%s' (an operand that starts with '-' goes behind '--')",
				  bad_option(argv));
		case ':':
			die_usage(line, "option '%s' lacks its argument", bad_option(argv));
		default:
			take_option(line, option_by_value(value));
		}
	}
	line->operands = argv + optind;
	line->nr_operands = argc - optind;
}

static void check_operands(const struct command_line *line)
{
	const struct command *command = line->command;

	if (line->nr_operands < command->min_operands)
		die_usage(line, "operand missing: %s", command->synopsis);
	if (line->nr_operands > command->max_operands)
		die_usage(line, "one operand too many: '%s'",
			  line->operands[command->max_operands]);
	if (command->options & O(FILE) && (line->nr_operands == 2) == !!line->file)
		die_usage(line, "give either VALUE ('-': from standard input) or --file FILE");
}

static const struct command *find_command(const char *name)
{
	const struct command *c;

	for (c = commands; c < commands + NR_COMMANDS; c++)
		if (!strcmp(name, c->name) || (c->alias && !strcmp(name, c->alias)))
			return c;
	die(EXIT_USAGE, NULL, "unknown command '%s'; 'kcachectl --help' lists them", name);
}

static void parse_global_options(struct command_line *line, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};
	int value;

	while ((value = getopt_long(argc, argv, "+:d:hV", longs, NULL)) != -1) {
		switch (value) {
		case 'd':
			line->device = optarg;
			break;
		case 'h':
			print_help();
			flush_output();
			exit(EXIT_DONE);
		case 'V':
			puts("kcachectl " KCACHECTL_VERSION);
			flush_output();
			exit(EXIT_DONE);
		case ':':
			die(EXIT_USAGE, NULL, "option '%s' lacks its argument; see 'kcachectl --help'",
			    bad_option(argv));
		default:
			die(EXIT_USAGE, NULL, "wrong option '%s'; see 'kcachectl --help'",
			    bad_option(argv));
		}
	}
}

/*
 * A descriptor 0, 1 or 2 that is closed would go to the device next, and output
 * into the cache. Give it to something that fails instead.
 */
static void occupy_standard_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
	struct command_line line = { .device = KCACHE_DEVICE };
	int code;

	occupy_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);	/* a write to nobody is an error to tell of */
	opterr = 0;
	parse_global_options(&line, argc, argv);
	if (optind == argc)
		die(EXIT_USAGE, NULL, "which command? 'kcachectl --help' lists them");
	line.command = find_command(argv[optind]);
	parse_options(&line, argc - optind, argv + optind);
	check_operands(&line);

	code = line.command->run(&line);
	flush_output();
	return code;
}
