/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"

enum rank {
	RANK_LIBRARY,
	RANK_DATA,
	RANK_PROGRAM,
};

static enum rank rank_of(const struct plan_file *f)
{
	const struct linkage *e = &f->row->elf;

	if (e->is_elf)
		return e->is_program ? RANK_PROGRAM : RANK_LIBRARY;
	return f->row->to->mode & 0111 ? RANK_PROGRAM : RANK_DATA;
}

static int compare_files(const void *a, const void *b)
{
	const struct plan_file *x = a, *y = b;

	if (rank_of(x) != rank_of(y))
		return rank_of(x) < rank_of(y) ? -1 : 1;
	return strcmp(x->path, y->path);
}

static bool provides(const struct plan_file *f, const char *needed)
{
	if (!f->row->elf.is_elf)
		return false;
	if (f->row->elf.soname)
		return strcmp(f->row->elf.soname, needed) == 0;
	return strcmp(path_name(f->path), needed) == 0;
}

static bool needs(const struct plan_file *user, const struct plan_file *provider)
{
	if (user->row == provider->row)
		return false;
	for (size_t i = 0; i < user->row->elf.n_needed; i++)
		if (provides(provider, user->row->elf.needed[i]))
			return true;
	return false;
}

/* The first file whose providers are all placed; the first of all in a circle. */
static size_t next_file(const struct plan_component *c, const bool *is_placed)
{
	size_t first = c->n_files;

	for (size_t i = 0; i < c->n_files; i++) {
		bool is_ready = !is_placed[i];

		for (size_t k = 0; is_ready && k < c->n_files; k++)
			is_ready = is_placed[k] || k == i || !needs(&c->files[i], &c->files[k]);
		if (is_ready)
			return i;
		if (!is_placed[i] && first == c->n_files)
			first = i;
	}
	return first;
}

int order_files(struct plan_component *c)
{
	AUTO_FREE struct plan_file *ordered = calloc(c->n_files + 1, sizeof *ordered);
	AUTO_FREE bool *is_placed = calloc(c->n_files + 1, sizeof *is_placed);

	if (!ordered || !is_placed)
		return -ENOMEM;
	if (c->n_files > 0)
		qsort(c->files, c->n_files, sizeof *c->files, compare_files);
	for (size_t n = 0; n < c->n_files; n++) {
		size_t i = next_file(c, is_placed);

		is_placed[i] = true;
		ordered[n] = c->files[i];
	}
	memcpy(c->files, ordered, c->n_files * sizeof *ordered);
	return 0;
}

static bool component_needs(const struct plan_component *user,
	const struct plan_component *provider)
{
	for (size_t i = 0; i < user->n_files; i++)
		for (size_t k = 0; k < provider->n_files; k++)
			if (needs(&user->files[i], &provider->files[k]))
				return true;
	return false;
}

static bool is_ready(const struct plan *p, const bool *is_placed, size_t i)
{
	for (size_t k = 0; k < p->n_components; k++)
		if (!is_placed[k] && k != i && component_needs(&p->components[i], &p->components[k]))
			return false;
	return true;
}

/* Of those whose providers are all placed, or in a circle of all: the first by name. */
static size_t next_component(const struct plan *p, const bool *is_placed)
{
	size_t ready = p->n_components, any = p->n_components;

	for (size_t i = 0; i < p->n_components; i++) {
		if (is_placed[i])
			continue;
		if (any == p->n_components ||
			strcmp(p->components[i].name, p->components[any].name) < 0)
			any = i;
		if (is_ready(p, is_placed, i) &&
			(ready == p->n_components ||
				strcmp(p->components[i].name, p->components[ready].name) < 0))
			ready = i;
	}
	return ready < p->n_components ? ready : any;
}

int order_components(struct plan *p)
{
	AUTO_FREE struct plan_component *ordered = calloc(p->n_components + 1, sizeof *ordered);
	AUTO_FREE bool *is_placed = calloc(p->n_components + 1, sizeof *is_placed);
	AUTO_FREE size_t *place_of = calloc(p->n_components + 1, sizeof *place_of);

	if (!ordered || !is_placed || !place_of)
		return -ENOMEM;
	for (size_t n = 0; n < p->n_components; n++) {
		size_t i = next_component(p, is_placed);

		is_placed[i] = true;
		place_of[i] = n;
		ordered[n] = p->components[i];
	}
	if (p->n_components > 0)
		memcpy(p->components, ordered, p->n_components * sizeof *ordered);
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i].component != GROUPING_NONE)
			p->notes[i].component = place_of[p->notes[i].component];
	return 0;
}
