/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The fs-verity digest of an image's file: SHA-256, blocks of 4096 bytes, no salt (Linux
 * filesystems/fsverity). A kernel that seals the file comes to the same digest by itself, over the
 * whole file, the hash tree for dm-verity at its end included.
 */
#include <stdint.h>

#include "base/compiler.h"
#include "base/digest.h"
#include "image/sink.h"

#define FILE_SEAL_MAX_BYTES ((uint64_t)1 << 42)

/* Reads all bytes of the source in order. What the source returns, or -BSI_E_LIMIT. */
int image_file_seal(const struct image_source *source, uint64_t bytes, struct digest *ret)
	MUST_CHECK;
