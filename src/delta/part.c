/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/part.h"

#include "base/error.h"

void part_models_init(struct part_models *m)
{
	bit_model_init(&m->divided, 1024, BIT_LIMIT_QUICK);
	bit_model_init(&m->has_source, 60000, BIT_LIMIT_QUICK);
	bit_model_init(&m->is_made, 4096, BIT_LIMIT_QUICK);
	number_model_init(&m->len);
	number_model_init(&m->at);
	number_model_init(&m->source_len);
}

struct part_place part_place_of(size_t file_len, size_t old_len, size_t reach)
{
	return (struct part_place){.file_len = file_len, .old_len = old_len, .reach = reach};
}

bool part_code_divided(struct part_models *m, struct coder *c, bool divided)
{
	return coder_bit(c, &m->divided, divided);
}

/* Where the part's source lies: each number only if it is sound. */
static int part_code_source(struct part_models *m, struct coder *c, struct part_place *place,
			    struct part *part)
{
	uint64_t reach = (uint64_t)place->reach + place->done;
	int64_t at, len;

	if (!coder_bit(c, &m->has_source, part->source != PART_SOURCE_NONE)) {
		part->source = PART_SOURCE_NONE;
		return 0;
	}
	if (coder_bit(c, &m->is_made, part->source == PART_SOURCE_MADE))
		part->source = PART_SOURCE_MADE;
	else
		part->source = PART_SOURCE_OLD;
	at = coder_signed(c, &m->at, part->source == PART_SOURCE_MADE ? (int64_t)part->at :
				      (int64_t)part->at - (int64_t)place->old_end);
	len = coder_signed(c, &m->source_len, (int64_t)part->source_len - (int64_t)part->len);
	if (c->err)
		return c->err;
	/* lengths are of 31 bits: what goes beyond them by far is refused before it is added */
	if (at < -(int64_t)UINT32_MAX || at > (int64_t)UINT32_MAX || len < -(int64_t)UINT32_MAX ||
	    len > (int64_t)UINT32_MAX)
		return -BSI_E_FORMAT;
	len += (int64_t)part->len;
	if (part->source == PART_SOURCE_MADE) {
		if (at <= 0 || (uint64_t)at > reach || len <= 0 || len > at)
			return -BSI_E_FORMAT;
	} else {
		at += (int64_t)place->old_end;
		if (at < 0 || len <= 0 || (uint64_t)at > place->old_len ||
		    (uint64_t)len > place->old_len - (uint64_t)at)
			return -BSI_E_FORMAT;
		place->old_end = (size_t)(at + len);
	}
	part->at = (size_t)at;
	part->source_len = (size_t)len;
	return 0;
}

int part_code(struct part_models *m, struct coder *c, bool divided, struct part_place *place,
	      struct part *part)
{
	size_t left = place->file_len - place->done;
	uint64_t len;
	int r;

	if (!divided) {
		*part = (struct part){.len = left, .source_len = place->old_len};
		place->done = place->file_len;
		return 0;
	}
	len = coder_number(c, &m->len, part->len);
	if (c->err)
		return c->err;
	if (len == 0 || len > left || (len < PART_BYTES_MIN && len != left && place->done))
		return -BSI_E_FORMAT;
	part->len = (size_t)len;
	if (!c->encoding)
		part->at = part->source_len = 0;
	r = part_code_source(m, c, place, part);
	place->done += part->len;
	return r;
}
