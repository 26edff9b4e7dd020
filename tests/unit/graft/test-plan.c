/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graft/mount_table.h"
#include "graft/plan.h"

#define HEX_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define HEX_2 "2222222222222222222222222222222222222222222222222222222222222222"

/* A mount table of / with our mounts: each {id, parent, path, digest}. */
struct mounted {
	int id, parent;
	const char *path, *hex; /* hex NULL: somebody's own mount */
};

static struct graft_state *make_state(const struct mounted *mounted, size_t n, const char *tag)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	struct graft_state *state = NULL;
	char text[8192];
	int len = snprintf(text, sizeof text, "1 0 8:1 / / rw %s - ext4 a rw\n", tag);

	for (size_t i = 0; i < n; i++)
		len += snprintf(text + len, sizeof text - (size_t)len,
			"%d %d 0:%d /%s /%s ro %s - %s %s%s rw\n", mounted[i].id, mounted[i].parent,
			mounted[i].id, mounted[i].path, mounted[i].path, tag,
			mounted[i].hex ? "erofs" : "tmpfs",
			mounted[i].hex ? "/run/bsi/image/c-" : "x", mounted[i].hex ? mounted[i].hex : "");
	assert_int_equal(mount_table_parse(text, (size_t)len, &table), 0);
	assert_int_equal(graft_state_of(table, "", &state), 0);
	return state;
}

static struct graft_layer make_layer(const char *hex, const struct graft_file *files, size_t n)
{
	struct graft_layer layer = {.component = "c", .image_fd = -1, .files = files, .n_files = n};

	assert_int_equal(digest_parse(hex, &layer.digest), 0);
	return layer;
}

/* What a plan does, in order: "A:a E:b/2 K:c O:d". */
static void describe(const struct graft_plan *plan, char *out, size_t out_len)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < plan->n_steps; i++)
		len += (size_t)snprintf(out + len, out_len - len, "%s%c:%s/%zu", i ? " " : "",
			"KAEO"[plan->steps[i].action], plan->steps[i].path, plan->steps[i].n_old);
}

static const struct graft_file abc[] = {{.path = "a"}, {.path = "b"}, {.path = "c"}};

static void test_plan_decides_each_file(void **state)
{
	static const struct {
		const char *name;
		struct mounted mounted[6];
		size_t n_mounted, n_wanted;
		const char *expected;
		size_t n_hidden;
	} cases[] = {
		{"nothing wanted or there", {{0}}, 0, 0, "", 0},
		{"attach in order", {{0}}, 0, 3, "A:a/0 A:b/0 A:c/0", 0},
		{"all right", {{10, 1, "a", HEX_1}, {11, 1, "b", HEX_1}}, 2, 2, "K:a/1 K:b/1", 0},
		{"exchange", {{10, 1, "a", HEX_2}, {11, 1, "b", HEX_1}}, 2, 2, "E:a/1 K:b/1", 0},
		{"off in reverse", {{10, 1, "a", HEX_2}, {11, 1, "b", HEX_1}}, 2, 0, "O:b/1 O:a/1", 0},
		{"drop one", {{10, 1, "a", HEX_1}, {11, 1, "b", HEX_1}, {12, 1, "x", HEX_1}}, 3, 2,
			"K:a/1 K:b/1 O:x/1", 0},
		{"a cut exchange: the right one over the old", {{10, 1, "a", HEX_2}, {11, 10, "a", HEX_1}},
			2, 1, "E:a/2", 0},
		{"three deep", {{10, 1, "a", HEX_2}, {11, 10, "a", HEX_1}, {12, 11, "a", HEX_2}}, 3, 1,
			"E:a/3", 0},
		{"stack off", {{10, 1, "a", HEX_2}, {11, 10, "a", HEX_1}}, 2, 0, "O:a/2", 0},
		{"somebody's on ours, wanted", {{10, 1, "a", HEX_1}, {11, 10, "a", NULL}}, 2, 1, "A:a/0",
			1},
		{"somebody's on ours, off", {{10, 1, "a", HEX_1}, {11, 10, "a", NULL}}, 2, 0, "", 1},
		{"ours on somebody's on ours",
			{{10, 1, "a", HEX_1}, {11, 10, "a", NULL}, {12, 11, "a", HEX_1}}, 3, 1, "K:a/1", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(graft_state) struct graft_state *now =
			make_state(cases[i].mounted, cases[i].n_mounted, "shared:1");
		AUTO(graft_plan) struct graft_plan *plan = NULL;
		struct graft_layer layer = make_layer(HEX_1, abc, cases[i].n_wanted);
		char text[512];

		assert_int_equal(graft_plan_make(now, &layer, 1, &plan, NULL), 0);
		describe(plan, text, sizeof text);
		if (strcmp(text, cases[i].expected) != 0 || plan->n_hidden != cases[i].n_hidden)
			fail_msg("%s: %s, %zu hidden", cases[i].name, text, plan->n_hidden);
	}
}

static void test_plan_leaves_stacks_that_cannot_go_from_beneath(void **state)
{
	static const struct mounted stack[] = {{10, 1, "a", HEX_2}, {11, 10, "a", HEX_1}};
	AUTO(graft_state) struct graft_state *now = make_state(stack, 2, "master:1");
	AUTO(graft_plan) struct graft_plan *plan = NULL;
	struct graft_layer layer = make_layer(HEX_1, abc, 1);
	char text[64];

	(void)state;
	assert_int_equal(graft_plan_make(now, &layer, 1, &plan, NULL), 0);
	describe(plan, text, sizeof text);
	assert_string_equal(text, "K:a/2");
	assert_false(plan->steps[0].parent_shared);
}

/* What is attached and only measured is exchanged for itself, where a seal is wanted; else it stays. */
static void test_plan_exchanges_what_lacks_a_seal(void **state)
{
	static const char text[] = "1 0 8:1 / / rw shared:1 - ext4 a rw\n"
		"2 1 0:2 /a /a ro shared:1 - erofs /run/bsi/image/c-" HEX_1 " ro\n"
		"3 1 253:0 /b /b ro shared:1 - erofs /run/bsi/image/dm-verity/c-" HEX_1 " ro\n"
		"4 1 0:4 /c /c ro shared:1 - erofs /run/bsi/image/fs-verity/c-" HEX_1 " ro\n";
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO(graft_state) struct graft_state *now = NULL;
	struct graft_layer layer = make_layer(HEX_1, abc, 3);
	char described[64];

	(void)state;
	assert_int_equal(mount_table_parse(text, sizeof text - 1, &table), 0);
	assert_int_equal(graft_state_of(table, "", &now), 0);
	assert_int_equal(now->n_mounts, 3);
	assert_int_equal(now->mounts[0].seal, GRAFT_MEASURED);
	assert_int_equal(now->mounts[1].seal, GRAFT_DM_VERITY);
	assert_int_equal(now->mounts[2].seal, GRAFT_FS_VERITY);
	for (int i = 0; i < 2; i++) {
		AUTO(graft_plan) struct graft_plan *plan = NULL;

		layer.flags = i ? GRAFT_LAYER_SEALED : 0;
		assert_int_equal(graft_plan_make(now, &layer, 1, &plan, NULL), 0);
		describe(plan, described, sizeof described);
		assert_string_equal(described, i ? "E:a/1 K:b/1 K:c/1" : "K:a/1 K:b/1 K:c/1");
	}
}

/* An off that was cut leaves lids: over the patched file, or alone. */
static void test_plan_knows_lids(void **state)
{
	static const char text[] = "1 0 8:1 / / rw shared:1 - ext4 a rw\n"
		"2 1 0:2 /a /a ro shared:1 - erofs /run/bsi/image/c-" HEX_1 " ro\n"
		"3 1 0:3 /b /b ro shared:1 - erofs /run/bsi/image/c-" HEX_1 " ro\n"
		"4 3 8:1 /b /b ro,nodev,nodiratime,nosymfollow shared:1 - ext4 a ro\n"
		"5 1 8:1 /c /c ro,nodev,nodiratime,nosymfollow shared:1 - ext4 a ro\n"
		"6 1 8:1 /d /d ro,nodev,nodiratime,nosymfollow shared:1 - ext4 a ro\n"
		"7 6 8:5 / /d ro shared:1 - tmpfs x ro\n";
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO(graft_state) struct graft_state *now = NULL;
	struct graft_layer layer = make_layer(HEX_1, abc, 3);
	char described[64];

	(void)state;
	assert_int_equal(mount_table_parse(text, sizeof text - 1, &table), 0);
	assert_int_equal(graft_state_of(table, "", &now), 0);
	assert_int_equal(now->n_mounts, 2);
	assert_int_equal(now->n_lids, 3);
	assert_true(now->mounts[0].visible && !now->mounts[0].under_lid);
	assert_true(!now->mounts[1].visible && now->mounts[1].under_lid);
	for (size_t n_wanted = 0; n_wanted <= 3; n_wanted += 3) {
		AUTO(graft_plan) struct graft_plan *plan = NULL;

		layer.n_files = n_wanted;
		assert_int_equal(graft_plan_make(now, &layer, 1, &plan, NULL), 0);
		describe(plan, described, sizeof described);
		assert_string_equal(described, n_wanted ? "K:a/1 E:b/2 E:c/1" : "O:c/1 O:b/2 O:a/1");
		assert_int_equal(plan->n_hidden, 1); /* somebody's own mount on d */
	}
}

static void test_plan_refuses_bad_requests(void **state)
{
	static const struct graft_file twice[] = {{.path = "x/y"}, {.path = "a"}, {.path = "x/y"}};
	static const struct graft_file leaves[] = {{.path = "usr/../../x"}};
	static const struct graft_file absolute[] = {{.path = "/usr/x"}};
	static const struct {
		const char *component;
		const struct graft_file *files;
		size_t n_files;
		int code;
	} cases[] = {
		{"c", twice, 3, -BSI_E_PATH},
		{"c", leaves, 1, -BSI_E_PATH},
		{"c", absolute, 1, -BSI_E_PATH},
		{"", abc, 1, -BSI_E_PATH},
		{"C", abc, 1, -BSI_E_PATH},
		{"a/b", abc, 1, -BSI_E_PATH},
	};
	AUTO(graft_state) struct graft_state *now = make_state(NULL, 0, "shared:1");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct graft_layer layer = make_layer(HEX_1, cases[i].files, cases[i].n_files);
		struct graft_plan *plan = NULL;
		struct error error = {0};

		layer.component = cases[i].component;
		assert_int_equal(graft_plan_make(now, &layer, 1, &plan, &error), cases[i].code);
		assert_null(plan);
		assert_true(error.text[0] != '\0');
	}
}

static void test_plan_refuses_too_many_files(void **state)
{
	struct graft_file *files = calloc(GRAFT_FILES_MAX + 1, sizeof *files);
	AUTO(graft_state) struct graft_state *now = make_state(NULL, 0, "shared:1");
	struct graft_layer layer;
	struct graft_plan *plan = NULL;

	(void)state;
	assert_non_null(files);
	for (size_t i = 0; i <= GRAFT_FILES_MAX; i++)
		files[i].path = "usr/x";
	layer = make_layer(HEX_1, files, GRAFT_FILES_MAX + 1);
	assert_int_equal(graft_plan_make(now, &layer, 1, &plan, NULL), -BSI_E_LIMIT);
	free(files);
}

static void test_state_is_of_the_root_asked_for(void **state)
{
	static const char text[] = "1 0 8:1 / / rw shared:1 - ext4 a rw\n"
				   "2 1 0:2 /usr/x /usr/x ro - erofs /run/bsi/image/c-" HEX_1 " ro\n"
				   "3 1 0:3 /usr/x /r/usr/x ro - erofs /run/bsi/image/c-" HEX_1 " ro\n"
				   "4 1 0:3 /usr/x /r/usr/y ro - erofs /run/bsi/image/c-" HEX_1 " ro\n"
				   "5 1 0:3 /usr/x /rr/usr/x ro - erofs /run/bsi/image/c-" HEX_1 " ro\n";
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO(graft_state) struct graft_state *top = NULL;
	AUTO(graft_state) struct graft_state *below = NULL;

	(void)state;
	assert_int_equal(mount_table_parse(text, sizeof text - 1, &table), 0);
	assert_int_equal(graft_state_of(table, "", &top), 0);
	assert_int_equal(top->n_mounts, 1);
	assert_int_equal(top->mounts[0].id, 2);
	assert_true(top->mounts[0].parent_shared);
	assert_int_equal(graft_state_of(table, "/r", &below), 0);
	assert_int_equal(below->n_mounts, 1);
	assert_int_equal(below->mounts[0].id, 3);
	assert_string_equal(below->mounts[0].path, "usr/x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_decides_each_file),
		cmocka_unit_test(test_plan_leaves_stacks_that_cannot_go_from_beneath),
		cmocka_unit_test(test_plan_exchanges_what_lacks_a_seal),
		cmocka_unit_test(test_plan_knows_lids),
		cmocka_unit_test(test_plan_refuses_bad_requests),
		cmocka_unit_test(test_plan_refuses_too_many_files),
		cmocka_unit_test(test_state_is_of_the_root_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
