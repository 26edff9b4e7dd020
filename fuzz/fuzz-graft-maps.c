/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of /proc/PID/maps. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "graft/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data, *stop = line + size;

	while (line < stop) {
		const char *end = memchr(line, '\n', (size_t)(stop - line));
		struct map_row row;

		end = end ? end : stop;
		if (map_row_parse(line, (size_t)(end - line), &row) &&
			(row.start >= row.end || row.path + row.path_len != end))
			abort();
		line = end + 1;
	}
	return 0;
}
