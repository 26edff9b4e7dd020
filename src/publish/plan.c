/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/plan.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "improvement/debversion.h"
#include "publish/activation.h"
#include "publish/order.h"
#include "publish/rebuilt.h"
#include "publish/rules.h"
#include "publish/sets.h"

/* One planning; until the end, components are numbered as the grouping numbers its groups. */
struct planning {
	const struct plan_request *request;
	struct plan *plan;
	size_t *n_documents; /* changed and left out, for each package */
	struct error *reterr;
};

const char *plan_note_text(enum plan_note_kind kind)
{
	switch (kind) {
	case PLAN_REFUSED:
		return "refused";
	case PLAN_LEFT_OUT:
		return "left-out";
	case PLAN_EQUIVALENT:
		return "equivalent";
	case PLAN_WARNING:
	default:
		return "warning";
	}
}

static int note(struct plan *p, enum plan_note_kind kind, size_t component, const char *subject,
	const char *fmt, ...) PRINTF_LIKE(5, 6);

static int note(struct plan *p, enum plan_note_kind kind, size_t component, const char *subject,
	const char *fmt, ...)
{
	struct plan_note *grown = reallocarray(p->notes, p->n_notes + 1, sizeof *grown), *n;
	va_list args;
	int r;

	if (!grown)
		return -ENOMEM;
	p->notes = grown;
	n = &grown[p->n_notes];
	*n = (struct plan_note){.kind = kind, .component = component};
	n->subject = strdup(subject);
	va_start(args, fmt);
	r = vasprintf(&n->reason, fmt, args);
	va_end(args);
	if (!n->subject || r < 0) {
		free(n->subject);
		if (r >= 0)
			free(n->reason);
		return -ENOMEM;
	}
	p->n_notes++;
	if (kind == PLAN_REFUSED && component != GROUPING_NONE)
		p->components[component].is_refused = true;
	return 0;
}

int plan_warn(struct plan *p, size_t component, const char *subject, const char *reason)
{
	return note(p, PLAN_WARNING, component, subject, "%s", reason);
}

static bool is_left_out(const struct plan_request *r, const char *path)
{
	char absolute[PATH_MAX + 2];

	(void)snprintf(absolute, sizeof absolute, "/%s", path);
	for (size_t i = 0; i < r->n_leave_out; i++)
		if (fnmatch(r->leave_out[i], absolute, 0) == 0 ||
			fnmatch(r->leave_out[i], path, 0) == 0)
			return true;
	return false;
}

static size_t component_of(const struct planning *pl, size_t package)
{
	return pl->plan->grouping.group_of[package];
}

/* 1, or 0 where it is in the list already. */
static int add_file(struct plan_file **list, size_t *n, const char *path,
	const struct compare_row *row)
{
	struct plan_file *grown;

	for (size_t i = 0; i < *n; i++)
		if ((*list)[i].row == row && strcmp((*list)[i].path, path) == 0)
			return 0;
	grown = reallocarray(*list, *n + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	*list = grown;
	grown[*n] = (struct plan_file){
		.path = strdup(path), .row = row, .is_privileged = rules_is_privileged(row->to)};
	return grown[(*n)++].path ? 1 : -ENOMEM;
}

/* A name in some base states and not in others is fine for the sets, and worth a word. */
static int warn_missing(struct planning *pl, const struct compare_row *row, size_t component)
{
	for (size_t i = 0; i < pl->request->n_from; i++)
		if (!row->base[i] &&
			compare_base_package(&pl->plan->compare, i, row->package))
			return note(pl->plan, PLAN_WARNING, component, row->to->path,
				"%s does not have this file, and will not get it",
				pl->request->from[i]->name);
	return 0;
}

static bool all_follow_pairing(const struct compare *c, const struct compare_row *row)
{
	for (size_t i = 0; i < c->n_from; i++)
		if (row->base[i] && !compare_is_same(row->to, row->base[i], false) &&
			!compare_follows_pairing(c, row, i))
			return false;
	return true;
}

static const char *attributes_text(const struct file_access *access)
{
	return access->has_attributes ? " with capabilities or an ACL" : "";
}

/* A device whose base is as it was published takes the access of the patched file. */
static int warn_access(struct planning *pl, const struct compare_row *row, size_t component)
{
	struct file_access to, base;
	int r = state_access(row->to, &to);

	for (size_t i = 0; r == 0 && i < pl->request->n_from; i++) {
		if (!row->base[i] || !S_ISREG(row->base[i]->mode) || !S_ISREG(row->to->mode))
			continue;
		r = state_access(row->base[i], &base);
		if (r < 0 || access_equal(&base, &to))
			continue;
		return note(pl->plan, PLAN_WARNING, component, row->to->path,
			"owner or mode change: %s has %u:%u %04o%s, and devices get %u:%u %04o%s",
			pl->request->from[i]->name, base.uid, base.gid, base.mode,
			attributes_text(&base), to.uid, to.gid, to.mode, attributes_text(&to));
	}
	return r;
}

/* Python keeps byte code beside its sources, by their times: root's programs will renew it. */
static int warn_byte_code(struct planning *pl, const struct compare_row *row, size_t component)
{
	const char *path = row->to->path;
	size_t len = strlen(path);

	if (len < 4 || strcmp(path + len - 3, ".py") != 0 || !S_ISREG(row->to->mode) ||
		strncmp(path, "usr/lib/python", 14) != 0)
		return 0;
	return note(pl->plan, PLAN_WARNING, component, path,
		"Python programs of root will rewrite its byte code in __pycache__, which is no "
		"file of the package");
}

/* A row of the documentation that nobody asked for. */
static bool is_passed_document(const struct planning *pl, const struct compare_row *row)
{
	return rules_is_documentation(row->to->path) && !(pl->request->flags & PLAN_INCLUDE_DOCS);
}

/* The device keeps its own file: it does what the new one would do. */
static int plan_equivalent(struct planning *pl, const struct compare_row *row)
{
	size_t component = component_of(pl, row->package);
	struct plan_component *c = &pl->plan->components[component];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < pl->request->n_from; i++) {
		if (!row->base[i])
			continue;
		r = add_file(&c->equivalent, &c->n_equivalent, row->base[i]->path, row);
		if (r > 0)
			r = note(pl->plan, PLAN_EQUIVALENT, component, row->base[i]->path,
				"rebuilt without a change, left out (--keep-equivalent takes it in)");
	}
	return r < 0 ? r : 0;
}

static int plan_row(struct planning *pl, const struct compare_row *row)
{
	const struct compare *c = &pl->plan->compare;
	size_t component = component_of(pl, row->package);
	const char *path = row->to->path, *reason;
	int r = 0;

	if (is_passed_document(pl, row)) {
		pl->n_documents[row->package]++;
		return 0;
	}
	if (is_left_out(pl->request, path))
		return note(pl->plan, PLAN_LEFT_OUT, component, path, "asked for by --leave-out");
	/* before what is refused: of a file that stays as it is nothing is asked */
	if (row->is_equivalent)
		return plan_equivalent(pl, row);
	if (S_ISLNK(row->to->mode) && all_follow_pairing(c, row))
		return 0;
	reason = rules_refuse_row(c, row, pl->request->architecture);
	if (reason)
		return note(pl->plan, PLAN_REFUSED, component, path, "%s", reason);
	if (row->to->is_altered)
		r = note(pl->plan, PLAN_WARNING, component, path,
			"the patched file is not what its package shipped");
	for (size_t i = 0; r >= 0 && i < c->n_from; i++)
		if (row->base[i])
			r = add_file(&pl->plan->components[component].files,
				&pl->plan->components[component].n_files, row->base[i]->path, row);
	if (r >= 0)
		r = warn_access(pl, row, component);
	if (r >= 0)
		r = warn_byte_code(pl, row, component);
	return r < 0 ? r : warn_missing(pl, row, component);
}

static int plan_lost(struct planning *pl, const struct compare_lost *lost)
{
	size_t component = component_of(pl, lost->package);
	const char *path = lost->base->path, *reason;

	if (lost->is_paired)
		return 0;
	if (rules_is_documentation(path) && !(pl->request->flags & PLAN_INCLUDE_DOCS)) {
		pl->n_documents[lost->package]++;
		return 0;
	}
	if (is_left_out(pl->request, path))
		return note(pl->plan, PLAN_LEFT_OUT, component, path, "asked for by --leave-out");
	reason = rules_refuse_path(path);
	return note(pl->plan, PLAN_REFUSED, component, path, "%s",
		reason ? reason : "its name vanishes in the patched state");
}

static int add_version(struct plan_package *p, const char *version)
{
	char **grown;

	for (size_t i = 0; i < p->n_from; i++)
		if (strcmp(p->from[i], version) == 0)
			return 0;
	grown = reallocarray(p->from, p->n_from + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	p->from = grown;
	grown[p->n_from] = strdup(version);
	return grown[p->n_from++] ? 0 : -ENOMEM;
}

static int add_package(struct planning *pl, struct plan_component *c, size_t index)
{
	const struct package *to = &pl->request->to->packages[index];
	struct plan_package *grown;
	int r = 0;

	grown = reallocarray(c->packages, c->n_packages + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	c->packages = grown;
	grown += c->n_packages++;
	*grown = (struct plan_package){
		.name = strdup(to->name), .to = strdup(to->version), .index = index};
	if (!grown->name || !grown->to)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < pl->request->n_from; i++) {
		const struct package *from = compare_base_package(&pl->plan->compare, i, index);

		if (from)
			r = add_version(grown, from->version);
	}
	return r;
}

/* What is odd about a package as a whole. */
static int judge_package(struct planning *pl, size_t index, bool *ret_changes)
{
	const struct package *to = &pl->request->to->packages[index];
	size_t component = component_of(pl, index), n_known = 0;

	*ret_changes = false;
	for (size_t i = 0; i < pl->request->n_from; i++) {
		const struct package *from = compare_base_package(&pl->plan->compare, i, index);

		if (!from)
			continue;
		n_known++;
		*ret_changes |= strcmp(from->version, to->version) != 0;
		if (debversion_compare(from->version, to->version) > 0)
			return note(pl->plan, PLAN_REFUSED, component, to->name,
				"the patched version %s is older than the base's %s", to->version,
				from->version);
	}
	if (n_known == 0)
		return note(pl->plan, PLAN_REFUSED, component, to->name,
			"the package is in no base state, so all its names would appear");
	return 0;
}

static bool has_files_of(const struct plan_file *list, size_t n, size_t package)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].row->package == package)
			return true;
	return false;
}

/*
 * Whether the component rests on this package. One whose files are all equivalent holds nothing of
 * the fix, so its version on a device proves nothing either way.
 */
static bool is_part(const struct plan_component *c, size_t package, bool changes)
{
	if (has_files_of(c->files, c->n_files, package))
		return true;
	return changes && !has_files_of(c->equivalent, c->n_equivalent, package);
}

static int plan_packages(struct planning *pl)
{
	const struct state *to = pl->request->to;

	for (size_t i = 0; i < to->n_packages; i++) {
		size_t component = component_of(pl, i);
		struct plan_component *c;
		bool changes;
		int r;

		if (component == GROUPING_NONE)
			continue;
		c = &pl->plan->components[component];
		r = judge_package(pl, i, &changes);
		if (r == 0 && is_part(c, i, changes))
			r = add_package(pl, c, i);
		if (r == 0 && pl->n_documents[i] > 0)
			r = note(pl->plan, PLAN_LEFT_OUT, component, to->packages[i].name,
				"%zu changed %s of documentation, man pages and locales "
				"(--include-docs takes them in)",
				pl->n_documents[i], pl->n_documents[i] == 1 ? "file" : "files");
		if (r < 0)
			return r;
	}
	return 0;
}

static int note_unnamed(struct planning *pl)
{
	const struct state *to = pl->request->to;
	int r = 0;

	for (size_t i = 0; r == 0 && i < to->n_packages; i++)
		if (component_of(pl, i) == GROUPING_NONE && to->n_debs > 0)
			r = note(pl->plan, PLAN_LEFT_OUT, GROUPING_NONE, to->packages[i].name,
				"no --component names this package");
	return r;
}

/* What a base has shows in its contents: one that has the patched ones already is superseded. */
static bool is_metadata_only(const struct planning *pl, const struct plan_component *c)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (!rules_is_metadata_only(&pl->plan->compare, c->files[i].row))
			return false;
	return true;
}

/* The order in which packages were given says nothing, and must not reach the manifest. */
static int compare_packages(const void *a, const void *b)
{
	return strcmp(((const struct plan_package *)a)->name, ((const struct plan_package *)b)->name);
}

static int finish_component(struct planning *pl, size_t index)
{
	struct plan_component *c = &pl->plan->components[index];
	int r;

	if (c->n_packages > 0)
		qsort(c->packages, c->n_packages, sizeof *c->packages, compare_packages);
	activation_propose(pl->request, c);
	r = order_files(c);
	if (r == 0)
		r = sets_make(&pl->plan->compare, c, pl->reterr);
	if (r < 0)
		return r;
	if (is_metadata_only(pl, c))
		return note(pl->plan, PLAN_REFUSED, index, c->name,
			"only owners, modes or attributes change, and what has the patched contents "
			"counts as fixed");
	if (c->n_sets == 0 && !c->is_refused)
		return note(pl->plan, PLAN_REFUSED, index, c->name,
			"every base state has the patched files already");
	if (c->n_files > MANIFEST_FILES_MAX)
		return note(pl->plan, PLAN_REFUSED, index, c->name, "it has %zu files, more than %d",
			c->n_files, MANIFEST_FILES_MAX);
	if (c->n_files > PLAN_FILES_WARN)
		return note(pl->plan, PLAN_WARNING, index, c->name,
			"%zu files: each is a mount in every mount namespace of the device",
			c->n_files);
	return 0;
}

static void component_done(struct plan_component *c)
{
	for (size_t i = 0; i < c->n_packages; i++) {
		for (size_t k = 0; k < c->packages[i].n_from; k++)
			free(c->packages[i].from[k]);
		free(c->packages[i].from);
		free(c->packages[i].name);
		free(c->packages[i].to);
	}
	for (size_t i = 0; i < c->n_files; i++)
		free(c->files[i].path);
	for (size_t i = 0; i < c->n_equivalent; i++)
		free(c->equivalent[i].path);
	for (size_t i = 0; i < c->n_sets; i++) {
		free(c->sets[i].name);
		free(c->sets[i].files);
	}
	for (size_t i = 0; i < c->n_fixes; i++) {
		free(c->fixes[i].id);
		free(c->fixes[i].package);
		free(c->fixes[i].version);
		free(c->fixes[i].line);
	}
	free(c->packages);
	free(c->files);
	free(c->equivalent);
	free(c->sets);
	free(c->fixes);
	free(c->name);
}

/* Components in which nothing changes are no part of the plan. */
static int keep_changed(struct plan *p)
{
	AUTO_FREE size_t *place_of = calloc(p->n_components + 1, sizeof *place_of);
	size_t kept = 0;

	if (!place_of)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_components; i++) {
		place_of[i] = kept;
		if (p->components[i].n_files == 0 && !p->components[i].is_refused) {
			place_of[i] = GROUPING_NONE;
			component_done(&p->components[i]);
			continue;
		}
		p->components[kept++] = p->components[i];
	}
	p->n_components = kept;
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i].component != GROUPING_NONE)
			p->notes[i].component = place_of[p->notes[i].component];
	return 0;
}

static int make_components(struct plan *p)
{
	p->components = calloc(p->grouping.n_groups + 1, sizeof *p->components);
	if (!p->components)
		return -ENOMEM;
	for (size_t i = 0; i < p->grouping.n_groups; i++) {
		p->components[i].name = strdup(p->grouping.names[i]);
		if (!p->components[i].name)
			return -ENOMEM;
		p->n_components++;
	}
	return 0;
}

static int compare_states(struct planning *pl)
{
	const struct plan_request *r = pl->request;
	AUTO_FREE bool *is_wanted = calloc(r->to->n_packages + 1, sizeof *is_wanted);

	if (!is_wanted)
		return -ENOMEM;
	for (size_t i = 0; i < r->to->n_packages; i++)
		is_wanted[i] = component_of(pl, i) != GROUPING_NONE;
	return compare_make(r->from, r->n_from, r->to, is_wanted, &pl->plan->compare, pl->reterr);
}

/* Which rows are rebuilt files without a change, in the light of what else will be in the images. */
static int find_rebuilt(struct planning *pl)
{
	struct plan *p = pl->plan;
	AUTO_FREE bool *is_taken = calloc(p->compare.n_rows + 1, sizeof *is_taken);

	if (!is_taken)
		return -ENOMEM;
	if (pl->request->flags & PLAN_KEEP_EQUIVALENT)
		return 0;
	for (size_t i = 0; i < p->compare.n_rows; i++)
		is_taken[i] = !is_passed_document(pl, &p->compare.rows[i]) &&
			!is_left_out(pl->request, p->compare.rows[i].to->path);
	return rebuilt_find(&p->compare, is_taken, pl->reterr);
}

/* Why a component of which something changed is not in the plan. */
static int note_all_equivalent(struct planning *pl, size_t component)
{
	const struct plan_component *c = &pl->plan->components[component];

	if (c->n_files > 0 || c->n_equivalent == 0 || c->is_refused)
		return 0;
	return note(pl->plan, PLAN_EQUIVALENT, component, c->name,
		"%zu rebuilt %s without a change, and nothing else of it is published: it is no "
		"part of the plan",
		c->n_equivalent, c->n_equivalent == 1 ? "file" : "files");
}

static int fill(struct planning *pl)
{
	struct plan *p = pl->plan;
	int r;

	r = grouping_make(pl->request->to, pl->request->rules, pl->request->n_rules, &p->grouping,
		pl->reterr);
	if (r == 0)
		r = make_components(p);
	if (r == 0)
		r = compare_states(pl);
	if (r == 0)
		r = find_rebuilt(pl);
	for (size_t i = 0; r == 0 && i < p->compare.n_rows; i++)
		r = plan_row(pl, &p->compare.rows[i]);
	for (size_t i = 0; r == 0 && i < p->compare.n_lost; i++)
		r = plan_lost(pl, &p->compare.lost[i]);
	if (r == 0)
		r = plan_packages(pl);
	if (r == 0)
		r = note_unnamed(pl);
	for (size_t i = 0; r == 0 && i < p->n_components; i++)
		r = p->components[i].n_files > 0 ? finish_component(pl, i)
						 : note_all_equivalent(pl, i);
	if (r == 0)
		r = keep_changed(p);
	return r < 0 ? r : order_components(p);
}

static int note_passed(struct plan *p, const struct state *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_passed; i++)
		r = note(p, PLAN_LEFT_OUT, GROUPING_NONE, s->passed[i].name,
			"%s has it as %s: it is passed over there", s->name, s->passed[i].status);
	return r;
}

int plan_make(const struct plan_request *request, struct plan **ret, struct error *reterr)
{
	AUTO_FREE size_t *n_documents = calloc(request->to->n_packages + 1, sizeof *n_documents);
	AUTO(plan) struct plan *p = calloc(1, sizeof *p);
	struct planning pl = {
		.request = request, .plan = p, .n_documents = n_documents, .reterr = reterr};
	int r;

	if (!p || !n_documents)
		return -ENOMEM;
	r = fill(&pl);
	for (size_t i = 0; r == 0 && i < request->n_from; i++)
		r = note_passed(p, request->from[i]);
	if (r == 0)
		r = note_passed(p, request->to);
	if (r < 0)
		return r;
	for (size_t i = 0; i < request->n_activations; i++) {
		if (!plan_component(p, request->activations[i].component))
			return error_set(reterr, -BSI_E_USAGE,
				"--activation names component %s, which is not in the plan",
				request->activations[i].component);
	}
	*ret = take_ptr(p);
	return 0;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_components; i++)
		component_done(&p->components[i]);
	for (size_t i = 0; i < p->n_notes; i++) {
		free(p->notes[i].subject);
		free(p->notes[i].reason);
	}
	free(p->components);
	free(p->notes);
	compare_done(&p->compare);
	grouping_done(&p->grouping);
	free(p);
}

struct plan_component *plan_component(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->n_components; i++)
		if (strcmp(p->components[i].name, name) == 0)
			return &p->components[i];
	return NULL;
}

bool plan_is_all_equivalent(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i].kind == PLAN_EQUIVALENT && strcmp(p->notes[i].subject, name) == 0)
			return true;
	return false;
}

static size_t count_notes(const struct plan *p, enum plan_note_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_notes; i++)
		n += p->notes[i].kind == kind;
	return n;
}

int plan_check(const struct plan *p, struct error *reterr)
{
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i].kind == PLAN_REFUSED)
			return error_set(reterr, -BSI_E_REFUSED, "%s: %s", p->notes[i].subject,
				p->notes[i].reason);
	if (p->n_components == 0 && count_notes(p, PLAN_EQUIVALENT) > 0)
		return error_set(reterr, -BSI_E_REFUSED,
			"all that could be published was rebuilt without a change; "
			"--keep-equivalent publishes it all the same");
	if (p->n_components == 0)
		return error_set(reterr, -BSI_E_REFUSED,
			"nothing that can be published differs between the base and the patched state");
	return 0;
}
