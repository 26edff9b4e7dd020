/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What goes into an image: one entry for each name, as packages and trees describe it. Content is
 * not here; only its size is, and the writer gets the bytes later, in the order of the recipe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_BLOCK_BYTES 4096U

/* Names in one image, added parents included. A component has tens of files, rarely thousands. */
#define IMAGE_ENTRIES_MAX 32768U
/* Inodes and directories; the device holds them in memory while it writes an image. */
#define IMAGE_META_MAX_BYTES (8U << 20)
/* Everything but the hash tree. */
#define IMAGE_DATA_MAX_BYTES (4ULL << 30)
#define IMAGE_XATTRS_MAX 64U
/* The on-disk size field is 16 bits wide. */
#define IMAGE_XATTR_VALUE_MAX_BYTES 65535U
/* Xattrs of one inode as they lie on disk. */
#define IMAGE_XATTRS_MAX_BYTES (128U << 10)
#define IMAGE_SYMLINK_MAX_BYTES 4095U

/* The types of a mode; the values of the kernel's S_IFMT, S_IFREG, S_IFDIR and S_IFLNK. */
#define IMAGE_TYPE_MASK 0170000U
#define IMAGE_TYPE_REGULAR 0100000U
#define IMAGE_TYPE_DIRECTORY 0040000U
#define IMAGE_TYPE_SYMLINK 0120000U

/*
 * name is whole: "security.capability", "user.x". Allowed are user.*, trusted.*, security.* and
 * system.posix_acl_access and _default (in the form that getxattr() gives).
 */
struct image_xattr {
	const char *name;
	const uint8_t *value;
	size_t value_len;
};

/*
 * Everything is borrowed. A path is as path_check() accepts it: "usr/lib/libx.so.1". Types are
 * regular file, directory and symlink. Of an entry with hardlink_to only the path counts; its
 * target is the path of a regular file in the same list that is no hard link entry itself. Which of
 * a file's names is the entry and which are links has no effect on the image.
 */
struct image_entry {
	const char *path;
	uint32_t mode; /* type and permission bits */
	uint32_t uid, gid;
	uint64_t size; /* regular files only */
	const char *symlink_target;
	const char *hardlink_to; /* or NULL */
	const struct image_xattr *xattrs;
	size_t n_xattrs;
};

static inline bool image_is_regular(uint32_t mode)
{
	return (mode & IMAGE_TYPE_MASK) == IMAGE_TYPE_REGULAR;
}

static inline bool image_is_directory(uint32_t mode)
{
	return (mode & IMAGE_TYPE_MASK) == IMAGE_TYPE_DIRECTORY;
}

static inline bool image_is_symlink(uint32_t mode)
{
	return (mode & IMAGE_TYPE_MASK) == IMAGE_TYPE_SYMLINK;
}
