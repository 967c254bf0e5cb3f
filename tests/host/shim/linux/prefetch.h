/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_PREFETCH_H
#define SHIM_LINUX_PREFETCH_H

#define prefetchw(p)	__builtin_prefetch(p, 1)

#endif /* SHIM_LINUX_PREFETCH_H */
