/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/recipe.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "image/tree.h"

#define SALT_LABEL "bsi image salt 1"

void image_recipe_done(struct image_recipe *r)
{
	free(r->meta);
	free(r->extents);
	*r = (struct image_recipe){0};
}

/* The block after an extent of so many bytes, or -BSI_E_LIMIT beyond what an image may hold. */
static int extent_end(uint64_t offset, uint64_t length, uint64_t *ret)
{
	uint64_t end;

	if (!checked_add(offset, length, &end) || !checked_align(end, IMAGE_BLOCK_BYTES, &end) ||
		end > IMAGE_DATA_MAX_BYTES)
		return -BSI_E_LIMIT;
	*ret = end;
	return 0;
}

int image_recipe_check(const struct image_recipe *r)
{
	uint64_t at = r->meta_len;

	if (r->meta_len > IMAGE_META_MAX_BYTES || r->n_extents > IMAGE_ENTRIES_MAX)
		return -BSI_E_LIMIT;
	if (!r->meta || r->meta_len == 0 || r->meta_len % IMAGE_BLOCK_BYTES != 0)
		return -BSI_E_FORMAT;
	for (size_t i = 0; i < r->n_extents; i++) {
		const struct image_extent *x = &r->extents[i];
		int e;

		if (x->offset != at || x->length == 0)
			return -BSI_E_FORMAT;
		e = extent_end(at, x->length, &at);
		if (e < 0)
			return e;
	}
	return at == r->data_bytes ? 0 : -BSI_E_FORMAT;
}

uint64_t image_recipe_content_bytes(const struct image_recipe *r)
{
	uint64_t sum = 0;

	/* image_recipe_check() has bounded it far below the type's end */
	for (size_t i = 0; i < r->n_extents; i++)
		sum += r->extents[i].length;
	return sum;
}

uint64_t image_recipe_image_bytes(const struct image_recipe *r)
{
	return r->data_bytes + image_tree_bytes(r->data_bytes);
}

int image_recipe_salt(const struct image_recipe *r, uint8_t ret_salt[static IMAGE_SALT_BYTES])
{
	AUTO_DONE(buffer) struct buffer lengths = buffer_of(IMAGE_RECIPE_MAX_BYTES);
	AUTO(hasher) struct hasher *h = NULL;
	struct digest d;
	int e;

	e = hasher_new(&h);
	if (e < 0)
		return e;
	for (size_t i = 0; i < r->n_extents; i++)
		buffer_put_u64le(&lengths, r->extents[i].length);
	if (lengths.err)
		return lengths.err;
	hasher_update(h, SALT_LABEL, sizeof(SALT_LABEL) - 1);
	hasher_update(h, r->meta, r->meta_len);
	hasher_update(h, lengths.data, lengths.len);
	e = hasher_final(h, &d);
	if (e < 0)
		return e;
	memcpy(ret_salt, d.bytes, IMAGE_SALT_BYTES);
	return 0;
}

int image_recipe_encode(const struct image_recipe *r, struct buffer *out)
{
	int e = image_recipe_check(r);

	if (e < 0)
		return e;
	buffer_put_u32le(out, (uint32_t)r->meta_len);
	buffer_put_u32le(out, (uint32_t)r->n_extents);
	buffer_put(out, r->meta, r->meta_len);
	for (size_t i = 0; i < r->n_extents; i++)
		buffer_put_varint(out, r->extents[i].length);
	return out->err;
}

static int extents_decode(struct reader *in, struct image_recipe *recipe)
{
	uint64_t at = recipe->meta_len;

	for (size_t i = 0; i < recipe->n_extents; i++) {
		uint64_t length = reader_varint(in);
		int e;

		if (in->err)
			return in->err;
		recipe->extents[i] = (struct image_extent){at, length, IMAGE_EXTENT_NO_ENTRY};
		e = extent_end(at, length, &at);
		if (e < 0)
			return e;
	}
	recipe->data_bytes = at;
	return reader_finish(in);
}

int image_recipe_decode(const void *data, size_t len, struct image_recipe *ret)
{
	AUTO_DONE(image_recipe) struct image_recipe recipe = {0};
	struct reader in = reader_of(data, len);
	const uint8_t *meta;
	int e;

	recipe.meta_len = reader_u32le(&in);
	recipe.n_extents = reader_u32le(&in);
	if (in.err)
		return in.err;
	if (recipe.meta_len > IMAGE_META_MAX_BYTES || recipe.n_extents > IMAGE_ENTRIES_MAX)
		return -BSI_E_LIMIT;
	meta = reader_take(&in, recipe.meta_len);
	/* each extent takes a byte or more: memory only for what the input can hold */
	if (!meta || recipe.n_extents > reader_left(&in))
		return -BSI_E_FORMAT;
	recipe.meta = malloc(recipe.meta_len + 1);
	recipe.extents = calloc(recipe.n_extents + 1, sizeof(*recipe.extents));
	if (!recipe.meta || !recipe.extents)
		return -ENOMEM;
	memcpy(recipe.meta, meta, recipe.meta_len);
	e = extents_decode(&in, &recipe);
	if (e < 0)
		return e;
	e = image_recipe_check(&recipe);
	if (e < 0)
		return e;
	*ret = recipe;
	recipe = (struct image_recipe){0};
	return 0;
}
