/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch/local.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "fetch/url.h"

#define PIECE_BYTES (256U << 10)

static int open_regular(const char *url, int *ret_fd, uint64_t *ret_size, struct error *reterr)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -EBADF;
	struct stat st;
	int r = fetch_url_local_path(url, &path, reterr);

	if (r < 0)
		return r;
	/* O_NONBLOCK: a FIFO in the way must not hang us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return error_set(
			reterr, -BSI_E_MISSING, "%s: no such file", fetch_url_shown(url).text);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(reterr, -BSI_E_TRANSFER, "%s: cannot be opened: %s",
			fetch_url_shown(url).text, error_text(-errno));
	if (!S_ISREG(st.st_mode))
		return error_set(reterr, -BSI_E_TRANSFER, "%s: not a regular file",
			fetch_url_shown(url).text);
	*ret_fd = take_fd(&fd);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int check_size(const struct fetch_request *q, uint64_t size, struct error *reterr)
{
	if (q->exact_bytes && size != q->exact_bytes)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the file has %" PRIu64 " bytes, %" PRIu64 " were expected",
			fetch_url_shown(q->url).text, size, q->exact_bytes);
	if (size > q->max_bytes)
		return error_set(reterr, -BSI_E_LIMIT,
			"%s: the file has %" PRIu64 " bytes, at most %" PRIu64 " are allowed",
			fetch_url_shown(q->url).text, size, q->max_bytes);
	return 0;
}

/* One piece at ret->bytes; the number of bytes, 0 at the end. */
static ssize_t copy_piece(const struct fetch_request *q, int fd, uint8_t *piece, uint64_t size,
	struct fetch_result *ret, struct error *reterr)
{
	uint64_t left = size - ret->bytes;
	ssize_t n;
	int r;

	do
		n = pread(fd, piece, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES,
			(off_t)ret->bytes);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_set(reterr, -BSI_E_TRANSFER, "%s: cannot be read: %s",
			fetch_url_shown(q->url).text, error_text(-errno));
	r = file_pwrite_all(q->out_fd, piece, (size_t)n, ret->bytes);
	if (r < 0)
		return error_set(reterr, r, "%s: cannot be written here: %s",
			fetch_url_shown(q->url).text, error_text(r));
	ret->bytes += (uint64_t)n;
	return n;
}

int local_get(const struct fetch_request *q, struct fetch_result *ret, struct error *reterr)
{
	AUTO_FREE uint8_t *piece = malloc(PIECE_BYTES);
	AUTO_CLOSE int fd = -EBADF;
	uint64_t size = 0;
	int r;

	if (!piece)
		return -ENOMEM;
	r = open_regular(q->url, &fd, &size, reterr);
	if (r < 0)
		return r;
	r = check_size(q, size, reterr);
	if (r < 0)
		return r;

	if (size < q->offset) {
		if (ftruncate(q->out_fd, 0) < 0)
			return error_set(reterr, -errno, "%s: cannot be written here: %s",
				fetch_url_shown(q->url).text, error_text(-errno));
		ret->restarted = true;
		ret->bytes = 0;
	}
	while (ret->bytes < size) {
		ssize_t n = copy_piece(q, fd, piece, size, ret, reterr);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return error_set(reterr, -BSI_E_TRANSFER,
				"%s: the file became shorter meanwhile",
				fetch_url_shown(q->url).text);
		r = q->progress ? q->progress(q->progress_ctx, ret->bytes, size) : 0;
		if (r)
			return error_set(reterr, r < 0 ? r : -ECANCELED, "%s: cancelled",
				fetch_url_shown(q->url).text);
	}
	return 0;
}
