/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "trust/bounds.h"

/* Paths below the repository. */
struct names {
	char **list;
	size_t n, n_allocated;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct names){};
}

static int names_add(struct names *names, char *taken)
{
	if (!taken)
		return -ENOMEM;
	if (names->n == names->n_allocated) {
		size_t wanted = names->n_allocated ? 2 * names->n_allocated : 64;
		char **grown = reallocarray(names->list, wanted, sizeof *grown);

		if (!grown) {
			free(taken);
			return -ENOMEM;
		}
		names->list = grown;
		names->n_allocated = wanted;
	}
	names->list[names->n++] = taken;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_has(const struct names *sorted, const char *name)
{
	return sorted->n > 0 &&
	       bsearch(&name, sorted->list, sorted->n, sizeof name, compare_names);
}

struct walk {
	const struct repository *repository;
	int64_t before_utc_s;
	enum leftover_flags flags;
	struct names kept; /* what some list that stays names */
	struct names gone; /* in the order in which they may go */
	struct leftover found;
	struct error *reterr;
};

static int fail(const struct walk *w, const char *path, int r)
{
	return error_set(w->reterr, r, "%s/%s: %s", w->repository->path, path, error_text(r));
}

/* Names in a folder of the repository, sorted. */
static int list_folder(const struct walk *w, const char *path, struct names *ret)
{
	int fd = file_open_beneath(w->repository->fd, path, O_RDONLY | O_DIRECTORY, 0), r = 0;
	const struct dirent *entry;
	DIR *folder;

	if (fd < 0)
		return fail(w, path, fd);
	folder = fdopendir(fd);
	if (!folder) {
		r = -errno;
		(void)close(fd);
		return fail(w, path, r);
	}
	while (r == 0 && (entry = readdir(folder)))
		r = names_add(ret, strdup(entry->d_name));
	(void)closedir(folder);
	if (ret->n > 0)
		qsort(ret->list, ret->n, sizeof *ret->list, compare_names);
	return r;
}

static int status_of(const struct walk *w, const char *path, struct stat *ret)
{
	return fstatat(w->repository->fd, path, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* A file that nothing which stays names; it stays too if it is not old. */
static int take(struct walk *w, const char *path, int64_t since_utc_s)
{
	struct stat st;
	int r = status_of(w, path, &st);

	/* somebody else renames what he made, when nobody holds the lock here */
	if (r < 0)
		return r == -ENOENT ? 0 : fail(w, path, r);
	if (!S_ISREG(st.st_mode) || since_utc_s >= w->before_utc_s)
		return 0;
	w->found.n_files++;
	w->found.bytes += (uint64_t)st.st_size;
	return names_add(&w->gone, strdup(path));
}

/* "12.debian:12:amd64.json"; version 0 for names of another form. */
static uint64_t parse_name(const char *name, const char **ret_role)
{
	uint64_t version = 0;
	const char *at = name;
	size_t len = strlen(name);

	for (; *at >= '0' && *at <= '9' && at - name < 18; at++)
		version = version * 10 + (uint64_t)(*at - '0');
	if (at == name || *at != '.' || len < 6 || strcmp(name + len - 5, ".json") != 0)
		return 0;
	*ret_role = at + 1;
	return version;
}

static uint64_t current_version(const struct repository *r, const char *role, size_t role_len)
{
	static const char snapshot[] = "snapshot";

	if (role_len == sizeof snapshot - 1 && memcmp(role, snapshot, role_len) == 0)
		return r->snapshot->version;
	for (size_t i = 0; i < r->n_roles; i++)
		if (strlen(r->roles[i].name) == role_len &&
			memcmp(r->roles[i].name, role, role_len) == 0)
			return r->roles[i].file.version;
	return 0;
}

/* All that a list which stays names; one that cannot be read serves nobody. */
static int keep_listed(struct walk *w, const char *path, const char *role)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	struct error unused_error;
	const char *target;
	json_t *unused;
	int r;

	r = file_read(w->repository->fd, path, TRUST_TARGETS_MAX_BYTES, &bytes);
	if (r == 0)
		r = trust_metadata_decode(bytes.data, bytes.len, TRUST_TARGETS, role, &md,
			&unused_error);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	json_object_foreach(md->targets, target, unused)
	{
		struct trust_hashes hashes;
		uint64_t length;
		char *file = NULL;

		if (trust_metadata_target(md, target, &length, &hashes, &unused_error) < 0 ||
			!hashes.has_sha256)
			continue;
		r = repository_target_file(target, &hashes.sha256, &file);
		if (r == 0)
			r = names_add(&w->kept, file);
		if (r < 0)
			return r;
	}
	return 0;
}

/* When a version ceased to be the one that readers are led to: when the next one came. */
static int superseded_since(const struct walk *w, const char *path, const char *role,
	uint64_t version, uint64_t current, int64_t *ret_utc_s)
{
	struct stat st;
	char next[512];
	int r = -ENOENT;

	for (uint64_t n = version + 1; version < current && n <= current && r == -ENOENT; n++) {
		(void)snprintf(next, sizeof next, REPOSITORY_METADATA "/%llu.%s",
			(unsigned long long)n, role);
		r = status_of(w, next, &st);
	}
	if (version > current || r == -ENOENT)
		r = status_of(w, path, &st);
	if (r == 0)
		*ret_utc_s = st.st_mtim.tv_sec;
	return r;
}

static int walk_metadata(struct walk *w)
{
	__attribute__((cleanup(names_done))) struct names names = {};
	int r = list_folder(w, REPOSITORY_METADATA, &names);

	for (size_t i = 0; r == 0 && i < names.n; i++) {
		const char *role = NULL;
		uint64_t version = parse_name(names.list[i], &role), current;
		int64_t since_utc_s = 0;
		char path[512];

		if (version == 0 || strcmp(role, "root.json") == 0)
			continue;
		(void)snprintf(path, sizeof path, REPOSITORY_METADATA "/%s", names.list[i]);
		current = current_version(w->repository, role, strlen(role) - 5);
		if (current == 0)
			continue;
		if (version != current)
			r = superseded_since(w, path, role, version, current, &since_utc_s);
		if (r < 0)
			return fail(w, path, r);
		if (version != current && since_utc_s < w->before_utc_s)
			r = take(w, path, since_utc_s);
		else if (strcmp(role, "snapshot.json") != 0)
			r = keep_listed(w, path, role);
	}
	return r;
}

/* "DIGEST.name", or what a killed run wrote under a name of its own. */
static bool is_ours(const char *name)
{
	size_t len = strlen(name);

	if (name[0] == '.')
		return len > 5 && strcmp(name + len - 4, ".new") == 0;
	return strspn(name, "0123456789abcdef") == DIGEST_HEX_LEN && name[DIGEST_HEX_LEN] == '.';
}

static int walk_targets(struct walk *w, const char *base)
{
	__attribute__((cleanup(names_done))) struct names names = {};
	char folder[400], path[800];
	int r;

	(void)snprintf(folder, sizeof folder, REPOSITORY_TARGETS "/%s", base);
	r = list_folder(w, folder, &names);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		struct stat st;

		(void)snprintf(path, sizeof path, "%s/%s", folder, names.list[i]);
		if (!is_ours(names.list[i]) || names_has(&w->kept, path))
			continue;
		r = status_of(w, path, &st);
		if (r == 0)
			r = take(w, path, st.st_mtim.tv_sec);
		else
			r = r == -ENOENT ? 0 : fail(w, path, r);
	}
	return r;
}

/* Lists first: what they name must not go before them. */
static int remove_all(const struct walk *w)
{
	for (size_t i = 0; i < w->gone.n; i++)
		if (unlinkat(w->repository->fd, w->gone.list[i], 0) < 0 && errno != ENOENT)
			return fail(w, w->gone.list[i], -errno);
	return 0;
}

int leftover_walk(const struct repository *r, int64_t before_utc_s, enum leftover_flags flags,
	struct leftover *ret, struct error *reterr)
{
	struct walk w = {.repository = r, .before_utc_s = before_utc_s, .flags = flags,
		.reterr = reterr};
	int result;

	result = walk_metadata(&w);
	if (result == 0 && w.kept.n > 0)
		qsort(w.kept.list, w.kept.n, sizeof *w.kept.list, compare_names);
	for (size_t i = 1; result == 0 && i < r->n_roles; i++)
		result = walk_targets(&w, r->roles[i].name);
	if (result == 0 && (flags & LEFTOVER_REMOVE))
		result = remove_all(&w);
	if (result == 0)
		*ret = w.found;
	names_done(&w.kept);
	names_done(&w.gone);
	return result;
}
