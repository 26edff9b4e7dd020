/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The EROFS part of an image. Its checksum is set right, or no change would get past it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/crc32c.h"
#include "image/erofs.h"
#include "image/reader.h"

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

static int input_read(void *ctx, uint64_t offset, void *to, size_t len)
{
	const struct input *in = ctx;

	if (offset > in->size || len > in->size - offset)
		return -BSI_E_FORMAT;
	memcpy(to, in->data + offset, len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE uint8_t *copy = NULL;
	AUTO(image_reader) struct image_reader *r = NULL;
	struct input in = {.size = size / IMAGE_BLOCK_BYTES * IMAGE_BLOCK_BYTES};
	const struct image_source source = {&in, input_read};
	struct error e;

	if (in.size == 0)
		return 0;
	copy = malloc(in.size);
	if (!copy)
		return 0;
	memcpy(copy, data, in.size);
	put_le32(copy + EROFS_SUPER_OFFSET + EROFS_SUPER_AT_CHECKSUM, 0);
	put_le32(copy + EROFS_SUPER_OFFSET + EROFS_SUPER_AT_CHECKSUM,
		crc32c(copy + EROFS_SUPER_OFFSET, IMAGE_BLOCK_BYTES - EROFS_SUPER_OFFSET));
	in.data = copy;
	if (image_reader_new(&source, in.size, &r, &e) < 0)
		return 0;
	/* what is laid out as the writer does it was planned just now, so it has a root */
	if (image_reader_check_canonical(r, &e) == 0 && in.size < 2 * IMAGE_BLOCK_BYTES)
		abort();
	return 0;
}
