/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Reads an EROFS image that our writer made: what `bsi-publish verify` shows and compares. It
 * believes nothing that the image says before it is checked, and it takes only what the writer
 * makes: extended inodes, flat plain layout, inline xattrs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "image/entry.h"
#include "image/sink.h"

struct image_reader;

/*
 * data_bytes: the size of the EROFS part (the seal's tree_offset). Reads the superblock and all
 * inodes, directories, symlinks and xattrs; no file content. The source struct is copied, its ctx
 * is borrowed for the life of the reader.
 *
 * Returns 0, -BSI_E_FORMAT, -BSI_E_LIMIT, -BSI_E_PATH (a name that is no name), -ENOMEM, or what
 * the source returns.
 */
int image_reader_new(const struct image_source *source, uint64_t data_bytes,
	struct image_reader **ret, struct error *reterr) MUST_CHECK;
void image_reader_free(struct image_reader *r);
DEFINE_FREEP(image_reader)

/*
 * All names but the root, directories before what is in them, siblings in byte order. Of a file
 * with several names the first one is the entry and the others have hardlink_to. The array lives
 * as long as the reader.
 */
const struct image_entry *image_reader_entries(const struct image_reader *r, size_t *ret_n);

/* Where the content of entry i begins; 0 for what has none. A link has its target's. */
uint64_t image_reader_offset(const struct image_reader *r, size_t i);

/* The entry of a path, or NULL. */
const struct image_entry *image_reader_find(const struct image_reader *r, const char *path);

/*
 * Whether the image's metadata is byte for byte what image_recipe_plan() makes of these entries,
 * and every file's last block is filled up with zeros, so that nothing hides between them: 0,
 * -BSI_E_FORMAT, or what the source returns.
 */
int image_reader_check_canonical(const struct image_reader *r, struct error *reterr) MUST_CHECK;
