/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * How a targets role gives trust on: an ordered list of roles with the paths that each may speak
 * for, or hash bins. Source: TUF specification, section 4.5, and TAP 15 for the bins.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/error.h"
#include "trust/role.h"

struct trust_delegation {
	struct trust_role role;
	json_t *paths;         /* patterns, borrowed from the tree; or NULL */
	json_t *hash_prefixes; /* hex, likewise; one of the two is there */
	bool terminating;
};

/* 2^bits roles with one set of keys, chosen by the first bits of the path's SHA-256. */
struct trust_bins {
	struct trust_role role; /* the keys; its name is the prefix */
	unsigned bits;          /* 1..32; 0 where there are no bins */
};

struct trust_delegations {
	struct trust_keyring keyring;
	struct trust_delegation *list;
	size_t n_list;
	struct trust_bins bins;
};

/* From the member "delegations" of a targets role. */
int trust_delegations_decode(const json_t *object, struct trust_delegations *ret,
	struct error *reterr) MUST_CHECK;
void trust_delegations_done(struct trust_delegations *d);

/* Whether the delegation speaks for the path. */
bool trust_delegation_covers(const struct trust_delegation *d, const char *path);

/* The keys and threshold for the delegated role of that name, or NULL. */
const struct trust_role *trust_delegations_role(const struct trust_delegations *d,
	const char *name);

/* The name of the bin that speaks for the path; only where there are bins. */
int trust_bins_name(const struct trust_bins *bins, const char *path, char **ret) MUST_CHECK;
