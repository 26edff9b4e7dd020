/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Digests, hex, paths, times and error words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/path.h"
#include "base/text.h"
#include "base/utc.h"

static void test_digest_is_sha256(void **state)
{
	/* FIPS 180-4, example "abc" */
	static const char *const abc =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	AUTO(hasher) struct hasher *h = NULL;
	struct digest whole, pieces, parsed;

	(void)state;
	assert_int_equal(digest_of("abc", 3, &whole), 0);
	assert_string_equal(digest_format(&whole).text, abc);
	assert_int_equal(hasher_new(&h), 0);
	for (unsigned again = 0; again < 2; again++) { /* a hasher starts again after its final */
		hasher_update(h, "a", 1);
		hasher_update(h, "bc", 2);
		assert_int_equal(hasher_final(h, &pieces), 0);
		assert_true(digest_equal(&whole, &pieces));
	}
	assert_int_equal(digest_parse(abc, &parsed), 0);
	assert_true(digest_equal(&whole, &parsed));
}

static void test_digest_text_is_strict(void **state)
{
	struct digest d;
	char text[DIGEST_HEX_LEN + 2];

	(void)state;
	memset(text, 'a', sizeof text);
	text[DIGEST_HEX_LEN] = '\0';
	assert_int_equal(digest_parse(text, &d), 0);
	text[3] = 'A';
	assert_int_equal(digest_parse(text, &d), -BSI_E_FORMAT);
	text[3] = 'g';
	assert_int_equal(digest_parse(text, &d), -BSI_E_FORMAT);
	text[3] = 'a';
	text[DIGEST_HEX_LEN - 1] = '\0';
	assert_int_equal(digest_parse(text, &d), -BSI_E_FORMAT);
}

static void test_paths_stay_below_their_root(void **state)
{
	static const char *const good[] = {"usr", "usr/lib/x.so.1", "a b/c", ".hidden", "..."};
	static const char *const bad[] = {"", "/usr", "usr/", "usr//lib", ".", "..", "usr/../etc",
		"usr/./lib", "../x", "a\nb", "a\x7f"};
	char long_name[PATH_NAME_MAX_BYTES + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(path_check(good[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(path_check(bad[i]), -BSI_E_PATH);
	memset(long_name, 'x', sizeof long_name);
	long_name[PATH_NAME_MAX_BYTES + 1] = '\0';
	assert_int_equal(path_check(long_name), -BSI_E_PATH);
	long_name[PATH_NAME_MAX_BYTES] = '\0';
	assert_int_equal(path_check(long_name), 0);

	assert_true(path_is_below("usr/lib", "usr"));
	assert_true(path_is_below("usr", "usr"));
	assert_false(path_is_below("usrlocal/x", "usr"));
	assert_string_equal(path_name("usr/lib/x"), "x");
	assert_string_equal(path_name("x"), "x");
}

static void test_times_are_exact(void **state)
{
	static const char *const bad[] = {"2026-11-24T10:00:00", "2026-11-24T10:00:00+00:00",
		"2026-11-24T10:00:00.5Z", "2026-02-30T10:00:00Z", "2026-11-24 10:00:00Z",
		"2026-13-01T00:00:00Z", "2026-11-24T24:00:00Z", "+026-11-24T10:00:00Z", ""};
	int64_t utc_s = 0;

	(void)state;
	assert_int_equal(utc_parse("2026-11-24T10:20:30Z", &utc_s), 0);
	assert_true(utc_s == 1795515630);
	assert_string_equal(utc_format(utc_s).text, "2026-11-24T10:20:30Z");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(utc_parse(bad[i], &utc_s), -BSI_E_FORMAT);
	assert_true(utc_s == 1795515630);
}

static void test_error_words_carry_no_control_bytes(void **state)
{
	struct error e;
	char id[32];

	(void)state;
	assert_int_equal(error_set(&e, -BSI_E_ROLLBACK, "file %s", "a\033[31mb\n"),
		-BSI_E_ROLLBACK);
	assert_string_equal(e.text, "file a?[31mb?");
	error_prefix(&e, "x%d", 1);
	assert_int_equal(e.code, -BSI_E_ROLLBACK);
	assert_string_equal(e.text, "x1: file a?[31mb?");
	error_id(-BSI_E_ROLLBACK, id, sizeof id);
	assert_string_equal(id, "rollback");
	error_id(-ENOSPC, id, sizeof id);
	assert_string_equal(id, "errno-28");
	assert_int_equal(error_set(NULL, -EIO, "nobody listens"), -EIO);
}

static void test_text_is_cleaned(void **state)
{
	static const struct {
		const char *dirty, *clean;
	} rows[] = {
		{"plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\x1b[31m\n\x7f", "?[31m??"},
		{"\xc2\x9b" "31m", "??31m"},      /* CSI as one C1 character */
		{"\xff\xfe" "a", "??a"},          /* never in UTF-8 */
		{"\xc0\xaf" "b", "??b"},          /* overlong */
		{"\xe0\x80\xaf" "b", "???b"},     /* overlong */
		{"\xed\xa0\x80", "???"},         /* a surrogate */
		{"\xf4\x90\x80\x80", "????"},    /* beyond U+10FFFF */
		{"\xe2\x82", "??"},              /* cut */
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[64];

		(void)snprintf(text, sizeof text, "%s", rows[i].dirty);
		text_clean(text);
		assert_string_equal(text, rows[i].clean);
	}
}

static void test_every_verdict_has_words_and_a_status(void **state)
{
	(void)state;
	for (int code = BSI_E_FORMAT; code < BSI_E_MAX; code++) {
		char id[32];

		error_id(-code, id, sizeof id);
		assert_true(strncmp(id, "errno", 5) != 0);
		assert_true(strlen(error_text(-code)) > 0);
		assert_in_range(error_exit_status(-code), 1, 99);
	}
	assert_int_equal(error_exit_status(0), 0);
	assert_int_equal(error_exit_status(-ENOSPC), 8);
	assert_int_equal(error_exit_status(-EIO), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest_is_sha256),
		cmocka_unit_test(test_digest_text_is_strict),
		cmocka_unit_test(test_paths_stay_below_their_root),
		cmocka_unit_test(test_times_are_exact),
		cmocka_unit_test(test_text_is_cleaned),
		cmocka_unit_test(test_error_words_carry_no_control_bytes),
		cmocka_unit_test(test_every_verdict_has_words_and_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
