// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choose.h"
#include "model.h"

__attribute__((format(printf, 2, 3)))
static bool disagree(const struct outcome *o, const char *format, ...)
{
	va_list args;

	printf("# model: opcode %u, flags %#x, value_len %llu, error %d: ", o->asked.opcode,
	       o->asked.flags, o->asked.value_len, o->err);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return false;
}

bool model_is_there(const struct model *m, u64 now)
{
	return m->is_there && !(m->expiry_to && m->expiry_to <= now);
}

static bool takes_value(const struct kcache_op *op)
{
	return op->opcode == KCACHE_OP_SET || op->opcode == KCACHE_OP_APPEND ||
	       op->opcode == KCACHE_OP_PREPEND;
}

static bool gives_value(const struct kcache_op *op)
{
	return op->opcode == KCACHE_OP_GET || op->opcode == KCACHE_OP_POP ||
	       op->flags & KCACHE_RETURN_OLD;
}

/* A sign, up to 20 characters in all, and in the range of 64 bits. */
bool model_number(const struct model *m, s64 *number)
{
	bool is_negative = m->len && m->value[0] == '-';
	__int128 v = 0;
	u32 i = is_negative;

	if (m->len > 20 || i == m->len)
		return false;
	for (; i < m->len; i++) {
		if (m->value[i] < '0' || m->value[i] > '9')
			return false;
		v = v * 10 + (m->value[i] - '0');
	}
	v = is_negative ? -v : v;
	*number = v;
	return v >= S64_MIN && v <= S64_MAX;
}

/* -------- errors -------- */

struct errors {
	int of[8];
	int nr;
};

static void may_fail(struct errors *errors, bool does_apply, int err)
{
	if (does_apply)
		errors->of[errors->nr++] = err;
}

static struct errors possible_errors(const struct model *m, const struct outcome *o, bool is_there)
{
	const struct kcache_op *op = &o->asked;
	bool extends = op->opcode == KCACHE_OP_APPEND || op->opcode == KCACHE_OP_PREPEND;
	bool is_made = op->opcode == KCACHE_OP_SET || op->flags & KCACHE_INITIAL;
	struct errors errors = { .nr = 0 };
	s64 number;

	may_fail(&errors, takes_value(op) && op->value_len > o->value_max, -EFBIG);
	may_fail(&errors, !is_there && !is_made, -ENOENT);
	may_fail(&errors, !is_there && op->flags & (KCACHE_IF_PRESENT | KCACHE_IF_VERSION),
		 -ENOENT);
	may_fail(&errors, takes_value(op) && op->value_len && o->bad_in, -EFAULT);
	if (!is_there)
		return errors;
	may_fail(&errors, op->flags & KCACHE_IF_ABSENT, -EEXIST);
	may_fail(&errors, op->flags & KCACHE_IF_VERSION && op->version != m->version, -ESTALE);
	may_fail(&errors, gives_value(op) && op->out_len < m->len, -EMSGSIZE);
	may_fail(&errors, gives_value(op) && o->bad_out && o->bad_out <= m->len, -EFAULT);
	may_fail(&errors, extends && op->value_len + m->len > o->value_max, -EFBIG);
	if (op->opcode == KCACHE_OP_ADD)
		may_fail(&errors, !model_number(m, &number) ||
			 __builtin_add_overflow(number, op->delta, &number), -ERANGE);
	return errors;
}

static bool is_among(const struct errors *errors, int err)
{
	int i;

	for (i = 0; i < errors->nr; i++)
		if (errors->of[i] == err)
			return true;
	return !errors->nr && !err;
}

/* -------- success -------- */

static void set_expiry(struct model *m, const struct outcome *o)
{
	u64 ttl_ms = o->asked.ttl_ms;

	m->expiry_from = ttl_ms ? o->from + ttl_ms : 0;
	m->expiry_to = ttl_ms ? o->to + ttl_ms : 0;
}

/* Puts @len bytes of @p at @at of a value that will be @total bytes. */
static void write_value(struct model *m, u32 total, u32 at, const void *p, u32 len)
{
	m->value = realloc(m->value, total + 1);
	memcpy(m->value + at, p, len);
	m->len = total;
}

static bool check_value(const struct model *m, const struct outcome *o, bool is_there)
{
	if (o->asked.opcode == KCACHE_OP_SET && !is_there)
		return o->got.out_len == KCACHE_ABSENT || disagree(o, "an old value of nothing");
	if (o->got.out_len != m->len)
		return disagree(o, "%llu bytes of value, there are %u", o->got.out_len, m->len);
	if (m->len && memcmp((void *)(uintptr_t)o->asked.out, m->value, m->len))
		return disagree(o, "another value");
	return true;
}

static bool check_meta(const struct model *m, const struct outcome *o)
{
	u64 least = m->expiry_from > o->to ? m->expiry_from - o->to : 0;
	u64 most = m->expiry_to > o->from ? m->expiry_to - o->from : 0;

	if (o->got.version != m->version)
		return disagree(o, "version %llu, it is %llu", o->got.version, m->version);
	if (o->got.client_flags != m->client_flags)
		return disagree(o, "client flags %u, they are %u", o->got.client_flags,
				m->client_flags);
	if (o->got.ttl_ms < least || o->got.ttl_ms > most)
		return disagree(o, "ttl %llu, it is %llu to %llu", o->got.ttl_ms, least, most);
	if (o->got.out_len != m->len)
		return disagree(o, "length %llu, it is %u", o->got.out_len, m->len);
	return true;
}

/* What the operation leaves; its outputs are in @o. */
static void change(struct model *m, const struct outcome *o, bool is_there)
{
	const struct kcache_op *op = &o->asked;
	const void *in = (void *)(uintptr_t)op->value;
	char text[24];

	switch (op->opcode) {
	case KCACHE_OP_SET:
		if (!is_there || !(op->flags & KCACHE_KEEP_TTL))
			set_expiry(m, o);
		m->client_flags = op->client_flags;
		write_value(m, op->value_len, 0, in, op->value_len);
		break;
	case KCACHE_OP_ADD:
		if (!is_there) {
			set_expiry(m, o);
			m->client_flags = op->client_flags;
		}
		snprintf(text, sizeof(text), "%lld", o->got.number);
		write_value(m, strlen(text), 0, text, strlen(text));
		break;
	case KCACHE_OP_APPEND:
		write_value(m, m->len + op->value_len, m->len, in, op->value_len);
		break;
	case KCACHE_OP_PREPEND:
		m->value = realloc(m->value, m->len + op->value_len + 1);
		memmove(m->value + op->value_len, m->value, m->len);
		write_value(m, m->len + op->value_len, 0, in, op->value_len);
		break;
	case KCACHE_OP_TOUCH:
	case KCACHE_OP_GET:
		set_expiry(m, o);
		break;
	}
	m->is_there = op->opcode != KCACHE_OP_REMOVE && op->opcode != KCACHE_OP_POP;
	m->version = m->is_there ? o->got.version : 0;
}

bool model_agrees(struct model *m, const struct outcome *o)
{
	const struct kcache_op *op = &o->asked;
	bool is_there = model_is_there(m, o->from);
	struct errors errors = possible_errors(m, o, is_there);
	bool changes = op->opcode != KCACHE_OP_STAT &&
		       (op->opcode != KCACHE_OP_GET || op->flags & KCACHE_TOUCH);
	s64 sum;

	if (!is_among(&errors, o->err))
		return disagree(o, "expected %d", errors.nr ? errors.of[0] : 0);
	m->is_there = is_there;
	if (o->err)
		return o->err != -EMSGSIZE || o->got.out_len == m->len ||
		       disagree(o, "length %llu, it is %u", o->got.out_len, m->len);

	if (gives_value(op) && !check_value(m, o, is_there))
		return false;
	if ((op->opcode == KCACHE_OP_STAT || op->opcode == KCACHE_OP_POP || !changes) &&
	    !check_meta(m, o))
		return false;
	if (op->opcode == KCACHE_OP_ADD) {
		sum = op->number;
		if (is_there && model_number(m, &sum))
			sum += op->delta;
		if (o->got.number != sum)
			return disagree(o, "sum %lld, it is %lld", o->got.number, sum);
	}
	if (changes && op->opcode != KCACHE_OP_POP && op->opcode != KCACHE_OP_REMOVE &&
	    (!o->got.version || o->got.version == m->version))
		return disagree(o, "version %llu is not new", o->got.version);
	if (changes)
		change(m, o, is_there);
	if ((op->opcode == KCACHE_OP_APPEND || op->opcode == KCACHE_OP_PREPEND) &&
	    o->got.out_len != m->len)
		return disagree(o, "length %llu, it is %u", o->got.out_len, m->len);
	return true;
}

/* -------- chance -------- */

static u32 random_flags(u32 opcode)
{
	static const u32 of_set[] = {
		0, 0, 0, KCACHE_IF_ABSENT, KCACHE_IF_PRESENT, KCACHE_IF_VERSION, KCACHE_KEEP_TTL,
		KCACHE_RETURN_OLD, KCACHE_RETURN_OLD | KCACHE_IF_PRESENT,
		KCACHE_RETURN_OLD | KCACHE_IF_VERSION, KCACHE_KEEP_TTL | KCACHE_IF_VERSION,
	};

	switch (opcode) {
	case KCACHE_OP_SET:
		return of_set[choose(sizeof(of_set) / sizeof(of_set[0]))];
	case KCACHE_OP_GET:
		return choose(4) ? 0 : KCACHE_TOUCH;
	case KCACHE_OP_ADD:
		return choose(2) ? 0 : KCACHE_INITIAL;
	case KCACHE_OP_REMOVE:
	case KCACHE_OP_APPEND:
	case KCACHE_OP_PREPEND:
		return choose(3) ? 0 : KCACHE_IF_VERSION;
	}
	return 0;
}

/* Of any length for ADD. Others have no use for it, and must not look at it. */
static s64 random_number(u32 opcode)
{
	return opcode == KCACHE_OP_ADD ? (s64)choose_any() >> choose(64) : (s64)choose(1 << 8);
}

struct kcache_op model_random_op(const struct model *m, const char *key, u8 *in, u8 *out,
				 u32 longest)
{
	u32 opcode = choose(4) ? KCACHE_OP_GET + choose(9) : KCACHE_OP_SET;
	struct kcache_op op = op_on(opcode, key);
	u32 len = choose(3) ? choose(40) : choose(longest + 1);

	op.flags = random_flags(opcode);
	if (choose(3))
		fill(in, len, choose(1 << 16));
	else			/* a number, mostly */
		len = sprintf((char *)in, "%lld", (s64)choose_any() >> choose(64));
	if (takes_value(&op))
		VALUE(&op, in, len);
	OUT(&op, out, choose(12) ? longest : m->len / 2);
	op.delta = random_number(opcode);
	op.number = random_number(opcode);
	op.client_flags = choose(2) ? 0 : choose_any();
	op.version = choose(4) ? m->version : m->version + 1;
	return op;
}
