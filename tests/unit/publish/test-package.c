/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "publish/package.h"

static const char control[] = "Package: libx1\n"
			      "source: x (2.0-1)\n"
			      "Version: 1:2.0-1+b1\n"
			      "Architecture: amd64\n"
			      "Depends: libc6 (>= 2.36), libx-common (= 1:2.0-1+b1),\n"
			      " libother:any (= 3) | libthird\n"
			      "Pre-Depends: dpkg\n"
			      "Description: a library\n"
			      " Package: not this one\n";

static void test_package_fields(void **state)
{
	struct package p;

	(void)state;
	assert_int_equal(package_parse(control, strlen(control), &p, NULL), 0);
	assert_string_equal(p.name, "libx1");
	assert_string_equal(p.version, "1:2.0-1+b1");
	assert_string_equal(p.source, "x");
	assert_string_equal(p.source_version, "2.0-1");
	assert_string_equal(p.architecture, "amd64");
	assert_true(p.installed);
	assert_true(package_depends_strictly(&p, "libx-common", "1:2.0-1+b1"));
	assert_true(package_depends_strictly(&p, "libother", "3"));
	assert_false(package_depends_strictly(&p, "libx-common", "1:2.0-1"));
	assert_false(package_depends_strictly(&p, "libx", "1:2.0-1+b1"));
	assert_false(package_depends_strictly(&p, "libc6", "2.36"));
	package_done(&p);
}

static void test_package_own_source(void **state)
{
	static const char text[] = "Package: x\nVersion: 1\nArchitecture: all\n"
				   "Status: install ok installed\n";
	struct package p;

	(void)state;
	assert_int_equal(package_parse(text, strlen(text), &p, NULL), 0);
	assert_string_equal(p.source, "x");
	assert_string_equal(p.source_version, "1");
	assert_true(p.installed);
	package_done(&p);
}

static void test_package_status(void **state)
{
	static const struct {
		const char *status;
		bool installed, is_broken;
	} rows[] = {
		{"install ok installed", true, false},
		{"hold ok installed", true, false},
		/* other packages' scripts are to run; its own files are there */
		{"install ok triggers-pending", true, false},
		{"install ok triggers-awaited", true, false},
		{"deinstall ok config-files", false, false},
		{"purge ok not-installed", false, false},
		{"install ok half-installed", false, true},
		{"install ok unpacked", false, true},
		{"install ok half-configured", false, true},
		{"install reinstreq installed", false, true},
		{"install ok something-new", false, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct package p;
		char text[256];

		(void)snprintf(text, sizeof text,
			"Package: x\nStatus: %s\nVersion: 1\nArchitecture: all\n", rows[i].status);
		assert_int_equal(package_parse(text, strlen(text), &p, NULL), 0);
		assert_int_equal(p.installed, rows[i].installed);
		assert_int_equal(p.is_broken, rows[i].is_broken);
		package_done(&p);
	}
}

static void test_package_refusals(void **state)
{
	static const char *const bad[] = {
		"", "\n", "Package: x\n", "Package: x\nVersion: 1\n",
		"Package: ../x\nVersion: 1\nArchitecture: all\n",
		"Package: x\nVersion: 1/2\nArchitecture: all\n",
		"Package: x\nVersion: 1\nArchitecture: a b\n",
		"Version: 1\nArchitecture: all\n Package: x\n",
		"Package: X\nVersion: 1\nArchitecture: all\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error e = {};
		struct package p;

		assert_int_equal(package_parse(bad[i], strlen(bad[i]), &p, &e), -BSI_E_FORMAT);
		assert_true(e.text[0] != '\0');
	}
}

static void test_package_truncation_and_flips(void **state)
{
	char text[sizeof control];

	(void)state;
	for (size_t len = 0; len < strlen(control); len++) {
		struct package p;

		if (package_parse(control, len, &p, NULL) == 0)
			package_done(&p);
	}
	for (size_t bit = 0; bit < strlen(control) * 8; bit++) {
		struct package p;

		memcpy(text, control, sizeof control);
		text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
		if (package_parse(text, strlen(control), &p, NULL) == 0)
			package_done(&p);
	}
}

static void test_package_paragraphs(void **state)
{
	static const char text[] = "\nA: 1\nB: 2\n\n\nC: 3";
	const char *at = text, *end = text + strlen(text), *found;

	(void)state;
	assert_int_equal(package_paragraph(&at, end, &found), 10);
	assert_memory_equal(found, "A: 1\nB: 2\n", 10);
	assert_int_equal(package_paragraph(&at, end, &found), 4);
	assert_memory_equal(found, "C: 3", 4);
	assert_int_equal(package_paragraph(&at, end, &found), 0);
}

static void test_package_upstream(void **state)
{
	static const char *const rows[][2] = {
		{"1:2.0-1+b1", "2.0"}, {"3.0.17", "3.0.17"}, {"1.2-rc-3", "1.2-rc"}, {"2:1", "1"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *upstream = package_upstream(rows[i][0]);

		assert_string_equal(upstream, rows[i][1]);
		free(upstream);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_package_fields),
		cmocka_unit_test(test_package_own_source),
		cmocka_unit_test(test_package_status),
		cmocka_unit_test(test_package_refusals),
		cmocka_unit_test(test_package_truncation_and_flips),
		cmocka_unit_test(test_package_paragraphs),
		cmocka_unit_test(test_package_upstream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
