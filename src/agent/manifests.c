/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/manifests.h"

#include <errno.h>
#include <string.h>

struct decoded_manifest {
	struct decoded_manifest *next;
	struct manifest *manifest;
	size_t len;
	uint8_t bytes[]; /* that it was decoded from */
};

void manifests_free(struct decoded_manifest *first)
{
	while (first) {
		struct decoded_manifest *next = first->next;

		manifest_free(first->manifest);
		free(first);
		first = next;
	}
}

int manifests_get(struct agent *a, const struct generation *g, const struct manifest **ret,
	struct error *reterr)
{
	AUTO_FREE struct decoded_manifest *decoded = NULL;
	int r;

	for (const struct decoded_manifest *d = a->manifests; d; d = d->next)
		if (d->len == g->manifest_len && memcmp(d->bytes, g->manifest, d->len) == 0) {
			*ret = d->manifest;
			return 0;
		}
	decoded = calloc(1, sizeof *decoded + g->manifest_len);
	if (!decoded)
		return -ENOMEM;
	r = manifest_decode(g->manifest, g->manifest_len, &decoded->manifest, reterr);
	if (r < 0)
		return r;
	memcpy(decoded->bytes, g->manifest, g->manifest_len);
	decoded->len = g->manifest_len;
	decoded->next = a->manifests;
	*ret = decoded->manifest;
	a->manifests = take_ptr(decoded);
	return 0;
}
