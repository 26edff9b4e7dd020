/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /proc/PID/stat, and the mark that dpkg is at work. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "graft/package_work.h"
#include "graft/process.h"

#define REST " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 4711 0 0\n"

static void test_parse_takes_names_as_they_are(void **state)
{
	static const struct {
		const char *text, *name;
		int r;
	} rows[] = {
		{"12 (dpkg) S 7" REST, "dpkg", 0},
		{"12 (a b) c) S 7" REST, "a b) c", 0},
		{"12 ()) S 7" REST, ")", 0},
		{"12 () S 7" REST, "", 0},
		{"", NULL, -EINVAL},
		{"12 (dpkg) S 7 1 2 3", NULL, -EINVAL},
		{"12 dpkg S 7" REST, NULL, -EINVAL},
		{"12 )dpkg( S 7" REST, NULL, -EINVAL},
		{"x (dpkg) S 7" REST, NULL, -EINVAL},
		{"12 (dpkg) S -7" REST, NULL, -EINVAL},
		{"99999999999 (dpkg) S 7" REST, NULL, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct process p = {0};

		assert_int_equal(process_parse(rows[i].text, &p), rows[i].r);
		if (rows[i].r < 0)
			continue;
		assert_int_equal(p.pid, 12);
		assert_int_equal(p.parent, 7);
		assert_int_equal(p.start_ticks, 4711);
		assert_string_equal(p.name, rows[i].name);
	}
}

static void test_parse_refuses_every_prefix_without_a_start(void **state)
{
	static const char whole[] = "12 (dpkg) S 7" REST;
	const char *start = strstr(whole, "4711");
	char text[sizeof whole];
	struct process p;

	(void)state;
	for (size_t len = 0; len <= (size_t)(start - whole); len++) {
		memcpy(text, whole, len);
		text[len] = '\0';
		assert_int_equal(process_parse(text, &p), -EINVAL);
	}
}

static void test_parse_number_has_a_limit(void **state)
{
	uint64_t n = 0;

	(void)state;
	assert_int_equal(process_parse_number("18446744073709551615 x", UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(process_parse_number("18446744073709551616", UINT64_MAX, &n), -ERANGE);
	assert_int_equal(process_parse_number("128", 127, &n), -ERANGE);
	assert_int_equal(process_parse_number("127", 127, &n), 0);
	assert_int_equal(process_parse_number("", 127, &n), -EINVAL);
	assert_int_equal(process_parse_number("-1", 127, &n), -EINVAL);
	assert_int_equal(process_parse_number("5", 4, &n), -ERANGE);
}

static void test_read_knows_this_process(void **state)
{
	struct process p, again;

	(void)state;
	assert_int_equal(process_read(getpid(), &p), 0);
	assert_int_equal(p.pid, getpid());
	assert_int_equal(p.parent, getppid());
	assert_int_equal(process_read(getpid(), &again), 0);
	assert_int_equal(p.start_ticks, again.start_ticks);
	assert_true(process_is_ancestor(getppid()));
	assert_false(process_is_ancestor(getpid()));
}

/* A child that begins the mark (so it names this process), and one that is asked about it. */
static int in_child(int (*work)(const char *), const char *dir)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(work(dir));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int begin(const char *dir)
{
	return package_work_begin(dir) == 0 ? 0 : 1;
}

static int has_holder(const char *dir)
{
	return package_work_holder(dir) != 0;
}

/* Marked by the grandchild, so that the mark names the child, which lives until it is told. */
static pid_t marked_child(const char *dir)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		byte = in_child(begin, dir) == 0 ? 'y' : 'n';
		(void)!write(ready[1], &byte, 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

static void test_mark_holds_as_long_as_its_process(void **state)
{
	char dir[] = "/tmp/bsi-work-XXXXXX", file[64];
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(package_work_holder(dir), 0);
	assert_int_equal(package_work_end(dir), 0);

	pid = marked_child(dir);
	assert_int_equal(package_work_holder(dir), pid);
	/* ended by the hook after it */
	assert_int_equal(package_work_end(dir), 0);
	assert_int_equal(package_work_holder(dir), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);

	/* or by its death */
	pid = marked_child(dir);
	assert_int_equal(package_work_holder(dir), pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(package_work_holder(dir), 0);

	/* a process of the same id that began at another time is another one */
	assert_true(snprintf(file, sizeof file, "%s/" PACKAGE_WORK_NAME, dir) > 0);
	FILE *f = fopen(file, "w");
	assert_non_null(f);
	fprintf(f, "%d 1\n", (int)getpid());
	fclose(f);
	assert_int_equal(in_child(has_holder, dir), 0);

	assert_int_equal(package_work_end(dir), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_mark_of_an_ancestor_does_not_hold(void **state)
{
	char dir[] = "/tmp/bsi-work-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(in_child(begin, dir), 0);
	/* a child of the marked process is its hook */
	assert_int_equal(in_child(has_holder, dir), 0);
	/* the marked process itself is no ancestor of its own */
	assert_int_equal(package_work_holder(dir), getpid());
	assert_int_equal(package_work_end(dir), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_damaged_mark_is_none(void **state)
{
	static const char *const texts[] = {"", "x", "1", "1 ", " 1", "-1 5", "0 0", "1 x",
		"99999999999999999999 1"};
	char dir[] = "/tmp/bsi-work-XXXXXX", file[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_true(snprintf(file, sizeof file, "%s/" PACKAGE_WORK_NAME, dir) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		FILE *f = fopen(file, "w");

		assert_non_null(f);
		fputs(texts[i], f);
		fclose(f);
		assert_int_equal(package_work_holder(dir), 0);
	}
	assert_int_equal(unlink(file), 0);
	/* nor is a link to somewhere followed */
	assert_int_equal(symlink("/proc/self/stat", file), 0);
	assert_int_equal(package_work_holder(dir), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_takes_names_as_they_are),
		cmocka_unit_test(test_parse_refuses_every_prefix_without_a_start),
		cmocka_unit_test(test_parse_number_has_a_limit),
		cmocka_unit_test(test_read_knows_this_process),
		cmocka_unit_test(test_mark_holds_as_long_as_its_process),
		cmocka_unit_test(test_mark_of_an_ancestor_does_not_hold),
		cmocka_unit_test(test_damaged_mark_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
