/* SPDX-License-Identifier: GPL-2.0 */
/* Included before all else in TSan builds; copy.c says why. */
#pragma clang attribute push(__attribute__((no_sanitize("thread"))), apply_to = function)
#include "uapi/linux/kcache_map.h"
#pragma clang attribute pop
