/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a file system knows no O_TMPFILE: a name for an instant. */
static int open_named(const char *folder)
{
	char path[4096];
	int fd, n;

	n = snprintf(path, sizeof path, "%s/bsi-publish-XXXXXX", folder);
	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	return fd;
}

int scratch_open(struct error *reterr)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	if (!folder || !*folder)
		folder = "/var/tmp";
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = errno == EOPNOTSUPP || errno == EISDIR ? open_named(folder) : -errno;
	if (fd < 0)
		return error_set(reterr, fd, "no temporary file in %s: %s", folder,
			error_text(fd));
	return fd;
}
