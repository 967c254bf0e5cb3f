/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ioctl: brings a request in from user memory, has it done, carries the answer
 * out. Keeps nothing. Every user byte is read once.
 */
#ifndef KC_IOCTL_H
#define KC_IOCTL_H

#include <linux/fs.h>

long kc_ioctl(struct file *file, unsigned int number, unsigned long arg);

#endif /* KC_IOCTL_H */
