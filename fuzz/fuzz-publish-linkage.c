/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whatever a file says of itself, nothing outside of it is read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "publish/linkage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *data;
	size_t size;
};

static int read_bytes(void *ctx, uint64_t offset, void *out, size_t len)
{
	const struct bytes *b = ctx;

	if (offset > b->size || len > b->size - offset)
		abort();
	memcpy(out, b->data + offset, len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = {.data = data, .size = size};
	const struct linkage_source source = {
		.ctx = &bytes, .size_bytes = size, .read = read_bytes};
	struct linkage e;
	int r;

	r = linkage_read(&source, &e);
	if (r < 0) {
		if (r != -BSI_E_FORMAT && r != -BSI_E_LIMIT)
			abort();
		return 0;
	}
	if (e.n_needed > LINKAGE_NEEDED_MAX)
		abort();
	for (size_t i = 0; i < e.n_needed; i++)
		if (strlen(e.needed[i]) > LINKAGE_NAME_MAX_BYTES)
			abort();
	linkage_done(&e);
	return 0;
}
