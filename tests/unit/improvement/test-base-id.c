/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "improvement/base_id.h"
#include "improvement/os_release.h"

static const char *const good[] = {
	"debian:12:amd64", "ubuntu:24.04:arm64", "fedora:41:20260101.0:amd64", "poky:5.0.4:riscv64",
	"debian:12~rc1+b2:1.0^git:x86_64",
};

static void test_base_id_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		AUTO(base_id) struct base_id *base = NULL;
		AUTO_FREE char *text = NULL;

		assert_int_equal(base_id_check(good[i]), 0);
		assert_int_equal(base_id_parse(good[i], &base), 0);
		assert_int_equal(base_id_format(base, &text), 0);
		assert_string_equal(text, good[i]);
	}
}

static void test_base_id_refuses(void **state)
{
	static const char *const bad[] = {
		"", "debian", "debian:12", "debian:12:amd64:x:y", ":12:amd64", "debian::amd64",
		"debian:12:", "Debian:12:amd64", "debian:12:AMD64", "../x:12:amd64",
		"debian:1/2:amd64", "debian:..:amd64", "debian:.12:amd64", "debian:12:amd64\n",
		"debian:12 :amd64", "debian:12%2f:amd64", "debian:12::amd64", "d\xc3\xa9:12:amd64",
		"debian:12345678901234567890123456789012345678901234567890123456789012345:amd64",
	};
	struct base_id *base = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (base_id_check(bad[i]) != -BSI_E_FORMAT)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(base_id_parse(bad[i], &base), -BSI_E_FORMAT);
		assert_null(base);
	}
}

struct release_row {
	const char *text, *want; /* NULL: -BSI_E_BASE */
};

static void test_base_id_from_os_release(void **state)
{
	static const struct release_row rows[] = {
		{"ID=debian\nVERSION_ID=\"12\"\n", "debian:12:amd64"},
		{"# ID=x\n ID='ubuntu'\r\nVERSION_ID=\"24.04\"", "ubuntu:24.04:amd64"},
		{"ID=a\nID=poky\nVERSION_ID=5\nBUILD_ID=77\n", "poky:5:77:amd64"},
		{"ID=poky\nVERSION_ID=5\nBUILD_ID=77\nIMAGE_VERSION=9\n", "poky:5:9:amd64"},
		{"ID=poky\nVERSION_ID=5\nIMAGE_VERSION=\n", "poky:5:amd64"},
		{"XID=no\nID=\"de\\bian\"\nVERSION_ID=12\n", "debian:12:amd64"},
		{"", NULL},
		{"VERSION_ID=12\n", NULL},
		{"ID=debian\n", NULL},
		{"ID=debian\nVERSION_ID=\n", NULL},
		{"ID=\"debian\nVERSION_ID=12\n", NULL},
		{"ID=debian\nVERSION_ID=\"12\"x\n", NULL},
		{"ID=debian\nVERSION_ID=1/2\n", NULL},
		{"ID=debian\nVERSION_ID=$(id)\n", NULL},
		{"ID=debian\nVERSION_ID=12\\", NULL},
		{"ID=De\nVERSION_ID=12\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_FREE char *base = NULL;
		struct error e = {0};
		int r = base_id_from_os_release(rows[i].text, strlen(rows[i].text), "amd64", &base,
			&e);

		if (!rows[i].want) {
			assert_int_equal(r, -BSI_E_BASE);
			assert_null(base);
			assert_true(e.text[0] != '\0');
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(base, rows[i].want);
	}
}

static void test_os_release_value_is_unquoted(void **state)
{
	static const char text[] = "NAME=\"Debian \\\"GNU\\\"/Linux\"\nA='x\\y'\nB=\n";
	AUTO_FREE char *name = NULL, *a = NULL, *b = NULL, *c = NULL;

	(void)state;
	assert_int_equal(os_release_get(text, strlen(text), "NAME", &name), 0);
	assert_string_equal(name, "Debian \"GNU\"/Linux");
	assert_int_equal(os_release_get(text, strlen(text), "A", &a), 0);
	assert_string_equal(a, "x\\y");
	assert_int_equal(os_release_get(text, strlen(text), "B", &b), 0);
	assert_string_equal(b, "");
	assert_int_equal(os_release_get(text, strlen(text), "NAM", &c), -ENOENT);
	assert_int_equal(os_release_get(text, OS_RELEASE_MAX_BYTES + 1, "A", &c), -BSI_E_LIMIT);
	assert_null(c);
}

/* Every cut of the text is read within its bounds (the sanitizers watch) or refused. */
static void test_os_release_survives_truncation(void **state)
{
	static const char text[] = "ID=\"debian\"\nVERSION_ID='12'\nBUILD_ID=a\\b\n";

	(void)state;
	for (size_t len = 0; len <= strlen(text); len++) {
		AUTO_FREE char *copy = malloc(len + 1), *base = NULL;
		int r;

		assert_non_null(copy);
		memcpy(copy, text, len);
		copy = realloc(copy, len ? len : 1);
		r = base_id_from_os_release(copy, len, "amd64", &base, NULL);
		assert_true(r == 0 || r == -BSI_E_BASE);
		assert_true((r == 0) == (base != NULL));
	}
}

static void test_base_id_arch_names_packages(void **state)
{
	(void)state;
	assert_string_equal(base_id_arch("x86_64"), "amd64");
	assert_string_equal(base_id_arch("aarch64"), "arm64");
	assert_string_equal(base_id_arch("riscv64"), "riscv64");
}

static void test_target_is_one_name_below_the_base(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", ".x", "a b", "a%2fb", "\xc3\xa4"};
	AUTO_FREE char *path = NULL;

	(void)state;
	assert_int_equal(base_id_target("debian:12:amd64", "index.json", &path), 0);
	assert_string_equal(path, "debian:12:amd64/index.json");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_FREE char *none = NULL;

		assert_int_equal(base_id_target("debian:12:amd64", bad[i], &none), -BSI_E_PATH);
		assert_null(none);
	}
	{
		AUTO_FREE char *none = NULL;

		assert_int_equal(base_id_target("debian", "index.json", &none), -BSI_E_PATH);
		assert_null(none);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base_id_round_trips),
		cmocka_unit_test(test_base_id_refuses),
		cmocka_unit_test(test_base_id_from_os_release),
		cmocka_unit_test(test_os_release_value_is_unquoted),
		cmocka_unit_test(test_os_release_survives_truncation),
		cmocka_unit_test(test_base_id_arch_names_packages),
		cmocka_unit_test(test_target_is_one_name_below_the_base),
	};

	return cmocka_run_group_tests_name("base-id", tests, NULL, NULL);
}
