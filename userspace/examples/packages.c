// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * packages: one process puts the package records of this machine into the cache,
 * several others read them from there and compare every byte.
 *
 *	packages store /var/lib/dpkg/status
 *	packages check /var/lib/dpkg/status [PROCESSES]
 *
 * A record is a stanza of dpkg's status file: lines up to an empty one. Its key
 * is "dpkg:NAME:ARCHITECTURE".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kcache.h"

#define MAX_PROCESSES	64

struct text {
	const char *at;
	size_t len;
};

static int fail(const char *what, int err)
{
	fprintf(stderr, "packages: %s: %s\n", what, strerror(-err));
	return 1;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static int map_file(const char *path, struct text *file)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) || !st.st_size) {
		perror(path);
		return 1;
	}
	file->len = st.st_size;
	file->at = mmap(NULL, file->len, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (file->at == MAP_FAILED) {
		perror(path);
		return 1;
	}
	return 0;
}

/* Cuts the next stanza off the front of @file. */
static int next_stanza(struct text *file, struct text *stanza)
{
	const char *end;

	if (!file->len)
		return 0;
	end = memmem(file->at, file->len, "\n\n", 2);
	stanza->at = file->at;
	stanza->len = end ? (size_t)(end + 1 - file->at) : file->len;
	file->at += stanza->len + (end ? 1 : 0);
	file->len -= stanza->len + (end ? 1 : 0);
	return 1;
}

/* The value of the line "@name: value" of a stanza. */
static struct text field(const struct text *stanza, const char *name)
{
	struct text value = { "", 0 };
	const char *line = stanza->at, *end = stanza->at + stanza->len;
	size_t name_len = strlen(name);

	while (line < end) {
		const char *newline = memchr(line, '\n', end - line);
		const char *line_end = newline ? newline : end;

		if ((size_t)(line_end - line) > name_len + 2 && !memcmp(line, name, name_len) &&
		    line[name_len] == ':') {
			value.at = line + name_len + 2;
			value.len = line_end - value.at;
			break;
		}
		line = line_end + 1;
	}
	return value;
}

static int make_key(const struct text *stanza, char *key, size_t size)
{
	struct text name = field(stanza, "Package"), arch = field(stanza, "Architecture");

	return snprintf(key, size, "dpkg:%.*s:%.*s", (int)name.len, name.at, (int)arch.len,
			arch.at);
}

static int store(const char *path)
{
	struct text file, stanza;
	struct kcache *cache;
	char key[KCACHE_KEY_MAX];
	unsigned int nr = 0;
	size_t bytes = 0;
	double begin;
	int err;

	if (map_file(path, &file))
		return 1;
	err = kcache_open(&cache, NULL, O_WRONLY);
	if (err)
		return fail(KCACHE_DEVICE, err);
	begin = now_s();
	while (next_stanza(&file, &stanza)) {
		int key_len = make_key(&stanza, key, sizeof(key));

		err = kcache_set(cache, key, key_len, stanza.at, stanza.len, 0);
		if (err)
			return fail(key, err);
		bytes += stanza.len;
		nr++;
	}
	printf("process %d stored %u records, %zu bytes, in %.3f s\n", getpid(), nr, bytes,
	       now_s() - begin);
	kcache_close(cache);
	return 0;
}

/* One reader: opens the cache by itself and compares all records with the file. */
static int check(struct text file)
{
	struct text stanza;
	struct kcache *cache;
	char key[KCACHE_KEY_MAX];
	unsigned int nr = 0;
	size_t bytes = 0;
	double begin = now_s();
	int err = kcache_open(&cache, NULL, O_RDONLY);

	if (err)
		return fail(KCACHE_DEVICE, err);
	while (next_stanza(&file, &stanza)) {
		int key_len = make_key(&stanza, key, sizeof(key));
		size_t value_len;
		void *value;

		err = kcache_get_alloc(cache, key, key_len, &value, &value_len);
		if (err)
			return fail(key, err);
		if (value_len != stanza.len || memcmp(value, stanza.at, value_len)) {
			fprintf(stderr, "packages: %s: the cache has another record\n", key);
			return 1;
		}
		free(value);
		bytes += value_len;
		nr++;
	}
	printf("process %d read %u records, %zu bytes, all equal, in %.3f s\n", getpid(), nr,
	       bytes, now_s() - begin);
	kcache_close(cache);
	return 0;
}

static int check_in_parallel(const char *path, int processes)
{
	struct text file;
	int failed = 0, status;

	if (map_file(path, &file))
		return 1;
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("packages: fork");
			failed = 1;
			break;
		}
		if (!pid)
			exit(check(file));
	}
	while (wait(&status) > 0)
		failed |= status;
	return !!failed;
}

int main(int argc, char **argv)
{
	int processes = argc > 3 ? atoi(argv[3]) : 4;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "store"))
		return store(argv[2]);
	if ((argc == 3 || argc == 4) && !strcmp(argv[1], "check") && processes > 0 &&
	    processes <= MAX_PROCESSES)
		return check_in_parallel(argv[2], processes);
	fprintf(stderr, "usage: packages store FILE | packages check FILE [PROCESSES]\n");
	return 2;
}
