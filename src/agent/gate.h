/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Which components may change under running programs now (activation, design.md "Words"):
 * `live` ones always; `idle` ones while no process maps them; `boot` ones only at boot, before
 * anything runs. What may not change stays as it is, attached or not, and the reason says which
 * programs to close. Who slips in between this look and the change is found by the scan after it.
 */
#include "agent/context.h"
#include "agent/fit.h"
#include "agent/kept.h"
#include "graft/state.h"

enum gate_flags {
	GATE_BOOT = 1 << 0, /* nothing runs yet that could be disturbed */
};

struct gate_hold {
	char *component;
	bool is_attached;      /* what lies there now stays */
	struct digest image;   /* of that */
	char reason[FIT_PROBLEM_MAX];
};

struct gate {
	struct gate_hold *holds;
	size_t n_holds;
};

/* fit may be NULL: everything would go off. gate_done() ends *ret. */
int gate_look(struct agent *a, const struct fit *fit, const struct graft_state *state,
	const struct kept *kept, enum gate_flags flags, struct gate *ret, struct error *reterr)
	MUST_CHECK;
void gate_done(struct gate *g);

const struct gate_hold *gate_find(const struct gate *g, const char *component);
