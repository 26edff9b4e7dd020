/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a repository may ask of a device. Every limit applies before the first byte is parsed or
 * the first signature is checked. docs/formats/repository.md repeats this table.
 */

/* Bytes of one metadata file; the values are those of python-tuf's client. */
#define TRUST_ROOT_MAX_BYTES 512000
#define TRUST_TIMESTAMP_MAX_BYTES 16384
#define TRUST_SNAPSHOT_MAX_BYTES 2000000
#define TRUST_TARGETS_MAX_BYTES 5000000

/* Shape of one metadata file, read by a scan that allocates nothing. */
#define TRUST_DEPTH_MAX 32
#define TRUST_VALUES_MAX 262144
#define TRUST_SIGNATURES_MAX 128

#define TRUST_KEYS_MAX 1024  /* in one file */
#define TRUST_ROLES_MAX 1024 /* delegations in one file: one for each base */
#define TRUST_ROLE_KEYS_MAX 128
#define TRUST_ROLE_NAME_MAX_BYTES 1024

#define TRUST_ROTATIONS_MAX 256 /* roots in one refresh; the next one goes on from there */
#define TRUST_VISITS_MAX 32     /* roles in one search */
