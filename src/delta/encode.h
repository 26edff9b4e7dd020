/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Make a delta (publisher's side; a library of its own, so that devices need no suffix arrays).
 * Inputs are whole files in memory, or mapped.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "delta/decode.h"
#include "delta/header.h"

struct delta_input {
	const char *path; /* of a base file: put into the delta; "" for none */
	const uint8_t *data;
	size_t len;
};

struct delta_input_file {
	const uint8_t *data;
	size_t len;
	unsigned n_references; /* the one that is most like it first; not all need be used */
	uint32_t references[DELTA_FILE_REFERENCES_MAX];
	/* of a file without old ones: an earlier file of the set that is much like it */
	bool has_earlier;
	size_t earlier;
};

/* Every file takes these steps, and the whole work is twice the bytes of all files. */
enum encode_step {
	ENCODE_STEP_PLANNED,
	ENCODE_STEP_CODED,
	ENCODE_STEP_MAX,
};

struct delta_encode_options {
	/* Optional: a file of so many bytes took a step. Called by one thread at a time. */
	void (*progress)(void *ctx, enum encode_step step, uint64_t bytes);
	void *ctx;
	unsigned n_threads; /* 0: one */
	struct delta_file_stats *stats; /* NULL, or one for each file */
};

struct delta_set {
	const struct delta_input *references;
	size_t n_references;
	const struct delta_input_file *files;
	size_t n_files;
	const uint8_t *meta;
	size_t meta_len;
};

/*
 * Append the delta to *out. Same input, same bytes, for any number of threads. The delta is decoded again and compared before
 * this returns 0; -BSI_E_STATE if that fails, which is a fault of this program.
 */
int delta_encode(const struct delta_set *set, const struct delta_encode_options *options,
		 struct buffer *out, struct error *reterr) MUST_CHECK;
