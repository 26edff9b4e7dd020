/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The part of EROFS's on-disk format that images use: offsets and values, from the kernel's
 * fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst. Internal to the room. All numbers
 * are little-endian.
 */
#include <stdint.h>

#include "image/entry.h"

#define EROFS_BLOCK_BITS 12U
_Static_assert(1U << EROFS_BLOCK_BITS == IMAGE_BLOCK_BYTES, "one block size");

/* Superblock, 128 bytes from byte 1024. */
#define EROFS_SUPER_OFFSET 1024U
#define EROFS_SUPER_BYTES 128U
#define EROFS_MAGIC 0xe0f5e1e2U
#define EROFS_COMPAT_SB_CHKSUM 1U
#define EROFS_COMPAT_MTIME 2U

enum erofs_super_at {
	EROFS_SUPER_AT_MAGIC = 0,
	EROFS_SUPER_AT_CHECKSUM = 4,
	EROFS_SUPER_AT_COMPAT = 8,
	EROFS_SUPER_AT_BLOCK_BITS = 12,
	EROFS_SUPER_AT_ROOT_NID = 14,
	EROFS_SUPER_AT_INODES = 16,
	EROFS_SUPER_AT_BLOCKS = 36,
	EROFS_SUPER_AT_UUID = 48,
};

/* Inodes lie in slots of 32 bytes; a nid is a slot's number, counted from byte 0. */
#define EROFS_SLOT_BYTES 32U
#define EROFS_INODE_BYTES 64U
#define EROFS_FORMAT_EXTENDED_PLAIN 1U /* bit 0: extended; bits 1 to 3: layout 0, flat plain */

enum erofs_inode_at {
	EROFS_INODE_AT_FORMAT = 0,
	EROFS_INODE_AT_XATTR_COUNT = 2,
	EROFS_INODE_AT_MODE = 4,
	EROFS_INODE_AT_SIZE = 8,
	EROFS_INODE_AT_BLOCK = 16,
	EROFS_INODE_AT_NUMBER = 20,
	EROFS_INODE_AT_UID = 24,
	EROFS_INODE_AT_GID = 28,
	EROFS_INODE_AT_NLINK = 44,
};

/* Xattrs behind an inode: a header, then entries on multiples of four bytes. */
#define EROFS_XATTR_HEADER_BYTES 12U
#define EROFS_XATTR_ENTRY_BYTES 4U
#define EROFS_XATTR_ALIGN 4U

enum erofs_xattr_index {
	EROFS_XATTR_USER = 1,
	EROFS_XATTR_ACL_ACCESS = 2,
	EROFS_XATTR_ACL_DEFAULT = 3,
	EROFS_XATTR_TRUSTED = 4,
	EROFS_XATTR_SECURITY = 6,
};

/* Directory entries: nid, offset of the name in this block, file type. */
#define EROFS_DIRENT_BYTES 12U

enum erofs_dirent_at {
	EROFS_DIRENT_AT_NID = 0,
	EROFS_DIRENT_AT_NAME = 8,
	EROFS_DIRENT_AT_TYPE = 10,
};

enum erofs_file_type {
	EROFS_TYPE_REGULAR = 1,
	EROFS_TYPE_DIRECTORY = 2,
	EROFS_TYPE_SYMLINK = 7,
};

static inline uint8_t erofs_file_type_of(uint32_t mode)
{
	if (image_is_directory(mode))
		return EROFS_TYPE_DIRECTORY;
	return image_is_symlink(mode) ? EROFS_TYPE_SYMLINK : EROFS_TYPE_REGULAR;
}

static inline void put_le(uint8_t *at, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static inline void put_le16(uint8_t *at, uint16_t value)
{
	put_le(at, value, 2);
}

static inline void put_le32(uint8_t *at, uint32_t value)
{
	put_le(at, value, 4);
}

static inline void put_le64(uint8_t *at, uint64_t value)
{
	put_le(at, value, 8);
}
