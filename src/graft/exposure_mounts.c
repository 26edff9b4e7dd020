/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/exposure_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "graft/crowd.h"
#include "graft/mount_table.h"
#include "graft/state.h"

#define GROW_DEVICES 16

/* Where a base file lies: as the superblock knows it, whatever is mounted over it. */
struct base_place {
	const struct exposure_target *target;
	char *path;    /* absolute, in the host */
	dev_t dev;
	char *fs_path; /* below the root of its file system */
};

struct look {
	const struct graft_host *host;
	struct mount_table *table; /* of the host */
	struct graft_state *state;
	char root[PATH_MAX];
	struct base_place *places;
	size_t n_places;
	struct exposure_devices *current, *old;
	struct exposure_list *list;
};

bool exposure_devices_has(const struct exposure_devices *set, dev_t dev)
{
	for (size_t i = 0; i < set->n_devices; i++)
		if (set->devices[i] == dev)
			return true;
	return false;
}

int exposure_devices_add(struct exposure_devices *set, dev_t dev)
{
	if (exposure_devices_has(set, dev))
		return 0;
	if (set->n_devices == set->allocated) {
		size_t more = set->allocated * 2 + GROW_DEVICES;
		dev_t *grown = reallocarray(set->devices, more, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		set->devices = grown;
		set->allocated = more;
	}
	set->devices[set->n_devices++] = dev;
	return 0;
}

/* The row's file system path of an absolute path that lies in it. */
static char *fs_path_of(const struct mount_row *row, const char *path)
{
	const char *rest = path + (strcmp(row->point, "/") == 0 ? 0 : strlen(row->point));
	const char *root = strcmp(row->root, "/") == 0 ? "" : row->root;
	char *fs_path;

	return asprintf(&fs_path, "%s%s", root, rest) < 0 ? NULL : fs_path;
}

/* What lies beneath ours at that path. */
static const struct mount_row *resolve_base(const struct mount_table *table, const char *path)
{
	const struct mount_row *row = mount_table_resolve(table, path);
	size_t ignored;

	while (row && (mount_row_component(row, &ignored) || mount_table_is_lid(table, row)))
		row = mount_table_find(table, row->parent);
	return row;
}

static int find_places(struct look *look, const struct exposure_target *targets, size_t n_targets)
{
	look->places = calloc(n_targets + 1, sizeof *look->places);
	if (!look->places)
		return -ENOMEM;
	for (size_t i = 0; i < n_targets; i++) {
		struct base_place *place = &look->places[look->n_places];
		const struct mount_row *row;

		if (targets[i].kind != EXPOSURE_BASE)
			continue;
		look->n_places++;
		place->target = &targets[i];
		if (asprintf(&place->path, "%s/%s", look->root, targets[i].path) < 0) {
			place->path = NULL;
			return -ENOMEM;
		}
		row = resolve_base(look->table, place->path);
		if (!row)
			continue;
		place->dev = makedev(row->major, row->minor);
		place->fs_path = fs_path_of(row, place->path);
		if (!place->fs_path)
			return -ENOMEM;
	}
	return 0;
}

static bool is_attached(const struct graft_state *state, const char *component, size_t component_len)
{
	struct digest digest;

	if (digest_parse(component + component_len + 1, &digest) < 0)
		return false;
	for (size_t i = 0; i < state->n_mounts; i++)
		if (state->mounts[i].visible && strlen(state->mounts[i].component) == component_len &&
			strncmp(state->mounts[i].component, component, component_len) == 0 &&
			digest_equal(&state->mounts[i].digest, &digest))
			return true;
	return false;
}

/* Mounts of ours that are on the host no more, and another image than what is there. */
static int look_for_old(struct look *look, const struct mount_table *table,
	struct exposure_entry *member, size_t *ret_n_current)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct mount_row *row = &table->rows[i];
		dev_t dev = makedev(row->major, row->minor);
		size_t component_len;
		const char *component = mount_row_component(row, &component_len);
		AUTO_FREE char *name = NULL;
		int r;

		if (!component)
			continue;
		if (exposure_devices_has(look->current, dev)) {
			++*ret_n_current;
			continue;
		}
		r = exposure_devices_add(look->old, dev);
		if (r < 0)
			return r;
		if (is_attached(look->state, component, component_len))
			continue; /* the same image, mounted at another time */
		if (mount_row_is_in_place(row) && mount_table_over(table, row))
			continue; /* nobody who starts there finds it */
		name = strndup(component, component_len);
		if (!name)
			return -ENOMEM;
		member->kind = EXPOSURE_OLDER;
		exposure_list_add(look->list, member, name, row->root + 1);
	}
	return 0;
}

/* Base files that are covered on the host and lie bare here. */
static int look_for_bare(struct look *look, const struct mount_table *table,
	struct exposure_entry *member)
{
	for (size_t i = 0; i < look->n_places; i++) {
		const struct base_place *place = &look->places[i];
		const struct mount_row *row = mount_table_resolve(table, place->path);
		AUTO_FREE char *fs_path = NULL;

		if (!row || !place->fs_path || makedev(row->major, row->minor) != place->dev)
			continue;
		fs_path = fs_path_of(row, place->path);
		if (!fs_path)
			return -ENOMEM;
		if (strcmp(fs_path, place->fs_path) != 0)
			continue;
		member->kind = EXPOSURE_BASE;
		exposure_list_add(look->list, member, place->target->component,
			place->target->path);
	}
	return 0;
}

static int look_at_member(struct look *look, pid_t pid, bool is_host)
{
	AUTO(mount_table) struct mount_table *theirs = NULL;
	const struct mount_table *table = look->table;
	AUTO_CLOSE int process_fd = -EBADF;
	struct exposure_entry member;
	size_t n_current = 0;
	char path[64];
	int r = 0;

	(void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
	process_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process_fd < 0)
		return 0; /* vanished */
	if (!is_host) {
		(void)snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
		r = mount_table_load(path, &theirs);
		table = theirs;
	}
	if (r < 0)
		return r == -ENOMEM ? r : 0;

	exposure_identify(process_fd, pid, &member);
	member.in_mounts = true;
	r = look_for_old(look, table, &member, &n_current);
	/* Most namespaces follow the host; then there is no need to walk to each file. */
	if (r == 0 && !is_host && n_current < look->n_places)
		r = look_for_bare(look, table, &member);
	return r;
}

static int look_at_all(struct look *look)
{
	AUTO(crowd) struct crowd *crowd = NULL;
	struct stat host_ns, own_ns;
	int r = crowd_load(&crowd);

	if (r < 0)
		return r;
	if (fstat(look->host->mount_ns_fd, &host_ns) < 0 ||
		stat("/proc/self/ns/mnt", &own_ns) < 0)
		return -errno;
	for (size_t i = 0; r == 0 && i < crowd->n_members; i++) {
		bool is_host = crowd->members[i].ns == host_ns.st_ino;

		/* Our own base view is bare by design. */
		if (is_host || crowd->members[i].ns != own_ns.st_ino)
			r = look_at_member(look, crowd->members[i].pid, is_host);
	}
	return r;
}

static void look_done(struct look *look)
{
	for (size_t i = 0; i < look->n_places; i++) {
		free(look->places[i].path);
		free(look->places[i].fs_path);
	}
	free(look->places);
	graft_state_free(look->state);
	mount_table_free(look->table);
}

int exposure_look_at_mounts(const struct graft_host *host, const struct exposure_target *targets,
	size_t n_targets, struct exposure_devices *ret_current, struct exposure_devices *ret_old,
	struct exposure_list *list, struct error *reterr)
{
	AUTO_DONE(look) struct look look = {
		.host = host, .current = ret_current, .old = ret_old, .list = list};
	int r = graft_state_table(host, &look.table, look.root, reterr);

	if (r < 0)
		return r;
	r = graft_state_of(look.table, look.root, &look.state);
	/* where the root is not shared an old image stays below the new one: it is no current one */
	for (size_t i = 0; r == 0 && i < look.state->n_mounts; i++)
		if (look.state->mounts[i].visible)
			r = exposure_devices_add(ret_current, look.state->mounts[i].dev);
	if (r == 0)
		r = find_places(&look, targets, n_targets);
	if (r == 0)
		r = look_at_all(&look);
	if (r < 0)
		return error_set(reterr, r, "mount tables of other namespaces: %s", error_text(r));
	return 0;
}
