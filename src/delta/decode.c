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
#include "delta/table.h"

/* What is looked through for all files may be this many times what the delta names and makes. */
#define LOAD_FACTOR_MAX 8U
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
	struct field_map *fields, *plain;
	struct body_stats before;
	uint64_t loaded, written;
};

static void decode_forget(struct decode *d)
{
	field_map_free(take_ptr(d->fields));
	field_map_free(take_ptr(d->plain));
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
				 "the base file \"%s\" is not the one this delta was made from",
				 ref->path);
	return 0;
}

/* Have the references of a file at hand, as one run of bytes. */
static int decode_load(struct decode *d, const struct delta_file *f, struct error *reterr)
{
	const struct delta_header *h = &d->tables.header;
	uint64_t total = 0, at = 0, limit = h->output_bytes;

	for (unsigned i = 0; i < f->n_references; i++)
		total += d->tables.references[f->references[i]].bytes;
	for (uint64_t i = 0; i < h->n_references; i++)
		limit += d->tables.references[i].bytes;
	d->loaded += total;
	if (d->loaded / LOAD_FACTOR_MAX > limit)
		return error_set(reterr, -BSI_E_LIMIT, "the delta uses base files too often");
	if (d->old && d->old_of.n_references == f->n_references &&
	    memcmp(d->old_of.references, f->references,
		   f->n_references * sizeof(f->references[0])) == 0)
		return 0;
	decode_forget(d);
	d->old = malloc((size_t)total + 1);
	if (!d->old)
		return -ENOMEM;
	d->old_len = (size_t)total;
	d->old_of = *f;
	for (unsigned i = 0; i < f->n_references; i++) {
		const struct delta_reference *ref = &d->tables.references[f->references[i]];
		int r = d->io->load(d->io->ctx, f->references[i], ref, d->old + at, reterr);

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

static void decode_report(struct decode *d, uint32_t index, uint64_t spent, bool is_plain)
{
	struct delta_file_stats stats = {
		.bytes = (coder_spent(d->coder) - spent) >> 19, .is_plain = is_plain};

	if (!d->io->end)
		return;
	body_stats_between(&d->before, body_stats(d->body), &stats.body);
	d->before = *body_stats(d->body);
	d->io->end(d->io->ctx, index, &stats);
}

/* The operations and the content of one file, into new. */
static int decode_content(struct decode *d, const struct delta_file *f, uint8_t *new,
			  uint64_t ops_max, uint32_t index)
{
	AUTO_FREE struct op *ops = NULL;
	struct field_map **fields;
	struct file_mode mode = {0};
	uint64_t spent = coder_spent(d->coder);
	size_t n_ops = 0;
	int r;

	file_mode_code(d->coder, &mode);
	fields = mode.is_plain ? &d->plain : &d->fields;
	if (!*fields) {
		/* one map at a time: that is what the header counts */
		field_map_free(take_ptr(d->fields));
		field_map_free(take_ptr(d->plain));
		r = mode.is_plain ? field_map_new_plain(d->old, d->old_len, fields) :
				    field_map_new(d->old, d->old_len, fields);
		if (r < 0)
			return r;
	}
	r = body_code_ops(d->body, d->coder, d->old_len, (size_t)f->bytes,
			  ops_max > SIZE_MAX ? SIZE_MAX : (size_t)ops_max, &ops, &n_ops);
	if (r >= 0) {
		struct body_file file = {*fields, ops, n_ops, new, (size_t)f->bytes,
					 mode.train_shift};
		r = body_code(d->body, d->coder, &file);
	}
	if (r >= 0)
		decode_report(d, index, spent, mode.is_plain);
	if (r >= 0)
		r = decode_derive(new, (size_t)f->bytes, ops, n_ops);
	return r;
}

static int decode_file(struct decode *d, uint32_t index, struct error *reterr)
{
	const struct delta_header *h = &d->tables.header;
	const struct delta_file *f = &d->tables.files[index];
	AUTO_FREE uint8_t *new = NULL;
	uint64_t memory, spare;
	int r;

	if (d->io->begin) {
		r = d->io->begin(d->io->ctx, index, f, reterr);
		if (r < 0)
			return r;
	}
	if (!f->bytes)
		return 0;
	memory = table_fixed_memory(h);
	for (unsigned i = 0; i < f->n_references; i++)
		memory += d->tables.references[f->references[i]].bytes;
	memory = table_fixed_memory(h) + table_file_memory(memory - table_fixed_memory(h), f->bytes);
	if (!checked_sub(h->memory_bytes, memory, &spare))
		return error_set(reterr, -BSI_E_FORMAT, "the delta names too little memory");
	r = decode_load(d, f, reterr);
	if (r < 0)
		return r;
	new = malloc((size_t)f->bytes);
	if (!new)
		return -ENOMEM;
	r = decode_content(d, f, new, spare / TABLE_OP_BYTES, index);
	if (r < 0)
		return error_set(reterr, r, "file %u of the delta is damaged: %s", index,
				 error_text(r));
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
	r = hasher_new(&d->hasher);
	if (r >= 0)
		r = body_new(h->model_bits, &d->body);
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
