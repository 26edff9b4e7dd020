/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The codec alone, for compilers and word sizes for which this machine has no libraries: room delta
 * and a SHA-256 of its own (FIPS 180-4), nothing else.
 *
 * delta-words encode OLD NEW DELTA, delta-words apply OLD DELTA NEW
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "delta/decode.h"
#include "delta/encode.h"

#define FILE_MAX (256U << 20)
#define MEMORY_MAX (1U << 30)

struct hasher {
	uint32_t state[8];
	uint8_t block[64];
	uint64_t len;
};

static const uint32_t sha_start[8] = {
	0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU, 0x510e527fU, 0x9b05688cU,
	0x1f83d9abU, 0x5be0cd19U,
};

static const uint32_t sha_steps[64] = {
	0x428a2f98U, 0x71374491U, 0xb5c0fbcfU, 0xe9b5dba5U, 0x3956c25bU, 0x59f111f1U,
	0x923f82a4U, 0xab1c5ed5U, 0xd807aa98U, 0x12835b01U, 0x243185beU, 0x550c7dc3U,
	0x72be5d74U, 0x80deb1feU, 0x9bdc06a7U, 0xc19bf174U, 0xe49b69c1U, 0xefbe4786U,
	0x0fc19dc6U, 0x240ca1ccU, 0x2de92c6fU, 0x4a7484aaU, 0x5cb0a9dcU, 0x76f988daU,
	0x983e5152U, 0xa831c66dU, 0xb00327c8U, 0xbf597fc7U, 0xc6e00bf3U, 0xd5a79147U,
	0x06ca6351U, 0x14292967U, 0x27b70a85U, 0x2e1b2138U, 0x4d2c6dfcU, 0x53380d13U,
	0x650a7354U, 0x766a0abbU, 0x81c2c92eU, 0x92722c85U, 0xa2bfe8a1U, 0xa81a664bU,
	0xc24b8b70U, 0xc76c51a3U, 0xd192e819U, 0xd6990624U, 0xf40e3585U, 0x106aa070U,
	0x19a4c116U, 0x1e376c08U, 0x2748774cU, 0x34b0bcb5U, 0x391c0cb3U, 0x4ed8aa4aU,
	0x5b9cca4fU, 0x682e6ff3U, 0x748f82eeU, 0x78a5636fU, 0x84c87814U, 0x8cc70208U,
	0x90befffaU, 0xa4506cebU, 0xbef9a3f7U, 0xc67178f2U,
};

static uint32_t turn(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static void sha_block(struct hasher *h)
{
	uint32_t w[64], v[8];

	for (unsigned i = 0; i < 16; i++)
		w[i] = (uint32_t)h->block[4 * i] << 24 | (uint32_t)h->block[4 * i + 1] << 16 |
		       (uint32_t)h->block[4 * i + 2] << 8 | h->block[4 * i + 3];
	for (unsigned i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, h->state, sizeof(v));
	for (unsigned i = 0; i < 64; i++) {
		uint32_t a = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) +
			     ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha_steps[i] + w[i];
		uint32_t b = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) +
			     ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += a;
		v[0] = a + b;
	}
	for (unsigned i = 0; i < 8; i++)
		h->state[i] += v[i];
}

static void hasher_begin(struct hasher *h)
{
	memcpy(h->state, sha_start, sizeof(h->state));
	h->len = 0;
}

void hasher_update(struct hasher *h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--) {
		h->block[h->len++ % 64] = *p++;
		if (h->len % 64 == 0)
			sha_block(h);
	}
}

int hasher_final(struct hasher *h, struct digest *ret)
{
	static const uint8_t one = 0x80, zero = 0;
	uint64_t bits = h->len * 8;
	uint8_t end[8];

	for (unsigned i = 0; i < 8; i++)
		end[i] = (uint8_t)(bits >> (56 - 8 * i));
	hasher_update(h, &one, 1);
	while (h->len % 64 != 56)
		hasher_update(h, &zero, 1);
	hasher_update(h, end, sizeof(end));
	for (unsigned i = 0; i < 32; i++)
		ret->bytes[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
	hasher_begin(h);
	return 0;
}

int hasher_new(struct hasher **ret)
{
	*ret = malloc(sizeof(**ret));
	if (*ret)
		hasher_begin(*ret);
	return *ret ? 0 : -1;
}

void hasher_free(struct hasher *h)
{
	free(h);
}

int digest_of(const void *data, size_t len, struct digest *ret)
{
	struct hasher h;

	hasher_begin(&h);
	hasher_update(&h, data, len);
	return hasher_final(&h, ret);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static struct buffer load(const char *path)
{
	struct buffer b = buffer_of(FILE_MAX);
	FILE *f = fopen(path, "rb");
	int c;

	while (f && (c = getc(f)) != EOF)
		buffer_put_u8(&b, (uint8_t)c);
	if (!f || fclose(f) != 0 || b.err)
		exit(2);
	return b;
}

static struct buffer old, in;
static size_t in_at;

static int64_t read_delta(void *ctx, void *into, size_t len)
{
	(void)ctx;
	if (len > in.len - in_at)
		len = in.len - in_at;
	if (len)
		memcpy(into, in.data + in_at, len);
	in_at += len;
	return (int64_t)len;
}

static int load_old(void *ctx, uint32_t index, const struct delta_reference *reference,
	uint8_t *into, struct error *reterr)
{
	(void)ctx;
	if (index || reference->bytes != old.len)
		return error_set(reterr, -BSI_E_MISMATCH, "another old file");
	if (old.len)
		memcpy(into, old.data, old.len);
	return 0;
}

static int write_new(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct buffer *out = ctx;

	(void)offset;
	buffer_put(out, data, len);
	return out->err;
}

int main(int argc, char **argv)
{
	struct buffer out = buffer_of(FILE_MAX);
	struct error e = {0};
	FILE *f;
	int r;

	if (argc != 5)
		return 2;
	old = load(argv[2]);
	in = load(argv[3]);
	if (strcmp(argv[1], "encode") == 0) {
		const struct delta_input reference = {"", old.data ? old.data : (const uint8_t *)"",
			old.len};
		const struct delta_input_file file = {.data = in.data ? in.data : (const uint8_t *)"",
			.len = in.len,
			.n_references = 1};
		const struct delta_set set = {.references = &reference,
			.n_references = 1,
			.files = &file,
			.n_files = 1,
			.meta = (const uint8_t *)""};

		r = delta_encode(&set, NULL, &out, &e);
	} else {
		const struct delta_source source = {NULL, read_delta};
		const struct delta_io io = {.ctx = &out, .load = load_old, .write = write_new};

		r = delta_decode(&source, MEMORY_MAX, &io, &e);
	}
	if (r < 0) {
		fprintf(stderr, "delta-words: %s (%d)\n", e.text, r);
		return 1;
	}
	f = fopen(argv[4], "wb");
	if (!f || fwrite(out.data, 1, out.len, f) != out.len || fclose(f) != 0)
		return 2;
	return 0;
}
