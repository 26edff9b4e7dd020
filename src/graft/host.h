/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The host: the mount namespace in which improvements are attached, reached by descriptor. The
 * engine itself lives in a base view, so all changes on the host are made by a forked child that
 * enters the namespace, and a thread reads its mount table: directory and root of the caller do not
 * matter.
 *
 * Needs CAP_SYS_ADMIN and a /proc of the caller's process namespace. Design: docs/design-graft.md.
 */
#include <stddef.h>

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

/*
 * Run work in a child that has one thread and stands in the host's namespace, and wait for it.
 *
 * @ctx  read by work; what the child changes in it is lost
 * @out  out_len bytes that work fills; they come back to the caller in any case (may be NULL)
 *
 * The child blocks signals and dies with its caller. Returns what work returned with its words,
 * or an -errno of reaching the host; -EINTR if the child was killed.
 */
int graft_host_run(const struct graft_host *host,
	int (*work)(const struct graft_host *host, const void *ctx, void *out, struct error *reterr),
	const void *ctx, void *out, size_t out_len, struct error *reterr) MUST_CHECK;

/*
 * Run work, which only reads, in a thread that stands in the host's namespace with a root and a
 * directory of its own, and wait for it: a fraction of the price of a child. What it opens stays open
 * and what it allocates is the caller's. /proc/thread-self is where it stands, /proc/self is not.
 *
 * Returns what work returned with its words, or an -errno of reaching the host.
 */
int graft_host_look(const struct graft_host *host,
	int (*work)(const struct graft_host *host, void *ctx, struct error *reterr), void *ctx,
	struct error *reterr) MUST_CHECK;

/*
 * In such a child or thread, or in another namespace of the same tree: open root, and say where it is with
 * all symlinks resolved ("" for "/", so that path + "/usr/x" is right). -errno or a descriptor.
 */
int graft_host_open_root(const struct graft_host *host, char *ret_path, size_t path_len) MUST_CHECK;
