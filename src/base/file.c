/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"

#define CHUNK_BYTES (1U << 20)
#define TREE_DEPTH_MAX 64

static int open_how(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = resolve,
	};
	int fd;

	do
		fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : fd;
}

int file_open_beneath(int dir_fd, const char *path, int flags, mode_t mode)
{
	return open_how(dir_fd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

int file_open_in_root(int root_fd, const char *path, int flags)
{
	return open_how(root_fd, path, flags | O_NOFOLLOW, 0,
		RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int file_open_in_root_following(int root_fd, const char *path, int flags)
{
	return open_how(root_fd, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

static ssize_t read_at(int fd, void *to, size_t len, uint64_t at)
{
	ssize_t n;

	do
		n = pread(fd, to, len, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* As much as the file had when it was looked at, without a copy on the way; *ret_at is what came. */
static int read_whole(int fd, size_t len, struct buffer *out, uint64_t *ret_at)
{
	size_t before = out->len, at = 0;
	uint8_t *to = buffer_grow(out, len);
	ssize_t n = 1;

	if (!to)
		return out->err;
	while (at < len && n > 0) {
		n = read_at(fd, to + at, len - at, at);
		at += n > 0 ? (size_t)n : 0;
	}
	out->len = before + at;
	*ret_at = at;
	return n < 0 ? (int)n : 0;
}

int file_read_fd(int fd, size_t max, struct buffer *out)
{
	struct stat st;
	uint64_t at = 0;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max)
		return -BSI_E_LIMIT;
	if (S_ISREG(st.st_mode) && st.st_size > 0)
		r = read_whole(fd, (size_t)st.st_size, out, &at);
	if (r < 0)
		return r;
	/* what is no regular file, tells no size, or grew meanwhile */
	for (;;) {
		uint8_t chunk[16384];
		ssize_t n = read_at(fd, chunk, sizeof chunk, at);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return out->err;
		at += (uint64_t)n;
		if (at > max)
			return -BSI_E_LIMIT;
		buffer_put(out, chunk, (size_t)n);
	}
}

int file_read(int dir_fd, const char *path, size_t max, struct buffer *out)
{
	AUTO_CLOSE int fd = -EBADF;

	fd = file_open_beneath(dir_fd, path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	return file_read_fd(fd, max, out);
}

int file_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_pwrite_all(int fd, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int file_pread_all(int fd, void *data, size_t len, uint64_t offset)
{
	uint8_t *at = data;

	while (len > 0) {
		ssize_t n = pread(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -BSI_E_FORMAT;
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The directory part of path, "." where there is none. */
static int parent_of(const char *path, char out[static PATH_MAX_BYTES + 1])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (len > PATH_MAX_BYTES)
		return -ENAMETOOLONG;
	if (!slash) {
		memcpy(out, ".", 2);
		return 0;
	}
	memcpy(out, path, len);
	out[len] = '\0';
	return 0;
}

static int open_parent(int dir_fd, const char *path)
{
	char parent[PATH_MAX_BYTES + 1];
	int r;

	r = parent_of(path, parent);
	if (r < 0)
		return r;
	return file_open_beneath(dir_fd, parent, O_RDONLY | O_DIRECTORY, 0);
}

int file_sync_parent(int dir_fd, const char *path)
{
	AUTO_CLOSE int fd = -EBADF;

	fd = open_parent(dir_fd, path);
	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : 0;
}

int file_replace(int dir_fd, const char *path, const void *data, size_t len, mode_t mode)
{
	AUTO_CLOSE int parent_fd = -EBADF, fd = -EBADF;
	char temporary[PATH_NAME_MAX_BYTES + 32];
	const char *name = path_name(path);
	int r;

	parent_fd = open_parent(dir_fd, path);
	if (parent_fd < 0)
		return parent_fd;
	if (strlen(name) > PATH_NAME_MAX_BYTES - 8)
		return -ENAMETOOLONG;
	(void)snprintf(temporary, sizeof temporary, ".%s.new", name);

	fd = file_open_beneath(parent_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
	if (fd < 0)
		return fd;
	r = fchmod(fd, mode) < 0 ? -errno : file_write_all(fd, data, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(parent_fd, temporary, parent_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(parent_fd, temporary, 0);
		return r;
	}
	return fsync(parent_fd) < 0 ? -errno : 0;
}

int file_digest(int fd, struct digest *ret, uint64_t *ret_size)
{
	AUTO(hasher) struct hasher *h = NULL;
	AUTO_FREE uint8_t *chunk = NULL;
	uint64_t at = 0;
	int r;

	r = hasher_new(&h);
	if (r < 0)
		return r;
	chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(fd, chunk, CHUNK_BYTES, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		hasher_update(h, chunk, (size_t)n);
		at += (uint64_t)n;
	}
	r = hasher_final(h, ret);
	if (r < 0)
		return r;
	if (ret_size)
		*ret_size = at;
	return 0;
}

int file_make_dirs(int dir_fd, const char *path, mode_t mode)
{
	char partial[PATH_MAX_BYTES + 1];
	size_t len = strlen(path);

	if (len > PATH_MAX_BYTES)
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(partial, path, i);
		partial[i] = '\0';
		if (mkdirat(dir_fd, partial, mode) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int remove_tree(int dir_fd, const char *name, dev_t dev, unsigned depth)
{
	AUTO_CLOSE int fd = -EBADF;
	struct dirent *entry;
	struct stat st;
	DIR *dir;
	int r = 0;

	if (depth > TREE_DEPTH_MAX)
		return -BSI_E_LIMIT;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (depth > 0 && st.st_dev != dev)
		return -EXDEV;

	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = remove_tree(dirfd(dir), entry->d_name, st.st_dev, depth + 1);
	}
	if (r == 0 && !entry && errno != 0)
		r = -errno;
	(void)closedir(dir);
	if (r < 0)
		return r;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int file_remove_tree(int dir_fd, const char *path)
{
	int r = remove_tree(dir_fd, path, 0, 0);

	return r == -ENOENT ? 0 : r;
}
