/* SPDX-License-Identifier: GPL-2.0 */
/* For who has one and does not take it. */
#ifndef SHIM_LINUX_RWSEM_H
#define SHIM_LINUX_RWSEM_H

struct rw_semaphore {
	int unused;
};

#endif /* SHIM_LINUX_RWSEM_H */
