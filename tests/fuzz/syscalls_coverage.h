/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which code of the module the calling threads went through, as KCOV tells. On a
 * kernel without KCOV, or with a module that was not built for it, nothing is
 * ever new.
 *
 * Guidance is by edges, pairs of successive PCs, hashed; what is reported are PCs.
 */
#ifndef SYSCALLS_COVERAGE_H
#define SYSCALLS_COVERAGE_H

#define TRACE_WORDS	(256 * 1024)	/* what a program does beyond that is not seen */
#define NR_EDGES	(1 << 18)
#define TEXT_BYTES	(1 << 20)	/* most of the module's code */
#define NEW_MAX		512		/* new edges of one program that are told */
#define TRIES		3		/* how often an edge may turn out to be chance */

/* Shared by all workers, and written without a lock: a lost mark is made again. */
struct coverage {
	uint8_t edge[NR_EDGES];		/* EDGE_KNOWN, or how often it was seen by chance */
	uint8_t pc[TEXT_BYTES];		/* by offset from .text */
};

#define EDGE_KNOWN	0xff

static struct coverage *coverage;
static uint64_t *trace[NR_THREADS];	/* number of PCs, and the PCs */
static uint64_t text_base;

/* Before any descriptor of a program is opened; once in each thread. */
static void begin_coverage(void)
{
	int fd = coverage ? open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC) : -1;
	uint64_t *words;

	if (fd < 0)
		return;
	MUST(ioctl(fd, KCOV_INIT_TRACE, TRACE_WORDS));
	words = MUST(mmap(NULL, TRACE_WORDS * sizeof(*words), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0));
	MUST(ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC));
	__atomic_store_n(&trace[this_thread], words, __ATOMIC_RELEASE);
}

static void reset_coverage(void)
{
	int i;

	for (i = 0; i < NR_THREADS; i++)
		if (trace[i])
			__atomic_store_n(trace[i], 0, __ATOMIC_RELAXED);
}

/* Calls @each(edge, pc) for what was traced since reset_coverage(). */
static void for_each_edge(void (*each)(uint32_t edge, uint32_t pc))
{
	int i;

	for (i = 0; i < NR_THREADS; i++) {
		uint64_t nr = trace[i] ? __atomic_load_n(trace[i], __ATOMIC_RELAXED) : 0, k;
		uint32_t before = 0;

		for (k = 1; k <= nr && k < TRACE_WORDS; k++) {
			uint64_t pc = trace[i][k] - text_base;

			if (pc >= TEXT_BYTES)
				continue;
			each(((uint32_t)pc * 0x9e3779b1u ^ before * 0x85ebca6bu) >> 14, pc);
			before = pc;
		}
	}
}

/* The edges of the last run that no program of the corpus has. */
static struct {
	uint32_t nr;
	uint32_t edge[NEW_MAX];
} fresh;

static void note_edge(uint32_t edge, uint32_t pc)
{
	uint32_t i;

	coverage->pc[pc] = 1;
	if (coverage->edge[edge] >= TRIES || fresh.nr == NEW_MAX)
		return;
	for (i = 0; i < fresh.nr; i++)
		if (fresh.edge[i] == edge)
			return;
	fresh.edge[fresh.nr++] = edge;
}

static uint32_t find_fresh(void)
{
	fresh.nr = 0;
	for_each_edge(note_edge);
	return fresh.nr;
}

static uint8_t met[NR_EDGES / 8];

static void meet(uint32_t edge, uint32_t pc)
{
	(void)pc;
	met[edge / 8] |= 1 << edge % 8;
}

/* How many of the fresh edges the last run had as well; the others are dropped if @drop. */
static uint32_t meet_again(bool drop)
{
	uint32_t nr = 0, i;

	memset(met, 0, sizeof(met));
	for_each_edge(meet);
	for (i = 0; i < fresh.nr; i++) {
		uint32_t edge = fresh.edge[i];
		bool is_met = met[edge / 8] >> edge % 8 & 1;

		if (!is_met && drop) {
			coverage->edge[edge]++;
			continue;
		}
		if (drop)
			fresh.edge[nr] = edge;
		nr += is_met;
	}
	if (drop)
		fresh.nr = nr;
	return nr;
}

static void know_fresh(void)
{
	uint32_t i;

	for (i = 0; i < fresh.nr; i++)
		coverage->edge[fresh.edge[i]] = EDGE_KNOWN;
}

static uint32_t nr_known_edges(void)
{
	uint32_t nr = 0, i;

	for (i = 0; i < NR_EDGES; i++)
		nr += coverage->edge[i] == EDGE_KNOWN;
	return nr;
}

static uint32_t nr_known_pcs(void)
{
	uint32_t nr = 0, i;

	for (i = 0; i < TEXT_BYTES; i++)
		nr += coverage->pc[i];
	return nr;
}

#endif /* SYSCALLS_COVERAGE_H */
