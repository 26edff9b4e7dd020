/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "publish/changelog.h"

static const char log_text[] =
	"x (1.0-4) stable-security; urgency=high\n"
	"\n"
	"  * CVE-2026-0004: revert the fix of the release before,\n"
	"    it broke things.\n"
	"  * Fix cve-2026-00005 and CVE-2026-1234567890\n"
	"    (CVE-2026-0006).\n"
	"\n"
	" -- A <a@b>  Thu, 01 Jan 2026 00:00:00 +0000\n"
	"\n"
	"x (1.0-3) stable-security; urgency=high\n"
	"\n"
	"  [ B ]\n"
	"  * Several:\n"
	"    - CVE-2026-0003 (a flaw)\n"
	"    - not affected by CVE-2026-0007\n"
	"    - CVE-2026-12 and CVE-26-0001 are no ids, nor is XCVE-2026-\n"
	"\n"
	" -- A <a@b>  Thu, 01 Jan 2026 00:00:00 +0000\n"
	"\n"
	"x (1.0-2) stable; urgency=low\n"
	"\n"
	"  * CVE-2025-0001 long ago.\n"
	"\n"
	" -- A <a@b>  Thu, 01 Jan 2026 00:00:00 +0000\n";

static const struct changelog_mention *find(const struct changelog *c, const char *id)
{
	for (size_t i = 0; i < c->n_mentions; i++)
		if (strcmp(c->mentions[i].id, id) == 0)
			return &c->mentions[i];
	return NULL;
}

static void test_changelog_between(void **state)
{
	struct changelog c;

	(void)state;
	assert_int_equal(changelog_read(log_text, strlen(log_text), "1.0-2", "1.0-4", &c), 0);
	assert_int_equal(c.n_entries, 2);
	assert_int_equal(c.n_mentions, 6);
	assert_non_null(find(&c, "CVE-2026-00005"));
	assert_non_null(find(&c, "CVE-2026-1234567890"));
	assert_null(find(&c, "CVE-2025-0001"));
	assert_string_equal(find(&c, "CVE-2026-0003")->version, "1.0-3");
	assert_string_equal(find(&c, "CVE-2026-0003")->line, "- CVE-2026-0003 (a flaw)");
	changelog_done(&c);
}

static void test_changelog_doubt(void **state)
{
	struct changelog c;

	(void)state;
	assert_int_equal(changelog_read(log_text, strlen(log_text), "1.0-1", "1.0-4", &c), 0);
	assert_true(find(&c, "CVE-2026-0004")->is_check);
	assert_true(find(&c, "CVE-2026-0007")->is_check);
	/* the next item's words are not this one's */
	assert_false(find(&c, "CVE-2026-00005")->is_check);
	assert_false(find(&c, "CVE-2026-0003")->is_check);
	changelog_done(&c);
}

static void test_changelog_bounds(void **state)
{
	static const struct {
		const char *after, *upto;
		size_t n_entries;
	} rows[] = {
		{"1.0-4", "1.0-4", 0}, {"1.0-3", "1.0-4", 1}, {"1.0-2", "1.0-3", 1},
		{"0", "9", 3}, {"1.0-2~bpo1", "1.0-2", 1}, {"2", "3", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct changelog c;

		assert_int_equal(changelog_read(log_text, strlen(log_text), rows[i].after,
					 rows[i].upto, &c),
			0);
		assert_int_equal(c.n_entries, rows[i].n_entries);
		changelog_done(&c);
	}
}

static void test_changelog_truncation_and_flips(void **state)
{
	char text[sizeof log_text];

	(void)state;
	for (size_t len = 0; len < strlen(log_text); len++) {
		struct changelog c;

		assert_int_equal(changelog_read(log_text, len, "0", "9", &c), 0);
		changelog_done(&c);
	}
	for (size_t bit = 0; bit < strlen(log_text) * 8; bit++) {
		struct changelog c;

		memcpy(text, log_text, sizeof log_text);
		text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
		assert_int_equal(changelog_read(text, strlen(log_text), "0", "9", &c), 0);
		changelog_done(&c);
	}
}

/* What is shown goes to terminals and into JSON, whatever the changelog holds. */
static void test_changelog_shown_line(void **state)
{
	static const struct {
		const char *line, *shown;
	} rows[] = {
		{"CVE-2026-0001 \033[31mred\177", "CVE-2026-0001 ?[31mred?"},
		{"CVE-2026-0001 \xc3\xa4 \xe2\x82\xac", "CVE-2026-0001 \xc3\xa4 \xe2\x82\xac"},
		{"CVE-2026-0001 \xc3", "CVE-2026-0001 ?"},
		{"CVE-2026-0001 \xc2\x9b" "1m", "CVE-2026-0001 ??1m"},
		{"CVE-2026-0001 \xed\xa0\x80 \xff", "CVE-2026-0001 ??? ?"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct changelog c;
		char text[256];

		(void)snprintf(text, sizeof text, "x (1) s; u\n\n  %s\n", rows[i].line);
		assert_int_equal(changelog_read(text, strlen(text), "0", "2", &c), 0);
		assert_int_equal(c.n_mentions, 1);
		assert_string_equal(c.mentions[0].line, rows[i].shown);
		changelog_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changelog_between),
		cmocka_unit_test(test_changelog_doubt),
		cmocka_unit_test(test_changelog_bounds),
		cmocka_unit_test(test_changelog_shown_line),
		cmocka_unit_test(test_changelog_truncation_and_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
