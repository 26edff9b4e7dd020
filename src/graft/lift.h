/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Off, for those who look: an exchange of a patched file for its base, so that nobody who has just opened it
 * loses its path (peer.h says whom that hurts).
 *
 * A lid, a clone of the base file, is pushed onto each patched file: every new open finds the base. The
 * patched mounts go from beneath when their openers have mapped them. Then the lid itself goes by a plain
 * umount, which the kernel refuses while anybody, in any namespace, has a file open or mapped through it.
 * A program that was started meanwhile maps it as long as it runs; so a lid that is refused is exchanged for
 * a fresh one, a few times, until one had no user at the moment of its umount. Needs libc alone.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "graft/held.h"

struct lift_file {
	const char *point; /* its path, without symlinks */
	int top_id;        /* of the mount of ours on top (mount_api_id()); a lid's, if one has to stay */
	size_t n_old;      /* mounts of ours that lie there; 0 when this is done */
	bool parent_shared; /* what they lie on is shared; else the file is passed over */
};

/*
 * Take the files off, users of others first. For a process with one thread that stands in the host; it
 * stands there again afterwards, in "/". What does not work, or has a user all the time, stays: the caller,
 * who can unmount it lazily, finds top_id and n_old as they are then.
 *
 * Returns 0, or -errno where the process could not come back.
 */
int lift(struct lift_file *files, size_t n_files, unsigned *patience_ms) MUST_CHECK;

/*
 * All mounts of ours in the calling process's namespace, but for those that are held (held may be NULL); and
 * what then has a user all the time goes lazily, as base_view_uncover() does it. 0 or -errno.
 */
int lift_all(const struct held *held) MUST_CHECK;
