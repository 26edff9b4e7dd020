/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a program made by Go 1.18 or later knows about itself: .gopclntab and the types. Nearly all
 * of it are 32-bit distances from a few starting points that the module's own record lists
 * (runtime/symtab.go and runtime/type.go of Go). The input is untrusted: every range kept here
 * lies inside the file.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delta/elf.h"

struct field_map;

#define GO_TABLE_HEADER_BYTES 72U

struct go_range {
	size_t at;       /* offset in the file; 0 if there is none */
	uint64_t addr, bytes;
};

struct go_module {
	bool is_known;
	uint64_t text; /* where code begins */
	uint64_t n_functions;
	unsigned function_bytes; /* of a function's record, without its lists */
	/* in .gopclntab: names of functions, files of units, names of files, tables, functions */
	struct go_range table, names, units, files, values, functions;
	struct go_range types, data, links, buckets; /* data: what functions need of .rodata */
};

/* Find the module of a program; leaves is_known false if there is none, or a strange one. */
void go_parse(struct go_module *g, const struct elf *e, const uint8_t *data, size_t len);
/* Mark the fields. */
void go_scan(struct field_map *m);
/* What a 32-bit field at this place is measured from; false for a place that holds none. */
bool go_base(const struct field_map *m, size_t at, uint64_t *ret);

/*
 * The buckets that lead from an address to its function follow from the table of functions. Fill
 * them; false if the module is not known.
 */
bool go_fill_buckets(const struct go_module *g, uint8_t *data);
