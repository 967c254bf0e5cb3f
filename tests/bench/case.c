// SPDX-License-Identifier: GPL-2.0
/* Where it is measured: a case's processes and threads, and its peer, from start to stop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

static struct client *client_new(const struct bench_case *k, unsigned int id)
{
	struct client *c = aligned_alloc(4096, (sizeof(*c) + 4095) & ~4095UL);

	memset(c, 0, sizeof(*c));
	c->bench_case = k;
	c->id = id;
	c->peer = k->peer;
	c->value_len = k->value_len;
	c->random = id;
	memset(c->value, 'v', sizeof(c->value));
	c->handle = k->peer->connect();
	if (!c->handle)
		die("%s: no connection: %s", k->peer->name, strerror(errno));
	return c;
}

static void run_client(const struct bench_case *k, unsigned int id)
{
	struct client *c;

	pin(id);
	c = client_new(k, id);
	if (!id && (c->peer->set || c->peer->set_many)) {
		if (k->is_evicting) {
			fill(c, 1ULL << 60,
			     options.evict_bytes / (KEY_LEN + k->value_len + 32) * 5 / 4);
		} else {
			fill(c, 0, options.nr_keys);
			check_values(c);
		}
	}
	barrier(c);
	run_operations(c);
	k->peer->disconnect(c->handle);
	free(c);
}

struct thread {
	const struct bench_case *bench_case;
	unsigned int id;
};

static void *run_thread(void *arg)
{
	struct thread *thread = arg;

	run_client(thread->bench_case, thread->id);
	return NULL;
}

static void run_threads(const struct bench_case *k)
{
	struct thread threads[CLIENTS_MAX];
	pthread_t ids[CLIENTS_MAX];

	for (unsigned int i = 0; i < k->nr_clients; i++) {
		threads[i] = (struct thread){ k, i };
		if (pthread_create(&ids[i], NULL, run_thread, &threads[i]))
			die("no thread");
	}
	for (unsigned int i = 0; i < k->nr_clients; i++)
		pthread_join(ids[i], NULL);
}

/* If one fails, the others would wait for it for ever. */
static void run_processes(const struct bench_case *k)
{
	pid_t pids[CLIENTS_MAX];
	bool is_bad = false;
	int status;

	for (unsigned int i = 0; i < k->nr_clients; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			run_client(k, i);
			_exit(0);
		}
	}
	for (unsigned int i = 0; i < k->nr_clients; i++) {
		pid_t pid;

		do {
			pid = wait(&status);
			for (unsigned int j = 0; j < k->nr_clients && pid != pids[j]; j++)
				if (j == k->nr_clients - 1)
					pid = 0;	/* a server */
		} while (!pid);
		if (!status || is_bad)
			continue;
		is_bad = true;
		for (unsigned int j = 0; j < k->nr_clients; j++)
			kill(pids[j], SIGKILL);
	}
	if (is_bad) {
		k->peer->stop();
		_exit(1);
	}
}

static void print_unmeasured(const struct bench_case *k, const char *why)
{
	printf("{\"suite\": \"%s\", \"peer\": \"%s\", \"len\": %zu, \"clients\": %u, "
	       "\"unmeasured\": \"%s\"}\n", options.suite, k->peer->name, k->value_len,
	       k->nr_clients, why);
	fflush(stdout);
}

static void start(const struct bench_case *k, uint64_t entries, uint64_t bytes)
{
	struct setup setup = {
		.value_len = k->value_len,
		.entries = entries,
		.bytes = bytes,
		.nr_clients = k->nr_clients,
	};
	int err = k->peer->start(&setup);

	if (err) {
		fprintf(stderr, "bench: no %s here: %s\n", k->peer->name, strerror(-err));
		print_unmeasured(k, strerror(-err));
		_exit(0);
	}
}

static void in_child(const struct bench_case *k, void (*run)(const struct bench_case *k))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		run(k);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		print_unmeasured(k, "failed");
}

static void run_case(const struct bench_case *k)
{
	uint64_t nr = options.nr_keys + 4 * FRESH_MAX, bytes = nr * (KEY_LEN + k->value_len + 64);

	if (k->is_evicting)
		bytes = options.evict_bytes;
	else if (bytes < options.cache_bytes)
		bytes = options.cache_bytes;
	start(k, nr, bytes);
	if (k->peer->in_process)
		run_threads(k);
	else
		run_processes(k);
	k->peer->stop();
}

static void new_case(const struct peer *peer, size_t value_len, unsigned int nr_clients,
		     bool is_evicting)
{
	struct bench_case k = {
		.peer = peer,
		.value_len = value_len,
		.nr_clients = nr_clients,
		.is_evicting = is_evicting,
		.shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	};

	in_child(&k, run_case);
	munmap(k.shared, sizeof(struct shared));
}

void measure_costs(const struct peer *peer, size_t value_len, unsigned int nr_clients)
{
	new_case(peer, value_len, nr_clients, false);
}

void measure_eviction(const struct peer *peer, size_t value_len, unsigned int nr_clients)
{
	if (peer->evicts && (peer->set || peer->set_many) && is_op_wanted(SET_EVICT))
		new_case(peer, value_len, nr_clients, true);
}

static uint64_t nr_to_store;

static void run_memory(const struct bench_case *k)
{
	struct client *c;
	uint64_t before;

	start(k, nr_to_store, options.cache_bytes);
	c = client_new(k, 0);
	fill(c, 1ULL << 61, 1);
	before = k->peer->counts_itself ? 0 : k->peer->bytes();
	fill(c, 0, nr_to_store);
	printf("{\"suite\": \"%s\", \"peer\": \"%s\", \"op\": \"memory\", \"len\": %zu, "
	       "\"entries\": %llu, \"overhead\": %.1f}\n", options.suite, k->peer->name,
	       k->value_len, (unsigned long long)nr_to_store,
	       ((double)k->peer->bytes() - before) / nr_to_store - KEY_LEN - k->value_len);
	k->peer->stop();
}

void measure_memory(const struct peer *peer, size_t value_len, uint64_t nr_entries)
{
	struct bench_case k = { .peer = peer, .value_len = value_len, .nr_clients = 1 };

	nr_to_store = nr_entries;
	if (peer->most_entries && nr_entries > peer->most_entries)
		nr_to_store = peer->most_entries;
	if (peer->bytes && (peer->set || peer->set_many))
		in_child(&k, run_memory);
}
