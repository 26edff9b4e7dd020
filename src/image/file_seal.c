/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/file_seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "image/erofs.h"

/* The kernel's choices, not the image's: include/uapi/linux/fsverity.h, fs/verity. */
#define BLOCK_BYTES 4096U
#define LOG_BLOCK_BYTES 12
#define HASHES_PER_BLOCK (BLOCK_BYTES / DIGEST_BYTES)
#define DESCRIPTOR_VERSION 1
#define DESCRIPTOR_SHA256 1
#define DESCRIPTOR_BYTES 256U

#define LEVELS_MAX 5U /* 128^5 blocks are more than FILE_SEAL_MAX_BYTES */
#define CHUNK_BYTES (32U * BLOCK_BYTES)
_Static_assert(FILE_SEAL_MAX_BYTES / BLOCK_BYTES <= 1ULL << (7 * LEVELS_MAX), "enough levels");

/* Hashes that wait for a whole block of them. Level 0 holds those of data. */
struct level {
	size_t used;
	uint8_t block[BLOCK_BYTES];
};

struct file_tree {
	struct hasher *hasher;
	struct level levels[LEVELS_MAX];
};

static int hash_block(struct file_tree *t, const uint8_t block[static BLOCK_BYTES],
	struct digest *ret)
{
	hasher_update(t->hasher, block, BLOCK_BYTES);
	return hasher_final(t->hasher, ret);
}

static int flush(struct file_tree *t, struct level *l, struct digest *ret)
{
	memset(l->block + l->used, 0, BLOCK_BYTES - l->used);
	l->used = 0;
	return hash_block(t, l->block, ret);
}

/* A full block goes up only when another hash follows: the last one of a level may be the root. */
static int push(struct file_tree *t, unsigned int i, struct digest hash)
{
	for (; i < LEVELS_MAX; i++) {
		struct level *l = &t->levels[i];
		bool is_full = l->used == BLOCK_BYTES;
		struct digest up;
		int r = is_full ? flush(t, l, &up) : 0;

		if (r < 0)
			return r;
		memcpy(l->block + l->used, hash.bytes, DIGEST_BYTES);
		l->used += DIGEST_BYTES;
		if (!is_full)
			return 0;
		hash = up;
	}
	return -BSI_E_LIMIT;
}

static int feed(struct file_tree *t, uint8_t *chunk, size_t len)
{
	size_t whole = (len + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;

	memset(chunk + len, 0, whole - len);
	for (size_t at = 0; at < whole; at += BLOCK_BYTES) {
		struct digest hash;
		int r = hash_block(t, chunk + at, &hash);

		if (r == 0)
			r = push(t, 0, hash);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The hash of the block that is alone in its level; of a file of one block, that block's. */
static int find_root(struct file_tree *t, struct digest *ret)
{
	for (unsigned int i = 0; i < LEVELS_MAX; i++) {
		struct level *l = &t->levels[i];
		bool is_top = i + 1 == LEVELS_MAX || t->levels[i + 1].used == 0;
		struct digest hash;
		int r;

		if (l->used == 0)
			return -BSI_E_FORMAT;
		if (is_top && l->used == DIGEST_BYTES) {
			memcpy(ret->bytes, l->block, DIGEST_BYTES);
			return 0;
		}
		r = flush(t, l, &hash);
		if (r == 0 && is_top) {
			*ret = hash;
			return 0;
		}
		if (r == 0)
			r = push(t, i + 1, hash);
		if (r < 0)
			return r;
	}
	return -BSI_E_LIMIT;
}

/* struct fsverity_descriptor of the kernel. */
static int seal(const struct digest *root, uint64_t bytes, struct digest *ret)
{
	uint8_t descriptor[DESCRIPTOR_BYTES] = {
		DESCRIPTOR_VERSION, DESCRIPTOR_SHA256, LOG_BLOCK_BYTES};

	put_le64(descriptor + 8, bytes);
	memcpy(descriptor + 16, root->bytes, DIGEST_BYTES);
	return digest_of(descriptor, sizeof descriptor, ret);
}

int image_file_seal(const struct image_source *source, uint64_t bytes, struct digest *ret)
{
	AUTO_FREE uint8_t *chunk = malloc(CHUNK_BYTES);
	AUTO_FREE struct file_tree *t = calloc(1, sizeof *t);
	AUTO(hasher) struct hasher *hasher = NULL;
	struct digest root = {0}; /* of an empty file */
	int r;

	if (!chunk || !t)
		return -ENOMEM;
	if (bytes > FILE_SEAL_MAX_BYTES)
		return -BSI_E_LIMIT;
	r = hasher_new(&hasher);
	t->hasher = hasher;
	for (uint64_t at = 0; r == 0 && at < bytes;) {
		size_t len = bytes - at < CHUNK_BYTES ? (size_t)(bytes - at) : CHUNK_BYTES;

		r = source->read(source->ctx, at, chunk, len);
		if (r == 0)
			r = feed(t, chunk, len);
		at += len;
	}
	if (r == 0 && bytes > 0)
		r = find_root(t, &root);
	return r < 0 ? r : seal(&root, bytes, ret);
}
