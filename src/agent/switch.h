/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The one step in which a device changes: `current` first, durably, then the mounts. Where the
 * mounts cannot be changed, `current` goes back to where it was.
 */
#include "agent/context.h"
#include "graft/change.h"

enum switch_direction {
	SWITCH_ON,   /* what was current may be gone back to */
	SWITCH_BACK, /* what was current is left for good */
};

/*
 * number 0 is the base, with fit NULL. Going there never fails for want of a readable or writable
 * state: what is attached is known from the mount table. If the state cannot follow, that is the
 * error, and everything is off all the same.
 */
int switch_to(struct agent *a, uint64_t number, enum switch_direction direction, struct fit *fit,
	struct graft_report *ret, struct error *reterr) MUST_CHECK;

/* Room for the state on a full disk: parts of downloads, and what no generation uses. */
void switch_free_space(struct agent *a);
