/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: longer copies for files of numbers. Where entries of a table all moved by the same
 * amount the alignment finds little that is equal and sends them; as a copy in which every other byte
 * is another one they cost next to nothing, because of each word the change is that of the word before.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "delta/map.h"

/*
 * A copy of ops (*n of them, which lie within both files) grows over the bytes that are sent behind
 * or before it if a fifth of them is there in the old file. What meets is one operation then.
 *
 * Returns whether any did; *n is never more than before.
 */
bool stretch_copies(struct op *ops, size_t *n, const uint8_t *old, size_t old_len, const uint8_t *new) MUST_CHECK;
