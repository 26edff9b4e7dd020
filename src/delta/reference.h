/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What a field of a file refers to, seen from that file alone. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delta/field.h"

/* An address; false for lengths, names, indices and the like. */
bool reference_target(const struct field_map *m, size_t at, enum field_kind kind, uint64_t *ret);
