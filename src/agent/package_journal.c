/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/package_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

void package_journal_done(struct package_journal *j)
{
	if (j->dir)
		(void)closedir(j->dir);
	free(j->names);
	*j = (struct package_journal){0};
}

/* What dpkg itself takes for a part of its journal: digits alone. */
static bool is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= PACKAGE_JOURNAL_NAME_MAX && strspn(name, "0123456789") == len;
}

static int compare_names(const void *a, const void *b)
{
	const struct package_journal_name *x = a, *y = b;
	size_t x_len = strlen(x->text), y_len = strlen(y->text);

	return x_len != y_len ? (x_len > y_len) - (x_len < y_len) : strcmp(x->text, y->text);
}

static int list_names(struct package_journal *j)
{
	const struct dirent *entry;

	while ((errno = 0, entry = readdir(j->dir))) {
		struct package_journal_name *names;

		if (!is_name(entry->d_name))
			continue;
		names = reallocarray(j->names, j->n + 1, sizeof *names);
		if (!names)
			return -ENOMEM;
		j->names = names;
		(void)snprintf(names[j->n].text, sizeof names->text, "%.10s", entry->d_name);
		j->n++;
	}
	if (errno > 0)
		return -errno;
	if (j->n > 0)
		qsort(j->names, j->n, sizeof *j->names, compare_names);
	return 0;
}

int package_journal_open(int root_fd, struct package_journal *ret)
{
	int fd = file_open_in_root(root_fd, PACKAGE_JOURNAL_PATH, O_RDONLY | O_DIRECTORY), r;
	struct package_journal j = {0};

	*ret = j;
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
	j.dir = fdopendir(fd);
	if (!j.dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	r = list_names(&j);
	if (r < 0)
		package_journal_done(&j);
	*ret = j;
	return r;
}
