/* SPDX-License-Identifier: GPL-2.0 */
/*
 * model: what the contract says about one key, in the plainest form, to compare an
 * operation's outcome with.
 */
#ifndef MODEL_H
#define MODEL_H

#include "fixture.h"

/* One key. Zeroed: it is absent. */
struct model {
	bool is_there;
	u32 len;
	u32 client_flags;
	u64 version;
	u64 expiry_from, expiry_to;	/* it expires between these; 0: never */
	u8 *value;			/* malloc'ed */
};

/**
 * struct outcome - an operation that was done
 * @asked: the operation as it was given; its buffers are still as they were then
 * @got: and as it came back
 * @err: what it returned
 * @from: the clock before it
 * @to: the clock after it; an entry with an expiry in between must not be asked for
 * @bad_in: the value could not be read
 * @bad_out: a byte of the out buffer could not be written: which, counted from 1
 * @value_max: of the cache
 */
struct outcome {
	struct kcache_op asked;
	struct kcache_op got;
	int err;
	u64 from, to;
	bool bad_in;
	u64 bad_out;
	u64 value_max;
};

/*
 * Is it what the contract says? Then @model goes on to the next state, else a line
 * on stdout tells what is wrong. Where an operation is wrong in more than one
 * respect, any of the errors will do.
 */
bool model_agrees(struct model *model, const struct outcome *outcome);

bool model_is_there(const struct model *model, u64 now);

/* The number that the value is for ADD, if it is one. */
bool model_number(const struct model *model, s64 *number);

/* An operation on a key as choose() has it, that makes sense more often than not. */
struct kcache_op model_random_op(const struct model *model, const char *key, u8 *in, u8 *out,
				 u32 longest);

#endif /* MODEL_H */
