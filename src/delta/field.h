/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Fields: the places in an old file that hold a reference, and what they refer to. The scan marks
 * each in a map of four bits for each byte, so that its memory is half of the file whatever it
 * finds. What the scan finds is part of the delta format. Input is untrusted: any bytes are fine.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "delta/elf.h"
#include "delta/go.h"

enum field_kind {
	FIELD_NONE,
	FIELD_BRANCH,   /* x86-64: call, jmp, jcc rel32; AArch64: b, bl */
	FIELD_MEMORY0,  /* x86-64: disp32 from RIP, 0, 1, 2 or 4 bytes of the instruction follow */
	FIELD_MEMORY1,
	FIELD_MEMORY2,
	FIELD_MEMORY4,
	FIELD_ADDR64,   /* an address; in an object target less a section's start */
	FIELD_ADDR32,   /* the same in 32 bits */
	FIELD_PCREL32,  /* target less own address */
	FIELD_TABLE,    /* jump table: target less the table's address */
	FIELD_TABLE_START,
	FIELD_SYMBOL32, /* index into .dynsym */
	FIELD_TEXT32,   /* Go: target less the start of code */
	FIELD_SPECIAL32, /* by its place: name, length, back pointer, distance of Go */
	FIELD_SPECIAL64, /* by its place: length, count, string or file offset */
	FIELD_SITE,     /* a byte of a ULEB128 number in .gcc_except_table */
	FIELD_KIND_MAX,
	/* during the scan only: a function starts here */
	FIELD_MARK = FIELD_SITE,
	/* AArch64: whole instructions; what they are is in them */
	FIELD_A64_BRANCH26 = FIELD_BRANCH,
	FIELD_A64_BRANCH19 = FIELD_MEMORY0,
	FIELD_A64_NEAR = FIELD_MEMORY1, /* tbz, tbnz, adr */
	FIELD_A64_PAGE = FIELD_MEMORY2,
	FIELD_A64_LOW12 = FIELD_MEMORY4,
	/* AArch64: entries of jump tables of one and of two bytes */
	FIELD_A64_ENTRY8 = FIELD_TABLE,
	FIELD_A64_ENTRY16 = FIELD_TABLE_START,
	/* 32-bit x86 */
	FIELD_I386_GOT = FIELD_MEMORY0,    /* the GOT less the place that the call before returns to */
	FIELD_I386_GOTOFF = FIELD_MEMORY1, /* target less the GOT; so are jump tables */
	FIELD_WORD32 = FIELD_TEXT32,       /* as FIELD_SPECIAL64 in files of 64 bits */
};

/* How many entries of a jump table are looked at. */
#define FIELD_TABLE_ENTRIES_MAX 4096U

struct field_map {
	const uint8_t *data; /* borrowed: the file */
	size_t len;
	uint8_t *kinds;      /* two to a byte */
	struct elf elf;
	/* what .gcc_except_table holds for which function: offsets in the file, by area */
	struct field_area {
		uint32_t area, function;
	} *areas;
	size_t n_areas;
	/* AArch64 jump tables, by place, and the jumps through them: offsets in the file */
	struct field_table {
		uint32_t at, jump;
	} *tables;
	size_t n_tables;
	struct go_module go;
	uint64_t lazy_from, lazy_to; /* words that .rela.plt fills: offsets in the file */
	uint64_t got;                /* 32-bit x86: what PIC code measures from; 0: there is none */
};

/* Areas and tables together are at most one for so many bytes of the file. Of tables there are fewer. */
#define FIELD_AREA_BYTES 128U
#define FIELD_TABLE_BYTES 1024U

/* Scan a file. A file that is no ELF file has a map without fields. */
int field_map_new(const uint8_t *data, size_t len, struct field_map **ret) MUST_CHECK;
/* -BSI_E_LIMIT instead of more than so many areas. */
int field_map_new_within(const uint8_t *data, size_t len, size_t areas_max, struct field_map **ret)
	MUST_CHECK;
/* A map without fields, whatever the file is. */
int field_map_new_plain(const uint8_t *data, size_t len, struct field_map **ret) MUST_CHECK;
void field_map_free(struct field_map *map);
DEFINE_FREEP(field_map)

static inline enum field_kind field_at(const struct field_map *m, size_t at)
{
	return (enum field_kind)(m->kinds[at >> 1] >> (at & 1) * 4 & 15);
}

static inline void field_mark(struct field_map *m, size_t at, enum field_kind kind)
{
	unsigned shift = (at & 1) * 4;

	m->kinds[at >> 1] = (uint8_t)((m->kinds[at >> 1] & ~(15U << shift)) | (unsigned)kind << shift);
}

/* Is this an entry of an AArch64 jump table? */
static inline bool field_is_entry(const struct field_map *m, enum field_kind kind)
{
	return m->elf.machine == ELF_MACHINE_AARCH64 &&
	       (kind == FIELD_A64_ENTRY8 || kind == FIELD_A64_ENTRY16);
}

static inline unsigned field_width(const struct field_map *m, enum field_kind kind)
{
	if (kind == FIELD_ADDR64 || kind == FIELD_SPECIAL64)
		return 8;
	if (kind == FIELD_SITE)
		return 1;
	if (field_is_entry(m, kind))
		return kind == FIELD_A64_ENTRY8 ? 1 : 2;
	return 4;
}

/* Bytes of the instruction that follow an x86-64 code field. */
static inline unsigned field_tail(enum field_kind kind)
{
	static const uint8_t tails[] = {0, 0, 0, 1, 2, 4};

	return kind <= FIELD_MEMORY4 ? tails[kind] : 0;
}

/* The first marked byte in [at, end), or end. */
size_t field_next(const struct field_map *m, size_t at, size_t end);

/* Is this a field of an AArch64 instruction? */
static inline bool field_is_a64(const struct field_map *m, enum field_kind kind)
{
	return m->elf.machine == ELF_MACHINE_AARCH64 && kind <= FIELD_MEMORY4;
}

static inline bool field_is_i386(const struct field_map *m)
{
	return m->elf.machine == ELF_MACHINE_I386;
}

/* Is this a 32-bit x86 field that is measured from the GOT, or leads to it? */
static inline bool field_is_got(const struct field_map *m, enum field_kind kind)
{
	return field_is_i386(m) && (kind == FIELD_I386_GOT || kind == FIELD_I386_GOTOFF ||
				    kind == FIELD_TABLE || kind == FIELD_TABLE_START);
}

/*
 * What the AArch64 instruction at a place refers to: of the two halves of a pair the whole target.
 * False for half a pair whose other half is not near.
 */
bool field_a64_target(const struct field_map *m, size_t at, uint64_t *ret);

/* Of an entry of an AArch64 jump table: the address it is measured from, in units of 4 bytes. */
bool field_entry_base(const struct field_map *m, size_t at, uint64_t *ret);
/* Where an entry leads, from a base. */
uint64_t field_entry_target(enum field_kind kind, const uint8_t *entry, uint64_t base);

/* A number of a call site: its bytes, and the places of code that it leads from and to. */
struct field_site {
	size_t at, end;
	uint64_t value;
	uint64_t from, to; /* addresses; the number is to - from */
	bool is_length;    /* to is the end of a range */
	bool is_nothing;   /* no landing pad: 0 whatever moves */
};

/* Of the number that a FIELD_SITE byte belongs to. */
bool field_site_at(const struct field_map *m, size_t at, struct field_site *ret);

/* The parts of the scan, in the order they run. */
void field_scan_headers(struct field_map *m);
void field_scan_sections(struct field_map *m);
void field_scan_frames(struct field_map *m, const struct elf_section *s);
int field_scan_code(struct field_map *m) MUST_CHECK;
int field_scan_language(struct field_map *m, size_t areas_max) MUST_CHECK;
