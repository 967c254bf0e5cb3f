// SPDX-License-Identifier: GPL-2.0
/*
 * save and restore: the cache's text form to a file and back. The file appears
 * under its name when it is complete, or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

#define BUFFER_SIZE	(256 * 1024)	/* bytes */
#define PROGRESS_MS	250		/* between two lines */
#define QUIET_MS	1000		/* before the first */

struct progress {
	const char *verb;
	uint64_t start_ms, shown_ms;
	uint64_t entries, bytes;
	bool terminal;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct progress start_progress(const char *verb)
{
	return (struct progress){
		.verb = verb,
		.start_ms = now_ms(),
		.terminal = isatty(STDERR_FILENO),
	};
}

static void show_progress(struct progress *p)
{
	uint64_t now = now_ms(), took_ms = now - p->start_ms;
	char size[SIZE_TEXT_MAX], rate[SIZE_TEXT_MAX];

	if (!p->terminal || took_ms < QUIET_MS || now - p->shown_ms < PROGRESS_MS)
		return;
	p->shown_ms = now;
	fprintf(stderr, "\r%s %" PRIu64 " entries, %s, %s/s\033[K", p->verb, p->entries,
		format_size(size, p->bytes), format_size(rate, p->bytes * 1000 / took_ms));
}

/* Takes the progress line away, so that another can come in its place. */
static void clear_progress(const struct progress *p)
{
	if (p->shown_ms)
		fputs("\r\033[K", stderr);
}

static void end_progress(const struct progress *p)
{
	char size[SIZE_TEXT_MAX];

	clear_progress(p);
	fprintf(stderr, "%s %" PRIu64 " entries, %s\n", p->verb, p->entries,
		format_size(size, p->bytes));
}

static uint64_t count_lines(const char *text, size_t len)
{
	const char *end = text + len;
	uint64_t nr = 0;

	while ((text = memchr(text, '\n', (size_t)(end - text)))) {
		text++;
		nr++;
	}
	return nr;
}

/* read(2), again after a signal. */
static ssize_t read_some(int fd, char *buf, size_t size)
{
	ssize_t got;

	do
		got = read(fd, buf, size);
	while (got < 0 && errno == EINTR);
	return got;
}

/* write(2), again after a signal. */
static ssize_t write_some(int fd, const char *buf, size_t len)
{
	ssize_t put;

	do
		put = write(fd, buf, len);
	while (put < 0 && errno == EINTR);
	return put;
}

static void write_all(int fd, const char *name, const char *buf, size_t len)
{
	ssize_t put;

	for (; len; buf += put, len -= (size_t)put) {
		put = write_some(fd, buf, len);
		if (put < 0)
			die(EXIT_REFUSED, name, "%s", strerror(errno));
	}
}

/* The file that is being written, until it has its name. For the signal handler. */
static char unfinished[PATH_MAX];

static void remove_unfinished(void)
{
	if (unfinished[0])
		unlink(unfinished);
}

static void on_signal(int number)
{
	remove_unfinished();
	signal(number, SIG_DFL);
	raise(number);
}

/* mkostemp() on unfinished, with all set to remove it. */
static int make_unfinished(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	sigset_t all, before;
	size_t i;
	int fd;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	fd = mkostemp(unfinished, O_CLOEXEC);
	if (fd < 0) {
		unfinished[0] = '\0';
	} else {
		atexit(remove_unfinished);
		for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			if (signal(numbers[i], on_signal) == SIG_IGN)
				signal(numbers[i], SIG_IGN);	/* nohup */
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return fd;
}

/* That of the file which is replaced, or what a new file gets. */
static mode_t mode_for(const char *path)
{
	struct stat st;
	mode_t mask;

	if (!stat(path, &st))
		return st.st_mode & 0777;
	mask = umask(0);
	umask(mask);
	return 0666 & ~mask;
}

/* A new file beside @path, under a name that nobody looks for. */
static int create_beside(const char *path)
{
	int fd, len = snprintf(unfinished, sizeof(unfinished), "%s.XXXXXX", path);

	if (len >= (int)sizeof(unfinished))
		die(EXIT_REFUSED, path, "%s", strerror(ENAMETOOLONG));
	fd = make_unfinished();
	if (fd < 0)
		die(EXIT_REFUSED, path, "cannot be made: %s", strerror(errno));
	if (fchmod(fd, mode_for(path)))
		die(EXIT_REFUSED, path, "%s", strerror(errno));
	return fd;
}

static void finish(int fd, const char *path)
{
	if (fsync(fd) || close(fd) || rename(unfinished, path))
		die(EXIT_REFUSED, path, "%s", strerror(errno));
	unfinished[0] = '\0';
}

/* Copies all lines of the cache. */
static void save_to(const struct command_line *line, int from, int to, const char *name)
{
	struct progress progress = start_progress("saved");
	static char buf[BUFFER_SIZE];
	char last = '\n';
	ssize_t got;

	while ((got = read_some(from, buf, sizeof(buf))) > 0) {
		write_all(to, name, buf, (size_t)got);
		last = buf[got - 1];
		progress.bytes += (size_t)got;
		progress.entries += count_lines(buf, (size_t)got);
		show_progress(&progress);
	}
	if (got < 0)
		die(EXIT_REFUSED, line->device, "%s", strerror(errno));
	if (last != '\n')
		die(EXIT_REFUSED, line->device, "ended in the middle of an entry");
	end_progress(&progress);
}

/* Something to write into as it is: a pipe, /dev/null, a descriptor's name. */
static bool is_special(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISREG(st.st_mode);
}

static void save_to_special(const struct command_line *line, int from, const char *path)
{
	int to = open(path, O_WRONLY | O_CLOEXEC);

	if (to < 0)
		die(EXIT_REFUSED, path, "%s", strerror(errno));
	save_to(line, from, to, path);
}

static void save_to_file(const struct command_line *line, int from, const char *path)
{
	char *target = realpath(path, NULL);	/* of a symbolic link; NULL: a new file */
	int to;

	if (target)
		path = target;
	to = create_beside(path);
	save_to(line, from, to, path);
	finish(to, path);
	free(target);
}

int cmd_save(const struct command_line *line)
{
	int from = kcache_fd(open_cache(line, O_RDONLY));
	const char *path = line->operands[0];

	if (!strcmp(path, "-"))
		save_to(line, from, STDOUT_FILENO, "standard output");
	else if (is_special(path))
		save_to_special(line, from, path);
	else
		save_to_file(line, from, path);
	return EXIT_DONE;
}

/* Attributes and a key of which each byte is escaped, with the spaces. */
#define HEAD_MAX	(256 + 4 * KCACHE_KEY_MAX)

/* The dump that is being restored. */
struct dump {
	const char *name;
	int fd;
	uint64_t skipped;	/* entries that the cache is too small for */
	bool is_skipping;	/* until the end of the line */
	size_t len;		/* bytes in buf that the device has not taken */
	char buf[BUFFER_SIZE];
	uint64_t given;		/* bytes that the device has of a line whose end it has not */
	size_t head_len;
	char head[HEAD_MAX];	/* how that line begins, if it is not in buf any more */
};

static uint64_t line_number(const struct dump *dump, const struct progress *progress)
{
	return progress->entries + dump->skipped + !dump->is_skipping;
}

static _Noreturn void die_restore(const struct dump *dump, const struct progress *progress,
				  const char *cause)
{
	clear_progress(progress);
	die(EXIT_REFUSED, dump->name, "line %" PRIu64 ": %s; the %" PRIu64
	    " entries before it are restored", line_number(dump, progress), cause,
	    progress->entries);
}

static const char *line_error(int error)
{
	switch (error) {
	case EINVAL:
		return "not a line of the form [@ttl_ms=N,flags=N ]KEY VALUE";
	case EFBIG:
		return "key or value is longer than the cache takes";
	case ENOSPC:
		return "no room could be made for the entry";
	default:
		return strerror(error);
	}
}

/* How the line begins of which the next byte to give is that @at of the buffer. */
static struct bytes beginning_of_line(const struct dump *dump, size_t at)
{
	if (dump->given > at)
		return (struct bytes){ dump->head, dump->head_len };
	at -= dump->given;
	return (struct bytes){ dump->buf + at, dump->len - at };
}

/* The key of a line, which stays as long as no other is asked for; empty if there is none. */
static struct bytes key_of(struct bytes line)
{
	static char key[HEAD_MAX];
	const char *start = line.data, *end = start + line.len, *space;
	long len;

	space = memchr(start, ' ', line.len);
	if (space && *start == '@') {
		start = space + 1;
		space = memchr(start, ' ', (size_t)(end - start));
	}
	if (!space || space - start > HEAD_MAX)
		return (struct bytes){ 0 };
	len = unescape(start, (size_t)(space - start), key);
	return (struct bytes){ key, len > 0 && len <= KCACHE_KEY_MAX ? (size_t)len : 0 };
}

/* The line is too long for the cache, which has forgotten what it had of it. */
static void skip_line(struct dump *dump, size_t at, struct progress *progress)
{
	struct bytes key = key_of(beginning_of_line(dump, at));

	clear_progress(progress);
	progress->shown_ms = 0;
	fprintf(stderr, "kcachectl: %s: line %" PRIu64 ": %s; skipped", dump->name,
		line_number(dump, progress), line_error(EFBIG));
	if (key.len) {
		fputs(": ", stderr);
		put_key(stderr, key);
	}
	fputc('\n', stderr);
	dump->skipped++;
	progress->bytes -= dump->given;
	dump->given = 0;
}

/* The device has taken @len bytes at @from. */
static void count(struct dump *dump, const char *from, size_t len, struct progress *progress)
{
	const char *newline = memrchr(from, '\n', len);

	progress->entries += count_lines(from, len);
	progress->bytes += len;
	dump->given = newline ? (size_t)(from + len - newline - 1) : dump->given + len;
}

/*
 * Gives bytes @at to @end of the buffer to the device, or passes over those of a line
 * that is too long for it: how many it were.
 */
static size_t give_some(struct dump *dump, int to, size_t at, size_t end,
			struct progress *progress)
{
	const char *from = dump->buf + at, *newline;
	ssize_t put;

	if (!dump->is_skipping) {
		put = write_some(to, from, end - at);
		if (put >= 0) {
			count(dump, from, (size_t)put, progress);
			return (size_t)put;
		}
		if (errno != EFBIG)
			die_restore(dump, progress, line_error(errno));
		skip_line(dump, at, progress);
	}
	newline = memchr(from, '\n', end - at);
	dump->is_skipping = !newline;
	return newline ? (size_t)(newline + 1 - from) : end - at;
}

/* Before @len bytes go from the buffer: the beginning of a line that goes on is kept. */
static void keep_head(struct dump *dump, size_t len)
{
	if (dump->given > len || !dump->given)
		return;
	dump->head_len = dump->given < HEAD_MAX ? dump->given : HEAD_MAX;
	memcpy(dump->head, dump->buf + len - dump->given, dump->head_len);
}

/* Gives @len bytes of the buffer to the device, and moves the rest up. */
static void give(struct dump *dump, int to, size_t len, struct progress *progress)
{
	size_t done = 0;

	while (done < len)
		done += give_some(dump, to, done, len, progress);
	keep_head(dump, len);
	dump->len -= len;
	memmove(dump->buf, dump->buf + len, dump->len);
	show_progress(progress);
}

/*
 * Bytes that are to go to the device: whole lines, so that an error is one of
 * the first line not taken; or the part of a line that is longer than the buffer.
 */
static size_t ready(const struct dump *dump)
{
	const char *newline = memrchr(dump->buf, '\n', dump->len);

	if (newline)
		return (size_t)(newline + 1 - dump->buf);
	return dump->len == sizeof(dump->buf) ? dump->len : 0;
}

/* Reads behind what is in the buffer. */
static ssize_t read_more(struct dump *dump)
{
	ssize_t got = read_some(dump->fd, dump->buf + dump->len, sizeof(dump->buf) - dump->len);

	if (got > 0)
		dump->len += (size_t)got;
	return got;
}

/*
 * A line that is too long for the cache is skipped: a smaller cache takes the others.
 * A line without its newline may be half a line: it is not given to the device,
 * or not its end, and the device stores no half entry.
 */
static void restore_from(struct dump *dump, int to)
{
	struct progress progress = start_progress("restored");
	ssize_t got;
	char last = '\n';

	while ((got = read_more(dump)) > 0) {
		last = dump->buf[dump->len - 1];
		give(dump, to, ready(dump), &progress);
	}
	if (got < 0)
		die(EXIT_REFUSED, dump->name, "%s", strerror(errno));
	if (last != '\n')
		die_restore(dump, &progress, "no newline at its end: the dump was cut off");
	end_progress(&progress);
	if (dump->skipped)
		fprintf(stderr, "skipped %" PRIu64 " entries, for which the cache is too small\n",
			dump->skipped);
}

int cmd_restore(const struct command_line *line)
{
	const char *path = line->operands[0];
	bool standard_input = !strcmp(path, "-");
	static struct dump dump;
	int to = kcache_fd(open_cache(line, O_WRONLY));

	dump.name = standard_input ? "standard input" : path;
	dump.fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (dump.fd < 0)
		die(EXIT_REFUSED, path, "%s", strerror(errno));
	restore_from(&dump, to);
	return dump.skipped ? EXIT_UNMET : EXIT_DONE;
}
