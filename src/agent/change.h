/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the verbs that change something share. Not for other rooms. */
#include "agent/context.h"
#include "graft/change.h"

/* Whether any file is another one than before. */
bool change_was_made(const struct graft_report *report);
/* "attached", "detached" or "nothing". */
const char *change_word(const struct graft_report *report);

/* The result of a verb: what was done, and the status that holds now. */
int change_report(struct agent *a, const char *action, const char *letter, const char *reason,
	const struct graft_report *graft, json_t **ret, struct error *reterr) MUST_CHECK;
