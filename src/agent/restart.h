/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * From "processes run old code" to "the right units were restarted once". What is done, and what is
 * left to people, is a plan (agent/restart_plan.h), shown before and after.
 */
#include "agent/context.h"

/*
 * Say of each row of an exposure document (exposed.h) where the process lives and what ends it:
 * "place", "unit", "since", "end", "reason"; and add "plan", a list of
 * {"end", "unit", "pid", "command", "processes", "components", "cves", "reason"}.
 * coming is the manifest of a change that is yet to come, or NULL.
 */
int restart_describe(struct agent *a, json_t *exposure, const struct manifest *coming,
	struct error *reterr) MUST_CHECK;

/*
 * Carry out what the plan of this moment says. *ret is a list of {"unit" or "hook", "result",
 * "reason", "exposed"}; empty where there was nothing to do. A unit that fails is a row and no
 * error: the improvement stays.
 */
int restart_carry_out(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;

/*
 * The same as part of a verb whose own work is done: what goes wrong is a note. NULL where nothing
 * was restarted.
 */
json_t *restart_after(struct agent *a);

/*
 * The same when a boot is complete, and only for what had to start before anything could be attached:
 * process 1, and the units that the lists of reserved ones call `boot`.
 */
json_t *restart_after_boot(struct agent *a);

/* Whether the owner lets `run` restart what is exposed. */
bool restart_is_automatic(struct agent *a);
