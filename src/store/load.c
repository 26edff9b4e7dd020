/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "improvement/base_id.h"
#include "improvement/letter.h"
#include "store/holder.h"
#include "store/layout.h"

#define IS_LOADING "is loading an improvement"

/* Who loads, what it is, and who wants nothing of it: docs/formats/state.md. */
#define WHAT_MAX (BASE_ID_MAX_BYTES + LETTER_MAX_LEN + 32)
#define TEXT_MAX (2 * HOLDER_TEXT_MAX + WHAT_MAX)

/* The lock's file says what is loaded, so that it can be denied whatever becomes of who loads it. */
static int write_what(const struct store *s, int fd, const char *base, const char *letter,
	uint64_t build)
{
	char who[HOLDER_TEXT_MAX], text[TEXT_MAX];
	int n;

	holder_self(s, who);
	n = snprintf(text, sizeof text, "%s\n%s %" PRIu64 " %s\n", who, base, build, letter);
	return file_pwrite_all(fd, text, (size_t)n, 0);
}

int store_load_begin(struct store *s, const char *base, const char *letter, uint64_t build,
	struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	int r = store_check_locked(s, reterr);

	if (r < 0 || s->load_fd >= 0)
		return r;
	if (base_id_check(base) < 0 || letter_check(letter) < 0 || build == 0 || build > INT64_MAX)
		return error_set(reterr, -EINVAL, "what is to be loaded has no valid name");
	r = holder_take(s, LAYOUT_LOADING, IS_LOADING, &fd, reterr);
	if (r < 0)
		return r;
	r = write_what(s, fd, base, letter, build);
	if (r < 0)
		return error_set(reterr, r, "what is to be loaded cannot be noted: %s", error_text(r));
	s->load_fd = take_fd(&fd);
	return 0;
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

/* "BASE BUILD LETTER"; nothing of it is believed before it was checked. */
static int parse_what(char *line, struct load_name *ret)
{
	char *build = strchr(line, ' '), *letter = build ? strchr(build + 1, ' ') : NULL;
	char *end = NULL;

	if (!letter)
		return -BSI_E_STATE;
	*build++ = '\0';
	*letter++ = '\0';
	letter[strcspn(letter, "\n")] = '\0';
	errno = 0;
	ret->build = strtoumax(build, &end, 10);
	if (errno != 0 || *end != '\0' || ret->build == 0 || ret->build > INT64_MAX ||
		base_id_check(line) < 0 || letter_check(letter) < 0)
		return -BSI_E_STATE;
	(void)snprintf(ret->base, sizeof ret->base, "%s", line);
	(void)snprintf(ret->letter, sizeof ret->letter, "%s", letter);
	return 0;
}

static int read_text(int fd, char ret[static TEXT_MAX])
{
	ssize_t n = pread(fd, ret, TEXT_MAX - 1, 0);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

/* The line behind the first one, or NULL. */
static char *next_line(char *text)
{
	char *end = text ? strchr(text, '\n') : NULL;

	return end ? end + 1 : NULL;
}

int store_load_look(const struct store *s, struct load_name *ret, struct error *words)
{
	AUTO_CLOSE int fd = -EBADF;
	char text[TEXT_MAX], who[HOLDER_TEXT_MAX], *what;
	int r = store_check_locked(s, words);

	if (r < 0)
		return r;
	fd = open_others(s);
	if (fd == -ENOENT)
		return 0;
	r = fd < 0 ? fd : read_text(fd, text);
	if (r < 0)
		return error_set(words, r, "who loads cannot be found out: %s", error_text(r));
	holder_words(text, who);
	what = next_line(text);
	r = what ? parse_what(what, ret) : -BSI_E_STATE;
	if (r < 0)
		return error_set(words, r, "%s " IS_LOADING ", and does not say which", who);
	(void)error_set(words, -BSI_E_BUSY, "%s " IS_LOADING, who);
	return 1;
}

/* A line more in the lock's file. */
int store_load_stop(struct store *s, struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	char self[HOLDER_TEXT_MAX], line[HOLDER_TEXT_MAX + 1];
	struct stat st;
	int r = store_check_locked(s, reterr);

	if (r < 0)
		return r;
	fd = open_others(s);
	if (fd == -ENOENT)
		return 0;
	holder_self(s, self);
	(void)snprintf(line, sizeof line, "%s\n", self);
	r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : 0;
	if (r == 0)
		r = file_pwrite_all(fd, line, strlen(line), (uint64_t)st.st_size);
	return r < 0 ? error_set(reterr, r, "who loads cannot be told to stop: %s", error_text(r)) : 0;
}

bool store_load_is_stopped(const struct store *s, struct error *words)
{
	char text[TEXT_MAX], who[HOLDER_TEXT_MAX];
	const char *line;

	if (s->load_fd < 0 || read_text(s->load_fd, text) < 0)
		return false;
	line = next_line(next_line(text));
	if (!line || *line == '\0')
		return false;
	holder_words(line, who);
	(void)error_set(words, -BSI_E_DENIED, "%s", who);
	return true;
}
