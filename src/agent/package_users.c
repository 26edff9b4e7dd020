/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/package_database.h"
#include "agent/package_text.h"
#include "agent/packages.h"
#include "improvement/debversion.h"

/* A source package of the component, and the version of it that brings the fix. */
struct source {
	char *name;
	const char *fixed; /* NULL: its versions are not those of its packages */
};

struct reading {
	const struct component *component;
	struct source sources[MANIFEST_PACKAGES_MAX];
	size_t n_sources;
	struct package_users *users;
};

static void reading_done(struct reading *r)
{
	for (size_t i = 0; i < r->n_sources; i++)
		free(r->sources[i].name);
}

void package_users_free(struct package_users *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->n; i++) {
		free(u->list[i].package);
		free(u->list[i].version);
		free(u->list[i].source);
		free(u->list[i].source_version);
	}
	free(u->list);
	free(u);
}

/* "name", or "name (version)" where the package has another version than its source. */
static int add_source(struct reading *r, const struct package_paragraph *p)
{
	const char *text = p->source ? p->source : p->package;
	size_t len = strcspn(text, " \t("), i = 0;
	struct source *s;

	while (i < r->component->n_packages &&
		strcmp(r->component->packages[i].name, p->package) != 0)
		i++;
	if (i == r->component->n_packages || r->n_sources == MANIFEST_PACKAGES_MAX)
		return 0;
	s = &r->sources[r->n_sources];
	s->name = strndup(text, len);
	s->fixed = strchr(text, '(') ? NULL : r->component->packages[i].to;
	if (!s->name)
		return -ENOMEM;
	r->n_sources++;
	return 0;
}

static const struct source *find_source(const struct reading *r, const char *name)
{
	for (size_t i = 0; i < r->n_sources; i++)
		if (strcmp(r->sources[i].name, name) == 0)
			return &r->sources[i];
	return NULL;
}

static int add_user(struct package_users *u, const struct package_paragraph *p, const char *source,
	const char *source_version)
{
	struct package_user *list;

	for (size_t i = 0; i < u->n; i++)
		if (strcmp(u->list[i].package, p->package) == 0 &&
			strcmp(u->list[i].source, source) == 0 &&
			strcmp(u->list[i].source_version, source_version) == 0)
			return 0;
	list = reallocarray(u->list, u->n + 1, sizeof *list);
	if (!list)
		return -ENOMEM;
	u->list = list;
	list[u->n] = (struct package_user){.package = strdup(p->package),
		.version = strdup(p->version),
		.source = strdup(source),
		.source_version = strdup(source_version)};
	u->n++;
	return list[u->n - 1].package && list[u->n - 1].version && list[u->n - 1].source &&
			       list[u->n - 1].source_version ?
		       0 :
		       -ENOMEM;
}

static int add_users(struct reading *r, const struct package_paragraph *p, const char *field)
{
	char *text = field ? strdup(field) : NULL, *at = text;
	const char *source, *version;
	int code = 0;

	if (field && !text)
		return -ENOMEM;
	while (code == 0 && at && package_built_next(&at, &source, &version)) {
		const struct source *s = find_source(r, source);

		if (s && (!s->fixed || debversion_compare(version, s->fixed) < 0))
			code = add_user(r->users, p, source, version);
	}
	free(text);
	return code;
}

/* Sources first, then who uses them. */
static int read_twice(struct reading *r, const struct package_database *d)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < d->n; i++)
		if (package_is_installed(&d->list[i]))
			code = add_source(r, &d->list[i]);
	for (size_t i = 0; code == 0 && r->n_sources > 0 && i < d->n; i++) {
		const struct package_paragraph *p = &d->list[i];

		if (!package_is_installed(p))
			continue;
		code = add_users(r, p, p->built_using);
		if (code == 0)
			code = add_users(r, p, p->static_built_using);
	}
	return code;
}

int package_users_read(int root_fd, const struct component *component, struct package_users **ret)
{
	AUTO(package_users) struct package_users *users = calloc(1, sizeof *users);
	__attribute__((cleanup(reading_done))) struct reading r = {
		.component = component, .users = users};
	AUTO_DONE(package_database) struct package_database d = {0};
	int code;

	if (!users)
		return -ENOMEM;
	code = package_database_read(root_fd, &d);
	if (code == 0)
		code = read_twice(&r, &d);
	else if (code == -ENOENT)
		code = 0;
	if (code < 0)
		return code;
	*ret = take_ptr(users);
	return 0;
}
