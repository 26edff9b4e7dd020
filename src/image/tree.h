/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The hash tree at the end of an image: dm-verity format 1, SHA-256, blocks of 4096 bytes, salt
 * first, superblock in front (Linux admin-guide/device-mapper/verity; cryptsetup's wiki page
 * DMVerity). It is built while the data passes by; memory is one block for each level.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "image/recipe.h"
#include "image/sink.h"

/* What the manifest signs. root and salt are all that a kernel needs to check every later read. */
struct image_seal {
	struct digest root;
	uint8_t salt[IMAGE_SALT_BYTES];
	uint64_t tree_offset; /* of the superblock; the data's size in bytes */
	uint64_t image_bytes; /* the whole file */
};

struct image_tree;

/* data_bytes: a multiple of the block size, not 0, at most IMAGE_DATA_MAX_BYTES. */
int image_tree_new(uint64_t data_bytes, const uint8_t salt[static IMAGE_SALT_BYTES],
	const struct image_sink *sink, struct image_tree **ret) MUST_CHECK;
void image_tree_free(struct image_tree *t);
DEFINE_FREEP(image_tree)

/* The next whole blocks of data. The tree's own blocks go to the sink as they fill. */
int image_tree_feed(struct image_tree *t, const void *blocks, size_t len) MUST_CHECK;

/* Blocks that are not full yet, and the superblock. -BSI_E_FORMAT if data is missing. */
int image_tree_finish(struct image_tree *t, struct image_seal *ret) MUST_CHECK;

/* Superblock and tree for so much data; 0 if data_bytes is no size for an image. */
uint64_t image_tree_bytes(uint64_t data_bytes);

/*
 * Read a whole image and compare with a seal: the recomputed root, and every byte of the stored
 * tree and its superblock. 0, -BSI_E_UNSEALED (with the place in *reterr), -BSI_E_LIMIT or
 * -BSI_E_FORMAT for a seal that no image can have, or what the source returns.
 */
int image_tree_verify(const struct image_source *source, const struct image_seal *seal,
	struct error *reterr) MUST_CHECK;
