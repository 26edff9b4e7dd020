/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/exposed.h"

#include <errno.h>
#include <string.h>

#include "agent/kept.h"
#include "agent/packages.h"
#include "graft/exposure.h"

struct targets {
	struct exposure_target *list;
	size_t n, allocated;
};

static void targets_done(struct targets *t)
{
	free(t->list);
}

static int add(struct targets *t, struct exposure_target target)
{
	if (t->n == t->allocated) {
		size_t allocated = t->allocated ? 2 * t->allocated : 64;
		struct exposure_target *list = reallocarray(t->list, allocated, sizeof *list);

		if (!list)
			return -ENOMEM;
		t->list = list;
		t->allocated = allocated;
	}
	t->list[t->n++] = target;
	return 0;
}

bool exposed_is_attached(const struct graft_state *state, const struct component *component,
	const char *path)
{
	for (size_t i = 0; i < state->n_mounts; i++) {
		const struct graft_mount *m = &state->mounts[i];

		if (!m->under_lid && strcmp(m->path, path) == 0 && strcmp(m->component, component->name) == 0 &&
			digest_equal(&m->digest, &component->image.digest))
			return true;
	}
	return false;
}

/* What the file is in each state of the base: a copy of it may lie anywhere. */
static int add_base_contents(struct targets *t, const struct component *c, size_t file)
{
	int r = 0;

	for (size_t s = 0; r == 0 && s < c->n_sets; s++)
		if (c->sets[s].files[file].present)
			r = add(t, (struct exposure_target){.kind = EXPOSURE_COPY,
				.component = c->name,
				.path = c->files[file].path,
				.fd = -EBADF,
				.digest = c->sets[s].files[file].digest});
	return r;
}

/* Of what is attached: the base files below, and the patched ones by digest. */
static int add_attached(struct targets *t, const struct fit *fit, const struct graft_state *state)
{
	int r = 0;

	for (size_t i = 0; i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];

		for (size_t k = 0; r == 0 && k < c->component->n_files; k++) {
			const struct patched_file *file = &c->component->files[k];
			struct exposure_target target = {.component = c->component->name,
				.path = file->path,
				.fd = c->files[k],
				.digest = file->digest};

			if (c->files[k] < 0 ||
				!exposed_is_attached(state, c->component, file->path))
				continue;
			target.kind = EXPOSURE_BASE;
			r = add(t, target);
			target.kind = EXPOSURE_CURRENT;
			target.fd = -EBADF;
			if (r == 0)
				r = add(t, target);
			if (r == 0)
				r = add_base_contents(t, c->component, k);
		}
	}
	return r;
}

static bool is_current(const struct targets *t, const struct digest *digest)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->list[i].kind == EXPOSURE_CURRENT && digest_equal(&t->list[i].digest, digest))
			return true;
	return false;
}

static int add_older(struct targets *t, const struct manifest *m)
{
	int r = 0;

	for (size_t i = 0; i < m->n_components; i++)
		for (size_t k = 0; r == 0 && k < m->components[i].n_files; k++) {
			const struct patched_file *file = &m->components[i].files[k];

			if (is_current(t, &file->digest))
				continue;
			r = add(t, (struct exposure_target){.kind = EXPOSURE_OLDER,
				.component = m->components[i].name,
				.path = file->path,
				.fd = -EBADF,
				.digest = file->digest});
		}
	return r;
}

/* The text is added unless it is in the array already. */
static int add_text(json_t *array, const char *text)
{
	size_t i;
	json_t *v;

	json_array_foreach(array, i, v) if (strcmp(json_string_value(v), text) == 0) return 0;
	return json_array_append_new(array, json_string(text));
}

static int add_cves(json_t *cves, const struct manifest *m, const char *component)
{
	const struct component *c = m && component ? manifest_component(m, component) : NULL;
	int r = 0;

	for (size_t i = 0; c && r == 0 && i < c->n_cves; i++)
		r = add_text(cves, c->cves[i]);
	return r;
}

/* The row of that process, the last one of the list or a new one: entries come by pid. */
static json_t *row_of(json_t *list, const struct exposure_entry *e)
{
	size_t n = json_array_size(list);
	json_t *row = n > 0 ? json_array_get(list, n - 1) : NULL;

	if (row && json_integer_value(json_object_get(row, "pid")) == e->pid)
		return row;
	row = json_pack("{s:i, s:I, s:i, s:s, s:s, s:s?, s:b, s:[], s:[], s:[], s:b}", "pid",
		(int)e->pid, "start_ticks", (json_int_t)e->start_ticks, "uid", (int)e->uid, "command",
		e->comm, "state", "keeps", "detail", e->detail, "copy", 0, "components", "paths",
		"cves", "private_mounts", 0);
	if (!row || json_array_append_new(list, row) < 0)
		return NULL;
	return row;
}

/*
 * A process runs old code, or it cannot be told, or it only keeps old files for what it starts. The
 * worst comes first among the entries of a process, but for the mounts.
 */
static int set_state(json_t *row, const struct exposure_entry *e)
{
	const char *before = json_string_value(json_object_get(row, "state"));
	bool is_first = strcmp(before, "keeps") == 0, is_copy = e->kind == EXPOSURE_COPY;

	if (e->in_mounts || (e->kind == EXPOSURE_UNKNOWN && !is_first))
		return 0;
	if (!is_first)
		is_copy = is_copy && json_is_true(json_object_get(row, "copy"));
	if (e->detail && json_is_null(json_object_get(row, "detail")) &&
		json_object_set_new(row, "detail", json_string(e->detail)) < 0)
		return -ENOMEM;
	if (json_object_set_new(row, "copy", json_boolean(is_copy)) < 0)
		return -ENOMEM;
	return json_object_set_new(row, "state",
		json_string(e->kind == EXPOSURE_UNKNOWN ? "unknown" : "exposed"));
}

static int list_entry(json_t *list, const struct exposure_entry *e, const struct manifest *now)
{
	json_t *row = row_of(list, e);
	int r = row ? set_state(row, e) : -ENOMEM;

	if (r == 0 && e->component)
		r = add_text(json_object_get(row, "components"), e->component);
	if (r == 0 && e->path)
		r = add_text(json_object_get(row, "paths"), e->path);
	if (r == 0)
		r = add_cves(json_object_get(row, "cves"), now, e->component);
	if (r == 0 && e->in_mounts)
		r = json_object_set_new(row, "private_mounts", json_true());
	return r < 0 ? -ENOMEM : 0;
}

static int describe(const struct exposure_report *report, const struct manifest *now, json_t **ret)
{
	AUTO_JSON json_t *list = json_array();
	int r;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < report->n_entries; i++) {
		if (report->entries[i].kind == EXPOSURE_CURRENT)
			continue;
		r = list_entry(list, &report->entries[i], now);
		if (r < 0)
			return r;
	}
	*ret = json_pack("{s:I, s:I, s:I, s:I, s:O}", "exposed", (json_int_t)report->n_exposed,
		"unknown", (json_int_t)report->n_unknown, "processes",
		(json_int_t)report->n_processes, "scan_us", (json_int_t)report->scan_us, "list",
		list);
	return *ret ? 0 : -ENOMEM;
}

int exposed_scan(struct agent *a, const struct installed *installed,
	const struct graft_state *state, json_t **ret, struct error *reterr)
{
	__attribute__((cleanup(targets_done))) struct targets targets = {0};
	AUTO_DONE(kept) struct kept kept = {0};
	AUTO(exposure_report) struct exposure_report *report = NULL;
	AUTO(fit) struct fit *fit = NULL;
	struct graft_host host;
	bool has_host = context_host(a, &host, NULL) == 0;
	int r = 0;

	if (installed->manifest) {
		r = fit_open(a->root_fd, installed->manifest, &fit, reterr);
		if (r == 0)
			r = add_attached(&targets, fit, state);
	}
	if (r == 0)
		r = kept_load(a, &kept);
	for (size_t i = 0; r == 0 && i < kept.n_manifests; i++)
		r = add_older(&targets, kept.manifests[i]);
	if (r < 0)
		return r;
	r = exposure_scan(has_host ? &host : NULL, targets.list, targets.n, &report, reterr);
	if (r < 0)
		return r;
	return describe(report, installed->manifest, ret);
}

/* What is attached and would be exchanged or go off. */
static int add_leaving(struct targets *t, const struct fit *fit, const struct graft_state *state)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < state->n_mounts; i++) {
		const struct graft_mount *m = &state->mounts[i];
		bool is_kept = false;

		for (size_t k = 0; fit && k < fit->n_components; k++) {
			const struct fit_component *c = &fit->components[k];

			is_kept |= c->match.verdict == MATCH_SET &&
				strcmp(c->component->name, m->component) == 0 &&
				digest_equal(&c->component->image.digest, &m->digest);
		}
		for (size_t k = 0; k < t->n; k++)
			is_kept |= t->list[k].kind == EXPOSURE_DEVICE && t->list[k].dev == m->dev;
		if (!is_kept)
			r = add(t, (struct exposure_target){.kind = EXPOSURE_DEVICE,
				.component = m->component,
				.path = m->path,
				.fd = -EBADF,
				.dev = m->dev});
	}
	return r;
}

/* Base files that would be covered, or are already and still in use. */
static int add_coming(struct targets *t, const struct fit *fit)
{
	int r = 0;

	for (size_t i = 0; fit && i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];

		for (size_t k = 0; r == 0 && k < c->component->n_files; k++)
			if (c->match.verdict == MATCH_SET && fit_has_file(c, k) && c->files[k] >= 0)
				r = add(t, (struct exposure_target){.kind = EXPOSURE_BASE,
					.component = c->component->name,
					.path = c->component->files[k].path,
					.fd = c->files[k]});
	}
	return r;
}

int exposed_scan_coming(const struct fit *fit, const struct manifest *coming,
	const struct graft_state *state, json_t **ret, struct error *reterr)
{
	__attribute__((cleanup(targets_done))) struct targets targets = {0};
	AUTO(exposure_report) struct exposure_report *report = NULL;
	int r;

	r = add_leaving(&targets, fit, state);
	if (r == 0)
		r = add_coming(&targets, fit);
	if (r == 0)
		/* mount tables tell nothing yet: the base lies bare everywhere */
		r = exposure_scan(NULL, targets.list, targets.n, &report, reterr);
	return r < 0 ? r : describe(report, coming, ret);
}

static int list_users(json_t *list, const struct component *c, const struct package_users *users)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < users->n; i++) {
		const struct package_user *u = &users->list[i];
		json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[]}", "package", u->package,
			"version", u->version, "source", u->source, "source_version",
			u->source_version, "component", c->name, "cves");

		r = row && json_array_append_new(list, row) == 0 ? 0 : -ENOMEM;
		for (size_t k = 0; r == 0 && k < c->n_cves; k++)
			r = add_text(json_object_get(row, "cves"), c->cves[k]);
	}
	return r < 0 ? -ENOMEM : 0;
}

int exposed_built_with(struct agent *a, const struct manifest *m, json_t **ret)
{
	AUTO_JSON json_t *list = json_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; m && r == 0 && i < m->n_components; i++) {
		AUTO(package_users) struct package_users *users = NULL;

		r = package_users_read(a->root_fd, &m->components[i], &users);
		if (r == 0)
			r = list_users(list, &m->components[i], users);
	}
	if (r == 0)
		*ret = take_ptr(list);
	return r;
}
