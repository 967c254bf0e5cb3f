/* SPDX-License-Identifier: GPL-2.0 */
/*
 * text: read and write on the device, one entry a line:
 *
 *   [@ttl_ms=N,flags=N ]KEY VALUE\n
 *
 * The first space after the key ends it, the rest of the line is the value. Any
 * byte of both may be written as \xHH, and \n \t \r \\ are short for theirs.
 *
 * Owns what an open file remembers from one call to the next: the beginning of a
 * line whose end is still to be written, and the entry that is being read.
 */
#ifndef KC_TEXT_H
#define KC_TEXT_H

#include <linux/mutex.h>
#include <linux/uio.h>

#include "ops.h"

struct kc_text {
	struct mutex lock;	/* one reader or writer of an open file at a time */

	/* Writing. */
	char *line;		/* kvmalloc'ed */
	size_t line_len;	/* bytes of it that were written */
	size_t line_capacity;

	/* Reading. */
	struct kc_copy entry;	/* the entry that is being read */
	u64 position;		/* of the walk, behind the entry */
	size_t entry_at;	/* bytes of key and value that were rendered */
	bool is_in_entry;
	bool is_at_end;
	u32 out_at;		/* bytes of out that were read */
	u32 out_len;
	char *out;		/* a page of rendered text */
};

void kc_text_init(struct kc_text *text);
void kc_text_exit(struct kc_text *text);
bool kc_text_is_incomplete(struct kc_text *text);

ssize_t kc_text_read(struct kc_text *text, struct kc_cache *cache, struct iov_iter *to,
		     bool nonblock);
ssize_t kc_text_write(struct kc_text *text, struct kc_cache *cache, struct iov_iter *from,
		      bool nonblock);

/**
 * struct kc_line - one line, decoded
 * @key: in the line's own memory
 * @key_len: bytes
 * @value: in the line's own memory
 * @value_len: bytes
 * @ttl_ms: 0: for ever
 * @client_flags: as in struct kcache_op
 */
struct kc_line {
	char *key;
	size_t key_len;
	char *value;
	size_t value_len;
	u64 ttl_ms;
	u32 client_flags;
};

int kc_line_decode(char *line, size_t len, struct kc_line *decoded);
size_t kc_line_encode(const struct kc_copy *entry, size_t *at, char *out, size_t size);

#endif /* KC_TEXT_H */
