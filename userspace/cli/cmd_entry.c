// SPDX-License-Identifier: GPL-2.0
/*
 * The commands that concern one entry, an operation each, and flush.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "output.h"

/* Keys that get asks for in one call. */
#define GETS_AT_ONCE	64

static enum exit_code code_of(int err)
{
	return err == -ENOENT || err == -EEXIST || err == -ESTALE ? EXIT_UNMET : EXIT_REFUSED;
}

static const char *missing_key(const struct kcache_op *op)
{
	switch (op->opcode) {
	case KCACHE_OP_SET:
		return "no such key; without --if-present it is stored";
	case KCACHE_OP_ADD:
		return "no such key; --initial N starts one";
	default:
		return "no such key";
	}
}

static const char *cause(int err, const struct kcache_op *op)
{
	switch (err) {
	case -ENOENT:
		return missing_key(op);
	case -EEXIST:
		return "the key is there already; without --if-absent its value is replaced";
	case -ESTALE:
		return "the entry has another version; 'kcachectl stat' tells it";
	case -EFBIG:
		return "key or value is longer than the cache takes; 'kcachectl info' tells the limits";
	case -ENOSPC:
		return "no room could be made; a smaller value or a larger max_bytes helps";
	case -ERANGE:
		return "the value is no number of 64 bits, or the sum is not; 'kcachectl set' replaces it";
	default:
		return strerror(-err);
	}
}

/* An error with the key before it, as put_key() writes it. */
static void print_key_error(struct bytes key, const char *text)
{
	fflush(stdout);
	fputs("kcachectl: ", stderr);
	put_key(stderr, key);
	fprintf(stderr, ": %s\n", text);
}

static _Noreturn void die_op(const struct kcache_op *op, int err)
{
	struct bytes key = { (const void *)(uintptr_t)op->key, op->key_len };

	print_key_error(key, cause(err, op));
	exit(code_of(err));
}

static void run(struct kcache *cache, struct kcache_op *op)
{
	int err = kcache_run(cache, op);

	if (err)
		die_op(op, err);
}

/* The value's data is NULL if there was no entry that could have had one. */
static struct bytes run_alloc(struct kcache *cache, struct kcache_op *op)
{
	void *value;
	int err = kcache_run_alloc(cache, op, &value);

	if (err)
		die_op(op, err);
	return (struct bytes){ value, value ? (size_t)op->out_len : 0 };
}

static void print_set_json(struct bytes key, const struct kcache_op *op, struct bytes old)
{
	json_begin(NULL, '{');
	json_bytes("key", key);
	json_unsigned("version", op->version);
	if (old.data)
		json_bytes("old", old);
	else if (op->flags & KCACHE_RETURN_OLD)
		json_null("old");
	json_end('}');
}

int cmd_set(const struct command_line *line)
{
	bool return_old = line->op_flags & KCACHE_RETURN_OLD;
	struct bytes key = key_operand(line, 0);
	struct kcache *cache = open_cache(line, return_old ? O_RDWR : O_WRONLY);
	struct bytes value = value_operand(line, cache_info(line, cache).value_max);
	struct bytes old = { 0 };
	struct kcache_op op;

	kcache_prep_set(&op, key.data, key.len, value.data, value.len, line->ttl_ms);
	op.flags = line->op_flags;
	op.version = line->version;
	op.client_flags = line->client_flags;
	if (return_old)
		old = run_alloc(cache, &op);
	else
		run(cache, &op);

	if (line->json)
		print_set_json(key, &op, old);
	else if (old.data)
		put_value(old);
	return EXIT_DONE;
}

static void print_get_json(const struct kcache_op *op, struct bytes value)
{
	json_begin(NULL, '{');
	json_bytes("key", (struct bytes){ (const void *)(uintptr_t)op->key, op->key_len });
	json_bytes("value", value);
	json_ttl("ttl_ms", op->ttl_ms);
	json_unsigned("version", op->version);
	json_unsigned("flags", op->client_flags);
	json_end('}');
}

/*
 * Prints what came of a GET in a batch. A value that was too long for the batch's
 * buffer is asked for again. Returns the exit code so far.
 */
static enum exit_code print_got(const struct command_line *line, struct kcache *cache,
				struct kcache_op *op, enum exit_code code)
{
	struct bytes value = { (const void *)(uintptr_t)op->out, (size_t)op->out_len };
	void *long_value = NULL;
	int err = op->error;

	if (err == -EMSGSIZE) {
		op->error = 0;
		op->ttl_ms = line->ttl_ms;
		err = kcache_run_alloc(cache, op, &long_value);
		value = (struct bytes){ long_value, (size_t)op->out_len };
	}
	if (err) {
		if (code_of(err) != EXIT_UNMET)
			die_op(op, err);
		print_key_error((struct bytes){ (const void *)(uintptr_t)op->key, op->key_len },
				cause(err, op));
		return EXIT_UNMET;
	}
	if (line->json) {
		print_get_json(op, value);
	} else {
		put_value(value);
		if (line->nr_operands > 1 && !isatty(STDOUT_FILENO))
			putchar('\n');	/* as put_value() does on a terminal */
	}
	free(long_value);
	return code;
}

int cmd_get(const struct command_line *line)
{
	bool touch = line->op_flags & KCACHE_TOUCH;
	static char values[GETS_AT_ONCE][4096];
	struct kcache_op ops[GETS_AT_ONCE];
	enum exit_code code = EXIT_DONE;
	struct kcache *cache;
	struct bytes *keys;
	int done, nr, i, err;

	keys = calloc((size_t)line->nr_operands, sizeof(*keys));
	if (!keys)
		die(EXIT_REFUSED, NULL, "%s", strerror(ENOMEM));
	for (i = 0; i < line->nr_operands; i++)
		keys[i] = key_operand(line, i);
	cache = open_cache(line, touch ? O_RDWR : O_RDONLY);
	for (done = 0; done < line->nr_operands; done += nr) {
		nr = line->nr_operands - done;
		nr = nr < GETS_AT_ONCE ? nr : GETS_AT_ONCE;
		for (i = 0; i < nr; i++) {
			struct bytes key = keys[done + i];

			kcache_prep_get(&ops[i], key.data, key.len, values[i], sizeof(values[i]));
			ops[i].flags = line->op_flags;
			ops[i].ttl_ms = line->ttl_ms;
		}
		err = kcache_run_many(cache, ops, (size_t)nr, NULL);
		if (err)
			die(EXIT_REFUSED, line->device, "%s", strerror(-err));
		for (i = 0; i < nr; i++)
			code = print_got(line, cache, &ops[i], code);
	}
	free(keys);
	return code;
}

int cmd_pop(const struct command_line *line)
{
	struct bytes key = key_operand(line, 0);
	struct kcache *cache = open_cache(line, O_RDWR);
	struct kcache_op op;

	kcache_prep_pop(&op, key.data, key.len, NULL, 0);
	put_value(run_alloc(cache, &op));
	return EXIT_DONE;
}

int cmd_remove(const struct command_line *line)
{
	enum exit_code code = EXIT_DONE;
	struct kcache *cache;
	struct kcache_op op;
	struct bytes key;
	int err, i;

	if (line->nr_operands > 1 && line->op_flags & KCACHE_IF_VERSION)
		die_usage(line, "--if-version goes with one KEY");
	cache = open_cache(line, O_WRONLY);
	for (i = 0; i < line->nr_operands; i++) {
		key = key_operand(line, i);
		kcache_prep_remove(&op, key.data, key.len);
		op.flags = line->op_flags;
		op.version = line->version;
		err = kcache_run(cache, &op);
		if (!err)
			continue;
		if (code_of(err) != EXIT_UNMET)
			die_op(&op, err);
		print_key_error(key, cause(err, &op));
		code = EXIT_UNMET;
	}
	return code;
}

int cmd_stat(const struct command_line *line)
{
	struct bytes key = key_operand(line, 0);
	struct kcache *cache = open_cache(line, O_RDONLY);
	char ttl[TTL_TEXT_MAX];
	struct kcache_op op;

	kcache_prep_stat(&op, key.data, key.len);
	run(cache, &op);
	if (!line->json) {
		printf("length   %" PRIu64 "\n", (uint64_t)op.out_len);
		printf("ttl      %s\n", format_ttl(ttl, op.ttl_ms));
		printf("version  %" PRIu64 "\n", (uint64_t)op.version);
		printf("flags    %" PRIu32 "\n", op.client_flags);
		return EXIT_DONE;
	}
	json_begin(NULL, '{');
	json_bytes("key", key);
	json_unsigned("length", op.out_len);
	json_ttl("ttl_ms", op.ttl_ms);
	json_unsigned("version", op.version);
	json_unsigned("flags", op.client_flags);
	json_end('}');
	return EXIT_DONE;
}

int cmd_touch(const struct command_line *line)
{
	struct bytes key = key_operand(line, 0);
	struct kcache_op op;

	kcache_prep_touch(&op, key.data, key.len, ttl_argument(line, "TTL", line->operands[1]));
	run(open_cache(line, O_WRONLY), &op);
	return EXIT_DONE;
}

int cmd_add(const struct command_line *line)
{
	bool initial = line->op_flags & KCACHE_INITIAL;
	struct bytes key = key_operand(line, 0);
	int64_t delta = signed_argument(line, "DELTA", line->operands[1]);
	struct kcache_op op;

	if ((line->ttl_given || line->flags_given) && !initial)
		die_usage(line, "--ttl and --flags are for a new entry; --initial N makes one");
	kcache_prep_add(&op, key.data, key.len, delta);
	op.flags = line->op_flags;
	op.number = line->initial;
	op.ttl_ms = line->ttl_ms;
	op.client_flags = line->client_flags;
	run(open_cache(line, O_RDWR), &op);
	printf("%" PRId64 "\n", (int64_t)op.number);
	return EXIT_DONE;
}

/* append and prepend, the two of one kind */
static int extend(const struct command_line *line, uint32_t opcode)
{
	struct bytes key = key_operand(line, 0);
	struct kcache *cache = open_cache(line, O_WRONLY);
	struct bytes value = value_operand(line, cache_info(line, cache).value_max);
	struct kcache_op op;

	kcache_prep_append(&op, key.data, key.len, value.data, value.len);
	op.opcode = opcode;
	op.flags = line->op_flags;
	op.version = line->version;
	run(cache, &op);
	return EXIT_DONE;
}

int cmd_append(const struct command_line *line)
{
	return extend(line, KCACHE_OP_APPEND);
}

int cmd_prepend(const struct command_line *line)
{
	return extend(line, KCACHE_OP_PREPEND);
}

int cmd_flush(const struct command_line *line)
{
	int err = kcache_flush(open_cache(line, O_WRONLY));

	if (err == -EPERM)
		die(EXIT_REFUSED, line->device,
		    "only the owner of the device may flush; 'sudo kcachectl flush' may too");
	if (err)
		die(EXIT_REFUSED, line->device, "%s", strerror(-err));
	return EXIT_DONE;
}
