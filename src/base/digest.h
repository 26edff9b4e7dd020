/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* SHA-256, in one piece or as the bytes come. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"

#define DIGEST_BYTES 32
#define DIGEST_HEX_LEN 64

struct digest {
	uint8_t bytes[DIGEST_BYTES];
};

/* Text of a digest: 64 lower-case hex digits and a NUL. */
struct digest_hex {
	char text[DIGEST_HEX_LEN + 1];
};

int digest_of(const void *data, size_t len, struct digest *ret) MUST_CHECK;
bool digest_equal(const struct digest *a, const struct digest *b);
struct digest_hex digest_format(const struct digest *d);
/* Exactly 64 lower-case hex digits, or -BSI_E_FORMAT. */
int digest_parse(const char *text, struct digest *ret) MUST_CHECK;

/* Hash as the bytes come. The first failure sticks and is returned by hasher_final(). */
struct hasher;

int hasher_new(struct hasher **ret) MUST_CHECK;
void hasher_free(struct hasher *h);
DEFINE_FREEP(hasher)
void hasher_update(struct hasher *h, const void *data, size_t len);
/* The digest of all so far; the hasher then starts again from nothing. */
int hasher_final(struct hasher *h, struct digest *ret) MUST_CHECK;
