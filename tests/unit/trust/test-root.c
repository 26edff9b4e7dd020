/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The chain of roots, and what the rotation of keys takes back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/json.h"
#include "repository.h"
#include "trust/bounds.h"

static void test_root_follows_a_chain_of_rotations(void **state)
{
	struct repository *r = *state;
	struct trust_signer *old[3] = {r->roles[ROOT].signers[0]}, *next[3];

	for (size_t v = 2; v <= 4; v++) {
		for (size_t i = 0; i < 3; i++)
			next[i] = repository_signer(r);
		repository_set_keys(r, ROOT, next, 3, 2);
		repository_bump(r, ROOT);
		if (v > 2) {
			/* the threshold of the root before is two by then */
			repository_publish_root(r, old, 1);
			assert_int_equal(repository_refresh(r, NULL), -BSI_E_THRESHOLD);
			assert_int_equal(folder_version(&r->device, "root.json"), v - 1);
		}
		repository_publish_root(r, old, v > 2 ? 2 : 1);
		repository_assert_refreshed(r);
		assert_int_equal(folder_version(&r->device, "root.json"), v);
		memcpy(old, next, sizeof old);
	}
}

static void test_root_needs_the_old_keys_and_its_own(void **state)
{
	struct repository *r = *state;
	struct trust_signer *old = r->roles[ROOT].signers[0], *next = repository_signer(r);
	struct error e = {};

	repository_set_keys(r, ROOT, &next, 1, 1);
	repository_bump(r, ROOT);
	repository_put(r, "2.root.json", r->roles[ROOT].md, &next, 1);
	repository_assert_refused(r, -BSI_E_THRESHOLD);
	(void)repository_refresh(r, &e);
	assert_non_null(strstr(e.text, "by the keys of root 1"));
	repository_put(r, "2.root.json", r->roles[ROOT].md, &old, 1);
	repository_assert_refused(r, -BSI_E_THRESHOLD);
	(void)repository_refresh(r, &e);
	assert_non_null(strstr(e.text, "by its own keys"));
	repository_publish_root(r, &old, 1);
	repository_assert_refreshed(r);
	assert_int_equal(folder_version(&r->device, "root.json"), 2);
}

static void test_root_is_exactly_the_next_version(void **state)
{
	static const struct {
		int version, code;
	} rows[] = {{1, -BSI_E_ROLLBACK}, {3, -BSI_E_FORMAT}, {0, -BSI_E_FORMAT}};
	struct repository *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_object_set_new(r->roles[ROOT].md, "version", json_integer(rows[i].version));
		repository_put(r, "2.root.json", r->roles[ROOT].md, r->roles[ROOT].signers, 1);
		repository_assert_refused(r, rows[i].code);
	}
}

/* Only "there is none" says that a root is the newest: a broken server does not. */
static void test_root_errors_are_not_the_end_of_the_chain(void **state)
{
	struct repository *r = *state;

	r->broken_url = "2.root.json";
	r->broken_code = -BSI_E_TRANSFER;
	repository_assert_refused(r, -BSI_E_TRANSFER);
	repository_assert_requests(r, "2.root.json");
}

static void test_root_good_links_stay_when_a_later_one_is_bad(void **state)
{
	struct repository *r = *state;
	struct trust_signer *other = repository_signer(r);

	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_bump(r, ROOT);
	repository_put(r, "3.root.json", r->roles[ROOT].md, &other, 1);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_THRESHOLD);
	assert_int_equal(folder_version(&r->device, "root.json"), 2);
	repository_publish(r, ROOT);
	repository_assert_refreshed(r);
	assert_int_equal(folder_version(&r->device, "root.json"), 3);
}

static void test_root_stops_after_enough_rotations_and_goes_on(void **state)
{
	struct repository *r = *state;
	char name[32];

	for (int v = 2; v <= TRUST_ROTATIONS_MAX + 3; v++) {
		json_object_set_new(r->roles[ROOT].md, "version", json_integer(v));
		(void)snprintf(name, sizeof name, "%d.root.json", v);
		/* the server's folder is small: each comes just when the one before is gone */
		repository_put(r, name, r->roles[ROOT].md, r->roles[ROOT].signers, 1);
		if (v % 64 != 0)
			continue;
		repository_assert_refreshed(r);
		for (int old = v - 63; old <= v; old++) {
			(void)snprintf(name, sizeof name, "%d.root.json", old);
			folder_drop(&r->server, name);
		}
	}
	repository_assert_refreshed(r);
	assert_int_equal(folder_version(&r->device, "root.json"), TRUST_ROTATIONS_MAX + 3);
}

/* An attacker with the online keys pushed the versions to the end; new keys bring them back. */
static void fast_forward(struct repository *r)
{
	json_object_set_new(r->roles[TIMESTAMP].md, "version", json_integer(INT64_MAX - 2));
	json_object_set_new(r->roles[SNAPSHOT].md, "version", json_integer(INT64_MAX - 3));
	json_object_set_new(r->roles[TARGETS].md, "version", json_integer(INT64_MAX));
	repository_release(r);
	repository_assert_refreshed(r);
	assert_true(folder_version(&r->device, "targets.json") == INT64_MAX);
	json_object_set_new(r->roles[TIMESTAMP].md, "version", json_integer(1));
	json_object_set_new(r->roles[SNAPSHOT].md, "version", json_integer(1));
	json_object_set_new(r->roles[TARGETS].md, "version", json_integer(1));
	repository_release(r);
}

static void test_update_recovers_from_a_fast_forward(void **state)
{
	struct repository *r = *state;

	for (size_t role = TIMESTAMP; role <= SNAPSHOT; role++) {
		struct trust_signer *next[2];

		repository_done(r);
		repository_init(r);
		fast_forward(r);
		repository_assert_refused(r, -BSI_E_ROLLBACK);
		/* a rotation that leaves the old key in its place beside a new one counts too */
		next[0] = r->roles[role].signers[0];
		next[1] = repository_signer(r);
		repository_set_keys(r, role, next, 2, 1);
		repository_bump(r, ROOT);
		repository_publish(r, ROOT);
		repository_release(r);
		repository_assert_refreshed(r);
		assert_int_equal(folder_version(&r->device, "targets.json"), 1);
	}
}

static void test_update_recovers_when_the_keys_came_back(void **state)
{
	struct repository *r = *state;
	struct trust_signer *first = r->roles[TIMESTAMP].signers[0], *second = repository_signer(r);

	fast_forward(r);
	repository_set_keys(r, TIMESTAMP, &second, 1, 1);
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_set_keys(r, TIMESTAMP, &first, 1, 1);
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_assert_refreshed(r);
	assert_int_equal(folder_version(&r->device, "root.json"), 3);
	assert_int_equal(folder_version(&r->device, "snapshot.json"), 2);
}

/* Cut between dropping and storing the root: the next run drops again and recovers. */
static void test_update_recovers_after_a_cut_while_rotating(void **state)
{
	struct repository *r = *state;
	struct trust_signer *next = repository_signer(r);

	fast_forward(r);
	repository_set_keys(r, TIMESTAMP, &next, 1, 1);
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_release(r);
	r->unsaved = "root.json";
	assert_int_equal(repository_refresh(r, NULL), -EIO);
	assert_int_equal(folder_version(&r->device, "root.json"), 1);
	r->unsaved = NULL;
	repository_assert_refreshed(r);
	assert_int_equal(folder_version(&r->device, "targets.json"), 1);
}

static void test_update_other_rotations_recover_nothing(void **state)
{
	struct repository *r = *state;
	struct trust_signer *next = repository_signer(r);

	fast_forward(r);
	repository_set_keys(r, TARGETS, &next, 1, 1);
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_ROLLBACK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, repository_set_up, repository_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_root_follows_a_chain_of_rotations),
		TEST(test_root_needs_the_old_keys_and_its_own),
		TEST(test_root_is_exactly_the_next_version),
		TEST(test_root_errors_are_not_the_end_of_the_chain),
		TEST(test_root_good_links_stay_when_a_later_one_is_bad),
		TEST(test_root_stops_after_enough_rotations_and_goes_on),
		TEST(test_update_recovers_from_a_fast_forward),
		TEST(test_update_recovers_when_the_keys_came_back),
		TEST(test_update_recovers_after_a_cut_while_rotating),
		TEST(test_update_other_rotations_recover_nothing),
	};

	return cmocka_run_group_tests_name("root", tests, NULL, NULL);
}
