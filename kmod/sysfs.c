// SPDX-License-Identifier: GPL-2.0
#include <linux/ctype.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "cache.h"
#include "sysfs.h"
#include "uapi/linux/kcache.h"

/* -------- stats/ -------- */

static ssize_t counter_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct kc_cache *cache = dev_get_drvdata(dev);
	enum kc_counter which = (uintptr_t)container_of(attr, struct dev_ext_attribute, attr)->var;

	if (which == KC_STAT_hits || which == KC_STAT_misses)
		kc_hints_take_all(&cache->hints);
	return sysfs_emit(buf, "%llu\n", kc_stats_sum(cache->stats, which));
}

static ssize_t account_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	uintptr_t offset = (uintptr_t)container_of(attr, struct dev_ext_attribute, attr)->var;
	struct kc_cache_account account;

	kc_cache_account(dev_get_drvdata(dev), &account);
	return sysfs_emit(buf, "%llu\n", *(u64 *)((char *)&account + offset));
}

#define COUNTER(name) \
	static struct dev_ext_attribute stats_##name = { \
		{ .attr = { #name, 0444 }, .show = counter_show }, \
		(void *)KC_STAT_##name \
	}

#define ACCOUNT(name) \
	static struct dev_ext_attribute stats_##name = { \
		{ .attr = { #name, 0444 }, .show = account_show }, \
		(void *)offsetof(struct kc_cache_account, name) \
	}

COUNTER(hits);
COUNTER(misses);
COUNTER(sets);
COUNTER(removes);
COUNTER(pops);
COUNTER(touches);
COUNTER(adds);
COUNTER(appends);
COUNTER(flushes);
COUNTER(evictions);
COUNTER(expirations);
COUNTER(flushed);
COUNTER(promotions);
COUNTER(ghost_hits);
COUNTER(moves);
COUNTER(moved_bytes);
COUNTER(shrunk_bytes);
COUNTER(retries);
COUNTER(faults);
COUNTER(no_space);

ACCOUNT(entries);
ACCOUNT(buckets);
ACCOUNT(overflow_buckets);
ACCOUNT(segments);
ACCOUNT(bytes_allocated);
ACCOUNT(bytes_live);
ACCOUNT(bytes_dead);
ACCOUNT(bytes_free);
ACCOUNT(bytes_small);
ACCOUNT(bytes_main);

static struct attribute *stats_attrs[] = {
	&stats_hits.attr.attr,
	&stats_misses.attr.attr,
	&stats_sets.attr.attr,
	&stats_removes.attr.attr,
	&stats_pops.attr.attr,
	&stats_touches.attr.attr,
	&stats_adds.attr.attr,
	&stats_appends.attr.attr,
	&stats_flushes.attr.attr,
	&stats_evictions.attr.attr,
	&stats_expirations.attr.attr,
	&stats_flushed.attr.attr,
	&stats_promotions.attr.attr,
	&stats_ghost_hits.attr.attr,
	&stats_moves.attr.attr,
	&stats_moved_bytes.attr.attr,
	&stats_shrunk_bytes.attr.attr,
	&stats_retries.attr.attr,
	&stats_faults.attr.attr,
	&stats_no_space.attr.attr,
	&stats_entries.attr.attr,
	&stats_buckets.attr.attr,
	&stats_overflow_buckets.attr.attr,
	&stats_segments.attr.attr,
	&stats_bytes_allocated.attr.attr,
	&stats_bytes_live.attr.attr,
	&stats_bytes_dead.attr.attr,
	&stats_bytes_free.attr.attr,
	&stats_bytes_small.attr.attr,
	&stats_bytes_main.attr.attr,
	NULL
};

static_assert(ARRAY_SIZE(stats_attrs) == KC_NR_COUNTERS +
	      sizeof(struct kc_cache_account) / sizeof(u64) + 1);

static const struct attribute_group stats_group = {
	.name = "stats",
	.attrs = stats_attrs,
};

/* -------- limits/ -------- */

/**
 * kc_parse_bytes() - a number of bytes, as a person writes it
 * @text: digits and at most one of the suffixes K, M, G, T, in powers of 1024
 * @bytes: out
 *
 * memparse() takes any number, and gives another one if it is too large.
 *
 * Return: 0 or -EINVAL.
 */
int kc_parse_bytes(const char *text, u64 *bytes)
{
	static const char suffixes[] = "KMGT";
	size_t len = strspn(text, "0123456789");
	const char *suffix = NULL;
	char digits[24];
	u64 number;

	if (!len || len >= sizeof(digits))
		return -EINVAL;
	strscpy(digits, text, len + 1);
	if (kstrtou64(digits, 10, &number))
		return -EINVAL;
	text += len;
	if (*text)
		suffix = strchr(suffixes, toupper(*text));
	if (suffix)
		text++;
	if (*skip_spaces(text) ||
	    check_shl_overflow(number, suffix ? 10 * (suffix + 1 - suffixes) : 0, bytes))
		return -EINVAL;
	return 0;
}

static ssize_t max_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct kc_cache *cache = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%llu\n", READ_ONCE(cache->arena.max_bytes));
}

static ssize_t max_bytes_store(struct device *dev, struct device_attribute *attr,
			       const char *buf, size_t count)
{
	u64 max_bytes;
	int err = kc_parse_bytes(buf, &max_bytes);

	if (!err)
		err = kc_cache_resize(dev_get_drvdata(dev), max_bytes);
	return err ?: count;
}
static DEVICE_ATTR_RW(max_bytes);

static ssize_t min_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct kc_cache *cache = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%llu\n", READ_ONCE(cache->min_bytes));
}

static ssize_t min_bytes_store(struct device *dev, struct device_attribute *attr,
			       const char *buf, size_t count)
{
	u64 min_bytes;
	int err = kc_parse_bytes(buf, &min_bytes);

	if (!err)
		err = kc_cache_set_min(dev_get_drvdata(dev), min_bytes);
	return err ?: count;
}
static DEVICE_ATTR_RW(min_bytes);

static ssize_t promote_after_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct kc_cache *cache = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%u\n", READ_ONCE(cache->evict.promote_after));
}

static ssize_t promote_after_store(struct device *dev, struct device_attribute *attr,
				   const char *buf, size_t count)
{
	u32 uses;
	int err = kstrtou32(buf, 10, &uses);

	if (!err)
		err = kc_cache_set_promote_after(dev_get_drvdata(dev), uses);
	return err ?: count;
}
static DEVICE_ATTR_RW(promote_after);

static ssize_t value_max_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", kc_cache_value_max(dev_get_drvdata(dev)));
}
static DEVICE_ATTR_RO(value_max);

static ssize_t key_max_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", KCACHE_KEY_MAX);
}
static DEVICE_ATTR_RO(key_max);

static struct attribute *limits_attrs[] = {
	&dev_attr_max_bytes.attr,
	&dev_attr_min_bytes.attr,
	&dev_attr_promote_after.attr,
	&dev_attr_value_max.attr,
	&dev_attr_key_max.attr,
	NULL
};

static const struct attribute_group limits_group = {
	.name = "limits",
	.attrs = limits_attrs,
};

const struct attribute_group *kc_sysfs_groups[] = {
	&stats_group,
	&limits_group,
	NULL
};
