/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scan of code and of what describes code: frames, instructions, jump tables. */
#include "delta/a64.h"
#include "delta/field.h"
#include "delta/frame.h"
#include "delta/x86.h"

#define TABLE_ENTRIES_MIN 3U

/* Address in an executable segment. */
static bool scan_is_code(const struct elf *e, uint64_t addr)
{
	for (unsigned i = 0; i < e->n_segments; i++)
		if (e->segments[i].executable && addr >= e->segments[i].addr &&
		    addr - e->segments[i].addr < e->segments[i].file_bytes)
			return true;
	return false;
}

void field_scan_frames(struct field_map *m, const struct elf_section *s)
{
	struct frame_walk walk;
	struct frame_record r;

	frame_walk_init(&walk, m->data, s);
	while (frame_walk_next(&walk, &r)) {
		uint64_t addr, start;

		if (r.personality)
			field_mark(m, r.personality, FIELD_PCREL32);
		if (r.is_common)
			continue;
		field_mark(m, r.at + 4, FIELD_SPECIAL32);
		if (!r.begin)
			continue;
		field_mark(m, r.begin, FIELD_PCREL32);
		field_mark(m, r.begin + 4, FIELD_SPECIAL32);
		if (r.language)
			field_mark(m, r.language, FIELD_PCREL32);
		addr = s->addr + (r.begin - s->offset) +
		       (uint64_t)(int64_t)(int32_t)elf_u32(m->data + r.begin);
		if (scan_is_code(&m->elf, addr) && elf_offset_of(&m->elf, addr, &start))
			field_mark(m, (size_t)start, FIELD_MARK);
	}
}

static uint64_t scan_target(const struct field_map *m, size_t field, unsigned tail, uint64_t base)
{
	return base + field + 4 + tail + (uint64_t)(int64_t)(int32_t)elf_u32(m->data + field);
}

/* A lea may name a jump table: mark the place, judge it when the sweep is over. */
static void scan_mark_table(struct field_map *m, uint64_t addr)
{
	uint64_t at, end;

	/* a whole entry lies in one segment */
	if ((addr & 3) || !elf_offset_of(&m->elf, addr, &at) ||
	    !elf_offset_of(&m->elf, addr + 4, &end) || end != at + 4 || end > m->len)
		return;
	if (field_at(m, (size_t)at) == FIELD_NONE)
		field_mark(m, (size_t)at, FIELD_TABLE_START);
}

static void scan_address32(struct field_map *m, size_t at)
{
	uint32_t v = elf_u32(m->data + at);

	if (v >= m->elf.segments[0].addr && elf_has_addr(&m->elf, v))
		field_mark(m, at, FIELD_ADDR32);
}

static void scan_x86(struct field_map *m, const struct elf_section *s)
{
	static const enum field_kind by_tail[5] = {FIELD_MEMORY0, FIELD_MEMORY1, FIELD_MEMORY2,
						   FIELD_NONE, FIELD_MEMORY4};
	size_t at = (size_t)s->offset, end = (size_t)(s->offset + s->bytes);
	uint64_t base = s->addr - s->offset;

	while (at < end) {
		struct x86_instruction in = x86_decode(m->data + at, end - at);
		size_t next = at + in.length;
		size_t mark = at + 1;

		if (field_at(m, at) == FIELD_MARK)
			field_mark(m, at, FIELD_NONE);
		while (mark < next && field_at(m, mark) != FIELD_MARK)
			mark++;
		if (mark < next) {
			/* a function starts inside: what was decoded was no code */
			at = mark;
			continue;
		}
		if (s->is_plt && m->data[at] == 0x68 && in.length == 5)
			field_mark(m, at + 1, FIELD_SPECIAL32);
		if (m->elf.is_fixed && in.displacement)
			scan_address32(m, at + in.displacement);
		if (m->elf.is_fixed && in.immediate)
			scan_address32(m, at + in.immediate);
		if (in.field) {
			size_t field = at + in.field;
			uint64_t target = scan_target(m, field, in.tail, base);

			if (elf_has_addr(&m->elf, target)) {
				field_mark(m, field,
					   in.is_branch ? FIELD_BRANCH : by_tail[in.tail]);
				if (m->data[at + in.opcode] == 0x8d)
					scan_mark_table(m, target);
			}
		}
		at = next;
	}
}

bool field_a64_target(const struct field_map *m, size_t at, uint64_t *ret)
{
	uint32_t i = elf_u32(m->data + at);
	enum a64_kind kind = a64_decode(i);
	size_t start = at > 4 * A64_PAIR_MAX ? at - 4 * A64_PAIR_MAX : at & 3, other;
	size_t end = m->len - at > 4 * (A64_PAIR_MAX + 1) ? at + 4 * (A64_PAIR_MAX + 1) : m->len;
	uint64_t pc, low;

	if (!elf_addr_of(&m->elf, at, &pc))
		return false;
	if (kind == A64_LOW12) {
		if (!a64_find_page(m->data, start, at, &other) ||
		    !elf_addr_of(&m->elf, other, &pc))
			return false;
		*ret = a64_target(A64_PAGE, elf_u32(m->data + other), pc) + a64_low12(i);
		return true;
	}
	*ret = a64_target(kind, i, pc);
	if (kind == A64_PAGE) {
		low = 0;
		if (a64_find_low12(m->data, end, at, &other))
			low = a64_low12(elf_u32(m->data + other));
		*ret += low;
	}
	return kind != A64_NONE;
}

static void scan_a64(struct field_map *m, const struct elf_section *s)
{
	static const enum field_kind kinds[] = {
		[A64_NONE] = FIELD_NONE, [A64_BRANCH26] = FIELD_A64_BRANCH26,
		[A64_BRANCH19] = FIELD_A64_BRANCH19, [A64_BRANCH14] = FIELD_A64_NEAR,
		[A64_ADR] = FIELD_A64_NEAR, [A64_PAGE] = FIELD_A64_PAGE,
		[A64_LOW12] = FIELD_A64_LOW12,
	};
	size_t at = (size_t)((s->offset + 3) & ~UINT64_C(3)), end = (size_t)(s->offset + s->bytes);

	for (; at < end && end - at >= 4; at += 4) {
		enum a64_kind kind = a64_decode(elf_u32(m->data + at));
		uint64_t target;

		if (field_at(m, at) == FIELD_MARK)
			field_mark(m, at, FIELD_NONE);
		if (kind != A64_NONE && field_a64_target(m, at, &target) &&
		    elf_has_addr(&m->elf, target))
			field_mark(m, at, kinds[kind]);
	}
}

/* Keep of the marked tables those whose entries lead into code. */
static void scan_tables(struct field_map *m, const struct elf_section *s)
{
	size_t at = (size_t)s->offset, end = (size_t)(s->offset + s->bytes);
	uint64_t base = s->addr - s->offset;

	while ((at = field_next(m, at, end)) < end) {
		size_t n = 0, room = (end - at) / 4;

		if (field_at(m, at) != FIELD_TABLE_START) {
			at++;
			continue;
		}
		if (room > FIELD_TABLE_ENTRIES_MAX)
			room = FIELD_TABLE_ENTRIES_MAX;
		while (n < room && !(n && field_next(m, at + 4 * n, at + 4 * n + 4) < at + 4 * n + 4) &&
		       scan_is_code(&m->elf, base + at + (uint64_t)(int64_t)(int32_t)
						     elf_u32(m->data + at + 4 * n)))
			n++;
		if (n < TABLE_ENTRIES_MIN) {
			field_mark(m, at, FIELD_NONE);
			at += 4;
			continue;
		}
		for (size_t i = 1; i < n; i++)
			field_mark(m, at + 4 * i, FIELD_TABLE);
		at += 4 * n;
	}
}

void field_scan_code(struct field_map *m)
{
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		if (m->elf.sections[i].kind != ELF_SECTION_CODE)
			continue;
		if (m->elf.machine == ELF_MACHINE_X86_64)
			scan_x86(m, &m->elf.sections[i]);
		else
			scan_a64(m, &m->elf.sections[i]);
	}
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		const struct elf_section *s = &m->elf.sections[i];

		if (s->kind != ELF_SECTION_NOBITS && s->allocated)
			scan_tables(m, s);
	}
	/* marks outside of any code section, and tables outside of any section */
	for (size_t at = 0; (at = field_next(m, at, m->len)) < m->len; at++)
		if (field_at(m, at) == FIELD_MARK)
			field_mark(m, at, FIELD_NONE);
}
