/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Generations, the pointers at them, and what is collected. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "scratch.h"
#include "store/image.h"

static void test_generation_round_trips(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO(generation) struct generation *g = NULL;
	AUTO_FREE uint64_t *numbers = NULL;
	struct digest image = scratch_image(s, 1, 5000);
	struct error e = {0};
	size_t n;

	assert_int_equal(scratch_generation(s, "a", 4, &image), 1);
	assert_int_equal(scratch_generation(s, "b", 5, &image), 2);
	if (store_generation_load(s, 1, &g, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(g->number, 1);
	assert_string_equal(g->base, "debian:12:amd64");
	assert_string_equal(g->letter, "a");
	assert_int_equal(g->build, 4);
	assert_int_equal(g->created_utc_s, 1764000000);
	assert_int_equal(g->n_components, 1);
	assert_string_equal(g->components[0].name, "openssl");
	assert_string_equal(g->components[0].set, "u1");
	assert_true(digest_equal(&g->components[0].image, &image));
	assert_int_equal(g->manifest_len, 7);
	assert_memory_equal(g->manifest, "{\"x\":1}", 7);
	assert_int_equal(store_generation_list(s, &numbers, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(numbers[0], 1);
	assert_int_equal(numbers[1], 2);
}

static void test_generation_needs_its_images(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	char text[] = "a";
	uint8_t manifest[] = {'{', '}'};
	struct generation_component c = {text, {{1}}, text};
	struct generation g = {.base = text, .letter = text, .build = 1, .components = &c,
		.n_components = 1, .manifest = manifest, .manifest_len = 2};
	struct error e = {0};
	uint64_t n = 0;

	assert_int_equal(store_generation_write(s, &g, &n, &e), -ENOENT);
	assert_non_null(strstr(e.text, "image"));
	g.n_components = 0;
	g.manifest = NULL;
	assert_int_equal(store_generation_write(s, &g, &n, &e), -EINVAL);
	g.manifest = manifest;
	text[0] = '\n'; /* would be written and never read again */
	assert_int_equal(store_generation_write(s, &g, &n, &e), -BSI_E_FORMAT);
	assert_int_equal(n, 0);
	assert_int_equal(scratch_count(*state, "generations", 0), 0);
}

static void test_generation_missing_and_damaged_are_told_apart(void **state)
{
	static const char *const files[] = {"generations/1/generation.json",
		"generations/1/manifest.json"};
	const struct scratch *scratch = *state;
	AUTO(store) struct store *s = scratch_lock(scratch);
	struct digest image = scratch_image(s, 1, 5000);
	struct generation *g = NULL;
	struct error e = {0};

	assert_int_equal(store_generation_load(s, 1, &g, &e), -ENOENT);
	assert_int_equal(scratch_generation(s, "a", 1, &image), 1);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		AUTO_FREE char *bytes = NULL;
		size_t len;

		bytes = scratch_read(scratch, files[i], &len);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			int r;

			bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
			scratch_write(scratch, files[i], bytes, len);
			bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
			r = store_generation_load(s, 1, &g, &e);
			if (r != -BSI_E_STATE && r != -BSI_E_VERSION)
				fail_msg("%s, bit %zu: %d", files[i], bit, r);
			assert_non_null(strstr(e.text, files[i]));
		}
		assert_int_equal(unlinkat(scratch->dir_fd, files[i], 0), 0);
		assert_int_equal(store_generation_load(s, 1, &g, &e), -BSI_E_STATE);
		assert_non_null(strstr(e.text, files[i]));
		assert_non_null(strstr(e.text, "install the letter again"));
		scratch_write(scratch, files[i], bytes, len);
		assert_int_equal(store_generation_load(s, 1, &g, &e), 0);
		generation_free(take_ptr(g));
	}
	/* one generation's folder under another one's number */
	assert_int_equal(renameat(scratch->dir_fd, "generations/1", scratch->dir_fd, "generations/3"),
		0);
	assert_int_equal(store_generation_load(s, 3, &g, &e), -BSI_E_STATE);
	assert_null(g);
}

static void test_current_moves_and_remembers(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct digest image = scratch_image(s, 1, 5000);
	struct error e = {0};
	uint64_t n;

	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(scratch_generation(s, "a", i, &image), i);
	assert_int_equal(store_current_set(s, 9, &e), -ENOENT);
	assert_int_equal(store_good_set(s, 9, &e), -ENOENT);
	assert_int_equal(store_current_set(s, 1, NULL), 0);
	assert_int_equal(store_good_set(s, 1, NULL), 0);
	assert_int_equal(store_current_set(s, 3, NULL), 0);
	assert_int_equal(store_current_set(s, 3, NULL), 0);
	assert_int_equal(store_current_get(s, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(store_previous_get(s, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_good_get(s, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_current_set(s, 0, NULL), 0);
	assert_int_equal(store_current_get(s, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_previous_get(s, &n, NULL), 0);
	assert_int_equal(n, 3);
}

static void test_current_does_not_go_to_a_damaged_generation(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct digest image = scratch_image(s, 1, 5000);
	uint64_t n;

	assert_int_equal(scratch_generation(s, "a", 1, &image), 1);
	scratch_write(*state, "generations/1/manifest.json", "x", 1);
	assert_int_equal(store_current_set(s, 1, NULL), -BSI_E_STATE);
	assert_int_equal(store_current_get(s, &n, NULL), 0);
	assert_int_equal(n, 0);
}

static void test_collect_keeps_current_previous_and_good(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct digest images[6];

	for (uint8_t i = 0; i < 6; i++)
		images[i] = scratch_image(s, i, 5000);
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(scratch_generation(s, "a", i, &images[i]), i);
	assert_int_equal(store_good_set(s, 1, NULL), 0);
	assert_int_equal(store_current_set(s, 3, NULL), 0);
	assert_int_equal(store_current_set(s, 4, NULL), 0);
	scratch_write(*state, "images/README", "x", 1);
	assert_int_equal(store_collect(s, NULL), 0);
	for (uint64_t i = 1; i <= 5; i++) {
		AUTO(generation) struct generation *g = NULL;
		int kept = i == 1 || i == 3 || i == 4;

		assert_int_equal(store_generation_load(s, i, &g, NULL), kept ? 0 : -ENOENT);
		assert_int_equal(store_has_image(s, &images[i]), kept);
	}
	assert_false(store_has_image(s, &images[0]));
	assert_true(scratch_has(*state, "images/README"));
	assert_int_equal(scratch_count(*state, "generations", 0), 3);
	/* the highest number was removed, and is not given again */
	assert_int_equal(scratch_generation(s, "b", 6, &images[4]), 6);
}

static void test_collect_removes_nothing_when_a_kept_one_is_damaged(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct digest one = scratch_image(s, 1, 5000), two = scratch_image(s, 2, 5000);
	struct error e = {0};

	assert_int_equal(scratch_generation(s, "a", 1, &one), 1);
	assert_int_equal(scratch_generation(s, "b", 2, &two), 2);
	assert_int_equal(store_current_set(s, 1, NULL), 0);
	scratch_write(*state, "generations/1/generation.json", "{}", 2);
	assert_int_equal(store_collect(s, &e), -BSI_E_STATE);
	assert_non_null(strstr(e.text, "generations/1/generation.json"));
	assert_true(store_has_image(s, &one));
	assert_true(store_has_image(s, &two));
	assert_int_equal(scratch_count(*state, "generations", 0), 2);

	assert_int_equal(file_remove_tree(((const struct scratch *)*state)->dir_fd, "generations/1"),
		0);
	assert_int_equal(store_collect(s, &e), -BSI_E_STATE);
	assert_non_null(strstr(e.text, "current"));
	assert_true(store_has_image(s, &one));
}

static void test_number_never_goes_back(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct digest image = scratch_image(s, 1, 5000);

	for (uint64_t i = 1; i <= 12; i++) {
		assert_int_equal(scratch_generation(s, "a", i, &image), i);
		assert_int_equal(store_collect(s, NULL), 0);
		image = scratch_image(s, 1, 5000);
	}
	assert_int_equal(scratch_count(*state, "generations", 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_generation_round_trips),
		TEST(test_generation_needs_its_images),
		TEST(test_generation_missing_and_damaged_are_told_apart),
		TEST(test_current_moves_and_remembers),
		TEST(test_current_does_not_go_to_a_damaged_generation),
		TEST(test_collect_keeps_current_previous_and_good),
		TEST(test_collect_removes_nothing_when_a_kept_one_is_damaged),
		TEST(test_number_never_goes_back),
	};

	return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
