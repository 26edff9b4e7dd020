/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Encoder only: the suffix array of a file, to find the longest match for a piece of another. */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"

struct suffix;

int suffix_new(const uint8_t *data, size_t len, struct suffix **ret) MUST_CHECK; /* data borrowed */
void suffix_free(struct suffix *s);
DEFINE_FREEP(suffix)

/*
 * Longest match of the start of the pattern, at most len bytes. Among matches of the same length
 * the one whose place is nearest to near_at is preferred, as far as a short look around finds it;
 * that is left out for matches shorter than least, of which the caller has no use. Of these less may
 * be returned than there is.
 */
size_t suffix_longest(const struct suffix *s, const uint8_t *pattern, size_t len, size_t least,
		      size_t near_at, size_t *ret_at);
