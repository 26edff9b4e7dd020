/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The peer namespace, by which an old file mount goes from beneath a new one.
 *
 * It is unshared from the host and left shared, and in it the old file mounts are made private.
 * What is then pushed onto an old mount on the host does not arrive here, so here the old one
 * stays on top and can be unmounted; its parent is a peer of the host's, so it goes everywhere,
 * and the kernel sets what lay on it down on the base file
 * (Documentation/filesystems/propagate_umount.txt). Needs libc alone.
 */
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "graft/place.h"

/* One file, whose mounts lie on a shared one. */
struct peer_file {
	const char *point; /* its path, without symlinks */
	dev_t dev;         /* of what lies there on the host, on top, before the push */
	ino_t ino;
	size_t n_old;      /* mounts that are to go from beneath; 0: none after all */
};

struct peer {
	struct place host, own;
};

#define PEER_NONE ((struct peer){.host = PLACE_NOWHERE, .own = PLACE_NOWHERE})

/*
 * How long openers of old mounts may take, for all files of a change together: all new ones lie there by
 * then. Even on a busy machine a library that was opened is mapped after it, mostly. It is what waits of 1,
 * 2, 4 ... 64 ms add up to.
 */
#define PEER_PATIENCE_MS 127U

/* For a process with one thread that stands in the host; it stands there again afterwards. */

/*
 * Make the namespace, before the push. 0 or -errno, and *ret_failed is the file, or n_files; -ESTALE where
 * something else lies than on the host. The caller ends *ret with peer_close(), after a failure too.
 */
int peer_open(struct peer *ret, const struct peer_file *files, size_t n_files, size_t *ret_failed)
	MUST_CHECK;

/*
 * Take the old mounts away, after the push. What could not go shows in the mount table. 0 or -errno of
 * going there and back.
 *
 * A file that was opened through a mount which then goes has no path any more, and where paths decide about
 * access, as with AppArmor, mapping it is refused. New opens find the new mount already, so a short wait lets
 * those who have opened an old one map it. The kernel says who is done: without MNT_DETACH it refuses while a
 * file of the mount is open or mapped in any namespace (propagate_mount_busy() in fs/pnode.c). Who runs old
 * code stays, and keeps it. The caller holds no descriptor of an old mount. What is left of the patience is
 * for those who wait next.
 */
int peer_unmount_old(const struct peer *peer, const struct peer_file *files, size_t n_files,
	unsigned *patience_ms) MUST_CHECK;

void peer_close(struct peer *peer);
