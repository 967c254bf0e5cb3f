/* SPDX-License-Identifier: GPL-2.0 */
/* The core has no devices. */
