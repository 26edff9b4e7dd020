/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CANONICAL_DEPTH_MAX 64

int json_parse(const void *data, size_t len, const char *what, json_t **ret, struct error *reterr)
{
	AUTO_JSON json_t *root = NULL;
	json_error_t e;

	root = json_loadb(data ? data : "", len, JSON_REJECT_DUPLICATES, &e);
	/* jansson has words for each fault of the text, and none where memory is short */
	if (!root && e.text[0] == '\0')
		return error_set(reterr, -ENOMEM, "%s: no memory to parse it", what);
	if (!root)
		return error_set(reterr, -BSI_E_FORMAT, "%s is not valid JSON: %s (byte %d)", what,
			e.text, e.position);
	if (!json_is_object(root))
		return error_set(reterr, -BSI_E_FORMAT, "%s is not a JSON object", what);
	*ret = take_ptr(root);
	return 0;
}

static int wrong(struct error *reterr, const json_t *found, const char *key, const char *wanted)
{
	if (!found)
		return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is missing", key);
	return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is not %s", key, wanted);
}

int json_get_text(const json_t *o, const char *key, const char **ret, struct error *reterr)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return wrong(reterr, v, key, "a string");
	*ret = json_string_value(v);
	return 0;
}

int json_copy_text(const json_t *o, const char *key, char **ret, struct error *reterr)
{
	const char *text;
	char *copy;
	int r;

	r = json_get_text(o, key, &text, reterr);
	if (r < 0)
		return r;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

int json_get_optional_text(const json_t *o, const char *key, const char **ret,
	struct error *reterr)
{
	const json_t *v = json_object_get(o, key);

	if (!v || json_is_null(v)) {
		*ret = NULL;
		return 0;
	}
	return json_get_text(o, key, ret, reterr);
}

int json_get_u64(const json_t *o, const char *key, uint64_t max, uint64_t *ret,
	struct error *reterr)
{
	const json_t *v = json_object_get(o, key);
	json_int_t i;

	if (!json_is_integer(v))
		return wrong(reterr, v, key, "an integer");
	i = json_integer_value(v);
	if (i < 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is negative", key);
	if ((uint64_t)i > max)
		return error_set(reterr, -BSI_E_LIMIT, "\"%s\" is above %" PRIu64, key, max);
	*ret = (uint64_t)i;
	return 0;
}

int json_get_bool(const json_t *o, const char *key, bool *ret, struct error *reterr)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_boolean(v))
		return wrong(reterr, v, key, "true or false");
	*ret = json_is_true(v);
	return 0;
}

int json_get_object(const json_t *o, const char *key, json_t **ret, struct error *reterr)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_object(v))
		return wrong(reterr, v, key, "an object");
	*ret = v;
	return 0;
}

int json_get_array(const json_t *o, const char *key, size_t max, json_t **ret,
	struct error *reterr)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_array(v))
		return wrong(reterr, v, key, "an array");
	if (json_array_size(v) > max)
		return error_set(reterr, -BSI_E_LIMIT, "\"%s\" has more than %zu entries", key, max);
	*ret = v;
	return 0;
}

int json_get_digest(const json_t *o, const char *key, struct digest *ret, struct error *reterr)
{
	const char *text;
	int r;

	r = json_get_text(o, key, &text, reterr);
	if (r < 0)
		return r;
	if (digest_parse(text, ret) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is not a SHA-256 digest", key);
	return 0;
}

int json_check_format(const json_t *o, const char *format, uint64_t version, struct error *reterr)
{
	const char *found_format;
	uint64_t found_version;
	int r;

	r = json_get_text(o, "format", &found_format, reterr);
	if (r < 0)
		return r;
	if (strcmp(found_format, format) != 0)
		return error_set(reterr, -BSI_E_FORMAT, "format is \"%s\", not \"%s\"",
			found_format, format);
	r = json_get_u64(o, "version", INT64_MAX, &found_version, reterr);
	if (r < 0)
		return r;
	if (found_version != version)
		return error_set(reterr, -BSI_E_VERSION,
			"%s version %" PRIu64 " is not known here; a newer bsi may read it", format,
			found_version);
	return 0;
}

static int canonical_value(const json_t *value, unsigned depth, struct buffer *out);

static void canonical_text(const char *text, size_t len, struct buffer *out)
{
	buffer_put_u8(out, '"');
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' || text[i] == '\\')
			buffer_put_u8(out, '\\');
		buffer_put_u8(out, (uint8_t)text[i]);
	}
	buffer_put_u8(out, '"');
}

static int compare_keys(const void *a, const void *b)
{
	/* UTF-8 byte order is code point order */
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int canonical_object(const json_t *o, unsigned depth, struct buffer *out)
{
	size_t n = json_object_size(o), i = 0;
	AUTO_FREE const char **keys = NULL;
	const char *key;
	json_t *v;
	int r;

	keys = calloc(n + 1, sizeof *keys);
	if (!keys)
		return -ENOMEM;
	/* jansson's iteration macro wants an object it may change; nothing is changed here */
	json_object_foreach((json_t *)(uintptr_t)o, key, v) keys[i++] = key;
	qsort(keys, n, sizeof *keys, compare_keys);

	buffer_put_u8(out, '{');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buffer_put_u8(out, ',');
		canonical_text(keys[i], strlen(keys[i]), out);
		buffer_put_u8(out, ':');
		r = canonical_value(json_object_get(o, keys[i]), depth + 1, out);
		if (r < 0)
			return r;
	}
	buffer_put_u8(out, '}');
	return 0;
}

static int canonical_array(const json_t *a, unsigned depth, struct buffer *out)
{
	int r;

	buffer_put_u8(out, '[');
	for (size_t i = 0; i < json_array_size(a); i++) {
		if (i > 0)
			buffer_put_u8(out, ',');
		r = canonical_value(json_array_get(a, i), depth + 1, out);
		if (r < 0)
			return r;
	}
	buffer_put_u8(out, ']');
	return 0;
}

/* Recursion is bounded by CANONICAL_DEPTH_MAX, whatever the input. */
static int canonical_value(const json_t *value, unsigned depth, struct buffer *out)
{
	if (depth > CANONICAL_DEPTH_MAX)
		return -BSI_E_LIMIT;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return canonical_object(value, depth, out);
	case JSON_ARRAY:
		return canonical_array(value, depth, out);
	case JSON_STRING:
		canonical_text(json_string_value(value), json_string_length(value), out);
		return 0;
	case JSON_INTEGER:
		buffer_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return 0;
	case JSON_TRUE:
		buffer_put_text(out, "true");
		return 0;
	case JSON_FALSE:
		buffer_put_text(out, "false");
		return 0;
	case JSON_NULL:
		buffer_put_text(out, "null");
		return 0;
	case JSON_REAL:
	default:
		return -BSI_E_FORMAT;
	}
}

int json_canonical(const json_t *value, struct buffer *out)
{
	int r = canonical_value(value, 0, out);

	return r < 0 ? r : out->err;
}
