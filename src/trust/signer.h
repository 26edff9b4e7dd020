/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Private Ed25519 keys of a publisher: made, signed with, kept as PKCS#8 in PEM. This is the one
 * place of the room that draws random bytes (libcrypto's own generator): a key, and the salt of an
 * encrypted one, cannot come in as arguments without leaving their quality to the caller.
 */
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"

#define TRUST_SIGNER_PEM_MAX_BYTES 16384
#define TRUST_SIGNATURE_BYTES 64

struct trust_signer;

int trust_signer_generate(struct trust_signer **ret) MUST_CHECK;

/*
 * Append the key as PKCS#8 PEM to *out_pem: encrypted (PBES2: scrypt and AES-256) where there is a
 * passphrase, plain where it is NULL. The bytes are a secret; wipe them after use with
 * trust_secret_done(). An empty passphrase is -EINVAL.
 */
int trust_signer_to_pem(const struct trust_signer *signer, const char *passphrase,
	struct buffer *out_pem) MUST_CHECK;

/*
 * A key from its PEM. -BSI_E_SIGNATURE for a wrong passphrase, -EACCES where one is needed and
 * passphrase is NULL, -BSI_E_FORMAT for anything that is no Ed25519 key in PKCS#8.
 */
int trust_signer_from_pem(const void *pem, size_t len, const char *passphrase,
	struct trust_signer **ret, struct error *reterr) MUST_CHECK;

/* The name that metadata uses for the public key; lives as long as the signer. */
const char *trust_signer_keyid(const struct trust_signer *signer);

/* The public key as a TUF key object; a new reference, NULL without memory. */
json_t *trust_signer_public(const struct trust_signer *signer);

/* Ed25519 over the bytes. */
int trust_signer_sign(const struct trust_signer *signer, const void *data, size_t len,
	uint8_t ret_sig[static TRUST_SIGNATURE_BYTES]) MUST_CHECK;

void trust_signer_free(struct trust_signer *signer);
DEFINE_FREEP(trust_signer)

/* buffer_done() for secrets: the bytes are overwritten first. */
void trust_secret_done(struct buffer *b);
