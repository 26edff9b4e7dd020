/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The publisher's half of TUF: the "signed" part of each kind of metadata from plain values, and
 * the signing of it. Pure: times and versions come in. Layout: docs/formats/repository.md.
 *
 * Every builder checks what it is given against the rules that the client enforces, so that a
 * publisher cannot sign what no device would take. Strings and key objects are borrowed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "trust/signer.h"

#define TRUST_SPEC_VERSION "1.0.34"

/* A role: its keys (TUF key objects) and how many of them must sign. */
struct trust_role_spec {
	const char *name; /* ignored for the four roles of the root */
	json_t *const *keys;
	size_t n_keys;
	uint64_t threshold; /* 1..n_keys */
};

struct trust_root_spec {
	uint64_t version; /* from 1 */
	int64_t issued_utc_s, expires_utc_s;
	struct trust_role_spec root, timestamp, snapshot, targets;
};

struct trust_target_spec {
	const char *path; /* "debian:12:amd64/index.json" */
	uint64_t length;
	struct digest digest;
};

struct trust_delegation_spec {
	struct trust_role_spec role;
	const char *const *paths; /* patterns, such as BASE followed by a slash and a star */
	size_t n_paths;
	bool terminating;
};

/* The top-level targets role and every delegated role. */
struct trust_targets_spec {
	uint64_t version;
	int64_t issued_utc_s, expires_utc_s;
	const struct trust_target_spec *targets;
	size_t n_targets;
	const struct trust_delegation_spec *delegations;
	size_t n_delegations;
};

/* One signed file as its lister describes it: trust_file_describe() fills it. */
struct trust_file_spec {
	const char *role; /* "targets", "debian:12:amd64", "snapshot"; without ".json" */
	uint64_t version;
	uint64_t length;
	struct digest digest;
};

struct trust_snapshot_spec {
	uint64_t version;
	int64_t expires_utc_s;
	const struct trust_file_spec *files; /* targets and every delegated role */
	size_t n_files;
};

struct trust_timestamp_spec {
	uint64_t version;
	int64_t expires_utc_s;
	struct trust_file_spec snapshot; /* its role is ignored */
};

/* Each gives a new reference in *ret, to be signed. */
int trust_root_build(const struct trust_root_spec *spec, json_t **ret, struct error *reterr)
	MUST_CHECK;
int trust_targets_build(const struct trust_targets_spec *spec, json_t **ret, struct error *reterr)
	MUST_CHECK;
int trust_snapshot_build(const struct trust_snapshot_spec *spec, json_t **ret,
	struct error *reterr) MUST_CHECK;
int trust_timestamp_build(const struct trust_timestamp_spec *spec, json_t **ret,
	struct error *reterr) MUST_CHECK;

/* Length, digest and version of a finished metadata file; role is borrowed into *ret. */
int trust_file_describe(const char *role, const void *file, size_t len,
	struct trust_file_spec *ret, struct error *reterr) MUST_CHECK;

/* The whole metadata file, appended to *out. Two signers with one key are -BSI_E_SIGNATURE. */
int trust_sign(json_t *signed_part, struct trust_signer *const *signers, size_t n_signers,
	struct buffer *out, struct error *reterr) MUST_CHECK;

/*
 * The same file with more signatures, for holders who sign one after another: those that are there
 * stay, one by the same key is replaced. The "signed" part is not changed by a single byte of
 * meaning.
 */
int trust_cosign(const void *file, size_t len, struct trust_signer *const *signers,
	size_t n_signers, struct buffer *out, struct error *reterr) MUST_CHECK;
