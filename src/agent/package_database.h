/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * dpkg's database of packages: its status file, and above it the journal, in which each change of a
 * package stands until dpkg has written the file anew. After a dpkg that was killed the file tells of
 * before, and only the journal of what there is. Never written. Source: dpkg, lib/dpkg/dbmodify.c.
 */
#include <stddef.h>

#include "agent/package_text.h"
#include "base/compiler.h"

struct package_database {
	char *text; /* that the paragraphs point into */
	struct package_paragraph *list;
	size_t n;
};

/* -ENOENT where there is no database. package_database_done() ends *ret, on success only. */
int package_database_read(int root_fd, struct package_database *ret) MUST_CHECK;
void package_database_done(struct package_database *d); /* fit for AUTO_DONE */
