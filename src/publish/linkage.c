/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/linkage.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/error.h"

struct segment {
	uint32_t type;
	uint64_t offset, address, file_bytes;
};

/* Offsets of the fields that are read, for each class. Source: System V ABI, figures 4-3 and 5-1. */
struct layout {
	size_t word_bytes;
	size_t header_bytes, phoff, phentsize, phnum;
	size_t ph_bytes, p_offset, p_vaddr, p_filesz;
};
static const struct layout layout_32 = {4, 52, 28, 42, 44, 32, 4, 8, 16};
static const struct layout layout_64 = {8, 64, 32, 54, 56, 56, 8, 16, 32};

struct elf_file {
	const struct linkage_source *source;
	const struct layout *layout;
	bool is_big_endian;
	struct segment *segments;
	size_t n_segments;
};

static int read_at(const struct elf_file *f, uint64_t offset, void *out, size_t len)
{
	uint64_t end;

	if (!checked_add(offset, len, &end) || end > f->source->size_bytes)
		return -BSI_E_FORMAT;
	return f->source->read(f->source->ctx, offset, out, len);
}

static uint64_t number(const struct elf_file *f, const uint8_t *at, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | at[f->is_big_endian ? i : bytes - 1 - i];
	return v;
}

static uint64_t word(const struct elf_file *f, const uint8_t *at)
{
	return number(f, at, f->layout->word_bytes);
}

static int read_segments(struct elf_file *f, const uint8_t *header, struct linkage *e)
{
	const struct layout *l = f->layout;
	uint64_t at = word(f, header + l->phoff);
	size_t n = (size_t)number(f, header + l->phnum, 2);

	if (n == 0)
		return 0;
	if (n > LINKAGE_SEGMENTS_MAX)
		return -BSI_E_LIMIT;
	if (number(f, header + l->phentsize, 2) != l->ph_bytes)
		return -BSI_E_FORMAT;
	f->segments = calloc(n, sizeof *f->segments);
	if (!f->segments)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint8_t ph[64];
		uint64_t offset;
		int r;

		if (!checked_add(at, i * l->ph_bytes, &offset))
			return -BSI_E_FORMAT;
		r = read_at(f, offset, ph, l->ph_bytes);
		if (r < 0)
			return r;
		f->segments[f->n_segments++] = (struct segment){
			.type = (uint32_t)number(f, ph, 4),
			.offset = word(f, ph + l->p_offset),
			.address = word(f, ph + l->p_vaddr),
			.file_bytes = word(f, ph + l->p_filesz),
		};
		if (f->segments[i].type == PT_INTERP)
			e->is_program = true;
	}
	return 0;
}

/* Where a virtual address lies in the file, with the bytes that follow it in its segment. */
static int find_address(const struct elf_file *f, uint64_t address, uint64_t *ret_offset,
	uint64_t *ret_left)
{
	for (size_t i = 0; i < f->n_segments; i++) {
		const struct segment *s = &f->segments[i];
		uint64_t offset;

		if (s->type != PT_LOAD || address < s->address ||
			address - s->address >= s->file_bytes)
			continue;
		if (!checked_add(s->offset, address - s->address, &offset))
			return -BSI_E_FORMAT;
		*ret_offset = offset;
		*ret_left = s->file_bytes - (address - s->address);
		return 0;
	}
	return -BSI_E_FORMAT;
}

struct strings {
	uint64_t offset, bytes;
};

static int read_string(const struct elf_file *f, const struct strings *table, uint64_t at,
	char **ret)
{
	char text[LINKAGE_NAME_MAX_BYTES + 1];
	uint64_t offset;
	size_t len;
	int r;

	if (at >= table->bytes || !checked_add(table->offset, at, &offset) ||
		offset >= f->source->size_bytes)
		return -BSI_E_FORMAT;
	len = sizeof text;
	if (table->bytes - at < len)
		len = (size_t)(table->bytes - at);
	if (f->source->size_bytes - offset < len)
		len = (size_t)(f->source->size_bytes - offset);
	r = read_at(f, offset, text, len);
	if (r < 0)
		return r;
	if (!memchr(text, '\0', len))
		return -BSI_E_FORMAT;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

/* What the dynamic section says, before its names are looked up. */
struct dynamic {
	uint64_t strtab, strsz, soname;
	bool has_strtab, has_soname;
	uint64_t *needed;
	size_t n_needed;
};

static int take_dynamic(struct dynamic *d, uint64_t tag, uint64_t value)
{
	uint64_t *grown;

	switch (tag) {
	case DT_STRTAB:
		d->strtab = value;
		d->has_strtab = true;
		break;
	case DT_STRSZ:
		d->strsz = value;
		break;
	case DT_SONAME:
		d->soname = value;
		d->has_soname = true;
		break;
	case DT_NEEDED:
		if (d->n_needed == LINKAGE_NEEDED_MAX)
			return -BSI_E_LIMIT;
		grown = reallocarray(d->needed, d->n_needed + 1, sizeof *grown);
		if (!grown)
			return -ENOMEM;
		d->needed = grown;
		d->needed[d->n_needed++] = value;
		break;
	default:
		break;
	}
	return 0;
}

static int read_dynamic(const struct elf_file *f, const struct segment *s, struct dynamic *d)
{
	size_t entry = 2 * f->layout->word_bytes;
	uint8_t chunk[4096];
	uint64_t n = s->file_bytes / entry;

	if (n > LINKAGE_DYNAMIC_MAX)
		return -BSI_E_LIMIT;
	for (uint64_t i = 0; i < n;) {
		size_t here = sizeof chunk / entry;
		uint64_t offset;
		int r;

		if (n - i < here)
			here = (size_t)(n - i);
		if (!checked_add(s->offset, i * entry, &offset))
			return -BSI_E_FORMAT;
		r = read_at(f, offset, chunk, here * entry);
		if (r < 0)
			return r;
		for (size_t k = 0; k < here; k++) {
			const uint8_t *at = chunk + k * entry;
			uint64_t tag = word(f, at);

			if (tag == DT_NULL)
				return 0;
			r = take_dynamic(d, tag, word(f, at + f->layout->word_bytes));
			if (r < 0)
				return r;
		}
		i += here;
	}
	return 0;
}

static int read_names(const struct elf_file *f, const struct dynamic *d, struct linkage *e)
{
	struct strings table;
	uint64_t left;
	int r;

	if (!d->has_soname && d->n_needed == 0)
		return 0;
	if (!d->has_strtab)
		return -BSI_E_FORMAT;
	r = find_address(f, d->strtab, &table.offset, &left);
	if (r < 0)
		return r;
	table.bytes = d->strsz < left ? d->strsz : left;
	if (d->has_soname) {
		r = read_string(f, &table, d->soname, &e->soname);
		if (r < 0)
			return r;
	}
	e->needed = calloc(d->n_needed + 1, sizeof *e->needed);
	if (!e->needed)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_needed; i++) {
		r = read_string(f, &table, d->needed[i], &e->needed[i]);
		if (r < 0)
			return r;
		e->n_needed++;
	}
	return 0;
}

static int read_elf(struct elf_file *f, struct linkage *e)
{
	AUTO_FREE uint64_t *needed = NULL;
	struct dynamic d = {};
	uint8_t header[64];
	uint16_t type;
	int r;

	r = read_at(f, 0, header, f->layout->header_bytes);
	if (r < 0)
		return r;
	type = (uint16_t)number(f, header + 16, 2);
	e->machine = (uint16_t)number(f, header + 18, 2);
	e->is_program = type == ET_EXEC;
	r = read_segments(f, header, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < f->n_segments; i++) {
		if (f->segments[i].type != PT_DYNAMIC)
			continue;
		r = read_dynamic(f, &f->segments[i], &d);
		needed = d.needed;
		return r < 0 ? r : read_names(f, &d, e);
	}
	return 0;
}

int linkage_read(const struct linkage_source *source, struct linkage *ret)
{
	struct elf_file f = {.source = source};
	struct linkage e = {};
	uint8_t ident[EI_NIDENT];
	int r;

	*ret = (struct linkage){};
	if (source->size_bytes < sizeof ident)
		return 0;
	r = read_at(&f, 0, ident, sizeof ident);
	if (r < 0)
		return r;
	if (memcmp(ident, ELFMAG, SELFMAG) != 0)
		return 0;
	if ((ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64) ||
		(ident[EI_DATA] != ELFDATA2LSB && ident[EI_DATA] != ELFDATA2MSB))
		return -BSI_E_FORMAT;
	e.is_elf = true;
	e.is_64 = ident[EI_CLASS] == ELFCLASS64;
	e.is_big_endian = ident[EI_DATA] == ELFDATA2MSB;
	f.layout = e.is_64 ? &layout_64 : &layout_32;
	f.is_big_endian = e.is_big_endian;
	r = read_elf(&f, &e);
	free(f.segments);
	if (r < 0) {
		linkage_done(&e);
		return r;
	}
	*ret = e;
	return 0;
}

void linkage_done(struct linkage *e)
{
	free(e->soname);
	for (size_t i = 0; i < e->n_needed; i++)
		free(e->needed[i]);
	free(e->needed);
	*e = (struct linkage){};
}

bool linkage_is_for(const struct linkage *e, const char *architecture)
{
	static const struct {
		const char *architecture;
		uint16_t machine;
		bool is_64;
	} known[] = {
		{"amd64", EM_X86_64, true},   {"x86_64", EM_X86_64, true},
		{"i386", EM_386, false},      {"arm64", EM_AARCH64, true},
		{"aarch64", EM_AARCH64, true}, {"armhf", EM_ARM, false},
		{"armel", EM_ARM, false},     {"ppc64el", EM_PPC64, true},
		{"s390x", EM_S390, true},     {"riscv64", EM_RISCV, true},
		{"mips64el", EM_MIPS, true},  {"mipsel", EM_MIPS, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].architecture, architecture) == 0)
			return e->machine == known[i].machine && e->is_64 == known[i].is_64;
	return true;
}
