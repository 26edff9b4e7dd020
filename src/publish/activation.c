/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/activation.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"

/* Their processes speak a private protocol that changes with every release. */
static bool is_browser_engine(const char *package)
{
	static const char *const globs[] = {
		"libwebkit*", "libjavascriptcore*", "webkit*", "firefox*", "thunderbird*",
		"chromium*", "libqt*webengine*", "libcef*",
	};

	for (size_t i = 0; i < ARRAY_SIZE(globs); i++)
		if (fnmatch(globs[i], package, 0) == 0)
			return true;
	return false;
}

static bool upstream_changes(const struct plan_package *p)
{
	AUTO_FREE char *to = package_upstream(p->to);
	bool changes = false;

	for (size_t i = 0; i < p->n_from; i++) {
		AUTO_FREE char *from = package_upstream(p->from[i]);

		changes |= !from || !to || strcmp(from, to) != 0;
	}
	return changes;
}

static size_t count_programs(const struct plan_component *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_files; i++)
		n += c->files[i].row->elf.is_program;
	return n;
}

/* Programs that only other programs start. */
static bool has_helper(const struct plan_component *c)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (c->files[i].row->elf.is_program &&
			strncmp(c->files[i].path, "usr/bin/", 8) != 0 &&
			strncmp(c->files[i].path, "usr/sbin/", 9) != 0)
			return true;
	return false;
}

static bool names_dynamic_linker(const struct plan_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fnmatch("ld*.so.[0-9]*", path_name(files[i].path), 0) == 0 &&
			strncmp(path_name(files[i].path), "lib", 3) != 0)
			return true;
	return false;
}

/*
 * The dynamic linker and libc call each other's private functions: one version or the other. So do
 * the libraries beside libc, whether the linker itself was merely rebuilt or not.
 */
static bool has_dynamic_linker(const struct plan_component *c)
{
	return names_dynamic_linker(c->files, c->n_files) ||
		names_dynamic_linker(c->equivalent, c->n_equivalent);
}

void activation_propose(const struct plan_request *request, struct plan_component *c)
{
	bool is_engine = false, changes = false;

	c->activation = ACTIVATION_LIVE;
	c->activation_reason = "patched within one upstream version";
	for (size_t i = 0; i < c->n_packages; i++) {
		is_engine |= is_browser_engine(c->packages[i].name);
		changes |= upstream_changes(&c->packages[i]);
	}
	if (has_dynamic_linker(c)) {
		c->activation = ACTIVATION_BOOT;
		c->activation_reason = "the dynamic linker and its libraries must be of one version";
	} else if (is_engine) {
		c->activation = ACTIVATION_IDLE;
		c->activation_reason = "a browser engine's processes must be of one version";
	} else if (changes && (count_programs(c) > 1 || has_helper(c))) {
		c->activation = ACTIVATION_IDLE;
		c->activation_reason = "the upstream version changes under programs that may talk "
				       "to each other";
	} else if (changes) {
		c->activation_reason = "the upstream version changes, but no helper programs are "
				       "in it";
	}
	for (size_t i = 0; i < request->n_activations; i++)
		if (strcmp(request->activations[i].component, c->name) == 0) {
			c->activation = request->activations[i].activation;
			c->activation_reason = "set by the publisher";
		}
}
