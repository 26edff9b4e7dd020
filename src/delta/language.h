/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What .gcc_except_table says about one function: where exceptions land, and the table of types
 * that they are compared with (Itanium C++ ABI: exception handling, "Exception Handling Tables").
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delta/elf.h"

struct language_area {
	size_t sites, sites_end;  /* call sites, ULEB128 numbers: offsets in the file */
	size_t types, n_types;    /* pcrel 32-bit fields, 0 if they are something else */
};

/* One call site: where each of its numbers starts; all are measured from the function. */
struct language_site {
	size_t start, length, landing, action, end;
	uint64_t action_value;
};

/*
 * The area at an offset of section s. work: bytes that may still be looked at, of all areas
 * together; false where it makes no sense, is encoded in another way, or the work is used up.
 */
bool language_parse(const uint8_t *data, const struct elf_section *s, size_t at, uint64_t *work,
		    struct language_area *ret);
/* The call site at an offset; false at the end. */
bool language_site_at(const uint8_t *data, size_t at, size_t end, struct language_site *ret);
/* A ULEB128 number of at most 5 bytes; false where there is none before end. */
bool language_number(const uint8_t *data, size_t *at, size_t end, uint64_t *ret);
