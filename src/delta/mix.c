/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/mix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A slot: 16 bits of probability, 8 bits of count, 8 bits that tell contexts apart. */
#define SLOT_FRESH 0x80000000U
#define SLOT_COUNT_LIMIT 250U
#define WEIGHT_ONE 65536
#define STRETCH_MAX 2047

struct mix {
	unsigned table_bits, n_inputs;
	uint32_t *slots;
	int32_t (*weights_a)[2 * MIX_INPUTS_MAX];
	int32_t (*weights_b)[2 * MIX_INPUTS_MAX];
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
	m->slots = malloc(sizeof(*m->slots) << table_bits);
	m->weights_a = calloc(MIX_SETS_MAX, sizeof(*m->weights_a));
	m->weights_b = calloc(MIX_SETS_MAX, sizeof(*m->weights_b));
	if (!m->slots || !m->weights_a || !m->weights_b)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)1 << table_bits; i++)
		m->slots[i] = SLOT_FRESH;
	for (unsigned set = 0; set < MIX_SETS_MAX; set++)
		for (unsigned i = 0; i < n_inputs; i++) {
			m->weights_a[set][2 * i] = WEIGHT_ONE * 10 / 32;
			m->weights_b[set][2 * i] = WEIGHT_ONE * 10 / 32;
		}
	for (uint32_t n = 0; n < 256; n++)
		m->rate[n] = 65536U * 5 / (5 * n + 8);
	mix_fill_stretch(m);
	*ret = take_ptr(m);
	return 0;
}

static uint32_t *mix_slot(struct mix *m, uint32_t hash)
{
	uint32_t *slot = &m->slots[hash >> (32 - m->table_bits)];
	uint32_t check = hash & 0xff;

	if ((*slot & 0xff) != check)
		*slot = SLOT_FRESH | check;
	return slot;
}

static void mix_slot_update(const struct mix *m, uint32_t *slot, unsigned bit)
{
	uint32_t p = *slot >> 16, n = *slot >> 8 & 0xff;

	if (bit)
		p += ((65535 - p) * m->rate[n] + 65535) >> 16;
	else
		p -= (p * m->rate[n] + 65535) >> 16;
	if (n < SLOT_COUNT_LIMIT)
		n++;
	*slot = p << 16 | n << 8 | (*slot & 0xff);
}

static void mix_learn(int32_t *weights, const int32_t *inputs, unsigned n, int32_t error)
{
	for (unsigned i = 0; i < n; i++) {
		weights[i] += (inputs[i] * error + (1 << 15)) / (1 << 16);
		if (weights[i] > WEIGHT_ONE * 16)
			weights[i] = WEIGHT_ONE * 16;
		if (weights[i] < -WEIGHT_ONE * 16)
			weights[i] = -WEIGHT_ONE * 16;
	}
}

unsigned mix_bit(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
		 unsigned set_b, unsigned bit)
{
	uint32_t *slots[MIX_INPUTS_MAX];
	int32_t inputs[2 * MIX_INPUTS_MAX];
	int32_t *weights_a = m->weights_a[set_a], *weights_b = m->weights_b[set_b];
	int64_t sum_a = 0, sum_b = 0;
	int32_t p, p_a, p_b;

	for (unsigned i = 0; i < m->n_inputs; i++) {
		uint32_t n;

		slots[i] = mix_slot(m, hashes[i]);
		n = *slots[i] >> 8 & 0xff;
		/* what was never seen says nothing; what was seen often and one way says more */
		inputs[2 * i] = n ? m->stretch[*slots[i] >> 20] : 0;
		inputs[2 * i + 1] = n ? ((int32_t)(*slots[i] >> 16) - 32768) / (n < 3 ? 64 : 32) : 0;
	}
	for (unsigned i = 0; i < 2 * m->n_inputs; i++) {
		sum_a += (int64_t)inputs[i] * weights_a[i];
		sum_b += (int64_t)inputs[i] * weights_b[i];
	}
	p_a = mix_squash((int32_t)(sum_a >> 16));
	p_b = mix_squash((int32_t)(sum_b >> 16));
	p = mix_squash((int32_t)((sum_a + sum_b) >> 17));
	if (p < 16)
		p = 16;
	if (p > 65520)
		p = 65520;
	if (c)
		bit = coder_bit_p(c, (uint32_t)p, bit);
	mix_learn(weights_a, inputs, 2 * m->n_inputs, (bit ? 65535 : 0) - p_a);
	mix_learn(weights_b, inputs, 2 * m->n_inputs, (bit ? 65535 : 0) - p_b);
	for (unsigned i = 0; i < m->n_inputs; i++)
		mix_slot_update(m, slots[i], bit);
	return bit;
}
