/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Mixing of contexts: several adaptive probabilities, each chosen by a hash of what is known, are
 * weighed against each other in the logistic domain, and the weights learn which of them to
 * believe. Integers only; every constant is part of the format (docs/formats/delta.md, "Mixing").
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "delta/coder.h"

#define MIX_INPUTS_MAX 12U
#define MIX_SETS_MAX 256U
#define MIX_TABLE_BITS_MIN 12U
#define MIX_TABLE_BITS_MAX 21U

struct mix;

/* table_bits: the memory for contexts is 4 bytes << table_bits. */
int mix_new(unsigned table_bits, unsigned n_inputs, struct mix **ret) MUST_CHECK;
void mix_free(struct mix *m);
DEFINE_FREEP(mix)

/*
 * Code one bit. hashes: one for each input, already made of all that the input's context is.
 * set_a, set_b: which weights to use, each below MIX_SETS_MAX. c == NULL only learns the bit.
 */
unsigned mix_bit(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
		 unsigned set_b, unsigned bit);

/* As set_b: the bits of the byte so far, a 1 before them. */
#define MIX_SET_NODE MIX_SETS_MAX

/*
 * Code a byte, its highest bit first. hashes: of the contexts, without the byte. A context is
 * looked up once for each half of the byte: the 15 decisions of a half lie side by side.
 */
uint8_t mix_byte(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
		 unsigned set_b, uint8_t value);

/*
 * These are contexts of the next byte (which: a bit for each): have what is looked up first near. It
 * changes nothing but time.
 */
void mix_fetch(const struct mix *m, const uint32_t *hashes, unsigned which);
/* All contexts of a byte that will be learned. */
void mix_fetch_byte(const struct mix *m, const uint32_t *hashes, uint8_t value);

/* Hashing shared by all contexts. */
static inline uint32_t mix_hash(uint32_t a, uint32_t b)
{
	uint32_t h = a * 0x9e3779b1U ^ (b + 0x7f4a7c15U) * 0x85ebca6bU;

	h ^= h >> 15;
	h *= 0xc2b2ae35U;
	return h ^ h >> 13;
}
