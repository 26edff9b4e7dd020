/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One decoded metadata file: the envelope with its signatures, the members that every kind has,
 * and the keys and roles of those kinds that give trust on. Nothing here is verified but by
 * trust_metadata_verify(); the order of things is kept by trust/set.h.
 *
 * The parsed tree stays beside the decoded values: signatures are over its canonical form, unknown
 * members included. Source: TUF specification, section 4.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "trust/delegation.h"
#include "trust/hashes.h"
#include "trust/role.h"

enum trust_type {
	TRUST_ROOT,
	TRUST_TIMESTAMP,
	TRUST_SNAPSHOT,
	TRUST_TARGETS, /* delegated roles too */
	TRUST_TYPE_MAX,
};

/* "root", "timestamp", "snapshot", "targets": the role's name and the member "_type". */
const char *trust_type_format(enum trust_type type);

struct trust_metadata {
	enum trust_type type;
	json_t *document;    /* owned */
	json_t *signed_part; /* borrowed from document, as are all json_t below */
	uint64_t version;    /* at least 1 */
	int64_t expires_utc_s;
	int64_t issued_utc_s; /* the extra member "issued" of root and targets; 0 where missing */

	bool consistent_snapshot; /* root */
	struct trust_keyring keyring;
	struct trust_role roles[TRUST_TYPE_MAX];

	json_t *files; /* timestamp and snapshot: "meta" */

	json_t *targets; /* targets */
	struct trust_delegations delegations;
};

/* Scan, parse and check one file of the type; what names it in errors. */
int trust_metadata_decode(const void *data, size_t len, enum trust_type type, const char *what,
	struct trust_metadata **ret, struct error *reterr) MUST_CHECK;
void trust_metadata_free(struct trust_metadata *md);
DEFINE_FREEP(trust_metadata)

/*
 * Whether the file carries valid signatures by at least role->threshold different keys of the
 * role. Signatures that are empty, malformed, wrong or by other keys are passed over.
 * -BSI_E_THRESHOLD if not.
 */
int trust_metadata_verify(const struct trust_metadata *md, const struct trust_role *role,
	const struct trust_keyring *ring, const char *what, struct error *reterr) MUST_CHECK;

/* What a timestamp or snapshot says of a file. */
struct trust_file {
	uint64_t version; /* at least 1 */
	bool has_length, has_hashes;
	uint64_t length;
	struct trust_hashes hashes;
};

/* name as listed: "targets.json", "debian:12:amd64.json"; -BSI_E_MISSING if it is not. */
int trust_metadata_file(const struct trust_metadata *md, const char *name, struct trust_file *ret,
	struct error *reterr) MUST_CHECK;

/* What this targets file lists under the path; -BSI_E_MISSING if nothing. */
int trust_metadata_target(const struct trust_metadata *md, const char *path, uint64_t *ret_length,
	struct trust_hashes *ret_hashes, struct error *reterr) MUST_CHECK;
