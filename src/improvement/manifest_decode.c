/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON to struct manifest. Types and counts are checked here, rules in manifest_check.c. */
#include <errno.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "improvement/manifest.h"
#include "improvement/member.h"

#define FORMAT "bsi-manifest"
#define FORMAT_VERSION 1

/* An array's element as an object. */
static int get_element(const json_t *array, size_t i, const char *what, json_t **ret,
	struct error *reterr)
{
	json_t *v = json_array_get(array, i);

	if (!json_is_object(v))
		return error_set(reterr, -BSI_E_FORMAT, "%s number %zu is not an object", what, i);
	*ret = v;
	return 0;
}

/*
 * An array member and zeroed room for its elements. The count is handed out together with the
 * memory, so that manifest_free() finds both or none.
 */
static int get_elements(const json_t *o, const char *key, size_t max, size_t element_bytes,
	json_t **ret_array, void **ret, size_t *ret_n, struct error *reterr)
{
	size_t n;
	int r;

	r = json_get_array(o, key, max, ret_array, reterr);
	if (r < 0)
		return r;
	n = json_array_size(*ret_array);
	if (n == 0)
		return 0;
	*ret = calloc(n, element_bytes);
	if (!*ret)
		return -ENOMEM;
	*ret_n = n;
	return 0;
}

#define GET_ELEMENTS(o, key, max, ret_array, list, n_list, reterr)                                 \
	get_elements(o, key, max, sizeof *(list), ret_array, (void **)&(list), &(n_list), reterr)

static int decode_texts(const json_t *o, const char *key, size_t max, char ***ret, size_t *ret_n,
	struct error *reterr)
{
	json_t *array;
	int r;

	r = GET_ELEMENTS(o, key, max, &array, *ret, *ret_n, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < *ret_n; i++) {
		const json_t *v = json_array_get(array, i);

		if (!json_is_string(v))
			return error_set(reterr, -BSI_E_FORMAT, "\"%s\" holds what is no string",
				key);
		(*ret)[i] = strdup(json_string_value(v));
		if (!(*ret)[i])
			return -ENOMEM;
	}
	return 0;
}

static int decode_packages(const json_t *o, struct component *c, struct error *reterr)
{
	json_t *array, *element = NULL;
	int r;

	r = GET_ELEMENTS(o, "packages", MANIFEST_PACKAGES_MAX, &array, c->packages, c->n_packages,
		reterr);
	for (size_t i = 0; r == 0 && i < c->n_packages; i++) {
		struct package_change *p = &c->packages[i];

		r = get_element(array, i, "package", &element, reterr);
		if (r == 0)
			r = json_copy_text(element, "name", &p->name, reterr);
		if (r == 0)
			r = decode_texts(element, "from", MANIFEST_FROM_MAX, &p->from, &p->n_from,
				reterr);
		if (r == 0)
			r = json_copy_text(element, "to", &p->to, reterr);
	}
	return r;
}

static int decode_image(const json_t *o, struct image_ref *image, struct error *reterr)
{
	const char *salt;
	json_t *v;
	int r;

	r = json_get_object(o, "image", &v, reterr);
	if (r == 0)
		r = json_get_digest(v, "digest", &image->digest, reterr);
	if (r == 0)
		r = json_get_u64(v, "size", MANIFEST_IMAGE_MAX_BYTES, &image->size, reterr);
	if (r == 0)
		r = json_get_digest(v, "root", &image->root, reterr);
	if (r == 0)
		r = json_get_u64(v, "tree_offset", MANIFEST_IMAGE_MAX_BYTES, &image->tree_offset,
			reterr);
	if (r == 0)
		r = json_get_digest(v, "fs_verity", &image->fs_verity, reterr);
	if (r == 0)
		r = json_get_text(v, "salt", &salt, reterr);
	if (r == 0 && hex_parse(salt, image->salt, sizeof image->salt) < 0)
		r = error_set(reterr, -BSI_E_FORMAT, "\"salt\" is not %d bytes of hex",
			MANIFEST_SALT_BYTES);
	return r;
}

static int decode_payload(const json_t *o, struct payload *p, struct error *reterr)
{
	int r;

	r = json_copy_text(o, "kind", &p->kind, reterr);
	if (r == 0)
		r = json_get_u64(o, "version", MANIFEST_BUILD_MAX, &p->version, reterr);
	if (r == 0)
		r = json_copy_text(o, "target", &p->target, reterr);
	if (r == 0)
		r = json_get_u64(o, "size", MANIFEST_IMAGE_MAX_BYTES, &p->size, reterr);
	if (r == 0)
		r = json_get_digest(o, "digest", &p->digest, reterr);
	if (r == 0)
		r = json_get_u64(o, "memory_bytes", MANIFEST_IMAGE_MAX_BYTES, &p->memory_bytes,
			reterr);
	if (r == 0)
		r = member_copy_nullable_text(o, "set", &p->set, reterr);
	return r;
}

static int decode_payloads(const json_t *o, struct component *c, struct error *reterr)
{
	json_t *array, *element = NULL;
	int r;

	r = GET_ELEMENTS(o, "payloads", MANIFEST_PAYLOADS_MAX, &array, c->payloads, c->n_payloads,
		reterr);
	for (size_t i = 0; r == 0 && i < c->n_payloads; i++) {
		r = get_element(array, i, "payload", &element, reterr);
		if (r == 0)
			r = decode_payload(element, &c->payloads[i], reterr);
	}
	return r;
}

/* Four octal digits, so "0755". */
static int decode_mode(const json_t *o, uint32_t *ret, struct error *reterr)
{
	const char *text;
	uint32_t mode = 0;
	int r;

	r = json_get_text(o, "mode", &text, reterr);
	if (r < 0)
		return r;
	if (strlen(text) != 4 || strspn(text, "01234567") != 4)
		return error_set(reterr, -BSI_E_FORMAT, "\"mode\" is not four octal digits");
	for (; *text; text++)
		mode = mode << 3 | (uint32_t)(*text - '0');
	*ret = mode;
	return 0;
}

static int decode_id(const json_t *o, const char *key, uint32_t *ret, struct error *reterr)
{
	uint64_t id;
	int r = json_get_u64(o, key, ACCESS_ID_MAX, &id, reterr);

	if (r == 0)
		*ret = (uint32_t)id;
	return r;
}

static int decode_access(const json_t *o, struct file_access *access, struct error *reterr)
{
	int r;

	r = decode_mode(o, &access->mode, reterr);
	if (r == 0)
		r = decode_id(o, "uid", &access->uid, reterr);
	if (r == 0)
		r = decode_id(o, "gid", &access->gid, reterr);
	if (r < 0 || json_is_null(json_object_get(o, "attributes")))
		return r;
	access->has_attributes = true;
	return json_get_digest(o, "attributes", &access->attributes, reterr);
}

static int decode_files(const json_t *o, struct component *c, struct error *reterr)
{
	json_t *array, *element = NULL;
	int r;

	r = GET_ELEMENTS(o, "files", MANIFEST_FILES_MAX, &array, c->files, c->n_files, reterr);
	for (size_t i = 0; r == 0 && i < c->n_files; i++) {
		struct patched_file *f = &c->files[i];

		r = get_element(array, i, "file", &element, reterr);
		if (r == 0)
			r = json_copy_text(element, "path", &f->path, reterr);
		if (r == 0)
			r = decode_access(element, &f->access, reterr);
		if (r == 0)
			r = json_get_u64(element, "size", MANIFEST_FILE_MAX_BYTES, &f->size, reterr);
		if (r == 0)
			r = json_get_digest(element, "digest", &f->digest, reterr);
		if (r == 0)
			r = json_get_bool(element, "privileged", &f->privileged, reterr);
	}
	return r;
}

/* Nothing, a digest where the patched file keeps the base's access, or an object where it does not. */
static int decode_set_file(const json_t *v, const struct patched_file *patched,
	struct set_file *f, struct error *reterr)
{
	int r;

	if (json_is_null(v))
		return 0;
	f->present = true;
	if (json_is_string(v)) {
		f->access = patched->access;
		return digest_parse(json_string_value(v), &f->digest) < 0
			? error_set(reterr, -BSI_E_FORMAT, "it holds what is no SHA-256 digest")
			: 0;
	}
	if (!json_is_object(v))
		return error_set(reterr, -BSI_E_FORMAT,
			"it holds what is neither digest, object nor null");
	r = json_get_digest(v, "digest", &f->digest, reterr);
	if (r == 0)
		r = decode_access(v, &f->access, reterr);
	if (r == 0 && access_equal(&f->access, &patched->access))
		r = error_set(reterr, -BSI_E_FORMAT,
			"\"%s\" has the patched file's access, and a digest alone says so",
			patched->path);
	return r;
}

static int decode_set(const json_t *o, const struct component *c, struct base_set *set,
	struct error *reterr)
{
	size_t n = 0;
	json_t *array;
	int r;

	r = json_copy_text(o, "name", &set->name, reterr);
	if (r == 0)
		r = GET_ELEMENTS(o, "files", MANIFEST_FILES_MAX, &array, set->files, n, reterr);
	if (r < 0)
		return r;
	if (n != c->n_files)
		return error_set(reterr, -BSI_E_FORMAT,
			"base set \"%s\" has %zu digests for %zu files", set->name, n, c->n_files);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = decode_set_file(json_array_get(array, i), &c->files[i], &set->files[i], reterr);
	if (r < 0)
		error_prefix(reterr, "base set \"%s\"", set->name);
	return r;
}

static int decode_sets(const json_t *o, struct component *c, struct error *reterr)
{
	json_t *array, *element = NULL;
	int r;

	r = GET_ELEMENTS(o, "sets", MANIFEST_SETS_MAX, &array, c->sets, c->n_sets, reterr);
	for (size_t i = 0; r == 0 && i < c->n_sets; i++) {
		r = get_element(array, i, "base set", &element, reterr);
		if (r == 0)
			r = decode_set(element, c, &c->sets[i], reterr);
	}
	return r;
}

static int decode_activation(const json_t *o, enum activation *ret, struct error *reterr)
{
	const char *text;
	int r;

	r = json_get_text(o, "activation", &text, reterr);
	if (r < 0)
		return r;
	if (activation_parse(text, ret) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "activation \"%s\" is not known", text);
	return 0;
}

static int decode_component(const json_t *o, struct component *c, struct error *reterr)
{
	int r;

	r = decode_activation(o, &c->activation, reterr);
	if (r == 0)
		r = decode_packages(o, c, reterr);
	if (r == 0)
		r = decode_texts(o, "cves", MANIFEST_CVES_MAX, &c->cves, &c->n_cves, reterr);
	if (r == 0)
		r = decode_image(o, &c->image, reterr);
	if (r == 0)
		r = decode_payloads(o, c, reterr);
	if (r == 0)
		r = decode_files(o, c, reterr);
	if (r == 0)
		r = decode_sets(o, c, reterr);
	return r;
}

static int decode_components(const json_t *o, struct manifest *m, struct error *reterr)
{
	json_t *array, *element = NULL;
	int r;

	r = GET_ELEMENTS(o, "components", MANIFEST_COMPONENTS_MAX, &array, m->components,
		m->n_components, reterr);
	for (size_t i = 0; r == 0 && i < m->n_components; i++) {
		struct component *c = &m->components[i];

		r = get_element(array, i, "component", &element, reterr);
		if (r == 0)
			r = json_copy_text(element, "name", &c->name, reterr);
		if (r < 0)
			return r;
		r = decode_component(element, c, reterr);
		if (r < 0)
			error_prefix(reterr, "component \"%s\"", c->name);
	}
	return r;
}

static int decode_root(const json_t *o, struct manifest *m, struct error *reterr)
{
	int r;

	r = json_check_format(o, FORMAT, FORMAT_VERSION, reterr);
	if (r == 0)
		r = json_copy_text(o, "base", &m->base, reterr);
	if (r == 0)
		r = json_copy_text(o, "name", &m->name, reterr);
	if (r == 0)
		r = json_copy_text(o, "letter", &m->letter, reterr);
	if (r == 0)
		r = json_get_u64(o, "build", MANIFEST_BUILD_MAX, &m->build, reterr);
	if (r == 0)
		r = member_get_time(o, "issued", &m->issued_utc_s, reterr);
	if (r == 0)
		r = json_copy_text(o, "severity", &m->severity, reterr);
	if (r == 0)
		r = json_copy_text(o, "text", &m->text, reterr);
	if (r == 0)
		r = decode_components(o, m, reterr);
	return r;
}

int manifest_decode(const void *data, size_t len, struct manifest **ret, struct error *reterr)
{
	AUTO(manifest) struct manifest *m = NULL;
	AUTO_JSON json_t *root = NULL;
	int r;

	if (len > MANIFEST_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "the manifest is larger than %u bytes",
			MANIFEST_MAX_BYTES);
	r = json_parse(data, len, "the manifest", &root, reterr);
	if (r < 0)
		return r;
	m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	r = decode_root(root, m, reterr);
	if (r == 0)
		r = manifest_check(m, reterr);
	if (r == 0)
		r = member_check_canonical(root, data, len, reterr);
	if (r < 0) {
		error_prefix(reterr, "the manifest");
		return r;
	}
	*ret = take_ptr(m);
	return 0;
}
