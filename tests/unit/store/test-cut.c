/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run that is cut at any of its system calls, and one in which any call on a file fails: what is
 * left is valid, what was reported as done is there, and the same run again comes to the same end.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tools/cut.h"
#include "base/file.h"
#include "scene.h"
#include "store/denied.h"
#include "store/history.h"
#include "store/image.h"
#include "store/settings.h"
#include "store/trust_files.h"

/*
 * Every point; with the address sanitizer, whose forks take ten times as long, every fifth one.
 */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define POINT_STEP 5
#else
#define POINT_STEP 1
#endif

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s, call %ld: %s", what, at, #condition);                        \
	} while (0)

/* The generation that current names, whole, its images measured. */
static void check_current(const struct scene *scene, struct store *s, const char *what, long at)
{
	AUTO(generation) struct generation *g = NULL;
	AUTO_CLOSE int fd = -EBADF;
	struct digest found;
	struct error e = {0};
	uint64_t n;

	CHECK(store_current_get(s, &n, &e) == 0);
	if (n == 0)
		return;
	CHECK(store_generation_load(s, n, &g, &e) == 0);
	CHECK(digest_equal(&g->components[0].image,
		strcmp(g->letter, "a") == 0 ? &scene->old_image : &scene->new_image));
	CHECK(store_image_open(s, &g->components[0].image, &fd) == 0);
	CHECK(file_digest(fd, &found, NULL) == 0);
	CHECK(digest_equal(&found, &g->components[0].image));
}

/* Everything can be read, by somebody without the lock too. */
static void check_valid(const struct scene *scene, const char *what, long at)
{
	AUTO(store) struct store *s = NULL;
	AUTO(denied) struct denied *denied = NULL;
	AUTO_JSON json_t *config = NULL, *history = NULL;
	AUTO_FREE uint64_t *numbers = NULL;
	int64_t floor_utc_s;
	struct error e = {0};
	uint64_t n;
	size_t count;

	if (store_open(scene->scratch->dir_fd, &s, &e) < 0)
		fail_msg("%s, call %ld: %s", what, at, e.text);
	check_current(scene, s, what, at);
	CHECK(store_floor_get(s, &floor_utc_s, &e) == 0);
	CHECK(floor_utc_s == 0 || floor_utc_s == FLOOR_OLD || floor_utc_s == FLOOR_NEW);
	CHECK(store_denied_load(s, &denied, &e) == 0);
	CHECK(store_config_load(s, &config, &e) == 0);
	CHECK(store_history_list(s, 100, &history, &e) == 0);
	CHECK(store_good_get(s, &n, &e) == 0);
	CHECK(store_generation_list(s, &numbers, &count, &e) == 0);
	for (size_t i = 0; i < count; i++) {
		AUTO(generation) struct generation *g = NULL;

		if (store_generation_load(s, numbers[i], &g, &e) < 0)
			fail_msg("%s, call %ld: %s", what, at, e.text);
		/* none is ever without its images */
		CHECK(store_has_image(s, &g->components[0].image));
	}
}

/* What was reported as done is there. */
static void check_reported(const struct scene *scene, const char *what, long at)
{
	AUTO(store) struct store *s = scratch_open(scene->scratch);
	AUTO_DONE(buffer) struct buffer trust = buffer_of(16);
	AUTO_JSON json_t *config = NULL, *history = NULL;
	enum step done = *scene->done;
	int64_t floor_utc_s;

	if (done >= STEP_TRUST) {
		CHECK(store_trust_load(s, SCENE_BASE ".json", 16, &trust) == 0);
		CHECK(trust.data[0] == 'b');
	}
	CHECK(store_floor_get(s, &floor_utc_s, NULL) == 0);
	CHECK(done < STEP_FLOOR || floor_utc_s == FLOOR_NEW);
	CHECK(done < STEP_IMAGE || store_has_image(s, &scene->new_image));
	CHECK(done < STEP_CURRENT || scene_is_current(s, "b"));
	CHECK(store_history_list(s, 1, &history, NULL) == 0);
	CHECK(done < STEP_HISTORY || strcmp(json_string_value(json_object_get(
						    json_array_get(history, 0), "letter")),
					     "b") == 0);
	CHECK(store_config_load(s, &config, NULL) == 0);
	CHECK(done < STEP_CONFIG ||
		strcmp(json_string_value(json_object_get(config, "letter")), "b") == 0);
}

/* After the run was done again: the end of a run that nobody cut, and nothing left over. */
static void check_end_of_install(const struct scene *scene, bool had_old, const char *what, long at)
{
	static const char *const folders[] = {".", "trust", "images", "downloads", "generations"};
	AUTO(store) struct store *s = scratch_open(scene->scratch);
	AUTO(denied) struct denied *denied = NULL;
	uint64_t n = 0;

	CHECK(*scene->done == STEP_END);
	check_reported(scene, what, at);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		CHECK(scratch_count(scene->scratch, folders[i], 1) == 0);
	CHECK(scratch_count(scene->scratch, "generations", 0) == (had_old ? 2 : 1));
	CHECK(scratch_count(scene->scratch, "images", 0) == (had_old ? 2 : 1));
	CHECK(scratch_count(scene->scratch, "downloads", 0) == 0);
	CHECK(store_previous_get(s, &n, NULL) == 0);
	CHECK((n > 0) == had_old);
	CHECK(store_denied_load(s, &denied, NULL) == 0);
	CHECK(denied_find(denied, SCENE_BASE, 2) != NULL);
}

static void check_end_of_removal(const struct scene *scene, const char *what, long at)
{
	AUTO(store) struct store *s = scratch_open(scene->scratch);
	AUTO(denied) struct denied *denied = NULL;
	uint64_t n = 7;

	CHECK(*scene->done == STEP_END);
	CHECK(store_current_get(s, &n, NULL) == 0 && n == 0);
	CHECK(!scratch_has(scene->scratch, "trust/timestamp.json"));
	CHECK(store_denied_load(s, &denied, NULL) == 0);
	CHECK(denied_find(denied, SCENE_BASE, 1) != NULL);
	CHECK(scratch_count(scene->scratch, "generations", 0) == 1); /* the previous one */
}

static void check_end(const struct scene *scene, const struct run *run, long at)
{
	if (run->is_removal)
		check_end_of_removal(scene, run->name, at);
	else
		check_end_of_install(scene, run->has_old, run->name, at);
}

static void check_after(struct scene *scene, const struct run *run, long at)
{
	const char *what = run->name;

	check_valid(scene, what, at);
	if (!run->is_removal)
		check_reported(scene, what, at);
	*scene->done = STEP_NONE;
	CHECK(run->go(scene) == 0);
	check_valid(scene, what, at);
	check_end(scene, run, at);
}

static void test_cut_at_every_call(void **state)
{
	AUTO_DONE(scene) struct scene scene = scene_of(*state);

	for (size_t i = 0; i < N_RUNS; i++) {
		long n;

		for (n = 1;; n += POINT_STEP) {
			struct cut_plan plan = {.at = n};
			struct cut_result result;

			scene_prepare(&scene, &runs[i]);
			assert_int_equal(cut_run(&plan, runs[i].go, &scene, &result), 0);
			if (!result.was_cut) {
				assert_int_equal(result.status, 0);
				check_end(&scene, &runs[i], n);
				break;
			}
			check_after(&scene, &runs[i], n);
		}
		print_message("# %s: cut at each of %ld calls, step %d\n", runs[i].name, n - 1,
			POINT_STEP);
		/* a run that is over before its first fsync would prove nothing */
		assert_true(n > 100);
	}
}

/* Cut, and cut again while the next run makes good for it; then one that is let through. */
static void test_cut_twice(void **state)
{
	enum { STRIDE = 31 + 10 * (POINT_STEP - 1) };
	AUTO_DONE(scene) struct scene scene = scene_of(*state);

	for (size_t i = 0; i < N_RUNS; i++) {
		bool was_cut = true;
		long n_points = 0;

		for (long n = 1; was_cut; n += STRIDE) {
			for (long m = 1 + n % 7;; m += STRIDE) {
				struct cut_plan first = {.at = n}, second = {.at = m};
				struct cut_result result;

				scene_prepare(&scene, &runs[i]);
				assert_int_equal(cut_run(&first, runs[i].go, &scene, &result), 0);
				was_cut = result.was_cut;
				assert_int_equal(cut_run(&second, runs[i].go, &scene, &result), 0);
				if (!result.was_cut)
					break;
				check_after(&scene, &runs[i], n * 1000 + m);
				n_points++;
			}
		}
		print_message("# %s: cut twice at %ld pairs of calls\n", runs[i].name, n_points);
		assert_true(n_points >= 5);
	}
}

/* A call that fails: an error is reported, or the end is right; and the same run goes on. */
static void fail_every_call(void **state, int error)
{
	AUTO_DONE(scene) struct scene scene = scene_of(*state);

	for (size_t i = 0; i < N_RUNS; i++) {
		long n, n_failed = 0;

		for (n = 1;; n += POINT_STEP) {
			struct cut_plan plan = {.at = n, .error = error, .files_only = true};
			struct cut_result result;

			scene_prepare(&scene, &runs[i]);
			assert_int_equal(cut_run(&plan, runs[i].go, &scene, &result), 0);
			if (!result.was_cut)
				break;
			if (result.status > 1)
				fail_msg("%s, call %ld: status %d", runs[i].name, n, result.status);
			n_failed += result.status;
			if (result.status == 0)
				check_end(&scene, &runs[i], n);
			check_after(&scene, &runs[i], n);
		}
		print_message("# %s: errno %d at each of %ld calls, step %d, %ld runs failed\n",
			runs[i].name, error, n - 1, POINT_STEP, n_failed);
		assert_true(n_failed > 60 / POINT_STEP);
	}
}

static void test_full_disk_at_every_call(void **state)
{
	if (!cut_can_fail_calls())
		skip();
	fail_every_call(state, ENOSPC);
}

static void test_broken_disk_at_every_call(void **state)
{
	if (!cut_can_fail_calls())
		skip();
	fail_every_call(state, EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest kills[] = {
		TEST(test_cut_at_every_call),
		TEST(test_cut_twice),
	};
	const struct CMUnitTest failures[] = {
		TEST(test_full_disk_at_every_call),
		TEST(test_broken_disk_at_every_call),
	};

	/* in two, so that both can run at once */
	if (argc == 2 && strcmp(argv[1], "kill") == 0)
		return cmocka_run_group_tests_name("cut", kills, NULL, NULL);
	if (argc == 2 && strcmp(argv[1], "fail") == 0)
		return cmocka_run_group_tests_name("fail", failures, NULL, NULL);
	(void)fprintf(stderr, "usage: %s kill|fail\n", argv[0]);
	return 2;
}
