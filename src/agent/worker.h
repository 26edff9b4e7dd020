/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Work on bytes from outside, in a process of its own that may do nothing else (confine.h).
 * Whatever becomes of it, the caller gets an error and goes on. It is never believed: an answer is
 * a code and words, cleaned and cut to length, and what it wrote is for the caller to measure.
 */
#include <stddef.h>

#include "agent/confine.h"
#include "base/compiler.h"
#include "base/error.h"

#define WORKER_NAME_BYTES 16

struct worker_task {
	const char *name; /* how process lists show it: below WORKER_NAME_BYTES */
	int (*work)(void *ctx, struct error *reterr);
	void *ctx;      /* a copy, as all of the caller's memory: what work changes is lost */
	const int *fds; /* all that it has open, n_fds of them; negative ones are passed over */
	size_t n_fds;
	struct confine_limits limits;
};

/*
 * Run it and wait. When this returns, no process of it is left and nobody writes to its descriptors
 * any more.
 *
 * Returns what work returned with its words; -BSI_E_WORKER if it could not be confined, was ended
 * by a signal, ran out of memory or time, or answered what no work answers; -errno if none could be
 * started.
 */
int worker_run(const struct worker_task *task, struct error *reterr) MUST_CHECK;
