/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "graft/dpkg_lock.h"

static char root[] = "/tmp/bsi-dpkg-lock-XXXXXX";

static int make_root(void **state)
{
	AUTO_CLOSE int fd = -EBADF;

	(void)state;
	if (!mkdtemp(root))
		return -1;
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return file_make_dirs(fd, "var/lib/dpkg", 0755);
}

static int remove_root(void **state)
{
	AUTO_CLOSE int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	return file_remove_tree(fd, root + strlen("/tmp/"));
}

static struct graft_host host(void)
{
	return (struct graft_host){.mount_ns_fd = -EBADF, .root = root};
}

static int open_lock_file(void)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof path, "%s/var/lib/dpkg/lock-frontend", root);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd >= 0);
	return fd;
}

static int try_lock(void)
{
	struct graft_host h = host();
	AUTO_CLOSE int fd = -EBADF;
	int r = graft_lock_dpkg(&h, &fd, NULL);

	return r == 0 && fd < 0 ? 1 : r; /* 1: goes on without it */
}

static int take_as_dpkg(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_SETLK, &lock);
}

/* The result of try_lock() in a child, as an exit status. */
static int try_in_child(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int r = try_lock();

		_exit(r == -BSI_E_BUSY ? 100 : r < 0 ? 101 : r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_no_dpkg_is_nothing_to_lock(void **state)
{
	(void)state;
	assert_int_equal(try_lock(), 1);
}

static void test_lock_is_taken_and_given_back(void **state)
{
	AUTO_CLOSE int file = open_lock_file();
	struct graft_host h = host();
	int fd = -EBADF;

	(void)state;
	auto_closep(&file);
	assert_int_equal(graft_lock_dpkg(&h, &fd, NULL), 0);
	assert_true(fd >= 0);
	assert_int_equal(try_in_child(), 100);
	assert_int_equal(close(fd), 0);
	assert_int_equal(try_in_child(), 0);
}

static void test_other_holder_means_busy(void **state)
{
	int ends[2];
	pid_t pid;
	char ready;
	struct graft_host h = host();
	struct error error = {0};
	int fd = -EBADF;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (take_as_dpkg(open_lock_file()) < 0 || write(ends[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ends[0], &ready, 1), 1);
	assert_int_equal(graft_lock_dpkg(&h, &fd, &error), -BSI_E_BUSY);
	assert_non_null(strstr(error.text, "held: package manager at work"));
	assert_int_equal(fd, -EBADF);

	/* The variable alone proves nothing: the holder is no ancestor. */
	assert_int_equal(setenv("DPKG_FRONTEND_LOCKED", "true", 1), 0);
	assert_int_equal(try_lock(), -BSI_E_BUSY);
	assert_int_equal(unsetenv("DPKG_FRONTEND_LOCKED"), 0);

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(try_lock(), 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void test_hook_below_the_holder_goes_on(void **state)
{
	AUTO_CLOSE int file = open_lock_file();

	(void)state;
	assert_int_equal(take_as_dpkg(file), 0);
	assert_int_equal(try_in_child(), 100);
	assert_int_equal(setenv("DPKG_FRONTEND_LOCKED", "true", 1), 0);
	assert_int_equal(try_in_child(), 1);
	assert_int_equal(unsetenv("DPKG_FRONTEND_LOCKED"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_dpkg_is_nothing_to_lock),
		cmocka_unit_test(test_lock_is_taken_and_given_back),
		cmocka_unit_test(test_other_holder_means_busy),
		cmocka_unit_test(test_hook_below_the_holder_goes_on),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
