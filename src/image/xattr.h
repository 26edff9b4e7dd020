/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Extended attributes between their names and what lies behind an EROFS inode. Internal. */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/error.h"
#include "image/entry.h"

/*
 * Append the header and all entries in the order of their names; nothing for none. path is for
 * words only. -BSI_E_FORMAT for a name that EROFS cannot hold or that is there twice,
 * -BSI_E_LIMIT, -ENOMEM.
 */
int xattrs_encode(const struct image_xattr *xattrs, size_t n, const char *path, struct buffer *out,
	struct error *reterr) MUST_CHECK;

/* i_xattr_icount of an inode with so many bytes behind it, and back. */
uint16_t xattrs_count_of(size_t encoded_bytes);
size_t xattrs_bytes_of(uint16_t count);

/*
 * The opposite: *ret is one block of memory (free() ends it, names and values included), NULL for
 * none.
 */
int xattrs_decode(
	const uint8_t *data, size_t len, struct image_xattr **ret, size_t *ret_n) MUST_CHECK;
