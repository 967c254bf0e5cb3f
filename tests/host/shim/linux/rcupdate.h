/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real grace periods, see sync.c; and every dereference proves that it may, as
 * under CONFIG_PROVE_RCU.
 */
#ifndef SHIM_LINUX_RCUPDATE_H
#define SHIM_LINUX_RCUPDATE_H

#include <linux/spinlock.h>
#include <linux/types.h>

void rcu_read_lock(void);
void rcu_read_unlock(void);
bool rcu_read_lock_held(void);
void synchronize_rcu(void);
unsigned long get_state_synchronize_rcu(void);
bool poll_state_synchronize_rcu(unsigned long state);
void cond_synchronize_rcu(unsigned long state);
void rcu_barrier(void);
void shim_kvfree_rcu(struct rcu_head *rcu, void *object);

#define kvfree_rcu(p, member)	shim_kvfree_rcu(&(p)->member, p)

#define rcu_dereference_check(p, c)					\
	({								\
		if (!rcu_read_lock_held() && !(c))			\
			shim_die("rcu_dereference without proof: " #p);	\
		__atomic_load_n(&(p), __ATOMIC_ACQUIRE);		\
	})
#define rcu_dereference(p)		rcu_dereference_check(p, false)
#define rcu_dereference_protected(p, c)					\
	({								\
		if (!(c))						\
			shim_die("rcu_dereference_protected without proof: " #p); \
		(p);							\
	})
#define rcu_access_pointer(p)		READ_ONCE(p)
#define rcu_assign_pointer(p, v)	smp_store_release(&(p), v)
#define RCU_INIT_POINTER(p, v)		WRITE_ONCE(p, v)

#endif /* SHIM_LINUX_RCUPDATE_H */
