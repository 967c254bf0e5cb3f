// SPDX-License-Identifier: GPL-2.0
/* A file for each entry, on tmpfs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bench.h"

static char directory[64];

/* Names relative to the directory: of an entry, of a file that is no entry. */
struct client {
	int directory;
	char name[KEY_LEN + 1];
	char draft[32];
};

static int start(const struct setup *setup)
{
	(void)setup;
	scratch(directory, sizeof(directory), "files");
	return mkdir(directory, 0700) ? -errno : 0;
}

static void stop(void)
{
	DIR *dir = opendir(directory);

	for (struct dirent *entry; (entry = readdir(dir));)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(directory);
}

/* With inodes and directory entries, of which tmpfs keeps no account. */
static uint64_t bytes(void)
{
	return (number_in("/proc/meminfo", "Shmem:") + number_in("/proc/meminfo", "Slab:")) * 1024;
}

static void *connect_client(void)
{
	struct client *c = calloc(1, sizeof(*c));

	c->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(c->draft, sizeof(c->draft), "draft-%d", getpid());
	return c;
}

static void disconnect(void *client)
{
	struct client *c = client;

	close(c->directory);
	free(c);
}

static long read_file(struct client *c, const char *name, void *out, size_t size)
{
	int fd = openat(c->directory, name, O_RDONLY | O_CLOEXEC);
	long len;

	if (fd < 0)
		return -errno;
	len = read(fd, out, size);
	close(fd);
	return len;
}

static long get(void *client, const char *key, void *out, size_t size)
{
	struct client *c = client;

	memcpy(c->name, key, KEY_LEN);
	return read_file(c, c->name, out, size);
}

static long set(void *client, const char *key, const void *value, size_t len)
{
	struct client *c = client;
	int fd = openat(c->directory, c->draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	memcpy(c->name, key, KEY_LEN);
	if (fd < 0)
		return -errno;
	if (write(fd, value, len) != (ssize_t)len)
		return -ENOSPC;
	close(fd);
	return renameat(c->directory, c->draft, c->directory, c->name) ? -errno : 0;
}

static long pop(void *client, const char *key, void *out, size_t size)
{
	struct client *c = client;
	long len;

	memcpy(c->name, key, KEY_LEN);
	if (renameat(c->directory, c->name, c->directory, c->draft))
		return -errno;
	len = read_file(c, c->draft, out, size);
	unlinkat(c->directory, c->draft, 0);
	return len;
}

const struct peer peer_files = {
	.name = "tmpfs files",
	.how = "one directory; SET writes a file and renames it, POP renames, reads and unlinks, "
	       "so that each is atomic; it never evicts",
	.most_entries = 20000,
	.start = start, .stop = stop, .bytes = bytes,
	.connect = connect_client, .disconnect = disconnect,
	.get = get, .set = set, .pop = pop,
};
