/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_RANDOM_H
#define SHIM_LINUX_RANDOM_H

#include <linux/types.h>

void get_random_bytes(void *to, size_t len);	/* repeatable, see shim_seed() */

#endif /* SHIM_LINUX_RANDOM_H */
