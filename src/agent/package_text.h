/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Paragraphs of dpkg's status file (deb-control(5)), and the file itself. Not for other rooms. */
#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/compiler.h"

#define PACKAGE_STATUS_PATH "var/lib/dpkg/status"

/* Borrowed text, ended by NUL; NULL where the paragraph has no such field. */
struct package_paragraph {
	const char *package, *version, *status, *architecture, *multi_arch, *source;
	const char *built_using, *static_built_using; /* joined to one line */
};

/* The whole file as text with a final NUL; -ENOENT where there is no such file. */
int package_text_read(int root_fd, const char *path, size_t max, char **ret) MUST_CHECK;
/* The same behind what is in *text already: as far as its first NUL, and without one. */
int package_text_append(int root_fd, const char *path, size_t max, struct buffer *text) MUST_CHECK;

/* The next paragraph of text at *at, which is cut into lines; false at the end. */
bool package_paragraph_next(char **at, struct package_paragraph *ret);
/*
 * Whether all its files are there: what an owner wants of it (install, hold) does not matter, nor that
 * its scripts or triggers have not run yet.
 */
bool package_is_installed(const struct package_paragraph *p);

/* One "NAME (= VERSION)" of a list with commas; both point into text, which is cut. False at the end. */
bool package_built_next(char **at, const char **ret_source, const char **ret_version);
