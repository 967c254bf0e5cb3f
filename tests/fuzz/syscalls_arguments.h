/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a byte of a call becomes an argument: an index into what is worth trying.
 */
#ifndef SYSCALLS_ARGUMENTS_H
#define SYSCALLS_ARGUMENTS_H

#define NR(array)	(sizeof(array) / sizeof((array)[0]))
#define PICK(array, byte)	((array)[(byte) % NR(array)])

static const uint64_t lengths[] = {
	0, 1, 2, 4, 7, 8, 9, 15, 16, 17, 20, 31, 32, 63, 64, 65, 100, 127, 128, 200, 255, 256, 500,
	512, 1000, 1004, 1023, 1024, 1025, 2000, 2048, 4000, 4072, 4095, 4096, 4097, 6000, 8170,
	8192, 8193, 12000, 16384, 16385, 30000, 32700, 32768, 32769, 65480, 65535, 65536, 65537,
	100000, 131072, 200000, 262144, 500000, 1048576, 1048577, 0x7fffffff, 0x80000000,
	0xffffffff, 0x100000000, 0x7fffffffffffffff, 0xffffffffffffffff,
};

static const uint32_t key_lengths[] = {
	0, 1, 7, 8, 9, 15, 16, 17, 64, 255, 256, 1000, 1023, 1024, 1025, 2047, 4096, 65535, 0x80000000,
	0xffffffff,
};

static const uint64_t ttls[] = {
	0, 0, 0, 0, 1, 2, 3, 5, 10, 50, 1000, 60000, KCACHE_TTL_MAX_MS - 1, KCACHE_TTL_MAX_MS,
	KCACHE_TTL_MAX_MS + 1, ~0ULL,
};

static const int64_t numbers[] = {
	0, 1, -1, 2, 9, 10, 99, 1000000, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN,
	INT64_MAX - 1, INT64_MIN + 1, 123456789012345678,
};

static const char *const number_texts[] = {
	"0", "1", "-1", "9", "42", "99999", "9223372036854775807", "-9223372036854775808",
	"9223372036854775808", "-0", "+1", " 1", "1 ", "0x10", "", "00000000000000000000001",
};

static const uint32_t odd_numbers[] = {
	0, 10, 11, 31, 32, 63, 64, 255, 256, 65535, 65536, 0x7fffffff, 0x80000000, 0x80000001,
	0xfffffffe, 0xffffffff,
};

static const uint32_t batch_lengths[] = {
	0, 1, 2, 3, 5, 8, 16, 32, 64, 100, 200, 400, 1023, 1024, 1025, 0xffffffff,
};

/* Of a struct of @known bytes. */
static uint32_t struct_size(uint8_t byte, uint32_t known)
{
	const uint32_t sizes[] = {
		0, 1, known - 1, known + 1, known + 8, 4095, 4096, 4097, 0xffffffff, known - 16,
	};

	return byte < 200 ? known : PICK(sizes, byte);
}

/* Where the kernel is to read or write: memory of all kinds, or none. */
static char *place(uint8_t byte)
{
	static const uint64_t nowhere[] = {
		0, 1, 8, 4096, 0x7fffffffe000, 0x7fffffffefff, 0x7ffffffff000, 0x800000000000,
		0xdeadbeefdeadbeef, 0x8000000000000000, 0xffff888000001000, 0xffffffff81000000,
		0xffffffffffffe000, 0xfffffffffffffff8, 0xffffffffffffffff, WINDOW - 8,
	};
	static const uint32_t offsets[] = {
		0, 1, 3, 8, 64, 4000, 4088, 4095, 4096, 8000, 16384, 65000, 65536, 300000, 1000000, 4,
	};
	static const uint32_t to_end[] = {
		1, 2, 8, 16, 24, 50, 96, 100, 256, 1000, 4096, 4097, 8192, 10000, 65536, 100000,
	};
	uint8_t kind = byte >> 4, which = byte & 15;

	switch (kind) {
	case 0: case 1: case 2: case 3:
		return REGION(kind) + offsets[which];
	case 4: case 5: case REGION_SHORT: case REGION_NONE:
		return REGION(kind) + (which & 1 ? 4096 - 8 * which : 4096 * which);
	case 8: case 9: case 10:
		return REGION(kind - 8) + MIB - to_end[which];
	case 11:
		return (char *)nowhere[which];
	case 12: case 13:
		return MAP_AT(which % NR_MAPS) + (which & 8 ? 4096 : 0) + (kind & 1 ? 2000 : 0);
	case 14:
		return SCRATCH(this_thread) + offsets[which];
	default:
		return SCRATCH(which % NR_THREADS) + offsets[which / NR_THREADS];
	}
}

/* A mapping of @kind, or of any; number @byte if there is none. */
static int map_at(uint8_t byte, enum kind kind)
{
	int i, nr;

	for (i = 0; i < NR_MAPS; i++) {
		nr = (byte + i) % NR_MAPS;
		if (now.map[nr].len && (kind == NOTHING || now.map[nr].kind == kind))
			return nr;
	}
	return byte % NR_MAPS;
}

/* Pages of a region or a mapping, which may be unmapped, protected and so on. */
struct range {
	char *at;
	size_t len;
	int map;	/* -1: of a region */
};

static struct range range(uint8_t which, uint8_t at, uint8_t len)
{
	static const uint16_t pages[] = { 1, 2, 3, 8, 16, 17, 64, 256 };
	size_t offset = at < 128 ? 0 : at % 32 * PAGE;
	struct range range = { .map = which & 0x80 ? map_at(which, NOTHING) : -1 };

	range.at = (range.map < 0 ? REGION(which % NR_REGIONS) : MAP_AT(range.map)) + offset;
	range.len = PICK(pages, len) * PAGE;
	if (range.map < 0 && offset + range.len > MIB)
		range.len = MIB - offset;
	if (range.map >= 0 && len & 0x80)
		range.len = now.map[range.map].len;
	if (range.map < 0)
		now.layout_changed = true;
	return range;
}

/* -------- descriptors -------- */

/* A free place for a descriptor, or one that is made free. */
static void keep_file(uint8_t byte, int fd, enum kind kind)
{
	int nr = 4 + byte % (NR_FILES - 4);

	if (fd < 0)
		return;
	if (now.file[nr].fd >= 0)
		close(now.file[nr].fd);
	now.file[nr].fd = fd;
	now.file[nr].kind = kind;
}

static int file_at(uint8_t byte)
{
	static const int flags[] = { O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_NONBLOCK };
	int nr = byte % NR_FILES;

	if (now.file[nr].fd < 0)
		nr %= 4;
	if (now.file[nr].fd < 0) {
		now.file[nr].fd = open(DEVICE, flags[nr] | O_CLOEXEC);
		now.file[nr].kind = now.file[nr].fd < 0 ? NOTHING : DEVICE_FILE;
	}
	return nr;
}

static int fd_at(uint8_t byte)
{
	return now.file[file_at(byte)].fd;
}

/* -------- an operation -------- */

static uint32_t legal_flags(uint32_t opcode)
{
	switch (opcode) {
	case KCACHE_OP_GET:
		return KCACHE_TOUCH;
	case KCACHE_OP_SET:
		return KCACHE_IF_ABSENT | KCACHE_IF_PRESENT | KCACHE_IF_VERSION | KCACHE_KEEP_TTL |
			KCACHE_RETURN_OLD;
	case KCACHE_OP_ADD:
		return KCACHE_INITIAL;
	case KCACHE_OP_REMOVE: case KCACHE_OP_APPEND: case KCACHE_OP_PREPEND:
		return KCACHE_IF_VERSION;
	default:
		return 0;
	}
}

#define KEY_ROOM	2048

/* Writes key number @nr to @at: the same whenever number and length are. */
static void make_key(char *at, uint32_t nr, uint32_t len)
{
	size_t i;

	for (i = 0; i < len && i < KEY_ROOM; i++)
		at[i] = i < 4 ? 'A' + (nr >> 4 * i & 15) : 'k';
}

/*
 * Bytes 3 opcode, 4 flags, 5 and 6 key, 7 and 8 value, 9 and 10 out, 11 ttl,
 * 12 size, 13 numbers, 14 version, 15 odd ones. @key is room for the key.
 */
static struct kcache_op make_op(const uint8_t *b, char *key)
{
	struct kcache_op op = {
		.size = struct_size(b[12], sizeof(op)),
		.opcode = b[3] < 240 ? 1u + b[3] % 9 : PICK(odd_numbers, b[3]),
		.key_len = b[6] < 224 ? 1u + b[6] % 24 : PICK(key_lengths, b[6]),
		.key = address(key),
		.value = address(place(b[7])),
		.value_len = lengths[b[8] & 63],
		.out = address(place(b[9])),
		.out_len = lengths[b[10] & 63],
		.ttl_ms = PICK(ttls, b[11]),
		.delta = PICK(numbers, b[13]),
		.number = PICK(numbers, b[13] >> 4),
		.version = now.version,
		.client_flags = b[11] & 0x40 ? b[13] * 0x01010101u : 0,
	};

	op.flags = b[4] < 192 ? b[4] & legal_flags(op.opcode) : 1u << (b[4] & 31) | (b[4] & 1);
	make_key(key, b[5] % 64, op.key_len);
	if (b[8] & 0x80) {	/* a number, or what looks like one */
		const char *text = PICK(number_texts, b[7]);

		op.value = address(text);
		op.value_len = strlen(text);
	}
	if (b[10] & 0x80)	/* what comes out goes where the value is */
		op.out = op.value;
	if (b[14] >= 128)
		op.version += (int8_t)b[14];
	if (b[14] == 1)
		op.version = ~0ULL;
	if (b[15] >= 240)
		op.key = address(place(b[5]));
	if (b[15] == 239)
		op.error = -1;
	return op;
}

#endif /* SYSCALLS_ARGUMENTS_H */
