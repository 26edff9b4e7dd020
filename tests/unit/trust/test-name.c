/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "trust/bounds.h"
#include "trust/name.h"

static void test_role_names_become_one_segment(void **state)
{
	char role[2], encoded[8];

	(void)state;
	for (int c = 1; c < 256; c++) {
		AUTO_FREE char *url = NULL, *file = NULL;

		role[0] = (char)c;
		role[1] = '\0';
		assert_int_equal(trust_role_url(role, 7, &url), 0);
		assert_int_equal(trust_role_file(role, &file), 0);
		assert_null(strchr(url, '/'));
		assert_null(strchr(file, '/'));
		assert_true(file[0] != '.');
		(void)snprintf(encoded, sizeof encoded,
			(c < 128 && (strchr("_.-~", c) || (c >= '0' && c <= '9') ||
					    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) ?
				"%c" :
				"%%%02X",
			c);
		assert_true(strncmp(url, "7.", 2) == 0);
		assert_true(strncmp(url + 2, encoded, strlen(encoded)) == 0);
		assert_string_equal(url + 2 + strlen(encoded), ".json");
	}
}

static void test_role_file_needs_a_name(void **state)
{
	char *file = NULL;

	(void)state;
	assert_int_equal(trust_role_file("", &file), -BSI_E_FORMAT);
	assert_null(file);
}

static void test_long_role_names_are_stored_under_a_digest(void **state)
{
	char role[TRUST_ROLE_NAME_MAX_BYTES + 1], other[TRUST_ROLE_NAME_MAX_BYTES + 1];
	AUTO_FREE char *file = NULL, *other_file = NULL, *url = NULL, *literal = NULL;

	(void)state;
	memset(role, '/', sizeof role);
	role[sizeof role - 1] = '\0';
	memcpy(other, role, sizeof role);
	other[sizeof other - 2] = 'x';
	assert_int_equal(trust_role_file(role, &file), 0);
	assert_int_equal(trust_role_file(other, &other_file), 0);
	assert_true(strlen(file) < 100);
	assert_string_not_equal(file, other_file);
	/* a role that is called like that file has another one */
	file[strlen(file) - strlen(".json")] = '\0';
	assert_int_equal(trust_role_file(file, &literal), 0);
	assert_true(strncmp(literal, file, strlen(file)) != 0);
	assert_int_equal(trust_role_url(role, UINT64_MAX, &url), 0);
	assert_int_equal(strlen(url), 20 + 1 + 3 * (sizeof role - 1) + 5);
}

static void test_role_names_that_are_taken_or_absurd(void **state)
{
	char name[TRUST_ROLE_NAME_MAX_BYTES + 2];

	(void)state;
	assert_int_equal(trust_role_name_check("root"), -BSI_E_FORMAT);
	assert_int_equal(trust_role_name_check("timestamp"), -BSI_E_FORMAT);
	assert_int_equal(trust_role_name_check("snapshot"), -BSI_E_FORMAT);
	assert_int_equal(trust_role_name_check("targets"), -BSI_E_FORMAT);
	assert_int_equal(trust_role_name_check(""), -BSI_E_FORMAT);
	assert_int_equal(trust_role_name_check("debian:12:amd64"), 0);
	memset(name, 'a', sizeof name);
	name[sizeof name - 1] = '\0';
	assert_int_equal(trust_role_name_check(name), -BSI_E_LIMIT);
	name[sizeof name - 2] = '\0';
	assert_int_equal(trust_role_name_check(name), 0);
}

static void test_target_urls(void **state)
{
	static const struct {
		const char *path;
		bool consistent;
		const char *url; /* with H for the digest */
	} rows[] = {
		{"file", true, "H.file"},
		{"file", false, "file"},
		{"a/b c/f?#%", true, "a/b%20c/H.f%3F%23%25"},
		{"debian:12:amd64/index.json", true, "debian%3A12%3Aamd64/H.index.json"},
		{"../x", true, "%2E%2E/H.x"},
		{"./..", false, "%2E/%2E%2E"},
		{"...", false, "..."},
		{"/abs", false, "/abs"},
		{"caf\xc3\xa9", false, "caf%C3%A9"},
	};
	struct trust_hashes sha256 = {.has_sha256 = true}, sha512 = {.has_sha512 = true};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_FREE char *url = NULL, *url512 = NULL;
		char expected[512];
		const char *h = strchr(rows[i].url, 'H');

		if (rows[i].consistent)
			(void)snprintf(expected, sizeof expected, "%.*s%064d%s",
				(int)(h - rows[i].url), rows[i].url, 0, h + 1);
		else
			(void)snprintf(expected, sizeof expected, "%s", rows[i].url);
		assert_int_equal(
			trust_target_url(rows[i].path, &sha256, rows[i].consistent, &url), 0);
		assert_string_equal(url, expected);
		assert_int_equal(
			trust_target_url(rows[i].path, &sha512, rows[i].consistent, &url512), 0);
		assert_int_equal(strlen(url512), strlen(url) + (rows[i].consistent ? 64 : 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_role_names_become_one_segment),
		cmocka_unit_test(test_role_file_needs_a_name),
		cmocka_unit_test(test_long_role_names_are_stored_under_a_digest),
		cmocka_unit_test(test_role_names_that_are_taken_or_absurd),
		cmocka_unit_test(test_target_urls),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
