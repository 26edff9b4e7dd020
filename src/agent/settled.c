/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/settled.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/run_dir.h"
#include "agent/status.h"
#include "agent/sealing.h"
#include "graft/inventory.h"
#include "graft/state.h"

#define SETTLED_NAME "settled.json"

/* A run's view of the device: any difference is a reason to look again. */
struct stamp {
	struct digest digest;
	int64_t newest_utc_s; /* when a base file changed last */
	size_t n_mounts;      /* of patched files */
	size_t n_lids;        /* left by an off that was cut, or of one at work */
};

/*
 * A file that the improvement is about, as the base view shows it, there or not: who writes to it in
 * place, or mounts /usr late, leaves our mounts as they are and has no hook to tell of it.
 */
static void add_base_file(const struct agent *a, const char *path, struct hasher *h,
	struct stamp *stamp)
{
	struct stat st = {0};
	int64_t facts[5];

	if (fstatat(a->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		st = (struct stat){0};
	facts[0] = (int64_t)st.st_ino;
	facts[1] = st.st_size;
	facts[2] = st.st_mtim.tv_sec;
	facts[3] = st.st_ctim.tv_sec;
	facts[4] = st.st_ctim.tv_nsec;
	hasher_update(h, facts, sizeof facts);
	if (st.st_ctim.tv_sec > stamp->newest_utc_s)
		stamp->newest_utc_s = st.st_ctim.tv_sec;
}

static void add_base(const struct agent *a, const struct manifest *m, struct hasher *h,
	struct stamp *stamp)
{
	for (size_t i = 0; m && i < m->n_components; i++)
		for (size_t k = 0; k < m->components[i].n_files; k++)
			add_base_file(a, m->components[i].files[k].path, h, stamp);
}

static void add_mounts(const struct graft_mount *mounts, size_t n, struct hasher *h)
{
	for (size_t i = 0; i < n; i++) {
		const struct graft_mount *m = &mounts[i];

		hasher_update(h, m->component, strlen(m->component) + 1);
		hasher_update(h, m->digest.bytes, sizeof m->digest.bytes);
		hasher_update(h, m->path, strlen(m->path) + 1);
	}
}

/* *ret_table is the caller's, unless it is NULL: the mount table that the stamp is of. */
static int stamp_make(struct agent *a, struct stamp *ret, struct mount_table **ret_table)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO(graft_state) struct graft_state *state = NULL;
	AUTO(hasher) struct hasher *h = NULL;
	struct graft_host host;
	char root[PATH_MAX];
	int r;

	*ret = (struct stamp){.newest_utc_s = INT64_MIN};
	r = context_installed(a, &installed, NULL);
	if (r == 0)
		r = context_host(a, &host, NULL);
	if (r == 0)
		r = graft_state_table(&host, &table, root, NULL);
	if (r == 0)
		r = graft_state_of(table, root, &state);
	if (r == 0)
		r = hasher_new(&h);
	if (r < 0)
		return r;
	add_mounts(state->mounts, state->n_mounts, h);
	add_mounts(state->lids, state->n_lids, h);
	add_base(a, installed.manifest, h, ret);
	ret->n_mounts = state->n_mounts;
	ret->n_lids = state->n_lids;
	r = hasher_final(h, &ret->digest);
	if (r == 0 && ret_table)
		*ret_table = take_ptr(table);
	return r;
}

/* What fits by its digests, or has no file here, does so whatever the package database says. */
static bool is_by_files(const struct fit *fit)
{
	for (size_t i = 0; fit && i < fit->n_components; i++)
		if (fit->components[i].match.verdict != MATCH_SET &&
			fit->components[i].match.verdict != MATCH_ABSENT)
			return false;
	return true;
}

/* Only the engine attaches, and one at a time: if none went since the change, they are those that it left. */
static bool is_as_left(const struct graft_report *graft, const struct stamp *stamp)
{
	return stamp->n_lids == 0 && stamp->n_mounts >= graft_report_covered(graft);
}

/* Whether every file of the improvement is here and attached, and nothing else is. */
static bool is_complete(const struct fit *fit, const struct stamp *stamp)
{
	size_t n = 0;

	for (size_t i = 0; fit && i < fit->n_components; i++)
		for (size_t k = 0; k < fit->components[i].component->n_files; k++, n++)
			if (!fit_has_file(&fit->components[i], k))
				return false;
	return n == stamp->n_mounts;
}

/* So that the launcher knows that dpkg took none of them away; only for the host's own root. */
static void leave_inventory(const struct agent *a, const struct mount_table *table)
{
	AUTO_FREE char *text = strcmp(a->settings.root, "/") == 0 ? inventory_text(table) : NULL;

	/* without it the engine looks for itself */
	if (text)
		(void)!inventory_save(a->settings.run, text);
}

void settled_mark(struct agent *a, uint64_t generation, const struct fit *fit,
	const struct graft_report *graft, const struct packages_stamp *packages)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO_JSON json_t *document = NULL;
	struct stamp stamp;

	/* a file that changed since this run began may have changed after it was matched */
	if (stamp_make(a, &stamp, &table) < 0 || stamp.newest_utc_s >= a->settings.now_utc_s ||
		!is_as_left(graft, &stamp))
		return;
	document = json_pack("{s:I, s:s, s:s, s:b, s:s, s:b}", "generation", (json_int_t)generation,
		"base", a->device->base, "packages", packages->text, "by-files", is_by_files(fit),
		"files", digest_format(&stamp.digest).text, "require-seal", sealing_is_required(a));
	if (document)
		run_dir_save(a->settings.run, SETTLED_NAME, document, 0600);
	if (document && is_complete(fit, &stamp))
		leave_inventory(a, table);
}

static bool is_text(const json_t *document, const char *key, const char *text)
{
	const char *found = json_string_value(json_object_get(document, key));

	return found && strcmp(found, text) == 0;
}

/* Packages changed, and none of the files: dpkg calls its hook several times for each transaction. */
static void renew(struct agent *a, json_t *document, const struct packages_stamp *packages)
{
	(void)json_object_set_new(document, "packages", json_string(packages->text));
	run_dir_save(a->settings.run, SETTLED_NAME, document, 0600);
	status_keep_packages(a, packages);
}

bool settled_is(struct agent *a)
{
	const struct packages_stamp packages = packages_stamp(a->root_fd);
	AUTO_JSON json_t *document = NULL;
	struct stamp stamp;
	uint64_t current = 0, marked = 0;

	if (run_dir_load(a->settings.run, SETTLED_NAME, &document) < 0 ||
		json_get_u64(document, "generation", UINT64_MAX, &marked, NULL) < 0 ||
		store_current_get(a->store, &current, NULL) < 0 || stamp_make(a, &stamp, NULL) < 0)
		return false;
	if (current != marked || !is_text(document, "base", a->device->base) ||
		json_is_true(json_object_get(document, "require-seal")) != sealing_is_required(a) ||
		!is_text(document, "files", digest_format(&stamp.digest).text))
		return false;
	if (is_text(document, "packages", packages.text))
		return true;
	if (!json_is_true(json_object_get(document, "by-files")))
		return false;
	renew(a, document, &packages);
	return true;
}
