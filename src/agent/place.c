/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/place.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "graft/process.h"

const char *place_text(enum place_kind kind)
{
	static const char *const texts[] = {
		[PLACE_UNKNOWN] = "unknown",
		[PLACE_INIT] = "init",
		[PLACE_SERVICE] = "service",
		[PLACE_UNIT] = "unit",
		[PLACE_SESSION] = "session",
		[PLACE_CONTAINER] = "container",
		[PLACE_CHROOT] = "chroot",
		[PLACE_PROGRAM] = "program",
	};

	return texts[kind];
}

static int read_cgroup(int process_fd, struct cgroup *ret)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(CGROUP_TEXT_MAX_BYTES);
	AUTO_CLOSE int fd = openat(process_fd, "cgroup", O_RDONLY | O_CLOEXEC);
	int r;

	r = fd < 0 ? -errno : file_read_fd(fd, CGROUP_TEXT_MAX_BYTES, &text);
	return r < 0 ? r : cgroup_parse((const char *)text.data, text.len, ret);
}

/* Whether a link of /proc/PID leads where ours does. What cannot be looked at is not the same. */
static bool is_same(int process_fd, const char *theirs, const char *ours)
{
	struct stat a, b;

	return fstatat(process_fd, theirs, &a, 0) == 0 && stat(ours, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool is_alive(int pid_fd)
{
	struct pollfd p = {.fd = pid_fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* systemd has the last word about a unit that the kernel names; without it nobody confirms. */
static void confirm(struct systemd *systemd, pid_t pid, struct place *place)
{
	char unit[CGROUP_UNIT_MAX];

	if (!systemd || place->unit[0] == '\0')
		return;
	if (systemd_unit_of(systemd, pid, unit) == 0 && strcmp(unit, place->unit) == 0) {
		place->is_confirmed = true;
		return;
	}
	/* a name that one of the two does not know is nobody's */
	place->kind = PLACE_UNKNOWN;
	place->unit[0] = '\0';
}

static enum place_kind kind_of(int process_fd, pid_t pid, const struct cgroup *group)
{
	if (pid == 1)
		return PLACE_INIT;
	if (group->kind == CGROUP_SESSION)
		return PLACE_SESSION;
	if (group->kind == CGROUP_SERVICE)
		return PLACE_SERVICE;
	if (!is_same(process_fd, "ns/pid", "/proc/self/ns/pid"))
		return PLACE_CONTAINER;
	if (!is_same(process_fd, "root", "/"))
		return PLACE_CHROOT;
	return group->kind == CGROUP_NONE ? PLACE_PROGRAM : PLACE_UNIT;
}

/* While a descriptor of the process stays alive, its number cannot be another one's. */
int place_read(pid_t pid, uint64_t start_ticks, struct systemd *systemd, struct place *ret)
{
	AUTO_CLOSE int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0), process_fd = -EBADF;
	struct place place = {.kind = PLACE_UNKNOWN};
	struct cgroup group = {0};
	struct process process;
	char path[32];

	*ret = place;
	if (pid_fd < 0 || process_read(pid, &process) < 0 || process.start_ticks != start_ticks)
		return -ESRCH;
	(void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
	process_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process_fd < 0)
		return -ESRCH;
	place.parent = process.parent;
	if (read_cgroup(process_fd, &group) == 0) {
		memcpy(place.unit, group.unit, sizeof place.unit);
		place.is_manager = group.is_manager;
		place.kind = kind_of(process_fd, pid, &group);
		confirm(systemd, pid, &place);
	}
	if (!is_alive(pid_fd))
		return -ESRCH;
	*ret = place;
	return 0;
}
