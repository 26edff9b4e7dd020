/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/role.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "trust/bounds.h"

int trust_keyring_decode(const json_t *object, struct trust_keyring *ret, struct error *reterr)
{
	AUTO_DONE(trust_keyring) struct trust_keyring ring = {};
	const char *key_id;
	json_t *value;
	int r;

	if (json_object_size(object) > TRUST_KEYS_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "it has more than %d keys", TRUST_KEYS_MAX);
	ring.keys = calloc(json_object_size(object) + 1, sizeof *ring.keys);
	if (!ring.keys)
		return -ENOMEM;
	/* jansson's iteration wants an object it may change; nothing is changed here */
	json_object_foreach((json_t *)(uintptr_t)object, key_id, value) {
		r = trust_key_decode(key_id, value, &ring.keys[ring.n_keys], reterr);
		if (r < 0)
			return r;
		ring.n_keys++;
	}
	*ret = ring;
	ring = (struct trust_keyring){};
	return 0;
}

void trust_keyring_done(struct trust_keyring *ring)
{
	for (size_t i = 0; i < ring->n_keys; i++)
		trust_key_free(ring->keys[i]);
	free(ring->keys);
	*ring = (struct trust_keyring){};
}

const struct trust_key *trust_keyring_find(const struct trust_keyring *ring, const char *key_id)
{
	for (size_t i = 0; i < ring->n_keys; i++)
		if (strcmp(trust_key_id(ring->keys[i]), key_id) == 0)
			return ring->keys[i];
	return NULL;
}

bool trust_role_names_key(const struct trust_role *role, const char *key_id)
{
	for (size_t i = 0; i < role->n_key_ids; i++)
		if (strcmp(role->key_ids[i], key_id) == 0)
			return true;
	return false;
}

int trust_role_decode(const json_t *object, const char *name, struct trust_role *ret,
	struct error *reterr)
{
	AUTO_DONE(trust_role) struct trust_role role = {.name = name};
	const char *key_id;
	json_t *ids;
	int r;

	if (!json_is_object(object))
		return error_set(reterr, -BSI_E_FORMAT, "role \"%.80s\" is not an object", name);
	r = json_get_u64(object, "threshold", INT64_MAX, &role.threshold, reterr);
	if (r < 0) {
		error_prefix(reterr, "role \"%.80s\"", name);
		return r;
	}
	if (role.threshold == 0)
		return error_set(reterr, -BSI_E_FORMAT,
			"role \"%.80s\" has a threshold of 0: anyone could sign it", name);
	r = json_get_array(object, "keyids", TRUST_ROLE_KEYS_MAX, &ids, reterr);
	if (r < 0) {
		error_prefix(reterr, "role \"%.80s\"", name);
		return r;
	}
	role.key_ids = calloc(json_array_size(ids) + 1, sizeof *role.key_ids);
	if (!role.key_ids)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(ids); i++) {
		key_id = json_string_value(json_array_get(ids, i));
		if (!key_id)
			return error_set(reterr, -BSI_E_FORMAT,
				"role \"%.80s\" has a keyid that is not a string", name);
		if (!trust_role_names_key(&role, key_id))
			role.key_ids[role.n_key_ids++] = key_id;
	}
	*ret = role;
	role = (struct trust_role){};
	return 0;
}

void trust_role_done(struct trust_role *role)
{
	free(role->key_ids);
	*role = (struct trust_role){};
}

bool trust_role_same_keys(const struct trust_role *a, const struct trust_role *b)
{
	if (a->n_key_ids != b->n_key_ids)
		return false;
	/* neither names a key twice */
	for (size_t i = 0; i < a->n_key_ids; i++)
		if (!trust_role_names_key(b, a->key_ids[i]))
			return false;
	return true;
}
