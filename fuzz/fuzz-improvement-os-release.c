/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A base id out of any os-release is a valid base id. */
#include <stdint.h>
#include <stdlib.h>

#include "improvement/base_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = NULL, *again = NULL;
	AUTO(base_id) struct base_id *base = NULL;

	if (base_id_from_os_release(data, size, "amd64", &text, NULL) < 0)
		return 0;
	if (base_id_check(text) < 0 || base_id_parse(text, &base) < 0 ||
		base_id_format(base, &again) < 0)
		abort();
	return 0;
}
