/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "image/file_seal.h"
#include "image/payload.h"
#include "image/reader.h"
#include "publish/scratch.h"

#define CHUNK_BYTES (1U << 18)

static int write_at(void *ctx, uint64_t offset, const void *data, size_t len)
{
	return file_pwrite_all(*(int *)ctx, data, len, offset);
}

static int read_at(void *ctx, uint64_t offset, void *data, size_t len)
{
	return file_pread_all(*(int *)ctx, data, len, offset);
}

static int feed(struct payload_decoder *decoder, int fd, const struct component *c,
	const struct payload *payload, const struct build_progress *progress,
	struct error *reterr)
{
	AUTO_FREE uint8_t *chunk = malloc(CHUNK_BYTES);
	uint64_t at = 0;

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(fd, chunk, CHUNK_BYTES, (off_t)at);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		at += (uint64_t)n;
		r = payload_decoder_feed(decoder, chunk, (size_t)n, reterr);
		if (r < 0)
			return r;
		if (progress && progress->show)
			progress->show(progress->ctx, c->name, at, payload->size);
	}
}

static int decode(int fd, int image_fd, const struct component *c, const struct payload *payload,
	const struct build_progress *progress, struct image_seal *ret, struct error *reterr)
{
	AUTO(payload_decoder) struct payload_decoder *decoder = NULL;
	const struct image_sink sink = {.ctx = &image_fd, .write = write_at};
	int r;

	r = payload_decoder_new(payload->memory_bytes, c->image.size, c->image.salt, &sink,
		&decoder);
	if (r == 0)
		r = feed(decoder, fd, c, payload, progress, reterr);
	return r < 0 ? r : payload_decoder_finish(decoder, ret, reterr);
}

/* Digest, size and seal are those that were signed, and the stored tree is the recomputed one. */
static int check_seal(int image_fd, const struct component *c, const struct image_seal *seal,
	struct error *reterr)
{
	const struct image_source source = {.ctx = &image_fd, .read = read_at};
	struct digest digest, file_seal;
	uint64_t size;
	int r;

	r = file_digest(image_fd, &digest, &size);
	if (r < 0)
		return r;
	if (size != c->image.size || !digest_equal(&digest, &c->image.digest))
		return error_set(reterr, -BSI_E_DIGEST,
			"its payload does not give the image that was signed");
	if (!digest_equal(&seal->root, &c->image.root) ||
		seal->tree_offset != c->image.tree_offset ||
		memcmp(seal->salt, c->image.salt, sizeof seal->salt) != 0)
		return error_set(reterr, -BSI_E_UNSEALED, "the seal is not the image's");
	r = image_file_seal(&source, size, &file_seal);
	if (r == 0 && !digest_equal(&file_seal, &c->image.fs_verity))
		r = error_set(reterr, -BSI_E_UNSEALED, "the fs-verity digest is not the image's");
	if (r < 0)
		return r;
	return image_tree_verify(&source, seal, reterr);
}

static int digest_content(int image_fd, uint64_t offset, uint64_t size, struct digest *ret)
{
	AUTO(hasher) struct hasher *hasher = NULL;
	AUTO_FREE uint8_t *chunk = malloc(CHUNK_BYTES);
	int r;

	if (!chunk)
		return -ENOMEM;
	r = hasher_new(&hasher);
	while (r == 0 && size > 0) {
		size_t len = size < CHUNK_BYTES ? (size_t)size : CHUNK_BYTES;

		r = read_at(&image_fd, offset, chunk, len);
		hasher_update(hasher, chunk, len);
		offset += len;
		size -= len;
	}
	return r < 0 ? r : hasher_final(hasher, ret);
}

static bool is_privileged(const struct image_entry *e)
{
	if (e->mode & (S_ISUID | S_ISGID))
		return true;
	for (size_t i = 0; i < e->n_xattrs; i++)
		if (strcmp(e->xattrs[i].name, "security.capability") == 0)
			return true;
	return false;
}

/* What an inode of the image gives to whom. */
static int read_access(const struct image_entry *e, struct file_access *ret)
{
	struct access_value values[ACCESS_ATTRIBUTE_MAX] = {0};

	*ret = (struct file_access){.uid = e->uid, .gid = e->gid, .mode = e->mode & 07777};
	for (size_t i = 0; i < e->n_xattrs; i++)
		for (size_t k = 0; k < ACCESS_ATTRIBUTE_MAX; k++)
			if (strcmp(e->xattrs[i].name, access_attribute_names[k]) == 0)
				values[k] = (struct access_value){
					e->xattrs[i].value, e->xattrs[i].value_len};
	return access_set_attributes(ret, values);
}

static const struct patched_file *find_file(const struct component *c, const char *path)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (strcmp(c->files[i].path, path) == 0)
			return &c->files[i];
	return NULL;
}

static int check_entry(int image_fd, const struct image_reader *reader, size_t i,
	const struct component *c, struct error *reterr)
{
	const struct image_entry *e = &image_reader_entries(reader, &(size_t){0})[i];
	const struct patched_file *f = find_file(c, e->path);
	const struct image_entry *inode =
		e->hardlink_to ? image_reader_find(reader, e->hardlink_to) : e;
	struct file_access access;
	struct digest digest;
	int r;

	if (!f || !inode)
		return error_set(reterr, -BSI_E_FORMAT,
			"the image holds %s, which the manifest does not list", e->path);
	r = read_access(inode, &access);
	if (r < 0)
		return r;
	if (!S_ISREG(inode->mode) || !access_equal(&access, &f->access) || inode->size != f->size)
		return error_set(reterr, -BSI_E_FORMAT,
			"%s has another owner, mode, size, capabilities or ACL in the image than in "
			"the manifest",
			e->path);
	if (is_privileged(inode) != f->privileged)
		return error_set(reterr, -BSI_E_FORMAT,
			"%s: the manifest is wrong about its privileges", e->path);
	r = digest_content(image_fd, image_reader_offset(reader, i), inode->size, &digest);
	if (r == 0 && !digest_equal(&digest, &f->digest))
		r = error_set(reterr, -BSI_E_DIGEST,
			"%s has another content in the image than in the manifest", e->path);
	return r;
}

static int check_files(int image_fd, const struct component *c, struct error *reterr)
{
	AUTO(image_reader) struct image_reader *reader = NULL;
	const struct image_source source = {.ctx = &image_fd, .read = read_at};
	const struct image_entry *entries;
	size_t n, n_files = 0;
	int r;

	r = image_reader_new(&source, c->image.tree_offset, &reader, reterr);
	if (r == 0)
		r = image_reader_check_canonical(reader, reterr);
	if (r < 0)
		return r;
	entries = image_reader_entries(reader, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (S_ISDIR(entries[i].mode) && !entries[i].hardlink_to)
			continue;
		r = check_entry(image_fd, reader, i, c, reterr);
		n_files++;
	}
	if (r == 0 && n_files != c->n_files)
		r = error_set(reterr, -BSI_E_FORMAT,
			"the image holds %zu files and the manifest lists %zu", n_files, c->n_files);
	return r;
}

int audit_payload(int payload_fd, const struct component *c, const struct payload *payload,
	const struct build_progress *progress, struct error *reterr)
{
	AUTO_CLOSE int image_fd = -EBADF;
	struct image_seal seal;
	int r;

	image_fd = scratch_open(reterr);
	if (image_fd < 0)
		return image_fd;
	r = decode(payload_fd, image_fd, c, payload, progress, &seal, reterr);
	if (r == 0)
		r = check_seal(image_fd, c, &seal, reterr);
	return r < 0 ? r : check_files(image_fd, c, reterr);
}
