// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Two processes, a shop's web workers, share the sessions of its customers:
 *
 *	sessions [DEVICE]
 *
 * A session is a C struct under a number. Changing it is compare and swap: read
 * it with its version, change the copy, store it if the version is the same.
 * Ends with 0 if all came out as it should.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kcache.h>

#define SESSION_MS	(30 * 60 * 1000)	/* a session outlives its last visit so long */
#define NR_VISITS	1000
#define ONLINE		"sessions:online"	/* key of the number of sessions */
#define UNEXPECTED	2	/* exit code */

struct session {
	char user[32];
	uint32_t nr_visits;
	uint32_t worker;	/* process id of the last one to serve it */
};

KCACHE_TYPED(session, uint64_t, struct session);

static void expect(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%d: unexpected: %s\n", (int)getpid(), what);
	exit(UNEXPECTED);
}

static void check(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "%d: %s: %s\n", (int)getpid(), what, strerror(-err));
	exit(UNEXPECTED);
}

/* Counts @delta sessions more; the first one starts the counter. */
static int64_t count_online(struct kcache *cache, int64_t delta)
{
	struct kcache_op op;

	kcache_prep_add(&op, ONLINE, strlen(ONLINE), delta);
	op.flags = KCACHE_INITIAL;
	op.number = delta;
	check(kcache_run(cache, &op), ONLINE);
	return op.number;
}

static void log_in(struct kcache *cache, uint64_t id, const char *user)
{
	struct session session = { .worker = (uint32_t)getpid() };

	snprintf(session.user, sizeof(session.user), "%s", user);
	check(session_set(cache, id, &session, SESSION_MS), "log in");
	printf("%d: %s logged in, session %" PRIu64 ", %" PRId64 " online\n",
	       (int)getpid(), user, id, count_online(cache, 1));
}

/* Returns how often another worker came in between. */
static unsigned int visit(struct kcache *cache, uint64_t id)
{
	struct session session = { .nr_visits = 0 };
	unsigned int nr_lost = 0;
	uint64_t version = 0;
	int err;

	for (;;) {
		check(session_get_version(cache, id, &session, &version), "visit");
		session.nr_visits++;
		session.worker = (uint32_t)getpid();
		err = session_set_if_version(cache, id, &session, SESSION_MS, version);
		if (err != -ESTALE)
			break;
		nr_lost++;
	}
	check(err, "visit");
	return nr_lost;
}

/* Several may try, one gets the session. Returns whether it was this process. */
static int log_out(struct kcache *cache, uint64_t id)
{
	struct session session;
	int err = session_pop(cache, id, &session);

	if (err == -ENOENT)
		return 0;
	check(err, "log out");
	printf("%d: %s logged out after %" PRIu32 " visits, %" PRId64 " online\n",
	       (int)getpid(), session.user, session.nr_visits, count_online(cache, -1));
	return 1;
}

/* Waits until all visits are done, or the other worker has seen that first. */
static void wait_for_visits(struct kcache *cache, uint64_t id)
{
	struct session session = { .nr_visits = 0 };
	int err;

	while (!(err = session_get(cache, id, &session)) && session.nr_visits < 2 * NR_VISITS)
		usleep(1000);
	if (err != -ENOENT)
		check(err, "wait");
	expect(err || session.nr_visits == 2 * NR_VISITS, "number of visits");
}

/* One worker's day. Returns whether it logged the session out. */
static int work(const char *device, uint64_t id)
{
	unsigned int nr_lost = 0;
	struct kcache *cache;
	int i, was_me;

	check(kcache_open(&cache, device, O_RDWR), "open");
	for (i = 0; i < NR_VISITS; i++)
		nr_lost += visit(cache, id);
	printf("%d: served %d visits, came second %u times\n", (int)getpid(), NR_VISITS, nr_lost);
	wait_for_visits(cache, id);
	was_me = log_out(cache, id);
	kcache_close(cache);
	return was_me;
}

int main(int argc, char **argv)
{
	const char *device = argc > 1 ? argv[1] : NULL;
	uint64_t id = (uint64_t)getpid();
	struct session session;
	struct kcache *cache;
	int status, was_me;
	pid_t worker;

	setvbuf(stdout, NULL, _IOLBF, 0);
	check(kcache_open(&cache, device, O_RDWR), "open");
	log_in(cache, id, "ada");

	worker = fork();
	expect(worker >= 0, "fork");
	if (!worker)
		_exit(work(device, id));
	was_me = work(device, id);

	expect(waitpid(worker, &status, 0) == worker && WIFEXITED(status), "end of the worker");
	expect(WEXITSTATUS(status) + was_me == 1, "one of two logs the session out");
	expect(session_get(cache, id, &session) == -ENOENT, "a session after its end");
	kcache_close(cache);
	puts("all as it should be");
	return 0;
}
