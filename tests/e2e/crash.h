/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites about crashes have in common: values that can be seen to be whole, and
 * processes that look whether they are; accounts that have to add up to the byte; and the
 * end of the module. After ktap.h.
 */
#ifndef CRASH_H
#define CRASH_H

#include <kcache.h>
#include <linux/kcache_map.h>

#define KIB	1024
#define MIB	(1024 * KIB)

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

#define atomic_add(where, what)	__atomic_add_fetch(where, what, __ATOMIC_SEQ_CST)
#define atomic_get(where)	__atomic_load_n(where, __ATOMIC_SEQ_CST)
#define atomic_put(where, what)	__atomic_store_n(where, what, __ATOMIC_SEQ_CST)

/* -------- values that are whole or are not -------- */

/* Each word follows from the first. */
struct whole {
	__u32 key_nr;
	__u32 nr;
	__u64 word[];
};

#define WHOLE_WORDS	100000U
#define WHOLE_MAX	(sizeof(struct whole) + 8 * WHOLE_WORDS)

KTAP_UNUSED static __u64 make_whole(struct whole *whole, __u32 key_nr, __u32 nr)
{
	__u64 first = random_number() | 1;
	__u32 i;

	whole->key_nr = key_nr;
	whole->nr = nr;
	for (i = 0; i < nr; i++)
		whole->word[i] = first * (2 * i + 1);
	return sizeof(*whole) + 8ULL * nr;
}

KTAP_UNUSED static void check_whole(int line, const struct whole *whole, __u32 key_nr, __u64 len)
{
	__u32 i;

	if (len < sizeof(*whole) || len != sizeof(*whole) + 8ULL * whole->nr)
		ktap_fail(line, "the value has %llu bytes", (unsigned long long)len);
	if (whole->key_nr != key_nr)
		ktap_fail(line, "the value of key %u is under key %u", whole->key_nr, key_nr);
	for (i = 0; i < whole->nr; i++)
		if (whole->word[i] != whole->word[0] * (2 * i + 1))
			ktap_fail(line, "the value is mixed at word %u of %u", i, whole->nr);
}

#define CHECK_WHOLE(value, key_nr, len) \
	check_whole(__LINE__, (const struct whole *)(value), key_nr, len)

/* -------- who looks whether they are -------- */

#define NR_WHOLE	12	/* keys of values that are whole */
#define NR_BATCH	4	/* more of them, which come in batches */
#define NR_TEXT		6	/* keys of lines, each of one letter */

KTAP_UNUSED static char *buffer;	/* two values */

static struct {
	__s64 nr_checked;	/* values that were seen to be whole */
	int stop;
} *looking;			/* shared; atomic */

static pid_t lookers[2];

KTAP_UNUSED static const char *whole_key(int nr)
{
	static char key[16];

	snprintf(key, sizeof(key), "whole%d", nr);
	return key;
}

KTAP_UNUSED static int text_len(char letter)
{
	return (letter - 'a' + 1) * 300;
}

KTAP_UNUSED static void check_text(const char *value, size_t len)
{
	size_t i;

	CHECK(len && *value >= 'a' && *value <= 'z');
	CHECK_EQ(len, text_len(*value));
	for (i = 0; i < len; i++)
		CHECK_EQ(value[i], *value);
}

/* Looks on, by calls or, with @nr, through the mapping. */
KTAP_UNUSED static void look_on(int nr)
{
	struct kcache *handle;
	char key[16];
	size_t len;
	int i, err;

	buffer = malloc(WHOLE_MAX);
	CHECK(buffer);
	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	while (!atomic_get(&looking->stop)) {
		for (i = 0; i < NR_WHOLE + NR_BATCH + NR_TEXT; i++) {
			bool is_text = i >= NR_WHOLE + NR_BATCH;

			if (is_text)
				snprintf(key, sizeof(key), "text%d", i - NR_WHOLE - NR_BATCH);
			else
				snprintf(key, sizeof(key), "whole%d", i);
			CASE("%s of others", key);
			if (nr) {
				err = kcache_get(handle, key, strlen(key), buffer, WHOLE_MAX, &len);
			} else {
				struct kcache_op op = OP(GET, key, INTO_BYTES(buffer, WHOLE_MAX));

				err = run(&op);
				len = op.out_len;
			}
			CHECK(!err || err == -ENOENT);
			if (err)
				continue;
			if (is_text)
				check_text(buffer, len);
			else
				CHECK_WHOLE(buffer, i, len);
			atomic_add(&looking->nr_checked, 1);
		}
		milliseconds_pass(1);
	}
	kcache_close(handle);
}

KTAP_UNUSED static void begin_looking(void)
{
	size_t i;

	looking = shared_memory(sizeof(*looking));
	for (i = 0; i < NR(lookers); i++)
		lookers[i] = start_process(look_on, i);
}

KTAP_UNUSED static void end_looking(void)
{
	size_t i;

	atomic_put(&looking->stop, 1);
	for (i = 0; i < NR(lookers); i++)
		end_process(lookers[i]);
	CHECK(looking->nr_checked > 0);
}

KTAP_UNUSED static void check_killed(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	if (!WIFSIGNALED(status))	/* it has said what it found */
		_exit(KTAP_FAIL);
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

/* -------- accounts -------- */

/* Calls @each with each key that the device lists; keys must need no escapes. Their number. */
KTAP_UNUSED static unsigned long long list_keys(void (*each)(const char *key))
{
	enum { START, ATTRIBUTES, KEY, VALUE_ } at = START;
	int fd = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC));
	unsigned long long nr = 0;
	static char text[256 * KIB];
	char key[256];
	size_t len = 0;
	ssize_t got, i;

	while ((got = MUST(read(fd, text, sizeof(text))))) {
		for (i = 0; i < got; i++) {
			char c = text[i];

			if (at == START) {
				at = c == '@' ? ATTRIBUTES : KEY;
				len = 0;
			}
			if (c == '\n') {
				CHECK_EQ(at, VALUE_);
				at = START;
			} else if (at == ATTRIBUTES && c == ' ') {
				at = KEY;
			} else if (at == KEY && c == ' ') {
				key[len] = '\0';
				at = VALUE_;
				nr++;
				if (each)
					each(key);
			} else if (at == KEY) {
				CHECK(len < sizeof(key) - 1);
				key[len++] = c;
			}
		}
	}
	CHECK_EQ(at, START);
	close(fd);
	return nr;
}

static unsigned long long counted_bytes;

KTAP_UNUSED static void count_entry(const char *key)
{
	struct kcache_op op = OP(STAT, key);

	CHECK_ERR(run(&op), 0);
	counted_bytes += kcache_entry_size(strlen(key) | (op.client_flags ? KCACHE_ENTRY_FLAGS : 0),
					   op.out_len);
}

/* What is listed is what is counted, to the byte. Nobody else is at it, nothing expires. */
KTAP_UNUSED static void check_account(void)
{
	CASE("account");
	counted_bytes = 0;
	CHECK_EQ(sysfs_number("stats/entries"), list_keys(count_entry));
	CHECK_EQ(sysfs_number("stats/bytes_live"), counted_bytes);
	CHECK(sysfs_number("stats/bytes_allocated") <= sysfs_number("limits/max_bytes"));
	CHECK(sysfs_number("stats/bytes_allocated") >= sysfs_number("stats/bytes_live") +
	      sysfs_number("stats/bytes_dead") + sysfs_number("stats/bytes_free"));
}

/* Nothing is left of the entries once they are flushed. */
KTAP_UNUSED static void check_flush(void)
{
	CASE("flush");
	MUST(ioctl(cache, KCACHE_IOC_FLUSH, 0));
	CHECK_EQ(sysfs_number("stats/entries"), 0);
	CHECK_EQ(sysfs_number("stats/bytes_live"), 0);
	CHECK_EQ(list_keys(NULL), 0);
}

/* -------- the end of the module -------- */

#define MODULE_FILE	"/run/vm/job/kcache.ko"

/* Nobody has the cache any more: what a killed process had goes with it, or soon after. */
KTAP_UNUSED static void nobody_has_the_module(int line)
{
	int i;

	for (i = 0; number_in("/sys/module/kcache/refcnt"); i++) {
		if (i > 20000)
			ktap_fail(line, "the module is still in use");
		milliseconds_pass(1);
	}
}

/* Unloads the module, which nobody may have any more, and loads it as it was. */
KTAP_UNUSED static void unload_and_load(void)
{
	unsigned long long at_load = number_in("/sys/module/kcache/parameters/max_bytes");
	const char *file = getenv("KCACHE_KO");
	char parameter[64];
	int fd, i;

	close(cache);
	nobody_has_the_module(__LINE__);
	fd = open(file ? file : MODULE_FILE, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		NOTE("%s: %s: not unloaded", file ? file : MODULE_FILE, ktap_errno(errno));
		cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
		return;
	}
	MUST(syscall(SYS_delete_module, "kcache", O_NONBLOCK));
	CHECK(access(DEVICE, F_OK) && errno == ENOENT);
	snprintf(parameter, sizeof(parameter), "max_bytes=%llu", at_load);
	MUST(syscall(SYS_finit_module, fd, parameter, 0));
	close(fd);
	for (i = 0; access(DEVICE, R_OK) && i < 2000; i++)
		milliseconds_pass(1);
	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
}

#endif /* CRASH_H */
