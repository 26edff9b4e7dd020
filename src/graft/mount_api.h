/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The kernel's file-descriptor mount calls (Linux 5.2; mount_setattr 5.12), by number: libc and
 * header versions that know them differ, and linux/mount.h and sys/mount.h exclude each other in
 * some of them. Constants are the kernel's own (include/uapi/linux/mount.h). Results are 0 or a
 * descriptor, or -errno.
 */
#include <stddef.h>

#include "base/compiler.h"

enum mount_api_fsconfig {
	MOUNT_API_SET_FLAG = 0,
	MOUNT_API_SET_STRING = 1,
	MOUNT_API_CREATE = 6,
};

enum mount_api_attr {
	MOUNT_API_RDONLY = 0x1,
	MOUNT_API_NOSUID = 0x2,
	MOUNT_API_NODEV = 0x4,
	MOUNT_API_STRICTATIME = 0x20, /* instead of what else there was of atime */
	MOUNT_API_NODIRATIME = 0x80,
	MOUNT_API_NOSYMFOLLOW = 0x200000, /* Linux 5.14 */
};

/* A context for a file system of that type; close on exec. */
int mount_api_open(const char *type) MUST_CHECK;
int mount_api_config(int fs_fd, enum mount_api_fsconfig command, const char *key,
	const char *value) MUST_CHECK;
/* What the file system said about the last failure, without its level; "" if nothing. */
void mount_api_message(int fs_fd, char *out, size_t out_len);
/* A detached mount of the context's superblock. */
int mount_api_mount(int fs_fd, enum mount_api_attr attributes) MUST_CHECK;
/* A detached clone of the one mount that fd (may be O_PATH) is in, rooted at fd's file. */
int mount_api_clone(int fd) MUST_CHECK;
/* Move the detached mount onto the very file that target_fd refers to. */
int mount_api_move(int mount_fd, int target_fd) MUST_CHECK;
int mount_api_set(int mount_fd, enum mount_api_attr attributes) MUST_CHECK;
int mount_api_set_private(int mount_fd) MUST_CHECK;
/* The number by which mountinfo knows the mount that fd (may be O_PATH) is in. */
int mount_api_id(int fd) MUST_CHECK;
