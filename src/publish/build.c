/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "image/file_seal.h"
#include "image/payload.h"
#include "image/writer.h"
#include "publish/layout.h"
#include "publish/scratch.h"

#define CHUNK_BYTES (1U << 20)

/* Where the contents go: to the image's writer or to the payload's encoder. */
struct consumer {
	struct image_writer *writer;
	struct payload_encoder *encoder;
};

static int consume(const struct consumer *to, const void *data, size_t len)
{
	return to->writer ? image_writer_feed(to->writer, data, len)
			  : payload_encoder_feed(to->encoder, data, len);
}

struct feeding {
	struct state *to;
	const struct plan_component *component;
	const struct consumer *consumer;
	const struct build_progress *progress;
	uint64_t done_bytes, total_bytes;
	struct hasher *hasher;
	uint8_t *chunk;
	struct error *reterr;
};

/* One file's content; its digest is what the plan, and so the manifest, says. */
static int feed_file(struct feeding *f, const struct state_file *file)
{
	struct digest found;
	int r;

	for (uint64_t at = 0; at < file->size_bytes;) {
		size_t len = CHUNK_BYTES;

		if (file->size_bytes - at < len)
			len = (size_t)(file->size_bytes - at);
		r = state_read(f->to, file, at, f->chunk, len, f->reterr);
		if (r < 0)
			return r;
		hasher_update(f->hasher, f->chunk, len);
		r = consume(f->consumer, f->chunk, len);
		if (r < 0)
			return error_set(f->reterr, r, "component %s: %s: %s", f->component->name,
				file->path, error_text(r));
		at += len;
		f->done_bytes += len;
		if (f->progress && f->progress->show)
			f->progress->show(f->progress->ctx, f->component->name, f->done_bytes,
				f->total_bytes);
	}
	r = hasher_final(f->hasher, &found);
	if (r == 0 && !digest_equal(&found, &file->digest))
		return error_set(f->reterr, -BSI_E_DIGEST, "%s: %s changed while it was read",
			f->to->name, file->path);
	return r;
}

static int feed(struct state *to, const struct plan_component *c, const struct layout *l,
	const struct consumer *consumer, const struct build_progress *progress,
	struct error *reterr)
{
	AUTO(hasher) struct hasher *hasher = NULL;
	AUTO_FREE uint8_t *chunk = malloc(CHUNK_BYTES);
	struct feeding f = {.to = to,
		.component = c,
		.consumer = consumer,
		.progress = progress,
		.total_bytes = image_recipe_content_bytes(&l->recipe),
		.chunk = chunk,
		.reterr = reterr};
	int r;

	if (!chunk)
		return -ENOMEM;
	r = hasher_new(&hasher);
	f.hasher = hasher;
	for (size_t i = 0; r == 0 && i < l->recipe.n_extents; i++)
		r = feed_file(&f, c->files[l->recipe.extents[i].entry].row->to);
	return r;
}

static int write_image_at(void *ctx, uint64_t offset, const void *data, size_t len)
{
	return file_pwrite_all(*(int *)ctx, data, len, offset);
}

static int read_image_at(void *ctx, uint64_t offset, void *data, size_t len)
{
	return file_pread_all(*(int *)ctx, data, len, offset);
}

static int write_image(struct state *to, const struct plan_component *c, const struct layout *l,
	int image_fd, struct image_ref *image, struct error *reterr)
{
	AUTO(image_writer) struct image_writer *writer = NULL;
	struct consumer consumer = {};
	struct image_sink sink = {.ctx = &image_fd, .write = write_image_at};
	struct image_source source = {.ctx = &image_fd, .read = read_image_at};
	struct image_seal seal;
	int r;

	r = image_recipe_salt(&l->recipe, image->salt);
	if (r == 0)
		r = image_writer_new(&l->recipe, image->salt, &sink, &writer);
	if (r < 0)
		return r;
	consumer.writer = writer;
	r = feed(to, c, l, &consumer, NULL, reterr);
	if (r == 0)
		r = image_writer_finish(writer, &seal, reterr);
	if (r < 0)
		return r;
	image->root = seal.root;
	image->tree_offset = seal.tree_offset;
	r = file_digest(image_fd, &image->digest, &image->size);
	if (r == 0 && image->size != seal.image_bytes)
		r = error_set(reterr, -EIO, "component %s: the image is not whole on disk",
			c->name);
	return r < 0 ? r : image_file_seal(&source, image->size, &image->fs_verity);
}

int build_image(struct state *to, const struct plan_component *c, int image_fd,
	struct image_ref *ret, struct error *reterr)
{
	AUTO_CLOSE int scratch_fd = -EBADF;
	struct image_ref image = {};
	struct layout l = {};
	int r;

	if (image_fd < 0) {
		scratch_fd = scratch_open(reterr);
		if (scratch_fd < 0)
			return scratch_fd;
		image_fd = scratch_fd;
	}
	r = layout_make(to, c, &l, reterr);
	if (r == 0)
		r = write_image(to, c, &l, image_fd, &image, reterr);
	layout_done(&l);
	if (r == 0)
		*ret = image;
	return r;
}

struct payload_file {
	int fd;
	struct hasher *hasher;
	uint64_t bytes;
};

static int write_payload(void *ctx, const void *data, size_t len)
{
	struct payload_file *p = ctx;

	hasher_update(p->hasher, data, len);
	p->bytes += len;
	return file_write_all(p->fd, data, len);
}

static unsigned count_workers(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > BUILD_WORKERS_MAX ? BUILD_WORKERS_MAX : (unsigned)n;
}

static int write_frame(struct state *to, const struct plan_component *c, const struct layout *l,
	struct payload_file *file, const struct build_progress *progress, struct error *reterr)
{
	AUTO(payload_encoder) struct payload_encoder *encoder = NULL;
	struct byte_sink sink = {.ctx = file, .write = write_payload};
	struct consumer consumer = {};
	int r;

	r = payload_encoder_new(&l->recipe, PAYLOAD_LEVEL, count_workers(), &sink, &encoder);
	if (r < 0)
		return error_set(reterr, r, "component %s: %s", c->name, error_text(r));
	consumer.encoder = encoder;
	r = feed(to, c, l, &consumer, progress, reterr);
	return r < 0 ? r : payload_encoder_finish(encoder, reterr);
}

int build_payload(struct state *to, const struct plan_component *c, int payload_fd,
	const struct build_progress *progress, struct build_payload *ret, struct error *reterr)
{
	AUTO(hasher) struct hasher *hasher = NULL;
	struct payload_file file = {.fd = payload_fd};
	struct build_payload payload = {};
	struct layout l = {};
	int r;

	r = hasher_new(&hasher);
	if (r < 0)
		return r;
	file.hasher = hasher;
	r = layout_make(to, c, &l, reterr);
	if (r == 0)
		r = write_frame(to, c, &l, &file, progress, reterr);
	if (r == 0)
		r = hasher_final(hasher, &payload.digest);
	payload.size_bytes = file.bytes;
	if (r == 0)
		payload.memory_bytes = payload_memory_bytes(&l.recipe);
	layout_done(&l);
	if (r == 0)
		*ret = payload;
	return r;
}

int build_memory(struct state *to, const struct plan_component *c, uint64_t *ret_bytes,
	struct error *reterr)
{
	struct layout l = {};
	int r;

	r = layout_make(to, c, &l, reterr);
	if (r == 0)
		*ret_bytes = payload_memory_bytes(&l.recipe);
	layout_done(&l);
	return r;
}
