/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/reference.h"

#include "delta/object.h"

static size_t reference_table_start(const struct field_map *m, size_t at)
{
	for (unsigned i = 0; i < FIELD_TABLE_ENTRIES_MAX && at >= 4 &&
			     field_at(m, at) == FIELD_TABLE; i++)
		at -= 4;
	return at;
}

static bool reference_in_relr(const struct field_map *m, size_t at)
{
	const struct elf_section *s = elf_find(&m->elf, ELF_SECTION_RELR);

	return s && at >= s->offset && at - s->offset < s->bytes;
}

bool reference_target(const struct field_map *m, size_t at, enum field_kind kind, uint64_t *ret)
{
	uint64_t addr, value;

	if (kind == FIELD_SITE) {
		struct field_site site;

		if (!field_site_at(m, at, &site) || site.is_nothing)
			return false;
		*ret = site.to;
		return true;
	}
	if (field_is_a64(m, kind))
		return field_a64_target(m, at, ret);
	if (field_is_entry(m, kind)) {
		if (!field_entry_base(m, at, &addr))
			return false;
		*ret = field_entry_target(kind, m->data + at, addr);
		return true;
	}
	value = (uint64_t)(int64_t)(int32_t)elf_u32(m->data + at);
	if (field_is_got(m, kind)) {
		*ret = m->got + (kind == FIELD_I386_GOT ? 0 : value);
		return true;
	}
	if (m->elf.is_object && (kind == FIELD_ADDR64 || kind == FIELD_ADDR32)) {
		struct object_base base;

		if (!object_base_of(m, at, &base))
			return false;
		*ret = m->elf.sections[base.section].addr + base.more +
		       (kind == FIELD_ADDR64 ? elf_u64(m->data + at) : value);
		return true;
	}
	if (!elf_addr_of(&m->elf, at, &addr))
		addr = at;
	switch (kind) {
	case FIELD_TEXT32:
	case FIELD_SPECIAL32:
		if (!go_base(m, at, &addr))
			return false;
		*ret = addr + elf_u32(m->data + at);
		return true;
	case FIELD_SPECIAL64:
		*ret = elf_u64(m->data + at);
		return !(*ret & 1) && reference_in_relr(m, at);
	case FIELD_BRANCH:
	case FIELD_MEMORY0:
	case FIELD_MEMORY1:
	case FIELD_MEMORY2:
	case FIELD_MEMORY4:
		*ret = addr + 4 + field_tail(kind) + value;
		return true;
	case FIELD_PCREL32:
		*ret = addr + value;
		return true;
	case FIELD_TABLE:
	case FIELD_TABLE_START:
		at = reference_table_start(m, at);
		if (!elf_addr_of(&m->elf, at, &addr))
			addr = at;
		*ret = addr + value;
		return true;
	case FIELD_ADDR64:
		*ret = elf_u64(m->data + at);
		return true;
	case FIELD_ADDR32:
		*ret = elf_u32(m->data + at);
		return true;
	default:
		return false;
	}
}
