// SPDX-License-Identifier: GPL-2.0
/* All peers, in the order of the tables. Some are linked only where they can run. */
#include "bench.h"

#define PEER(name)	extern const struct peer name __attribute__((weak))
PEER(peer_null);
PEER(peer_kcache_mapped);
PEER(peer_kcache_borrow);
PEER(peer_kcache_ioctl);
PEER(peer_kcache_batch);
PEER(peer_kcache_text);
PEER(peer_core_mapped);
PEER(peer_core);
PEER(peer_cmap);
PEER(peer_bpf);
PEER(peer_lmdb);
PEER(peer_files);
PEER(peer_memcached);
PEER(peer_redis);

const struct peer *const peers[] = {
	&peer_null,
	&peer_kcache_mapped, &peer_kcache_borrow, &peer_kcache_ioctl, &peer_kcache_batch,
	&peer_kcache_text,
	&peer_core_mapped, &peer_core,
	&peer_cmap, &peer_bpf, &peer_lmdb, &peer_files, &peer_memcached, &peer_redis,
};

const unsigned int nr_peers = sizeof(peers) / sizeof(peers[0]);
