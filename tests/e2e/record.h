/* SPDX-License-Identifier: GPL-2.0 */
/*
 * record: values of which one can tell whether they are whole, whose they are and
 * which of them they are.
 */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <string.h>

#include <linux/types.h>

/*
 * A value is one record or, after APPEND, several with rising versions. All bytes of
 * a record follow from its key, its version and its length.
 */
struct record {
	__u64 check;
	__u64 version;
	__u32 key_nr;
	__u32 len;	/* of all of it, at least that of this header */
};

#define STEP	0x9e3779b97f4a7c15ULL

static __u64 mix(__u64 a, __u64 b, __u64 c)
{
	a = (a + STEP) * 0xbf58476d1ce4e5b9ULL + b;
	a = (a ^ a >> 29) * 0x94d049bb133111ebULL + c;
	return (a ^ a >> 31) * STEP;
}

static void make_record(void *at, __u32 key_nr, __u64 version, __u32 len)
{
	struct record record = { mix(key_nr, version, len), version, key_nr, len };
	__u64 word = record.check;
	size_t done;

	memcpy(at, &record, sizeof(record));
	for (done = sizeof(record); done < len; done += 8) {
		word += STEP;
		memcpy((char *)at + done, &word, len - done < 8 ? len - done : 8);
	}
}

/* What is wrong with the record, of which @len bytes are there; it may be changing. */
static const char *wrong_record(const void *at, size_t len, __u32 key_nr, struct record *record)
{
	const char *bytes = at;
	__u64 word, there;
	size_t done;

	if (len < sizeof(*record))
		return "shorter than its header";
	memcpy(record, at, sizeof(*record));
	if (record->key_nr != key_nr)
		return "another key's";
	if (record->len < sizeof(*record) || record->len > len)
		return "of another length";
	if (record->check != mix(key_nr, record->version, record->len))
		return "a mixture in its header";
	word = record->check;
	for (done = sizeof(*record); done + 8 <= record->len; done += 8) {
		word += STEP;
		memcpy(&there, bytes + done, 8);
		if (there != word)
			return "a mixture";
	}
	word += STEP;
	if (memcmp(bytes + done, &word, record->len - done))
		return "a mixture at its end";
	return NULL;
}

/* NULL, and the version of its last record; or what is wrong with it. */
static const char *wrong_value(const void *value, size_t len, __u32 key_nr, __u64 *version)
{
	const char *wrong;
	struct record record;
	size_t done = 0;

	*version = 0;
	do {
		wrong = wrong_record((const char *)value + done, len - done, key_nr, &record);
		if (wrong)
			return wrong;
		if (record.version <= *version)
			return "a chain of records out of order";
		*version = record.version;
		done += record.len;
	} while (done < len);
	return NULL;
}

#endif /* RECORD_H */
