/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: find the operations. Matches between the labelled images are found with a suffix
 * array; of all ways through them the cheapest is taken, by a walk over the new file that keeps
 * the cost of every diagonal worth following.
 */
#include <stddef.h>

#include "base/compiler.h"
#include "delta/derive.h"
#include "delta/field.h"
#include "delta/map.h"

struct alignment {
	struct op *ops; /* the caller frees them */
	size_t n_ops;
	uint64_t guess; /* bytes that it may take, coded: near enough to see what is hopeless */
};

/* derived: ranges of the new file, by place, that are not to be aligned. */
int align_plan(const struct field_map *old, const struct field_map *new,
	       const struct derive_range *derived, unsigned n_derived, struct alignment *ret) MUST_CHECK;
