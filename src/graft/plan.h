/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a change has to do: the difference between what is attached and what is wanted, in order.
 * Looks at nothing but its arguments.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "graft/change.h"
#include "graft/state.h"

enum graft_action {
	GRAFT_KEEP,     /* the right one lies there alone */
	GRAFT_ATTACH,   /* push onto the base file */
	GRAFT_EXCHANGE, /* push onto what lies there, then take that away from beneath */
	GRAFT_OFF,      /* lift off (lift.h) */
};

struct graft_step {
	enum graft_action action;
	const char *path;               /* of the want or of the state, borrowed */
	const struct graft_layer *layer; /* NULL for GRAFT_OFF */
	const struct graft_file *file;   /* NULL for GRAFT_OFF */
	size_t n_old;       /* mounts of ours that lie there now, lids too, one on the other, from the top */
	int old_id;         /* of the topmost of them (mount_api_id()); 0 if none */
	bool parent_shared; /* the mount below them is shared, so they can go from beneath */
};

struct graft_plan {
	struct graft_step *steps; /* wanted files in their order, then those to take off, users first */
	size_t n_steps;
	size_t n_hidden; /* mounts of ours with a mount of somebody else on them: left alone */
};

/* -BSI_E_PATH (malformed, or wanted twice), -BSI_E_LIMIT, -ENOMEM. The caller owns *ret. */
int graft_plan_make(const struct graft_state *state, const struct graft_layer *want, size_t n_want,
	struct graft_plan **ret, struct error *reterr) MUST_CHECK;
void graft_plan_free(struct graft_plan *plan);
DEFINE_FREEP(graft_plan)
