/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/go.h"

#include <string.h>

#include "delta/field.h"

#define MAGIC_1_18 0xfffffff0U
#define MAGIC_1_20 0xfffffff1U
#define WORD_BYTES 8U
#define FUNCTION_ENTRY_BYTES 8U
#define FUNCTION_BYTES_1_18 40U
#define FUNCTION_BYTES_1_20 44U
/* Lists of a function: more makes no sense. */
#define FUNCTION_LIST_MAX 64U
#define NOTHING 0xffffffffU

/* Words of the module's record; two more stand before the second group from Go 1.20 on. */
#define MODULE_NAMES 1U
#define MODULE_FUNCTIONS 13U
#define MODULE_BUCKETS 19U
#define MODULE_LOWEST 20U
#define MODULE_HIGHEST 21U
#define MODULE_TEXT 22U
#define MODULE_TYPES 35U
#define MODULE_TYPES_END 36U
#define MODULE_DATA 38U
#define MODULE_LINKS 42U
#define MODULE_WORDS 48U

/* A type; what follows depends on its kind. */
#define TYPE_BYTES 48U
#define TYPE_NAME_AT 40U
#define TYPE_POINTER_AT 44U
#define TYPE_KINDS 26U
#define TYPE_INTERFACE 20U
#define TYPE_METHODS_FLAG 1U
#define METHOD_BYTES 16U
#define INTERFACE_METHOD_BYTES 8U

/* Buckets of 4096 bytes of code, with 16 parts each. */
#define BUCKET_HEAD_BYTES 4U
#define BUCKET_PARTS 16U
#define BUCKET_BYTES (BUCKET_HEAD_BYTES + BUCKET_PARTS)
#define PART_CODE_BYTES 256U

/* A range by address; false if it is not inside the file as a whole. */
static bool go_range_of(const struct elf *e, uint64_t len, uint64_t addr, uint64_t bytes,
			struct go_range *ret)
{
	uint64_t at;

	if (!elf_offset_of(e, addr, &at) || at > len || bytes > len - at || !at)
		return false;
	*ret = (struct go_range){(size_t)at, addr, bytes};
	return true;
}

static uint64_t go_word(const uint8_t *record, unsigned i)
{
	return elf_u64(record + WORD_BYTES * i);
}

/* Offsets in the head of .gopclntab, ascending: where its parts are. */
static bool go_parse_table(struct go_module *g, const uint8_t *data, struct go_range table)
{
	const uint8_t *p = data + table.at;
	struct go_range *parts[5] = {&g->names, &g->units, &g->files, &g->values, &g->functions};
	uint64_t end = table.bytes;
	uint32_t magic;

	if (table.bytes < GO_TABLE_HEADER_BYTES || !table.at)
		return false;
	magic = elf_u32(p);
	if ((magic != MAGIC_1_18 && magic != MAGIC_1_20) || p[7] != WORD_BYTES)
		return false;
	g->function_bytes = magic == MAGIC_1_18 ? FUNCTION_BYTES_1_18 : FUNCTION_BYTES_1_20;
	g->table = table;
	g->n_functions = elf_u64(p + 8);
	for (unsigned i = 5; i--;) {
		uint64_t at = elf_u64(p + 32 + 8 * i);

		if (at > end || at < GO_TABLE_HEADER_BYTES)
			return false;
		*parts[i] = (struct go_range){table.at + (size_t)at, table.addr + at, end - at};
		end = at;
	}
	return g->n_functions < g->functions.bytes / FUNCTION_ENTRY_BYTES;
}

static bool go_parse_record(struct go_module *g, const struct elf *e, const uint8_t *record,
			    uint64_t len)
{
	unsigned more = g->function_bytes == FUNCTION_BYTES_1_20 ? 2 : 0;
	uint64_t types = go_word(record, MODULE_TYPES + more), buckets, parts;
	uint64_t end = go_word(record, MODULE_TYPES_END + more);
	uint64_t links = go_word(record, MODULE_LINKS + more + 1);
	uint64_t low = go_word(record, MODULE_LOWEST), high = go_word(record, MODULE_HIGHEST);

	g->text = go_word(record, MODULE_TEXT);
	if (end < types || high <= low || low != g->text || !elf_has_addr(e, g->text) ||
	    links > len / 4 || high - low > len)
		return false;
	/* the last bucket has no more parts than there is code */
	parts = (high - low - 1) / PART_CODE_BYTES + 1;
	buckets = (parts - 1) / BUCKET_PARTS * BUCKET_HEAD_BYTES + BUCKET_HEAD_BYTES + parts;
	return go_range_of(e, len, types, end - types, &g->types) &&
	       go_range_of(e, len, go_word(record, MODULE_DATA + more), 0, &g->data) &&
	       go_range_of(e, len, go_word(record, MODULE_LINKS + more), 4 * links, &g->links) &&
	       go_range_of(e, len, go_word(record, MODULE_BUCKETS), buckets, &g->buckets);
}

/* The record begins with the addresses of .gopclntab and of the names in it. */
static bool go_find_record(struct go_module *g, const struct elf *e, const uint8_t *data,
			   size_t len)
{
	for (unsigned i = 0; i < e->n_sections; i++) {
		const struct elf_section *s = &e->sections[i];

		if (!s->writable || s->kind == ELF_SECTION_NOBITS)
			continue;
		for (uint64_t at = s->offset; at + MODULE_WORDS * WORD_BYTES <= s->offset + s->bytes;
		     at += WORD_BYTES) {
			const uint8_t *p = data + at;

			if (elf_u64(p) == g->table.addr && go_word(p, MODULE_NAMES) == g->names.addr &&
			    go_word(p, MODULE_FUNCTIONS) == g->functions.addr)
				return go_parse_record(g, e, p, len);
		}
	}
	return false;
}

/* A program that may be loaded anywhere has the table inside of .data.rel.ro. */
static bool go_find_table(struct go_module *g, const struct elf *e, const uint8_t *data,
			  size_t len)
{
	for (unsigned i = 0; i < e->n_sections; i++) {
		const struct elf_section *s = &e->sections[i];

		if (!s->writable || s->kind != ELF_SECTION_OTHER)
			continue;
		for (uint64_t at = 0; at + GO_TABLE_HEADER_BYTES <= s->bytes; at += WORD_BYTES) {
			struct go_range table = {(size_t)(s->offset + at), s->addr + at,
						 s->bytes - at};

			if ((elf_u32(data + table.at) | 1) == MAGIC_1_20 &&
			    go_parse_table(g, data, table))
				return go_find_record(g, e, data, len);
		}
	}
	return false;
}

void go_parse(struct go_module *g, const struct elf *e, const uint8_t *data, size_t len)
{
	const struct elf_section *s = elf_find(e, ELF_SECTION_GOPCLNTAB);

	memset(g, 0, sizeof(*g));
	if (e->shape->word != WORD_BYTES || e->is_object)
		return;
	if (s)
		g->is_known = go_parse_table(g, data, (struct go_range){(size_t)s->offset, s->addr,
									s->bytes}) &&
			      go_find_record(g, e, data, len);
	else
		g->is_known = go_find_table(g, e, data, len);
}

static bool go_contains(const struct go_range *r, size_t at)
{
	return at >= r->at && at - r->at < r->bytes;
}

static void go_mark(struct field_map *m, size_t at, enum field_kind kind)
{
	uint32_t v = elf_u32(m->data + at);

	if (v && v != NOTHING)
		field_mark(m, at, kind);
}

/* The record of a function: what it holds, counted. */
struct go_function {
	size_t at, lists, end; /* offsets in the file */
};

static bool go_function_at(const struct go_module *g, const uint8_t *data, uint64_t index,
			   struct go_function *ret)
{
	uint64_t place = elf_u32(data + g->functions.at + index * FUNCTION_ENTRY_BYTES + 4);
	uint32_t n_values;
	uint8_t n_data;

	if (place > g->functions.bytes || g->functions.bytes - place < g->function_bytes)
		return false;
	ret->at = g->functions.at + (size_t)place;
	n_values = elf_u32(data + ret->at + 28);
	n_data = data[ret->at + g->function_bytes - 1];
	if (n_values > FUNCTION_LIST_MAX || n_data > FUNCTION_LIST_MAX ||
	    g->functions.bytes - place - g->function_bytes < 4 * (uint64_t)(n_values + n_data))
		return false;
	ret->lists = ret->at + g->function_bytes;
	ret->end = ret->lists + 4 * (n_values + n_data);
	return true;
}

static void go_scan_functions(struct field_map *m)
{
	const struct go_module *g = &m->go;
	struct go_function f;

	for (uint64_t i = 0; i <= g->n_functions; i++) {
		size_t at = g->functions.at + (size_t)i * FUNCTION_ENTRY_BYTES;

		/* behind the last one stands where code ends */
		if (i == g->n_functions && g->functions.bytes < (i + 1) * FUNCTION_ENTRY_BYTES)
			return;
		field_mark(m, at, FIELD_TEXT32);
		if (i == g->n_functions)
			return;
		go_mark(m, at + 4, FIELD_SPECIAL32);
		if (!go_function_at(g, m->data, i, &f))
			continue;
		field_mark(m, f.at, FIELD_TEXT32);
		go_mark(m, f.at + 4, FIELD_SPECIAL32);
		for (unsigned k = 16; k < 28; k += 4)
			go_mark(m, f.at + k, FIELD_SPECIAL32);
		for (size_t k = f.lists; k < f.end; k += 4)
			go_mark(m, k, FIELD_SPECIAL32);
	}
}

/* Does a type begin here? All that can be told of its head fits, or it is none. */
static bool go_is_type(const struct field_map *m, size_t at)
{
	const uint8_t *p = m->data + at;
	unsigned kind = p[23] & 31;
	uint64_t equal = elf_u64(p + 24), mask = elf_u64(p + 32);

	return kind && kind <= TYPE_KINDS && p[20] < 32 && p[21] && p[21] <= 16 && p[22] &&
	       p[22] <= 16 && elf_u64(p + 8) <= elf_u64(p) && elf_u32(p + TYPE_NAME_AT) &&
	       elf_u32(p + TYPE_NAME_AT) < m->go.types.bytes &&
	       elf_u32(p + TYPE_POINTER_AT) < m->go.types.bytes &&
	       (!equal || elf_has_addr(&m->elf, equal)) && (!mask || elf_has_addr(&m->elf, mask));
}

/* Bytes of a type of some kind without what may follow it. */
static unsigned go_type_bytes(unsigned kind)
{
	switch (kind) {
	case 17: /* array */
		return 72;
	case 18: /* chan */
		return 64;
	case 19: /* func */
	case 22: /* pointer */
	case 23: /* slice */
		return 56;
	case TYPE_INTERFACE:
	case 25: /* struct */
		return 80;
	case 21: /* map */
		return 88;
	default:
		return TYPE_BYTES;
	}
}

/* n records of some words that all lie inside the types; text: which words lead into code. */
static void go_mark_records(struct field_map *m, uint64_t at, uint64_t n, unsigned bytes,
			    unsigned text, uint64_t *work)
{
	const struct go_range *types = &m->go.types;

	if (n > *work || at < types->at || at > types->at + types->bytes ||
	    n > (types->at + types->bytes - at) / bytes)
		return;
	*work -= n;
	for (uint64_t i = 0; i < n; i++)
		for (unsigned k = 0; k < bytes / 4; k++)
			go_mark(m, (size_t)(at + i * bytes) + 4 * k,
				text >> k & 1 ? FIELD_TEXT32 : FIELD_SPECIAL32);
}

static void go_scan_type(struct field_map *m, size_t at, uint64_t *work)
{
	const struct go_range *types = &m->go.types;
	const uint8_t *p = m->data + at;
	unsigned kind = p[23] & 31;
	uint64_t more = at + go_type_bytes(kind), list;

	go_mark(m, at + TYPE_NAME_AT, FIELD_SPECIAL32);
	go_mark(m, at + TYPE_POINTER_AT, FIELD_SPECIAL32);
	if (kind == TYPE_INTERFACE && types->at + types->bytes - at >= 80 &&
	    elf_offset_of(&m->elf, elf_u64(p + 56), &list))
		go_mark_records(m, list, elf_u64(p + 64), INTERFACE_METHOD_BYTES, 0, work);
	if (!(p[20] & TYPE_METHODS_FLAG) || types->at + types->bytes - at < 88 + METHOD_BYTES)
		return;
	go_mark(m, (size_t)more, FIELD_SPECIAL32);
	go_mark_records(m, more + elf_u32(m->data + more + 8), elf_u16(m->data + more + 4),
			METHOD_BYTES, 12, work);
}

void go_scan(struct field_map *m)
{
	struct go_module *g = &m->go;
	uint64_t work;

	go_parse(g, &m->elf, m->data, m->len);
	if (!g->is_known)
		return;
	field_mark(m, g->table.at + 24, FIELD_ADDR64);
	for (unsigned i = 0; i < 5; i++)
		field_mark(m, g->table.at + 32 + 8 * i, FIELD_SPECIAL64);
	for (uint64_t i = 0; i + 4 <= g->units.bytes; i += 4)
		go_mark(m, g->units.at + (size_t)i, FIELD_SPECIAL32);
	go_scan_functions(m);
	for (uint64_t i = 0; i + 4 <= g->links.bytes; i += 4)
		go_mark(m, g->links.at + (size_t)i, FIELD_SPECIAL32);
	work = g->types.bytes;
	for (size_t at = g->types.at + (g->types.addr & 7 ? 8 - (g->types.addr & 7) : 0);
	     at + TYPE_BYTES <= g->types.at + g->types.bytes; at += 8)
		if (go_is_type(m, at))
			go_scan_type(m, at, &work);
}

/* The function whose record begins at or before a place: records stand in the functions' order. */
static bool go_function_of(const struct field_map *m, size_t at, struct go_function *ret)
{
	const struct go_module *g = &m->go;
	uint64_t low = 0, high = g->n_functions, place = at - g->functions.at;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (elf_u32(m->data + g->functions.at + middle * FUNCTION_ENTRY_BYTES + 4) <= place)
			low = middle + 1;
		else
			high = middle;
	}
	return low && go_function_at(g, m->data, low - 1, ret) && at < ret->end;
}

static bool go_function_base(const struct field_map *m, size_t at, uint64_t *ret)
{
	const struct go_module *g = &m->go;
	struct go_function f;

	if (at - g->functions.at < (g->n_functions + 1) * FUNCTION_ENTRY_BYTES) {
		*ret = g->functions.addr;
		return true;
	}
	if (!go_function_of(m, at, &f) || (at - f.at) % 4)
		return false;
	if (at < f.lists)
		*ret = at - f.at == 4 ? g->names.addr : g->values.addr;
	else
		*ret = at - f.lists < 4 * elf_u32(m->data + f.at + 28) ? g->values.addr :
									 g->data.addr;
	return true;
}

bool go_base(const struct field_map *m, size_t at, uint64_t *ret)
{
	const struct go_module *g = &m->go;

	if (!g->is_known)
		return false;
	if (field_at(m, at) == FIELD_TEXT32) {
		*ret = g->text;
		return true;
	}
	if (go_contains(&g->functions, at))
		return go_function_base(m, at, ret);
	if (go_contains(&g->units, at)) {
		*ret = g->files.addr;
		return true;
	}
	*ret = g->types.addr;
	return go_contains(&g->types, at) || go_contains(&g->links, at);
}

static uint64_t go_entry(const struct go_module *g, const uint8_t *data, uint64_t index)
{
	return elf_u32(data + g->functions.at + index * FUNCTION_ENTRY_BYTES);
}

bool go_fill_buckets(const struct go_module *g, uint8_t *data)
{
	uint64_t index = 0, first = 0, n_parts;

	if (!g->is_known || !g->n_functions)
		return false;
	n_parts = g->buckets.bytes / BUCKET_BYTES * BUCKET_PARTS;
	if (g->buckets.bytes % BUCKET_BYTES)
		n_parts += g->buckets.bytes % BUCKET_BYTES - BUCKET_HEAD_BYTES;
	for (uint64_t part = 0; part < n_parts; part++) {
		uint8_t *bucket = data + g->buckets.at + part / BUCKET_PARTS * BUCKET_BYTES;
		uint64_t start = part * PART_CODE_BYTES;

		while (index + 1 < g->n_functions && go_entry(g, data, index + 1) <= start)
			index++;
		if (part % BUCKET_PARTS == 0) {
			first = index;
			elf_put_u32(bucket, (uint32_t)first);
		}
		bucket[BUCKET_HEAD_BYTES + part % BUCKET_PARTS] = (uint8_t)(index - first);
	}
	return true;
}
