// SPDX-License-Identifier: GPL-2.0
/* A BPF map of type LRU_HASH, through bpf(2). */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../bench.h"

static int map = -1;
static size_t value_len;
static uint64_t nr_wanted, capacity;

struct client {
	uint64_t cursor[2];
	bool is_scanning;
	char keys[BATCH_MAX][KEY_LEN];
	char values[BATCH_MAX * VALUE_MAX];
};

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr)) < 0 ? -errno : 0;
}

static int start(const struct setup *setup)
{
	union bpf_attr attr;
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	uint64_t fit = setup->bytes / (setup->value_len + KEY_LEN + 74);

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	value_len = setup->value_len;
	/* It takes all its memory at once, and evicts before the last entry is used. */
	capacity = setup->entries * 3 / 2 < fit ? setup->entries * 3 / 2 : fit;
	nr_wanted = setup->entries < capacity ? setup->entries : capacity;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_LRU_HASH;
	attr.key_size = KEY_LEN;
	attr.value_size = value_len;
	attr.max_entries = capacity;
	map = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	return map < 0 ? -errno : 0;
}

static void stop(void)
{
	close(map);
}

/* The share of what was wanted. */
static uint64_t bytes(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map);
	return number_in(path, "memlock:") * nr_wanted / capacity;
}

static void *connect_client(void)
{
	return calloc(1, sizeof(struct client));
}

static long on_element(int command, const char *key, const void *value)
{
	union bpf_attr attr = {
		.map_fd = map,
		.key = (uintptr_t)key,
		.value = (uintptr_t)value,
		.flags = BPF_ANY,
	};

	return bpf(command, &attr);
}

static long get(void *client, const char *key, void *out, size_t size)
{
	long err = on_element(BPF_MAP_LOOKUP_ELEM, key, out);

	(void)client, (void)size;
	return err ? err : (long)value_len;
}

static long pop(void *client, const char *key, void *out, size_t size)
{
	long err = on_element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, key, out);

	(void)client, (void)size;
	return err ? err : (long)value_len;
}

static long set(void *client, const char *key, const void *value, size_t len)
{
	(void)client, (void)len;
	return on_element(BPF_MAP_UPDATE_ELEM, key, value);
}

static long set_many(void *client, const char *keys, size_t nr, const void *value, size_t len)
{
	struct client *c = client;
	union bpf_attr attr;

	for (size_t i = 0; i < nr; i++)
		memcpy(c->values + i * len, value, len);
	memset(&attr, 0, sizeof(attr));
	attr.batch.map_fd = map;
	attr.batch.keys = (uintptr_t)keys;
	attr.batch.values = (uintptr_t)c->values;
	attr.batch.count = nr;
	return bpf(BPF_MAP_UPDATE_BATCH, &attr);
}

/* The batch that reads takes no keys: it goes through the table. */
static long scan(void *client)
{
	struct client *c = client;
	union bpf_attr attr;
	long err;

	memset(&attr, 0, sizeof(attr));
	attr.batch.map_fd = map;
	attr.batch.in_batch = c->is_scanning ? (uintptr_t)c->cursor : 0;
	attr.batch.out_batch = (uintptr_t)c->cursor;
	attr.batch.keys = (uintptr_t)c->keys;
	attr.batch.values = (uintptr_t)c->values;
	attr.batch.count = BATCH_MAX;
	err = bpf(BPF_MAP_LOOKUP_BATCH, &attr);
	c->is_scanning = !err;
	return err && err != -ENOENT ? err : (long)attr.batch.count;
}

const struct peer peer_bpf = {
	.name = "BPF LRU_HASH",
	.how = "bpf(2), preallocated; several keys: MAP_UPDATE_BATCH (there is no batch that "
	       "reads by key; scan is MAP_LOOKUP_BATCH by 64)",
	.evicts = true,
	.counts_itself = true,
	.start = start, .stop = stop, .bytes = bytes,
	.connect = connect_client, .disconnect = free,
	.get = get, .set = set, .pop = pop, .set_many = set_many, .scan = scan,
};
