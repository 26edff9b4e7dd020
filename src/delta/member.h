/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: the members of an archive that lie in it as they are: those of an ar archive
 * (static libraries), and the stored ones of a zip archive. Any bytes are fine: where an archive
 * stops making sense its list ends.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define MEMBERS_MAX 65536U

struct member {
	size_t at, len;
	const uint8_t *name; /* into the archive */
	size_t name_len;
};

/* In the order of their places; the caller frees *ret. Nothing found is no error. */
int member_find(const uint8_t *data, size_t len, struct member **ret, size_t *ret_n) MUST_CHECK;
/* Bytes of the members of a zip archive that are compressed. */
uint64_t member_packed_bytes(const uint8_t *data, size_t len);
bool member_same_name(const struct member *a, const struct member *b);
