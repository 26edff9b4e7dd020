/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a client trusts, fed with bytes in the order that TUF prescribes: root, newer roots,
 * timestamp, snapshot, targets, delegated roles. A step out of order is -EINVAL; bytes that fail a
 * check change nothing. Knows no file and no network: trust/update.h brings both.
 * Source: TUF specification, section 5.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "trust/metadata.h"

struct trust_set;

enum trust_origin {
	TRUST_FETCHED, /* every check */
	TRUST_STORED,  /* a copy kept from an earlier run: see each function */
};

/*
 * @root       the trusted root file; its own signatures are checked, its expiry is not
 * @now_utc_s  one reading of the clock for the whole run (or the stored floor, whichever is later)
 */
int trust_set_new(const void *root, size_t len, int64_t now_utc_s, struct trust_set **ret,
	struct error *reterr) MUST_CHECK;
void trust_set_free(struct trust_set *set);
DEFINE_FREEP(trust_set)

/*
 * The root that follows: version exactly one higher, signed by the old root's keys and by its own.
 * *ret_rotated says whether the keys of timestamp or snapshot changed, so that their stored copies
 * must go (recovery from a fast-forward attack).
 */
int trust_set_root(struct trust_set *set, const void *data, size_t len, bool *ret_rotated,
	struct error *reterr) MUST_CHECK;

/* No newer root follows: the last one must not have expired. */
int trust_set_finish_root(struct trust_set *set, struct error *reterr) MUST_CHECK;

/*
 * Stored: taken for the comparison, expired or not. Fetched: not older than the stored one, nor
 * may the snapshot it lists be, nor may it have expired. *ret_news is false where the fetched one
 * has the version of the stored one: that is kept then and the new bytes are dropped.
 */
int trust_set_timestamp(struct trust_set *set, const void *data, size_t len,
	enum trust_origin origin, bool *ret_news, struct error *reterr) MUST_CHECK;

/*
 * Stored: taken for the comparison, expired or not; *ret_final says whether it is also the one that
 * the timestamp lists and has not expired, so that none need be fetched.
 */
int trust_set_snapshot(struct trust_set *set, const void *data, size_t len,
	enum trust_origin origin, bool *ret_final, struct error *reterr) MUST_CHECK;

/*
 * A role that delegator gives trust to: "targets" below the root, or a delegated role below a
 * targets role that is in the set. All checks, whatever its origin. *ret stays with the set.
 */
int trust_set_role(struct trust_set *set, const struct trust_metadata *delegator, const char *role,
	const void *data, size_t len, const struct trust_metadata **ret, struct error *reterr)
	MUST_CHECK;

/*
 * Offline: whatever the set is fed from here on was checked when it was stored, so that expiry is
 * not tested, and neither timestamp nor snapshot need be there. Before anything is fed.
 */
void trust_set_offline(struct trust_set *set);

/* Root, or the timestamp or snapshot taken so far; NULL if there is none. */
const struct trust_metadata *trust_set_get(const struct trust_set *set, enum trust_type type);
/* The role as verified for that delegator (by another one's keys it is another thing), or NULL. */
const struct trust_metadata *trust_set_get_role(const struct trust_set *set,
	const struct trust_metadata *delegator, const char *role);

/* What the timestamp says of the snapshot, and the snapshot of a role. */
int trust_set_listed(const struct trust_set *set, const char *role, struct trust_file *ret,
	struct error *reterr) MUST_CHECK;

/* Newest "issued" of root, targets and delegated roles; 0 if none has one. */
int64_t trust_set_floor_utc_s(const struct trust_set *set);
/* Earliest expiry of all that was taken besides roots; INT64_MAX if nothing was. */
int64_t trust_set_expires_utc_s(const struct trust_set *set);
