/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The base view: a mount namespace of one's own in which our file mounts are unmounted, so that
 * everything below /usr is the base. Needs libc alone: the static launcher links it.
 */
#include <stdbool.h>

#include "base/compiler.h"
#include "graft/held.h"

enum base_view_flags {
	BASE_VIEW_PRIVATE = 0,    /* nothing of what is mounted later on the host arrives here */
	BASE_VIEW_SLAVE = 1 << 0, /* the host's later mounts arrive (package managers want /boot) */
};

/*
 * Move the calling process, which must have one thread, into a new base view. Nothing that is
 * mounted there ever reaches the host.
 *
 * @ret_host_ns_fd  where it came from, O_CLOEXEC, the caller closes it; may be NULL
 *
 * Returns 0 or -errno: -EPERM without CAP_SYS_ADMIN, before anything was changed; -EBUSY where the
 * mounts are the machine's, and only root of a user namespace asks: nothing could be uncovered. After
 * any other error the process must not go on: of its namespace only a part may be uncovered.
 */
int base_view_enter(enum base_view_flags flags, int *ret_host_ns_fd) MUST_CHECK;

/*
 * Unmount, in the calling process's namespace, every mount of ours on which nothing else lies,
 * but for those that are held; held may be NULL.
 * Where the namespace is shared this is felt elsewhere: base_view_enter() is the usual caller.
 */
int base_view_uncover(const struct held *held) MUST_CHECK;

/* Whether the calling process's namespace has a mount of ours. */
int base_view_is_covered(bool *ret) MUST_CHECK;
