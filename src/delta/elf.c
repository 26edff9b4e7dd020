/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/elf.h"

#include <string.h>

#define ELF_HEADER_BYTES 64U
#define SEGMENT_HEADER_BYTES 56U
#define SECTION_HEADER_BYTES 64U
#define SEGMENT_HEADERS_MAX 64U

#define MACHINE_X86_64 62
#define MACHINE_AARCH64 183
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

static bool elf_parse_header(struct elf *e, const uint8_t *data, size_t len, uint64_t file_bytes)
{
	static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	uint64_t n;

	memset(e, 0, sizeof(*e));
	if (len < ELF_HEADER_BYTES || memcmp(data, ident, sizeof(ident)) != 0)
		return false;
	if (elf_u16(data + 54) != SEGMENT_HEADER_BYTES)
		return false;
	e->file_bytes = file_bytes;
	e->segments_offset = elf_u64(data + 32);
	e->sections_offset = elf_u64(data + 40);
	n = elf_u16(data + 56);
	if (n > SEGMENT_HEADERS_MAX || e->segments_offset > file_bytes ||
	    n * SEGMENT_HEADER_BYTES > file_bytes - e->segments_offset)
		return false;
	e->n_segment_headers = (unsigned)n;
	n = elf_u16(data + 60);
	if (elf_u16(data + 58) == SECTION_HEADER_BYTES && e->sections_offset <= file_bytes &&
	    n <= ELF_SECTIONS_MAX && n * SECTION_HEADER_BYTES <= file_bytes - e->sections_offset)
		e->n_section_headers = (unsigned)n;
	return true;
}

size_t elf_headers_end(const uint8_t *data, size_t len)
{
	struct elf e;

	if (!elf_parse_header(&e, data, len, UINT64_MAX >> 1) || e.segments_offset > UINT32_MAX)
		return 0;
	return (size_t)e.segments_offset + e.n_segment_headers * SEGMENT_HEADER_BYTES;
}

bool elf_parse_segments(struct elf *e, const uint8_t *data, size_t len, uint64_t file_bytes)
{
	unsigned machine;

	if (!elf_parse_header(e, data, len, file_bytes))
		return false;
	if (e->segments_offset + e->n_segment_headers * SEGMENT_HEADER_BYTES > len)
		return false;
	for (unsigned i = 0; i < e->n_segment_headers; i++) {
		const uint8_t *p = data + e->segments_offset + i * SEGMENT_HEADER_BYTES;
		struct elf_segment *s = &e->segments[e->n_segments];

		if (elf_u32(p) != PT_LOAD)
			continue;
		if (e->n_segments == ELF_SEGMENTS_MAX)
			return false;
		s->executable = elf_u32(p + 4) & PF_X;
		s->offset = elf_u64(p + 8);
		s->addr = elf_u64(p + 16);
		s->file_bytes = elf_u64(p + 32);
		s->memory_bytes = elf_u64(p + 40);
		if (s->offset > file_bytes || s->file_bytes > file_bytes - s->offset ||
		    s->memory_bytes < s->file_bytes || s->addr > INT64_MAX ||
		    s->memory_bytes > INT64_MAX)
			return false;
		e->n_segments++;
	}
	e->is_fixed = elf_u16(data + 16) == ET_EXEC && e->n_segments &&
		      e->segments[0].addr >= FIXED_ADDR_MIN;
	machine = elf_u16(data + 18);
	if (machine == MACHINE_X86_64)
		e->machine = ELF_MACHINE_X86_64;
	else if (machine == MACHINE_AARCH64)
		e->machine = ELF_MACHINE_AARCH64;
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

static enum elf_section_kind elf_kind_of(uint32_t type, uint64_t flags, const char *name)
{
	switch (type) {
	case SHT_RELA:
		return ELF_SECTION_RELA;
	case SHT_RELR:
		return ELF_SECTION_RELR;
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

bool elf_parse(struct elf *e, const uint8_t *data, size_t len)
{
	uint64_t names = len, total = 0;
	unsigned names_index;

	if (!elf_parse_segments(e, data, len, len))
		return false;
	names_index = elf_u16(data + 62);
	if (names_index < e->n_section_headers)
		names = elf_u64(data + e->sections_offset + names_index * SECTION_HEADER_BYTES + 24);
	for (unsigned i = 0; i < e->n_section_headers; i++) {
		const uint8_t *p = data + e->sections_offset + i * SECTION_HEADER_BYTES;
		struct elf_section *s = &e->sections[i];
		const char *name = elf_name(data, len, names, elf_u32(p));
		uint64_t flags = elf_u64(p + 8);

		s->kind = elf_kind_of(elf_u32(p + 4), flags, name);
		s->is_plt = s->kind == ELF_SECTION_CODE && strcmp(name, ".plt") == 0;
		s->is_plt_rela = s->kind == ELF_SECTION_RELA && strcmp(name, ".rela.plt") == 0;
		s->name = name;
		s->is_thread_zeros = s->kind == ELF_SECTION_NOBITS && flags & SHF_TLS;
		s->allocated = flags & SHF_ALLOC;
		s->writable = flags & SHF_WRITE;
		s->addr = elf_u64(p + 16);
		s->offset = elf_u64(p + 24);
		s->bytes = elf_u64(p + 32);
		s->link = elf_u32(p + 40);
		s->entry_bytes = elf_u64(p + 56);
		if (s->kind != ELF_SECTION_NOBITS &&
		    (s->offset > len || s->bytes > len - s->offset)) {
			s->kind = ELF_SECTION_NOBITS;
			s->bytes = 0;
		}
		if (s->kind != ELF_SECTION_NOBITS)
			total += s->bytes;
		/* sections that overlap more than a little are no sections */
		if (total > 2 * (uint64_t)len)
			return true;
	}
	e->n_sections = e->n_section_headers;
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
