/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plans and manifests, for people and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/bsi-publish.h"

void publish_format_bytes(uint64_t bytes, char *out, size_t out_len)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	uint64_t tenths = bytes * 10;
	size_t unit = 0;

	if (bytes < 1000) {
		(void)snprintf(out, out_len, "%" PRIu64 " B", bytes);
		return;
	}
	while (tenths >= 10000 && unit + 1 < ARRAY_SIZE(units)) {
		tenths = (tenths + 500) / 1000;
		unit++;
	}
	(void)snprintf(out, out_len, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
		units[unit]);
}

static void show_packages(const struct plan_component *c)
{
	for (size_t i = 0; i < c->n_packages; i++) {
		const struct plan_package *p = &c->packages[i];

		printf("  package %s:", p->name);
		for (size_t k = 0; k < p->n_from; k++)
			printf("%s %s", k > 0 ? "," : "", p->from[k]);
		printf(" -> %s\n", p->to);
	}
}

static void show_files(const struct plan_component *c)
{
	for (size_t i = 0; i < c->n_files; i++) {
		const struct plan_file *f = &c->files[i];
		char size[32];

		publish_format_bytes(f->row->to->size_bytes, size, sizeof size);
		printf("  file /%s (%s%s)", f->path, size, f->is_privileged ? ", privileged" : "");
		if (strcmp(f->path, f->row->to->path) != 0)
			printf(", the content of /%s", f->row->to->path);
		printf("\n");
	}
}

static void show_fixes(const struct plan_component *c)
{
	if (c->n_fixes == 0)
		printf("  no CVE is named by the changelogs between the versions\n");
	for (size_t i = 0; i < c->n_fixes; i++) {
		const struct plan_fix *f = &c->fixes[i];

		printf("  %s %s%s", f->id, f->is_check ? "check" : f->line ? "named" : "given",
			f->is_confirmed ? ", confirmed" : ", not confirmed");
		if (f->line)
			printf(": %s %s: %s", f->package, f->version, f->line);
		printf("\n");
	}
}

/* The access of the patched file, which a set's file may have as well, or not. */
static bool is_kept(const struct plan_component *c, const struct base_set *set, size_t file)
{
	struct file_access to;

	return !set->files[file].present || (state_access(c->files[file].row->to, &to) == 0 &&
						    access_equal(&set->files[file].access, &to));
}

static void show_sets(const struct plan_component *c)
{
	for (size_t i = 0; i < c->n_sets; i++) {
		printf("  base set %s\n", c->sets[i].name);
		for (size_t k = 0; k < c->n_files; k++) {
			const struct file_access *a = &c->sets[i].files[k].access;

			if (!is_kept(c, &c->sets[i], k))
				printf("    /%s is %" PRIu32 ":%" PRIu32 " %04" PRIo32 "%s there\n",
					c->files[k].path, a->uid, a->gid, a->mode,
					a->has_attributes ? " with capabilities or an ACL" : "");
		}
	}
}

static void show_component(const struct plan_component *c)
{
	printf("component %s%s\n", c->name, c->is_refused ? " (refused)" : "");
	if (c->n_files > 0)
		printf("  activation %s: %s\n", activation_text(c->activation),
			c->activation_reason);
	show_packages(c);
	show_files(c);
	show_sets(c);
	show_fixes(c);
}

static const char *note_component(const struct plan *p, const struct plan_note *n)
{
	return n->component == GROUPING_NONE ? NULL : p->components[n->component].name;
}

void publish_show_plan(const struct plan *p)
{
	for (size_t i = 0; i < p->n_components; i++)
		show_component(&p->components[i]);
	for (size_t i = 0; i < p->n_notes; i++) {
		const struct plan_note *n = &p->notes[i];
		const char *component = note_component(p, n);

		printf("%s%s%s: %s: %s\n", plan_note_text(n->kind), component ? " in " : "",
			component ? component : "", n->subject, n->reason);
	}
	if (p->n_components == 0)
		printf("nothing that can be published differs\n");
}

static json_t *packages_json(const struct plan_component *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_packages; i++) {
		json_t *from = json_array();

		for (size_t k = 0; k < c->packages[i].n_from; k++)
			(void)json_array_append_new(from, json_string(c->packages[i].from[k]));
		(void)json_array_append_new(list,
			json_pack("{s:s, s:o, s:s}", "name", c->packages[i].name, "from", from,
				"to", c->packages[i].to));
	}
	return list;
}

static json_t *files_json(const struct plan_component *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_files; i++) {
		const struct state_file *f = c->files[i].row->to;

		(void)json_array_append_new(list,
			json_pack("{s:s, s:s, s:I, s:i, s:i, s:i, s:b, s:s}", "path",
				c->files[i].path, "content", f->path, "size",
				(json_int_t)f->size_bytes, "mode", (int)f->mode, "uid", (int)f->uid,
				"gid", (int)f->gid, "privileged", (int)c->files[i].is_privileged,
				"sha256", digest_format(&f->digest).text));
	}
	return list;
}

static json_t *equivalent_json(const struct plan_component *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_equivalent; i++)
		(void)json_array_append_new(list, json_string(c->equivalent[i].path));
	return list;
}

/* Files of a set that are another's, or may be used by others, than the patched ones. */
static json_t *other_access_json(const struct plan_component *c, const struct base_set *set)
{
	json_t *list = json_array();

	for (size_t k = 0; k < c->n_files; k++) {
		const struct file_access *a = &set->files[k].access;

		if (is_kept(c, set, k))
			continue;
		(void)json_array_append_new(list,
			json_pack("{s:s, s:I, s:I, s:I, s:s?}", "path", c->files[k].path, "mode",
				(json_int_t)a->mode, "uid", (json_int_t)a->uid, "gid",
				(json_int_t)a->gid, "attributes",
				a->has_attributes ? digest_format(&a->attributes).text : NULL));
	}
	return list;
}

static json_t *sets_json(const struct plan_component *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_sets; i++) {
		json_int_t n = 0;

		for (size_t k = 0; k < c->n_files; k++)
			n += c->sets[i].files[k].present;
		(void)json_array_append_new(list,
			json_pack("{s:s, s:I, s:o}", "name", c->sets[i].name, "files", n,
				"other_access", other_access_json(c, &c->sets[i])));
	}
	return list;
}

static json_t *fixes_json(const struct plan_component *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_fixes; i++) {
		const struct plan_fix *f = &c->fixes[i];

		(void)json_array_append_new(list,
			json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:b}", "id", f->id, "verdict",
				f->is_check     ? "check"
					: f->line ? "named"
						  : "given",
				"package", f->package, "version", f->version, "line", f->line,
				"confirmed", (int)f->is_confirmed));
	}
	return list;
}

json_t *publish_plan_json(const struct plan *p)
{
	json_t *components = json_array(), *notes = json_array();

	for (size_t i = 0; i < p->n_components; i++) {
		const struct plan_component *c = &p->components[i];

		(void)json_array_append_new(components,
			json_pack("{s:s, s:b, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "name", c->name,
				"refused", (int)c->is_refused, "activation",
				activation_text(c->activation), "activation_reason",
				c->activation_reason ? c->activation_reason : "", "packages",
				packages_json(c), "files", files_json(c), "equivalent",
				equivalent_json(c), "sets", sets_json(c), "cves", fixes_json(c)));
	}
	for (size_t i = 0; i < p->n_notes; i++) {
		const struct plan_note *n = &p->notes[i];

		(void)json_array_append_new(notes,
			json_pack("{s:s, s:s?, s:s, s:s}", "kind", plan_note_text(n->kind),
				"component", note_component(p, n), "subject", n->subject, "reason",
				n->reason));
	}
	return json_pack("{s:o, s:o}", "components", components, "notes", notes);
}

void publish_show_manifest(const struct manifest *m)
{
	printf("%s (%s), build %" PRIu64 "\n", m->name, m->letter, m->build);
	for (size_t i = 0; i < m->n_components; i++) {
		const struct component *c = &m->components[i];
		char image[32], payload[32];

		publish_format_bytes(c->image.size, image, sizeof image);
		publish_format_bytes(c->payloads[0].size, payload, sizeof payload);
		printf("  %s: %zu %s, %zu %s, image %s, payload %s, %s\n", c->name, c->n_files,
			c->n_files == 1 ? "file" : "files", c->n_sets,
			c->n_sets == 1 ? "base set" : "base sets", image, payload,
			activation_text(c->activation));
		for (size_t k = 1; k < c->n_payloads; k++) {
			publish_format_bytes(c->payloads[k].size, payload, sizeof payload);
			printf("    delta against %s: %s\n",
				c->payloads[k].set ? c->payloads[k].set : "?", payload);
		}
		for (size_t k = 0; k < c->n_cves; k++)
			printf("%s%s", k == 0 ? "    fixes " : ", ", c->cves[k]);
		if (c->n_cves > 0)
			printf("\n");
	}
}

json_t *publish_manifest_json(const struct manifest *m)
{
	json_t *components = json_array();

	for (size_t i = 0; i < m->n_components; i++) {
		const struct component *c = &m->components[i];
		json_t *cves = json_array(), *files = json_array(), *payloads = json_array();

		for (size_t k = 0; k < c->n_payloads; k++)
			(void)json_array_append_new(payloads,
				json_pack("{s:s, s:I, s:s?, s:I}", "kind", c->payloads[k].kind, "bytes",
					(json_int_t)c->payloads[k].size, "set", c->payloads[k].set,
					"memory_bytes", (json_int_t)c->payloads[k].memory_bytes));
		for (size_t k = 0; k < c->n_cves; k++)
			(void)json_array_append_new(cves, json_string(c->cves[k]));
		for (size_t k = 0; k < c->n_files; k++)
			(void)json_array_append_new(files, json_string(c->files[k].path));
		(void)json_array_append_new(components,
			json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:o, s:I, s:o, s:o}", "name", c->name,
				"activation", activation_text(c->activation), "image",
				digest_format(&c->image.digest).text, "image_bytes",
				(json_int_t)c->image.size, "root",
				digest_format(&c->image.root).text, "fs_verity",
				digest_format(&c->image.fs_verity).text, "payload_bytes",
				(json_int_t)c->payloads[0].size, "payloads", payloads, "sets", (json_int_t)c->n_sets,
				"cves", cves, "files", files));
	}
	return json_pack("{s:s, s:s, s:s, s:I, s:o}", "base", m->base, "name", m->name, "letter",
		m->letter, "build", (json_int_t)m->build, "components", components);
}
