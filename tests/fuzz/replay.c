// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a target on each file of the directories, or on the files, that it is given.
 *
 * Exit status: 0 if all went well, 1 if not: which and why is on stdout, as lines of
 * comment, but for what sanitizers say, on stderr. One process takes file after file;
 * where it dies, the next one goes on behind.
 */
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

/* One that takes longer hangs. */
#define SECONDS	60

static char **files;
static int nr_files;

static void add_file(const char *path)
{
	files = realloc(files, (nr_files + 1) * sizeof(*files));
	files[nr_files++] = strdup(path);
}

static void add(const char *path)
{
	struct dirent **names;
	char name[4096];
	int i, nr = scandir(path, &names, NULL, alphasort);

	if (nr < 0) {
		add_file(path);
		return;
	}
	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			add_file(name);
		free(names[i]);
	}
	free(names);
}

/* In memory of its own length, so that who reads behind it is found. */
static void run(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat stat;
	uint8_t *data;

	if (!file || fstat(fileno(file), &stat)) {
		perror(path);
		exit(1);
	}
	data = malloc(stat.st_size);
	if (fread(data, 1, stat.st_size, file) != (size_t)stat.st_size) {
		perror(path);
		exit(1);
	}
	fclose(file);
	alarm(SECONDS);
	LLVMFuzzerTestOneInput(data, stat.st_size);
	alarm(0);
	free(data);
}

int main(int argc, char **argv)
{
	int *at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i, status, failed = 0;

	for (i = 1; i < argc; i++)
		add(argv[i]);
	if (!nr_files || at == MAP_FAILED) {
		fprintf(stderr, "replay: no inputs\n");
		return 1;
	}
	while (*at < nr_files) {
		fflush(NULL);
		if (!fork()) {
			for (; *at < nr_files; ++*at)
				run(files[*at]);
			exit(0);
		}
		if (wait(&status) < 0)
			return 1;
		if (!status)
			break;
		failed = 1;
		if (*at == nr_files) {
			printf("# after all inputs: status %#x\n", status);
			break;
		}
		if (WIFSIGNALED(status))
			printf("# %s: %s\n", files[*at], strsignal(WTERMSIG(status)));
		else
			printf("# %s: exit status %d\n", files[*at], WEXITSTATUS(status));
		++*at;
	}
	printf("# %d inputs\n", nr_files);
	return failed;
}
