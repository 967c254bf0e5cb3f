/* SPDX-License-Identifier: GPL-2.0 */
/* What tells the kernel's sanitizers of a copy: ours see the copies as they are. */
#ifndef SHIM_LINUX_INSTRUMENTED_H
#define SHIM_LINUX_INSTRUMENTED_H

#define instrument_copy_from_user_before(to, from, len)		do { } while (0)
#define instrument_copy_from_user_after(to, from, len, left)	do { } while (0)
#define instrument_copy_to_user(to, from, len)			do { } while (0)

#endif /* SHIM_LINUX_INSTRUMENTED_H */
