// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

void die(const char *format, ...)
{
	va_list args;

	fputs("bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1);
}

static void pin_to(unsigned int first, unsigned int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	while (nr--)
		CPU_SET((first + nr) % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void pin(unsigned int client)
{
	pin_to(client, 1);
}

uint64_t number_in(const char *path, const char *label)
{
	char line[256];
	uint64_t number = 0;
	FILE *file = fopen(path, "r");

	if (!file)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, label, strlen(label))) {
			number = strtoull(line + strlen(label), NULL, 10);
			break;
		}
	fclose(file);
	return number;
}

uint64_t memory_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return number_in(path, "VmRSS:") * 1024;
}

const char *scratch(char *to, size_t size, const char *what)
{
	snprintf(to, size, "/dev/shm/bench-%d-%s", getpid(), what);
	return to;
}

static bool answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool does;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	does = !connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return does;
}

int server_start(pid_t *pid, const char *socket, char *const argv[], unsigned int nr_clients)
{
	int null;

	unlink(socket);
	*pid = fork();
	if (*pid < 0)
		return -errno;
	if (!*pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin_to(0, nr_clients);
		null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	for (int tries = 0; tries < 6000; tries++) {
		if (answers(socket))
			return 0;
		if (waitpid(*pid, NULL, WNOHANG) == *pid)
			return -ENOENT;
		usleep(10000);
	}
	server_stop(*pid, socket);
	return -ETIMEDOUT;
}

void server_stop(pid_t pid, const char *socket)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(socket);
}
