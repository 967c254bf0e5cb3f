/* SPDX-License-Identifier: GPL-2.0 */
/*
 * weak: memory as CPUs of different minds see it.
 *
 * Every location keeps all the values it ever had, its messages, in the order in
 * which they were stored. A view says, for each location, the oldest message that
 * may still be read. A load takes any message that its CPU's view allows, and all
 * of them are tried: a stale one stands for a load satisfied too early, or for a
 * store that has not arrived. What takes the freedom away is what a message
 * carries, the view of who stored it, as far as that was ordered before:
 *
 *	smp_store_release	all that the CPU has seen or stored
 *	WRITE_ONCE		what it had stored at its last smp_wmb(), or seen or
 *				stored at its last smp_mb()
 *	smp_load_acquire	adopts what the message carries
 *	READ_ONCE		adopts that at the next smp_rmb() or smp_mb()
 *	lock, unlock		release and acquire; and, as spinlocks promise, stores
 *				before the unlock reach everyone before those after
 *				the lock
 *
 * This is C11 without load buffering, with smp_wmb() weakened to order nothing but
 * stores: weaker than every CPU that Linux runs on. Dependencies order nothing.
 */
#ifndef WEAK_H
#define WEAK_H

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t u32;
typedef unsigned long u64;

#define NR_WRITERS	2
#define USER		NR_WRITERS	/* who stores between others' stores */
#define READER		(USER + 1)
#define VIEW_WORDS	64	/* locations there can be */

struct view {
	uint8_t at[VIEW_WORDS];
} __attribute__((aligned(16)));

struct lock {
	struct view view;
};

#define READ_ONCE(x)			weak_load(&(x), false)
#define WRITE_ONCE(x, value)		weak_store(&(x), value, false)
#define smp_load_acquire(p)		weak_load(p, true)
#define smp_store_release(p, value)	weak_store(p, value, true)

u32 weak_load(const u32 *p, bool acquire);
void weak_store(u32 *p, u32 value, bool release);
void smp_wmb(void);
void smp_rmb(void);
void smp_mb(void);
/* Fully ordered, as atomic as it says, and does nothing if *@p is not @old. */
void weak_cmpxchg(u32 *p, u32 old, u32 value);
void spin_lock(struct lock *lock);
void spin_unlock(struct lock *lock);
/* From who releases @view to who acquires it, of all the ways there are the weakest. */
void weak_release(struct view *view);
void weak_acquire(const struct view *view);
/* As smp_store_release(), but no part of the protocol: orders nothing that comes after. */
void weak_tell(u32 *p, u32 value);

/* What is there, and what to call it; all of it is u32. */
void weak_init(u32 *memory, u32 nr, void (*name)(u32 index, char *text));
/*
 * Every location has one message, what is in it now, and every CPU a fresh mind.
 * Before each store of a writer @between runs, unless it is NULL.
 */
void weak_begin(void (*between)(void));
/* From here on, @cpu runs. */
void weak_run_on(int cpu);
/* Any of 0 to @nr - 1: all of them in turn. */
u32 weak_choose(u32 nr);
/* Ends this run if the reader has been here with the same view and @locals. */
void weak_state(const u32 *locals, u32 nr);
void weak_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void weak_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct weak_result {
	u64 schedules;		/* orders of the writers' steps, and what they loaded */
	u64 runs;		/* of the reader, to an end or to a known state */
	u64 states;		/* of the reader, different ones */
	char failure[160];	/* empty: none */
};

/*
 * Tries everything. The reader stores nothing, so no writer depends on it: it runs
 * after them, and loads old messages as if it had run between.
 */
void weak_explore(void (*writers)(void), void (*reader)(void), struct weak_result *result);
/* Prints the run that failed, step by step. */
void weak_show(void (*writers)(void), void (*reader)(void));

/*
 * A mutant is the protocol with one thing missing. mutate() takes away the next
 * primitive's ordering if @which is being tried.
 */
extern int weak_mutant;
static inline bool mutant(int which)
{
	return weak_mutant == which;
}
void mutate(int which);

#endif /* WEAK_H */
