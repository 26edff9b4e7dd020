/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * New metadata, in the order that TUF prescribes: roles, then the snapshot, then timestamp.json,
 * whose rename is the moment at which readers see the change. Until then every file has a name that
 * nobody asks for, so a publisher that is killed leaves the old repository, and the next run
 * overwrites what it left.
 *
 * Each file is verified as a device would before it is written.
 */
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/keyring.h"
#include "publish/repository.h"

/*
 * Whether the keys can sign the role: -BSI_E_THRESHOLD with words if not. Asked for every role that
 * a change signs before its first file is written.
 *
 * @role  "root", "targets", "snapshot", "timestamp" or a base
 */
int commit_check_keys(const struct repository *r, const char *role, const struct keyring *keys,
	struct error *reterr) MUST_CHECK;

/* The next version of a base's role, from its list of targets. */
int commit_base(struct repository *r, struct repository_role *base, const struct keyring *keys,
	int64_t now_utc_s, struct error *reterr) MUST_CHECK;

/* The same in memory alone, signed by some of its keys: publish/draft.h brings it to the others. */
int commit_begin_base(struct repository *r, struct repository_role *base,
	const struct keyring *keys, int64_t now_utc_s, struct error *reterr) MUST_CHECK;
/* Write a base's role that was begun, once enough keys have signed it. */
int commit_signed_base(const struct repository *r, const struct repository_role *base,
	struct error *reterr) MUST_CHECK;

/* The next version of the top-level targets role; delegations NULL: unchanged but for its times. */
int commit_targets(struct repository *r, json_t *delegations, const struct keyring *keys,
	int64_t now_utc_s, struct error *reterr) MUST_CHECK;

/*
 * A new base: its first role with its index alone, and the next version of the targets role, which
 * delegates to it. The base is in the repository in memory afterwards.
 */
struct commit_new_base {
	const char *id;
	const struct keyring *keys;
	uint64_t threshold;
	const struct trust_target_spec *index;
};
int commit_new_base(struct repository *r, const struct commit_new_base *base,
	const struct keyring *targets_keys, int64_t now_utc_s, struct error *reterr) MUST_CHECK;

/* The next root, unchanged but for its times. Readers see it at once, which is fine by itself. */
int commit_root(struct repository *r, const struct keyring *keys, int64_t now_utc_s,
	struct error *reterr) MUST_CHECK;

/*
 * The next root in two steps: signed by the keys of the old one and its own, and later written.
 *
 * @roles, @keys  the members of those names that it gets; NULL: as they are
 * @root_keys     the keys of both
 */
int commit_prepare_root(const struct repository *r, json_t *roles, json_t *keys,
	const struct keyring *root_keys, int64_t now_utc_s, struct buffer *out,
	struct trust_metadata **ret, struct error *reterr) MUST_CHECK;
int commit_prepared_root(struct repository *r, const struct buffer *bytes,
	struct trust_metadata **taken, struct error *reterr) MUST_CHECK;

/* Snapshot and timestamp over the roles as they are now; the record follows, where there is one. */
int commit_online(struct repository *r, const struct keyring *snapshot,
	const struct keyring *timestamp, int64_t now_utc_s, struct error *reterr) MUST_CHECK;
