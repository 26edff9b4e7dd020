/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The manifests of the generations that the store keeps: what is known about code that was
 * attached before. A generation that cannot be read only costs names.
 */
#include "agent/context.h"

struct kept {
	const struct manifest **manifests; /* the agent's */
	size_t n_manifests;
};

int kept_load(struct agent *a, struct kept *ret) MUST_CHECK;
void kept_done(struct kept *k); /* fit for AUTO_DONE */

/* The component that an image belongs to, by the newest manifest that names it; NULL if none does. */
const struct component *kept_component(const struct kept *k, const char *name,
	const struct digest *image);
