// SPDX-License-Identifier: GPL-2.0
/*
 * libkcache against a real device: each call, each condition, each error, and
 * many threads on one handle. KTAP on standard output; exit 0 pass, 1 fail,
 * 4 skip. Run as root, in a guest. Empties the cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kcache.h>

#define KEY(text)	(text), strlen(text)
#define NR_THREADS	8
#define UNTOUCHED	0x5a5a5a5a

static struct kcache *cache;
static bool failed;	/* the test that is running */

/* Says where a test failed, and lets it go on. */
#define expect(condition)							\
	do {									\
		if (!(condition)) {						\
			printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			__atomic_store_n(&failed, true, __ATOMIC_RELAXED);	\
		}								\
	} while (0)

#define expect_error(got, wanted)						\
	do {									\
		int got_ = (got);						\
										\
		if (got_ != (wanted)) {						\
			printf("# %s:%d: %d (%s) instead of %d (%s): %s\n", __FILE__, __LINE__, \
			       got_, strerror(-got_), (wanted), strerror(-(wanted)), #got); \
			__atomic_store_n(&failed, true, __ATOMIC_RELAXED);	\
		}								\
	} while (0)

static void expect_value(const char *key, const char *wanted)
{
	size_t value_len = UNTOUCHED;
	char value[100];

	expect_error(kcache_get(cache, KEY(key), value, sizeof(value), &value_len), 0);
	expect(value_len == strlen(wanted) && !memcmp(value, wanted, strlen(wanted)));
}

static void expect_missing(const char *key)
{
	struct kcache_stat stat;

	expect_error(kcache_stat(cache, KEY(key), &stat), -ENOENT);
}

static void set(const char *key, const char *value)
{
	expect_error(kcache_set(cache, KEY(key), KEY(value), 0), 0);
}

static struct kcache_stat stat_of(const char *key)
{
	struct kcache_stat stat = { 0 };

	expect_error(kcache_stat(cache, KEY(key), &stat), 0);
	return stat;
}

/* A value that tells its own length. */
static void fill(unsigned char *value, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		value[i] = (unsigned char)(len + i * 7);
}

static bool is_filled(const unsigned char *value, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (value[i] != (unsigned char)(len + i * 7))
			return false;
	return true;
}

/* ---- handle ---- */

static void open_refuses_what_is_no_cache(void)
{
	struct kcache *other = cache;

	expect_error(kcache_open(&other, "/nonexistent", O_RDWR), -ENOENT);
	expect_error(kcache_open(&other, "/dev/null", O_RDWR), -ENOTTY);
	expect_error(kcache_open(&other, NULL, O_RDWR | O_NONBLOCK), -EINVAL);
	expect_error(kcache_open(&other, NULL, O_ACCMODE), -EINVAL);
	expect(other == cache);
	kcache_close(NULL);
}

static void open_of_default_device_is_that_of_its_path(void)
{
	struct kcache *other;
	char value[10];
	size_t value_len;

	set("key", "value");
	expect_error(kcache_open(&other, KCACHE_DEVICE, O_RDONLY), 0);
	expect_error(kcache_get(other, KEY("key"), value, sizeof(value), &value_len), 0);
	kcache_close(other);
}

static void descriptor_is_closed_on_exec_and_by_close(void)
{
	struct kcache *other;
	int fd;

	expect_error(kcache_open(&other, NULL, O_RDWR), 0);
	fd = kcache_fd(other);
	expect(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	kcache_close(other);
	expect(fcntl(fd, F_GETFD) == -1);
}

static void descriptor_speaks_the_text_form(void)
{
	struct kcache *other;
	char text[100];
	ssize_t len;

	expect_error(kcache_open(&other, NULL, O_RDWR), 0);
	expect(write(kcache_fd(other), "key some value\n", 15) == 15);
	expect_value("key", "some value");
	len = read(kcache_fd(other), text, sizeof(text));
	expect(len == 15 && !memcmp(text, "key some value\n", 15));
	kcache_close(other);
}

static void info_tells_limits_and_features(void)
{
	struct kcache_info info = { .size = sizeof(info) };

	expect_error(kcache_info(cache, &info), 0);
	expect(info.key_max == KCACHE_KEY_MAX);
	expect(info.value_max >= 1 << 20 && info.value_max < info.max_bytes);
	expect(info.opcodes == 0x3fe);
	expect(info.flags == 0x7f);
	expect(!strcmp(info.name, "kcache"));
	expect(info.map_bytes > info.max_bytes);
	info.size = KCACHE_INFO_SIZE_VER0;
	expect_error(kcache_info(cache, &info), 0);
	info.size--;
	expect_error(kcache_info(cache, &info), -EINVAL);
	info.size = 0;
	expect_error(kcache_info(cache, &info), -EINVAL);
}

static void flush_removes_all(void)
{
	set("a", "1");
	set("b", "2");
	expect_error(kcache_flush(cache), 0);
	expect_missing("a");
	expect_missing("b");
}

static void flush_is_for_owner_and_writer(void)
{
	struct kcache *other;

	set("a", "1");
	expect_error(kcache_open(&other, NULL, O_RDONLY), 0);
	expect_error(kcache_flush(other), -EBADF);
	kcache_close(other);
	expect(!seteuid(65534));
	expect_error(kcache_flush(cache), -EPERM);
	expect(!seteuid(0));
	expect_value("a", "1");
}

/* ---- operations ---- */

static void get_gives_what_set_stored(void)
{
	static const char bytes[] = "\0\1\n\xff \\";
	char value[10];
	size_t value_len;

	set("key", "value");
	expect_value("key", "value");
	set("key", "");
	expect_value("key", "");
	expect_error(kcache_set(cache, KEY("key"), NULL, 0, 0), 0);
	expect_error(kcache_get(cache, KEY("key"), NULL, 0, &value_len), 0);
	expect(value_len == 0);
	expect_error(kcache_set(cache, bytes, sizeof(bytes), bytes, sizeof(bytes), 0), 0);
	expect_error(kcache_get(cache, bytes, sizeof(bytes), value, sizeof(value), &value_len), 0);
	expect(value_len == sizeof(bytes) && !memcmp(value, bytes, sizeof(bytes)));
}

static void failure_writes_no_result(void)
{
	size_t value_len = UNTOUCHED;
	struct kcache_stat stat = { .version = UNTOUCHED };
	int64_t sum = UNTOUCHED;
	void *value = cache;
	char buf[1];

	expect_error(kcache_get(cache, KEY("none"), buf, 1, &value_len), -ENOENT);
	expect_error(kcache_pop(cache, KEY("none"), buf, 1, &value_len), -ENOENT);
	expect_error(kcache_get_alloc(cache, KEY("none"), &value, &value_len), -ENOENT);
	expect_error(kcache_pop_alloc(cache, KEY("none"), &value, &value_len), -ENOENT);
	expect_error(kcache_stat(cache, KEY("none"), &stat), -ENOENT);
	expect_error(kcache_add(cache, KEY("none"), 1, &sum), -ENOENT);
	expect(value_len == UNTOUCHED && stat.version == UNTOUCHED && sum == UNTOUCHED);
	expect(value == cache);
}

static void small_buffer_is_told_the_length(void)
{
	size_t value_len = UNTOUCHED;
	char buf[5];

	set("key", "value");
	expect_error(kcache_get(cache, KEY("key"), buf, 4, &value_len), -EMSGSIZE);
	expect(value_len == 5);
	value_len = UNTOUCHED;
	expect_error(kcache_get(cache, KEY("key"), NULL, 0, &value_len), -EMSGSIZE);
	expect(value_len == 5);
	value_len = UNTOUCHED;
	expect_error(kcache_pop(cache, KEY("key"), buf, 4, &value_len), -EMSGSIZE);
	expect(value_len == 5);
	expect_value("key", "value");
	expect_error(kcache_pop(cache, KEY("key"), buf, 5, &value_len), 0);
	expect(value_len == 5 && !memcmp(buf, "value", 5));
	expect_missing("key");
}

static void alloc_takes_any_length(void)
{
	static const size_t lengths[] = { 0, 1, 4095, 4096, 4608, 4609, 100000, 1 << 20 };
	unsigned char *stored = malloc(1 << 20);
	size_t i, value_len;
	void *value;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		fill(stored, lengths[i]);
		expect_error(kcache_set(cache, KEY("key"), stored, lengths[i], 0), 0);
		expect_error(kcache_get_alloc(cache, KEY("key"), &value, &value_len), 0);
		expect(value && value_len == lengths[i] && is_filled(value, value_len));
		expect(((char *)value)[value_len] == '\0');
		free(value);
		expect_error(kcache_pop_alloc(cache, KEY("key"), &value, &value_len), 0);
		expect(value && value_len == lengths[i] && is_filled(value, value_len));
		expect(((char *)value)[value_len] == '\0');
		free(value);
		expect_missing("key");
	}
	free(stored);
}

/* In a child, which has what it has and gets no more. */
static void value_that_no_memory_is_left_for_is_enomem(void)
{
	static unsigned char stored[1 << 20];
	struct rlimit limit, before;
	unsigned long pages = 0;
	void *value = cache;
	size_t value_len;
	FILE *statm;
	pid_t child;
	int status;

	expect_error(kcache_set(cache, KEY("key"), stored, sizeof(stored), 0), 0);
	child = fork();
	if (!child) {
		statm = fopen("/proc/self/statm", "re");
		expect(statm && fscanf(statm, "%lu", &pages) == 1);
		getrlimit(RLIMIT_AS, &before);
		limit = before;
		limit.rlim_cur = pages * 4096 + (512 << 10);
		expect(!setrlimit(RLIMIT_AS, &limit));
		expect_error(kcache_get_alloc(cache, KEY("key"), &value, &value_len), -ENOMEM);
		expect_error(kcache_pop_alloc(cache, KEY("key"), &value, &value_len), -ENOMEM);
		expect(value == cache);
		setrlimit(RLIMIT_AS, &before);
		_exit(failed);
	}
	expect(waitpid(child, &status, 0) == child && status == 0);
	expect(stat_of("key").value_len == sizeof(stored));
}

static void remove_removes_once(void)
{
	set("key", "value");
	expect_error(kcache_remove(cache, KEY("key")), 0);
	expect_missing("key");
	expect_error(kcache_remove(cache, KEY("key")), -ENOENT);
}

static void stat_tells_all_but_the_value(void)
{
	struct kcache_stat first, second;
	struct kcache_op op;

	kcache_prep_set(&op, KEY("key"), KEY("value"), 60000);
	op.client_flags = 0xfedcba98;
	expect_error(kcache_run(cache, &op), 0);
	first = stat_of("key");
	expect(first.value_len == 5 && first.client_flags == 0xfedcba98);
	expect(first.ttl_ms > 50000 && first.ttl_ms <= 60000);
	expect(first.version == op.version);
	set("key", "longer value");
	second = stat_of("key");
	expect(second.value_len == 12 && !second.client_flags && !second.ttl_ms);
	expect(second.version != first.version);
}

static void entry_expires(void)
{
	char value[10];
	size_t value_len;

	expect_error(kcache_set(cache, KEY("key"), "x", 1, 100), 0);
	expect_value("key", "x");
	usleep(250000);
	expect_missing("key");
	expect_error(kcache_get(cache, KEY("key"), value, 10, &value_len), -ENOENT);
	expect_error(kcache_pop(cache, KEY("key"), value, 10, &value_len), -ENOENT);
	expect_error(kcache_touch(cache, KEY("key"), 100), -ENOENT);
	expect_error(kcache_append(cache, KEY("key"), "x", 1), -ENOENT);
	expect_error(kcache_remove(cache, KEY("key")), -ENOENT);
}

static void touch_sets_the_expiry(void)
{
	uint64_t version;

	set("key", "value");
	version = stat_of("key").version;
	expect_error(kcache_touch(cache, KEY("key"), 60000), 0);
	expect(stat_of("key").ttl_ms > 50000);
	expect(stat_of("key").version != version);
	expect_error(kcache_touch(cache, KEY("key"), 0), 0);
	expect(stat_of("key").ttl_ms == 0);
	expect_value("key", "value");
	expect_error(kcache_touch(cache, KEY("none"), 0), -ENOENT);
}

static void add_counts_within_64_bits(void)
{
	int64_t sum;

	set("key", "40");
	expect_error(kcache_add(cache, KEY("key"), 2, &sum), 0);
	expect(sum == 42);
	expect_error(kcache_add(cache, KEY("key"), -100, NULL), 0);
	expect_value("key", "-58");
	set("key", "9223372036854775807");
	expect_error(kcache_add(cache, KEY("key"), 1, &sum), -ERANGE);
	expect_error(kcache_add(cache, KEY("key"), INT64_MIN, &sum), 0);
	expect(sum == -1);
	expect_error(kcache_add(cache, KEY("key"), INT64_MIN, &sum), -ERANGE);
	expect_value("key", "-1");
	set("key", "");
	expect_error(kcache_add(cache, KEY("key"), 1, &sum), -ERANGE);
	set("key", "9223372036854775808");
	expect_error(kcache_add(cache, KEY("key"), -1, &sum), -ERANGE);
	set("key", "12 apples");
	expect_error(kcache_add(cache, KEY("key"), 1, &sum), -ERANGE);
	expect_value("key", "12 apples");
}

static void append_and_prepend_extend(void)
{
	struct kcache_op op;

	set("key", "middle");
	expect_error(kcache_append(cache, KEY("key"), "-end", 4), 0);
	expect_error(kcache_prepend(cache, KEY("key"), "begin-", 6), 0);
	expect_value("key", "begin-middle-end");
	kcache_prep_append(&op, KEY("key"), NULL, 0);
	expect_error(kcache_run(cache, &op), 0);
	expect(op.out_len == 16 && op.version == stat_of("key").version);
	expect_error(kcache_append(cache, KEY("none"), "x", 1), -ENOENT);
	expect_error(kcache_prepend(cache, KEY("none"), "x", 1), -ENOENT);
}

static void keys_and_values_have_limits(void)
{
	struct kcache_info info = { .size = sizeof(info) };
	char key[KCACHE_KEY_MAX + 1], *value;

	memset(key, 'k', sizeof(key));
	expect_error(kcache_info(cache, &info), 0);
	value = calloc(1, info.value_max + 1);
	expect_error(kcache_set(cache, key, KCACHE_KEY_MAX, "x", 1, 0), 0);
	expect_error(kcache_remove(cache, key, KCACHE_KEY_MAX), 0);
	expect_error(kcache_set(cache, key, sizeof(key), "x", 1, 0), -EFBIG);
	expect_error(kcache_remove(cache, key, sizeof(key)), -EFBIG);
	expect_error(kcache_remove(cache, key, SIZE_MAX), -EFBIG);
	expect_error(kcache_remove(cache, key, SIZE_MAX / 2 + 2), -EFBIG);
	expect_error(kcache_set(cache, key, 0, "x", 1, 0), -EINVAL);
	expect_error(kcache_set(cache, key, 1, value, info.value_max, 0), 0);
	expect_error(kcache_append(cache, key, 1, "x", 1), -EFBIG);
	expect_error(kcache_set(cache, key, 1, value, info.value_max + 1, 0), -EFBIG);
	expect_error(kcache_set(cache, key, 1, value, SIZE_MAX, 0), -EFBIG);
	expect_error(kcache_set(cache, key, 1, "x", 1, KCACHE_TTL_MAX_MS), 0);
	expect_error(kcache_set(cache, key, 1, "x", 1, KCACHE_TTL_MAX_MS + 1), -EINVAL);
	expect_error(kcache_touch(cache, key, 1, KCACHE_TTL_MAX_MS + 1), -EINVAL);
	free(value);
}

#ifdef __LP64__
/* One that is truncated to 32 bits would be a key of one byte. */
static void key_length_is_not_truncated(void)
{
	set("k", "value");
	expect_error(kcache_remove(cache, "k", (1ULL << 32) + 1), -EFBIG);
	expect_value("k", "value");
}
#endif

static void wild_pointers_are_efault(void)
{
	void *wild = (void *)1;
	struct kcache_op op;
	size_t value_len;

	set("key", "value");
	/* kcache_get() itself may as well die of them, as memcpy() would. */
	kcache_prep_get(&op, wild, 3, wild, 5);
	expect_error(kcache_run(cache, &op), -EFAULT);
	kcache_prep_get(&op, KEY("key"), wild, 5);
	expect_error(kcache_run(cache, &op), -EFAULT);
	expect_error(kcache_set(cache, KEY("key"), wild, 5, 0), -EFAULT);
	expect_error(kcache_pop(cache, KEY("key"), wild, 5, &value_len), -EFAULT);
	expect_error(kcache_run(cache, wild), -EFAULT);
	expect_value("key", "value");
}

static void direction_of_the_handle_is_kept(void)
{
	struct kcache *reader, *writer;
	struct kcache_stat stat;
	struct kcache_op op;
	size_t value_len;
	char value[10];

	set("key", "1");
	expect_error(kcache_open(&reader, NULL, O_RDONLY), 0);
	expect_error(kcache_open(&writer, NULL, O_WRONLY), 0);
	expect_error(kcache_get(reader, KEY("key"), value, 10, &value_len), 0);
	expect_error(kcache_get(writer, KEY("key"), value, 10, &value_len), -EBADF);
	expect_error(kcache_stat(reader, KEY("key"), &stat), 0);
	expect_error(kcache_stat(writer, KEY("key"), &stat), -EBADF);
	expect_error(kcache_set(reader, KEY("key"), "x", 1, 0), -EBADF);
	expect_error(kcache_set(writer, KEY("key"), "2", 1, 0), 0);
	expect_error(kcache_touch(reader, KEY("key"), 0), -EBADF);
	expect_error(kcache_touch(writer, KEY("key"), 0), 0);
	expect_error(kcache_append(reader, KEY("key"), "x", 1), -EBADF);
	expect_error(kcache_append(writer, KEY("key"), "3", 1), 0);
	expect_error(kcache_prepend(reader, KEY("key"), "x", 1), -EBADF);
	expect_error(kcache_prepend(writer, KEY("key"), "1", 1), 0);
	expect_error(kcache_add(reader, KEY("key"), 1, NULL), -EBADF);
	expect_error(kcache_add(writer, KEY("key"), 1, NULL), -EBADF);
	expect_error(kcache_pop(reader, KEY("key"), value, 10, &value_len), -EBADF);
	expect_error(kcache_pop(writer, KEY("key"), value, 10, &value_len), -EBADF);
	kcache_prep_get(&op, KEY("key"), value, 10);
	op.flags = KCACHE_TOUCH;
	expect_error(kcache_run(reader, &op), -EBADF);
	kcache_prep_set(&op, KEY("key"), "x", 1, 0);
	op.flags = KCACHE_RETURN_OLD;
	expect_error(kcache_run(writer, &op), -EBADF);
	expect_error(kcache_remove(reader, KEY("key")), -EBADF);
	expect_value("key", "123");
	expect_error(kcache_remove(writer, KEY("key")), 0);
	kcache_close(reader);
	kcache_close(writer);
}

/* ---- conditions and options ---- */

static int set_with(uint32_t flags, uint64_t version, const char *value)
{
	struct kcache_op op;

	kcache_prep_set(&op, KEY("key"), KEY(value), 0);
	op.flags = flags;
	op.version = version;
	return kcache_run(cache, &op);
}

static void if_absent_stores_once(void)
{
	expect_error(set_with(KCACHE_IF_ABSENT, 0, "one"), 0);
	expect_error(set_with(KCACHE_IF_ABSENT, 0, "two"), -EEXIST);
	expect_value("key", "one");
}

static void if_present_needs_an_entry(void)
{
	expect_error(set_with(KCACHE_IF_PRESENT, 0, "one"), -ENOENT);
	expect_missing("key");
	set("key", "one");
	expect_error(set_with(KCACHE_IF_PRESENT, 0, "two"), 0);
	expect_value("key", "two");
}

static void if_version_needs_that_version(void)
{
	uint64_t version;
	struct kcache_op op;

	set("key", "one");
	version = stat_of("key").version;
	expect_error(set_with(KCACHE_IF_VERSION, version, "two"), 0);
	expect_error(set_with(KCACHE_IF_VERSION, version, "three"), -ESTALE);
	kcache_prep_append(&op, KEY("key"), "x", 1);
	op.flags = KCACHE_IF_VERSION;
	op.version = version;
	expect_error(kcache_run(cache, &op), -ESTALE);
	op.opcode = KCACHE_OP_PREPEND;
	expect_error(kcache_run(cache, &op), -ESTALE);
	kcache_prep_remove(&op, KEY("key"));
	op.flags = KCACHE_IF_VERSION;
	op.version = version;
	expect_error(kcache_run(cache, &op), -ESTALE);
	expect_value("key", "two");
	op.version = stat_of("key").version;
	expect_error(kcache_run(cache, &op), 0);
	expect_missing("key");
	expect_error(set_with(KCACHE_IF_VERSION, op.version, "four"), -ENOENT);
}

static void keep_ttl_keeps_it(void)
{
	struct kcache_op op;

	expect_error(kcache_set(cache, KEY("key"), "one", 3, 60000), 0);
	expect_error(set_with(KCACHE_KEEP_TTL, 0, "two"), 0);
	expect(stat_of("key").ttl_ms > 50000);
	expect_value("key", "two");
	kcache_prep_set(&op, KEY("new"), "x", 1, 60000);
	op.flags = KCACHE_KEEP_TTL;
	expect_error(kcache_run(cache, &op), 0);
	expect(stat_of("new").ttl_ms > 50000);
}

static void return_old_gives_what_was_there(void)
{
	char old[10];
	struct kcache_op op;

	kcache_prep_set(&op, KEY("key"), "one", 3, 0);
	op.flags = KCACHE_RETURN_OLD;
	op.out = (uintptr_t)old;
	op.out_len = sizeof(old);
	expect_error(kcache_run(cache, &op), 0);
	expect(op.out_len == KCACHE_ABSENT);
	op.value = (uintptr_t)"two";
	op.out_len = 2;
	expect_error(kcache_run(cache, &op), -EMSGSIZE);
	expect(op.out_len == 3);
	expect_value("key", "one");
	expect_error(kcache_run(cache, &op), 0);
	expect(op.out_len == 3 && !memcmp(old, "one", 3));
	expect_value("key", "two");
}

static void run_alloc_gives_old_or_null(void)
{
	struct kcache_op op;
	char *long_value = calloc(1, 50000);
	void *old = cache;

	kcache_prep_set(&op, KEY("key"), long_value, 50000, 0);
	op.flags = KCACHE_RETURN_OLD;
	expect_error(kcache_run_alloc(cache, &op, &old), 0);
	expect(!old && op.out_len == KCACHE_ABSENT);
	kcache_prep_set(&op, KEY("key"), "two", 3, 0);
	op.flags = KCACHE_RETURN_OLD;
	expect_error(kcache_run_alloc(cache, &op, &old), 0);
	expect(old && op.out_len == 50000 && !memcmp(old, long_value, 50000));
	free(old);
	old = cache;
	op.flags = KCACHE_RETURN_OLD | KCACHE_IF_ABSENT;
	expect_error(kcache_run_alloc(cache, &op, &old), -EEXIST);
	expect(old == cache);
	free(long_value);
	expect_value("key", "two");
}

static void get_with_touch_sets_the_expiry(void)
{
	struct kcache_op op;
	char value[10];

	set("key", "value");
	kcache_prep_get(&op, KEY("key"), value, 3);
	op.flags = KCACHE_TOUCH;
	op.ttl_ms = 60000;
	expect_error(kcache_run(cache, &op), -EMSGSIZE);
	expect(stat_of("key").ttl_ms == 0);
	op.out_len = sizeof(value);
	expect_error(kcache_run(cache, &op), 0);
	expect(op.out_len == 5 && !memcmp(value, "value", 5));
	expect(stat_of("key").ttl_ms > 50000);
}

static void initial_starts_a_counter(void)
{
	struct kcache_op op;

	kcache_prep_add(&op, KEY("key"), 1);
	op.flags = KCACHE_INITIAL;
	op.number = 100;
	op.ttl_ms = 60000;
	op.client_flags = 7;
	expect_error(kcache_run(cache, &op), 0);
	expect(op.number == 100);
	expect_value("key", "100");
	expect(stat_of("key").ttl_ms > 50000 && stat_of("key").client_flags == 7);
	expect_error(kcache_run(cache, &op), 0);
	expect(op.number == 101 && op.version == stat_of("key").version);
}

static void unknown_and_excluding_flags_are_einval(void)
{
	const uint32_t conditions[] = { KCACHE_IF_ABSENT, KCACHE_IF_PRESENT, KCACHE_IF_VERSION };
	struct kcache_op op;
	int i;

	set("key", "value");
	for (i = 0; i < 3; i++)
		expect_error(set_with(conditions[i] | conditions[(i + 1) % 3], 0, "x"), -EINVAL);
	for (i = 7; i < 32; i++)
		expect_error(set_with(1U << i, 0, "x"), -EINVAL);
	expect_error(set_with(KCACHE_TOUCH, 0, "x"), -EINVAL);
	kcache_prep_stat(&op, KEY("key"));
	op.opcode = 0;
	expect_error(kcache_run(cache, &op), -EINVAL);
	op.opcode = KCACHE_OP_PREPEND + 1;
	expect_error(kcache_run(cache, &op), -EINVAL);
	kcache_prep_stat(&op, KEY("key"));
	op.error = 1;
	expect_error(kcache_run(cache, &op), -EINVAL);
	kcache_prep_stat(&op, KEY("key"));
	op.size--;
	expect_error(kcache_run(cache, &op), -EINVAL);
	expect_value("key", "value");
}

/* A program that was built with a longer struct than this library. */
static void longer_struct_passes_if_the_rest_is_zero(void)
{
	struct {
		struct kcache_op op;
		uint64_t more;
	} new = { .more = 0 };
	void *value;

	set("key", "value");
	kcache_prep_get(&new.op, KEY("key"), NULL, 0);
	new.op.size = sizeof(new);
	expect_error(kcache_run_alloc(cache, &new.op, &value), 0);
	expect(new.op.out_len == 5 && !memcmp(value, "value", 6));
	free(value);
	new.more = 1;
	new.op.out_len = 0;
	expect_error(kcache_run(cache, &new.op), -E2BIG);
}

/* ---- many at once ---- */

#define NR_OPS	(KCACHE_BATCH_MAX + 3)

static void run_many_takes_more_than_the_kernel_does(void)
{
	struct kcache_op *ops = calloc(NR_OPS, sizeof(*ops));
	size_t i, done = UNTOUCHED;

	for (i = 0; i < NR_OPS; i++)
		kcache_prep_set(&ops[i], KEY("key"), KEY("value"), 0);
	kcache_prep_remove(&ops[NR_OPS - 1], KEY("none"));
	expect_error(kcache_run_many(cache, ops, NR_OPS, &done), 0);
	expect(done == NR_OPS);
	for (i = 0; i < NR_OPS; i++)
		expect(ops[i].error == (i < NR_OPS - 1 ? 0 : -ENOENT));
	done = UNTOUCHED;
	expect_error(kcache_run_many(cache, ops, 0, &done), 0);
	expect(done == 0);
	free(ops);
}

static void run_many_tells_how_far_it_came(void)
{
	struct kcache_op ops[3];
	size_t done = UNTOUCHED;

	kcache_prep_set(&ops[0], KEY("a"), KEY("1"), 0);
	kcache_prep_set(&ops[1], KEY("b"), KEY("2"), 0);
	kcache_prep_set(&ops[2], KEY("c"), KEY("3"), 0);
	ops[2].size += 8;
	expect_error(kcache_run_many(cache, ops, 3, &done), -EINVAL);
	expect(done == 2);
	expect_value("a", "1");
	expect_value("b", "2");
	expect_missing("c");
}

/* ---- typed ---- */

struct user {
	uint64_t id;
	char name[24];
};

struct place {
	int32_t x, y;
};

KCACHE_TYPED(user, uint64_t, struct user);
KCACHE_TYPED(tile, struct place, uint32_t);

static void typed_calls_keep_kinds_apart(void)
{
	struct user ada = { 7, "ada" }, user = { 0 };
	struct place here = { 3, -4 }, there = { 4, -3 };
	uint32_t tile;

	expect_error(user_get(cache, 7, &user), -ENOENT);
	expect_error(user_set(cache, 7, &ada, 60000), 0);
	expect_error(user_get(cache, 7, &user), 0);
	expect(!memcmp(&user, &ada, sizeof(ada)));
	tile = 11;
	expect_error(tile_set(cache, here, &tile, 0), 0);
	expect_error(tile_get(cache, there, &tile), -ENOENT);
	expect_error(tile_pop(cache, here, &tile), 0);
	expect(tile == 11);
	expect_error(tile_remove(cache, here), -ENOENT);
	expect_error(user_remove(cache, 8), -ENOENT);
	expect_error(user_remove(cache, 7), 0);
	expect_error(user_pop(cache, 7, &user), -ENOENT);
}

static void typed_compare_and_swap(void)
{
	struct user ada = { 7, "ada" };
	uint64_t version = 0;

	expect_error(user_set(cache, 7, &ada, 0), 0);
	expect_error(user_get_version(cache, 7, &ada, &version), 0);
	expect_error(user_set_if_version(cache, 7, &ada, 60000, version), 0);
	expect_error(user_set_if_version(cache, 7, &ada, 60000, version), -ESTALE);
}

static void typed_get_and_pop_refuse_another_size(void)
{
	static const char longer[sizeof(struct user) + 1];
	struct user user = { UNTOUCHED, "" };
	uint64_t id = 7;
	char key[5 + sizeof(id)] = "user:";
	size_t len;

	memcpy(key + 5, &id, sizeof(id));
	for (len = sizeof(longer) - 2; len <= sizeof(longer); len += 2) {
		expect_error(kcache_set(cache, key, sizeof(key), longer, len, 0), 0);
		expect_error(user_get(cache, id, &user), -EBADMSG);
		expect_error(user_pop(cache, id, &user), -EBADMSG);
		expect(user.id == UNTOUCHED);
		expect_error(kcache_remove(cache, key, sizeof(key)), 0);
	}
}

/* ---- threads, processes, signals ---- */

static void run_threads(void *(*body)(void *))
{
	pthread_t threads[NR_THREADS];
	long i;

	for (i = 0; i < NR_THREADS; i++)
		expect(!pthread_create(&threads[i], NULL, body, (void *)i));
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void *add_often(void *number)
{
	int i;

	(void)number;
	for (i = 0; i < 1000; i++)
		expect_error(kcache_add(cache, KEY("key"), 1, NULL), 0);
	return NULL;
}

static void threads_add_on_one_handle(void)
{
	set("key", "0");
	run_threads(add_often);
	expect_value("key", "8000");
}

static void *swap_often(void *number)
{
	struct user user = { 0, "" };
	uint64_t version = 0;
	int i, err;

	(void)number;
	for (i = 0; i < 200; i++) {
		do {
			expect_error(user_get_version(cache, 1, &user, &version), 0);
			user.id++;
			err = user_set_if_version(cache, 1, &user, 0, version);
		} while (err == -ESTALE);
		expect_error(err, 0);
	}
	return NULL;
}

static void threads_compare_and_swap(void)
{
	struct user user = { 0, "counter" };

	expect_error(user_set(cache, 1, &user, 0), 0);
	run_threads(swap_often);
	expect_error(user_get(cache, 1, &user), 0);
	expect(user.id == 200 * NR_THREADS);
}

static unsigned int nr_popped;

/* Half of them by POP, half by GET and REMOVE, as the typed calls do it. */
static void *pop_often(void *number)
{
	struct user user;
	uint64_t version;
	size_t value_len;
	unsigned int i;
	int err;

	for (i = 0; i < 500; i++) {
		if ((long)number % 2)
			err = user_pop(cache, i, &user);
		else
			err = kcache_pop(cache, KEY("plain"), &user, sizeof(user), &value_len);
		if (!err)
			__atomic_add_fetch(&nr_popped, 1, __ATOMIC_RELAXED);
		else
			expect_error(err, -ENOENT);
		if (!user_get_version(cache, i, &user, &version))
			expect(user.id == i);
	}
	return NULL;
}

static void threads_pop_each_entry_once(void)
{
	struct user user = { 0, "" };

	nr_popped = 0;
	for (user.id = 0; user.id < 500; user.id++)
		expect_error(user_set(cache, user.id, &user, 0), 0);
	set("plain", "x");
	run_threads(pop_often);
	expect(nr_popped == 501);
}

static bool stop;

static void *resize_value(void *number)
{
	static const size_t lengths[] = { 10, 5000, 100, 60000, 4608, 300000 };
	unsigned char *value = malloc(300000);
	size_t len;
	int i = 0;

	(void)number;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		len = lengths[i++ % 6];
		fill(value, len);
		expect_error(kcache_set(cache, KEY("key"), value, len, 0), 0);
	}
	free(value);
	return NULL;
}

static void alloc_follows_a_changing_length(void)
{
	pthread_t writer;
	size_t value_len;
	void *value;
	int i;

	set("key", "");
	stop = false;
	expect(!pthread_create(&writer, NULL, resize_value, NULL));
	for (i = 0; i < 2000; i++) {
		expect_error(kcache_get_alloc(cache, KEY("key"), &value, &value_len), 0);
		expect(is_filled(value, value_len) && !((char *)value)[value_len]);
		free(value);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(writer, NULL);
}

static void handle_is_inherited_over_fork(void)
{
	int status;
	pid_t child;

	set("key", "0");
	fflush(stdout);
	child = fork();
	if (!child)
		_exit(kcache_add(cache, KEY("key"), 5, NULL) ? 1 : 0);
	expect(waitpid(child, &status, 0) == child && status == 0);
	expect_value("key", "5");
}

static volatile sig_atomic_t nr_signals;

static void on_alarm(int number)
{
	(void)number;
	nr_signals++;
}

static void signals_are_no_errors(void)
{
	const struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = on_alarm };	/* without SA_RESTART */
	char *value = calloc(1, 1 << 20);
	size_t value_len;
	int i;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (i = 0; i < 300; i++) {
		expect_error(kcache_set(cache, KEY("key"), value, 1 << 20, 0), 0);
		expect_error(kcache_get(cache, KEY("key"), value, 1 << 20, &value_len), 0);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	expect(nr_signals > 0);
	free(value);
}

/* ---- all of them ---- */

#define TEST(name) { #name, name }

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	TEST(open_refuses_what_is_no_cache),
	TEST(open_of_default_device_is_that_of_its_path),
	TEST(descriptor_is_closed_on_exec_and_by_close),
	TEST(descriptor_speaks_the_text_form),
	TEST(info_tells_limits_and_features),
	TEST(flush_removes_all),
	TEST(flush_is_for_owner_and_writer),
	TEST(get_gives_what_set_stored),
	TEST(failure_writes_no_result),
	TEST(small_buffer_is_told_the_length),
	TEST(value_that_no_memory_is_left_for_is_enomem),
	TEST(alloc_takes_any_length),
	TEST(remove_removes_once),
	TEST(stat_tells_all_but_the_value),
	TEST(entry_expires),
	TEST(touch_sets_the_expiry),
	TEST(add_counts_within_64_bits),
	TEST(append_and_prepend_extend),
	TEST(keys_and_values_have_limits),
#ifdef __LP64__
	TEST(key_length_is_not_truncated),
#endif
	TEST(wild_pointers_are_efault),
	TEST(direction_of_the_handle_is_kept),
	TEST(if_absent_stores_once),
	TEST(if_present_needs_an_entry),
	TEST(if_version_needs_that_version),
	TEST(keep_ttl_keeps_it),
	TEST(return_old_gives_what_was_there),
	TEST(run_alloc_gives_old_or_null),
	TEST(get_with_touch_sets_the_expiry),
	TEST(initial_starts_a_counter),
	TEST(unknown_and_excluding_flags_are_einval),
	TEST(longer_struct_passes_if_the_rest_is_zero),
	TEST(run_many_takes_more_than_the_kernel_does),
	TEST(run_many_tells_how_far_it_came),
	TEST(typed_calls_keep_kinds_apart),
	TEST(typed_compare_and_swap),
	TEST(typed_get_and_pop_refuse_another_size),
	TEST(threads_add_on_one_handle),
	TEST(threads_compare_and_swap),
	TEST(threads_pop_each_entry_once),
	TEST(alloc_follows_a_changing_length),
	TEST(handle_is_inherited_over_fork),
	TEST(signals_are_no_errors),
};

#define NR_TESTS (sizeof(tests) / sizeof(tests[0]))

int main(void)
{
	bool any_failed = false;
	size_t i;
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 14");
	err = kcache_open(&cache, NULL, O_RDWR);
	if (err) {
		printf("1..0 # SKIP %s: %s\n", KCACHE_DEVICE, strerror(-err));
		return 4;
	}
	printf("1..%zu\n", NR_TESTS);
	for (i = 0; i < NR_TESTS; i++) {
		failed = false;
		expect_error(kcache_flush(cache), 0);
		tests[i].run();
		printf("%s %zu - %s\n", failed ? "not ok" : "ok", i + 1, tests[i].name);
		any_failed |= failed;
	}
	kcache_close(cache);
	return any_failed;
}
