/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What is attached now. The kernel's mount table is the only record: each of our mounts carries
 * its component and its image's digest in its source, so nothing can disagree with it after a kill.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "graft/host.h"
#include "graft/seal.h"

struct graft_mount {
	char *component;
	struct digest digest; /* of the image */
	char *path;           /* of the base file that it lies over, below host root: "usr/lib/x" */
	int id, parent_id;    /* of the mount and of the mount below it, in this reading */
	enum graft_seal seal; /* what checks the reads of it */
	dev_t dev;            /* of the image's superblock; what /proc/PID/maps shows */
	bool visible;         /* nothing lies over it */
	bool under_lid;       /* it is going off: who opens the file finds the base */
	bool over_ours;       /* the mount below it is ours too: an older one */
	bool parent_shared;   /* the mount below it is shared: other namespaces follow */
};

/* In the order of the mount table: the order in which they were attached; stacks from below. */
struct graft_state {
	struct graft_mount *mounts;
	size_t n_mounts;
	struct graft_mount *lids; /* of an off that was cut (lift.h); component "", and no digest */
	size_t n_lids;
};

/*
 * Read the host's mount table. Mounts of ours outside of host->root are not listed, nor are binds
 * that somebody made of a patched file to another place.
 * The caller owns *ret. Returns 0 or -errno.
 */
int graft_state_read(const struct graft_host *host, struct graft_state **ret, struct error *reterr)
	MUST_CHECK;

/* The mount table itself, and where host->root is in it: "" for "/". root takes PATH_MAX bytes. */
struct mount_table;
int graft_state_table(const struct graft_host *host, struct mount_table **ret, char *ret_root,
	struct error *reterr) MUST_CHECK;

/* The state that such a table shows; root as graft_host_open_root() gives it. 0 or -ENOMEM. */
int graft_state_of(const struct mount_table *table, const char *root, struct graft_state **ret)
	MUST_CHECK;
void graft_state_free(struct graft_state *state);
DEFINE_FREEP(graft_state)
