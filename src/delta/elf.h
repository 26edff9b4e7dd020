/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * As much of an ELF file as references need: where its segments lie, and its sections.
 * Little-endian x86-64, AArch64 and 32-bit x86 files only; anything else is plain bytes to the
 * codec. The input is untrusted: every range kept here lies inside the file.
 *
 * An object that is not linked yet has no addresses. It is seen as one segment in which the address
 * of each byte is its place in the file, and zeroed sections lie behind its end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX 16U
#define ELF_SECTIONS_MAX 128U

enum elf_machine {
	ELF_MACHINE_NONE,
	ELF_MACHINE_X86_64,
	ELF_MACHINE_AARCH64,
	ELF_MACHINE_I386,
};

enum elf_section_kind {
	ELF_SECTION_OTHER,
	ELF_SECTION_CODE,
	ELF_SECTION_RELA, /* REL of 32-bit x86 too */
	ELF_SECTION_RELR,
	ELF_SECTION_DYNSYM,
	ELF_SECTION_DYNSTR,
	ELF_SECTION_SYMTAB,
	ELF_SECTION_STAPSDT, /* SystemTap probes: notes with addresses */
	ELF_SECTION_DYNAMIC,
	ELF_SECTION_GNU_HASH,
	ELF_SECTION_HASH,
	ELF_SECTION_EH_FRAME,
	ELF_SECTION_EH_FRAME_HDR,
	ELF_SECTION_EXCEPT_TABLE,
	ELF_SECTION_DEBUGLINK,
	ELF_SECTION_BUILD_ID,
	ELF_SECTION_POINTERS, /* .init_array and its like */
	ELF_SECTION_GOPCLNTAB,
	ELF_SECTION_VERSIONS,        /* .gnu.version: two bytes for each symbol */
	ELF_SECTION_VERSIONS_NEEDED, /* .gnu.version_r */
	ELF_SECTION_VERSIONS_MADE,   /* .gnu.version_d */
	ELF_SECTION_NOBITS,
	ELF_SECTION_KIND_MAX,
};

struct elf_segment {
	uint64_t offset, addr, file_bytes, memory_bytes;
	bool executable;
};

struct elf_section {
	enum elf_section_kind kind;
	uint64_t offset, addr, bytes, entry_bytes;
	uint32_t link, info;
	uint8_t relocations; /* of an object: the number of the first table for this section, or 0 */
	bool allocated, writable;
	bool is_thread_zeros; /* .tbss: its addresses belong to others too */
	const char *name; /* into the file, or "" */
	bool is_plt; /* .plt: its push instructions hold indices into the relocations of .rela.plt */
	bool is_plt_rela;
};

/* How long things are in files of 32 and of 64 bits. */
struct elf_shape {
	uint8_t word, header, segment, section, symbol, relocation;
};

struct elf {
	const struct elf_shape *shape; /* never NULL once parsing began */
	bool is_object; /* not linked: addresses are places in the file */
	bool is_fixed; /* linked to a fixed address: no relocations tell where addresses are */
	enum elf_machine machine; /* ELF_MACHINE_NONE: not an ELF file that is understood */
	uint64_t file_bytes;
	uint64_t segments_offset, sections_offset;
	unsigned n_segments, n_sections;
	unsigned n_segment_headers, n_section_headers;
	struct elf_segment segments[ELF_SEGMENTS_MAX]; /* PT_LOAD only, by address */
	struct elf_section sections[ELF_SECTIONS_MAX]; /* in header order, index kept */
};

/* Header and segments from the first bytes that are there; false leaves machine NONE. */
bool elf_parse_segments(struct elf *e, const uint8_t *data, size_t len, uint64_t file_bytes);
/* The same and the sections; a damaged section table leaves n_sections 0. */
bool elf_parse(struct elf *e, const uint8_t *data, size_t len);

/* End of header and program headers in the file: as much as elf_parse_segments() needs. */
size_t elf_headers_end(const struct elf *e);

/* File offset of an address; false if it is not in the file. The end of a segment counts. */
bool elf_offset_of(const struct elf *e, uint64_t addr, uint64_t *ret_offset);
bool elf_addr_of(const struct elf *e, uint64_t offset, uint64_t *ret_addr);
/* Is the address in memory at all (file or zeros behind it)? */
bool elf_has_addr(const struct elf *e, uint64_t addr);
const struct elf_section *elf_find(const struct elf *e, enum elf_section_kind kind);
/* The strings that a table of symbols or .dynamic names, or NULL. */
const struct elf_section *elf_linked(const struct elf *e, const struct elf_section *s);
const struct elf_section *elf_find_plt_rela(const struct elf *e);
/* The section that contains a byte of the file, or NULL. */
const struct elf_section *elf_section_at(const struct elf *e, uint64_t offset);

/* Do fields of this section hold places in the strings that it is linked to? */
static inline bool elf_names_strings(const struct elf_section *s)
{
	return s->kind == ELF_SECTION_DYNSYM || s->kind == ELF_SECTION_SYMTAB ||
	       s->kind == ELF_SECTION_VERSIONS_NEEDED || s->kind == ELF_SECTION_VERSIONS_MADE;
}

static inline uint16_t elf_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t elf_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t elf_u64(const uint8_t *p)
{
	return elf_u32(p) | (uint64_t)elf_u32(p + 4) << 32;
}

/* A word of the file: 4 or 8 bytes. */
static inline uint64_t elf_word(const struct elf *e, const uint8_t *p)
{
	return e->shape->word == 8 ? elf_u64(p) : elf_u32(p);
}

/* The section that an entry of a table of symbols names. */
static inline unsigned elf_symbol_section(const struct elf *e, const uint8_t *symbol)
{
	return elf_u16(symbol + (e->shape->word == 8 ? 6 : 14));
}

static inline void elf_put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void elf_put_u32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static inline void elf_put_u64(uint8_t *p, uint64_t v)
{
	elf_put_u32(p, (uint32_t)v);
	elf_put_u32(p + 4, (uint32_t)(v >> 32));
}
