/* SPDX-License-Identifier: GPL-2.0 */
/* There are no devices; what has one compiles. */
#ifndef SHIM_LINUX_DEVICE_H
#define SHIM_LINUX_DEVICE_H

struct device {
	int unused;
};

#endif /* SHIM_LINUX_DEVICE_H */
