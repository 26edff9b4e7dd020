/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "graft/maps.h"

static void test_row_reads_real_lines(void **state)
{
	static const struct {
		const char *line;
		unsigned major, minor;
		uint64_t ino;
		bool is_bare_root, is_executable;
		const char *path;
	} cases[] = {
		{"7fe11d56d000-7fe11d56e000 r--p 00000000 00:2a 55                         /", 0, 0x2a, 55,
			true, false, "/"},
		{"7fe11d56d000-7fe11d56e000 r-xp 00000000 fe:00 4567         /usr/lib/a b", 0xfe, 0, 4567,
			false, true, "/usr/lib/a b"},
		{"10-20 rw-s 0 00:01 18446744073709551615 /x (deleted)", 0, 1, UINT64_MAX, false, false,
			"/x (deleted)"},
		{"0-ffffffffffffffff rw-s 0 103:100003 7", 0x103, 0x100003, 7, false, false, ""},
		{"7fe11d56d000-7fe11d56e000 rwxp 00000000 00:00 0 ", 0, 0, 0, false, true, ""},
		{"10-20 r-xp 00000000 00:00 0     [anon:vdso]", 0, 0, 0, false, true, "[anon:vdso]"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct map_row row;

		assert_true(map_row_parse(cases[i].line, strlen(cases[i].line), &row));
		assert_int_equal(row.dev, makedev(cases[i].major, cases[i].minor));
		assert_int_equal(row.ino, cases[i].ino);
		assert_int_equal(row.is_bare_root, cases[i].is_bare_root);
		assert_int_equal(row.is_executable, cases[i].is_executable);
		assert_int_equal(row.path_len, strlen(cases[i].path));
		assert_memory_equal(row.path, cases[i].path, row.path_len);
	}
}

static void test_row_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"7ffc0000-7ffd0000 rw-p 00000000 00:00 0                          [stack]",
		"7ffc0000-7ffd0000 r-xp 00000000 00:00 0                          [vdso]",
		"7ffc0000-7ffd0000 --xp 00000000 00:00 0 [",
		"7fe11d56d000-7fe11d56e000 r-x 00000000 00:2a 55 /",
		"7fe11d56d000-7fe11d56e000 r-xps 00000000 00:2a 55 /",
		"7fe11d56d000 r--p 00000000 00:2a 55 /",
		"7fe11d56d000-7fe11d56e000",
		"7fe11d56d000-7fe11d56e000 r--p 00000000 00:2a",
		"7fe11d56d000-7fe11d56e000 r--p 00000000 002a 55 /",
		"7fe11d56d000-7fe11d56e000 r--p 00000000 00:2a x /",
		"7fe11d56d000-7fe11d56e000 r--p 00000000 00:2a 55x /",
		"7fe11d56e000-7fe11d56d000 r--p 00000000 00:2a 55 /",
		"1ffffffffffffffff-7fe11d56e000 r--p 00000000 00:2a 55 /",
		"10-20 r--p 0 1ffffffff:2a 55 /",
		"10-20 r--p 0 00:2a 99999999999999999999999 /",
	};
	struct map_row row = {.ino = 1234};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (map_row_parse(bad[i], strlen(bad[i]), &row))
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(row.ino, 1234);
	}
}

static void test_row_survives_truncation_and_bit_flips(void **state)
{
	static const char line[] = "7fe11d56d000-7fe11d56e000 r--p 00000000 00:2a 55   /usr/lib/x";
	const size_t needed = sizeof "7fe11d56d000-7fe11d56e000 r--p 00000000 00:2a 5" - 1;

	(void)state;
	for (size_t len = 0; len < sizeof line; len++) {
		char *copy = malloc(len ? len : 1);
		struct map_row row;

		assert_non_null(copy);
		memcpy(copy, line, len);
		assert_int_equal(map_row_parse(copy, len, &row), len >= needed);
		free(copy);
	}
	for (size_t bit = 0; bit < (sizeof line - 1) * 8; bit++) {
		char copy[sizeof line];
		struct map_row row;

		memcpy(copy, line, sizeof copy);
		copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
		if (map_row_parse(copy, sizeof copy - 1, &row)) {
			assert_true(row.start < row.end);
			assert_ptr_equal(row.path + row.path_len, copy + sizeof copy - 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row_reads_real_lines),
		cmocka_unit_test(test_row_refuses),
		cmocka_unit_test(test_row_survives_truncation_and_bit_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
