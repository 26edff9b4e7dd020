/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first byte is the length of the pattern; pattern and path follow. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trust/name.h"
#include "trust/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t pattern_len = size > 0 ? data[0] : 0;
	char *pattern, *path, *file = NULL;

	if (size == 0 || pattern_len > size - 1)
		return 0;
	/* of their very length, so that the sanitizers see a byte beyond it */
	pattern = strndup((const char *)data + 1, pattern_len);
	path = strndup((const char *)data + 1 + pattern_len, size - 1 - pattern_len);
	if (pattern && path) {
		/* whatever the pattern, a star of its own for each segment matches as well or better */
		if (trust_pattern_match(pattern, path) && !strchr(path, '/') &&
			!trust_pattern_match("*", path))
			abort();
		if (trust_role_file(path, &file) == 0 && (strchr(file, '/') || file[0] == '.'))
			abort();
	}
	free(file);
	free(pattern);
	free(path);
	return 0;
}
