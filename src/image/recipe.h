/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * How an image is put together: its metadata blocks, and where each file's content lies. The
 * publisher plans it from entries; the device takes it from a payload. Both give it to the one
 * writer (image/writer.h), so both get the same bytes. Format: docs/formats/image.md.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/error.h"
#include "image/entry.h"

#define IMAGE_SALT_BYTES 32

/* The byte form of a recipe: at most the metadata, and ten bytes for each extent. */
#define IMAGE_RECIPE_MAX_BYTES (IMAGE_META_MAX_BYTES + 10U * IMAGE_ENTRIES_MAX + 8U)

#define IMAGE_EXTENT_NO_ENTRY ((size_t)-1)

/* The content of one file: one run of blocks, the rest of the last block is zero. */
struct image_extent {
	uint64_t offset; /* multiple of the block size */
	uint64_t length; /* bytes, not 0 */
	size_t entry; /* index into the entries it was planned from, else IMAGE_EXTENT_NO_ENTRY */
};

/*
 * The image is meta (whole blocks, superblock included), then the extents, each from the first
 * block after the one before it, nothing between them. Hard links share an extent, empty files have
 * none.
 */
struct image_recipe {
	uint8_t *meta;
	size_t meta_len;
	struct image_extent *extents;
	size_t n_extents;
	uint64_t data_bytes; /* metadata and extents with their padding; the tree follows */
};

/*
 * Plan an image. The order of entries has no effect but on image_extent.entry. Parents that are
 * missing are added as root:root 0755; the root directory is that, too.
 *
 * Returns 0, -ENOMEM, -BSI_E_PATH (malformed or double path, a parent that is no directory),
 * -BSI_E_LIMIT, or -BSI_E_FORMAT (another file type, an xattr that EROFS cannot hold, a hard link
 * to nothing); *reterr names the path.
 */
int image_recipe_plan(const struct image_entry *entries, size_t n, struct image_recipe *ret,
	struct error *reterr) MUST_CHECK;
void image_recipe_done(struct image_recipe *r); /* fit for AUTO_DONE */

/* Every rule on the struct that the writer relies on: 0, -BSI_E_FORMAT or -BSI_E_LIMIT. */
int image_recipe_check(const struct image_recipe *r) MUST_CHECK;

/* Bytes of content that the writer wants: the sum of the extents' lengths. */
uint64_t image_recipe_content_bytes(const struct image_recipe *r);

/* The size of the finished image: data, the tree's superblock, the tree. */
uint64_t image_recipe_image_bytes(const struct image_recipe *r);

/* A salt that depends on nothing but the recipe, so that the same input gives the same image. */
int image_recipe_salt(
	const struct image_recipe *r, uint8_t ret_salt[static IMAGE_SALT_BYTES]) MUST_CHECK;

/*
 * Byte form, as payloads carry it (docs/formats/payload.md, "Recipe"). The decoder checks every
 * rule; it is given exactly the bytes of one recipe: -BSI_E_FORMAT, -BSI_E_LIMIT, -ENOMEM.
 */
int image_recipe_encode(const struct image_recipe *r, struct buffer *out) MUST_CHECK;
int image_recipe_decode(const void *data, size_t len, struct image_recipe *ret) MUST_CHECK;
