/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* The facts that a plan is made of, found for the rows of an exposure document (exposed.h). */
#include "agent/context.h"
#include "agent/restart_plan.h"

#define RESTART_UNITS_MAX 512 /* that are asked about; processes of more units are left to people */

struct restart_gathered {
	struct systemd *systemd; /* NULL where there is none to ask */
	struct restart_process *processes; /* one for each row, in their order */
	struct restart_unit *units;
	size_t n_units;
	struct reserved reserved;
	struct restart_facts facts; /* points at the above */
};

/*
 * Rows of processes that are gone are taken out of the list. coming is the manifest of a change
 * that is yet to come, or NULL. Texts are borrowed from the list. restart_gathered_done() ends *ret
 * in any case.
 */
int restart_gather(struct agent *a, json_t *list, const struct manifest *coming,
	struct restart_gathered *ret, struct error *reterr) MUST_CHECK;
void restart_gathered_done(struct restart_gathered *g);
