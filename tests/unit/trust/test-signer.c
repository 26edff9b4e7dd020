/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/compiler.h"
#include "base/hex.h"
#include "base/json.h"
#include "trust/key.h"
#include "trust/signer.h"

/* A signature by the one verifies with the public half of the other. */
static void assert_same_key(const struct trust_signer *a, const struct trust_signer *b)
{
	AUTO_JSON json_t *object = trust_signer_public(b);
	AUTO(trust_key) struct trust_key *key = NULL;
	uint8_t sig[TRUST_SIGNATURE_BYTES];
	char hex[2 * TRUST_SIGNATURE_BYTES + 1];

	assert_string_equal(trust_signer_keyid(a), trust_signer_keyid(b));
	assert_int_equal(trust_key_decode(trust_signer_keyid(b), object, &key, NULL), 0);
	assert_int_equal(trust_signer_sign(a, "message", 7, sig), 0);
	hex_format(sig, sizeof sig, hex);
	assert_int_equal(trust_key_verify(key, "message", 7, hex), 0);
	assert_int_equal(trust_key_verify(key, "massage", 7, hex), -BSI_E_SIGNATURE);
}

static void test_signer_survives_its_file(void **state)
{
	static const char *const passphrases[] = {NULL, "correct horse", "\xc3\xa9 \xff"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(passphrases); i++) {
		AUTO_DONE(trust_secret) struct buffer pem = buffer_of(TRUST_SIGNER_PEM_MAX_BYTES);
		AUTO(trust_signer) struct trust_signer *signer = NULL, *again = NULL;
		struct error e = {};

		assert_int_equal(trust_signer_generate(&signer), 0);
		assert_int_equal(trust_signer_to_pem(signer, passphrases[i], &pem), 0);
		buffer_put_u8(&pem, '\0');
		assert_true(strncmp((const char *)pem.data,
				    passphrases[i] ? "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" :
						     "-----BEGIN PRIVATE KEY-----\n",
				    28) == 0);
		assert_int_equal(trust_signer_from_pem(pem.data, pem.len - 1, passphrases[i],
					 &again, &e),
			0);
		assert_same_key(signer, again);
	}
}

static void test_signer_keys_differ(void **state)
{
	AUTO(trust_signer) struct trust_signer *a = NULL, *b = NULL;

	(void)state;
	assert_int_equal(trust_signer_generate(&a), 0);
	assert_int_equal(trust_signer_generate(&b), 0);
	assert_string_not_equal(trust_signer_keyid(a), trust_signer_keyid(b));
}

static void test_signer_passphrases(void **state)
{
	AUTO_DONE(trust_secret) struct buffer pem = buffer_of(TRUST_SIGNER_PEM_MAX_BYTES);
	AUTO(trust_signer) struct trust_signer *signer = NULL, *none = NULL;
	struct error e = {};

	(void)state;
	assert_int_equal(trust_signer_generate(&signer), 0);
	assert_int_equal(trust_signer_to_pem(signer, "", &pem), -EINVAL);
	assert_int_equal(trust_signer_to_pem(signer, "right", &pem), 0);
	assert_int_equal(trust_signer_from_pem(pem.data, pem.len, NULL, &none, &e), -EACCES);
	assert_int_equal(trust_signer_from_pem(pem.data, pem.len, "wrong", &none, &e),
		-BSI_E_SIGNATURE);
	assert_int_equal(trust_signer_from_pem(pem.data, pem.len, "", &none, &e),
		-BSI_E_SIGNATURE);
	assert_string_equal(e.text, "the passphrase does not open the key");
	assert_null(none);
}

/* Encrypted with what is in the text, and with nothing weaker. */
static void test_signer_encrypts_with_scrypt_and_aes(void **state)
{
	AUTO_DONE(trust_secret) struct buffer pem = buffer_of(TRUST_SIGNER_PEM_MAX_BYTES);
	AUTO_DONE(trust_secret) struct buffer other = buffer_of(TRUST_SIGNER_PEM_MAX_BYTES);
	AUTO(trust_signer) struct trust_signer *signer = NULL;
	/* the object identifiers id-scrypt and aes256-CBC in DER */
	static const uint8_t scrypt[] = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04,
		0x0b};
	static const uint8_t aes[] = {0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01,
		0x2a};
	char *name, *header;
	unsigned char *der;
	long len;
	BIO *bio;

	(void)state;
	assert_int_equal(trust_signer_generate(&signer), 0);
	assert_int_equal(trust_signer_to_pem(signer, "pass", &pem), 0);
	assert_int_equal(trust_signer_to_pem(signer, "pass", &other), 0);
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	assert_int_equal(PEM_read_bio(bio, &name, &header, &der, &len), 1);
	assert_non_null(memmem(der, (size_t)len, scrypt, sizeof scrypt));
	assert_non_null(memmem(der, (size_t)len, aes, sizeof aes));
	/* salt and IV are drawn anew */
	assert_int_equal(pem.len, other.len);
	assert_memory_not_equal(pem.data, other.data, pem.len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(bio);
}

static void test_signer_refuses_other_files(void **state)
{
	static const char *const files[] = {
		"", "x", "-----BEGIN PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
	AUTO(trust_signer) struct trust_signer *none = NULL;
	EVP_PKEY *ec = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_int_equal(trust_signer_from_pem(files[i], strlen(files[i]), "pass", &none,
					 NULL),
			-BSI_E_FORMAT);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, ec, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(bio, &text);
	assert_int_equal(trust_signer_from_pem(text, (size_t)len, NULL, &none, NULL),
		-BSI_E_FORMAT);
	assert_int_equal(trust_signer_from_pem(text, TRUST_SIGNER_PEM_MAX_BYTES + 1, NULL, &none,
				 NULL),
		-BSI_E_LIMIT);
	BIO_free(bio);
	EVP_PKEY_free(ec);
}

static void test_signer_refuses_damaged_files(void **state)
{
	AUTO_DONE(trust_secret) struct buffer pem = buffer_of(TRUST_SIGNER_PEM_MAX_BYTES);
	AUTO(trust_signer) struct trust_signer *signer = NULL;

	(void)state;
	assert_int_equal(trust_signer_generate(&signer), 0);
	assert_int_equal(trust_signer_to_pem(signer, NULL, &pem), 0);
	/* the newline at the end may go; nothing before it */
	for (size_t len = 0; len + 1 < pem.len; len++) {
		AUTO(trust_signer) struct trust_signer *none = NULL;

		assert_int_equal(trust_signer_from_pem(pem.data, len, NULL, &none, NULL),
			-BSI_E_FORMAT);
	}
	for (size_t bit = 0; bit < 8 * pem.len; bit++) {
		AUTO(trust_signer) struct trust_signer *other = NULL;
		int r;

		pem.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		r = trust_signer_from_pem(pem.data, pem.len, NULL, &other, NULL);
		/* a plain key has no check of its own: a bit of the seed gives another key */
		if (r == 0)
			assert_same_key(other, other);
		else
			assert_true(r == -BSI_E_FORMAT || r == -EACCES);
		pem.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signer_survives_its_file),
		cmocka_unit_test(test_signer_keys_differ),
		cmocka_unit_test(test_signer_passphrases),
		cmocka_unit_test(test_signer_encrypts_with_scrypt_and_aes),
		cmocka_unit_test(test_signer_refuses_other_files),
		cmocka_unit_test(test_signer_refuses_damaged_files),
	};

	return cmocka_run_group_tests_name("signer", tests, NULL, NULL);
}
