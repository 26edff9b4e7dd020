/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/sets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Packages beyond these are in every choice; a choice is a bit for each of them. */
#define VIEW_PACKAGES_MAX 31

/* One base state seen by one component. */
struct view {
	const struct compare *compare;
	const struct plan_component *component;
	size_t from;
	/* packages of the component that this state has and whose files are replaced */
	size_t packages[VIEW_PACKAGES_MAX];
	size_t n_packages;
};

static const struct package *base_package(const struct view *v, size_t i)
{
	return compare_base_package(v->compare, v->from, v->packages[i]);
}

static void find_packages(struct view *v)
{
	for (size_t f = 0; f < v->component->n_files; f++) {
		const struct compare_row *row = v->component->files[f].row;
		bool is_known = false;

		for (size_t i = 0; i < v->n_packages; i++)
			is_known |= v->packages[i] == row->package;
		if (!is_known && v->n_packages < ARRAY_SIZE(v->packages) &&
			compare_base_package(v->compare, v->from, row->package))
			v->packages[v->n_packages++] = row->package;
	}
}

/* Whether a device can have just these packages: nobody's strict dependency is missing. */
static bool is_closed(const struct view *v, unsigned choice)
{
	for (size_t i = 0; i < v->n_packages; i++)
		for (size_t k = 0; k < v->n_packages; k++)
			if ((choice >> i & 1) && !(choice >> k & 1) &&
				package_depends_strictly(base_package(v, i),
					base_package(v, k)->name, base_package(v, k)->version))
				return false;
	return true;
}

/* The file that this state has under the planned path. */
static const struct state_file *base_file(const struct view *v, const struct plan_file *f)
{
	const struct state_file *base = f->row->base[v->from];

	return base && strcmp(base->path, f->path) == 0 ? base : NULL;
}

static bool has_package(const struct view *v, size_t package, unsigned choice)
{
	for (size_t i = 0; i < v->n_packages; i++)
		if (v->packages[i] == package)
			return choice >> i & 1;
	return true;
}

static void set_done(struct base_set *set)
{
	free(set->name);
	free(set->files);
}

static bool is_same_state(const struct plan_component *c, const struct base_set *a,
	const struct base_set *b)
{
	for (size_t i = 0; i < c->n_files; i++) {
		const struct set_file *x = &a->files[i], *y = &b->files[i];

		if (x->present != y->present || !digest_equal(&x->digest, &y->digest) ||
			!access_equal(&x->access, &y->access))
			return false;
	}
	return true;
}

/* Neither a device with nothing to patch nor one that has the patched files already. */
static bool is_useful(const struct plan_component *c, const struct base_set *set)
{
	bool is_patched = true, is_empty = true;

	for (size_t i = 0; i < c->n_files; i++) {
		const struct set_file *d = &set->files[i];

		is_empty &= !d->present;
		is_patched &= !d->present ||
			digest_equal(&d->digest, &c->files[i].row->to->digest);
	}
	if (is_patched || is_empty)
		return false;
	for (size_t k = 0; k < c->n_sets; k++)
		if (is_same_state(c, &c->sets[k], set))
			return false;
	return true;
}

/* "libssl3 3.0.15-1, openssl 3.0.15-1", cut to what a manifest takes; unique by its number. */
static int name_set(const struct view *v, unsigned choice, size_t number, char **ret)
{
	char name[MANIFEST_NAME_MAX_BYTES + 1];
	size_t len = 0;

	for (size_t i = 0; i < v->n_packages && len < 100; i++) {
		int n;

		if (!(choice >> i & 1))
			continue;
		n = snprintf(name + len, sizeof name - len, "%s%s_%s", len > 0 ? "," : "",
			base_package(v, i)->name, base_package(v, i)->version);
		len += n > 0 ? (size_t)n : 0;
	}
	if (len == 0 || len >= 100)
		(void)snprintf(name, sizeof name, "state-%zu.%zu", v->from + 1, number);
	for (size_t k = 0; k < v->component->n_sets; k++)
		if (strcmp(v->component->sets[k].name, name) == 0)
			(void)snprintf(name, sizeof name, "state-%zu.%zu", v->from + 1, number);
	*ret = strdup(name);
	return *ret ? 0 : -ENOMEM;
}

/* Content and access of the files that this state has, with these packages. */
static int fill_set(const struct plan_component *c, const struct view *v, unsigned choice,
	struct base_set *set)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_files; i++) {
		const struct state_file *base = base_file(v, &c->files[i]);

		if (!base || !has_package(v, c->files[i].row->package, choice))
			continue;
		set->files[i] = (struct set_file){.present = true, .digest = base->digest};
		r = state_access(base, &set->files[i].access);
	}
	return r;
}

static int add_set(struct plan_component *c, const struct view *v, unsigned choice)
{
	struct base_set set = {.files = calloc(c->n_files + 1, sizeof *set.files)}, *grown;
	int r = set.files ? fill_set(c, v, choice, &set) : -ENOMEM;

	if (r < 0 || !is_useful(c, &set)) {
		set_done(&set);
		return r;
	}
	r = name_set(v, choice, c->n_sets + 1, &set.name);
	grown = r < 0 ? NULL : reallocarray(c->sets, c->n_sets + 1, sizeof *grown);
	if (!grown) {
		set_done(&set);
		return -ENOMEM;
	}
	c->sets = grown;
	grown[c->n_sets++] = set;
	return 0;
}

int sets_make(const struct compare *compare, struct plan_component *c, struct error *reterr)
{
	for (size_t from = 0; from < compare->n_from; from++) {
		struct view v = {.compare = compare, .component = c, .from = from};
		unsigned all;

		find_packages(&v);
		all = (1U << v.n_packages) - 1;
		for (unsigned choice = all; choice > 0; choice--) {
			int r = is_closed(&v, choice) ? add_set(c, &v, choice) : 0;

			if (r < 0)
				return r;
			/* the first one is all of them */
			if (v.n_packages > SETS_PACKAGES_MAX)
				break;
		}
	}
	if (c->n_sets > MANIFEST_SETS_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "component %s has more than %d base sets",
			c->name, MANIFEST_SETS_MAX);
	return 0;
}
