/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Files of a repository that no list names any more: superseded metadata, what only that lists, and
 * what runs left that were killed. Readers with an older list may still ask for them, so they stay
 * until they are old. Files whose names are none of ours are never touched.
 */
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/repository.h"

enum leftover_flags {
	LEFTOVER_REMOVE = 1 << 0,
};

struct leftover {
	uint64_t n_files, bytes;
};

/*
 * Count them, and remove them if asked. Roots stay, and so does every list that was superseded after
 * before_utc_s with all that it names.
 *
 * @before_utc_s  what is no older stays; INT64_MAX: everything but what is listed now
 */
int leftover_walk(const struct repository *r, int64_t before_utc_s, enum leftover_flags flags,
	struct leftover *ret, struct error *reterr) MUST_CHECK;
