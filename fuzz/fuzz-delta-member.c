/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The members of an archive: inside it, in order, none over another. */
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "delta/member.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE struct member *list = NULL;
	size_t n = 0, end = 0;

	if (member_find(data, size, &list, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (list[i].at < end || list[i].at > size || list[i].len > size - list[i].at)
			__builtin_trap();
		if (list[i].name < data || list[i].name + list[i].name_len > data + size)
			__builtin_trap();
		end = list[i].at + list[i].len;
	}
	if (member_packed_bytes(data, size) > size)
		__builtin_trap();
	return 0;
}
