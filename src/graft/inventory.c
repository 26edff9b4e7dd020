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
#include "graft/run_file.h"

static const char *name_of(const struct mount_table *table, const struct mount_row *row)
{
	size_t component_len;
	const char *name =
		strcmp(row->root, row->point) == 0 ? mount_row_component(row, &component_len) : NULL;

	return !name && mount_table_is_lid(table, row) ? "lid" : name;
}

char *inventory_text(const struct mount_table *table)
{
	size_t len = 0, at = 0;
	char *text;

	for (size_t i = 0; i < table->n_rows; i++)
		if (name_of(table, &table->rows[i]))
			len += strlen(name_of(table, &table->rows[i])) + strlen(table->rows[i].point) + 2;
	text = malloc(len + 1);
	if (!text)
		return NULL;
	text[0] = '\0';
	for (size_t i = 0; i < table->n_rows; i++) {
		const char *name = name_of(table, &table->rows[i]);

		if (name)
			at += (size_t)snprintf(text + at, len + 1 - at, "%s %s\n", name,
				table->rows[i].point);
	}
	return text;
}

int inventory_save(const char *run_dir, const char *text)
{
	return run_file_replace(run_dir, INVENTORY_NAME, text);
}

void inventory_drop(const char *run_dir)
{
	char path[PATH_MAX];

	if (run_file_path(run_dir, INVENTORY_NAME, path) == 0)
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

	if (run_file_path(run_dir, INVENTORY_NAME, path) < 0)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || mount_table_load("/proc/self/mountinfo", &table) < 0)
		return false;
	text = inventory_text(table);
	return text && holds(fd, text);
}
