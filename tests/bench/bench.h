/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bench: kcache beside what a user would pick instead.
 *
 * A peer is one file in peers/ with one or more struct peer, listed in peers.c.
 * How it is measured is in measure.h, and the same for all.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KEY_LEN		16
#define BATCH_MAX	64
#define VALUE_MAX	4096

/**
 * struct setup - what a peer has to be ready for
 * @value_len: bytes of each value
 * @entries: how many it must hold without evicting any
 * @bytes: memory it may use; what goes beyond is evicted
 * @nr_clients: how many there will be
 */
struct setup {
	size_t value_len;
	uint64_t entries;
	uint64_t bytes;
	unsigned int nr_clients;
};

/**
 * struct peer - one way to keep values under keys, and to use it
 * @name: as in the tables
 * @how: how it is configured, for the report
 * @in_process: clients are threads of one process; else processes of their own
 * @evicts: it makes room by itself
 * @is_writer_tested: also measure a reader beside a writer
 * @learns: GETs of a key get cheaper until it is known to be much used
 * @counts_itself: @bytes is what the entries take; else the growth of it is
 * @most_entries: beyond which a test of its memory makes no sense; 0: none
 * @start: make it, empty; 0, or a negative errno where it cannot be had here
 * @stop: undo @start
 * @bytes: memory that it takes now, or NULL
 * @connect: for a client, in its own process or thread; NULL: failed, see errno
 * @disconnect: undo @connect
 * @call: no operation but a call as such
 * @get: copy the value to @out; its length, or a negative errno
 * @set: store; 0 or a negative errno
 * @pop: as @get, and remove
 * @get_many: the values to @out, VALUE_MAX bytes apart; how many were there
 * @set_many: store @value under each key; 0 or a negative errno
 * @scan: list some more entries; how many, 0 at the end, after which it begins anew
 *
 * Keys are KEY_LEN hexadecimal digits. A NULL operation is one it does not have.
 */
struct peer {
	const char *name;
	const char *how;
	bool in_process;
	bool evicts;
	bool is_writer_tested;
	bool learns;
	bool counts_itself;
	uint64_t most_entries;
	int (*start)(const struct setup *setup);
	void (*stop)(void);
	uint64_t (*bytes)(void);
	void *(*connect)(void);
	void (*disconnect)(void *client);
	long (*call)(void *client);
	long (*get)(void *client, const char *key, void *out, size_t size);
	long (*set)(void *client, const char *key, const void *value, size_t len);
	long (*pop)(void *client, const char *key, void *out, size_t size);
	long (*get_many)(void *client, const char *keys, size_t nr, char *out);
	long (*set_many)(void *client, const char *keys, size_t nr, const void *value,
			 size_t len);
	long (*scan)(void *client);
};

extern const struct peer *const peers[];	/* NULL: not linked in here */
extern const unsigned int nr_peers;

/**
 * struct options - what to measure
 * @suite: name of the run, in each line that is printed
 * @lens: lengths of values, ends with 0
 * @clients: numbers of clients, ends with 0
 * @ops: names of operations, separated by commas, or NULL: all
 * @nr_keys: entries that hits choose among
 * @rounds: of which the median is taken
 * @round_ticks: about how long one is
 * @sample_ticks: about how long the calls that are timed one by one take in all
 * @cache_bytes: memory of a peer while nothing is to be evicted
 * @evict_bytes: memory of a peer in steady eviction; 0: leave that out
 */
struct options {
	const char *suite;
	size_t lens[8];
	unsigned int clients[4];
	const char *ops;
	uint64_t nr_keys;
	unsigned int rounds;
	uint64_t round_ticks;
	uint64_t sample_ticks;
	uint64_t cache_bytes;
	uint64_t evict_bytes;
};

extern struct options options;

/* Each prints lines of JSON, one a result, and lives in a process of its own. */
void measure_costs(const struct peer *peer, size_t value_len, unsigned int nr_clients);
void measure_eviction(const struct peer *peer, size_t value_len, unsigned int nr_clients);
void measure_memory(const struct peer *peer, size_t value_len, uint64_t nr_entries);

/* The key of entry @n: different @n, different keys, in no order. */
void make_key(char key[KEY_LEN], uint64_t n);

/* util.c */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void pin(unsigned int client);
uint64_t memory_of(pid_t pid);			/* resident bytes of a process */
uint64_t number_in(const char *path, const char *label);
/*
 * Starts a program on the CPUs of the clients: on another one, a virtual machine
 * has to be woken for each request, which takes ten times as long. Waits until
 * @socket can be connected to. 0 or a negative errno.
 */
int server_start(pid_t *pid, const char *socket, char *const argv[], unsigned int nr_clients);
void server_stop(pid_t pid, const char *socket);
/* A name under /dev/shm (tmpfs) that no other process uses. */
const char *scratch(char *to, size_t size, const char *what);

/* stream.c: a connection to a server. */
struct stream {
	int fd;
	size_t begin, end;	/* of what came and was not taken */
	char in[(VALUE_MAX + 128) * BATCH_MAX];
	size_t out_len;
	char out[(VALUE_MAX + 128) * BATCH_MAX];
};

struct stream *stream_open(const char *socket);
void stream_close(void *stream);
void stream_put(struct stream *s, const void *p, size_t len);
void stream_put_number(struct stream *s, uint64_t n);
void stream_send(struct stream *s);
/* Those end the program where the server hangs up. */
char *stream_line(struct stream *s);			/* without its end; valid until the next call */
void stream_take(struct stream *s, void *to, size_t len);	/* and the \r\n behind */

#define stream_put_text(s, text)	stream_put(s, text, sizeof(text) - 1)

#endif /* BENCH_H */
