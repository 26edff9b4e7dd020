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

/* One id, in entries as they are written, and whether a person must read them. */
static void test_changelog_doubt_of_items(void **state)
{
	static const struct {
		const char *body;
		bool is_check;
	} rows[] = {
		{"  * Revert the following patches:\n    - CVE-2026-0001.patch\n", true},
		{"  * Revert the following patches:\n  - CVE-2026-0001.patch\n", true},
		{"  Revert the following patches:\n  * CVE-2026-0001.patch\n", true},
		{"  * Revert the following patches:\n\n    + a:\n      ~ CVE-2026-0001.patch\n", true},
		{"  * CVE-2026-0001:\n    - the patch was backed out\n", true},
		{"  * Drop CVE-2026-0001.patch, it breaks things\n", true},
		{"  * Dropped CVE-2026-0001.patch\n", true},
		{"  * d/p/CVE-2026-0001.patch: remove\n", true},
		{"  * CVE-2026-0001: removed for now.\n", true},
		{"  * Removing CVE-2026-0001.patch\n", true},
		{"  * Disable the fix of CVE-2026-0001\n", true},
		{"  * Back out CVE-2026-0001\n", true},
		{"  * This undoes CVE-2026-0001\n", true},
		{"  * Reintroduces CVE-2026-0001\n", true},
		{"  * Postponed: CVE-2026-0001\n", true},
		{"  * Ignore CVE-2026-0001\n", true},
		{"  * The fix for CVE-2026-0001 is no longer applied\n", true},
		{"  * We are not\n    affected by CVE-2026-0001\n", true},
		{"  * CVE-2026-0001: this was\n  reverted\n", true},
		/* what is beside it does not matter */
		{"  * Revert a thing\n  * CVE-2026-0001\n", false},
		{"  * Revert:\n    - a thing\n  * CVE-2026-0001\n", false},
		{"  * Fixes:\n    - CVE-2026-0001\n    - drop debian/compat\n", false},
		{"  * Drop debian/compat:\n\n  [ A ]\n  * CVE-2026-0001\n", false},
		/* openssl, curl, webkit2gtk, git, gnutls28, nginx */
		{"  * CVE-2026-0001 (\"AES-OCB IV Ignored on EVP_Cipher() Path\")\n", false},
		{"  * Fix 7 CVEs:\n    - CVE-2026-0001\n    - CVE-2025-14524\n", false},
		{"    - CVE-2026-0001: When a protocol selection parameter disables all\n"
		 "      protocols without adding any\n", false},
		{"    + Fix:\n      ~ CVE-2026-0001: HSTS ignored on multiple requests\n", false},
		{"    + Fix:\n      ~ curl removes wrong file on error (CVE-2026-0001)\n", false},
		{"  * The WSA-2025-0007 advisory lists the following security fixes in the\n"
		 "    latest versions of WebKitGTK:\n    - CVE-2026-0001 (fixed in 2.50.0).\n", false},
		{"  * new upstream point release (see RelNotes/2.39.3.txt,\n"
		 "    RelNotes/2.39.5.txt).  Addresses\n    CVE-2026-0001, CVE-2023-25815\n", false},
		{"  * 55_02-rsa-remove-dead-code.patch 55_03.patch:\n"
		 "    Effectively update to 3.7.9, fixing CVE-2026-0001\n", false},
		{"  * Backport security fixes from upstream 1.30.6:\n"
		 "    - d/p/CVE-2026-0001.patch: reject URI to path mapping with alias\n", false},
		{"  * An undocumented thing (CVE-2026-0001)\n", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct changelog c;
		char text[512];

		(void)snprintf(text, sizeof text, "x (1) s; u\n\n%s\n -- A <a@b>  now\n",
			rows[i].body);
		assert_int_equal(changelog_read(text, strlen(text), "0", "2", &c), 0);
		assert_non_null(find(&c, "CVE-2026-0001"));
		if (find(&c, "CVE-2026-0001")->is_check != rows[i].is_check)
			print_message("%s", rows[i].body);
		assert_int_equal(find(&c, "CVE-2026-0001")->is_check, rows[i].is_check);
		changelog_done(&c);
	}
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
		cmocka_unit_test(test_changelog_doubt_of_items),
		cmocka_unit_test(test_changelog_bounds),
		cmocka_unit_test(test_changelog_shown_line),
		cmocka_unit_test(test_changelog_truncation_and_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
