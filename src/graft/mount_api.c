/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/mount_api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One number on every architecture but alpha, which adds 110 (scripts/syscall.tbl). */
enum {
	NUMBER_OPEN_TREE = 428,
	NUMBER_MOVE_MOUNT = 429,
	NUMBER_FSOPEN = 430,
	NUMBER_FSCONFIG = 431,
	NUMBER_FSMOUNT = 432,
	NUMBER_MOUNT_SETATTR = 442,
};
#ifdef __alpha__
#error "system call numbers differ here"
#endif

#define FSOPEN_CLOSE_ON_EXEC 0x1U
#define FSMOUNT_CLOSE_ON_EXEC 0x1U
#define TREE_CLONE 0x1U
#define MOVE_FROM_EMPTY_PATH 0x04U
#define MOVE_TO_EMPTY_PATH 0x40U
#define PROPAGATION_PRIVATE (1U << 18)
#define ATIME_MASK 0x70U
#define MESSAGE_LEVEL_LEN 2 /* "e " */

/* struct mount_attr of the kernel */
struct attributes {
	uint64_t set, clear, propagation, userns_fd;
};

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

int mount_api_open(const char *type)
{
	return result(syscall(NUMBER_FSOPEN, type, FSOPEN_CLOSE_ON_EXEC));
}

int mount_api_config(int fs_fd, enum mount_api_fsconfig command, const char *key, const char *value)
{
	return result(syscall(NUMBER_FSCONFIG, fs_fd, (unsigned)command, key, value, 0));
}

void mount_api_message(int fs_fd, char *out, size_t out_len)
{
	char message[512];
	ssize_t n = read(fs_fd, message, sizeof message - 1);

	out[0] = '\0';
	if (n <= MESSAGE_LEVEL_LEN)
		return;
	message[n] = '\0';
	message[strcspn(message, "\n")] = '\0';
	(void)snprintf(out, out_len, "%s", message + MESSAGE_LEVEL_LEN);
}

int mount_api_mount(int fs_fd, enum mount_api_attr attributes)
{
	return result(syscall(NUMBER_FSMOUNT, fs_fd, FSMOUNT_CLOSE_ON_EXEC, (unsigned)attributes));
}

int mount_api_clone(int fd)
{
	return result(syscall(NUMBER_OPEN_TREE, fd, "",
		TREE_CLONE | (unsigned)O_CLOEXEC | (unsigned)AT_EMPTY_PATH));
}

int mount_api_move(int mount_fd, int target_fd)
{
	return result(syscall(NUMBER_MOVE_MOUNT, mount_fd, "", target_fd, "",
		MOVE_FROM_EMPTY_PATH | MOVE_TO_EMPTY_PATH));
}

static int set_attributes(int mount_fd, struct attributes attributes)
{
	return result(syscall(NUMBER_MOUNT_SETATTR, mount_fd, "", (unsigned)AT_EMPTY_PATH,
		&attributes, sizeof attributes));
}

int mount_api_set(int mount_fd, enum mount_api_attr attributes)
{
	uint64_t clear = attributes & MOUNT_API_STRICTATIME ? ATIME_MASK : 0;

	return set_attributes(mount_fd, (struct attributes){.set = attributes, .clear = clear});
}

int mount_api_set_private(int mount_fd)
{
	return set_attributes(mount_fd, (struct attributes){.propagation = PROPAGATION_PRIVATE});
}

int mount_api_id(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return -errno;
	return st.stx_mask & STATX_MNT_ID ? (int)st.stx_mnt_id : -EOPNOTSUPP;
}
