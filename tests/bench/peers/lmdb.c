// SPDX-License-Identifier: GPL-2.0
/* LMDB in a file on tmpfs, opened by each client. */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bench.h"

static char path[64], lock_path[80];

struct client {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *read;		/* between renew and reset only in use */
};

static int start(const struct setup *setup)
{
	(void)setup;
	scratch(path, sizeof(path), "lmdb");
	snprintf(lock_path, sizeof(lock_path), "%s-lock", path);
	return 0;
}

static void stop(void)
{
	unlink(path);
	unlink(lock_path);
}

static uint64_t bytes(void)
{
	struct stat stat_buf;

	return stat(path, &stat_buf) ? 0 : stat_buf.st_blocks * 512;
}

static void must(int err)
{
	if (err)
		die("lmdb: %s", mdb_strerror(err));
}

static void *connect_client(void)
{
	struct client *c = calloc(1, sizeof(*c));
	MDB_txn *txn;

	must(mdb_env_create(&c->env));
	must(mdb_env_set_mapsize(c->env, 2UL << 30));
	must(mdb_env_open(c->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NOTLS,
			  0600));
	must(mdb_txn_begin(c->env, NULL, 0, &txn));
	must(mdb_dbi_open(txn, NULL, 0, &c->dbi));
	must(mdb_txn_commit(txn));
	must(mdb_txn_begin(c->env, NULL, MDB_RDONLY, &c->read));
	mdb_txn_reset(c->read);
	return c;
}

static void disconnect(void *client)
{
	struct client *c = client;

	mdb_txn_abort(c->read);
	mdb_env_close(c->env);
	free(c);
}

static long get_in(struct client *c, MDB_txn *txn, const char *key, void *out)
{
	MDB_val k = { KEY_LEN, (void *)key }, v;

	if (mdb_get(txn, c->dbi, &k, &v))
		return -ENOENT;
	memcpy(out, v.mv_data, v.mv_size);
	return v.mv_size;
}

static long get_many(void *client, const char *keys, size_t nr, char *out)
{
	struct client *c = client;
	long found = 0;

	must(mdb_txn_renew(c->read));
	for (size_t i = 0; i < nr; i++)
		if (get_in(c, c->read, keys + i * KEY_LEN, out + found * VALUE_MAX) >= 0)
			found++;
	mdb_txn_reset(c->read);
	return found;
}

static long get(void *client, const char *key, void *out, size_t size)
{
	struct client *c = client;
	long len;

	(void)size;
	must(mdb_txn_renew(c->read));
	len = get_in(c, c->read, key, out);
	mdb_txn_reset(c->read);
	return len;
}

static long set_many(void *client, const char *keys, size_t nr, const void *value, size_t len)
{
	struct client *c = client;
	MDB_val v = { len, (void *)value };
	MDB_txn *txn;

	must(mdb_txn_begin(c->env, NULL, 0, &txn));
	for (size_t i = 0; i < nr; i++) {
		MDB_val k = { KEY_LEN, (void *)(keys + i * KEY_LEN) };

		must(mdb_put(txn, c->dbi, &k, &v, 0));
	}
	must(mdb_txn_commit(txn));
	return 0;
}

static long set(void *client, const char *key, const void *value, size_t len)
{
	return set_many(client, key, 1, value, len);
}

static long pop(void *client, const char *key, void *out, size_t size)
{
	struct client *c = client;
	MDB_val k = { KEY_LEN, (void *)key };
	MDB_txn *txn;
	long len;

	(void)size;
	must(mdb_txn_begin(c->env, NULL, 0, &txn));
	len = get_in(c, txn, key, out);
	if (len < 0) {
		mdb_txn_abort(txn);
		return len;
	}
	must(mdb_del(txn, c->dbi, &k, NULL));
	must(mdb_txn_commit(txn));
	return len;
}

const struct peer peer_lmdb = {
	.name = "LMDB",
	.how = "a file on tmpfs, NOSYNC, WRITEMAP, NOTLS, the reader's transaction renewed for "
	       "each call; several keys: one transaction; it never evicts",
	.start = start, .stop = stop, .bytes = bytes,
	.connect = connect_client, .disconnect = disconnect,
	.get = get, .set = set, .pop = pop, .get_many = get_many, .set_many = set_many,
};
