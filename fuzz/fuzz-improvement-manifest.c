/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the decoder takes, the encoder writes, and the decoder takes again with the same meaning. */
#include <stdlib.h>
#include <string.h>

#include "improvement/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_DONE(buffer) struct buffer once = buffer_of(MANIFEST_MAX_BYTES);
	AUTO_DONE(buffer) struct buffer twice = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = NULL, *again = NULL;
	struct error e = {0};

	if (manifest_decode(data, size, &m, &e) < 0) {
		if (m || e.text[0] == '\0')
			abort();
		return 0;
	}
	if (manifest_encode(m, &once, NULL) < 0)
		abort();
	if (manifest_decode(once.data, once.len, &again, NULL) < 0 ||
		manifest_encode(again, &twice, NULL) < 0)
		abort();
	if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
		abort();
	return 0;
}
