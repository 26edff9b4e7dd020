/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/package_work.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft/process.h"
#include "graft/run_file.h"

#define HOOK_DEPTH_MAX 8 /* dpkg, a shell, perhaps an env or nice, the hook */
#define MARK_MAX 64

/* dpkg runs its hooks through a shell. */
int package_work_find_dpkg(struct process *ret)
{
	struct process p;
	int r = process_read(getppid(), ret);

	p = *ret;
	for (int i = 0; r == 0 && i < HOOK_DEPTH_MAX; i++) {
		if (strcmp(p.name, "dpkg") == 0) {
			*ret = p;
			return 0;
		}
		if (p.parent <= 0 || process_read(p.parent, &p) < 0)
			break;
	}
	return r;
}

int package_work_begin(const char *run_dir)
{
	char text[MARK_MAX];
	struct process dpkg;
	int r = package_work_find_dpkg(&dpkg);

	if (r < 0)
		return r;
	(void)snprintf(text, sizeof text, "%d %" PRIu64 "\n", (int)dpkg.pid, dpkg.start_ticks);
	return run_file_replace(run_dir, PACKAGE_WORK_NAME, text);
}

int package_work_end(const char *run_dir)
{
	char path[PATH_MAX];
	int r = run_file_path(run_dir, PACKAGE_WORK_NAME, path);

	if (r < 0)
		return r;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

pid_t package_work_holder(const char *run_dir)
{
	char path[PATH_MAX], text[MARK_MAX];
	AUTO_CLOSE int fd = -EBADF;
	uint64_t pid, start_ticks;
	struct process p;
	const char *blank;
	ssize_t n;

	if (run_file_path(run_dir, PACKAGE_WORK_NAME, path) < 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	blank = strchr(text, ' ');
	if (!blank || process_parse_number(text, INT32_MAX, &pid) < 0 ||
		process_parse_number(blank + 1, UINT64_MAX, &start_ticks) < 0 ||
		process_read((pid_t)pid, &p) < 0 || p.start_ticks != start_ticks)
		return 0;
	return process_is_ancestor(p.pid) ? 0 : p.pid;
}
