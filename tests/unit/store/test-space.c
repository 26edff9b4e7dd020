/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A full disk: a small tmpfs in a mount namespace of this program's own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "scratch.h"
#include "store/denied.h"
#include "store/download.h"
#include "store/history.h"
#include "store/image.h"
#include "store/settings.h"
#include "store/trust_files.h"

#define DISK "size=8m"
#define MEBIBYTE ((uint64_t)1 << 20)

static bool has_namespace;

static bool write_text(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && file_write_all(fd, text, strlen(text)) == 0;
}

/* Root of a user namespace is enough for a tmpfs. */
static bool become_root_of_our_own(void)
{
	char uid_map[64], gid_map[64];

	(void)snprintf(uid_map, sizeof uid_map, "0 %u 1", getuid());
	(void)snprintf(gid_map, sizeof gid_map, "0 %u 1", getgid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", uid_map) &&
	       write_text("/proc/self/gid_map", gid_map);
}

/* Where neither is possible the tests are skipped. */
static int make_namespace(void **state)
{
	(void)state;
	has_namespace = (unshare(CLONE_NEWNS) == 0 || become_root_of_our_own()) &&
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return 0;
}

static int setup(void **state)
{
	struct scratch *scratch;
	int r = scratch_setup(state);

	if (r < 0 || !has_namespace)
		return r;
	scratch = *state;
	if (mount("tmpfs", scratch->path, "tmpfs", MS_NOSUID | MS_NODEV, DISK) < 0)
		return -1;
	(void)close(scratch->dir_fd);
	scratch->dir_fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return scratch->dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	const struct scratch *scratch = *state;

	if (has_namespace && umount2(scratch->path, MNT_DETACH) < 0)
		return -1;
	return scratch_teardown(state);
}

/* A file beside the state that takes every page that is left. */
static void fill_disk(const struct scratch *scratch)
{
	AUTO_CLOSE int fd = openat(scratch->dir_fd, "trust/ballast",
		O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
	char page[4096] = {1};

	assert_true(fd >= 0);
	while (write(fd, page, sizeof page) > 0)
		;
	assert_int_equal(errno, ENOSPC);
}

static void empty_disk(const struct scratch *scratch)
{
	assert_int_equal(unlinkat(scratch->dir_fd, "trust/ballast", 0), 0);
}

static void test_space_is_named_before_anything_is_written(void **state)
{
	AUTO(store) struct store *s = NULL;
	struct store_image *image = NULL;
	struct digest d = {{1}};
	struct error e = {0};
	uint64_t space, after, have;
	char number[32];
	int fd = -EBADF;

	if (!has_namespace)
		skip();
	s = scratch_lock(*state);
	assert_int_equal(store_space(s, &space, &e), 0);
	/* less the spare, and less what the layout takes */
	assert_in_range(space, 3 * MEBIBYTE, 4 * MEBIBYTE);
	assert_int_equal(store_image_begin(s, &d, 5 * MEBIBYTE, &image, &e), -ENOSPC);
	(void)snprintf(number, sizeof number, "%llu", (unsigned long long)(5 * MEBIBYTE));
	assert_non_null(strstr(e.text, number));
	(void)snprintf(number, sizeof number, "%llu", (unsigned long long)space);
	assert_non_null(strstr(e.text, number));
	assert_null(image);
	assert_int_equal(store_download_open(s, &d, 5 * MEBIBYTE, &fd, &have, &e), -ENOSPC);
	assert_int_equal(store_download_done(s, &d), 0);
	assert_int_equal(store_space(s, &after, &e), 0);
	assert_int_equal(after, space);
}

static void test_space_that_is_reserved_stays(void **state)
{
	AUTO(store) struct store *s = NULL;
	AUTO(store_image) struct store_image *image = NULL;
	AUTO_FREE uint8_t *data = calloc(1, 2 * MEBIBYTE);
	AUTO_CLOSE int fd = -EBADF;
	struct digest d;
	uint64_t have;

	if (!has_namespace)
		skip();
	assert_non_null(data);
	assert_int_equal(digest_of(data, 2 * MEBIBYTE, &d), 0);
	s = scratch_lock(*state);
	assert_int_equal(store_image_begin(s, &d, 2 * MEBIBYTE, &image, NULL), 0);
	assert_int_equal(store_download_open(s, &d, MEBIBYTE, &fd, &have, NULL), 0);
	fill_disk(*state);
	assert_int_equal(file_pwrite_all(fd, data, MEBIBYTE, 0), 0);
	assert_int_equal(store_image_write(image, 0, data, 2 * MEBIBYTE), 0);
	assert_int_equal(store_image_commit(image, NULL), 0);
	assert_true(store_has_image(s, &d));
}

/* Everything that reads, as `bsi status` does. */
static void check_readable(const struct scratch *scratch, uint64_t current)
{
	AUTO(store) struct store *s = scratch_open(scratch);
	AUTO(generation) struct generation *g = NULL;
	AUTO(denied) struct denied *denied = NULL;
	AUTO_DONE(buffer) struct buffer trust = buffer_of(16);
	AUTO_JSON json_t *config = NULL, *history = NULL;
	int64_t floor_utc_s = 0;
	uint64_t n = 0;

	assert_int_equal(store_current_get(s, &n, NULL), 0);
	assert_int_equal(n, current);
	assert_int_equal(store_generation_load(s, n, &g, NULL), 0);
	assert_int_equal(store_denied_load(s, &denied, NULL), 0);
	assert_int_equal(store_floor_get(s, &floor_utc_s, NULL), 0);
	assert_int_equal(floor_utc_s, 100);
	assert_int_equal(store_config_load(s, &config, NULL), 0);
	assert_int_equal(store_trust_load(s, "root.json", 16, &trust), 0);
	assert_int_equal(trust.len, 3);
	assert_int_equal(store_history_list(s, 10, &history, NULL), 0);
	assert_int_equal(json_array_size(history), 1);
}

static void test_full_disk_can_be_read_and_recovers(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(store) struct store *s = NULL;
	AUTO_JSON json_t *config = json_pack("{s:b}", "auto", 1);
	struct digest image;
	struct error e = {0};

	if (!has_namespace)
		skip();
	s = scratch_lock(scratch);
	image = scratch_image(s, 1, 5000);
	assert_int_equal(scratch_generation(s, "a", 1, &image), 1);
	assert_int_equal(store_current_set(s, 1, NULL), 0);
	assert_int_equal(store_floor_set(s, 100, NULL), 0);
	assert_int_equal(store_trust_save(s, "root.json", "old", 3), 0);
	assert_int_equal(store_history_add(s, 1, "install", "a", NULL, NULL), 0);
	store_free(take_ptr(s));
	fill_disk(scratch);

	check_readable(scratch, 1);
	/* the lock needs no space */
	s = scratch_lock(scratch);
	assert_int_equal(store_floor_set(s, 200, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "floor"));
	assert_int_equal(store_config_save(s, config, &e), -ENOSPC);
	assert_int_equal(store_current_set(s, 0, &e), -ENOSPC);
	assert_int_equal(store_denied_add(s, "debian:12:amd64", "a", 1, "x", 0, &e), -ENOSPC);
	assert_int_equal(store_trust_save(s, "root.json", "newer", 5), -ENOSPC);
	assert_true(store_history_add(s, 2, "check", NULL, NULL, &e) < 0);
	assert_int_equal(scratch_count(scratch, ".", 1), 0);
	assert_int_equal(scratch_count(scratch, "trust", 1), 0);
	check_readable(scratch, 1);

	empty_disk(scratch);
	check_readable(scratch, 1);
	assert_int_equal(store_config_save(s, config, &e), 0);
	assert_int_equal(store_history_add(s, 2, "check", NULL, NULL, &e), 0);
	assert_int_equal(store_current_set(s, 0, &e), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_space_is_named_before_anything_is_written),
		TEST(test_space_that_is_reserved_stays),
		TEST(test_full_disk_can_be_read_and_recovers),
	};

	return cmocka_run_group_tests_name("space", tests, make_namespace, NULL);
}
