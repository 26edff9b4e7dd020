/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/hashes.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/hex.h"
#include "base/json.h"

int trust_hashes_decode(const json_t *object, struct trust_hashes *ret, struct error *reterr)
{
	struct trust_hashes hashes = {};
	const char *name;
	json_t *value;
	const char *hex;

	if (!json_is_object(object))
		return error_set(reterr, -BSI_E_FORMAT, "\"hashes\" is not an object");
	/* jansson's iteration wants an object it may change; nothing is changed here */
	json_object_foreach((json_t *)(uintptr_t)object, name, value) {
		hex = json_string_value(value);
		if (!hex)
			return error_set(reterr, -BSI_E_FORMAT, "hash \"%s\" is not a string",
				name);
		if (strcmp(name, "sha256") == 0) {
			if (digest_parse(hex, &hashes.sha256) < 0)
				return error_set(reterr, -BSI_E_FORMAT,
					"\"sha256\" is not 64 hex digits");
			hashes.has_sha256 = true;
		} else if (strcmp(name, "sha512") == 0) {
			if (hex_parse(hex, hashes.sha512, sizeof hashes.sha512) < 0)
				return error_set(reterr, -BSI_E_FORMAT,
					"\"sha512\" is not 128 hex digits");
			hashes.has_sha512 = true;
		}
	}
	if (!hashes.has_sha256 && !hashes.has_sha512)
		return error_set(reterr, -BSI_E_FORMAT, "\"hashes\" has no hash that is known here");
	*ret = hashes;
	return 0;
}

int trust_hashes_check(const struct trust_hashes *hashes, const void *data, size_t len)
{
	uint8_t sha512[TRUST_SHA512_BYTES];
	struct digest sha256;
	int r;

	if (!hashes->has_sha256 && !hashes->has_sha512)
		return -BSI_E_DIGEST;
	if (hashes->has_sha256) {
		r = digest_of(data, len, &sha256);
		if (r < 0)
			return r;
		if (!digest_equal(&sha256, &hashes->sha256))
			return -BSI_E_DIGEST;
	}
	if (hashes->has_sha512) {
		SHA512(data, len, sha512);
		if (CRYPTO_memcmp(sha512, hashes->sha512, sizeof sha512) != 0)
			return -BSI_E_DIGEST;
	}
	return 0;
}

void trust_hashes_prefix(const struct trust_hashes *hashes, char out[static 129])
{
	if (hashes->has_sha256)
		hex_format(hashes->sha256.bytes, sizeof hashes->sha256.bytes, out);
	else
		hex_format(hashes->sha512, sizeof hashes->sha512, out);
}
