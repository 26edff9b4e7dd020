/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "delta/align.h"
#include "delta/decode.h"
#include "delta/derive.h"
#include "delta/file_mode.h"
#include "delta/mix.h"
#include "delta/table.h"

#define OUTPUT_BYTES_MAX SIZE_MAX
#define TRAIN_SHIFT 3U
#define PLAIN_TRY_PART 16U
#define MODEL_BITS_LEAST 18U
/* A device needs at most 16 MB and 2.6 times the longest file. */
#define MEMORY_BOUND_FIXED (UINT64_C(16) << 20)
#define MEMORY_BOUND_TENTHS 26U

/* A file as it will be coded. */
struct plan {
	struct file_mode mode;
	struct op *ops;
	size_t n_ops;
	uint64_t n_sent;
};

struct encode {
	const struct delta_set *set;
	struct plan *plans;
	/* the references of the file at hand */
	uint8_t *joined;
	const uint8_t *old;
	size_t old_len;
};

static int encode_load(struct encode *e, const struct delta_input_file *f)
{
	size_t total = 0, at = 0;

	free(take_ptr(e->joined));
	e->old = (const uint8_t *)"";
	e->old_len = 0;
	if (!f->n_references)
		return 0;
	if (f->n_references == 1) {
		e->old = e->set->references[f->references[0]].data;
		e->old_len = e->set->references[f->references[0]].len;
		return 0;
	}
	for (unsigned i = 0; i < f->n_references; i++)
		total += e->set->references[f->references[i]].len;
	e->joined = malloc(total + 1);
	if (!e->joined)
		return -ENOMEM;
	for (unsigned i = 0; i < f->n_references; i++) {
		const struct delta_input *in = &e->set->references[f->references[i]];

		memcpy(e->joined + at, in->data, in->len);
		at += in->len;
	}
	e->old = e->joined;
	e->old_len = total;
	return 0;
}

/* Which of the derivable ranges come out as they are in this file. */
static int encode_derivable(const struct delta_input_file *f, struct derive_range *ranges,
			    unsigned *ret_n)
{
	AUTO_FREE uint8_t *copy = malloc(f->len + 1);
	unsigned n = derive_ranges(f->data, f->len, ranges), kept = 0;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, f->data, f->len);
	for (unsigned i = 0; i < n; i++)
		memset(copy + ranges[i].at, 0, ranges[i].len);
	for (unsigned i = 0; i < n; i++) {
		if (derive_fill(copy, f->len, &ranges[i]) >= 0 &&
		    memcmp(copy + ranges[i].at, f->data + ranges[i].at, ranges[i].len) == 0)
			ranges[kept++] = ranges[i];
	}
	*ret_n = kept;
	return 0;
}

static uint64_t count_sent(const struct op *ops, size_t n)
{
	uint64_t sent = 0;

	for (size_t i = 0; i < n; i++)
		if (ops[i].rest == OP_REST_BYTES)
			sent += ops[i].rest_len;
	return sent;
}

/* Code one file by its plan. */
static int encode_file(struct encode *e, const struct delta_input_file *f, struct plan *plan,
		       struct body *body, struct coder *c)
{
	AUTO(field_map) struct field_map *fields = NULL;
	AUTO_FREE uint8_t *new = malloc(f->len + 1);
	struct body_file file;
	size_t at = 0;
	int r;

	if (!new)
		return -ENOMEM;
	memcpy(new, f->data, f->len);
	for (size_t i = 0; i < plan->n_ops; i++) {
		at += plan->ops[i].copy_len;
		if (plan->ops[i].rest == OP_REST_DERIVED)
			memset(new + at, 0, plan->ops[i].rest_len);
		at += plan->ops[i].rest_len;
	}
	r = plan->mode.is_plain ? field_map_new_plain(e->old, e->old_len, &fields) :
				  field_map_new(e->old, e->old_len, &fields);
	if (r < 0)
		return r;
	file_mode_code(c, &plan->mode);
	r = body_code_ops(body, c, e->old_len, f->len, SIZE_MAX, &plan->ops, &plan->n_ops);
	if (r < 0)
		return r;
	file = (struct body_file){fields, plan->ops, plan->n_ops, new, f->len,
				  plan->mode.train_shift};
	return body_code(body, c, &file);
}

/* What a plan alone would cost, in bytes. */
static int encode_try(struct encode *e, const struct delta_input_file *f, struct plan *plan,
		      uint64_t *ret_bytes)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(OUTPUT_BYTES_MAX);
	AUTO(body) struct body *body = NULL;
	AUTO_FREE struct coder *c = malloc(sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = body_new(18, &body);
	if (r < 0)
		return r;
	coder_init_encode(c, &out);
	r = encode_file(e, f, plan, body, c);
	if (r >= 0)
		r = coder_finish(c);
	*ret_bytes = out.len;
	return r;
}

static int encode_plan_mode(struct encode *e, const struct delta_input_file *f, bool is_plain,
			    struct plan *plan)
{
	AUTO(field_map) struct field_map *old = NULL, *new = NULL;
	struct derive_range ranges[DERIVE_RANGES_MAX];
	unsigned n_ranges = 0;
	int r;

	plan->mode.is_plain = is_plain;
	plan->mode.train_shift = TRAIN_SHIFT;
	r = is_plain ? field_map_new_plain(e->old, e->old_len, &old) :
		       field_map_new(e->old, e->old_len, &old);
	if (r >= 0)
		r = is_plain ? field_map_new_plain(f->data, f->len, &new) :
			       field_map_new(f->data, f->len, &new);
	if (r >= 0)
		r = encode_derivable(f, ranges, &n_ranges);
	if (r >= 0)
		r = align_plan(old, new, ranges, n_ranges, &plan->ops, &plan->n_ops);
	plan->n_sent = count_sent(plan->ops, plan->n_ops);
	return r;
}

/* Try the ways to code a file and keep the smallest. */
static int encode_plan(struct encode *e, const struct delta_input_file *f, struct plan *best)
{
	uint64_t bytes, least = UINT64_MAX;
	struct elf elf;
	int r = encode_load(e, f);

	if (r < 0)
		return r;
	for (unsigned plain = 0; plain < 2; plain++) {
		struct plan plan = {0};

		/* nothing that knows less comes near a result as small as this */
		if (plain && least < f->len / PLAIN_TRY_PART)
			break;
		if (!plain && !(elf_parse(&elf, e->old, e->old_len) &&
				elf_parse(&elf, f->data, f->len)))
			continue;
		r = encode_plan_mode(e, f, plain, &plan);
		if (r >= 0)
			r = encode_try(e, f, &plan, &bytes);
		if (r >= 0 && bytes < least) {
			free(best->ops);
			*best = plan;
			least = bytes;
		} else {
			free(plan.ops);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int encode_tables(struct encode *e, struct delta_tables *t, struct buffer *text)
{
	const struct delta_set *set = e->set;

	t->references = calloc(set->n_references + 1, sizeof(*t->references));
	t->files = calloc(set->n_files + 1, sizeof(*t->files));
	if (!t->references || !t->files)
		return -ENOMEM;
	t->header.version = DELTA_VERSION;
	t->header.n_references = set->n_references;
	t->header.n_files = set->n_files;
	for (size_t i = 0; i < set->n_references; i++) {
		struct digest digest;
		int r = digest_of(set->references[i].data, set->references[i].len, &digest);

		if (r < 0)
			return r;
		t->references[i].bytes = set->references[i].len;
		memcpy(t->references[i].check, digest.bytes, DELTA_REFERENCE_CHECK_BYTES);
		buffer_put(text, set->references[i].path, strlen(set->references[i].path) + 1);
	}
	buffer_put(text, set->meta, set->meta_len);
	for (size_t i = 0; i < set->n_files; i++) {
		const struct delta_input_file *f = &set->files[i];

		t->files[i].bytes = f->len;
		t->files[i].n_references = f->n_references;
		memcpy(t->files[i].references, f->references, sizeof(f->references));
		t->header.output_bytes += f->len;
	}
	t->header.meta_bytes = text->len;
	return text->err;
}

static int encode_check(const struct encode *e, struct delta_header *h)
{
	AUTO(hasher) struct hasher *hasher = NULL;
	struct digest digest;
	int r = hasher_new(&hasher);

	if (r < 0)
		return r;
	hasher_update(hasher, e->set->meta, e->set->meta_len);
	for (size_t i = 0; i < e->set->n_files; i++)
		hasher_update(hasher, e->set->files[i].data, e->set->files[i].len);
	r = hasher_final(hasher, &digest);
	if (r >= 0)
		memcpy(h->check, digest.bytes, sizeof(h->check));
	return r;
}

/* What the largest file needs, and the length of the longest file of any pair. */
static uint64_t encode_file_memory(const struct encode *e, uint64_t *ret_longest)
{
	uint64_t most = 0, longest = 0;

	for (size_t i = 0; i < e->set->n_files; i++) {
		const struct delta_input_file *f = &e->set->files[i];
		uint64_t old = 0, memory;

		for (unsigned j = 0; j < f->n_references; j++)
			old += e->set->references[f->references[j]].len;
		memory = table_file_memory(old, f->len) + e->plans[i].n_ops * TABLE_OP_BYTES;
		if (memory > most)
			most = memory;
		if (old > longest)
			longest = old;
		if (f->len > longest)
			longest = f->len;
	}
	*ret_longest = longest;
	return most;
}

/* Sizes that the header states: a larger model for more bytes that are sent, within the bound. */
static void encode_sizes(const struct encode *e, struct delta_tables *t)
{
	uint64_t longest, most = encode_file_memory(e, &longest), sent = 0, bound;
	unsigned bits = MODEL_BITS_LEAST;

	for (size_t i = 0; i < e->set->n_files; i++)
		sent += e->plans[i].n_sent;
	while (bits < MIX_TABLE_BITS_MAX && sent * 256 >> bits)
		bits++;
	bound = MEMORY_BOUND_FIXED + longest * MEMORY_BOUND_TENTHS / 10;
	for (;; bits--) {
		t->header.model_bits = (uint8_t)bits;
		t->header.memory_bytes =
			(table_fixed_memory(&t->header) + most + 0xffff) & ~UINT64_C(0xffff);
		if (t->header.memory_bytes <= bound || bits == MODEL_BITS_LEAST)
			break;
	}
}

static int encode_stream(struct encode *e, struct delta_tables *t, struct buffer *text,
			 const struct delta_encode_options *options, struct buffer *out,
			 struct error *reterr)
{
	AUTO_FREE struct coder *c = malloc(sizeof(*c));
	AUTO(literal) struct literal *text_model = NULL;
	AUTO(body) struct body *body = NULL;
	struct body_stats before = {0};
	int r;

	if (!c)
		return -ENOMEM;
	delta_header_encode(&t->header, out);
	coder_init_encode(c, out);
	r = literal_new(TABLE_TEXT_MODEL_BITS, &text_model);
	if (r >= 0)
		r = table_code(c, text_model, t, text, reterr);
	if (r >= 0)
		r = body_new(t->header.model_bits, &body);
	for (size_t i = 0; r >= 0 && i < e->set->n_files; i++) {
		const struct delta_input_file *f = &e->set->files[i];
		uint64_t spent = coder_spent(c);

		if (!f->len)
			continue;
		r = encode_load(e, f);
		if (r >= 0)
			r = encode_file(e, f, &e->plans[i], body, c);
		if (options && options->stats) {
			struct delta_file_stats *s = &options->stats[i];

			s->bytes = (coder_spent(c) - spent) >> 19;
			s->is_plain = e->plans[i].mode.is_plain;
			body_stats_between(&before, body_stats(body), &s->body);
			before = *body_stats(body);
		}
		if (options && options->progress)
			options->progress(options->ctx, i + 1, e->set->n_files);
	}
	if (r >= 0)
		r = coder_finish(c);
	return r;
}

/* The decoder over what was made, against the input. */
struct proof {
	const struct delta_set *set;
	const uint8_t *delta;
	size_t delta_len, at;
	uint32_t file;
};

static int64_t proof_read(void *ctx, void *into, size_t len)
{
	struct proof *p = ctx;

	if (len > p->delta_len - p->at)
		len = p->delta_len - p->at;
	memcpy(into, p->delta + p->at, len);
	p->at += len;
	return (int64_t)len;
}

static int proof_load(void *ctx, uint32_t index, const struct delta_reference *reference,
		      uint8_t *into, struct error *reterr)
{
	const struct proof *p = ctx;

	(void)reterr;
	memcpy(into, p->set->references[index].data, (size_t)reference->bytes);
	return 0;
}

static int proof_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	(void)ctx;
	(void)offset;
	(void)data;
	(void)len;
	return 0; /* the decoder compares the digest */
}

static int encode_prove(const struct delta_set *set, const uint8_t *delta, size_t len,
			struct error *reterr)
{
	struct proof p = {.set = set, .delta = delta, .delta_len = len};
	struct delta_source source = {&p, proof_read};
	struct delta_io io = {.ctx = &p, .load = proof_load, .write = proof_write};
	int r = delta_decode(&source, UINT64_MAX, &io, reterr);

	if (r < 0 && r != -ENOMEM)
		return error_set(reterr, -BSI_E_STATE, "the delta does not decode to its input (%s)",
				 error_text(r));
	return r;
}

static int encode_limits(const struct delta_set *set, struct error *reterr)
{
	if (set->n_references > DELTA_REFERENCES_MAX || set->n_files > DELTA_FILES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "a delta holds at most %u files",
				 DELTA_FILES_MAX);
	for (size_t i = 0; i < set->n_references; i++)
		if (set->references[i].len > DELTA_FILE_BYTES_MAX)
			return error_set(reterr, -BSI_E_LIMIT, "\"%s\" is too large for a delta",
					 set->references[i].path);
	for (size_t i = 0; i < set->n_files; i++)
		if (set->files[i].len > DELTA_FILE_BYTES_MAX)
			return error_set(reterr, -BSI_E_LIMIT, "a file is too large for a delta");
	return 0;
}

int delta_encode(const struct delta_set *set, const struct delta_encode_options *options,
		 struct buffer *out, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(DELTA_META_BYTES_MAX);
	AUTO_FREE struct plan *plans = calloc(set->n_files + 1, sizeof(*plans));
	struct encode e = {.set = set, .plans = plans};
	struct delta_tables tables = {0};
	size_t start = out->len;
	int r = encode_limits(set, reterr);

	if (r < 0)
		return r;
	if (!plans)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < set->n_files; i++)
		if (set->files[i].len)
			r = encode_plan(&e, &set->files[i], &plans[i]);
	if (r >= 0)
		r = encode_tables(&e, &tables, &text);
	if (r >= 0)
		r = encode_check(&e, &tables.header);
	if (r >= 0) {
		encode_sizes(&e, &tables);
		r = encode_stream(&e, &tables, &text, options, out, reterr);
	}
	if (r >= 0)
		r = encode_prove(set, out->data + start, out->len - start, reterr);
	for (size_t i = 0; i < set->n_files; i++)
		free(plans[i].ops);
	free(e.joined);
	delta_tables_done(&tables);
	return r;
}
