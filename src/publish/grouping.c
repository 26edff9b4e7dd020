/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/grouping.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static int add_name(struct grouping *g, const char *name, size_t *ret)
{
	char **grown;

	for (size_t i = 0; i < g->n_groups; i++)
		if (strcmp(g->names[i], name) == 0) {
			*ret = i;
			return 0;
		}
	grown = reallocarray(g->names, g->n_groups + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	g->names = grown;
	grown[g->n_groups] = strdup(name);
	if (!grown[g->n_groups])
		return -ENOMEM;
	*ret = g->n_groups++;
	return 0;
}

static int group_by_rules(const struct state *to, const struct grouping_rule *rules,
	size_t n_rules, struct grouping *g, struct error *reterr)
{
	for (size_t k = 0; k < n_rules; k++) {
		bool fits = false;
		size_t group;
		int r;

		r = add_name(g, rules[k].name, &group);
		if (r < 0)
			return r;
		for (size_t i = 0; i < to->n_packages; i++) {
			if (fnmatch(rules[k].glob, to->packages[i].name, 0) != 0)
				continue;
			fits = true;
			if (g->group_of[i] != GROUPING_NONE && g->group_of[i] != group)
				return error_set(reterr, -BSI_E_USAGE,
					"package %s fits components %s and %s",
					to->packages[i].name, g->names[g->group_of[i]],
					rules[k].name);
			g->group_of[i] = group;
		}
		if (!fits)
			return error_set(reterr, -BSI_E_USAGE,
				"component %s: no package of %s is named %s", rules[k].name,
				to->name, rules[k].glob);
	}
	return 0;
}

/* The representative of a package's set. */
static size_t find(size_t *parent, size_t i)
{
	while (parent[i] != i) {
		parent[i] = parent[parent[i]];
		i = parent[i];
	}
	return i;
}

static bool belong_together(const struct package *a, const struct package *b)
{
	return strcmp(a->source, b->source) == 0 &&
		strcmp(a->source_version, b->source_version) == 0 &&
		strcmp(a->architecture, b->architecture) == 0 &&
		(package_depends_strictly(a, b->name, b->version) ||
			package_depends_strictly(b, a->name, a->version));
}

/* Whether p is a better name for its group: the source's, else one that needs no other of them. */
static bool names_better(const struct state *to, size_t *parent, size_t p, size_t than)
{
	const struct package *a = &to->packages[p], *b = &to->packages[than];
	bool a_is_source = strcmp(a->name, a->source) == 0;
	bool b_is_source = strcmp(b->name, b->source) == 0;
	bool a_needs = false, b_needs = false;

	if (a_is_source != b_is_source)
		return a_is_source;
	for (size_t i = 0; i < to->n_packages; i++) {
		const struct package *other = &to->packages[i];

		if (find(parent, i) != find(parent, p))
			continue;
		a_needs |= package_depends_strictly(a, other->name, other->version);
		b_needs |= package_depends_strictly(b, other->name, other->version);
	}
	if (a_needs != b_needs)
		return !a_needs;
	return strcmp(a->name, b->name) < 0;
}

static int group_by_source(const struct state *to, struct grouping *g)
{
	AUTO_FREE size_t *parent = calloc(to->n_packages + 1, sizeof *parent);
	AUTO_FREE size_t *lead = calloc(to->n_packages + 1, sizeof *lead);

	if (!parent || !lead)
		return -ENOMEM;
	for (size_t i = 0; i < to->n_packages; i++)
		parent[i] = lead[i] = i;
	for (size_t i = 0; i < to->n_packages; i++)
		for (size_t k = 0; k < i; k++)
			if (belong_together(&to->packages[i], &to->packages[k]))
				parent[find(parent, i)] = find(parent, k);
	for (size_t i = 0; i < to->n_packages; i++) {
		size_t top = find(parent, i);

		if (names_better(to, parent, i, lead[top]))
			lead[top] = i;
	}
	for (size_t i = 0; i < to->n_packages; i++) {
		size_t top = find(parent, i);
		int r;

		/* one package of two architectures makes two sets of one name: the planner refuses
		   the foreign one, file by file */
		r = add_name(g, to->packages[lead[top]].name, &g->group_of[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int grouping_make(const struct state *to, const struct grouping_rule *rules, size_t n_rules,
	struct grouping *ret, struct error *reterr)
{
	struct grouping g = {.n_packages = to->n_packages};
	int r;

	g.group_of = malloc((to->n_packages + 1) * sizeof *g.group_of);
	if (!g.group_of)
		return -ENOMEM;
	for (size_t i = 0; i < to->n_packages; i++)
		g.group_of[i] = GROUPING_NONE;
	r = n_rules > 0 ? group_by_rules(to, rules, n_rules, &g, reterr) : group_by_source(to, &g);
	if (r < 0) {
		grouping_done(&g);
		return r;
	}
	*ret = g;
	return 0;
}

void grouping_done(struct grouping *g)
{
	for (size_t i = 0; i < g->n_groups; i++)
		free(g->names[i]);
	free(g->names);
	free(g->group_of);
	*g = (struct grouping){};
}
