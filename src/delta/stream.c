/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "delta/body.h"
#include "delta/mix.h"
#include "delta/table.h"
#include "delta/window.h"

#define MODEL_BITS_LEAST 18U
/* A device needs at most 16 MB and 2.6 times the longest file. */
#define MEMORY_BOUND_FIXED (UINT64_C(16) << 20)
#define MEMORY_BOUND_TENTHS 26U
#define UNUSED UINT32_MAX

struct stream {
	const struct delta_set *set;
	const struct plan *plans;
	const struct delta_encode_options *options; /* or NULL */
	struct delta_tables tables;
	struct window window;
	struct part_models parts;
	struct body *body;
	struct body_stats before;
	struct coder *c;
	uint64_t made;
};

/*
 * The place of each old file in the delta's table, UNUSED for one that is in no plan; the caller
 * frees it.
 */
static int stream_references(const struct delta_set *set, const struct plan *plans, uint32_t **ret,
			     uint32_t *ret_n)
{
	uint32_t *places = malloc((set->n_references + 1) * sizeof(*places)), n = 0;

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_references; i++)
		places[i] = UNUSED;
	for (size_t i = 0; i < set->n_files; i++)
		for (unsigned j = 0; j < plans[i].n_references; j++)
			places[plans[i].references[j]] = 0;
	for (size_t i = 0; i < set->n_references; i++)
		if (places[i] != UNUSED)
			places[i] = n++;
	*ret = places;
	*ret_n = n;
	return 0;
}

static int stream_tables(struct stream *s, struct buffer *text)
{
	const struct delta_set *set = s->set;
	struct delta_tables *t = &s->tables;
	AUTO_FREE uint32_t *places = NULL;
	uint32_t n_used;
	int r = stream_references(set, s->plans, &places, &n_used);

	if (r < 0)
		return r;
	t->references = calloc(n_used + (size_t)1, sizeof(*t->references));
	t->files = calloc(set->n_files + 1, sizeof(*t->files));
	if (!t->references || !t->files)
		return -ENOMEM;
	t->header.version = DELTA_VERSION;
	t->header.n_references = n_used;
	t->header.n_files = set->n_files;
	for (size_t i = 0; i < set->n_references; i++) {
		const struct delta_input *in = &set->references[i];
		struct digest digest;

		if (places[i] == UNUSED)
			continue;
		r = digest_of(in->data, in->len, &digest);
		if (r < 0)
			return r;
		t->references[places[i]].bytes = in->len;
		memcpy(t->references[places[i]].check, digest.bytes, DELTA_REFERENCE_CHECK_BYTES);
		buffer_put(text, in->path, strlen(in->path) + 1);
	}
	buffer_put(text, set->meta, set->meta_len);
	for (size_t i = 0; i < set->n_files; i++) {
		t->files[i].bytes = set->files[i].len;
		t->files[i].n_references = s->plans[i].n_references;
		for (unsigned j = 0; j < s->plans[i].n_references; j++)
			t->files[i].references[j] = places[s->plans[i].references[j]];
		t->header.output_bytes += set->files[i].len;
	}
	t->header.meta_bytes = text->len;
	return text->err;
}

static int stream_check(struct stream *s)
{
	AUTO(hasher) struct hasher *hasher = NULL;
	struct digest digest;
	int r = hasher_new(&hasher);

	if (r < 0)
		return r;
	hasher_update(hasher, s->set->meta, s->set->meta_len);
	for (size_t i = 0; i < s->set->n_files; i++)
		hasher_update(hasher, s->set->files[i].data, s->set->files[i].len);
	r = hasher_final(hasher, &digest);
	if (r >= 0)
		memcpy(s->tables.header.check, digest.bytes, sizeof(s->tables.header.check));
	return r;
}

/* What the largest file needs beside the new files, and the longest file of any pair. */
static uint64_t stream_file_memory(const struct stream *s, uint64_t *ret_longest)
{
	uint64_t most = 0, longest = 0;

	for (size_t i = 0; i < s->set->n_files; i++) {
		const struct plan *p = &s->plans[i];
		uint64_t old = table_old_bytes(&s->tables, &s->tables.files[i]), part_most = 0;

		for (size_t j = 0; j < p->n_parts; j++) {
			uint64_t memory = table_part_memory(p->parts[j].part.source_len) +
					  p->parts[j].n_areas * TABLE_AREA_BYTES +
					  p->parts[j].n_ops * TABLE_OP_BYTES;

			if (memory > part_most)
				part_most = memory;
		}
		if (old + part_most > most)
			most = old + part_most;
		if (old > longest)
			longest = old;
		if (s->set->files[i].len > longest)
			longest = s->set->files[i].len;
	}
	*ret_longest = longest;
	return most;
}

/* Sizes that the header states: a larger model for more bytes that are sent, within the bound. */
static void stream_sizes(struct stream *s)
{
	struct delta_header *h = &s->tables.header;
	uint64_t longest, most = stream_file_memory(s, &longest), sent = 0, bound;
	unsigned bits = MODEL_BITS_LEAST;

	for (size_t i = 0; i < s->set->n_files; i++)
		sent += s->plans[i].n_sent;
	while (bits < MIX_TABLE_BITS_MAX && sent * 256 >> bits)
		bits++;
	bound = MEMORY_BOUND_FIXED + longest * MEMORY_BOUND_TENTHS / 10;
	most += table_new_memory(&s->tables);
	for (;; bits--) {
		h->model_bits = (uint8_t)bits;
		h->memory_bytes = (table_fixed_memory(h) + most + 0xffff) & ~UINT64_C(0xffff);
		if (h->memory_bytes <= bound || bits == MODEL_BITS_LEAST)
			break;
	}
}

/* One part; new: its place in the window, which holds it. */
static int stream_part(struct stream *s, const struct plan_old *old, struct plan_part *p, uint8_t *new,
		       size_t behind, size_t done)
{
	AUTO(field_map) struct field_map *fields = NULL;
	AUTO_FREE uint8_t *kept = NULL;
	const uint8_t *source = (const uint8_t *)"";
	struct body_file file;
	size_t at = 0;
	int r;

	if (p->part.source == PART_SOURCE_MADE)
		source = new - p->part.at;
	else if (p->part.source == PART_SOURCE_OLD && p->part.source_len)
		source = old->data + p->part.at;
	r = p->mode.is_plain ? field_map_new_plain(source, p->part.source_len, &fields) :
			       field_map_new(source, p->part.source_len, &fields);
	if (r < 0)
		return r;
	/* while it is coded what is derived holds zeros, as on the device */
	kept = malloc(p->part.len);
	if (!kept)
		return -ENOMEM;
	memcpy(kept, new, p->part.len);
	for (size_t i = 0; i < p->n_ops; i++) {
		at += p->ops[i].copy_len;
		if (p->ops[i].rest == OP_REST_DERIVED)
			memset(new + at, 0, p->ops[i].rest_len);
		at += p->ops[i].rest_len;
	}
	file_mode_code(s->c, &p->mode);
	r = body_code_ops(s->body, s->c, p->part.source_len, p->part.len, SIZE_MAX, &p->ops,
			  &p->n_ops);
	if (r < 0)
		return r;
	file = (struct body_file){fields, p->ops, p->n_ops, new, p->part.len, behind,
				  (uint32_t)(s->made + done), p->mode.train_shift};
	r = body_code(s->body, s->c, &file);
	memcpy(new, kept, p->part.len);
	return r;
}

static int stream_file(struct stream *s, size_t index, struct delta_file_stats *stats)
{
	const struct delta_input_file *f = &s->set->files[index];
	const struct plan *plan = &s->plans[index];
	uint8_t *new = window_begin(&s->window, f->len);
	struct part_place place;
	struct plan_old old;
	int r = plan_old_load(s->set, plan, &old);

	if (r < 0)
		return r;
	memcpy(new, f->data, f->len);
	place = part_place_of(f->len, old.len, window_reach(&s->window));
	(void)part_code_divided(&s->parts, s->c, plan->divided);
	stats->is_plain = true;
	stats->n_parts = (unsigned)plan->n_parts;
	for (size_t i = 0; i < plan->n_parts && r >= 0; i++) {
		struct plan_part *p = &plan->parts[i];
		size_t done = place.done;

		stats->is_plain &= p->mode.is_plain;
		r = part_code(&s->parts, s->c, plan->divided, &place, &p->part);
		if (r >= 0)
			r = stream_part(s, &old, p, new + done, place.reach + done, done);
	}
	s->made += f->len;
	plan_old_done(&old);
	return r;
}

static int stream_code(struct stream *s, struct buffer *text, struct error *reterr)
{
	AUTO(literal) struct literal *text_model = NULL;
	int r = literal_new(TABLE_TEXT_MODEL_BITS, &text_model);

	if (r >= 0)
		r = table_code(s->c, text_model, &s->tables, text, reterr);
	for (size_t i = 0; r >= 0 && i < s->set->n_files; i++) {
		struct delta_file_stats stats = {0};
		uint64_t spent = coder_spent(s->c);

		if (!s->set->files[i].len)
			continue;
		r = stream_file(s, i, &stats);
		if (r >= 0 && s->options && s->options->stats) {
			stats.bytes = (coder_spent(s->c) - spent) >> 19;
			body_stats_between(&s->before, body_stats(s->body), &stats.body);
			s->before = *body_stats(s->body);
			s->options->stats[i] = stats;
		}
		if (s->options && s->options->progress)
			s->options->progress(s->options->ctx, ENCODE_STEP_CODED,
					     s->set->files[i].len);
	}
	return r < 0 ? r : coder_finish(s->c);
}

int stream_write(const struct delta_set *set, const struct plan *plans,
		 const struct delta_encode_options *options, struct buffer *out,
		 struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(DELTA_META_BYTES_MAX);
	AUTO_FREE struct coder *c = malloc(sizeof(*c));
	struct stream s = {.set = set, .plans = plans, .options = options, .c = c};
	uint64_t longest = 0;
	int r;

	if (!c)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_files; i++)
		if (set->files[i].len > longest)
			longest = set->files[i].len;
	part_models_init(&s.parts);
	r = stream_tables(&s, &text);
	if (r >= 0)
		r = stream_check(&s);
	if (r >= 0) {
		stream_sizes(&s);
		r = body_new(s.tables.header.model_bits, &s.body);
	}
	if (r >= 0)
		r = window_init(&s.window, longest, s.tables.header.output_bytes);
	if (r >= 0) {
		delta_header_encode(&s.tables.header, out);
		coder_init_encode(c, out);
		r = stream_code(&s, &text, reterr);
		/* a number that found no room comes back as 0, which is no operation's */
		if (r < 0 && c->err)
			r = c->err;
	}
	body_free(s.body);
	window_done(&s.window);
	delta_tables_done(&s.tables);
	return r;
}

/* The decoder over what was made. */
struct proof {
	const struct delta_set *set;
	const uint32_t *inputs; /* of each reference of the delta: its place in the set */
	const uint8_t *delta;
	size_t delta_len, at;
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
	if (reference->bytes)
		memcpy(into, p->set->references[p->inputs[index]].data, (size_t)reference->bytes);
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

int stream_prove(const struct delta_set *set, const struct plan *plans, const uint8_t *delta,
		 size_t len, struct error *reterr)
{
	AUTO_FREE uint32_t *places = NULL, *inputs = calloc(set->n_references + 1, sizeof(*inputs));
	struct proof p = {.set = set, .inputs = inputs, .delta = delta, .delta_len = len};
	struct delta_source source = {&p, proof_read};
	struct delta_io io = {.ctx = &p, .load = proof_load, .write = proof_write};
	uint32_t n_used;
	int r;

	if (!inputs)
		return -ENOMEM;
	r = stream_references(set, plans, &places, &n_used);
	if (r < 0)
		return r;
	for (size_t i = 0; i < set->n_references; i++)
		if (places[i] != UNUSED)
			inputs[places[i]] = (uint32_t)i;
	r = delta_decode(&source, UINT64_MAX, &io, reterr);
	if (r < 0 && r != -ENOMEM)
		return error_set(reterr, -BSI_E_STATE, "the delta does not decode to its input (%s)",
				 error_text(r));
	return r;
}
