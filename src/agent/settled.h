/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Whether there is nothing to do for the mounts: they are those of `current`, and no file of the
 * improvement was changed since they were matched; nor a package, where a verdict rests on one. So a
 * check without news, and dpkg's work on other packages, read no base file.
 */
#include <stdbool.h>
#include <stdint.h>

#include "agent/context.h"
#include "agent/fit.h"
#include "agent/packages.h"
#include "graft/change.h"

/*
 * To be called after a change. Nothing is marked where fewer mounts are left than it made or found: off
 * needs no lock, and may have come behind it ('bsi detach', dpkg's hook).
 *
 * fit: what was matched; NULL where nothing is installed
 * graft: what the change reported
 * packages: as they were before anything was matched, so that a change in between shows
 */
void settled_mark(struct agent *a, uint64_t generation, const struct fit *fit,
	const struct graft_report *graft, const struct packages_stamp *packages);
bool settled_is(struct agent *a);
