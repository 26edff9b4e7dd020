/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/namesake.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MERGED "usr/"
#define LIBRARY ".so."

struct words {
	const char *at;
	size_t len;
};

struct namesake {
	struct words name, folder;
	size_t index;
};

/* What a program would ask for: a library's name up to the first number of its version. */
static struct words asked_name(const char *name, size_t len)
{
	const char *version = memmem(name, len, LIBRARY, sizeof LIBRARY - 1);
	size_t end;

	if (!version)
		return (struct words){name, len};
	end = (size_t)(version - name) + sizeof LIBRARY - 1;
	while (end < len && isdigit((unsigned char)name[end]))
		end++;
	return (struct words){name, end == len || name[end] == '.' ? end : len};
}

/* The folder comes with the slash behind it. */
static void split(const char *path, size_t len, struct words *ret_folder, struct words *ret_name)
{
	const char *slash = memrchr(path, '/', len);
	size_t folder_len = slash ? (size_t)(slash - path) + 1 : 0;

	*ret_folder = (struct words){path, folder_len};
	*ret_name = asked_name(path + folder_len, len - folder_len);
}

static int compare_words(const struct words *a, const struct words *b)
{
	size_t len = a->len < b->len ? a->len : b->len;
	int r = memcmp(a->at, b->at, len);

	return r != 0 ? r : (a->len > b->len) - (a->len < b->len);
}

static int compare(const void *a, const void *b)
{
	return compare_words(&((const struct namesake *)a)->name,
		&((const struct namesake *)b)->name);
}

int namesakes_make(const char *const *paths, size_t n_paths, struct namesakes *ret)
{
	struct namesake *list = calloc(n_paths + 1, sizeof *list);

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n_paths; i++) {
		const char *path = paths[i];

		if (strncmp(path, MERGED, sizeof MERGED - 1) == 0)
			path += sizeof MERGED - 1;
		split(path, strlen(path), &list[i].folder, &list[i].name);
		list[i].index = i;
	}
	qsort(list, n_paths, sizeof *list, compare);
	*ret = (struct namesakes){.list = list, .n = n_paths};
	return 0;
}

void namesakes_done(struct namesakes *n)
{
	free(n->list);
	*n = (struct namesakes){0};
}

/* "/srv/root/usr/lib/" ends with "/lib/". */
static bool is_below(const struct words *folder, const struct words *wanted)
{
	return folder->len > wanted->len &&
	       memcmp(folder->at + folder->len - wanted->len, wanted->at, wanted->len) == 0 &&
	       folder->at[folder->len - wanted->len - 1] == '/';
}

enum namesake_kind namesakes_find(const struct namesakes *n, const char *path, size_t len,
	size_t *ret_index)
{
	const size_t deleted_len = sizeof NAMESAKE_DELETED - 1;
	struct namesake wanted;
	const struct namesake *found;

	if (len > deleted_len &&
		memcmp(path + len - deleted_len, NAMESAKE_DELETED, deleted_len) == 0)
		len -= deleted_len;
	if (n->n == 0 || len == 0 || path[0] != '/')
		return NAMESAKE_NONE;
	split(path, len, &wanted.folder, &wanted.name);
	found = bsearch(&wanted, n->list, n->n, sizeof *n->list, compare);
	if (!found)
		return NAMESAKE_NONE;
	while (found > n->list && compare(found - 1, &wanted) == 0)
		found--;
	*ret_index = found->index;
	for (; found < n->list + n->n && compare(found, &wanted) == 0; found++)
		if (is_below(&wanted.folder, &found->folder)) {
			*ret_index = found->index;
			return NAMESAKE_IN_PLACE;
		}
	return NAMESAKE_ELSEWHERE;
}
