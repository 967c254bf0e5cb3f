// SPDX-License-Identifier: GPL-2.0
/* trace: an array of requests, and how it is read from files. */
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

#define RECORD_BYTES	24
#define LINE_MAX_BYTES	4096
#define SECONDS_MAX	1e12

/* -------- the array -------- */

void *alloc_or_die(void *old, size_t nr, size_t size)
{
	void *p = reallocarray(old, nr, size);

	if (p || !nr)
		return p;
	fprintf(stderr, "replay: out of memory; a smaller trace (--limit) may fit\n");
	exit(1);
}

static struct id_slot *find_slot(const struct id_map *map, uint64_t id)
{
	size_t i = (id * 0x9e3779b97f4a7c15ULL) >> 20 & (map->nr_slots - 1);

	while (map->slot[i].number_plus_1 && map->slot[i].id != id)
		i = (i + 1) & (map->nr_slots - 1);
	return &map->slot[i];
}

static void grow_map(struct id_map *map)
{
	struct id_map larger = { .nr_slots = map->nr_slots ? 2 * map->nr_slots : 1024 };
	size_t i;

	larger.slot = alloc_or_die(NULL, larger.nr_slots, sizeof(*larger.slot));
	memset(larger.slot, 0, larger.nr_slots * sizeof(*larger.slot));
	larger.nr_used = map->nr_used;
	for (i = 0; i < map->nr_slots; i++)
		if (map->slot[i].number_plus_1)
			*find_slot(&larger, map->slot[i].id) = map->slot[i];
	free(map->slot);
	*map = larger;
}

static uint32_t number_of(struct trace *trace, uint64_t id)
{
	struct id_map *map = &trace->ids;
	struct id_slot *slot;

	if (2 * map->nr_used >= map->nr_slots)
		grow_map(map);
	slot = find_slot(map, id);
	if (slot->number_plus_1)
		return slot->number_plus_1 - 1;
	map->nr_used++;
	*slot = (struct id_slot) { id, ++trace->nr_objects };
	if (trace->nr_objects > trace->longest_capacity) {
		trace->longest_capacity = 2 * trace->nr_objects + 1024;
		trace->longest = alloc_or_die(trace->longest, trace->longest_capacity,
					      sizeof(*trace->longest));
	}
	trace->longest[trace->nr_objects - 1] = 0;
	return trace->nr_objects - 1;
}

void trace_add(struct trace *trace, uint64_t id, struct request request)
{
	uint32_t *longest;

	request.object = number_of(trace, id);
	longest = &trace->longest[request.object];
	if (request.size > *longest) {
		trace->bytes += request.size - *longest;
		*longest = request.size;
	}
	trace->has_ttl |= request.ttl_ms != 0;
	if (trace->nr == trace->capacity) {
		trace->capacity = 2 * trace->capacity + 1024;
		trace->request = alloc_or_die(trace->request, trace->capacity,
					      sizeof(*trace->request));
	}
	trace->request[trace->nr++] = request;
}

void trace_free(struct trace *trace)
{
	free(trace->request);
	free(trace->ids.slot);
	free(trace->longest);
	*trace = (struct trace) { 0 };
}

__attribute__((format(printf, 2, 3)))
static int fail(struct trace_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return -1;
}

/* Appends what a record says. Time that goes back, as in merged traces, stands still. */
static void add_record(struct trace *trace, uint64_t id, struct request request)
{
	uint64_t before = trace->nr ? trace->request[trace->nr - 1].time_ms : 0;

	if (request.time_ms < before)
		request.time_ms = before;
	trace_add(trace, id, request);
}

static int check_end(const struct trace *trace, FILE *file, struct trace_error *error)
{
	if (ferror(file))
		return fail(error, "after record %zu: %s", trace->nr, strerror(errno));
	return trace->nr ? 0 : fail(error, "no requests in it");
}

/* -------- oracleGeneral -------- */

static uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

int trace_read_oracle(struct trace *trace, FILE *file, size_t limit, struct trace_error *error)
{
	uint8_t record[RECORD_BYTES];
	size_t len, nr = 0;

	while ((!limit || nr < limit) && (len = fread(record, 1, sizeof(record), file))) {
		int64_t next;

		nr++;
		if (len < sizeof(record))
			return fail(error, "record %zu: cut short: %zu bytes of %d", nr, len,
				    RECORD_BYTES);
		next = get_u64(record + 16);
		if (next != -1 && next < (int64_t)nr)
			return fail(error, "record %zu: its next request would be number %lld, before it; "
				    "is this oracleGeneral?", nr, (long long)next);
		add_record(trace, get_u64(record + 4), (struct request) {
			.time_ms = 1000ULL * get_u32(record),
			.size = get_u32(record + 12),
		});
	}
	return check_end(trace, file, error);
}

/* -------- CSV -------- */

enum field { FIELD_TIME, FIELD_ID, FIELD_SIZE, FIELD_OP, FIELD_TTL, NR_FIELDS };

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text;
}

/* How many there are; those beyond NR_FIELDS are not kept. */
static int split(char *line, char *field[NR_FIELDS])
{
	int nr = 0;
	char *next;

	for (; line; line = next) {
		next = strchr(line, ',');
		if (next)
			*next++ = '\0';
		if (nr < NR_FIELDS)
			field[nr] = trim(line);
		nr++;
	}
	return nr;
}

/* Seconds, as milliseconds. */
static bool parse_seconds(const char *text, uint64_t *ms)
{
	char *end;
	double seconds;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return false;
	seconds = strtod(text, &end);
	if (*end || !(seconds >= 0 && seconds < SECONDS_MAX))
		return false;
	*ms = llround(seconds * 1000);
	return true;
}

static bool parse_u32(const char *text, uint32_t *number)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || v > UINT32_MAX)
		return false;
	*number = v;
	return true;
}

/* An id is any text: FNV-1a. */
static uint64_t parse_id(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	while (*text)
		hash = (hash ^ (uint8_t)*text++) * 0x100000001b3ULL;
	return hash;
}

static bool parse_op(const char *text, uint8_t *op)
{
	static const struct {
		const char *name;
		enum request_op op;
	} names[] = {
		{ "", REQUEST_GET }, { "get", REQUEST_GET }, { "gets", REQUEST_GET },
		{ "read", REQUEST_GET }, { "set", REQUEST_SET }, { "add", REQUEST_SET },
		{ "replace", REQUEST_SET }, { "cas", REQUEST_SET }, { "write", REQUEST_SET },
		{ "remove", REQUEST_REMOVE }, { "delete", REQUEST_REMOVE },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(text, names[i].name))
			continue;
		*op = names[i].op;
		return true;
	}
	return false;
}

/* NULL, or what is wrong with @field[*which]. */
static const char *parse_fields(char *field[NR_FIELDS], struct request *request, int *which)
{
	uint64_t ttl_ms = 0;

	*which = FIELD_TIME;
	if (!parse_seconds(field[FIELD_TIME], &request->time_ms))
		return "is no time in seconds";
	*which = FIELD_ID;
	if (!*field[FIELD_ID])
		return "is no id";
	*which = FIELD_SIZE;
	if (!parse_u32(field[FIELD_SIZE], &request->size))
		return "is no size in bytes";
	*which = FIELD_OP;
	if (!parse_op(field[FIELD_OP], &request->op))
		return "is no op: get, set or remove";
	*which = FIELD_TTL;
	if (*field[FIELD_TTL] &&
	    (!parse_seconds(field[FIELD_TTL], &ttl_ms) || ttl_ms > UINT32_MAX))
		return "is no ttl in seconds, up to 49 days";
	request->ttl_ms = ttl_ms;
	return NULL;
}

static bool is_to_skip(const char *line, bool is_before_first)
{
	if (!*line || *line == '#')
		return true;
	return is_before_first && !isdigit((unsigned char)*line) && *line != '.';
}

static int add_line(struct trace *trace, char *line, size_t number, struct trace_error *error)
{
	char *field[NR_FIELDS] = { "", "", "", "", "" };
	struct request request = { 0 };
	int nr = split(line, field), which;
	const char *wrong;

	if (nr < FIELD_SIZE + 1 || nr > NR_FIELDS)
		return fail(error, "line %zu: %d field%s; time,id,size[,op[,ttl]] are wanted",
			    number, nr, nr == 1 ? "" : "s");
	wrong = parse_fields(field, &request, &which);
	if (wrong)
		return fail(error, "line %zu: \"%.60s\" %s", number, field[which], wrong);
	add_record(trace, parse_id(field[FIELD_ID]), request);
	return 0;
}

int trace_read_csv(struct trace *trace, FILE *file, size_t limit, struct trace_error *error)
{
	char buffer[LINE_MAX_BYTES], *line;
	size_t number = 0;

	while ((!limit || trace->nr < limit) && fgets(buffer, sizeof(buffer), file)) {
		number++;
		if (!strchr(buffer, '\n') && !feof(file))
			return fail(error, "line %zu: longer than %d bytes, or a NUL in it; is this CSV?",
				    number, LINE_MAX_BYTES - 2);
		line = trim(buffer);
		if (!is_to_skip(line, !trace->nr) && add_line(trace, line, number, error))
			return -1;
	}
	return check_end(trace, file, error);
}

/* -------- files -------- */

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t end_len = strlen(end);

	return len >= end_len && !memcmp(text + len - end_len, end, end_len);
}

/* The path goes through the environment, where no shell looks into it. */
static FILE *open_zst(const char *path)
{
	setenv("REPLAY_TRACE", path, 1);
	return popen("exec zstd -dcq -- \"$REPLAY_TRACE\" 2> /dev/null", "r");
}

int trace_open(struct trace *trace, const char *path, enum trace_format format, size_t limit,
	       struct trace_error *error)
{
	size_t len = strlen(path);
	bool is_zst = ends_with(path, len, ".zst");
	FILE *file = fopen(path, "r");
	int err;

	if (!file)
		return fail(error, "%s", strerror(errno));
	if (is_zst) {
		fclose(file);
		len -= strlen(".zst");
		file = open_zst(path);
		if (!file)
			return fail(error, "zstd: %s", strerror(errno));
	}
	if (format == TRACE_BY_NAME)
		format = ends_with(path, len, ".csv") ? TRACE_CSV : TRACE_ORACLE;
	err = (format == TRACE_CSV ? trace_read_csv : trace_read_oracle)(trace, file, limit, error);
	if (!is_zst) {
		fclose(file);
	} else if (pclose(file) && (err || !limit || trace->nr < limit)) {
		/* At the limit we hang up on it, which it calls an error. */
		return fail(error, "zstd could not read it; is it installed?");
	}
	return err;
}
