/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A look at metadata before it is parsed: its size, how deep it nests, how many values it holds
 * and how many signatures it carries. Allocates nothing, reads each byte once, and believes
 * nothing else about the text; the parser that follows says whether it is JSON at all.
 */
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"

/* -BSI_E_LIMIT above max_bytes or a limit of trust/bounds.h; what names the file in errors. */
int trust_scan(const void *data, size_t len, size_t max_bytes, const char *what,
	struct error *reterr) MUST_CHECK;
