/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls that map, and those that pull memory from under the others' feet.
 */
#ifndef SYSCALLS_MEMORY_H
#define SYSCALLS_MEMORY_H

static long call_mmap(const uint8_t *b)
{
	static const int flags[] = {
		MAP_SHARED, MAP_SHARED, MAP_SHARED, MAP_PRIVATE, MAP_SHARED | MAP_FIXED,
		MAP_SHARED | MAP_POPULATE, MAP_SHARED | MAP_LOCKED, MAP_SHARED_VALIDATE,
		MAP_PRIVATE | MAP_FIXED, MAP_SHARED_VALIDATE | MAP_SYNC, MAP_SHARED | MAP_NORESERVE,
		MAP_PRIVATE | MAP_GROWSDOWN, MAP_SHARED | MAP_HUGETLB, MAP_PRIVATE | MAP_POPULATE,
		MAP_SHARED | MAP_FIXED_NOREPLACE, 0,
	};
	const uint64_t span = cache_info.map_bytes;
	const uint64_t lens[] = {
		PAGE, PAGE, 2 * PAGE, 16 * PAGE, 64 * KIB, MIB, 4 * MIB, span, span - PAGE, span + PAGE,
		span / 2, 0, 1, 5000, 1ULL << 40, ~0ULL - PAGE,
	};
	const uint64_t offsets[] = {
		0, 0, 0, 0, PAGE, 2 * PAGE, 64 * KIB, MIB, span - PAGE, span, span + PAGE, span / 2, 1,
		1ULL << 40, -(uint64_t)PAGE, 1ULL << 63,
	};
	uint64_t len = PICK(lens, b[3]), offset = PICK(offsets, b[4]);
	int file = file_at(b[2]), nr = b[7] % NR_MAPS;
	int prot = b[5] < 192 ? PROT_READ : b[5] % 8;
	enum kind kind;
	char *at;

	if (b[9] < 64)		/* hints, if there are some */
		for (file = 4; file < NR_FILES - 1 && now.file[file].kind != HINTS_FILE;)
			file++;
	if (now.file[file].fd < 0)
		file = file_at(b[2]);
	kind = now.file[file].kind;
	if (kind == HINTS_FILE && b[8] < 200) {
		len = PAGE;
		offset = 0;
		prot = PROT_READ | PROT_WRITE;
	}
	if (len > MAP_ROOM && len < ~0ULL - PAGE)
		len = MAP_ROOM;
	at = mmap(MAP_AT(nr), len, prot, PICK(flags, b[6]), now.file[file].fd, offset);
	if (at == MAP_FAILED)
		return -errno;
	if (at != MAP_AT(nr)) {		/* there is something already */
		munmap(at, len);
		return -EEXIST;
	}
	if (kind == DEVICE_FILE && now.is_alone) {
		if (prot & (PROT_WRITE | PROT_EXEC))
			FOUND("the arena is mapped with protection %d", prot);
		if (offset + len > span + PAGE - 1)
			FOUND("%llu bytes are mapped at %llu of %llu", (unsigned long long)len,
			      (unsigned long long)offset, (unsigned long long)span);
	}
	now.map[nr].len = (len + PAGE - 1) / PAGE * PAGE;
	now.map[nr].kind = kind;
	return 0;
}

static long call_munmap(const uint8_t *b)
{
	struct range range_ = range(b[2], b[3], b[4]);

	return result_of(munmap(range_.at, range_.len));
}

/* Back to memory that can be used, while others use it or miss it. */
static long call_map_again(const uint8_t *b)
{
	struct range range_ = range(b[2] & 0x7f, b[3], b[4]);

	return mmap(range_.at, range_.len, b[5] & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED ?
		-errno : 0;
}

static long call_mremap(const uint8_t *b)
{
	struct range from = range(b[2] | 0x80, b[3], b[4]);
	struct range to = { .at = MAP_AT(b[5] % NR_MAPS), .map = b[5] % NR_MAPS };
	size_t len = b[6] & 1 ? from.len : lengths[b[6] >> 2] % MAP_ROOM;
	void *at;

	switch (b[7] % 4) {
	case 0:		/* where it is */
		at = mremap(from.at, from.len, len, 0);
		to = from;
		break;
	case 1:
		at = mremap(from.at, from.len, len, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
			    to.at);
		break;
	default:
		at = mremap(from.at, b[8] < 240 ? from.len : 0, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			    to.at);
	}
	if (at == MAP_FAILED)
		return -errno;
	if (to.at == MAP_AT(to.map)) {
		now.map[to.map].len = (len + PAGE - 1) / PAGE * PAGE;
		now.map[to.map].kind = now.map[from.map].kind;
	}
	return 0;
}

static long call_mprotect(const uint8_t *b)
{
	struct range range_ = range(b[2], b[3], b[4]);

	long result = result_of(mprotect(range_.at, range_.len, b[5] % 8));

	if (!result && range_.map >= 0 && now.map[range_.map].kind == DEVICE_FILE && now.is_alone &&
	    b[5] & (PROT_WRITE | PROT_EXEC))
		FOUND("a mapping of the arena got protection %d", b[5] % 8);
	return result;
}

/* All but those that take memory away from the machine. */
static long call_madvise(const uint8_t *b)
{
	struct range range_ = range(b[2], b[3], b[4]);

	return result_of(madvise(range_.at, range_.len, b[5] % 26));
}

static long call_mlock(const uint8_t *b)
{
	struct range range_ = range(b[2], b[3], b[4]);
	unsigned char there[256];

	if (range_.len > MIB)
		range_.len = MIB;
	switch (b[5] % 6) {
	case 0: case 1:
		return result_of(mlock(range_.at, range_.len));
	case 2:
		return result_of(mlock2(range_.at, range_.len, MLOCK_ONFAULT));
	case 3:
		return result_of(munlock(range_.at, range_.len));
	case 4:
		return result_of(msync(range_.at, range_.len, b[6] % 8));
	default:
		return result_of(mincore(range_.at, range_.len, there));
	}
}

/* 0 or the signal. */
static __attribute__((noinline)) int touch_word(volatile uint64_t *word, bool is_write,
						uint64_t value)
{
	return TRY(if (is_write) *word = value; else (void)*word);
}

/* Reads or writes some pages of a mapping. */
static long call_touch(const uint8_t *b)
{
	int nr = map_at(b[2], NOTHING), pages = 1 + b[3] % 64, stride = 1 + b[4] % 32, ended;
	volatile uint64_t *word;
	int i;
	size_t skip = b[6] < 128 ? 0 : now.map[nr].len / PAGE * (b[6] & 15) / 16 * PAGE;

	for (i = 0; i < pages && skip + (size_t)i * stride * PAGE < now.map[nr].len; i++) {
		word = (volatile uint64_t *)(MAP_AT(nr) + skip + (size_t)i * stride * PAGE) + b[5] % 512;
		ended = touch_word(word, b[7] >= 200, b[8]);
		if (now.is_alone && now.map[nr].kind == DEVICE_FILE) {
			if (!ended && b[7] >= 200)
				FOUND("the arena could be written to through a mapping");
			if (ended == SIGBUS)
				FOUND("SIGBUS in a mapping of the arena");
		}
		if (ended)
			break;
	}
	return i;
}

static __attribute__((noinline)) int write_lane(struct kcache_hint_lane *lane, const uint8_t *b)
{
	const uint64_t number = (uint64_t)PICK(numbers, b[4]) ^ b[5];
	int i;

	return TRY(
		for (i = 0; i < KCACHE_LANE_HINTS; i++)
			lane->hash[i] = b[6] & 1 ? number : number * (i + 1) * 0x9e3779b97f4a7c15ULL;
		lane->hits += number;
		lane->misses -= b[7];
		lane->nr += b[8] & 1 ? number : b[8]);
}

/* A reader that lies about what it has read. */
static long call_write_hints(const uint8_t *b)
{
	int nr = map_at(b[2], HINTS_FILE);
	struct kcache_hints *hints = (struct kcache_hints *)MAP_AT(nr);

	if (now.map[nr].kind != HINTS_FILE)
		return -ENXIO;
	return -write_lane(&hints->lane[b[3] % KCACHE_HINT_LANES], b);
}

/* Lets the kernel read and write a mapping on behalf of somebody else. */
static long call_foreign_read(const uint8_t *b)
{
	struct range from = range(b[2] | 0x80, b[3], b[4]);
	struct iovec here = { SCRATCH(this_thread) + 16 * KIB, MIB }, there = { from.at, from.len };
	int fd;
	long result;

	if (b[5] < 128)
		return result_of(b[5] & 1 ? process_vm_writev(getpid(), &here, 1, &there, 1, 0) :
				 process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	result = result_of(b[5] & 1 ? pwrite(fd, here.iov_base, PAGE, (uintptr_t)from.at) :
			   pread(fd, here.iov_base, PAGE, (uintptr_t)from.at));
	close(fd);
	return result;
}

/* -------- races: loops that run while other threads call -------- */

static int rounds(uint8_t byte)
{
	return 1 << byte % 11;
}

static long call_scribble(const uint8_t *b)
{
	uint64_t *word = (uint64_t *)((uintptr_t)place(b[2]) & ~7UL);
	volatile int i;

	for (i = 0; i < rounds(b[3]) * 16; i++) {
		int ended = TRY(((volatile uint64_t *)word)[i % (1 + b[4])] =
				b[5] & 1 ? (uint64_t)i : (uint64_t)numbers[i % NR(numbers)]);

		if (ended)
			return -ended;
	}
	return 0;
}

static long call_flip(const uint8_t *b)
{
	struct range range_ = range(b[2] & 0x7f, b[3], b[4]);
	int i;

	for (i = 0; i < rounds(b[5]) / 4; i++) {
		switch (b[6] % 4) {
		case 0:
			mprotect(range_.at, range_.len, i & 1 ? PROT_READ | PROT_WRITE : PROT_NONE);
			break;
		case 1:
			mprotect(range_.at, range_.len, i & 1 ? PROT_READ | PROT_WRITE : PROT_READ);
			break;
		case 2:
			madvise(range_.at, range_.len, MADV_DONTNEED);
			break;
		default:
			munmap(range_.at, range_.len);
			mmap(range_.at, range_.len, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
		}
	}
	return i;
}

#endif /* SYSCALLS_MEMORY_H */
