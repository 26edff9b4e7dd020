/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/coder.h"

#include <string.h>

#include "base/error.h"

/* low holds 56 bits and a carry above them; the range never falls below 2^40 between bits. */
#define BIT_P_MIN 16U
#define CODER_TOP_BITS 56
#define CODER_MASK ((UINT64_C(1) << CODER_TOP_BITS) - 1)
#define CODER_RANGE_MIN (UINT64_C(1) << (CODER_TOP_BITS - 8))

#ifdef DELTA_UNCHECKED
const struct coder_guide *coder_guide;
#endif

void coder_init_encode(struct coder *c, struct buffer *out)
{
	memset(c, 0, sizeof(*c));
	c->encoding = true;
	c->range = CODER_MASK;
	c->out = out;
	c->start = out->len;
}

static uint8_t coder_next_byte(struct coder *c)
{
	if (c->at == c->filled && !c->overrun) {
		int64_t n = c->source->read(c->source->ctx, c->input, sizeof(c->input));

		if (n < 0 || n > (int64_t)sizeof(c->input)) {
			if (!c->err)
				c->err = n < 0 ? (int)n : -BSI_E_FORMAT;
			n = 0;
		}
		c->at = 0;
		c->filled = (size_t)n;
	}
	if (c->at < c->filled) {
		c->last = c->input[c->at++];
		return c->last;
	}
	if (++c->overrun > CODER_OVERRUN_MAX && !c->err)
		c->err = -BSI_E_FORMAT;
	return 0;
}

void coder_init_decode(struct coder *c, const struct delta_source *source)
{
	memset(c, 0, sizeof(*c));
	c->range = CODER_MASK;
	c->source = source;
	c->last = 1;
	for (unsigned i = 0; i < CODER_TOP_BITS / 8; i++)
		c->code = c->code << 8 | coder_next_byte(c);
}

static void coder_shift_out(struct coder *c)
{
	unsigned carry = (unsigned)(c->low >> CODER_TOP_BITS);
	uint8_t top = (uint8_t)(c->low >> (CODER_TOP_BITS - 8));

	if (carry || top != 0xff) {
		if (c->has_cache)
			buffer_put_u8(c->out, (uint8_t)(c->cache + carry));
		for (; c->n_pending; c->n_pending--)
			buffer_put_u8(c->out, (uint8_t)(0xff + carry));
		c->cache = top;
		c->has_cache = true;
	} else {
		c->n_pending++;
	}
	c->low = (c->low << 8) & CODER_MASK;
	/* there is no use in coding what finds no room */
	if (c->out->err && !c->err)
		c->err = c->out->err;
}

unsigned coder_bit_p(struct coder *c, uint32_t p1, unsigned bit)
{
	uint64_t bound = (c->range >> 16) * p1;

	if (c->err)
		return 0;
#ifdef DELTA_UNCHECKED
	if (coder_guide && !c->encoding && coder_guide->decide)
		return coder_guide->decide(coder_guide->ctx, p1);
#endif
	if (!c->encoding)
		bit = c->code < bound;
	if (bit) {
		c->range = bound;
	} else {
		c->low += bound;
		c->code -= bound;
		c->range -= bound;
	}
	while (c->range < CODER_RANGE_MIN) {
		c->range <<= 8;
		c->n_shifts++;
		if (c->encoding) {
			coder_shift_out(c);
		} else {
			c->code = c->code << 8 | coder_next_byte(c);
			c->low = (c->low << 8) & CODER_MASK;
		}
	}
#ifdef DELTA_UNCHECKED
	if (coder_guide && !c->encoding)
		coder_guide->see(coder_guide->ctx, bit);
#endif
	return bit;
}

uint64_t coder_spent(const struct coder *c)
{
	unsigned log = 63 - (unsigned)__builtin_clzll(c->range | 1);
	uint64_t part = (c->range << (63 - log) << 1) >> 48;

	return ((8 * c->n_shifts + CODER_TOP_BITS - log) << 16) - part;
}

/* Of all values in [low, low + range) the one with most zero bytes at the end. */
static uint64_t coder_last_value(const struct coder *c)
{
	for (unsigned bits = CODER_TOP_BITS; bits; bits -= 8) {
		uint64_t mask = (UINT64_C(1) << bits) - 1;
		uint64_t rounded = (c->low + mask) & ~mask;

		if (rounded - c->low < c->range)
			return rounded;
	}
	return c->low;
}

static int coder_flush(struct coder *c)
{
	c->low = coder_last_value(c);
	for (unsigned i = 0; i <= CODER_TOP_BITS / 8; i++)
		coder_shift_out(c);
	if (c->n_pending)
		coder_shift_out(c);
	if (c->out->err)
		return c->out->err;
	while (c->out->len > c->start && c->out->data[c->out->len - 1] == 0)
		c->out->len--;
	return c->err;
}

int coder_finish(struct coder *c)
{
	if (c->encoding)
		return coder_flush(c);
	if (c->err)
		return c->err;
#ifdef DELTA_UNCHECKED
	if (coder_guide && coder_guide->decide)
		return 0;
#endif
	/* The encoder drops zero bytes at the end: what is left unread, or is zero, must not be. */
	if (c->at < c->filled || c->last == 0)
		return -BSI_E_FORMAT;
	/* nor anything behind the end that changes nothing */
	if (((c->low + c->code) & CODER_MASK) != (coder_last_value(c) & CODER_MASK))
		return -BSI_E_FORMAT;
	if (!c->overrun) {
		(void)coder_next_byte(c);
		if (!c->overrun)
			return -BSI_E_FORMAT;
	}
	return c->err;
}

void bit_model_init(struct bit_model *m, uint32_t p1, unsigned limit)
{
	m->p1 = (uint16_t)p1;
	m->n_seen = 0;
	m->limit = (uint8_t)limit;
}

void bit_model_update(struct bit_model *m, unsigned bit)
{
	/* 1 / (n + 1.6), as the mean of what was seen with a little doubt */
	uint32_t rate = 65536U * 5 / (5 * (uint32_t)m->n_seen + 8);
	uint32_t p = m->p1;

	/* always a step, so that what never happens comes to cost nothing */
	if (bit)
		p += (uint32_t)(((65535 - p) * (uint64_t)rate + 65535) >> 16);
	else
		p -= (uint32_t)((p * (uint64_t)rate + 65535) >> 16);
	if (p < BIT_P_MIN)
		p = BIT_P_MIN;
	if (p > 65536 - BIT_P_MIN)
		p = 65536 - BIT_P_MIN;
	m->p1 = (uint16_t)p;
	if (m->n_seen < m->limit)
		m->n_seen++;
}

unsigned coder_bit(struct coder *c, struct bit_model *m, unsigned bit)
{
	bit = coder_bit_p(c, m->p1, bit);
	bit_model_update(m, bit);
	return bit;
}

void number_model_init(struct number_model *m)
{
	for (unsigned i = 0; i < NUMBER_CLASSES; i++) {
		bit_model_init(&m->length[i], 32768, BIT_LIMIT_QUICK);
		for (unsigned j = 0; j < 8; j++)
			bit_model_init(&m->high[i][j], 32768, BIT_LIMIT_QUICK);
	}
}

uint64_t coder_raw(struct coder *c, unsigned n_bits, uint64_t value)
{
	uint64_t got = 0;

	while (n_bits--)
		got = got << 1 | coder_bit_p(c, 32768, (unsigned)(value >> n_bits) & 1);
	return got;
}

uint64_t coder_number(struct coder *c, struct number_model *m, uint64_t value)
{
	unsigned class = 0, node = 1;
	uint64_t got;

	/* the number of bits of value + 1, less one: 0 -> 0, 1..2 -> 1, 3..6 -> 2, ... */
	if (value == UINT64_MAX)
		value--;
	if (c->encoding)
		class = 63 - (unsigned)__builtin_clzll(value + 1);
	for (unsigned i = 6; i--;)
		node = node << 1 | coder_bit(c, &m->length[node], (class >> i) & 1);
	class = node & (NUMBER_CLASSES - 1);

	got = 1;
	for (unsigned i = class; i--;) {
		unsigned bit = (unsigned)((value + 1) >> i) & 1;
		unsigned depth = class - 1 - i;

		if (depth < 3)
			bit = coder_bit(c, &m->high[class][got & 7], bit);
		else
			bit = coder_bit_p(c, 32768, bit);
		got = got << 1 | bit;
	}
	return got - 1;
}

int64_t coder_signed(struct coder *c, struct number_model *m, int64_t value)
{
	uint64_t zigzag = ((uint64_t)value << 1) ^ (uint64_t)(value < 0 ? -1 : 0);

	zigzag = coder_number(c, m, zigzag);
	return (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
}
