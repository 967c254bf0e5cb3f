// SPDX-License-Identifier: GPL-2.0
/*
 * The library's reader on a mapping, in this process: kcache_get() as it is, and the
 * core's arena beside it. Where it would call the kernel, it calls the core.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "core.h"
#include "internal.h"
#include "window.h"

static struct kcache_view view;

/* What kcache_map_open() does. */
static void look(const uint8_t *window)
{
	const struct kcache_map_header *header = (const void *)window;

	view.header = header;
	for (int region = 0; region < KCACHE_NR_REGIONS; region++) {
		view.base[region] = window + header->at[region];
		view.bytes[region] = header->bytes[region] - KCACHE_MAP_SLACK;
	}
}

static int start(const struct setup *setup)
{
	int err;

	window_prepare();
	err = core_start(setup);
	if (!err)
		look(window_open());
	return err;
}

static void stop(void)
{
	window_close();
	core_stop();
}

static void *connect_client(void)
{
	struct kcache *cache = calloc(1, sizeof(*cache));

	core_connect();
	cache->fd = -1;
	cache->map.view = view;
	cache->map.hints = window_hints();
	cache->map.clock = calloc(1, sizeof(*cache->map.clock));
	return cache;
}

static void disconnect(void *client)
{
	struct kcache *cache = client;

	free(cache->map.clock);
	free(cache);
}

static long get(void *client, const char *key, void *out, size_t size)
{
	size_t len;
	int err = kcache_get(client, key, KEY_LEN, out, size, &len);

	return err ? err : (long)len;
}

/* The library's ways into the kernel. */
long kcache_system_call(long number, long a, long b, long c)
{
	(void)a, (void)c;
	if (number == SYS_ioctl && b == KCACHE_IOC_TAKE_HINTS)
		window_take_hints();
	return 0;
}

int kcache_get_by_call(struct kcache *cache, const void *key, size_t key_len,
		       void *value, size_t size, size_t *value_len)
{
	long len = core_get(cache, key, value, size);

	(void)key_len;
	if (len < 0)
		return len;
	*value_len = len;
	return 0;
}

const struct peer peer_core_mapped = {
	.name = "kcache core, mapped",
	.how = "kcache_get() of the library, unchanged, on a second, read-only mapping of the "
	       "core's pages; SET is the core's",
	.in_process = true,
	.evicts = true,
	.learns = true,
	.is_writer_tested = true,
	.start = start, .stop = stop,
	.connect = connect_client, .disconnect = disconnect,
	.get = get, .set = core_set,
};
