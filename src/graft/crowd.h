/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The mount namespaces that processes live in. A namespace full of mounts makes each mount that
 * would propagate into it fail with ENOSPC, wherever it is made: so somebody must be named.
 */
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/compiler.h"

struct crowd_member {
	ino_t ns;  /* the mount namespace */
	pid_t pid; /* the first process found in it */
};

struct crowd {
	struct crowd_member *members; /* each namespace once, by inode */
	size_t n_members;
};

/* Every mount namespace that /proc shows; those of processes that cannot be looked at are left
 * out. Returns 0 or -errno; the caller owns *ret. */
int crowd_load(struct crowd **ret) MUST_CHECK;
void crowd_free(struct crowd *crowd);
DEFINE_FREEP(crowd)

/* Words that name the fullest namespace, a process in it and its user. */
void crowd_describe_fullest(char *out, size_t out_len);
