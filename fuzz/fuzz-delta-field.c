/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scan of an old file for references, of each machine that is known and as an object too, and
 * what can be derived.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "delta/derive.h"
#include "delta/field.h"
#include "delta/object.h"

#define TYPE_AT 16U
#define MACHINE_AT 18U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void scan(const uint8_t *data, size_t size)
{
	AUTO(field_map) struct field_map *m = NULL;
	struct field_site site;
	struct object_base base;
	uint64_t entry_base;

	if (field_map_new(data, size, &m) < 0)
		return;
	for (size_t at = 0; (at = field_next(m, at, size)) < size; at++)
		if (field_width(m, field_at(m, at)) > size - at)
			__builtin_trap();
		else if (field_at(m, at) == FIELD_SITE)
			(void)field_site_at(m, at, &site);
		else if (field_is_entry(m, field_at(m, at)) && !field_entry_base(m, at, &entry_base))
			__builtin_trap();
		else if (m->elf.is_object)
			(void)object_base_of(m, at, &base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct derive_range ranges[DERIVE_RANGES_MAX];
	uint8_t *copy = malloc(size + 1);
	unsigned n;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	scan(copy, size);
	n = derive_ranges(copy, size, ranges);
	for (unsigned i = 0; i < n; i++)
		if (derive_fill(copy, size, &ranges[i]) > 0)
			__builtin_trap();
	if (size > MACHINE_AT) {
		copy[MACHINE_AT] = copy[MACHINE_AT] == 62 ? 183 : 62;
		scan(copy, size);
		copy[TYPE_AT] ^= 2; /* a library is an object, and an object a library */
		scan(copy, size);
	}
	free(copy);
	return 0;
}
