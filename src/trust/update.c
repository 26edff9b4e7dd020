/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/update.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "trust/name.h"
#include "trust/set.h"

enum progress {
	PROGRESS_NONE,
	PROGRESS_BROKEN, /* a refresh that failed: what is in memory is no whole */
	PROGRESS_READY,
};

struct trust_updater {
	struct trust_io io;
	struct trust_set *set;
	enum progress progress;
	bool offline;
};

/* A stored file; *ret_there is false where there is none. */
static int load_file(const struct trust_updater *u, const char *name, struct buffer *out,
	bool *ret_there, struct error *reterr)
{
	int r;

	r = u->io.load(u->io.ctx, name, out->max, out);
	*ret_there = r == 0;
	/* one that is too long to be ours is as good as none: what is fetched replaces it */
	if (r == 0 || r == -ENOENT || r == -BSI_E_LIMIT)
		return 0;
	return error_set(reterr, r, "the stored \"%s\" cannot be read", name);
}

static int save_file(const struct trust_updater *u, const char *name, const struct buffer *data,
	struct error *reterr)
{
	int r;

	r = u->io.save(u->io.ctx, name, data->data, data->len);
	if (r < 0)
		return error_set(reterr, r, "\"%s\" cannot be stored", name);
	return 0;
}

int trust_updater_new(const struct trust_io *io, int64_t now_utc_s, struct trust_updater **ret,
	struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer root = buffer_of(TRUST_ROOT_MAX_BYTES);
	AUTO(trust_updater) struct trust_updater *u = NULL;
	bool there;
	int r;

	u = calloc(1, sizeof *u);
	if (!u)
		return -ENOMEM;
	u->io = *io;
	r = load_file(u, "root.json", &root, &there, reterr);
	if (r < 0)
		return r;
	if (!there)
		return error_set(reterr, -ENOENT, "there is no trusted root");
	r = trust_set_new(root.data, root.len, now_utc_s, &u->set, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(u);
	return 0;
}

void trust_updater_free(struct trust_updater *u)
{
	if (!u)
		return;
	trust_set_free(u->set);
	free(u);
}

/*
 * A change of the timestamp's or snapshot's keys makes their stored copies worthless for the
 * comparison, whoever advanced them: they go before the root is stored, so that a run cut between
 * the two meets the same root again and drops them again.
 */
static int drop_rotated(const struct trust_updater *u, struct error *reterr)
{
	static const char *const names[] = {"timestamp.json", "snapshot.json"};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		r = u->io.drop(u->io.ctx, names[i]);
		if (r < 0 && r != -ENOENT)
			return error_set(reterr, r, "the stored \"%s\" cannot be removed",
				names[i]);
	}
	return 0;
}

/* One step of the root chain; *ret_last where no newer root is published. */
static int refresh_root_once(struct trust_updater *u, bool *ret_last, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer data = buffer_of(TRUST_ROOT_MAX_BYTES);
	AUTO_FREE char *url = NULL;
	bool rotated = false;
	int r;

	r = trust_role_url("root", trust_set_get(u->set, TRUST_ROOT)->version + 1, &url);
	if (r < 0)
		return r;
	r = u->io.fetch(u->io.ctx, url, TRUST_ROOT_MAX_BYTES, &data, reterr);
	*ret_last = r == -BSI_E_MISSING;
	if (r < 0)
		return *ret_last ? 0 : r;
	r = trust_set_root(u->set, data.data, data.len, &rotated, reterr);
	if (r < 0)
		return r;
	if (rotated) {
		r = drop_rotated(u, reterr);
		if (r < 0)
			return r;
	}
	return save_file(u, "root.json", &data, reterr);
}

static int refresh_root(struct trust_updater *u, struct error *reterr)
{
	bool last = false;
	int r;

	for (int i = 0; i < TRUST_ROTATIONS_MAX && !last; i++) {
		r = refresh_root_once(u, &last, reterr);
		if (r < 0)
			return r;
	}
	return trust_set_finish_root(u->set, reterr);
}

/* What every repository has (its timestamp), or what something that it signed lists. */
static int fetch_listed(const struct trust_updater *u, const char *url, size_t max_bytes,
	struct buffer *out, struct error *reterr)
{
	int r;

	r = u->io.fetch(u->io.ctx, url, max_bytes, out, reterr);
	/* "missing" is kept for targets that no role lists */
	if (r == -BSI_E_MISSING)
		return error_set(reterr, -BSI_E_TRANSFER,
			"the repository does not have \"metadata/%s\"; is this the address of the "
			"folder that holds metadata/?",
			url);
	return r;
}

static int refresh_timestamp(struct trust_updater *u, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer stored = buffer_of(TRUST_TIMESTAMP_MAX_BYTES);
	AUTO_DONE(buffer) struct buffer data = buffer_of(TRUST_TIMESTAMP_MAX_BYTES);
	bool there, news = false;
	int r;

	r = load_file(u, "timestamp.json", &stored, &there, reterr);
	if (r < 0)
		return r;
	/* one that does not verify by the root of today has nothing to say */
	if (there &&
		trust_set_timestamp(u->set, stored.data, stored.len, TRUST_STORED, &news, NULL) ==
			-ENOMEM)
		return -ENOMEM;
	r = fetch_listed(u, "timestamp.json", TRUST_TIMESTAMP_MAX_BYTES, &data, reterr);
	if (r < 0)
		return r;
	r = trust_set_timestamp(u->set, data.data, data.len, TRUST_FETCHED, &news, reterr);
	if (r < 0)
		return r;
	return news ? save_file(u, "timestamp.json", &data, reterr) : 0;
}

/* URL and longest length of a listed file. */
static int locate(const struct trust_updater *u, const char *role, size_t cap, char **ret_url,
	size_t *ret_max_bytes, struct error *reterr)
{
	bool consistent = trust_set_get(u->set, TRUST_ROOT)->consistent_snapshot;
	struct trust_file listed;
	int r;

	r = trust_set_listed(u->set, role, &listed, reterr);
	if (r < 0)
		return r;
	*ret_max_bytes = cap;
	if (listed.has_length) {
		if (listed.length > cap)
			return error_set(reterr, -BSI_E_LIMIT,
				"role \"%.200s\" is listed with %" PRIu64 " bytes, above %zu",
				role, listed.length, cap);
		*ret_max_bytes = (size_t)listed.length;
	}
	return trust_role_url(role, consistent ? listed.version : 0, ret_url);
}

static int refresh_snapshot(struct trust_updater *u, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer stored = buffer_of(TRUST_SNAPSHOT_MAX_BYTES);
	AUTO_DONE(buffer) struct buffer data = buffer_of(TRUST_SNAPSHOT_MAX_BYTES);
	AUTO_FREE char *url = NULL;
	bool there, final = false;
	size_t max_bytes;
	int r;

	r = load_file(u, "snapshot.json", &stored, &there, reterr);
	if (r < 0)
		return r;
	if (there &&
		trust_set_snapshot(u->set, stored.data, stored.len, TRUST_STORED, &final, NULL) ==
			-ENOMEM)
		return -ENOMEM;
	if (final)
		return 0;
	r = locate(u, "snapshot", TRUST_SNAPSHOT_MAX_BYTES, &url, &max_bytes, reterr);
	if (r < 0)
		return r;
	r = fetch_listed(u, url, max_bytes, &data, reterr);
	if (r < 0)
		return r;
	r = trust_set_snapshot(u->set, data.data, data.len, TRUST_FETCHED, &final, reterr);
	if (r < 0)
		return r;
	return save_file(u, "snapshot.json", &data, reterr);
}

/* The stored copy of a role, where it passes every check; *ret stays NULL where it does not. */
static int stored_role(struct trust_updater *u, const struct trust_metadata *delegator,
	const char *role, const char *file, const struct trust_metadata **ret,
	struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer data = buffer_of(TRUST_TARGETS_MAX_BYTES);
	bool there;
	int r;

	r = load_file(u, file, &data, &there, reterr);
	if (r < 0)
		return r;
	if (!there)
		return u->offline ? error_set(reterr, -ENOENT, "role \"%.200s\" is not stored here",
					    role) :
				    0;
	r = trust_set_role(u->set, delegator, role, data.data, data.len, ret,
		u->offline ? reterr : NULL);
	return u->offline || r == -ENOMEM ? r : 0;
}

/* The top-level targets role and every delegated one: the same way, without a shortcut. */
static int load_role(struct trust_updater *u, const struct trust_metadata *delegator,
	const char *role, const struct trust_metadata **ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer data = buffer_of(TRUST_TARGETS_MAX_BYTES);
	AUTO_FREE char *file = NULL, *url = NULL;
	size_t max_bytes;
	int r;

	*ret = trust_set_get_role(u->set, delegator, role);
	if (*ret)
		return 0;
	r = trust_role_file(role, &file);
	if (r < 0)
		return r;
	if (!u->offline) {
		/* a role that is not listed must not cause a request */
		r = locate(u, role, TRUST_TARGETS_MAX_BYTES, &url, &max_bytes, reterr);
		if (r < 0)
			return r;
	}
	r = stored_role(u, delegator, role, file, ret, reterr);
	if (r < 0 || *ret)
		return r;
	r = fetch_listed(u, url, max_bytes, &data, reterr);
	if (r < 0)
		return r;
	r = trust_set_role(u->set, delegator, role, data.data, data.len, ret, reterr);
	if (r < 0)
		return r;
	return save_file(u, file, &data, reterr);
}

static int refresh_all(struct trust_updater *u, struct error *reterr)
{
	const struct trust_metadata *targets;
	int r;

	r = refresh_root(u, reterr);
	if (r < 0)
		return r;
	r = refresh_timestamp(u, reterr);
	if (r < 0)
		return r;
	r = refresh_snapshot(u, reterr);
	if (r < 0)
		return r;
	return load_role(u, trust_set_get(u->set, TRUST_ROOT), "targets", &targets, reterr);
}

int trust_updater_refresh(struct trust_updater *u, struct error *reterr)
{
	int r;

	if (u->progress != PROGRESS_NONE || !u->io.fetch)
		return error_set(reterr, -EINVAL, "a refresh needs an updater of its own");
	u->progress = PROGRESS_BROKEN;
	r = refresh_all(u, reterr);
	if (r < 0)
		return r;
	u->progress = PROGRESS_READY;
	return 0;
}

/* Feed one stored file to the set, if it is there; what does not verify now is not used. */
static int offline_file(struct trust_updater *u, enum trust_type type, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer data = buffer_of(TRUST_SNAPSHOT_MAX_BYTES);
	const char *name = type == TRUST_TIMESTAMP ? "timestamp.json" : "snapshot.json";
	bool there, ignored = false;
	int r;

	r = load_file(u, name, &data, &there, reterr);
	if (r < 0 || !there)
		return r;
	if (type == TRUST_TIMESTAMP)
		r = trust_set_timestamp(u->set, data.data, data.len, TRUST_STORED, &ignored, NULL);
	else
		r = trust_set_snapshot(u->set, data.data, data.len, TRUST_STORED, &ignored, NULL);
	return r == -ENOMEM ? r : 0;
}

static int offline_all(struct trust_updater *u, struct error *reterr)
{
	const struct trust_metadata *targets;
	int r;

	r = offline_file(u, TRUST_TIMESTAMP, reterr);
	if (r < 0)
		return r;
	r = offline_file(u, TRUST_SNAPSHOT, reterr);
	if (r < 0)
		return r;
	return load_role(u, trust_set_get(u->set, TRUST_ROOT), "targets", &targets, reterr);
}

int trust_updater_offline(struct trust_updater *u, struct error *reterr)
{
	int r;

	if (u->progress != PROGRESS_NONE)
		return error_set(reterr, -EINVAL, "offline needs an updater of its own");
	u->progress = PROGRESS_BROKEN;
	u->offline = true;
	trust_set_offline(u->set);
	r = offline_all(u, reterr);
	if (r < 0)
		return r;
	u->progress = PROGRESS_READY;
	return 0;
}

/* Roles still to be visited, the next one last. */
struct visit {
	const struct trust_metadata *delegator;
	char *role;
};

struct search {
	const char *path;
	struct visit *waiting;
	size_t n_waiting, n_allocated;
	char *visited[TRUST_VISITS_MAX + 1]; /* the top-level role is not counted */
	size_t n_visited;
};

static void drop_waiting(struct search *s)
{
	while (s->n_waiting > 0)
		free(s->waiting[--s->n_waiting].role);
}

static void search_done(struct search *s)
{
	drop_waiting(s);
	free(s->waiting);
	for (size_t i = 0; i < s->n_visited; i++)
		free(s->visited[i]);
}

/* Takes role over, also where it fails. */
static int push(struct search *s, const struct trust_metadata *delegator, char *role)
{
	struct visit *waiting;
	size_t n;

	if (role && s->n_waiting == s->n_allocated) {
		n = s->n_allocated ? 2 * s->n_allocated : 16;
		waiting = reallocarray(s->waiting, n, sizeof *waiting);
		if (!waiting) {
			free(role);
			return -ENOMEM;
		}
		s->waiting = waiting;
		s->n_allocated = n;
	}
	if (!role)
		return -ENOMEM;
	s->waiting[s->n_waiting++] = (struct visit){.delegator = delegator, .role = role};
	return 0;
}

static bool was_visited(const struct search *s, const char *role)
{
	for (size_t i = 0; i < s->n_visited; i++)
		if (strcmp(s->visited[i], role) == 0)
			return true;
	return false;
}

/*
 * Put the roles that may speak for the path behind those that wait, so that the first listed is
 * visited next. A terminating one ends the list and drops everybody who waited before.
 */
static int push_delegations(struct search *s, const struct trust_metadata *md)
{
	const struct trust_delegations *d = &md->delegations;
	size_t n = d->n_list;
	char *bin = NULL;
	int r;

	if (d->bins.bits > 0) {
		r = trust_bins_name(&d->bins, s->path, &bin);
		if (r < 0)
			return r;
		drop_waiting(s);
		return push(s, md, bin);
	}
	for (size_t i = 0; i < d->n_list; i++) {
		if (!d->list[i].terminating || !trust_delegation_covers(&d->list[i], s->path))
			continue;
		drop_waiting(s);
		n = i + 1;
		break;
	}
	while (n-- > 0) {
		if (!trust_delegation_covers(&d->list[n], s->path))
			continue;
		r = push(s, md, strdup(d->list[n].role.name));
		if (r < 0)
			return r;
	}
	return 0;
}

static int found(const struct trust_updater *u, const char *path, uint64_t length,
	const struct trust_hashes *hashes, struct trust_target *ret)
{
	struct trust_target target = {.length = length, .hashes = *hashes};
	int r;

	target.digest = hashes->sha256;
	r = trust_target_url(path, hashes, trust_set_get(u->set, TRUST_ROOT)->consistent_snapshot,
		&target.url_path);
	if (r < 0)
		return r;
	*ret = target;
	return 0;
}

/* Pre-order, depth first, in the order listed; a role that fails ends the search. */
static int search(struct trust_updater *u, struct search *s, struct trust_target *ret,
	struct error *reterr)
{
	const struct trust_metadata *md = NULL;
	struct trust_hashes hashes;
	struct visit next;
	uint64_t length;
	int r;

	while (s->n_waiting > 0 && s->n_visited < ARRAY_SIZE(s->visited)) {
		next = s->waiting[--s->n_waiting];
		if (was_visited(s, next.role)) {
			free(next.role);
			continue;
		}
		s->visited[s->n_visited++] = next.role;
		r = load_role(u, next.delegator, next.role, &md, reterr);
		if (r < 0)
			return r;
		r = trust_metadata_target(md, s->path, &length, &hashes, reterr);
		if (r == 0)
			return found(u, s->path, length, &hashes, ret);
		if (r != -BSI_E_MISSING)
			return r;
		r = push_delegations(s, md);
		if (r < 0)
			return r;
	}
	if (s->n_waiting > 0)
		return error_set(reterr, -BSI_E_LIMIT,
			"\"%.200s\" was not found in %d delegated roles, and more are not asked",
			s->path, TRUST_VISITS_MAX);
	return error_set(reterr, -BSI_E_MISSING, "no role lists \"%.200s\"", s->path);
}

int trust_updater_target(struct trust_updater *u, const char *target_path,
	struct trust_target *ret, struct error *reterr)
{
	AUTO_DONE(search) struct search s = {.path = target_path};
	int r;

	if (u->progress != PROGRESS_READY)
		return error_set(reterr, -EINVAL, "no target before the metadata is there");
	if (path_check(target_path) < 0)
		return error_set(reterr, -BSI_E_PATH, "\"%.200s\" is no target path", target_path);
	r = push(&s, trust_set_get(u->set, TRUST_ROOT), strdup("targets"));
	if (r < 0)
		return r;
	return search(u, &s, ret, reterr);
}

void trust_target_done(struct trust_target *target)
{
	free(target->url_path);
	*target = (struct trust_target){};
}

int64_t trust_updater_floor_utc_s(const struct trust_updater *u)
{
	return trust_set_floor_utc_s(u->set);
}

int64_t trust_updater_expires_utc_s(const struct trust_updater *u)
{
	return trust_set_expires_utc_s(u->set);
}

uint64_t trust_updater_root_version(const struct trust_updater *u)
{
	return trust_set_get(u->set, TRUST_ROOT)->version;
}
