/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/sign.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/path.h"
#include "base/utc.h"
#include "trust/key.h"
#include "trust/bounds.h"
#include "trust/metadata.h"
#include "trust/name.h"

/* Put value, whose reference is taken over, under a key that is not there yet. */
static int put_new(json_t *object, const char *key, json_t *value, struct error *reterr)
{
	if (json_object_get(object, key)) {
		json_decref(value);
		return error_set(reterr, -BSI_E_FORMAT, "\"%.200s\" is listed twice", key);
	}
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

/* The members that every kind has; issued 0 for kinds without. */
static int begin(const char *type, uint64_t version, int64_t issued_utc_s, int64_t expires_utc_s,
	json_t **ret, struct error *reterr)
{
	if (version == 0 || version > INT64_MAX)
		return error_set(reterr, -EINVAL, "%s: version %" PRIu64 " is out of range", type,
			version);
	if (issued_utc_s >= expires_utc_s)
		return error_set(reterr, -EINVAL, "%s: it would expire before it is issued", type);
	*ret = json_pack("{s:s, s:s, s:I, s:s}", "_type", type, "spec_version",
		TRUST_SPEC_VERSION, "version", (json_int_t)version, "expires",
		utc_format(expires_utc_s).text);
	if (!*ret)
		return -ENOMEM;
	if (issued_utc_s > 0 && json_object_set_new(*ret, "issued",
					json_string(utc_format(issued_utc_s).text)) < 0)
		return -ENOMEM;
	return 0;
}

/* {"keyids": […], "threshold": n} into role, and the keys themselves into keys. */
static int put_role(json_t *role, const struct trust_role_spec *spec, const char *name,
	json_t *keys, struct error *reterr)
{
	json_t *ids = json_array();
	struct digest_hex id;
	int r;

	if (json_object_set_new(role, "keyids", ids) < 0 ||
		json_object_set_new(role, "threshold", json_integer((json_int_t)spec->threshold)) <
			0)
		return -ENOMEM;
	if (spec->threshold == 0 || spec->threshold > spec->n_keys)
		return error_set(reterr, -EINVAL,
			"role \"%.80s\": a threshold of %" PRIu64 " with %zu keys", name,
			spec->threshold, spec->n_keys);
	for (size_t i = 0; i < spec->n_keys; i++) {
		r = trust_key_object_id(spec->keys[i], &id);
		if (r < 0)
			return r;
		for (size_t j = 0; j < i; j++)
			if (strcmp(json_string_value(json_array_get(ids, j)), id.text) == 0)
				return error_set(reterr, -EINVAL,
					"role \"%.80s\": one key is named twice", name);
		if (json_array_append_new(ids, json_string(id.text)) < 0 ||
			json_object_set(keys, id.text, spec->keys[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

int trust_root_build(const struct trust_root_spec *spec, json_t **ret, struct error *reterr)
{
	const struct {
		const char *name;
		const struct trust_role_spec *role;
	} rows[] = {{"root", &spec->root}, {"timestamp", &spec->timestamp},
		{"snapshot", &spec->snapshot}, {"targets", &spec->targets}};
	AUTO_JSON json_t *root = NULL;
	json_t *keys, *roles, *role;
	int r;

	r = begin("root", spec->version, spec->issued_utc_s, spec->expires_utc_s, &root, reterr);
	if (r < 0)
		return r;
	/* json_object_set_new() ends what it is given also where it fails */
	keys = json_object();
	if (json_object_set_new(root, "keys", keys) < 0)
		return -ENOMEM;
	roles = json_object();
	if (json_object_set_new(root, "roles", roles) < 0 ||
		json_object_set_new(root, "consistent_snapshot", json_true()) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		role = json_object();
		if (json_object_set_new(roles, rows[i].name, role) < 0)
			return -ENOMEM;
		r = put_role(role, rows[i].role, rows[i].name, keys, reterr);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(root);
	return 0;
}

static json_t *hashes_of(const struct digest *digest)
{
	return json_pack("{s:s}", "sha256", digest_format(digest).text);
}

static int put_targets(json_t *targets, const struct trust_targets_spec *spec,
	struct error *reterr)
{
	const struct trust_target_spec *t;
	json_t *value;
	int r;

	for (size_t i = 0; i < spec->n_targets; i++) {
		t = &spec->targets[i];
		if (path_check(t->path) < 0 || t->length > INT64_MAX)
			return error_set(reterr, -BSI_E_PATH, "\"%.200s\" can be no target",
				t->path);
		value = json_pack("{s:I, s:o}", "length", (json_int_t)t->length, "hashes",
			hashes_of(&t->digest));
		if (!value)
			return -ENOMEM;
		r = put_new(targets, t->path, value, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int put_delegation(json_t *role, const struct trust_delegation_spec *d, json_t *keys,
	struct error *reterr)
{
	json_t *paths = json_array();
	int r;

	if (json_object_set_new(role, "paths", paths) < 0 ||
		json_object_set_new(role, "name", json_string(d->role.name)) < 0 ||
		json_object_set_new(role, "terminating", json_boolean(d->terminating)) < 0)
		return -ENOMEM;
	r = trust_role_name_check(d->role.name);
	if (r < 0)
		return error_set(reterr, r, "no role may be called \"%.80s\"", d->role.name);
	for (size_t i = 0; i < d->n_paths; i++)
		if (json_array_append_new(paths, json_string(d->paths[i])) < 0)
			return -ENOMEM;
	return put_role(role, &d->role, d->role.name, keys, reterr);
}

static int put_delegations(json_t *object, const struct trust_targets_spec *spec,
	struct error *reterr)
{
	json_t *keys, *roles, *role;
	int r;

	keys = json_object();
	if (json_object_set_new(object, "keys", keys) < 0)
		return -ENOMEM;
	roles = json_array();
	if (json_object_set_new(object, "roles", roles) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_delegations; i++) {
		role = json_object();
		if (json_array_append_new(roles, role) < 0)
			return -ENOMEM;
		r = put_delegation(role, &spec->delegations[i], keys, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

int trust_targets_build(const struct trust_targets_spec *spec, json_t **ret, struct error *reterr)
{
	AUTO_JSON json_t *md = NULL;
	json_t *targets, *delegations;
	int r;

	r = begin("targets", spec->version, spec->issued_utc_s, spec->expires_utc_s, &md, reterr);
	if (r < 0)
		return r;
	targets = json_object();
	if (json_object_set_new(md, "targets", targets) < 0)
		return -ENOMEM;
	r = put_targets(targets, spec, reterr);
	if (r < 0)
		return r;
	if (spec->n_delegations > 0) {
		delegations = json_object();
		if (json_object_set_new(md, "delegations", delegations) < 0)
			return -ENOMEM;
		r = put_delegations(delegations, spec, reterr);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(md);
	return 0;
}

static int put_file(json_t *files, const char *role, const struct trust_file_spec *file,
	struct error *reterr)
{
	AUTO_FREE char *name = NULL;
	json_t *value;

	if (file->version == 0 || file->version > INT64_MAX || file->length > INT64_MAX)
		return error_set(reterr, -EINVAL, "\"%.200s\" has a version or length out of range",
			role);
	if (asprintf(&name, "%s.json", role) < 0)
		return -ENOMEM;
	value = json_pack("{s:I, s:I, s:o}", "version", (json_int_t)file->version, "length",
		(json_int_t)file->length, "hashes", hashes_of(&file->digest));
	if (!value)
		return -ENOMEM;
	return put_new(files, name, value, reterr);
}

int trust_snapshot_build(const struct trust_snapshot_spec *spec, json_t **ret,
	struct error *reterr)
{
	AUTO_JSON json_t *md = NULL;
	json_t *files;
	int r;

	r = begin("snapshot", spec->version, 0, spec->expires_utc_s, &md, reterr);
	if (r < 0)
		return r;
	files = json_object();
	if (json_object_set_new(md, "meta", files) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_files; i++) {
		r = put_file(files, spec->files[i].role, &spec->files[i], reterr);
		if (r < 0)
			return r;
	}
	if (!json_object_get(files, "targets.json"))
		return error_set(reterr, -EINVAL, "a snapshot must list the targets role");
	*ret = take_ptr(md);
	return 0;
}

int trust_timestamp_build(const struct trust_timestamp_spec *spec, json_t **ret,
	struct error *reterr)
{
	AUTO_JSON json_t *md = NULL;
	json_t *files;
	int r;

	r = begin("timestamp", spec->version, 0, spec->expires_utc_s, &md, reterr);
	if (r < 0)
		return r;
	files = json_object();
	if (json_object_set_new(md, "meta", files) < 0)
		return -ENOMEM;
	r = put_file(files, "snapshot", &spec->snapshot, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(md);
	return 0;
}

int trust_file_describe(const char *role, const void *file, size_t len,
	struct trust_file_spec *ret, struct error *reterr)
{
	struct trust_file_spec spec = {.role = role, .length = len};
	AUTO_JSON json_t *document = NULL;
	json_t *signed_part;
	int r;

	r = json_parse(file, len, role, &document, reterr);
	if (r < 0)
		return r;
	r = json_get_object(document, "signed", &signed_part, reterr);
	if (r < 0)
		return r;
	r = json_get_u64(signed_part, "version", INT64_MAX, &spec.version, reterr);
	if (r < 0)
		return r;
	r = digest_of(file, len, &spec.digest);
	if (r < 0)
		return r;
	*ret = spec;
	return 0;
}

static int type_of(const json_t *signed_part, enum trust_type *ret, struct error *reterr)
{
	const char *text;
	int r;

	r = json_get_text(signed_part, "_type", &text, reterr);
	if (r < 0)
		return r;
	for (int i = 0; i < TRUST_TYPE_MAX; i++) {
		if (strcmp(text, trust_type_format((enum trust_type)i)) != 0)
			continue;
		*ret = (enum trust_type)i;
		return 0;
	}
	return error_set(reterr, -BSI_E_FORMAT, "there is no metadata of type \"%.32s\"", text);
}

static int put_text(const char *text, size_t len, void *out)
{
	buffer_put(out, text, len);
	return 0;
}

/* As a file: ordinary JSON, for the canonical form is not one where a string holds a line feed. */
static int write_document(const json_t *document, enum trust_type type, struct buffer *out,
	struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(TRUST_TARGETS_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	int r;

	if (json_dump_callback(document, put_text, &text, JSON_COMPACT | JSON_SORT_KEYS) < 0)
		return -ENOMEM;
	if (text.err)
		return error_set(reterr, text.err, "the metadata is too large");
	/* nothing leaves this room that the room's own client would refuse to read */
	r = trust_metadata_decode(text.data, text.len, type, trust_type_format(type), &md, reterr);
	if (r < 0)
		return r;
	buffer_put(out, text.data, text.len);
	return out->err;
}

/* Drop the signature by that key, if there is one. */
static void remove_signature(json_t *list, const char *keyid)
{
	const char *found;

	for (size_t i = 0; i < json_array_size(list); i++) {
		found = json_string_value(json_object_get(json_array_get(list, i), "keyid"));
		if (found && strcmp(found, keyid) == 0) {
			(void)json_array_remove(list, i);
			return;
		}
	}
}

static int put_signatures(json_t *list, const json_t *signed_part,
	struct trust_signer *const *signers, size_t n_signers, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer canonical = buffer_of(TRUST_TARGETS_MAX_BYTES);
	uint8_t sig[TRUST_SIGNATURE_BYTES];
	char hex[2 * TRUST_SIGNATURE_BYTES + 1];
	const char *keyid;
	int r;

	r = json_canonical(signed_part, &canonical);
	if (r < 0)
		return error_set(reterr, r, "the metadata has no canonical form");
	for (size_t i = 0; i < n_signers; i++) {
		keyid = trust_signer_keyid(signers[i]);
		for (size_t j = 0; j < i; j++)
			if (strcmp(trust_signer_keyid(signers[j]), keyid) == 0)
				return error_set(reterr, -BSI_E_SIGNATURE,
					"key \"%s\" would sign twice", keyid);
		r = trust_signer_sign(signers[i], canonical.data, canonical.len, sig);
		if (r < 0)
			return r;
		hex_format(sig, sizeof sig, hex);
		remove_signature(list, keyid);
		if (json_array_append_new(list,
			    json_pack("{s:s, s:s}", "keyid", keyid, "sig", hex)) < 0)
			return -ENOMEM;
	}
	return 0;
}

int trust_sign(json_t *signed_part, struct trust_signer *const *signers, size_t n_signers,
	struct buffer *out, struct error *reterr)
{
	AUTO_JSON json_t *document = NULL;
	enum trust_type type;
	json_t *list;
	int r;

	r = type_of(signed_part, &type, reterr);
	if (r < 0)
		return r;
	document = json_pack("{s:O, s:[]}", "signed", signed_part, "signatures");
	if (!document)
		return -ENOMEM;
	list = json_object_get(document, "signatures");
	r = put_signatures(list, signed_part, signers, n_signers, reterr);
	if (r < 0)
		return r;
	return write_document(document, type, out, reterr);
}

int trust_cosign(const void *file, size_t len, struct trust_signer *const *signers,
	size_t n_signers, struct buffer *out, struct error *reterr)
{
	AUTO_JSON json_t *document = NULL;
	json_t *signed_part, *list;
	enum trust_type type;
	int r;

	r = json_parse(file, len, "the metadata", &document, reterr);
	if (r < 0)
		return r;
	r = json_get_object(document, "signed", &signed_part, reterr);
	if (r < 0)
		return r;
	r = json_get_array(document, "signatures", TRUST_SIGNATURES_MAX, &list, reterr);
	if (r < 0)
		return r;
	r = type_of(signed_part, &type, reterr);
	if (r < 0)
		return r;
	r = put_signatures(list, signed_part, signers, n_signers, reterr);
	if (r < 0)
		return r;
	return write_document(document, type, out, reterr);
}
