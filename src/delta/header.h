/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The first bytes of a delta, in plain: what it needs and what it makes. docs/formats/delta.md.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/error.h"

/* 1 was never released: it is refused as any other that is not known. */
#define DELTA_VERSION 2U
#define DELTA_CHECK_BYTES 16U
#define DELTA_REFERENCE_CHECK_BYTES 8U
#define DELTA_REFERENCES_MAX 65536U
#define DELTA_FILES_MAX 65536U
#define DELTA_FILE_REFERENCES_MAX 4U
#define DELTA_META_BYTES_MAX (64U << 20)
#define DELTA_OUTPUT_BYTES_MAX (UINT64_C(1) << 40)
#define DELTA_PATH_BYTES_MAX 4096U
#define DELTA_HEADER_BYTES_MAX 96U
/* Bytes of old files that are read and looked through: so many times what a delta names and makes. */
#define DELTA_WORK_FACTOR 8U

struct delta_header {
	uint64_t version;
	uint64_t memory_bytes;  /* what decoding allocates at most */
	uint64_t output_bytes;  /* the contents of all files */
	uint64_t n_references, n_files, meta_bytes;
	uint8_t model_bits;
	uint8_t check[DELTA_CHECK_BYTES]; /* of meta and contents: SHA-256, the first bytes */
};

void delta_header_encode(const struct delta_header *h, struct buffer *out);
/*
 * ret_used: bytes of the header. -BSI_E_FORMAT, -BSI_E_VERSION (another version), -BSI_E_LIMIT.
 * data may be longer than the header.
 */
int delta_header_decode(const void *data, size_t len, struct delta_header *ret, size_t *ret_used,
			struct error *reterr) MUST_CHECK;

/* A base file that the decoder asks for. */
struct delta_reference {
	char *path; /* as the encoder was told; "" where it was told none */
	uint64_t bytes;
	uint8_t check[DELTA_REFERENCE_CHECK_BYTES]; /* SHA-256, the first bytes */
};

/* A new file: its length, and the references that it is made from. */
struct delta_file {
	uint64_t bytes;
	unsigned n_references;
	uint32_t references[DELTA_FILE_REFERENCES_MAX];
};
