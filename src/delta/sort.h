/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: the order of all suffixes of a file, for builds without libdivsufsort: slower, and
 * with 16 bytes of memory for each byte. There is one right order, so deltas do not differ by it.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* order: len numbers, the caller's. */
int suffix_sort(const uint8_t *data, size_t len, int32_t *order) MUST_CHECK;
