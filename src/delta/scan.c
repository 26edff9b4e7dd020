/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scan of code and of what describes code: frames, instructions, jump tables. */
#include <errno.h>
#include <stdlib.h>

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

	frame_walk_init(&walk, m->data, s, m->elf.shape->word);
	while (frame_walk_next(&walk, &r)) {
		uint64_t addr, start;

		if (r.personality && !m->elf.is_object)
			field_mark(m, r.personality, FIELD_PCREL32);
		if (r.is_common)
			continue;
		field_mark(m, r.at + 4, FIELD_SPECIAL32);
		/* in an object relocations make the rest */
		if (!r.begin || m->elf.is_object)
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

/* The sweep over a section of x86 code. */
struct scan_sweep {
	size_t at, next; /* the instruction at hand */
	uint64_t base;   /* address of the file's first byte, seen from here */
	/* 32-bit x86: where the call before returns to, and the registers that hold the GOT */
	uint64_t returns;
	unsigned got_registers;
};

/* An instruction of x86-64. */
static void scan_x86_64(struct field_map *m, const struct scan_sweep *w, struct x86_instruction in)
{
	static const enum field_kind by_tail[5] = {FIELD_MEMORY0, FIELD_MEMORY1, FIELD_MEMORY2,
						   FIELD_NONE, FIELD_MEMORY4};
	size_t field = w->at + in.field;
	uint64_t target;

	if (!in.field)
		return;
	target = scan_target(m, field, in.tail, w->base);
	if (!elf_has_addr(&m->elf, target))
		return;
	field_mark(m, field, in.is_branch ? FIELD_BRANCH : by_tail[in.tail]);
	if (m->data[w->at + in.opcode] == 0x8d && !m->elf.is_object)
		scan_mark_table(m, target);
}

/* call and add: a register gets the address of the GOT. */
static void scan_got(struct field_map *m, struct scan_sweep *w, struct x86_instruction in)
{
	const uint8_t *p = m->data + w->at;
	bool is_eax = p[in.opcode] == 0x05;
	uint32_t value;

	if (!in.immediate || !(is_eax || (p[in.opcode] == 0x81 && in.modrm &&
					  (p[in.modrm] & 0xf8) == 0xc0)))
		return;
	value = elf_u32(p + in.immediate);
	if ((uint32_t)(w->returns + value) != (uint32_t)m->got)
		return;
	field_mark(m, w->at + in.immediate, FIELD_I386_GOT);
	w->got_registers |= 1U << (is_eax ? 0 : p[in.modrm] & 7);
}

/* A displacement from a register that holds the GOT; of a scaled index it names a jump table. */
static void scan_gotoff(struct field_map *m, const struct scan_sweep *w, struct x86_instruction in)
{
	const uint8_t *p = m->data + w->at;
	unsigned mod = p[in.modrm] >> 6, base = p[in.modrm] & 7, scale = 0;
	uint64_t target = m->got + (uint64_t)(int64_t)(int32_t)elf_u32(p + in.displacement);

	if (base == 4) {
		base = p[in.modrm + 1] & 7;
		scale = p[in.modrm + 1] >> 6;
	}
	if (!in.modrm || mod != 2 || !(w->got_registers >> base & 1) ||
	    !elf_has_addr(&m->elf, target))
		return;
	field_mark(m, w->at + in.displacement, FIELD_I386_GOTOFF);
	if (scale == 2 && p[in.opcode] != 0x8d)
		scan_mark_table(m, target);
}

/* An instruction of 32-bit x86. */
static void scan_i386(struct field_map *m, struct scan_sweep *w, struct x86_instruction in)
{
	if (in.field && elf_has_addr(&m->elf, (uint32_t)scan_target(m, w->at + in.field, 0, w->base)))
		field_mark(m, w->at + in.field, FIELD_BRANCH);
	if (in.is_branch && m->data[w->at + in.opcode] == 0xe8)
		w->returns = w->base + w->next;
	if (!m->got)
		return;
	scan_got(m, w, in);
	if (in.displacement)
		scan_gotoff(m, w, in);
}

static void scan_x86(struct field_map *m, const struct elf_section *s)
{
	struct scan_sweep w = {.at = (size_t)s->offset, .base = s->addr - s->offset};
	bool is_32 = m->elf.machine == ELF_MACHINE_I386;
	size_t end = (size_t)(s->offset + s->bytes);

	for (; w.at < end; w.at = w.next) {
		struct x86_instruction in = x86_decode(m->data + w.at, end - w.at, is_32);
		size_t mark = w.at + 1;

		w.next = w.at + in.length;
		if (field_at(m, w.at) == FIELD_MARK) {
			field_mark(m, w.at, FIELD_NONE);
			w.got_registers = 0;
		}
		while (mark < w.next && field_at(m, mark) != FIELD_MARK)
			mark++;
		if (mark < w.next) {
			/* a function starts inside: what was decoded was no code */
			w.next = mark;
			continue;
		}
		/* stubs are called with the GOT in ebx */
		if (s->is_plt)
			w.got_registers = 1U << 3;
		if (s->is_plt && m->data[w.at] == 0x68 && in.length == 5)
			field_mark(m, w.at + 1, FIELD_SPECIAL32);
		if (m->elf.is_fixed && in.displacement)
			scan_address32(m, w.at + in.displacement);
		if (m->elf.is_fixed && in.immediate)
			scan_address32(m, w.at + in.immediate);
		if (is_32)
			scan_i386(m, &w, in);
		else
			scan_x86_64(m, &w, in);
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

/* Remember a jump through a table, as long as there is room. */
static void scan_add_jump(struct field_map *m, size_t start, size_t at)
{
	struct a64_table table;
	uint64_t addr, place;

	if (m->n_tables == m->len / FIELD_TABLE_BYTES ||
	    !a64_find_table(m->data, start, at, &table) ||
	    !field_a64_target(m, table.address_at, &addr) ||
	    !elf_offset_of(&m->elf, addr, &place) || place > UINT32_MAX)
		return;
	m->tables[m->n_tables++] = (struct field_table){(uint32_t)place, (uint32_t)at};
}

static void scan_a64(struct field_map *m, const struct elf_section *s)
{
	static const enum field_kind kinds[] = {
		[A64_NONE] = FIELD_NONE, [A64_BRANCH26] = FIELD_A64_BRANCH26,
		[A64_BRANCH19] = FIELD_A64_BRANCH19, [A64_BRANCH14] = FIELD_A64_NEAR,
		[A64_ADR] = FIELD_A64_NEAR, [A64_PAGE] = FIELD_A64_PAGE,
		[A64_LOW12] = FIELD_A64_LOW12,
	};
	size_t start = (size_t)((s->offset + 3) & ~UINT64_C(3)), end = (size_t)(s->offset + s->bytes);

	for (size_t at = start; at < end && end - at >= 4; at += 4) {
		enum a64_kind kind = a64_decode(elf_u32(m->data + at));
		uint64_t target;

		if (kind == A64_NONE && m->tables)
			scan_add_jump(m, start, at);

		if (field_at(m, at) == FIELD_MARK)
			field_mark(m, at, FIELD_NONE);
		/* in an object all but branches are made by relocations */
		if (m->elf.is_object && kind > A64_BRANCH14)
			continue;
		if (kind != A64_NONE && field_a64_target(m, at, &target) &&
		    elf_has_addr(&m->elf, target))
			field_mark(m, at, kinds[kind]);
	}
}

/* Keep of the marked tables those whose entries lead into code. */
static void scan_tables(struct field_map *m, const struct elf_section *s)
{
	size_t at = (size_t)s->offset, end = (size_t)(s->offset + s->bytes);

	while ((at = field_next(m, at, end)) < end) {
		/* of 32-bit x86 entries are measured from the GOT */
		uint64_t base = field_is_i386(m) ? m->got : s->addr + (at - (size_t)s->offset);
		size_t n = 0, room = (end - at) / 4;

		if (field_at(m, at) != FIELD_TABLE_START) {
			at++;
			continue;
		}
		if (room > FIELD_TABLE_ENTRIES_MAX)
			room = FIELD_TABLE_ENTRIES_MAX;
		while (n < room && !(n && field_next(m, at + 4 * n, at + 4 * n + 4) < at + 4 * n + 4) &&
		       scan_is_code(&m->elf, base + (uint64_t)(int64_t)(int32_t)
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

static int table_before(const void *a, const void *b)
{
	const struct field_table *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->jump < y->jump ? -1 : x->jump > y->jump;
}

/* The address that the entries of a table are measured from. */
static bool scan_table_base(const struct field_map *m, const struct field_table *t, uint64_t *ret)
{
	size_t adr = (size_t)t->jump - 8;

	if (!elf_addr_of(&m->elf, adr, ret))
		return false;
	*ret = a64_target(A64_ADR, elf_u32(m->data + adr), *ret);
	return true;
}

/* Mark the entries of a table up to a place; false if it is none. */
static bool scan_mark_entries(struct field_map *m, const struct field_table *t, size_t end)
{
	const struct elf_section *s = elf_section_at(&m->elf, t->jump);
	enum field_kind kind;
	struct a64_table table;
	size_t at = t->at;
	uint64_t base;

	if (!s || !scan_table_base(m, t, &base) ||
	    !a64_find_table(m->data, (size_t)((s->offset + 3) & ~UINT64_C(3)), t->jump, &table))
		return false;
	kind = table.entry_bytes == 1 ? FIELD_A64_ENTRY8 : FIELD_A64_ENTRY16;
	if (end - at > (size_t)table.n * table.entry_bytes)
		end = at + (size_t)table.n * table.entry_bytes;
	/* an entry that is cut is none */
	end -= (end - at) % table.entry_bytes;
	if (end == at || field_next(m, at, end) < end)
		return false;
	for (; at < end; at += table.entry_bytes)
		if (!scan_is_code(&m->elf, field_entry_target(kind, m->data + at, base)))
			return false;
	for (at = t->at; at < end; at += table.entry_bytes)
		field_mark(m, at, kind);
	return true;
}

/* Keep the tables whose entries lead into code; of several jumps through one the first counts. */
static void scan_jump_tables(struct field_map *m)
{
	size_t n = 0;

	if (m->n_tables)
		qsort(m->tables, m->n_tables, sizeof(*m->tables), table_before);
	for (size_t i = 0; i < m->n_tables; i++) {
		size_t next = i + 1;
		struct field_table t = m->tables[i];

		while (next < m->n_tables && m->tables[next].at == t.at)
			next++;
		if (scan_mark_entries(m, &t, next < m->n_tables ? m->tables[next].at : m->len))
			m->tables[n++] = t;
		i = next - 1;
	}
	m->n_tables = n;
}

bool field_entry_base(const struct field_map *m, size_t at, uint64_t *ret)
{
	size_t low = 0, high = m->n_tables;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->tables[middle].at <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low && scan_table_base(m, &m->tables[low - 1], ret);
}

uint64_t field_entry_target(enum field_kind kind, const uint8_t *entry, uint64_t base)
{
	int64_t distance = kind == FIELD_A64_ENTRY8 ? (int8_t)entry[0] : (int16_t)elf_u16(entry);

	return base + 4 * (uint64_t)distance;
}

int field_scan_code(struct field_map *m)
{
	if (m->elf.machine == ELF_MACHINE_AARCH64 && !m->elf.is_object) {
		m->tables = calloc(m->len / FIELD_TABLE_BYTES + 1, sizeof(*m->tables));
		if (!m->tables)
			return -ENOMEM;
	}
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		if (m->elf.sections[i].kind != ELF_SECTION_CODE)
			continue;
		if (m->elf.machine == ELF_MACHINE_AARCH64)
			scan_a64(m, &m->elf.sections[i]);
		else
			scan_x86(m, &m->elf.sections[i]);
	}
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		const struct elf_section *s = &m->elf.sections[i];

		if (s->kind != ELF_SECTION_NOBITS && s->allocated && !m->tables)
			scan_tables(m, s);
	}
	/* marks outside of any code section, and tables outside of any section */
	for (size_t at = 0; (at = field_next(m, at, m->len)) < m->len; at++)
		if (field_at(m, at) == FIELD_MARK)
			field_mark(m, at, FIELD_NONE);
	scan_jump_tables(m);
	return 0;
}
