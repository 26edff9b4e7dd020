/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/landlock.h>

#include "agent/call_filter.h"
#include "base/checked.h"
#include "base/cleanup.h"

#define ENTRY_BYTES 1024
/* Between the signal that may be handled, and the one that may not. */
#define PROCESSOR_GRACE_S 5

/* The list itself: asking a directory service could wait for a network. */
static bool find_user(FILE *list, struct confine_identity *ret)
{
	char text[ENTRY_BYTES];
	struct passwd entry, *found;

	while (fgetpwent_r(list, &entry, text, sizeof text, &found) == 0)
		if (strcmp(found->pw_name, CONFINE_USER) == 0 && found->pw_uid != 0 &&
			found->pw_gid != 0) {
			*ret = (struct confine_identity){found->pw_uid, found->pw_gid};
			return true;
		}
	return false;
}

struct confine_identity confine_identity(void)
{
	struct confine_identity who = {CONFINE_SPARE_ID, CONFINE_SPARE_ID};
	FILE *list = fopen("/etc/passwd", "re");

	if (!list)
		return who;
	(void)find_user(list, &who);
	(void)fclose(list);
	return who;
}

static int close_others(const int *fds, size_t n_fds)
{
	unsigned from = CONFINE_IS_INSTRUMENTED ? STDERR_FILENO + 1 : 0;

	for (size_t i = 0; i < n_fds; i++) {
		unsigned fd = (unsigned)fds[i];

		if (fd > from && close_range(from, fd - 1, 0) < 0)
			return -errno;
		if (fd >= from)
			from = fd + 1;
	}
	return close_range(from, UINT_MAX, 0) < 0 ? -errno : 0;
}

static void write_own(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		return; /* only a hint to the kernel */
}

static int become(const struct confine_identity *who)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 ||
		setresuid(who->uid, who->uid, who->uid) < 0)
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capset, &header, none) < 0)
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* After the change of user, which makes the kernel forget it. */
static int end_with(pid_t parent)
{
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

/* The address space that there is already. */
static int own_bytes(uint64_t *ret)
{
	AUTO_CLOSE int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	uint64_t pages = 0;
	char text[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof text);
	if (n < 0)
		return -errno;
	for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		pages = pages * 10 + (uint64_t)(text[i] - '0');
	*ret = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return pages > 0 ? 0 : -EINVAL;
}

static int limit(__rlimit_resource_t resource, uint64_t soft, uint64_t hard)
{
	struct rlimit both;

	if (getrlimit(resource, &both) < 0)
		return -errno;
	/* what is lower already stays so: nobody may raise it */
	if (hard < both.rlim_max)
		both.rlim_max = hard;
	both.rlim_cur = soft < both.rlim_max ? soft : both.rlim_max;
	return setrlimit(resource, &both) < 0 ? -errno : 0;
}

static int limit_all(const struct confine_limits *limits, uint64_t own)
{
	uint64_t memory = 0;
	int r = checked_add(own, limits->memory_bytes, &memory) ? 0 : -EOVERFLOW;

	if (r == 0 && !CONFINE_IS_INSTRUMENTED)
		r = limit(RLIMIT_AS, memory, memory);
	if (r == 0)
		r = limit(RLIMIT_FSIZE, limits->file_bytes, limits->file_bytes);
	if (r == 0)
		r = limit(RLIMIT_CPU, limits->processor_s, limits->processor_s + PROCESSOR_GRACE_S);
	if (r == 0)
		r = limit(RLIMIT_CORE, 0, 0);
	if (r == 0)
		r = limit(RLIMIT_NPROC, 0, 0);
	/* the last one: from here on nothing can be opened */
	return r == 0 ? limit(RLIMIT_NOFILE, 0, 0) : r;
}

/* No path of any file system: rights of version 1, which every later kernel knows. */
static void forbid_paths(void)
{
	const struct landlock_ruleset_attr all = {
		.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
	AUTO_CLOSE int fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);

	if (fd >= 0)
		(void)syscall(SYS_landlock_restrict_self, fd, 0);
}

int confine(const struct confine_identity *who, const struct confine_limits *limits, const int *fds,
	size_t n_fds, pid_t parent, struct error *reterr)
{
	const char *what = "descriptors";
	uint64_t own = 0;
	int r = close_others(fds, n_fds);

	if (r == 0) {
		what = "memory";
		r = own_bytes(&own);
	}

	/* what the kernel may not have, or the service not let us: all of it holds without */
	write_own("/proc/self/oom_score_adj", "1000");
	(void)unshare(CLONE_NEWNET);
	(void)unshare(CLONE_NEWIPC);
	for (int cap = 0; prctl(PR_CAPBSET_DROP, cap) == 0; cap++)
		;

	if (r == 0) {
		what = "user";
		r = become(who);
	}
	if (r == 0) {
		what = "capabilities";
		r = drop_capabilities();
	}
	if (r == 0) {
		what = "parent";
		r = end_with(parent);
	}
	if (r == 0)
		forbid_paths();
	if (r == 0) {
		what = "limits";
		r = limit_all(limits, own);
	}
	if (r < 0)
		return error_set(
			reterr, r, "a process cannot be confined (%s): %s", what, error_text(r));
	if (!CONFINE_IS_INSTRUMENTED) {
		r = call_filter_install();
		/* no list for this processor, or a kernel without filters */
		if (r < 0 && r != -ENOSYS && r != -EINVAL)
			return error_set(
				reterr, r, "the system calls cannot be limited: %s", error_text(r));
	}
	return 0;
}
