/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/label.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/a64.h"
#include "delta/object.h"
#include "delta/reference.h"

#define CONTENT_BYTES 24U

static uint64_t label_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* Hash of a string that a table of symbols names. */
static uint64_t label_string(const struct field_map *m, const struct elf_section *symbols,
			     uint64_t at)
{
	const struct elf_section *s = elf_linked(&m->elf, symbols);
	uint64_t h = 77;

	if (!s)
		return 0;
	for (; at < s->bytes && m->data[s->offset + at]; at++)
		h = label_mix(h, m->data[s->offset + at]);
	return h;
}

/* A symbol by its name, or that of the section that it stands for. */
static uint64_t label_symbol(const struct field_map *m, const struct elf_section *symbols,
			     uint64_t index)
{
	const uint8_t *symbol = m->data + symbols->offset + index * m->elf.shape->symbol;
	unsigned section = elf_symbol_section(&m->elf, symbol);
	uint64_t h = 78;

	if (elf_u32(symbol) || section >= m->elf.n_sections)
		return label_string(m, symbols, elf_u32(symbol));
	for (const char *p = m->elf.sections[section].name; *p; p++)
		h = label_mix(h, (uint8_t)*p);
	return h;
}

/* The symbol of a relocation, or of an entry of .hash. */
static uint64_t label_symbol_at(const struct field_map *m, size_t at)
{
	const struct elf_section *in = elf_section_at(&m->elf, at), *s;
	uint64_t value = elf_u32(m->data + at);

	s = in ? elf_linked(&m->elf, in) : NULL;
	if (!s || (s->kind != ELF_SECTION_DYNSYM && s->kind != ELF_SECTION_SYMTAB))
		s = elf_find(&m->elf, ELF_SECTION_DYNSYM);
	if (in && in->kind == ELF_SECTION_RELA && m->elf.shape->word == 4)
		value >>= 8;
	if (!s || value >= s->bytes / m->elf.shape->symbol)
		return 0;
	return label_symbol(m, s, value);
}

/* Labels of what is no plain reference; the same in all passes. */
static uint64_t label_other(const struct field_map *m, size_t at, enum field_kind kind)
{
	const struct elf_section *s;

	if (kind == FIELD_SYMBOL32)
		return label_symbol_at(m, at);
	if (kind != FIELD_SPECIAL32)
		return 0;
	s = elf_section_at(&m->elf, at);
	return s && elf_names_strings(s) ? label_string(m, s, elf_u32(m->data + at)) : 0;
}

/* A label as bytes; never all zero, so that it is not taken for padding. */
static void label_put(const struct field_map *m, uint8_t *into, enum field_kind kind, uint64_t h)
{
	h = label_mix(h, (uint64_t)kind + 1);
	if (field_width(m, kind) == 8)
		elf_put_u64(into, h);
	else if (field_width(m, kind) == 1)
		*into = (uint8_t)(h >> 56);
	else if (field_width(m, kind) == 2)
		elf_put_u16(into, (uint16_t)(h >> 48));
	else
		elf_put_u32(into, (uint32_t)(h >> 32));
}

static void label_all(const struct field_map *m, uint8_t *into,
		      uint64_t (*label)(void *ctx, uint64_t target), void *ctx)
{
	memcpy(into, m->data, m->len);
	if (m->elf.machine == ELF_MACHINE_NONE)
		return;
	for (size_t at = 0; (at = field_next(m, at, m->len)) < m->len;) {
		enum field_kind kind = field_at(m, at);
		unsigned width = field_width(m, kind);
		uint64_t target;

		if (width > m->len - at) {
			at++;
			continue;
		}
		if (reference_target(m, at, kind, &target)) {
			uint64_t h = label(ctx, target);

			/* the instruction without its target counts too */
			if (field_is_a64(m, kind)) {
				uint32_t i = elf_u32(m->data + at);

				h = label_mix(h, a64_with_target(a64_decode(i), i, 0, 0));
			}
			label_put(m, into + at, kind, h);
		} else {
			label_put(m, into + at, kind, label_other(m, at, kind));
		}
		at += width;
	}
}

/* A place that a relocation by name fills is known by the name. */
struct slot {
	uint64_t addr, label;
};

struct label_content {
	const struct field_map *m;
	const uint8_t *image;
	const struct slot *slots; /* by address */
	size_t n_slots;
};

static int slot_by_addr(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->label < y->label ? -1 : x->label > y->label;
}

/* The place that a relocation fills, if it names a symbol. */
static bool label_slot_of(const struct field_map *m, const struct elf_section *s, size_t at,
			  struct slot *ret)
{
	size_t symbol = at + (m->elf.shape->word == 8 ? 12 : 4), place;

	if (field_at(m, symbol) != FIELD_SYMBOL32)
		return false;
	ret->addr = elf_word(&m->elf, m->data + at);
	ret->label = label_symbol_at(m, symbol);
	if (!m->elf.is_object)
		return true;
	/* what is added to a section is a better label */
	if (!object_place(m, s, at, &place) || field_at(m, place) == FIELD_ADDR32)
		return false;
	ret->addr = place;
	return true;
}

static int label_collect_slots(const struct field_map *m, struct slot **ret, size_t *ret_n)
{
	unsigned bytes = m->elf.machine == ELF_MACHINE_NONE ? 1 : m->elf.shape->relocation;
	struct slot *slots;
	size_t room = 0, n = 0;

	for (unsigned i = 0; i < m->elf.n_sections; i++)
		if (m->elf.sections[i].kind == ELF_SECTION_RELA)
			room += (size_t)(m->elf.sections[i].bytes / bytes);
	slots = calloc(room + 1, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		const struct elf_section *s = &m->elf.sections[i];

		if (s->kind != ELF_SECTION_RELA)
			continue;
		for (size_t at = (size_t)s->offset; at + bytes <= s->offset + s->bytes; at += bytes)
			n += label_slot_of(m, s, at, &slots[n]);
	}
	qsort(slots, n, sizeof(*slots), slot_by_addr);
	*ret = slots;
	*ret_n = n;
	return 0;
}

static uint64_t label_slot(const struct label_content *c, uint64_t addr)
{
	size_t low = 0, high = c->n_slots;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (c->slots[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->n_slots && c->slots[low].addr == addr ? c->slots[low].label : 0;
}

static uint64_t label_content(void *ctx, uint64_t target)
{
	const struct label_content *c = ctx;
	uint64_t at, h = label_slot(c, target);

	if (h)
		return h;
	h = 1;
	if (!elf_offset_of(&c->m->elf, target, &at))
		return elf_has_addr(&c->m->elf, target) ? 2 : target;
	for (size_t i = 0; i < CONTENT_BYTES && at + i < c->m->len; i++)
		h = label_mix(h, c->image[at + i]);
	return h;
}

static uint64_t label_zero(void *ctx, uint64_t target)
{
	(void)ctx;
	(void)target;
	return 0;
}

/* A place that is filled by name looks like its name, whatever it holds in the file. */
static void label_put_slots(const struct label_content *c, uint8_t *into)
{
	/* what an object's relocations fill is 4 bytes long, or longer */
	bool is_short = c->n_slots && (c->m->elf.is_object || c->m->elf.shape->word == 4);

	for (size_t i = 0; i < c->n_slots; i++) {
		uint64_t at;

		if (!elf_offset_of(&c->m->elf, c->slots[i].addr, &at))
			continue;
		if (is_short && c->m->len >= 4 && at <= c->m->len - 4)
			elf_put_u32(into + at, (uint32_t)(c->slots[i].label >> 32));
		else if (!is_short && c->m->len >= 8 && at <= c->m->len - 8)
			elf_put_u64(into + at, c->slots[i].label);
	}
}

static int label_named_places(const struct field_map *m, uint8_t *into)
{
	AUTO_FREE struct slot *slots = NULL;
	struct label_content ctx = {.m = m};
	int r = label_collect_slots(m, &slots, &ctx.n_slots);

	if (r < 0)
		return r;
	ctx.slots = slots;
	label_put_slots(&ctx, into);
	return 0;
}

/* Twice: what stands at the target counts with what that refers to in turn. */
int label_by_content(const struct field_map *m, uint8_t *into)
{
	AUTO_FREE uint8_t *image = malloc(m->len + 1);
	AUTO_FREE struct slot *slots = NULL;
	struct label_content ctx = {.m = m, .image = into};
	int r;

	if (!image)
		return -ENOMEM;
	r = label_collect_slots(m, &slots, &ctx.n_slots);
	if (r < 0)
		return r;
	ctx.slots = slots;
	label_all(m, into, label_zero, NULL);
	label_all(m, image, label_content, &ctx);
	label_put_slots(&ctx, image);
	ctx.image = image;
	label_all(m, into, label_content, &ctx);
	label_put_slots(&ctx, into);
	return 0;
}

static uint64_t label_address(void *ctx, uint64_t target)
{
	(void)ctx;
	return target;
}

int label_by_target(const struct field_map *old, uint8_t *into)
{
	label_all(old, into, label_address, NULL);
	return label_named_places(old, into);
}

/* Zeroed memory has no content to align: pairs of targets seen in aligned fields. */
struct label_pairs {
	uint64_t *new_old; /* two for each slot */
	size_t mask;
};

struct label_alignment {
	const struct field_map *old, *new;
	const struct op *ops;
	const uint32_t *starts; /* of each operation in the new file */
	size_t n_ops;
	struct label_pairs pairs;
};

static uint64_t *label_pair(const struct label_pairs *p, uint64_t new)
{
	size_t i = (size_t)label_mix(3, new) & p->mask;

	while (p->new_old[2 * i] && p->new_old[2 * i] != new)
		i = (i + 1) & p->mask;
	return &p->new_old[2 * i];
}

static bool label_old_offset(const struct label_alignment *a, uint64_t new_at, uint64_t *ret)
{
	size_t low = 0, high = a->n_ops;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (a->starts[middle] <= new_at)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || new_at - a->starts[low - 1] >= a->ops[low - 1].copy_len)
		return false;
	*ret = a->ops[low - 1].old + (new_at - a->starts[low - 1]);
	return true;
}

static uint64_t label_aligned(void *ctx, uint64_t target)
{
	const struct label_alignment *a = ctx;
	const uint64_t *pair;
	uint64_t at, old_at, addr;

	if (elf_offset_of(&a->new->elf, target, &at) && label_old_offset(a, at, &old_at) &&
	    elf_addr_of(&a->old->elf, old_at, &addr))
		return addr;
	pair = label_pair(&a->pairs, target);
	if (pair[0] == target && target)
		return pair[1];
	return elf_has_addr(&a->new->elf, target) ? ~target : target;
}

static int label_collect_pairs(struct label_alignment *a)
{
	size_t slots = 1U << 16, used = 0;

	a->pairs.mask = slots - 1;
	a->pairs.new_old = calloc(slots, 2 * sizeof(uint64_t));
	if (!a->pairs.new_old)
		return -ENOMEM;
	for (size_t i = 0; i < a->n_ops; i++) {
		size_t at = a->ops[i].old, end = at + a->ops[i].copy_len;

		while ((at = field_next(a->old, at, end)) < end) {
			size_t new_at = a->starts[i] + (at - a->ops[i].old);
			enum field_kind kind = field_at(a->old, at);
			uint64_t old_target, new_target, offset, *pair;

			if (field_at(a->new, new_at) == kind && end - at >= field_width(a->old, kind) &&
			    reference_target(a->old, at, kind, &old_target) &&
			    reference_target(a->new, new_at, kind, &new_target) && new_target &&
			    !(elf_offset_of(&a->new->elf, new_target, &offset) &&
			      label_old_offset(a, offset, &offset)) && used < slots / 2) {
				pair = label_pair(&a->pairs, new_target);
				if (!pair[0]) {
					pair[0] = new_target;
					pair[1] = old_target;
					used++;
				}
			}
			at += field_width(a->old, kind);
		}
	}
	return 0;
}

int label_by_alignment(const struct field_map *old, const struct field_map *new,
		       const struct op *ops, size_t n_ops, uint8_t *into)
{
	AUTO_FREE uint32_t *starts = calloc(n_ops + 1, sizeof(*starts));
	struct label_alignment a = {old, new, ops, starts, n_ops, {NULL, 0}};
	int r;

	if (!starts)
		return -ENOMEM;
	for (size_t i = 0; i < n_ops; i++)
		starts[i + 1] = starts[i] + ops[i].copy_len + ops[i].rest_len;
	r = label_collect_pairs(&a);
	if (r >= 0)
		label_all(new, into, label_aligned, &a);
	free(a.pairs.new_old);
	return r < 0 ? r : label_named_places(new, into);
}
