/* SPDX-License-Identifier: GPL-2.0 */
/*
 * expire: takes out entries whose time is up, so that their memory comes back
 * without a read.
 *
 * Owns a delayed work, which is armed as long as an entry is there that will
 * expire. Nothing depends on it for correctness: every path checks the expiry of
 * what it finds.
 */
#ifndef KC_EXPIRE_H
#define KC_EXPIRE_H

#include <linux/workqueue.h>

#include "evict.h"

struct kc_expire {
	struct kc_evict *evict;		/* constant after init */
	struct delayed_work work;
};

void kc_expire_init(struct kc_expire *expire, struct kc_evict *evict);
void kc_expire_exit(struct kc_expire *expire);
void kc_expire_arm(struct kc_expire *expire);
bool kc_expire_pass(struct kc_expire *expire);

#endif /* KC_EXPIRE_H */
