/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "delta/mix.h"
#include "delta/predict.h"
#include "delta/target.h"

/* After a difference this many bytes are looked at one by one; then runs are counted again. */
#define NEAR_BYTES 24U
#define FLAG_INPUTS 7U
#define FLAG_TABLE_BITS 16U
#define MISS_MODELS 5U
#define TRAIN_BYTES_MAX (1U << 16)
#define TRAIN_WINDOW_MIN 64U
#define TRAIN_WINDOW_MAX 16384U

struct body {
	struct literal *literal;
	struct target *target;
	struct mix *flags;
	/* operations */
	struct bit_model rest_kind[2], seek_kind[3][2];
	struct number_model copy_len[2], rest_len, derived_len, seek, seek_back;
	/* differences */
	struct bit_model clean[32];
	struct number_model run[2];
	/* fields */
	struct bit_model choice[FIELD_KIND_MAX][MISS_MODELS];
	struct number_model distance[FIELD_KIND_MAX];
	struct bit_model distance_sign[FIELD_KIND_MAX];
	struct bit_model bases_off; /* of sections of an object */
	struct number_model base;
	int64_t recent[PREDICT_RECENT];
	struct body_stats stats;
};

/* The state while one file is coded. */
struct body_walk {
	struct body *b;
	struct coder *c;
	const struct body_file *f;
	struct move_map *moves;
	struct predict predict;
	size_t new_at, old_at, left; /* the rest of the current copy */
	unsigned near;               /* bytes still looked at one by one */
	unsigned history;            /* of the last units: 1 for each that differed */
	unsigned since;              /* bytes since the last difference */
	enum literal_class class;
	const struct elf_section *section; /* for statistics */
	size_t headers_end;
	struct elf new_elf;
	bool has_new_elf;
	uint64_t bases[ELF_SECTIONS_MAX]; /* of an object: where the new file's sections start */
};

void body_free(struct body *b)
{
	if (!b)
		return;
	literal_free(b->literal);
	target_free(b->target);
	mix_free(b->flags);
	free(b);
}

int body_new(unsigned model_bits, struct body **ret)
{
	AUTO(body) struct body *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	r = literal_new(model_bits, &b->literal);
	if (r >= 0)
		r = target_new(&b->target);
	if (r >= 0)
		r = mix_new(FLAG_TABLE_BITS, FLAG_INPUTS, &b->flags);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < 2; i++) {
		bit_model_init(&b->rest_kind[i], 1024, BIT_LIMIT_QUICK);
		number_model_init(&b->copy_len[i]);
		number_model_init(&b->run[i]);
		for (unsigned j = 0; j < 3; j++)
			bit_model_init(&b->seek_kind[j][i], 32768, BIT_LIMIT_QUICK);
	}
	bit_model_init(&b->bases_off, 8192, BIT_LIMIT_QUICK);
	number_model_init(&b->base);
	number_model_init(&b->rest_len);
	number_model_init(&b->derived_len);
	number_model_init(&b->seek);
	number_model_init(&b->seek_back);
	for (unsigned i = 0; i < 32; i++)
		bit_model_init(&b->clean[i], 32768, BIT_LIMIT_SLOW);
	for (unsigned i = 0; i < FIELD_KIND_MAX; i++) {
		for (unsigned j = 0; j < MISS_MODELS; j++)
			bit_model_init(&b->choice[i][j], 32768, BIT_LIMIT_QUICK);
		number_model_init(&b->distance[i]);
		bit_model_init(&b->distance_sign[i], 32768, BIT_LIMIT_QUICK);
	}
	*ret = take_ptr(b);
	return 0;
}

const struct body_stats *body_stats(const struct body *b)
{
	return &b->stats;
}

void body_stats_between(const struct body_stats *before, const struct body_stats *after,
			struct body_stats *ret)
{
	*ret = *after;
	for (unsigned i = 0; i < BODY_COST_MAX; i++)
		ret->cost[i] -= before->cost[i];
	for (unsigned i = 0; i <= ELF_SECTION_KIND_MAX; i++) {
		ret->section_cost[i] -= before->section_cost[i];
		ret->section_fields[i] -= before->section_fields[i];
		ret->section_missed[i] -= before->section_missed[i];
	}
	for (unsigned i = 0; i < FIELD_KIND_MAX; i++) {
		ret->fields[i] -= before->fields[i];
		ret->missed[i] -= before->missed[i];
	}
	ret->n_ops -= before->n_ops;
	ret->n_replaced -= before->n_replaced;
	ret->n_sent -= before->n_sent;
}

/* What a cause has cost: bits of the coder between two moments. */
static uint64_t body_mark(const struct body_walk *w)
{
	return coder_spent(w->c);
}

/* The section that the walk is in, or was last: sent bytes count where they were put in. */
static enum elf_section_kind body_section(struct body_walk *w)
{
	const struct elf *e = &w->f->old->elf;
	const struct elf_section *s = w->section;
	uint64_t at = w->old_at;

	if (s && at >= s->offset && at - s->offset < s->bytes)
		return s->kind;
	for (unsigned i = 0; i < e->n_sections; i++) {
		s = &e->sections[i];
		if (s->kind != ELF_SECTION_NOBITS && at >= s->offset && at - s->offset < s->bytes) {
			w->section = s;
			return s->kind;
		}
	}
	return ELF_SECTION_KIND_MAX;
}

static void body_count(struct body_walk *w, enum body_cost cost, uint64_t mark)
{
	uint64_t bits = coder_spent(w->c) - mark;

	w->b->stats.cost[cost] += bits;
	w->b->stats.section_cost[body_section(w)] += bits;
}

/*
 * Where the next copy starts in the old file: at the end of the last one (0), as far behind it as
 * the bytes between were long (1), or elsewhere (2).
 */
static int64_t body_code_seek(struct body *b, struct coder *c, int64_t seek, uint32_t rest,
			      unsigned context)
{
	unsigned same = coder_bit(c, &b->seek_kind[0][context], seek == 0);

	if (same)
		return 0;
	if (rest && coder_bit(c, &b->seek_kind[1][context], seek == (int64_t)rest))
		return rest;
	if (coder_bit(c, &b->seek_kind[2][context], seek < 0))
		return -(int64_t)(coder_number(c, &b->seek_back, (uint64_t)-seek - 1) + 1);
	return (int64_t)coder_number(c, &b->seek, (uint64_t)seek - 1) + 1;
}

/* One operation; old_end is where the last copy ended. Decoding: op is filled and checked. */
static int body_code_op(struct body *b, struct coder *c, uint64_t old_end, uint32_t rest_before,
			uint64_t old_len, uint64_t left, struct op *op)
{
	uint64_t copy, rest;

	copy = coder_number(c, &b->copy_len[rest_before != 0], op->copy_len);
	if (copy > left)
		return -BSI_E_FORMAT;
	op->copy_len = (uint32_t)copy;
	if (copy) {
		int64_t seek = body_code_seek(b, c, (int64_t)op->old - (int64_t)old_end,
					      rest_before, rest_before != 0);

		if (seek < -(int64_t)old_end || seek > (int64_t)(old_len - old_end) ||
		    copy > old_len - (old_end + (uint64_t)seek))
			return -BSI_E_FORMAT;
		op->old = (uint32_t)(old_end + (uint64_t)seek);
	} else {
		op->old = (uint32_t)old_end;
	}
	left -= copy;
	if (!left) {
		op->rest_len = 0;
		op->rest = OP_REST_BYTES;
		return 0;
	}
	op->rest = coder_bit(c, &b->rest_kind[0], op->rest) & 1;
	rest = coder_number(c, op->rest ? &b->derived_len : &b->rest_len, op->rest_len);
	if (rest > left || (rest == 0 && copy == 0))
		return -BSI_E_FORMAT;
	op->rest_len = (uint32_t)rest & DELTA_FILE_BYTES_MAX;
	return 0;
}

int body_code_ops(struct body *b, struct coder *c, size_t old_len, size_t new_len, size_t ops_max,
		  struct op **ops, size_t *n_ops)
{
	AUTO_FREE struct op *made = NULL;
	uint64_t done = 0, old_end = 0, mark = coder_spent(c);
	size_t n = 0, allocated = 0;
	uint32_t rest_before = 0;

	while (done < new_len) {
		struct op op = {0};
		int r;

		if (n >= ops_max)
			return -BSI_E_LIMIT;
		if (c->encoding) {
			op = (*ops)[n];
		} else if (n == allocated) {
			struct op *more;

			allocated += allocated / 8 + 64;
			more = realloc(made, allocated * sizeof(*made));
			if (!more)
				return -ENOMEM;
			made = more;
		}
		r = body_code_op(b, c, old_end, rest_before, old_len, new_len - done, &op);
		if (r >= 0)
			r = c->err;
		if (r < 0)
			return r;
		if (!c->encoding)
			made[n] = op;
		n++;
		old_end = (uint64_t)op.old + op.copy_len;
		rest_before = op.rest_len;
		done += (uint64_t)op.copy_len + op.rest_len;
	}
	b->stats.n_ops += n;
	b->stats.cost[BODY_COST_OPS] += coder_spent(c) - mark;
	if (!c->encoding) {
		struct op *fitting = realloc(made, (n + 1) * sizeof(*made));

		if (!fitting)
			return -ENOMEM;
		made = NULL;
		*ops = fitting;
		*n_ops = n;
	}
	return 0;
}

/* The next unit of the current copy: a whole field, or one byte (FIELD_NONE). */
static enum field_kind body_unit(const struct body_walk *w)
{
	enum field_kind kind;

	if (w->f->old->elf.machine == ELF_MACHINE_NONE)
		return FIELD_NONE;
	kind = field_at(w->f->old, w->old_at);
	if (kind != FIELD_NONE && field_width(w->f->old, kind) > w->left)
		return FIELD_NONE;
	return kind;
}

static uint64_t body_load(const uint8_t *p, unsigned width)
{
	return width == 8 ? elf_u64(p) : width == 4 ? elf_u32(p) : width == 2 ? elf_u16(p) : *p;
}

static void body_store(uint8_t *p, unsigned width, uint64_t v)
{
	if (width == 8)
		elf_put_u64(p, v);
	else if (width == 4)
		elf_put_u32(p, (uint32_t)v);
	else if (width == 2)
		elf_put_u16(p, (uint16_t)v);
	else
		*p = (uint8_t)v;
}

static void body_advance(struct body_walk *w, unsigned n, bool differed)
{
	w->new_at += n;
	w->old_at += n;
	w->left -= n;
	w->history = (w->history << 1 | differed) & 0xff;
	if (differed) {
		w->since = 0;
		w->near = NEAR_BYTES;
	} else {
		w->since += n;
		w->near -= n < w->near ? n : w->near;
	}
	/* addresses can be told once the program headers are there */
	if (!w->has_new_elf && w->headers_end && w->new_at >= w->headers_end) {
		w->has_new_elf = true;
		if (elf_parse_segments(&w->new_elf, w->f->new, w->new_at, w->f->new_len)) {
			move_map_set_new(w->moves, &w->new_elf);
			w->predict.new_elf = &w->new_elf;
		}
	}
}

/* A field that is not as predicted: one of the other candidates, or a distance from the first. */
static void body_code_miss(struct body_walk *w, enum field_kind kind, struct predicted *p)
{
	struct body *b = w->b;
	unsigned width = field_width(w->f->old, kind);
	uint8_t *at = w->f->new + w->new_at;
	uint64_t value = w->c->encoding ? body_load(at, width) : 0;
	uint64_t mark = body_mark(w);
	int64_t distance;
	unsigned negative;

	b->stats.missed[kind]++;
	b->stats.section_missed[body_section(w)]++;
	predict_more(&w->predict, kind, w->old_at, w->new_at, p);
	for (unsigned i = 1; i < p->n; i++)
		if (coder_bit(w->c, &b->choice[kind][i], value == p->value[i])) {
			value = p->value[i];
			goto found;
		}
	distance = (int64_t)(value - p->value[0]);
	if (width == 4)
		distance = (int32_t)(uint32_t)distance;
	else if (width == 2)
		distance = (int16_t)(uint16_t)distance;
	else if (width == 1)
		distance = (int8_t)(uint8_t)distance;
	negative = coder_bit(w->c, &b->distance_sign[kind], distance < 0);
	distance = (int64_t)coder_number(w->c, &b->distance[kind],
					 negative ? -(uint64_t)distance : (uint64_t)distance);
	value = p->value[0] + (negative ? -(uint64_t)distance : (uint64_t)distance);
found:
	if (!w->c->encoding)
		body_store(at, width, value);
	predict_learn_recent(&w->predict, (int64_t)(value - p->value[0]));
	body_count(w, BODY_COST_FIELDS, mark);
}

static void body_code_byte(struct body_walk *w)
{
	uint8_t *at = w->f->new + w->new_at;
	uint64_t mark = body_mark(w);
	uint8_t value;

	value = literal_replace(w->b->literal, w->c, w->new_at, w->old_at, w->class, w->c->encoding ? *at : 0);
	if (!w->c->encoding)
		*at = value;
	w->b->stats.n_replaced++;
	body_count(w, BODY_COST_REPLACED, mark);
}

/* Is the unit at hand as expected? In decoding it is written so, to be overwritten if not. */
static bool body_expect(struct body_walk *w, enum field_kind kind, struct predicted *p)
{
	uint8_t *at = w->f->new + w->new_at;
	unsigned width = field_width(w->f->old, kind);

	if (kind == FIELD_NONE) {
		if (w->c->encoding)
			return *at == w->f->old->data[w->old_at];
		*at = w->f->old->data[w->old_at];
		return true;
	}
	predict_field(&w->predict, kind, w->old_at, w->new_at, p);
	if (w->c->encoding)
		return body_load(at, width) == p->value[0];
	body_store(at, width, p->value[0]);
	return true;
}

/* The unit is as it should be: learn from it and go on. */
static void body_pass(struct body_walk *w, enum field_kind kind, bool differed)
{
	unsigned width = kind == FIELD_NONE ? 1 : field_width(w->f->old, kind);

	if (kind != FIELD_NONE) {
		w->b->stats.fields[kind]++;
		w->b->stats.section_fields[body_section(w)]++;
		if (differed)
			predict_learn(&w->predict, kind, w->old_at, w->new_at);
	}
	body_advance(w, width, differed);
}

/* Did the byte n places before differ in this copy? */
static uint32_t body_differed(const struct body_walk *w, size_t n)
{
	if (w->new_at < n || w->old_at < n)
		return 0;
	return w->f->new[w->new_at - n] != w->f->old->data[w->old_at - n];
}

static bool body_code_flag(struct body_walk *w, enum field_kind kind, bool differs)
{
	const uint8_t *old = w->f->old->data + w->old_at;
	const uint8_t *new = w->f->new + w->new_at;
	uint32_t here = kind == FIELD_NONE ? old[0] : 256U + (uint32_t)kind;
	uint32_t before = w->old_at ? old[-1] : 0, before2 = w->old_at > 1 ? old[-2] : 0;
	uint32_t new_before = w->new_at ? new[-1] : 0;
	uint32_t since = w->since > 15 ? 15 : w->since;
	uint32_t far = body_differed(w, 4) << 2 | body_differed(w, 8) << 1 | body_differed(w, 24);
	uint32_t hashes[FLAG_INPUTS] = {
		mix_hash(1, since << 8 | w->history),
		mix_hash(2, here << 8 | before),
		mix_hash(3, (here << 8 | before) << 8 | before2),
		mix_hash(4, (here << 8 | new_before) << 4 | (w->history & 3)),
		mix_hash(5, here << 4 | since),
		mix_hash(6, (uint32_t)w->class << 8 | (w->history & 15)),
		mix_hash(7, far << 8 | (w->history & 15) << 4 | (uint32_t)(w->new_at & 7)),
	};
	uint64_t mark = body_mark(w);
	bool got = mix_bit(w->b->flags, w->c, hashes, since, (unsigned)kind, differs);

	body_count(w, BODY_COST_RUNS, mark);
	return got;
}

static void body_code_unit(struct body_walk *w, enum field_kind kind, struct predicted *p)
{
	if (kind == FIELD_NONE)
		body_code_byte(w);
	else
		body_code_miss(w, kind, p);
	body_pass(w, kind, true);
}

static void body_code_near(struct body_walk *w)
{
	while (w->left && w->near && !w->c->err) {
		enum field_kind kind = body_unit(w);
		struct predicted p;
		bool same = body_expect(w, kind, &p);

		if (body_code_flag(w, kind, !same))
			body_code_unit(w, kind, &p);
		else
			body_pass(w, kind, false);
	}
}

/* Encoding: how many bytes from here are as expected; the walk stands behind them afterwards. */
static uint64_t body_measure_run(struct body_walk *w)
{
	size_t start = w->new_at;

	while (w->left) {
		enum field_kind kind = body_unit(w);
		struct predicted p;

		if (!body_expect(w, kind, &p))
			break;
		body_pass(w, kind, false);
	}
	return w->new_at - start;
}

/* Decoding: n bytes as expected. */
static void body_fill_run(struct body_walk *w, uint64_t n)
{
	while (n && w->left) {
		bool is_elf = w->f->old->elf.machine != ELF_MACHINE_NONE;
		size_t plain = (size_t)n, next = w->old_at + plain;
		struct predicted p;
		enum field_kind kind;

		if (is_elf)
			next = field_next(w->f->old, w->old_at, w->old_at + plain);
		plain = next - w->old_at;
		/* the headers' end is a place where the walk must stop */
		if (!w->has_new_elf && w->headers_end > w->new_at &&
		    plain > w->headers_end - w->new_at)
			plain = w->headers_end - w->new_at;
		if (plain) {
			memcpy(w->f->new + w->new_at, w->f->old->data + w->old_at, plain);
			body_advance(w, (unsigned)plain, false);
			n -= plain;
			continue;
		}
		kind = body_unit(w);
		if (kind != FIELD_NONE && field_width(w->f->old, kind) > n) {
			w->c->err = -BSI_E_FORMAT;
			return;
		}
		(void)body_expect(w, kind, &p);
		n -= kind == FIELD_NONE ? 1 : field_width(w->f->old, kind);
		body_pass(w, kind, false);
	}
}

static unsigned body_bucket(uint64_t n)
{
	return n ? 63 - (unsigned)__builtin_clzll(n) : 0;
}

static void body_code_copy(struct body_walk *w)
{
	/* the start of a copy is where differences are likely */
	while (w->left && !w->c->err) {
		struct predicted p;
		enum field_kind kind;
		uint64_t run = 0, left = w->left, mark;
		unsigned clean;

		body_code_near(w);
		if (!w->left || w->c->err)
			break;
		left = w->left;
		if (w->c->encoding)
			run = body_measure_run(w);
		mark = body_mark(w);
		clean = coder_bit(w->c, &w->b->clean[body_bucket(left) & 31], run == left);
		if (!clean)
			run = coder_number(w->c, &w->b->run[w->class], run);
		else
			run = left;
		body_count(w, BODY_COST_RUNS, mark);
		if (!w->c->encoding) {
			if (run > left || (!clean && run == left)) {
				w->c->err = -BSI_E_FORMAT;
				return;
			}
			body_fill_run(w, run);
		}
		w->since = NEAR_BYTES;
		w->history = 0;
		if (clean || w->c->err)
			continue;
		kind = body_unit(w);
		(void)body_expect(w, kind, &p);
		body_code_unit(w, kind, &p);
	}
}

/* A field inside sent code: by what it refers to. */
static void body_code_sent_field(struct body_walk *w, unsigned tail, size_t repeat)
{
	uint8_t *at = w->f->new + w->new_at;
	uint64_t from = predict_sent_addr(&w->predict, w->new_at) + 4 + tail, target;
	struct target_context x = {.from = (uint32_t)from, .opcode = {at[-1], at[-2]}};
	uint32_t value = w->c->encoding ? elf_u32(at) + (uint32_t)from : 0;

	if (repeat != SIZE_MAX && predict_old_target(&w->predict, repeat, &target)) {
		x.has_expected = true;
		x.expected = (uint32_t)move_addr(w->moves, target);
	}
	value = target_code(w->b->target, w->c, &x, value);
	if (!w->c->encoding)
		elf_put_u32(at, value - (uint32_t)from);
	literal_skip_field(w->b->literal, w->new_at);
	w->left += 4;
	body_advance(w, 4, false);
}

/* Is its code x86, of 64 or 32 bits? The model of code knows no other. */
static bool body_is_x86(const struct field_map *old)
{
	return old->elf.machine == ELF_MACHINE_X86_64 || old->elf.machine == ELF_MACHINE_I386;
}

static void body_code_sent(struct body_walk *w, size_t n)
{
	size_t end = w->new_at + n;
	uint64_t mark = body_mark(w);
	bool is_code = w->class == LITERAL_CODE && w->has_new_elf && w->predict.new_elf &&
		       body_is_x86(w->f->old) && !w->f->old->elf.is_object;

	literal_begin(w->b->literal, w->new_at, w->class);
	while (w->new_at < end && !w->c->err) {
		uint8_t *at = w->f->new + w->new_at;
		unsigned tail;
		size_t repeat;
		uint8_t value;

		if (is_code && end - w->new_at >= 4 && w->new_at >= 2 &&
		    literal_is_field(w->b->literal, w->new_at, &tail, &repeat)) {
			body_code_sent_field(w, tail, repeat);
			continue;
		}
		value = literal_code(w->b->literal, w->c, w->new_at, w->c->encoding ? *at : 0);
		if (!w->c->encoding)
			*at = value;
		w->left++;
		body_advance(w, 1, false);
	}
	w->b->stats.n_sent += n;
	body_count(w, BODY_COST_SENT, mark);
}

static enum literal_class body_class(const struct field_map *old, uint64_t at)
{
	if (!body_is_x86(old))
		return LITERAL_DATA;
	for (unsigned i = 0; i < old->elf.n_sections; i++) {
		const struct elf_section *s = &old->elf.sections[i];

		if (s->kind == ELF_SECTION_CODE && at >= s->offset && at - s->offset < s->bytes)
			return LITERAL_CODE;
	}
	return LITERAL_DATA;
}

/* Teach the model of targets the references in [from, to) of the old file. */
static void body_train_targets(struct body_walk *w, size_t from, size_t to)
{
	size_t at = from;

	while ((at = field_next(w->f->old, at, to)) < to) {
		enum field_kind kind = field_at(w->f->old, at);
		const uint8_t *p = w->f->old->data + at;
		struct target_context x = {0};
		uint64_t target, moved;

		if (kind <= FIELD_MEMORY4 && at >= 2 &&
		    predict_old_target(&w->predict, at, &target)) {
			moved = move_addr(w->moves, target);
			x.opcode[0] = p[-1];
			x.opcode[1] = p[-2];
			x.from = (uint32_t)(moved - elf_u32(p));
			(void)target_code(w->b->target, NULL, &x, (uint32_t)moved);
		}
		at += field_width(w->f->old, kind);
	}
}

/* Teach the model what surrounds the places where bytes are sent. */
static void body_train(struct body_walk *w)
{
	uint64_t budget = TRAIN_BYTES_MAX;
	size_t done_to = 0;

	for (size_t i = 0; i < w->f->n_ops && budget; i++) {
		const struct op *op = &w->f->ops[i];
		uint64_t window, from, to, middle = (uint64_t)op->old + op->copy_len;

		if (op->rest != OP_REST_BYTES || !op->rest_len)
			continue;
		window = (uint64_t)op->rest_len << w->f->train_shift;
		if (window < TRAIN_WINDOW_MIN)
			window = TRAIN_WINDOW_MIN;
		if (window > TRAIN_WINDOW_MAX)
			window = TRAIN_WINDOW_MAX;
		from = middle > window / 2 ? middle - window / 2 : 0;
		to = from + window;
		if (from < done_to && to > done_to)
			from = done_to;
		if (to > w->f->old->len)
			to = w->f->old->len;
		if (to <= from)
			continue;
		if (to - from > budget)
			to = from + budget;
		literal_train(w->b->literal, (size_t)from, (size_t)to,
			      body_class(w->f->old, middle ? middle - 1 : 0));
		if (body_is_x86(w->f->old) && !w->f->old->elf.is_object)
			body_train_targets(w, (size_t)from, (size_t)to);
		budget -= to - from;
		done_to = (size_t)to;
	}
}

/* Encoding: the section of the new object that an old one has become, by name and number. */
static const struct elf_section *body_section_now(const struct elf *old, unsigned index,
						  const struct elf *new)
{
	unsigned before = 0;

	for (unsigned i = 0; i < index; i++)
		before += strcmp(old->sections[i].name, old->sections[index].name) == 0;
	for (unsigned i = 0; i < new->n_sections; i++)
		if (strcmp(new->sections[i].name, old->sections[index].name) == 0 && !before--)
			return &new->sections[i];
	return NULL;
}

/* Where a section of an object starts, if it goes as its first byte does. */
static uint64_t body_base_guess(const struct body_walk *w, const struct elf_section *s)
{
	if (s->kind == ELF_SECTION_NOBITS)
		return s->addr - w->f->old->elf.file_bytes + w->f->new_len;
	return move_offset(w->moves, s->offset);
}

/* Where the sections of an object start: as their first bytes go, or how far that is off. */
static int body_code_bases(struct body_walk *w)
{
	const struct elf *old = &w->f->old->elf;
	AUTO_FREE struct elf *new = calloc(1, sizeof(*new));
	uint64_t mark = coder_spent(w->c);
	bool off = false;

	if (!new)
		return -ENOMEM;
	if (w->c->encoding)
		(void)elf_parse(new, w->f->new, w->f->new_len);
	for (unsigned i = 0; i < old->n_sections; i++) {
		const struct elf_section *now = body_section_now(old, i, new);

		w->bases[i] = body_base_guess(w, &old->sections[i]);
		if (w->c->encoding && now && old->sections[i].bytes) {
			off |= now->addr != w->bases[i];
			w->bases[i] = now->addr;
		}
	}
	off = coder_bit(w->c, &w->b->bases_off, off);
	for (unsigned i = 0; i < old->n_sections && off; i++) {
		uint64_t guess = body_base_guess(w, &old->sections[i]);

		if (old->sections[i].bytes)
			w->bases[i] = guess + (uint64_t)coder_signed(w->c, &w->b->base,
								     (int64_t)(w->bases[i] - guess));
	}
	w->b->stats.cost[BODY_COST_OPS] += coder_spent(w->c) - mark;
	return w->c->err;
}

int body_code(struct body *b, struct coder *c, const struct body_file *file)
{
	AUTO(move_map) struct move_map *moves = NULL;
	struct body_walk w = {.b = b, .c = c, .f = file, .near = NEAR_BYTES};
	bool has_sent = false;
	int r;

	r = move_map_new(file->ops, file->n_ops, file->old->len, &file->old->elf, &moves);
	if (r < 0)
		return r;
	w.moves = moves;
	if (file->old->elf.machine != ELF_MACHINE_NONE)
		w.headers_end = elf_headers_end(&file->old->elf);
	predict_init(&w.predict, file->old, moves, file->new, b->recent);
	w.predict.bases = w.bases;
	if (file->old->elf.is_object)
		r = body_code_bases(&w);
	if (r < 0)
		return r;
	for (size_t i = 0; i < file->n_ops; i++)
		has_sent |= file->ops[i].rest == OP_REST_BYTES && file->ops[i].rest_len;
	r = literal_start(b->literal, file->old->data, file->old->len,
			  &(struct literal_new){file->new, file->behind, file->place,
					      file->old->elf.machine == ELF_MACHINE_I386}, has_sent);
	if (r < 0)
		return r;
	if (has_sent && file->train_shift)
		body_train(&w);
	for (size_t i = 0; i < file->n_ops && !c->err; i++) {
		const struct op *op = &file->ops[i];

		w.old_at = op->old;
		w.left = op->copy_len;
		w.class = body_class(file->old, op->old + (op->copy_len ? op->copy_len - 1U : 0));
		if (op->copy_len) {
			w.near = w.near ? w.near : 4;
			predict_copy(&w.predict, w.old_at, w.new_at);
			body_code_copy(&w);
		}
		w.left = 0;
		if (op->rest == OP_REST_BYTES) {
			body_code_sent(&w, op->rest_len);
		} else {
			if (!c->encoding)
				memset(file->new + w.new_at, 0, op->rest_len);
			w.left = op->rest_len;
			body_advance(&w, op->rest_len, false);
		}
	}
	return c->err;
}
