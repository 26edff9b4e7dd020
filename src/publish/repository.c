/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utc.h"
#include "improvement/base_id.h"
#include "publish/record.h"
#include "trust/bounds.h"

#define METADATA_NAME_MAX 512

/* Where a role's file lies in the folder. version 0: its name has none, as the timestamp's. */
static void metadata_name(char name[static METADATA_NAME_MAX], const char *role, uint64_t version)
{
	if (version > 0)
		(void)snprintf(name, METADATA_NAME_MAX, REPOSITORY_METADATA "/%llu.%s.json",
			(unsigned long long)version, role);
	else
		(void)snprintf(name, METADATA_NAME_MAX, REPOSITORY_METADATA "/%s.json", role);
}

/* One metadata file: bytes and what they say. name is "root", "timestamp" …; version 0: none. */
static int read_metadata(const struct repository *r, const char *role, uint64_t version,
	enum trust_type type, struct buffer *out, struct trust_metadata **ret,
	struct error *reterr)
{
	char name[METADATA_NAME_MAX];
	int result;

	metadata_name(name, role, version);
	result = file_read(r->fd, name, TRUST_TARGETS_MAX_BYTES, out);
	if (result == -ENOENT)
		return result;
	if (result < 0)
		return error_set(reterr, result, "%s/%s: %s", r->path, name, error_text(result));
	result = trust_metadata_decode(out->data, out->len, type, name, ret, reterr);
	if (result < 0)
		error_prefix(reterr, "%s", r->path);
	return result;
}

int repository_write_metadata(const struct repository *r, const char *role, uint64_t version,
	const struct buffer *bytes, struct error *reterr)
{
	char name[METADATA_NAME_MAX];
	int result;

	metadata_name(name, role, version);
	result = file_replace(r->fd, name, bytes->data, bytes->len, 0644);
	if (result < 0)
		return error_set(reterr, result, "%s/%s: %s", r->path, name, error_text(result));
	return 0;
}

static int wrong(const struct repository *r, const char *what, struct error *reterr)
{
	return error_set(reterr, -BSI_E_FORMAT, "%s: %s", r->path, what);
}

/* From the first root to the newest, each signed by the one before it and by itself. */
static int load_roots(struct repository *r, struct error *reterr)
{
	for (uint64_t version = 1; version <= TRUST_ROTATIONS_MAX; version++) {
		AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_ROOT_MAX_BYTES);
		AUTO(trust_metadata) struct trust_metadata *md = NULL;
		int result;

		result = read_metadata(r, "root", version, TRUST_ROOT, &bytes, &md, reterr);
		if (result == -ENOENT)
			break;
		if (result == 0 && md->version != version)
			result = wrong(r, "a root has another version than its name", reterr);
		if (result == 0 && r->root)
			result = trust_metadata_verify(md, &r->root->roles[TRUST_ROOT],
				&r->root->keyring, "root", reterr);
		if (result == 0)
			result = trust_metadata_verify(md, &md->roles[TRUST_ROOT], &md->keyring,
				"root", reterr);
		if (result < 0)
			return result;
		trust_metadata_free(r->root);
		r->root = take_ptr(md);
	}
	if (!r->root)
		return error_set(reterr, -ENOENT,
			"%s is no repository (" REPOSITORY_METADATA "/1.root.json is missing)",
			r->path);
	return 0;
}

static int load_online(struct repository *r, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer timestamp = buffer_of(TRUST_TIMESTAMP_MAX_BYTES);
	AUTO_DONE(buffer) struct buffer snapshot = buffer_of(TRUST_SNAPSHOT_MAX_BYTES);
	struct trust_file file;
	int result;

	result = read_metadata(r, "timestamp", 0, TRUST_TIMESTAMP, &timestamp, &r->timestamp,
		reterr);
	if (result == -ENOENT)
		return wrong(r, REPOSITORY_METADATA "/timestamp.json is missing", reterr);
	if (result == 0)
		result = trust_metadata_verify(r->timestamp, &r->root->roles[TRUST_TIMESTAMP],
			&r->root->keyring, "timestamp", reterr);
	if (result == 0)
		result = trust_metadata_file(r->timestamp, "snapshot.json", &file, reterr);
	if (result < 0)
		return result;
	result = read_metadata(r, "snapshot", file.version, TRUST_SNAPSHOT, &snapshot,
		&r->snapshot, reterr);
	if (result == -ENOENT)
		return wrong(r, "the snapshot that timestamp.json lists is missing", reterr);
	if (result < 0)
		return result;
	if (file.has_hashes && trust_hashes_check(&file.hashes, snapshot.data, snapshot.len) < 0)
		return wrong(r, "the snapshot is not what timestamp.json lists", reterr);
	return trust_metadata_verify(r->snapshot, &r->root->roles[TRUST_SNAPSHOT],
		&r->root->keyring, "snapshot", reterr);
}

int repository_list_target(struct repository_role *role, const char *target_path, uint64_t length,
	const struct digest *digest)
{
	struct repository_target *grown;

	for (size_t i = 0; i < role->n_targets; i++)
		if (strcmp(role->targets[i].path, target_path) == 0) {
			role->targets[i].length = length;
			role->targets[i].digest = *digest;
			return 0;
		}
	grown = reallocarray(role->targets, role->n_targets + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	role->targets = grown;
	grown[role->n_targets] = (struct repository_target){
		.path = strdup(target_path), .length = length, .digest = *digest};
	return grown[role->n_targets++].path ? 0 : -ENOMEM;
}

static int load_targets(const struct repository *r, struct repository_role *role,
	struct error *reterr)
{
	const char *path;
	json_t *unused;

	json_object_foreach(role->metadata->targets, path, unused)
	{
		struct trust_hashes hashes;
		uint64_t length;
		int result;

		result = trust_metadata_target(role->metadata, path, &length, &hashes, reterr);
		if (result == 0 && !hashes.has_sha256)
			result = wrong(r, "a target has no SHA-256 digest", reterr);
		if (result == 0)
			result = repository_list_target(role, path, length, &hashes.sha256);
		if (result < 0)
			return result;
	}
	return 0;
}

int repository_adopt(const struct repository *r, struct repository_role *role, struct buffer *bytes,
	struct trust_metadata **taken, struct error *reterr)
{
	int result;

	result = trust_file_describe(role->name, bytes->data, bytes->len, &role->file, reterr);
	if (result < 0)
		return result;
	for (size_t i = 0; i < role->n_targets; i++)
		free(role->targets[i].path);
	role->n_targets = 0;
	trust_metadata_free(role->metadata);
	role->metadata = take_ptr(*taken);
	free(role->bytes);
	role->bytes = buffer_take(bytes, &role->n_bytes);
	return load_targets(r, role, reterr);
}

/* A role that the snapshot lists, verified with its delegator's keys. */
static int load_role(struct repository *r, const char *name, const struct trust_role *keys,
	const struct trust_keyring *keyring, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	struct repository_role *role = &r->roles[r->n_roles];
	struct trust_file file;
	char listed[300];
	int result;

	(void)snprintf(listed, sizeof listed, "%s.json", name);
	result = trust_metadata_file(r->snapshot, listed, &file, reterr);
	if (result < 0)
		return result;
	role->name = strdup(name);
	if (!role->name)
		return -ENOMEM;
	r->n_roles++;
	result = read_metadata(r, name, file.version, TRUST_TARGETS, &bytes, &role->metadata,
		reterr);
	if (result == -ENOENT)
		return error_set(reterr, -BSI_E_FORMAT,
			"%s: version %llu of role %s, which the snapshot lists, is missing", r->path,
			(unsigned long long)file.version, name);
	if (result == 0)
		result = trust_metadata_verify(role->metadata, keys, keyring, name, reterr);
	if (result == 0 && role->metadata->version != file.version)
		result = wrong(r, "a role has another version than the snapshot lists", reterr);
	if (result == 0 && file.has_hashes &&
		trust_hashes_check(&file.hashes, bytes.data, bytes.len) < 0)
		result = wrong(r, "a role is not what the snapshot lists", reterr);
	if (result == 0)
		result = trust_file_describe(role->name, bytes.data, bytes.len, &role->file,
			reterr);
	if (result < 0)
		return result;
	role->bytes = buffer_take(&bytes, &role->n_bytes);
	return load_targets(r, role, reterr);
}

static int load_roles(struct repository *r, struct error *reterr)
{
	const struct trust_delegations *delegations;
	int result;

	r->roles = calloc(REPOSITORY_ROLES_MAX + 1, sizeof *r->roles);
	if (!r->roles)
		return -ENOMEM;
	result = load_role(r, "targets", &r->root->roles[TRUST_TARGETS], &r->root->keyring, reterr);
	if (result < 0)
		return result;
	delegations = &r->roles[0].metadata->delegations;
	if (delegations->n_list > REPOSITORY_ROLES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "%s has more than %d bases", r->path,
			REPOSITORY_ROLES_MAX);
	for (size_t i = 0; result == 0 && i < delegations->n_list; i++) {
		const struct trust_role *role = &delegations->list[i].role;

		if (base_id_check(role->name) < 0)
			return wrong(r, "a delegated role is not named after a base", reterr);
		result = load_role(r, role->name, role, &delegations->keyring, reterr);
	}
	return result;
}

int repository_open(const char *path, enum repository_flags flags, struct repository **ret,
	struct error *reterr)
{
	AUTO(repository) struct repository *r = calloc(1, sizeof *r);
	int result;

	if (!r)
		return -ENOMEM;
	r->fd = -EBADF;
	r->path = strdup(path);
	if (!r->path)
		return -ENOMEM;
	r->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->fd < 0)
		return error_set(reterr, -errno, "%s: %s", path, strerrordesc_np(errno));
	if ((flags & REPOSITORY_LOCK) && flock(r->fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(reterr, errno == EWOULDBLOCK ? -BSI_E_BUSY : -errno,
			"%s: another bsi-publish is at work in it", path);
	result = load_roots(r, reterr);
	if (result == 0)
		result = load_online(r, reterr);
	if (result == 0)
		result = load_roles(r, reterr);
	if (result < 0)
		return result;
	*ret = take_ptr(r);
	return 0;
}

void repository_free(struct repository *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_roles; i++) {
		struct repository_role *role = &r->roles[i];

		for (size_t k = 0; k < role->n_targets; k++)
			free(role->targets[k].path);
		free(role->targets);
		trust_metadata_free(role->metadata);
		free(role->bytes);
		free(role->name);
	}
	trust_metadata_free(r->root);
	trust_metadata_free(r->timestamp);
	trust_metadata_free(r->snapshot);
	record_free(r->record);
	if (r->fd >= 0)
		(void)close(r->fd);
	free(r->roles);
	free(r->path);
	free(r);
}

int repository_base(const struct repository *r, const char *base, struct repository_role **ret,
	struct error *reterr)
{
	for (size_t i = 1; i < r->n_roles; i++)
		if (strcmp(r->roles[i].name, base) == 0) {
			*ret = &r->roles[i];
			return 0;
		}
	return error_set(reterr, -BSI_E_BASE, "%s has no base \"%s\"", r->path, base);
}

int repository_target_file(const char *target_path, const struct digest *digest, char **ret)
{
	const char *slash = strrchr(target_path, '/');
	size_t folder = slash ? (size_t)(slash + 1 - target_path) : 0;

	if (asprintf(ret, REPOSITORY_TARGETS "/%.*s%s.%s", (int)folder, target_path,
		    digest_format(digest).text, target_path + folder) < 0)
		return -ENOMEM;
	return 0;
}

const struct repository_target *repository_target(const struct repository_role *role,
	const char *target_path)
{
	for (size_t i = 0; i < role->n_targets; i++)
		if (strcmp(role->targets[i].path, target_path) == 0)
			return &role->targets[i];
	return NULL;
}

int repository_read(const struct repository *r, const struct repository_role *role,
	const char *target_path, size_t max_bytes, struct buffer *out, struct error *reterr)
{
	const struct repository_target *t = repository_target(role, target_path);
	AUTO_FREE char *file = NULL;
	struct digest found;
	int result;

	if (!t)
		return error_set(reterr, -BSI_E_MISSING, "%s: role %s does not list %s", r->path,
			role->name, target_path);
	result = repository_target_file(target_path, &t->digest, &file);
	if (result < 0)
		return result;
	result = file_read(r->fd, file, max_bytes, out);
	if (result < 0)
		return error_set(reterr, result, "%s/%s: %s", r->path, file, error_text(result));
	result = digest_of(out->data, out->len, &found);
	if (result == 0 && (out->len != t->length || !digest_equal(&found, &t->digest)))
		result = error_set(reterr, -BSI_E_DIGEST, "%s/%s is not what role %s lists",
			r->path, file, role->name);
	return result;
}

int repository_load_index(const struct repository *r, const struct repository_role *role,
	struct index **ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(INDEX_MAX_BYTES);
	AUTO_FREE char *path = NULL;
	int result;

	result = base_id_target(role->name, "index.json", &path);
	if (result == 0)
		result = repository_read(r, role, path, INDEX_MAX_BYTES, &bytes, reterr);
	if (result == 0)
		result = index_decode(bytes.data, bytes.len, ret, reterr);
	return result;
}

int repository_load_manifest(const struct repository *r, const struct repository_role *role,
	const struct index_entry *entry, struct manifest **ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	AUTO_FREE char *path = NULL;
	int result;

	result = base_id_target(role->name, entry->manifest, &path);
	if (result == 0)
		result = repository_read(r, role, path, MANIFEST_MAX_BYTES, &bytes, reterr);
	if (result == 0)
		result = manifest_decode(bytes.data, bytes.len, ret, reterr);
	return result;
}

int repository_write_target(const struct repository *r, struct repository_role *role,
	const char *target_path, const void *data, size_t len, struct error *reterr)
{
	AUTO_FREE char *file = NULL;
	struct digest digest;
	int result;

	result = digest_of(data, len, &digest);
	if (result == 0)
		result = repository_target_file(target_path, &digest, &file);
	if (result == 0)
		result = file_replace(r->fd, file, data, len, 0644);
	if (result < 0)
		return error_set(reterr, result, "%s/%s: %s", r->path, file ? file : target_path,
			error_text(result));
	return repository_list_target(role, target_path, len, &digest);
}

int repository_check_time(const struct repository *r, int64_t now_utc_s, int64_t host_utc_s,
	struct error *reterr)
{
	const char *newest = "root";
	int64_t floor_utc_s = r ? r->root->issued_utc_s : 0;

	for (size_t i = 0; r && i < r->n_roles; i++)
		if (r->roles[i].metadata->issued_utc_s > floor_utc_s) {
			floor_utc_s = r->roles[i].metadata->issued_utc_s;
			newest = r->roles[i].name;
		}
	if (now_utc_s < floor_utc_s)
		return error_set(reterr, -BSI_E_USAGE,
			"the time of issue is %s, before the last issue for %s at %s: is the clock "
			"right?",
			utc_format(now_utc_s).text, newest, utc_format(floor_utc_s).text);
	if (now_utc_s - REPOSITORY_AHEAD_MAX_S > host_utc_s)
		return error_set(reterr, -BSI_E_USAGE,
			"the time of issue is %s, more than a day after the clock here (%s): devices "
			"would take it as the time that it is",
			utc_format(now_utc_s).text, utc_format(host_utc_s).text);
	if (now_utc_s + REPOSITORY_TIMESTAMP_EXPIRES_S <= host_utc_s)
		return error_set(reterr, -BSI_E_USAGE,
			"the time of issue is %s: by the clock here (%s) the result would be expired",
			utc_format(now_utc_s).text, utc_format(host_utc_s).text);
	return 0;
}
