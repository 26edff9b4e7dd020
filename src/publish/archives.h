/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A set of .deb files as a state. The first pass takes names, metadata and digests; content is
 * spooled in a second one, for the files that are asked for.
 */
#include "base/compiler.h"
#include "publish/state.h"

/* Fills a fresh state whose debs are set. */
int archives_load(struct state *s, struct error *reterr) MUST_CHECK;
/* state_spool(): regular files of s, none a hard link. */
int archives_spool(struct state *s, struct state_file *const *files, size_t n,
	struct error *reterr) MUST_CHECK;
