// SPDX-License-Identifier: GPL-2.0
/* Redis on a Unix socket, in its protocol, RESP 2. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../bench.h"

static pid_t server;
static char path[64];

static int start(const struct setup *setup)
{
	char bytes[24];
	char *argv[] = { "redis-server", "--port", "0", "--unixsocket", path, "--save", "",
			 "--appendonly", "no", "--maxmemory", bytes,
			 "--maxmemory-policy", "allkeys-lru", NULL };

	scratch(path, sizeof(path), "redis");
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)setup->bytes);
	return server_start(&server, path, argv, setup->nr_clients);
}

static void stop(void)
{
	server_stop(server, path);
}

static uint64_t bytes(void)
{
	return memory_of(server);
}

static void *connect_client(void)
{
	return stream_open(path);
}

static void put_count(struct stream *s, uint64_t nr_words)
{
	stream_put_text(s, "*");
	stream_put_number(s, nr_words);
	stream_put_text(s, "\r\n");
}

static void put_word(struct stream *s, const void *p, size_t len)
{
	stream_put_text(s, "$");
	stream_put_number(s, len);
	stream_put_text(s, "\r\n");
	stream_put(s, p, len);
	stream_put_text(s, "\r\n");
}

static long take_value(struct stream *s, void *out)
{
	long len = strtol(stream_line(s) + 1, NULL, 10);

	if (len < 0)
		return -ENOENT;
	stream_take(s, out, len);
	return len;
}

static long get(void *client, const char *key, void *out, size_t size)
{
	(void)size;
	put_count(client, 2);
	put_word(client, "GET", 3);
	put_word(client, key, KEY_LEN);
	stream_send(client);
	return take_value(client, out);
}

static long pop(void *client, const char *key, void *out, size_t size)
{
	(void)size;
	put_count(client, 2);
	put_word(client, "GETDEL", 6);
	put_word(client, key, KEY_LEN);
	stream_send(client);
	return take_value(client, out);
}

static long set(void *client, const char *key, const void *value, size_t len)
{
	put_count(client, 3);
	put_word(client, "SET", 3);
	put_word(client, key, KEY_LEN);
	put_word(client, value, len);
	stream_send(client);
	return *stream_line(client) == '+' ? 0 : -ENOSPC;
}

static long get_many(void *client, const char *keys, size_t nr, char *out)
{
	long found = 0;

	put_count(client, 1 + nr);
	put_word(client, "MGET", 4);
	for (size_t i = 0; i < nr; i++)
		put_word(client, keys + i * KEY_LEN, KEY_LEN);
	stream_send(client);
	stream_line(client);
	for (size_t i = 0; i < nr; i++)
		if (take_value(client, out + found * VALUE_MAX) >= 0)
			found++;
	return found;
}

static long set_many(void *client, const char *keys, size_t nr, const void *value, size_t len)
{
	put_count(client, 1 + 2 * nr);
	put_word(client, "MSET", 4);
	for (size_t i = 0; i < nr; i++) {
		put_word(client, keys + i * KEY_LEN, KEY_LEN);
		put_word(client, value, len);
	}
	stream_send(client);
	return *stream_line(client) == '+' ? 0 : -ENOSPC;
}

const struct peer peer_redis = {
	.name = "Redis",
	.how = "Unix socket, RESP 2, nothing saved, allkeys-lru; several keys: MGET, MSET; "
	       "POP is GETDEL",
	.evicts = true,
	.start = start, .stop = stop, .bytes = bytes,
	.connect = connect_client, .disconnect = stream_close,
	.get = get, .set = set, .pop = pop, .get_many = get_many, .set_many = set_many,
};
