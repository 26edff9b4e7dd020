/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graft/namesake.h"

static const char *const paths[] = {
	"usr/lib/x86_64-linux-gnu/libssl.so.3",
	"usr/sbin/sshd",
	"usr/lib/x86_64-linux-gnu/libxml2.so.2.9.14",
	"opt/a/tool",
	"usr/lib/b/tool",
	"lib",
};

#define N_PATHS (sizeof paths / sizeof *paths)

static void test_namesake_is_known_below_every_root(void **state)
{
	static const struct {
		const char *path;
		enum namesake_kind kind;
		size_t index;
	} cases[] = {
		{"/usr/lib/x86_64-linux-gnu/libssl.so.3", NAMESAKE_IN_PLACE, 0},
		{"/srv/root/usr/lib/x86_64-linux-gnu/libssl.so.3", NAMESAKE_IN_PLACE, 0},
		{"/lib/x86_64-linux-gnu/libssl.so.3", NAMESAKE_IN_PLACE, 0},
		{"/lib/x86_64-linux-gnu/libssl.so.3 (deleted)", NAMESAKE_IN_PLACE, 0},
		{"/app/lib/libssl.so.3", NAMESAKE_ELSEWHERE, 0},
		{"/app/lib/libssl.so.3.0.11", NAMESAKE_ELSEWHERE, 0},
		{"/xlib/x86_64-linux-gnu/libssl.so.3", NAMESAKE_ELSEWHERE, 0},
		{"/lib/x86_64-linux-gnu/libxml2.so.2.9.10", NAMESAKE_IN_PLACE, 2},
		{"/lib/x86_64-linux-gnu/libxml2.so.22", NAMESAKE_NONE, 0},
		{"/lib/x86_64-linux-gnu/libssl.so.31", NAMESAKE_NONE, 0},
		{"/lib/x86_64-linux-gnu/libssl.so", NAMESAKE_NONE, 0},
		{"/lib/x86_64-linux-gnu/libssl.so.3x", NAMESAKE_NONE, 0},
		{"/sbin/sshd", NAMESAKE_IN_PLACE, 1},
		{"/sshd", NAMESAKE_ELSEWHERE, 1},
		{"/tmp/sshd2", NAMESAKE_NONE, 0},
		{"/x/opt/a/tool", NAMESAKE_IN_PLACE, 3},
		{"/x/lib/b/tool", NAMESAKE_IN_PLACE, 4},
		{"/lib", NAMESAKE_IN_PLACE, 5},
		{"sshd", NAMESAKE_NONE, 0},
		{"", NAMESAKE_NONE, 0},
		{"/", NAMESAKE_NONE, 0},
		{" (deleted)", NAMESAKE_NONE, 0},
		{"/memfd:sshd (deleted)", NAMESAKE_NONE, 0},
	};
	struct namesakes n;

	(void)state;
	assert_int_equal(namesakes_make(paths, N_PATHS, &n), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t index = 0;

		if (namesakes_find(&n, cases[i].path, strlen(cases[i].path), &index) !=
				cases[i].kind ||
			index != cases[i].index)
			fail_msg("%s: %zu", cases[i].path, index);
	}
	namesakes_done(&n);
}

/* Each in memory of its own, so that a sanitizer sees a step too far. */
static void test_namesake_survives_truncation_and_bit_flips(void **state)
{
	static const char path[] = "/srv/usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)";
	struct namesakes n;

	(void)state;
	assert_int_equal(namesakes_make(paths, N_PATHS, &n), 0);
	for (size_t len = 0; len < sizeof path; len++) {
		char *copy = malloc(len ? len : 1);
		size_t index = 0;

		assert_non_null(copy);
		memcpy(copy, path, len);
		assert_true(namesakes_find(&n, copy, len, &index) <= NAMESAKE_IN_PLACE);
		assert_true(index < N_PATHS);
		free(copy);
	}
	for (size_t bit = 0; bit < (sizeof path - 1) * 8; bit++) {
		char *copy = malloc(sizeof path - 1);
		size_t index = 0;

		assert_non_null(copy);
		memcpy(copy, path, sizeof path - 1);
		copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
		(void)namesakes_find(&n, copy, sizeof path - 1, &index);
		assert_true(index < N_PATHS);
		free(copy);
	}
	namesakes_done(&n);
}

static void test_nothing_has_no_namesakes(void **state)
{
	struct namesakes n;
	size_t index = 0;

	(void)state;
	assert_int_equal(namesakes_make(NULL, 0, &n), 0);
	assert_int_equal(namesakes_find(&n, "/sbin/sshd", 10, &index), NAMESAKE_NONE);
	namesakes_done(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namesake_is_known_below_every_root),
		cmocka_unit_test(test_namesake_survives_truncation_and_bit_flips),
		cmocka_unit_test(test_nothing_has_no_namesakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
