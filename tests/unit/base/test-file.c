/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

static char folder[] = "/tmp/bsi-test-file-XXXXXX";
static int folder_fd;

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)close(folder_fd);
	return file_remove_tree(AT_FDCWD, folder);
}

static void test_replace_gives_whole_new_content(void **state)
{
	AUTO_DONE(buffer) struct buffer found = buffer_of(100);
	struct stat st;

	(void)state;
	assert_int_equal(file_replace(folder_fd, "f", "one", 3, 0600), 0);
	assert_int_equal(file_replace(folder_fd, "f", "second", 6, 0644), 0);
	assert_int_equal(file_read(folder_fd, "f", 100, &found), 0);
	assert_int_equal(found.len, 6);
	assert_memory_equal(found.data, "second", 6);
	assert_int_equal(fstatat(folder_fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* nothing is left beside it */
	assert_int_equal(faccessat(folder_fd, ".f.new", F_OK, 0), -1);
}

static void test_replace_leaves_the_old_content_when_it_fails(void **state)
{
	AUTO_DONE(buffer) struct buffer found = buffer_of(100);

	(void)state;
	assert_int_equal(file_replace(folder_fd, "g", "old", 3, 0600), 0);
	assert_int_equal(mkdirat(folder_fd, ".g.new", 0700), 0);
	assert_true(file_replace(folder_fd, "g", "new", 3, 0600) < 0);
	assert_int_equal(file_read(folder_fd, "g", 100, &found), 0);
	assert_memory_equal(found.data, "old", 3);
	assert_int_equal(unlinkat(folder_fd, ".g.new", AT_REMOVEDIR), 0);
}

static void test_read_has_a_limit(void **state)
{
	AUTO_DONE(buffer) struct buffer found = buffer_of(100);

	(void)state;
	assert_int_equal(file_replace(folder_fd, "h", "12345", 5, 0600), 0);
	assert_int_equal(file_read(folder_fd, "h", 4, &found), -BSI_E_LIMIT);
	assert_int_equal(file_read(folder_fd, "h", 5, &found), 0);
}

static void test_read_appends_the_whole_file(void **state)
{
	AUTO_DONE(buffer) struct buffer found = buffer_of(100000);
	AUTO_FREE char *text = malloc(70000);
	int pipes[2];

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < 70000; i++)
		text[i] = (char)('a' + i % 23);
	assert_int_equal(file_replace(folder_fd, "long", text, 70000, 0600), 0);
	buffer_put_text(&found, "before");
	assert_int_equal(file_read(folder_fd, "long", 70000, &found), 0);
	assert_int_equal(found.len, 70006);
	assert_memory_equal(found.data, "before", 6);
	assert_memory_equal(found.data + 6, text, 70000);
	/* what the buffer has no room for is no success */
	assert_int_equal(file_read(folder_fd, "long", 70000, &found), -BSI_E_LIMIT);
	/* what cannot be read from an offset is an error, and no empty file */
	assert_int_equal(pipe(pipes), 0);
	buffer_done(&found);
	assert_int_equal(file_read_fd(pipes[0], 100, &found), -ESPIPE);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

/* A file of /proc tells no size. */
static void test_read_needs_no_size(void **state)
{
	AUTO_DONE(buffer) struct buffer found = buffer_of(1U << 20);
	AUTO_CLOSE int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_read_fd(fd, 1U << 20, &found), 0);
	assert_true(found.len > 100);
	assert_memory_equal(found.data, "Name:", 5);
}

static void test_paths_do_not_leave_the_folder(void **state)
{
	(void)state;
	assert_int_equal(symlinkat("/etc", folder_fd, "out"), 0);
	assert_int_equal(symlinkat("h", folder_fd, "inside"), 0);
	assert_int_equal(file_open_beneath(folder_fd, "../etc/passwd", O_RDONLY, 0), -EXDEV);
	assert_int_equal(file_open_beneath(folder_fd, "/etc/passwd", O_RDONLY, 0), -EXDEV);
	assert_int_equal(file_open_beneath(folder_fd, "out/passwd", O_RDONLY, 0), -ELOOP);
	assert_int_equal(file_open_beneath(folder_fd, "inside", O_RDONLY, 0), -ELOOP);
	/* below a root, "/etc" is the root's own */
	assert_int_equal(file_open_in_root(folder_fd, "out/passwd", O_RDONLY), -ENOENT);
	assert_int_equal(file_open_in_root(folder_fd, "inside", O_RDONLY), -ELOOP);
}

static void test_digest_reads_from_the_start(void **state)
{
	AUTO_CLOSE int fd = file_open_beneath(folder_fd, "d", O_RDWR | O_CREAT, 0600);
	struct digest found, wanted;
	uint64_t size = 0;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "abc", 3), 0);
	assert_int_equal(file_digest(fd, &found, &size), 0);
	assert_int_equal(digest_of("abc", 3, &wanted), 0);
	assert_true(digest_equal(&found, &wanted));
	assert_int_equal(size, 3);
}

static void test_reading_is_exact(void **state)
{
	AUTO_CLOSE int fd = file_open_beneath(folder_fd, "p", O_RDWR | O_CREAT, 0600);
	char bytes[4] = "";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "abcd", 4), 0);
	assert_int_equal(file_pread_all(fd, bytes, 3, 1), 0);
	assert_string_equal(bytes, "bcd");
	assert_int_equal(file_pread_all(fd, bytes, 3, 2), -BSI_E_FORMAT);
	assert_int_equal(file_pread_all(-1, bytes, 1, 0), -EBADF);
}

static void test_trees_are_made_and_removed(void **state)
{
	(void)state;
	assert_int_equal(file_make_dirs(folder_fd, "a/b/c", 0700), 0);
	assert_int_equal(file_make_dirs(folder_fd, "a/b/c", 0700), 0);
	assert_int_equal(file_replace(folder_fd, "a/b/f", "x", 1, 0600), 0);
	assert_int_equal(symlinkat("/tmp", folder_fd, "a/b/link"), 0);
	assert_int_equal(file_remove_tree(folder_fd, "a"), 0);
	assert_int_equal(faccessat(folder_fd, "a", F_OK, 0), -1);
	assert_int_equal(access("/tmp", F_OK), 0);
	assert_int_equal(file_remove_tree(folder_fd, "a"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace_gives_whole_new_content),
		cmocka_unit_test(test_replace_leaves_the_old_content_when_it_fails),
		cmocka_unit_test(test_read_has_a_limit),
		cmocka_unit_test(test_read_appends_the_whole_file),
		cmocka_unit_test(test_read_needs_no_size),
		cmocka_unit_test(test_paths_do_not_leave_the_folder),
		cmocka_unit_test(test_digest_reads_from_the_start),
		cmocka_unit_test(test_reading_is_exact),
		cmocka_unit_test(test_trees_are_made_and_removed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
