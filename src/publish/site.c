/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/site.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

/* How often the draft may vanish under us before it can only be malice. */
#define TRIES_MAX 16

int site_init(struct site *s, const char *path, mode_t mode, struct error *reterr)
{
	AUTO_FREE char *parent = strdup(path);
	char *slash;

	*s = SITE_NONE;
	s->path = path;
	s->mode = mode;
	if (!parent)
		return -ENOMEM;
	while (strlen(parent) > 1 && parent[strlen(parent) - 1] == '/')
		parent[strlen(parent) - 1] = '\0';
	slash = strrchr(parent, '/');
	s->final_name = strdup(slash ? slash + 1 : parent);
	if (!s->final_name)
		return -ENOMEM;
	if (asprintf(&s->draft_name, ".%s.init", s->final_name) < 0) {
		s->draft_name = NULL; /* which asprintf() leaves undefined */
		return -ENOMEM;
	}
	if (slash)
		slash[slash == parent] = '\0';
	s->parent_fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->parent_fd < 0)
		return error_set(reterr, -errno, "%s: %s", slash ? parent : ".",
			strerrordesc_np(errno));
	return 0;
}

static int fail(const struct site *s, int r, struct error *reterr)
{
	return error_set(reterr, r, "%s: %s", s->path, error_text(r));
}

int site_is_taken(const struct site *s, struct error *reterr)
{
	struct stat unused;

	if (fstatat(s->parent_fd, s->final_name, &unused, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : fail(s, -errno, reterr);
}

/* Whether the descriptor is still what the draft's name leads to: 1, 0 or -errno. */
static int is_draft(const struct site *s, int fd)
{
	struct stat here, named;

	if (fstat(fd, &here) < 0)
		return -errno;
	if (fstatat(s->parent_fd, s->draft_name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return here.st_dev == named.st_dev && here.st_ino == named.st_ino;
}

/* One try: the locked draft, 0 where it went away meanwhile, or an error. */
static int lock_draft(const struct site *s, int *ret_fd, struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	int r;

	if (mkdirat(s->parent_fd, s->draft_name, s->mode) < 0 && errno != EEXIST)
		return fail(s, -errno, reterr);
	fd = openat(s->parent_fd, s->draft_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : fail(s, -errno, reterr);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			? error_set(reterr, -BSI_E_BUSY,
				  "%s: another bsi-publish is making it at this moment", s->path)
			: fail(s, -errno, reterr);
	r = is_draft(s, fd);
	if (r <= 0)
		return r < 0 ? fail(s, r, reterr) : 0;
	*ret_fd = take_fd(&fd);
	return 1;
}

int site_open(struct site *s, struct error *reterr)
{
	int r = 0;

	for (int i = 0; r == 0 && i < TRIES_MAX; i++)
		r = lock_draft(s, &s->fd, reterr);
	if (r == 0)
		r = error_set(reterr, -BSI_E_BUSY, "%s: its draft is removed again and again",
			s->path);
	if (r < 0)
		return r;
	if (fchmod(s->fd, s->mode) < 0)
		return fail(s, -errno, reterr);
	/* only now: whoever finished meanwhile held the lock until the name was taken */
	r = site_is_taken(s, reterr);
	return r > 0 ? error_set(reterr, -EEXIST, "%s exists already", s->path) : r;
}

int site_clear(const struct site *s, struct error *reterr)
{
	int list_fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	const struct dirent *entry;
	DIR *list;

	if (list_fd < 0)
		return fail(s, -errno, reterr);
	list = fdopendir(list_fd);
	if (!list) {
		r = -errno;
		(void)close(list_fd);
		return fail(s, r, reterr);
	}
	while (r == 0 && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = file_remove_tree(s->fd, entry->d_name);
	(void)closedir(list);
	return r < 0 ? fail(s, r, reterr) : 0;
}

int site_finish(struct site *s, struct error *reterr)
{
	if (fsync(s->fd) < 0 ||
		renameat2(s->parent_fd, s->draft_name, s->parent_fd, s->final_name,
			RENAME_NOREPLACE) < 0)
		return fail(s, -errno, reterr);
	s->is_done = true;
	return fsync(s->parent_fd) < 0 ? fail(s, -errno, reterr) : 0;
}

int site_undo(struct site *s, struct error *reterr)
{
	int r = s->is_done ? 0 : file_remove_tree(s->parent_fd, s->draft_name);

	if (r < 0)
		return fail(s, r, reterr);
	if (renameat2(s->parent_fd, s->final_name, s->parent_fd, s->draft_name,
		    RENAME_NOREPLACE) < 0 ||
		fsync(s->parent_fd) < 0)
		return fail(s, -errno, reterr);
	s->is_done = false;
	return 0;
}

void site_close(struct site *s)
{
	if (s->fd >= 0) {
		if (!s->is_done)
			(void)!file_remove_tree(s->parent_fd, s->draft_name);
		(void)close(s->fd);
	}
	if (s->parent_fd >= 0)
		(void)close(s->parent_fd);
	free(s->final_name);
	free(s->draft_name);
	*s = SITE_NONE;
}
