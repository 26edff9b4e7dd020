/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What bsi restarted already for the generation that is attached: a second restart would not end
 * what the first did not. Kept in the run directory, so that a boot forgets it.
 */
#include <stdint.h>

#include "agent/cgroup.h"
#include "agent/context.h"

#define RESTARTED_INIT CGROUP_INIT_UNIT /* process 1 */
#define RESTARTED_HOOK "restart.d"  /* the owner's programs */

/* An array of names; the caller owns it. NULL without memory: then nothing is known. */
json_t *restarted_load(struct agent *a);
bool restarted_has(const json_t *restarted, const char *unit);
/* Before it is restarted: a cut between the two must not make it two restarts. */
void restarted_add(struct agent *a, const char *unit);
/* Another generation is attached now. */
void restarted_forget_others(struct agent *a, uint64_t generation);
