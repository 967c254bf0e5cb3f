/* SPDX-License-Identifier: GPL-2.0 */
/*
 * helpers: what the suites share. A cache that is checked when it goes,
 * operations in a line, values that tell whether they are whole, threads.
 */
#ifndef KC_TESTS_HELPERS_H
#define KC_TESTS_HELPERS_H

#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "ops.h"

#define KT_HOUR_MS	3600000ULL

/* -------- a cache -------- */

struct kc_cache *kt_cache(struct kunit *test, u64 max_bytes);
void kt_check(struct kunit *test, struct kc_cache *cache);
u64 kt_check_table(struct kunit *test, struct kc_table *table);
u64 kt_memory_used(struct kc_cache *cache);

/* Runs one expiry pass as the timer would: a pass must not meet another. */
void kt_expire_now(struct kc_cache *cache);

/* Sleeps until what was just stored with @ttl_ms has expired. */
void kt_sleep_past(u64 ttl_ms);

/* From here on the test runs on one CPU, and so in one lane of the log. */
void kt_stay_on_cpu(struct kunit *test);

/* -------- one operation -------- */

/**
 * struct kt_op - an operation with its buffers
 * @op: lengths that are 0 are filled in
 * @key: NUL-terminated unless op.key_len is set
 * @value: NUL-terminated unless op.value_len is set; or NULL
 * @out: what came out, NUL-terminated
 */
struct kt_op {
	struct kcache_op op;
	const void *key;
	const void *value;
	char out[64];
};

/* Both return what the operation does, -EUCLEAN if it failed and changed @op. */
int kt_run(struct kc_cache *cache, struct kt_op *op);
int kt_run_op(struct kc_cache *cache, struct kcache_op *op, const void *key, const void *value,
	      void *out);

int kt_set(struct kc_cache *cache, const char *key, const char *value, u64 ttl_ms);
int kt_remove(struct kc_cache *cache, const char *key);
int kt_stat(struct kc_cache *cache, const char *key, struct kcache_op *op);

/* Is @value what the key has; or NULL, is the key absent? */
void kt_expect_value(struct kunit *test, struct kc_cache *cache, const char *key,
		     const char *value);

/* -------- numbered keys, and values that tell whether they are whole -------- */

#define KT_KEY_MAX	64
#define KT_VALUE_MIN	12

u32 kt_key(u32 id, u8 *key);
void kt_fill(u8 *value, u32 id, u32 salt, u32 len);
bool kt_is_whole(const u8 *value, u64 len, u32 id);

int kt_set_id(struct kc_cache *cache, u32 id, u32 salt, u32 len, u64 ttl_ms);
/* GET or POP; -EBADMSG: what came is not what was stored. */
int kt_take_id(struct kc_cache *cache, u32 opcode, u32 id);
int kt_remove_id(struct kc_cache *cache, u32 id);

static inline int kt_get_id(struct kc_cache *cache, u32 id)
{
	return kt_take_id(cache, KCACHE_OP_GET, id);
}

/* -------- threads -------- */

/**
 * struct kt_hand - one thread of a crew
 * @arg: of the crew
 * @id: 0 and up
 * @rnd: its random numbers
 * @is_wrong: something went wrong
 * @wrong: what it was
 * @work: what it does
 * @done: it has done it
 * @task: the thread
 */
struct kt_hand {
	void *arg;
	int id;
	struct rnd_state rnd;
	bool is_wrong;
	char wrong[80];
	int (*work)(struct kt_hand *hand);
	struct completion done;
	struct task_struct *task;
};

typedef int (*kt_work)(struct kt_hand *hand);

/* Runs each work in a thread of its own, and waits for all. Prints the seed. */
void kt_crew_run(struct kunit *test, void *arg, const kt_work *works, int nr);

#define kt_crew(test, arg, ...) do {						\
	static const kt_work __works[] = { __VA_ARGS__ };			\
	kt_crew_run(test, arg, __works, ARRAY_SIZE(__works));			\
} while (0)

/*
 * From here on this thread stops others in the middle of what they do, wherever
 * that is, as soon as it wakes up.
 */
void kt_be_urgent(void);

/* The test fails: for return from a work. */
__printf(2, 3) int kt_wrong(struct kt_hand *hand, const char *format, ...);

static inline u32 kt_random(struct kt_hand *hand, u32 below)
{
	return prandom_u32_state(&hand->rnd) % below;
}

#endif /* KC_TESTS_HELPERS_H */
