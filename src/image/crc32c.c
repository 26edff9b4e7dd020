/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/crc32c.h"

#define POLYNOMIAL 0x82f63b78U /* 0x1edc6f41 with its bits reversed */

uint32_t crc32c(const void *data, size_t len)
{
	const uint8_t *at = data;
	uint32_t crc = ~0U;

	/* One block for each image: a table would be more code than it saves time. */
	for (size_t i = 0; i < len; i++) {
		crc ^= at[i];
		for (unsigned int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	}
	return crc;
}
