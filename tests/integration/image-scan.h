/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* A directory on disk as entries for an image; for the tests only. */
#include <stddef.h>

#include "image/entry.h"

struct scan {
	struct image_entry *entries;
	char **files; /* where the content of each entry is */
	size_t n;
	void **owned; /* all memory behind entries */
	size_t n_owned;
};

/* Everything below dir; seed mixes the order. Ends the program on any error. */
struct scan scan_directory(const char *dir, unsigned int seed);
void scan_done(struct scan *s);
