/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/digest.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/error.h"
#include "base/hex.h"

/* Fetched once, and never given back: a fetch for each hasher is what makes OpenSSL 3.0 slow. */
static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

struct hasher {
	EVP_MD_CTX *ctx;
	bool failed;
};

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

int hasher_new(struct hasher **ret)
{
	AUTO(hasher) struct hasher *h = calloc(1, sizeof *h);

	if (!h)
		return -ENOMEM;
	(void)pthread_once(&sha256_once, fetch_sha256);
	h->ctx = EVP_MD_CTX_new();
	if (!sha256 || !h->ctx || EVP_DigestInit_ex2(h->ctx, sha256, NULL) != 1)
		return -ENOMEM;
	*ret = take_ptr(h);
	return 0;
}

void hasher_update(struct hasher *h, const void *data, size_t len)
{
	if (len > 0 && EVP_DigestUpdate(h->ctx, data, len) != 1)
		h->failed = true;
}

int hasher_final(struct hasher *h, struct digest *ret)
{
	struct digest d;
	unsigned len = 0;
	bool ok = EVP_DigestFinal_ex(h->ctx, d.bytes, &len) == 1 && len == sizeof d.bytes &&
		  !h->failed;

	h->failed = EVP_DigestInit_ex2(h->ctx, sha256, NULL) != 1;
	if (!ok)
		return -EIO;
	*ret = d;
	return 0;
}

int digest_of(const void *data, size_t len, struct digest *ret)
{
	AUTO(hasher) struct hasher *h = NULL;
	int r;

	r = hasher_new(&h);
	if (r < 0)
		return r;
	hasher_update(h, data, len);
	return hasher_final(h, ret);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct digest_hex digest_format(const struct digest *d)
{
	struct digest_hex hex;

	hex_format(d->bytes, sizeof d->bytes, hex.text);
	return hex;
}

int digest_parse(const char *text, struct digest *ret)
{
	return hex_parse(text, ret->bytes, sizeof ret->bytes);
}
