/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/fixes.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "improvement/debversion.h"
#include "improvement/text.h"
#include "publish/changelog.h"

static int warn(struct plan *p, size_t component, const char *subject, const char *reason)
{
	struct plan_note *grown = reallocarray(p->notes, p->n_notes + 1, sizeof *grown);

	if (!grown)
		return -ENOMEM;
	p->notes = grown;
	grown[p->n_notes] = (struct plan_note){.kind = PLAN_WARNING,
		.component = component,
		.subject = strdup(subject),
		.reason = strdup(reason)};
	p->n_notes++;
	return grown[p->n_notes - 1].subject && grown[p->n_notes - 1].reason ? 0 : -ENOMEM;
}

/* The folder of a package's documentation: often a symlink to that of another package. */
static const char *documents_of(const struct state *s, const char *package, char *out, size_t len)
{
	const struct state_file *f;
	const char *target;

	(void)snprintf(out, len, "usr/share/doc/%s", package);
	f = state_find(s, out);
	if (!f || !f->symlink_target)
		return out;
	target = path_name(f->symlink_target);
	(void)snprintf(out, len, "usr/share/doc/%s", target);
	return out;
}

static struct state_file *find_changelog(const struct state *s, const struct package *p)
{
	static const char *const names[] = {
		"changelog.Debian.gz", "changelog.gz", "changelog.Debian", "changelog"};
	char folder[512], path[600];

	(void)documents_of(s, p->name, folder, sizeof folder);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct state_file *f;

		(void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		f = state_find(s, path);
		if (f && S_ISREG(f->mode) && f->size_bytes <= CHANGELOG_MAX_BYTES)
			return f;
	}
	return NULL;
}

static int unpack(struct archive *a, const void *data, size_t len, struct buffer *out)
{
	struct archive_entry *entry;
	uint8_t chunk[65536];
	la_ssize_t n;

	if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
		archive_read_support_format_raw(a) != ARCHIVE_OK ||
		archive_read_open_memory(a, data, len) != ARCHIVE_OK ||
		archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return -BSI_E_FORMAT;
	while ((n = archive_read_data(a, chunk, sizeof chunk)) > 0)
		buffer_put(out, chunk, (size_t)n);
	return n < 0 ? -BSI_E_FORMAT : out->err;
}

/* The text of a changelog, compressed or not. */
static int read_text(struct state *s, struct state_file *f, struct buffer *out,
	struct error *reterr)
{
	AUTO_FREE uint8_t *bytes = malloc(f->size_bytes + 1);
	struct archive *a;
	int r;

	if (!bytes)
		return -ENOMEM;
	r = state_read(s, f, 0, bytes, f->size_bytes, reterr);
	if (r < 0)
		return r;
	if (f->size_bytes < 2 || bytes[0] != 0x1f || bytes[1] != 0x8b) {
		buffer_put(out, bytes, f->size_bytes);
		return out->err;
	}
	a = archive_read_new();
	if (!a)
		return -ENOMEM;
	r = unpack(a, bytes, f->size_bytes, out);
	(void)archive_read_free(a);
	if (r < 0)
		return error_set(reterr, r, "%s: %s: %s", s->name, f->path, error_text(r));
	return 0;
}

static struct plan_fix *find_fix(struct plan_component *c, const char *id)
{
	for (size_t i = 0; i < c->n_fixes; i++)
		if (strcmp(c->fixes[i].id, id) == 0)
			return &c->fixes[i];
	return NULL;
}

static int add_fix(struct plan_component *c, const char *id, struct plan_fix **ret)
{
	struct plan_fix *grown = reallocarray(c->fixes, c->n_fixes + 1, sizeof *grown);

	if (!grown)
		return -ENOMEM;
	c->fixes = grown;
	grown[c->n_fixes] = (struct plan_fix){.id = strdup(id)};
	if (!grown[c->n_fixes].id)
		return -ENOMEM;
	*ret = &grown[c->n_fixes++];
	return 0;
}

/* Doubt anywhere is doubt, and its line is the one to read. */
static int take_mention(struct plan_component *c, const char *package,
	const struct changelog_mention *m)
{
	struct plan_fix *fix = find_fix(c, m->id);
	int r;

	if (fix && (fix->is_check || !m->is_check))
		return 0;
	if (!fix) {
		r = add_fix(c, m->id, &fix);
		if (r < 0)
			return r;
	}
	free(fix->package);
	free(fix->version);
	free(fix->line);
	fix->package = strdup(package);
	fix->version = strdup(m->version);
	fix->line = strdup(m->line);
	fix->is_check = m->is_check;
	return fix->package && fix->version && fix->line ? 0 : -ENOMEM;
}

/* The oldest source version among the base states. */
static const char *oldest_source(const struct plan *p, const struct plan_request *request,
	size_t package)
{
	const char *oldest = NULL;

	for (size_t i = 0; i < request->n_from; i++) {
		const struct package *from = compare_base_package(&p->compare, i, package);

		if (from && (!oldest || debversion_compare(from->source_version, oldest) < 0))
			oldest = from->source_version;
	}
	return oldest;
}

static int read_package(struct plan *p, const struct plan_request *request, size_t component,
	size_t index, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(CHANGELOG_MAX_BYTES);
	struct plan_component *c = &p->components[component];
	const struct package *to = &request->to->packages[index];
	const char *oldest = oldest_source(p, request, index);
	struct state_file *f = find_changelog(request->to, to);
	struct changelog log;
	int r;

	if (!oldest || debversion_compare(oldest, to->source_version) >= 0)
		return 0;
	if (!f)
		return warn(p, component, to->name, "it ships no changelog to read CVE ids from");
	r = read_text(request->to, f, &text, reterr);
	if (r < 0)
		return r;
	r = changelog_read((const char *)text.data, text.len, oldest, to->source_version, &log);
	if (r < 0)
		return error_set(reterr, r, "%s: %s", f->path, error_text(r));
	for (size_t i = 0; r == 0 && i < log.n_mentions; i++)
		r = take_mention(c, to->name, &log.mentions[i]);
	if (r == 0 && log.n_entries == 0)
		r = warn(p, component, to->name,
			"its changelog has no entry between the two versions");
	changelog_done(&log);
	return r;
}

static int spool_changelogs(const struct plan *p, struct state *to, struct error *reterr)
{
	size_t n = 0, n_packages = 0;
	AUTO_FREE struct state_file **files = NULL;

	for (size_t i = 0; i < p->n_components; i++)
		n_packages += p->components[i].n_packages;
	files = calloc(n_packages + 1, sizeof *files);
	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_components; i++)
		for (size_t k = 0; k < p->components[i].n_packages; k++) {
			size_t index = p->components[i].packages[k].index;
			struct state_file *f = find_changelog(to, &to->packages[index]);
			bool is_known = !f;

			for (size_t j = 0; !is_known && j < n; j++)
				is_known = files[j] == f;
			if (!is_known)
				files[n++] = f;
		}
	return state_spool(to, files, n, reterr);
}

static int compare_fixes(const void *a, const void *b)
{
	const struct plan_fix *x = a, *y = b;
	size_t x_len = strlen(x->id), y_len = strlen(y->id);

	/* CVE-2026-999 before CVE-2026-10000 */
	if (strncmp(x->id, y->id, 9) == 0 && x_len != y_len)
		return x_len < y_len ? -1 : 1;
	return strcmp(x->id, y->id);
}

int fixes_find(struct plan *p, const struct plan_request *request, struct error *reterr)
{
	int r;

	r = spool_changelogs(p, request->to, reterr);
	for (size_t i = 0; r == 0 && i < p->n_components; i++) {
		struct plan_component *c = &p->components[i];

		for (size_t k = 0; r == 0 && k < c->n_packages; k++)
			r = read_package(p, request, i, c->packages[k].index, reterr);
		if (c->n_fixes > 0)
			qsort(c->fixes, c->n_fixes, sizeof *c->fixes, compare_fixes);
	}
	return r;
}

int fixes_carry(struct plan *p, const struct manifest *before, struct error *reterr)
{
	for (size_t i = 0; i < p->n_components; i++) {
		struct plan_component *c = &p->components[i];
		const struct component *old = manifest_component(before, c->name);

		for (size_t k = 0; old && k < old->n_cves; k++) {
			struct plan_fix *fix = find_fix(c, old->cves[k]);
			int r = fix ? 0 : add_fix(c, old->cves[k], &fix);

			if (r < 0)
				return r;
			fix->is_contested = fix->is_check;
			fix->is_confirmed = !fix->is_check;
		}
		for (size_t k = 0; old && k < old->n_packages; k++)
			for (size_t j = 0; j < c->n_packages; j++)
				if (strcmp(old->packages[k].name, c->packages[j].name) == 0 &&
					debversion_compare(c->packages[j].to,
						old->packages[k].to) < 0)
					return error_set(reterr, -BSI_E_REFUSED,
						"%s: (%s) brings version %s already, which is "
						"newer than %s",
						c->packages[j].name, before->letter,
						old->packages[k].to, c->packages[j].to);
	}
	return 0;
}

/* "COMPONENT=ID" or "ID" for a choice; sets the component where it is given. */
static int split(const struct plan *p, const char *text, struct plan_component **ret_component,
	const char **ret_id, struct error *reterr)
{
	const char *equals = strchr(text, '=');

	*ret_component = NULL;
	*ret_id = equals ? equals + 1 : text;
	if (!text_is_cve(*ret_id))
		return error_set(reterr, -BSI_E_USAGE, "\"%s\" is not a CVE id", *ret_id);
	if (!equals)
		return 0;
	for (size_t i = 0; i < p->n_components; i++)
		if (strncmp(p->components[i].name, text, (size_t)(equals - text)) == 0 &&
			p->components[i].name[equals - text] == '\0')
			*ret_component = &p->components[i];
	if (!*ret_component)
		return error_set(reterr, -BSI_E_USAGE, "\"%s\" names no component of this plan",
			text);
	return 0;
}

/* Set one id's confirmation wherever it is known; *ret counts the places. */
static int choose(struct plan *p, const char *text, bool is_confirmed, size_t *ret,
	struct error *reterr)
{
	struct plan_component *only;
	const char *id;
	int r;

	*ret = 0;
	r = split(p, text, &only, &id, reterr);
	for (size_t i = 0; r == 0 && i < p->n_components; i++) {
		struct plan_component *c = &p->components[i];
		struct plan_fix *fix = find_fix(c, id);

		if (!fix || (only && only != c))
			continue;
		fix->is_confirmed = is_confirmed;
		fix->is_contested = false;
		(*ret)++;
	}
	return r;
}

/* An id that no changelog names: the publisher knows better. */
static int confirm_unnamed(struct plan *p, const char *text, struct error *reterr)
{
	struct plan_component *c;
	struct plan_fix *fix;
	const char *id;
	int r;

	r = split(p, text, &c, &id, reterr);
	if (r < 0)
		return r;
	if (!c && p->n_components != 1)
		return error_set(reterr, -BSI_E_USAGE,
			"no changelog names %s: say --cve COMPONENT=%s", id, id);
	r = add_fix(c ? c : &p->components[0], id, &fix);
	if (r == 0)
		fix->is_confirmed = true;
	return r;
}

int fixes_confirm(struct plan *p, const struct fixes_choice *choice, struct error *reterr)
{
	size_t n;
	int r = 0;

	for (size_t i = 0; i < p->n_components && (choice->flags & FIXES_NAMED); i++)
		for (size_t k = 0; k < p->components[i].n_fixes; k++)
			if (!p->components[i].fixes[k].is_check)
				p->components[i].fixes[k].is_confirmed = true;
	for (size_t i = 0; r == 0 && i < choice->n_confirmed; i++) {
		r = choose(p, choice->confirmed[i], true, &n, reterr);
		if (r == 0 && n == 0)
			r = confirm_unnamed(p, choice->confirmed[i], reterr);
	}
	for (size_t i = 0; r == 0 && i < choice->n_denied; i++) {
		r = choose(p, choice->denied[i], false, &n, reterr);
		if (r == 0 && n == 0)
			r = error_set(reterr, -BSI_E_USAGE,
				"--no-cve %s: neither a changelog nor the letter before names it",
				choice->denied[i]);
	}
	return r;
}

int fixes_check(const struct plan *p, struct error *reterr)
{
	for (size_t i = 0; i < p->n_components; i++)
		for (size_t k = 0; k < p->components[i].n_fixes; k++) {
			const struct plan_fix *fix = &p->components[i].fixes[k];

			if (fix->is_contested)
				return error_set(reterr, -BSI_E_REFUSED,
					"component %s: the letter before fixes %s, and the changelog "
					"of %s (%s) says \"%s\": decide with --cve or --no-cve",
					p->components[i].name, fix->id, fix->package, fix->version,
					fix->line);
		}
	return 0;
}
