/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include "delta/coder.h"
#include "delta/mix.h"

#define N_VALUES 4000U

static int64_t read_buffer(void *ctx, void *into, size_t len)
{
	struct reader *r = ctx;
	size_t n = reader_left(r);

	if (n > len)
		n = len;
	if (n)
		memcpy(into, reader_take(r, n), n);
	return (int64_t)n;
}

static uint64_t value_at(struct random *r)
{
	return random_next(r) >> random_below(r, 64);
}

/* The same calls in both directions; returns how many values came out wrong. */
static unsigned code_all(struct coder *c)
{
	struct random r = {7};
	struct number_model numbers, signeds;
	struct bit_model bit;
	unsigned wrong = 0;

	number_model_init(&numbers);
	number_model_init(&signeds);
	bit_model_init(&bit, 32768, BIT_LIMIT_SLOW);
	for (unsigned i = 0; i < N_VALUES; i++) {
		uint64_t v = value_at(&r), p = random_below(&r, 65535) + 1;
		int64_t s = (int64_t)value_at(&r) / 3 * (i & 1 ? 1 : -1);
		unsigned b = random_below(&r, 65536) < p;

		wrong += coder_number(c, &numbers, c->encoding ? v / 2 : 0) != v / 2;
		wrong += coder_signed(c, &signeds, c->encoding ? s : 0) != s;
		wrong += coder_bit_p(c, (uint32_t)p, c->encoding ? b : 0) != b;
		wrong += coder_bit(c, &bit, c->encoding ? i % 50 == 0 : 0) != (i % 50 == 0);
		wrong += coder_raw(c, 64, c->encoding ? v : 0) != v;
	}
	return wrong;
}

static void encode_all(struct buffer *out)
{
	struct coder c;

	coder_init_encode(&c, out);
	assert_int_equal(code_all(&c), 0);
	assert_int_equal(coder_finish(&c), 0);
}

static void test_coder_returns_what_was_coded(void **state)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(1U << 24);
	struct reader r;
	struct delta_source source = {&r, read_buffer};
	struct coder c;

	(void)state;
	encode_all(&out);
	r = reader_of(out.data, out.len);
	coder_init_decode(&c, &source);
	assert_int_equal(code_all(&c), 0);
	assert_int_equal(coder_finish(&c), 0);
}

static void test_coder_refuses_what_is_short_or_long(void **state)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(1U << 24);
	struct reader r;
	struct delta_source source = {&r, read_buffer};
	struct coder c;

	(void)state;
	encode_all(&out);
	r = reader_of(out.data, out.len / 2);
	coder_init_decode(&c, &source);
	(void)code_all(&c);
	assert_int_equal(coder_finish(&c), -BSI_E_FORMAT);

	buffer_put_u8(&out, 1);
	for (unsigned i = 0; i < CODER_OVERRUN_MAX; i++)
		buffer_put_u8(&out, 0);
	r = reader_of(out.data, out.len);
	coder_init_decode(&c, &source);
	(void)code_all(&c);
	assert_int_equal(coder_finish(&c), -BSI_E_FORMAT);
}

/* A fair coin costs a bit, a sure thing next to nothing. */
static void test_coder_costs_what_it_should(void **state)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(1U << 24);
	struct bit_model model;
	struct coder c;

	(void)state;
	coder_init_encode(&c, &out);
	(void)coder_raw(&c, 64, 0x0123456789abcdef);
	assert_in_range(coder_spent(&c) >> 16, 63, 65);
	bit_model_init(&model, 32768, BIT_LIMIT_SLOW);
	for (unsigned i = 0; i < 100000; i++)
		(void)coder_bit(&c, &model, 0);
	assert_in_range(coder_spent(&c) >> 16, 64, 64 + 90);
	assert_int_equal(coder_finish(&c), 0);
}

static void test_mix_learns_a_pattern(void **state)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(1U << 24);
	AUTO(mix) struct mix *m = NULL;
	struct coder c;

	(void)state;
	assert_int_equal(mix_new(MIX_TABLE_BITS_MIN, 2, &m), 0);
	coder_init_encode(&c, &out);
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t hashes[2] = {mix_hash(1, i % 7), mix_hash(2, i % 3)};

		(void)mix_bit(m, &c, hashes, 0, 0, i % 7 == 2 || i % 7 == 5);
	}
	assert_int_equal(coder_finish(&c), 0);
	assert_in_range(out.len, 1, 40);
}

static void test_mix_refuses_sizes(void **state)
{
	struct mix *m = NULL;

	(void)state;
	assert_true(mix_new(MIX_TABLE_BITS_MAX + 1, 2, &m) < 0);
	assert_true(mix_new(MIX_TABLE_BITS_MIN - 1, 2, &m) < 0);
	assert_true(mix_new(MIX_TABLE_BITS_MIN, MIX_INPUTS_MAX + 1, &m) < 0);
	assert_null(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coder_returns_what_was_coded),
		cmocka_unit_test(test_coder_refuses_what_is_short_or_long),
		cmocka_unit_test(test_coder_costs_what_it_should),
		cmocka_unit_test(test_mix_learns_a_pattern),
		cmocka_unit_test(test_mix_refuses_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
