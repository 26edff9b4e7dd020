/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"

struct layout_path layout_image(const struct digest *d)
{
	struct digest_hex hex = digest_format(d);
	struct layout_path path;

	(void)snprintf(path.text, sizeof path.text, LAYOUT_IMAGES "/%s", hex.text);
	return path;
}

struct layout_path layout_new_image(const struct digest *d)
{
	struct digest_hex hex = digest_format(d);
	struct layout_path path;

	(void)snprintf(path.text, sizeof path.text, LAYOUT_IMAGES "/.%s.new", hex.text);
	return path;
}

struct layout_path layout_download(const struct digest *d)
{
	struct digest_hex hex = digest_format(d);
	struct layout_path path;

	(void)snprintf(path.text, sizeof path.text, LAYOUT_DOWNLOADS "/%s.part", hex.text);
	return path;
}

struct layout_path layout_generation(uint64_t number)
{
	struct layout_path path;

	(void)snprintf(path.text, sizeof path.text, LAYOUT_GENERATIONS "/%" PRIu64, number);
	return path;
}

struct layout_path layout_generation_file(uint64_t number, const char *name)
{
	struct layout_path path;

	(void)snprintf(path.text, sizeof path.text, LAYOUT_GENERATIONS "/%" PRIu64 "/%s", number,
		name);
	return path;
}

int layout_is_made(const struct store *s)
{
	struct stat st;

	if (fstatat(s->dir_fd, LAYOUT_FORMAT, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int store_check_locked(const struct store *s, struct error *reterr)
{
	if (s->lock_fd >= 0)
		return 0;
	return error_set(reterr, -BSI_E_BUSY, "the state cannot be changed without its lock");
}

int layout_each(const struct store *s, const char *folder,
	int (*each)(void *ctx, const char *name), void *ctx)
{
	AUTO_CLOSE int fd = -EBADF;
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	fd = file_open_beneath(s->dir_fd, folder, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = each(ctx, entry->d_name);
	if (r == 0 && errno != 0)
		r = -errno;
	(void)closedir(dir);
	return r < 0 ? r : 0;
}
