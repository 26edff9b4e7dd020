/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/bytes.h"
#include "base/hex.h"
#include "base/json.h"

#define ED25519_KEY_BYTES 32
#define PEM_MAX_BYTES 8192
#define KEY_OBJECT_MAX_BYTES 65536
#define RSA_MIN_BITS 2048
#define RSA_MAX_BITS 4096
/* an RSA-4096 signature; ECDSA and Ed25519 ones are shorter */
#define SIGNATURE_MAX_BYTES 512
#define EC_POINT_MAX_BYTES 97 /* P-384, uncompressed */

/* One row for each pair of keytype and scheme; the pair alone decides how a signature is read. */
struct algorithm {
	const char *keytype, *scheme;
	const char *type;  /* libcrypto's name of the key type */
	const char *curve; /* its group, for ECDSA */
	const EVP_MD *(*hash)(void);
	bool pss;
};

static const struct algorithm algorithms[] = {
	{.keytype = "ed25519", .scheme = "ed25519", .type = "ED25519"},
	{.keytype = "ecdsa", .scheme = "ecdsa-sha2-nistp256", .type = "EC",
		.curve = "prime256v1", .hash = EVP_sha256},
	{.keytype = "ecdsa", .scheme = "ecdsa-sha2-nistp384", .type = "EC", .curve = "secp384r1",
		.hash = EVP_sha384},
	/* the older names of the key types, which old roots carry */
	{.keytype = "ecdsa-sha2-nistp256", .scheme = "ecdsa-sha2-nistp256", .type = "EC",
		.curve = "prime256v1", .hash = EVP_sha256},
	{.keytype = "ecdsa-sha2-nistp384", .scheme = "ecdsa-sha2-nistp384", .type = "EC",
		.curve = "secp384r1", .hash = EVP_sha384},
	{.keytype = "rsa", .scheme = "rsassa-pss-sha256", .type = "RSA", .hash = EVP_sha256,
		.pss = true},
};

struct trust_key {
	struct digest_hex id;
	const struct algorithm *algorithm; /* NULL for a kind that is not known here */
	EVP_PKEY *pkey;                    /* NULL likewise */
};


int trust_key_object_id(const json_t *object, struct digest_hex *ret)
{
	AUTO_DONE(buffer) struct buffer canonical = buffer_of(KEY_OBJECT_MAX_BYTES);
	struct digest digest;
	int r;

	r = json_canonical(object, &canonical);
	if (r < 0)
		return r;
	r = digest_of(canonical.data, canonical.len, &digest);
	if (r < 0)
		return r;
	*ret = digest_format(&digest);
	return 0;
}

static const struct algorithm *algorithm_of(const char *keytype, const char *scheme)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (strcmp(algorithms[i].keytype, keytype) == 0 &&
			strcmp(algorithms[i].scheme, scheme) == 0)
			return &algorithms[i];
	return NULL;
}

static EVP_PKEY *ed25519_of(const char *public)
{
	uint8_t raw[ED25519_KEY_BYTES];

	if (strlen(public) != 2 * sizeof raw || hex_parse(public, raw, sizeof raw) < 0)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof raw);
}

/* libcrypto's own callback would ask at the terminal when the text claims to be encrypted. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
	(void)out, (void)size, (void)writing, (void)ctx;
	return -1;
}

static EVP_PKEY *pem_of(const char *public)
{
	size_t len = strlen(public);
	EVP_PKEY *pkey;
	BIO *bio;

	if (len > PEM_MAX_BYTES)
		return NULL;
	bio = BIO_new_mem_buf(public, (int)len);
	if (!bio)
		return NULL;
	pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return pkey;
}

/* Old metadata writes an ECDSA key as the hex of its uncompressed point. */
static EVP_PKEY *point_of(const char *public, const char *curve)
{
	size_t len = strlen(public) / 2;
	uint8_t point[EC_POINT_MAX_BYTES];
	char group[32];
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM params[3];

	if (len == 0 || len > sizeof point || strlen(curve) >= sizeof group ||
		hex_parse(public, point, len) < 0)
		return NULL;
	memcpy(group, curve, strlen(curve) + 1);
	ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	if (!ctx)
		return NULL;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, len);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

/* Whether the key is of the kind that the metadata calls it: type, curve, size. */
static bool fits(const EVP_PKEY *pkey, const struct algorithm *algorithm)
{
	char group[32];
	size_t len = 0;

	if (EVP_PKEY_is_a(pkey, algorithm->type) != 1)
		return false;
	if (algorithm->curve) {
		if (EVP_PKEY_get_group_name(pkey, group, sizeof group, &len) != 1)
			return false;
		return strcmp(group, algorithm->curve) == 0;
	}
	if (algorithm->pss)
		return EVP_PKEY_get_bits(pkey) >= RSA_MIN_BITS &&
		       EVP_PKEY_get_bits(pkey) <= RSA_MAX_BITS;
	return true;
}

static EVP_PKEY *pkey_of(const char *public, const struct algorithm *algorithm)
{
	if (!algorithm->hash)
		return ed25519_of(public);
	if (algorithm->curve && strncmp(public, "04", 2) == 0)
		return point_of(public, algorithm->curve);
	return pem_of(public);
}

static int decode_value(const json_t *object, struct trust_key *key, struct error *reterr)
{
	const char *keytype, *scheme, *public;
	json_t *keyval;
	int r;

	r = json_get_text(object, "keytype", &keytype, reterr);
	if (r < 0)
		return r;
	r = json_get_text(object, "scheme", &scheme, reterr);
	if (r < 0)
		return r;
	r = json_get_object(object, "keyval", &keyval, reterr);
	if (r < 0)
		return r;
	key->algorithm = algorithm_of(keytype, scheme);
	if (!key->algorithm)
		return 0;
	r = json_get_text(keyval, "public", &public, reterr);
	if (r < 0)
		return r;
	key->pkey = pkey_of(public, key->algorithm);
	/* what the attempts left in libcrypto's queue must not surface elsewhere */
	ERR_clear_error();
	if (!key->pkey || !fits(key->pkey, key->algorithm))
		return error_set(reterr, -BSI_E_SIGNATURE, "its public value is no %s key", scheme);
	return 0;
}

int trust_key_decode(const char *keyid, const json_t *object, struct trust_key **ret,
	struct error *reterr)
{
	AUTO(trust_key) struct trust_key *key = NULL;
	int r;

	if (!json_is_object(object))
		return error_set(reterr, -BSI_E_FORMAT, "key \"%.64s\" is not an object", keyid);
	key = calloc(1, sizeof *key);
	if (!key)
		return -ENOMEM;
	r = trust_key_object_id(object, &key->id);
	if (r < 0)
		return error_set(reterr, r, "key \"%.64s\" has no canonical form", keyid);
	if (strcmp(key->id.text, keyid) != 0)
		return error_set(reterr, -BSI_E_SIGNATURE,
			"key \"%.64s\" is listed under a name that is not its digest", keyid);
	r = decode_value(object, key, reterr);
	if (r < 0) {
		error_prefix(reterr, "key \"%.64s\"", keyid);
		return r;
	}
	*ret = take_ptr(key);
	return 0;
}

void trust_key_free(struct trust_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

const char *trust_key_id(const struct trust_key *key)
{
	return key->id.text;
}

bool trust_key_equal(const struct trust_key *a, const struct trust_key *b)
{
	if (strcmp(a->id.text, b->id.text) == 0)
		return true;
	return a->pkey && b->pkey && EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

static int verify_bytes(const struct trust_key *key, const uint8_t *sig, size_t sig_len,
	const void *data, size_t len)
{
	const struct algorithm *a = key->algorithm;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL; /* ctx owns it */
	int ok;

	if (!ctx)
		return -ENOMEM;
	ok = EVP_DigestVerifyInit(ctx, &pctx, a->hash ? a->hash() : NULL, NULL, key->pkey) == 1;
	/* signers differ in the length of the salt; verifying takes it from the signature */
	if (ok && a->pss)
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, a->hash()) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_AUTO) == 1;
	if (ok)
		ok = EVP_DigestVerify(ctx, sig, sig_len, data, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok ? 0 : -BSI_E_SIGNATURE;
}

int trust_key_verify(const struct trust_key *key, const void *data, size_t len,
	const char *sig_hex)
{
	uint8_t sig[SIGNATURE_MAX_BYTES];
	size_t hex_len = strlen(sig_hex);

	if (!key->pkey || hex_len == 0 || hex_len % 2 != 0 || hex_len / 2 > sizeof sig)
		return -BSI_E_SIGNATURE;
	if (hex_parse(sig_hex, sig, hex_len / 2) < 0)
		return -BSI_E_SIGNATURE;
	return verify_bytes(key, sig, hex_len / 2, data, len);
}
