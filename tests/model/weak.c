// SPDX-License-Identifier: GPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weak.h"

#define MESSAGES_MAX	32
#define CHOICES_MAX	1024

struct message {
	u32 value;
	struct view view;
};

static struct location {
	u32 nr;
	struct message message[MESSAGES_MAX];
} location[VIEW_WORDS];

static struct cpu {
	struct view now;	/* what it may load */
	struct view later;	/* and that after the next smp_rmb() */
	struct view stored;	/* its stores, and what they carry */
	struct view carry;	/* what the next plain one carries */
} cpus[READER + 1], *cpu;

static u32 *memory, nr_locations;
static void (*name_location)(u32 index, char *text);
static struct { u32 taken, nr; } choice[CHOICES_MAX];
static u32 nr_choices, depth;
static u64 *seen, nr_seen, seen_mask;
static struct weak_result *result;
static jmp_buf end;
static void (*run_between)(void);
static bool is_shown, is_weakened;
int weak_mutant;

static void join(struct view *a, const struct view *b)
{
	for (u32 i = 0; i < VIEW_WORDS; i++)
		a->at[i] = a->at[i] < b->at[i] ? b->at[i] : a->at[i];
}

void mutate(int which)
{
	is_weakened = mutant(which);
}

static bool take_weakened(void)
{
	bool was = is_weakened;

	is_weakened = false;
	return was;
}

void weak_print(const char *format, ...)
{
	va_list args;

	if (!is_shown)
		return;
	va_start(args, format);
	printf("#   %*s", cpu ? (int)(cpu - cpus) * 4 : 0, "");
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

static void show_access(const char *what, u32 index, u32 ts)
{
	char name[64];

	if (!is_shown)
		return;
	name_location(index, name);
	weak_print("%s %s = %u%s", what, name, location[index].message[ts].value,
		   ts + 1 < location[index].nr ? " (not the newest)" : "");
}

u32 weak_load(const u32 *p, bool acquire)
{
	u32 index = p - memory, ts = cpu->now.at[index];
	const struct message *m;

	acquire &= !take_weakened();
	ts += weak_choose(location[index].nr - ts);
	m = &location[index].message[ts];
	cpu->now.at[index] = ts;
	join(&cpu->later, &m->view);
	if (acquire)
		join(&cpu->now, &m->view);
	show_access(acquire ? "load_acquire" : "load", index, ts);
	return m->value;
}

static struct message *store(u32 *p, u32 value, const struct view *carried)
{
	u32 index = p - memory, ts = location[index].nr++;
	struct message *m = &location[index].message[ts];

	if (ts == MESSAGES_MAX || cpu == &cpus[READER])
		abort();
	*p = value;
	cpu->now.at[index] = ts;
	cpu->later.at[index] = ts;
	m->value = value;
	m->view = *carried;
	m->view.at[index] = ts;
	show_access(carried == &cpu->now ? "store_release" : "store", index, ts);
	return m;
}

void weak_store(u32 *p, u32 value, bool release)
{
	release &= !take_weakened();
	if (run_between && cpu != &cpus[USER])
		run_between();
	join(&cpu->stored, &store(p, value, release ? &cpu->now : &cpu->carry)->view);
}

void weak_cmpxchg(u32 *p, u32 old, u32 value)
{
	u32 index = p - memory, ts = location[index].nr - 1;

	if (*p != old)
		return;
	cpu->now.at[index] = ts;
	join(&cpu->later, &location[index].message[ts].view);
	smp_mb();
	weak_store(p, value, false);
	smp_mb();
}

void weak_tell(u32 *p, u32 value)
{
	store(p, value, &cpu->now);
}

void smp_wmb(void)
{
	if (take_weakened())
		return;
	join(&cpu->carry, &cpu->stored);
	weak_print("smp_wmb");
}

void smp_rmb(void)
{
	if (take_weakened())
		return;
	join(&cpu->now, &cpu->later);
	weak_print("smp_rmb");
}

void smp_mb(void)
{
	if (take_weakened())
		return;
	join(&cpu->now, &cpu->later);
	join(&cpu->carry, &cpu->now);
	weak_print("smp_mb");
}

void weak_acquire(const struct view *view)
{
	join(&cpu->now, view);
	join(&cpu->later, view);
}

void weak_release(struct view *view)
{
	join(view, &cpu->now);
}

void spin_lock(struct lock *lock)
{
	weak_acquire(&lock->view);
	join(&cpu->carry, &lock->view);
}

void spin_unlock(struct lock *lock)
{
	weak_release(&lock->view);
}

void weak_init(u32 *p, u32 nr, void (*name)(u32 index, char *text))
{
	if (nr > VIEW_WORDS)
		abort();
	memory = p;
	nr_locations = nr;
	name_location = name;
}

void weak_begin(void (*between)(void))
{
	run_between = between;
	memset(cpus, 0, sizeof(cpus));
	for (u32 i = 0; i < nr_locations; i++) {
		location[i].nr = 1;
		location[i].message[0] = (struct message) { .value = memory[i] };
	}
}

void weak_run_on(int i)
{
	cpu = &cpus[i];
}

/* A run takes the choices of the one before, but for the last, and 0 after that. */
u32 weak_choose(u32 nr)
{
	if (depth == nr_choices) {
		if (depth == CHOICES_MAX)
			abort();
		choice[nr_choices].taken = 0;
		choice[nr_choices++].nr = nr;
	}
	return choice[depth++].taken;
}

static bool next_choice(u32 first)
{
	while (nr_choices > first && choice[nr_choices - 1].taken + 1 == choice[nr_choices - 1].nr)
		nr_choices--;
	if (nr_choices == first)
		return false;
	choice[nr_choices - 1].taken++;
	return true;
}

static u64 hash_words(u64 hash, const u32 *word, u32 nr)
{
	while (nr--) {
		hash = (hash ^ *word++) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 29;
	}
	return hash;
}

static bool insert_seen(u64 *set, u64 hash)
{
	u64 i = hash & seen_mask;

	for (; set[i]; i = (i + 1) & seen_mask)
		if (set[i] == hash)
			return false;
	set[i] = hash;
	return true;
}

static void grow_seen(void)
{
	u64 *old = seen, old_mask = seen_mask, i;

	seen_mask = 2 * old_mask + 1;
	seen = calloc(seen_mask + 1, sizeof(*seen));
	if (!seen)
		abort();
	for (i = 0; old && i <= old_mask; i++)
		if (old[i])
			insert_seen(seen, old[i]);
	free(old);
}

static void clear_seen(void)
{
	free(seen);
	seen = NULL;
	seen_mask = 127;
	nr_seen = 0;
	grow_seen();
}

void weak_state(const u32 *locals, u32 nr)
{
	u64 hash;

	if (depth < nr_choices || is_shown)
		return;		/* on the way to what is new */
	hash = hash_words(1, locals, nr);
	hash = hash_words(hash, (u32 *)&cpu->now, sizeof(struct view) / sizeof(u32));
	hash = hash_words(hash, (u32 *)&cpu->later, sizeof(struct view) / sizeof(u32)) | 1;
	if (!insert_seen(seen, hash))
		longjmp(end, 1);
	result->states++;
	if (++nr_seen * 2 > seen_mask)
		grow_seen();
}

void weak_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(result->failure, sizeof(result->failure), format, args);
	va_end(args);
	weak_print("%s", result->failure);
	longjmp(end, 1);
}

void weak_explore(void (*writers)(void), void (*reader)(void), struct weak_result *r)
{
	u32 first;

	*r = (struct weak_result) { 0 };
	result = r;
	nr_choices = 0;
	do {
		depth = 0;
		cpu = NULL;
		if (!setjmp(end))
			writers();
		r->schedules++;
		if (r->failure[0])
			return;
		first = depth;
		clear_seen();
		do {
			depth = first;
			cpus[READER] = (struct cpu) { 0 };
			weak_run_on(READER);
			if (!setjmp(end))
				reader();
			r->runs++;
			if (r->failure[0])
				return;
		} while (next_choice(first));
	} while (next_choice(0));
}

void weak_show(void (*writers)(void), void (*reader)(void))
{
	is_shown = true;
	depth = 0;
	cpu = NULL;
	if (!setjmp(end)) {
		writers();
		weak_run_on(READER);
		reader();
	}
	is_shown = false;
}
