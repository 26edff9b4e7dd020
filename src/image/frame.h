/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The header of a zstd frame (RFC 8878, section 3.1.1.1), read before libzstd sees it, so that what
 * a frame asks for is known before memory is given to it. Internal to the room.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Magic, descriptor, window, content size; a dictionary is refused. */
#define FRAME_HEADER_MAX_BYTES 14U

struct frame_header {
	uint64_t window_bytes;
	uint64_t content_bytes;
};

/*
 * From the first bytes of a frame. Returns the header's length (then *ret is set), 0 if more bytes
 * are needed, -BSI_E_FORMAT if it is no frame as payloads have it: content size given, no
 * dictionary, no checksum.
 */
int frame_header_decode(const uint8_t *data, size_t len, struct frame_header *ret) MUST_CHECK;
