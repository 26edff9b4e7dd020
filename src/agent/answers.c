/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/answers.h"

#include <stdlib.h>
#include <string.h>

#include "trust/bounds.h"

#define ANSWERS_MAX (TRUST_ROTATIONS_MAX + 16) /* the roots of one update, the other roles, an index */
#define ANSWERS_MAX_BYTES ((size_t)32 << 20)

void answers_done(struct answers *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->rows[i].url);
		buffer_done(&a->rows[i].bytes);
	}
	free(a->rows);
	*a = (struct answers){0};
}

void answers_add(struct answers *a, const char *url, const struct buffer *bytes,
	const struct error *why)
{
	struct answer row = {.url = strdup(url), .bytes = buffer_of(bytes->len + 1)};
	struct answer *rows = NULL;

	buffer_put(&row.bytes, bytes->data, bytes->len);
	if (why)
		row.why = *why;
	if (row.url && row.bytes.err == 0 && a->n < ANSWERS_MAX &&
		a->n_bytes + bytes->len <= ANSWERS_MAX_BYTES)
		rows = reallocarray(a->rows, a->n + 1, sizeof *rows);
	if (!rows) {
		free(row.url);
		buffer_done(&row.bytes);
		return;
	}
	a->rows = rows;
	a->rows[a->n++] = row;
	a->n_bytes += bytes->len;
}

const struct answer *answers_find(const struct answers *a, const char *url)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->rows[i].url, url) == 0)
			return &a->rows[i];
	return NULL;
}

int answer_tell(const struct answer *a, size_t max, struct buffer *out, struct error *reterr)
{
	if (a->why.code < 0)
		return error_set(reterr, a->why.code, "%s", a->why.text);
	if (a->bytes.len > max)
		return error_set(reterr, -BSI_E_LIMIT, "%s: more than %zu bytes", a->url, max);
	buffer_put(out, a->bytes.data, a->bytes.len);
	return out->err;
}
