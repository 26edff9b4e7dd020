/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/predict.h"

#include "delta/a64.h"
#include "delta/object.h"
#include "delta/reference.h"

#define TAG_NEEDED 1
#define TAG_SONAME 14
#define TAG_RELACOUNT 0x6ffffff9U
#define TAG_RELCOUNT 0x6ffffffaU

void predict_init(struct predict *p, const struct field_map *old, struct move_map *moves,
		  const uint8_t *new, int64_t *recent)
{
	*p = (struct predict){.old = old, .moves = moves, .new = new, .recent = recent};
}

void predict_copy(struct predict *p, size_t old_at, size_t new_at)
{
	(void)old_at;
	(void)new_at;
	p->table_old = 0;
}

void predict_learn_recent(struct predict *p, int64_t distance)
{
	if (p->recent[0] == distance)
		return;
	for (unsigned i = PREDICT_RECENT - 1; i; i--)
		p->recent[i] = p->recent[i - 1];
	p->recent[0] = distance;
}

static const struct elf_section *predict_section(struct predict *p, uint64_t old_at)
{
	const struct elf *e = &p->old->elf;
	const struct elf_section *s = p->section;

	if (s && old_at >= s->offset && old_at - s->offset < s->bytes)
		return s;
	for (unsigned i = 0; i < e->n_sections; i++) {
		s = &e->sections[i];
		if (s->kind != ELF_SECTION_NOBITS && old_at >= s->offset &&
		    old_at - s->offset < s->bytes) {
			p->section = s;
			return s;
		}
	}
	return NULL;
}

static uint64_t predict_old_addr(const struct predict *p, uint64_t at)
{
	uint64_t addr;

	return elf_addr_of(&p->old->elf, at, &addr) ? addr : at;
}

static uint64_t predict_new_addr(const struct predict *p, uint64_t new_at, uint64_t old_at)
{
	uint64_t addr;

	if (p->new_elf && elf_addr_of(p->new_elf, new_at, &addr))
		return addr;
	return new_at + (predict_old_addr(p, old_at) - old_at);
}

static uint64_t sign32(uint32_t v)
{
	return (uint64_t)(int64_t)(int32_t)v;
}

/* The start of the jump table that an entry belongs to, in both files. */
static void predict_table(struct predict *p, size_t old_at, size_t new_at)
{
	if (field_at(p->old, old_at) == FIELD_TABLE_START) {
		p->table_old = old_at;
		p->table_new = new_at;
		return;
	}
	if (p->table_old)
		return;
	p->table_old = old_at;
	for (unsigned i = 0; i < FIELD_TABLE_ENTRIES_MAX && p->table_old >= 4 &&
			     field_at(p->old, (size_t)p->table_old) == FIELD_TABLE; i++)
		p->table_old -= 4;
	p->table_new = new_at - (old_at - p->table_old);
}

/* Of 32-bit x86: what is measured from the GOT, or leads to it. */
static bool predict_got_parts(struct predict *p, enum field_kind kind, size_t old_at, size_t new_at,
			      uint64_t *ret_target, uint64_t *ret_new_from)
{
	uint64_t got = p->old->got, value = sign32(elf_u32(p->old->data + old_at));

	if (kind == FIELD_I386_GOT) {
		*ret_target = got;
		*ret_new_from = got - value + predict_new_addr(p, new_at, old_at) -
				predict_old_addr(p, old_at);
		return true;
	}
	*ret_target = got + value;
	*ret_new_from = move_addr(p->moves, got);
	return true;
}

/* Of an object: what is measured from the start of a section. */
static bool predict_object_parts(struct predict *p, enum field_kind kind, size_t old_at,
				 uint64_t *ret_target, uint64_t *ret_new_from)
{
	const uint8_t *at = p->old->data + old_at;
	struct object_base base;

	if (!object_base_of(p->old, old_at, &base))
		return false;
	*ret_target = p->old->elf.sections[base.section].addr + base.more +
		      (kind == FIELD_ADDR64 ? elf_u64(at) : sign32(elf_u32(at)));
	*ret_new_from = p->bases[base.section] + base.more;
	return true;
}

/*
 * What a reference is measured from, and what it refers to. The value is target - from. False for
 * kinds that are no plain references.
 */
static bool predict_parts(struct predict *p, enum field_kind kind, size_t old_at, size_t new_at,
			  uint64_t *ret_target, uint64_t *ret_new_from)
{
	const uint8_t *at = p->old->data + old_at;
	unsigned tail = 4 + field_tail(kind);
	uint64_t base;

	if (field_is_got(p->old, kind))
		return predict_got_parts(p, kind, old_at, new_at, ret_target, ret_new_from);
	if (p->old->elf.is_object && (kind == FIELD_ADDR64 || kind == FIELD_ADDR32))
		return predict_object_parts(p, kind, old_at, ret_target, ret_new_from);
	switch (kind) {
	case FIELD_BRANCH:
	case FIELD_MEMORY0:
	case FIELD_MEMORY1:
	case FIELD_MEMORY2:
	case FIELD_MEMORY4:
		*ret_target = predict_old_addr(p, old_at) + tail + sign32(elf_u32(at));
		*ret_new_from = predict_new_addr(p, new_at, old_at) + tail;
		return true;
	case FIELD_PCREL32:
		*ret_target = predict_old_addr(p, old_at) + sign32(elf_u32(at));
		*ret_new_from = predict_new_addr(p, new_at, old_at);
		return true;
	case FIELD_TABLE:
	case FIELD_TABLE_START:
		predict_table(p, old_at, new_at);
		*ret_target = predict_old_addr(p, p->table_old) + sign32(elf_u32(at));
		*ret_new_from = predict_new_addr(p, p->table_new, p->table_old);
		return true;
	case FIELD_ADDR64:
		*ret_target = elf_u64(at);
		*ret_new_from = 0;
		return true;
	case FIELD_ADDR32:
		*ret_target = elf_u32(at);
		*ret_new_from = 0;
		return true;
	case FIELD_TEXT32:
	case FIELD_SPECIAL32:
		if (!go_base(p->old, old_at, &base))
			return false;
		*ret_target = base + elf_u32(at);
		*ret_new_from = move_addr(p->moves, base);
		return true;
	default:
		return false;
	}
}

/* An offset into the strings that section s names. */
static uint64_t predict_string(const struct predict *p, const struct elf_section *s, uint64_t v)
{
	const struct elf_section *names = elf_linked(&p->old->elf, s);

	if (!names || v >= names->bytes)
		return v;
	return move_offset(p->moves, names->offset + v) - move_offset(p->moves, names->offset);
}

/* An index into the symbols that the section of a field is linked to, or .dynsym. */
static uint64_t predict_symbol(struct predict *p, size_t old_at, uint64_t v)
{
	const struct elf_section *in = predict_section(p, old_at), *s = NULL;
	unsigned bytes = p->old->elf.shape->symbol, type_bits = 0;
	uint64_t first, moved;

	if (in) {
		s = elf_linked(&p->old->elf, in);
		/* symbol and type share a word */
		if (in->kind == ELF_SECTION_RELA && p->old->elf.shape->word == 4)
			type_bits = 8;
	}
	if (!s || (s->kind != ELF_SECTION_DYNSYM && s->kind != ELF_SECTION_SYMTAB))
		s = elf_find(&p->old->elf, ELF_SECTION_DYNSYM);
	if (!s || v >> type_bits >= s->bytes / bytes)
		return v;
	first = move_offset(p->moves, s->offset);
	moved = move_offset(p->moves, s->offset + (v >> type_bits) * bytes);
	if (moved < first)
		return v;
	return (moved - first) / bytes << type_bits | (v & ((1U << type_bits) - 1));
}

static uint64_t predict_extent(const struct predict *p, uint64_t offset, uint64_t bytes)
{
	return move_end_offset(p->moves, offset + bytes) - move_offset(p->moves, offset);
}

static uint64_t predict_extent_addr(const struct predict *p, uint64_t addr, uint64_t bytes)
{
	return move_end_addr(p->moves, addr + bytes) - move_addr(p->moves, addr);
}

/* The index that a stub of .plt pushes; of 32-bit x86 the offset. */
static uint64_t predict_relocation(const struct predict *p, uint64_t v)
{
	const struct elf_section *s = elf_find_plt_rela(&p->old->elf);
	unsigned bytes = p->old->elf.shape->word == 8 ? p->old->elf.shape->relocation : 1;
	uint64_t first, moved;

	if (!s || v >= s->bytes / bytes)
		return v;
	first = move_offset(p->moves, s->offset);
	moved = move_offset(p->moves, s->offset + v * bytes);
	return moved < first ? v : (moved - first) / bytes;
}

static uint64_t predict_special32(struct predict *p, size_t old_at, size_t new_at)
{
	const struct elf_section *s = predict_section(p, old_at);
	uint32_t v = elf_u32(p->old->data + old_at);

	if (!s)
		return v;
	if (elf_names_strings(s))
		return predict_string(p, s, v);
	if (s->is_plt)
		return predict_relocation(p, v);
	if (s->kind != ELF_SECTION_EH_FRAME)
		return v;
	if ((p->old->elf.is_object || (old_at + 8 <= p->old->len &&
				       field_at(p->old, old_at + 4) == FIELD_PCREL32)) && v <= old_at)
		return new_at - move_offset(p->moves, old_at - v);
	if (old_at >= 4 && new_at >= 4) {
		uint64_t start = predict_old_addr(p, old_at - 4) +
				 sign32(elf_u32(p->old->data + old_at - 4));
		uint64_t new_start = predict_new_addr(p, new_at - 4, old_at - 4) +
				     sign32(elf_u32(p->new + new_at - 4));

		return move_end_addr(p->moves, start + v) - new_start;
	}
	return v;
}

static uint64_t predict_dynamic(const struct predict *p, const struct elf_section *s,
				uint64_t tag, uint64_t v)
{
	const struct elf *e = &p->old->elf;
	const struct elf_section *rela = elf_find(e, ELF_SECTION_RELA);
	unsigned bytes = e->shape->relocation;

	if (tag == TAG_NEEDED || tag == TAG_SONAME)
		return predict_string(p, s, v);
	if (tag == TAG_RELACOUNT || tag == TAG_RELCOUNT)
		return rela && v < rela->bytes / bytes ?
			       predict_extent(p, rela->offset, v * bytes) / bytes : v;
	for (unsigned i = 0; i < e->n_sections; i++)
		if (e->sections[i].bytes == v && e->sections[i].allocated &&
		    e->sections[i].kind != ELF_SECTION_NOBITS)
			return predict_extent(p, e->sections[i].offset, v);
	return v;
}

/* A word of the program headers: an offset or a size. */
static uint64_t predict_segment_word(const struct predict *p, size_t old_at, size_t new_at)
{
	const struct elf *e = &p->old->elf;
	const uint8_t *at = p->old->data + old_at;
	unsigned word = e->shape->word;
	uint64_t v = elf_word(e, at), place = (old_at - e->segments_offset) % e->shape->segment;

	if (place == word)
		return move_offset(p->moves, v);
	if (place == 4 * word)
		return predict_extent(p, elf_word(e, at - 3 * word), v);
	if (elf_word(e, at - word) == v && new_at >= word)
		return elf_word(e, p->new + new_at - word);
	return predict_extent_addr(p, elf_word(e, at - 3 * word), v);
}

/* A word of the section headers: an offset or a size. */
static uint64_t predict_section_word(const struct predict *p, size_t old_at)
{
	const struct elf *e = &p->old->elf;
	uint64_t v = elf_word(e, p->old->data + old_at);
	const struct elf_section *s = &e->sections[(old_at - e->sections_offset) / e->shape->section];

	if ((old_at - e->sections_offset) % e->shape->section == 8 + 2U * e->shape->word)
		return move_offset(p->moves, v);
	if (s->kind == ELF_SECTION_NOBITS)
		return predict_extent_addr(p, s->addr, v);
	return predict_extent(p, s->offset, v);
}

/* The size of a symbol: its end moves, and its start is in the new file already. */
static uint64_t predict_symbol_size(struct predict *p, size_t old_at, size_t new_at, uint64_t v)
{
	const struct elf *e = &p->old->elf;
	unsigned word = e->shape->word;
	uint64_t start = elf_word(e, p->old->data + old_at - word);
	uint64_t new_start = elf_word(e, p->new + new_at - word);
	struct object_base base;

	if (e->is_object) {
		if (!object_base_of(p->old, old_at - word, &base))
			return v;
		start += e->sections[base.section].addr;
		new_start += p->bases[base.section];
	}
	return move_end_addr(p->moves, start + v) - new_start;
}

/* A length, count or offset in a word. */
static uint64_t predict_word(struct predict *p, size_t old_at, size_t new_at)
{
	const struct elf *e = &p->old->elf;
	unsigned word = e->shape->word;
	const uint8_t *at = p->old->data + old_at;
	uint64_t v = elf_word(e, at);
	const struct elf_section *s;

	if (old_at == 24 + 2 * (size_t)word)
		return move_offset(p->moves, v);
	if (old_at >= e->segments_offset &&
	    old_at < elf_headers_end(e))
		return predict_segment_word(p, old_at, new_at);
	if (old_at >= e->sections_offset &&
	    old_at - e->sections_offset < (uint64_t)e->n_sections * e->shape->section)
		return predict_section_word(p, old_at);
	s = predict_section(p, old_at);
	if (s && (s->kind == ELF_SECTION_DYNSYM || s->kind == ELF_SECTION_SYMTAB) &&
	    new_at >= word && old_at >= word)
		return predict_symbol_size(p, old_at, new_at, v);
	/* before the first entry there is none to count from */
	if (s && s->kind == ELF_SECTION_RELR && old_at == s->offset)
		return move_addr(p->moves, v);
	if (s && s->kind == ELF_SECTION_RELR)
		return relr_predict(&p->relr, p->old, p->moves, p->new_elf, p->new, new_at, v);
	if (p->old->go.is_known && old_at >= p->old->go.table.at &&
	    old_at - p->old->go.table.at < GO_TABLE_HEADER_BYTES)
		return move_addr(p->moves, p->old->go.table.addr + v) -
		       move_addr(p->moves, p->old->go.table.addr);
	if (s && s->kind == ELF_SECTION_DYNAMIC && old_at >= word)
		return predict_dynamic(p, s, elf_word(e, at - word), v);
	return v;
}

uint64_t predict_sent_addr(const struct predict *p, size_t new_at)
{
	uint64_t addr;

	return p->new_elf && elf_addr_of(p->new_elf, new_at, &addr) ? addr : new_at;
}

bool predict_old_target(struct predict *p, size_t old_at, uint64_t *ret)
{
	enum field_kind kind;
	uint64_t from;

	if (old_at >= p->old->len || p->old->len - old_at < 4)
		return false;
	kind = field_at(p->old, old_at);
	if (kind == FIELD_NONE || kind > FIELD_MEMORY4 || field_is_a64(p->old, kind) ||
	    field_is_got(p->old, kind))
		return false;
	return predict_parts(p, kind, old_at, 0, ret, &from);
}

/* An AArch64 instruction that leads to a place of the new file. */
static uint64_t predict_a64(const struct predict *p, size_t old_at, size_t new_at, uint64_t target)
{
	uint32_t i = elf_u32(p->old->data + old_at);

	return a64_with_target(a64_decode(i), i, predict_new_addr(p, new_at, old_at), target);
}

/* What the instruction that is now in the new file says about where its old target has gone. */
static void predict_learn_a64(struct predict *p, size_t old_at, size_t new_at)
{
	uint32_t i = elf_u32(p->new + new_at);
	enum a64_kind kind = a64_decode(i);
	uint64_t pc = predict_new_addr(p, new_at, old_at), target, now;
	size_t start = new_at > 4 * A64_PAIR_MAX ? new_at - 4 * A64_PAIR_MAX : new_at & 3, other;

	if (kind == A64_NONE || kind != a64_decode(elf_u32(p->old->data + old_at)) ||
	    !field_a64_target(p->old, old_at, &target))
		return;
	now = a64_target(kind, i, pc);
	if (kind == A64_PAGE) {
		now |= move_addr(p->moves, target) & 0xfff;
	} else if (kind == A64_LOW12) {
		if (!a64_find_page(p->new, start, new_at, &other))
			return;
		now += a64_target(A64_PAGE, elf_u32(p->new + other),
				  predict_new_addr(p, other, old_at - (new_at - other)));
	}
	move_learn(p->moves, target, now);
}

/* Put a value behind those that are there, if it is another one. */
static void predict_add(struct predicted *ret, uint64_t value, unsigned width)
{
	if (width < 8)
		value &= (UINT64_C(1) << 8 * width) - 1;
	for (unsigned i = 0; i < ret->n; i++)
		if (ret->value[i] == value)
			return;
	if (ret->n < PREDICT_MAX)
		ret->value[ret->n++] = value;
}

/* An entry of an AArch64 jump table that leads to a place of the new file, as far as it can. */
static uint64_t predict_entry(const struct predict *p, enum field_kind kind, size_t old_at,
			      uint64_t target)
{
	int64_t most = kind == FIELD_A64_ENTRY8 ? INT8_MAX : INT16_MAX, distance;
	const uint8_t *at = p->old->data + old_at;
	uint64_t base;

	if (field_entry_base(p->old, old_at, &base)) {
		distance = (int64_t)(target - move_addr(p->moves, base)) >> 2;
		if (distance >= -most - 1 && distance <= most)
			return (uint64_t)distance;
	}
	return kind == FIELD_A64_ENTRY8 ? *at : elf_u16(at);
}

/* A byte of a number of a call site: the number that its places have now, as long as it was. */
static uint64_t predict_site(const struct predict *p, size_t old_at)
{
	uint64_t from, to, value;
	struct field_site site;

	if (!field_site_at(p->old, old_at, &site) || site.is_nothing)
		return p->old->data[old_at];
	from = move_addr(p->moves, site.from);
	to = site.is_length ? move_end_addr(p->moves, site.to) : move_addr(p->moves, site.to);
	value = to - from;
	if (value >> 7 * (site.end - site.at))
		return p->old->data[old_at];
	return (value >> 7 * (old_at - site.at) & 0x7f) | (old_at + 1 < site.end ? 0x80 : 0);
}

void predict_field(struct predict *p, enum field_kind kind, size_t old_at, size_t new_at,
		   struct predicted *ret)
{
	unsigned width = field_width(p->old, kind);
	const uint8_t *at = p->old->data + old_at;
	uint64_t value;

	ret->n = 0;
	ret->from = ret->target = 0;
	ret->is_reference = false;
	if (kind == FIELD_SITE) {
		predict_add(ret, predict_site(p, old_at), width);
		return;
	}
	if (field_is_entry(p->old, kind)) {
		ret->is_reference = reference_target(p->old, old_at, kind, &ret->target);
		predict_add(ret, predict_entry(p, kind, old_at, move_addr(p->moves, ret->target)),
			    width);
		return;
	}
	value = width == 8 ? elf_u64(at) : elf_u32(at);
	if (field_is_a64(p->old, kind)) {
		ret->is_reference = field_a64_target(p->old, old_at, &ret->target);
		if (ret->is_reference)
			value = predict_a64(p, old_at, new_at, move_addr(p->moves, ret->target));
		predict_add(ret, value, width);
		return;
	}
	ret->is_reference = predict_parts(p, kind, old_at, new_at, &ret->target, &ret->from);
	if (ret->is_reference && !elf_has_addr(&p->old->elf, ret->target) &&
	    (kind == FIELD_ADDR64 || (kind == FIELD_ADDR32 && p->old->elf.shape->word == 4)))
		ret->is_reference = false;
	if (ret->is_reference)
		value = move_addr(p->moves, ret->target) - ret->from;
	else if (kind == FIELD_SYMBOL32)
		value = predict_symbol(p, old_at, value);
	else if (kind == FIELD_SPECIAL32)
		value = predict_special32(p, old_at, new_at);
	else if (kind == FIELD_SPECIAL64 ||
		 (kind == FIELD_WORD32 && p->old->elf.shape->word == 4))
		value = predict_word(p, old_at, new_at);
	predict_add(ret, value, width);
}

void predict_more(const struct predict *p, enum field_kind kind, size_t old_at, size_t new_at,
		  struct predicted *ret)
{
	unsigned width = field_width(p->old, kind);
	const uint8_t *at = p->old->data + old_at;

	if (kind == FIELD_SITE) {
		predict_add(ret, *at, width);
		return;
	}
	if (ret->is_reference && field_is_entry(p->old, kind))
		predict_add(ret, predict_entry(p, kind, old_at,
					       move_addr_second(p->moves, ret->target)), width);
	else if (ret->is_reference && field_is_a64(p->old, kind))
		predict_add(ret, predict_a64(p, old_at, new_at,
					     move_addr_second(p->moves, ret->target)), width);
	else if (ret->is_reference)
		predict_add(ret, move_addr_second(p->moves, ret->target) - ret->from, width);
	predict_add(ret, width == 8 ? elf_u64(at) : width == 4 ? elf_u32(at) :
			 width == 2 ? elf_u16(at) : *at, width);
	for (unsigned i = 0; i < PREDICT_RECENT; i++)
		predict_add(ret, ret->value[0] + (uint64_t)p->recent[i], width);
}

void predict_learn(struct predict *p, enum field_kind kind, size_t old_at, size_t new_at)
{
	const uint8_t *at = p->new + new_at;
	uint64_t target, from;

	if (kind == FIELD_SITE)
		return;
	if (field_is_a64(p->old, kind)) {
		predict_learn_a64(p, old_at, new_at);
		return;
	}
	if (field_is_entry(p->old, kind)) {
		if (reference_target(p->old, old_at, kind, &target) &&
		    field_entry_base(p->old, old_at, &from))
			move_learn(p->moves, target,
				   field_entry_target(kind, at, move_addr(p->moves, from)));
		return;
	}
	if (!predict_parts(p, kind, old_at, new_at, &target, &from))
		return;
	if (kind == FIELD_ADDR64)
		move_learn(p->moves, target, from + elf_u64(at));
	else if (kind == FIELD_ADDR32 && !p->old->elf.is_object)
		move_learn(p->moves, target, elf_u32(at));
	else
		move_learn(p->moves, target, from + sign32(elf_u32(at)));
}
