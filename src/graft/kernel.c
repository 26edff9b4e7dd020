/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft/mount_api.h"

static int refuse(const char *call, int r, struct error *reterr)
{
	if (r == -ENOSYS)
		return error_set(reterr, -BSI_E_UNSUPPORTED,
			"the system call %s is missing: bsi needs Linux 5.12 or later, and in a "
			"container one that lets it through", call);
	return error_set(reterr, -BSI_E_UNSUPPORTED,
		"the system call %s is refused (%s): a container, or a filter on system calls, does "
		"not let bsi mount", call, error_text(r));
}

static int check_erofs(struct error *reterr)
{
	AUTO_CLOSE int fs_fd = mount_api_open("erofs");

	if (fs_fd == -ENODEV)
		return error_set(reterr, -BSI_E_UNSUPPORTED,
			"this kernel has no EROFS, the file system of images: 'modprobe erofs', or a "
			"kernel with CONFIG_EROFS_FS");
	return fs_fd < 0 ? refuse("fsopen", fs_fd, reterr) : 0;
}

int kernel_check(struct error *reterr)
{
	AUTO_CLOSE int clone_fd = -EBADF;
	AUTO_CLOSE int proc_fd = -EBADF;
	int r = check_erofs(reterr);

	if (r < 0)
		return r;
	proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return error_set(reterr, -BSI_E_UNSUPPORTED, "/proc is not mounted: %s",
			error_text(-errno));
	clone_fd = mount_api_clone(proc_fd);
	if (clone_fd < 0)
		return refuse("open_tree", clone_fd, reterr);
	r = mount_api_set(clone_fd, MOUNT_API_NOSUID);
	if (r < 0)
		return refuse("mount_setattr", r, reterr);
	/* onto nothing: whoever gets as far as the descriptor is let through */
	r = mount_api_move(clone_fd, -EBADF);
	return r == -EBADF ? 0 : refuse("move_mount", r, reterr);
}
