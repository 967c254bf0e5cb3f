// SPDX-License-Identifier: GPL-2.0
/* A hash map behind a mutex inside one process: uthash. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "../bench.h"

struct entry {
	UT_hash_handle hh;
	size_t len;
	char key[KEY_LEN];
	char value[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry *map;	/* under @mutex */

static int start(const struct setup *setup)
{
	(void)setup;
	return 0;
}

static void stop(void)
{
}

static uint64_t bytes(void)
{
	return memory_of(getpid());
}

static void *connect_client(void)
{
	return &map;
}

static void disconnect(void *client)
{
	(void)client;
}

static struct entry *find(const char *key)
{
	struct entry *entry;

	HASH_FIND(hh, map, key, KEY_LEN, entry);
	return entry;
}

static long get(void *client, const char *key, void *out, size_t size)
{
	struct entry *entry;
	long len = -ENOENT;

	(void)client, (void)size;
	pthread_mutex_lock(&mutex);
	entry = find(key);
	if (entry) {
		len = entry->len;
		memcpy(out, entry->value, len);
	}
	pthread_mutex_unlock(&mutex);
	return len;
}

static long set(void *client, const char *key, const void *value, size_t len)
{
	struct entry *entry;

	(void)client;
	pthread_mutex_lock(&mutex);
	entry = find(key);
	if (entry && entry->len != len) {
		HASH_DEL(map, entry);
		free(entry);
		entry = NULL;
	}
	if (!entry) {
		entry = malloc(sizeof(*entry) + len);
		memcpy(entry->key, key, KEY_LEN);
		entry->len = len;
		HASH_ADD(hh, map, key, KEY_LEN, entry);
	}
	memcpy(entry->value, value, len);
	pthread_mutex_unlock(&mutex);
	return 0;
}

static long pop(void *client, const char *key, void *out, size_t size)
{
	struct entry *entry;
	long len = -ENOENT;

	(void)client, (void)size;
	pthread_mutex_lock(&mutex);
	entry = find(key);
	if (entry) {
		len = entry->len;
		memcpy(out, entry->value, len);
		HASH_DEL(map, entry);
		free(entry);
	}
	pthread_mutex_unlock(&mutex);
	return len;
}

const struct peer peer_cmap = {
	.name = "C map",
	.how = "uthash behind a pthread mutex inside one process, values copied in and out; it "
	       "never evicts and nobody else can reach it",
	.in_process = true,
	.is_writer_tested = true,
	.start = start, .stop = stop, .bytes = bytes,
	.connect = connect_client, .disconnect = disconnect,
	.get = get, .set = set, .pop = pop,
};
