// SPDX-License-Identifier: GPL-2.0
/* kcache, in each of the ways that a program has to it. */
#include <errno.h>
#include <fcntl.h>
#include <kcache.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bench.h"

#define SCAN_BYTES	(64 << 10)
#define MAX_BYTES	"/sys/class/kcache/kcache/limits/max_bytes"
#define BYTES_ALLOCATED	"/sys/class/kcache/kcache/stats/bytes_allocated"

struct client {
	struct kcache *cache;
	struct kcache_op ops[BATCH_MAX];
	char text[BATCH_MAX * (VALUE_MAX + KEY_LEN + 2)];
};

static int start(const struct setup *setup)
{
	struct kcache *cache;
	FILE *file;
	int err = kcache_open(&cache, NULL, O_RDWR);

	if (err)
		return err;
	err = kcache_flush(cache);
	kcache_close(cache);
	file = fopen(MAX_BYTES, "w");
	if (err || !file)
		return err ? err : -errno;
	fprintf(file, "%llu\n", (unsigned long long)setup->bytes);
	return fclose(file) ? -errno : 0;
}

static void stop(void)
{
	struct kcache *cache;

	if (kcache_open(&cache, NULL, O_RDWR))
		return;
	kcache_flush(cache);
	kcache_close(cache);
}

static uint64_t bytes(void)
{
	return number_in(BYTES_ALLOCATED, "");
}

static void *connect_client(void)
{
	struct client *c = calloc(1, sizeof(*c));

	errno = -kcache_open(&c->cache, NULL, O_RDWR);
	return errno ? NULL : c;
}

static void disconnect(void *client)
{
	struct client *c = client;

	kcache_close(c->cache);
	free(c);
}

static long set(void *client, const char *key, const void *value, size_t len)
{
	struct client *c = client;

	return kcache_set(c->cache, key, KEY_LEN, value, len, 0);
}

static long pop(void *client, const char *key, void *out, size_t size)
{
	struct client *c = client;
	size_t len;
	int err = kcache_pop(c->cache, key, KEY_LEN, out, size, &len);

	return err ? err : (long)len;
}

static long get_by_ioctl(void *client, const char *key, void *out, size_t size)
{
	struct client *c = client;
	struct kcache_op op;
	int err;

	kcache_prep_get(&op, key, KEY_LEN, out, size);
	err = kcache_run(c->cache, &op);
	return err ? err : (long)op.out_len;
}

#define COMMON								\
	.evicts = true,							\
	.learns = true,							\
	.stop = stop,							\
	.connect = connect_client, .disconnect = disconnect

const struct peer peer_kcache_ioctl = {
	.name = "kcache ioctl",
	.how = "libkcache, a system call for each operation",
	.is_writer_tested = true,
	.counts_itself = true,
	.start = start, .bytes = bytes,
	COMMON,
	.get = get_by_ioctl, .set = set, .pop = pop,
};

static long run_many(struct client *c, size_t nr, long *nr_good)
{
	size_t done;
	int err = kcache_run_many(c->cache, c->ops, nr, &done);

	if (err)
		return err;
	for (*nr_good = 0; nr--;)
		*nr_good += !c->ops[nr].error;
	return 0;
}

static long get_many(void *client, const char *keys, size_t nr, char *out)
{
	struct client *c = client;
	long found, err;

	for (size_t i = 0; i < nr; i++)
		kcache_prep_get(&c->ops[i], keys + i * KEY_LEN, KEY_LEN, out + i * VALUE_MAX,
				VALUE_MAX);
	err = run_many(c, nr, &found);
	return err ? err : found;
}

static long set_many(void *client, const char *keys, size_t nr, const void *value, size_t len)
{
	struct client *c = client;
	long stored, err;

	for (size_t i = 0; i < nr; i++)
		kcache_prep_set(&c->ops[i], keys + i * KEY_LEN, KEY_LEN, value, len, 0);
	err = run_many(c, nr, &stored);
	return err ? err : stored == (long)nr ? 0 : -ENOSPC;
}

const struct peer peer_kcache_batch = {
	.name = "kcache batch",
	.how = "kcache_run_many(): many operations in one system call",
	.start = start,
	COMMON,
	.get_many = get_many, .set_many = set_many,
};

/* Where there is no mapping, kcache_get() is an ioctl: measured as one already. */
static int start_mapped(const struct setup *setup)
{
	struct kcache_borrow borrow;
	struct kcache *cache;
	int err = start(setup);

	if (!err)
		err = kcache_open(&cache, NULL, O_RDWR);
	if (err)
		return err;
	err = kcache_borrow(cache, "no such key", 11, &borrow);
	kcache_close(cache);
	return err == -ENOENT ? 0 : err;
}

static long get_mapped(void *client, const char *key, void *out, size_t size)
{
	struct client *c = client;
	size_t len;
	int err = kcache_get(c->cache, key, KEY_LEN, out, size, &len);

	return err ? err : (long)len;
}

const struct peer peer_kcache_mapped = {
	.name = "kcache mapped",
	.how = "kcache_get(): reads from the mapping, without a system call",
	.is_writer_tested = true,
	.start = start_mapped,
	COMMON,
	.get = get_mapped, .set = set,
};

/* As one does who needs no copy of the value: touches it, then asks. */
static long get_borrowed(void *client, const char *key, void *out, size_t size)
{
	struct client *c = client;
	struct kcache_borrow borrow;
	int err;

	(void)size;
	do {
		err = kcache_borrow(c->cache, key, KEY_LEN, &borrow);
		if (err)
			return err;
		memcpy(out, borrow.value, KEY_LEN);
	} while (!kcache_borrow_is_valid(&borrow));
	return borrow.value_len;
}

const struct peer peer_kcache_borrow = {
	.name = "kcache borrow",
	.how = "kcache_borrow(): a pointer into the mapping; reads 16 bytes of the value",
	.start = start_mapped,
	COMMON,
	.get = get_borrowed, .set = set,
};

/* Lines to and from the device, as the shell does it. */
static long set_lines(void *client, const char *keys, size_t nr, const void *value, size_t len)
{
	struct client *c = client;
	char *p = c->text;

	for (size_t i = 0; i < nr; i++) {
		p = mempcpy(p, keys + i * KEY_LEN, KEY_LEN);
		*p++ = ' ';
		p = mempcpy(p, value, len);
		*p++ = '\n';
	}
	return write(kcache_fd(c->cache), c->text, p - c->text) == p - c->text ? 0 : -EIO;
}

static long set_line(void *client, const char *key, const void *value, size_t len)
{
	return set_lines(client, key, 1, value, len);
}

static long scan_lines(void *client)
{
	struct client *c = client;
	ssize_t len = read(kcache_fd(c->cache), c->text, SCAN_BYTES);
	long nr = 0;
	char *p;

	if (!len) {		/* a list begins with the open */
		kcache_close(c->cache);
		return kcache_open(&c->cache, NULL, O_RDWR);
	}
	for (p = c->text; len > 0 && (p = memchr(p, '\n', c->text + len - p)); p++)
		nr++;
	return len < 0 ? -errno : nr;
}

const struct peer peer_kcache_text = {
	.name = "kcache text",
	.how = "write() of KEY VALUE lines; scan is read() of the list, 64 KiB at a time",
	.start = start,
	COMMON,
	.set = set_line, .set_many = set_lines, .scan = scan_lines,
};
