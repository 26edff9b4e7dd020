/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/align.h"
#include "delta/derive.h"
#include "delta/member.h"
#include "delta/stream.h"
#include "delta/stretch.h"
#include "delta/window.h"

#define TRAIN_SHIFT 3U
/* Nothing that knows less comes near a result as small as this part of the file. */
#define SMALL_PART 8U

void plan_done(struct plan *p)
{
	for (size_t i = 0; i < p->n_parts; i++)
		free(p->parts[i].ops);
	free(p->parts);
	*p = (struct plan){0};
}

int plan_old_load(const struct delta_set *set, const struct plan *p, struct plan_old *ret)
{
	struct plan_old o = {.data = (const uint8_t *)""};
	size_t at = 0;

	for (unsigned i = 0; i < p->n_references; i++)
		o.len += set->references[p->references[i]].len;
	if (p->n_references == 1) {
		o.data = set->references[p->references[0]].data;
	} else if (p->n_references) {
		o.joined = malloc(o.len + 1);
		if (!o.joined)
			return -ENOMEM;
		for (unsigned i = 0; i < p->n_references; i++) {
			const struct delta_input *in = &set->references[p->references[i]];

			if (in->len)
				memcpy(o.joined + at, in->data, in->len);
			at += in->len;
		}
		o.data = o.joined;
	}
	*ret = o;
	return 0;
}

void plan_old_done(struct plan_old *o)
{
	free(o->joined);
	*o = (struct plan_old){0};
}

/* Which of the derivable ranges come out as they are in this file. */
static int plan_derivable(const uint8_t *data, size_t len, struct derive_range *ranges,
			  unsigned *ret_n)
{
	AUTO_FREE uint8_t *copy = malloc(len + 1);
	unsigned n = derive_ranges(data, len, ranges), kept = 0;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	for (unsigned i = 0; i < n; i++)
		memset(copy + ranges[i].at, 0, ranges[i].len);
	for (unsigned i = 0; i < n; i++) {
		if (derive_fill(copy, len, &ranges[i]) >= 0 &&
		    memcmp(copy + ranges[i].at, data + ranges[i].at, ranges[i].len) == 0)
			ranges[kept++] = ranges[i];
	}
	*ret_n = kept;
	return 0;
}

/* Both sides of a part. */
struct sides {
	const uint8_t *old, *new;
	size_t old_len, new_len;
};

static bool sides_are_programs(const struct sides *s)
{
	AUTO_FREE struct elf *elf = malloc(sizeof(*elf));

	return elf && elf_parse(elf, s->old, s->old_len) && elf_parse(elf, s->new, s->new_len);
}

static int plan_align(const struct sides *s, bool is_plain, struct plan_part *part,
		      uint64_t *ret_guess)
{
	AUTO(field_map) struct field_map *old = NULL, *new = NULL;
	struct derive_range ranges[DERIVE_RANGES_MAX];
	struct alignment a = {0};
	unsigned n_ranges = 0;
	int r;

	part->mode = (struct file_mode){.is_plain = is_plain, .train_shift = TRAIN_SHIFT};
	r = is_plain ? field_map_new_plain(s->old, s->old_len, &old) :
		       field_map_new(s->old, s->old_len, &old);
	if (r >= 0)
		r = is_plain ? field_map_new_plain(s->new, s->new_len, &new) :
			       field_map_new(s->new, s->new_len, &new);
	if (r >= 0)
		r = plan_derivable(s->new, s->new_len, ranges, &n_ranges);
	if (r >= 0)
		r = align_plan(old, new, ranges, n_ranges, &a);
	part->ops = a.ops;
	part->n_ops = a.n_ops;
	part->n_areas = old ? old->n_areas : 0;
	*ret_guess = a.guess;
	return r;
}

static uint64_t count_sent(const struct op *ops, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		if (ops[i].rest == OP_REST_BYTES)
			bytes += ops[i].rest_len;
	return bytes;
}

/* Add a part to a plan. */
static int plan_add(struct plan *p, const struct part *part, const struct sides *s, bool is_plain)
{
	struct plan_part *parts = reallocarray(p->parts, p->n_parts + 1, sizeof(*parts));
	struct plan_part *add;
	uint64_t guess;
	int r;

	if (!parts)
		return -ENOMEM;
	p->parts = parts;
	add = &parts[p->n_parts];
	*add = (struct plan_part){.part = *part};
	r = plan_align(s, is_plain, add, &guess);
	if (r < 0) {
		free(add->ops);
		return r;
	}
	p->n_parts++;
	p->guess += guess;
	p->n_sent += count_sent(add->ops, add->n_ops);
	return 0;
}

/*
 * What a plan alone would cost, in bytes; UINT64_MAX if that is not less than `limit`, or if it is to
 * be proven and does not decode again.
 */
static int plan_try(const struct delta_set *set, const struct delta_input_file *f,
		    const struct plan *plan, uint64_t limit, bool prove, uint64_t *ret_bytes)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(limit < SIZE_MAX ? (size_t)limit : SIZE_MAX);
	struct delta_input references[DELTA_FILE_REFERENCES_MAX];
	struct delta_set alone = {.references = references, .n_references = plan->n_references,
				  .files = f, .n_files = 1, .meta = (const uint8_t *)""};
	struct plan own = *plan;
	int r;

	for (unsigned i = 0; i < plan->n_references; i++) {
		references[i] = set->references[plan->references[i]];
		references[i].path = "";
		own.references[i] = i;
	}
	*ret_bytes = UINT64_MAX;
	r = stream_write(&alone, &own, NULL, &out, NULL);
	if (r == -BSI_E_LIMIT)
		return 0;
	if (r >= 0 && prove) {
		r = stream_prove(&alone, &own, out.data, out.len, NULL);
		if (r == -BSI_E_STATE)
			return 0;
	}
	if (r >= 0 && out.len < limit)
		*ret_bytes = out.len;
	return r;
}

/* The ways to code one file, and the best so far. */
struct contest {
	const struct delta_set *set;
	const struct delta_input_file *f;
	bool careful;
	struct plan best;
	bool has_best, is_tried;
	uint64_t least;
};

static int contest_try_best(struct contest *c)
{
	if (c->is_tried)
		return 0;
	c->is_tried = true;
	return plan_try(c->set, c->f, &c->best, UINT64_MAX, c->careful, &c->least);
}

/* Whether what knows less need not be tried: 1, 0, or an error. */
static int contest_is_over(struct contest *c)
{
	uint64_t small = c->f->len / SMALL_PART;
	int r;

	/* of bytes alone nothing is certain before another way is there to compare them with */
	if (!c->has_best || (!c->is_tried && c->best.parts[0].mode.is_plain))
		return 0;
	if (!c->is_tried && c->best.guess < small)
		return 1;
	r = contest_try_best(c);
	return r < 0 ? r : c->least < small;
}

/*
 * A plan enters: what it holds is the contest's from here on. The first is tried only when there is
 * another, or to see whether there need be one; but what knows of programs must prove itself where
 * care is taken.
 */
static int contest_enter(struct contest *c, struct plan *plan)
{
	bool is_safe = plan->parts[0].mode.is_plain && !plan->divided;
	uint64_t bytes = UINT64_MAX;
	int r = 0;

	if (!c->has_best && (is_safe || !c->careful)) {
		c->best = *plan;
		c->has_best = true;
		return 0;
	}
	if (c->has_best)
		r = contest_try_best(c);
	if (r >= 0)
		r = plan_try(c->set, c->f, plan, c->least, c->careful, &bytes);
	if (r >= 0 && bytes != UINT64_MAX) {
		plan_done(&c->best);
		c->best = *plan;
		c->has_best = true;
		c->is_tried = true;
		c->least = bytes;
		return 0;
	}
	plan_done(plan);
	return r;
}

static struct plan contest_plan(const struct contest *c, unsigned n_references)
{
	struct plan p = {.n_references = n_references};

	memcpy(p.references, c->f->references, sizeof(p.references));
	return p;
}

/* The whole file from its first n old files: as programs, then as bytes. */
static int contest_whole(struct contest *c, unsigned n)
{
	struct plan old_of = contest_plan(c, n);
	struct plan_old old;
	int r = plan_old_load(c->set, &old_of, &old);

	for (unsigned plain = 0; plain < 2 && r >= 0; plain++) {
		const struct sides s = {old.data, c->f->data, old.len, c->f->len};
		const struct part whole = {.len = c->f->len, .source_len = old.len};
		struct plan plan = contest_plan(c, n);

		if (!plain && !sides_are_programs(&s))
			continue;
		r = contest_is_over(c);
		if (r != 0)
			break;
		r = plan_add(&plan, &whole, &s, plain);
		if (r >= 0)
			r = contest_enter(c, &plan);
		else
			plan_done(&plan);
	}
	plan_old_done(&old);
	return r < 0 ? r : 0;
}

/* A file without an old one, from an earlier new one that is in reach. */
static int contest_earlier(struct contest *c)
{
	const struct delta_input_file *from = &c->set->files[c->f->earlier];
	const struct sides s = {from->data, c->f->data, from->len, c->f->len};
	struct part part = {.len = c->f->len, .source = PART_SOURCE_MADE, .source_len = from->len};
	struct plan plan = {.divided = true};
	int r;

	for (const struct delta_input_file *f = from; f < c->f; f++)
		part.at += f->len;
	if (part.at > WINDOW_KEPT_BYTES || !from->len)
		return 0;
	r = plan_add(&plan, &part, &s, !sides_are_programs(&s));
	if (r < 0) {
		plan_done(&plan);
		return r;
	}
	/* it cannot be tried without the earlier file: that it is alike was seen */
	plan_done(&c->best);
	c->best = plan;
	c->has_best = true;
	return 0;
}

/* The members of two archives by name. */
struct archive {
	struct member *new, *old;
	size_t n_new, n_old;
};

/* The old member of the same name, at or behind `from` where there is one. */
static const struct member *archive_partner(const struct archive *a, const struct member *new,
					    size_t from)
{
	const struct member *found = NULL;

	for (size_t i = 0; i < a->n_old; i++) {
		if (!member_same_name(new, &a->old[i]))
			continue;
		if (!found || a->old[i].at < from)
			found = &a->old[i];
		else
			return found->at < from ? &a->old[i] : found;
	}
	return found;
}

struct division {
	struct contest *c;
	struct plan *plan;
	struct plan_old old;
	size_t done, old_done; /* how far the new and the old archive are accounted for */
};

/* A part from where the division stands to `to`, from [old_done, old_to) of the old archive. */
static int divide_part(struct division *d, size_t to, size_t old_to, bool is_plain)
{
	struct part part = {.len = to - d->done, .at = d->old_done};
	struct sides s = {(const uint8_t *)"", d->c->f->data + d->done, 0, part.len};
	int r;

	if (old_to > d->old_done) {
		part.source_len = s.old_len = old_to - d->old_done;
		s.old = d->old.data + d->old_done;
	} else {
		part.source = PART_SOURCE_NONE;
		part.at = 0;
	}
	r = plan_add(d->plan, &part, &s, is_plain);
	d->done = to;
	if (old_to > d->old_done)
		d->old_done = old_to;
	return r;
}

/* Is this member worth a part: a program that differs from the old one of its name? */
static bool divide_wants(const struct division *d, const struct member *new,
			 const struct member *old)
{
	const struct sides s = {d->old.data + old->at, d->c->f->data + new->at, old->len, new->len};

	if (old->at < d->old_done || new->at < d->done)
		return false;
	if (s.old_len == s.new_len && memcmp(s.old, s.new, s.new_len) == 0)
		return false;
	return sides_are_programs(&s);
}

/*
 * What lies between two programs goes with the first of them where it is short (the header of the
 * next member), and is a part of its own, from what lay between them, where it is long.
 */
static int divide(struct division *d, const struct archive *a)
{
	const struct member *last = NULL, *last_old = NULL;
	int r = 0;

	for (size_t i = 0; i <= a->n_new && r >= 0; i++) {
		const struct member *new = i < a->n_new ? &a->new[i] : NULL;
		bool may_be = new && new->len >= PART_BYTES_MIN && d->c->f->data[new->at] == 0x7f;
		const struct member *old = may_be ? archive_partner(a, new, d->old_done) : NULL;
		size_t to = new ? new->at : d->c->f->len, old_to = old ? old->at : d->old.len;

		if (new && (!old || !divide_wants(d, new, old)))
			continue;
		if (last && to - (last->at + last->len) < PART_BYTES_MIN) {
			r = divide_part(d, to, old_to, false);
		} else {
			if (last)
				r = divide_part(d, last->at + last->len, last_old->at + last_old->len,
						false);
			if (r >= 0 && to > d->done)
				r = divide_part(d, to, old_to, true);
		}
		last = new;
		last_old = old;
	}
	return r;
}

/* An archive in parts, from its first old file. */
static int contest_divided(struct contest *c)
{
	struct plan plan = contest_plan(c, 1);
	struct archive a = {0};
	struct division d = {.c = c, .plan = &plan};
	int r;

	plan.divided = true;
	r = member_find(c->f->data, c->f->len, &a.new, &a.n_new);
	if (r >= 0 && a.n_new)
		r = plan_old_load(c->set, &plan, &d.old);
	if (r >= 0 && d.old.len)
		r = member_find(d.old.data, d.old.len, &a.old, &a.n_old);
	if (r >= 0 && a.n_old)
		r = divide(&d, &a);
	if (r >= 0 && plan.n_parts > 1)
		r = contest_enter(c, &plan);
	else
		plan_done(&plan);
	plan_old_done(&d.old);
	free(a.new);
	free(a.old);
	return r;
}

/* The best way, if it is that of bytes alone, once more with longer copies. The last to be tried: it decides nothing. */
static int contest_stretched(struct contest *c)
{
	const struct plan_part *part = &c->best.parts[0];
	struct plan plan = c->best;
	struct plan_old old = {0};
	bool is_longer = false;
	int r;

	if (!c->has_best || !part->mode.is_plain || plan.divided || !plan.n_references)
		return 0;
	plan.parts = calloc(1, sizeof(*part));
	plan.n_parts = plan.parts ? 1 : 0;
	r = plan.parts ? plan_old_load(c->set, &plan, &old) : -ENOMEM;
	if (r >= 0) {
		plan.parts[0] = *part;
		plan.parts[0].ops = malloc(part->n_ops * sizeof(*part->ops) + 1);
		r = plan.parts[0].ops ? 0 : -ENOMEM;
	}
	if (r >= 0) {
		struct plan_part *longer = &plan.parts[0];

		memcpy(longer->ops, part->ops, part->n_ops * sizeof(*part->ops));
		is_longer = stretch_copies(longer->ops, &longer->n_ops, old.data, old.len, c->f->data);
		plan.n_sent = count_sent(longer->ops, longer->n_ops);
	}
	plan_old_done(&old);
	if (r >= 0 && is_longer)
		return contest_enter(c, &plan);
	plan_done(&plan);
	return r;
}

int plan_file(const struct delta_set *set, size_t file, bool careful, struct plan *ret)
{
	const struct delta_input_file *f = &set->files[file];
	struct contest c = {.set = set, .f = f, .careful = careful, .least = UINT64_MAX};
	int r;

	if (!f->len)
		return 0;
	if (!f->n_references && f->has_earlier && f->earlier < file)
		r = contest_earlier(&c);
	else
		r = contest_whole(&c, f->n_references ? 1 : 0);
	if (r >= 0 && !c.has_best)
		r = contest_whole(&c, 0);
	if (r >= 0 && f->n_references)
		r = contest_is_over(&c);
	if (r == 0 && f->n_references > 1) {
		r = contest_whole(&c, f->n_references);
		if (r >= 0)
			r = contest_is_over(&c);
	}
	if (r == 0 && f->n_references)
		r = contest_divided(&c);
	if (r >= 0)
		r = contest_stretched(&c);
	if (r < 0) {
		plan_done(&c.best);
		return r;
	}
	*ret = c.best;
	return 0;
}
