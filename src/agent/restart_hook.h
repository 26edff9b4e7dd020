/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Where there is no systemd: the owner's programs in /etc/bsi/restart.d, one after the other by
 * name. Each gets the exposure document on its standard input, runs on the host (not in the base
 * view), with nothing of our environment, and must be root's alone to write.
 */
#include "agent/context.h"

#define RESTART_HOOK_DIR "etc/bsi/restart.d"
#define RESTART_HOOK_TIMEOUT_S 600

bool restart_hook_exists(const struct agent *a);

/* Rows {"hook", "result", "reason"} are appended to results. */
int restart_hook_run(struct agent *a, const json_t *exposure, json_t *results, struct error *reterr)
	MUST_CHECK;
