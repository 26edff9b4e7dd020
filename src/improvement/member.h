/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Members of the JSON objects that manifests and indexes are made of; beside base/json.h. */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/json.h"

/* The last second that the text form of a time can say, 9999-12-31T23:59:59Z. */
#define MEMBER_UTC_MAX_S INT64_C(253402300799)

/* A required member that is a string or null; *ret stays NULL for null. */
int member_copy_nullable_text(const json_t *o, const char *key, char **ret,
	struct error *reterr) MUST_CHECK;
/* A required time as utc_parse() reads it. */
int member_get_time(const json_t *o, const char *key, int64_t *ret, struct error *reterr)
	MUST_CHECK;

/*
 * Whether data are the canonical bytes of o: one text for one meaning, so that no second way of
 * writing gets past a reader that is less strict. -BSI_E_FORMAT or -ENOMEM.
 */
int member_check_canonical(const json_t *o, const void *data, size_t len, struct error *reterr)
	MUST_CHECK;
