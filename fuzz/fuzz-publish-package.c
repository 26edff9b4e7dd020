/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control data, paragraph by paragraph, and the questions that the planner asks of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "publish/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size, *text;
	size_t len;

	if (size == 0)
		return 0;
	while (at < end && (len = package_paragraph(&at, end, &text)) > 0) {
		struct package p;

		if (text < (const char *)data || len > (size_t)(end - text))
			abort();
		if (package_parse(text, len, &p, NULL) < 0)
			continue;
		if (p.installed && (!*p.name || strchr(p.name, '/') || !*p.version))
			abort();
		(void)package_depends_strictly(&p, p.name, p.version);
		free(package_upstream(p.version));
		package_done(&p);
	}
	return 0;
}
