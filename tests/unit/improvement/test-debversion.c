/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of versions, against a table and against dpkg itself where there is one. */
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "improvement/debversion.h"

#define DPKG "/usr/bin/dpkg"
#define GENERATED_PAIRS 700

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

/* Ascending; neighbours and all pairs are compared. */
static const char *const ascending[] = {
	"0~~", "0~~a", "0~", "0", "0+b1", "0.0", "1~bpo1", "1.0~beta1~svn1245", "1.0~beta1", "1.0",
	"1.0-1~deb12u1", "1.0-1", "1.0-1+b1", "1.0-1+deb12u1", "1.0-1.1", "1.0-2", "1.0-10",
	"1.0a-1", "1.0+dfsg-1", "1.0.1", "1.2.3a-4", "1.2.3ab-1", "1.10", "3.0.11-1~deb12u1",
	"3.0.11-1~deb12u2", "3.0.15-1~deb12u1", "10", "20230203.1", "20230203.1-1",
	"99999999999999999999999999", "100000000000000000000000000", "1:0~", "1:0", "1:0.1-1",
	"2:1.0", "10:0",
};

static void test_debversion_orders_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ascending); i++) {
		assert_int_equal(debversion_check(ascending[i]), 0);
		for (size_t j = 0; j < ARRAY_SIZE(ascending); j++) {
			int want = (i > j) - (i < j);

			if (sign(debversion_compare(ascending[i], ascending[j])) != want)
				fail_msg("%s and %s", ascending[i], ascending[j]);
		}
	}
}

static void test_debversion_finds_equals(void **state)
{
	static const char *const equal[][2] = {
		{"0:1.0", "1.0"}, {"1.0", "1.00"}, {"1.0-0", "1.0"}, {"01", "1"}, {"1.0-00", "1.0-0"},
		{"000:1", "1"}, {"1.0-1.01", "1.0-1.1"}, {"0", "0-0"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(equal); i++) {
		assert_int_equal(debversion_compare(equal[i][0], equal[i][1]), 0);
		assert_int_equal(debversion_compare(equal[i][1], equal[i][0]), 0);
	}
}

static const char *const not_versions[] = {
	"", ":", "1:", ":1", "a:1", "-1:1", "1-", "-1", "a", "v1", "1 ", " 1", "1_2", "1.0-1_2",
	"1\n", "\xc3\xa4", "2147483648:1", "99999999999999999999:1", "1-1:1", "1/2", "1.0-a!",
};

static void test_debversion_refuses_what_is_no_version(void **state)
{
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(not_versions); i++)
		if (debversion_check(not_versions[i]) != -BSI_E_FORMAT)
			fail_msg("\"%s\" was taken", not_versions[i]);
	text = calloc(1, DEBVERSION_MAX_BYTES + 2);
	assert_non_null(text);
	memset(text, '1', DEBVERSION_MAX_BYTES);
	assert_int_equal(debversion_check(text), 0);
	text[DEBVERSION_MAX_BYTES] = '1';
	assert_int_equal(debversion_check(text), -BSI_E_FORMAT);
	free(text);
}

static int run_dpkg(char *const argv[])
{
	static char *const environment[] = {(char *)(uintptr_t)"LC_ALL=C", NULL};
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	int status;

	assert_int_equal(posix_spawn_file_actions_init(&quiet), 0);
	assert_int_equal(posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", 1, 0),
		0);
	assert_int_equal(posix_spawn(&pid, DPKG, &quiet, NULL, argv, environment), 0);
	assert_int_equal(posix_spawn_file_actions_destroy(&quiet), 0);
	assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static char *argument(const char *text)
{
	return (char *)(uintptr_t)text; /* posix_spawn() does not write to it */
}

static bool dpkg_says(const char *a, const char *relation, const char *b)
{
	char *argv[] = {argument("dpkg"), argument("--compare-versions"), argument(a),
		argument(relation), argument(b), NULL};
	int status = run_dpkg(argv);

	assert_in_range(status, 0, 1);
	return status == 0;
}

static void compare_with_dpkg(const char *a, const char *b)
{
	int ours = sign(debversion_compare(a, b));

	if (ours != -sign(debversion_compare(b, a)))
		fail_msg("%s and %s have no order", a, b);
	if (!dpkg_says(a, ours < 0 ? "lt" : ours > 0 ? "gt" : "eq", b))
		fail_msg("dpkg does not find %s %d %s", a, ours, b);
}

/* xorshift64*: the same pairs on every machine. */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

static void generate(uint64_t *seed, char out[static 40])
{
	static const char alphabet[] = "001129aazZ~~+..-";
	size_t n = 0, len = 1 + next_random(seed) % 9;

	if (next_random(seed) % 4 == 0)
		n = (size_t)snprintf(out, 8, "%u:", (unsigned)(next_random(seed) % 3));
	out[n++] = (char)('0' + next_random(seed) % 3);
	while (len-- > 0)
		out[n++] = alphabet[next_random(seed) % (sizeof alphabet - 1)];
	if (out[n - 1] == '-')
		out[n - 1] = '1';
	out[n] = '\0';
}

/* Near pairs tell more than far ones: the second is the first with one byte changed. */
static void change_one(uint64_t *seed, const char *from, char out[static 40])
{
	static const char alphabet[] = "0129az~+.";
	size_t start = strcspn(from, ":"), at;

	start = from[start] == ':' ? start + 2 : 1;
	memcpy(out, from, strlen(from) + 1);
	if (out[start] == '\0')
		return;
	at = start + next_random(seed) % strlen(out + start);
	out[at] = alphabet[next_random(seed) % (sizeof alphabet - 1)];
}

static void test_debversion_agrees_with_dpkg(void **state)
{
	uint64_t seed = 20261124;

	(void)state;
	if (access(DPKG, X_OK) < 0)
		skip();
	for (size_t i = 1; i < ARRAY_SIZE(ascending); i++)
		compare_with_dpkg(ascending[i - 1], ascending[i]);
	for (unsigned i = 0; i < GENERATED_PAIRS; i++) {
		char a[40], b[40];

		generate(&seed, a);
		if (i % 2)
			generate(&seed, b);
		else
			change_one(&seed, a, b);
		if (debversion_check(a) == 0 && debversion_check(b) == 0)
			compare_with_dpkg(a, b);
	}
}

static void test_debversion_check_agrees_with_dpkg(void **state)
{
	(void)state;
	if (access(DPKG, X_OK) < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(not_versions); i++) {
		char *argv[] = {argument("dpkg"), argument("--validate-version"),
			argument(not_versions[i]), NULL};

		/* dpkg takes blanks around a version; a manifest has no use for them */
		if (strchr(not_versions[i], ' ') || strchr(not_versions[i], '\n'))
			continue;
		if (run_dpkg(argv) == 0)
			fail_msg("dpkg takes \"%s\"", not_versions[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ascending); i++) {
		char *argv[] = {argument("dpkg"), argument("--validate-version"),
			argument(ascending[i]), NULL};

		assert_int_equal(run_dpkg(argv), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_debversion_orders_the_table),
		cmocka_unit_test(test_debversion_finds_equals),
		cmocka_unit_test(test_debversion_refuses_what_is_no_version),
		cmocka_unit_test(test_debversion_agrees_with_dpkg),
		cmocka_unit_test(test_debversion_check_agrees_with_dpkg),
	};

	return cmocka_run_group_tests_name("debversion", tests, NULL, NULL);
}
