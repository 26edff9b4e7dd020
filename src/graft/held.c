/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/held.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "graft/maps.h"
#include "graft/process.h"
#include "graft/run_file.h"

#define FOR_IDLE "idle "
#define FOR_BOOT "boot "
#define DEVICES_MAX 1024 /* superblocks of images that are attached and not `live` */

/* A superblock of a held image. */
struct device {
	dev_t dev;
	size_t image;
};

struct looking {
	struct held *held;
	struct device devices[DEVICES_MAX];
	size_t n_devices;
};

void held_free(struct held *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n_images; i++)
		free(h->images[i].name);
	free(h->images);
	free(h);
}

/* The file's text, "" where there is none; the caller frees it. */
static int load(const char *run_dir, char **ret)
{
	char path[PATH_MAX];
	size_t len = 0;
	FILE *file;
	ssize_t n;
	int r = run_file_path(run_dir, HELD_NAME, path);

	*ret = NULL;
	if (r < 0)
		return r;
	file = fopen(path, "re");
	if (!file && errno != ENOENT)
		return -errno;
	n = file ? getdelim(ret, &len, '\0', file) : -1;
	r = n < 0 && file && ferror(file) ? -EIO : 0;
	if (file)
		(void)fclose(file);
	if (r == 0 && n < 0) {
		free(*ret);
		*ret = strdup("");
		r = *ret ? 0 : -ENOMEM;
	}
	return r;
}

/* Whether text has the line that word and name make together. */
static bool has_line(const char *text, const char *word, const char *name, size_t name_len)
{
	size_t word_len = strlen(word);

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		if (len == word_len + name_len && memcmp(line, word, word_len) == 0 &&
			memcmp(line + word_len, name, name_len) == 0)
			return true;
		line += len + (line[len] == '\n');
	}
	return false;
}

/* "COMPONENT-DIGEST" of a row of ours that lies in place. */
static const char *name_of(const struct mount_row *row)
{
	size_t component_len;
	const char *name = mount_row_component(row, &component_len);

	return name && mount_row_is_in_place(row) ? name : NULL;
}

/* The image's place in the list; n_images if it is not there. */
static size_t find(const struct held *h, const char *name)
{
	size_t i = 0;

	while (i < h->n_images && strcmp(h->images[i].name, name) != 0)
		i++;
	return i;
}

const struct held_image *held_find(const struct held *h, const struct mount_row *row)
{
	const char *name = h ? name_of(row) : NULL;
	size_t at = name ? find(h, name) : 0;

	return name && at < h->n_images ? &h->images[at] : NULL;
}

bool held_has(const struct held *h, const struct mount_row *row)
{
	return held_find(h, row) != NULL;
}

static int add_device(struct looking *x, dev_t dev, size_t image)
{
	for (size_t i = 0; i < x->n_devices; i++)
		if (x->devices[i].dev == dev)
			return 0;
	if (x->n_devices == DEVICES_MAX)
		return -E2BIG;
	x->devices[x->n_devices++] = (struct device){.dev = dev, .image = image};
	return 0;
}

static int add_row(struct looking *x, const struct mount_row *row, const char *text)
{
	const char *name = name_of(row);
	struct held *h = x->held;
	bool is_for_boot;
	size_t at;

	if (!name)
		return 0;
	is_for_boot = has_line(text, FOR_BOOT, name, strlen(name));
	if (!is_for_boot && !has_line(text, FOR_IDLE, name, strlen(name)))
		return 0;
	at = find(h, name);
	if (at == h->n_images) {
		struct held_image *grown = reallocarray(h->images, at + 1, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		h->images = grown;
		grown[at] = (struct held_image){.name = strdup(name), .is_for_boot = is_for_boot};
		if (!grown[at].name)
			return -ENOMEM;
		h->n_images++;
	}
	return add_device(x, makedev(row->major, row->minor), at);
}

static void name_user(struct held_image *image, pid_t pid)
{
	size_t len = strlen(image->users);
	struct process p = {0};

	if (process_read(pid, &p) < 0)
		return; /* it has just ended */
	for (char *at = p.name; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	image->n_users++;
	/* a name that does not fit whole would be another one */
	if (snprintf(image->users + len, sizeof image->users - len, "%s%s (%d)",
		    len > 0 ? ", " : "", p.name, (int)pid) >= (int)(sizeof image->users - len))
		image->users[len] = '\0';
}

/* A process that may not be looked at, or is gone, is nobody's user here. */
static int look_at(struct looking *x, pid_t pid)
{
	AUTO_FREE char *line = NULL;
	AUTO_FREE bool *seen = NULL;
	struct map_row row;
	char path[64];
	size_t size = 0;
	ssize_t n;
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	seen = calloc(x->held->n_images + 1, sizeof *seen);
	while (seen && (n = getline(&line, &size, file)) > 0) {
		if (!map_row_parse(line, (size_t)n - (line[n - 1] == '\n'), &row) || row.ino == 0)
			continue;
		for (size_t i = 0; i < x->n_devices; i++)
			if (x->devices[i].dev == row.dev && !seen[x->devices[i].image]) {
				seen[x->devices[i].image] = true;
				name_user(&x->held->images[x->devices[i].image], pid);
			}
	}
	(void)fclose(file);
	return seen ? 0 : -ENOMEM;
}

static int look_at_all(struct looking *x)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	uint64_t pid;
	int r = dir ? 0 : -errno;

	while (r == 0 && (entry = readdir(dir)))
		if (process_parse_number(entry->d_name, INT32_MAX, &pid) == 0)
			r = look_at(x, (pid_t)pid);
	if (dir)
		(void)closedir(dir);
	return r;
}

/* `idle` images that nobody maps may go. */
static void drop_unused(struct held *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_images; i++)
		if (h->images[i].is_for_boot || h->images[i].n_users > 0)
			h->images[n++] = h->images[i];
		else
			free(h->images[i].name);
	h->n_images = n;
}

int held_look(const char *run_dir, struct held **ret)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO(held) struct held *held = calloc(1, sizeof *held);
	AUTO_FREE struct looking *x = calloc(1, sizeof *x);
	AUTO_FREE char *text = NULL;
	int r = held && x ? load(run_dir, &text) : -ENOMEM;

	if (r == 0 && *text)
		r = mount_table_load("/proc/self/mountinfo", &table);
	if (r < 0)
		return r;
	x->held = held;
	for (size_t i = 0; r == 0 && table && i < table->n_rows; i++)
		r = add_row(x, &table->rows[i], text);
	if (r == 0 && held->n_images > 0)
		r = look_at_all(x);
	if (r < 0)
		return r;
	drop_unused(held);
	*ret = take_ptr(held);
	return 0;
}

static bool stands_there(const char *run_dir, const char *text)
{
	AUTO_FREE char *before = NULL;

	if (load(run_dir, &before) < 0)
		return false;
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		if (!has_line(before, "", line, len))
			return false;
		line += len + (line[len] == '\n');
	}
	return true;
}

int held_save(const char *run_dir, const char *text)
{
	int r = run_file_replace(run_dir, HELD_NAME, text);

	return r < 0 && stands_there(run_dir, text) ? 0 : r;
}
