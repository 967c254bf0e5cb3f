// SPDX-License-Identifier: GPL-2.0
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "text.h"

/* Longest encoding of a byte. */
#define ESCAPE_MAX	4

/* "@ttl_ms=" and "flags=" with their numbers, and what is between. */
#define ATTRIBUTES_MAX	64

/* How much is copied in at a time. */
#define PIECE		SZ_16K

/* -------- the codec: no state, no user memory -------- */

static int decode_escape(const char *in, const char *end, char *out)
{
	if (in == end)
		return -EINVAL;
	switch (*in) {
	case 'n':
		*out = '\n';
		return 1;
	case 't':
		*out = '\t';
		return 1;
	case 'r':
		*out = '\r';
		return 1;
	case '\\':
		*out = '\\';
		return 1;
	case 'x':
		if (end - in < 3 || hex2bin((u8 *)out, in + 1, 1))
			return -EINVAL;
		return 3;
	default:
		return -EINVAL;
	}
}

/* Decodes [@in, @end) where it stands; it never gets longer. */
static int decode_bytes(char *in, const char *end, size_t *len)
{
	char *out = in, *begin = in;

	while (in < end) {
		int used;

		if (*in != '\\') {
			*out++ = *in++;
			continue;
		}
		used = decode_escape(in + 1, end, out);
		if (used < 0)
			return used;
		out++;
		in += 1 + used;
	}
	*len = out - begin;
	return 0;
}

/* One "name=number", NUL-terminated. */
static int decode_attribute(char *attribute, struct kc_line *decoded)
{
	char *number = strchr(attribute, '=');

	/* kstrto*() take a sign, which is none of ours. */
	if (!number || !isdigit(number[1]))
		return -EINVAL;
	*number++ = '\0';
	if (!strcmp(attribute, "ttl_ms"))
		return kstrtou64(number, 10, &decoded->ttl_ms) ? -EINVAL : 0;
	if (!strcmp(attribute, "flags"))
		return kstrtou32(number, 10, &decoded->client_flags) ? -EINVAL : 0;
	return -EINVAL;
}

/**
 * kc_line_decode() - take one line apart
 * @line: the line; is written to
 * @len: bytes, without the newline
 * @decoded: out, leads into @line
 *
 * Context: Any.
 * Return: 0 or -EINVAL.
 */
int kc_line_decode(char *line, size_t len, struct kc_line *decoded)
{
	char *end = line + len, *space, *attributes, *attribute;
	int err;

	*decoded = (struct kc_line) { 0 };
	if (len && *line == '@') {
		space = memchr(line, ' ', len);
		if (!space || memchr(line, '\0', space - line))
			return -EINVAL;
		*space = '\0';
		attributes = line + 1;
		while ((attribute = strsep(&attributes, ","))) {
			err = decode_attribute(attribute, decoded);
			if (err)
				return err;
		}
		line = space + 1;
	}
	space = memchr(line, ' ', end - line);
	if (!space)
		return -EINVAL;
	decoded->key = line;
	decoded->value = space + 1;
	return decode_bytes(line, space, &decoded->key_len) ?:
	       decode_bytes(decoded->value, end, &decoded->value_len);
}

static size_t encode_byte(u8 c, bool is_key, bool is_first, char *out)
{
	bool is_plain = c >= ' ' && c != 0x7f && c != '\\';

	if (is_key && (c == ' ' || (c == '@' && is_first)))
		is_plain = false;
	if (is_plain) {
		*out = c;
		return 1;
	}
	switch (c) {
	case '\n':
		return sprintf(out, "\\n");
	case '\t':
		return sprintf(out, "\\t");
	case '\r':
		return sprintf(out, "\\r");
	case '\\':
		return sprintf(out, "\\\\");
	default:
		out[0] = '\\';
		out[1] = 'x';
		hex_byte_pack(out + 2, c);
		return 4;
	}
}

static size_t encode_attributes(const struct kc_copy *entry, char *out)
{
	if (entry->ttl_ms && entry->client_flags)
		return sprintf(out, "@ttl_ms=%llu,flags=%u ", entry->ttl_ms, entry->client_flags);
	if (entry->ttl_ms)
		return sprintf(out, "@ttl_ms=%llu ", entry->ttl_ms);
	if (entry->client_flags)
		return sprintf(out, "@flags=%u ", entry->client_flags);
	return 0;
}

/**
 * kc_line_encode() - render the next part of an entry's line
 * @entry: the entry
 * @at: in and out, bytes of key and value that have been rendered, first 0; more
 *	than there are once the line is complete
 * @out: where to
 * @size: bytes there, at least ATTRIBUTES_MAX
 *
 * Context: Any.
 * Return: bytes written.
 */
size_t kc_line_encode(const struct kc_copy *entry, size_t *at, char *out, size_t size)
{
	size_t total = (size_t)entry->key_len + entry->value_len;
	size_t len = *at ? 0 : encode_attributes(entry, out);

	while (len + ESCAPE_MAX + 1 <= size && *at <= total) {
		if (*at == entry->key_len)
			out[len++] = ' ';
		if (*at == total)
			out[len++] = '\n';
		else
			len += encode_byte(entry->data[*at], *at < entry->key_len, !*at,
					   out + len);
		(*at)++;
	}
	return len;
}

/* -------- an open file -------- */

void kc_text_init(struct kc_text *text)
{
	mutex_init(&text->lock);
}

void kc_text_exit(struct kc_text *text)
{
	kvfree(text->line);
	kvfree(text->entry.data);
	kfree(text->out);
	mutex_destroy(&text->lock);
}

/* Has a line been begun and not ended? */
bool kc_text_is_incomplete(struct kc_text *text)
{
	return READ_ONCE(text->line_len);
}

static int lock_text(struct kc_text *text, bool nonblock)
{
	if (nonblock)
		return mutex_trylock(&text->lock) ? 0 : -EAGAIN;
	return mutex_lock_interruptible(&text->lock) ? -ERESTARTSYS : 0;
}

/* Renders the next bytes. 1: there are some, 0: no entry is left. */
static int fill_out(struct kc_text *text, struct kc_cache *cache)
{
	int err;

	if (text->is_at_end)
		return 0;
	if (!text->out)
		text->out = kmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!text->out)
		return -ENOMEM;
	if (!text->is_in_entry) {
		err = kc_cache_next(cache, &text->position, &text->entry);
		if (err <= 0) {
			text->is_at_end = !err;
			return err;
		}
		text->entry_at = 0;
		text->is_in_entry = true;
	}
	text->out_at = 0;
	text->out_len = kc_line_encode(&text->entry, &text->entry_at, text->out, PAGE_SIZE);
	if (text->entry_at > (size_t)text->entry.key_len + text->entry.value_len) {
		text->is_in_entry = false;
		text->is_at_end = !text->position;
	}
	return 1;
}

/**
 * kc_text_read() - the entries as text, from where the last read ended
 * @text: of the open file
 * @cache: whose entries
 * @to: where to
 * @nonblock: do not wait for another reader of this open file
 *
 * An entry that is there from the first read to the last is met once. What was
 * rendered of it is of one moment, also if it takes several reads to take it.
 *
 * Context: Process context.
 * Return: bytes, 0 at the end, -EFAULT, -EAGAIN, -ENOMEM, -ERESTARTSYS, -EINTR.
 */
ssize_t kc_text_read(struct kc_text *text, struct kc_cache *cache, struct iov_iter *to,
		     bool nonblock)
{
	ssize_t done = 0;
	int err = lock_text(text, nonblock);

	if (err)
		return err;
	while (iov_iter_count(to)) {
		size_t len;

		if (text->out_at == text->out_len) {
			err = fill_out(text, cache);
			if (err <= 0)
				break;
		}
		len = copy_to_iter(text->out + text->out_at, text->out_len - text->out_at, to);
		text->out_at += len;
		done += len;
		if (text->out_at < text->out_len && iov_iter_count(to)) {
			err = -EFAULT;
			break;
		}
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
	}
	mutex_unlock(&text->lock);
	return done ?: err;
}

static int store_line(struct kc_cache *cache, char *line, size_t len)
{
	struct kc_line decoded;
	struct kc_call call = { .op = { .opcode = KCACHE_OP_SET } };
	int err = kc_line_decode(line, len, &decoded);

	if (err)
		return err;
	call.op.key_len = decoded.key_len;
	call.op.value_len = decoded.value_len;
	call.op.ttl_ms = decoded.ttl_ms;
	call.op.client_flags = decoded.client_flags;
	err = kc_call_check(&call.op, KC_WRITE);
	if (err < 0)
		return err;
	call.key = decoded.key;
	call.value = kc_buffer_kernel(decoded.value);
	return kc_cache_run(cache, &call);
}

/* Makes room for @more bytes behind what there is of the line. */
static int grow_line(struct kc_text *text, struct kc_cache *cache, size_t more)
{
	size_t longest = ATTRIBUTES_MAX + ESCAPE_MAX * (KCACHE_KEY_MAX + kc_cache_value_max(cache));
	size_t capacity;
	char *line;

	if (text->line_len > longest)
		return -EFBIG;
	if (text->line_len + more <= text->line_capacity)
		return 0;
	capacity = max(2 * text->line_capacity, text->line_len + more);
	line = kvmalloc(capacity, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!line)
		return -ENOMEM;
	if (text->line_len)
		memcpy(line, text->line, text->line_len);
	kvfree(text->line);
	text->line = line;
	text->line_capacity = capacity;
	return 0;
}

/*
 * Stores the complete lines and keeps the rest. @more bytes have come behind those
 * that were kept last time, in which there is no newline. @stored: out, bytes of
 * the lines that were stored.
 */
static int store_lines(struct kc_text *text, struct kc_cache *cache, size_t more, size_t *stored)
{
	size_t len = text->line_len + more;
	char *newline = memchr(text->line + text->line_len, '\n', more);
	int err = 0;

	for (*stored = 0; newline; newline = memchr(text->line + *stored, '\n', len - *stored)) {
		char *line = text->line + *stored;

		err = store_line(cache, line, newline - line);
		if (err)
			break;
		*stored += newline + 1 - line;
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
	}
	/* A line that could not be stored is forgotten. */
	WRITE_ONCE(text->line_len, err ? 0 : len - *stored);
	if (!err && *stored)
		memmove(text->line, text->line + *stored, text->line_len);
	return err;
}

/*
 * Copies in a piece and stores its lines. @copied: out, bytes of @from; @stored:
 * out, bytes of stored lines, counted from the beginning of the first. An error
 * other than -EFAULT is that of a line, which is forgotten.
 */
static int write_piece(struct kc_text *text, struct kc_cache *cache, struct iov_iter *from,
		       size_t *copied, size_t *stored)
{
	size_t piece = min_t(size_t, PIECE, iov_iter_count(from));
	int err = grow_line(text, cache, piece);

	if (err) {
		WRITE_ONCE(text->line_len, 0);
		return err;
	}
	*copied = copy_from_iter(text->line + text->line_len, piece, from);
	if (!*copied)
		return -EFAULT;
	return store_lines(text, cache, *copied, stored);
}

/**
 * kc_text_write() - store an entry for each line
 * @text: of the open file
 * @cache: where to
 * @from: where from; a line may end in a later call
 * @nonblock: do not wait for another writer of this open file
 *
 * The first line that cannot be stored ends it. The lines before it took effect
 * and are what is returned; if there are none, the error is. The line itself,
 * with what came of it in earlier calls, is forgotten.
 *
 * Context: Process context.
 * Return: bytes taken, -EINVAL for a malformed line, -EFBIG for a key, value or
 * line over the limit, -ENOSPC, -EFAULT, -EAGAIN, -ENOMEM, -ERESTARTSYS, -EINTR.
 */
ssize_t kc_text_write(struct kc_text *text, struct kc_cache *cache, struct iov_iter *from,
		      bool nonblock)
{
	ssize_t done = 0, whole = 0;	/* bytes copied; up to the last stored line */
	int err = lock_text(text, nonblock);

	if (err)
		return err;
	while (!err && iov_iter_count(from)) {
		size_t before = text->line_len, copied = 0, stored = 0;

		err = write_piece(text, cache, from, &copied, &stored);
		if (stored)
			whole = done + stored - before;
		if (err && err != -EFAULT)
			done = whole;
		else
			done += copied;
		if (!err && signal_pending(current))
			err = -ERESTARTSYS;
		cond_resched();
	}
	mutex_unlock(&text->lock);
	return done ?: err;
}
