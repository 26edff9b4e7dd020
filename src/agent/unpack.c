/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/unpack.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "delta/decode.h"
#include "image/payload.h"
#include "image/writer.h"

#define CHUNK_BYTES 65536

bool unpack_is_known(const struct payload *payload)
{
	if (strcmp(payload->kind, PAYLOAD_FULL_KIND) == 0)
		return payload->version == PAYLOAD_FULL_VERSION;
	return strcmp(payload->kind, PAYLOAD_KIND_DELTA) == 0 && payload->version == DELTA_VERSION;
}

static int unpack_full(const struct component *component, const struct payload *payload,
	int payload_fd, struct store_image *image, struct image_seal *ret, struct error *reterr)
{
	const struct image_ref *ref = &component->image;
	struct image_sink sink = {.ctx = image, .write = store_image_write};
	AUTO(payload_decoder) struct payload_decoder *decoder = NULL;
	uint8_t chunk[CHUNK_BYTES];
	off_t at = 0;
	ssize_t n;
	int r;

	r = payload_decoder_new(payload->memory_bytes, ref->size, ref->salt, &sink, &decoder);
	if (r < 0)
		return r;
	while ((n = pread(payload_fd, chunk, sizeof chunk, at)) > 0) {
		r = payload_decoder_feed(decoder, chunk, (size_t)n, reterr);
		if (r < 0)
			return r;
		at += n;
	}
	if (n < 0)
		return -errno;
	return payload_decoder_finish(decoder, ret, reterr);
}

/* A delta's contents are the image's extents in order; beside them stands the image's recipe. */
struct delta_work {
	const struct fit_component *c;
	struct store_image *image;
	struct image_recipe recipe;
	struct image_writer *writer;
	int payload_fd;
	off_t at;
};

static void delta_work_done(struct delta_work *w)
{
	image_writer_free(w->writer);
	image_recipe_done(&w->recipe);
}

static int64_t read_payload(void *ctx, void *into, size_t len)
{
	struct delta_work *w = ctx;
	ssize_t n = pread(w->payload_fd, into, len, w->at);

	if (n < 0)
		return -errno;
	w->at += n;
	return n;
}

static int take_meta(void *ctx, const uint8_t *meta, size_t len, const struct delta_header *h,
	struct error *reterr)
{
	struct delta_work *w = ctx;
	const struct image_ref *ref = &w->c->component->image;
	struct image_sink sink = {.ctx = w->image, .write = store_image_write};
	int r;

	r = image_recipe_decode(meta, len, &w->recipe);
	if (r < 0)
		return error_set(reterr, r, "the image's recipe: %s", error_text(r));
	if (image_recipe_image_bytes(&w->recipe) != ref->size ||
		image_recipe_content_bytes(&w->recipe) != h->output_bytes)
		return error_set(reterr, -BSI_E_FORMAT,
			"the delta makes an image of another size than was signed");
	return image_writer_new(&w->recipe, ref->salt, &sink, &w->writer);
}

/* The base file that the delta names, whole. Its digest is compared by who asked. */
static int load_base(void *ctx, uint32_t index, const struct delta_reference *reference,
	uint8_t *into, struct error *reterr)
{
	const struct delta_work *w = ctx;
	const struct component *component = w->c->component;
	uint64_t at = 0;
	int fd = -EBADF;

	(void)index;
	for (size_t k = 0; k < component->n_files; k++)
		if (strcmp(component->files[k].path, reference->path) == 0)
			fd = w->c->files[k];
	if (fd < 0)
		return error_set(reterr, -BSI_E_MISMATCH, "the delta wants a base file \"%s\"",
			reference->path);
	while (at < reference->bytes) {
		ssize_t n = pread(fd, into + at, (size_t)(reference->bytes - at), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(reterr, n < 0 ? -errno : -BSI_E_MISMATCH, "%s: %s",
				reference->path, n < 0 ? error_text(-errno) : "shorter than it was");
		at += (uint64_t)n;
	}
	return 0;
}

static int take_content(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct delta_work *w = ctx;

	(void)offset; /* contents come in order */
	return image_writer_feed(w->writer, data, len);
}

static int unpack_delta(const struct fit_component *c, const struct payload *payload,
	int payload_fd, struct store_image *image, struct image_seal *ret, struct error *reterr)
{
	__attribute__((cleanup(delta_work_done))) struct delta_work work = {
		.c = c, .image = image, .payload_fd = payload_fd};
	const struct delta_source source = {.ctx = &work, .read = read_payload};
	const struct delta_io io = {
		.ctx = &work, .meta = take_meta, .load = load_base, .write = take_content};
	int r;

	r = delta_decode(&source, payload->memory_bytes, &io, reterr);
	if (r == 0 && !work.writer)
		r = error_set(reterr, -BSI_E_FORMAT, "the delta carries no recipe of an image");
	return r < 0 ? r : image_writer_finish(work.writer, ret, reterr);
}

int unpack(const struct fit_component *c, const struct payload *payload, int payload_fd,
	struct store_image *image, struct error *reterr)
{
	const struct image_ref *ref = &c->component->image;
	struct image_seal seal;
	int r;

	if (strcmp(payload->kind, PAYLOAD_KIND_DELTA) == 0)
		r = unpack_delta(c, payload, payload_fd, image, &seal, reterr);
	else
		r = unpack_full(c->component, payload, payload_fd, image, &seal, reterr);
	if (r < 0)
		return r;
	if (seal.image_bytes != ref->size || seal.tree_offset != ref->tree_offset ||
		!digest_equal(&seal.root, &ref->root))
		return error_set(reterr, -BSI_E_UNSEALED,
			"the image that came out does not carry the signed seal");
	return 0;
}
