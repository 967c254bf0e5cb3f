// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "compat.h"
#include "mmap.h"

/* A fault brings in what is there in so many bytes around it. */
#define AROUND	SZ_64K

#define MAGIC	0x6b636163	/* "kcac" */

/* -------- an address space for each cache -------- */

/*
 * A device may have many nodes, and each node's inode a mapping of its own. All
 * mappings of a cache must be found at once, so its files share an inode that
 * is on no disk.
 */
static int init_fs_context(struct fs_context *context)
{
	return init_pseudo(context, MAGIC) ? 0 : -ENOMEM;
}

/* No owner: the module's own mount would keep it in use for ever. */
static struct file_system_type fs_type = {
	.name = "kcache",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_anon_super,
};

static struct vfsmount *mount;

int kc_mmap_init(void)
{
	mount = kern_mount(&fs_type);
	return PTR_ERR_OR_ZERO(mount);
}

void kc_mmap_exit(void)
{
	kern_unmount(mount);
}

/* -------- faults -------- */

/* The page at @at, NULL if there is a hole. Holds map->lock, so it stays. */
static void *page_at(struct kc_arena *arena, u64 at)
{
	const struct kcache_map_header *header = arena->header;
	void *page = NULL;
	int region;

	if (at < PAGE_SIZE)
		return arena->header;
	rcu_read_lock();
	for (region = 0; region < KCACHE_NR_REGIONS; region++)
		if (at - header->at[region] < header->bytes[region])
			page = kc_arena_ptr(arena, region, at - header->at[region], PAGE_SIZE);
	rcu_read_unlock();
	return page;
}

static vm_fault_t insert(struct vm_fault *vmf, u64 at, void *page)
{
	u64 address = vmf->address + at - ((u64)vmf->pgoff << PAGE_SHIFT);

	return vmf_insert_pfn(vmf->vma, address & PAGE_MASK, page_to_pfn(virt_to_page(page)));
}

static vm_fault_t map_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct kc_map *map = vma->vm_private_data;
	u64 first = (u64)vma->vm_pgoff << PAGE_SHIFT, end = first + vma->vm_end - vma->vm_start;
	u64 wanted = (u64)vmf->pgoff << PAGE_SHIFT, at;
	vm_fault_t ret;
	void *page;

	down_read(&map->lock);
	page = page_at(map->arena, wanted);
	ret = insert(vmf, wanted, page ?: page_address(ZERO_PAGE(0)));
	at = max(round_down(wanted, AROUND), first);
	end = min(round_down(wanted, AROUND) + AROUND, end);
	for (; page && ret == VM_FAULT_NOPAGE && at < end; at += PAGE_SIZE) {
		void *other = at == wanted ? NULL : page_at(map->arena, at);

		if (other)
			ret = insert(vmf, at, other);
	}
	up_read(&map->lock);
	return ret;
}

static const struct vm_operations_struct vm_ops = {
	.fault = map_fault,
};

static void zap(struct kc_arena_watch *watch, u64 at, u64 bytes)
{
	struct kc_map *map = container_of(watch, struct kc_map, watch);

	/*
	 * The arena is changed, then mappings are looked for; who maps and faults
	 * does it the other way round.
	 */
	smp_mb();
	if (!mapping_mapped(map->inode->i_mapping))
		return;
	/* Whoever looked at the arena before it changed has entered what he saw. */
	down_write(&map->lock);
	up_write(&map->lock);
	unmap_mapping_range(map->inode->i_mapping, at, bytes, 1);
}

/* -------- a cache's mappings -------- */

/**
 * kc_map_init() - let an arena be mapped
 * @map: to set up
 * @arena: of the cache
 *
 * Return: 0 or -ENOMEM.
 */
int kc_map_init(struct kc_map *map, struct kc_arena *arena)
{
	struct inode *inode = alloc_anon_inode(mount->mnt_sb);

	if (IS_ERR(inode))
		return PTR_ERR(inode);
	map->arena = arena;
	map->inode = inode;
	init_rwsem(&map->lock);
	map->watch.zap = zap;
	arena->watch = &map->watch;
	return 0;
}

/* Nobody has the device open any more. */
void kc_map_exit(struct kc_map *map)
{
	map->arena->watch = NULL;
	iput(map->inode);
}

/**
 * kc_map_mmap() - map the arena, or a part of it
 * @map: of the cache
 * @vma: to set up; its file has the f_mapping of @map->inode
 *
 * Return: 0, -EACCES if more than reading is asked for, -EINVAL if there is not
 * so much.
 */
int kc_map_mmap(struct kc_map *map, struct vm_area_struct *vma)
{
	u64 at = (u64)vma->vm_pgoff << PAGE_SHIFT, span = kc_arena_span(map->arena);

	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EACCES;
	if (at > span || vma->vm_end - vma->vm_start > span - at)
		return -EINVAL;
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYWRITE | VM_MAYEXEC);
	vma->vm_private_data = map;
	vma->vm_ops = &vm_ops;
	return 0;
}
