/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/inventory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool make_path(const char *run_dir, const char *suffix, char ret[static PATH_MAX])
{
	int n = snprintf(ret, PATH_MAX, "%s/" INVENTORY_NAME "%s", run_dir, suffix);

	return n > 0 && n < PATH_MAX;
}

static const char *name_of(const struct mount_row *row)
{
	size_t component_len;

	return strcmp(row->root, row->point) == 0 ? mount_row_component(row, &component_len) : NULL;
}

char *inventory_text(const struct mount_table *table)
{
	size_t len = 0, at = 0;
	char *text;

	for (size_t i = 0; i < table->n_rows; i++)
		if (name_of(&table->rows[i]))
			len += strlen(name_of(&table->rows[i])) + strlen(table->rows[i].point) + 2;
	text = malloc(len + 1);
	if (!text)
		return NULL;
	text[0] = '\0';
	for (size_t i = 0; i < table->n_rows; i++) {
		const char *name = name_of(&table->rows[i]);

		if (name)
			at += (size_t)snprintf(text + at, len + 1 - at, "%s %s\n", name,
				table->rows[i].point);
	}
	return text;
}

int inventory_save(const char *run_dir, const char *text)
{
	char path[PATH_MAX], new_path[PATH_MAX];
	AUTO_CLOSE int fd = -EBADF;
	size_t len = strlen(text);
	ssize_t n;

	if (!make_path(run_dir, "", path) || !make_path(run_dir, ".new", new_path))
		return -ENAMETOOLONG;
	fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n < 0 || (size_t)n != len)
		return n < 0 ? -errno : -EIO;
	return rename(new_path, path) < 0 ? -errno : 0;
}

void inventory_drop(const char *run_dir)
{
	char path[PATH_MAX];

	if (make_path(run_dir, "", path))
		(void)unlink(path);
}

/* Whether fd holds exactly that text. */
static bool holds(int fd, const char *text)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof chunk)) > 0) {
		if (strncmp(text, chunk, (size_t)n) != 0 || memchr(chunk, '\0', (size_t)n))
			return false;
		text += n;
	}
	return n == 0 && *text == '\0';
}

bool inventory_is_true(const char *run_dir)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -EBADF;
	char path[PATH_MAX];

	if (!make_path(run_dir, "", path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || mount_table_load("/proc/self/mountinfo", &table) < 0)
		return false;
	text = inventory_text(table);
	return text && holds(fd, text);
}
