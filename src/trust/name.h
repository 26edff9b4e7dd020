/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Names of roles and targets as URLs and file names. Both are hostile text: a role may be called
 * "../x", "?" or a line of Unicode.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "trust/hashes.h"

/* Longer encoded role names are stored under their digest. */
#define TRUST_FILE_NAME_MAX_BYTES 200

/* All bytes but A-Z a-z 0-9 _ . - ~ as %XX, so one segment whatever the name: "a/b" -> "a%2Fb". */
void trust_name_encode(const char *name, struct buffer *out);

/* Each segment encoded, the '/' between them kept; "." and ".." become %2E and %2E%2E. */
void trust_path_encode(const char *path, struct buffer *out);

/* Not empty, not too long, and none of the four top-level names (with path rules of its own). */
int trust_role_name_check(const char *name) MUST_CHECK;

/*
 * Name of a role's metadata on a device: "root.json", "debian%3A12%3Aamd64.json"; never hidden,
 * never with a '/'. -BSI_E_FORMAT for an empty name.
 */
int trust_role_file(const char *role, char **ret) MUST_CHECK;

/* URL of a role's metadata below the metadata URL; version 0 for the name without a prefix. */
int trust_role_url(const char *role, uint64_t version, char **ret) MUST_CHECK;

/* URL of a target below the targets URL: hash before the last segment where consistent. */
int trust_target_url(const char *path, const struct trust_hashes *hashes, bool consistent,
	char **ret) MUST_CHECK;
