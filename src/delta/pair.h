/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: which old file a new file is made from. The same path; else the same content; else
 * the same SONAME; else the most alike by a sketch of its content; else none.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "delta/encode.h"

enum pair_reason {
	PAIR_NONE,
	PAIR_PATH,
	PAIR_CONTENT,
	PAIR_SONAME,
	PAIR_SKETCH,
	PAIR_REASON_MAX,
};

struct pair {
	enum pair_reason reason;
	size_t old; /* index; meaningless for PAIR_NONE */
};

/* new_paths and new_data: n_new of each. ret: n_new, the caller's. */
int pair_files(const struct delta_input *old, size_t n_old, const struct delta_input *new,
	       size_t n_new, struct pair *ret) MUST_CHECK;
