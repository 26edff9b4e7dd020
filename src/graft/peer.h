/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The peer namespace, by which an old file mount goes from beneath a new one.
 *
 * It is unshared from the host and left shared, and in it the old file mounts are made private.
 * What is then pushed onto an old mount on the host does not arrive here, so here the old one
 * stays on top and can be unmounted; its parent is a peer of the host's, so it goes everywhere,
 * and the kernel sets what lay on it down on the base file
 * (Documentation/filesystems/propagate_umount.txt).
 */
#include "base/compiler.h"
#include "base/error.h"
#include "graft/host.h"
#include "graft/plan.h"

/* Both for a process with one thread that stands in the host; it stands there again afterwards. */

/* Make the namespace, before the push. The caller closes *ret_ns_fd, which ends it. */
int peer_open(const struct graft_host *host, const struct graft_plan *plan, int *ret_ns_fd,
	struct error *reterr) MUST_CHECK;

/* Take the old mounts away, after the push. What could not go shows in the mount table. */
int peer_unmount_old(const struct graft_host *host, const struct graft_plan *plan, int ns_fd,
	struct error *reterr) MUST_CHECK;
