/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * By when the programs should be closed that a component waits for (activation `idle`), or the device
 * be started again: so many days after it was decided that the component should change. Nothing is
 * closed by force when it is over; the device says so each time it looks, and the next boot does it.
 */
#include <stdbool.h>

#include "agent/context.h"

#define DEADLINE_KEY "idle-deadline" /* of the owner's configuration: days */
#define DEADLINE_DAYS_DEFAULT 7
#define DEADLINE_DAYS_MAX 365

struct deadline {
	int64_t due_utc_s; /* 0: nobody knows since when it waits */
	bool is_over;
};

/* Of what waits for a generation, or (NULL) to leave for the base. */
struct deadline deadline_of(struct agent *a, const struct generation *generation);
/* Of what would wait from now on. */
struct deadline deadline_from_now(struct agent *a);
