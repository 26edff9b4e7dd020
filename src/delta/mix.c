/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/mix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A slot: 16 bits of probability, 8 bits of count, 8 bits that tell contexts apart. */
#define SLOT_FRESH 0x80000000U
#define SLOT_COUNT_LIMIT 250U
/* The decisions of half a byte: one line of the cache. */
#define HALF_SLOTS 16U
#define SLOTS_ALIGN 64U
/*
 * Weights and inputs are 16 bits wide and stand in whole vectors, so that compilers make a few
 * instructions of the loops over them; 2 * 12 products of 2047 and 32767 fit in 31 bits.
 */
#define MIX_LANES (2 * MIX_INPUTS_MAX)
#define WEIGHT_BITS 13
#define WEIGHT_FIRST (10 << WEIGHT_BITS >> 5)
#define WEIGHT_MAX 32767
#define LEARN_BITS 18
#define LEARN_ERROR_MIN 512
#define STRETCH_MAX 2047

struct mix {
	unsigned table_bits, n_inputs;
	uint32_t *slots;
	int16_t (*weights_a)[MIX_LANES];
	int16_t (*weights_b)[MIX_LANES];
	int16_t stretch[4096];
	uint32_t rate[256];
};

/* 65536 / (1 + exp(-x / 256)) for x = -2048, -1984, ..., 2048 */
static const uint16_t squash_steps[65] = {
	22, 28, 36, 47, 60, 77, 98, 126, 162, 208,
	267, 342, 439, 562, 720, 922, 1179, 1506, 1921, 2446,
	3108, 3938, 4971, 6249, 7812, 9702, 11955, 14595, 17625, 21025,
	24743, 28693, 32768, 36843, 40793, 44511, 47911, 50941, 53581, 55834,
	57724, 59287, 60565, 61598, 62428, 63090, 63615, 64030, 64357, 64614,
	64816, 64974, 65097, 65194, 65269, 65328, 65374, 65410, 65438, 65459,
	65476, 65489, 65500, 65508, 65514,
};

static int32_t mix_squash(int32_t x)
{
	int32_t low, part;

	if (x > STRETCH_MAX)
		x = STRETCH_MAX;
	if (x < -STRETCH_MAX)
		x = -STRETCH_MAX;
	x += 2048;
	low = x >> 6;
	part = x & 63;
	return (squash_steps[low] * (64 - part) + squash_steps[low + 1] * part) >> 6;
}

/* The inverse of mix_squash() at 12 bits: the smallest x that reaches the middle of each step. */
static void mix_fill_stretch(struct mix *m)
{
	int32_t x = -STRETCH_MAX;

	for (int32_t p = 0; p < 4096; p++) {
		while (x < STRETCH_MAX && mix_squash(x) < p * 16 + 8)
			x++;
		m->stretch[p] = (int16_t)x;
	}
}

void mix_free(struct mix *m)
{
	if (!m)
		return;
	free(m->slots);
	free(m->weights_a);
	free(m->weights_b);
	free(m);
}

int mix_new(unsigned table_bits, unsigned n_inputs, struct mix **ret)
{
	AUTO(mix) struct mix *m = NULL;

	if (n_inputs > MIX_INPUTS_MAX || table_bits > MIX_TABLE_BITS_MAX ||
	    table_bits < MIX_TABLE_BITS_MIN)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->table_bits = table_bits;
	m->n_inputs = n_inputs;
	m->slots = aligned_alloc(SLOTS_ALIGN, sizeof(*m->slots) << table_bits);
	m->weights_a = calloc(MIX_SETS_MAX, sizeof(*m->weights_a));
	m->weights_b = calloc(MIX_SETS_MAX, sizeof(*m->weights_b));
	if (!m->slots || !m->weights_a || !m->weights_b)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)1 << table_bits; i++)
		m->slots[i] = SLOT_FRESH;
	for (unsigned set = 0; set < MIX_SETS_MAX; set++)
		for (unsigned i = 0; i < n_inputs; i++) {
			m->weights_a[set][2 * i] = WEIGHT_FIRST;
			m->weights_b[set][2 * i] = WEIGHT_FIRST;
		}
	for (uint32_t n = 0; n < 256; n++)
		m->rate[n] = 65536U * 5 / (5 * n + 8);
	mix_fill_stretch(m);
	*ret = take_ptr(m);
	return 0;
}

/* What a slot holds, or a fresh one where it is another context's. */
static uint32_t mix_slot_value(uint32_t slot, uint32_t check)
{
	return (slot & 0xff) == check ? slot : SLOT_FRESH | check;
}

/* No branches: the bit is what cannot be predicted. */
static uint32_t mix_slot_next(const struct mix *m, uint32_t slot, unsigned bit)
{
	uint32_t mask = bit ? 0xffff : 0, p = slot >> 16 ^ mask, n = slot >> 8 & 0xff;

	p -= (p * m->rate[n] + 65535) >> 16;
	n += n < SLOT_COUNT_LIMIT;
	return (p ^ mask) << 16 | n << 8 | (slot & 0xff);
}

static int32_t mix_sum(const int16_t *restrict inputs, const int16_t *restrict weights)
{
	int32_t sum = 0;

	for (unsigned i = 0; i < MIX_LANES; i++)
		sum += inputs[i] * weights[i];
	return sum;
}

static void mix_learn(int16_t *restrict weights, const int16_t *restrict inputs, int32_t error)
{
	/* nothing to learn from what was as good as known */
	if (error > -LEARN_ERROR_MIN && error < LEARN_ERROR_MIN)
		return;
	for (unsigned i = 0; i < MIX_LANES; i++) {
		int32_t w = weights[i] + ((inputs[i] * error + (1 << (LEARN_BITS - 1))) >> LEARN_BITS);

		w = w > WEIGHT_MAX ? WEIGHT_MAX : w;
		weights[i] = (int16_t)(w < -WEIGHT_MAX ? -WEIGHT_MAX : w);
	}
}

/* values: of the slots, to be put back as they are afterwards. */
static unsigned mix_decide(struct mix *m, struct coder *c, uint32_t *values, unsigned set_a,
			   unsigned set_b, unsigned bit)
{
	int16_t inputs[MIX_LANES] = {0};
	int16_t *weights_a = m->weights_a[set_a], *weights_b = m->weights_b[set_b];
	int32_t sum_a, sum_b, p;

	for (unsigned i = 0; i < m->n_inputs; i++) {
		uint32_t n = values[i] >> 8 & 0xff;

		inputs[2 * i] = m->stretch[values[i] >> 20];
		/* what was seen often and one way says more */
		inputs[2 * i + 1] = (int16_t)(((int32_t)(values[i] >> 16) - 32768) >> (n < 3 ? 6 : 5));
	}
	sum_a = mix_sum(inputs, weights_a);
	sum_b = mix_sum(inputs, weights_b);
	p = mix_squash((sum_a / 2 + sum_b / 2) >> WEIGHT_BITS);
	if (p < 16)
		p = 16;
	if (p > 65520)
		p = 65520;
	if (c)
		bit = coder_bit_p(c, (uint32_t)p, bit);
	mix_learn(weights_a, inputs, (bit ? 65535 : 0) - mix_squash(sum_a >> WEIGHT_BITS));
	mix_learn(weights_b, inputs, (bit ? 65535 : 0) - mix_squash(sum_b >> WEIGHT_BITS));
	for (unsigned i = 0; i < m->n_inputs; i++)
		values[i] = mix_slot_next(m, values[i], bit);
	return bit;
}

unsigned mix_bit(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
		 unsigned set_b, unsigned bit)
{
	uint32_t *slots[MIX_INPUTS_MAX], values[MIX_INPUTS_MAX];

	for (unsigned i = 0; i < m->n_inputs; i++) {
		slots[i] = &m->slots[hashes[i] >> (32 - m->table_bits)];
		values[i] = mix_slot_value(*slots[i], hashes[i] & 0xff);
	}
	bit = mix_decide(m, c, values, set_a, set_b, bit);
	for (unsigned i = 0; i < m->n_inputs; i++)
		*slots[i] = values[i];
	return bit;
}

/* Four bits of a byte; node: the bits before them, a 1 in front. */
static unsigned mix_half(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
			 unsigned set_b, unsigned node, unsigned value)
{
	uint32_t *halves[MIX_INPUTS_MAX], values[MIX_INPUTS_MAX], checks[MIX_INPUTS_MAX];
	unsigned in_half = 1;

	for (unsigned j = 0; j < m->n_inputs; j++) {
		uint32_t h = mix_hash(hashes[j], node);

		halves[j] = &m->slots[(h >> (32 - m->table_bits)) & ~(HALF_SLOTS - 1)];
		__builtin_prefetch(halves[j]);
		checks[j] = h & 0xff;
	}
	for (unsigned i = 4; i--;) {
		unsigned bit;

		for (unsigned j = 0; j < m->n_inputs; j++)
			values[j] = mix_slot_value(halves[j][in_half], checks[j]);
		bit = mix_decide(m, c, values, set_a, set_b == MIX_SET_NODE ? node : set_b,
				 (value >> i) & 1);
		for (unsigned j = 0; j < m->n_inputs; j++)
			halves[j][in_half] = values[j];
		in_half = in_half << 1 | bit;
		node = node << 1 | bit;
	}
	return node;
}

uint8_t mix_byte(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
		 unsigned set_b, uint8_t value)
{
	unsigned node = mix_half(m, c, hashes, set_a, set_b, 1, value >> 4);

	return (uint8_t)mix_half(m, c, hashes, set_a, set_b, node, value & 15);
}
