/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/utc.h"
#include "trust/bounds.h"
#include "trust/scan.h"

#define SPEC_VERSION_PREFIX "1." /* the major version alone decides */

static const struct {
	const char *format;
	size_t max_bytes;
} types[TRUST_TYPE_MAX] = {
	[TRUST_ROOT] = {"root", TRUST_ROOT_MAX_BYTES},
	[TRUST_TIMESTAMP] = {"timestamp", TRUST_TIMESTAMP_MAX_BYTES},
	[TRUST_SNAPSHOT] = {"snapshot", TRUST_SNAPSHOT_MAX_BYTES},
	[TRUST_TARGETS] = {"targets", TRUST_TARGETS_MAX_BYTES},
};

const char *trust_type_format(enum trust_type type)
{
	return types[type].format;
}

static const char *text_at(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* Each signature is an object of two strings, and no keyid comes twice. */
static int check_signatures(const json_t *document, struct error *reterr)
{
	json_t *list;
	const char *a, *b;
	int r;

	r = json_get_array(document, "signatures", TRUST_SIGNATURES_MAX, &list, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < json_array_size(list); i++) {
		a = text_at(json_array_get(list, i), "keyid");
		if (!a || !text_at(json_array_get(list, i), "sig"))
			return error_set(reterr, -BSI_E_FORMAT,
				"signature %zu is not an object of \"keyid\" and \"sig\"", i + 1);
		for (size_t j = 0; j < i; j++) {
			b = text_at(json_array_get(list, j), "keyid");
			if (strcmp(a, b) == 0)
				return error_set(reterr, -BSI_E_FORMAT,
					"two signatures carry the keyid \"%.64s\"", a);
		}
	}
	return 0;
}

static int decode_time(const json_t *object, const char *key, int64_t *ret, struct error *reterr)
{
	const char *text;
	int r;

	r = json_get_text(object, key, &text, reterr);
	if (r < 0)
		return r;
	if (utc_parse(text, ret) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is not a time in UTC", key);
	return 0;
}

/* The floor that an issue time gives must never make the file itself expire. */
static int decode_issued(struct trust_metadata *md, struct error *reterr)
{
	int r;

	if (md->type != TRUST_ROOT && md->type != TRUST_TARGETS)
		return 0;
	if (!json_object_get(md->signed_part, "issued"))
		return 0;
	r = decode_time(md->signed_part, "issued", &md->issued_utc_s, reterr);
	if (r < 0)
		return r;
	if (md->issued_utc_s >= md->expires_utc_s)
		return error_set(reterr, -BSI_E_FORMAT, "it expires before it is issued");
	return 0;
}

static int decode_common(struct trust_metadata *md, struct error *reterr)
{
	const char *type, *spec;
	int r;

	r = json_get_text(md->signed_part, "_type", &type, reterr);
	if (r < 0)
		return r;
	if (strcmp(type, types[md->type].format) != 0)
		return error_set(reterr, -BSI_E_FORMAT, "its type is \"%.32s\", not \"%s\"", type,
			types[md->type].format);
	r = json_get_text(md->signed_part, "spec_version", &spec, reterr);
	if (r < 0)
		return r;
	if (strncmp(spec, SPEC_VERSION_PREFIX, strlen(SPEC_VERSION_PREFIX)) != 0)
		return error_set(reterr, -BSI_E_VERSION,
			"it follows version %.32s of the specification, not 1", spec);
	r = json_get_u64(md->signed_part, "version", INT64_MAX, &md->version, reterr);
	if (r < 0)
		return r;
	if (md->version == 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"version\" is 0");
	r = decode_time(md->signed_part, "expires", &md->expires_utc_s, reterr);
	if (r < 0)
		return r;
	return decode_issued(md, reterr);
}

static int decode_root(struct trust_metadata *md, struct error *reterr)
{
	json_t *keys, *roles;
	const char *name;
	int r;

	if (json_object_get(md->signed_part, "consistent_snapshot")) {
		r = json_get_bool(md->signed_part, "consistent_snapshot", &md->consistent_snapshot,
			reterr);
		if (r < 0)
			return r;
	}
	r = json_get_object(md->signed_part, "keys", &keys, reterr);
	if (r < 0)
		return r;
	r = trust_keyring_decode(keys, &md->keyring, reterr);
	if (r < 0)
		return r;
	r = json_get_object(md->signed_part, "roles", &roles, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < TRUST_TYPE_MAX; i++) {
		name = types[i].format;
		r = trust_role_decode(json_object_get(roles, name), name, &md->roles[i], reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int decode_file(const json_t *object, struct trust_file *ret, struct error *reterr)
{
	struct trust_file file = {};
	json_t *hashes;
	int r;

	if (!json_is_object(object))
		return error_set(reterr, -BSI_E_FORMAT, "not an object");
	r = json_get_u64(object, "version", INT64_MAX, &file.version, reterr);
	if (r < 0)
		return r;
	if (file.version == 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"version\" is 0");
	file.has_length = json_object_get(object, "length") != NULL;
	if (file.has_length) {
		r = json_get_u64(object, "length", INT64_MAX, &file.length, reterr);
		if (r < 0)
			return r;
	}
	hashes = json_object_get(object, "hashes");
	file.has_hashes = hashes != NULL;
	if (file.has_hashes) {
		r = trust_hashes_decode(hashes, &file.hashes, reterr);
		if (r < 0)
			return r;
	}
	*ret = file;
	return 0;
}

static int decode_files(struct trust_metadata *md, struct error *reterr)
{
	struct trust_file file;
	const char *name;
	json_t *value;
	int r;

	r = json_get_object(md->signed_part, "meta", &md->files, reterr);
	if (r < 0)
		return r;
	json_object_foreach(md->files, name, value) {
		r = decode_file(value, &file, reterr);
		if (r < 0) {
			error_prefix(reterr, "\"%.80s\"", name);
			return r;
		}
	}
	if (md->type == TRUST_TIMESTAMP && (json_object_size(md->files) != 1 ||
						   !json_object_get(md->files, "snapshot.json")))
		return error_set(reterr, -BSI_E_FORMAT,
			"\"meta\" must list snapshot.json and nothing else");
	return 0;
}

static int decode_target(const json_t *object, uint64_t *ret_length, struct trust_hashes *ret,
	struct error *reterr)
{
	int r;

	if (!json_is_object(object))
		return error_set(reterr, -BSI_E_FORMAT, "not an object");
	r = json_get_u64(object, "length", INT64_MAX, ret_length, reterr);
	if (r < 0)
		return r;
	return trust_hashes_decode(json_object_get(object, "hashes"), ret, reterr);
}

static int decode_targets(struct trust_metadata *md, struct error *reterr)
{
	struct trust_hashes hashes;
	json_t *value, *delegations;
	const char *path;
	uint64_t length;
	int r;

	r = json_get_object(md->signed_part, "targets", &md->targets, reterr);
	if (r < 0)
		return r;
	json_object_foreach(md->targets, path, value) {
		r = decode_target(value, &length, &hashes, reterr);
		if (r < 0) {
			error_prefix(reterr, "target \"%.200s\"", path);
			return r;
		}
	}
	if (!json_object_get(md->signed_part, "delegations"))
		return 0;
	r = json_get_object(md->signed_part, "delegations", &delegations, reterr);
	if (r < 0)
		return r;
	return trust_delegations_decode(delegations, &md->delegations, reterr);
}

static int decode_document(struct trust_metadata *md, struct error *reterr)
{
	int r;

	r = check_signatures(md->document, reterr);
	if (r < 0)
		return r;
	r = json_get_object(md->document, "signed", &md->signed_part, reterr);
	if (r < 0)
		return r;
	r = decode_common(md, reterr);
	if (r < 0)
		return r;
	switch (md->type) {
	case TRUST_ROOT:
		return decode_root(md, reterr);
	case TRUST_TIMESTAMP:
	case TRUST_SNAPSHOT:
		return decode_files(md, reterr);
	case TRUST_TARGETS:
		return decode_targets(md, reterr);
	case TRUST_TYPE_MAX:
	default:
		return -EINVAL;
	}
}

int trust_metadata_decode(const void *data, size_t len, enum trust_type type, const char *what,
	struct trust_metadata **ret, struct error *reterr)
{
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	int r;

	r = trust_scan(data, len, types[type].max_bytes, what, reterr);
	if (r < 0)
		return r;
	md = calloc(1, sizeof *md);
	if (!md)
		return -ENOMEM;
	md->type = type;
	r = json_parse(data, len, what, &md->document, reterr);
	if (r < 0)
		return r;
	r = decode_document(md, reterr);
	if (r < 0) {
		error_prefix(reterr, "%s", what);
		return r;
	}
	*ret = take_ptr(md);
	return 0;
}

void trust_metadata_free(struct trust_metadata *md)
{
	if (!md)
		return;
	trust_keyring_done(&md->keyring);
	for (size_t i = 0; i < TRUST_TYPE_MAX; i++)
		trust_role_done(&md->roles[i]);
	trust_delegations_done(&md->delegations);
	json_decref(md->document);
	free(md);
}

/* Keys whose signatures hold, each counted by its value: two names may stand for one key. */
struct tally {
	const struct trust_key *keys[TRUST_SIGNATURES_MAX];
	size_t n_keys;
};

static void count_key(struct tally *tally, const struct trust_key *key)
{
	for (size_t i = 0; i < tally->n_keys; i++)
		if (trust_key_equal(tally->keys[i], key))
			return;
	tally->keys[tally->n_keys++] = key;
}

int trust_metadata_verify(const struct trust_metadata *md, const struct trust_role *role,
	const struct trust_keyring *ring, const char *what, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer canonical = buffer_of(types[md->type].max_bytes);
	const json_t *list = json_object_get(md->document, "signatures");
	const struct trust_key *key;
	struct tally tally = {};
	const json_t *signature;
	int r;

	r = json_canonical(md->signed_part, &canonical);
	if (r < 0)
		return error_set(reterr, r, "%s has no canonical form", what);
	for (size_t i = 0; i < json_array_size(list) && tally.n_keys < role->threshold; i++) {
		signature = json_array_get(list, i);
		if (!trust_role_names_key(role, text_at(signature, "keyid")))
			continue;
		key = trust_keyring_find(ring, text_at(signature, "keyid"));
		if (!key)
			continue;
		r = trust_key_verify(key, canonical.data, canonical.len, text_at(signature, "sig"));
		if (r == 0)
			count_key(&tally, key);
		else if (r != -BSI_E_SIGNATURE)
			return error_set(reterr, r, "%s could not be verified", what);
	}
	if (tally.n_keys < role->threshold)
		return error_set(reterr, -BSI_E_THRESHOLD,
			"%s carries %zu valid signatures of the %" PRIu64 " that role \"%.80s\" needs",
			what, tally.n_keys, role->threshold, role->name);
	return 0;
}

int trust_metadata_file(const struct trust_metadata *md, const char *name, struct trust_file *ret,
	struct error *reterr)
{
	const json_t *object = json_object_get(md->files, name);

	if (!object)
		return error_set(reterr, -BSI_E_MISSING, "the %s does not list \"%.200s\"",
			types[md->type].format, name);
	return decode_file(object, ret, reterr);
}

int trust_metadata_target(const struct trust_metadata *md, const char *path, uint64_t *ret_length,
	struct trust_hashes *ret_hashes, struct error *reterr)
{
	const json_t *object = json_object_get(md->targets, path);

	if (!object)
		return error_set(reterr, -BSI_E_MISSING, "no target \"%.200s\"", path);
	return decode_target(object, ret_length, ret_hashes, reterr);
}
