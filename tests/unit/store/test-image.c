/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images and parts of downloads. */
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
#include "store/download.h"
#include "store/image.h"

#define STEP STORE_DOWNLOAD_STEP_BYTES

static struct digest digest_of_text(const char *text)
{
	struct digest d;

	assert_int_equal(digest_of(text, strlen(text), &d), 0);
	return d;
}

static void test_image_is_there_after_commit(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(store) struct store *s = scratch_lock(scratch);
	AUTO(store_image) struct store_image *image = NULL;
	AUTO_CLOSE int fd = -EBADF;
	struct digest d = digest_of_text("hello"), found;
	struct stat st;

	assert_false(store_has_image(s, &d));
	assert_int_equal(store_image_open(s, &d, &fd), -ENOENT);
	assert_int_equal(store_image_begin(s, &d, 5, &image, NULL), 0);
	assert_int_equal(fstat(store_image_fd(image), &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(store_image_write(image, 3, "lo", 2), 0);
	assert_int_equal(store_image_write(image, 0, "hel", 3), 0);
	assert_false(store_has_image(s, &d));
	assert_int_equal(store_image_commit(image, NULL), 0);
	assert_int_equal(store_image_commit(image, NULL), -EINVAL);
	assert_true(store_has_image(s, &d));
	assert_int_equal(store_image_open(s, &d, &fd), 0);
	assert_int_equal(file_digest(fd, &found, NULL), 0);
	assert_true(digest_equal(&d, &found));
	assert_true(write(fd, "x", 1) < 0);
	assert_int_equal(scratch_count(scratch, "images", 0), 1);
	assert_int_equal(store_image_remove(s, &d, NULL), 0);
	assert_int_equal(store_image_remove(s, &d, NULL), 0);
	assert_false(store_has_image(s, &d));
}

static void test_image_of_other_bytes_leaves_nothing(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO(store_image) struct store_image *image = NULL;
	struct digest d = digest_of_text("hello");
	struct error e = {0};

	assert_int_equal(store_image_begin(s, &d, 5, &image, NULL), 0);
	assert_int_equal(store_image_write(image, 0, "hellO", 5), 0);
	assert_int_equal(store_image_commit(image, &e), -BSI_E_DIGEST);
	assert_non_null(strstr(e.text, digest_format(&d).text));
	assert_false(store_has_image(s, &d));
	assert_int_equal(scratch_count(*state, "images", 0), 0);
}

static void test_image_of_another_size_is_refused(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO(store_image) struct store_image *image = NULL;
	struct digest d = digest_of_text("hello");

	assert_int_equal(store_image_begin(s, &d, 5, &image, NULL), 0);
	assert_int_equal(store_image_write(image, 0, "hello!", 6), -BSI_E_LIMIT);
	assert_int_equal(store_image_write(image, 5, "!", 1), -BSI_E_LIMIT);
	assert_int_equal(store_image_write(image, UINT64_MAX, "hello", 5), -BSI_E_LIMIT);
	/* somebody who was given the descriptor may still do it */
	assert_int_equal(file_pwrite_all(store_image_fd(image), "hello!", 6, 0), 0);
	assert_int_equal(store_image_commit(image, NULL), -BSI_E_DIGEST);
	assert_int_equal(scratch_count(*state, "images", 0), 0);
}

static void test_image_free_aborts(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct store_image *image = NULL;
	struct digest d = digest_of_text("hello");

	assert_int_equal(store_image_begin(s, &d, 5, &image, NULL), 0);
	assert_int_equal(scratch_count(*state, "images", 1), 1);
	store_image_free(image);
	assert_int_equal(scratch_count(*state, "images", 0), 0);
	store_image_free(NULL);
}

static void test_image_begun_anew_is_another_file(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO(store_image) struct store_image *image = NULL;
	struct digest d = digest_of_text("hello");
	AUTO_CLOSE int old = -EBADF;

	assert_int_equal(store_image_begin(s, &d, 5, &image, NULL), 0);
	old = dup(store_image_fd(image));
	store_image_free(image);
	image = NULL;
	assert_int_equal(store_image_begin(s, &d, 5, &image, NULL), 0);
	assert_int_equal(store_image_write(image, 0, "hello", 5), 0);
	assert_int_equal(file_pwrite_all(old, "XXXXX", 5, 0), 0);
	assert_int_equal(store_image_commit(image, NULL), 0);
}

static void test_image_damaged_is_replaced(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(store) struct store *s = scratch_lock(scratch);
	struct digest d = scratch_image(s, 7, 9000), found;
	AUTO_CLOSE int fd = -EBADF;
	char path[128];

	(void)snprintf(path, sizeof path, "images/%s", digest_format(&d).text);
	scratch_write(scratch, path, "rotten", 6);
	(void)scratch_image(s, 7, 9000);
	assert_int_equal(store_image_open(s, &d, &fd), 0);
	assert_int_equal(file_digest(fd, &found, NULL), 0);
	assert_true(digest_equal(&d, &found));
}

static void test_image_that_is_a_symlink_is_not_opened(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(store) struct store *s = scratch_lock(scratch);
	struct digest d = digest_of_text("hello");
	char path[128];
	int fd = -EBADF;

	(void)snprintf(path, sizeof path, "images/%s", digest_format(&d).text);
	scratch_write(scratch, "images/target", "hello", 5);
	assert_int_equal(symlinkat("target", scratch->dir_fd, path), 0);
	assert_int_equal(store_image_open(s, &d, &fd), -ELOOP);
	assert_false(store_has_image(s, &d));
	assert_int_equal(fd, -EBADF);
}

static void put_part(const struct scratch *scratch, struct store *s, const struct digest *d,
	uint64_t size, size_t bytes)
{
	AUTO_CLOSE int fd = -EBADF;
	AUTO_FREE char *data = calloc(1, bytes + 1);
	uint64_t have;

	(void)scratch;
	assert_non_null(data);
	assert_int_equal(store_download_open(s, d, size, &fd, &have, NULL), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(file_pwrite_all(fd, data, bytes, 0), 0);
}

static void test_download_resumes_on_the_step(void **state)
{
	static const struct {
		size_t there;
		uint64_t size, have;
	} rows[] = {
		{0, 5 * STEP, 0},
		{STEP - 1, 5 * STEP, 0},
		{STEP, 5 * STEP, STEP},
		{3 * STEP + 17, 5 * STEP, 3 * STEP},
		{2 * STEP + 5, 2 * STEP + 5, 2 * STEP},
		{2 * STEP, 2 * STEP, 2 * STEP},
		{2 * STEP + 1, 2 * STEP, 0}, /* more than the object has */
		{5, 5, 0},
		{0, 0, 0},
	};
	AUTO(store) struct store *s = scratch_lock(*state);
	struct digest d = digest_of_text("payload");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_CLOSE int fd = -EBADF;
		uint64_t have = 99;
		struct stat st;

		put_part(*state, s, &d, 5 * STEP, rows[i].there);
		assert_int_equal(store_download_open(s, &d, rows[i].size, &fd, &have, NULL), 0);
		assert_int_equal(have, rows[i].have);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, rows[i].have);
		assert_int_equal(st.st_mode, S_IFREG | 0600);
		assert_true((uint64_t)st.st_blocks * 512 >= rows[i].size);
	}
	assert_int_equal(store_download_done(s, &d), 0);
	assert_int_equal(store_download_done(s, &d), 0);
	assert_int_equal(scratch_count(*state, "downloads", 0), 0);
}

static void test_download_collect_keeps_what_is_named(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct digest d[3] = {digest_of_text("1"), digest_of_text("2"), digest_of_text("3")};
	AUTO_CLOSE int fd = -EBADF;
	uint64_t have = 0;

	for (size_t i = 0; i < ARRAY_SIZE(d); i++)
		put_part(*state, s, &d[i], STEP, STEP);
	assert_int_equal(store_download_collect(s, &d[1], 1, NULL), 0);
	assert_int_equal(scratch_count(*state, "downloads", 0), 1);
	assert_int_equal(store_download_open(s, &d[1], 2 * STEP, &fd, &have, NULL), 0);
	assert_int_equal(have, STEP);
	assert_int_equal(store_download_collect(s, NULL, 0, NULL), 0);
	assert_int_equal(scratch_count(*state, "downloads", 0), 0);
}

static void test_image_too_large_for_the_disk_is_refused_first(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	struct store_image *image = NULL;
	struct digest d = digest_of_text("huge");
	struct error e = {0};
	uint64_t have;
	int fd = -EBADF;

	assert_int_equal(store_image_begin(s, &d, UINT64_C(1) << 60, &image, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "1152921504606846976"));
	assert_non_null(strstr(e.text, "free"));
	assert_null(image);
	assert_int_equal(store_image_begin(s, &d, UINT64_MAX, &image, &e), -BSI_E_LIMIT);
	assert_int_equal(scratch_count(*state, "images", 0), 0);
	assert_int_equal(store_download_open(s, &d, UINT64_C(1) << 60, &fd, &have, &e), -ENOSPC);
	assert_int_equal(fd, -EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_image_is_there_after_commit),
		TEST(test_image_of_other_bytes_leaves_nothing),
		TEST(test_image_of_another_size_is_refused),
		TEST(test_image_free_aborts),
		TEST(test_image_begun_anew_is_another_file),
		TEST(test_image_damaged_is_replaced),
		TEST(test_image_that_is_a_symlink_is_not_opened),
		TEST(test_image_too_large_for_the_disk_is_refused_first),
		TEST(test_download_resumes_on_the_step),
		TEST(test_download_collect_keeps_what_is_named),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
