/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The host: the mount namespace in which improvements are attached, reached by descriptor. The
 * engine itself lives in a base view, so all work on the host is done by a forked child that
 * enters the namespace: threads of the caller, its directory and its root do not matter.
 *
 * Needs CAP_SYS_ADMIN and a /proc of the caller's process namespace. Design: docs/design-graft.md.
 */
#include "base/compiler.h"
#include "base/error.h"

enum graft_host_flags {
	GRAFT_HOST_LOOP = 1 << 0, /* mount images through a loop device although the kernel could do without */
};

struct graft_host {
	int mount_ns_fd;  /* descriptor of a /proc/PID/ns/mnt; borrowed */
	const char *root; /* "/", or a directory inside that namespace below which everything lies */
	enum graft_host_flags flags;
};
