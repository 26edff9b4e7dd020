/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/set.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utc.h"

/* A role that was verified for one delegator. */
struct loaded {
	const struct trust_metadata *delegator;
	char *role;
	struct trust_metadata *md;
};

struct trust_set {
	int64_t now_utc_s;
	bool offline, root_final, timestamp_final, snapshot_final;
	struct trust_metadata *root, *timestamp, *snapshot;
	struct loaded *roles;
	size_t n_roles;
	int64_t floor_utc_s, expires_utc_s;
};

static void raise_floor(struct trust_set *set, const struct trust_metadata *md)
{
	if (md->issued_utc_s > set->floor_utc_s)
		set->floor_utc_s = md->issued_utc_s;
}

static void lower_expiry(struct trust_set *set, const struct trust_metadata *md)
{
	if (md->expires_utc_s < set->expires_utc_s)
		set->expires_utc_s = md->expires_utc_s;
}

/* It cannot be earlier than what offline keys signed: a clock that says so is wrong. */
static int64_t now_of(const struct trust_set *set)
{
	return set->now_utc_s > set->floor_utc_s ? set->now_utc_s : set->floor_utc_s;
}

static bool is_expired(const struct trust_set *set, const struct trust_metadata *md)
{
	return !set->offline && md->expires_utc_s <= now_of(set);
}

static int check_expiry(const struct trust_set *set, const struct trust_metadata *md,
	const char *what, struct error *reterr)
{
	if (!is_expired(set, md))
		return 0;
	return error_set(reterr, -BSI_E_EXPIRED, "%s expired at %s (it is %s here)", what,
		utc_format(md->expires_utc_s).text, utc_format(now_of(set)).text);
}

int trust_set_new(const void *root, size_t len, int64_t now_utc_s, struct trust_set **ret,
	struct error *reterr)
{
	AUTO(trust_set) struct trust_set *set = NULL;
	int r;

	set = calloc(1, sizeof *set);
	if (!set)
		return -ENOMEM;
	set->now_utc_s = now_utc_s;
	set->expires_utc_s = INT64_MAX;
	r = trust_metadata_decode(root, len, TRUST_ROOT, "the trusted root", &set->root, reterr);
	if (r < 0)
		return r;
	r = trust_metadata_verify(set->root, &set->root->roles[TRUST_ROOT], &set->root->keyring,
		"the trusted root", reterr);
	if (r < 0)
		return r;
	raise_floor(set, set->root);
	*ret = take_ptr(set);
	return 0;
}

void trust_set_free(struct trust_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->n_roles; i++) {
		trust_metadata_free(set->roles[i].md);
		free(set->roles[i].role);
	}
	free(set->roles);
	trust_metadata_free(set->root);
	trust_metadata_free(set->timestamp);
	trust_metadata_free(set->snapshot);
	free(set);
}

void trust_set_offline(struct trust_set *set)
{
	set->offline = true;
}

static int check_next_root(const struct trust_metadata *old, const struct trust_metadata *next,
	const char *what, struct error *reterr)
{
	int r;

	r = trust_metadata_verify(next, &old->roles[TRUST_ROOT], &old->keyring, what, reterr);
	if (r < 0) {
		error_prefix(reterr, "by the keys of root %" PRIu64, old->version);
		return r;
	}
	r = trust_metadata_verify(next, &next->roles[TRUST_ROOT], &next->keyring, what, reterr);
	if (r < 0) {
		error_prefix(reterr, "by its own keys");
		return r;
	}
	if (next->version == old->version + 1)
		return 0;
	return error_set(reterr, next->version <= old->version ? -BSI_E_ROLLBACK : -BSI_E_FORMAT,
		"%s says that it is version %" PRIu64, what, next->version);
}

int trust_set_root(struct trust_set *set, const void *data, size_t len, bool *ret_rotated,
	struct error *reterr)
{
	AUTO(trust_metadata) struct trust_metadata *next = NULL;
	char what[48];
	int r;

	if (set->root_final || set->offline)
		return -EINVAL;
	(void)snprintf(what, sizeof what, "root %" PRIu64, set->root->version + 1);
	r = trust_metadata_decode(data, len, TRUST_ROOT, what, &next, reterr);
	if (r < 0)
		return r;
	r = check_next_root(set->root, next, what, reterr);
	if (r < 0)
		return r;
	*ret_rotated = !trust_role_same_keys(&set->root->roles[TRUST_TIMESTAMP],
			       &next->roles[TRUST_TIMESTAMP]) ||
		       !trust_role_same_keys(&set->root->roles[TRUST_SNAPSHOT],
			       &next->roles[TRUST_SNAPSHOT]);
	trust_metadata_free(set->root);
	set->root = take_ptr(next);
	raise_floor(set, set->root);
	return 0;
}

int trust_set_finish_root(struct trust_set *set, struct error *reterr)
{
	char what[48];
	int r;

	if (set->root_final)
		return -EINVAL;
	(void)snprintf(what, sizeof what, "root %" PRIu64, set->root->version);
	r = check_expiry(set, set->root, what, reterr);
	if (r < 0)
		return r;
	set->root_final = true;
	return 0;
}

/* Decode a role of the root and check its signatures. */
static int open_top(const struct trust_set *set, const void *data, size_t len,
	enum trust_type type, const char *what, struct trust_metadata **ret, struct error *reterr)
{
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	int r;

	r = trust_metadata_decode(data, len, type, what, &md, reterr);
	if (r < 0)
		return r;
	r = trust_metadata_verify(md, &set->root->roles[type], &set->root->keyring, what, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(md);
	return 0;
}

/* A timestamp that is newer than the one before; *ret_same where it has the same version. */
static int compare_timestamps(const struct trust_metadata *old, const struct trust_metadata *next,
	bool *ret_same, struct error *reterr)
{
	struct trust_file before, after;
	int r;

	*ret_same = next->version == old->version;
	if (*ret_same)
		return 0;
	if (next->version < old->version)
		return error_set(reterr, -BSI_E_ROLLBACK,
			"the timestamp went back from version %" PRIu64 " to %" PRIu64,
			old->version, next->version);
	r = trust_metadata_file(old, "snapshot.json", &before, reterr);
	if (r < 0)
		return r;
	r = trust_metadata_file(next, "snapshot.json", &after, reterr);
	if (r < 0)
		return r;
	if (after.version < before.version)
		return error_set(reterr, -BSI_E_ROLLBACK,
			"the timestamp lists snapshot %" PRIu64 " after %" PRIu64, after.version,
			before.version);
	return 0;
}

static void finish_timestamp(struct trust_set *set)
{
	set->timestamp_final = true;
	lower_expiry(set, set->timestamp);
}

int trust_set_timestamp(struct trust_set *set, const void *data, size_t len,
	enum trust_origin origin, bool *ret_news, struct error *reterr)
{
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	bool same = false;
	int r;

	if (!(set->root_final || set->offline) || set->timestamp_final)
		return -EINVAL;
	r = open_top(set, data, len, TRUST_TIMESTAMP, "the timestamp", &md, reterr);
	if (r < 0)
		return r;
	*ret_news = false;
	if (origin == TRUST_STORED) {
		trust_metadata_free(set->timestamp);
		set->timestamp = take_ptr(md);
		if (set->offline)
			finish_timestamp(set);
		return 0;
	}
	if (set->timestamp) {
		r = compare_timestamps(set->timestamp, md, &same, reterr);
		if (r < 0)
			return r;
	}
	r = check_expiry(set, same ? set->timestamp : md, "the timestamp", reterr);
	if (r < 0)
		return r;
	if (!same) {
		trust_metadata_free(set->timestamp);
		set->timestamp = take_ptr(md);
	}
	*ret_news = !same;
	finish_timestamp(set);
	return 0;
}

/* Length and hashes as listed, over the bytes, before anything is parsed. */
static int check_bytes(const struct trust_file *listed, const void *data, size_t len,
	const char *what, struct error *reterr)
{
	int r;

	if (listed->has_length && len != listed->length)
		return error_set(reterr, -BSI_E_DIGEST, "%s has %zu bytes and %" PRIu64 " are listed",
			what, len, listed->length);
	if (!listed->has_hashes)
		return 0;
	r = trust_hashes_check(&listed->hashes, data, len);
	if (r < 0)
		return error_set(reterr, r, "%s is not the file that is listed", what);
	return 0;
}

static int check_version(const struct trust_file *listed, const struct trust_metadata *md,
	const char *what, struct error *reterr)
{
	if (md->version == listed->version)
		return 0;
	return error_set(reterr, -BSI_E_ROLLBACK,
		"%s is version %" PRIu64 " and %" PRIu64 " is listed", what, md->version,
		listed->version);
}

/* Nothing that the snapshot before listed may be gone or older. */
static int compare_snapshots(const struct trust_metadata *old, const struct trust_metadata *next,
	struct error *reterr)
{
	struct trust_file before, after;
	const char *name;
	json_t *value;
	int r;

	json_object_foreach(old->files, name, value) {
		r = trust_metadata_file(old, name, &before, reterr);
		if (r < 0)
			return r;
		if (!json_object_get(next->files, name))
			return error_set(reterr, -BSI_E_ROLLBACK,
				"the snapshot no longer lists \"%.200s\"", name);
		r = trust_metadata_file(next, name, &after, reterr);
		if (r < 0)
			return r;
		if (after.version < before.version)
			return error_set(reterr, -BSI_E_ROLLBACK,
				"the snapshot lists \"%.200s\" version %" PRIu64 " after %" PRIu64,
				name, after.version, before.version);
	}
	return 0;
}

static void finish_snapshot(struct trust_set *set)
{
	set->snapshot_final = true;
	lower_expiry(set, set->snapshot);
}

static int stored_snapshot(struct trust_set *set, const void *data, size_t len, bool *ret_final,
	struct error *reterr)
{
	struct trust_file listed;
	int r;

	r = open_top(set, data, len, TRUST_SNAPSHOT, "the snapshot", &set->snapshot, reterr);
	if (r < 0)
		return r;
	if (set->offline) {
		finish_snapshot(set);
	} else {
		r = trust_set_listed(set, "snapshot", &listed, reterr);
		if (r < 0)
			return r;
		if (set->snapshot->version == listed.version &&
			check_bytes(&listed, data, len, "the snapshot", NULL) == 0 &&
			!is_expired(set, set->snapshot))
			finish_snapshot(set);
	}
	*ret_final = set->snapshot_final;
	return 0;
}

static int fetched_snapshot(struct trust_set *set, const void *data, size_t len,
	struct error *reterr)
{
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	struct trust_file listed;
	int r;

	r = trust_set_listed(set, "snapshot", &listed, reterr);
	if (r < 0)
		return r;
	r = check_bytes(&listed, data, len, "the snapshot", reterr);
	if (r < 0)
		return r;
	r = open_top(set, data, len, TRUST_SNAPSHOT, "the snapshot", &md, reterr);
	if (r < 0)
		return r;
	r = check_version(&listed, md, "the snapshot", reterr);
	if (r < 0)
		return r;
	if (set->snapshot) {
		r = compare_snapshots(set->snapshot, md, reterr);
		if (r < 0)
			return r;
	}
	r = check_expiry(set, md, "the snapshot", reterr);
	if (r < 0)
		return r;
	trust_metadata_free(set->snapshot);
	set->snapshot = take_ptr(md);
	finish_snapshot(set);
	return 0;
}

int trust_set_snapshot(struct trust_set *set, const void *data, size_t len,
	enum trust_origin origin, bool *ret_final, struct error *reterr)
{
	int r;

	if (!(set->timestamp_final || set->offline) || set->snapshot_final)
		return -EINVAL;
	if (origin == TRUST_STORED)
		return set->snapshot ? -EINVAL :
				       stored_snapshot(set, data, len, ret_final, reterr);
	r = fetched_snapshot(set, data, len, reterr);
	if (r < 0)
		return r;
	*ret_final = true;
	return 0;
}

int trust_set_listed(const struct trust_set *set, const char *role, struct trust_file *ret,
	struct error *reterr)
{
	const struct trust_metadata *lister = set->snapshot_final ? set->snapshot : NULL;
	AUTO_FREE char *name = NULL;
	int r;

	if (strcmp(role, "snapshot") == 0)
		lister = set->timestamp_final ? set->timestamp : NULL;
	if (!lister)
		return -EINVAL;
	if (asprintf(&name, "%s.json", role) < 0)
		return -ENOMEM;
	r = trust_metadata_file(lister, name, ret, reterr);
	/* "missing" is kept for targets; a role that is delegated to and not listed is a fault */
	return r == -BSI_E_MISSING ? -BSI_E_FORMAT : r;
}

/* Who must sign the role, by what the delegator says. */
static int signers_of(const struct trust_set *set, const struct trust_metadata *delegator,
	const char *role, const struct trust_role **ret_role,
	const struct trust_keyring **ret_ring, struct error *reterr)
{
	if (delegator == set->root) {
		if (strcmp(role, "targets") != 0)
			return -EINVAL;
		*ret_role = &delegator->roles[TRUST_TARGETS];
		*ret_ring = &delegator->keyring;
		return 0;
	}
	*ret_role = trust_delegations_role(&delegator->delegations, role);
	*ret_ring = &delegator->delegations.keyring;
	if (!*ret_role)
		return error_set(reterr, -EINVAL, "role \"%.200s\" is not delegated", role);
	return 0;
}

static int add_role(struct trust_set *set, const struct trust_metadata *delegator,
	const char *role, struct trust_metadata **md)
{
	struct loaded *roles;
	char *name;

	roles = reallocarray(set->roles, set->n_roles + 1, sizeof *roles);
	if (!roles)
		return -ENOMEM;
	set->roles = roles;
	name = strdup(role);
	if (!name)
		return -ENOMEM;
	roles[set->n_roles++] =
		(struct loaded){.delegator = delegator, .role = name, .md = take_ptr(*md)};
	return 0;
}

/*
 * An interrupted refresh leaves a newer snapshot beside an older role. Both were checked when they
 * came, so offline the older one still stands; anything else must be exactly what is listed.
 */
static int check_stored(const struct trust_set *set, const struct trust_file *listed,
	const struct trust_metadata *md, const void *data, size_t len, const char *what,
	struct error *reterr)
{
	int r;

	if (!set->snapshot_final || md->version < listed->version)
		return 0;
	r = check_bytes(listed, data, len, what, reterr);
	if (r < 0)
		return r;
	return check_version(listed, md, what, reterr);
}

/* Online: exactly the bytes and the version that the snapshot lists. */
static int open_role(const struct trust_set *set, const struct trust_metadata *delegator,
	const char *role, const void *data, size_t len, struct trust_metadata **ret,
	struct error *reterr)
{
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	const struct trust_role *signers;
	const struct trust_keyring *ring;
	struct trust_file listed = {};
	char what[128];
	int r;

	(void)snprintf(what, sizeof what, "role \"%.80s\"", role);
	r = signers_of(set, delegator, role, &signers, &ring, reterr);
	if (r < 0)
		return r;
	if (set->snapshot_final) {
		r = trust_set_listed(set, role, &listed, reterr);
		if (r < 0)
			return r;
	}
	if (!set->offline) {
		r = check_bytes(&listed, data, len, what, reterr);
		if (r < 0)
			return r;
	}
	r = trust_metadata_decode(data, len, TRUST_TARGETS, what, &md, reterr);
	if (r < 0)
		return r;
	r = trust_metadata_verify(md, signers, ring, what, reterr);
	if (r < 0)
		return r;
	r = set->offline ? check_stored(set, &listed, md, data, len, what, reterr) :
			   check_version(&listed, md, what, reterr);
	if (r < 0)
		return r;
	r = check_expiry(set, md, what, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(md);
	return 0;
}

int trust_set_role(struct trust_set *set, const struct trust_metadata *delegator, const char *role,
	const void *data, size_t len, const struct trust_metadata **ret, struct error *reterr)
{
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	const struct trust_metadata *taken;
	int r;

	if (!set->snapshot_final && !set->offline)
		return -EINVAL;
	r = open_role(set, delegator, role, data, len, &md, reterr);
	if (r < 0)
		return r;
	taken = md;
	r = add_role(set, delegator, role, &md);
	if (r < 0)
		return r;
	raise_floor(set, taken);
	lower_expiry(set, taken);
	*ret = taken;
	return 0;
}

const struct trust_metadata *trust_set_get(const struct trust_set *set, enum trust_type type)
{
	switch (type) {
	case TRUST_ROOT:
		return set->root;
	case TRUST_TIMESTAMP:
		return set->timestamp;
	case TRUST_SNAPSHOT:
		return set->snapshot;
	case TRUST_TARGETS:
		return trust_set_get_role(set, set->root, "targets");
	case TRUST_TYPE_MAX:
	default:
		return NULL;
	}
}

const struct trust_metadata *trust_set_get_role(const struct trust_set *set,
	const struct trust_metadata *delegator, const char *role)
{
	for (size_t i = 0; i < set->n_roles; i++)
		if (set->roles[i].delegator == delegator && strcmp(set->roles[i].role, role) == 0)
			return set->roles[i].md;
	return NULL;
}

int64_t trust_set_floor_utc_s(const struct trust_set *set)
{
	return set->floor_utc_s;
}

int64_t trust_set_expires_utc_s(const struct trust_set *set)
{
	return set->expires_utc_s;
}
