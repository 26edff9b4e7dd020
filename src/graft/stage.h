/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The throw-away namespace: whatever can be slow or fail happens here, where nobody sees it. It is
 * left with one detached clone for each file that is to be mounted, and vanishes.
 */
#include "base/compiler.h"
#include "base/error.h"
#include "graft/host.h"
#include "graft/plan.h"

/*
 * For a process with one thread that stands in the host. Leaves it in the throw-away namespace;
 * the caller goes back to the host, after success and after failure.
 *
 * @ret_clones  a descriptor for each step that attaches or exchanges; the caller closes them
 * @report      gets how the images were mounted
 *
 * Also proves for each exchange that the file beneath is the one that was matched.
 * Errors as graft_change() documents them.
 */
int stage_build(const struct graft_host *host, const struct graft_plan *plan, int *ret_clones,
	struct graft_report *report, struct error *reterr) MUST_CHECK;

/* Into a mount namespace from which nothing reaches another one. */
int stage_enter(struct error *reterr) MUST_CHECK;

/* -BSI_E_MISMATCH unless fd is the very file behind the step's base_fd. */
int stage_check_base(const struct graft_step *step, int fd, struct error *reterr) MUST_CHECK;
