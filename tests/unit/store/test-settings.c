/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration, enrolment, floor, denied letters, history. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "scratch.h"
#include "store/denied.h"
#include "store/history.h"
#include "store/settings.h"

static void test_config_round_trips(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO_JSON json_t *config = json_pack("{s:b, s:i, s:[s, s]}", "auto", 1, "days", 3, "x",
		"\xc3\xa9", "b\"\\");
	AUTO_JSON json_t *found = NULL, *bad = json_pack("{s:s}", "x", "a\nb");
	AUTO_JSON json_t *real = json_pack("{s:f}", "x", 0.5), *array = json_array();
	struct error e = {0};

	assert_int_equal(store_config_save(s, config, &e), 0);
	assert_int_equal(store_config_load(s, &found, &e), 0);
	assert_true(json_equal(config, found));
	/* refused before anything is replaced */
	assert_int_equal(store_config_save(s, bad, &e), -BSI_E_FORMAT);
	assert_non_null(strstr(e.text, "config"));
	assert_int_equal(store_config_save(s, real, &e), -BSI_E_FORMAT);
	assert_int_equal(store_config_save(s, array, &e), -EINVAL);
	json_decref(take_ptr(found));
	assert_int_equal(store_config_load(s, &found, &e), 0);
	assert_true(json_equal(config, found));
}

static void test_config_damaged_says_what_to_do(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO_JSON json_t *found = NULL;
	struct error e = {0};

	scratch_write(*state, "config", "{\"auto\":true}", 13);
	assert_int_equal(store_config_load(s, &found, &e), -BSI_E_STATE);
	assert_non_null(strstr(e.text, "\"config\""));
	assert_non_null(strstr(e.text, "defaults"));
	assert_null(found);
}

static void test_config_is_limited(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO_FREE char *text = calloc(1, SETTINGS_MAX_BYTES + 1);
	AUTO_JSON json_t *large = NULL;

	assert_non_null(text);
	memset(text, 'x', SETTINGS_MAX_BYTES);
	large = json_pack("{s:s}", "x", text);
	assert_int_equal(store_config_save(s, large, NULL), -BSI_E_LIMIT);
	assert_false(scratch_has(*state, "config"));
}

static void test_enrolment_comes_and_goes(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO_JSON json_t *enrolment = json_pack("{s:s, s:s}", "url", "http://x/", "base",
		"debian:12:amd64");
	AUTO_JSON json_t *found = NULL;
	struct error e = {0};

	assert_int_equal(store_enrolment_load(s, &found, &e), -BSI_E_ENROL);
	assert_int_equal(store_enrolment_save(s, enrolment, &e), 0);
	assert_int_equal(store_enrolment_load(s, &found, &e), 0);
	assert_true(json_equal(enrolment, found));
	json_decref(take_ptr(found));
	assert_int_equal(store_enrolment_drop(s, &e), 0);
	assert_int_equal(store_enrolment_drop(s, &e), 0);
	assert_int_equal(store_enrolment_load(s, &found, &e), -BSI_E_ENROL);
}

static void test_floor_only_rises(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	int64_t utc_s = -1;

	assert_int_equal(store_floor_set(s, 100, NULL), 0);
	assert_int_equal(store_floor_set(s, 50, NULL), 0);
	assert_int_equal(store_floor_set(s, -1, NULL), 0);
	assert_int_equal(store_floor_set(s, 100, NULL), 0);
	assert_int_equal(store_floor_get(s, &utc_s, NULL), 0);
	assert_int_equal(utc_s, 100);
	store_free(take_ptr(s));
	s = scratch_lock(*state);
	assert_int_equal(store_floor_get(s, &utc_s, NULL), 0);
	assert_int_equal(utc_s, 100);
}

static void test_denied_is_a_list(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO(denied) struct denied *denied = NULL;
	const struct denied_entry *e;

	assert_int_equal(store_denied_add(s, "debian:12:amd64", "a", 1, "sshd\nfailed", 5, NULL), 0);
	assert_int_equal(store_denied_add(s, "debian:12:amd64", "b", 2, "x", 6, NULL), 0);
	assert_int_equal(store_denied_add(s, "debian:13:amd64", "a", 1, "y", 7, NULL), 0);
	assert_int_equal(store_denied_add(s, "debian:12:amd64", "b", 2, "again", 8, NULL), 0);
	assert_int_equal(store_denied_drop(s, "debian:13:amd64", 1, NULL), 0);
	assert_int_equal(store_denied_drop(s, "debian:13:amd64", 1, NULL), 0);
	assert_int_equal(store_denied_load(s, &denied, NULL), 0);
	assert_int_equal(denied->n_entries, 2);
	e = denied_find(denied, "debian:12:amd64", 1);
	assert_non_null(e);
	assert_string_equal(e->letter, "a");
	assert_string_equal(e->reason, "sshd failed");
	assert_int_equal(e->utc_s, 5);
	e = denied_find(denied, "debian:12:amd64", 2);
	assert_non_null(e);
	assert_string_equal(e->reason, "again");
	assert_null(denied_find(denied, "debian:13:amd64", 1));
	assert_null(denied_find(denied, "debian:12:amd64", 3));
}

static void test_denied_reason_is_cut_between_characters(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO(denied) struct denied *denied = NULL;
	char reason[2 * DENIED_REASON_MAX_BYTES + 2];

	/* a two-byte character across the limit */
	for (size_t i = 0; i + 1 < sizeof reason; i += 2)
		memcpy(reason + i, "\xc3\xa9", 2);
	reason[sizeof reason - 1] = '\0';
	memmove(reason + 1, reason, sizeof reason - 2);
	reason[0] = 'x';
	reason[sizeof reason - 2] = '\0';
	assert_int_equal(store_denied_add(s, "debian:12:amd64", "a", 1, reason, 5, NULL), 0);
	assert_int_equal(store_denied_load(s, &denied, NULL), 0);
	assert_int_equal(strlen(denied->entries[0].reason), DENIED_REASON_MAX_BYTES - 1);
}

static void test_denied_is_limited(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct error e = {0};

	for (uint64_t i = 1; i <= 40; i++)
		assert_int_equal(store_denied_add(s, "debian:12:amd64", "a", i, "x", 5, NULL), 0);
	assert_int_equal(store_denied_add(s, "debian", "a", 1, "x", 5, &e), -EINVAL);
	assert_int_equal(store_denied_add(s, "debian:12:amd64", "A", 1, "x", 5, &e), -EINVAL);
	assert_int_equal(store_denied_add(s, "debian:12:amd64", "a", 0, "x", 5, &e), -EINVAL);
}

static void test_history_lists_newest_first(void **state)
{
	AUTO(store) struct store *s = scratch_open(*state); /* no lock is needed */
	AUTO_JSON json_t *detail = json_pack("{s:[s], s:s}", "cves", "CVE-2026-0001", "x", "a\nb");
	AUTO_JSON json_t *list = NULL;
	struct error e = {0};
	json_t *row;

	store_free(scratch_lock(*state));
	if (store_history_add(s, 1764000000, "install", "a", detail, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(store_history_add(s, 1764000001, "check", NULL, NULL, &e), 0);
	assert_int_equal(store_history_add(s, 1764000002, "remove", "a", NULL, &e), 0);
	assert_int_equal(store_history_list(s, 2, &list, &e), 0);
	assert_int_equal(json_array_size(list), 2);
	row = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(row, "event")), "remove");
	assert_string_equal(json_string_value(json_object_get(row, "letter")), "a");
	assert_string_equal(json_string_value(json_object_get(row, "utc")), "2025-11-24T16:00:02Z");
	row = json_array_get(list, 1);
	assert_true(json_is_null(json_object_get(row, "letter")));
	assert_true(json_is_null(json_object_get(row, "detail")));
	json_decref(take_ptr(list));
	assert_int_equal(store_history_list(s, 100, &list, &e), 0);
	assert_int_equal(json_array_size(list), 3);
	assert_true(json_equal(json_object_get(json_array_get(list, 2), "detail"), detail));
	assert_false(scratch_has(*state, "history.db-journal"));
}

static void test_history_refuses_odd_events(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO_JSON json_t *array = json_array();

	assert_int_equal(store_history_add(s, 0, "", NULL, NULL, NULL), -EINVAL);
	assert_int_equal(store_history_add(s, 0, "Install!", NULL, NULL, NULL), -EINVAL);
	assert_int_equal(store_history_add(s, 0, "install", "A", NULL, NULL), -EINVAL);
	assert_int_equal(store_history_add(s, 0, "install", "a", array, NULL), -EINVAL);
	assert_false(scratch_has(*state, "history.db"));
}

static void run_sql(const struct scratch *scratch, const char *sql)
{
	char path[128];
	sqlite3 *db;

	(void)snprintf(path, sizeof path, "%s/history.db", scratch->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

static void test_history_does_not_grow_without_end(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO_JSON json_t *list = NULL;

	assert_int_equal(store_history_add(s, 0, "first", NULL, NULL, NULL), 0);
	run_sql(*state, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10005)"
			" INSERT INTO event (id, utc_s, event) SELECT i, i, 'check' FROM n");
	assert_int_equal(store_history_add(s, 99, "last", NULL, NULL, NULL), 0);
	assert_int_equal(store_history_list(s, 20000, &list, NULL), 0);
	assert_int_equal(json_array_size(list), HISTORY_ROWS_MAX);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(list, 0), "event")), "last");
}

static void test_history_of_the_future_or_damaged_is_refused(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	json_t *list = NULL;
	struct error e = {0};

	assert_int_equal(store_history_add(s, 0, "first", NULL, NULL, NULL), 0);
	run_sql(*state, "PRAGMA user_version = 2");
	assert_int_equal(store_history_list(s, 1, &list, &e), -BSI_E_VERSION);
	assert_non_null(strstr(e.text, "history.db"));
	assert_int_equal(store_history_add(s, 0, "second", NULL, NULL, &e), -BSI_E_VERSION);
	run_sql(*state, "PRAGMA user_version = 1; DROP TABLE event");
	assert_int_equal(store_history_list(s, 1, &list, &e), -BSI_E_STATE);
	scratch_write(*state, "history.db", "this is no database at all, by any means", 40);
	assert_int_equal(store_history_list(s, 1, &list, &e), -BSI_E_STATE);
	assert_non_null(strstr(e.text, "move it away"));
	assert_int_equal(store_history_add(s, 0, "second", NULL, NULL, &e), -BSI_E_STATE);
	assert_null(list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_config_round_trips),
		TEST(test_config_damaged_says_what_to_do),
		TEST(test_config_is_limited),
		TEST(test_enrolment_comes_and_goes),
		TEST(test_floor_only_rises),
		TEST(test_denied_is_a_list),
		TEST(test_denied_reason_is_cut_between_characters),
		TEST(test_denied_is_limited),
		TEST(test_history_lists_newest_first),
		TEST(test_history_refuses_odd_events),
		TEST(test_history_does_not_grow_without_end),
		TEST(test_history_of_the_future_or_damaged_is_refused),
	};

	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
