/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Since when a process is exposed: since it started, or since what it runs was replaced, whichever
 * was later. Nothing is kept for it: the generations say when they were made, and the kernel when a
 * process started.
 */
#include "agent/context.h"

struct since {
	int64_t now_utc_s;
	int64_t changed_utc_s; /* when the last change was made; 0 if nobody knows */
	struct generation **generations; /* that are kept; the current one is the last */
	size_t n_generations;
};

/* What cannot be read only makes it less exact. since_done() ends *ret. */
int since_load(struct agent *a, struct since *ret) MUST_CHECK;
void since_done(struct since *s); /* fit for AUTO_DONE */

/* components: names, an array of text; start_ticks as in graft/process.h. */
int64_t since_utc_s(const struct since *s, const json_t *components, uint64_t start_ticks);
