/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One image against the manifest that describes it: decode the payload, recompute digest and seal,
 * and compare what is in the image with the files that the manifest lists.
 */
#include "base/compiler.h"
#include "base/error.h"
#include "improvement/manifest.h"
#include "publish/build.h"

/* payload_fd: a "full" payload, from offset 0. */
int audit_payload(int payload_fd, const struct component *c, const struct payload *payload,
	const struct build_progress *progress, struct error *reterr) MUST_CHECK;
