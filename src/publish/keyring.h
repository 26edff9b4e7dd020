/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Private keys of one role in a folder of their own: KEYS/ROLE/1.pem, 2.pem … Folders are 0700,
 * files 0600. They are made once and never changed; keys that were exchanged go into a folder below.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "trust/signer.h"

#define KEYRING_KEYS_MAX 16 /* of one role */
/* In one folder: also keys that are about to follow, and those of runs that were killed. */
#define KEYRING_FILES_MAX 64

/* Where keys lie, and what opens them. */
struct keyring_folder {
	const char *path;       /* for messages */
	int fd;
	const char *passphrase; /* NULL: the keys are plain */
};

struct keyring {
	struct trust_signer *signers[KEYRING_FILES_MAX];
	json_t *keys[KEYRING_FILES_MAX]; /* the public halves */
	unsigned numbers[KEYRING_FILES_MAX]; /* of the files */
	size_t n_signers;
};

/* Make n keys of a role and store them, all or none; -EEXIST where the role's folder is there. */
int keyring_create(const struct keyring_folder *folder, const char *role, size_t n,
	struct keyring *ret, struct error *reterr) MUST_CHECK;
/* All keys of a role. -BSI_E_SIGNATURE for a wrong passphrase, -ENOENT with words for no keys. */
int keyring_load(const struct keyring_folder *folder, const char *role, struct keyring *ret,
	struct error *reterr) MUST_CHECK;
void keyring_done(struct keyring *k);
/* Make n more keys of a role beside those that are loaded; *k grows by them. */
int keyring_extend(const struct keyring_folder *folder, const char *role, size_t n,
	struct keyring *k, struct error *reterr) MUST_CHECK;
/* Put a loaded key away that is of no use any more: KEYS/ROLE/retired/KEYID.pem. */
int keyring_retire(const struct keyring_folder *folder, const char *role, const struct keyring *k,
	size_t i, struct error *reterr) MUST_CHECK;

/*
 * Whether a folder's private keys are encrypted: 1 if any needs a passphrase, 0 if none, or an
 * error. Asked before the passphrase is.
 */
int keyring_is_encrypted(const struct keyring_folder *folder, const char *role) MUST_CHECK;
