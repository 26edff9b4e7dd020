/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/elf_header.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

/* Where the program headers lie, and how large each is. */
struct program_headers {
	uint64_t offset;
	uint16_t entry_len, n;
};

static struct program_headers read_header(struct reader *r, int class)
{
	struct program_headers h = {0};

	if (class == ELFCLASS64) {
		(void)reader_take(r, offsetof(Elf64_Ehdr, e_phoff) - EI_NIDENT);
		h.offset = reader_u64le(r);
		(void)reader_take(r, offsetof(Elf64_Ehdr, e_phentsize) -
					     offsetof(Elf64_Ehdr, e_shoff));
	} else {
		(void)reader_take(r, offsetof(Elf32_Ehdr, e_phoff) - EI_NIDENT);
		h.offset = reader_u32le(r);
		(void)reader_take(r, offsetof(Elf32_Ehdr, e_phentsize) -
					     offsetof(Elf32_Ehdr, e_shoff));
	}
	h.entry_len = reader_u16le(r);
	h.n = reader_u16le(r);
	return h;
}

enum elf_kind elf_header_kind(const void *data, size_t len)
{
	struct reader r = reader_of(data, len);
	const uint8_t *ident = reader_take(&r, EI_NIDENT);
	struct program_headers h;

	if (!ident || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return ELF_NONE;
	if (ident[EI_DATA] != ELFDATA2LSB ||
		(ident[EI_CLASS] != ELFCLASS64 && ident[EI_CLASS] != ELFCLASS32))
		return ELF_ALONE;
	h = read_header(&r, ident[EI_CLASS]);
	r = reader_of(data, len);
	(void)reader_take(&r, h.offset);
	for (uint16_t i = 0; i < h.n && !r.err; i++) {
		struct reader entry = reader_of(r.at, h.entry_len);

		if (!reader_take(&r, h.entry_len))
			break;
		if (reader_u32le(&entry) == PT_INTERP && !entry.err)
			return ELF_INTERPRETED;
	}
	return ELF_ALONE;
}
