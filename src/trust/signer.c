/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/signer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "base/digest.h"
#include "base/hex.h"
#include "trust/key.h"

/*
 * scrypt's cost: 16 MiB for each of 5 passes. libcrypto refuses more than 32 MiB when it reads a
 * key back, so that the memory stays at half of that and the passes make up for it.
 */
#define SCRYPT_N 16384
#define SCRYPT_R 8
#define SCRYPT_P 5
#define SALT_BYTES 16

#define PUBLIC_KEY_BYTES 32

struct trust_signer {
	EVP_PKEY *pkey;
	char public_hex[2 * PUBLIC_KEY_BYTES + 1];
	struct digest_hex keyid;
};

void trust_signer_free(struct trust_signer *signer)
{
	if (!signer)
		return;
	EVP_PKEY_free(signer->pkey); /* wipes the private half */
	free(signer);
}

void trust_secret_done(struct buffer *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->allocated);
	buffer_done(b);
}

json_t *trust_signer_public(const struct trust_signer *signer)
{
	return json_pack("{s:s, s:s, s:{s:s}}", "keytype", "ed25519", "scheme", "ed25519", "keyval",
		"public", signer->public_hex);
}

/* Takes the key over, also where it fails. */
static int signer_of(EVP_PKEY *pkey, struct trust_signer **ret)
{
	AUTO(trust_signer) struct trust_signer *signer = NULL;
	uint8_t raw[PUBLIC_KEY_BYTES];
	size_t len = sizeof raw;
	json_t *object;
	int r;

	signer = calloc(1, sizeof *signer);
	if (!signer) {
		EVP_PKEY_free(pkey);
		return -ENOMEM;
	}
	signer->pkey = pkey;
	if (EVP_PKEY_is_a(pkey, "ED25519") != 1 ||
		EVP_PKEY_get_raw_public_key(pkey, raw, &len) != 1 || len != sizeof raw)
		return -BSI_E_FORMAT;
	hex_format(raw, sizeof raw, signer->public_hex);
	object = trust_signer_public(signer);
	if (!object)
		return -ENOMEM;
	r = trust_key_object_id(object, &signer->keyid);
	json_decref(object);
	if (r < 0)
		return r;
	*ret = take_ptr(signer);
	return 0;
}

int trust_signer_generate(struct trust_signer **ret)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	ERR_clear_error();
	if (!pkey)
		return -ENOMEM;
	return signer_of(pkey, ret);
}

const char *trust_signer_keyid(const struct trust_signer *signer)
{
	return signer->keyid.text;
}

int trust_signer_sign(const struct trust_signer *signer, const void *data, size_t len,
	uint8_t ret_sig[static TRUST_SIGNATURE_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t sig_len = TRUST_SIGNATURE_BYTES;
	bool ok;

	ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, signer->pkey) == 1 &&
	     EVP_DigestSign(ctx, ret_sig, &sig_len, data, len) == 1 &&
	     sig_len == TRUST_SIGNATURE_BYTES;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok ? 0 : -ENOMEM;
}

/* PBES2 over the key; NULL on failure. */
static X509_SIG *encrypt_key(PKCS8_PRIV_KEY_INFO *info, const char *passphrase)
{
	X509_ALGOR *pbe;
	X509_SIG *sig;

	/* without salt and IV it draws both */
	pbe = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, SALT_BYTES, NULL, SCRYPT_N, SCRYPT_R,
		SCRYPT_P);
	if (!pbe)
		return NULL;
	sig = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), info, pbe);
	if (!sig)
		X509_ALGOR_free(pbe);
	return sig;
}

static bool write_key(BIO *bio, const EVP_PKEY *pkey, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	X509_SIG *sig;
	bool ok;

	if (!info)
		return false;
	if (!passphrase) {
		ok = PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1;
	} else {
		sig = encrypt_key(info, passphrase);
		ok = sig && PEM_write_bio_PKCS8(bio, sig) == 1;
		X509_SIG_free(sig);
	}
	PKCS8_PRIV_KEY_INFO_free(info);
	return ok;
}

int trust_signer_to_pem(const struct trust_signer *signer, const char *passphrase,
	struct buffer *out_pem)
{
	BIO *bio;
	char *text;
	long len;
	bool ok;

	if (passphrase && (passphrase[0] == '\0' || strlen(passphrase) > INT_MAX))
		return -EINVAL;
	bio = BIO_new(BIO_s_secmem());
	ok = bio && write_key(bio, signer->pkey, passphrase);
	if (ok) {
		len = BIO_get_mem_data(bio, &text);
		if (len > 0)
			buffer_put(out_pem, text, (size_t)len);
		else
			ok = false;
	}
	BIO_free(bio);
	ERR_clear_error();
	return ok ? out_pem->err : -ENOMEM;
}

static PKCS8_PRIV_KEY_INFO *decrypt_key(const uint8_t *der, long len, const char *passphrase,
	int *ret_err)
{
	X509_SIG *sig = d2i_X509_SIG(NULL, &der, len);
	PKCS8_PRIV_KEY_INFO *info = NULL;

	if (!sig) {
		*ret_err = -BSI_E_FORMAT;
		return NULL;
	}
	info = PKCS8_decrypt(sig, passphrase, (int)strlen(passphrase));
	if (!info)
		*ret_err = -BSI_E_SIGNATURE;
	X509_SIG_free(sig);
	return info;
}

/* One PEM block as a key; *ret_err says why there is none. */
static EVP_PKEY *read_block(const char *name, const uint8_t *der, long len, const char *passphrase,
	int *ret_err)
{
	PKCS8_PRIV_KEY_INFO *info;
	EVP_PKEY *pkey;

	*ret_err = -BSI_E_FORMAT;
	if (strcmp(name, PEM_STRING_PKCS8) == 0) {
		if (!passphrase) {
			*ret_err = -EACCES;
			return NULL;
		}
		info = decrypt_key(der, len, passphrase, ret_err);
	} else if (strcmp(name, PEM_STRING_PKCS8INF) == 0) {
		info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, len);
	} else {
		return NULL;
	}
	if (!info)
		return NULL;
	pkey = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);
	*ret_err = -BSI_E_FORMAT;
	return pkey;
}

static int read_pem(const void *pem, size_t len, const char *passphrase, EVP_PKEY **ret)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long der_len = 0;
	int r = -BSI_E_FORMAT;

	if (!bio)
		return -ENOMEM;
	if (PEM_read_bio(bio, &name, &header, &der, &der_len) == 1)
		*ret = read_block(name, der, der_len, passphrase, &r);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, der_len > 0 ? (size_t)der_len : 0);
	BIO_free(bio);
	ERR_clear_error();
	return *ret ? 0 : r;
}

int trust_signer_from_pem(const void *pem, size_t len, const char *passphrase,
	struct trust_signer **ret, struct error *reterr)
{
	EVP_PKEY *pkey = NULL;
	int r;

	if (len > TRUST_SIGNER_PEM_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "the key file is longer than %d bytes",
			TRUST_SIGNER_PEM_MAX_BYTES);
	r = len == 0 ? -BSI_E_FORMAT : read_pem(pem, len, passphrase, &pkey);
	if (r == 0)
		r = signer_of(pkey, ret);
	switch (r) {
	case 0:
		return 0;
	case -EACCES:
		return error_set(reterr, r, "the key is encrypted and no passphrase was given");
	case -BSI_E_SIGNATURE:
		return error_set(reterr, r, "the passphrase does not open the key");
	case -BSI_E_FORMAT:
		return error_set(reterr, r, "this is no Ed25519 key in PKCS#8 (PEM)");
	default:
		return error_set(reterr, r, "the key could not be read");
	}
}
