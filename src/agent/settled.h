/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Whether there is nothing to do for the mounts: they are those of `current`, and no package was
 * changed since they were matched. So a check without news reads no base file.
 */
#include <stdbool.h>
#include <stdint.h>

#include "agent/context.h"

void settled_mark(struct agent *a, uint64_t generation);
bool settled_is(struct agent *a);
