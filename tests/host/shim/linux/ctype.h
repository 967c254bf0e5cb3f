/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_CTYPE_H
#define SHIM_LINUX_CTYPE_H

static inline int isdigit(int c)
{
	return c >= '0' && c <= '9';
}

#endif /* SHIM_LINUX_CTYPE_H */
