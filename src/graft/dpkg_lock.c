/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/dpkg_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft/process.h"

#define LOCK_PATH "var/lib/dpkg/lock-frontend"

static struct flock whole_file(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

int graft_lock_dpkg(const struct graft_host *host, int *ret_fd, struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	struct flock lock = whole_file();
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/" LOCK_PATH, host->root) >= (int)sizeof path)
		return error_set(reterr, -ENAMETOOLONG, "%s is too long", host->root);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		*ret_fd = -EBADF;
		return 0;
	}
	if (fd < 0)
		return error_set(reterr, -errno, "%s: %s", path, error_text(-errno));

	if (fcntl(fd, F_SETLK, &lock) == 0) {
		*ret_fd = take_fd(&fd);
		return 0;
	}
	if (errno != EACCES && errno != EAGAIN)
		return error_set(reterr, -errno, "%s: %s", path, error_text(-errno));

	lock = whole_file();
	if (fcntl(fd, F_GETLK, &lock) < 0)
		return error_set(reterr, -errno, "%s: %s", path, error_text(-errno));
	if (getenv("DPKG_FRONTEND_LOCKED") && lock.l_type != F_UNLCK &&
		process_is_ancestor(lock.l_pid)) {
		*ret_fd = -EBADF;
		return 0;
	}
	return error_set(reterr, -BSI_E_BUSY, "held: package manager at work (process %d)",
		(int)lock.l_pid);
}
