/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "example.h"
#include "improvement/match.h"

#define CRYPTO "usr/lib/x86_64-linux-gnu/libcrypto.so.3"
#define SSL "usr/lib/x86_64-linux-gnu/libssl.so.3"
#define NO_FILE 0

struct row {
	const char *name;
	uint8_t files[2]; /* digest bytes of libcrypto and libssl; NO_FILE: absent */
	struct package_fact packages[2];
	size_t n_packages;
	enum match_verdict verdict;
	size_t set;
	const char *path;
	const char *words;
};

/* The example: patched 11 12, sets 20 21 (u1) and 30 31 (u2), fixed in libssl3 u3. */
static const struct row rows[] = {
	{"first set", {0x20, 0x21}, {{0}}, 0, MATCH_SET, 0, NULL, "deb12u1"},
	{"second set", {0x30, 0x31}, {{0}}, 0, MATCH_SET, 1, NULL, "deb12u2"},
	{"a set, whatever the packages say", {0x30, 0x31}, {{"libssl3", "9", true}}, 1, MATCH_SET, 1,
		NULL, "deb12u2"},
	{"nothing here", {NO_FILE, NO_FILE}, {{0}}, 0, MATCH_ABSENT, 0, NULL, "none"},
	{"all patched", {0x11, 0x12}, {{0}}, 0, MATCH_SUPERSEDED, 0, NULL, "itself"},
	{"the very version", {0x77, 0x78}, {{"libssl3", "3.0.11-1~deb12u3", true}}, 1,
		MATCH_SUPERSEDED, 0, NULL, "libssl3 3.0.11-1~deb12u3"},
	{"a newer version", {0x77, 0x78}, {{"libssl3", "3.0.15-1", true}}, 1, MATCH_SUPERSEDED, 0,
		NULL, "contains the fix"},
	{"newer on both architectures", {0x77, 0x78},
		{{"libssl3", "3.0.15-1", true}, {"libssl3", "3.0.15-1", true}}, 2, MATCH_SUPERSEDED,
		0, NULL, "contains the fix"},
	{"newer on one of them", {0x77, 0x78},
		{{"libssl3", "3.0.15-1", true}, {"libssl3", "3.0.10-1", true}}, 2, MATCH_MISMATCH, 0,
		CRYPTO, "neither the file this was built for nor newer"},
	{"newer, and changed by somebody", {0x77, 0x78}, {{"libssl3", "3.0.15-1", false}}, 1,
		MATCH_MISMATCH, 0, CRYPTO, "not the file that libssl3 brought"},
	{"an older version", {0x77, 0x78}, {{"libssl3", "3.0.9-1", true}}, 1, MATCH_MISMATCH, 0,
		CRYPTO, "neither the file this was built for nor newer"},
	{"no version at all", {0x77, 0x78}, {{"libssl3", "zzz", true}}, 1, MATCH_MISMATCH, 0, CRYPTO,
		"neither"},
	{"another package", {0x77, 0x78}, {{"libssl4", "9.0", true}}, 1, MATCH_MISMATCH, 0, CRYPTO,
		"neither"},
	{"no packages", {0x77, 0x78}, {{0}}, 0, MATCH_MISMATCH, 0, CRYPTO, "neither"},
	{"two sets mixed", {0x20, 0x31}, {{0}}, 0, MATCH_MISMATCH, 0, SSL, "is of 3.0.11-1~deb12u2"},
	{"one changed", {0x20, 0x99}, {{0}}, 0, MATCH_MISMATCH, 0, SSL, "neither"},
	{"one patched", {0x20, 0x12}, {{0}}, 0, MATCH_MISMATCH, 0, SSL, "patched already"},
	{"one missing", {0x20, NO_FILE}, {{0}}, 0, MATCH_MISMATCH, 0, SSL, "missing here"},
	{"the other one missing", {NO_FILE, 0x31}, {{0}}, 0, MATCH_MISMATCH, 0, CRYPTO,
		"missing here"},
};

static struct base_fact fact(uint8_t byte)
{
	if (byte == NO_FILE)
		return (struct base_fact){0};
	return (struct base_fact){true, example_digest(byte), {.mode = 0644}};
}

static void test_match_verdicts(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct base_fact facts[] = {fact(row->files[0]), fact(row->files[1])};
		struct match found;

		match_component(&m->components[0], facts, row->packages, row->n_packages, &found);
		if (found.verdict != row->verdict || found.set != row->set)
			fail_msg("%s: %s %zu \"%s\"", row->name, match_verdict_text(found.verdict),
				found.set, found.reason);
		if (!strstr(found.reason, row->words))
			fail_msg("%s: \"%s\"", row->name, found.reason);
		if (row->path)
			assert_string_equal(found.path, row->path);
		else
			assert_null(found.path);
	}
}

/* Who gathers facts asks for packages only where they can change the verdict. */
static void test_match_without_packages_errs_on_the_open_side(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct base_fact facts[] = {fact(row->files[0]), fact(row->files[1])};
		struct match with, without;

		match_component(&m->components[0], facts, row->packages, row->n_packages, &with);
		match_component(&m->components[0], facts, NULL, 0, &without);
		if (without.verdict == MATCH_MISMATCH)
			continue;
		if (with.verdict != without.verdict || with.set != without.set ||
			strcmp(with.reason, without.reason) != 0)
			fail_msg("%s: \"%s\" became \"%s\"", row->name, without.reason, with.reason);
	}
}

static void test_match_set_in_which_a_file_is_absent(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct component *c = &m->components[0];
	struct base_fact facts[] = {fact(0x30), fact(NO_FILE)};
	struct match found;

	(void)state;
	c->sets[1].files[1] = (struct set_file){0};
	match_component(c, facts, NULL, 0, &found);
	assert_int_equal(found.verdict, MATCH_SET);
	assert_int_equal(found.set, 1);

	/* the file is there, and nobody built for that */
	facts[1] = fact(0x99);
	match_component(c, facts, NULL, 0, &found);
	assert_int_equal(found.verdict, MATCH_MISMATCH);
	assert_string_equal(found.path, SSL);
	assert_non_null(strstr(found.reason, "is here"));
}

static void test_match_set_of_absent_files_is_no_absence(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct base_fact facts[] = {fact(NO_FILE)};
	struct match found;

	(void)state;
	/* "su" lists the state without the file as its second set */
	match_component(&m->components[1], facts, NULL, 0, &found);
	assert_int_equal(found.verdict, MATCH_SET);
	assert_int_equal(found.set, 1);
}

static void test_match_needs_every_installed_package(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct component *c = &m->components[0];
	char name[] = "openssl", to[] = "3.0.11-1~deb12u3";
	struct package_change two[2] = {c->packages[0], {name, NULL, 0, to}};
	struct package_change *saved = c->packages;
	struct package_fact packages[] = {{"libssl3", "3.0.15-1", true}, {"openssl", "3.0.9-1", true}};
	struct base_fact facts[] = {fact(0x77), fact(0x78)};
	struct match found;

	(void)state;
	c->packages = two;
	c->n_packages = 2;
	match_component(c, facts, packages, 2, &found);
	assert_int_equal(found.verdict, MATCH_MISMATCH);
	/* not installed, so it has no say */
	match_component(c, facts, packages, 1, &found);
	assert_int_equal(found.verdict, MATCH_SUPERSEDED);
	packages[1].version = "3.0.15-1";
	match_component(c, facts, packages, 2, &found);
	assert_int_equal(found.verdict, MATCH_SUPERSEDED);
	c->packages = saved;
	c->n_packages = 1;
}

static void test_match_reason_is_cut_between_characters(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct component *c = &m->components[0];
	struct base_fact facts[] = {fact(0x77), fact(0x78)};
	struct match found;

	(void)state;
	for (size_t start = 0; start < 2; start++) {
		char *path = calloc(1, 1000);

		assert_non_null(path);
		memset(path, 'x', start + 1);
		while (strlen(path) < 900)
			memcpy(path + strlen(path), "\xc3\xa9", 2);
		free(c->files[0].path);
		c->files[0].path = path;
		match_component(c, facts, NULL, 0, &found);
		assert_non_null(strstr(found.reason, "\xc3\xa9 is neither the file"));
		assert_ptr_equal(found.path, path);
	}
}

static const struct {
	const char *name;
	struct file_access here;
	const char *words;
} changed[] = {
	{"another user", {.uid = 1000, .mode = 0644},
		"user 1000 here, 0 in the base it was made for: the owner changed it"},
	{"another group", {.gid = 50, .mode = 0600}, "group 50 here, 0 in the base"},
	{"a lower mode", {.mode = 0600}, "mode 0600 here, 0644 in the base it was made for: the owner "
					 "changed it; to have the fix, chmod 0644"},
	{"a higher mode", {.mode = 04644}, "mode 4644 here, 0644 in the base"},
	{"capabilities", {.mode = 0644, .has_attributes = true},
		"file capabilities or an ACL here, none in the base"},
};

static void test_match_needs_the_access_of_the_base(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct component *c = &m->components[0];
	struct match found;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		struct base_fact facts[] = {fact(0x30), fact(0x31)};

		facts[1].access = changed[i].here;
		match_component(c, facts, NULL, 0, &found);
		if (found.verdict != MATCH_MISMATCH || !strstr(found.reason, changed[i].words))
			fail_msg("%s: %s \"%s\"", changed[i].name, match_verdict_text(found.verdict),
				found.reason);
		assert_ptr_equal(found.path, c->files[1].path);
		/* what holds the fix already is not made open by it, and a missing file is named first */
		facts[0].digest = example_digest(0x11);
		facts[1].digest = example_digest(0x12);
		match_component(c, facts, NULL, 0, &found);
		assert_int_equal(found.verdict, MATCH_SUPERSEDED);
		facts[0] = fact(NO_FILE);
		match_component(c, facts, NULL, 0, &found);
		assert_non_null(strstr(found.reason, "missing"));
	}
}

/* One content, two states: which one a device is in shows in the access alone. */
static void test_match_tells_states_apart_by_access(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct component *c = &m->components[0];
	struct base_fact facts[] = {fact(0x20), fact(0x21)};
	struct match found;

	(void)state;
	c->sets[1].files[0] = c->sets[0].files[0];
	c->sets[1].files[1] = c->sets[0].files[1];
	assert_int_equal(manifest_check(m, NULL), -BSI_E_FORMAT);
	c->sets[1].files[1].access.has_attributes = true;
	c->sets[1].files[1].access.attributes = example_digest(0x66);
	assert_int_equal(manifest_check(m, NULL), 0);
	match_component(c, facts, NULL, 0, &found);
	assert_int_equal(found.verdict, MATCH_SET);
	assert_int_equal(found.set, 0);
	facts[1].access = c->sets[1].files[1].access;
	match_component(c, facts, NULL, 0, &found);
	assert_int_equal(found.verdict, MATCH_SET);
	assert_int_equal(found.set, 1);
	facts[1].access.attributes = example_digest(0x67);
	match_component(c, facts, NULL, 0, &found);
	assert_int_equal(found.verdict, MATCH_MISMATCH);
	/* both are as near: the first one is spoken of */
	assert_non_null(strstr(found.reason, "or an ACL here, none in the base"));
}

/* The whole sentence fits behind the longest path that is shown. */
static void test_match_reason_of_access_is_whole(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct component *c = &m->components[1];
	struct base_fact facts[] = {fact(0x41)};
	char *path = calloc(1, 1000);
	struct match found;

	(void)state;
	assert_non_null(path);
	memset(path, 'x', 900);
	free(c->files[0].path);
	c->files[0].path = path;
	for (unsigned i = 0; i < 5; i++) {
		facts[0].access = c->sets[0].files[0].access = (struct file_access){
			ACCESS_ID_MAX, ACCESS_ID_MAX, 07777, true, example_digest(0x55)};
		if (i == 0)
			facts[0].access.uid = ACCESS_ID_MAX - 1;
		else if (i == 1)
			facts[0].access.gid = ACCESS_ID_MAX - 1;
		else if (i == 2)
			facts[0].access.mode = 0;
		else if (i == 3)
			facts[0].access.has_attributes = false;
		else
			facts[0].access.attributes = example_digest(0x56);
		match_component(c, facts, NULL, 0, &found);
		assert_int_equal(found.verdict, MATCH_MISMATCH);
		assert_string_equal(found.reason + strlen(found.reason) - 18, "update its package");
	}
	/* and no difference is none */
	assert_string_equal(access_explain(&facts[0].access, &facts[0].access).text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match_verdicts),
		cmocka_unit_test(test_match_without_packages_errs_on_the_open_side),
		cmocka_unit_test(test_match_set_in_which_a_file_is_absent),
		cmocka_unit_test(test_match_set_of_absent_files_is_no_absence),
		cmocka_unit_test(test_match_needs_every_installed_package),
		cmocka_unit_test(test_match_reason_is_cut_between_characters),
		cmocka_unit_test(test_match_needs_the_access_of_the_base),
		cmocka_unit_test(test_match_tells_states_apart_by_access),
		cmocka_unit_test(test_match_reason_of_access_is_whole),
	};

	return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
