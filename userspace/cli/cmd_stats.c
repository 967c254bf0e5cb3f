// SPDX-License-Identifier: GPL-2.0
/*
 * stats and info: what a cache tells of itself, by its descriptor and by the
 * files of /sys/class/kcache/<name>/, one value in each. Which files there are
 * is the kernel's affair; all that are found are shown.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

#define CLASS_DIRECTORY	"/sys/class/kcache"
#define RATIO_TEXT_MAX	16

struct attribute {
	char name[64];
	char text[64];		/* content of the file, without the newline */
	uint64_t number;
	bool is_number;
};

struct attributes {
	struct attribute *all;	/* sorted by name */
	size_t nr;
	double read_s;		/* time of reading, in seconds of a clock */
};

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool read_attribute(const char *directory, const char *name, struct attribute *attribute)
{
	char path[4096], *end;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	len = fread(attribute->text, 1, sizeof(attribute->text) - 1, file);
	fclose(file);
	attribute->text[len] = '\0';
	attribute->text[strcspn(attribute->text, "\n")] = '\0';
	snprintf(attribute->name, sizeof(attribute->name), "%s", name);
	attribute->number = strtoull(attribute->text, &end, 10);
	attribute->is_number = end != attribute->text && !*end && attribute->text[0] != '-';
	return true;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && entry->d_type != DT_DIR;
}

/* What can be read of the directory. False: it is not there. */
static bool read_attributes(const char *directory, struct attributes *attributes)
{
	struct dirent **names;
	int i, nr = scandir(directory, &names, is_visible, alphasort);

	if (nr < 0)
		return false;
	attributes->nr = 0;
	attributes->read_s = now_s();
	attributes->all = calloc((size_t)nr + 1, sizeof(attributes->all[0]));
	if (!attributes->all)
		die(EXIT_REFUSED, directory, "no memory");
	for (i = 0; i < nr; i++) {
		if (read_attribute(directory, names[i]->d_name, attributes->all + attributes->nr))
			attributes->nr++;
		free(names[i]);
	}
	free(names);
	return true;
}

static uint64_t number_of(const struct attributes *attributes, const char *name)
{
	size_t i;

	for (i = 0; attributes && i < attributes->nr; i++)
		if (!strcmp(attributes->all[i].name, name))
			return attributes->all[i].number;
	return 0;
}

/* Share of hits among the reads since @before, or since ever; -1: no reads. */
static double hit_ratio(const struct attributes *now, const struct attributes *before)
{
	uint64_t hits = number_of(now, "hits") - number_of(before, "hits");
	uint64_t misses = number_of(now, "misses") - number_of(before, "misses");

	return hits + misses ? (double)hits / ((double)hits + (double)misses) : -1;
}

static const char *format_ratio(char text[RATIO_TEXT_MAX], double ratio)
{
	if (ratio < 0)
		return "-";
	snprintf(text, RATIO_TEXT_MAX, "%.1f%%", 100 * ratio);
	return text;
}

static void print_text(const struct attributes *now, const struct attributes *before)
{
	const struct attribute *a;
	char ratio[RATIO_TEXT_MAX];
	int width = (int)strlen("hit_ratio");

	for (a = now->all; a < now->all + now->nr; a++)
		if ((int)strlen(a->name) > width)
			width = (int)strlen(a->name);
	for (a = now->all; a < now->all + now->nr; a++) {
		printf("%-*s %20s", width, a->name, a->text);
		if (before && a->is_number)
			printf(" %+15.1f/s",
			       (double)(int64_t)(a->number - number_of(before, a->name)) /
			       (now->read_s - before->read_s));
		putchar('\n');
	}
	printf("%-*s %20s", width, "hit_ratio", format_ratio(ratio, hit_ratio(now, NULL)));
	if (before)
		printf(" %15s", format_ratio(ratio, hit_ratio(now, before)));
	putchar('\n');
}

static void json_attribute(const struct attribute *attribute)
{
	if (attribute->is_number)
		json_unsigned(attribute->name, attribute->number);
	else
		json_string(attribute->name, attribute->text);
}

static void print_json(const struct attributes *now)
{
	double ratio = hit_ratio(now, NULL);
	char text[32];
	size_t i;

	json_begin(NULL, '{');
	for (i = 0; i < now->nr; i++)
		json_attribute(now->all + i);
	snprintf(text, sizeof(text), "%.6f", ratio);
	json_raw("hit_ratio", ratio < 0 ? "null" : text);
	json_end('}');
}

static void read_stats(const char *directory, struct attributes *attributes)
{
	if (!read_attributes(directory, attributes))
		die(EXIT_REFUSED, directory, "%s; does this system have /sys mounted?",
		    strerror(errno));
}

static void watch(const struct command_line *line, const char *directory,
		  struct attributes *before)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct attributes now;

	for (;;) {
		flush_output();
		sleep(line->watch_s);
		read_stats(directory, &now);
		if (line->json) {
			print_json(&now);
		} else {
			fputs(terminal ? "\033[H\033[J" : "\n", stdout);
			print_text(&now, before);
		}
		free(before->all);
		*before = now;
	}
}

int cmd_stats(const struct command_line *line)
{
	struct kcache_info info = cache_info(line, open_cache(line, O_RDONLY));
	struct attributes attributes;
	char directory[128];

	snprintf(directory, sizeof(directory), CLASS_DIRECTORY "/%.32s/stats", info.name);
	read_stats(directory, &attributes);
	if (line->json)
		print_json(&attributes);
	else
		print_text(&attributes, NULL);
	if (line->watch_s)
		watch(line, directory, &attributes);
	return EXIT_DONE;
}

/* Names of the bits that are set, from bit 0; unnamed ones go by number. */
static void print_bits(const char *const *names, size_t nr_names, uint64_t bits, bool json)
{
	char number[16];
	unsigned int i;
	const char *name;

	for (i = 0; i < 64; i++) {
		if (!(bits >> i & 1))
			continue;
		snprintf(number, sizeof(number), "%u", i);
		name = i < nr_names && names[i] ? names[i] : number;
		if (json)
			json_string(NULL, name);
		else
			printf(" %s", name);
	}
}

static const char *const opcode_names[] = {
	NULL, "get", "set", "remove", "pop", "stat", "touch", "add", "append", "prepend",
};

static const char *const flag_names[] = {
	"if_absent", "if_present", "if_version", "keep_ttl", "return_old", "touch", "initial",
};

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static void print_info_text(const struct command_line *line, const struct kcache_info *info,
			    const struct attributes *limits)
{
	char size[SIZE_TEXT_MAX];
	size_t i;

	printf("%-10s %.32s\n", "name", info->name);
	printf("%-10s %s\n", "device", line->device);
	printf("%-10s %" PRIu32 "\n", "key_max", info->key_max);
	printf("%-10s %" PRIu64 " (%s)\n", "value_max", (uint64_t)info->value_max,
	       format_size(size, info->value_max));
	printf("%-10s %" PRIu64 " (%s)\n", "max_bytes", (uint64_t)info->max_bytes,
	       format_size(size, info->max_bytes));
	for (i = 0; i < limits->nr; i++)
		printf("%-10s %s\n", limits->all[i].name, limits->all[i].text);
	printf("%-10s", "opcodes");
	print_bits(opcode_names, NR(opcode_names), info->opcodes, false);
	printf("\n%-10s", "flags");
	print_bits(flag_names, NR(flag_names), info->flags, false);
	putchar('\n');
}

static void print_info_json(const struct command_line *line, const struct kcache_info *info,
			    const struct attributes *limits)
{
	size_t i;

	json_begin(NULL, '{');
	json_string("name", info->name);
	json_string("device", line->device);
	json_unsigned("key_max", info->key_max);
	json_unsigned("value_max", info->value_max);
	json_unsigned("max_bytes", info->max_bytes);
	for (i = 0; i < limits->nr; i++)
		json_attribute(limits->all + i);
	json_begin("opcodes", '[');
	print_bits(opcode_names, NR(opcode_names), info->opcodes, true);
	json_end(']');
	json_begin("flags", '[');
	print_bits(flag_names, NR(flag_names), info->flags, true);
	json_end(']');
	json_end('}');
}

/* The limits that are files but no members of struct kcache_info. */
static void read_limits(const struct kcache_info *info, struct attributes *limits)
{
	char directory[128];
	size_t i, kept = 0;

	snprintf(directory, sizeof(directory), CLASS_DIRECTORY "/%.32s/limits", info->name);
	if (!read_attributes(directory, limits))
		return;
	for (i = 0; i < limits->nr; i++)
		if (strcmp(limits->all[i].name, "key_max") &&
		    strcmp(limits->all[i].name, "value_max") &&
		    strcmp(limits->all[i].name, "max_bytes"))
			limits->all[kept++] = limits->all[i];
	limits->nr = kept;
}

int cmd_info(const struct command_line *line)
{
	struct kcache_info info = cache_info(line, open_cache(line, O_RDONLY));
	struct attributes limits = { 0 };

	info.name[sizeof(info.name) - 1] = '\0';
	read_limits(&info, &limits);
	if (line->json)
		print_info_json(line, &info, &limits);
	else
		print_info_text(line, &info, &limits);
	free(limits.all);
	return EXIT_DONE;
}
