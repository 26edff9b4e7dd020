/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/field.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "delta/object.h"

#define RELA_BYTES 24U
#define WORD_BYTES 8U
#define HASH_HEADER_BYTES 8U

/* the first two are those of 32-bit x86 too */
#define R_X86_64_JUMP_SLOT 7
#define R_X86_64_RELATIVE 8
#define R_X86_64_IRELATIVE 37
#define R_386_IRELATIVE 42
#define R_AARCH64_JUMP_SLOT 1026
#define R_AARCH64_RELATIVE 1027
#define R_AARCH64_IRELATIVE 1032

#define TAG_PLTGOT 3

size_t field_next(const struct field_map *m, size_t at, size_t end)
{
	while (at < end && (at & 15)) {
		if (field_at(m, at))
			return at;
		at++;
	}
	while (at + 16 <= end) {
		uint64_t eight;

		memcpy(&eight, m->kinds + at / 2, 8);
		if (eight)
			break;
		at += 16;
	}
	while (at < end && !field_at(m, at))
		at++;
	return at;
}

static void field_mark_value(struct field_map *m, size_t at, enum field_kind kind)
{
	if (field_width(m, kind) == 8 ? elf_u64(m->data + at) : elf_u32(m->data + at))
		field_mark(m, at, kind);
}

static enum field_kind field_addr(const struct field_map *m)
{
	return m->elf.shape->word == 8 ? FIELD_ADDR64 : FIELD_ADDR32;
}

/* A length, count or offset, in a word. */
static enum field_kind field_length(const struct field_map *m)
{
	return m->elf.shape->word == 8 ? FIELD_SPECIAL64 : FIELD_WORD32;
}

void field_scan_headers(struct field_map *m)
{
	const struct elf *e = &m->elf;
	unsigned word = e->shape->word;

	if (!e->is_object)
		field_mark_value(m, 24, field_addr(m));
	field_mark_value(m, 24 + 2 * word, field_length(m));
	for (unsigned i = 0; i < e->n_segment_headers; i++) {
		size_t at = (size_t)e->segments_offset + i * e->shape->segment;

		field_mark_value(m, at + word, field_length(m));
		field_mark_value(m, at + 2 * word, field_addr(m));
		field_mark_value(m, at + 3 * word, field_addr(m));
		field_mark_value(m, at + 4 * word, field_length(m));
		field_mark_value(m, at + 5 * word, field_length(m));
	}
	for (unsigned i = 0; i < e->n_sections; i++) {
		size_t at = (size_t)e->sections_offset + i * e->shape->section;

		if (!e->is_object)
			field_mark_value(m, at + 8 + word, field_addr(m));
		field_mark_value(m, at + 8 + 2 * word, field_length(m));
		field_mark_value(m, at + 8 + 3 * word, field_length(m));
	}
}

/* A word of the file that holds an address. */
static void field_mark_word(struct field_map *m, uint64_t addr, const uint64_t *want)
{
	uint64_t at, value;

	if (!elf_offset_of(&m->elf, addr, &at) || at > m->len || m->len - at < m->elf.shape->word)
		return;
	value = elf_word(&m->elf, m->data + at);
	if (want && value != *want)
		return;
	if (value && elf_has_addr(&m->elf, value))
		field_mark(m, (size_t)at, field_addr(m));
}

static void field_add_lazy(struct field_map *m, uint64_t addr)
{
	uint64_t at;

	if (!elf_offset_of(&m->elf, addr, &at))
		return;
	if (m->lazy_to == 0 || at < m->lazy_from)
		m->lazy_from = at;
	if (at >= m->lazy_to)
		m->lazy_to = at + WORD_BYTES;
}

static void field_scan_rela(struct field_map *m, const struct elf_section *s)
{
	for (uint64_t i = 0; i + RELA_BYTES <= s->bytes; i += RELA_BYTES) {
		size_t at = (size_t)(s->offset + i);
		uint32_t type = elf_u32(m->data + at + 8);
		uint64_t place = elf_u64(m->data + at), addend = elf_u64(m->data + at + 16);

		field_mark(m, at, FIELD_ADDR64);
		if (elf_u32(m->data + at + 12))
			field_mark(m, at + 12, FIELD_SYMBOL32);
		switch (type) {
		case R_X86_64_RELATIVE:
		case R_AARCH64_RELATIVE:
			field_mark(m, at + 16, FIELD_ADDR64);
			field_mark_word(m, place, &addend);
			break;
		case R_X86_64_IRELATIVE:
		case R_AARCH64_IRELATIVE:
			field_mark(m, at + 16, FIELD_ADDR64);
			field_mark_word(m, place, NULL);
			break;
		case R_X86_64_JUMP_SLOT:
		case R_AARCH64_JUMP_SLOT:
			field_mark_word(m, place, NULL);
			field_add_lazy(m, place);
			break;
		default:
			break;
		}
	}
}

/* Of 32-bit x86: the addend is the word at the place; symbol and type share a word. */
static void field_scan_rel(struct field_map *m, const struct elf_section *s)
{
	unsigned bytes = m->elf.shape->relocation;

	for (uint64_t i = 0; i + bytes <= s->bytes; i += bytes) {
		size_t at = (size_t)(s->offset + i);
		uint32_t place = elf_u32(m->data + at), info = elf_u32(m->data + at + 4);

		field_mark(m, at, FIELD_ADDR32);
		if (info >> 8)
			field_mark(m, at + 4, FIELD_SYMBOL32);
		switch (info & 0xff) {
		case R_X86_64_RELATIVE:
		case R_386_IRELATIVE:
		case R_X86_64_JUMP_SLOT:
			field_mark_word(m, place, NULL);
			break;
		default:
			break;
		}
	}
}

/* RELR: an even word is an address, an odd one says which of the 63 words behind it count. */
static void field_scan_relr(struct field_map *m, const struct elf_section *s)
{
	uint64_t place = 0;

	for (uint64_t i = 0; i + WORD_BYTES <= s->bytes; i += WORD_BYTES) {
		uint64_t v = elf_u64(m->data + s->offset + i);

		field_mark_value(m, (size_t)(s->offset + i), FIELD_SPECIAL64);
		if (!(v & 1)) {
			field_mark_word(m, v, NULL);
			place = v + WORD_BYTES;
			continue;
		}
		for (unsigned bit = 1; bit < 64; bit++)
			if (v >> bit & 1)
				field_mark_word(m, place + (bit - 1) * WORD_BYTES, NULL);
		place += 63 * WORD_BYTES;
	}
}

static void field_scan_symbols(struct field_map *m, const struct elf_section *s)
{
	unsigned word = m->elf.shape->word, bytes = m->elf.shape->symbol;

	for (uint64_t i = 0; i + bytes <= s->bytes; i += bytes) {
		size_t at = (size_t)(s->offset + i);
		unsigned index = elf_symbol_section(&m->elf, m->data + at);

		if (elf_u32(m->data + at))
			field_mark(m, at, FIELD_SPECIAL32);
		if (index == 0 || index >= 0xff00)
			continue;
		field_mark_value(m, at + word, field_addr(m));
		field_mark_value(m, at + 2 * word, field_length(m));
	}
}

/* .hash: sizes, then buckets and chains, all of them indices of symbols (System V ABI, 5). */
static void field_scan_hash(struct field_map *m, const struct elf_section *s)
{
	for (uint64_t i = HASH_HEADER_BYTES; i + 4 <= s->bytes; i += 4)
		if (elf_u32(m->data + s->offset + i))
			field_mark(m, (size_t)(s->offset + i), FIELD_SYMBOL32);
}

/*
 * Versions that are needed or made (LSB core 5.0, 10.7): records linked by distances, each with a
 * list of its own; both hold places of names. Distances lead forwards only.
 */
static void field_scan_versions(struct field_map *m, const struct elf_section *s)
{
	bool is_needed = s->kind == ELF_SECTION_VERSIONS_NEEDED;
	unsigned record_bytes = is_needed ? 16 : 20, name_at = is_needed ? 8 : 0;
	unsigned item_bytes = is_needed ? 16 : 8, first_at = is_needed ? 8 : 12;
	uint64_t at = 0, done = 0, next;

	for (; at < s->bytes && s->bytes - at >= record_bytes; at += next) {
		const uint8_t *p = m->data + s->offset + at;
		uint64_t item = at + elf_u32(p + first_at), step;

		if (is_needed)
			field_mark(m, (size_t)(s->offset + at) + 4, FIELD_SPECIAL32);
		/* lists follow each other: none is read twice */
		for (; item >= done && item < s->bytes && s->bytes - item >= item_bytes; item += step) {
			const uint8_t *q = m->data + s->offset + item;

			field_mark(m, (size_t)(s->offset + item) + name_at, FIELD_SPECIAL32);
			done = item + item_bytes;
			step = elf_u32(q + item_bytes - 4);
			if (step < item_bytes)
				break;
		}
		next = elf_u32(p + record_bytes - 4);
		if (next < record_bytes)
			break;
	}
}

/* Notes of SystemTap: name "stapsdt", then the addresses of probe, base and semaphore. */
static void field_scan_probes(struct field_map *m, const struct elf_section *s)
{
	uint64_t at = s->offset, end = s->offset + s->bytes;

	while (end - at >= 12) {
		const uint8_t *p = m->data + at;
		uint64_t name = (elf_u32(p) + UINT64_C(3)) & ~UINT64_C(3);
		uint64_t desc = (elf_u32(p + 4) + UINT64_C(3)) & ~UINT64_C(3);

		if (name + desc > end - at - 12)
			return;
		at += 12 + name;
		if (desc >= 3 * m->elf.shape->word)
			for (unsigned i = 0; i < 3; i++)
				field_mark_value(m, (size_t)at + m->elf.shape->word * i, field_addr(m));
		at += desc;
	}
}

static enum field_kind field_kind_of_tag(const struct field_map *m, uint64_t tag)
{
	switch (tag) {
	case 3: case 4: case 5: case 6: case 7: case 12: case 13: case 17: case 23: case 25:
	case 26: case 32: case 36: case 0x6ffffef5: case 0x6ffffff0: case 0x6ffffffc:
	case 0x6ffffffe:
		return field_addr(m);
	case 1: case 2: case 8: case 10: case 14: case 18: case 27: case 28: case 33: case 35:
	case 0x6ffffff9: case 0x6ffffffa:
		return field_length(m);
	default:
		return FIELD_NONE;
	}
}

static void field_scan_dynamic(struct field_map *m, const struct elf_section *s)
{
	unsigned word = m->elf.shape->word;

	for (uint64_t i = 0; i + 2 * word <= s->bytes; i += 2 * word) {
		size_t at = (size_t)(s->offset + i);
		uint64_t tag = elf_word(&m->elf, m->data + at);
		enum field_kind kind = field_kind_of_tag(m, tag);

		if (kind != FIELD_NONE)
			field_mark_value(m, at + word, kind);
		if (field_is_i386(m) && tag == TAG_PLTGOT)
			m->got = elf_u32(m->data + at + word);
	}
}

/* Without relocations (a program linked to a fixed address) words that look like addresses. */
static void field_scan_fixed(struct field_map *m, const struct elf_section *s)
{
	unsigned word = m->elf.shape->word;
	uint64_t first = (word - (s->addr & (word - 1))) & (word - 1);

	if (!m->elf.is_fixed)
		return;
	for (uint64_t i = first; i + word <= s->bytes; i += word) {
		uint64_t v = elf_word(&m->elf, m->data + s->offset + i);

		if (v >= m->elf.segments[0].addr && elf_has_addr(&m->elf, v))
			field_mark(m, (size_t)(s->offset + i), field_addr(m));
	}
}

void field_scan_sections(struct field_map *m)
{
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		const struct elf_section *s = &m->elf.sections[i];

		if (s->kind == ELF_SECTION_RELA && m->elf.is_object)
			object_scan_relocations(m, s);
		else if (s->kind == ELF_SECTION_RELA && m->elf.shape->word == 4)
			field_scan_rel(m, s);
		else if (s->kind == ELF_SECTION_RELA)
			field_scan_rela(m, s);
		else if (s->kind == ELF_SECTION_RELR)
			field_scan_relr(m, s);
		else if (s->kind == ELF_SECTION_DYNSYM || s->kind == ELF_SECTION_SYMTAB)
			field_scan_symbols(m, s);
		else if (s->kind == ELF_SECTION_HASH)
			field_scan_hash(m, s);
		else if (s->kind == ELF_SECTION_VERSIONS_NEEDED ||
			 s->kind == ELF_SECTION_VERSIONS_MADE)
			field_scan_versions(m, s);
		else if (s->kind == ELF_SECTION_STAPSDT)
			field_scan_probes(m, s);
		else if (s->kind == ELF_SECTION_DYNAMIC)
			field_scan_dynamic(m, s);
		else if (s->kind == ELF_SECTION_EH_FRAME)
			field_scan_frames(m, s);
		else if (s->kind == ELF_SECTION_EH_FRAME_HDR && s->bytes >= 8 && !m->elf.is_object)
			field_mark(m, (size_t)s->offset + 4, FIELD_PCREL32);
		else if ((s->kind == ELF_SECTION_OTHER || s->kind == ELF_SECTION_POINTERS) &&
			 s->allocated)
			field_scan_fixed(m, s);
	}
}

int field_map_new_plain(const uint8_t *data, size_t len, struct field_map **ret)
{
	struct field_map *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->data = data;
	m->len = len;
	*ret = m;
	return 0;
}

int field_map_new_within(const uint8_t *data, size_t len, size_t areas_max, struct field_map **ret)
{
	AUTO(field_map) struct field_map *m = calloc(1, sizeof(*m));

	int r;

	if (!m)
		return -ENOMEM;
	m->data = data;
	m->len = len;
	/* whole groups of 16, so that field_next() may look at eight bytes at once */
	m->kinds = calloc(len / 16 + 1, 8);
	if (!m->kinds)
		return -ENOMEM;
	if (elf_parse(&m->elf, data, len)) {
		field_scan_headers(m);
		field_scan_sections(m);
		if (field_scan_code(m) < 0)
			return -ENOMEM;
		object_scan(m);
		go_scan(m);
		r = field_scan_language(m, areas_max);
		if (r < 0)
			return r;
	} else {
		m->elf.machine = ELF_MACHINE_NONE;
	}
	*ret = take_ptr(m);
	return 0;
}

int field_map_new(const uint8_t *data, size_t len, struct field_map **ret)
{
	return field_map_new_within(data, len, SIZE_MAX, ret);
}

void field_map_free(struct field_map *m)
{
	if (!m)
		return;
	free(m->kinds);
	free(m->areas);
	free(m->tables);
	free(m);
}
