/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The names and inodes of an image to be: entries sorted, parents added, hard links joined. What
 * comes out depends on the set of entries only. Internal to the room.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "image/entry.h"

#define NAMES_NONE ((size_t)-1)

/* One name, in the order in which a walk meets it: a directory before what is in it. */
struct name {
	const char *path; /* borrowed; len bytes of it */
	size_t len;
	size_t entry; /* NAMES_NONE for a parent that was added, and for the root, which is name 0
		       */
	size_t parent;
	size_t inode;
	size_t first_child, last_child, next_sibling; /* siblings are in byte order */
	size_t n_children;
};

struct inode {
	size_t name;  /* its first name */
	size_t entry; /* NAMES_NONE as above */
	uint32_t nlink;
};

struct names {
	struct name *names;
	size_t n_names, allocated;
	struct inode *inodes; /* in the order of first names */
	size_t n_inodes;
};

/* Byte order of components: '/' sorts below all that may be in a name, so children come next. */
int name_order(const void *a, const void *b); /* two struct name, fit for qsort() */

/* The last component: text of a name, not ended by NUL. */
const char *name_last(const struct name *n, size_t *ret_len);

/* As image_recipe_plan(); the entries are borrowed for the life of *ret. */
int names_plan(const struct image_entry *entries, size_t n, struct names *ret,
	struct error *reterr) MUST_CHECK;
void names_done(struct names *n);
