/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOOP_MAJOR 7 /* Documentation/admin-guide/devices.txt */
#define TRIES_MAX 64 /* others take free devices at the same time */

int loop_open(const char *node, int file_fd, int *ret_fd, unsigned *ret_number)
{
	AUTO_CLOSE int control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	const struct loop_config config = {
		.fd = (uint32_t)file_fd,
		.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
	};

	if (control_fd < 0)
		return -errno;
	for (int i = 0; i < TRIES_MAX; i++) {
		AUTO_CLOSE int fd = -EBADF;
		int number = ioctl(control_fd, LOOP_CTL_GET_FREE);

		if (number < 0)
			return -errno;
		if ((unlink(node) < 0 && errno != ENOENT) ||
			mknod(node, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned)number)) < 0)
			return -errno;
		fd = open(node, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
			*ret_fd = take_fd(&fd);
			if (ret_number)
				*ret_number = (unsigned)number;
			return 0;
		}
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
}
