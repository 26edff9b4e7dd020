/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

int durable_replace(int dir_fd, const char *path, const void *data, size_t len)
{
	return file_replace(dir_fd, path, data, len, 0600);
}

int durable_make_folder(int dir_fd, const char *path)
{
	struct stat st;

	if (mkdirat(dir_fd, path, 0700) < 0) {
		if (errno != EEXIST)
			return -errno;
		if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
	}
	/* also when it was there: the run that made it may have been killed before this line */
	return file_sync_parent(dir_fd, path);
}

int durable_rename(int dir_fd, const char *from, const char *to)
{
	if (renameat(dir_fd, from, dir_fd, to) < 0)
		return -errno;
	return file_sync_parent(dir_fd, to);
}

int durable_remove(int dir_fd, const char *path)
{
	if (unlinkat(dir_fd, path, 0) < 0 && errno != ENOENT)
		return -errno;
	return file_sync_parent(dir_fd, path);
}

int durable_remove_folder(int dir_fd, const char *path, const char *old)
{
	int r;

	r = file_remove_tree(dir_fd, old);
	if (r < 0)
		return r;
	/* one step: never a folder with its name and half of what belongs into it */
	r = durable_rename(dir_fd, path, old);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return file_remove_tree(dir_fd, old);
}

int durable_sync(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

int durable_sync_folder(int dir_fd, const char *path)
{
	AUTO_CLOSE int fd = -EBADF;

	fd = file_open_beneath(dir_fd, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	return durable_sync(fd);
}
