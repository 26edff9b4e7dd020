/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A new repository: keys, the first metadata, an empty index for each base. All of it is made beside
 * its place; at the end both folders of keys are renamed into place, then the repository. A run that
 * was killed in between is begun anew by the next one.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "trust/sign.h"

/* In both folders of keys: the digest of the first root of the repository that they are for. */
#define FOUNDATION_MARK "first-root"

struct foundation_base {
	const char *id;
	const char *name; /* for people; NULL: made from the id */
};

struct foundation {
	const char *path;         /* of the repository */
	const char *keys_path;    /* offline keys: root, targets, one role for each base */
	const char *online_path;  /* snapshot and timestamp, which a timer uses: plain */
	const char *passphrase;   /* of the offline keys; NULL: plain */
	const struct foundation_base *bases;
	size_t n_bases;
	uint64_t threshold; /* of each offline role */
	size_t n_keys;      /* of each offline role, at least threshold */
	int64_t now_utc_s;
};

/*
 * -EEXIST with words where one of the three folders is there already, -BSI_E_BUSY where another
 * run makes one of them at this moment.
 */
int foundation_lay(const struct foundation *f, struct error *reterr) MUST_CHECK;

/*
 * An empty index for a base, under its content's name; *ret says how a role lists it, with its path
 * in *ret_path, which the caller frees.
 */
int foundation_write_index(int repository_fd, const struct foundation_base *base,
	int64_t now_utc_s, struct trust_target_spec *ret, char **ret_path, struct error *reterr)
	MUST_CHECK;
