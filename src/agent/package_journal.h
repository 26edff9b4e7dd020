/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* The files of dpkg's journal, in the order in which they were written. Not for other rooms. */
#include <dirent.h>
#include <stddef.h>

#include "base/compiler.h"

#define PACKAGE_JOURNAL_PATH "var/lib/dpkg/updates"
#define PACKAGE_JOURNAL_NAME_MAX 10 /* digits: dpkg's IMPORTANTMAXLEN */

struct package_journal_name {
	char text[PACKAGE_JOURNAL_NAME_MAX + 1];
};

struct package_journal {
	DIR *dir; /* NULL where there is none */
	struct package_journal_name *names;
	size_t n;
};

/* A device without a journal has an empty one. *ret is set in any case. */
int package_journal_open(int root_fd, struct package_journal *ret) MUST_CHECK;
void package_journal_done(struct package_journal *j); /* fit for AUTO_DONE */
