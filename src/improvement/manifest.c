/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/manifest.h"

#include <errno.h>
#include <string.h>

const char *const manifest_severities[] = {
	"unspecified", "low", "medium", "high", "critical", NULL,
};

static const char *const activations[] = {
	[ACTIVATION_LIVE] = "live",
	[ACTIVATION_IDLE] = "idle",
	[ACTIVATION_BOOT] = "boot",
};
_Static_assert(ARRAY_SIZE(activations) == ACTIVATION_MAX, "a word for each activation");

const char *activation_text(enum activation activation)
{
	return (unsigned)activation < ACTIVATION_MAX ? activations[activation] : "unknown";
}

int activation_parse(const char *text, enum activation *ret)
{
	for (unsigned i = 0; i < ACTIVATION_MAX; i++) {
		if (strcmp(activations[i], text) != 0)
			continue;
		*ret = (enum activation)i;
		return 0;
	}
	return -BSI_E_FORMAT;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; texts && i < n; i++)
		free(texts[i]);
	free(texts);
}

static void component_done(struct component *c)
{
	free(c->name);
	for (size_t i = 0; c->packages && i < c->n_packages; i++) {
		free(c->packages[i].name);
		free_texts(c->packages[i].from, c->packages[i].n_from);
		free(c->packages[i].to);
	}
	free(c->packages);
	free_texts(c->cves, c->n_cves);
	for (size_t i = 0; c->payloads && i < c->n_payloads; i++) {
		free(c->payloads[i].kind);
		free(c->payloads[i].target);
		free(c->payloads[i].set);
	}
	free(c->payloads);
	for (size_t i = 0; c->files && i < c->n_files; i++)
		free(c->files[i].path);
	free(c->files);
	for (size_t i = 0; c->sets && i < c->n_sets; i++) {
		free(c->sets[i].name);
		free(c->sets[i].files);
	}
	free(c->sets);
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	free(m->base);
	free(m->name);
	free(m->letter);
	free(m->severity);
	free(m->text);
	for (size_t i = 0; m->components && i < m->n_components; i++)
		component_done(&m->components[i]);
	free(m->components);
	free(m);
}

const struct component *manifest_component(const struct manifest *m, const char *name)
{
	for (size_t i = 0; i < m->n_components; i++)
		if (strcmp(m->components[i].name, name) == 0)
			return &m->components[i];
	return NULL;
}

const struct payload *component_payload(const struct component *c, const char *kind,
	uint64_t version, const char *set)
{
	for (size_t i = 0; i < c->n_payloads; i++) {
		const struct payload *p = &c->payloads[i];

		if (strcmp(p->kind, kind) != 0 || p->version != version)
			continue;
		if (set ? p->set && strcmp(p->set, set) == 0 : !p->set)
			return p;
	}
	return NULL;
}
