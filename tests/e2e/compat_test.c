// SPDX-License-Identifier: GPL-2.0
/*
 * Of what a program of any width gets, what op_test, hostile_test, batch_test, text_test and
 * lib_test leave out: the descriptor of hints, and the mapping, which a 32-bit program cannot
 * have in one piece but can have in pieces at any offset. A reader that has only such pieces
 * finds here, by the functions of the contract, what the kernel has stored.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <linux/kcache_map.h>

#define KCACHE_LOAD(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define KCACHE_LOAD_ACQUIRE(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define KCACHE_READ_BARRIER()	__atomic_thread_fence(__ATOMIC_ACQUIRE)

#define WINDOW	(64 * 1024)

/* The header, and of each region the piece that was looked at last. */
struct kcache_view {
	int fd;
	const struct kcache_map_header *header;
	struct window {
		const char *memory;
		__u64 at;	/* in the mapping */
	} window[KCACHE_NR_REGIONS];
};

static const __u64 *kcache_view_table_size(const struct kcache_view *view)
{
	return &view->header->table_size;
}

static const void *kcache_view_at(const struct kcache_view *view, enum kcache_region region,
				  __u64 offset, __u64 len, __u64 *left)
{
	struct window *window = (struct window *)&view->window[region];
	__u64 at = view->header->at[region] + offset;

	if (offset >= view->header->bytes[region] - KCACHE_MAP_SLACK)
		return NULL;
	if (!window->memory || at < window->at || at + len > window->at + WINDOW / 2) {
		if (window->memory)
			MUST(munmap((void *)window->memory, WINDOW));
		window->at = at / PAGE * PAGE;
		window->memory = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, view->fd, window->at);
		if (window->memory == MAP_FAILED)
			ktap_fail(__LINE__, "mmap at %#llx: %s", (unsigned long long)window->at,
				  ktap_errno(errno));
	}
	*left = window->at + WINDOW - at;
	return window->memory + (at - window->at);
}

#include <linux/kcache_read.h>

static struct kcache_info info_now(void)
{
	struct kcache_info info = { .size = sizeof(info) };

	MUST(ioctl(cache, KCACHE_IOC_INFO, &info));
	return info;
}

static struct kcache_view open_view(void)
{
	struct kcache_view view = { .fd = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC)) };

	view.header = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, view.fd, 0);
	CHECK(view.header != MAP_FAILED);
	return view;
}

static enum kcache_find_result find(struct kcache_view *view, const char *key,
				    struct kcache_found *found)
{
	__u64 hash = kcache_hash(view->header->secret, key, strlen(key));
	enum kcache_find_result result;
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		result = kcache_find(view, hash, key, strlen(key), found);
		if (result != KCACHE_CHANGED)
			return result;
		milliseconds_pass(1);	/* a worker may be at it */
	}
	ktap_fail(__LINE__, "%s: the bucket keeps changing", key);
}

TEST(header_is_as_the_contract_says)
{
	struct kcache_view view = open_view();
	__u64 end = 0;
	int i;

	CHECK_EQ(view.header->layout, KCACHE_MAP_LAYOUT);
	for (i = 0; i < KCACHE_NR_REGIONS; i++) {
		CHECK(view.header->at[i] >= (i ? end : PAGE));
		end = view.header->at[i] + view.header->bytes[i];
	}
	CHECK_EQ(end, info_now().map_bytes);
}

/* A 64-bit program can have it all at once, which is what the library does; no other can. */
TEST(whole_mapping_is_for_64_bits_only)
{
	__u64 bytes = info_now().map_bytes;
	void *all = mmap(NULL, bytes, PROT_READ, MAP_SHARED, cache, 0);

	if (sizeof(void *) == 8)
		CHECK(all != MAP_FAILED);
	else
		CHECK(bytes > SIZE_MAX || (all == MAP_FAILED && errno == ENOMEM));
}

TEST(pieces_at_any_offset_can_be_mapped_and_nothing_beyond)
{
	__u64 bytes = info_now().map_bytes, at;

	for (at = 1; at < bytes; at *= 2)
		CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, at / PAGE * PAGE) != MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, bytes - PAGE) != MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, cache, bytes) == MAP_FAILED);
	CHECK(mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, cache, bytes - PAGE) == MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, cache, 0) == MAP_FAILED);
}

/* More keys than go into one window of buckets, of all lengths of the hash. */
TEST(what_was_stored_is_found_in_pieces)
{
	struct kcache_view view = open_view();
	struct kcache_found found;
	char key[100], value[32];
	unsigned int i;
	size_t len;

	for (i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "%u%.*s", i, i % 40, "----------------------------------------");
		snprintf(value, sizeof(value), "value of %u", i);
		WORKS(OP(SET, key, VALUE(value), .client_flags = i & 1));
	}
	for (i = 0; i < 20000; i += 7) {
		snprintf(key, sizeof(key), "%u%.*s", i, i % 40, "----------------------------------------");
		len = snprintf(value, sizeof(value), "value of %u", i);
		CASE("%s", key);
		CHECK_EQ(find(&view, key, &found), KCACHE_FOUND);
		CHECK_EQ(found.entry->value_len, len);
		CHECK(!memcmp((char *)found.entry + found.value_at, value, len));
		CHECK(kcache_found_is_valid(&found));
		CHECK_EQ(!!(found.entry->key_len & KCACHE_ENTRY_FLAGS), i & 1);
		strcat(key, "x");
		CHECK_EQ(find(&view, key, &found), KCACHE_MISSED);
	}
}

TEST(hints_are_taken_note_of)
{
	int fd = MUST(open(DEVICE, O_RDONLY | O_CLOEXEC));
	int hints_fd = MUST(ioctl(fd, KCACHE_IOC_HINTS, 0));
	struct kcache_hints *hints = mmap(NULL, sizeof(*hints), PROT_READ | PROT_WRITE, MAP_SHARED,
					  hints_fd, 0);
	unsigned long long hits = sysfs_number("stats/hits"), misses = sysfs_number("stats/misses");
	struct kcache_view view = open_view();
	struct kcache_found found;

	CHECK(hints != MAP_FAILED);
	WORKS(OP(SET, "key", VALUE("value")));
	CHECK_EQ(find(&view, "key", &found), KCACHE_FOUND);
	CHECK_EQ(found.value >> KCACHE_FREQUENCY_SHIFT, 0);
	hints->lane[3].hits += 5;
	hints->lane[4].misses += 2;
	hints->lane[3].hash[0] = kcache_hash(view.header->secret, "key", 3);
	__atomic_store_n(&hints->lane[3].nr, 1, __ATOMIC_RELEASE);
	CHECK_EQ(ioctl(fd, KCACHE_IOC_TAKE_HINTS, 0), 0);
	CHECK_EQ(sysfs_number("stats/hits"), hits + 5);
	CHECK_EQ(sysfs_number("stats/misses"), misses + 2);
	CHECK_EQ(find(&view, "key", &found), KCACHE_FOUND);
	CHECK_EQ(found.value >> KCACHE_FREQUENCY_SHIFT, 1);
}

int main(int argc, char **argv)
{
	return ktap_device_main(argc, argv);
}
