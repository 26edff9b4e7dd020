/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of suffixes without libdivsufsort, against libdivsufsort. */
#include "fixture.h"

#include <divsufsort.h>

#include "delta/sort.h"

static void check_order(const struct buffer *b)
{
	AUTO_FREE int32_t *own = calloc(b->len + 1, sizeof(*own));
	AUTO_FREE int32_t *other = calloc(b->len + 1, sizeof(*other));

	assert_true(own && other);
	assert_int_equal(suffix_sort(b->data, b->len, own), 0);
	if (!b->len)
		return;
	assert_int_equal(divsufsort(b->data, other, (saidx_t)b->len), 0);
	assert_memory_equal(own, other, b->len * sizeof(*own));
}

static void test_sort_random(void **state)
{
	struct random r = {3};

	(void)state;
	for (size_t len = 0; len < 400; len += 1 + len / 7) {
		AUTO_DONE(buffer) struct buffer b = random_bytes(&r, len);

		check_order(&b);
		for (size_t i = 0; i < len; i++)
			b.data[i] &= 1;
		check_order(&b);
	}
}

static void test_sort_repeats(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer twice = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer zeros = buffer_of(1U << 20);

	(void)state;
	check_order(&elf);
	buffer_put(&twice, elf.data, elf.len);
	buffer_put(&twice, elf.data, elf.len);
	check_order(&twice);
	for (unsigned i = 0; i < 50000; i++)
		buffer_put_u8(&zeros, 0);
	check_order(&zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort_random),
		cmocka_unit_test(test_sort_repeats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
