/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/sketch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/elf.h"

/* Hashes are gathered up to here, then all but the smallest are dropped. */
#define GATHER_MAX (8U * SKETCH_HASHES)

static int hash_order(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorted, each once, the smallest only; returns how many. */
static size_t hashes_cut(uint64_t *hashes, size_t n)
{
	size_t kept = 0;

	qsort(hashes, n, sizeof(hashes[0]), hash_order);
	for (size_t i = 0; i < n && kept < SKETCH_HASHES; i++)
		if (!kept || hashes[kept - 1] != hashes[i])
			hashes[kept++] = hashes[i];
	return kept;
}

int sketch_make(const uint8_t *data, size_t len, struct sketch *ret)
{
	AUTO_FREE uint64_t *hashes = malloc(GATHER_MAX * sizeof(*hashes));
	uint64_t limit = UINT64_MAX;
	size_t n = 0;

	if (!hashes)
		return -ENOMEM;
	for (size_t at = 0; at + 8 <= len; at++) {
		uint64_t h = elf_u64(data + at) * UINT64_C(0x9e3779b97f4a7c15);

		h ^= h >> 32;
		h *= UINT64_C(0xd6e8feb86659fd93);
		if (h >= limit)
			continue;
		hashes[n++] = h;
		if (n < GATHER_MAX)
			continue;
		n = hashes_cut(hashes, n);
		if (n == SKETCH_HASHES)
			limit = hashes[n - 1];
	}
	n = hashes_cut(hashes, n);
	ret->hashes = malloc((n + 1) * sizeof(hashes[0]));
	if (!ret->hashes)
		return -ENOMEM;
	memcpy(ret->hashes, hashes, n * sizeof(hashes[0]));
	ret->n = (unsigned)n;
	return 0;
}

void sketch_done(struct sketch *s)
{
	free(s->hashes);
	*s = (struct sketch){0};
}

uint64_t sketch_limit(const struct sketch *s)
{
	return s->n == SKETCH_HASHES ? s->hashes[s->n - 1] : UINT64_MAX;
}
