/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_PAGEMAP_H
#define SHIM_LINUX_PAGEMAP_H

#include <linux/types.h>

/* Returns the number of bytes that cannot be brought in. */
size_t fault_in_safe_writeable(const char __user *p, size_t len);

#endif /* SHIM_LINUX_PAGEMAP_H */
