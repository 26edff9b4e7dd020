/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Objects that are not linked yet: their references are measured from the start of a section, and
 * the tables of relocations say from which. Those tables are in the order of places, as assemblers
 * and linkers write them; what one that is not says counts as far as it can be found.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delta/field.h"

/* What a value of an object is measured from: the start of a section, and a few bytes more. */
struct object_base {
	unsigned section; /* index */
	uint64_t more;    /* a distance from an instruction's end is that much further */
};

/* Of a FIELD_ADDR32 or FIELD_ADDR64; false if there is nothing to measure from. */
bool object_base_of(const struct field_map *m, size_t at, struct object_base *ret);

/* Parts of the scan: entries of a table, and, when code was looked at, the places they name. */
void object_scan_relocations(struct field_map *m, const struct elf_section *s);
void object_scan(struct field_map *m);

/* The place that an entry names, as an offset in the file; false if it is outside of its section. */
bool object_place(const struct field_map *m, const struct elf_section *s, size_t entry, size_t *ret);
