/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* How the image of a planned component is laid out: its entries, and the recipe made of them. */
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "image/entry.h"
#include "image/recipe.h"
#include "publish/plan.h"

struct layout {
	struct image_entry *entries; /* one for each file of the component, in its order */
	struct image_xattr *xattrs;  /* of all entries, one after the other */
	size_t n_entries;
	struct image_recipe recipe;
};

/* The component and its state are borrowed for the life of *ret; layout_done() ends it in any case. */
int layout_make(struct state *to, const struct plan_component *c, struct layout *ret,
	struct error *reterr) MUST_CHECK;
void layout_done(struct layout *l);
