/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * .relr.dyn lists the words that hold addresses, packed: an even word is a place, an odd one says
 * for the 63 words behind the last place which of them count (generic ABI, "Relative Relocation
 * Table"). Which words of a new file hold addresses follows from where the old ones have gone, so
 * that each entry can be made anew.
 */
#include <stdint.h>

#include "delta/field.h"
#include "delta/map.h"

#define RELR_WORD_BYTES 8U
#define RELR_BITS 63U

struct relr {
	uint64_t at;    /* the entry behind the one that was asked for last; 0: none */
	uint64_t place; /* in new addresses, where that entry's bits begin */
};

/*
 * The entry of the new file at new_at, made from old's entry old_value. new: the new file, read
 * only before new_at; new_elf: its segments, or NULL.
 */
uint64_t relr_predict(struct relr *r, const struct field_map *old, const struct move_map *moves,
		      const struct elf *new_elf, const uint8_t *new, uint64_t new_at,
		      uint64_t old_value);
