/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * dpkg's frontend lock. A mount that arrives in dpkg's own view in the middle of its work makes
 * its rename fail, so nothing is attached or taken off while a package manager is at work. Hold it
 * for milliseconds: apt and dpkg fail at once while it is held.
 */
#include "base/compiler.h"
#include "base/error.h"
#include "graft/host.h"

/*
 * Take <host root>/var/lib/dpkg/lock-frontend; host->root must be visible under the same path in
 * the caller's namespace (a base view of the host is such a namespace).
 *
 * *ret_fd is the lock: closing it, or any other descriptor of that file in this process, gives it
 * back, and so does death. It is -EBADF, with result 0, where there is nothing to lock: no dpkg
 * here; or DPKG_FRONTEND_LOCKED is set and the holder is an ancestor of this process, which is how
 * a hook of apt or dpkg runs.
 *
 * -BSI_E_BUSY while somebody else holds it.
 */
int graft_lock_dpkg(const struct graft_host *host, int *ret_fd, struct error *reterr) MUST_CHECK;
