/* SPDX-License-Identifier: GPL-2.0 */
/* What the peers that are made of the core share. */
#ifndef BENCH_CORE_H
#define BENCH_CORE_H

#include "../bench.h"

extern struct kc_cache *core_cache;

int core_start(const struct setup *setup);
void core_stop(void);
uint64_t core_bytes(void);
void *core_connect(void);
void core_disconnect(void *client);
long core_get(void *client, const char *key, void *out, size_t size);
long core_set(void *client, const char *key, const void *value, size_t len);

#endif /* BENCH_CORE_H */
