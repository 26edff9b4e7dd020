/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The count of boots that were begun. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "store/boot.h"

static void test_count_round_trips_and_goes(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct boot_count count = {7, 7};

	assert_int_equal(store_boot_get(s, &count, NULL), 0);
	assert_int_equal(count.generation, 0);
	assert_int_equal(count.attempts, 0);
	count = (struct boot_count){.generation = 4, .attempts = 2};
	assert_int_equal(store_boot_set(s, &count, NULL), 0);
	count = (struct boot_count){0};
	assert_int_equal(store_boot_get(s, &count, NULL), 0);
	assert_int_equal(count.generation, 4);
	assert_int_equal(count.attempts, 2);
	assert_int_equal(store_boot_clear(s, NULL), 0);
	assert_false(scratch_has(*state, "boot"));
	assert_int_equal(store_boot_clear(s, NULL), 0);
	assert_int_equal(store_boot_get(s, &count, NULL), 0);
	assert_int_equal(count.attempts, 0);
}

static void test_count_never_overflows(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct boot_count count = {.generation = 1, .attempts = UINT64_MAX};

	assert_int_equal(store_boot_set(s, &count, NULL), 0);
	assert_int_equal(store_boot_get(s, &count, NULL), 0);
	assert_int_equal(count.attempts, BOOT_ATTEMPTS_MAX);
}

static void test_change_needs_the_lock(void **state)
{
	AUTO(store) struct store *s = scratch_open(*state);
	const struct boot_count count = {.generation = 1, .attempts = 1};

	assert_int_equal(store_boot_set(s, &count, NULL), -BSI_E_BUSY);
	assert_int_equal(store_boot_clear(s, NULL), -BSI_E_BUSY);
}

static void test_damage_names_the_file(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	const struct boot_count count = {.generation = 1, .attempts = 1};
	struct boot_count found = {0};
	struct error e = {0};
	AUTO_FREE char *whole = NULL;
	size_t len;

	assert_int_equal(store_boot_set(s, &count, NULL), 0);
	whole = scratch_read(*state, "boot", &len);
	for (size_t cut = 0; cut < len; cut++) {
		scratch_write(*state, "boot", whole, cut);
		assert_int_equal(store_boot_get(s, &found, &e), -BSI_E_STATE);
		assert_non_null(strstr(e.text, "\"boot\""));
	}
	for (size_t i = 0; i < len; i++) {
		whole[i] ^= 1;
		scratch_write(*state, "boot", whole, len);
		assert_true(store_boot_get(s, &found, &e) < 0);
		whole[i] ^= 1;
	}
	scratch_write(*state, "boot", whole, len);
	assert_int_equal(store_boot_get(s, &found, &e), 0);
	assert_int_equal(found.attempts, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_count_round_trips_and_goes, scratch_setup,
			scratch_teardown),
		cmocka_unit_test_setup_teardown(test_count_never_overflows, scratch_setup,
			scratch_teardown),
		cmocka_unit_test_setup_teardown(test_change_needs_the_lock, scratch_setup,
			scratch_teardown),
		cmocka_unit_test_setup_teardown(test_damage_names_the_file, scratch_setup,
			scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
