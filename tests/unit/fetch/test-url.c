/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "fetch/url.h"

static void test_check_accepts_repositories(void **state)
{
	static const char *const good[] = {
		"http://updates.example.org",
		"https://updates.example.org/",
		"https://updates.example.org:8443/bsi/debian",
		"HTTPS://Updates.Example.org/bsi",
		"http://192.0.2.1:80/x",
		"http://[2001:db8::1]:8080/x",
		"http://localhost/a%20b/%C3%A9",
		"http://localhost/..a/b../...",
		"file:///srv/bsi",
		"file:///media/disk%20one/bsi",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct error e = {};

		if (fetch_url_check(good[i], &e) != 0)
			fail_msg("%s: %s", good[i], e.text);
	}
}

static void test_check_refuses_with_reason(void **state)
{
	static const struct {
		const char *url, *words;
	} bad[] = {
		{"", "not an address"},
		{"updates.example.org", "not an address"},
		{"ftp://example.org/", "not an address"},
		{"/srv/bsi", "not an address"},
		{"file://srv/bsi", "not an address"},
		{"http:/example.org", "not an address"},
		{"http://user@example.org/", "user name or password"},
		{"http://user:secret@example.org/", "user name or password"},
		{"http://:secret@example.org/", "user name or password"},
		{"http://example.org/?token=secret", "query"},
		{"http://example.org?x", "query"},
		{"http://example.org/#part", "fragment"},
		{"http://example.org/a/../b", "\"..\""},
		{"http://example.org/a/./b", "\"..\""},
		{"http://example.org/..", "\"..\""},
		{"http://example.org/%2e%2E/b", "\"..\""},
		{"http://example.org/a%2f..%2fb", "\"..\""},
		{"file:///srv/../etc", "\"..\""},
		{"file:///srv/%2e%2e/etc", "\"..\""},
		{"http://example.org/%", "percent"},
		{"http://example.org/%4", "percent"},
		{"http://example.org/%zz", "percent"},
		{"http://example.org/%00", "percent"},
		{"http://example.org/a b", "no place"},
		{"http://example.org/a\tb", "no place"},
		{"http://example.org/a\r\nHost: x", "no place"},
		{"http://example.org/\xc3\xa9", "no place"},
		{"http://example.org/a\\b", "no place"},
		{"http://example.org:0x50/", "port"},
		{"http://example.org:65536/", "port"},
		{"http:///path", "not an address"},
		{"http://", "host"},
		{"http://?", "host"},
		{"http://[::1/x", "host"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error e = {};

		if (fetch_url_check(bad[i].url, &e) != -BSI_E_USAGE)
			fail_msg("%s: accepted", bad[i].url);
		if (!strstr(e.text, bad[i].words))
			fail_msg("%s: no \"%s\" in: %s", bad[i].url, bad[i].words, e.text);
		assert_null(strstr(e.text, "secret"));
	}
}

static void test_check_refuses_long(void **state)
{
	char url[FETCH_URL_MAX_BYTES + 2];
	struct error e = {};

	(void)state;
	memset(url, 'x', sizeof url);
	memcpy(url, "http://h/", 9);
	url[FETCH_URL_MAX_BYTES] = '\0';
	assert_int_equal(fetch_url_check(url, &e), 0);
	url[FETCH_URL_MAX_BYTES] = 'x';
	url[FETCH_URL_MAX_BYTES + 1] = '\0';
	assert_int_equal(fetch_url_check(url, &e), -BSI_E_USAGE);
	assert_non_null(strstr(e.text, "longer than 2048"));
}

static void test_check_survives_truncation_and_flips(void **state)
{
	const char *whole = "https://[2001:db8::1]:8443/bsi/a%20b/%C3%A9x";

	(void)state;
	for (size_t n = 0; n <= strlen(whole); n++) {
		AUTO_FREE char *cut = strndup(whole, n);

		/* Nothing before "://" and a host is complete. */
		assert_true(
			fetch_url_check(cut, NULL) != 0 || n > strlen("https://[2001:db8::1]") - 1);
	}
	for (size_t bit = 0; bit < strlen(whole) * 8; bit++) {
		AUTO_FREE char *flipped = strdup(whole);
		enum fetch_url_scheme scheme = FETCH_URL_FILE;

		flipped[bit / 8] = (char)(flipped[bit / 8] ^ (1 << (bit % 8)));
		if (fetch_url_check_request(flipped, &scheme, NULL) == 0)
			assert_int_equal(scheme, FETCH_URL_HTTPS);
	}
}

static void test_join_puts_one_slash(void **state)
{
	static const struct {
		const char *base, *path, *joined;
	} rows[] = {
		{"http://h", "metadata/1.root.json", "http://h/metadata/1.root.json"},
		{"http://h/", "metadata/1.root.json", "http://h/metadata/1.root.json"},
		{"http://h/a//", "//b", "http://h/a/b"},
		{"file:///srv/bsi/", "targets/debian%3A12%3Aamd64/x",
			"file:///srv/bsi/targets/debian%3A12%3Aamd64/x"},
		{"http://h/a", "", "http://h/a/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_FREE char *joined = fetch_url_join(rows[i].base, rows[i].path);

		assert_string_equal(joined, rows[i].joined);
	}
}

static void test_redirect_stays_on_the_server(void **state)
{
	static const struct {
		const char *url, *location, *to; /* NULL: refused */
		bool may_be_refused;             /* by an older libcurl, which resolves less */
	} rows[] = {
		{"http://h/a/b", "/c", "http://h/c"},
		{"http://h/a/b", "c", "http://h/a/c"},
		{"http://h/a/b", "../c", "http://h/c"},
		{"http://h/a/b", "http://h/c", "http://h/c"},
		{"http://h/a/b", "http://H:80/c", "http://H:80/c"},
		{"http://h:80/a/b", "//h/c", "http://h/c"},
		{"http://h/a", "/c?sig=1#part", "http://h/c?sig=1"},
		{"https://h:8443/a", "https://h:8443/b", "https://h:8443/b"},
		{"http://h/a", "http://i/a", NULL},
		{"http://h/a", "//i/a", NULL},
		{"http://h/a", "http://h:81/a", NULL},
		{"http://h/a", "https://h/a", NULL},
		{"https://h/a", "http://h/a", NULL},
		{"https://h/a", "http://h:443/a", NULL},
		{"http://h/a", "file:///etc/passwd", NULL},
		{"http://h/a", "gopher://h/", NULL},
		{"http://h/a", "http://user:secret@h/b", NULL},
		{"http://h/a", "http://h.evil.invalid/a", NULL},
		{"http://h/a", "/b c", NULL},
		{"http://h/a", "/\x1b[31m", NULL},
		{"http://h/a", "/%00", NULL},
		{"http://h/a", "/%2e%2e/b", "http://h/b", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_FREE char *to = NULL;
		struct error e = {};
		int r = fetch_url_redirect(rows[i].url, rows[i].location, &to, &e);

		if (rows[i].may_be_refused && r == -BSI_E_TRANSFER)
			continue;
		if (r != (rows[i].to ? 0 : -BSI_E_TRANSFER))
			fail_msg("%s to %s: %d", rows[i].url, rows[i].location, r);
		if (rows[i].to)
			assert_string_equal(to, rows[i].to);
		else
			assert_null(strstr(e.text, "secret"));
	}
}

static void test_local_path_is_decoded(void **state)
{
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *none = NULL;
	struct error e = {};

	(void)state;
	assert_int_equal(fetch_url_local_path("file:///media/disk%20one/%C3%A9", &path, &e), 0);
	assert_string_equal(path, "/media/disk one/\xc3\xa9");
	assert_int_equal(fetch_url_local_path("http://h/x", &none, &e), -BSI_E_TRANSFER);
	assert_int_equal(fetch_url_local_path("file:///a%00b", &none, &e), -BSI_E_TRANSFER);
	assert_int_equal(fetch_url_local_path("file:///a/%2e%2e/b", &none, &e), -BSI_E_TRANSFER);
	assert_null(none);
}

static void test_shown_hides_and_escapes(void **state)
{
	static const struct {
		const char *url, *shown;
	} rows[] = {
		{"http://h/a", "http://h/a"},
		{"http://user:secret@h/a", "http://...@h/a"},
		{"http://user:sec@ret@h/a@b", "http://...@h/a@b"},
		{"http://user:se?cret@h/a", "http://...@h/a"},
		{"http://h/a?token=secret", "http://h/a?..."},
		{"http://h/a?", "http://h/a?..."},
		{"http://h/\x1b[2J \xc3", "http://h/%1B[2J%20%C3"},
		{"nothing", "nothing"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(fetch_url_shown(rows[i].url).text, rows[i].shown);
}

static void test_shown_cuts(void **state)
{
	char url[4096];
	struct fetch_url_shown shown;

	(void)state;
	for (size_t n = FETCH_URL_SHOWN_BYTES - 12; n < FETCH_URL_SHOWN_BYTES + 12; n++) {
		for (size_t i = 0; i < n; i++)
			url[i] = i % 3 ? 'x' : '\x01';
		url[n] = '\0';
		shown = fetch_url_shown(url);
		assert_true(strlen(shown.text) < sizeof shown.text);
		assert_string_equal(shown.text + strlen(shown.text) - 3, "...");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_accepts_repositories),
		cmocka_unit_test(test_check_refuses_with_reason),
		cmocka_unit_test(test_check_refuses_long),
		cmocka_unit_test(test_check_survives_truncation_and_flips),
		cmocka_unit_test(test_join_puts_one_slash),
		cmocka_unit_test(test_redirect_stays_on_the_server),
		cmocka_unit_test(test_local_path_is_decoded),
		cmocka_unit_test(test_shown_hides_and_escapes),
		cmocka_unit_test(test_shown_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
