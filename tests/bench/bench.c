// SPDX-License-Identifier: GPL-2.0
/*
 * bench: what operations cost, kcache's and those of what one would use instead.
 * Prints a line of JSON for each result, and progress on stderr. See README.md.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

struct options options = {
	.suite = "native",
	.lens = { 16, 100, 1024, 4096 },
	.clients = { 1, 2 },
	.nr_keys = 10000,
	.rounds = 15,
	.round_ticks = 2500000,
	.sample_ticks = 40000000,
	.cache_bytes = 512 << 20,
	.evict_bytes = 64 << 20,
};

static uint64_t nr_memory;
static const char *only;
static bool is_counting;

static void usage(FILE *to)
{
	fputs("usage: bench [OPTION]...\n"
	      "\n"
	      "  --suite NAME       a name for the run, in each line (native)\n"
	      "  --icount           a tick is an instruction, not a time\n"
	      "  --peers A,B        only those whose name begins so\n"
	      "  --ops A,B          only these operations\n"
	      "  --lens N,N         lengths of values (16,100,1024,4096)\n"
	      "  --clients N,N      numbers of clients (1,2)\n"
	      "  --keys N           entries that hits choose among (10000)\n"
	      "  --rounds N         of which the median is taken (15)\n"
	      "  --round-ticks N    about how long one is (2500000)\n"
	      "  --sample-ticks N   about how long the calls that are timed alone take (40000000)\n"
	      "  --evict-bytes N    memory of a cache in steady eviction (64 MiB), 0: leave out\n"
	      "  --memory N         instead: memory that N entries of 100 bytes take\n", to);
}

static double ticks_per_ns(void)
{
	struct timespec begin, end;
	uint64_t ticks = __rdtsc();

	clock_gettime(CLOCK_MONOTONIC, &begin);
	usleep(200000);
	ticks = __rdtsc() - ticks;
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ticks / ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec));
}

static void print_machine(void)
{
	struct utsname name;

	double load = 0;

	uname(&name);
	getloadavg(&load, 1);
	printf("{\"suite\": \"%s\", \"kernel\": \"%s\", \"cpus\": %ld, \"load\": %.2f, "
	       "\"ticks_per_ns\": %.4f}\n", options.suite, name.release,
	       sysconf(_SC_NPROCESSORS_ONLN), load, is_counting ? 0 : ticks_per_ns());
}

static void parse_list(const char *text, size_t *lens, unsigned int *clients, size_t nr)
{
	char *end;

	for (size_t i = 0; i < nr; i++, text = *end ? end + 1 : end) {
		unsigned long n = strtoul(text, &end, 10);

		if (lens)
			lens[i] = n;
		else
			clients[i] = n;
	}
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "suite", 1, NULL, 's' }, { "icount", 0, NULL, 'i' }, { "peers", 1, NULL, 'p' },
		{ "ops", 1, NULL, 'o' }, { "lens", 1, NULL, 'l' }, { "clients", 1, NULL, 'c' },
		{ "keys", 1, NULL, 'k' }, { "rounds", 1, NULL, 'r' },
		{ "round-ticks", 1, NULL, 't' }, { "sample-ticks", 1, NULL, 'a' },
		{ "evict-bytes", 1, NULL, 'e' }, { "memory", 1, NULL, 'm' },
		{ "help", 0, NULL, 'h' }, {}
	};

	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (c) {
		case 's': options.suite = optarg; break;
		case 'i': is_counting = true; break;
		case 'p': only = optarg; break;
		case 'o': options.ops = optarg; break;
		case 'l': parse_list(optarg, options.lens, NULL, 8); break;
		case 'c': parse_list(optarg, NULL, options.clients, 4); break;
		case 'k': options.nr_keys = strtoull(optarg, NULL, 0); break;
		case 'r': options.rounds = strtoul(optarg, NULL, 0); break;
		case 't': options.round_ticks = strtoull(optarg, NULL, 0); break;
		case 'a': options.sample_ticks = strtoull(optarg, NULL, 0); break;
		case 'e': options.evict_bytes = strtoull(optarg, NULL, 0); break;
		case 'm': nr_memory = strtoull(optarg, NULL, 0); break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(2);
		}
	}
	if (options.rounds < 1 || options.rounds > 64 || !options.nr_keys)
		die("rounds are 1 to 64, and keys at least 1");
	for (int i = 0; options.lens[i]; i++)
		if (options.lens[i] < KEY_LEN || options.lens[i] > VALUE_MAX)
			die("a value has %d to %d bytes", KEY_LEN, VALUE_MAX);
}

static bool is_wanted(const struct peer *peer)
{
	for (const char *p = only; p; p = strchr(p, ','), p = p ? p + 1 : p)
		if (!strncmp(peer->name, p, strcspn(p, ",")))
			return true;
	return !only;
}

static void run(const struct peer *peer)
{
	printf("{\"suite\": \"%s\", \"peer\": \"%s\", \"how\": \"%s\"}\n", options.suite,
	       peer->name, peer->how);
	if (nr_memory) {
		measure_memory(peer, 100, nr_memory);
		return;
	}
	for (int c = 0; c < 4 && options.clients[c]; c++)
		for (int l = 0; l < 8 && options.lens[l]; l++) {
			if (peer->call && (c || l))
				continue;
			measure_costs(peer, options.lens[l], options.clients[c]);
			if (options.evict_bytes)
				measure_eviction(peer, options.lens[l], options.clients[c]);
		}
}

int main(int argc, char **argv)
{
	time_t begin = time(NULL);

	parse(argc, argv);
	print_machine();
	for (unsigned int i = 0; i < nr_peers; i++) {
		if (!peers[i] || !is_wanted(peers[i]))
			continue;
		fprintf(stderr, "  %4lld s  %s: %s%s\n", (long long)(time(NULL) - begin),
			options.suite, peers[i]->name, nr_memory ? ", memory" : "");
		run(peers[i]);
	}
	return 0;
}
