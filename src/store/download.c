/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/durable.h"
#include "store/layout.h"
#include "store/space.h"

static int prepare(int fd, uint64_t size, uint64_t *ret_have, struct error *reterr)
{
	struct stat st;
	uint64_t have;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return error_set(reterr, -BSI_E_STATE, "a part of a download is no file");
	have = (uint64_t)st.st_size;
	/* more than the object has: these bytes are of nothing we know */
	have = have > size ? 0 : have - have % STORE_DOWNLOAD_STEP_BYTES;
	if (ftruncate(fd, (off_t)have) < 0)
		return -errno;
	r = space_reserve(fd, size, SPACE_KEEP_SIZE, "the download", reterr);
	if (r < 0)
		return r;
	*ret_have = have;
	return 0;
}

int store_download_open(struct store *s, const struct digest *digest, uint64_t size, int *ret_fd,
	uint64_t *ret_have, struct error *reterr)
{
	struct layout_path path = layout_download(digest);
	AUTO_CLOSE int fd = -EBADF;
	struct error reason = {0};
	int r;

	r = store_check_loading(s, reterr);
	if (r < 0)
		return r;
	fd = file_open_beneath(s->dir_fd, path.text, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
	r = fd < 0 ? fd : prepare(fd, size, ret_have, &reason);
	if (r < 0)
		return error_set(reterr, r, "%s",
			reason.text[0] ? reason.text : error_text(r));
	*ret_fd = take_fd(&fd);
	return 0;
}

int store_download_done(struct store *s, const struct digest *digest)
{
	struct layout_path path = layout_download(digest);
	int r;

	r = store_check_loading(s, NULL);
	return r < 0 ? r : durable_remove(s->dir_fd, path.text);
}

struct keeping {
	const struct store *s;
	const struct digest *keep;
	size_t n_keep;
};

static int drop_unless_kept(void *ctx, const char *name)
{
	const struct keeping *k = ctx;
	char path[512];
	int n;

	n = snprintf(path, sizeof path, LAYOUT_DOWNLOADS "/%s", name);
	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < k->n_keep; i++)
		if (strcmp(layout_download(&k->keep[i]).text, path) == 0)
			return 0;
	return file_remove_tree(k->s->dir_fd, path);
}

int store_download_collect(struct store *s, const struct digest *keep, size_t n_keep,
	struct error *reterr)
{
	struct keeping k = {s, keep, n_keep};
	int r;

	r = store_check_locked(s, reterr);
	if (r < 0)
		return r;
	r = store_is_loading_elsewhere(s);
	if (r > 0)
		return 0;
	if (r == 0)
		r = layout_each(s, LAYOUT_DOWNLOADS, drop_unless_kept, &k);
	if (r < 0)
		return error_set(reterr, r, "parts of downloads cannot be removed: %s",
			error_text(r));
	return 0;
}
