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
#include "graft/exposure.h"
#include "graft/state.h"

enum gate_flags {
	GATE_BOOT = 1 << 0, /* nothing runs yet that could be disturbed */
};

struct gate_hold {
	char *component;
	bool is_attached;    /* what lies there now stays */
	struct digest image; /* of that */
	char reason[FIT_PROBLEM_MAX];
};

struct gate {
	struct gate_hold *holds;
	size_t n_holds;
};

/* A component that would change, and whose activation asks for care. All is borrowed. */
struct gate_candidate {
	const char *name;
	const struct fit_component *wanted; /* NULL: it would go off */
	const struct graft_mount *attached; /* one of its mounts; NULL: it would come */
	const struct component *was;        /* what is attached; NULL if nobody knows any more */
	enum activation activation;         /* the stricter one of what comes and what was */
};

struct gate_candidates {
	struct gate_candidate *list;
	size_t n;
};

/* What would change now, each component once. fit may be NULL: everything would go off. 0 or
 * -ENOMEM. */
int gate_find_candidates(const struct fit *fit, const struct graft_state *state,
	const struct kept *kept, struct gate_candidates *ret) MUST_CHECK;
void gate_candidates_done(struct gate_candidates *c);

/* Which of them may not, by who maps what. 0 or -ENOMEM; gate_done() ends *ret in any case. */
int gate_judge(const struct gate_candidates *c, const struct exposure_report *report,
	struct gate *ret) MUST_CHECK;

/* Both, with a look at every process. fit may be NULL: everything would go off. gate_done() ends
 * *ret. */
int gate_look(struct agent *a, const struct fit *fit, const struct graft_state *state,
	const struct kept *kept, enum gate_flags flags, struct gate *ret,
	struct error *reterr) MUST_CHECK;
void gate_done(struct gate *g);

const struct gate_hold *gate_find(const struct gate *g, const char *component);
