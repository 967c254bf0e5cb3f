// SPDX-License-Identifier: GPL-2.0
/* memcached on a Unix socket, in its text protocol. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bench.h"

static pid_t server;
static char path[64];

static int start(const struct setup *setup)
{
	char megabytes[24];
	char *argv[] = { "memcached", "-u", "root", "-s", path, "-m", megabytes,
			 "-t", setup->nr_clients > 1 ? "2" : "1", NULL };

	scratch(path, sizeof(path), "memcached");
	snprintf(megabytes, sizeof(megabytes), "%llu", (unsigned long long)setup->bytes >> 20);
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

/* One VALUE of an answer to get, or -ENOENT at the END. */
static long take_value(struct stream *s, void *out)
{
	char *line = stream_line(s);
	long len;

	if (line[0] == 'E')
		return -ENOENT;
	/* VALUE <key> <flags> <bytes> */
	len = strtoul(strchr(line + sizeof("VALUE ") + KEY_LEN, ' '), NULL, 10);
	stream_take(s, out, len);
	return len;
}

static long answer(struct stream *s, void *out)
{
	long len = take_value(s, out);

	if (len >= 0)
		stream_line(s);		/* END */
	return len;
}

static void put_get(struct stream *s, const char *keys, size_t nr)
{
	stream_put_text(s, "get");
	for (size_t i = 0; i < nr; i++) {
		stream_put_text(s, " ");
		stream_put(s, keys + i * KEY_LEN, KEY_LEN);
	}
	stream_put_text(s, "\r\n");
}

static long get(void *client, const char *key, void *out, size_t size)
{
	(void)size;
	put_get(client, key, 1);
	stream_send(client);
	return answer(client, out);
}

static long get_many(void *client, const char *keys, size_t nr, char *out)
{
	long found = 0;

	put_get(client, keys, nr);
	stream_send(client);
	while (take_value(client, out + found * VALUE_MAX) >= 0)
		found++;
	return found;
}

static long set_many(void *client, const char *keys, size_t nr, const void *value, size_t len)
{
	struct stream *s = client;

	for (size_t i = 0; i < nr; i++) {
		stream_put_text(s, "set ");
		stream_put(s, keys + i * KEY_LEN, KEY_LEN);
		stream_put_text(s, " 0 0 ");
		stream_put_number(s, len);
		stream_put_text(s, "\r\n");
		stream_put(s, value, len);
		stream_put_text(s, "\r\n");
	}
	stream_send(s);
	for (size_t i = 0; i < nr; i++)
		if (*stream_line(s) != 'S')	/* STORED */
			return -ENOSPC;
	return 0;
}

static long set(void *client, const char *key, const void *value, size_t len)
{
	return set_many(client, key, 1, value, len);
}

/* The nearest that there is: another client may get it, too. */
static long pop(void *client, const char *key, void *out, size_t size)
{
	struct stream *s = client;
	long len;

	(void)size;
	put_get(s, key, 1);
	stream_put_text(s, "delete ");
	stream_put(s, key, KEY_LEN);
	stream_put_text(s, "\r\n");
	stream_send(s);
	len = answer(s, out);
	stream_line(s);
	return len;
}

const struct peer peer_memcached = {
	.name = "memcached",
	.how = "Unix socket, text protocol, -t 1 (2 for two clients); several keys: one get, "
	       "pipelined sets; POP is get and delete in one packet (not atomic)",
	.evicts = true,
	.start = start, .stop = stop, .bytes = bytes,
	.connect = connect_client, .disconnect = stream_close,
	.get = get, .set = set, .pop = pop, .get_many = get_many, .set_many = set_many,
};
