/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "base/cleanup.h"

int place_remember(struct place *ret)
{
	*ret = PLACE_NOWHERE;
	ret->ns_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (ret->ns_fd < 0)
		return -errno;
	ret->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ret->root_fd < 0 ? -errno : 0;
}

int place_enter(const struct place *place)
{
	if (setns(place->ns_fd, CLONE_NEWNS) < 0 || fchdir(place->root_fd) < 0 || chroot(".") < 0)
		return -errno;
	return 0;
}

void place_close(struct place *place)
{
	auto_closep(&place->ns_fd);
	auto_closep(&place->root_fd);
}
