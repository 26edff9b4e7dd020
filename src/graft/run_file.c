/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/run_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int run_file_path(const char *run_dir, const char *name, char ret[static PATH_MAX])
{
	int n = snprintf(ret, PATH_MAX, "%s/%s", run_dir, name);

	return n > 0 && n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int run_file_replace(const char *run_dir, const char *name, const char *text)
{
	char path[PATH_MAX], new_path[PATH_MAX];
	AUTO_CLOSE int fd = -EBADF;
	size_t len = strlen(text);
	int r = run_file_path(run_dir, name, path);
	ssize_t n;

	if (r < 0)
		return r;
	if (snprintf(new_path, sizeof new_path, "%s.new", path) >= (int)sizeof new_path)
		return -ENAMETOOLONG;
	if (mkdir(run_dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n < 0 || (size_t)n != len)
		return n < 0 ? -errno : -EIO;
	return rename(new_path, path) < 0 ? -errno : 0;
}
