/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Changing what a repository says about one base: a new letter, a withdrawal, a minimum. Everything
 * that is new is on disk, durable and under its content's name, before the metadata that lists it.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "improvement/index.h"
#include "improvement/manifest.h"
#include "publish/build.h"
#include "publish/keyring.h"
#include "publish/plan.h"
#include "publish/repository.h"

/* Opened with REPOSITORY_LOCK; all borrowed. */
struct issue {
	struct repository *repository;
	struct repository_role *base;
	const struct keyring *base_keys, *snapshot_keys, *timestamp_keys;
	int64_t now_utc_s;
	const char *draft; /* write the base's role there for other holders to sign; NULL: publish */
};

enum issue_flags {
	ISSUE_NO_DELTAS = 1 << 0, /* full payloads alone */
};

struct issue_letter {
	const struct plan *plan; /* passed plan_check(); without components: only to drop some */
	struct state *to;
	const char *severity, *text; /* NULL: unspecified, empty, and no news by itself */
	const char *const *dropped;  /* components of the letter before that are not carried on */
	size_t n_dropped;
	const struct build_progress *progress, *delta_progress; /* of full payloads, of deltas */
	enum issue_flags flags;
};

/*
 * *ret is what was published; manifest_free() ends it. ISSUE_ALREADY where the current letter says all
 * of it already: nothing is published, and *ret is that letter's manifest.
 */
#define ISSUE_ALREADY 1
int issue_add(const struct issue *issue, const struct issue_letter *letter, struct manifest **ret,
	struct error *reterr) MUST_CHECK;

/*
 * A letter that no device may keep is no minimum: if this one was, the next one above that stands
 * takes its place, or there is none any more.
 */
int issue_withdraw(const struct issue *issue, const char *letter, enum withdraw_action action,
	const char *reason, struct error *reterr) MUST_CHECK;

/* letter NULL: no minimum any more. */
int issue_minimum(const struct issue *issue, const char *letter, struct error *reterr) MUST_CHECK;
