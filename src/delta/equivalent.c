/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/equivalent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "delta/a64.h"
#include "delta/derive.h"
#include "delta/field.h"
#include "delta/reference.h"

#define SEGMENT_HEADER_BYTES 56U
#define SYMBOL_BYTES 24U
#define HEADER_BYTES 64U
#define FRAME_HEADER_BYTES 12U
#define A64_PAGE_BYTES 0x1000U

struct compare {
	const struct field_map *old, *new;
	struct difference *ret;
};

/* The symbol of the old file that a place lies in. */
static void compare_name(const struct compare *c, const struct elf_section *in, uint64_t offset)
{
	const struct elf *e = &c->old->elf;
	uint64_t best = 0, addr = in->addr + offset;

	for (unsigned i = 0; i < e->n_sections; i++) {
		const struct elf_section *s = &e->sections[i], *names = elf_linked(e, s);

		if ((s->kind != ELF_SECTION_DYNSYM && s->kind != ELF_SECTION_SYMTAB) || !names)
			continue;
		for (uint64_t at = s->offset; at + SYMBOL_BYTES <= s->offset + s->bytes;
		     at += SYMBOL_BYTES) {
			uint64_t value = elf_u64(c->old->data + at + 8);
			uint32_t name = elf_u32(c->old->data + at);
			size_t room = sizeof(c->ret->function) - 1, n = 0;

			if (!value || value > addr || value < best || name >= names->bytes)
				continue;
			best = value;
			while (n < room && name + n < names->bytes &&
			       c->old->data[names->offset + name + n]) {
				c->ret->function[n] = (char)c->old->data[names->offset + name + n];
				n++;
			}
			c->ret->function[n] = 0;
		}
	}
}

static bool compare_fail(const struct compare *c, const struct elf_section *in, uint64_t offset,
			 const char *what)
{
	struct difference *d = c->ret;

	memset(d, 0, sizeof(*d));
	d->what = what;
	d->offset = offset;
	if (in) {
		size_t n = strlen(in->name);

		if (n > sizeof(d->section) - 1)
			n = sizeof(d->section) - 1;
		memcpy(d->section, in->name, n);
		if (in->addr)
			compare_name(c, in, offset);
	}
	return false;
}

/* Sections correspond by their place in the list: the address in the new file of an old one. */
static bool compare_moved(const struct compare *c, uint64_t old, uint64_t *ret)
{
	const struct elf *a = &c->old->elf, *b = &c->new->elf;
	bool at_end = false;

	for (unsigned i = 0; i < a->n_sections; i++) {
		const struct elf_section *s = &a->sections[i];

		if (!s->allocated || s->is_thread_zeros || old < s->addr ||
		    old - s->addr > s->bytes)
			continue;
		/* the end of a section counts where nothing begins */
		if (old - s->addr == s->bytes && at_end)
			continue;
		*ret = b->sections[i].addr + (old - s->addr);
		if (old - s->addr < s->bytes)
			return true;
		at_end = true;
	}
	return at_end;
}

/*
 * A page of adrp: all that it holds has gone to the other page. What is added to it is no part of
 * this: which instruction does so, and whether only this one, is a guess.
 */
static bool compare_page(const struct compare *c, uint64_t old, uint64_t new)
{
	const struct elf *a = &c->old->elf, *b = &c->new->elf;
	bool is_known = false;

	for (unsigned i = 0; i < a->n_sections; i++) {
		const struct elf_section *s = &a->sections[i];

		if (!s->allocated || s->is_thread_zeros || s->addr > old + (A64_PAGE_BYTES - 1) ||
		    (old > s->addr && old - s->addr > s->bytes))
			continue;
		if (b->sections[i].addr - s->addr != new - old)
			return false;
		is_known = true;
	}
	return is_known || new == old;
}

/* Of an instruction all but the target must be the same, and half a target does not change. */
static bool compare_a64(const struct compare *c, size_t old_at, size_t new_at)
{
	uint32_t old = elf_u32(c->old->data + old_at), new = elf_u32(c->new->data + new_at);
	enum a64_kind kind = a64_decode(old);
	uint64_t old_pc, new_pc, target, moved;

	if (kind == A64_NONE || kind == A64_LOW12)
		return old == new;
	if (a64_decode(new) != kind ||
	    a64_with_target(kind, old, 0, 0) != a64_with_target(kind, new, 0, 0) ||
	    !elf_addr_of(&c->old->elf, old_at, &old_pc) ||
	    !elf_addr_of(&c->new->elf, new_at, &new_pc))
		return false;
	target = a64_target(kind, old, old_pc);
	if (kind == A64_PAGE)
		return compare_page(c, target, a64_target(kind, new, new_pc));
	if (!compare_moved(c, target, &moved))
		return old == new;
	return moved == a64_target(kind, new, new_pc);
}

static bool compare_field(const struct compare *c, size_t old_at, size_t new_at,
			  enum field_kind kind)
{
	const uint8_t *old = c->old->data + old_at, *new = c->new->data + new_at;
	uint64_t old_target, new_target, moved;

	if (field_is_a64(c->old, kind))
		return compare_a64(c, old_at, new_at);
	/* how a number is written counts as well: what it is measured from moves with its target */
	if ((kind == FIELD_SITE || field_is_entry(c->old, kind)) &&
	    memcmp(old, new, field_width(c->old, kind)) != 0)
		return false;
	if (!reference_target(c->old, old_at, kind, &old_target) ||
	    !reference_target(c->new, new_at, kind, &new_target))
		return memcmp(old, new, field_width(c->old, kind)) == 0;
	if (!compare_moved(c, old_target, &moved))
		return memcmp(old, new, field_width(c->old, kind)) == 0;
	return moved == new_target;
}

/* The first `bytes` of two sections. */
static bool compare_bytes(const struct compare *c, const struct elf_section *a,
			  const struct elf_section *b, uint64_t bytes)
{
	size_t end = (size_t)(a->offset + bytes), at = (size_t)a->offset;

	while (at < end) {
		size_t next = field_next(c->old, at, end);
		size_t new_at = (size_t)b->offset + (at - (size_t)a->offset);
		enum field_kind kind;

		if (memcmp(c->old->data + at, c->new->data + new_at, next - at) != 0) {
			while (c->old->data[at] == c->new->data[new_at]) {
				at++;
				new_at++;
			}
			return compare_fail(c, a, at - a->offset, "bytes differ");
		}
		/* the scan reads the same from the same bytes, or one of both is misread */
		if (field_next(c->new, new_at, new_at + (next - at)) != new_at + (next - at))
			return compare_fail(c, a, at - a->offset, "a reference in one of both");
		if (next == end)
			break;
		at = next;
		new_at = (size_t)b->offset + (at - (size_t)a->offset);
		kind = field_at(c->old, at);
		if (field_at(c->new, new_at) != kind)
			return compare_fail(c, a, at - a->offset, "a reference of another kind");
		if (field_width(c->old, kind) > end - at)
			return compare_fail(c, a, at - a->offset, "a reference is cut");
		if (!compare_field(c, at, new_at, kind))
			return compare_fail(c, a, at - a->offset, "a reference leads elsewhere");
		at += field_width(c->old, kind);
	}
	return true;
}

/* Is the table of .eh_frame_hdr what .eh_frame says? Then comparing that is enough. */
static int compare_is_derived(const struct field_map *m, const struct elf_section *s, bool *ret)
{
	struct derive_range ranges[DERIVE_RANGES_MAX];
	unsigned n = derive_ranges(m->data, m->len, ranges);
	uint8_t *copy;

	*ret = false;
	for (unsigned i = 0; i < n; i++) {
		if (ranges[i].at < s->offset || ranges[i].at - s->offset >= s->bytes)
			continue;
		copy = malloc(m->len);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, m->data, m->len);
		*ret = derive_fill(copy, m->len, &ranges[i]) >= 0 &&
		       memcmp(copy + s->offset, m->data + s->offset, (size_t)s->bytes) == 0;
		free(copy);
	}
	return 0;
}

static int compare_section(const struct compare *c, unsigned index, bool *ret)
{
	const struct elf_section *a = &c->old->elf.sections[index];
	const struct elf_section *b = &c->new->elf.sections[index];
	bool derived_old, derived_new;
	uint64_t bytes = a->bytes;
	int r;

	*ret = true;
	if (!a->allocated || a->kind == ELF_SECTION_NOBITS || a->kind == ELF_SECTION_BUILD_ID)
		return 0;
	if (a->kind == ELF_SECTION_EH_FRAME_HDR && a->addr != b->addr) {
		r = compare_is_derived(c->old, a, &derived_old);
		if (r >= 0)
			r = compare_is_derived(c->new, b, &derived_new);
		if (r < 0)
			return r;
		/* the header before the table says how to read it, and where the frames are */
		if (derived_old && derived_new && bytes > FRAME_HEADER_BYTES)
			bytes = FRAME_HEADER_BYTES;
	}
	*ret = compare_bytes(c, a, b, bytes);
	return 0;
}

/* The same for an offset in the file. */
static bool compare_moved_offset(const struct compare *c, uint64_t old, uint64_t *ret)
{
	const struct elf *a = &c->old->elf;

	for (unsigned i = 0; i < a->n_sections; i++) {
		const struct elf_section *s = &a->sections[i];

		if (!s->allocated || s->kind == ELF_SECTION_NOBITS || old < s->offset ||
		    old - s->offset >= s->bytes)
			continue;
		*ret = c->new->elf.sections[i].offset + (old - s->offset);
		return true;
	}
	return false;
}

/* Type and flags, sizes and alignment are the same; places are where their sections have gone. */
static bool compare_segment(const struct compare *c, const uint8_t *p, const uint8_t *q)
{
	uint64_t offset = elf_u64(p + 8), addr = elf_u64(p + 16);

	if (memcmp(p, q, 8) != 0 || memcmp(p + 32, q + 32, 24) != 0)
		return false;
	if (elf_u64(p + 24) - addr != elf_u64(q + 24) - elf_u64(q + 16))
		return false;
	(void)compare_moved_offset(c, offset, &offset);
	(void)compare_moved(c, addr, &addr);
	return offset == elf_u64(q + 8) && addr == elf_u64(q + 16);
}

static bool compare_layout(const struct compare *c)
{
	const struct elf *a = &c->old->elf, *b = &c->new->elf;
	const uint8_t *p = c->old->data, *q = c->new->data;
	uint64_t moved;

	/* class, machine, type, flags; entry is a reference */
	if (memcmp(p, q, 24) != 0 || elf_u32(p + 48) != elf_u32(q + 48))
		return compare_fail(c, NULL, 0, "the ELF headers differ");
	if (!a->n_sections || a->n_sections != b->n_sections ||
	    a->n_segment_headers != b->n_segment_headers)
		return compare_fail(c, NULL, 0, "the number of sections or segments differs");
	for (unsigned i = 0; i < a->n_sections; i++) {
		const struct elf_section *s = &a->sections[i], *t = &b->sections[i];

		if (strcmp(s->name, t->name) != 0 || s->kind != t->kind ||
		    s->allocated != t->allocated || s->writable != t->writable ||
		    s->entry_bytes != t->entry_bytes || (s->allocated && s->bytes != t->bytes))
			return compare_fail(c, s, 0, "the section is another, or of another size");
	}
	for (unsigned i = 0; i < a->n_segment_headers; i++) {
		size_t at = (size_t)a->segments_offset + i * SEGMENT_HEADER_BYTES;
		size_t other = (size_t)b->segments_offset + i * SEGMENT_HEADER_BYTES;

		if (!compare_segment(c, p + at, q + other))
			return compare_fail(c, NULL, at, "a segment differs");
	}
	if (!compare_moved(c, elf_u64(p + 24), &moved))
		moved = elf_u64(p + 24);
	if (moved != elf_u64(q + 24))
		return compare_fail(c, NULL, 24, "the entry point is elsewhere");
	return true;
}

/* Every loaded byte lies in a section: what lies between is zero. */
static bool compare_gaps(const struct compare *c, const struct field_map *m)
{
	const struct elf *e = &m->elf;

	for (unsigned i = 0; i < e->n_segments; i++) {
		uint64_t at = e->segments[i].offset, end = at + e->segments[i].file_bytes;

		while (at < end) {
			uint64_t next = end, stop = 0;

			for (unsigned k = 0; k < e->n_sections; k++) {
				const struct elf_section *s = &e->sections[k];

				if (s->kind == ELF_SECTION_NOBITS || !s->bytes || !s->allocated)
					continue;
				if (s->offset <= at && s->offset + s->bytes > at)
					stop = s->offset + s->bytes > stop ? s->offset + s->bytes : stop;
				else if (s->offset > at && s->offset < next)
					next = s->offset;
			}
			if (stop) {
				at = stop;
				continue;
			}
			/* headers are compared on their own */
			if (at < e->segments_offset + e->n_segment_headers * SEGMENT_HEADER_BYTES)
				at = e->segments_offset + e->n_segment_headers * SEGMENT_HEADER_BYTES;
			for (; at < next; at++)
				if (m->data[at] && !(at < HEADER_BYTES))
					return compare_fail(c, NULL, at, "bytes outside of sections");
		}
	}
	return true;
}

/* Linked programs of 64 bits: of others the codec knows less, and a doubt is a difference. */
static bool compare_understands(const struct elf *e)
{
	return e->machine != ELF_MACHINE_NONE && e->shape->word == 8 && !e->is_object;
}

int equivalent_check(const uint8_t *old, size_t old_len, const uint8_t *new, size_t new_len,
		     bool *ret_equal, struct difference *ret)
{
	AUTO(field_map) struct field_map *a = NULL, *b = NULL;
	struct compare c = {.ret = ret};
	size_t at = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	*ret_equal = false;
	while (at < old_len && at < new_len && old[at] == new[at])
		at++;
	if (at == old_len && at == new_len) {
		*ret_equal = true;
		return 0;
	}
	r = field_map_new(old, old_len, &a);
	if (r >= 0)
		r = field_map_new(new, new_len, &b);
	if (r < 0)
		return r;
	c.old = a;
	c.new = b;
	if (!compare_understands(&a->elf) || !compare_understands(&b->elf)) {
		(void)compare_fail(&c, NULL, at, "no ELF file that is understood");
		return 0;
	}
	if (!compare_layout(&c) || !compare_gaps(&c, a) || !compare_gaps(&c, b))
		return 0;
	for (unsigned i = 0; i < a->elf.n_sections; i++) {
		bool same;

		r = compare_section(&c, i, &same);
		if (r < 0 || !same)
			return r;
	}
	*ret_equal = true;
	return 0;
}
