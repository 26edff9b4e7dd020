/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules of docs/formats/manifest.md, over the struct: one place for what a decoder may hand
 * out and what an encoder may write.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "improvement/base_id.h"
#include "improvement/debversion.h"
#include "improvement/letter.h"
#include "improvement/manifest.h"
#include "improvement/member.h"
#include "improvement/text.h"

#define BLOCK_BYTES 4096U
#define PAYLOAD_KIND_MAX_BYTES 32

/* Texts in byte order, so that equal ones are neighbours. */
static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Paths with '/' before every other byte, so that what lies below a path follows it at once. */
static int compare_paths(const void *a, const void *b)
{
	const char *p = *(const char *const *)a, *q = *(const char *const *)b;
	int x, y;

	while (*p && *p == *q)
		p++, q++;
	x = *p == '/' ? 1 : (unsigned char)*p;
	y = *q == '/' ? 1 : (unsigned char)*q;
	return x - y;
}

static int find_duplicate(const char **texts, size_t n, const char **ret)
{
	*ret = NULL;
	qsort(texts, n, sizeof *texts, compare_texts);
	for (size_t i = 1; i < n && !*ret; i++)
		if (strcmp(texts[i - 1], texts[i]) == 0)
			*ret = texts[i];
	return *ret ? -BSI_E_FORMAT : 0;
}

static int check_texts_differ(char *const *texts, size_t n, const char *what, struct error *reterr)
{
	AUTO_FREE const char **sorted = calloc(n + 1, sizeof *sorted);
	const char *twice;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = texts[i];
	if (find_duplicate(sorted, n, &twice) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "%s \"%s\" is listed twice", what, twice);
	return 0;
}

static int check_count(size_t n, size_t max, const char *what, struct error *reterr)
{
	if (n > max)
		return error_set(reterr, -BSI_E_LIMIT, "more than %zu %s", max, what);
	return 0;
}

static int check_package(const struct package_change *p, struct error *reterr)
{
	int r;

	if (!p->name || !text_is_word(p->name, MANIFEST_NAME_MAX_BYTES))
		return error_set(reterr, -BSI_E_FORMAT, "a package name is not valid");
	if (!p->to || debversion_check(p->to) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "package \"%s\": \"to\" is not a version",
			p->name);
	r = check_count(p->n_from, MANIFEST_FROM_MAX, "versions of a package", reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->n_from; i++)
		if (!p->from[i] || debversion_check(p->from[i]) < 0)
			return error_set(reterr, -BSI_E_FORMAT,
				"package \"%s\": \"from\" holds what is not a version", p->name);
	return check_texts_differ(p->from, p->n_from, "version", reterr);
}

static int check_packages(const struct component *c, struct error *reterr)
{
	AUTO_FREE char **names = NULL;
	int r;

	r = check_count(c->n_packages, MANIFEST_PACKAGES_MAX, "packages", reterr);
	if (r < 0)
		return r;
	names = calloc(c->n_packages + 1, sizeof *names);
	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_packages; i++) {
		r = check_package(&c->packages[i], reterr);
		if (r < 0)
			return r;
		names[i] = c->packages[i].name;
	}
	return check_texts_differ(names, c->n_packages, "package", reterr);
}

static int check_cves(const struct component *c, struct error *reterr)
{
	int r;

	r = check_count(c->n_cves, MANIFEST_CVES_MAX, "CVE ids", reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->n_cves; i++)
		if (!c->cves[i] || !text_is_cve(c->cves[i]))
			return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is not a CVE id",
				c->cves[i] ? c->cves[i] : "");
	return check_texts_differ(c->cves, c->n_cves, "CVE id", reterr);
}

static int check_image(const struct image_ref *image, struct error *reterr)
{
	if (image->size > MANIFEST_IMAGE_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "the image is larger than %" PRIu64 " bytes",
			MANIFEST_IMAGE_MAX_BYTES);
	if (image->size % BLOCK_BYTES != 0 || image->tree_offset % BLOCK_BYTES != 0)
		return error_set(reterr, -BSI_E_FORMAT,
			"the image's size or tree offset is not a multiple of %u", BLOCK_BYTES);
	if (image->tree_offset == 0 || image->tree_offset >= image->size)
		return error_set(reterr, -BSI_E_FORMAT, "the hash tree lies outside of the image");
	return 0;
}

static bool has_set(const struct component *c, const char *name)
{
	for (size_t i = 0; i < c->n_sets; i++)
		if (strcmp(c->sets[i].name, name) == 0)
			return true;
	return false;
}

static int check_payload(const struct component *c, const struct payload *p, struct error *reterr)
{
	if (!p->kind || !text_is_name(p->kind, PAYLOAD_KIND_MAX_BYTES))
		return error_set(reterr, -BSI_E_FORMAT, "a payload's kind is not valid");
	if (p->version == 0 || p->version > MANIFEST_BUILD_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "payload \"%s\": version out of range",
			p->kind);
	if (!p->target || target_name_check(p->target) < 0)
		return error_set(reterr, -BSI_E_PATH, "payload \"%s\": target is not a plain name",
			p->kind);
	if (p->size == 0 || p->size > MANIFEST_IMAGE_MAX_BYTES ||
		p->memory_bytes > MANIFEST_IMAGE_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "payload \"%s\": size or memory out of range",
			p->target);
	if (strcmp(p->kind, PAYLOAD_KIND_FULL) == 0 && p->set)
		return error_set(reterr, -BSI_E_FORMAT, "payload \"%s\": a full one needs no set",
			p->target);
	if (p->set && !has_set(c, p->set))
		return error_set(reterr, -BSI_E_FORMAT, "payload \"%s\": there is no set \"%s\"",
			p->target, p->set);
	return 0;
}

static int check_payloads(const struct component *c, struct error *reterr)
{
	int r;

	r = check_count(c->n_payloads, MANIFEST_PAYLOADS_MAX, "payloads", reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->n_payloads; i++) {
		const struct payload *p = &c->payloads[i];

		r = check_payload(c, p, reterr);
		if (r < 0)
			return r;
		if (component_payload(c, p->kind, p->version, p->set) != p)
			return error_set(reterr, -BSI_E_FORMAT,
				"payload \"%s\": the same kind, version and set twice", p->target);
	}
	for (size_t i = 0; i < c->n_payloads; i++)
		if (strcmp(c->payloads[i].kind, PAYLOAD_KIND_FULL) == 0)
			return 0;
	return error_set(reterr, -BSI_E_FORMAT, "no payload of kind \"" PAYLOAD_KIND_FULL "\"");
}

static int check_access(const char *path, const struct file_access *access, struct error *reterr)
{
	if (access->mode & ~(uint32_t)07777)
		return error_set(reterr, -BSI_E_FORMAT, "\"%s\": mode is more than permission bits",
			path);
	if (access->uid > ACCESS_ID_MAX || access->gid > ACCESS_ID_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "\"%s\": its owner is nobody's number", path);
	return 0;
}

static int check_file(const struct patched_file *f, struct error *reterr)
{
	int r;

	if (!f->path || path_check(f->path) < 0)
		return error_set(reterr, -BSI_E_PATH, "\"%s\" is not a valid path",
			f->path ? f->path : "");
	if (!text_is_plain(f->path, PATH_MAX_BYTES))
		return error_set(reterr, -BSI_E_PATH, "\"%s\": control characters", f->path);
	if (strncmp(f->path, "usr/", 4) != 0 && strncmp(f->path, "opt/", 4) != 0)
		return error_set(reterr, -BSI_E_PATH, "\"%s\" lies neither below usr/ nor opt/",
			f->path);
	r = check_access(f->path, &f->access, reterr);
	if (r < 0)
		return r;
	if ((f->access.mode & (S_ISUID | S_ISGID)) && !f->privileged)
		return error_set(reterr, -BSI_E_FORMAT,
			"\"%s\" is setuid or setgid and not called privileged", f->path);
	if (f->size > MANIFEST_FILE_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "\"%s\" is larger than %" PRIu64 " bytes",
			f->path, MANIFEST_FILE_MAX_BYTES);
	return 0;
}

static int check_files(const struct component *c, struct error *reterr)
{
	int r;

	if (c->n_files == 0)
		return error_set(reterr, -BSI_E_FORMAT, "no files");
	r = check_count(c->n_files, MANIFEST_FILES_MAX, "files", reterr);
	for (size_t i = 0; r == 0 && i < c->n_files; i++)
		r = check_file(&c->files[i], reterr);
	return r;
}

static bool is_same_state(const struct component *c, const struct base_set *a,
	const struct base_set *b)
{
	for (size_t i = 0; i < c->n_files; i++) {
		const struct set_file *x = &a->files[i], *y = &b->files[i];

		if (x->present != y->present)
			return false;
		if (x->present && (!digest_equal(&x->digest, &y->digest) ||
					  !access_equal(&x->access, &y->access)))
			return false;
	}
	return true;
}

static bool is_patched_state(const struct component *c, const struct base_set *set)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (!set->files[i].present ||
			!digest_equal(&set->files[i].digest, &c->files[i].digest))
			return false;
	return true;
}

static int check_sets(const struct component *c, struct error *reterr)
{
	int r;

	if (c->n_sets == 0)
		return error_set(reterr, -BSI_E_FORMAT, "no base sets");
	r = check_count(c->n_sets, MANIFEST_SETS_MAX, "base sets", reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->n_sets; i++) {
		const struct base_set *set = &c->sets[i];

		for (size_t k = 0; r == 0 && k < c->n_files; k++)
			r = check_access(c->files[k].path, &set->files[k].access, reterr);
		if (r < 0)
			return r;
		if (!set->name || !text_is_word(set->name, MANIFEST_NAME_MAX_BYTES))
			return error_set(reterr, -BSI_E_FORMAT, "a base set's name is not valid");
		if (is_patched_state(c, set))
			return error_set(reterr, -BSI_E_FORMAT,
				"base set \"%s\" is the patched state", set->name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(c->sets[j].name, set->name) == 0 ||
				is_same_state(c, &c->sets[j], set))
				return error_set(reterr, -BSI_E_FORMAT,
					"base sets \"%s\" and \"%s\" are the same", c->sets[j].name,
					set->name);
	}
	return 0;
}

static int check_component(const struct component *c, struct error *reterr)
{
	int r;

	if ((unsigned)c->activation >= ACTIVATION_MAX)
		return error_set(reterr, -BSI_E_FORMAT, "activation is not known");
	r = check_packages(c, reterr);
	if (r == 0)
		r = check_cves(c, reterr);
	if (r == 0)
		r = check_image(&c->image, reterr);
	if (r == 0)
		r = check_files(c, reterr);
	if (r == 0)
		r = check_sets(c, reterr);
	if (r == 0)
		r = check_payloads(c, reterr);
	return r;
}

/* Each path once in the whole manifest, and none below another one. */
static int check_paths_apart(const struct manifest *m, size_t n_total, struct error *reterr)
{
	AUTO_FREE const char **paths = calloc(n_total + 1, sizeof *paths);
	size_t n = 0;

	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_components; i++)
		for (size_t j = 0; j < m->components[i].n_files; j++)
			paths[n++] = m->components[i].files[j].path;
	qsort(paths, n, sizeof *paths, compare_paths);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(paths[i - 1], paths[i]) == 0)
			return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is listed twice", paths[i]);
		if (path_is_below(paths[i], paths[i - 1]))
			return error_set(reterr, -BSI_E_FORMAT, "\"%s\" lies below the file \"%s\"",
				paths[i], paths[i - 1]);
	}
	return 0;
}

static int check_components(const struct manifest *m, struct error *reterr)
{
	size_t n_files = 0;
	int r;

	if (m->n_components == 0)
		return error_set(reterr, -BSI_E_FORMAT, "no components");
	r = check_count(m->n_components, MANIFEST_COMPONENTS_MAX, "components", reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < m->n_components; i++) {
		const struct component *c = &m->components[i];

		if (!c->name || !text_is_name(c->name, MANIFEST_NAME_MAX_BYTES))
			return error_set(reterr, -BSI_E_FORMAT, "a component's name is not valid");
		if (manifest_component(m, c->name) != c)
			return error_set(reterr, -BSI_E_FORMAT, "component \"%s\" is listed twice",
				c->name);
		r = check_component(c, reterr);
		if (r < 0) {
			error_prefix(reterr, "component \"%s\"", c->name);
			return r;
		}
		n_files += c->n_files;
	}
	r = check_count(n_files, MANIFEST_FILES_TOTAL_MAX, "files in all", reterr);
	return r < 0 ? r : check_paths_apart(m, n_files, reterr);
}

static bool is_known_severity(const char *text)
{
	for (const char *const *s = manifest_severities; *s; s++)
		if (strcmp(*s, text) == 0)
			return true;
	return false;
}

int manifest_check(const struct manifest *m, struct error *reterr)
{
	if (!m->base || base_id_check(m->base) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"base\" is not the name of a base");
	if (!m->name || m->name[0] == '\0' || !text_is_plain(m->name, MANIFEST_NAME_MAX_BYTES))
		return error_set(reterr, -BSI_E_FORMAT, "\"name\" is not a valid name");
	if (!m->letter || letter_check(m->letter) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"letter\" is not a letter");
	if (m->build == 0 || m->build > MANIFEST_BUILD_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "\"build\" is out of range");
	if (m->issued_utc_s < 0 || m->issued_utc_s > MEMBER_UTC_MAX_S)
		return error_set(reterr, -BSI_E_LIMIT, "\"issued\" is out of range");
	if (m->severity && !is_known_severity(m->severity))
		return error_set(reterr, -BSI_E_FORMAT, "severity \"%s\" is not known", m->severity);
	if (m->text && !text_is_plain(m->text, MANIFEST_TEXT_MAX_BYTES))
		return error_set(reterr, -BSI_E_FORMAT,
			"\"text\" is too long or holds control characters");
	return check_components(m, reterr);
}
