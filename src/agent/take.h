/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * From a manifest to a device that has it: match, bring, write a generation, switch. Where something
 * had to be brought nothing was changed yet, and the result is CONTEXT_AGAIN (agent/obtain.h).
 */
#include "agent/context.h"
#include "graft/change.h"

/* The improvement that an entry of the index names. -BSI_E_MISMATCH if nothing of it fits. */
int take_entry(struct agent *a, struct remote *remote, const struct index_entry *entry,
	struct graft_report *ret, struct error *reterr) MUST_CHECK;

/*
 * What `current` names, once more: matched again, and attached; what no longer fits, what the
 * publisher is known to have withdrawn, and what is for another base than this device's, goes off.
 * With a remote, images that are missing are brought; without one nobody is asked.
 */
int take_current(struct agent *a, struct remote *remote, struct graft_report *ret,
	struct error *reterr) MUST_CHECK;
