/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/digest.h"
#include "delta/body.h"
#include "delta/derive.h"
#include "delta/file_mode.h"
#include "delta/mix.h"
#include "delta/part.h"
#include "delta/table.h"
#include "delta/window.h"

#define WRITE_PIECE_BYTES (1U << 20)

/* The bytes behind the header, then the rest of the source. */
struct rest {
	uint8_t head[DELTA_HEADER_BYTES_MAX];
	size_t at, len;
	const struct delta_source *source;
};

static int64_t rest_read(void *ctx, void *into, size_t len)
{
	struct rest *rest = ctx;
	size_t n = rest->len - rest->at;

	if (!n)
		return rest->source->read(rest->source->ctx, into, len);
	if (n > len)
		n = len;
	memcpy(into, rest->head + rest->at, n);
	rest->at += n;
	return (int64_t)n;
}

struct decode {
	struct rest rest;
	struct delta_source source;
	struct coder *coder;
	struct literal *text_model;
	struct body *body;
	struct delta_tables tables;
	const struct delta_io *io;
	struct hasher *hasher;
	/* the references of the file before, kept while the next has the same */
	uint8_t *old;
	size_t old_len;
	struct delta_file old_of;
	struct field_map *fields; /* of the part before */
	bool fields_are_plain, fields_are_kept;
	struct window window;
	struct part_models parts;
	struct body_stats before;
	uint64_t work, work_limit, written;
	uint64_t spare; /* memory for what belongs to one file */
};

static void decode_forget(struct decode *d)
{
	field_map_free(take_ptr(d->fields));
	free(take_ptr(d->old));
	d->old_len = 0;
}

static void decode_free(struct decode *d)
{
	if (!d)
		return;
	decode_forget(d);
	literal_free(d->text_model);
	body_free(d->body);
	window_done(&d->window);
	hasher_free(d->hasher);
	delta_tables_done(&d->tables);
	free(d->coder);
	free(d);
}
DEFINE_FREEP(decode)

static int decode_header(struct decode *d, const struct delta_source *source, struct error *reterr)
{
	d->rest.source = source;
	while (d->rest.len < sizeof(d->rest.head)) {
		int64_t n = source->read(source->ctx, d->rest.head + d->rest.len,
					 sizeof(d->rest.head) - d->rest.len);

		if (n < 0)
			return error_set(reterr, (int)n, "the delta cannot be read");
		if (n == 0)
			break;
		d->rest.len += (size_t)n;
	}
	return delta_header_decode(d->rest.head, d->rest.len, &d->tables.header, &d->rest.at,
				   reterr);
}

static int decode_open(const struct delta_source *source, uint64_t memory_max, struct decode **ret,
		       struct error *reterr)
{
	AUTO(decode) struct decode *d = calloc(1, sizeof(*d));
	AUTO_DONE(buffer) struct buffer text = buffer_of(DELTA_META_BYTES_MAX);
	const struct delta_header *h;
	int r;

	if (!d)
		return -ENOMEM;
	r = decode_header(d, source, reterr);
	if (r < 0)
		return r;
	h = &d->tables.header;
	if (h->memory_bytes > memory_max)
		return error_set(reterr, -BSI_E_LIMIT,
				 "the delta needs %llu MiB of memory, the limit is %llu MiB",
				 (unsigned long long)(h->memory_bytes >> 20),
				 (unsigned long long)(memory_max >> 20));
	if (table_fixed_memory(h) > h->memory_bytes)
		return error_set(reterr, -BSI_E_FORMAT, "the delta names too little memory");
	d->coder = malloc(sizeof(*d->coder));
	if (!d->coder)
		return -ENOMEM;
	d->source = (struct delta_source){&d->rest, rest_read};
	coder_init_decode(d->coder, &d->source);
	r = literal_new(TABLE_TEXT_MODEL_BITS, &d->text_model);
	if (r >= 0)
		r = table_code(d->coder, d->text_model, &d->tables, &text, reterr);
	if (r >= 0)
		r = d->coder->err;
	if (r < 0)
		return reterr && reterr->code == r ?
			       r : error_set(reterr, r, "the tables of the delta are damaged");
	literal_free(take_ptr(d->text_model));
	*ret = take_ptr(d);
	return 0;
}

static int decode_check_reference(const struct delta_reference *ref, const uint8_t *data,
				  struct error *reterr)
{
	struct digest digest;
	int r = digest_of(data, (size_t)ref->bytes, &digest);

	if (r < 0)
		return r;
	if (DELTA_CHECKS && memcmp(digest.bytes, ref->check, sizeof(ref->check)) != 0)
		return error_set(reterr, -BSI_E_MISMATCH,
				 "the base file%s%s%s is not the one this delta was made from",
				 *ref->path ? " \"" : "", ref->path, *ref->path ? "\"" : "");
	return 0;
}

/*
 * Old files are read, and then looked through for each part that is made from them: in all at most
 * a constant times what the delta names and makes, however often one file is named.
 */
static int decode_charge(struct decode *d, uint64_t bytes, struct error *reterr)
{
	const struct delta_header *h = &d->tables.header;
	uint64_t limit = h->output_bytes;

	for (uint64_t i = 0; !d->work_limit && i < h->n_references; i++)
		limit += d->tables.references[i].bytes;
	if (!d->work_limit)
		d->work_limit = limit * DELTA_WORK_FACTOR;
	d->work += bytes;
	if (d->work > d->work_limit)
		return error_set(reterr, -BSI_E_LIMIT, "the delta uses base files too often");
	return 0;
}

/* Have the references of a file at hand, as one run of bytes. */
static int decode_load(struct decode *d, const struct delta_file *f, struct error *reterr)
{
	uint64_t total = table_old_bytes(&d->tables, f), at = 0;
	int r;

	if (d->old && d->old_of.n_references == f->n_references &&
	    memcmp(d->old_of.references, f->references,
		   f->n_references * sizeof(f->references[0])) == 0)
		return 0;
	r = decode_charge(d, total, reterr);
	if (r < 0)
		return r;
	decode_forget(d);
	d->old = malloc((size_t)total + 1);
	if (!d->old)
		return -ENOMEM;
	d->old_len = (size_t)total;
	d->old_of = *f;
	for (unsigned i = 0; i < f->n_references; i++) {
		const struct delta_reference *ref = &d->tables.references[f->references[i]];

		r = d->io->load(d->io->ctx, f->references[i], ref, d->old + at, reterr);
		if (r >= 0)
			r = decode_check_reference(ref, d->old + at, reterr);
		if (r < 0)
			return r;
		at += ref->bytes;
	}
	return 0;
}

static int decode_derive(uint8_t *new, size_t new_len, const struct op *ops, size_t n_ops)
{
	unsigned n = 0;
	size_t at = 0;

	for (size_t i = 0; i < n_ops; i++) {
		at += ops[i].copy_len;
		if (ops[i].rest == OP_REST_DERIVED && ops[i].rest_len) {
			struct derive_range range = {at, ops[i].rest_len};
			int r = n++ < DERIVE_RANGES_MAX ? derive_fill(new, new_len, &range) :
							  -BSI_E_FORMAT;
			if (r < 0)
				return r;
		}
		at += ops[i].rest_len;
	}
	return 0;
}

static void decode_report(struct decode *d, uint32_t index, const struct delta_file_stats *stats)
{
	struct delta_file_stats s = *stats;

	if (!d->io->end)
		return;
	body_stats_between(&d->before, body_stats(d->body), &s.body);
	d->before = *body_stats(d->body);
	d->io->end(d->io->ctx, index, &s);
}

/*
 * The map of fields of a part's source; the last one is kept, as the next part may have the same.
 * memory: what is left for areas.
 */
static int decode_fields(struct decode *d, const uint8_t *source, size_t len, bool is_plain,
			 bool is_old, uint64_t memory)
{
	uint64_t areas_max = memory / TABLE_AREA_BYTES;
	int r;

	if (d->fields && d->fields_are_kept && is_old && d->fields_are_plain == is_plain &&
	    d->fields->data == source && d->fields->len == len)
		return d->fields->n_areas > areas_max ? -BSI_E_LIMIT : 0;
	field_map_free(take_ptr(d->fields));
	r = is_plain ? field_map_new_plain(source, len, &d->fields) :
		       field_map_new_within(source, len, (size_t)areas_max, &d->fields);
	d->fields_are_plain = is_plain;
	d->fields_are_kept = is_old;
	return r;
}

/* A part whose source is known, in place. */
struct decode_part {
	struct part part;
	const uint8_t *source;
	uint8_t *new;
	size_t behind;
	uint32_t place;
	uint64_t memory; /* for areas and operations */
};

static int decode_content(struct decode *d, const struct decode_part *p,
			  struct delta_file_stats *stats)
{
	AUTO_FREE struct op *ops = NULL;
	struct file_mode mode = {0};
	size_t n_ops = 0;
	uint64_t ops_max;
	int r;

	file_mode_code(d->coder, &mode);
	stats->is_plain &= mode.is_plain;
	r = decode_fields(d, p->source, p->part.source_len, mode.is_plain,
			  p->part.source == PART_SOURCE_OLD, p->memory);
	if (r < 0)
		return r;
	ops_max = (p->memory - d->fields->n_areas * TABLE_AREA_BYTES) / TABLE_OP_BYTES;
	r = body_code_ops(d->body, d->coder, p->part.source_len, p->part.len,
			  ops_max > SIZE_MAX ? SIZE_MAX : (size_t)ops_max, &ops, &n_ops);
	if (r >= 0) {
		struct body_file file = {d->fields, ops, n_ops, p->new, p->part.len,
					 p->behind, p->place, mode.train_shift};
		r = body_code(d->body, d->coder, &file);
	}
	if (r >= 0)
		r = decode_derive(p->new, p->part.len, ops, n_ops);
	return r;
}

/* One part of the file at hand; memory: what the header leaves for it. */
static int decode_part(struct decode *d, uint8_t *file, bool divided, struct part_place *place,
		       uint64_t memory, struct delta_file_stats *stats, struct error *reterr)
{
	struct decode_part p = {.new = file + place->done, .behind = place->reach + place->done,
				.place = (uint32_t)(d->written + place->done)};
	int r = part_code(&d->parts, d->coder, divided, place, &p.part);

	if (r < 0)
		return r;
	if (!checked_sub(memory, table_part_memory(p.part.source_len), &p.memory))
		return error_set(reterr, -BSI_E_FORMAT, "the delta names too little memory");
	r = decode_charge(d, p.part.source_len, reterr);
	if (r < 0)
		return r;
	p.source = (const uint8_t *)"";
	if (p.part.source == PART_SOURCE_MADE)
		p.source = p.new - p.part.at;
	else if (p.part.source == PART_SOURCE_OLD && p.part.source_len)
		p.source = d->old + p.part.at;
	stats->n_parts++;
	return decode_content(d, &p, stats);
}

static int decode_parts(struct decode *d, uint32_t index, uint8_t *new, uint64_t memory,
			struct error *reterr)
{
	const struct delta_file *f = &d->tables.files[index];
	struct part_place place = part_place_of((size_t)f->bytes, d->old_len,
						window_reach(&d->window));
	struct delta_file_stats stats = {.is_plain = true};
	uint64_t spent = coder_spent(d->coder);
	bool divided = part_code_divided(&d->parts, d->coder, false);

	while (place.done < place.file_len) {
		int r = decode_part(d, new, divided, &place, memory, &stats, reterr);

		if (r >= 0)
			r = d->coder->err;
		if (r < 0)
			return reterr && reterr->code == r ?
				       r : error_set(reterr, r, "file %u of the delta is damaged: %s",
						     index, error_text(r));
	}
	stats.bytes = (coder_spent(d->coder) - spent) >> 19;
	decode_report(d, index, &stats);
	return 0;
}

static int decode_file(struct decode *d, uint32_t index, struct error *reterr)
{
	const struct delta_file *f = &d->tables.files[index];
	uint64_t spare;
	uint8_t *new;
	int r;

	if (d->io->begin) {
		r = d->io->begin(d->io->ctx, index, f, reterr);
		if (r < 0)
			return r;
	}
	if (!f->bytes)
		return 0;
	if (!checked_sub(d->spare, table_old_bytes(&d->tables, f), &spare))
		return error_set(reterr, -BSI_E_FORMAT, "the delta names too little memory");
	r = decode_load(d, f, reterr);
	if (r < 0)
		return r;
	new = window_begin(&d->window, (size_t)f->bytes);
	r = decode_parts(d, index, new, spare, reterr);
	if (r < 0)
		return r;
	hasher_update(d->hasher, new, (size_t)f->bytes);
	for (size_t at = 0; at < f->bytes;) {
		size_t n = f->bytes - at < WRITE_PIECE_BYTES ? (size_t)f->bytes - at :
							       WRITE_PIECE_BYTES;

		r = d->io->write(d->io->ctx, d->written, new + at, n);
		if (r < 0)
			return r;
		at += n;
		d->written += n;
	}
	return 0;
}

/* All that outlives a file; what of the stated memory is left for a file's own. */
static int decode_prepare(struct decode *d, struct error *reterr)
{
	const struct delta_header *h = &d->tables.header;
	uint64_t longest = 0;
	int r;

	if (!checked_sub(h->memory_bytes, table_fixed_memory(h), &d->spare) ||
	    !checked_sub(d->spare, table_new_memory(&d->tables), &d->spare))
		return error_set(reterr, -BSI_E_FORMAT, "the delta names too little memory");
	for (uint64_t i = 0; i < h->n_files; i++)
		if (d->tables.files[i].bytes > longest)
			longest = d->tables.files[i].bytes;
	part_models_init(&d->parts);
	r = window_init(&d->window, longest, h->output_bytes);
	if (r >= 0)
		r = hasher_new(&d->hasher);
	if (r >= 0)
		r = body_new(h->model_bits, &d->body);
	return r;
}

int delta_decode(const struct delta_source *source, uint64_t memory_max,
		 const struct delta_io *io, struct error *reterr)
{
	AUTO(decode) struct decode *d = NULL;
	const struct delta_header *h;
	struct digest digest;
	int r;

	r = decode_open(source, memory_max, &d, reterr);
	if (r < 0)
		return r;
	h = &d->tables.header;
	d->io = io;
	r = decode_prepare(d, reterr);
	if (r >= 0 && io->meta)
		r = io->meta(io->ctx, d->tables.meta, d->tables.meta_len, h, reterr);
	if (r < 0)
		return r;
	hasher_update(d->hasher, d->tables.meta, d->tables.meta_len);
	for (uint64_t i = 0; i < h->n_files; i++) {
		r = decode_file(d, (uint32_t)i, reterr);
		if (r < 0)
			return r;
	}
	r = coder_finish(d->coder);
	if (r < 0)
		return error_set(reterr, r, "the delta is cut short or has bytes behind its end");
	r = hasher_final(d->hasher, &digest);
	if (r < 0)
		return r;
	if (DELTA_CHECKS && memcmp(digest.bytes, h->check, sizeof(h->check)) != 0)
		return error_set(reterr, -BSI_E_DIGEST,
				 "the result is not what the delta should make: it is damaged");
	return 0;
}

int delta_tables_decode(const struct delta_source *source, struct delta_tables *ret,
			struct error *reterr)
{
	AUTO(decode) struct decode *d = NULL;
	int r = decode_open(source, UINT64_MAX, &d, reterr);

	if (r < 0)
		return r;
	*ret = d->tables;
	d->tables = (struct delta_tables){0};
	return 0;
}
