/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Files: read whole with a cap, hash, replace in one durable step. Paths are relative to a
 * directory descriptor and may not leave it (openat2 with RESOLVE_BENEATH); symlinks are followed
 * only where a function says so.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/digest.h"

/* Open below dir_fd; no component may be a symlink. O_CLOEXEC is added. -errno or a descriptor. */
int file_open_beneath(int dir_fd, const char *path, int flags, mode_t mode) MUST_CHECK;

/*
 * Open below root_fd as if root_fd were "/": absolute and ".." symlinks stay inside, and are
 * followed except in the last component. This is how a path of a root tree is read.
 */
int file_open_in_root(int root_fd, const char *path, int flags) MUST_CHECK;
/* The same, and a symlink as last component is followed too, inside the root. */
int file_open_in_root_following(int root_fd, const char *path, int flags) MUST_CHECK;

/* The whole file, at most max bytes (-BSI_E_LIMIT above), appended to *out. */
int file_read(int dir_fd, const char *path, size_t max, struct buffer *out) MUST_CHECK;
/* The same from an open descriptor, from offset 0, without moving its position. */
int file_read_fd(int fd, size_t max, struct buffer *out) MUST_CHECK;

/*
 * Replace path by data in one durable step: temporary file in the same directory, write, fsync,
 * rename, fsync of the directory. After a power cut the old or the new content is there, whole.
 */
int file_replace(int dir_fd, const char *path, const void *data, size_t len, mode_t mode)
	MUST_CHECK;

/* write() until all is written. */
int file_write_all(int fd, const void *data, size_t len) MUST_CHECK;
/* pwrite() until all is written. */
int file_pwrite_all(int fd, const void *data, size_t len, uint64_t offset) MUST_CHECK;
/* Exactly len bytes; -BSI_E_FORMAT where the file ends before. */
int file_pread_all(int fd, void *data, size_t len, uint64_t offset) MUST_CHECK;

/* fsync of the directory that holds path (relative to dir_fd). */
int file_sync_parent(int dir_fd, const char *path) MUST_CHECK;

/* SHA-256 and size of a regular file through this descriptor, from offset 0. */
int file_digest(int fd, struct digest *ret, uint64_t *ret_size) MUST_CHECK;

/* mkdir -p below dir_fd; existing directories are left as they are. */
int file_make_dirs(int dir_fd, const char *path, mode_t mode) MUST_CHECK;

/* Remove a tree below dir_fd; 0 if it was not there. Never crosses into another mount. */
int file_remove_tree(int dir_fd, const char *path) MUST_CHECK;
