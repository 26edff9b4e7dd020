/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes for each write: large enough that the calls do not count, small beside the rest. */
#define CHUNK_BYTES (32U * IMAGE_BLOCK_BYTES)

struct image_writer {
	const struct image_recipe *recipe;
	struct image_sink sink;
	struct image_tree *tree;
	uint64_t at; /* offset of chunk in the image */
	size_t used; /* bytes in chunk */
	size_t extent;
	uint64_t extent_left; /* bytes of the current extent that are still to come */
	int err;
	uint8_t chunk[CHUNK_BYTES];
};

static int chunk_flush(struct image_writer *w)
{
	int r;

	if (w->used == 0)
		return 0;
	r = image_tree_feed(w->tree, w->chunk, w->used);
	if (r < 0)
		return r;
	r = w->sink.write(w->sink.ctx, w->at, w->chunk, w->used);
	if (r < 0)
		return r;
	w->at += w->used;
	w->used = 0;
	return 0;
}

static int emit(struct image_writer *w, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n = CHUNK_BYTES - w->used;
		int r;

		if (n > len)
			n = len;
		memcpy(w->chunk + w->used, data, n);
		w->used += n;
		data += n;
		len -= n;
		if (w->used < CHUNK_BYTES)
			return 0;
		r = chunk_flush(w);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A chunk is whole blocks, so the end of the block is always within it. */
static int emit_padding(struct image_writer *w)
{
	size_t n = (IMAGE_BLOCK_BYTES - w->used % IMAGE_BLOCK_BYTES) % IMAGE_BLOCK_BYTES;

	memset(w->chunk + w->used, 0, n);
	w->used += n;
	return w->used == CHUNK_BYTES ? chunk_flush(w) : 0;
}

static void next_extent(struct image_writer *w, size_t i)
{
	w->extent = i;
	w->extent_left = i < w->recipe->n_extents ? w->recipe->extents[i].length : 0;
}

int image_writer_new(const struct image_recipe *recipe, const uint8_t salt[static IMAGE_SALT_BYTES],
	const struct image_sink *sink, struct image_writer **ret)
{
	AUTO(image_writer) struct image_writer *w = NULL;
	int r;

	r = image_recipe_check(recipe);
	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->recipe = recipe;
	w->sink = *sink;
	r = image_tree_new(recipe->data_bytes, salt, sink, &w->tree);
	if (r < 0)
		return r;
	next_extent(w, 0);
	r = emit(w, recipe->meta, recipe->meta_len);
	if (r < 0)
		return r;
	*ret = take_ptr(w);
	return 0;
}

void image_writer_free(struct image_writer *w)
{
	if (!w)
		return;
	image_tree_free(w->tree);
	free(w);
}

int image_writer_feed(struct image_writer *w, const void *content, size_t len)
{
	const uint8_t *at = content;

	while (w->err == 0 && len > 0) {
		size_t n = w->extent_left < len ? (size_t)w->extent_left : len;

		if (w->extent == w->recipe->n_extents)
			return w->err = -BSI_E_LIMIT;
		w->err = emit(w, at, n);
		if (w->err < 0)
			break;
		at += n;
		len -= n;
		w->extent_left -= n;
		if (w->extent_left == 0) {
			w->err = emit_padding(w);
			next_extent(w, w->extent + 1);
		}
	}
	return w->err;
}

int image_writer_finish(struct image_writer *w, struct image_seal *ret, struct error *reterr)
{
	int r = w->err;

	if (r == 0 && w->extent < w->recipe->n_extents)
		return error_set(reterr, -BSI_E_FORMAT,
			"content is missing: %zu of %zu files have come", w->extent,
			w->recipe->n_extents);
	if (r == 0)
		r = chunk_flush(w);
	if (r == 0)
		r = image_tree_finish(w->tree, ret);
	if (r < 0)
		return error_set(reterr, r, "the image cannot be written: %s", error_text(r));
	w->err = -BSI_E_LIMIT; /* nothing may follow */
	return 0;
}
