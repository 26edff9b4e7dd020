/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/state.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "graft/mount_table.h"

/* The path below root of a mount point, or NULL if it is not there. */
static const char *below_root(const char *point, const char *root)
{
	size_t root_len = strlen(root);

	if (strncmp(point, root, root_len) != 0 || point[root_len] != '/' ||
		point[root_len + 1] == '\0')
		return NULL;
	return point + root_len + 1;
}

static bool is_under_lid(const struct mount_table *table, const struct mount_row *row)
{
	size_t n_steps = 0;

	while ((row = mount_table_over(table, row)) && n_steps++ < table->n_rows)
		if (mount_table_is_lid(table, row))
			return true;
	return false;
}

/* component NULL: a lid. */
static int fill_mount(const struct mount_table *table, const struct mount_row *row,
	const char *path, const char *component, size_t component_len, struct graft_mount *ret)
{
	const struct mount_row *parent = mount_table_find(table, row->parent);
	int r = component ? digest_parse(component + component_len + 1, &ret->digest) : 0;

	if (r < 0)
		return r;
	ret->component = component ? strndup(component, component_len) : strdup("");
	ret->path = strdup(path);
	if (!ret->component || !ret->path)
		return -ENOMEM;
	ret->id = row->id;
	ret->parent_id = row->parent;
	ret->seal = component ? mount_row_seal(row) : GRAFT_MEASURED;
	ret->dev = makedev(row->major, row->minor);
	ret->visible = !mount_table_over(table, row);
	ret->under_lid = is_under_lid(table, row);
	ret->over_ours = parent && strcmp(parent->point, row->point) == 0 &&
		mount_table_is_ours(table, parent);
	ret->parent_shared = parent && parent->shared;
	return 0;
}

int graft_state_of(const struct mount_table *table, const char *root, struct graft_state **ret)
{
	AUTO(graft_state) struct graft_state *state = calloc(1, sizeof *state);

	if (!state)
		return -ENOMEM;
	state->mounts = calloc(table->n_rows ? table->n_rows : 1, sizeof *state->mounts);
	state->lids = calloc(table->n_rows ? table->n_rows : 1, sizeof *state->lids);
	if (!state->mounts || !state->lids)
		return -ENOMEM;

	for (size_t i = 0; i < table->n_rows; i++) {
		const struct mount_row *row = &table->rows[i];
		const char *path = below_root(row->point, root), *component;
		size_t component_len;
		int r = 0;

		/* Elsewhere than in its own place it is somebody's bind mount of a patched file. */
		component = path && strcmp(row->root + 1, path) == 0 ?
			mount_row_component(row, &component_len) : NULL;
		/* Counted first, so that what a failure leaves half filled is freed. */
		if (component)
			r = fill_mount(table, row, path, component, component_len,
				&state->mounts[state->n_mounts++]);
		else if (path && mount_table_is_lid(table, row))
			r = fill_mount(table, row, path, NULL, 0, &state->lids[state->n_lids++]);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(state);
	return 0;
}

static void free_mounts(struct graft_mount *mounts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(mounts[i].component);
		free(mounts[i].path);
	}
	free(mounts);
}

void graft_state_free(struct graft_state *state)
{
	if (!state)
		return;
	free_mounts(state->mounts, state->n_mounts);
	free_mounts(state->lids, state->n_lids);
	free(state);
}

struct reading {
	struct mount_table *table;
	char *root; /* PATH_MAX bytes of the caller's */
};

static int read_table(const struct graft_host *host, void *ctx, struct error *reterr)
{
	struct reading *reading = ctx;
	AUTO_CLOSE int root_fd = graft_host_open_root(host, reading->root, PATH_MAX);
	int r;

	if (root_fd < 0)
		return error_set(reterr, root_fd, "%s: %s", host->root, error_text(root_fd));
	r = mount_table_load("/proc/thread-self/mountinfo", &reading->table);
	return r < 0 ? error_set(reterr, r, "the host's mount table: %s", error_text(r)) : 0;
}

int graft_state_table(const struct graft_host *host, struct mount_table **ret, char *ret_root,
	struct error *reterr)
{
	struct reading reading = {.root = ret_root};
	int r = graft_host_look(host, read_table, &reading, reterr);

	if (r == 0)
		*ret = reading.table;
	return r;
}

int graft_state_read(const struct graft_host *host, struct graft_state **ret, struct error *reterr)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	char root[PATH_MAX] = "";
	int r = graft_state_table(host, &table, root, reterr);

	if (r < 0)
		return r;
	r = graft_state_of(table, root, ret);
	if (r < 0)
		return error_set(reterr, r, "the host's mount table: %s", error_text(r));
	return 0;
}
