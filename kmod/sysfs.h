/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sysfs: /sys/class/kcache/<name>/, one value a file, described in
 * docs/ABI/sysfs-kcache. Keeps nothing.
 */
#ifndef KC_SYSFS_H
#define KC_SYSFS_H

#include <linux/types.h>

struct attribute_group;

int kc_parse_bytes(const char *text, u64 *bytes);

extern const struct attribute_group *kc_sysfs_groups[];

#endif /* KC_SYSFS_H */
