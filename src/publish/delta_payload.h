/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A delta payload: the image of a component expressed against the files of one base set. It carries
 * the image's recipe and the contents of its extents in order (docs/formats/delta.md), so a device
 * assembles the same image from it as from the full payload.
 */
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/error.h"
#include "publish/build.h"
#include "publish/plan.h"

/*
 * The delta for base set number `set` of the component, appended to *out, whose cap says what would
 * be too large to be of use: -BSI_E_LIMIT then. *progress (or NULL) is shown after each file.
 * -ENOENT where none of the base states given to the plan has just these files, or the set has none
 * of them.
 */
int delta_payload_make(const struct plan *plan, struct state *to, const struct plan_component *c,
	size_t set, const struct build_progress *progress, struct buffer *out,
	uint64_t *ret_memory_bytes, struct error *reterr) MUST_CHECK;
