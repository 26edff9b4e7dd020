/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/succession.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static bool has_set(const struct plan_component *c, const char *name)
{
	for (size_t i = 0; i < c->n_sets; i++)
		if (strcmp(c->sets[i].name, name) == 0)
			return true;
	return false;
}

static bool has_file(const struct plan_component *c, const char *path)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (strcmp(c->files[i].path, path) == 0)
			return true;
	return false;
}

static int warn(struct plan *p, size_t component, const char *subject, const char *letter,
	const char *reason)
{
	AUTO_FREE char *text = NULL;

	if (asprintf(&text, "(%s) %s", letter, reason) < 0) {
		text = NULL; /* which asprintf() leaves undefined */
		return -ENOMEM;
	}
	return plan_warn(p, component, subject, text);
}

static int warn_component(struct plan *p, size_t i, const struct component *old,
	const char *letter)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < old->n_sets; k++)
		if (!has_set(&p->components[i], old->sets[k].name))
			r = warn(p, i, old->sets[k].name, letter,
				"is for devices in this state, and this one is not: they would go back "
				"to the base (--from names it)");
	for (size_t k = 0; r == 0 && k < old->n_files; k++)
		if (!has_file(&p->components[i], old->files[k].path))
			r = warn(p, i, old->files[k].path, letter,
				"patches this file, and this one does not");
	return r;
}

int succession_warn(struct plan *p, const struct manifest *before)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_components; i++) {
		const struct component *old = manifest_component(before, p->components[i].name);

		if (old)
			r = warn_component(p, i, old, before->letter);
	}
	return r;
}

/* A payload may be made anew by a newer encoder: what it is for counts. */
static void forget_bytes(json_t *component)
{
	static const char *const members[] = {"target", "size", "digest", "memory_bytes", "version"};
	json_t *payload;
	size_t i;

	json_array_foreach(json_object_get(component, "payloads"), i, payload)
	{
		for (size_t k = 0; k < ARRAY_SIZE(members); k++)
			(void)json_object_del(payload, members[k]);
	}
}

/* What a manifest says, its components by name, without what every letter has of its own. */
static int meaning(const struct manifest *m, json_t **ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	AUTO_JSON json_t *document = NULL, *by_name = json_object();
	json_t *component;
	size_t i;
	int r;

	r = manifest_encode(m, &bytes, reterr);
	if (r == 0)
		r = json_parse(bytes.data, bytes.len, "manifest", &document, reterr);
	if (r < 0)
		return r;
	json_array_foreach(json_object_get(document, "components"), i, component)
	{
		forget_bytes(component);
		if (json_object_set(by_name, m->components[i].name, component) < 0)
			return -ENOMEM;
	}
	if (json_object_set(document, "components", by_name) < 0)
		return -ENOMEM;
	(void)json_object_del(document, "letter");
	(void)json_object_del(document, "build");
	(void)json_object_del(document, "issued");
	*ret = take_ptr(document);
	return 0;
}

int succession_is_same(const struct manifest *a, const struct manifest *b, bool *ret,
	struct error *reterr)
{
	AUTO_JSON json_t *first = NULL, *second = NULL;
	int r;

	r = meaning(a, &first, reterr);
	if (r == 0)
		r = meaning(b, &second, reterr);
	if (r == 0)
		*ret = json_equal(first, second);
	return r;
}
