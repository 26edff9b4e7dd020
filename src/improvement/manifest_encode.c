/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* struct manifest to canonical JSON. */
#include <errno.h>
#include <stdio.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/utc.h"
#include "improvement/manifest.h"

#define FORMAT "bsi-manifest"
#define FORMAT_VERSION 1

/* json_pack() with '*' would drop a member that could not be made; every NULL is refused here. */
static json_t *digest_json(const struct digest *d)
{
	struct digest_hex hex = digest_format(d);

	return json_string(hex.text);
}

static json_t *texts_json(char *const *texts, size_t n)
{
	AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; array && i < n; i++)
		if (json_array_append_new(array, json_string(texts[i])) < 0)
			return NULL;
	return take_ptr(array);
}

static json_t *package_json(const void *item)
{
	const struct package_change *p = item;

	return json_pack("{s:s, s:o, s:s}", "name", p->name, "from",
		texts_json(p->from, p->n_from), "to", p->to);
}

static json_t *payload_json(const void *item)
{
	const struct payload *p = item;

	return json_pack("{s:s, s:I, s:s, s:I, s:o, s:I, s:s?}", "kind", p->kind, "version",
		(json_int_t)p->version, "target", p->target, "size", (json_int_t)p->size, "digest",
		digest_json(&p->digest), "memory_bytes", (json_int_t)p->memory_bytes, "set", p->set);
}

/* The members of an object that has no others yet. */
static json_t *access_json(const struct file_access *access)
{
	char mode[8];

	(void)snprintf(mode, sizeof mode, "%04o", access->mode & 07777U);
	return json_pack("{s:s, s:I, s:I, s:o}", "mode", mode, "uid", (json_int_t)access->uid, "gid",
		(json_int_t)access->gid, "attributes",
		access->has_attributes ? digest_json(&access->attributes) : json_null());
}

static json_t *file_json(const void *item)
{
	const struct patched_file *f = item;
	AUTO_JSON json_t *o = access_json(&f->access);
	AUTO_JSON json_t *rest = json_pack("{s:s, s:I, s:o, s:b}", "path", f->path, "size",
		(json_int_t)f->size, "digest", digest_json(&f->digest), "privileged",
		(int)f->privileged);

	return o && rest && json_object_update(o, rest) == 0 ? take_ptr(o) : NULL;
}

/* A digest alone says that the patched file keeps the access that the base's file has. */
static json_t *set_file_json(const struct set_file *f, const struct patched_file *patched)
{
	AUTO_JSON json_t *o = NULL;

	if (!f->present)
		return json_null();
	if (access_equal(&f->access, &patched->access))
		return digest_json(&f->digest);
	o = access_json(&f->access);
	return o && json_object_set_new(o, "digest", digest_json(&f->digest)) == 0 ? take_ptr(o)
										   : NULL;
}

static json_t *set_json(const struct base_set *set, const struct component *c)
{
	AUTO_JSON json_t *files = json_array();

	for (size_t i = 0; files && i < c->n_files; i++)
		if (json_array_append_new(files, set_file_json(&set->files[i], &c->files[i])) < 0)
			return NULL;
	return json_pack("{s:s, s:O}", "name", set->name, "files", files);
}

static json_t *image_json(const struct image_ref *image)
{
	char salt[2 * MANIFEST_SALT_BYTES + 1];

	hex_format(image->salt, sizeof image->salt, salt);
	return json_pack("{s:o, s:I, s:o, s:s, s:I, s:o}", "digest", digest_json(&image->digest), "size",
		(json_int_t)image->size, "root", digest_json(&image->root), "salt", salt,
		"tree_offset", (json_int_t)image->tree_offset, "fs_verity",
		digest_json(&image->fs_verity));
}

static json_t *list_json(const void *items, size_t n, size_t item_bytes,
	json_t *(*item_json)(const void *item))
{
	AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; array && i < n; i++)
		if (json_array_append_new(array,
			    item_json((const char *)items + i * item_bytes)) < 0)
			return NULL;
	return take_ptr(array);
}

#define LIST_JSON(items, n, item_json) list_json(items, n, sizeof *(items), item_json)

static json_t *sets_json(const struct component *c)
{
	AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; array && i < c->n_sets; i++)
		if (json_array_append_new(array, set_json(&c->sets[i], c)) < 0)
			return NULL;
	return take_ptr(array);
}

static json_t *component_json(const void *item)
{
	const struct component *c = item;

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", c->name, "activation",
		activation_text(c->activation), "packages",
		LIST_JSON(c->packages, c->n_packages, package_json), "cves",
		texts_json(c->cves, c->n_cves), "image", image_json(&c->image), "payloads",
		LIST_JSON(c->payloads, c->n_payloads, payload_json), "files",
		LIST_JSON(c->files, c->n_files, file_json), "sets", sets_json(c));
}

int manifest_encode(const struct manifest *m, struct buffer *out, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	struct utc_text issued;
	AUTO_JSON json_t *root = NULL;
	int r;

	r = manifest_check(m, reterr);
	if (r < 0)
		return r;
	issued = utc_format(m->issued_utc_s);
	root = json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:o}", "format", FORMAT,
		"version", FORMAT_VERSION, "base", m->base, "name", m->name, "letter", m->letter,
		"build", (json_int_t)m->build, "issued", issued.text, "severity",
		m->severity ? m->severity : manifest_severities[0], "text", m->text ? m->text : "",
		"components", LIST_JSON(m->components, m->n_components, component_json));
	if (!root)
		return error_set(reterr, -BSI_E_FORMAT, "a text of the manifest is not UTF-8");
	r = json_canonical(root, &bytes);
	if (r == -BSI_E_LIMIT)
		return error_set(reterr, r, "the manifest would be larger than %u bytes",
			MANIFEST_MAX_BYTES);
	if (r < 0)
		return r;
	buffer_put(out, bytes.data, bytes.len);
	return out->err;
}
