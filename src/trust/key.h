/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Public keys as TUF metadata carries them: Ed25519, ECDSA on P-256 and P-384, RSA-PSS with
 * SHA-256. The algorithm is the key's (keytype and scheme together), never the signature's.
 * Source: TUF specification, section 4.2. Private keys are in trust/signer.h.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"

struct trust_key;

/*
 * Decode one key object. keyid is the name it goes by and must be the SHA-256 of the object's
 * canonical form, unknown members included (-BSI_E_SIGNATURE otherwise).
 *
 * A key of a type or scheme that is not known here is decoded all the same and never verifies
 * anything, so that a repository may add a new kind beside an old one. A key of a known kind that
 * is malformed (wrong length, curve or size) is -BSI_E_SIGNATURE.
 */
int trust_key_decode(const char *keyid, const json_t *object, struct trust_key **ret,
	struct error *reterr) MUST_CHECK;
void trust_key_free(struct trust_key *key);
DEFINE_FREEP(trust_key)

const char *trust_key_id(const struct trust_key *key);

/* Whether both hold the same public key, whatever names they go by. */
bool trust_key_equal(const struct trust_key *a, const struct trust_key *b);

/* 0 if sig_hex is this key's signature of the bytes, else -BSI_E_SIGNATURE (or -ENOMEM). */
int trust_key_verify(const struct trust_key *key, const void *data, size_t len,
	const char *sig_hex) MUST_CHECK;

/* The keyid of a key object: SHA-256 of its canonical form. */
int trust_key_object_id(const json_t *object, struct digest_hex *ret) MUST_CHECK;
