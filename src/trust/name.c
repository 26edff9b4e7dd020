/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/name.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/path.h"
#include "trust/bounds.h"

/* three bytes for each of a role name, a version, a suffix */
#define ROLE_URL_MAX_BYTES (3 * TRUST_ROLE_NAME_MAX_BYTES + 64)
/* the same for a path, and a digest before the last segment */
#define TARGET_URL_MAX_BYTES (3 * PATH_MAX_BYTES + 2 * TRUST_SHA512_BYTES + 8)

static const char *const top_level[] = {"root", "timestamp", "snapshot", "targets"};

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("_.-~", c));
}

static void encode(const char *text, size_t len, struct buffer *out)
{
	for (size_t i = 0; i < len; i++) {
		if (is_plain(text[i]))
			buffer_put_u8(out, (uint8_t)text[i]);
		else
			buffer_printf(out, "%%%02X", (unsigned char)text[i]);
	}
}

void trust_name_encode(const char *name, struct buffer *out)
{
	encode(name, strlen(name), out);
}

static bool is_dots(const char *segment, size_t len)
{
	return (len == 1 && segment[0] == '.') || (len == 2 && memcmp(segment, "..", 2) == 0);
}

void trust_path_encode(const char *path, struct buffer *out)
{
	size_t len;

	for (;;) {
		len = strcspn(path, "/");
		if (is_dots(path, len))
			buffer_put_text(out, len == 1 ? "%2E" : "%2E%2E");
		else
			encode(path, len, out);
		path += len;
		if (*path != '/')
			return;
		buffer_put_u8(out, '/');
		path++;
	}
}

int trust_role_name_check(const char *name)
{
	size_t len = strlen(name);

	if (len == 0)
		return -BSI_E_FORMAT;
	if (len > TRUST_ROLE_NAME_MAX_BYTES)
		return -BSI_E_LIMIT;
	for (size_t i = 0; i < ARRAY_SIZE(top_level); i++)
		if (strcmp(name, top_level[i]) == 0)
			return -BSI_E_FORMAT;
	return 0;
}

/* The bytes with a NUL behind them, handed on. */
static int finish(struct buffer *out, char **ret)
{
	buffer_put_u8(out, '\0');
	if (out->err)
		return out->err;
	*ret = (char *)buffer_take(out, NULL);
	return 0;
}

int trust_role_file(const char *role, char **ret)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(ROLE_URL_MAX_BYTES);
	struct digest_hex hex;
	struct digest digest;
	int r;

	if (role[0] == '\0')
		return -BSI_E_FORMAT;
	/* no file of ours is hidden, nor can it be taken for "." or ".." */
	if (role[0] == '.')
		buffer_put_text(&out, "%2E");
	trust_name_encode(role + (role[0] == '.'), &out);
	if (out.len > TRUST_FILE_NAME_MAX_BYTES) {
		r = digest_of(role, strlen(role), &digest);
		if (r < 0)
			return r;
		hex = digest_format(&digest);
		buffer_clear(&out);
		/* no encoded name has a '+', so none can be taken for another role's digest */
		buffer_put_text(&out, "sha256+");
		buffer_put_text(&out, hex.text);
	}
	buffer_put_text(&out, ".json");
	return finish(&out, ret);
}

int trust_role_url(const char *role, uint64_t version, char **ret)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(ROLE_URL_MAX_BYTES);

	if (version > 0)
		buffer_printf(&out, "%" PRIu64 ".", version);
	trust_name_encode(role, &out);
	buffer_put_text(&out, ".json");
	return finish(&out, ret);
}

int trust_target_url(const char *path, const struct trust_hashes *hashes, bool consistent,
	char **ret)
{
	AUTO_DONE(buffer) struct buffer encoded = buffer_of(TARGET_URL_MAX_BYTES);
	AUTO_DONE(buffer) struct buffer out = buffer_of(TARGET_URL_MAX_BYTES);
	char prefix[2 * TRUST_SHA512_BYTES + 1];
	size_t dir_len;

	trust_path_encode(path, &encoded);
	if (encoded.err)
		return encoded.err;
	for (dir_len = encoded.len; dir_len > 0; dir_len--)
		if (encoded.data[dir_len - 1] == '/')
			break;
	buffer_put(&out, encoded.data, dir_len);
	if (consistent) {
		trust_hashes_prefix(hashes, prefix);
		buffer_printf(&out, "%s.", prefix);
	}
	buffer_put(&out, encoded.data + dir_len, encoded.len - dir_len);
	return finish(&out, ret);
}
