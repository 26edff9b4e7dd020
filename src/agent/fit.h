/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * How the components of a manifest fit this device: each base file opened in the base view, its
 * digest and access taken through that descriptor, and the match decided (improvement/match.h). The
 * descriptors stay open: what was matched is what is mounted over.
 */
#include <stdbool.h>
#include <stddef.h>

#include "agent/packages.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "improvement/manifest.h"
#include "improvement/match.h"

#define FIT_PROBLEM_MAX 512

struct fit_component {
	const struct component *component; /* of the manifest, borrowed */
	struct match match;
	int *files; /* n_files of the component; -EBADF where the base has no such file */
	int image_fd; /* its image, measured through this descriptor; -EBADF until then */
	bool is_barred; /* it is not to be attached now, as the problem says: it goes off too */
	char problem[FIT_PROBLEM_MAX]; /* it fits, and still cannot be attached; empty if it can */
};

struct fit {
	const struct manifest *manifest; /* borrowed */
	struct fit_component *components; /* as many as the manifest has, in its order */
	size_t n_components;
	struct packages_stamp packages; /* as the packages were before the first file was read */
};

/* The manifest must outlive *ret. */
int fit_measure(int root_fd, const struct manifest *manifest, struct fit **ret,
	struct error *reterr) MUST_CHECK;
void fit_free(struct fit *fit);
DEFINE_FREEP(fit)

/* Whether something of it is barred. False without a fit. */
bool fit_is_barred(const struct fit *fit);

/* The files that the matched base set has, so those that are mounted over. */
bool fit_has_file(const struct fit_component *c, size_t file);

/* Only opens the files; every verdict is MATCH_MISMATCH. For who needs inodes and no digests. */
int fit_open(int root_fd, const struct manifest *manifest, struct fit **ret, struct error *reterr)
	MUST_CHECK;
