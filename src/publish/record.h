/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a publisher signed last: the version of every role, and the last letter of every base. It
 * lies beside the online keys, outside the repository, so that a repository that was put back from
 * an old copy is noticed before anything is signed on it: devices that saw newer versions would
 * refuse everything from there on. Format: docs/formats/repository.md, "The record".
 */
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "publish/repository.h"

#define RECORD_FILE "signed.json"
#define RECORD_MAX_BYTES (1U << 20)

struct record;

/* From the folder of the online keys, which record_keep() writes to; empty where it has none. */
int record_load(const char *folder, struct record **ret, struct error *reterr) MUST_CHECK;
void record_free(struct record *record);
DEFINE_FREEP(record)

/* -BSI_E_ROLLBACK with words, and with what to do, where the repository is behind the record. */
int record_check(const struct record *record, const struct repository *r, struct error *reterr)
	MUST_CHECK;

/*
 * What was lost is lost: let the repository in memory count on from the record, so that what is
 * signed next is newer than all that devices may have. -BSI_E_ROLLBACK where a root is missing,
 * without which no device can follow.
 */
int record_skip(const struct record *record, struct repository *r, struct error *reterr) MUST_CHECK;

/* The last version of a role that was signed; 0 where none is recorded. */
uint64_t record_version(const struct record *record, const char *role);
/* The last letter and build that a base had; NULL and 0 where none is recorded. Borrowed. */
const char *record_letter(const struct record *record, const char *base, uint64_t *ret_build);

/* Raise the record to what the repository is at now, durably. */
int record_keep(struct record *record, const struct repository *r, struct error *reterr) MUST_CHECK;
