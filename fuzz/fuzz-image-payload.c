/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A payload as it comes, or, behind a first byte of 'p', what its frame would hold: compressed
 * input hardly ever stays whole when it is changed. The second byte sets the size of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "base/cleanup.h"
#include "image/payload.h"

#define MEMORY_MAX (24U << 20)
#define IMAGE_MAX (1U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sink_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	uint8_t *image = ctx;

	if (offset > IMAGE_MAX || len > IMAGE_MAX - offset)
		abort(); /* more than was announced */
	memcpy(image + offset, data, len);
	return 0;
}

static void decode(const uint8_t *data, size_t size, size_t piece, uint8_t *image)
{
	static const uint8_t salt[IMAGE_SALT_BYTES];
	const struct image_sink sink = {image, sink_write};
	AUTO(payload_decoder) struct payload_decoder *d = NULL;
	struct image_seal seal;
	struct error e;

	if (payload_decoder_new(MEMORY_MAX, IMAGE_MAX, salt, &sink, &d) < 0)
		return;
	for (size_t at = 0; at < size; at += piece)
		if (payload_decoder_feed(d, data + at, size - at < piece ? size - at : piece, &e) <
			0)
			return;
	if (payload_decoder_finish(d, &seal, &e) == 0 && seal.image_bytes > IMAGE_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE uint8_t *image = malloc(IMAGE_MAX);
	AUTO_FREE uint8_t *frame = NULL;
	size_t bound = ZSTD_compressBound(size), n;
	size_t piece;

	if (!image || size < 2)
		return 0;
	piece = data[1] == 0 ? size : data[1];
	if (data[0] != 'p') {
		decode(data, size, piece, image);
		return 0;
	}
	frame = malloc(bound);
	if (!frame)
		return 0;
	n = ZSTD_compress(frame, bound, data + 2, size - 2, 1);
	if (!ZSTD_isError(n))
		decode(frame, n, piece, image);
	return 0;
}
