/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/object.h"

#define R_386_32 1
#define R_386_PC32 2
#define R_386_PLT32 4
#define R_386_GOTOFF 9

#define SYMBOL_IS_SECTION 3
#define PLACE_BYTES 4U

/* Symbol of an entry of a table of relocations; NULL where there is none. */
static const uint8_t *object_symbol(const struct field_map *m, const struct elf_section *s,
				    size_t entry)
{
	const struct elf_section *symbols = elf_linked(&m->elf, s);
	uint32_t info = elf_u32(m->data + entry + (m->elf.shape->word == 8 ? 12 : 4));
	uint64_t index = m->elf.shape->word == 8 ? info : info >> 8;

	if (!symbols || symbols->kind != ELF_SECTION_SYMTAB ||
	    index >= symbols->bytes / m->elf.shape->symbol)
		return NULL;
	return m->data + symbols->offset + index * m->elf.shape->symbol;
}

/* The section that a symbol stands for; false for those that have a name of their own. */
static bool object_symbol_section(const struct field_map *m, const uint8_t *symbol, unsigned *ret)
{
	unsigned info = symbol[m->elf.shape->word == 8 ? 4 : 12];

	*ret = elf_symbol_section(&m->elf, symbol);
	return (info & 15) == SYMBOL_IS_SECTION && *ret < m->elf.n_sections;
}

bool object_place(const struct field_map *m, const struct elf_section *s, size_t entry, size_t *ret)
{
	uint64_t place = elf_word(&m->elf, m->data + entry);
	const struct elf_section *in;

	if (s->info >= m->elf.n_sections)
		return false;
	in = &m->elf.sections[s->info];
	if (in->kind == ELF_SECTION_NOBITS || place > in->bytes || in->bytes - place < PLACE_BYTES)
		return false;
	*ret = (size_t)(in->offset + place);
	return true;
}

/* The entry for a place of a section, by a search in its table. */
static bool object_find(const struct field_map *m, const struct elf_section *in, uint64_t place,
			const struct elf_section **ret_table, size_t *ret_entry)
{
	const struct elf_section *s = &m->elf.sections[in->relocations];
	unsigned bytes = m->elf.shape->relocation;
	uint64_t low = 0, high = s->bytes / bytes;

	if (!in->relocations)
		return false;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (elf_word(&m->elf, m->data + s->offset + middle * bytes) < place)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == s->bytes / bytes ||
	    elf_word(&m->elf, m->data + s->offset + low * bytes) != place)
		return false;
	*ret_table = s;
	*ret_entry = (size_t)(s->offset + low * bytes);
	return true;
}

/* Distances from the place. Those of x86-64 have the same numbers; AArch64 has others. */
static bool object_is_distance(uint32_t type)
{
	return type == R_386_PC32 || type == R_386_PLT32;
}

/* Types whose place holds what is added to the symbol: 32-bit x86 only. */
static bool object_is_added(uint32_t type)
{
	return type == R_386_32 || type == R_386_GOTOFF || object_is_distance(type);
}

/* A word that a relocation adds to. */
static bool object_base_of_place(const struct field_map *m, const struct elf_section *in, size_t at,
				 struct object_base *ret)
{
	const struct elf_section *table;
	const uint8_t *symbol;
	uint32_t type;
	size_t entry;

	if (m->elf.shape->word != 4 || !object_find(m, in, at - in->offset, &table, &entry))
		return false;
	symbol = object_symbol(m, table, entry);
	type = elf_u32(m->data + entry + 4) & 0xff;
	if (!symbol || !object_is_added(type) || !object_symbol_section(m, symbol, &ret->section))
		return false;
	if (in->kind == ELF_SECTION_CODE && object_is_distance(type))
		ret->more = PLACE_BYTES;
	return true;
}

/* The start of the entry of a table that a byte lies in; false if the entry is cut. */
static bool object_entry(const struct elf_section *s, size_t at, unsigned bytes, size_t *ret)
{
	*ret = at - (at - (size_t)s->offset) % bytes;
	return s->bytes - (*ret - s->offset) >= bytes;
}

bool object_base_of(const struct field_map *m, size_t at, struct object_base *ret)
{
	const struct elf_section *s = elf_section_at(&m->elf, at);
	const uint8_t *symbol;
	size_t entry;

	*ret = (struct object_base){0};
	if (!s)
		return false;
	if (s->kind == ELF_SECTION_SYMTAB) {
		if (!object_entry(s, at, m->elf.shape->symbol, &entry))
			return false;
		ret->section = elf_symbol_section(&m->elf, m->data + entry);
	} else if (s->kind == ELF_SECTION_RELA) {
		if (!object_entry(s, at, m->elf.shape->relocation, &entry))
			return false;
		ret->section = s->info;
		if (at != entry) {
			symbol = object_symbol(m, s, entry);
			if (!symbol || !object_symbol_section(m, symbol, &ret->section))
				return false;
			if (s->info < m->elf.n_sections &&
			    m->elf.sections[s->info].kind == ELF_SECTION_CODE &&
			    object_is_distance(elf_u32(m->data + entry + 8)))
				ret->more = PLACE_BYTES;
			return true;
		}
	} else {
		return object_base_of_place(m, s, at, ret);
	}
	return ret->section < m->elf.n_sections;
}

void object_scan_relocations(struct field_map *m, const struct elf_section *s)
{
	unsigned word = m->elf.shape->word, bytes = m->elf.shape->relocation;

	for (uint64_t i = 0; i + bytes <= s->bytes; i += bytes) {
		size_t at = (size_t)(s->offset + i), index = word == 8 ? at + 12 : at + 4;
		const uint8_t *symbol = object_symbol(m, s, at);
		unsigned section;

		field_mark(m, at, word == 8 ? FIELD_ADDR64 : FIELD_ADDR32);
		if (word == 8 ? elf_u32(m->data + index) : elf_u32(m->data + index) >> 8)
			field_mark(m, index, FIELD_SYMBOL32);
		if (word == 8 && symbol && object_symbol_section(m, symbol, &section))
			field_mark(m, at + 16, FIELD_ADDR64);
	}
}

/* What code holds at a place that is relocated is no reference; it may be what is added. */
void object_scan(struct field_map *m)
{
	unsigned bytes = m->elf.shape->relocation;

	if (!m->elf.is_object)
		return;
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		const struct elf_section *s = &m->elf.sections[i];

		if (s->kind != ELF_SECTION_RELA)
			continue;
		for (uint64_t at = s->offset; at + bytes <= s->offset + s->bytes; at += bytes) {
			struct object_base base;
			size_t place;

			if (!object_place(m, s, (size_t)at, &place))
				continue;
			for (unsigned k = 0; k < PLACE_BYTES; k++)
				field_mark(m, place + k, FIELD_NONE);
			if (object_base_of_place(m, &m->elf.sections[s->info], place, &base))
				field_mark(m, place, FIELD_ADDR32);
		}
	}
}
