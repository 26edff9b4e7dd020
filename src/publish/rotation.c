/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/rotation.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "publish/commit.h"
#include "trust/bounds.h"

static bool is_of_root(const char *name)
{
	for (int type = 0; type < TRUST_TYPE_MAX; type++)
		if (strcmp(name, trust_type_format((enum trust_type)type)) == 0)
			return true;
	return false;
}

const struct trust_role *rotation_find(const struct repository *r, const char *name)
{
	for (int type = 0; type < TRUST_TYPE_MAX; type++)
		if (strcmp(name, trust_type_format((enum trust_type)type)) == 0)
			return &r->root->roles[type];
	return trust_delegations_role(&r->roles[0].metadata->delegations, name);
}

struct rotation_role *rotation_role(const struct rotation *rotation, const char *name)
{
	for (size_t i = 0; i < rotation->n_roles; i++)
		if (strcmp(rotation->roles[i].name, name) == 0)
			return &rotation->roles[i];
	return NULL;
}

static struct rotation_role *add_role(struct rotation *rotation, const char *name,
	const struct trust_role *now)
{
	struct rotation_role *role = rotation_role(rotation, name);

	if (role)
		return role;
	role = &rotation->roles[rotation->n_roles++];
	*role = (struct rotation_role){.name = name, .threshold = now->threshold};
	return role;
}

static bool is_gone(const struct rotation_role *role, const char *key_id)
{
	for (size_t i = 0; i < role->n_gone; i++)
		if (strcmp(role->gone[i], key_id) == 0)
			return true;
	return role->all;
}

static int revoke_in(const struct repository *r, const char *name, const char *key_id,
	struct rotation *rotation, size_t *n_found, struct error *reterr)
{
	const struct trust_role *now = rotation_find(r, name);

	for (size_t i = 0; now && i < now->n_key_ids; i++) {
		struct rotation_role *role;

		if (strncmp(now->key_ids[i], key_id, strlen(key_id)) != 0)
			continue;
		role = add_role(rotation, name, now);
		(*n_found)++;
		if (is_gone(role, now->key_ids[i]))
			continue;
		if (role->n_gone == KEYRING_KEYS_MAX)
			return error_set(reterr, -BSI_E_LIMIT,
				"more than %d keys of %s: name the role instead", KEYRING_KEYS_MAX,
				name);
		role->gone[role->n_gone++] = now->key_ids[i];
		role->n_fresh++;
	}
	return 0;
}

int rotation_revoke(const struct repository *r, const char *key_id, struct rotation *rotation,
	struct error *reterr)
{
	size_t n_found = 0;
	int result = 0;

	if (strlen(key_id) < ROTATION_KEY_ID_MIN)
		return error_set(reterr, -BSI_E_USAGE,
			"\"%s\" is too short for a key's name: %d digits at least; 'list' shows them",
			key_id, ROTATION_KEY_ID_MIN);
	for (int type = 0; result == 0 && type < TRUST_TYPE_MAX; type++)
		result = revoke_in(r, trust_type_format((enum trust_type)type), key_id, rotation,
			&n_found, reterr);
	for (size_t i = 1; result == 0 && i < r->n_roles; i++)
		result = revoke_in(r, r->roles[i].name, key_id, rotation, &n_found, reterr);
	if (result == 0 && n_found == 0)
		return error_set(reterr, -BSI_E_MISSING, "no role of %s has a key %s", r->path,
			key_id);
	return result;
}

int rotation_replace(const struct repository *r, const char *name, uint64_t n_keys,
	uint64_t threshold, struct rotation *rotation, struct error *reterr)
{
	const struct trust_role *now = rotation_find(r, name);
	struct rotation_role *role;

	if (!now)
		return error_set(reterr, -BSI_E_BASE,
			"%s has no role \"%s\": root, targets, snapshot, timestamp or a base", r->path,
			name);
	role = add_role(rotation, name, now);
	role->all = true;
	role->n_fresh = n_keys ? n_keys : now->n_key_ids;
	role->threshold = threshold ? threshold : now->threshold;
	if (role->n_fresh < role->threshold || role->n_fresh > KEYRING_KEYS_MAX)
		return error_set(reterr, -BSI_E_USAGE,
			"role %s: a threshold of %llu needs as many keys, at most %d", name,
			(unsigned long long)role->threshold, KEYRING_KEYS_MAX);
	return 0;
}

/* The role as metadata has it, {"keyids", "threshold", …}, with the keys that it gets. */
static int edit_role(json_t *object, json_t *keys, const struct rotation_role *role)
{
	AUTO_JSON json_t *ids = json_array();
	json_t *id;
	size_t i;
	int bad = 0;

	json_array_foreach(json_object_get(object, "keyids"), i, id)
	{
		if (!is_gone(role, json_string_value(id)))
			bad |= json_array_append(ids, id);
	}
	for (i = role->first_fresh; i < role->keys->n_signers; i++) {
		const char *name = trust_signer_keyid(role->keys->signers[i]);

		bad |= json_array_append_new(ids, json_string(name));
		bad |= json_object_set(keys, name, role->keys->keys[i]);
	}
	bad |= json_object_set(object, "keyids", ids);
	bad |= json_object_set_new(object, "threshold", json_integer((json_int_t)role->threshold));
	return bad ? -ENOMEM : 0;
}

static void mark_used(const json_t *role, json_t *used)
{
	const json_t *ids = json_object_get(role, "keyids");

	for (size_t i = 0; i < json_array_size(ids); i++)
		(void)json_object_set_new(used, json_string_value(json_array_get(ids, i)),
			json_true());
}

/* Keys that no role names any more go. */
static int drop_unused(json_t *keys, const json_t *used)
{
	const char *id;
	json_t *unused_value;
	void *next;

	json_object_foreach_safe(keys, next, id, unused_value)
	{
		if (!json_object_get(used, id) && json_object_del(keys, id) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Sign the next root, if any of its roles changes. */
static int prepare_root(struct repository *r, const struct rotation *rotation,
	const struct keyring *root_keys, int64_t now_utc_s, struct buffer *out,
	struct trust_metadata **ret, struct error *reterr)
{
	AUTO_JSON json_t *roles = json_deep_copy(json_object_get(r->root->signed_part, "roles"));
	AUTO_JSON json_t *keys = json_deep_copy(json_object_get(r->root->signed_part, "keys"));
	AUTO_JSON json_t *used = json_object();
	bool changes = false;
	int result = roles && keys && used ? 0 : -ENOMEM;

	for (size_t i = 0; result == 0 && i < rotation->n_roles; i++) {
		const struct rotation_role *role = &rotation->roles[i];

		if (!is_of_root(role->name))
			continue;
		changes = true;
		result = edit_role(json_object_get(roles, role->name), keys, role);
	}
	if (result < 0 || !changes)
		return result;
	for (int type = 0; type < TRUST_TYPE_MAX; type++)
		mark_used(json_object_get(roles, trust_type_format((enum trust_type)type)), used);
	result = drop_unused(keys, used);
	return result < 0 ? result
			  : commit_prepare_root(r, roles, keys, root_keys, now_utc_s, out, ret,
				    reterr);
}

/* The delegations with the keys that bases get; *ret stays NULL where none changes. */
static int edit_delegations(const struct repository *r, const struct rotation *rotation,
	json_t **ret)
{
	AUTO_JSON json_t *delegations =
		json_deep_copy(json_object_get(r->roles[0].metadata->signed_part, "delegations"));
	AUTO_JSON json_t *used = json_object();
	json_t *keys = json_object_get(delegations, "keys"), *object;
	bool changes = false;
	size_t i;
	int result = 0;

	if (!used)
		return -ENOMEM;
	json_array_foreach(json_object_get(delegations, "roles"), i, object)
	{
		const char *name = json_string_value(json_object_get(object, "name"));
		const struct rotation_role *role = rotation_role(rotation, name);

		if (role) {
			changes = true;
			result = edit_role(object, keys, role);
		}
		if (result < 0)
			return result;
		mark_used(object, used);
	}
	if (!changes)
		return 0;
	result = drop_unused(keys, used);
	if (result == 0)
		*ret = take_ptr(delegations);
	return result;
}

/* Targets, the roles of the bases whose keys change, and what lists them. */
static int write_roles(struct repository *r, const struct rotation *rotation,
	const struct rotation_keys *keys, int64_t now_utc_s, struct error *reterr)
{
	AUTO_JSON json_t *delegations = NULL;
	int result;

	result = edit_delegations(r, rotation, &delegations);
	if (result == 0 && (delegations || rotation_role(rotation, "targets")))
		result = commit_targets(r, delegations, keys->targets, now_utc_s, reterr);
	for (size_t i = 1; result == 0 && i < r->n_roles; i++) {
		const struct rotation_role *role = rotation_role(rotation, r->roles[i].name);

		if (role)
			result = commit_base(r, &r->roles[i], role->keys, now_utc_s, reterr);
	}
	return result < 0
		? result
		: commit_online(r, keys->snapshot, keys->timestamp, now_utc_s, reterr);
}

int rotation_apply(struct repository *r, const struct rotation *rotation,
	const struct rotation_keys *keys, int64_t now_utc_s, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer root = buffer_of(TRUST_ROOT_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *next = NULL;
	int result;

	result = prepare_root(r, rotation, keys->root, now_utc_s, &root, &next, reterr);
	if (result == 0) {
		r->next_root = next;
		result = write_roles(r, rotation, keys, now_utc_s, reterr);
	}
	/* from here on devices go by the new keys alone */
	if (result == 0 && next)
		result = commit_prepared_root(r, &root, &next, reterr);
	r->next_root = NULL;
	return result;
}
