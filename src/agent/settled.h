/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Whether there is nothing to do for the mounts: they are those of `current`, and neither a package
 * nor a base file below them was changed since they were matched. So a check without news reads no base file.
 */
#include <stdbool.h>
#include <stdint.h>

#include "agent/context.h"
#include "agent/packages.h"

/* packages: as they were before anything was matched, so that a change in between shows. */
void settled_mark(struct agent *a, uint64_t generation, const struct packages_stamp *packages);
bool settled_is(struct agent *a);
