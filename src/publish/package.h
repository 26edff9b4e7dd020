/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One binary package as its control stanza describes it: the "control" member of a .deb, or one
 * paragraph of var/lib/dpkg/status. Source: Debian policy, chapter 5.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/error.h"

#define PACKAGE_CONTROL_MAX_BYTES (1U << 20)

struct package {
	char *name, *version, *architecture;
	char *source, *source_version; /* of the package itself where no Source field says else */
	char *depends;                 /* Pre-Depends and Depends, joined by a comma; may be "" */
	char *scripts;                 /* maintainer scripts of a .deb, joined; "" for a root tree */
	bool installed; /* its files are there: by the Status field, or there is none */
	bool is_broken; /* some of its files may be there: half-installed, unpacked, … */
	char status[20]; /* the last word of the Status field; "" for none */
};

/* One paragraph; -BSI_E_FORMAT where Package, Version or Architecture is missing or odd. */
int package_parse(const char *text, size_t len, struct package *ret, struct error *reterr)
	MUST_CHECK;
void package_done(struct package *p);

/* The paragraph at *at: its length, with *at moved behind it and its blank lines; 0 at the end. */
size_t package_paragraph(const char **at, const char *end, const char **ret_text);

/* Whether a depends on the named package in exactly this version: "name (= version)". */
bool package_depends_strictly(const struct package *a, const char *name, const char *version);

/* The upstream part of a version: without epoch and Debian revision. The caller frees it. */
char *package_upstream(const char *version);
