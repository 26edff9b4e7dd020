/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the decoder takes, the encoder writes, and the decoder takes again with the same meaning. */
#include <stdlib.h>
#include <string.h>

#include "improvement/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_DONE(buffer) struct buffer once = buffer_of(INDEX_MAX_BYTES);
	AUTO_DONE(buffer) struct buffer twice = buffer_of(INDEX_MAX_BYTES);
	AUTO(index) struct index *index = NULL, *again = NULL;
	struct error e = {0};

	if (index_decode(data, size, &index, &e) < 0) {
		if (index || e.text[0] == '\0')
			abort();
		return 0;
	}
	if (index_encode(index, &once, NULL) < 0)
		abort();
	if (index_decode(once.data, once.len, &again, NULL) < 0 ||
		index_encode(again, &twice, NULL) < 0)
		abort();
	if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
		abort();
	return 0;
}
