/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Strict JSON: duplicate keys, reals, over-long integers, bad UTF-8, NUL in strings and trailing
 * bytes are refused (jansson does that; see docs/dependencies.md). Getters name the key that is
 * missing or of the wrong type, so an error says where.
 *
 * Values got from an object are borrowed: they live as long as the object.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"

static inline void json_freep(json_t **p)
{
	json_decref(*p);
	*p = NULL;
}
#define AUTO_JSON __attribute__((cleanup(json_freep)))

/* Parse a document whose top is an object; what names it in errors. The caller owns *ret. */
int json_parse(const void *data, size_t len, const char *what, json_t **ret, struct error *reterr)
	MUST_CHECK;

/* A required member of an object; -BSI_E_FORMAT when missing or of another type. */
int json_get_text(const json_t *o, const char *key, const char **ret, struct error *reterr)
	MUST_CHECK;
int json_get_u64(const json_t *o, const char *key, uint64_t max, uint64_t *ret,
	struct error *reterr) MUST_CHECK;
/* As json_get_text, as heap text that the caller frees; *ret is set on success only. */
int json_copy_text(const json_t *o, const char *key, char **ret, struct error *reterr) MUST_CHECK;
int json_get_bool(const json_t *o, const char *key, bool *ret, struct error *reterr) MUST_CHECK;
int json_get_object(const json_t *o, const char *key, json_t **ret, struct error *reterr) MUST_CHECK;
/* An array of at most max elements; -BSI_E_LIMIT above. */
int json_get_array(const json_t *o, const char *key, size_t max, json_t **ret,
	struct error *reterr) MUST_CHECK;
/* A string of 64 lower-case hex digits. */
int json_get_digest(const json_t *o, const char *key, struct digest *ret, struct error *reterr)
	MUST_CHECK;
/* As json_get_text, and *ret = NULL where the key is missing or null. */
int json_get_optional_text(const json_t *o, const char *key, const char **ret,
	struct error *reterr) MUST_CHECK;

/* {"format": format, "version": version} or an error: -BSI_E_VERSION for a newer version. */
int json_check_format(const json_t *o, const char *format, uint64_t version, struct error *reterr)
	MUST_CHECK;

/*
 * Canonical JSON (OLPC): no blanks, keys in byte order, only '"' and '\' escaped, no reals.
 * It is what TUF signs, and what our state files hold. Source: securesystemslib's definition.
 */
int json_canonical(const json_t *value, struct buffer *out) MUST_CHECK;
