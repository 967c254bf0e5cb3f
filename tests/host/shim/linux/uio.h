/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Iterators over kernel memory and over "user memory", which is any memory, but
 * for what a test has marked as not there: see shim_user_mark().
 */
#ifndef SHIM_LINUX_UIO_H
#define SHIM_LINUX_UIO_H

#include <linux/types.h>

#define ITER_SOURCE	1
#define ITER_DEST	0

enum iter_type {
	ITER_UBUF,
	ITER_KVEC,
};

struct kvec {
	void *iov_base;
	size_t iov_len;
};

struct iov_iter {
	enum iter_type iter_type;
	bool data_source;
	size_t iov_offset;
	size_t count;
	union {
		void __user *ubuf;
		const struct kvec *kvec;
	};
	unsigned long nr_segs;
};

static inline void iov_iter_kvec(struct iov_iter *i, unsigned int direction,
				 const struct kvec *kvec, unsigned long nr_segs, size_t count)
{
	*i = (struct iov_iter) {
		.iter_type = ITER_KVEC,
		.data_source = direction,
		.kvec = kvec,
		.nr_segs = nr_segs,
		.count = count,
	};
}

static inline void iov_iter_ubuf(struct iov_iter *i, unsigned int direction,
				 void __user *buf, size_t count)
{
	*i = (struct iov_iter) {
		.iter_type = ITER_UBUF,
		.data_source = direction,
		.ubuf = buf,
		.nr_segs = 1,
		.count = count,
	};
}

static inline size_t iov_iter_count(const struct iov_iter *i)
{
	return i->count;
}

static inline bool iter_is_ubuf(const struct iov_iter *i)
{
	return i->iter_type == ITER_UBUF;
}

void iov_iter_advance(struct iov_iter *i, size_t len);
size_t copy_to_iter(const void *from, size_t len, struct iov_iter *i);
size_t copy_from_iter(void *to, size_t len, struct iov_iter *i);
size_t fault_in_iov_iter_writeable(const struct iov_iter *i, size_t len);

#endif /* SHIM_LINUX_UIO_H */
