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

/*
 * Take the old mounts away, after the push. What could not go shows in the mount table.
 *
 * A file that was opened through a mount which then goes has no path any more, and where paths decide about
 * access, as with AppArmor, mapping it is refused. New opens find the new mount already, so a short wait lets
 * those who have opened an old one map it. The kernel says who is done: without MNT_DETACH it refuses while a
 * file of the mount is open or mapped in any namespace (propagate_mount_busy() in fs/pnode.c). Who runs old
 * code stays, and keeps it. The caller holds no descriptor of an old mount.
 */
int peer_unmount_old(const struct graft_host *host, const struct graft_plan *plan, int ns_fd,
	struct error *reterr) MUST_CHECK;
