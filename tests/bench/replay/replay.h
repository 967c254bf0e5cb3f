/* SPDX-License-Identifier: GPL-2.0 */
/*
 * replay: which requests of a trace find their object in a cache.
 *
 * A trace (trace.c, workload.c) is an array of requests on numbered objects. A
 * cache is anything that answers them: the core of the module (core.c), a real
 * device (device.c), or a textbook's policy (policy.c). replay.c brings the two
 * together, report.c tells the outcome.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MIB	(1ULL << 20)

/* Each object has a key of so many bytes, made from its number. */
#define KEY_LEN	16

/* -------- traces -------- */

enum request_op {
	REQUEST_GET,		/* and, on a miss, a SET */
	REQUEST_SET,
	REQUEST_REMOVE,
};

/**
 * struct request - one line of a trace
 * @time_ms: since any moment, never less than that of the request before
 * @object: 0..nr_objects - 1
 * @size: bytes of value, if it comes to storing it
 * @ttl_ms: likewise, 0: for ever
 * @op: enum request_op
 */
struct request {
	uint64_t time_ms;
	uint32_t object;
	uint32_t size;
	uint32_t ttl_ms;
	uint8_t op;
};

/* Numbers by id, with open addressing. */
struct id_map {
	struct id_slot {
		uint64_t id;
		uint32_t number_plus_1;	/* 0: free */
	} *slot;
	size_t nr_slots;		/* a power of two */
	size_t nr_used;
};

/**
 * struct trace - requests in order
 * @name: for the reader of the table; not owned
 * @request: all of them
 * @nr: how many
 * @nr_objects: how many different ones
 * @bytes: of their values, each at its longest
 * @has_ttl: do any expire?
 */
struct trace {
	const char *name;
	struct request *request;
	size_t nr;
	uint32_t nr_objects;
	uint64_t bytes;
	bool has_ttl;
	/* while it is being made: */
	size_t capacity;
	struct id_map ids;
	uint32_t *longest;		/* by object */
	uint32_t longest_capacity;
};

/* Appends a request on the object with this id; request->object is filled in. */
void trace_add(struct trace *trace, uint64_t id, struct request request);
void trace_free(struct trace *trace);

enum trace_format {
	TRACE_BY_NAME,		/* .csv is CSV, anything else oracleGeneral */
	TRACE_ORACLE,
	TRACE_CSV,
};

/* What is wrong with the input: one line, without the name of the file. */
struct trace_error {
	char text[200];
};

/*
 * Read up to @limit records (0: all). Return 0, or -1 and @error.
 *
 * oracleGeneral, the common binary format of cache traces: records of 24 bytes,
 * little endian: u32 seconds, u64 id, u32 size, s64 position of the next request
 * for it, -1: none.
 *
 * CSV: time,id,size[,op[,ttl]] with times in seconds (decimals allowed), any text
 * for an id, and get, set or remove for op. Blank lines, lines that begin with #,
 * and lines before the first record that do not begin with a number are skipped.
 */
int trace_read_oracle(struct trace *trace, FILE *file, size_t limit, struct trace_error *error);
int trace_read_csv(struct trace *trace, FILE *file, size_t limit, struct trace_error *error);
/* Either, from a file, through zstd if it ends in .zst. */
int trace_open(struct trace *trace, const char *path, enum trace_format format, size_t limit,
	       struct trace_error *error);

/* -------- workloads -------- */

/**
 * struct workload - a trace that is made up
 * @name: to ask for it
 * @what: one line
 * @nr_objects: to choose from
 * @nr_requests: how many
 * @size_min: bytes of the shortest value
 * @size_max: of the longest; see @is_skewed
 * @is_skewed: sizes are spread evenly on a logarithmic scale
 * @make: appends the requests
 */
struct workload {
	const char *name;
	const char *what;
	uint32_t nr_objects;
	uint32_t nr_requests;
	uint32_t size_min, size_max;
	bool is_skewed;
	void (*make)(struct trace *trace, const struct workload *workload, uint64_t seed);
};

extern const struct workload workloads[];	/* ends with a name of NULL */

/* The same @seed gives the same trace. */
void workload_make(struct trace *trace, const struct workload *workload, uint64_t seed);

/* -------- caches -------- */

/**
 * struct cache_options - what to make a cache with
 * @bytes: memory it may use
 * @overhead: bytes that an entry costs beyond key and value; policies only
 * @threshold: uses in the small queue that bring an object to main; s3-fifo only
 * @device: path of the device; "device" only
 */
struct cache_options {
	uint64_t bytes;
	uint32_t overhead;
	uint32_t threshold;
	const char *device;
};

/**
 * struct cache_account - what there is to know of a cache beside its hits
 * @too_large: SETs that it refused for their length
 * @failed: SETs that failed otherwise
 * @inserted: bytes that SETs wrote, metadata and all
 * @copied: bytes that eviction and compaction copied
 * @entries: at the end, as the next
 * @allocated: bytes of memory
 * @live: of these, bytes of entries, with their headers
 * @dead: bytes of what was overwritten or removed
 * @tails: bytes of segments behind what is filled
 * @unused: bytes that wait for the next segment
 * @table: bytes of buckets
 * @small: bytes of the segments of the small queue
 * @main: and of the main queue
 * @payload: bytes of keys and values that live, about
 * @promotions: entries that went from small to main
 * @ghost_hits: entries that came back soon after they had left
 */
struct cache_account {
	uint64_t too_large;
	uint64_t failed;
	uint64_t inserted;
	uint64_t copied;
	uint64_t entries;
	uint64_t allocated;
	uint64_t live;
	uint64_t dead;
	uint64_t tails;
	uint64_t unused;
	uint64_t table;
	uint64_t small;
	uint64_t main;
	uint64_t payload;
	uint64_t promotions;
	uint64_t ghost_hits;
};

/**
 * struct cache_ops - a kind of cache
 * @name: for table and options
 * @open: an empty one for @trace; NULL, after a line on stderr, if there is none
 * @get: a hit? Counts as a use
 * @set: store request->size bytes
 * @remove: forget it
 * @account: fills what it knows
 */
struct cache_ops {
	const char *name;
	void *(*open)(const struct trace *trace, const struct cache_options *options);
	bool (*get)(void *cache, const struct request *request);
	void (*set)(void *cache, const struct request *request);
	void (*remove)(void *cache, const struct request *request);
	void (*account)(void *cache, struct cache_account *account);
	void (*close)(void *cache);
};

extern const struct cache_ops core_cache, device_cache;
extern const struct cache_ops fifo_cache, lru_cache, s3fifo_cache;

void make_key(char key[KEY_LEN], uint32_t object);

/**
 * struct outcome - of one trace on one cache
 * @gets: GETs after the warm-up
 * @misses: of these
 * @account: of the cache at the end
 */
struct outcome {
	uint64_t gets;
	uint64_t misses;
	struct cache_account account;
};

/* Sends all of @trace to a new cache; the first @warm_up requests do not count. */
bool replay(const struct trace *trace, const struct cache_ops *ops,
	    const struct cache_options *options, size_t warm_up, struct outcome *outcome);

static inline double miss_ratio(const struct outcome *outcome)
{
	return outcome->gets ? 100.0 * outcome->misses / outcome->gets : 0;
}

/* Memory, or the end of the program. */
void *alloc_or_die(void *old, size_t nr, size_t size);

#endif /* REPLAY_H */
