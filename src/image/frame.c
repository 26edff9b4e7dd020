/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/frame.h"

#include "base/bytes.h"
#include "base/error.h"

#define FRAME_MAGIC 0xfd2fb528U

/* Descriptor: size of the content field (2 bits), single segment, unused, reserved, checksum,
 * dictionary (2). */
#define DESCRIPTOR_SINGLE_SEGMENT 0x20U
#define DESCRIPTOR_REFUSED 0x0fU

/* The descriptor is the fifth byte; it says how long the header is. */
static size_t header_length(uint8_t descriptor)
{
	static const uint8_t content_field[] = {0, 2, 4, 8};
	size_t len = 5U + content_field[descriptor >> 6];

	if (!(descriptor & DESCRIPTOR_SINGLE_SEGMENT))
		return len + 1;
	return descriptor >> 6 ? len : len + 1;
}

static uint64_t content_size(struct reader *r, uint8_t descriptor)
{
	switch (descriptor >> 6) {
	case 1:
		return 256U + (uint64_t)reader_u16le(r);
	case 2:
		return reader_u32le(r);
	case 3:
		return reader_u64le(r);
	default:
		return reader_u8(r); /* single segment only */
	}
}

/* RFC 8878, section 3.1.1.1.2; at most 2^41 * 15 / 8, so nothing overflows. */
static uint64_t window_size(uint8_t window)
{
	uint64_t base = 1ULL << (10 + (window >> 3));

	return base + base / 8 * (window & 7U);
}

int frame_header_decode(const uint8_t *data, size_t len, struct frame_header *ret)
{
	struct reader r = reader_of(data, len);
	struct frame_header h = {0};
	uint8_t descriptor;
	size_t wanted;

	if (len < 5)
		return 0;
	if (reader_u32le(&r) != FRAME_MAGIC)
		return -BSI_E_FORMAT;
	descriptor = reader_u8(&r);
	if (descriptor & DESCRIPTOR_REFUSED)
		return -BSI_E_FORMAT;
	if (descriptor >> 6 == 0 && !(descriptor & DESCRIPTOR_SINGLE_SEGMENT))
		return -BSI_E_FORMAT; /* no content size */
	wanted = header_length(descriptor);
	if (len < wanted)
		return 0;
	if (!(descriptor & DESCRIPTOR_SINGLE_SEGMENT))
		h.window_bytes = window_size(reader_u8(&r));
	h.content_bytes = content_size(&r, descriptor);
	if (descriptor & DESCRIPTOR_SINGLE_SEGMENT)
		h.window_bytes = h.content_bytes;
	if (r.err)
		return r.err;
	*ret = h;
	return (int)wanted;
}
