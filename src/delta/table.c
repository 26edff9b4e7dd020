/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "delta/map.h"
#include "delta/window.h"

/* The models of flags and replaced bytes, maps of moves, weights, input buffers. */
#define FIXED_BYTES (4U << 20)

uint64_t table_part_memory(uint64_t source_bytes)
{
	/* the map of fields, the index over old offsets, jump tables, repeats */
	uint64_t repeats = 4U << 10;

	while (repeats < 4U << 20 && repeats / 4 < source_bytes)
		repeats *= 2;
	return source_bytes / 2 + source_bytes / 128 + source_bytes / 128 + repeats;
}

uint64_t table_new_memory(const struct delta_tables *t)
{
	uint64_t longest = 0;

	for (uint64_t i = 0; i < t->header.n_files; i++)
		if (t->files[i].bytes > longest)
			longest = t->files[i].bytes;
	return window_bytes(longest, t->header.output_bytes);
}

uint64_t table_old_bytes(const struct delta_tables *t, const struct delta_file *f)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < f->n_references; i++)
		bytes += t->references[f->references[i]].bytes;
	return bytes;
}

uint64_t table_fixed_memory(const struct delta_header *h)
{
	/* slots of the model of sent bytes, and the places of what was sent: half as much */
	return FIXED_BYTES + ((uint64_t)6 << h->model_bits) + 2 * h->meta_bytes +
	       h->n_references * sizeof(struct delta_reference) +
	       h->n_files * sizeof(struct delta_file);
}

static int table_code_text(struct coder *c, struct literal *l, const struct delta_header *h,
			   struct buffer *text)
{
	int r;

	if (!h->meta_bytes)
		return 0;
	if (!c->encoding && !buffer_grow(text, (size_t)h->meta_bytes))
		return text->err;
	r = literal_start(l, NULL, 0, &(struct literal_new){.data = text->data}, false);
	if (r < 0)
		return r;
	literal_begin(l, 0, LITERAL_DATA);
	for (size_t i = 0; i < h->meta_bytes && !c->err; i++)
		text->data[i] = literal_code(l, c, i, text->data[i]);
	return c->err;
}

/* Decoding: paths out of the text. */
static int table_split(struct delta_tables *t, const struct buffer *text, struct error *reterr)
{
	size_t at = 0;

	for (uint64_t i = 0; i < t->header.n_references; i++) {
		const uint8_t *end = at < text->len ? memchr(text->data + at, 0, text->len - at) : NULL;
		size_t len;

		if (!end)
			return error_set(reterr, -BSI_E_FORMAT, "a path of the delta has no end");
		len = (size_t)(end - (text->data + at));
		if (len > DELTA_PATH_BYTES_MAX)
			return error_set(reterr, -BSI_E_LIMIT, "a path of the delta is too long");
		t->references[i].path = strdup((const char *)text->data + at);
		if (!t->references[i].path)
			return -ENOMEM;
		at += len + 1;
	}
	t->meta_len = text->len - at;
	t->meta = malloc(t->meta_len + 1);
	if (!t->meta)
		return -ENOMEM;
	if (t->meta_len)
		memcpy(t->meta, text->data + at, t->meta_len);
	return 0;
}

static int table_code_references(struct coder *c, struct delta_tables *t, struct error *reterr)
{
	struct number_model bytes;

	number_model_init(&bytes);
	for (uint64_t i = 0; i < t->header.n_references; i++) {
		struct delta_reference *r = &t->references[i];

		r->bytes = coder_number(c, &bytes, r->bytes);
		for (unsigned j = 0; j < DELTA_REFERENCE_CHECK_BYTES; j++)
			r->check[j] = (uint8_t)coder_raw(c, 8, r->check[j]);
		if (r->bytes > DELTA_FILE_BYTES_MAX)
			return error_set(reterr, -BSI_E_LIMIT,
					 "a base file of the delta is beyond the limits");
	}
	return c->err;
}

static int table_code_file(struct coder *c, struct number_model *models, const struct delta_tables *t,
			   struct delta_file *f, uint64_t *next, struct error *reterr)
{
	uint64_t old_bytes = 0;
	int64_t expected;

	f->n_references = (unsigned)coder_number(c, &models[0], f->n_references);
	if (f->n_references > DELTA_FILE_REFERENCES_MAX)
		return error_set(reterr, -BSI_E_FORMAT, "a file of the delta has %u references",
				 f->n_references);
	for (unsigned j = 0; j < f->n_references; j++) {
		int64_t step = coder_signed(c, &models[1],
					    (int64_t)f->references[j] - (int64_t)*next);

		if (step < -(int64_t)*next || step >= (int64_t)(t->header.n_references - *next))
			return error_set(reterr, -BSI_E_FORMAT,
					 "a file of the delta has a reference that does not exist");
		f->references[j] = (uint32_t)((int64_t)*next + step);
		*next = f->references[j] + UINT64_C(1);
		old_bytes += t->references[f->references[j]].bytes;
	}
	expected = f->n_references ? (int64_t)t->references[f->references[0]].bytes : 0;
	expected += coder_signed(c, &models[2], (int64_t)f->bytes - expected);
	if (expected < 0 || expected > DELTA_FILE_BYTES_MAX || old_bytes > DELTA_FILE_BYTES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "a file of the delta is beyond the limits");
	f->bytes = (uint64_t)expected;
	return c->err;
}

static int table_code_files(struct coder *c, struct delta_tables *t, struct error *reterr)
{
	struct number_model models[3];
	uint64_t next = 0, total = 0;

	for (unsigned i = 0; i < 3; i++)
		number_model_init(&models[i]);
	for (uint64_t i = 0; i < t->header.n_files; i++) {
		int r = table_code_file(c, models, t, &t->files[i], &next, reterr);

		if (r < 0)
			return r;
		if (next == t->header.n_references)
			next = t->header.n_references ? t->header.n_references - 1 : 0;
		total += t->files[i].bytes;
	}
	if (total != t->header.output_bytes)
		return error_set(reterr, -BSI_E_FORMAT, "the files of the delta are not as long as it says");
	return 0;
}

int table_code(struct coder *c, struct literal *text_model, struct delta_tables *t,
	       struct buffer *text, struct error *reterr)
{
	int r;

	if (!c->encoding) {
		t->references = calloc(t->header.n_references + 1, sizeof(*t->references));
		t->files = calloc(t->header.n_files + 1, sizeof(*t->files));
		if (!t->references || !t->files)
			return -ENOMEM;
	}
	r = table_code_text(c, text_model, &t->header, text);
	if (r >= 0 && !c->encoding)
		r = table_split(t, text, reterr);
	if (r >= 0)
		r = table_code_references(c, t, reterr);
	if (r >= 0)
		r = table_code_files(c, t, reterr);
	return r;
}

void delta_tables_done(struct delta_tables *t)
{
	if (t->references)
		for (uint64_t i = 0; i < t->header.n_references; i++)
			free(t->references[i].path);
	free(t->references);
	free(t->files);
	free(t->meta);
	*t = (struct delta_tables){0};
}
