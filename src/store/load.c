/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/load.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/holder.h"
#include "store/layout.h"

#define IS_LOADING "is loading an improvement"

int store_load_begin(struct store *s, struct error *reterr)
{
	int r = store_check_locked(s, reterr);

	if (r < 0 || s->load_fd >= 0)
		return r;
	return holder_take(s, LAYOUT_LOADING, IS_LOADING, &s->load_fd, reterr);
}

void store_load_end(struct store *s)
{
	if (s->load_fd >= 0)
		(void)close(s->load_fd);
	s->load_fd = -EBADF;
}

int store_check_loading(const struct store *s, struct error *reterr)
{
	if (s->load_fd >= 0)
		return 0;
	return error_set(reterr, -BSI_E_BUSY, "nothing can be loaded without the lock for it");
}

/* The lock's file where another process has the lock; -ENOENT if nobody does, or this one. */
static int open_others(const struct store *s)
{
	AUTO_CLOSE int fd = -EBADF;

	if (s->load_fd >= 0)
		return -ENOENT;
	fd = file_open_beneath(s->dir_fd, LAYOUT_LOADING, O_RDWR, 0);
	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return take_fd(&fd);
		if (errno != EINTR)
			return -errno;
	}
	/* free, and nobody takes it while we have the state's */
	return -ENOENT;
}

int store_is_loading_elsewhere(const struct store *s)
{
	AUTO_CLOSE int fd = open_others(s);

	return fd >= 0 ? 1 : fd == -ENOENT ? 0 : fd;
}

/* A second line in the lock's file. */
int store_load_stop(struct store *s, struct error *words)
{
	AUTO_CLOSE int fd = -EBADF;
	char self[HOLDER_TEXT_MAX + 1] = "\n", other[HOLDER_TEXT_MAX];
	struct stat st;
	int r = store_check_locked(s, words);

	if (r < 0)
		return r;
	fd = open_others(s);
	if (fd < 0)
		return fd == -ENOENT ? 0
				     : error_set(words, fd, "who loads cannot be found out: %s",
					       error_text(fd));
	holder_read(fd, other);
	holder_self(s, self + 1);
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (r == 0)
		r = file_pwrite_all(fd, self, strlen(self), (uint64_t)st.st_size);
	if (r < 0)
		return error_set(words, r, "%s " IS_LOADING " and cannot be told to stop: %s", other,
			error_text(r));
	(void)error_set(words, -BSI_E_BUSY, "%s " IS_LOADING, other);
	return 1;
}

bool store_load_is_stopped(const struct store *s, struct error *words)
{
	char text[2 * HOLDER_TEXT_MAX], who[HOLDER_TEXT_MAX];
	const char *line;
	ssize_t n;

	if (s->load_fd < 0)
		return false;
	n = pread(s->load_fd, text, sizeof text - 1, 0);
	if (n < 0)
		return false;
	text[n] = '\0';
	line = strchr(text, '\n');
	if (!line)
		return false;
	holder_words(line + 1, who);
	(void)error_set(words, -BSI_E_DENIED, "%s", who);
	return true;
}
