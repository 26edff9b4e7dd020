/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A publisher's round: keys, builders, signatures; and what they refuse to sign. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/json.h"
#include "trust/metadata.h"
#include "trust/set.h"
#include "trust/sign.h"

#define ISSUED_UTC_S 1700000000
#define EXPIRES_UTC_S 1800000000
#define N_KEYS 3

struct keys {
	struct trust_signer *signers[N_KEYS];
	json_t *objects[N_KEYS];
};

static int set_up(void **state)
{
	struct keys *k = calloc(1, sizeof *k);

	if (!k)
		return -1;
	for (size_t i = 0; i < N_KEYS; i++) {
		assert_int_equal(trust_signer_generate(&k->signers[i]), 0);
		k->objects[i] = trust_signer_public(k->signers[i]);
	}
	*state = k;
	return 0;
}

static int tear_down(void **state)
{
	struct keys *k = *state;

	for (size_t i = 0; i < N_KEYS; i++) {
		trust_signer_free(k->signers[i]);
		json_decref(k->objects[i]);
	}
	free(k);
	return 0;
}

static struct trust_root_spec root_of(const struct keys *k, size_t n, uint64_t threshold)
{
	const struct trust_role_spec role = {
		.keys = k->objects, .n_keys = n, .threshold = threshold};

	return (struct trust_root_spec){.version = 1,
		.issued_utc_s = ISSUED_UTC_S,
		.expires_utc_s = EXPIRES_UTC_S,
		.root = role,
		.timestamp = role,
		.snapshot = role,
		.targets = role};
}

static void test_sign_makes_what_the_client_takes(void **state)
{
	const struct keys *k = *state;
	const struct trust_root_spec root_spec = root_of(k, 3, 2);
	const char *paths[] = {"debian:12:amd64/*"};
	const struct trust_delegation_spec delegation = {
		.role = {.name = "debian:12:amd64", .keys = k->objects, .n_keys = 2, .threshold = 2},
		.paths = paths,
		.n_paths = 1,
		.terminating = true};
	const struct trust_target_spec target = {.path = "a/b", .length = 7};
	const struct trust_targets_spec targets_spec = {.version = 3,
		.issued_utc_s = ISSUED_UTC_S,
		.expires_utc_s = EXPIRES_UTC_S,
		.targets = &target,
		.n_targets = 1,
		.delegations = &delegation,
		.n_delegations = 1};
	struct trust_snapshot_spec snapshot_spec = {.version = 5, .expires_utc_s = EXPIRES_UTC_S};
	struct trust_timestamp_spec timestamp_spec = {.version = 9, .expires_utc_s = EXPIRES_UTC_S};
	struct trust_file_spec files[1];
	AUTO_DONE(buffer) struct buffer root = buffer_of(1U << 20), targets = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer snapshot = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer timestamp = buffer_of(1U << 20);
	AUTO(trust_set) struct trust_set *set = NULL;
	json_t *md[4] = {};
	const struct trust_metadata *role;
	bool flag;

	assert_int_equal(trust_root_build(&root_spec, &md[0], NULL), 0);
	assert_int_equal(trust_sign(md[0], k->signers, 2, &root, NULL), 0);
	assert_int_equal(trust_targets_build(&targets_spec, &md[1], NULL), 0);
	assert_int_equal(trust_sign(md[1], k->signers, 2, &targets, NULL), 0);
	assert_int_equal(trust_file_describe("targets", targets.data, targets.len, &files[0], NULL),
		0);
	assert_int_equal(files[0].version, 3);
	snapshot_spec.files = files;
	snapshot_spec.n_files = 1;
	assert_int_equal(trust_snapshot_build(&snapshot_spec, &md[2], NULL), 0);
	assert_int_equal(trust_sign(md[2], k->signers + 1, 2, &snapshot, NULL), 0);
	assert_int_equal(trust_file_describe("snapshot", snapshot.data, snapshot.len,
				 &timestamp_spec.snapshot, NULL),
		0);
	assert_int_equal(trust_timestamp_build(&timestamp_spec, &md[3], NULL), 0);
	assert_int_equal(trust_sign(md[3], k->signers, 3, &timestamp, NULL), 0);

	assert_int_equal(trust_set_new(root.data, root.len, ISSUED_UTC_S, &set, NULL), 0);
	/* out of order */
	assert_int_equal(trust_set_timestamp(set, timestamp.data, timestamp.len, TRUST_FETCHED,
				 &flag, NULL),
		-EINVAL);
	assert_int_equal(trust_set_finish_root(set, NULL), 0);
	assert_int_equal(trust_set_root(set, root.data, root.len, &flag, NULL), -EINVAL);
	assert_int_equal(trust_set_snapshot(set, snapshot.data, snapshot.len, TRUST_FETCHED, &flag,
				 NULL),
		-EINVAL);
	assert_int_equal(trust_set_timestamp(set, timestamp.data, timestamp.len, TRUST_FETCHED,
				 &flag, NULL),
		0);
	assert_int_equal(trust_set_role(set, trust_set_get(set, TRUST_ROOT), "targets",
				 targets.data, targets.len, &role, NULL),
		-EINVAL);
	assert_int_equal(trust_set_snapshot(set, snapshot.data, snapshot.len, TRUST_FETCHED, &flag,
				 NULL),
		0);
	assert_int_equal(trust_set_role(set, trust_set_get(set, TRUST_ROOT), "targets",
				 targets.data, targets.len, &role, NULL),
		0);
	assert_ptr_equal(role, trust_set_get(set, TRUST_TARGETS));
	assert_int_equal(role->delegations.n_list, 1);
	assert_int_equal(trust_set_role(set, role, "other", targets.data, targets.len, &role, NULL),
		-EINVAL);
	for (size_t i = 0; i < 4; i++)
		json_decref(md[i]);
}

static void test_sign_is_reproducible(void **state)
{
	const struct keys *k = *state;
	const struct trust_root_spec spec = root_of(k, 3, 2);
	AUTO_DONE(buffer) struct buffer a = buffer_of(1U << 20), b = buffer_of(1U << 20);
	AUTO_JSON json_t *md = NULL, *again = NULL;

	assert_int_equal(trust_root_build(&spec, &md, NULL), 0);
	assert_int_equal(trust_root_build(&spec, &again, NULL), 0);
	assert_int_equal(trust_sign(md, k->signers, 2, &a, NULL), 0);
	assert_int_equal(trust_sign(again, k->signers, 2, &b, NULL), 0);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

static void test_sign_refuses_absurd_roles(void **state)
{
	static const struct {
		size_t n_keys;
		uint64_t threshold;
		int code;
	} rows[] = {{3, 0, -EINVAL}, {3, 4, -EINVAL}, {0, 0, -EINVAL}, {0, 1, -EINVAL}, {3, 3, 0}};
	struct keys *k = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct trust_root_spec spec = root_of(k, rows[i].n_keys, rows[i].threshold);
		AUTO_JSON json_t *md = NULL;

		assert_int_equal(trust_root_build(&spec, &md, NULL), rows[i].code);
		assert_int_equal(md != NULL, rows[i].code == 0);
	}
	{
		json_t *twice[2] = {k->objects[0], k->objects[0]};
		struct trust_root_spec spec = root_of(k, 3, 1);
		AUTO_JSON json_t *md = NULL;

		spec.snapshot = (struct trust_role_spec){.keys = twice, .n_keys = 2, .threshold = 1};
		assert_int_equal(trust_root_build(&spec, &md, NULL), -EINVAL);
	}
}

static void test_sign_refuses_absurd_values(void **state)
{
	const struct keys *k = *state;
	const struct trust_target_spec twice[] = {{.path = "a"}, {.path = "a"}};
	const struct trust_target_spec outside[] = {{.path = "../a"}};
	const struct trust_file_spec no_targets[] = {{.role = "x", .version = 1}};
	struct trust_root_spec root = root_of(k, 1, 1);
	struct trust_targets_spec targets = {.version = 1, .expires_utc_s = 1};
	struct trust_snapshot_spec snapshot = {.version = 1, .expires_utc_s = 1};
	struct trust_delegation_spec delegation = {
		.role = {.name = "root", .keys = k->objects, .n_keys = 1, .threshold = 1}};
	json_t *md = NULL;

	root.version = 0;
	assert_int_equal(trust_root_build(&root, &md, NULL), -EINVAL);
	root.version = (uint64_t)INT64_MAX + 1;
	assert_int_equal(trust_root_build(&root, &md, NULL), -EINVAL);
	root.version = 1;
	root.expires_utc_s = root.issued_utc_s;
	assert_int_equal(trust_root_build(&root, &md, NULL), -EINVAL);

	targets.targets = twice;
	targets.n_targets = 2;
	assert_int_equal(trust_targets_build(&targets, &md, NULL), -BSI_E_FORMAT);
	targets.targets = outside;
	targets.n_targets = 1;
	assert_int_equal(trust_targets_build(&targets, &md, NULL), -BSI_E_PATH);
	targets.n_targets = 0;
	targets.delegations = &delegation;
	targets.n_delegations = 1;
	assert_int_equal(trust_targets_build(&targets, &md, NULL), -BSI_E_FORMAT);

	snapshot.files = no_targets;
	snapshot.n_files = 1;
	assert_int_equal(trust_snapshot_build(&snapshot, &md, NULL), -EINVAL);
	assert_null(md);
}

/* Whatever the client would refuse to read is not signed. */
static void test_sign_refuses_what_is_no_metadata(void **state)
{
	const struct keys *k = *state;
	struct trust_signer *twice[2] = {k->signers[0], k->signers[0]};
	const struct trust_root_spec spec = root_of(k, 3, 2);
	AUTO_DONE(buffer) struct buffer out = buffer_of(1U << 20);
	AUTO_JSON json_t *md = NULL;

	assert_int_equal(trust_root_build(&spec, &md, NULL), 0);
	assert_int_equal(trust_sign(md, twice, 2, &out, NULL), -BSI_E_SIGNATURE);
	json_object_set_new(md, "_type", json_string("mirrors"));
	assert_int_equal(trust_sign(md, k->signers, 1, &out, NULL), -BSI_E_FORMAT);
	json_object_set_new(md, "_type", json_string("timestamp"));
	assert_int_equal(trust_sign(md, k->signers, 1, &out, NULL), -BSI_E_FORMAT);
	json_object_set_new(md, "_type", json_string("root"));
	json_object_set_new(md, "x", json_real(0.5));
	assert_int_equal(trust_sign(md, k->signers, 1, &out, NULL), -BSI_E_FORMAT);
	assert_int_equal(out.len, 0);
	json_object_del(md, "x");
	assert_int_equal(trust_sign(md, k->signers, 1, &out, NULL), 0);
}

static int opens(const struct buffer *root)
{
	AUTO(trust_set) struct trust_set *set = NULL;

	return trust_set_new(root->data, root->len, ISSUED_UTC_S, &set, NULL);
}

/* Three holders of keys, one after another, with a threshold of two. */
static void test_cosign_adds_and_replaces(void **state)
{
	const struct keys *k = *state;
	const struct trust_root_spec spec = root_of(k, 3, 2);
	AUTO_DONE(buffer) struct buffer one = buffer_of(1U << 20), same = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer two = buffer_of(1U << 20), both = buffer_of(1U << 20);
	AUTO_JSON json_t *md = NULL;

	assert_int_equal(trust_root_build(&spec, &md, NULL), 0);
	json_object_set_new(md, "x-note", json_string("kept\n\"as it is\""));
	assert_int_equal(trust_sign(md, k->signers, 1, &one, NULL), 0);
	assert_int_equal(opens(&one), -BSI_E_THRESHOLD);
	assert_int_equal(trust_cosign(one.data, one.len, k->signers, 1, &same, NULL), 0);
	assert_int_equal(same.len, one.len);
	assert_memory_equal(same.data, one.data, one.len);
	assert_int_equal(trust_cosign(one.data, one.len, k->signers + 2, 1, &two, NULL), 0);
	assert_int_equal(opens(&two), 0);
	assert_int_equal(trust_cosign(two.data, two.len - 1, k->signers, 1, &both, NULL),
		-BSI_E_FORMAT);
	assert_int_equal(both.len, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sign_makes_what_the_client_takes),
		TEST(test_sign_is_reproducible),
		TEST(test_sign_refuses_absurd_roles),
		TEST(test_sign_refuses_absurd_values),
		TEST(test_sign_refuses_what_is_no_metadata),
		TEST(test_cosign_adds_and_replaces),
	};

	return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
