// SPDX-License-Identifier: GPL-2.0
/*
 * What operations on the keys of one bucket cost, by how many a member has put there. Ticks
 * of the TSC, the least of several tries; for the guest that counts instructions:
 *
 *	tests/vm/run --icount -- build/tests/flood
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <kcache.h>

#include "flood.h"

#define TRIES	20
#define LONGEST	10000

static __u64 step, first;
static struct kcache *handle;

static __u64 ticks(void)
{
	return __builtin_ia32_rdtsc();
}

static struct kcache_op op_on(__u32 opcode, const __u64 *key, char *bytes)
{
	return OP_ON(GET, key, 16, .opcode = opcode, BYTES(bytes, 100), INTO_BYTES(bytes, 100));
}

/* The least of what an operation takes, which has to give @error. */
static __u64 cost(__u32 opcode, __u64 nr, int error)
{
	__u64 least = ~0ULL, began, took, key[2];
	static char bytes[100];
	int i;

	flood_key(nr, step, key);
	for (i = 0; i < TRIES; i++) {
		struct kcache_op op = op_on(opcode, key, bytes);

		began = ticks();
		CHECK_ERR(run(&op), error);
		took = ticks() - began;
		least = took < least ? took : least;
	}
	return least;
}

static __u64 mapped_cost(__u64 nr, int error)
{
	__u64 least = ~0ULL, began, took, key[2];
	static char bytes[100];
	size_t len;
	int i;

	flood_key(nr, step, key);
	for (i = 0; i < TRIES; i++) {
		began = ticks();
		CHECK_ERR(kcache_get(handle, key, sizeof(key), bytes, sizeof(bytes), &len), error);
		took = ticks() - began;
		least = took < least ? took : least;
	}
	return least;
}

static __u64 new_cost(__u64 nr)
{
	__u64 least = ~0ULL, took;
	int i;

	for (i = 0; i < 5; i++) {
		__u64 key[2], began;
		static char bytes[100];
		struct kcache_op op;

		flood_key(nr, step, key);
		op = op_on(KCACHE_OP_SET, key, bytes);
		began = ticks();
		CHECK_ERR(run(&op), 0);
		took = ticks() - began;
		least = took < least ? took : least;
		op = op_on(KCACHE_OP_REMOVE, key, bytes);
		CHECK_ERR(run(&op), 0);
	}
	return least;
}

TEST(cost_by_the_length_of_the_chain)
{
	static const __u64 lengths[] = { 1, 64, 1000, LONGEST };
	const struct kcache_map_header *header;
	static char bytes[100];
	unsigned long long nr = 0, took[7];
	__u64 key[2];
	size_t i;

	header = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, 0));
	step = flood_step(header->secret);
	first = flood_first(header->secret, step, LONGEST + 1);
	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	/* In this order: a new key takes the place of the last, where the chain is full. */
	NOTE("| keys | GET mapped | missing | GET | missing | SET, there | SET, new | REMOVE, missing |");
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		__u64 last = first + lengths[i] - 1;

		for (; nr < lengths[i]; nr++) {
			struct kcache_op op;

			flood_key(first + nr, step, key);
			op = op_on(KCACHE_OP_SET, key, bytes);
			CHECK_ERR(run(&op), 0);
		}
		took[0] = mapped_cost(last, 0);
		took[1] = mapped_cost(last + 1, ENOENT);
		took[2] = cost(KCACHE_OP_GET, last, 0);
		took[3] = cost(KCACHE_OP_GET, last + 1, ENOENT);
		took[4] = cost(KCACHE_OP_SET, last, 0);
		took[5] = cost(KCACHE_OP_REMOVE, last + 1, ENOENT);
		took[6] = new_cost(last + 1);
		NOTE("| %llu | %llu | %llu | %llu | %llu | %llu | %llu | %llu |", nr, took[0],
		     took[1], took[2], took[3], took[4], took[6], took[5]);
	}
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
