/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The whole client workflow of TUF over callbacks: what to load, fetch, verify, store and drop, in
 * which order. Every rejection leaves the stored files as they were after the last good step, so
 * that the next run can succeed. Source: TUF specification, section 5.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "trust/hashes.h"
#include "trust/bounds.h"

struct trust_io {
	void *ctx;
	/* A stored file, appended to *out: "root.json", "timestamp.json", "snapshot.json",
	   "targets.json", "<encoded role>.json". -ENOENT if there is none. */
	int (*load)(void *ctx, const char *name, size_t max_bytes, struct buffer *out);
	/* Replace it durably. */
	int (*save)(void *ctx, const char *name, const void *data, size_t len);
	/* Remove it; 0 if there was none. */
	int (*drop)(void *ctx, const char *name);
	/* GET; url_path is percent-encoded and relative to the metadata URL. -BSI_E_MISSING if the
	   repository does not have it (404, 403), any other error otherwise. May be NULL for a
	   client that only works offline. */
	int (*fetch)(void *ctx, const char *url_path, size_t max_bytes, struct buffer *out,
		struct error *reterr);
};

struct trust_updater;

/*
 * Load and verify the stored root; no request.
 *
 * @io         copied; its ctx must outlive the updater
 * @now_utc_s  one reading of the clock, or the stored floor if that is later
 */
int trust_updater_new(const struct trust_io *io, int64_t now_utc_s, struct trust_updater **ret,
	struct error *reterr) MUST_CHECK;
void trust_updater_free(struct trust_updater *u);
DEFINE_FREEP(trust_updater)

/*
 * Roots, timestamp, snapshot, targets. Without news these are exactly two requests:
 * (N+1).root.json and timestamp.json. Once for each updater (-EINVAL the second time).
 */
int trust_updater_refresh(struct trust_updater *u, struct error *reterr) MUST_CHECK;

/*
 * The same state from stored files alone, no request. Signatures and delegations are checked;
 * expiry is not (see trust_updater_expires_utc_s()). A timestamp or snapshot need not be there and
 * a role may be one version behind what the snapshot lists: an interrupted refresh leaves that.
 */
int trust_updater_offline(struct trust_updater *u, struct error *reterr) MUST_CHECK;

struct trust_target {
	uint64_t length;
	struct digest digest;       /* its SHA-256; all zero where only others are listed */
	struct trust_hashes hashes; /* all that are listed and known */
	char *url_path;             /* percent-encoded, relative to the targets URL */
};

/*
 * Find a target, after refresh or offline. Loads the delegated roles on the way. -BSI_E_MISSING if
 * no role that may speak for the path lists it. On success trust_target_done() ends *ret.
 */
int trust_updater_target(struct trust_updater *u, const char *target_path,
	struct trust_target *ret, struct error *reterr) MUST_CHECK;
void trust_target_done(struct trust_target *target);

/* Newest "issued" among the offline-signed roles seen; 0 if none says. A floor for the clock. */
int64_t trust_updater_floor_utc_s(const struct trust_updater *u);
/* Earliest expiry among timestamp, snapshot, targets and the roles loaded; INT64_MAX if none. */
int64_t trust_updater_expires_utc_s(const struct trust_updater *u);
/* Version of the root that is trusted now. */
uint64_t trust_updater_root_version(const struct trust_updater *u);
