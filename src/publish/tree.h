/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A root tree as a state: packages from var/lib/dpkg/status, their files from info/NAME.list, and
 * what their md5sums say. Every file is opened as if the tree were "/", so no symlink in it leads
 * out of it. Files that a package lists and the tree does not have are left out: images without
 * documentation are common.
 */
#include "base/compiler.h"
#include "publish/state.h"

/* Fills a fresh state whose root_fd is set. */
int tree_load(struct state *s, struct error *reterr) MUST_CHECK;
/* state_measure() for a file of a root tree. */
int tree_measure(struct state *s, struct state_file *f, struct error *reterr) MUST_CHECK;
/* A descriptor for reading a regular file of the tree. */
int tree_open_file(const struct state *s, const struct state_file *f) MUST_CHECK;
