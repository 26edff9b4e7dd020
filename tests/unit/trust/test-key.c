/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/compiler.h"
#include "base/hex.h"
#include "base/json.h"
#include "trust/key.h"

#define MESSAGE "what is signed"

/* RFC 8032, section 7.1, test 3; the keyid is the SHA-256 of the canonical object. */
#define RFC_PUBLIC "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
#define RFC_SIGNATURE                                                                              \
	"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"                         \
	"18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
#define RFC_KEYID "e45b8d1fab21a7a7550adbca559eade41e36a398f14a577f8766ec32bf237101"

static json_t *object_of(const char *keytype, const char *scheme, const char *public)
{
	return json_pack("{s:s, s:s, s:{s:s}}", "keytype", keytype, "scheme", scheme, "keyval",
		"public", public);
}

static int decode(const json_t *object, struct trust_key **ret)
{
	struct digest_hex id;

	assert_int_equal(trust_key_object_id(object, &id), 0);
	return trust_key_decode(id.text, object, ret, NULL);
}

static void test_key_verifies_a_known_signature(void **state)
{
	static const uint8_t message[] = {0xaf, 0x82};
	AUTO_JSON json_t *object = object_of("ed25519", "ed25519", RFC_PUBLIC);
	AUTO(trust_key) struct trust_key *key = NULL;
	char changed[sizeof RFC_SIGNATURE];

	(void)state;
	assert_int_equal(trust_key_decode(RFC_KEYID, object, &key, NULL), 0);
	assert_string_equal(trust_key_id(key), RFC_KEYID);
	assert_int_equal(trust_key_verify(key, message, 2, RFC_SIGNATURE), 0);
	assert_int_equal(trust_key_verify(key, message, 1, RFC_SIGNATURE), -BSI_E_SIGNATURE);
	for (size_t i = 0; i < sizeof changed - 1; i++) {
		memcpy(changed, RFC_SIGNATURE, sizeof changed);
		changed[i] = changed[i] == '0' ? '1' : '0';
		assert_int_equal(trust_key_verify(key, message, 2, changed), -BSI_E_SIGNATURE);
		changed[i] = '\0';
		assert_int_equal(trust_key_verify(key, message, 2, changed), -BSI_E_SIGNATURE);
	}
}

static char *pem_of(EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *copy;
	long len;

	assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
	len = BIO_get_mem_data(bio, &text);
	copy = strndup(text, (size_t)len);
	BIO_free(bio);
	return copy;
}

/* salt_len below 0 for a key that needs none */
static char *signature_of(EVP_PKEY *pkey, const EVP_MD *hash, int salt_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	uint8_t sig[1024];
	size_t len = sizeof sig;
	char *hex;

	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, hash, NULL, pkey), 1);
	if (salt_len >= 0) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt_len), 1);
	}
	assert_int_equal(EVP_DigestSign(ctx, sig, &len, (const uint8_t *)MESSAGE,
				 strlen(MESSAGE)),
		1);
	EVP_MD_CTX_free(ctx);
	hex = malloc(2 * len + 1);
	hex_format(sig, len, hex);
	return hex;
}

static void test_key_verifies_every_kind(void **state)
{
	static const struct {
		const char *keytype, *scheme, *curve;
		const EVP_MD *(*hash)(void);
		int salt_len;
	} rows[] = {
		{"ecdsa", "ecdsa-sha2-nistp256", "P-256", EVP_sha256, -1},
		{"ecdsa", "ecdsa-sha2-nistp384", "P-384", EVP_sha384, -1},
		{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "P-256", EVP_sha256, -1},
		{"rsa", "rsassa-pss-sha256", NULL, EVP_sha256, 32},
		{"rsa", "rsassa-pss-sha256", NULL, EVP_sha256, 0},
		{"rsa", "rsassa-pss-sha256", NULL, EVP_sha256, 20},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		EVP_PKEY *pkey = rows[i].curve ? EVP_EC_gen(rows[i].curve) : EVP_RSA_gen(2048);
		AUTO_FREE char *pem = pem_of(pkey);
		AUTO_FREE char *sig = signature_of(pkey, rows[i].hash(), rows[i].salt_len);
		AUTO_JSON json_t *object = object_of(rows[i].keytype, rows[i].scheme, pem);
		AUTO(trust_key) struct trust_key *key = NULL;

		assert_int_equal(decode(object, &key), 0);
		assert_int_equal(trust_key_verify(key, MESSAGE, strlen(MESSAGE), sig), 0);
		assert_int_equal(trust_key_verify(key, MESSAGE, strlen(MESSAGE) - 1, sig),
			-BSI_E_SIGNATURE);
		EVP_PKEY_free(pkey);
	}
}

/* The signature says nothing about its algorithm, so that nothing it says can be believed. */
static void test_key_refuses_other_paddings_and_hashes(void **state)
{
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
	AUTO_FREE char *rsa_pem = pem_of(rsa), *ec_pem = pem_of(ec);
	AUTO_FREE char *pkcs1 = signature_of(rsa, EVP_sha256(), -1);
	AUTO_FREE char *pss512 = signature_of(rsa, EVP_sha512(), 32);
	AUTO_FREE char *ec384 = signature_of(ec, EVP_sha384(), -1);
	AUTO_JSON json_t *rsa_object = object_of("rsa", "rsassa-pss-sha256", rsa_pem);
	AUTO_JSON json_t *ec_object = object_of("ecdsa", "ecdsa-sha2-nistp256", ec_pem);
	AUTO(trust_key) struct trust_key *rsa_key = NULL, *ec_key = NULL;
	size_t len = strlen(MESSAGE);

	(void)state;
	assert_int_equal(decode(rsa_object, &rsa_key), 0);
	assert_int_equal(decode(ec_object, &ec_key), 0);
	assert_int_equal(trust_key_verify(rsa_key, MESSAGE, len, pkcs1), -BSI_E_SIGNATURE);
	assert_int_equal(trust_key_verify(rsa_key, MESSAGE, len, pss512), -BSI_E_SIGNATURE);
	assert_int_equal(trust_key_verify(ec_key, MESSAGE, len, ec384), -BSI_E_SIGNATURE);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

static void test_key_takes_an_ecdsa_point(void **state)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	AUTO_FREE char *sig = signature_of(pkey, EVP_sha256(), -1);
	AUTO(trust_key) struct trust_key *key = NULL, *same = NULL, *none = NULL;
	AUTO_JSON json_t *object = NULL, *pem_object = NULL, *bad = NULL;
	AUTO_FREE char *pem = pem_of(pkey);
	unsigned char *point = NULL;
	size_t len = EVP_PKEY_get1_encoded_public_key(pkey, &point);
	char hex[2 * 65 + 1];

	(void)state;
	assert_int_equal(len, 65);
	hex_format(point, len, hex);
	object = object_of("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", hex);
	assert_int_equal(decode(object, &key), 0);
	assert_int_equal(trust_key_verify(key, MESSAGE, strlen(MESSAGE), sig), 0);
	/* two names, one key */
	pem_object = object_of("ecdsa", "ecdsa-sha2-nistp256", pem);
	assert_int_equal(decode(pem_object, &same), 0);
	assert_string_not_equal(trust_key_id(key), trust_key_id(same));
	assert_true(trust_key_equal(key, same));
	/* no point of the curve */
	hex[100] = hex[100] == '0' ? '1' : '0';
	bad = object_of("ecdsa", "ecdsa-sha2-nistp256", hex);
	assert_int_equal(decode(bad, &none), -BSI_E_SIGNATURE);
	OPENSSL_free(point);
	EVP_PKEY_free(pkey);
}

/* A modulus of that many bits; that nobody knows its factors does not matter here. */
static EVP_PKEY *rsa_of(size_t bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	uint8_t n[1024] = {}, e[] = {1, 0, 1};
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM params[3];

	/* both in the order of the machine's bytes: 0x010001 reads the same from either end */
	memset(n, 0xff, bits / 8);
	params[0] = OSSL_PARAM_construct_BN("n", n, bits / 8);
	params[1] = OSSL_PARAM_construct_BN("e", e, sizeof e);
	params[2] = OSSL_PARAM_construct_end();
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static void test_key_bounds_the_size_of_rsa(void **state)
{
	static const struct {
		size_t bits;
		int code;
	} rows[] = {{2040, -BSI_E_SIGNATURE}, {2048, 0}, {4096, 0}, {4104, -BSI_E_SIGNATURE},
		{8192, -BSI_E_SIGNATURE}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		EVP_PKEY *pkey = rsa_of(rows[i].bits);
		AUTO_FREE char *pem = pem_of(pkey);
		AUTO_JSON json_t *object = object_of("rsa", "rsassa-pss-sha256", pem);
		AUTO(trust_key) struct trust_key *key = NULL;

		assert_int_equal(decode(object, &key), rows[i].code);
		EVP_PKEY_free(pkey);
	}
}

static void test_key_refuses_what_does_not_fit_its_scheme(void **state)
{
	EVP_PKEY *p256 = EVP_EC_gen("P-256"), *p384 = EVP_EC_gen("P-384");
	EVP_PKEY *k256 = EVP_EC_gen("secp256k1"), *small = EVP_RSA_gen(1024);
	EVP_PKEY *edwards = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	AUTO_FREE char *p256_pem = pem_of(p256), *p384_pem = pem_of(p384), *k256_pem = pem_of(k256);
	AUTO_FREE char *small_pem = pem_of(small), *edwards_pem = pem_of(edwards);
	const struct {
		const char *keytype, *scheme, *public;
	} rows[] = {
		{"ecdsa", "ecdsa-sha2-nistp384", p256_pem},
		{"ecdsa", "ecdsa-sha2-nistp256", p384_pem},
		{"ecdsa", "ecdsa-sha2-nistp256", k256_pem},
		{"ecdsa", "ecdsa-sha2-nistp256", small_pem},
		{"ecdsa", "ecdsa-sha2-nistp256", edwards_pem},
		{"rsa", "rsassa-pss-sha256", p256_pem},
		{"rsa", "rsassa-pss-sha256", small_pem},
		{"rsa", "rsassa-pss-sha256", RFC_PUBLIC},
		{"ed25519", "ed25519", p256_pem},
		{"ed25519", "ed25519", edwards_pem},
		{"ed25519", "ed25519", ""},
		{"ed25519", "ed25519", "00"},
		{"ed25519", "ed25519", RFC_PUBLIC "00"},
		{"ed25519", "ed25519", "FC51CD8E6218A1A38DA47ED00230F0580816ED13BA3303AC5DEB911548908025"},
		{"ecdsa", "ecdsa-sha2-nistp256", "04"},
		{"ecdsa", "ecdsa-sha2-nistp256", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"},
		{"ecdsa", "ecdsa-sha2-nistp256",
			"-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\n"
			"DEK-Info: AES-128-CBC,00000000000000000000000000000000\n\nAAAA\n"
			"-----END PUBLIC KEY-----\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON json_t *object = object_of(rows[i].keytype, rows[i].scheme, rows[i].public);
		AUTO(trust_key) struct trust_key *key = NULL;

		assert_int_equal(decode(object, &key), -BSI_E_SIGNATURE);
		assert_null(key);
	}
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(k256);
	EVP_PKEY_free(small);
	EVP_PKEY_free(edwards);
}

static void test_key_of_an_unknown_kind_verifies_nothing(void **state)
{
	static const struct {
		const char *keytype, *scheme;
	} rows[] = {{"ml-dsa", "ml-dsa-65"}, {"ed25519", "rsassa-pss-sha256"},
		{"rsa", "ed25519"}, {"rsa", "rsassa-pkcs1v15-sha256"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON json_t *object = object_of(rows[i].keytype, rows[i].scheme, RFC_PUBLIC);
		AUTO(trust_key) struct trust_key *key = NULL;

		assert_int_equal(decode(object, &key), 0);
		assert_int_equal(trust_key_verify(key, "\xaf\x82", 2, RFC_SIGNATURE),
			-BSI_E_SIGNATURE);
	}
}

static void test_keyid_covers_every_member(void **state)
{
	AUTO_JSON json_t *object = object_of("ed25519", "ed25519", RFC_PUBLIC);
	AUTO(trust_key) struct trust_key *key = NULL;

	(void)state;
	assert_int_equal(trust_key_decode("", object, &key, NULL), -BSI_E_SIGNATURE);
	assert_int_equal(trust_key_decode(RFC_PUBLIC, object, &key, NULL), -BSI_E_SIGNATURE);
	json_object_set_new(object, "x-owner", json_string("somebody"));
	assert_int_equal(trust_key_decode(RFC_KEYID, object, &key, NULL), -BSI_E_SIGNATURE);
	assert_int_equal(decode(object, &key), 0);
}

static void test_key_refuses_members_of_other_types(void **state)
{
	static const char *const members[] = {"keytype", "scheme", "keyval"};
	json_t *values[] = {json_null(), json_array(), json_true(), json_integer(1),
		json_object(), json_real(0.5)};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			AUTO_JSON json_t *object = object_of("ed25519", "ed25519", RFC_PUBLIC);
			struct trust_key *key = NULL;
			struct digest_hex id = {};

			json_object_set(object, members[i], values[j]);
			/* a real number has no canonical form, so that there is no keyid at all */
			assert_int_equal(trust_key_object_id(object, &id),
				json_is_real(values[j]) ? -BSI_E_FORMAT : 0);
			assert_int_equal(trust_key_decode(id.text, object, &key, NULL),
				-BSI_E_FORMAT);
			assert_int_equal(trust_key_decode(id.text, values[j], &key, NULL),
				json_is_object(values[j]) ? -BSI_E_SIGNATURE : -BSI_E_FORMAT);
		}
	for (size_t j = 0; j < ARRAY_SIZE(values); j++)
		json_decref(values[j]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_verifies_a_known_signature),
		cmocka_unit_test(test_key_verifies_every_kind),
		cmocka_unit_test(test_key_refuses_other_paddings_and_hashes),
		cmocka_unit_test(test_key_takes_an_ecdsa_point),
		cmocka_unit_test(test_key_bounds_the_size_of_rsa),
		cmocka_unit_test(test_key_refuses_what_does_not_fit_its_scheme),
		cmocka_unit_test(test_key_of_an_unknown_kind_verifies_nothing),
		cmocka_unit_test(test_keyid_covers_every_member),
		cmocka_unit_test(test_key_refuses_members_of_other_types),
	};

	return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
