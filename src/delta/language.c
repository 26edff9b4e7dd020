/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/language.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "delta/field.h"
#include "delta/frame.h"

#define ENCODING_OMIT 0xff
#define ENCODING_ULEB 0x01
#define ENCODING_PCREL_S4 0x1b
#define ENCODING_INDIRECT 0x80
#define NUMBER_BYTES_MAX 5U
/* Types that one area may name, and steps along one chain of actions. */
#define TYPES_MAX 4096
#define ACTIONS_MAX 64U
/* Longer lists of call sites stay plain bytes: a list is read again for each of its bytes. */
#define SITES_BYTES_MAX 512U
/* Of areas that several functions name each costs work: all together no more than this. */
#define LANGUAGE_WORK_FACTOR 8U

bool language_number(const uint8_t *data, size_t *at, size_t end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned n = 0; n < NUMBER_BYTES_MAX && *at < end; n++) {
		uint8_t byte = data[(*at)++];

		v |= (uint64_t)(byte & 0x7f) << 7 * n;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool language_signed(const uint8_t *data, size_t *at, size_t end, int64_t *ret)
{
	size_t start = *at;
	uint64_t v, sign;

	if (!language_number(data, at, end, &v))
		return false;
	sign = UINT64_C(1) << (7 * (*at - start) - 1);
	*ret = (int64_t)((v ^ sign) - sign);
	return true;
}

bool language_site_at(const uint8_t *data, size_t at, size_t end, struct language_site *ret)
{
	uint64_t v;

	ret->start = at;
	if (at >= end || !language_number(data, &at, end, &v))
		return false;
	ret->length = at;
	if (!language_number(data, &at, end, &v))
		return false;
	ret->landing = at;
	if (!language_number(data, &at, end, &v))
		return false;
	ret->action = at;
	if (!language_number(data, &at, end, &ret->action_value))
		return false;
	ret->end = at;
	return true;
}

/* The highest type that the actions of a call site name. */
static int64_t language_types_of(const uint8_t *data, size_t actions, size_t end, uint64_t first,
				 uint64_t *work)
{
	int64_t most = 0, filter, next;
	size_t at;

	if (!first || first > end - actions)
		return 0;
	at = actions + (size_t)first - 1;
	for (unsigned n = 0; n < ACTIONS_MAX && *work; n++) {
		size_t field;

		--*work;
		if (!language_signed(data, &at, end, &filter))
			break;
		field = at;
		if (!language_signed(data, &at, end, &next))
			break;
		if (filter > most)
			most = filter;
		if (!next || next < -(int64_t)(field - actions) || next >= (int64_t)(end - field))
			break;
		at = (size_t)((int64_t)field + next);
	}
	return most;
}

bool language_parse(const uint8_t *data, const struct elf_section *s, size_t at, uint64_t *work,
		    struct language_area *ret)
{
	size_t end = (size_t)(s->offset + s->bytes), base = 0;
	uint8_t types_encoding;
	uint64_t length;
	int64_t most = 0;

	*ret = (struct language_area){0};
	if (end - at < 4 || data[at] != ENCODING_OMIT)
		return false;
	types_encoding = data[at + 1];
	at += 2;
	if (types_encoding != ENCODING_OMIT) {
		if (!language_number(data, &at, end, &length) || length > end - at)
			return false;
		base = at + (size_t)length;
	}
	if (at >= end || data[at++] != ENCODING_ULEB ||
	    !language_number(data, &at, end, &length) || length > end - at)
		return false;
	if (*work < length + 1)
		return false;
	*work -= length + 1;
	ret->sites = at;
	ret->sites_end = at + (size_t)length;
	if ((types_encoding & ~ENCODING_INDIRECT) != ENCODING_PCREL_S4 || base < ret->sites_end)
		return true;
	for (struct language_site site; language_site_at(data, at, ret->sites_end, &site);
	     at = site.end) {
		int64_t n = language_types_of(data, ret->sites_end, base, site.action_value, work);

		most = n > most ? n : most;
	}
	if (most > TYPES_MAX || (uint64_t)most * 4 > base - ret->sites_end)
		return true;
	ret->n_types = (size_t)most;
	ret->types = base - 4 * ret->n_types;
	return true;
}

static int area_before(const void *a, const void *b)
{
	const struct field_area *x = a, *y = b;

	if (x->area != y->area)
		return x->area < y->area ? -1 : 1;
	return x->function < y->function ? -1 : x->function > y->function;
}

/*
 * The cold half of a function has the types of the whole, and names none: does a word before those
 * that are named lead to an object outside of this section?
 */
static bool language_is_type(const struct field_map *m, const struct elf_section *s, size_t at)
{
	uint64_t target = s->addr + (at - s->offset) +
			  (uint64_t)(int64_t)(int32_t)elf_u32(m->data + at);

	return !(target & 7) && elf_has_addr(&m->elf, target) &&
	       (target < s->addr || target - s->addr >= s->bytes);
}

static void language_mark(struct field_map *m, const struct elf_section *s,
			  struct language_area *area)
{
	size_t at = area->sites;

	while (area->types >= area->sites_end + 4 && area->n_types < TYPES_MAX &&
	       language_is_type(m, s, area->types - 4)) {
		area->types -= 4;
		area->n_types++;
	}
	for (size_t i = 0; i < area->n_types; i++)
		if (elf_u32(m->data + area->types + 4 * i))
			field_mark(m, area->types + 4 * i, FIELD_PCREL32);
	if (area->sites_end - area->sites > SITES_BYTES_MAX)
		return;
	for (struct language_site site; language_site_at(m->data, at, area->sites_end, &site);
	     at = site.end)
		for (size_t i = site.start; i < site.action; i++)
			field_mark(m, i, FIELD_SITE);
}

/* The area that a function names, and where the function starts; false if there is none. */
static bool language_of(const struct field_map *m, const struct elf_section *frames,
			const struct elf_section *areas, const struct frame_record *r,
			struct field_area *ret)
{
	uint64_t addr, function, at;

	if (r->is_common || !r->language)
		return false;
	addr = frames->addr + (r->language - frames->offset) +
	       (uint64_t)(int64_t)(int32_t)elf_u32(m->data + r->language);
	function = frames->addr + (r->begin - frames->offset) +
		   (uint64_t)(int64_t)(int32_t)elf_u32(m->data + r->begin);
	if (!r->begin || addr < areas->addr || addr - areas->addr >= areas->bytes ||
	    !elf_offset_of(&m->elf, function, &at) || at > UINT32_MAX)
		return false;
	ret->area = (uint32_t)(areas->offset + (addr - areas->addr));
	ret->function = (uint32_t)at;
	return true;
}

int field_scan_language(struct field_map *m, size_t areas_max)
{
	const struct elf_section *frames = elf_find(&m->elf, ELF_SECTION_EH_FRAME);
	const struct elf_section *areas = elf_find(&m->elf, ELF_SECTION_EXCEPT_TABLE);
	size_t room = m->len / FIELD_AREA_BYTES - m->n_tables;
	struct field_area found;
	struct frame_record r;
	struct frame_walk walk;
	uint64_t work;

	if (!frames || !areas || !room)
		return 0;
	/* counted first, so that the table is no larger than it has to be */
	frame_walk_init(&walk, m->data, frames, m->elf.shape->word);
	while (m->n_areas < room && frame_walk_next(&walk, &r))
		m->n_areas += language_of(m, frames, areas, &r, &found);
	if (m->n_areas > areas_max)
		return -BSI_E_LIMIT;
	m->areas = calloc(m->n_areas + 1, sizeof(*m->areas));
	if (!m->areas)
		return -ENOMEM;
	room = m->n_areas;
	m->n_areas = 0;
	frame_walk_init(&walk, m->data, frames, m->elf.shape->word);
	while (m->n_areas < room && frame_walk_next(&walk, &r))
		if (language_of(m, frames, areas, &r, &found))
			m->areas[m->n_areas++] = found;
	qsort(m->areas, m->n_areas, sizeof(*m->areas), area_before);
	work = LANGUAGE_WORK_FACTOR * areas->bytes;
	for (size_t i = 0; i < m->n_areas && work; i++) {
		struct language_area area;

		if (language_parse(m->data, areas, m->areas[i].area, &work, &area))
			language_mark(m, areas, &area);
	}
	return 0;
}

/* The last area that starts at or before a place, of equal ones the first function. */
static const struct field_area *language_find(const struct field_map *m, size_t at)
{
	size_t low = 0, high = m->n_areas;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->areas[middle].area <= at)
			low = middle + 1;
		else
			high = middle;
	}
	while (low > 1 && m->areas[low - 2].area == m->areas[low - 1].area)
		low--;
	return low ? &m->areas[low - 1] : NULL;
}

bool field_site_at(const struct field_map *m, size_t at, struct field_site *ret)
{
	const struct elf_section *areas = elf_find(&m->elf, ELF_SECTION_EXCEPT_TABLE);
	const struct field_area *found = language_find(m, at);
	struct language_area area;
	uint64_t work = UINT64_MAX, function, start = 0;
	size_t site_at;

	if (!found || !areas || !language_parse(m->data, areas, found->area, &work, &area) ||
	    at < area.sites || at >= area.sites_end ||
	    area.sites_end - area.sites > SITES_BYTES_MAX ||
	    !elf_addr_of(&m->elf, found->function, &function))
		return false;
	site_at = area.sites;
	for (struct language_site site; language_site_at(m->data, site_at, area.sites_end, &site);
	     site_at = site.end) {
		if (at >= site.end)
			continue;
		if (at >= site.action)
			return false;
		ret->at = at >= site.landing ? site.landing : at >= site.length ? site.length : site.start;
		ret->is_length = ret->at == site.length;
		ret->from = function;
		if (ret->is_length) {
			size_t from = site.start;

			(void)language_number(m->data, &from, site.length, &start);
			ret->from += start;
		}
		ret->end = ret->at;
		(void)language_number(m->data, &ret->end, site.action, &ret->value);
		ret->is_nothing = ret->at == site.landing && !ret->value;
		ret->to = ret->from + ret->value;
		return true;
	}
	return false;
}
