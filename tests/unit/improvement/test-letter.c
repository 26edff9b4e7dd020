/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "improvement/letter.h"

static void test_letter_check_takes_only_lower_case(void **state)
{
	static const char *const bad[] = {"", "A", "1", "a1", "abcde", "a ", "\xc3\xa4", "-"};

	(void)state;
	assert_int_equal(letter_check("a"), 0);
	assert_int_equal(letter_check("zzzz"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(letter_check(bad[i]), -BSI_E_FORMAT);
}

static void test_letter_next_carries(void **state)
{
	static const char *const pairs[][2] = {
		{NULL, "a"}, {"a", "b"}, {"y", "z"}, {"z", "aa"}, {"az", "ba"}, {"zz", "aaa"},
		{"azz", "baa"}, {"zzzy", "zzzz"},
	};
	struct letter_text next = {"?"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		assert_int_equal(letter_next(pairs[i][0], &next), 0);
		assert_string_equal(next.text, pairs[i][1]);
	}
	assert_int_equal(letter_next("zzzz", &next), -BSI_E_LIMIT);
	assert_int_equal(letter_next("B", &next), -BSI_E_FORMAT);
	assert_string_equal(next.text, "zzzz");
}

static void test_letter_compare_follows_next(void **state)
{
	struct letter_text before, next;

	(void)state;
	assert_int_equal(letter_next(NULL, &before), 0);
	assert_int_equal(letter_compare("a", before.text), 0);
	for (unsigned i = 0; i < 20000; i++) {
		assert_int_equal(letter_next(before.text, &next), 0);
		assert_true(letter_compare(before.text, next.text) < 0);
		assert_true(letter_compare(next.text, before.text) > 0);
		assert_true(letter_compare("a", next.text) < 0);
		before = next;
	}
	assert_int_equal(strlen(before.text), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_letter_check_takes_only_lower_case),
		cmocka_unit_test(test_letter_next_carries),
		cmocka_unit_test(test_letter_compare_follows_next),
	};

	return cmocka_run_group_tests_name("letter", tests, NULL, NULL);
}
