/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Private keys of one role in a folder of their own: KEYS/ROLE/1.pem, 2.pem … Folders are 0700,
 * files 0600. They are made once and never changed.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "trust/signer.h"

#define KEYRING_KEYS_MAX 16

/* Where keys lie, and what opens them. */
struct keyring_folder {
	const char *path;       /* for messages */
	int fd;
	const char *passphrase; /* NULL: the keys are plain */
};

struct keyring {
	struct trust_signer *signers[KEYRING_KEYS_MAX];
	json_t *keys[KEYRING_KEYS_MAX]; /* the public halves */
	size_t n_signers;
};

/* Make n keys of a role and store them, all or none; -EEXIST where the role's folder is there. */
int keyring_create(const struct keyring_folder *folder, const char *role, size_t n,
	struct keyring *ret, struct error *reterr) MUST_CHECK;
/* All keys of a role. -BSI_E_SIGNATURE for a wrong passphrase, -ENOENT with words for no keys. */
int keyring_load(const struct keyring_folder *folder, const char *role, struct keyring *ret,
	struct error *reterr) MUST_CHECK;
void keyring_done(struct keyring *k);

/*
 * Whether a folder's private keys are encrypted: 1 if any needs a passphrase, 0 if none, or an
 * error. Asked before the passphrase is.
 */
int keyring_is_encrypted(const struct keyring_folder *folder, const char *role) MUST_CHECK;
