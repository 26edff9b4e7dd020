/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Exchanging keys, in such an order that every reader finds a valid repository at every moment:
 * everything is first signed by the keys of now and by those that follow, and then the root, or the
 * targets role for a base's keys, names the new ones. A run that is killed leaves one or the other.
 * Devices follow from any older root. Source: TUF specification, section 6.1.
 */
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/keyring.h"
#include "publish/repository.h"

#define ROTATION_ROLES_MAX (REPOSITORY_ROLES_MAX + 4)
/* Digits of a key's name that are enough to tell it. */
#define ROTATION_KEY_ID_MIN 8

/* A role that gets other keys. */
struct rotation_role {
	const char *name;     /* "root", "targets", "snapshot", "timestamp" or a base */
	bool all;             /* all its keys go, or only those that were named */
	const char *gone[KEYRING_KEYS_MAX]; /* names of keys that go, borrowed from the metadata */
	size_t n_gone;
	size_t n_fresh;       /* how many keys are made for it */
	uint64_t threshold;   /* that it gets */
	struct keyring *keys; /* those at hand, and the fresh ones after them; its owner's */
	size_t first_fresh;   /* where they begin */
};

struct rotation {
	struct rotation_role *roles;
	size_t n_roles;
};

/* The current keys and threshold of a role, or NULL. Borrowed. */
const struct trust_role *rotation_find(const struct repository *r, const char *name);

/*
 * Which keys of which roles a name or the beginning of one means, added to the rotation; the array
 * has room for all roles. -BSI_E_MISSING where no role has such a key.
 */
int rotation_revoke(const struct repository *r, const char *key_id, struct rotation *rotation,
	struct error *reterr) MUST_CHECK;
/* All keys of a role. */
int rotation_replace(const struct repository *r, const char *name, uint64_t n_keys,
	uint64_t threshold, struct rotation *rotation, struct error *reterr) MUST_CHECK;
struct rotation_role *rotation_role(const struct rotation *rotation, const char *name);

/* The keys that sign besides those of the roles that change; NULL where none is needed. */
struct rotation_keys {
	const struct keyring *root, *targets, *snapshot, *timestamp;
};

/* Sign and write all of it; the fresh keys are on disk. */
int rotation_apply(struct repository *r, const struct rotation *rotation,
	const struct rotation_keys *keys, int64_t now_utc_s, struct error *reterr) MUST_CHECK;
