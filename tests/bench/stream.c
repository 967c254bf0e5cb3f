// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"

struct stream *stream_open(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(s->fd, (struct sockaddr *)&address, sizeof(address)))
		die("%s: %s", path, strerror(errno));
	return s;
}

void stream_close(void *stream)
{
	struct stream *s = stream;

	close(s->fd);
	free(s);
}

void stream_put(struct stream *s, const void *p, size_t len)
{
	memcpy(s->out + s->out_len, p, len);
	s->out_len += len;
}

void stream_put_number(struct stream *s, uint64_t n)
{
	char digits[20], *p = digits + sizeof(digits);

	do {
		*--p = '0' + n % 10;
		n /= 10;
	} while (n);
	stream_put(s, p, digits + sizeof(digits) - p);
}

void stream_send(struct stream *s)
{
	size_t done = 0;
	ssize_t len;

	for (; done < s->out_len; done += len) {
		len = send(s->fd, s->out + done, s->out_len - done, MSG_NOSIGNAL);
		if (len < 0)
			die("send: %s", strerror(errno));
	}
	s->out_len = 0;
}

static void receive(struct stream *s)
{
	ssize_t len;

	if (s->begin == s->end) {
		s->begin = s->end = 0;
	} else if (s->end == sizeof(s->in)) {
		memmove(s->in, s->in + s->begin, s->end - s->begin);
		s->end -= s->begin;
		s->begin = 0;
	}
	len = recv(s->fd, s->in + s->end, sizeof(s->in) - s->end, 0);
	if (len <= 0)
		die("the server hung up");
	s->end += len;
}

char *stream_line(struct stream *s)
{
	size_t from = 0;
	char *line, *end;

	while (!(end = memchr(s->in + s->begin + from, '\n', s->end - s->begin - from))) {
		from = s->end - s->begin;
		receive(s);
	}
	line = s->in + s->begin;
	s->begin = end + 1 - s->in;
	end[-1] = 0;
	return line;
}

void stream_take(struct stream *s, void *to, size_t len)
{
	while (s->end - s->begin < len + 2)
		receive(s);
	memcpy(to, s->in + s->begin, len);
	s->begin += len + 2;
}
