/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_MINMAX_H
#define SHIM_LINUX_MINMAX_H

#define min_t(type, a, b)	({ type a__ = (a), b__ = (b); a__ < b__ ? a__ : b__; })
#define max_t(type, a, b)	({ type a__ = (a), b__ = (b); a__ > b__ ? a__ : b__; })
#define max(a, b)		max_t(typeof(a), a, b)
#define clamp_t(type, v, lo, hi)	min_t(type, max_t(type, v, lo), hi)
#define swap(a, b)		do { typeof(a) c__ = (a); (a) = (b); (b) = c__; } while (0)

#endif /* SHIM_LINUX_MINMAX_H */
