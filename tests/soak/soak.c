// SPDX-License-Identifier: GPL-2.0
/*
 * What goes on beside torture_test during a soak, and what is looked at when all is
 * quiet (see guest). What it finds wrong it says in a line, and ends with 1.
 *
 *	soak mixed SECONDS ROUND	all at once, until the time is over
 *	soak account			do the accounts agree, and is all that is there right?
 *	soak compare OLD NEW		of two dumps: is all that is in NEW from OLD?
 *
 * mixed has processes that do all operations on the same keys, one that writes lines,
 * those that read dumps and check every entry in them (also those of torture_test),
 * clients that are killed in the midst of it, and one that takes memory away and turns
 * the limits. Every record that is stored has a number of its own, and leaves once.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <sched.h>

#include <kcache.h>

#include "record.h"

#define KIB	1024ULL
#define MIB	(1024 * KIB)
#define BUFFER	(64 * KIB)		/* for a value of a key "s<N>" */

#define atomic_add(where, what)	__atomic_add_fetch(where, what, __ATOMIC_SEQ_CST)
#define atomic_get(where)	__atomic_load_n(where, __ATOMIC_SEQ_CST)
#define atomic_put(where, what)	__atomic_store_n(where, what, __ATOMIC_SEQ_CST)

#define IDS_MAX		(1 << 21)	/* records of a round that are followed */

static struct shared {
	__u64 end_ms;
	__u64 next_id;		/* of a record: atomic, as all that follows */
	__u64 tick;
	__u32 left_at[IDS_MAX];	/* the tick by which the record was known to have left */
	__u64 ops, refused, lines, dumps, dumped, kills, hogs, hog_bytes, drops, turns;
} *shared;

static __u64 first_id;		/* of this round; older ones are still there, restored */

static __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static bool is_going_on(void)
{
	return now_ms() < shared->end_ms;
}

/* -------- all operations, by several on the same keys -------- */

#define NR_KEYS		64
#define MODULUS		97
#define NR_STEPS	8

struct step {
	struct kcache_op op;
	int key_nr;
	bool is_number;
	bool gives;		/* a value, in out */
	bool takes;		/* what it gives has left */
	__u64 id;
	__u32 tick;		/* when it began */
	char key[16], number[32];
	char *value, *out;
};

static struct kcache *handle;
static __u64 known[NR_KEYS];	/* a version that the key had */

static __u64 new_id(void)
{
	return first_id + atomic_add(&shared->next_id, 1);
}

/* All records that left with a value. */
static void leave(__u64 id)
{
	__u32 tick = atomic_add(&shared->tick, 1), none = 0;

	if (id < first_id || id - first_id >= IDS_MAX)
		return;
	CASE("record %llu left before", (unsigned long long)id);
	CHECK(__atomic_compare_exchange_n(&shared->left_at[id - first_id], &none, tick, false,
					  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

static void check_records(const struct step *step, const char *value, size_t len)
{
	struct record record;
	size_t done = 0;

	do {
		const char *wrong = wrong_record(value + done, len - done, step->key_nr, &record);
		__u32 left_at;

		CASE("%s, opcode %u, flags %#x: record %llu at %zu of %zu bytes: %s", step->key,
		     step->op.opcode, step->op.flags, (unsigned long long)record.version, done, len,
		     wrong ? wrong : "it had left, or is not there yet");
		CHECK(!wrong);
		CHECK(record.version <= first_id + atomic_get(&shared->next_id));
		if (record.version >= first_id && record.version - first_id < IDS_MAX) {
			left_at = atomic_get(&shared->left_at[record.version - first_id]);
			CHECK(!left_at || left_at > step->tick);
		}
		if (step->takes)
			leave(record.version);
		done += record.len;
	} while (done < len);
}

static void check_number(const struct step *step, const char *text, size_t len)
{
	char digits[32] = "", *end;

	CASE("%s, %zu bytes", step->key, len);
	CHECK(len && len < sizeof(digits));
	memcpy(digits, text, len);
	CHECK(strtoull(digits, &end, 10) % MODULUS == 7 && !*end);
}

static void bring_record(struct step *step)
{
	__u32 most = random_below(10) ? 1000 : 12 * KIB;
	__u32 len = sizeof(struct record) + random_below(most);

	step->id = new_id();
	make_record(step->value, step->key_nr, step->id, len);
	step->op.value = address(step->value);
	step->op.value_len = len;
}

static void want_value(struct step *step)
{
	step->op.out = address(step->out);
	step->op.out_len = BUFFER;
	step->gives = true;
}

static void choose_set(struct step *step)
{
	static const __u32 conditions[] = {
		0, 0, KCACHE_IF_ABSENT, KCACHE_IF_PRESENT, KCACHE_IF_VERSION, KCACHE_KEEP_TTL,
	};
	struct kcache_op *op = &step->op;

	op->opcode = KCACHE_OP_SET;
	op->flags = conditions[random_below(sizeof(conditions) / sizeof(conditions[0]))];
	op->version = known[step->key_nr];
	op->client_flags = step->key_nr;
	op->ttl_ms = random_below(4) ? 0 : 1 + random_below(500);
	bring_record(step);
	if (random_below(2)) {
		op->flags |= KCACHE_RETURN_OLD;
		want_value(step);
		step->takes = true;
	}
}

static void choose(struct step *step)
{
	struct kcache_op *op = &step->op;
	__u64 lot = random_below(100);

	step->key_nr = random_below(random_below(2) ? NR_KEYS : 4);
	step->is_number = random_below(8) == 0;
	step->gives = step->takes = false;
	snprintf(step->key, sizeof(step->key), "%c%d", step->is_number ? 'n' : 's', step->key_nr);
	*op = OP(STAT, step->key);
	if (step->is_number) {
		if (lot < 50) {
			op->opcode = KCACHE_OP_ADD;
			op->flags = KCACHE_INITIAL;
			op->delta = MODULUS * (1 + random_below(1000));
			op->number = 7;
		} else if (lot < 90) {
			op->opcode = KCACHE_OP_GET;
			want_value(step);
		} else {
			op->opcode = KCACHE_OP_REMOVE;
		}
	} else if (lot < 30) {
		choose_set(step);
	} else if (lot < 60) {
		op->opcode = KCACHE_OP_GET;
		want_value(step);
		if (random_below(8) == 0) {
			op->flags = KCACHE_TOUCH;
			op->ttl_ms = random_below(2) * random_below(1000);
		}
	} else if (lot < 75) {
		op->opcode = lot < 68 ? KCACHE_OP_APPEND : KCACHE_OP_PREPEND;
		if (random_below(3) == 0) {
			op->flags = KCACHE_IF_VERSION;
			op->version = known[step->key_nr];
		}
		bring_record(step);
	} else if (lot < 83) {
		op->opcode = KCACHE_OP_POP;
		want_value(step);
		step->takes = true;
	} else if (lot < 88) {
		op->opcode = KCACHE_OP_REMOVE;
		if (random_below(2)) {
			op->flags = KCACHE_IF_VERSION;
			op->version = known[step->key_nr];
		}
	} else if (lot < 94) {
		op->opcode = KCACHE_OP_TOUCH;
		op->ttl_ms = random_below(2) * random_below(1000);
	}
	step->tick = atomic_get(&shared->tick);
}

/* Errors that are an answer to what was asked, whatever others do. */
static bool may_fail(const struct step *step, int err)
{
	const struct kcache_op *op = &step->op;
	bool brings = op->value_len || op->opcode == KCACHE_OP_ADD;

	switch (-err) {
	case ENOENT:
		return op->opcode != KCACHE_OP_ADD && (op->opcode != KCACHE_OP_SET ||
			op->flags & (KCACHE_IF_PRESENT | KCACHE_IF_VERSION));
	case EEXIST:
		return op->flags & KCACHE_IF_ABSENT;
	case ESTALE:
		return op->flags & KCACHE_IF_VERSION;
	case EMSGSIZE:
		return step->gives && op->out_len > BUFFER;
	case ENOSPC:
	case EFBIG:
		if (brings)
			atomic_add(&shared->refused, 1);
		return brings;
	}
	return false;
}

static void check_step(struct step *step, int err)
{
	const struct kcache_op *op = &step->op;

	CASE("%s, opcode %u, flags %#x: %s", step->key, op->opcode, op->flags, ktap_errno(-err));
	if (err) {
		CHECK(may_fail(step, err));
		return;
	}
	if (op->opcode != KCACHE_OP_REMOVE && !step->is_number)
		known[step->key_nr] = op->version;
	if (step->is_number && op->opcode == KCACHE_OP_ADD)
		CHECK(op->number % MODULUS == 7);
	if (!step->gives || op->out_len == KCACHE_ABSENT)
		return;
	CHECK(op->out_len <= BUFFER);
	if (step->is_number) {
		check_number(step, step->out, op->out_len);
		return;
	}
	CHECK_EQ(op->client_flags, step->key_nr);
	check_records(step, step->out, op->out_len);
}

/* The same through the library, which looks into the mapping. */
static void get_mapped(struct step *step)
{
	size_t len;
	int err;

	step->tick = atomic_get(&shared->tick);
	step->key_nr = random_below(NR_KEYS);
	step->takes = false;
	snprintf(step->key, sizeof(step->key), "s%d", step->key_nr);
	step->op = OP(GET, step->key);
	err = kcache_get(handle, step->key, strlen(step->key), step->out, BUFFER, &len);
	CASE("kcache_get(%s): %s", step->key, ktap_errno(-err));
	CHECK(!err || err == -ENOENT || err == -EMSGSIZE);
	if (!err)
		check_records(step, step->out, len);
}

static void make_steps(struct step *steps)
{
	int i;

	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	CHECK_ERR(kcache_open(&handle, NULL, O_RDONLY), 0);
	for (i = 0; i < NR_STEPS; i++) {
		steps[i].value = malloc(BUFFER);
		steps[i].out = malloc(BUFFER);
		CHECK(steps[i].value && steps[i].out);
	}
}

static void operate(int nr)
{
	static struct step steps[NR_STEPS];
	struct kcache_op ops[NR_STEPS];
	int i;

	(void)nr;
	make_steps(steps);
	while (is_going_on()) {
		struct kcache_batch batch = {
			.size = sizeof(batch), .op_size = sizeof(ops[0]), .ops = address(ops),
			.nr = 1 + random_below(NR_STEPS),
		};

		switch (random_below(4)) {
		case 0:
			for (i = 0; i < (int)batch.nr; i++) {
				choose(&steps[i]);
				ops[i] = steps[i].op;
			}
			MUST(ioctl(cache, KCACHE_IOC_BATCH, &batch));
			CHECK_EQ(batch.done, batch.nr);
			for (i = 0; i < (int)batch.nr; i++) {
				steps[i].op = ops[i];
				check_step(&steps[i], ops[i].error);
			}
			atomic_add(&shared->ops, batch.nr);
			break;
		case 1:
			get_mapped(&steps[0]);
			atomic_add(&shared->ops, 1);
			break;
		default:
			choose(&steps[0]);
			check_step(&steps[0], run(&steps[0].op));
			atomic_add(&shared->ops, 1);
		}
	}
}

/* -------- lines -------- */

struct line {
	const char *key, *value;
	size_t key_len, value_len;
	unsigned long long ttl_ms, flags;
};

static size_t unescape(char *bytes, size_t len)
{
	size_t in, out;

	for (in = out = 0; in < len; in++, out++) {
		char hex[3] = "";

		bytes[out] = bytes[in];
		if (bytes[in] != '\\')
			continue;
		CHECK(++in < len);
		switch (bytes[in]) {
		case 'n': bytes[out] = '\n'; break;
		case 't': bytes[out] = '\t'; break;
		case 'r': bytes[out] = '\r'; break;
		case '\\': break;
		default:
			CHECK(bytes[in] == 'x' && in + 2 < len);
			memcpy(hex, bytes + in + 1, 2);
			bytes[out] = strtoul(hex, NULL, 16);
			in += 2;
		}
	}
	return out;
}

/* Takes a line apart where it stands; @len is without the newline. */
static struct line parse(char *text, size_t len)
{
	struct line line = { 0 };
	char *space, *at;

	CASE("a line that is none: %.60s", text);
	if (*text == '@') {
		space = memchr(text, ' ', len);
		CHECK(space);
		*space = '\0';
		at = strstr(text, "ttl_ms=");
		line.ttl_ms = at ? strtoull(at + 7, NULL, 10) : 0;
		at = strstr(text, "flags=");
		line.flags = at ? strtoull(at + 6, NULL, 10) : 0;
		len -= space + 1 - text;
		text = space + 1;
	}
	space = memchr(text, ' ', len);
	CHECK(space);
	line.key = text;
	line.value = space + 1;
	line.value_len = unescape(space + 1, len - (space + 1 - text));
	line.key_len = unescape(text, space - text);
	text[line.key_len] = '\0';
	return line;
}

static bool consists_of(const char *bytes, size_t len, char c)
{
	while (len && bytes[len - 1] == c)
		len--;
	return !len;
}

/* Is it an entry that somebody stores, whole? */
static void check_line(const struct line *line)
{
	const char *wrong = NULL;
	char number[32] = "";
	struct record record;
	__u64 version;
	size_t done;
	int nr, end = 0;

	CASE("a dump has %.40s with %zu bytes", line->key, line->value_len);
	memcpy(number, line->value, line->value_len < 31 ? line->value_len : 31);
	if (sscanf(line->key, "s%d%n", &nr, &end) == 1 && !line->key[end]) {
		CHECK_EQ(line->flags, nr);
		for (done = 0; !wrong && done < line->value_len; done += record.len)
			wrong = wrong_record(line->value + done, line->value_len - done, nr, &record);
		wrong = wrong ? wrong : done ? NULL : "empty";
	} else if (sscanf(line->key, "t%d%n", &nr, &end) == 1 && !line->key[end]) {
		wrong = wrong_record(line->value, line->value_len, nr, &record);
	} else if (*line->key == 'n') {
		CHECK(strtoull(number, NULL, 10) % MODULUS == 7);
	} else if (sscanf(line->key, "key%d", &nr) == 1 && nr >= 48) {	/* torture_test's */
		CHECK(line->value_len == 19 && strtoull(number, NULL, 10) % MODULUS == 7);
	} else if (sscanf(line->key, "key%d", &nr) == 1) {
		wrong = wrong_value(line->value, line->value_len, nr, &version);
	} else if (!strncmp(line->key, "fill", 4)) {
		wrong = consists_of(line->value, line->value_len, 'f') ? NULL : "not all f";
	} else if (!strncmp(line->key, "long", 4)) {
		wrong = consists_of(line->value, line->value_len, '\1') ? NULL : "not all 1";
	} else {
		wrong = "nobody's";
	}
	if (wrong)
		ktap_fail(__LINE__, "it is %s", wrong);
}

static size_t put_escaped(char *to, const char *bytes, size_t len)
{
	char *at = to;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = bytes[i];

		if (c == '\n')
			at += sprintf(at, "\\n");
		else if (c == '\\')
			at += sprintf(at, "\\\\");
		else if (c < ' ' || random_below(16) == 0)
			at += sprintf(at, "\\x%02x", c);
		else
			*at++ = c;
	}
	return at - to;
}

/* One writer, so a key holds the last record, or nothing. */
static void write_lines(int nr)
{
	static char value[4 * KIB], got[4 * KIB], text[20 * KIB], key[16];
	struct kcache_op op;
	ssize_t put;
	size_t len;
	int err;

	(void)nr;
	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	while (is_going_on()) {
		__u32 value_len = sizeof(struct record) + random_below(3 * KIB);
		int key_nr = random_below(NR_KEYS);

		snprintf(key, sizeof(key), "t%d", key_nr);
		make_record(value, key_nr, new_id(), value_len);
		len = sprintf(text, "%s%s ", random_below(4) ? "" : "@ttl_ms=200 ", key);
		len += put_escaped(text + len, value, value_len);
		text[len++] = '\n';
		put = write(cache, text, random_below(2) ? len : len / 2);
		CASE("a line of %zu bytes", len);
		if (put > 0 && put < (ssize_t)len)
			put = write(cache, text + put, len - put) < 0 ? -1 : (ssize_t)len;
		if (put < 0) {
			CHECK(errno == ENOSPC || errno == EFBIG);
			atomic_add(&shared->refused, 1);
			continue;
		}
		CHECK_EQ(put, len);
		op = OP(GET, key, INTO(got));
		err = run(&op);
		CHECK(!err || err == -ENOENT);
		if (!err)
			CHECK(op.out_len == value_len && !memcmp(got, value, value_len));
		atomic_add(&shared->lines, 1);
	}
}

struct sums {
	__u64 entries, bytes;	/* with the metadata */
};

static bool for_ever(void)
{
	return true;
}

/* Checks all the entries of a dump, unless @is_wanted() says no; is it complete then? */
static bool check_dump(const char *path, bool (*is_wanted)(void), struct sums *sums)
{
	FILE *file = fopen(path, "re");
	size_t capacity = 0;
	char *text = NULL;
	ssize_t len;

	CASE("%s", path);
	CHECK(file);
	*sums = (struct sums) { 0 };
	while (is_wanted() && (len = getline(&text, &capacity, file)) > 0) {
		struct line line = parse(text, len - 1);

		check_line(&line);
		sums->entries++;
		sums->bytes += (20 + (line.flags ? 4 : 0) + line.key_len + line.value_len + 3) & ~3ULL;
	}
	CHECK(!ferror(file));
	fclose(file);
	free(text);
	return is_wanted();
}

static void read_dumps(int nr)
{
	struct sums sums;

	(void)nr;
	while (is_going_on()) {
		if (random_below(2)) {
			check_dump(DEVICE, is_going_on, &sums);
		} else {
			CASE("kcachectl save");
			CHECK(!system("kcachectl save /tmp/saved 2> /dev/null"));
			check_dump("/tmp/saved", is_going_on, &sums);
		}
		atomic_add(&shared->dumps, 1);
		atomic_add(&shared->dumped, sums.entries);
		milliseconds_pass(random_below(1000));
	}
}

/* -------- clients that are killed -------- */

static void write_long(void)
{
	char *text = malloc(MIB);
	size_t len;

	CHECK(text);
	cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	while (is_going_on()) {
		/* Often longer than the cache takes. */
		len = 100 + random_below(MIB - 100);
		memset(text, '\1', len);
		text[sprintf(text, "long%d", (int)random_below(8))] = ' ';
		text[len - 1] = '\n';
		if (write(cache, text, len) < 0)
			CHECK(errno == EFBIG || errno == ENOSPC);
	}
}

static void be_a_victim(int nr)
{
	struct sums sums;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	switch (nr % 4) {
	case 0:
		write_long();
		break;
	case 1:
		cache = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
		check_dump(DEVICE, is_going_on, &sums);
		break;
	default:
		operate(nr);
	}
}

static void kill_clients(int nr)
{
	int round, status;
	pid_t pid;

	(void)nr;
	for (round = 0; is_going_on(); round++) {
		pid = start_process(be_a_victim, round);
		milliseconds_pass(random_below(round % 8 ? 60 : 500));
		MUST(kill(pid, SIGKILL));
		MUST(waitpid(pid, &status, 0));
		CASE("a victim ended by itself, with %#x", status);
		CHECK(WIFSIGNALED(status) || !WEXITSTATUS(status));
		if (WIFSIGNALED(status)) {
			CHECK_EQ(WTERMSIG(status), SIGKILL);
			atomic_add(&shared->kills, 1);
		}
	}
}

/* -------- memory and limits -------- */

static __u64 available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	fclose(file);
	return kib * KIB;
}

static void write_number(const char *path, unsigned long long number, bool may_be_refused)
{
	int fd = MUST(open(path, O_WRONLY | O_CLOEXEC)), len = dprintf(fd, "%llu", number);

	CASE("%llu to %s", number, path);
	CHECK(len > 0 || (may_be_refused && errno == EINVAL));
	close(fd);
}

/* Takes memory until the cache has given some, or little is left, or it takes too long. */
static void take_memory(int nr)
{
	const size_t piece = 8 * MIB;
	__u64 shrunk = sysfs_number("stats/shrunk_bytes"), end_ms = now_ms() + 10000;

	(void)nr;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	write_number("/proc/self/oom_score_adj", 1000, false);
	while (now_ms() < end_ms && available_bytes() > 40 * MIB &&
	       sysfs_number("stats/shrunk_bytes") < shrunk + MIB) {
		char *memory = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			break;
		madvise(memory, piece, MADV_HUGEPAGE);	/* which is there sooner */
		memset(memory, 1, piece);
		atomic_add(&shared->hog_bytes, piece);
	}
}

static void squeeze(int nr)
{
	int status;
	pid_t pid;

	(void)nr;
	while (is_going_on()) {
		milliseconds_pass(random_below(1500));
		switch (random_below(8)) {
		case 0:
			pid = start_process(take_memory, 0);
			MUST(waitpid(pid, &status, 0));
			CASE("the one that takes memory: %#x", status);
			CHECK(!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
			atomic_add(&shared->hogs, 1);
			break;
		case 1:
			write_number("/proc/sys/vm/drop_caches", 2, false);
			atomic_add(&shared->drops, 1);
			break;
		case 2:
			write_number(SYSFS "limits/promote_after", 1 + random_below(3), false);
			break;
		default:
			/* The limit may have been lowered below it just now. */
			write_number(SYSFS "limits/min_bytes",
				     random_below(2) * random_below(sysfs_number("limits/max_bytes")), true);
			atomic_add(&shared->turns, 1);
		}
	}
}

/* -------- all at once -------- */

static void (*const roles[])(int nr) = {
	operate, operate, operate, write_lines, read_dumps, kill_clients, squeeze,
};

#define NR_ROLES	(int)(sizeof(roles) / sizeof(roles[0]))

static int mixed(int seconds, int round)
{
	int i, status;

	shared = shared_memory(sizeof(*shared));
	first_id = (__u64)(round + 1) << 32;
	shared->end_ms = now_ms() + seconds * 1000ULL;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setpgid(0, 0);
	for (i = 0; i < NR_ROLES; i++)
		start_process(roles[i], i);
	for (i = 0; i < NR_ROLES; i++) {
		alarm(seconds + KTAP_SECONDS);
		MUST(wait(&status));
		if (!status)
			continue;
		NOTE("a process of mixed ended with %#x", status);
		signal(SIGTERM, SIG_IGN);
		kill(0, SIGTERM);
		return KTAP_FAIL;
	}
	printf("counts %llu ops %llu refused %llu lines %llu dumps %llu dumped %llu kills %llu hogs %llu drops %llu turns\n",
	       shared->ops, shared->refused, shared->lines, shared->dumps, shared->dumped, shared->kills,
	       shared->hogs, shared->drops, shared->turns);
	return KTAP_PASS;
}

/* -------- when all is quiet -------- */

static int account(void)
{
	__u64 allocated, entries, live, dead, queues, unused;
	struct sums sums;
	int tries;

	/* Expired entries are still counted, until they are taken out. */
	for (tries = 0; ; tries++) {
		check_dump(DEVICE, for_ever, &sums);
		entries = sysfs_number("stats/entries");
		live = sysfs_number("stats/bytes_live");
		if (entries == sums.entries && live == sums.bytes)
			break;
		CASE("%llu entries of %llu bytes in the dump, %llu of %llu in the account", sums.entries,
		     sums.bytes, entries, live);
		CHECK(tries < 60);
		milliseconds_pass(500);
	}
	allocated = sysfs_number("stats/bytes_allocated");
	dead = sysfs_number("stats/bytes_dead");
	queues = sysfs_number("stats/bytes_small") + sysfs_number("stats/bytes_main");
	unused = sysfs_number("stats/bytes_free");
	CASE("allocated %llu, in queues %llu, live %llu, dead %llu, free %llu", allocated, queues, live,
	     dead, unused);
	CHECK(allocated <= sysfs_number("limits/max_bytes"));
	CHECK(live + dead <= queues);
	CHECK(queues + unused <= allocated);
	printf("# %llu entries of %llu bytes; allocated %llu, in queues %llu, dead %llu, free %llu; bounded by %llu\n",
	       entries, live, allocated, queues, dead, unused, sysfs_number("limits/max_bytes"));
	return KTAP_PASS;
}

/* What a line says but for its ttl, which goes on. */
static __u64 digest(const struct line *line)
{
	__u64 sum = mix(line->key_len, line->value_len, line->flags);
	size_t i;

	for (i = 0; i < line->key_len; i++)
		sum = mix(sum, line->key[i], 1);
	for (i = 0; i < line->value_len; i++)
		sum = mix(sum, line->value[i], 2);
	return sum;
}

struct dump {
	__u64 *digests;
	size_t nr, nr_for_ever, longest;	/* entries, entries, bytes of a value */
};

static int by_number(const void *a, const void *b)
{
	__u64 left = *(const __u64 *)a, right = *(const __u64 *)b;

	return left < right ? -1 : left > right;
}

static void read_dump(const char *path, struct dump *dump)
{
	FILE *file = fopen(path, "re");
	size_t capacity = 0;
	char *text = NULL;
	ssize_t len;

	CASE("%s", path);
	CHECK(file);
	while ((len = getline(&text, &capacity, file)) > 0) {
		struct line line = parse(text, len - 1);

		dump->digests = realloc(dump->digests, (dump->nr + 1) * sizeof(__u64));
		CHECK(dump->digests);
		dump->digests[dump->nr++] = digest(&line);
		dump->nr_for_ever += !line.ttl_ms;
		if (line.value_len > dump->longest)
			dump->longest = line.value_len;
	}
	fclose(file);
	if (dump->nr)
		qsort(dump->digests, dump->nr, sizeof(__u64), by_number);
}

/*
 * Some may have expired, and where there was less room some may have been evicted, or
 * were too long, which ends the restore.
 */
static int compare(const char *old_path, const char *new_path)
{
	struct dump old = { 0 }, new = { 0 };
	size_t i;

	read_dump(old_path, &old);
	read_dump(new_path, &new);
	for (i = 0; i < new.nr; i++) {
		CASE("an entry that was restored was not saved");
		CHECK(bsearch(&new.digests[i], old.digests, old.nr, sizeof(__u64), by_number));
		CASE("an entry is there twice");
		CHECK(!i || new.digests[i] != new.digests[i - 1]);
	}
	CASE("%zu entries of %zu for ever are there, and nothing was evicted", new.nr_for_ever,
	     old.nr_for_ever);
	CHECK(new.nr_for_ever == old.nr_for_ever || sysfs_number("stats/evictions") ||
	      old.longest > sysfs_number("limits/value_max"));
	printf("# restored %zu entries of %zu\n", new.nr, old.nr);
	return KTAP_PASS;
}

int main(int argc, char **argv)
{
	const char *seed = getenv("KTAP_SEED");

	ktap_reason = shared_memory(256);
	ktap_seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	ktap_seed = ktap_seed ? ktap_seed * 0x9e3779b97f4a7c15ULL : 1;
	if (argc == 4 && !strcmp(argv[1], "mixed"))
		return mixed(atoi(argv[2]), atoi(argv[3]));
	if (argc == 2 && !strcmp(argv[1], "account"))
		return account();
	if (argc == 4 && !strcmp(argv[1], "compare"))
		return compare(argv[2], argv[3]);
	fprintf(stderr, "usage: soak mixed SECONDS ROUND | account | compare OLD NEW\n");
	return 2;
}
