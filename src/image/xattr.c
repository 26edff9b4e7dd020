/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/xattr.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/erofs.h"

#define NAME_MAX_BYTES 255U

struct prefix {
	const char *text;
	uint8_t index;
	bool whole; /* the prefix is the name */
};

static const struct prefix prefixes[] = {
	{"user.", EROFS_XATTR_USER, false},
	{"trusted.", EROFS_XATTR_TRUSTED, false},
	{"security.", EROFS_XATTR_SECURITY, false},
	{"system.posix_acl_access", EROFS_XATTR_ACL_ACCESS, true},
	{"system.posix_acl_default", EROFS_XATTR_ACL_DEFAULT, true},
};

/* Split a name; NULL if no prefix fits or nothing is left where something must be. */
static const struct prefix *prefix_of_name(const char *name, const char **ret_rest)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i].text);

		if (strncmp(name, prefixes[i].text, len) != 0)
			continue;
		if ((name[len] == '\0') != prefixes[i].whole)
			continue;
		*ret_rest = name + len;
		return &prefixes[i];
	}
	return NULL;
}

static const struct prefix *prefix_of_index(uint8_t index)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (prefixes[i].index == index)
			return &prefixes[i];
	return NULL;
}

static int xattr_put(
	const struct image_xattr *x, const char *path, struct buffer *out, struct error *reterr)
{
	static const uint8_t zeros[EROFS_XATTR_ALIGN];
	const struct prefix *prefix;
	const char *rest = NULL;
	size_t len;

	prefix = prefix_of_name(x->name, &rest);
	if (!prefix)
		return error_set(reterr, -BSI_E_FORMAT,
			"\"%s\": an image cannot hold the xattr \"%s\"", path, x->name);
	len = strlen(rest);
	if (len > NAME_MAX_BYTES || x->value_len > IMAGE_XATTR_VALUE_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "\"%s\": the xattr \"%s\" is too large",
			path, x->name);
	buffer_put_u8(out, (uint8_t)len);
	buffer_put_u8(out, prefix->index);
	buffer_put_u16le(out, (uint16_t)x->value_len);
	buffer_put(out, rest, len);
	buffer_put(out, x->value, x->value_len);
	len += x->value_len;
	buffer_put(out, zeros, (EROFS_XATTR_ALIGN - len % EROFS_XATTR_ALIGN) % EROFS_XATTR_ALIGN);
	if (out->err)
		return error_set(
			reterr, out->err, "\"%s\": xattrs: %s", path, error_text(out->err));
	return 0;
}

/* Index of the first name above all that are done; n if none is left. Few xattrs: no sort. */
static size_t next_by_name(const struct image_xattr *xattrs, size_t n, const char *done)
{
	size_t best = n;

	for (size_t i = 0; i < n; i++) {
		if (done && strcmp(xattrs[i].name, done) <= 0)
			continue;
		if (best == n || strcmp(xattrs[i].name, xattrs[best].name) < 0)
			best = i;
	}
	return best;
}

int xattrs_encode(const struct image_xattr *xattrs, size_t n, const char *path, struct buffer *out,
	struct error *reterr)
{
	static const uint8_t header[EROFS_XATTR_HEADER_BYTES];
	size_t start = out->len;
	const char *done = NULL;
	int r;

	if (n == 0)
		return 0;
	if (n > IMAGE_XATTRS_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "\"%s\": more than %u xattrs", path,
			IMAGE_XATTRS_MAX);
	buffer_put(out, header, sizeof(header));
	for (size_t i = 0; i < n; i++) {
		size_t next = next_by_name(xattrs, n, done);

		if (next == n)
			return error_set(
				reterr, -BSI_E_FORMAT, "\"%s\": an xattr is there twice", path);
		r = xattr_put(&xattrs[next], path, out, reterr);
		if (r < 0)
			return r;
		done = xattrs[next].name;
	}
	if (out->len - start > IMAGE_XATTRS_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "\"%s\": more than %u bytes of xattrs", path,
			IMAGE_XATTRS_MAX_BYTES);
	return 0;
}

uint16_t xattrs_count_of(size_t encoded_bytes)
{
	if (encoded_bytes == 0)
		return 0;
	return (uint16_t)(1 + (encoded_bytes - EROFS_XATTR_HEADER_BYTES) / EROFS_XATTR_ALIGN);
}

size_t xattrs_bytes_of(uint16_t count)
{
	if (count == 0)
		return 0;
	return EROFS_XATTR_HEADER_BYTES + (count - 1U) * (size_t)EROFS_XATTR_ALIGN;
}

struct raw_xattr {
	const struct prefix *prefix;
	const uint8_t *name, *value;
	size_t name_len, value_len;
};

static int xattr_take(struct reader *r, struct raw_xattr *ret)
{
	struct raw_xattr x = {0};
	uint8_t index;
	size_t len;

	x.name_len = reader_u8(r);
	index = reader_u8(r);
	x.value_len = reader_u16le(r);
	x.name = reader_take(r, x.name_len);
	x.value = reader_take(r, x.value_len);
	len = x.name_len + x.value_len;
	(void)reader_take(r, (EROFS_XATTR_ALIGN - len % EROFS_XATTR_ALIGN) % EROFS_XATTR_ALIGN);
	if (r->err)
		return r->err;
	x.prefix = prefix_of_index(index);
	if (!x.prefix || (x.name_len == 0) != x.prefix->whole)
		return -BSI_E_FORMAT;
	if (memchr(x.name, '\0', x.name_len))
		return -BSI_E_FORMAT;
	*ret = x;
	return 0;
}

/* One pass counts, a second one fills: the first has checked everything. */
static int xattrs_scan(
	struct reader r, struct image_xattr *to, char *text, size_t *ret_n, size_t *ret_text)
{
	size_t n = 0, used = 0;

	while (reader_left(&r) > 0) {
		struct raw_xattr x = {0};
		size_t prefix_len;
		int e = xattr_take(&r, &x);

		if (e < 0)
			return e;
		if (n == IMAGE_XATTRS_MAX)
			return -BSI_E_LIMIT;
		prefix_len = strlen(x.prefix->text);
		if (to) {
			uint8_t *value = (uint8_t *)text + used + prefix_len + x.name_len + 1;

			memcpy(text + used, x.prefix->text, prefix_len);
			memcpy(text + used + prefix_len, x.name, x.name_len);
			text[used + prefix_len + x.name_len] = '\0';
			memcpy(value, x.value, x.value_len);
			to[n] = (struct image_xattr){text + used, value, x.value_len};
		}
		used += prefix_len + x.name_len + 1 + x.value_len;
		n++;
	}
	*ret_n = n;
	*ret_text = used;
	return reader_finish(&r);
}

int xattrs_decode(const uint8_t *data, size_t len, struct image_xattr **ret, size_t *ret_n)
{
	struct reader r = reader_of(data, len);
	const uint8_t *header = reader_take(&r, len ? EROFS_XATTR_HEADER_BYTES : 0);
	size_t n = 0, text_bytes = 0;
	AUTO_FREE struct image_xattr *xattrs = NULL;
	int e;

	if (r.err || !header)
		return -BSI_E_FORMAT;
	for (size_t i = 0; len && i < EROFS_XATTR_HEADER_BYTES; i++)
		if (header[i] != 0)
			return -BSI_E_FORMAT; /* shared xattrs or a name filter: not ours */
	e = xattrs_scan(r, NULL, NULL, &n, &text_bytes);
	if (e < 0)
		return e;
	if (n > 0) {
		xattrs = malloc(n * sizeof(*xattrs) + text_bytes);
		if (!xattrs)
			return -ENOMEM;
		e = xattrs_scan(r, xattrs, (char *)(xattrs + n), &n, &text_bytes);
		if (e < 0)
			return e;
	}
	*ret = take_ptr(xattrs);
	*ret_n = n;
	return 0;
}
