/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "trust/pattern.h"

static void test_pattern_matches_as_glob_does(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} rows[] = {
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"*", "", true},
		{"*", "abc", true}, {"*", "a/b", false}, {"*/*", "a/b", true},
		{"*/*", "a/b/c", false}, {"a*", "abc", true}, {"*c", "abc", true},
		{"a*c", "abbbc", true}, {"a*c", "ab/c", false}, {"*.tar.gz", "x.tar.tar.gz", true},
		{"*a*b*c*", "xxaxxbxxcxx", true}, {"*a*b*c*", "xxaxxcxxbxx", false},
		{"**", "abc", true}, {"**", "a/b", false}, {"?", "a", true}, {"?", "/", false},
		{"?", "", false}, {"a?c", "abc", true}, {"?", "\xc3\xa9", true},
		{"??", "\xc3\xa9", false}, {"?", "\xf0\x9f\x98\x80", true},
		{"A", "a", false}, {"a\\*", "a\\b", true}, {"a\\*", "a*", false},
		{".x", ".x", true}, {"*", ".x", true}, {"[ab]", "a", true}, {"[ab]", "c", false},
		{"[a-c]x", "bx", true}, {"[c-a]", "b", false}, {"[!ab]", "c", true},
		{"[!ab]", "a", false}, {"[!a]", "/", false}, {"[]]", "]", true},
		{"[!]]", "]", false}, {"[!]]", "a", true}, {"[a-]", "-", true}, {"[-a]", "-", true},
		{"[", "[", true}, {"[a", "[a", true}, {"[a", "a", false}, {"[a/b]", "[a/b]", true},
		{"[a/b]", "a", false}, {"[/]", "/", false}, {"[\xc3\xa0-\xc3\xaf]", "\xc3\xa9", true},
		{"[\xc3\xa0-\xc3\xaf]", "z", false}, {"[^a]", "^", true}, {"[^a]", "b", false},
		{"*[0-9]", "abc7", true}, {"*[0-9]x*", "a1b2xy", true},
		{"releases/y/*.zip", "releases/y/y_v1.zip", true},
		{"releases/*/*", "releases/y/y_v1.zip", true},
		{"debian:12:amd64/*", "debian:12:amd64/index.json", true},
		{"debian:12:amd64/*", "debian:12:amd64", false},
		{"debian:12:amd64/*", "debian:12:amd64/a/b", false},
		{"\xff*", "\xff" "a", true}, {"?", "\xc3", true}, {"\xc3\xa9", "\xc3", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (trust_pattern_match(rows[i].pattern, rows[i].path) != rows[i].matches)
			fail_msg("\"%s\" and \"%s\"", rows[i].pattern, rows[i].path);
}

/* The obvious definition, exponential as it is, on all short texts of a few letters. */
static bool matches_slowly(const char *pattern, const char *path)
{
	if (*pattern == '\0')
		return *path == '\0';
	if (*pattern == '*')
		return matches_slowly(pattern + 1, path) ||
		       (*path != '\0' && *path != '/' && matches_slowly(pattern, path + 1));
	if (*path == '\0' || (*pattern == '?' ? *path == '/' : *pattern != *path))
		return false;
	return matches_slowly(pattern + 1, path + 1);
}

static void spell(unsigned number, const char *letters, size_t len, char *out)
{
	size_t n = strlen(letters);

	for (size_t i = 0; i < len; i++, number /= (unsigned)n)
		out[i] = letters[number % n];
	out[len] = '\0';
}

static unsigned count_of(unsigned letters, size_t len)
{
	unsigned n = 1;

	while (len-- > 0)
		n *= letters;
	return n;
}

static void test_pattern_agrees_with_its_definition(void **state)
{
	char pattern[8], path[8];

	(void)state;
	for (size_t pattern_len = 0; pattern_len <= 5; pattern_len++)
		for (unsigned p = 0; p < count_of(4, pattern_len); p++) {
			spell(p, "*?a/", pattern_len, pattern);
			for (size_t path_len = 0; path_len <= 5; path_len++)
				for (unsigned t = 0; t < count_of(2, path_len); t++) {
					spell(t, "a/", path_len, path);
					if (trust_pattern_match(pattern, path) !=
						matches_slowly(pattern, path))
						fail_msg("\"%s\" and \"%s\"", pattern, path);
				}
		}
}

/* Stars that would double the work each: without a linear matcher this does not end. */
static void test_pattern_is_not_exponential(void **state)
{
	char pattern[1025], path[1025];

	(void)state;
	for (size_t i = 0; i < 1024; i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[1023] = 'b';
	pattern[1024] = '\0';
	memset(path, 'a', 1024);
	path[1024] = '\0';
	assert_false(trust_pattern_match(pattern, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pattern_matches_as_glob_does),
		cmocka_unit_test(test_pattern_agrees_with_its_definition),
		cmocka_unit_test(test_pattern_is_not_exponential),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
