/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "store/layout.h"

#define PURPOSE_MAX 40

void holder_self(const struct store *s, char ret[static HOLDER_TEXT_MAX])
{
	(void)snprintf(ret, HOLDER_TEXT_MAX, "%ld%s%.*s", (long)getpid(), s->purpose ? " " : "",
		PURPOSE_MAX, s->purpose ? s->purpose : "");
}

void holder_words(const char *line, char ret[static HOLDER_TEXT_MAX])
{
	const size_t digits = strspn(line, "0123456789");
	const char *purpose = line[digits] == ' ' ? line + digits + 1 : "";

	if (digits == 0)
		(void)snprintf(ret, HOLDER_TEXT_MAX, "another process");
	else
		(void)snprintf(ret, HOLDER_TEXT_MAX, "%s%.*s%s (process %.*s)",
			*purpose ? "'bsi " : "another process", (int)strcspn(purpose, "\n"), purpose,
			*purpose ? "'" : "", (int)digits, line);
}

void holder_read(int fd, char ret[static HOLDER_TEXT_MAX])
{
	char text[HOLDER_TEXT_MAX];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	holder_words(text, ret);
}

int holder_take(const struct store *s, const char *path, const char *is_doing, int *ret_fd,
	struct error *reterr)
{
	AUTO_CLOSE int fd = file_open_beneath(s->dir_fd, path, O_RDWR | O_CREAT, 0600);
	char text[HOLDER_TEXT_MAX];
	bool told;
	int r;

	if (fd < 0)
		return error_set(reterr, fd, "the lock \"%s\" cannot be opened: %s", path,
			error_text(fd));
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = -errno;
		if (r == -EWOULDBLOCK) {
			holder_read(fd, text);
			return error_set(reterr, -BSI_E_BUSY, "%s %s", text, is_doing);
		}
		if (r != -EINTR)
			return error_set(reterr, r, "the lock \"%s\" cannot be taken: %s", path,
				error_text(r));
	}
	/* on a full disk the words for others lack the number, nothing else */
	holder_self(s, text);
	told = ftruncate(fd, 0) == 0 && file_pwrite_all(fd, text, strlen(text), 0) == 0;
	(void)told;
	*ret_fd = take_fd(&fd);
	return 0;
}
