/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "publish/foundation.h"
#include "publish/record.h"

#define BASE "debian:12:amd64"

static const char example[] =
	"{\"format\": \"bsi-record\", \"version\": 1,"
	" \"roles\": {\"root\": 2, \"timestamp\": 40, \"debian:12:amd64\": 7},"
	" \"bases\": {\"debian:12:amd64\": {\"letter\": \"c\", \"build\": 3}}}";

static void write_record(const char *folder, const void *data, size_t len)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_replace(fd, RECORD_FILE, data, len, 0600), 0);
	close(fd);
}

static int load(const char *folder, const void *data, size_t len)
{
	struct record *record = NULL;
	struct error e = {};
	int r;

	write_record(folder, data, len);
	r = record_load(folder, &record, &e);
	if (r < 0) {
		assert_null(record);
		assert_int_equal(e.code, r);
		assert_non_null(strstr(e.text, RECORD_FILE));
	}
	record_free(record);
	return r;
}

static void test_decodes(void **unused)
{
	char *folder = fixture_folder();
	struct record *record = NULL;
	struct error e = {};
	uint64_t build;

	(void)unused;
	assert_int_equal(record_load(folder, &record, &e), 0);
	assert_int_equal(record_version(record, "root"), 0);
	assert_null(record_letter(record, BASE, &build));
	assert_int_equal(build, 0);
	record_free(record);

	write_record(folder, example, sizeof example - 1);
	assert_int_equal(record_load(folder, &record, &e), 0);
	assert_int_equal(record_version(record, "root"), 2);
	assert_int_equal(record_version(record, BASE), 7);
	assert_int_equal(record_version(record, "snapshot"), 0);
	assert_string_equal(record_letter(record, BASE, &build), "c");
	assert_int_equal(build, 3);
	record_free(record);
	fixture_remove(folder);
}

static void test_damage(void **unused)
{
	static const char *const bad[] = {
		"{\"format\": \"bsi-record\", \"version\": 2, \"roles\": {}, \"bases\": {}}",
		"{\"format\": \"bsi-index\", \"version\": 1, \"roles\": {}, \"bases\": {}}",
		"{\"format\": \"bsi-record\", \"version\": 1, \"roles\": {}}",
		"{\"format\": \"bsi-record\", \"version\": 1, \"roles\": [], \"bases\": {}}",
		"{\"format\": \"bsi-record\", \"version\": 1, \"roles\": {\"a\": -1}, \"bases\": {}}",
		"{\"format\": \"bsi-record\", \"version\": 1, \"roles\": {}, \"bases\": {\"a\": 1}}",
		("{\"format\": \"bsi-record\", \"version\": 1, \"roles\": {}, "
		 "\"bases\": {\"a\": {\"letter\": \"?\", \"build\": 1}}}"),
	};
	char *folder = fixture_folder();
	uint8_t bytes[sizeof example];

	(void)unused;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_true(load(folder, bad[i], strlen(bad[i])) < 0);
	assert_int_equal(load(folder, example, sizeof example - 1), 0);
	for (size_t len = 0; len + 1 < sizeof example; len++)
		assert_true(load(folder, example, len) < 0);
	/* another digit or name may still be a record: it must only be whole or refused */
	for (size_t i = 0; i + 1 < sizeof example; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(bytes, example, sizeof example);
			bytes[i] ^= (uint8_t)(1 << bit);
			(void)load(folder, bytes, sizeof example - 1);
		}
	fixture_remove(folder);
}

/* A repository at its first versions, and records before, at and after that. */
static void test_checks(void **unused)
{
	const struct foundation_base bases[] = {{.id = BASE}};
	char *folder = fixture_folder();
	char path[256], keys[256], online[256];
	const struct foundation f = {.path = path, .keys_path = keys, .online_path = online,
		.bases = bases, .n_bases = 1, .threshold = 1, .n_keys = 1, .now_utc_s = 1800000000};
	struct repository *r = NULL;
	struct record *record = NULL;
	struct error e = {};

	(void)unused;
	(void)snprintf(path, sizeof path, "%s/r", folder);
	(void)snprintf(keys, sizeof keys, "%s/k", folder);
	(void)snprintf(online, sizeof online, "%s/o", folder);
	assert_int_equal(foundation_lay(&f, &e), 0);
	assert_int_equal(repository_open(path, 0, &r, &e), 0);
	assert_int_equal(record_load(online, &record, &e), 0);
	assert_int_equal(record_check(record, r, &e), 0);
	assert_int_equal(record_keep(record, r, &e), 0);
	assert_int_equal(record_version(record, BASE), 1);
	assert_int_equal(record_check(record, r, &e), 0);
	record_free(record);

	write_record(online, example, sizeof example - 1);
	assert_int_equal(record_load(online, &record, &e), 0);
	assert_int_equal(record_check(record, r, &e), -BSI_E_ROLLBACK);
	/* the second root is missing: no device that has it could follow */
	assert_int_equal(record_skip(record, r, &e), -BSI_E_ROLLBACK);
	assert_non_null(strstr(e.text, "copy the missing"));
	r->root->version = 2;
	assert_int_equal(record_skip(record, r, &e), 0);
	assert_int_equal(r->timestamp->version, 40);
	assert_int_equal(r->snapshot->version, 1);
	assert_int_equal(r->roles[1].file.version, 7);
	assert_int_equal(record_check(record, r, &e), 0);
	record_free(record);
	repository_free(r);
	fixture_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decodes),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_checks),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
