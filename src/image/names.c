/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"

/* The root and all that an image may hold. */
#define NAMES_MAX (IMAGE_ENTRIES_MAX + 1U)

void names_done(struct names *n)
{
	free(n->names);
	free(n->inodes);
	*n = (struct names){0};
}

const char *name_last(const struct name *n, size_t *ret_len)
{
	size_t start = n->len;

	while (start > 0 && n->path[start - 1] != '/')
		start--;
	*ret_len = n->len - start;
	return n->path + start;
}

static int path_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t n = a_len < b_len ? a_len : b_len;

	for (size_t i = 0; i < n; i++) {
		unsigned int x = a[i] == '/' ? 0 : (unsigned char)a[i];
		unsigned int y = b[i] == '/' ? 0 : (unsigned char)b[i];

		if (x != y)
			return x < y ? -1 : 1;
	}
	return a_len == b_len ? 0 : a_len < b_len ? -1 : 1;
}

int name_order(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return path_order(x->path, x->len, y->path, y->len);
}

static const struct name *names_find(const struct names *all, const char *path)
{
	const struct name key = {.path = path, .len = strlen(path)};

	return bsearch(&key, all->names, all->n_names, sizeof(key), name_order);
}

/* The rules for one entry alone. */
static int entry_check(const struct image_entry *e, struct error *reterr)
{
	size_t target_len;

	if (path_check(e->path) < 0)
		return error_set(reterr, -BSI_E_PATH, "\"%s\" is no path for an image", e->path);
	if (e->hardlink_to)
		return 0;
	if (image_is_regular(e->mode)) {
		if (e->size > IMAGE_DATA_MAX_BYTES)
			return error_set(reterr, -BSI_E_LIMIT,
				"\"%s\" is larger than an image may be", e->path);
	} else if (image_is_symlink(e->mode)) {
		target_len = e->symlink_target ? strlen(e->symlink_target) : 0;
		if (target_len == 0 || target_len > IMAGE_SYMLINK_MAX_BYTES)
			return error_set(reterr, -BSI_E_FORMAT,
				"\"%s\": a symlink's target has 1 to %u bytes", e->path,
				IMAGE_SYMLINK_MAX_BYTES);
	} else if (!image_is_directory(e->mode)) {
		return error_set(reterr, -BSI_E_FORMAT,
			"\"%s\" is no regular file, directory or symlink", e->path);
	}
	if (e->mode & ~(IMAGE_TYPE_MASK | 07777U))
		return error_set(
			reterr, -BSI_E_FORMAT, "\"%s\": mode %o is none", e->path, e->mode);
	return 0;
}

static bool is_directory(const struct names *all, const struct image_entry *entries, size_t i)
{
	size_t entry = all->names[i].entry;

	return entry == NAMES_NONE ||
	       (!entries[entry].hardlink_to && image_is_directory(entries[entry].mode));
}

static int names_add(struct names *all, struct name add, struct error *reterr)
{
	size_t i = all->n_names;
	struct name *parent;

	if (i == NAMES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "more than %u names for one image",
			IMAGE_ENTRIES_MAX);
	if (i == all->allocated) {
		size_t more = i ? 2 * i : 64;
		struct name *names = realloc(all->names, more * sizeof(*names));

		if (!names)
			return error_set(reterr, -ENOMEM, "out of memory for %zu names", more);
		all->names = names;
		all->allocated = more;
	}
	add.first_child = add.last_child = add.next_sibling = NAMES_NONE;
	all->names[all->n_names++] = add;
	if (i == 0)
		return 0;
	parent = &all->names[add.parent];
	if (parent->first_child == NAMES_NONE)
		parent->first_child = i;
	else
		all->names[parent->last_child].next_sibling = i;
	parent->last_child = i;
	parent->n_children++;
	return 0;
}

static bool is_inside(const struct name *directory, const struct name *n)
{
	return directory->len == 0 ||
	       (n->len > directory->len && n->path[directory->len] == '/' &&
		       memcmp(n->path, directory->path, directory->len) == 0);
}

/*
 * Put a name behind all that sort before it, with the parents that are missing. *at is the
 * directory of the last name; its ancestors are the only other directories that can take more.
 */
static int names_append(struct names *all, const struct image_entry *entries, struct name add,
	size_t *at, struct error *reterr)
{
	const struct name *last = &all->names[all->n_names - 1];
	int r;

	if (name_order(last, &add) == 0)
		return error_set(reterr, -BSI_E_PATH, "\"%s\" is there twice", add.path);
	while (!is_inside(&all->names[*at], &add))
		*at = all->names[*at].parent;
	for (;;) {
		size_t from = all->names[*at].len ? all->names[*at].len + 1 : 0;
		const char *slash = memchr(add.path + from, '/', add.len - from);
		struct name next = add;

		if (slash)
			next = (struct name){.path = add.path,
				.len = (size_t)(slash - add.path),
				.entry = NAMES_NONE};
		next.parent = *at;
		last = &all->names[all->n_names - 1];
		if (slash && name_order(last, &next) == 0)
			return error_set(reterr, -BSI_E_PATH,
				"\"%s\": a parent of it is no directory", add.path);
		r = names_add(all, next, reterr);
		if (r < 0)
			return r;
		if (is_directory(all, entries, all->n_names - 1))
			*at = all->n_names - 1;
		if (!slash)
			return 0;
	}
}

/* The entry whose content and metadata a name has: its own, or that of the link's target. */
static int entry_of_name(const struct names *all, const struct image_entry *entries,
	const struct name *n, size_t *ret, struct error *reterr)
{
	const char *to = n->entry == NAMES_NONE ? NULL : entries[n->entry].hardlink_to;
	const struct name *target;

	*ret = n->entry;
	if (!to)
		return 0;
	target = names_find(all, to);
	if (!target || target->entry == NAMES_NONE || entries[target->entry].hardlink_to ||
		!image_is_regular(entries[target->entry].mode))
		return error_set(reterr, -BSI_E_FORMAT,
			"\"%s\" is a hard link to \"%s\", which is no regular file here", n->path,
			to);
	*ret = target->entry;
	return 0;
}

static int inodes_plan(struct names *all, const struct image_entry *entries, size_t n_entries,
	struct error *reterr)
{
	AUTO_FREE size_t *of_entry = calloc(n_entries + 1, sizeof(*of_entry));

	all->inodes = calloc(all->n_names, sizeof(*all->inodes));
	if (!of_entry || !all->inodes)
		return error_set(reterr, -ENOMEM, "out of memory for %zu inodes", all->n_names);
	for (size_t i = 0; i < n_entries; i++)
		of_entry[i] = NAMES_NONE;
	for (size_t i = 0; i < all->n_names; i++) {
		struct name *n = &all->names[i];
		size_t entry;
		int r = entry_of_name(all, entries, n, &entry, reterr);

		if (r < 0)
			return r;
		if (entry != NAMES_NONE && of_entry[entry] != NAMES_NONE) {
			n->inode = of_entry[entry];
			all->inodes[n->inode].nlink++;
			continue;
		}
		n->inode = all->n_inodes++;
		all->inodes[n->inode] = (struct inode){.name = i, .entry = entry, .nlink = 1};
		if (entry != NAMES_NONE)
			of_entry[entry] = n->inode;
		if (is_directory(all, entries, i)) {
			all->inodes[n->inode].nlink = 2;
			if (i > 0)
				all->inodes[all->names[n->parent].inode].nlink++;
		}
	}
	return 0;
}

int names_plan(const struct image_entry *entries, size_t n, struct names *ret, struct error *reterr)
{
	AUTO_DONE(names) struct names all = {0};
	AUTO_FREE struct name *sorted = NULL;
	size_t at = 0;
	int r;

	if (n > IMAGE_ENTRIES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "%zu entries for one image; %u are allowed",
			n, IMAGE_ENTRIES_MAX);
	sorted = calloc(n + 1, sizeof(*sorted));
	if (!sorted)
		return error_set(reterr, -ENOMEM, "out of memory for %zu names", n);
	for (size_t i = 0; i < n; i++) {
		r = entry_check(&entries[i], reterr);
		if (r < 0)
			return r;
		sorted[i] = (struct name){
			.path = entries[i].path, .len = strlen(entries[i].path), .entry = i};
	}
	qsort(sorted, n, sizeof(*sorted), name_order);
	r = names_add(&all, (struct name){.path = "", .entry = NAMES_NONE}, reterr);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = names_append(&all, entries, sorted[i], &at, reterr);
	if (r == 0)
		r = inodes_plan(&all, entries, n, reterr);
	if (r < 0)
		return r;
	*ret = all;
	all = (struct names){0};
	return 0;
}
