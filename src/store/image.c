/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/file.h"
#include "store/durable.h"
#include "store/layout.h"
#include "store/space.h"

struct store_image {
	struct store *s; /* borrowed */
	struct digest digest;
	uint64_t size;
	int fd;
	bool is_pending; /* the unfinished file has its name */
};

void store_image_abort(struct store_image *image)
{
	struct layout_path path = layout_new_image(&image->digest);

	if (image->is_pending)
		(void)unlinkat(image->s->dir_fd, path.text, 0);
	image->is_pending = false;
}

void store_image_free(struct store_image *image)
{
	if (!image)
		return;
	store_image_abort(image);
	if (image->fd >= 0)
		(void)close(image->fd);
	free(image);
}

int store_image_begin(struct store *s, const struct digest *digest, uint64_t size_bytes,
	struct store_image **ret, struct error *reterr)
{
	AUTO(store_image) struct store_image *image = NULL;
	struct layout_path path = layout_new_image(digest);
	int r;

	r = store_check_loading(s, reterr);
	if (r < 0)
		return r;
	image = malloc(sizeof *image);
	if (!image)
		return -ENOMEM;
	*image = (struct store_image){.s = s, .digest = *digest, .size = size_bytes, .fd = -EBADF};

	/* another file than before: nobody who had the old one open can write into this one */
	if (unlinkat(s->dir_fd, path.text, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0) {
		image->fd = file_open_beneath(s->dir_fd, path.text, O_RDWR | O_CREAT | O_EXCL, 0600);
		r = image->fd < 0 ? image->fd : 0;
	}
	if (r < 0)
		return error_set(reterr, r, "a new image cannot be made: %s", error_text(r));
	image->is_pending = true;
	r = space_reserve(image->fd, size_bytes, SPACE_SET_SIZE, "the image", reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(image);
	return 0;
}

int store_image_fd(const struct store_image *image)
{
	return image->fd;
}

int store_image_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	const struct store_image *image = ctx;
	uint64_t end;

	if (!checked_add(offset, len, &end) || end > image->size)
		return -BSI_E_LIMIT;
	return file_pwrite_all(image->fd, data, len, offset);
}

static int measure(const struct store_image *image, struct error *reterr)
{
	struct digest_hex want = digest_format(&image->digest), is;
	struct digest found;
	uint64_t size;
	int r;

	r = file_digest(image->fd, &found, &size);
	if (r < 0)
		return error_set(reterr, r, "image %s cannot be read back: %s", want.text,
			error_text(r));
	is = digest_format(&found);
	if (size != image->size)
		return error_set(reterr, -BSI_E_DIGEST,
			"image %s has %" PRIu64 " bytes instead of %" PRIu64, want.text, size,
			image->size);
	if (!digest_equal(&found, &image->digest))
		return error_set(reterr, -BSI_E_DIGEST, "image %s was assembled with digest %s",
			want.text, is.text);
	return 0;
}

static int commit(struct store_image *image, struct error *reterr)
{
	struct layout_path from = layout_new_image(&image->digest);
	struct layout_path to = layout_image(&image->digest);
	int r;

	/* first on the disk, then measured: a write error shows here, not after the measuring */
	r = durable_sync(image->fd);
	if (r == 0) {
		r = measure(image, reterr);
		if (r < 0)
			return r;
		r = durable_rename(image->s->dir_fd, from.text, to.text);
	}
	if (r < 0)
		return error_set(reterr, r, "image %s cannot be stored: %s",
			digest_format(&image->digest).text, error_text(r));
	image->is_pending = false;
	return 0;
}

int store_image_commit(struct store_image *image, struct error *reterr)
{
	int r;

	if (!image->is_pending)
		return error_set(reterr, -EINVAL, "the image was committed or aborted before");
	r = commit(image, reterr);
	if (r < 0)
		store_image_abort(image);
	return r;
}

int store_image_open(struct store *s, const struct digest *digest, int *ret_fd)
{
	struct layout_path path = layout_image(digest);
	AUTO_CLOSE int fd = -EBADF;
	struct stat st;

	fd = file_open_beneath(s->dir_fd, path.text, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -BSI_E_STATE;
	*ret_fd = take_fd(&fd);
	return 0;
}

int store_image_folder(struct store *s, int *ret_fd)
{
	int fd = file_open_beneath(s->dir_fd, LAYOUT_IMAGES, O_RDONLY | O_DIRECTORY, 0);

	if (fd == -ENOENT)
		fd = file_open_beneath(s->dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

bool store_has_image(struct store *s, const struct digest *digest)
{
	struct layout_path path = layout_image(digest);
	struct stat st;

	return fstatat(s->dir_fd, path.text, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

int store_image_remove(struct store *s, const struct digest *digest, struct error *reterr)
{
	struct layout_path path = layout_image(digest);
	int r;

	r = store_check_locked(s, reterr);
	if (r < 0)
		return r;
	r = durable_remove(s->dir_fd, path.text);
	if (r < 0)
		return error_set(reterr, r, "image %s cannot be removed: %s",
			digest_format(digest).text, error_text(r));
	return 0;
}
