/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "scratch.h"
#include "store/denied.h"
#include "store/download.h"
#include "store/generation.h"
#include "store/history.h"
#include "store/image.h"
#include "store/load.h"
#include "store/settings.h"
#include "store/trust_files.h"

static int begin(struct store *s, struct error *reterr)
{
	return store_load_begin(s, "debian:12:amd64", "b", 2, reterr);
}

static void test_store_reads_a_fresh_directory_and_writes_nothing(void **state)
{
	AUTO(store) struct store *s = scratch_open(*state);
	AUTO(denied) struct denied *denied = NULL;
	AUTO_JSON json_t *config = NULL, *enrolment = NULL, *history = NULL;
	AUTO_FREE uint64_t *numbers = NULL;
	uint64_t n = 7;
	int64_t utc_s = 7;
	size_t count = 7;

	assert_int_equal(store_current_get(s, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_good_get(s, &n, NULL), 0);
	assert_int_equal(store_previous_get(s, &n, NULL), 0);
	assert_int_equal(store_floor_get(s, &utc_s, NULL), 0);
	assert_int_equal(utc_s, 0);
	assert_int_equal(store_denied_load(s, &denied, NULL), 0);
	assert_int_equal(denied->n_entries, 0);
	assert_int_equal(store_config_load(s, &config, NULL), 0);
	assert_int_equal(json_object_size(config), 0);
	assert_int_equal(store_enrolment_load(s, &enrolment, NULL), -BSI_E_ENROL);
	assert_int_equal(store_history_list(s, 10, &history, NULL), 0);
	assert_int_equal(json_array_size(history), 0);
	assert_int_equal(store_generation_list(s, &numbers, &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(scratch_count(*state, ".", 0), 0);
}

static void test_store_changes_need_the_lock(void **state)
{
	AUTO(store) struct store *s = scratch_open(*state);
	AUTO_JSON json_t *o = json_object();
	struct store_image *image = NULL;
	struct digest d = {0};
	struct error e = {0};
	uint64_t have;
	int fd;

	assert_int_equal(store_config_save(s, o, &e), -BSI_E_BUSY);
	assert_true(e.text[0] != '\0');
	assert_int_equal(store_enrolment_save(s, o, NULL), -BSI_E_BUSY);
	assert_int_equal(store_floor_set(s, 1, NULL), -BSI_E_BUSY);
	assert_int_equal(store_current_set(s, 0, NULL), -BSI_E_BUSY);
	assert_int_equal(store_good_set(s, 0, NULL), -BSI_E_BUSY);
	assert_int_equal(store_trust_save(s, "root.json", "x", 1), -BSI_E_BUSY);
	assert_int_equal(store_trust_drop(s, "root.json"), -BSI_E_BUSY);
	assert_int_equal(store_denied_add(s, "debian:12:amd64", "a", 1, "r", 0, NULL), -BSI_E_BUSY);
	assert_int_equal(store_collect(s, NULL), -BSI_E_BUSY);
	assert_int_equal(begin(s, NULL), -BSI_E_BUSY);
	assert_int_equal(store_image_begin(s, &d, 5, &image, NULL), -BSI_E_BUSY);
	assert_int_equal(store_download_open(s, &d, 5, &fd, &have, NULL), -BSI_E_BUSY);
	assert_int_equal(store_download_done(s, &d), -BSI_E_BUSY);
	assert_int_equal(scratch_count(*state, ".", 0), 0);
}

static void test_store_layout_is_private(void **state)
{
	static const char *const files[] = {
		"format", "lock", "loading", "number", "current", "denied", "floor"};
	static const char *const folders[] = {"trust", "images", "downloads", "generations"};
	const struct scratch *scratch = *state;
	mode_t mask = umask(0);
	AUTO(store) struct store *s = scratch_lock(scratch);
	struct stat st;

	(void)umask(mask);
	assert_int_equal(store_history_add(s, 0, "install", "a", NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		assert_int_equal(fstatat(scratch->dir_fd, files[i], &st, 0), 0);
		assert_int_equal(st.st_mode, S_IFREG | 0600);
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		assert_int_equal(fstatat(scratch->dir_fd, folders[i], &st, 0), 0);
		assert_int_equal(st.st_mode, S_IFDIR | 0700);
	}
	assert_int_equal(fstatat(scratch->dir_fd, "history.db", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(scratch_count(scratch, ".", 0), 12);
}

static void test_store_lock_excludes_and_names_the_holder(void **state)
{
	AUTO(store) struct store *first = scratch_lock(*state), *second = scratch_open(*state);
	struct error e = {0};
	char pid[32];

	(void)snprintf(pid, sizeof pid, "(process %ld)", (long)getpid());
	assert_int_equal(store_lock(first, &e), 0);
	assert_int_equal(store_lock(second, &e), -BSI_E_BUSY);
	assert_non_null(strstr(e.text, pid));
	store_unlock(first);
	store_set_purpose(first, "install");
	assert_int_equal(store_lock(first, &e), 0);
	assert_int_equal(store_lock(second, &e), -BSI_E_BUSY);
	assert_non_null(strstr(e.text, "'bsi install' (process "));
	store_unlock(first);
	/* the name of a verb is short, and a longer one is cut */
	store_set_purpose(first, "0123456789012345678901234567890123456789012345678901234567890123456789"
				 "0123456789012345678901234567890123456789");
	assert_int_equal(store_lock(first, &e), 0);
	assert_int_equal(store_lock(second, &e), -BSI_E_BUSY);
	assert_non_null(strstr(e.text, "'bsi 0123456789"));
	store_unlock(first);
	assert_int_equal(store_lock(second, &e), 0);
	assert_int_equal(store_lock(first, &e), -BSI_E_BUSY);
}

static void test_store_lock_ends_with_its_process(void **state)
{
	AUTO(store) struct store *s = NULL;
	int status, ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct store *other = NULL;
		const struct scratch *scratch = *state;
		int r = store_open(scratch->dir_fd, &other, NULL);

		if (r < 0 || store_lock(other, NULL) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	s = scratch_open(*state);
	assert_int_equal(store_lock(s, NULL), -BSI_E_BUSY);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(store_lock(s, NULL), 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void test_store_refuses_a_directory_of_something_else(void **state)
{
	struct store *s = NULL;
	struct error e = {0};
	const struct scratch *scratch = *state;

	scratch_write(scratch, "passwd", "x", 1);
	assert_int_equal(store_open(scratch->dir_fd, &s, &e), -BSI_E_STATE);
	assert_non_null(strstr(e.text, "passwd"));
	assert_null(s);
}

static void test_store_refuses_generations_without_format(void **state)
{
	const struct scratch *scratch = *state;
	struct store *s = scratch_lock(scratch);
	struct digest image = scratch_image(s, 1, 4096);
	struct error e = {0};

	assert_int_equal(scratch_generation(s, "a", 1, &image), 1);
	store_free(s);
	s = NULL;
	assert_int_equal(unlinkat(scratch->dir_fd, "format", 0), 0);
	assert_int_equal(store_open(scratch->dir_fd, &s, &e), -BSI_E_STATE);
	assert_null(s);
}

/* What is missing from a state that was made is damage, never a fresh start. */
static void test_store_missing_guards_fail_closed(void **state)
{
	static const char *const guards[] = {"floor", "denied", "current", "number"};
	const struct scratch *scratch = *state;

	for (size_t i = 0; i < ARRAY_SIZE(guards); i++) {
		AUTO(store) struct store *s = NULL;
		AUTO(denied) struct denied *denied = NULL;
		struct digest image;
		struct error e = {0};
		int64_t utc_s;
		uint64_t n;
		int r = 0;

		scratch_clear(scratch);
		s = scratch_lock(scratch);
		image = scratch_image(s, 1, 4096);
		assert_int_equal(unlinkat(scratch->dir_fd, guards[i], 0), 0);
		switch (i) {
		case 0:
			r = store_floor_get(s, &utc_s, &e);
			break;
		case 1:
			r = store_denied_load(s, &denied, &e);
			break;
		case 2:
			r = store_current_get(s, &n, &e);
			break;
		default: {
			char text[] = "a";
			uint8_t manifest[] = {'{', '}'};
			struct generation_component c = {text, image, text};
			struct generation g = {.base = text, .letter = text, .build = 1,
				.components = &c, .n_components = 1, .manifest = manifest,
				.manifest_len = 2};

			r = store_generation_write(s, &g, &n, &e);
		}
		}
		assert_int_equal(r, -BSI_E_STATE);
		assert_non_null(strstr(e.text, guards[i]));
		assert_non_null(strstr(e.text, "missing"));
	}
}

/* Every bit of a small file: refused with its name, or (in the version) from the future. */
static void test_store_bit_flips_are_damage(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(store) struct store *s = scratch_lock(scratch);
	AUTO_FREE char *bytes = NULL;
	size_t len;
	unsigned n_version = 0;

	assert_int_equal(store_floor_set(s, 1764000000, NULL), 0);
	bytes = scratch_read(scratch, "floor", &len);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		struct error e = {0};
		int64_t utc_s = -1;
		int r;

		bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
		scratch_write(scratch, "floor", bytes, len);
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
		r = store_floor_get(s, &utc_s, &e);
		n_version += r == -BSI_E_VERSION;
		if (r != -BSI_E_STATE && r != -BSI_E_VERSION)
			fail_msg("bit %zu: %d, %ld", bit, r, (long)utc_s);
		assert_non_null(strstr(e.text, "floor"));
		assert_int_equal(utc_s, -1);
	}
	assert_in_range(n_version, 1, 8);
	for (size_t cut = 0; cut < len; cut++) {
		int64_t utc_s;

		scratch_write(scratch, "floor", bytes, cut);
		assert_int_equal(store_floor_get(s, &utc_s, NULL), -BSI_E_STATE);
	}
}

static void test_store_refuses_a_future_format(void **state)
{
	const struct scratch *scratch = *state;
	AUTO_FREE char *bytes = NULL;
	struct store *s = scratch_lock(scratch);
	struct error e = {0};
	char *version;

	store_free(s);
	s = NULL;
	bytes = scratch_read(scratch, "format", NULL);
	version = strstr(bytes, "\"version\":1");
	assert_non_null(version);
	version[strlen("\"version\":")] = '2';
	scratch_write(scratch, "format", bytes, strlen(bytes));
	assert_int_equal(store_open(scratch->dir_fd, &s, &e), -BSI_E_VERSION);
	assert_non_null(strstr(e.text, "newer bsi"));
	assert_null(s);
}

static void test_store_lock_sweeps_leftovers(void **state)
{
	static const char *const left[] = {"images/.x.new", "trust/.root.json.new", ".floor.new"};
	const struct scratch *scratch = *state;

	store_free(scratch_lock(scratch));
	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		scratch_write(scratch, left[i], "x", 1);
	assert_int_equal(mkdirat(scratch->dir_fd, "generations/.new", 0700), 0);
	scratch_write(scratch, "generations/.new/manifest.json", "x", 1);
	scratch_write(scratch, "trust/root.json", "x", 1);
	store_free(scratch_lock(scratch));
	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		assert_false(scratch_has(scratch, left[i]));
	assert_false(scratch_has(scratch, "generations/.new"));
	assert_true(scratch_has(scratch, "trust/root.json"));
}

static void test_store_load_excludes_and_leaves_the_state_free(void **state)
{
	AUTO(store) struct store *first = scratch_lock(*state), *second = scratch_open(*state);
	struct error e = {0};

	assert_int_equal(begin(second, &e), -BSI_E_BUSY);
	store_unlock(first);
	assert_int_equal(store_lock(second, &e), 0);
	assert_false(store_is_locked(first));
	assert_true(store_is_locked(second));
	assert_int_equal(begin(second, &e), -BSI_E_BUSY);
	assert_non_null(strstr(e.text, "is loading an improvement"));
	assert_int_equal(store_floor_set(first, 1, NULL), -BSI_E_BUSY);
	store_load_end(first);
	assert_int_equal(begin(second, &e), 0);
	assert_int_equal(begin(second, &e), 0);
}

/* What another makes is nobody's leftover, and no image that nobody needs. */
static void test_store_load_is_left_alone(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(store) struct store *first = scratch_lock(scratch), *second = scratch_open(scratch);
	AUTO(store_image) struct store_image *image = NULL;
	AUTO_CLOSE int fd = -EBADF;
	struct digest d;
	uint64_t have;

	assert_int_equal(digest_of("hello", 5, &d), 0);
	store_unlock(first);
	(void)scratch_image(first, 1, 4096);
	assert_int_equal(store_image_begin(first, &d, 5, &image, NULL), 0);
	assert_int_equal(store_download_open(first, &d, 5, &fd, &have, NULL), 0);
	assert_int_equal(store_lock(second, NULL), 0);
	assert_int_equal(store_collect(second, NULL), 0);
	assert_int_equal(store_download_collect(second, NULL, 0, NULL), 0);
	assert_int_equal(scratch_count(scratch, "images", 0), 2);
	assert_int_equal(scratch_count(scratch, "downloads", 0), 1);
	store_unlock(second);
	/* its process ends: now it is left by a killed run */
	store_load_end(first);
	assert_int_equal(store_lock(second, NULL), 0);
	assert_int_equal(scratch_count(scratch, "images", 1), 0);
	assert_int_equal(store_collect(second, NULL), 0);
	assert_int_equal(store_download_collect(second, NULL, 0, NULL), 0);
	assert_int_equal(scratch_count(scratch, "images", 0), 0);
	assert_int_equal(scratch_count(scratch, "downloads", 0), 0);
}

static void test_store_load_is_looked_at_and_stopped(void **state)
{
	AUTO(store) struct store *first = scratch_lock(*state), *second = scratch_open(*state);
	struct load_name name = {0};
	struct error e = {0};

	assert_false(store_load_is_stopped(first, NULL));
	assert_int_equal(store_load_look(first, &name, &e), 0);
	assert_int_equal(store_load_stop(first, &e), 0);
	assert_false(store_load_is_stopped(first, NULL));
	store_unlock(first);
	assert_int_equal(store_load_look(second, &name, &e), -BSI_E_BUSY);
	assert_int_equal(store_load_stop(second, &e), -BSI_E_BUSY);
	store_set_purpose(second, "remove");
	assert_int_equal(store_lock(second, NULL), 0);
	assert_int_equal(store_load_look(second, &name, &e), 1);
	assert_non_null(strstr(e.text, "is loading an improvement"));
	assert_string_equal(name.base, "debian:12:amd64");
	assert_string_equal(name.letter, "b");
	assert_int_equal(name.build, 2);
	assert_false(store_load_is_stopped(first, NULL));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(store_load_stop(second, &e), 0);
		assert_true(store_load_is_stopped(first, &e));
		assert_non_null(strstr(e.text, "'bsi remove' (process "));
		assert_int_equal(store_load_look(second, &name, &e), 1);
	}
	/* the next one is another matter */
	store_load_end(first);
	assert_false(store_load_is_stopped(first, NULL));
	assert_int_equal(store_load_look(second, &name, &e), 0);
	assert_int_equal(store_load_stop(second, &e), 0);
	store_unlock(second);
	assert_int_equal(store_lock(first, NULL), 0);
	assert_int_equal(store_load_begin(first, "x", "a", 1, NULL), -EINVAL);
	assert_int_equal(store_load_begin(first, "debian:12:amd64", "a b", 1, NULL), -EINVAL);
	assert_int_equal(begin(first, NULL), 0);
	assert_false(store_load_is_stopped(first, NULL));
}

static void test_store_load_says_what_or_that_it_does_not(void **state)
{
	static const char *const bad[] = {"", "1 run", "1 run\n", "1 run\ndebian:12:amd64 2\n",
		"1 run\ndebian:12:amd64 0 b\n", "1 run\ndebian:12:amd64 2x b\n",
		"1 run\n../x 2 b\n", "1 run\ndebian:12:amd64 2 B\n",
		"1 run\ndebian:12:amd64 99999999999999999999 b\n"};
	const struct scratch *scratch = *state;
	AUTO(store) struct store *first = scratch_lock(scratch), *second = scratch_open(scratch);
	struct load_name name;
	struct error e = {0};

	store_unlock(first);
	assert_int_equal(store_lock(second, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		scratch_write(scratch, "loading", bad[i], strlen(bad[i]));
		assert_int_equal(store_load_look(second, &name, &e), -BSI_E_STATE);
		assert_non_null(strstr(e.text, "does not say which"));
	}
}

static void test_trust_files_are_kept_by_name(void **state)
{
	static const char *const bad[] = {"", ".", "..", "../x", "a/b", ".root.json", "a\nb"};
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO_DONE(buffer) struct buffer out = buffer_of(64);

	assert_int_equal(store_trust_load(s, "debian:12:amd64.json", 64, &out), -ENOENT);
	assert_int_equal(store_trust_save(s, "debian:12:amd64.json", "one", 3), 0);
	assert_int_equal(store_trust_save(s, "debian:12:amd64.json", "two!", 4), 0);
	assert_int_equal(store_trust_load(s, "debian:12:amd64.json", 64, &out), 0);
	assert_int_equal(out.len, 4);
	assert_memory_equal(out.data, "two!", 4);
	assert_int_equal(store_trust_load(s, "debian:12:amd64.json", 3, &out), -BSI_E_LIMIT);
	assert_int_equal(store_trust_drop(s, "debian:12:amd64.json"), 0);
	assert_int_equal(store_trust_drop(s, "debian:12:amd64.json"), 0);
	assert_int_equal(store_trust_load(s, "debian:12:amd64.json", 64, &out), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(store_trust_save(s, bad[i], "x", 1), -BSI_E_PATH);
		assert_int_equal(store_trust_load(s, bad[i], 64, &out), -BSI_E_PATH);
		assert_int_equal(store_trust_drop(s, bad[i]), -BSI_E_PATH);
	}
	assert_int_equal(scratch_count(*state, "trust", 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_store_reads_a_fresh_directory_and_writes_nothing),
		TEST(test_store_changes_need_the_lock),
		TEST(test_store_layout_is_private),
		TEST(test_store_lock_excludes_and_names_the_holder),
		TEST(test_store_lock_ends_with_its_process),
		TEST(test_store_refuses_a_directory_of_something_else),
		TEST(test_store_refuses_generations_without_format),
		TEST(test_store_missing_guards_fail_closed),
		TEST(test_store_bit_flips_are_damage),
		TEST(test_store_refuses_a_future_format),
		TEST(test_store_lock_sweeps_leftovers),
		TEST(test_store_load_excludes_and_leaves_the_state_free),
		TEST(test_store_load_is_left_alone),
		TEST(test_store_load_is_looked_at_and_stopped),
		TEST(test_store_load_says_what_or_that_it_does_not),
		TEST(test_trust_files_are_kept_by_name),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
