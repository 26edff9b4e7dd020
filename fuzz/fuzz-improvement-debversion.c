/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Three versions, a line each: the order is one (antisymmetric, transitive), whatever the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "improvement/debversion.h"

#define LINES 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = malloc(size + 1);
	const char *v[LINES] = {"", "", ""};
	char *at = text;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (unsigned i = 0; i < LINES && at; i++)
		v[i] = strsep(&at, "\n");
	for (unsigned i = 0; i < LINES; i++) {
		if (debversion_compare(v[i], v[i]) != 0)
			abort();
		for (unsigned j = 0; j < LINES; j++)
			if (sign(debversion_compare(v[i], v[j])) !=
				-sign(debversion_compare(v[j], v[i])))
				abort();
	}
	for (unsigned i = 0; i < LINES; i++)
		if (debversion_check(v[i]) < 0)
			return 0;
	if (debversion_compare(v[0], v[1]) <= 0 && debversion_compare(v[1], v[2]) <= 0 &&
		debversion_compare(v[0], v[2]) > 0)
		abort();
	return 0;
}
