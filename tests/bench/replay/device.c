// SPDX-License-Identifier: GPL-2.0
/*
 * device: a real cache of this machine's kernel, through libkcache.
 *
 * Its limit is set as asked, and it is emptied, so this takes a cache that nobody
 * needs, and root or the owner of its device node. Time is real.
 */
#include <errno.h>
#include <fcntl.h>
#include <kcache.h>
#include <linux/kcache_map.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay.h"

#define BUFFER_BYTES	(16 << 20)

struct device {
	struct kcache *cache;
	struct cache_account account;
	uint64_t copied_before;
	char sysfs[256];
	char buffer[BUFFER_BYTES];
};

static void complain(const char *what, int err)
{
	fprintf(stderr, "replay: %s: %s\n", what, strerror(-err));
}

static uint64_t read_number(const struct device *device, const char *name)
{
	char path[320], text[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", device->sysfs, name);
	file = fopen(path, "r");
	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = '\0';
		fclose(file);
	}
	return strtoull(text, NULL, 10);
}

static int set_limit(const struct device *device, uint64_t bytes)
{
	char path[320], text[32];
	int fd, len, err = 0;

	snprintf(path, sizeof(path), "%s/limits/max_bytes", device->sysfs);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		complain(path, err);
		return err;
	}
	len = snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	if (write(fd, text, len) != len) {
		err = -errno;
		fprintf(stderr, "replay: %s refuses %s: %s; load the module with a max_bytes near that\n",
			path, text, strerror(-err));
	}
	close(fd);
	return err;
}

static void device_close(void *cache)
{
	struct device *device = cache;

	kcache_close(device->cache);
	free(device);
}

static void *device_open(const struct trace *trace, const struct cache_options *options)
{
	struct device *device = calloc(1, sizeof(*device));
	const char *name = strrchr(options->device, '/');
	int err;

	(void)trace;
	if (!device)
		alloc_or_die(NULL, SIZE_MAX, 1);
	snprintf(device->sysfs, sizeof(device->sysfs), "/sys/class/kcache/%s",
		 name ? name + 1 : options->device);
	err = kcache_open(&device->cache, options->device, O_RDWR);
	if (err) {
		complain(options->device, err);
		free(device);
		return NULL;
	}
	err = kcache_flush(device->cache);
	if (err)
		complain("FLUSH", err);
	device->copied_before = read_number(device, "stats/moved_bytes");
	if (!err && !set_limit(device, options->bytes))
		return device;
	device_close(device);
	return NULL;
}

static void die(const char *what, int err)
{
	complain(what, err);
	exit(1);
}

static bool device_get(void *cache, const struct request *request)
{
	struct device *device = cache;
	char key[KEY_LEN];
	size_t len;
	int err;

	make_key(key, request->object);
	err = kcache_get(device->cache, key, KEY_LEN, device->buffer, BUFFER_BYTES, &len);
	if (err && err != -ENOENT)
		die("GET", err);
	return !err;
}

static void device_remove(void *cache, const struct request *request)
{
	struct device *device = cache;
	char key[KEY_LEN];
	int err;

	make_key(key, request->object);
	err = kcache_remove(device->cache, key, KEY_LEN);
	if (err && err != -ENOENT)
		die("REMOVE", err);
}

static void device_set(void *cache, const struct request *request)
{
	struct device *device = cache;
	char key[KEY_LEN];
	int err;

	make_key(key, request->object);
	err = request->size > BUFFER_BYTES ? -EFBIG :
	      kcache_set(device->cache, key, KEY_LEN, device->buffer, request->size, 0);
	if (!err) {
		device->account.inserted += KEY_LEN + request->size;
		return;
	}
	if (err != -EFBIG && err != -ENOSPC)
		die("SET", err);
	*(err == -EFBIG ? &device->account.too_large : &device->account.failed) += 1;
	device_remove(cache, request);
}

static void device_account(void *cache, struct cache_account *account)
{
	struct device *device = cache;

	*account = device->account;
	account->copied = read_number(device, "stats/moved_bytes") - device->copied_before;
	account->entries = read_number(device, "stats/entries");
	account->allocated = read_number(device, "stats/bytes_allocated");
	account->live = read_number(device, "stats/bytes_live");
	account->dead = read_number(device, "stats/bytes_dead");
	account->unused = read_number(device, "stats/bytes_free");
	account->table = sizeof(struct kcache_bucket) * (read_number(device, "stats/buckets") +
			 read_number(device, "stats/overflow_buckets"));
	account->payload = account->live - account->entries *
			   (sizeof(struct kcache_entry) + (KCACHE_ALIGN - 1) / 2.0);
}

const struct cache_ops device_cache = {
	.name = "kcache",
	.open = device_open,
	.get = device_get,
	.set = device_set,
	.remove = device_remove,
	.account = device_account,
	.close = device_close,
};
