/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A whole repository, offline, believed in nothing: the metadata as a device that starts from the
 * first root would take it, every listed file by length and digest, every index and manifest by its
 * rules, every full payload decoded and its seal recomputed, and what is in the image file by file
 * against the manifest. Deltas are checked by length and digest alone: decoding one needs the files
 * of a base. A device compares the image that a delta gives with the same digest.
 */
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/build.h"

struct verify_report {
	uint64_t n_bases, n_letters, n_components, n_images, n_targets;
	uint64_t target_bytes, image_bytes;
	uint64_t n_unlisted, unlisted_bytes; /* files that no current list names */
	uint64_t n_undecoded; /* deltas, each as often as a letter lists it */
	int64_t expires_utc_s; /* the earliest of what devices ask for */
};

/* The first fault ends it; its words name the object. */
int verify_repository(const char *path, int64_t now_utc_s, const struct build_progress *progress,
	struct verify_report *ret, struct error *reterr) MUST_CHECK;
