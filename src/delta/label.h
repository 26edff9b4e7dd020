/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: labelled images. A copy of a file in which each field holds a hash of what it
 * refers to instead of where that lies, so that equal code is equal bytes.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "delta/field.h"
#include "delta/map.h"

/* First pass: by the bytes that stand at the target. into: len bytes. */
int label_by_content(const struct field_map *m, uint8_t *into) MUST_CHECK;

/* Second pass: by the old target. Of the new file: that which the alignment says. */
int label_by_target(const struct field_map *old, uint8_t *into) MUST_CHECK;
int label_by_alignment(const struct field_map *old, const struct field_map *new,
		       const struct op *ops, size_t n_ops, uint8_t *into) MUST_CHECK;
