/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/erofs.h"

#define HASHES_PER_BLOCK (IMAGE_BLOCK_BYTES / DIGEST_BYTES)
#define LEVELS_MAX 3U /* 128^3 blocks of data are 8 GiB */
_Static_assert(
	IMAGE_DATA_MAX_BYTES / IMAGE_BLOCK_BYTES <= 1ULL << (7 * LEVELS_MAX), "enough levels");

#define SUPER_BYTES 512U
#define VERIFY_CHUNK_BYTES (16U * IMAGE_BLOCK_BYTES)

/* One level; level 0 holds the hashes of data blocks. Blocks before at are written. */
struct level {
	uint64_t at, end; /* offsets in the image */
	size_t used;      /* bytes in block */
	uint8_t block[IMAGE_BLOCK_BYTES];
};

struct image_tree {
	struct image_sink sink;
	struct hasher *hasher;
	uint8_t salt[IMAGE_SALT_BYTES];
	uint64_t data_bytes, fed;
	struct digest
		top; /* of the highest block once it is written; of the data if it is one block */
	unsigned int n_levels;
	int err;
	struct level levels[LEVELS_MAX];
};

/* Blocks in each level, lowest first, and how many levels; the last one is a single block. */
static unsigned int tree_shape(uint64_t data_bytes, uint64_t blocks[static LEVELS_MAX])
{
	uint64_t n = data_bytes / IMAGE_BLOCK_BYTES;
	unsigned int levels = 0;

	while (n > 1) {
		n = (n + HASHES_PER_BLOCK - 1) / HASHES_PER_BLOCK;
		blocks[levels++] = n;
	}
	return levels;
}

static bool is_data_size(uint64_t data_bytes)
{
	return data_bytes > 0 && data_bytes % IMAGE_BLOCK_BYTES == 0 &&
	       data_bytes <= IMAGE_DATA_MAX_BYTES;
}

uint64_t image_tree_bytes(uint64_t data_bytes)
{
	uint64_t blocks[LEVELS_MAX];
	uint64_t sum = 1; /* the superblock's */
	unsigned int n;

	if (!is_data_size(data_bytes))
		return 0;
	n = tree_shape(data_bytes, blocks);
	for (unsigned int i = 0; i < n; i++)
		sum += blocks[i];
	return sum * IMAGE_BLOCK_BYTES;
}

int image_tree_new(uint64_t data_bytes, const uint8_t salt[static IMAGE_SALT_BYTES],
	const struct image_sink *sink, struct image_tree **ret)
{
	AUTO(image_tree) struct image_tree *t = NULL;
	uint64_t blocks[LEVELS_MAX];
	uint64_t at = data_bytes + IMAGE_BLOCK_BYTES;
	int e;

	if (!is_data_size(data_bytes))
		return -BSI_E_LIMIT;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	e = hasher_new(&t->hasher);
	if (e < 0)
		return e;
	t->sink = *sink;
	t->data_bytes = data_bytes;
	memcpy(t->salt, salt, IMAGE_SALT_BYTES);
	t->n_levels = tree_shape(data_bytes, blocks);
	/* the root's block comes first, the lowest level last */
	for (unsigned int i = t->n_levels; i-- > 0;) {
		t->levels[i].at = at;
		at += blocks[i] * IMAGE_BLOCK_BYTES;
		t->levels[i].end = at;
	}
	*ret = take_ptr(t);
	return 0;
}

void image_tree_free(struct image_tree *t)
{
	if (!t)
		return;
	hasher_free(t->hasher);
	free(t);
}

static int hash_block(struct image_tree *t, const uint8_t *block, struct digest *ret)
{
	hasher_update(t->hasher, t->salt, IMAGE_SALT_BYTES);
	hasher_update(t->hasher, block, IMAGE_BLOCK_BYTES);
	return hasher_final(t->hasher, ret);
}

/* Write what a level holds and put its hash one level up. */
static int level_flush(struct image_tree *t, unsigned int i, struct digest *ret)
{
	struct level *l = &t->levels[i];
	int r;

	memset(l->block + l->used, 0, IMAGE_BLOCK_BYTES - l->used);
	r = hash_block(t, l->block, ret);
	if (r < 0)
		return r;
	r = t->sink.write(t->sink.ctx, l->at, l->block, IMAGE_BLOCK_BYTES);
	if (r < 0)
		return r;
	l->at += IMAGE_BLOCK_BYTES;
	l->used = 0;
	return 0;
}

static int tree_push(struct image_tree *t, struct digest hash)
{
	for (unsigned int i = 0; i < t->n_levels; i++) {
		struct level *l = &t->levels[i];
		int r;

		memcpy(l->block + l->used, hash.bytes, DIGEST_BYTES);
		l->used += DIGEST_BYTES;
		if (l->used < IMAGE_BLOCK_BYTES)
			return 0;
		r = level_flush(t, i, &hash);
		if (r < 0)
			return r;
	}
	t->top = hash;
	return 0;
}

int image_tree_feed(struct image_tree *t, const void *blocks, size_t len)
{
	const uint8_t *at = blocks;

	if (t->err)
		return t->err;
	if (len % IMAGE_BLOCK_BYTES != 0)
		return t->err = -BSI_E_FORMAT;
	if (len > t->data_bytes - t->fed)
		return t->err = -BSI_E_LIMIT;
	for (size_t i = 0; i < len; i += IMAGE_BLOCK_BYTES) {
		struct digest hash;

		t->err = hash_block(t, at + i, &hash);
		if (t->err == 0)
			t->err = tree_push(t, hash);
		if (t->err < 0)
			return t->err;
	}
	t->fed += len;
	return 0;
}

/* struct verity_sb of cryptsetup's lib/verity/verity.c, in a block of its own. */
static int super_encode(const struct image_tree *t, uint8_t block[static IMAGE_BLOCK_BYTES])
{
	struct digest id;
	int r;

	r = digest_of(t->top.bytes, DIGEST_BYTES, &id);
	if (r < 0)
		return r;
	memset(block, 0, IMAGE_BLOCK_BYTES);
	memcpy(block, "verity\0", 8);
	put_le32(block + 8, 1);  /* superblock version */
	put_le32(block + 12, 1); /* hash type: salt first, hashes on powers of two */
	memcpy(block + 16, id.bytes, 16);
	/* the bits that RFC 9562 wants of an id of one's own making, version 8 */
	block[22] = (uint8_t)((block[22] & 0x0f) | 0x80);
	block[24] = (uint8_t)((block[24] & 0x3f) | 0x80);
	memcpy(block + 32, "sha256", 6);
	put_le32(block + 64, IMAGE_BLOCK_BYTES);
	put_le32(block + 68, IMAGE_BLOCK_BYTES);
	put_le64(block + 72, t->data_bytes / IMAGE_BLOCK_BYTES);
	put_le16(block + 80, IMAGE_SALT_BYTES);
	memcpy(block + 88, t->salt, IMAGE_SALT_BYTES);
	return 0;
}

static int tree_complete(struct image_tree *t)
{
	uint8_t super[IMAGE_BLOCK_BYTES];
	int r;

	if (t->fed != t->data_bytes)
		return -BSI_E_FORMAT;
	for (unsigned int i = 0; i < t->n_levels; i++) {
		struct digest hash;

		if (t->levels[i].used == 0)
			continue;
		r = level_flush(t, i, &hash);
		if (r < 0)
			return r;
		if (i + 1 == t->n_levels) {
			t->top = hash;
		} else {
			struct level *up = &t->levels[i + 1];

			memcpy(up->block + up->used, hash.bytes, DIGEST_BYTES);
			up->used += DIGEST_BYTES;
		}
	}
	r = super_encode(t, super);
	if (r < 0)
		return r;
	return t->sink.write(t->sink.ctx, t->data_bytes, super, IMAGE_BLOCK_BYTES);
}

int image_tree_finish(struct image_tree *t, struct image_seal *ret)
{
	if (t->err)
		return t->err;
	t->err = tree_complete(t);
	if (t->err < 0)
		return t->err;
	*ret = (struct image_seal){.root = t->top,
		.tree_offset = t->data_bytes,
		.image_bytes = t->data_bytes + image_tree_bytes(t->data_bytes)};
	memcpy(ret->salt, t->salt, IMAGE_SALT_BYTES);
	t->err = -BSI_E_LIMIT; /* nothing may follow */
	return 0;
}

/* A sink that compares with what the image already holds. */
struct comparison {
	const struct image_source *source;
	uint64_t differs_at;
};

static int comparison_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct comparison *c = ctx;
	uint8_t stored[IMAGE_BLOCK_BYTES];
	int r;

	if (len > sizeof(stored))
		return -BSI_E_LIMIT;
	r = c->source->read(c->source->ctx, offset, stored, len);
	if (r < 0)
		return r;
	if (memcmp(stored, data, len) != 0) {
		c->differs_at = offset;
		return -BSI_E_UNSEALED;
	}
	return 0;
}

static int tree_feed_source(
	struct image_tree *t, const struct image_source *source, uint64_t data_bytes)
{
	AUTO_FREE uint8_t *chunk = malloc(VERIFY_CHUNK_BYTES);

	if (!chunk)
		return -ENOMEM;
	for (uint64_t at = 0; at < data_bytes;) {
		uint64_t left = data_bytes - at;
		size_t n = left < VERIFY_CHUNK_BYTES ? (size_t)left : VERIFY_CHUNK_BYTES;
		int r = source->read(source->ctx, at, chunk, n);

		if (r < 0)
			return r;
		r = image_tree_feed(t, chunk, n);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

int image_tree_verify(
	const struct image_source *source, const struct image_seal *seal, struct error *reterr)
{
	struct comparison c = {.source = source};
	const struct image_sink sink = {.ctx = &c, .write = comparison_write};
	AUTO(image_tree) struct image_tree *t = NULL;
	struct image_seal got;
	int r;

	r = image_tree_new(seal->tree_offset, seal->salt, &sink, &t);
	if (r < 0)
		return error_set(reterr, r, "the seal: no image has %llu bytes of data",
			(unsigned long long)seal->tree_offset);
	r = tree_feed_source(t, source, seal->tree_offset);
	if (r == 0)
		r = image_tree_finish(t, &got);
	if (r == -BSI_E_UNSEALED)
		return error_set(reterr, r, "the image's hash tree is wrong at byte %llu",
			(unsigned long long)c.differs_at);
	if (r < 0)
		return error_set(reterr, r, "the image cannot be read: %s", error_text(r));
	if (!digest_equal(&got.root, &seal->root))
		return error_set(reterr, -BSI_E_UNSEALED, "the image is not the one of the seal");
	if (got.image_bytes != seal->image_bytes)
		return error_set(reterr, -BSI_E_FORMAT,
			"the seal: the image has %llu bytes, not %llu",
			(unsigned long long)got.image_bytes, (unsigned long long)seal->image_bytes);
	return 0;
}
