/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/elf.h"

#include <string.h>

#define SEGMENT_HEADERS_MAX 64U

#define MACHINE_386 3
#define MACHINE_X86_64 62
#define MACHINE_AARCH64 183
#define ET_REL 1
#define ET_EXEC 2
/* Below this a number is too likely no address. */
#define FIXED_ADDR_MIN 0x10000U
#define PT_LOAD 1
#define PF_X 1

#define SHT_SYMTAB 2
#define SHT_RELA 4
#define SHT_HASH 5
#define SHT_DYNAMIC 6
#define SHT_NOTE 7
#define SHT_NOBITS 8
#define SHT_REL 9
#define SHT_DYNSYM 11
#define SHT_INIT_ARRAY 14
#define SHT_FINI_ARRAY 15
#define SHT_PREINIT_ARRAY 16
#define SHT_RELR 19
#define SHT_GNU_HASH 0x6ffffff6U
#define SHT_GNU_VERDEF 0x6ffffffdU
#define SHT_GNU_VERNEED 0x6ffffffeU
#define SHT_GNU_VERSYM 0x6fffffffU
#define SHF_WRITE 1
#define SHF_ALLOC 2
#define SHF_EXECINSTR 4
#define SHF_TLS 0x400

static const struct elf_shape elf_shape_32 = {4, 52, 32, 40, 16, 8};
static const struct elf_shape elf_shape_64 = {8, 64, 56, 64, 24, 24};

static enum elf_machine elf_machine_of(const struct elf_shape *shape, unsigned machine)
{
	if (shape->word == 4)
		return machine == MACHINE_386 ? ELF_MACHINE_I386 : ELF_MACHINE_NONE;
	if (machine == MACHINE_X86_64)
		return ELF_MACHINE_X86_64;
	return machine == MACHINE_AARCH64 ? ELF_MACHINE_AARCH64 : ELF_MACHINE_NONE;
}

/* Places in the header count in words from the entry point on. */
static bool elf_parse_header(struct elf *e, const uint8_t *data, size_t len, uint64_t file_bytes)
{
	static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};
	unsigned word, n;

	memset(e, 0, sizeof(*e));
	e->shape = &elf_shape_64;
	if (len < elf_shape_32.header || memcmp(data, magic, sizeof(magic)) != 0 || data[5] != 1 ||
	    data[6] != 1 || (data[4] != 1 && data[4] != 2))
		return false;
	if (data[4] == 1)
		e->shape = &elf_shape_32;
	if (len < e->shape->header)
		return false;
	word = e->shape->word;
	e->file_bytes = file_bytes;
	e->is_object = elf_u16(data + 16) == ET_REL;
	e->segments_offset = elf_word(e, data + 24 + word);
	e->sections_offset = elf_word(e, data + 24 + 2 * word);
	n = elf_u16(data + 32 + 3 * word);
	if (e->is_object) {
		if (n)
			return false;
		e->segments_offset = e->shape->header;
	} else if (elf_u16(data + 30 + 3 * word) != e->shape->segment) {
		return false;
	}
	if (n > SEGMENT_HEADERS_MAX || e->segments_offset > file_bytes ||
	    (uint64_t)n * e->shape->segment > file_bytes - e->segments_offset)
		return false;
	e->n_segment_headers = n;
	n = elf_u16(data + 36 + 3 * word);
	if (elf_u16(data + 34 + 3 * word) == e->shape->section &&
	    e->sections_offset <= file_bytes && n <= ELF_SECTIONS_MAX &&
	    (uint64_t)n * e->shape->section <= file_bytes - e->sections_offset)
		e->n_section_headers = n;
	return true;
}

size_t elf_headers_end(const struct elf *e)
{
	return (size_t)e->segments_offset + e->n_segment_headers * (size_t)e->shape->segment;
}

/* One program header; false where it makes no sense. */
static bool elf_parse_segment(struct elf *e, const uint8_t *p, uint64_t file_bytes)
{
	struct elf_segment *s = &e->segments[e->n_segments];
	unsigned word = e->shape->word;

	if (elf_u32(p) != PT_LOAD)
		return true;
	if (e->n_segments == ELF_SEGMENTS_MAX)
		return false;
	s->executable = elf_u32(p + (word == 8 ? 4 : 24)) & PF_X;
	s->offset = elf_word(e, p + word);
	s->addr = elf_word(e, p + 2 * word);
	s->file_bytes = elf_word(e, p + 4 * word);
	s->memory_bytes = elf_word(e, p + 5 * word);
	if (s->offset > file_bytes || s->file_bytes > file_bytes - s->offset ||
	    s->memory_bytes < s->file_bytes || s->addr > INT64_MAX || s->memory_bytes > INT64_MAX)
		return false;
	e->n_segments++;
	return true;
}

bool elf_parse_segments(struct elf *e, const uint8_t *data, size_t len, uint64_t file_bytes)
{
	if (!elf_parse_header(e, data, len, file_bytes) || elf_headers_end(e) > len)
		return false;
	for (unsigned i = 0; i < e->n_segment_headers; i++)
		if (!elf_parse_segment(e, data + e->segments_offset + i * e->shape->segment,
				       file_bytes))
			return false;
	if (e->is_object) {
		e->segments[0] = (struct elf_segment){.file_bytes = file_bytes,
						      .memory_bytes = file_bytes, .executable = true};
		e->n_segments = 1;
	}
	e->is_fixed = elf_u16(data + 16) == ET_EXEC && e->n_segments &&
		      e->segments[0].addr >= FIXED_ADDR_MIN;
	e->machine = elf_machine_of(e->shape, elf_u16(data + 18));
	return e->machine != ELF_MACHINE_NONE;
}

static enum elf_section_kind elf_kind_by_name(const char *name)
{
	static const struct {
		const char *name;
		enum elf_section_kind kind;
	} names[] = {
		{".eh_frame", ELF_SECTION_EH_FRAME},
		{".eh_frame_hdr", ELF_SECTION_EH_FRAME_HDR},
		{".gcc_except_table", ELF_SECTION_EXCEPT_TABLE},
		{".gnu_debuglink", ELF_SECTION_DEBUGLINK},
		{".note.gnu.build-id", ELF_SECTION_BUILD_ID},
		{".note.stapsdt", ELF_SECTION_STAPSDT},
		{".gopclntab", ELF_SECTION_GOPCLNTAB},
		{".data.rel.ro.gopclntab", ELF_SECTION_GOPCLNTAB},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i].name) == 0)
			return names[i].kind;
	return ELF_SECTION_OTHER;
}

static enum elf_section_kind elf_kind_of(const struct elf_shape *shape, uint32_t type, uint64_t flags,
					 const char *name)
{
	switch (type) {
	case SHT_REL:
		return shape->word == 4 ? ELF_SECTION_RELA : ELF_SECTION_OTHER;
	case SHT_RELA:
		return shape->word == 8 ? ELF_SECTION_RELA : ELF_SECTION_OTHER;
	case SHT_RELR:
		return shape->word == 8 ? ELF_SECTION_RELR : ELF_SECTION_OTHER;
	case SHT_HASH:
		return ELF_SECTION_HASH;
	case SHT_GNU_HASH:
		return ELF_SECTION_GNU_HASH;
	case SHT_DYNAMIC:
		return ELF_SECTION_DYNAMIC;
	case SHT_DYNSYM:
		return ELF_SECTION_DYNSYM;
	case SHT_SYMTAB:
		return ELF_SECTION_SYMTAB;
	case SHT_GNU_VERSYM:
		return ELF_SECTION_VERSIONS;
	case SHT_GNU_VERNEED:
		return ELF_SECTION_VERSIONS_NEEDED;
	case SHT_GNU_VERDEF:
		return ELF_SECTION_VERSIONS_MADE;
	case SHT_NOBITS:
		return ELF_SECTION_NOBITS;
	case SHT_INIT_ARRAY:
	case SHT_FINI_ARRAY:
	case SHT_PREINIT_ARRAY:
		return ELF_SECTION_POINTERS;
	default:
		if (flags & SHF_EXECINSTR)
			return ELF_SECTION_CODE;
		return elf_kind_by_name(name);
	}
}

/* The name at an offset of the name table, or "" where it is not ended inside the file. */
static const char *elf_name(const uint8_t *data, size_t len, uint64_t table, uint32_t offset)
{
	if (table > len || offset >= len - table)
		return "";
	if (!memchr(data + table + offset, 0, len - table - offset))
		return "";
	return (const char *)(data + table + offset);
}

/* Zeroed sections of an object lie behind the file, one after the other. */
static void elf_place_section(struct elf *e, struct elf_section *s)
{
	uint64_t end = e->segments[0].memory_bytes;

	s->addr = s->offset;
	if (s->kind != ELF_SECTION_NOBITS || !s->bytes)
		return;
	s->addr = end;
	if (s->bytes <= INT32_MAX - (end < INT32_MAX ? end : INT32_MAX))
		e->segments[0].memory_bytes += s->bytes;
	else
		s->bytes = 0;
}

static void elf_parse_section(struct elf *e, const uint8_t *p, const char *name, size_t len,
			      struct elf_section *s)
{
	unsigned word = e->shape->word;
	uint64_t flags = elf_word(e, p + 8);

	s->kind = elf_kind_of(e->shape, elf_u32(p + 4), flags, name);
	s->is_plt = s->kind == ELF_SECTION_CODE && strcmp(name, ".plt") == 0;
	s->is_plt_rela = s->kind == ELF_SECTION_RELA &&
			 strcmp(name, word == 8 ? ".rela.plt" : ".rel.plt") == 0;
	s->name = name;
	s->is_thread_zeros = s->kind == ELF_SECTION_NOBITS && flags & SHF_TLS;
	s->allocated = flags & SHF_ALLOC;
	s->writable = flags & SHF_WRITE;
	s->addr = elf_word(e, p + 8 + word);
	s->offset = elf_word(e, p + 8 + 2 * word);
	s->bytes = elf_word(e, p + 8 + 3 * word);
	s->link = elf_u32(p + 8 + 4 * word);
	s->info = elf_u32(p + 12 + 4 * word);
	s->entry_bytes = elf_word(e, p + 16 + 5 * word);
	if (s->kind != ELF_SECTION_NOBITS && (s->offset > len || s->bytes > len - s->offset)) {
		s->kind = ELF_SECTION_NOBITS;
		s->bytes = 0;
	}
	if (e->is_object)
		elf_place_section(e, s);
}

/* Which table each section of an object has: number 0 is no section. */
static void elf_find_relocations(struct elf *e)
{
	for (unsigned i = 1; i < e->n_sections && e->is_object; i++) {
		const struct elf_section *s = &e->sections[i];

		if (s->kind == ELF_SECTION_RELA && s->info < e->n_sections &&
		    !e->sections[s->info].relocations)
			e->sections[s->info].relocations = (uint8_t)i;
	}
}

bool elf_parse(struct elf *e, const uint8_t *data, size_t len)
{
	uint64_t names = len, total = 0;
	unsigned names_index, word;

	if (!elf_parse_segments(e, data, len, len))
		return false;
	word = e->shape->word;
	names_index = elf_u16(data + 38 + 3 * word);
	if (names_index < e->n_section_headers)
		names = elf_word(e, data + e->sections_offset + names_index * e->shape->section +
					    8 + 2 * word);
	for (unsigned i = 0; i < e->n_section_headers; i++) {
		const uint8_t *p = data + e->sections_offset + i * e->shape->section;
		struct elf_section *s = &e->sections[i];

		elf_parse_section(e, p, elf_name(data, len, names, elf_u32(p)), len, s);
		if (s->kind != ELF_SECTION_NOBITS)
			total += s->bytes;
		/* sections that overlap more than a little are no sections */
		if (total > 2 * (uint64_t)len)
			return true;
	}
	e->n_sections = e->n_section_headers;
	elf_find_relocations(e);
	for (unsigned i = 0; i < e->n_sections; i++)
		if (e->sections[i].kind == ELF_SECTION_DYNSYM &&
		    e->sections[i].link < e->n_sections &&
		    e->sections[e->sections[i].link].kind == ELF_SECTION_OTHER)
			e->sections[e->sections[i].link].kind = ELF_SECTION_DYNSTR;
	return true;
}

bool elf_offset_of(const struct elf *e, uint64_t addr, uint64_t *ret_offset)
{
	const struct elf_segment *at_end = NULL;

	for (unsigned i = 0; i < e->n_segments; i++) {
		const struct elf_segment *s = &e->segments[i];

		if (addr < s->addr || addr - s->addr > s->file_bytes)
			continue;
		if (addr - s->addr == s->file_bytes) {
			at_end = s;
			continue;
		}
		*ret_offset = s->offset + (addr - s->addr);
		return true;
	}
	if (!at_end)
		return false;
	*ret_offset = at_end->offset + at_end->file_bytes;
	return true;
}

bool elf_addr_of(const struct elf *e, uint64_t offset, uint64_t *ret_addr)
{
	const struct elf_segment *at_end = NULL;

	for (unsigned i = 0; i < e->n_segments; i++) {
		const struct elf_segment *s = &e->segments[i];

		if (offset < s->offset || offset - s->offset > s->file_bytes)
			continue;
		if (offset - s->offset == s->file_bytes) {
			at_end = s;
			continue;
		}
		*ret_addr = s->addr + (offset - s->offset);
		return true;
	}
	if (!at_end)
		return false;
	*ret_addr = at_end->addr + at_end->file_bytes;
	return true;
}

bool elf_has_addr(const struct elf *e, uint64_t addr)
{
	for (unsigned i = 0; i < e->n_segments; i++)
		if (addr >= e->segments[i].addr &&
		    addr - e->segments[i].addr <= e->segments[i].memory_bytes)
			return true;
	return false;
}

const struct elf_section *elf_linked(const struct elf *e, const struct elf_section *s)
{
	const struct elf_section *to = s->link < e->n_sections ? &e->sections[s->link] : NULL;

	return to && to->kind != ELF_SECTION_NOBITS ? to : NULL;
}

const struct elf_section *elf_find_plt_rela(const struct elf *e)
{
	for (unsigned i = 0; i < e->n_sections; i++)
		if (e->sections[i].is_plt_rela)
			return &e->sections[i];
	return NULL;
}

const struct elf_section *elf_find(const struct elf *e, enum elf_section_kind kind)
{
	for (unsigned i = 0; i < e->n_sections; i++)
		if (e->sections[i].kind == kind)
			return &e->sections[i];
	return NULL;
}

const struct elf_section *elf_section_at(const struct elf *e, uint64_t offset)
{
	for (unsigned i = 0; i < e->n_sections; i++) {
		const struct elf_section *s = &e->sections[i];

		if (s->kind != ELF_SECTION_NOBITS && offset >= s->offset && offset - s->offset < s->bytes)
			return s;
	}
	return NULL;
}
