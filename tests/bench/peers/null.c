// SPDX-License-Identifier: GPL-2.0
/* The cheapest ioctl that there is: a command that nobody knows. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../bench.h"

static int null_device = -1;

static int start(const struct setup *setup)
{
	(void)setup;
	null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
	return null_device < 0 ? -errno : 0;
}

static void stop(void)
{
	close(null_device);
}

static void *connect_client(void)
{
	return &null_device;
}

static void disconnect(void *client)
{
	(void)client;
}

static long call(void *client)
{
	(void)client;
	return ioctl(null_device, _IO(0xE8, 0xff), NULL) && errno == ENOTTY ? 0 : -EINVAL;
}

const struct peer peer_null = {
	.name = "null ioctl",
	.how = "an unknown command on /dev/null: what all else is measured in",
	.start = start, .stop = stop,
	.connect = connect_client, .disconnect = disconnect,
	.call = call,
};
