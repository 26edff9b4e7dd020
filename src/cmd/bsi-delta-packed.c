/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much of a file is compressed, and so out of reach: told by magic numbers and by zip's lists. */
#include <stdlib.h>
#include <string.h>

#include "cmd/bsi-delta.h"
#include "delta/member.h"

const char *const packed_names[PACKED_MAX] = {
	"deflate", "gzip", "bzip2", "xz", "zstd", "lz4", "png"};

static const struct {
	enum packed kind;
	size_t len;
	const char *magic;
} magics[] = {
	{PACKED_GZIP, 3, "\x1f\x8b\x08"},
	{PACKED_BZIP2, 3, "BZh"},
	{PACKED_XZ, 6, "\xfd" "7zXZ"}, /* and a NUL */
	{PACKED_ZSTD, 4, "\x28\xb5\x2f\xfd"},
	{PACKED_LZ4, 4, "\x04\x22\x4d\x18"},
	{PACKED_PNG, 8, "\x89PNG\r\n\x1a\n"},
};

/* Compressed as a whole? */
static bool packed_whole(const uint8_t *data, size_t len, uint64_t *counts)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (len >= magics[i].len && memcmp(data, magics[i].magic, magics[i].len) == 0) {
			counts[magics[i].kind] += len;
			return true;
		}
	return false;
}

int packed_count(const uint8_t *data, size_t len, uint64_t *counts)
{
	AUTO_FREE struct member *members = NULL;
	size_t n = 0;
	int r;

	if (packed_whole(data, len, counts))
		return 0;
	counts[PACKED_DEFLATE] += member_packed_bytes(data, len);
	r = member_find(data, len, &members, &n);
	for (size_t i = 0; i < n && r >= 0; i++)
		(void)packed_whole(data + members[i].at, members[i].len, counts);
	return r;
}
