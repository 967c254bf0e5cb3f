// SPDX-License-Identifier: GPL-2.0
/*
 * Who may do what: two tables, one of what a descriptor is good for, whoever holds it,
 * and one of what depends on the process. Each cell is tried, and each refusal has its
 * one error and changes nothing. The tables are printed as docs/security.md has them.
 */
#define KTAP_DEVICE
#include "ktap.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

#define OWNER	1234
#define MEMBER	2345	/* a member of GROUP */
#define OTHER	3456
#define GROUP	5678

/* -------- processes of all kinds -------- */

enum who {
	ROOT, BARE_ROOT, ADMIN, OWNS, BELONGS, STRANGER, NS_OWNER, NS_STRANGER, NR_WHO
};

static const char *const who_names[] = {
	"root", "root without capabilities", "CAP_SYS_ADMIN alone", "owner", "group", "other",
	"owner, root in a user namespace", "other, root in a user namespace",
};

static void set_capabilities(__u32 low)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = low, .permitted = low } };

	MUST(syscall(SYS_capset, &header, data));
}

static void write_text(const char *path, const char *text)
{
	int fd = MUST(open(path, O_WRONLY | O_CLOEXEC));

	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void enter_user_namespace(int uid)
{
	char map[32];

	/* Who changed his user may not be looked at, and his maps are root's, until he says so. */
	MUST(prctl(PR_SET_DUMPABLE, 1));
	if (unshare(CLONE_NEWUSER))
		SKIP("no user namespaces here: %s", ktap_errno(errno));
	snprintf(map, sizeof(map), "0 %d 1", uid);
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", map);
	write_text("/proc/self/gid_map", map);
	CHECK_EQ(getuid(), 0);
}

static void become_user(int uid, bool is_member)
{
	const gid_t group = GROUP;

	MUST(setgroups(is_member, &group));
	MUST(setresgid(uid, uid, uid));
	MUST(setresuid(uid, uid, uid));
}

static void become(enum who who)
{
	switch (who) {
	case ROOT:
		break;
	case BARE_ROOT:
		set_capabilities(0);
		break;
	case ADMIN:
		MUST(prctl(PR_SET_KEEPCAPS, 1));
		become_user(OTHER, false);
		set_capabilities(1U << CAP_SYS_ADMIN);
		break;
	case OWNS:
		become_user(OWNER, false);
		break;
	case BELONGS:
		become_user(MEMBER, true);
		break;
	case STRANGER:
		become_user(OTHER, false);
		break;
	case NS_OWNER:
		become_user(OWNER, false);
		enter_user_namespace(OWNER);
		break;
	default:
		become_user(OTHER, false);
		enter_user_namespace(OTHER);
	}
}

/* The node is that of the tables: of an owner and a group who are not root, 0660. */
static void give_node_away(void)
{
	MUST(chown(DEVICE, OWNER, GROUP));
	MUST(chmod(DEVICE, 0660));
}

static void take_node_back(void)
{
	MUST(chown(DEVICE, 0, 0));
	MUST(chmod(DEVICE, 0600));
}

/* -------- what a descriptor is good for -------- */

static int result(long long got)
{
	return got < 0 ? -errno : 0;
}

static int operate(int fd, __u32 opcode, __u32 flags)
{
	char out[8];
	struct kcache_op op = OP(GET, "key", VALUE("2"), INTO(out), .opcode = opcode,
				 .flags = flags, .delta = 1);

	return run_on(fd, &op);
}

static int operate_in_batch(int fd, __u32 opcode)
{
	char out[8];
	struct kcache_op op = OP(GET, "key", VALUE("2"), INTO(out), .opcode = opcode);
	struct kcache_batch batch = {
		.size = sizeof(batch), .op_size = sizeof(op), .ops = address(&op), .nr = 1,
	};

	MUST(ioctl(fd, KCACHE_IOC_BATCH, &batch));
	return op.error;
}

static int map_it(int fd, int protection, int flags)
{
	void *map = mmap(NULL, PAGE, protection, flags, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, PAGE);
	return 0;
}

static int use_get(int fd) { return operate(fd, KCACHE_OP_GET, 0); }
static int use_stat(int fd) { return operate(fd, KCACHE_OP_STAT, 0); }
static int use_get_touch(int fd) { return operate(fd, KCACHE_OP_GET, KCACHE_TOUCH); }
static int use_set(int fd) { return operate(fd, KCACHE_OP_SET, 0); }
static int use_old(int fd) { return operate(fd, KCACHE_OP_SET, KCACHE_RETURN_OLD); }
static int use_remove(int fd) { return operate(fd, KCACHE_OP_REMOVE, 0); }
static int use_touch(int fd) { return operate(fd, KCACHE_OP_TOUCH, 0); }
static int use_append(int fd) { return operate(fd, KCACHE_OP_APPEND, 0); }
static int use_prepend(int fd) { return operate(fd, KCACHE_OP_PREPEND, 0); }
static int use_add(int fd) { return operate(fd, KCACHE_OP_ADD, 0); }
static int use_pop(int fd) { return operate(fd, KCACHE_OP_POP, 0); }
static int use_batch_get(int fd) { return operate_in_batch(fd, KCACHE_OP_GET); }
static int use_batch_set(int fd) { return operate_in_batch(fd, KCACHE_OP_SET); }
static int use_map(int fd) { return map_it(fd, PROT_READ, MAP_SHARED); }
static int use_map_to_write(int fd) { return map_it(fd, PROT_READ | PROT_WRITE, MAP_SHARED); }
static int use_map_private(int fd) { return map_it(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE); }
static int use_map_to_run(int fd) { return map_it(fd, PROT_READ | PROT_EXEC, MAP_SHARED); }
static int use_take(int fd) { return result(ioctl(fd, KCACHE_IOC_TAKE_HINTS, 0)); }
static int use_write(int fd) { return result(write(fd, "line 1\n", 7)); }

static int use_info(int fd)
{
	struct kcache_info info = { .size = sizeof(info) };

	return result(ioctl(fd, KCACHE_IOC_INFO, &info));
}

static int use_hints(int fd)
{
	int hints = ioctl(fd, KCACHE_IOC_HINTS, 0), err;

	if (hints < 0)
		return -errno;
	err = map_it(hints, PROT_READ | PROT_WRITE, MAP_SHARED);
	close(hints);
	return err;
}

static int use_read(int fd)
{
	char out[64];

	return result(read(fd, out, sizeof(out)));
}

#define R	1
#define W	2
#define RW	4
#define NEITHER	8	/* open mode 3: for ioctls only */

static const struct {
	const char *name;
	int (*use)(int fd);
	int may;	/* with a descriptor that was opened for that */
	int error;	/* else */
} uses[] = {
	{ "GET, STAT", use_get, R | RW, EBADF },
	{ NULL, use_stat, R | RW, EBADF },
	{ "SET, REMOVE, TOUCH, APPEND, PREPEND", use_set, W | RW, EBADF },
	{ NULL, use_remove, W | RW, EBADF },
	{ NULL, use_touch, W | RW, EBADF },
	{ NULL, use_append, W | RW, EBADF },
	{ NULL, use_prepend, W | RW, EBADF },
	{ "POP, ADD, SET with RETURN_OLD, GET with TOUCH", use_pop, RW, EBADF },
	{ NULL, use_add, RW, EBADF },
	{ NULL, use_old, RW, EBADF },
	{ NULL, use_get_touch, RW, EBADF },
	{ NULL, use_batch_get, R | RW, EBADF },
	{ NULL, use_batch_set, W | RW, EBADF },
	{ "read(2)", use_read, R | RW, EBADF },
	{ "write(2)", use_write, W | RW, EBADF },
	{ "mmap(2) to read", use_map, R | RW, EACCES },
	{ "mmap(2) to write or to execute", use_map_to_write, 0, EACCES },
	{ NULL, use_map_private, 0, EACCES },
	{ NULL, use_map_to_run, 0, EACCES },
	{ "HINTS and TAKE_HINTS", use_hints, R | RW, EBADF },
	{ NULL, use_take, R | RW, EBADF },
	{ "INFO", use_info, R | W | RW | NEITHER, 0 },
};

static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, 3 };
static const char *const mode_names[] = { "reading", "writing", "both", "neither" };
static int fds[NR(modes)];	/* opened by root */

/* What was found, in shared memory; or a positive errno. */
static int (*found)[NR(uses)][NR(modes)];

static void use_descriptors(int who)
{
	size_t u, m;

	become(who);
	for (u = 0; u < NR(uses); u++) {
		for (m = 0; m < NR(modes); m++) {
			CASE("%s, use %zu, open for %s", who_names[who], u, mode_names[m]);
			WORKS(OP(SET, "key", VALUE("1")));
			found[who][u][m] = -uses[u].use(fds[m]);
			if (uses[u].may & 1 << m) {
				CHECK_ERR(-found[who][u][m], 0);
				continue;
			}
			/* Where nobody may, what the descriptor was opened for makes no difference. */
			CHECK_ERR(-found[who][u][m], uses[u].error);
			HOLDS("key", "1");
			CHECK_EQ(WORKS(OP(STAT, "key")).ttl_ms, 0);
		}
	}
}

static const char *cell(int error)
{
	return error ? ktap_errno(error) : "yes";
}

TEST(descriptor_is_good_for_what_it_was_opened_for_whoever_has_it)
{
	size_t u, m;
	int who;

	found = shared_memory(NR_WHO * sizeof(*found));
	for (m = 0; m < NR(modes); m++)
		fds[m] = MUST(open(DEVICE, modes[m] | O_CLOEXEC));
	give_node_away();
	for (who = 0; who < NR_WHO; who++)
		end_process(start_process(use_descriptors, who));
	take_node_back();

	NOTE("| open for | %s | %s | %s | %s |", mode_names[0], mode_names[1], mode_names[2],
	     mode_names[3]);
	NOTE("|---|---|---|---|---|");
	for (u = 0; u < NR(uses); u++)
		if (uses[u].name)
			NOTE("| %s | %s | %s | %s | %s |", uses[u].name, cell(found[0][u][0]),
			     cell(found[0][u][1]), cell(found[0][u][2]), cell(found[0][u][3]));
}

/* -------- what depends on who asks -------- */

static int open_node(int flags)
{
	int fd = open(DEVICE, flags | O_CLOEXEC), err = fd < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

/* Opens @path and writes what it holds back to it. */
static int rewrite(const char *path)
{
	char text[32];
	int fd = MUST(open(path, O_RDONLY | O_CLOEXEC)), err;
	ssize_t len = MUST(read(fd, text, sizeof(text)));

	close(fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write(fd, text, len) == len ? 0 : -errno;
	close(fd);
	return err;
}

static int may_open_to_read(void) { return open_node(O_RDONLY); }
static int may_open_to_write(void) { return open_node(O_WRONLY); }
static int may_open(void) { return open_node(O_RDWR); }
static int may_flush(void) { return result(ioctl(cache, KCACHE_IOC_FLUSH, 0)); }
static int may_set_max(void) { return rewrite(SYSFS "limits/max_bytes"); }
static int may_set_min(void) { return rewrite(SYSFS "limits/min_bytes"); }
static int may_set_promote(void) { return rewrite(SYSFS "limits/promote_after"); }
static int may_set_parameter(void) { return rewrite("/sys/module/kcache/parameters/max_bytes"); }

/* What was changed is as it was, at last. */
static int may_chmod(void)
{
	struct stat status;
	int err;

	MUST(stat(DEVICE, &status));
	err = result(chmod(DEVICE, 0606));
	if (!err)
		MUST(chmod(DEVICE, status.st_mode & 07777));
	return err;
}

static int may_chown(void)
{
	struct stat status;
	int err;

	MUST(stat(DEVICE, &status));
	err = result(chown(DEVICE, OTHER, OTHER));
	if (!err)
		MUST(chown(DEVICE, status.st_uid, status.st_gid));
	/* Others have no name in a user namespace. */
	return err == -EINVAL ? -EPERM : err;
}

static int may_see(void)
{
	sysfs_number("stats/entries");
	sysfs_number("limits/max_bytes");
	number_in("/sys/module/kcache/parameters/max_bytes");
	return 0;
}

static int may_make_a_node(void)
{
	struct stat status;
	char path[64];
	int err;

	MUST(stat(DEVICE, &status));
	snprintf(path, sizeof(path), "/tmp/kcache-node-%d", getpid());
	err = result(mknod(path, S_IFCHR | 0600, status.st_rdev));
	unlink(path);
	return err;
}

/* The cache is open, so the module stays. */
static int may_unload(void)
{
	int err = result(syscall(SYS_delete_module, "kcache", O_NONBLOCK));

	return err == -EAGAIN ? 0 : err;
}

/* There is no such descriptor, which is looked at last. */
static int may_load(void)
{
	int err = result(syscall(SYS_finit_module, -1, "", 0));

	return err == -EBADF ? 0 : err;
}

#define BY(who)	(1 << (who))
#define ALL	(BY(NR_WHO) - 1)

static const struct {
	const char *name;
	int (*may)(void);
	int who;	/* may, of a node of somebody else than root */
	int who_first;	/* may, of the node as it is at first */
	int error;	/* else */
} acts[] = {
	{ "open the node", may_open,
	  BY(ROOT) | BY(OWNS) | BY(BELONGS) | BY(NS_OWNER), BY(ROOT) | BY(BARE_ROOT), EACCES },
	{ NULL, may_open_to_read,
	  BY(ROOT) | BY(OWNS) | BY(BELONGS) | BY(NS_OWNER), BY(ROOT) | BY(BARE_ROOT), EACCES },
	{ NULL, may_open_to_write,
	  BY(ROOT) | BY(OWNS) | BY(BELONGS) | BY(NS_OWNER), BY(ROOT) | BY(BARE_ROOT), EACCES },
	{ "FLUSH, open for writing", may_flush,
	  BY(ROOT) | BY(ADMIN) | BY(OWNS) | BY(NS_OWNER),
	  BY(ROOT) | BY(BARE_ROOT) | BY(ADMIN), EPERM },
	{ "change the node's mode", may_chmod,
	  BY(ROOT) | BY(OWNS) | BY(NS_OWNER), BY(ROOT) | BY(BARE_ROOT), EPERM },
	{ "change the node's owner", may_chown, BY(ROOT), BY(ROOT), EPERM },
	{ "read stats/, limits/, parameters", may_see, ALL, ALL, 0 },
	{ "write limits/", may_set_max, BY(ROOT) | BY(BARE_ROOT), BY(ROOT) | BY(BARE_ROOT), EACCES },
	{ NULL, may_set_min, BY(ROOT) | BY(BARE_ROOT), BY(ROOT) | BY(BARE_ROOT), EACCES },
	{ NULL, may_set_promote, BY(ROOT) | BY(BARE_ROOT), BY(ROOT) | BY(BARE_ROOT), EACCES },
	{ "write the module's parameter", may_set_parameter, 0, 0, EACCES },
	{ "make another node", may_make_a_node, BY(ROOT), BY(ROOT), EPERM },
	{ "load and unload the module", may_load, BY(ROOT), BY(ROOT), EPERM },
	{ NULL, may_unload, BY(ROOT), BY(ROOT), EPERM },
};

static bool is_first;
static int (*acted)[NR(acts)];	/* in shared memory, by who */

static void act(int who)
{
	size_t a;

	become(who);
	for (a = 0; a < NR(acts); a++) {
		int may = is_first ? acts[a].who_first : acts[a].who;

		CASE("%s, act %zu", who_names[who], a);
		WORKS(OP(SET, "key", VALUE("1")));
		acted[who][a] = -acts[a].may();
		CHECK_ERR(-acted[who][a], may & BY(who) ? 0 : acts[a].error);
		if (acts[a].may == may_flush && may & BY(who))
			HOLDS_NOT("key");
		else
			HOLDS("key", "1");
	}
}

static void act_all(void)
{
	size_t a;
	int who;

	acted = shared_memory(NR_WHO * sizeof(*acted));
	for (who = 0; who < NR_WHO; who++)
		end_process(start_process(act, who));
	NOTE("| | root | root without capabilities | CAP_SYS_ADMIN alone | owner | group | other |");
	NOTE("|---|---|---|---|---|---|---|");
	for (a = 0; a < NR(acts); a++)
		if (acts[a].name)
			NOTE("| %s | %s | %s | %s | %s | %s | %s |", acts[a].name,
			     cell(acted[0][a]), cell(acted[1][a]), cell(acted[2][a]),
			     cell(acted[3][a]), cell(acted[4][a]), cell(acted[5][a]));
	/* A user namespace gives nothing: its root is who he is outside. */
	for (a = 0; a < NR(acts); a++) {
		CHECK_EQ(acted[NS_OWNER][a], acted[OWNS][a]);
		CHECK_EQ(acted[NS_STRANGER][a], acted[STRANGER][a]);
	}
}

TEST(node_of_an_owner_and_a_group_lets_in_who_they_are)
{
	give_node_away();
	act_all();
	take_node_back();
}

TEST(node_is_roots_alone_at_first)
{
	struct stat status;

	MUST(stat(DEVICE, &status));
	CHECK_EQ(status.st_mode, S_IFCHR | 0600);
	CHECK_EQ(status.st_uid, 0);
	CHECK_EQ(status.st_gid, 0);
	is_first = true;
	act_all();
}

/* -------- rights that come and go -------- */

static int turn[2][2];	/* pipes: to the owner, and back */

static void wait_turn(int nr)
{
	char byte;

	CHECK_EQ(read(turn[nr][0], &byte, 1), 1);
}

static void give_turn(int nr)
{
	CHECK_EQ(write(turn[nr][1], "", 1), 1);
}

static void lose_the_node(int nr)
{
	int fd;

	(void)nr;
	become(OWNS);
	fd = MUST(open(DEVICE, O_RDWR | O_CLOEXEC));
	MUST(ioctl(fd, KCACHE_IOC_FLUSH, 0));
	give_turn(1);
	wait_turn(0);
	CHECK_REFUSED(open(DEVICE, O_RDWR), EACCES);
	CHECK_REFUSED(ioctl(fd, KCACHE_IOC_FLUSH, 0), EPERM);
	/* What is open stays open for what it was opened for. */
	CHECK_ERR(use_set(fd), 0);
	CHECK_ERR(use_get(fd), 0);
}

TEST(flush_asks_who_owns_the_node_now)
{
	pid_t pid;

	MUST(pipe(turn[0]));
	MUST(pipe(turn[1]));
	give_node_away();
	pid = start_process(lose_the_node, 0);
	wait_turn(1);
	take_node_back();
	WORKS(OP(SET, "key", VALUE("1")));
	give_turn(0);
	end_process(pid);
	HOLDS("key", "2");
}

#define NODE	"/tmp/kcache-other-node"

static void use_own_node(int nr)
{
	int fd;

	(void)nr;
	become(OWNS);
	CHECK_REFUSED(open(DEVICE, O_RDWR), EACCES);
	fd = MUST(open(NODE, O_RDWR | O_CLOEXEC));
	CHECK_ERR(use_get(fd), 0);
	MUST(ioctl(fd, KCACHE_IOC_FLUSH, 0));
	/* It is the node that it was opened by. */
	CHECK_REFUSED(ioctl(cache, KCACHE_IOC_FLUSH, 0), EPERM);
}

TEST(node_that_root_makes_for_somebody_is_his)
{
	struct stat status;

	MUST(stat(DEVICE, &status));
	unlink(NODE);
	MUST(mknod(NODE, S_IFCHR | 0600, status.st_rdev));
	MUST(chown(NODE, OWNER, GROUP));
	WORKS(OP(SET, "key", VALUE("1")));
	end_process(start_process(use_own_node, 0));
	HOLDS_NOT("key");
	MUST(unlink(NODE));
}

static void set_own_limit(int nr)
{
	(void)nr;
	become(OWNS);
	CHECK_ERR(may_set_max(), 0);
	CHECK_ERR(may_set_min(), EACCES);
}

TEST(limit_is_set_by_who_owns_its_file)
{
	MUST(chown(SYSFS "limits/max_bytes", OWNER, 0));
	end_process(start_process(set_own_limit, 0));
	MUST(chown(SYSFS "limits/max_bytes", 0, 0));
}

static void open_by_group(int mode)
{
	become(BELONGS);
	CHECK_ERR(open_node(O_RDONLY), mode & 040 ? 0 : EACCES);
	CHECK_ERR(open_node(O_WRONLY), mode & 020 ? 0 : EACCES);
	CHECK_ERR(open_node(O_RDWR), (mode & 060) == 060 ? 0 : EACCES);
	CHECK_ERR(open_node(3), (mode & 060) == 060 ? 0 : EACCES);
}

static void open_by_other(int mode)
{
	become(STRANGER);
	CHECK_ERR(open_node(O_RDONLY), mode & 04 ? 0 : EACCES);
	CHECK_ERR(open_node(O_WRONLY), mode & 02 ? 0 : EACCES);
	CHECK_ERR(open_node(O_RDWR), (mode & 06) == 06 ? 0 : EACCES);
	CHECK_ERR(open_node(3), (mode & 06) == 06 ? 0 : EACCES);
}

TEST(each_bit_of_the_mode_is_heeded)
{
	int bits;

	for (bits = 0; bits < 64; bits++) {
		int mode = (bits >> 4 & 3) << 7 | (bits >> 2 & 3) << 4 | (bits & 3) << 1;

		CASE("mode %o", mode);
		MUST(chown(DEVICE, OWNER, GROUP));
		MUST(chmod(DEVICE, mode));
		end_process(start_process(open_by_group, mode));
		end_process(start_process(open_by_other, mode));
	}
	take_node_back();
}

int main(int argc, char **argv)
{
	/* A test that failed may have left it to somebody. */
	if (!access(DEVICE, F_OK) && !getuid())
		take_node_back();
	return ktap_device_main(argc, argv);
}
