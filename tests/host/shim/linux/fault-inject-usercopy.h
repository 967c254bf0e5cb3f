/* SPDX-License-Identifier: GPL-2.0 */
/* Here copies fail because of what the tests mark: see raw_copy_from_user(). */
#ifndef SHIM_LINUX_FAULT_INJECT_USERCOPY_H
#define SHIM_LINUX_FAULT_INJECT_USERCOPY_H

#define should_fail_usercopy()	false

#endif /* SHIM_LINUX_FAULT_INJECT_USERCOPY_H */
