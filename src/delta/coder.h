/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The binary range coder and its small adaptive models. One object codes in both directions: while
 * encoding, a call writes the value it is given and returns it; while decoding, it ignores the
 * argument and returns what it read. So every model is written once and cannot differ between the
 * two sides. Integers only; the arithmetic is part of the format (docs/formats/delta.md, "Coder").
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Where the coded bytes come from. Returns bytes read (0 = end) or a negative error. */
struct delta_source {
	void *ctx;
	int64_t (*read)(void *ctx, void *into, size_t len);
};

#define CODER_INPUT_BYTES 16384U
/* A decoder needs at most this many bytes beyond the end of a sound stream. */
#define CODER_OVERRUN_MAX 8U

struct coder {
	bool encoding;
	int err; /* the first failure sticks; values read later are zeros */
	uint64_t low, range, n_shifts;
	/* encoding */
	struct buffer *out;
	size_t start;
	uint64_t n_pending;
	uint8_t cache;
	bool has_cache;
	/* decoding */
	uint64_t code;
	const struct delta_source *source;
	unsigned overrun;
	uint8_t last; /* byte that was read; an empty stream counts as ended by 1 */
	size_t at, filled;
	uint8_t input[CODER_INPUT_BYTES];
};

void coder_init_encode(struct coder *c, struct buffer *out);
void coder_init_decode(struct coder *c, const struct delta_source *source);
/* Encoding: write what is left. Decoding: -BSI_E_FORMAT if the stream was short or has a tail. */
int coder_finish(struct coder *c) MUST_CHECK;

/* What was coded so far, in bits times 65536; near enough for statistics. */
uint64_t coder_spent(const struct coder *c);

/* Code one bit; p1 is the probability of a 1 in 1/65536, 1..65535. */
unsigned coder_bit_p(struct coder *c, uint32_t p1, unsigned bit);

#ifdef DELTA_UNCHECKED
/*
 * Test builds only: sees every decision that is decoded, or makes it, so that what a stream says
 * can be changed in one place and still makes sense behind it.
 */
struct coder_guide {
	void *ctx;
	unsigned (*decide)(void *ctx, uint32_t p1); /* NULL: the stream decides */
	void (*see)(void *ctx, unsigned bit);       /* what the stream decided */
};

extern const struct coder_guide *coder_guide;
#endif

/* An adaptive probability: quick at first, slower as it has seen more. */
struct bit_model {
	uint16_t p1;
	uint8_t n_seen, limit;
};

#define BIT_LIMIT_QUICK 20
#define BIT_LIMIT_SLOW 250

void bit_model_init(struct bit_model *m, uint32_t p1, unsigned limit);
void bit_model_update(struct bit_model *m, unsigned bit);
unsigned coder_bit(struct coder *c, struct bit_model *m, unsigned bit);

/* Unsigned numbers: bit length by an adaptive tree, then the bits below the highest. */
#define NUMBER_CLASSES 64
struct number_model {
	struct bit_model length[NUMBER_CLASSES];
	struct bit_model high[NUMBER_CLASSES][8];
};

void number_model_init(struct number_model *m);
uint64_t coder_number(struct coder *c, struct number_model *m, uint64_t value);
/* A signed number: zigzag. */
int64_t coder_signed(struct coder *c, struct number_model *m, int64_t value);
/* n bits, all equally likely, most significant first; n <= 64. */
uint64_t coder_raw(struct coder *c, unsigned n_bits, uint64_t value);
