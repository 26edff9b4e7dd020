/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The "hashes" member of TUF metadata: what a listed file must hash to. Algorithms that are not
 * known here are passed over, but at least one must be known. Every known one must match.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"

#define TRUST_SHA512_BYTES 64

struct trust_hashes {
	bool has_sha256, has_sha512;
	struct digest sha256;
	uint8_t sha512[TRUST_SHA512_BYTES];
};

/* From an object of algorithm names and hex digests; an empty one is -BSI_E_FORMAT. */
int trust_hashes_decode(const json_t *object, struct trust_hashes *ret, struct error *reterr)
	MUST_CHECK;

/* 0 if the bytes have every known hash, else -BSI_E_DIGEST. */
int trust_hashes_check(const struct trust_hashes *hashes, const void *data, size_t len) MUST_CHECK;

/* The hex digest that a consistent snapshot puts before the file's name; out takes 129 bytes. */
void trust_hashes_prefix(const struct trust_hashes *hashes, char out[static 129]);
