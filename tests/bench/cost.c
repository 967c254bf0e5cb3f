// SPDX-License-Identifier: GPL-2.0
/*
 * cost: what an operation costs, in ticks of the time stamp counter. In a guest
 * with --icount a tick is an instruction, so the figures do not depend on the
 * machine's load:
 *
 *   tests/vm/run --icount -- build/tests/cost [ENTRIES]
 *
 * Prints a line for each operation: the median over rounds of the cost of one,
 * the loop around it subtracted, and its ratio to a null ioctl (an unknown command
 * on /dev/null). With ENTRIES, also stores so many entries of 16 + 100 bytes and
 * prints the memory that each takes beyond key and value.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcache.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#define ROUNDS		31
#define OPS_PER_ROUND	256
#define KEY_LEN		16

static int device, null_device;
static char value[1 << 20], out[1 << 20];
static char key[KEY_LEN + 1];

static void make_key(uint64_t n)
{
	snprintf(key, sizeof(key), "%016llx", (unsigned long long)n);
}

static struct kcache_op new_op(uint32_t opcode, size_t len)
{
	return (struct kcache_op) {
		.size = sizeof(struct kcache_op),
		.opcode = opcode,
		.key_len = KEY_LEN,
		.key = (uintptr_t)key,
		.value = (uintptr_t)value,
		.value_len = len,
		.out = (uintptr_t)out,
		.out_len = sizeof(out),
	};
}

static void run(struct kcache_op *op)
{
	if (ioctl(device, KCACHE_IOC_OP, op)) {
		perror("cost: /dev/kcache");
		exit(1);
	}
}

static void do_nothing(uint64_t n, size_t len)
{
	make_key(n);
	new_op(0, len);
}

static void do_null_ioctl(uint64_t n, size_t len)
{
	make_key(n);
	new_op(0, len);
	ioctl(null_device, _IO(0xE8, 0xff), NULL);
}

static void do_set(uint64_t n, size_t len)
{
	struct kcache_op op;

	make_key(n);
	op = new_op(KCACHE_OP_SET, len);
	run(&op);
}

static void do_get(uint64_t n, size_t len)
{
	struct kcache_op op;

	(void)len;
	make_key(n);
	op = new_op(KCACHE_OP_GET, 0);
	run(&op);
}

static void do_miss(uint64_t n, size_t len)
{
	struct kcache_op op;

	(void)len;
	make_key(n | 1ULL << 63);
	op = new_op(KCACHE_OP_GET, 0);
	if (!ioctl(device, KCACHE_IOC_OP, &op) || errno != ENOENT)
		abort();
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The median cost of one call. @fresh: no key comes twice. */
static double measure(void (*call)(uint64_t n, size_t len), size_t len, int fresh)
{
	static uint64_t next = 1 << 20;
	double rounds[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t first = fresh ? next : 0, begin = __rdtsc();

		for (int i = 0; i < OPS_PER_ROUND; i++)
			call(first + i, len);
		rounds[round] = (double)(__rdtsc() - begin) / OPS_PER_ROUND;
		next += fresh ? OPS_PER_ROUND : 0;
	}
	qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
	return rounds[ROUNDS / 2];
}

static uint64_t stat_of(const char *name)
{
	char path[128], text[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/kcache/kcache/stats/%s", name);
	file = fopen(path, "r");
	if (!file || !fgets(text, sizeof(text), file)) {
		perror(path);
		exit(1);
	}
	fclose(file);
	return strtoull(text, NULL, 10);
}

static void report_costs(void)
{
	static const size_t lengths[] = { 16, 100, 1024, 4096 };
	double loop = measure(do_nothing, 0, 0);
	double null = measure(do_null_ioctl, 0, 0) - loop;

	printf("%-18s %10s %8s\n", "operation", "ticks", "ratio");
	printf("%-18s %10.0f %8.2f\n", "null ioctl", null, 1.0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct {
			const char *name;
			double ticks;
		} rows[] = {
			{ "set new", measure(do_set, lengths[i], 1) },
			{ "set overwrite", (measure(do_set, lengths[i], 0),
					    measure(do_set, lengths[i], 0)) },
			{ "get hit", measure(do_get, lengths[i], 0) },
			{ "get miss", measure(do_miss, lengths[i], 0) },
		};

		for (int row = 0; row < 4; row++)
			printf("%-13s %4zu %10.0f %8.2f\n", rows[row].name, lengths[i],
			       rows[row].ticks - loop, (rows[row].ticks - loop) / null);
	}
}

static void report_memory(uint64_t nr)
{
	uint64_t before = stat_of("bytes_allocated"), entries = stat_of("entries");

	for (uint64_t n = 0; n < nr; n++)
		do_set(n | 1ULL << 62, 100);
	entries = stat_of("entries") - entries;
	printf("%llu entries of %d + 100 bytes: %.1f bytes each beyond that\n",
	       (unsigned long long)entries, KEY_LEN,
	       (double)(stat_of("bytes_allocated") - before) / entries - KEY_LEN - 100);
	if (entries != nr)
		printf("(%llu were evicted: give the cache more memory)\n",
		       (unsigned long long)(nr - entries));
}

int main(int argc, char **argv)
{
	device = open("/dev/kcache", O_RDWR | O_CLOEXEC);
	null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (device < 0 || null_device < 0) {
		perror("cost: /dev/kcache");
		return 1;
	}
	memset(value, 'v', sizeof(value));
	report_costs();
	if (argc > 1)
		report_memory(strtoull(argv[1], NULL, 0));
	return 0;
}
