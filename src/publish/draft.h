/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The next version of a base's role on its way from one holder of a key to the next: an ordinary
 * metadata file that has too few signatures yet. What it lists is in the repository already, under
 * names that nobody asks for. It belongs to the version that the role has now: once another change
 * is published, it is of no use any more.
 */
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/keyring.h"
#include "publish/repository.h"

struct draft_count {
	uint64_t n_signed, threshold; /* signatures by keys of the role that hold */
};

/*
 * Read a draft into the repository in memory, where the base's role is what the draft says then, its
 * signatures unjudged. All that it lists has been compared with what is on disk.
 * -BSI_E_ROLLBACK where the role is at another version meanwhile, -BSI_E_BASE where no base is listed.
 */
int draft_load(struct repository *r, const char *path, struct repository_role **ret,
	struct error *reterr) MUST_CHECK;

/* Write bytes of a role as a draft, in one step. */
int draft_save(const char *path, const void *data, size_t len, struct error *reterr) MUST_CHECK;

/* Add signatures by those of the keys that belong to the role; -BSI_E_THRESHOLD where none does. */
int draft_sign(struct repository *r, struct repository_role *base, const struct keyring *keys,
	const char *path, struct error *reterr) MUST_CHECK;

/* How far a role in memory is. */
int draft_progress(const struct repository *r, const struct repository_role *base,
	struct draft_count *ret, struct error *reterr) MUST_CHECK;
