/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/frame.h"

#include <string.h>

#define ENCODING_OMIT 0xff

void frame_walk_init(struct frame_walk *w, const uint8_t *data, const struct elf_section *s,
		     unsigned word)
{
	memset(w, 0, sizeof(*w));
	w->word = word;
	w->data = data;
	w->start = w->at = (size_t)s->offset;
	w->end = (size_t)(s->offset + s->bytes);
}

static bool frame_skip_leb(const uint8_t *data, size_t *at, size_t end)
{
	while (*at < end)
		if (!(data[(*at)++] & 0x80))
			return true;
	return false;
}

/* Size of a pointer in an encoding, 0 for those that the compilers do not use here. */
static unsigned frame_pointer_bytes(const struct frame_walk *w, uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case 0x00:
		return w->word;
	case 0x04: case 0x0c:
		return 8;
	case 0x03: case 0x0b:
		return 4;
	case 0x02: case 0x0a:
		return 2;
	default:
		return 0;
	}
}

/* Augmentation string and data of a CIE; what is not understood leaves "omit". */
static void frame_parse_common(struct frame_walk *w, struct frame_record *r, size_t at)
{
	const uint8_t *d = w->data;
	const char *augmentation;
	size_t text = at + 1;

	w->common = r->at;
	w->begin_encoding = 0;
	w->language_encoding = ENCODING_OMIT;
	w->has_data = false;
	if (text >= r->end || !memchr(d + text, 0, r->end - text))
		return;
	augmentation = (const char *)d + text;
	at = text + strlen(augmentation) + 1;
	if (!frame_skip_leb(d, &at, r->end) || !frame_skip_leb(d, &at, r->end) ||
	    !frame_skip_leb(d, &at, r->end) || *augmentation != 'z')
		return;
	w->has_data = true;
	if (!frame_skip_leb(d, &at, r->end))
		return;
	for (const char *p = augmentation + 1; *p && at < r->end; p++) {
		if (*p == 'R') {
			w->begin_encoding = d[at++];
		} else if (*p == 'L') {
			w->language_encoding = d[at++];
		} else if (*p == 'P') {
			unsigned n = frame_pointer_bytes(w, d[at]);

			if ((d[at] & 0x7f) == FRAME_ENCODING_PCREL_S4 && r->end - at >= 5)
				r->personality = at + 1;
			at += 1 + n;
			if (!n)
				return;
		} else if (*p != 'S' && *p != 'B') {
			return;
		}
	}
}

static void frame_parse_function(const struct frame_walk *w, struct frame_record *r, size_t at)
{
	unsigned n = frame_pointer_bytes(w, w->begin_encoding);

	r->begin_encoding = w->begin_encoding;
	r->language_encoding = w->language_encoding;
	if (!n || r->end - at < 2 * n)
		return;
	if (w->begin_encoding == FRAME_ENCODING_PCREL_S4)
		r->begin = at;
	at += 2 * n;
	if (!w->has_data || at >= r->end || !frame_skip_leb(w->data, &at, r->end))
		return;
	if (w->language_encoding == FRAME_ENCODING_PCREL_S4 && r->end - at >= 4 &&
	    elf_u32(w->data + at))
		r->language = at;
}

bool frame_walk_next(struct frame_walk *w, struct frame_record *ret)
{
	struct frame_record r = {.at = w->at};
	uint32_t length, id;

	if (w->end - w->at < 8)
		return false;
	length = elf_u32(w->data + w->at);
	if (length < 4 || length > 0x7fffffff || length > w->end - w->at - 4)
		return false;
	r.end = w->at + 4 + length;
	id = elf_u32(w->data + w->at + 4);
	if (id == 0) {
		r.is_common = true;
		frame_parse_common(w, &r, w->at + 8);
	} else {
		if (id > w->at + 4 - w->start)
			return false;
		r.common = w->at + 4 - id;
		if (r.common != w->common) {
			struct frame_record other = {.at = r.common};
			uint32_t other_length;

			if (w->end - r.common < 12)
				return false;
			other_length = elf_u32(w->data + r.common);
			if (other_length < 8 || other_length > w->end - r.common - 4)
				return false;
			other.end = r.common + 4 + other_length;
			frame_parse_common(w, &other, r.common + 8);
		}
		frame_parse_function(w, &r, w->at + 8);
	}
	w->at = r.end;
	*ret = r;
	return true;
}
