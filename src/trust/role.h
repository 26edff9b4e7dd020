/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Who may sign: the keys of a file, and the roles that name some of them with a threshold. The
 * same for the roles of a root and for delegated ones. Source: TUF specification, section 4.3.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/compiler.h"
#include "base/error.h"
#include "trust/key.h"

struct trust_keyring {
	struct trust_key **keys;
	size_t n_keys;
};

/* From an object of keyids and keys; every name is checked. */
int trust_keyring_decode(const json_t *object, struct trust_keyring *ret, struct error *reterr)
	MUST_CHECK;
void trust_keyring_done(struct trust_keyring *ring);
/* NULL if there is none of that name. */
const struct trust_key *trust_keyring_find(const struct trust_keyring *ring, const char *key_id);

struct trust_role {
	const char *name;     /* borrowed from the tree, as the key_ids are */
	const char **key_ids; /* each once, in the order listed */
	size_t n_key_ids;
	uint64_t threshold; /* at least 1 */
};

/* "keyids" and "threshold" of the object; a key that is named twice counts once. */
int trust_role_decode(const json_t *object, const char *name, struct trust_role *ret,
	struct error *reterr) MUST_CHECK;
void trust_role_done(struct trust_role *role);

bool trust_role_names_key(const struct trust_role *role, const char *key_id);
/* Whether a and b name the same keys. */
bool trust_role_same_keys(const struct trust_role *a, const struct trust_role *b);
