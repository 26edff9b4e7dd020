/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/kept.h"

#include <errno.h>

#include "agent/manifests.h"

void kept_done(struct kept *k)
{
	free(k->manifests);
	*k = (struct kept){0};
}

int kept_load(struct agent *a, struct kept *ret)
{
	AUTO_FREE uint64_t *numbers = NULL;
	size_t n = 0;
	int r;

	*ret = (struct kept){0};
	r = store_generation_list(a->store, &numbers, &n, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	ret->manifests = calloc(n + 1, sizeof *ret->manifests);
	if (!ret->manifests)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		AUTO(generation) struct generation *g = NULL;

		if (store_generation_load(a->store, numbers[i], &g, NULL) == 0 &&
			manifests_get(a, g, &ret->manifests[ret->n_manifests], NULL) == 0)
			ret->n_manifests++;
	}
	return 0;
}

const struct component *kept_component(const struct kept *k, const char *name,
	const struct digest *image)
{
	for (size_t i = k->n_manifests; i-- > 0;) {
		const struct component *c = manifest_component(k->manifests[i], name);

		if (c && digest_equal(&c->image.digest, image))
			return c;
	}
	return NULL;
}
