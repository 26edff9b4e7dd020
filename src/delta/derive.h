/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Parts of an ELF file that follow from the rest of it, so that they need not be sent: the table
 * of .eh_frame_hdr, the filter and chains of .gnu.hash, the name in .gnu_debuglink, the buckets in
 * which Go looks for functions.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define DERIVE_RANGES_MAX 4U

struct derive_range {
	size_t at, len;
};

/* The ranges of this file that can be tried, by place; returns how many. */
unsigned derive_ranges(const uint8_t *data, size_t len, struct derive_range *ret);

/*
 * Fill one range of a file in which all but the derivable ranges is in place.
 * -BSI_E_FORMAT if it is no range that can be derived from this file.
 */
int derive_fill(uint8_t *data, size_t len, const struct derive_range *range) MUST_CHECK;
