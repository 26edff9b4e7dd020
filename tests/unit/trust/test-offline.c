/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a device still knows without its repository. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repository.h"

static int offline(struct repository *r, const char *path)
{
	AUTO_DONE(trust_target) struct trust_target target = {};
	struct trust_updater *u = NULL;
	struct error e = {};
	int result;

	assert_int_equal(repository_updater(r, &u, &e), 0);
	result = trust_updater_offline(u, &e);
	if (result == 0)
		result = trust_updater_target(u, path, &target, &e);
	if (result == 0)
		assert_int_equal(trust_updater_expires_utc_s(u), NOW_UTC_S + 7 * 86400);
	assert_int_equal(r->n_requests, 0);
	trust_updater_free(u);
	return result;
}

static void test_offline_needs_no_server_and_no_time(void **state)
{
	struct trust_target target = {};
	struct repository *r = *state;
	size_t base = repository_delegate(r, TARGETS, "b", "b/*", true);

	repository_add_target(r, base, "b/index.json", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	assert_int_equal(offline(r, "b/index.json"), -ENOENT);
	assert_int_equal(repository_find(r, "b/index.json", &target), 0);
	trust_target_done(&target);
	r->now_utc_s += 1000 * 86400;
	assert_int_equal(offline(r, "b/index.json"), 0);
	assert_int_equal(offline(r, "b/other"), -BSI_E_MISSING);
}

static void test_offline_stands_after_an_interrupted_refresh(void **state)
{
	struct trust_target target = {};
	struct repository *r = *state;

	repository_add_target(r, TARGETS, "a", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	assert_int_equal(repository_find(r, "a", &target), 0);
	trust_target_done(&target);
	repository_bump(r, TARGETS);
	repository_release(r);
	r->unsaved = "targets.json";
	assert_int_equal(repository_refresh(r, NULL), -EIO);
	assert_int_equal(folder_version(&r->device, "snapshot.json"), 3);
	assert_int_equal(offline(r, "a"), 0);
}

static void test_offline_still_verifies(void **state)
{
	struct repository *r = *state;
	struct trust_signer *other = repository_signer(r);

	repository_add_target(r, TARGETS, "a", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	repository_assert_refreshed(r);
	repository_put(r, "x", r->roles[TARGETS].md, &other, 1);
	repository_store(r, "targets.json", "x");
	assert_int_equal(offline(r, "a"), -BSI_E_THRESHOLD);
}

/* Older than listed is what an interruption leaves; nothing leaves anything else. */
static void test_offline_refuses_what_no_refresh_leaves(void **state)
{
	struct repository *r = *state;

	repository_add_target(r, TARGETS, "a", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	repository_assert_refreshed(r);
	json_object_set_new(r->roles[TARGETS].md, "spec_version", json_string("1.0.35"));
	repository_put(r, "x", r->roles[TARGETS].md, r->roles[TARGETS].signers, 1);
	repository_store(r, "targets.json", "x");
	assert_int_equal(offline(r, "a"), -BSI_E_DIGEST);
	repository_bump(r, TARGETS);
	repository_put(r, "x", r->roles[TARGETS].md, r->roles[TARGETS].signers, 1);
	repository_store(r, "targets.json", "x");
	assert_int_equal(offline(r, "a"), -BSI_E_DIGEST);
	/* without a snapshot there is nothing to compare with */
	folder_drop(&r->device, "snapshot.json");
	assert_int_equal(offline(r, "a"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, repository_set_up, repository_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_offline_needs_no_server_and_no_time),
		TEST(test_offline_stands_after_an_interrupted_refresh),
		TEST(test_offline_still_verifies),
		TEST(test_offline_refuses_what_no_refresh_leaves),
	};

	return cmocka_run_group_tests_name("offline", tests, NULL, NULL);
}
