/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Who still runs code that was replaced, with the names and CVEs that the manifests give it. */
#include "agent/context.h"
#include "graft/state.h"

/*
 * {"exposed": n, "unknown": n, "processes": n, "scan_us": n,
 *  "list": [{"pid", "start_ticks", "uid", "command", "state": "exposed"|"unknown"|"keeps",
 *            "detail": text or null, "copy": bool, "components": [..], "paths": [..],
 *            "cves": [..], "private_mounts": bool}]}
 *
 * copy: all old code that it runs is in files of its own, which no change of ours reaches.
 *
 * Old code is: the base's, where something of ours lies over it now; and that of every earlier
 * image, whatever is attached now.
 */
int exposed_scan(struct agent *a, const struct installed *installed,
	const struct graft_state *state, json_t **ret, struct error *reterr) MUST_CHECK;

/*
 * The same, for a change that is yet to come: who uses what it would replace, with the CVEs of the
 * manifest that comes. fit and coming NULL: everything would go off.
 */
int exposed_scan_coming(const struct fit *fit, const struct manifest *coming,
	const struct graft_state *state, json_t **ret, struct error *reterr) MUST_CHECK;

/*
 * What cannot be seen from outside, and packages say themselves: the installed ones that were built
 * with a source from before the fix. A list of {"package", "version", "source", "source_version",
 * "component", "cves"}.
 */
int exposed_built_with(struct agent *a, const struct manifest *m, json_t **ret) MUST_CHECK;

/* Whether a file of a component is covered by its image now. */
bool exposed_is_attached(const struct graft_state *state, const struct component *component,
	const char *path);
