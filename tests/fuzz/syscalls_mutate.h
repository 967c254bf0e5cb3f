/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where programs come from: made anew, or from those that found something.
 */
#ifndef SYSCALLS_MUTATE_H
#define SYSCALLS_MUTATE_H

#define CORPUS_MAX	4096

struct corpus {
	uint32_t nr;		/* of places taken */
	bool is_there[CORPUS_MAX];
	struct program program[CORPUS_MAX];
};

static struct corpus *corpus;	/* shared by all workers; only grows */

static void add_to_corpus(const struct program *program)
{
	uint32_t at = __atomic_fetch_add(&corpus->nr, 1, __ATOMIC_RELAXED);

	if (at >= CORPUS_MAX)
		return;
	corpus->program[at] = *program;
	__atomic_store_n(&corpus->is_there[at], true, __ATOMIC_RELEASE);
}

/* One of the corpus, rather a late one; NULL if none was found. */
static const struct program *pick_from_corpus(void)
{
	uint32_t nr = __atomic_load_n(&corpus->nr, __ATOMIC_RELAXED), at;

	nr = nr < CORPUS_MAX ? nr : CORPUS_MAX;
	if (!nr)
		return NULL;
	at = random_below(nr);
	if (random_below(3) == 0)
		at = nr - 1 - random_below(nr < 50 ? nr : 50);
	return __atomic_load_n(&corpus->is_there[at], __ATOMIC_ACQUIRE) ? &corpus->program[at] : NULL;
}

static void new_call(uint8_t *b)
{
	int sum = 0, i;
	uint32_t lot;

	for (i = 0; i < CALL_BYTES; i++)
		b[i] = random_number() >> 32;
	for (i = 0; i < (int)NR(calls); i++)
		sum += calls[i].weight;
	lot = random_below(sum);
	for (i = 0; (int)lot >= calls[i].weight; i++)
		lot -= calls[i].weight;
	b[0] = i;
	if (random_below(3))
		b[1] &= 0x7f;	/* one after the other */
	if (random_below(2))
		b[2] %= 4;	/* for most calls, a descriptor that there is */
}

static void new_program(struct program *program)
{
	uint32_t i;

	program->nr = 1 + random_below(16);
	for (i = 0; i < program->nr; i++)
		new_call(program->call[i]);
}

static void insert(struct program *program, uint32_t at, const uint8_t (*from)[CALL_BYTES],
		   uint32_t nr)
{
	if (nr > CALLS_MAX - program->nr)
		nr = CALLS_MAX - program->nr;
	memmove(program->call[at + nr], program->call[at], (program->nr - at) * CALL_BYTES);
	memcpy(program->call[at], from, nr * CALL_BYTES);
	program->nr += nr;
}

static void delete_calls(struct program *program, uint32_t at, uint32_t nr)
{
	if (nr > program->nr - at)
		nr = program->nr - at;
	memmove(program->call[at], program->call[at + nr], (program->nr - at - nr) * CALL_BYTES);
	program->nr -= nr;
}

static void mutate_once(struct program *program)
{
	uint32_t at = random_below(program->nr), from;
	uint8_t *b = program->call[at], call[1][CALL_BYTES];
	const struct program *other;

	switch (random_below(13)) {
	case 0: case 1: case 2: case 3:
		b[2 + random_below(CALL_BYTES - 2)] = random_number() >> 32;
		break;
	case 4:
		b[2 + random_below(CALL_BYTES - 2)] ^= 1 << random_below(8);
		break;
	case 5:
		b[2 + random_below(CALL_BYTES - 2)] += random_below(2) ? 1 : -1;
		break;
	case 6:
		b[1] = random_number() >> 32;
		break;
	case 7: case 8:
		new_call(call[0]);
		insert(program, random_below(program->nr + 1), (const uint8_t (*)[CALL_BYTES])call, 1);
		break;
	case 9:
		delete_calls(program, at, 1 + random_below(3));
		break;
	case 10:	/* the same once more, or in another thread */
		memcpy(call[0], b, CALL_BYTES);
		if (random_below(2))
			call[0][1] = random_number() >> 32;
		insert(program, random_below(program->nr + 1), (const uint8_t (*)[CALL_BYTES])call, 1);
		break;
	case 11:
		new_call(b);
		break;
	default:	/* a part of another */
		other = pick_from_corpus();
		if (!other)
			break;
		from = random_below(other->nr);
		insert(program, at, &other->call[from], 1 + random_below(other->nr - from));
	}
	if (!program->nr)
		new_program(program);
}

static void next_program(struct program *program)
{
	const struct program *parent = random_below(16) ? pick_from_corpus() : NULL;
	uint32_t nr = 1 + random_below(8);

	if (!parent) {
		new_program(program);
		return;
	}
	*program = *parent;
	while (nr--)
		mutate_once(program);
}

#endif /* SYSCALLS_MUTATE_H */
