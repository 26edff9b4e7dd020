/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/mix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A slot: 16 bits of probability, 8 bits of count, 8 bits that tell contexts apart. */
#define SLOT_FRESH 0x80000000U
#define SLOT_COUNT_LIMIT 250U
/* The decisions of half a byte: one line of the cache. */
#define HALF_SLOTS 16U
#define SLOTS_ALIGN 64U
/* Weights and inputs are 16 bits wide; 2 * 12 products of 2047 and 32767 fit in 31 bits. */
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
	uint16_t rate[256];
	uint32_t unused[HALF_SLOTS]; /* a row for what no context fills */
};

/* What decisions are made of: for each context a row of slots, and what tells it from another's. */
struct decision {
	uint32_t *rows[MIX_INPUTS_MAX];
	uint32_t checks[MIX_INPUTS_MAX];
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
		m->rate[n] = (uint16_t)(65536U * 5 / (5 * n + 8));
	mix_fill_stretch(m);
	*ret = take_ptr(m);
	return 0;
}

/* Contexts beyond those that there are have a row that nobody reads. */
static void mix_no_inputs(struct mix *m, struct decision *d)
{
	for (unsigned i = m->n_inputs; i < MIX_INPUTS_MAX; i++) {
		d->rows[i] = m->unused;
		d->checks[i] = 0;
	}
}

/* The probability that two sums of weighed inputs make. */
static uint32_t mix_p(int32_t sum_a, int32_t sum_b)
{
	int32_t p = mix_squash((sum_a / 2 + sum_b / 2) >> WEIGHT_BITS);

	return (uint32_t)(p < 16 ? 16 : p > 65520 ? 65520 : p);
}

static int32_t mix_error(int32_t sum, unsigned bit)
{
	return (bit ? 65535 : 0) - mix_squash(sum >> WEIGHT_BITS);
}

/* Nothing is to be learned from what was as good as known. */
static bool mix_is_known(int32_t error)
{
	return error > -LEARN_ERROR_MIN && error < LEARN_ERROR_MIN;
}

#ifdef __SSE2__
/*
 * The same in vectors of four slots, and so of eight inputs and weights; what no context fills is
 * masked. Compilers do not find this by themselves, and it is where most time goes.
 */
#define MIX_VECTORS (MIX_INPUTS_MAX / 4)
#define ALWAYS_INLINE inline __attribute__((always_inline))

static ALWAYS_INLINE __m128i lanes_select(__m128i mask, __m128i a, __m128i b)
{
	return _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b));
}

/* What four slots hold, or fresh ones where they are another context's. */
static ALWAYS_INLINE __m128i lanes_load(const struct decision *d, unsigned i, unsigned at)
{
	__m128i slots = _mm_setr_epi32((int)d->rows[i][at], (int)d->rows[i + 1][at],
				       (int)d->rows[i + 2][at], (int)d->rows[i + 3][at]);
	__m128i checks = _mm_loadu_si128((const __m128i *)(const void *)&d->checks[i]);
	__m128i same = _mm_cmpeq_epi32(_mm_and_si128(slots, _mm_set1_epi32(0xff)), checks);
	__m128i fresh = _mm_or_si128(_mm_set1_epi32((int)SLOT_FRESH), checks);

	return lanes_select(same, slots, fresh);
}

/* Of each slot the stretched probability, and how far it is from the middle. */
static ALWAYS_INLINE __m128i lanes_inputs(const struct mix *m, __m128i slots)
{
	__m128i n = _mm_and_si128(_mm_srli_epi32(slots, 8), _mm_set1_epi32(0xff));
	__m128i from_middle = _mm_srai_epi32(_mm_xor_si128(slots, _mm_set1_epi32(INT32_MIN)), 21);
	__m128i young = _mm_cmplt_epi32(n, _mm_set1_epi32(3));
	__m128i inputs;

	from_middle = lanes_select(young, _mm_srai_epi32(from_middle, 1), from_middle);
	inputs = _mm_slli_epi32(from_middle, 16);
	inputs = _mm_insert_epi16(inputs, m->stretch[_mm_extract_epi16(slots, 1) >> 4], 0);
	inputs = _mm_insert_epi16(inputs, m->stretch[_mm_extract_epi16(slots, 3) >> 4], 2);
	inputs = _mm_insert_epi16(inputs, m->stretch[_mm_extract_epi16(slots, 5) >> 4], 4);
	return _mm_insert_epi16(inputs, m->stretch[_mm_extract_epi16(slots, 7) >> 4], 6);
}

static ALWAYS_INLINE int32_t lanes_sum(const __m128i *inputs, const int16_t *weights, unsigned n)
{
	__m128i sum = _mm_setzero_si128();

#pragma GCC unroll 3
	for (unsigned i = 0; i < n; i++) {
		__m128i w = _mm_loadu_si128((const __m128i *)(const void *)(weights + 8 * i));

		sum = _mm_add_epi32(sum, _mm_madd_epi16(inputs[i], w));
	}
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1)));
	return _mm_cvtsi128_si32(sum);
}

static ALWAYS_INLINE void lanes_learn(int16_t *weights, const __m128i *inputs, unsigned n,
				      int32_t error)
{
	/* an error has 17 bits: input * error is 2 * input * half + input * odd */
	__m128i halves = _mm_set1_epi32((error & 1) << 16 | ((error >> 1) & 0xffff));
	__m128i middle = _mm_set1_epi32(1 << (LEARN_BITS - 1));

	if (mix_is_known(error))
		return;
#pragma GCC unroll 3
	for (unsigned i = 0; i < n; i++) {
		__m128i *at = (__m128i *)(void *)(weights + 8 * i), twice = _mm_slli_epi16(inputs[i], 1);
		__m128i low = _mm_madd_epi16(_mm_unpacklo_epi16(twice, inputs[i]), halves);
		__m128i high = _mm_madd_epi16(_mm_unpackhi_epi16(twice, inputs[i]), halves);
		__m128i step = _mm_packs_epi32(_mm_srai_epi32(_mm_add_epi32(low, middle), LEARN_BITS),
					       _mm_srai_epi32(_mm_add_epi32(high, middle), LEARN_BITS));
		__m128i sum = _mm_adds_epi16(_mm_loadu_si128(at), step);

		_mm_storeu_si128(at, _mm_max_epi16(sum, _mm_set1_epi16(-WEIGHT_MAX)));
	}
}

/* Four slots after a bit; flip: all ones for a 1. */
static ALWAYS_INLINE __m128i lanes_next(const struct mix *m, __m128i slots, __m128i flip)
{
	__m128i low_half = _mm_set1_epi32(0xffff), p, rate = _mm_setzero_si128(), step, exact, n;

	p = _mm_srli_epi32(_mm_xor_si128(slots, flip), 16);
	rate = _mm_insert_epi16(rate, m->rate[_mm_extract_epi16(slots, 0) >> 8], 0);
	rate = _mm_insert_epi16(rate, m->rate[_mm_extract_epi16(slots, 2) >> 8], 2);
	rate = _mm_insert_epi16(rate, m->rate[_mm_extract_epi16(slots, 4) >> 8], 4);
	rate = _mm_insert_epi16(rate, m->rate[_mm_extract_epi16(slots, 6) >> 8], 6);
	/* the product's upper half, one more unless the lower is zero */
	exact = _mm_cmpeq_epi16(_mm_mullo_epi16(p, rate), _mm_setzero_si128());
	step = _mm_add_epi16(_mm_mulhi_epu16(p, rate), _mm_add_epi16(_mm_set1_epi16(1), exact));
	p = _mm_sub_epi32(p, _mm_and_si128(step, low_half));
	p = _mm_xor_si128(_mm_slli_epi32(p, 16), _mm_andnot_si128(low_half, flip));
	n = _mm_and_si128(_mm_srli_epi32(slots, 8), _mm_set1_epi32(0xff));
	n = _mm_and_si128(_mm_cmplt_epi32(n, _mm_set1_epi32(SLOT_COUNT_LIMIT)), _mm_set1_epi32(1 << 8));
	return _mm_or_si128(p, _mm_add_epi32(_mm_and_si128(slots, low_half), n));
}

/* n is a constant where this is called, so that loops are unrolled and all stays in registers. */
static ALWAYS_INLINE unsigned lanes_decide(struct mix *m, struct coder *c, const struct decision *d,
					   unsigned at, unsigned set_a, unsigned set_b, unsigned bit,
					   unsigned n)
{
	int16_t *weights_a = m->weights_a[set_a], *weights_b = m->weights_b[set_b];
	__m128i slots[MIX_VECTORS], inputs[MIX_VECTORS], flip;
	int32_t sum_a, sum_b;

#pragma GCC unroll 3
	for (unsigned i = 0; i < n; i++) {
		slots[i] = lanes_load(d, 4 * i, at);
		inputs[i] = lanes_inputs(m, slots[i]);
	}
	if (m->n_inputs % 4) {
		__m128i lane = _mm_setr_epi32(0, 1, 2, 3);

		inputs[n - 1] = _mm_and_si128(inputs[n - 1],
					      _mm_cmplt_epi32(lane, _mm_set1_epi32(m->n_inputs % 4)));
	}
	sum_a = lanes_sum(inputs, weights_a, n);
	sum_b = lanes_sum(inputs, weights_b, n);
	if (c)
		bit = coder_bit_p(c, mix_p(sum_a, sum_b), bit);
	lanes_learn(weights_a, inputs, n, mix_error(sum_a, bit));
	lanes_learn(weights_b, inputs, n, mix_error(sum_b, bit));
	flip = _mm_set1_epi32(bit ? -1 : 0);
#pragma GCC unroll 3
	for (unsigned i = 0; i < n; i++) {
		uint32_t next[4];

		_mm_storeu_si128((__m128i *)(void *)next, lanes_next(m, slots[i], flip));
#pragma GCC unroll 4
		for (unsigned j = 0; j < 4; j++)
			d->rows[4 * i + j][at] = next[j];
	}
	return bit;
}

static unsigned mix_decide(struct mix *m, struct coder *c, const struct decision *d, unsigned at,
			   unsigned set_a, unsigned set_b, unsigned bit)
{
	if (m->n_inputs > 8)
		return lanes_decide(m, c, d, at, set_a, set_b, bit, 3);
	return lanes_decide(m, c, d, at, set_a, set_b, bit, m->n_inputs > 4 ? 2 : 1);
}
#else
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
	if (mix_is_known(error))
		return;
	for (unsigned i = 0; i < MIX_LANES; i++) {
		int32_t w = weights[i] + ((inputs[i] * error + (1 << (LEARN_BITS - 1))) >> LEARN_BITS);

		w = w > WEIGHT_MAX ? WEIGHT_MAX : w;
		weights[i] = (int16_t)(w < -WEIGHT_MAX ? -WEIGHT_MAX : w);
	}
}

static unsigned mix_decide(struct mix *m, struct coder *c, const struct decision *d, unsigned at,
			   unsigned set_a, unsigned set_b, unsigned bit)
{
	uint32_t values[MIX_INPUTS_MAX];
	int16_t inputs[MIX_LANES] = {0};
	int16_t *weights_a = m->weights_a[set_a], *weights_b = m->weights_b[set_b];
	int32_t sum_a, sum_b;

	for (unsigned i = 0; i < m->n_inputs; i++) {
		uint32_t n;

		values[i] = mix_slot_value(d->rows[i][at], d->checks[i]);
		n = values[i] >> 8 & 0xff;
		inputs[2 * i] = m->stretch[values[i] >> 20];
		/* what was seen often and one way says more */
		inputs[2 * i + 1] = (int16_t)(((int32_t)(values[i] >> 16) - 32768) >> (n < 3 ? 6 : 5));
	}
	sum_a = mix_sum(inputs, weights_a);
	sum_b = mix_sum(inputs, weights_b);
	if (c)
		bit = coder_bit_p(c, mix_p(sum_a, sum_b), bit);
	mix_learn(weights_a, inputs, mix_error(sum_a, bit));
	mix_learn(weights_b, inputs, mix_error(sum_b, bit));
	for (unsigned i = 0; i < m->n_inputs; i++)
		d->rows[i][at] = mix_slot_next(m, values[i], bit);
	return bit;
}
#endif

unsigned mix_bit(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
		 unsigned set_b, unsigned bit)
{
	struct decision d;

	mix_no_inputs(m, &d);
	for (unsigned i = 0; i < m->n_inputs; i++) {
		d.rows[i] = &m->slots[hashes[i] >> (32 - m->table_bits)];
		d.checks[i] = hashes[i] & 0xff;
	}
	return mix_decide(m, c, &d, 0, set_a, set_b, bit);
}

static uint32_t *mix_half_slots(const struct mix *m, uint32_t hash)
{
	return &m->slots[(hash >> (32 - m->table_bits)) & ~(HALF_SLOTS - 1)];
}

static void mix_fetch_half(const struct mix *m, const uint32_t *hashes, unsigned which, unsigned node)
{
	for (unsigned i = 0; i < m->n_inputs; i++)
		if (which >> i & 1)
			__builtin_prefetch(mix_half_slots(m, mix_hash(hashes[i], node)), 1);
}

void mix_fetch(const struct mix *m, const uint32_t *hashes, unsigned which)
{
	mix_fetch_half(m, hashes, which, 1);
}

void mix_fetch_byte(const struct mix *m, const uint32_t *hashes, uint8_t value)
{
	mix_fetch_half(m, hashes, ~0U, 1);
	mix_fetch_half(m, hashes, ~0U, 16U | value >> 4);
}

/* Four bits of a byte; node: the bits before them, a 1 in front. */
static unsigned mix_half(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
			 unsigned set_b, unsigned node, unsigned value)
{
	struct decision d;
	unsigned in_half = 1;

	mix_no_inputs(m, &d);
	for (unsigned j = 0; j < m->n_inputs; j++) {
		uint32_t h = mix_hash(hashes[j], node);

		d.rows[j] = mix_half_slots(m, h);
		__builtin_prefetch(d.rows[j], 1);
		d.checks[j] = h & 0xff;
	}
	for (unsigned i = 4; i--;) {
		unsigned bit;

		bit = mix_decide(m, c, &d, in_half, set_a, set_b == MIX_SET_NODE ? node : set_b,
				 (value >> i) & 1);
		in_half = in_half << 1 | bit;
		node = node << 1 | bit;
		/* either of two halves comes next */
		if (i == 1 && node < HALF_SLOTS) {
			mix_fetch_half(m, hashes, ~0U, node << 1);
			mix_fetch_half(m, hashes, ~0U, node << 1 | 1);
		}
	}
	return node;
}

uint8_t mix_byte(struct mix *m, struct coder *c, const uint32_t *hashes, unsigned set_a,
		 unsigned set_b, uint8_t value)
{
	unsigned node = mix_half(m, c, hashes, set_a, set_b, 1, value >> 4);

	return (uint8_t)mix_half(m, c, hashes, set_a, set_b, node, value & 15);
}
