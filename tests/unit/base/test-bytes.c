/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/error.h"

static void test_reader_stops_at_the_end(void **state)
{
	const uint8_t data[] = {1, 2, 3, 4, 5};
	struct reader r = reader_of(data, sizeof data);

	(void)state;
	assert_int_equal(reader_u32le(&r), 0x04030201);
	assert_int_equal(reader_u16le(&r), 0);
	assert_int_equal(r.err, -BSI_E_FORMAT);
	/* the first failure sticks, although one byte is left */
	assert_int_equal(reader_u8(&r), 0);
	assert_int_equal(reader_left(&r), 1);
	assert_int_equal(reader_finish(&r), -BSI_E_FORMAT);
}

static void test_reader_refuses_left_over_bytes(void **state)
{
	const uint8_t data[] = {1, 2};
	struct reader r = reader_of(data, sizeof data);

	(void)state;
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_finish(&r), -BSI_E_FORMAT);
	assert_int_equal(reader_u8(&r), 2);
	assert_int_equal(reader_finish(&r), 0);
}

static void test_reader_takes_nothing_of_huge_lengths(void **state)
{
	const uint8_t data[] = {1};
	struct reader r = reader_of(data, sizeof data);

	(void)state;
	assert_null(reader_take(&r, UINT64_MAX));
	assert_int_equal(r.err, -BSI_E_FORMAT);
}

static void test_varint_goes_round(void **state)
{
	const uint64_t values[] = {0, 1, 127, 128, 300, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
	AUTO_DONE(buffer) struct buffer b = buffer_of(1000);
	struct reader r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		buffer_put_varint(&b, values[i]);
	assert_int_equal(b.err, 0);
	r = reader_of(b.data, b.len);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		assert_true(reader_varint(&r) == values[i]);
	assert_int_equal(reader_finish(&r), 0);
}

static void test_varint_refuses_longer_forms(void **state)
{
	static const struct {
		uint8_t data[11];
		size_t len;
	} bad[] = {
		{{0x80, 0x00}, 2},                                                       /* zero in two bytes */
		{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10},      /* 65 bits */
		{{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 11}, /* 11 bytes */
		{{0x80}, 1},                                                             /* cut */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct reader r = reader_of(bad[i].data, bad[i].len);

		assert_true(reader_varint(&r) == 0);
		assert_int_equal(r.err, -BSI_E_FORMAT);
	}
}

static void test_count_has_a_limit(void **state)
{
	const uint8_t data[] = {5, 6};
	struct reader r = reader_of(data, sizeof data);

	(void)state;
	assert_int_equal(reader_count(&r, 5), 5);
	assert_int_equal(reader_count(&r, 5), 0);
	assert_int_equal(r.err, -BSI_E_LIMIT);
}

static void test_buffer_keeps_its_cap(void **state)
{
	AUTO_DONE(buffer) struct buffer b = buffer_of(10);

	(void)state;
	buffer_put(&b, "12345678", 8);
	assert_int_equal(b.err, 0);
	buffer_put(&b, "abc", 3);
	assert_int_equal(b.err, -BSI_E_LIMIT);
	buffer_put(&b, "a", 1); /* the first failure sticks */
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "12345678", 8);
}

static void test_buffer_printf_leaves_no_nul(void **state)
{
	AUTO_DONE(buffer) struct buffer b = buffer_of(100);

	(void)state;
	buffer_printf(&b, "%d-%s", 7, "x");
	buffer_put_u8(&b, '!');
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "7-x!", 4);
}

static void test_arithmetic_says_when_it_does_not_fit(void **state)
{
	uint64_t v = 42;

	(void)state;
	assert_false(checked_add(UINT64_MAX, 1, &v));
	assert_false(checked_sub(1, 2, &v));
	assert_false(checked_mul(UINT64_MAX / 2, 3, &v));
	assert_false(checked_align(UINT64_MAX - 1, 4096, &v));
	assert_true(v == 42);
	assert_true(checked_align(4097, 4096, &v));
	assert_true(v == 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_stops_at_the_end),
		cmocka_unit_test(test_reader_refuses_left_over_bytes),
		cmocka_unit_test(test_reader_takes_nothing_of_huge_lengths),
		cmocka_unit_test(test_varint_goes_round),
		cmocka_unit_test(test_varint_refuses_longer_forms),
		cmocka_unit_test(test_count_has_a_limit),
		cmocka_unit_test(test_buffer_keeps_its_cap),
		cmocka_unit_test(test_buffer_printf_leaves_no_nul),
		cmocka_unit_test(test_arithmetic_says_when_it_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
