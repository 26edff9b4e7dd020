/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Makes the mounts agree with a fit: components that match and whose image can be measured are
 * attached, everything else of ours goes off. Holds dpkg's lock for the moment that it takes.
 */
#include "agent/context.h"
#include "agent/fit.h"
#include "agent/gate.h"
#include "graft/change.h"

struct attach_outcome {
	struct graft_report graft;
	struct gate gate; /* what could not change yet */
};
void attach_outcome_done(struct attach_outcome *o);

/*
 * fit NULL: everything off. A component that fits and whose image is missing or damaged is left
 * out, and its problem says so; a damaged image is dropped from the store, so that it is brought
 * again. Components that may not change under running programs stay as they are, and the outcome
 * says which. Nothing changed after an error; attach_outcome_done() ends *ret in any case.
 */
int attach_fit(struct agent *a, struct fit *fit, enum gate_flags flags, struct attach_outcome *ret,
	struct error *reterr) MUST_CHECK;

/*
 * -BSI_E_BUSY while a dpkg is at work for which everything was taken off: it may have none of its
 * own locks yet. A look that costs nothing, before work that is in vain then.
 */
int attach_check_packages(const struct agent *a, struct error *reterr) MUST_CHECK;
