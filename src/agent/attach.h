/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Makes the mounts agree with a fit: components that match and whose image can be measured are
 * attached, everything else of ours goes off. Holds dpkg's lock for the moment that it takes.
 */
#include "agent/context.h"
#include "agent/fit.h"
#include "graft/change.h"

/*
 * fit NULL: everything off. A component that fits and whose image is missing or damaged is left
 * out, and its problem says so; a damaged image is dropped from the store, so that it is brought
 * again. Nothing changed after an error.
 */
int attach_fit(struct agent *a, struct fit *fit, struct graft_report *ret, struct error *reterr)
	MUST_CHECK;
