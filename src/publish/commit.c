/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/commit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/utc.h"
#include "publish/record.h"
#include "trust/bounds.h"

/* Whose keys a file must carry. */
struct signing {
	const char *name; /* of the role */
	enum trust_type type;
	const struct trust_role *role;
	const struct trust_keyring *public_keys;
	const struct keyring *keys;
	const struct trust_metadata *next_root; /* the role's keys there must sign, too; or NULL */
};

/* For one of the four roles of the root. */
static struct signing signing_of(const struct repository *r, enum trust_type type,
	const struct keyring *keys)
{
	return (struct signing){.name = trust_type_format(type),
		.type = type,
		.role = &r->root->roles[type],
		.public_keys = &r->root->keyring,
		.keys = keys,
		.next_root = r->next_root};
}

static int check_count(const char *name, const struct trust_role *role, const struct keyring *keys,
	struct error *reterr)
{
	size_t n = 0;

	for (size_t i = 0; i < keys->n_signers; i++)
		n += trust_role_names_key(role, trust_signer_keyid(keys->signers[i]));
	if (n >= role->threshold)
		return 0;
	return error_set(reterr, -BSI_E_THRESHOLD,
		"role %s needs %llu signatures, and %zu of the keys here belong to it", name,
		(unsigned long long)role->threshold, n);
}

/* Those keys that belong to the role; enough of them, or -BSI_E_THRESHOLD. */
static int choose(const struct signing *s, struct trust_signer **signers, size_t *ret_n,
	struct error *reterr)
{
	const struct trust_role *next = s->next_root ? &s->next_root->roles[s->type] : NULL;
	size_t n = 0;
	int r;

	r = check_count(s->name, s->role, s->keys, reterr);
	if (r == 0 && next)
		r = check_count(s->name, next, s->keys, reterr);
	for (size_t i = 0; i < s->keys->n_signers; i++) {
		const char *id = trust_signer_keyid(s->keys->signers[i]);

		if (trust_role_names_key(s->role, id) || (next && trust_role_names_key(next, id)))
			signers[n++] = s->keys->signers[i];
	}
	*ret_n = n;
	return r;
}

/* Sign with those keys that belong to the role, and check the result as a device would. */
static int sign(const struct signing *s, json_t *signed_part, struct buffer *out,
	struct trust_metadata **ret, struct error *reterr)
{
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	struct trust_signer *signers[KEYRING_FILES_MAX];
	size_t n;
	int r;

	r = choose(s, signers, &n, reterr);
	if (r == 0)
		r = trust_sign(signed_part, signers, n, out, reterr);
	if (r == 0)
		r = trust_metadata_decode(out->data, out->len, s->type, s->name, &md, reterr);
	if (r == 0)
		r = trust_metadata_verify(md, s->role, s->public_keys, s->name, reterr);
	if (r == 0 && s->next_root)
		r = trust_metadata_verify(md, &s->next_root->roles[s->type], &s->next_root->keyring,
			s->name, reterr);
	if (r == 0)
		*ret = take_ptr(md);
	return r;
}

int commit_check_keys(const struct repository *r, const char *role, const struct keyring *keys,
	struct error *reterr)
{
	const struct trust_role *found = NULL;

	for (int type = 0; type < TRUST_TYPE_MAX; type++)
		if (strcmp(role, trust_type_format((enum trust_type)type)) == 0)
			found = &r->root->roles[type];
	if (!found)
		found = trust_delegations_role(&r->roles[0].metadata->delegations, role);
	if (!found)
		return error_set(reterr, -BSI_E_BASE, "%s has no base \"%s\"", r->path, role);
	return check_count(role, found, keys, reterr);
}

/* The next version is in place on disk: let the repository in memory follow. */
static int take_role(struct repository_role *role, struct buffer *bytes, struct trust_metadata **md,
	struct error *reterr)
{
	int r;

	r = trust_file_describe(role->name, bytes->data, bytes->len, &role->file, reterr);
	if (r < 0)
		return r;
	trust_metadata_free(role->metadata);
	role->metadata = take_ptr(*md);
	free(role->bytes);
	role->bytes = buffer_take(bytes, &role->n_bytes);
	return 0;
}

static int build_base(const struct repository_role *base, int64_t now_utc_s, json_t **ret,
	struct error *reterr)
{
	AUTO_FREE struct trust_target_spec *targets = NULL;
	struct trust_targets_spec spec = {
		.version = base->file.version + 1,
		.issued_utc_s = now_utc_s,
		.expires_utc_s = now_utc_s + REPOSITORY_ROLE_EXPIRES_S,
		.n_targets = base->n_targets,
	};

	targets = calloc(base->n_targets + 1, sizeof *targets);
	if (!targets)
		return -ENOMEM;
	for (size_t i = 0; i < base->n_targets; i++)
		targets[i] = (struct trust_target_spec){.path = base->targets[i].path,
			.length = base->targets[i].length,
			.digest = base->targets[i].digest};
	spec.targets = targets;
	return trust_targets_build(&spec, ret, reterr);
}

static int sign_base(const struct repository *r, const struct repository_role *base,
	const struct keyring *keys, int64_t now_utc_s, bool is_draft, struct buffer *out,
	struct trust_metadata **ret, struct error *reterr)
{
	const struct trust_delegations *delegations = &r->roles[0].metadata->delegations;
	const struct trust_role *role = trust_delegations_role(delegations, base->name);
	AUTO_JSON json_t *signed_part = NULL;
	struct trust_role begun;
	struct signing s = {.name = base->name,
		.type = TRUST_TARGETS,
		.role = role,
		.public_keys = &delegations->keyring,
		.keys = keys};
	int result;

	if (!role)
		return error_set(reterr, -BSI_E_BASE, "%s does not delegate to %s", r->path,
			base->name);
	begun = *role;
	begun.threshold = 1;
	if (is_draft)
		s.role = &begun;
	result = build_base(base, now_utc_s, &signed_part, reterr);
	return result < 0 ? result : sign(&s, signed_part, out, ret, reterr);
}

int commit_base(struct repository *r, struct repository_role *base, const struct keyring *keys,
	int64_t now_utc_s, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	int result;

	result = sign_base(r, base, keys, now_utc_s, false, &bytes, &md, reterr);
	if (result == 0)
		result = repository_write_metadata(r, base->name, base->file.version + 1, &bytes, reterr);
	return result < 0 ? result : take_role(base, &bytes, &md, reterr);
}

int commit_begin_base(struct repository *r, struct repository_role *base,
	const struct keyring *keys, int64_t now_utc_s, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	int result;

	result = sign_base(r, base, keys, now_utc_s, true, &bytes, &md, reterr);
	return result < 0 ? result : repository_adopt(r, base, &bytes, &md, reterr);
}

int commit_signed_base(const struct repository *r, const struct repository_role *base,
	struct error *reterr)
{
	const struct trust_delegations *delegations = &r->roles[0].metadata->delegations;
	struct buffer bytes = {.data = base->bytes, .len = base->n_bytes};
	int result;

	result = trust_metadata_verify(base->metadata,
		trust_delegations_role(delegations, base->name), &delegations->keyring, base->name,
		reterr);
	return result < 0 ? result
			  : repository_write_metadata(r, base->name, base->file.version, &bytes, reterr);
}

/* A copy of what was signed before, one version on, with new times. */
static int renew(const struct trust_metadata *md, int64_t now_utc_s, int64_t expires_utc_s,
	json_t **ret)
{
	json_t *copy = json_deep_copy(md->signed_part);

	if (!copy)
		return -ENOMEM;
	*ret = copy;
	if (json_object_set_new(copy, "version", json_integer((json_int_t)(md->version + 1))) < 0 ||
		json_object_set_new(copy, "issued", json_string(utc_format(now_utc_s).text)) < 0 ||
		json_object_set_new(copy, "expires", json_string(utc_format(expires_utc_s).text)) <
			0)
		return -ENOMEM;
	return 0;
}

/* Sign and write what is now the signed part of the targets role. */
static int write_targets(struct repository *r, json_t *signed_part, const struct keyring *keys,
	struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	struct repository_role *targets = &r->roles[0];
	struct signing s = signing_of(r, TRUST_TARGETS, keys);
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	int result;

	result = sign(&s, signed_part, &bytes, &md, reterr);
	if (result == 0)
		result = repository_write_metadata(r, "targets", targets->file.version + 1, &bytes, reterr);
	return result < 0 ? result : take_role(targets, &bytes, &md, reterr);
}

int commit_targets(struct repository *r, json_t *delegations, const struct keyring *keys,
	int64_t now_utc_s, struct error *reterr)
{
	AUTO_JSON json_t *signed_part = NULL;
	int result;

	result = renew(r->roles[0].metadata, now_utc_s, now_utc_s + REPOSITORY_ROLE_EXPIRES_S,
		&signed_part);
	if (result == 0 && delegations &&
		json_object_set(signed_part, "delegations", delegations) < 0)
		result = -ENOMEM;
	return result < 0 ? result : write_targets(r, signed_part, keys, reterr);
}

static struct trust_role_spec role_of(const struct commit_new_base *base)
{
	return (struct trust_role_spec){.name = base->id,
		.keys = base->keys->keys,
		.n_keys = base->keys->n_signers,
		.threshold = base->threshold};
}

/* Put a new delegation beside those that are there. */
static int add_delegation(json_t *signed_part, const struct commit_new_base *base,
	int64_t now_utc_s, struct error *reterr)
{
	AUTO_FREE char *pattern = NULL;
	AUTO_JSON json_t *single = NULL;
	struct trust_delegation_spec delegation = {
		.role = role_of(base), .n_paths = 1, .terminating = true};
	const struct trust_targets_spec spec = {.version = 1,
		.issued_utc_s = now_utc_s,
		.expires_utc_s = now_utc_s + REPOSITORY_ROLE_EXPIRES_S,
		.delegations = &delegation,
		.n_delegations = 1};
	json_t *all = json_object_get(signed_part, "delegations"), *one;
	int r;

	if (asprintf(&pattern, "%s/*", base->id) < 0) {
		pattern = NULL; /* which asprintf() leaves undefined */
		return -ENOMEM;
	}
	delegation.paths = (const char *const *)&pattern;
	r = trust_targets_build(&spec, &single, reterr);
	if (r < 0)
		return r;
	one = json_object_get(single, "delegations");
	if (json_object_update(json_object_get(all, "keys"), json_object_get(one, "keys")) < 0 ||
		json_array_extend(json_object_get(all, "roles"), json_object_get(one, "roles")) < 0)
		return -ENOMEM;
	return 0;
}

/* The first version of a base's role; nobody lists it yet. */
static int write_first_role(struct repository *r, const struct commit_new_base *base,
	int64_t now_utc_s, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	struct repository_role *role = &r->roles[r->n_roles];
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	AUTO_JSON json_t *signed_part = NULL;
	/* a base of that name was here, and was lost with a newer repository: go on above it */
	const uint64_t last = r->record ? record_version(r->record, base->id) : 0;
	const struct trust_targets_spec spec = {.version = last + 1,
		.issued_utc_s = now_utc_s,
		.expires_utc_s = now_utc_s + REPOSITORY_ROLE_EXPIRES_S,
		.targets = base->index,
		.n_targets = 1};
	int result;

	if (r->n_roles > REPOSITORY_ROLES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "%s has %d bases already", r->path,
			REPOSITORY_ROLES_MAX);
	result = trust_targets_build(&spec, &signed_part, reterr);
	if (result == 0)
		result = trust_sign(signed_part, base->keys->signers, base->keys->n_signers, &bytes,
			reterr);
	if (result == 0)
		result = trust_metadata_decode(bytes.data, bytes.len, TRUST_TARGETS, base->id, &md,
			reterr);
	if (result == 0)
		result = repository_write_metadata(r, base->id, md->version, &bytes, reterr);
	if (result < 0)
		return result;
	role->name = strdup(base->id);
	if (!role->name)
		return -ENOMEM;
	r->n_roles++;
	result = repository_list_target(role, base->index->path, base->index->length,
		&base->index->digest);
	return result < 0 ? result : take_role(role, &bytes, &md, reterr);
}

int commit_new_base(struct repository *r, const struct commit_new_base *base,
	const struct keyring *targets_keys, int64_t now_utc_s, struct error *reterr)
{
	AUTO_JSON json_t *signed_part = NULL;
	int result;

	result = renew(r->roles[0].metadata, now_utc_s, now_utc_s + REPOSITORY_ROLE_EXPIRES_S,
		&signed_part);
	if (result == 0)
		result = add_delegation(signed_part, base, now_utc_s, reterr);
	if (result == 0)
		result = write_first_role(r, base, now_utc_s, reterr);
	return result < 0 ? result : write_targets(r, signed_part, targets_keys, reterr);
}

/* The keys of a new root sign it beside those of the old one. */
static int sign_next_root(const struct repository *r, json_t *signed_part,
	const struct keyring *keys, struct buffer *out, struct trust_metadata **ret,
	struct error *reterr)
{
	const json_t *ids = json_object_get(
		json_object_get(json_object_get(signed_part, "roles"), "root"), "keyids");
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	struct trust_signer *signers[KEYRING_FILES_MAX];
	size_t n = 0;
	int result;

	result = check_count("root", &r->root->roles[TRUST_ROOT], keys, reterr);
	for (size_t i = 0; i < keys->n_signers; i++) {
		const char *id = trust_signer_keyid(keys->signers[i]);
		bool is_next = false;

		for (size_t k = 0; k < json_array_size(ids); k++)
			is_next |= strcmp(json_string_value(json_array_get(ids, k)), id) == 0;
		if (is_next || trust_role_names_key(&r->root->roles[TRUST_ROOT], id))
			signers[n++] = keys->signers[i];
	}
	if (result == 0)
		result = trust_sign(signed_part, signers, n, out, reterr);
	if (result == 0)
		result = trust_metadata_decode(out->data, out->len, TRUST_ROOT, "root", &md, reterr);
	if (result == 0)
		result = trust_metadata_verify(md, &r->root->roles[TRUST_ROOT], &r->root->keyring,
			"root", reterr);
	if (result == 0)
		result = trust_metadata_verify(md, &md->roles[TRUST_ROOT], &md->keyring, "root",
			reterr);
	if (result == 0)
		*ret = take_ptr(md);
	return result;
}

int commit_prepare_root(const struct repository *r, json_t *roles, json_t *keys,
	const struct keyring *root_keys, int64_t now_utc_s, struct buffer *out,
	struct trust_metadata **ret, struct error *reterr)
{
	AUTO_JSON json_t *signed_part = NULL;
	int result;

	result = renew(r->root, now_utc_s, now_utc_s + REPOSITORY_ROOT_EXPIRES_S, &signed_part);
	if (result == 0 && roles &&
		(json_object_set(signed_part, "roles", roles) < 0 ||
			json_object_set(signed_part, "keys", keys) < 0))
		result = -ENOMEM;
	return result < 0 ? result
			  : sign_next_root(r, signed_part, root_keys, out, ret, reterr);
}

int commit_prepared_root(struct repository *r, const struct buffer *bytes,
	struct trust_metadata **taken, struct error *reterr)
{
	int result = repository_write_metadata(r, "root", (*taken)->version, bytes, reterr);

	if (result < 0)
		return result;
	r->next_root = NULL;
	trust_metadata_free(r->root);
	r->root = take_ptr(*taken);
	return r->record ? record_keep(r->record, r, reterr) : 0;
}

int commit_root(struct repository *r, const struct keyring *keys, int64_t now_utc_s,
	struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_ROOT_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	int result;

	result = commit_prepare_root(r, NULL, NULL, keys, now_utc_s, &bytes, &md, reterr);
	return result < 0 ? result : commit_prepared_root(r, &bytes, &md, reterr);
}

static int write_snapshot(struct repository *r, const struct keyring *keys, int64_t now_utc_s,
	struct buffer *out, struct trust_metadata **ret, struct error *reterr)
{
	AUTO_FREE struct trust_file_spec *files = calloc(r->n_roles + 1, sizeof *files);
	AUTO_JSON json_t *signed_part = NULL;
	struct signing s = signing_of(r, TRUST_SNAPSHOT, keys);
	struct trust_snapshot_spec spec = {
		.version = r->snapshot->version + 1,
		.expires_utc_s = now_utc_s + REPOSITORY_SNAPSHOT_EXPIRES_S,
		.n_files = r->n_roles,
	};
	int result;

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_roles; i++)
		files[i] = r->roles[i].file;
	spec.files = files;
	result = trust_snapshot_build(&spec, &signed_part, reterr);
	if (result == 0)
		result = sign(&s, signed_part, out, ret, reterr);
	return result < 0 ? result : repository_write_metadata(r, "snapshot", spec.version, out, reterr);
}

int commit_online(struct repository *r, const struct keyring *snapshot,
	const struct keyring *timestamp, int64_t now_utc_s, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_SNAPSHOT_MAX_BYTES);
	AUTO_DONE(buffer) struct buffer last = buffer_of(TRUST_TIMESTAMP_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *new_snapshot = NULL, *new_timestamp = NULL;
	AUTO_JSON json_t *signed_part = NULL;
	struct trust_timestamp_spec spec = {
		.version = r->timestamp->version + 1,
		.expires_utc_s = now_utc_s + REPOSITORY_TIMESTAMP_EXPIRES_S,
	};
	struct signing s = signing_of(r, TRUST_TIMESTAMP, timestamp);
	int result;

	result = write_snapshot(r, snapshot, now_utc_s, &bytes, &new_snapshot, reterr);
	if (result == 0)
		result = trust_file_describe("snapshot", bytes.data, bytes.len, &spec.snapshot,
			reterr);
	if (result == 0)
		result = trust_timestamp_build(&spec, &signed_part, reterr);
	if (result == 0)
		result = sign(&s, signed_part, &last, &new_timestamp, reterr);
	if (result == 0)
		result = repository_write_metadata(r, "timestamp", 0, &last, reterr);
	if (result < 0)
		return result;
	trust_metadata_free(r->snapshot);
	r->snapshot = take_ptr(new_snapshot);
	trust_metadata_free(r->timestamp);
	r->timestamp = take_ptr(new_timestamp);
	return r->record ? record_keep(r->record, r, reterr) : 0;
}
