/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Which changed files were merely rebuilt: ELF files whose every loaded byte is that of the base's,
 * with references resolved and the build-id set aside (delta/equivalent.h), in every base state that
 * has them, with the same owner, mode and attributes. A doubt is a difference. A file is no such one
 * where another file that changes, and is no ELF file itself, may vouch for its bytes: one that is
 * named after it (libfreebl3.chk beside libfreebl3.so, .x.hmac for x) or in which its name stands.
 */
#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/compare.h"

/*
 * Sets is_equivalent of rows.
 *
 * @is_taken  for each row: whether it may go into an image; others are not looked at
 */
int rebuilt_find(struct compare *c, const bool *is_taken, struct error *reterr) MUST_CHECK;
