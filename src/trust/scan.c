/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "trust/bounds.h"

struct scan {
	unsigned depth;
	size_t n_values;
	size_t n_signatures; /* commas in the array */
	bool in_string, after_escape;
	bool key_is_signatures; /* the member of the top object that is being read */
	bool in_signatures;
	const char *text; /* the string read last, without its quotes */
	size_t text_len;
};

static bool is_signatures(const struct scan *s)
{
	static const char name[] = "signatures";

	return s->text && s->text_len == sizeof name - 1 &&
	       memcmp(s->text, name, sizeof name - 1) == 0;
}

static void scan_string(struct scan *s, const char *at)
{
	if (s->after_escape) {
		s->after_escape = false;
	} else if (*at == '\\') {
		s->after_escape = true;
	} else if (*at == '"') {
		s->in_string = false;
		s->text_len = (size_t)(at - s->text);
	}
}

static void scan_structure(struct scan *s, const char *at)
{
	switch (*at) {
	case '"':
		s->in_string = true;
		s->text = at + 1;
		break;
	case ':':
		if (s->depth == 1)
			s->key_is_signatures = is_signatures(s);
		break;
	case '{':
	case '[':
		s->n_values++;
		s->in_signatures |= s->depth == 1 && s->key_is_signatures;
		s->depth++;
		break;
	case '}':
	case ']':
		s->depth -= s->depth > 0;
		s->in_signatures &= s->depth > 1;
		break;
	case ',':
		s->n_values++;
		s->n_signatures += s->in_signatures && s->depth == 2;
		break;
	default:
		break;
	}
}

int trust_scan(const void *data, size_t len, size_t max_bytes, const char *what,
	struct error *reterr)
{
	const char *text = data;
	struct scan s = {};

	if (len > max_bytes)
		return error_set(reterr, -BSI_E_LIMIT, "%s is longer than %zu bytes", what,
			max_bytes);
	for (size_t i = 0; i < len; i++) {
		if (s.in_string)
			scan_string(&s, text + i);
		else
			scan_structure(&s, text + i);
		if (s.depth > TRUST_DEPTH_MAX)
			return error_set(reterr, -BSI_E_LIMIT, "%s is nested more than %d deep",
				what, TRUST_DEPTH_MAX);
		if (s.n_values > TRUST_VALUES_MAX)
			return error_set(reterr, -BSI_E_LIMIT, "%s holds more than %d values",
				what, TRUST_VALUES_MAX);
		if (s.n_signatures >= TRUST_SIGNATURES_MAX)
			return error_set(reterr, -BSI_E_LIMIT,
				"%s carries more than %d signatures", what, TRUST_SIGNATURES_MAX);
	}
	return 0;
}
