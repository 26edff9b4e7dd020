/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Packages made by the tests themselves: .deb files and small ELF files with names in them. */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct fixture_file {
	const char *path;    /* as the archive names it: "./usr/lib/x" */
	unsigned mode;       /* permission bits; 0: 0644 */
	const char *content; /* text; NULL with elf_soname */
	const struct buffer *bytes; /* instead of text */
	const char *symlink, *hardlink;
	const char *soname;  /* with needed: the content is an ELF shared object */
	const char *needed;
	unsigned uid;
	int is_program, has_capability, is_fifo;
};

struct fixture_deb {
	const char *package, *version, *source, *depends, *architecture; /* NULL: defaults */
	const char *scripts, *changelog;
	const struct fixture_file *files; /* ended by a row without path */
	const char *filter;               /* "gzip" (default), "xz", "zstd", "none" */
	const char *md5sums;
};

/* A new empty folder below the temporary folder; removed by fixture_remove(). */
char *fixture_folder(void);
void fixture_remove(char *folder); /* and free() it */

/* Write folder/NAME_VERSION.deb; its path, to be freed. */
char *fixture_write(const char *folder, const struct fixture_deb *deb);

/* A 64-bit little-endian shared object for x86-64 that has just names; text makes it differ. */
void fixture_elf(struct buffer *out, const char *soname, const char *needed, int is_program,
	const char *text);
