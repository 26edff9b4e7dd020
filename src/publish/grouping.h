/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Which packages of the patched state make one component. By default those of one source that
 * depend on each other in exactly one version; rules NAME=GLOB over package names override that,
 * and what no rule names is left out then.
 */
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/state.h"

#define GROUPING_NONE ((size_t)-1)

struct grouping_rule {
	const char *name, *glob;
};

struct grouping {
	size_t *group_of; /* for each package; GROUPING_NONE where it is left out */
	size_t n_packages;
	char **names; /* of the groups */
	size_t n_groups;
};

/* -BSI_E_USAGE where a package fits rules of two components, or a rule fits none. */
int grouping_make(const struct state *to, const struct grouping_rule *rules, size_t n_rules,
	struct grouping *ret, struct error *reterr) MUST_CHECK;
void grouping_done(struct grouping *g);
