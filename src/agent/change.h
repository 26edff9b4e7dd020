/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the verbs that change something share. Not for other rooms. */
#include "agent/context.h"
#include "graft/change.h"

struct remote;

/*
 * What `current` names, once more: matched again, and attached; what no longer fits goes off. With
 * a remote, images that are missing are brought; without one nobody is asked.
 */
int change_take_current(struct agent *a, struct remote *remote, struct graft_report *ret,
	struct error *reterr) MUST_CHECK;

/* Whether any file is another one than before. */
bool change_was_made(const struct graft_report *report);

/* The result of a verb: what was done, and the status that holds now. */
int change_report(struct agent *a, const char *action, const char *letter, const char *reason,
	const struct graft_report *graft, json_t **ret, struct error *reterr) MUST_CHECK;
